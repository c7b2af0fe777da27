#!/usr/bin/env bash
# How long a reading waits: not at all with hold = 0, until it expires with a short one.
. "$(dirname "$0")/lib.sh"

configure <<'END'
[accelerometer-trusted]
hold = 0
[step-trainer-trusted]
hold = 500ms
END
start
listen "$work/rejected" -V 5 -t 'gait/rejected/#'
accelerometer fay@example.org 1600000002000 | publish accelerometer
step_trainer trainer-6 1600000002000 | publish step_trainer
wait_until 30 "the refusal of what must not wait" counter_is accelerometer-trusted accelerometer refused 1
wait_until 30 "the refusal of what waited in vain" counter_is step-trainer-trusted step_trainer refused 1
check "no reading waits" equal 0 "$(counter accelerometer-trusted accelerometer waiting)"
check "no trainer reading waits" equal 0 "$(counter step-trainer-trusted step_trainer waiting)"
wait_until 10 "its reason" heard "$work/rejected" '^> gait/rejected/accelerometer-trusted .*"reason":"no_consent"'
wait_until 10 "its reason" heard "$work/rejected" '^> gait/rejected/step-trainer-trusted .*"reason":"expired"'

# The customer comes too late for them, in time for the next.
customer fay@example.org trainer-6 1600000001000 1600000001000 | publish customer
wait_until 30 "the customer" counter_is accelerometer-trusted customer taken 1
accelerometer fay@example.org 1600000003000 | publish accelerometer
wait_until 30 "the next reading" counter_is accelerometer-trusted accelerometer passed 1
check "the pipeline comes to rest" wait_idle
check "only that one is in the lake" equal 1 "$(lake trusted/accelerometer | grep -c '"timestamp":1600000003000')"
check "and no other" equal 1 "$(lake trusted/accelerometer | wc -l)"
check "no trainer reading is" equal 0 "$(lake trusted/step_trainer | wc -l)"
check_balance
check_stop
finish
