#!/usr/bin/env bash
# kill -9 of every process in turn while records come in: the sets are still equal.
. "$(dirname "$0")/lib.sh"

simulate 150
rules any customer 0
start
load_on customer 50
load_on accelerometer 2000
load_on step_trainer 1000
for process in "${processes[@]}"; do
    check "kill $process" kill_hard "$process"
done
stop_loading
check "the pipeline comes to rest" wait_idle
check_lake any customer 0
check_balance
check_stop
finish
