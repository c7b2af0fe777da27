#!/usr/bin/env bash
# Who withdraws consent is out at once: rows become markers without personal data, later readings stay in.
. "$(dirname "$0")/lib.sh"

rules any time 0
start
customer cleo@example.org trainer-3 1600000001000 1600000001000 | publish customer
accelerometer cleo@example.org 1600000002000 | publish accelerometer
step_trainer trainer-3 1600000002000 | publish step_trainer
wait_until 30 "the trainer reading" counter_is step-trainer-trusted step_trainer passed 1
check "the pipeline comes to rest" wait_idle

customer cleo@example.org trainer-3 1600000003000 | publish customer
wait_until 30 "the withdrawal" counter_is customer-trusted customer taken 2
check "the withdrawal is applied everywhere" wait_idle
for zone in trusted curated; do
    listen "$work/$zone" -V 5 -t "gait/$zone/customer/+"
    wait_until 10 "the $zone row" heard "$work/$zone" '^> '
    check "the $zone row is a marker" heard "$work/$zone" '^> gait/[a-z]+/customer/[0-9a-f]+ \{"withdrawn":[0-9]+\}$'
    check "one $zone row" equal 1 "$(grep -c '^> ' "$work/$zone")"
    check "the lake's last $zone record is a marker" equal 1 \
        "$(lake "$zone/customer" | tail -n 1 | grep -cE '^\{"row":"[0-9a-f]+","withdrawn":[0-9]+\}$')"
done

listen "$work/out" -V 5 -t gait/trusted/accelerometer -t gait/trusted/step_trainer -t gait/curated/machine_learning
accelerometer cleo@example.org 1600000004000 | publish accelerometer
step_trainer trainer-3 1600000004000 | publish step_trainer
wait_until 30 "the second reading" counter_is accelerometer-trusted accelerometer taken 2
wait_until 30 "the second trainer reading" counter_is step-trainer-trusted step_trainer taken 2
check "the pipeline comes to rest" wait_idle
check_not "nothing of hers comes out any more" heard "$work/out" .
check "one accelerometer reading in the lake" equal 1 "$(lake trusted/accelerometer | wc -l)"
check "one trainer reading in the lake" equal 1 "$(lake trusted/step_trainer | wc -l)"
check "an older record is stale" publish customer < <(customer cleo@example.org trainer-3 1600000002500 1600000002500)
wait_until 30 "the stale record" counter_is customer-trusted customer stale 1
check "the pipeline comes to rest" wait_idle
check "and opens nothing" equal 1 "$(lake trusted/accelerometer | wc -l)"
check_balance
check_stop
finish
