#!/usr/bin/env bash
# The five sets equal the batch SQL's, when consent counts from its date and pairs must belong to one customer.
. "$(dirname "$0")/lib.sh"

simulate 200
rules as_of customer 0
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle
check_lake as_of customer 0
check_balance
check_stop
finish
