#!/usr/bin/env bash
# kill -9 of the broker while records come in, twice: the loads go on, the sets are still equal, rows are back.
. "$(dirname "$0")/lib.sh"

taken_more_than() {
    local taken
    taken=$(counter accelerometer-trusted accelerometer taken)
    [ "${taken:-0}" -gt "$1" ]
}

simulate 150
rules any time 0
start
load_tables customer
load_on accelerometer 2000
load_on step_trainer 1000
wait_until 30 "the first readings" taken_more_than 0
check "kill the broker" kill_hard broker
wait_until 60 "more readings" taken_more_than 4000
check "kill the broker again" kill_hard broker
stop_loading
check "the pipeline comes to rest" wait_idle
check_lake any time 0

# The broker forgot the retained rows; the tables publish them again.
rows=$(lake trusted/customer | grep -v '"withdrawn"' | grep -o '^{"row":"[0-9a-f]*"' | sort -u | wc -l)
listen "$work/rows" -V 5 -t 'gait/trusted/customer/+'
wait_until 30 "all $rows retained rows" heard "$work/rows" '^> gait/trusted/customer/' "$rows"
check_balance
check_stop
finish
