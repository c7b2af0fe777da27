#!/usr/bin/env bash
# Readings come first and wait for their customer.
. "$(dirname "$0")/lib.sh"

rules as_of customer 0
start
listen "$work/out" -V 5 -t 'gait/trusted/#' -t 'gait/curated/#' -t 'gait/rejected/#'
accelerometer bob@example.org 1600000002000 | publish accelerometer
accelerometer bob@example.org 1500000000000 | publish accelerometer # before the consent
step_trainer trainer-2 1600000002000 | publish step_trainer
wait_until 30 "waiting readings" counter_is accelerometer-trusted accelerometer waiting 2
wait_until 30 "a waiting trainer reading" counter_is step-trainer-trusted step_trainer waiting 1
check "nothing is out yet" not heard "$work/out" .

customer bob@example.org trainer-2 1600000001000 1600000001000 | publish customer
wait_until 30 "the pair" heard "$work/out" '^> gait/curated/machine_learning '
check "the pipeline comes to rest" wait_idle
check "the reading since the consent is through" equal 1 "$(counter accelerometer-trusted accelerometer passed)"
check "the one before is not" equal 1 "$(lake trusted/accelerometer | wc -l)"
check "one pair" equal 1 "$(lake curated/machine_learning | wc -l)"
check_balance
check_stop
finish
