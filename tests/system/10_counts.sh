#!/usr/bin/env bash
# The five sets equal the batch SQL's, with the batch jobs' own rules.
. "$(dirname "$0")/lib.sh"

simulate 200
rules any time 0
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle
check_lake any time 0
check_balance
check_stop
finish
