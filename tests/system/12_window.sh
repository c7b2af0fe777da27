#!/usr/bin/env bash
# Pairs within a window of four seconds. Few customers: such pairs are many.
. "$(dirname "$0")/lib.sh"

simulate 20
rules any time 4000
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle
check_lake any time 4000
check_balance
check_stop
finish
