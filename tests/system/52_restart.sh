#!/usr/bin/env bash
# Stopped and started again in the middle, it goes on where it was.
. "$(dirname "$0")/lib.sh"

simulate 100
rules as_of time 0
start
load_tables step_trainer
half=$(($(wc -l <"$work/data/accelerometer.ndjson") / 2))
head -n "$half" "$work/data/accelerometer.ndjson" >"$work/first.ndjson"
tail -n "+$((half + 1))" "$work/data/accelerometer.ndjson" >"$work/second.ndjson"
check "load the first half" load accelerometer "$work/first.ndjson"
check_stop # at once, whatever is still under way

start
check "the pipeline comes to rest" wait_idle
check "counters go on" equal "$half" "$(counter accelerometer-trusted accelerometer taken)"
load_tables customer
check_stop

start
check "load the second half" load accelerometer "$work/second.ndjson"
check "load the first half again" load accelerometer "$work/first.ndjson"
check "the pipeline comes to rest" wait_idle
check_lake as_of time 0
check_balance
check_stop
finish
