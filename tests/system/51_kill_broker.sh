#!/usr/bin/env bash
# kill -9 of the broker while records come in, twice: the loads go on, the sets are still equal, rows are back.
. "$(dirname "$0")/lib.sh"

passed_more_than() {
    local passed
    passed=$(counter accelerometer-trusted accelerometer taken)
    [ "${passed:-0}" -gt "$1" ]
}

simulate 150
rules any time 0
start
load_tables customer
load accelerometer "$work/data/accelerometer.ndjson" --rate 2000 --batch 16 &
loads=($!)
load step_trainer "$work/data/step_trainer.ndjson" --rate 700 --batch 16 &
loads+=($!)
wait_until 30 "the first readings" passed_more_than 0
check "kill the broker" kill_hard broker
wait_until 60 "more readings" passed_more_than 4000
check "kill the broker again" kill_hard broker
still_loading() { kill -0 "${loads[0]}" 2>/dev/null; }
check "the load was still under way" still_loading
for pid in "${loads[@]}"; do
    check "a load ends with its receipts" wait "$pid"
done
check "the pipeline comes to rest" wait_idle
check_lake any time 0

# The broker forgot the retained rows; the tables publish them again.
rows=$(lake trusted/customer | grep -v '"withdrawn"' | grep -o '^{"row":"[0-9a-f]*"' | sort -u | wc -l)
listen "$work/rows" -V 5 -t 'gait/trusted/customer/+'
wait_until 30 "all $rows retained rows" heard "$work/rows" '^> gait/trusted/customer/' "$rows"
check_balance
check_stop
finish
