#!/usr/bin/env bash
# A person who has not consented appears nowhere behind the landing zone: in no topic or message, file, log or metric.
. "$(dirname "$0")/lib.sh"

rules any time 0
start
listen "$work/out" -V 5 -t '#' -T 'gait/landing/#'
customer hidden@example.org secret-serial 1600000001000 | publish customer
customer zero@example.org secret-zero 1600000001000 0 | publish customer
customer null@example.org secret-null 1600000001000 null | publish customer
for person in hidden zero null; do
    accelerometer "$person@example.org" 1600000002000 | publish accelerometer
    step_trainer "secret-${person/hidden/serial}" 1600000002000 | publish step_trainer
done
printf '{"user":"hidden@example.org","timestamp":"secret-time"}' | publish accelerometer
customer dora@example.org trainer-4 1600000001000 1600000001000 | publish customer
accelerometer dora@example.org 1600000002000 | publish accelerometer
step_trainer trainer-4 1600000002000 | publish step_trainer

wait_until 30 "Dora's pair" heard "$work/out" '^> gait/curated/machine_learning '
wait_until 30 "all readings" counter_is accelerometer-trusted accelerometer taken 5
wait_until 30 "all trainer readings" counter_is step-trainer-trusted step_trainer taken 4
check "the pipeline comes to rest" wait_idle
check "Dora is out" heard "$work/out" 'dora@example.org'
check "metrics are out" heard "$work/out" '^> gait/metrics/accelerometer-trusted '
check "the bad record is reported" heard "$work/out" '^> gait/rejected/accelerometer-trusted '

gait status --json >"$work/status.json"
gait status >"$work/status.txt"
people='(hidden|zero|null)@example\.org|secret-'
check_not "in no topic or message" grep -qE "$people" "$work/out"
check_not "in no metric" grep -qE "$people|dora|trainer-4" "$work/status.json" "$work/status.txt"
check_not "in no file of the lake" grep -rqE "$people" "$run_dir/lake"
check_not "in no log, nor is Dora" grep -rqE "$people|dora@|trainer-4" "$run_dir/log" "$work/up.log" "$work/up.out"
check_not "in no file's name" grep -qE "$people|dora@" <(find "$run_dir")
check_balance
check_stop
finish
