#!/usr/bin/env bash
# Every reading waits: the customers come last.
. "$(dirname "$0")/lib.sh"

simulate 200
rules as_of customer 0
start
load_tables step_trainer accelerometer
check "readings are worked as far as they go" wait_idle
check "no reading is through yet" equal 0 "$(counter accelerometer-trusted accelerometer passed)"
check "accelerometer readings wait" equal "$(counter accelerometer-trusted accelerometer taken)" \
    "$(counter accelerometer-trusted accelerometer waiting)"
load_tables customer
check "the pipeline comes to rest" wait_idle
check_lake as_of customer 0
check_balance
check_stop
finish
