#!/usr/bin/env bash
# taken = passed + waiting + refused + duplicate + stale + invalid, for every input, with some of each.
. "$(dirname "$0")/lib.sh"

simulate 50
rules as_of customer 0
start
load_tables accelerometer customer step_trainer
load_tables accelerometer # again: duplicates
customer gus@example.org trainer-7 1600000002000 1600000001000 | publish customer
wait_until 30 "the customer" counter_is customer-trusted customer taken \
    $(($(wc -l <"$work/data/customer.ndjson") + 1))
customer gus@example.org trainer-7 1600000001000 1600000001000 | publish customer # older: stale
accelerometer nobody@example.org 1600000001000 | publish accelerometer               # waits
echo '{}' | publish step_trainer                                                     # invalid
wait_until 30 "the stale record" counter_is customer-trusted customer stale 1
wait_until 30 "the invalid one" counter_is step-trainer-trusted step_trainer invalid 1
check "the pipeline comes to rest" wait_idle
check "duplicates" [ "$(counter accelerometer-trusted accelerometer duplicate)" -gt 0 ]
check "waiting" [ "$(counter accelerometer-trusted accelerometer waiting)" -gt 0 ]
check_balance
check "every process answers" equal "${#processes[@]}" "$(ask "SELECT count(*) FROM process WHERE json ->> 'answered'")"
check "at rest" equal 1 "$(ask "SELECT json ->> 'at_rest' FROM status")"
check "the table for people says so" grep -qx 'balance ok' <(gait status)

# A process that does not answer is shown, and makes the exit status 1.
kill -STOP "$(pid_of step-trainer-trusted)"
status=0
gait status --json >"$work/status.json" || status=$?
check "a silent process fails the status" equal 1 "$status"
check "it is shown" equal step-trainer-trusted "$(sql :memory: "
    SELECT group_concat(value ->> 'process') FROM json_each(CAST(readfile('$work/status.json') AS TEXT), '\$.processes')
     WHERE NOT (value ->> 'answered')")"
check_not "nor is the pipeline at rest" wait_idle 1
kill -CONT "$(pid_of step-trainer-trusted)"
check "it goes on" wait_idle
check_stop
finish
