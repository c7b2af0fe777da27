#!/usr/bin/env bash
# kill -9 of every process in turn while records come in: the sets are still equal.
. "$(dirname "$0")/lib.sh"

simulate 150
rules any customer 0
start
load customer "$work/data/customer.ndjson" --rate 50 &
loads=($!)
load accelerometer "$work/data/accelerometer.ndjson" --rate 2000 --batch 16 &
loads+=($!)
load step_trainer "$work/data/step_trainer.ndjson" --rate 700 --batch 16 &
loads+=($!)
for process in "${processes[@]}"; do
    check "kill $process" kill_hard "$process"
done
still_loading() { kill -0 "${loads[1]}" 2>/dev/null; }
check "the load was still under way at the last kill" still_loading
for pid in "${loads[@]}"; do
    check "a load ends with its receipts" wait "$pid"
done
check "the pipeline comes to rest" wait_idle
check_lake any customer 0
check_balance
check_stop
finish
