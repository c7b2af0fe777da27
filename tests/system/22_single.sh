#!/usr/bin/env bash
# One record a message, as devices send them.
. "$(dirname "$0")/lib.sh"

simulate 20
rules any time 0
start
for table in customer accelerometer step_trainer; do
    check "load $table" load "$table" "$work/data/$table.ndjson" --batch 1
done
check "the pipeline comes to rest" wait_idle
check_lake any time 0
check_balance
check_stop
finish
