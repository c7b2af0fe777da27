#!/usr/bin/env bash
# A consumer that begins without state, where the producers' first messages are gone: the lake switched on later, and a
# join whose state was removed. Both follow from there on, and have the tables' rows.
. "$(dirname "$0")/lib.sh"

t0=1700000000000

configure <<END
[lake]
enabled = off
[machine-learning-curated]
subject = email
END
start
for i in 1 2 3; do customer "c$i@example.com" "serial-$i" "$t0" "$t0"; done | publish customer
for i in 1 2 3; do accelerometer "c$i@example.com" "$t0"; done | publish accelerometer
wait_until 20 "three curated customers" counter_is machine-learning-curated customer passed 3
trimmed() {
    local last
    last=$(ask "SELECT min(json_extract(json, '\$.output.trimmed')) FROM process
                WHERE json ->> 'process' IN ('customer-trusted', 'customer-curated', 'accelerometer-trusted')")
    [ "${last:-0}" -ge 1 ]
}
wait_until 20 "outboxes without their first messages" trimmed
check_stop

rm -r "$run_dir/state/machine-learning-curated"
configure <<END
[machine-learning-curated]
subject = email
END
start
check "the pipeline comes to rest" wait_idle 60
check "the lake has the trusted rows" equal 3 "$(lake trusted/customer | grep -c '"email"')"
check "the lake has the curated rows" equal 3 "$(lake curated/customer | grep -c '"email"')"
for i in 1 2 3; do accelerometer "c$i@example.com" "$((t0 + 1000 * i))"; done | publish accelerometer
for i in 1 2 3; do step_trainer "serial-$i" "$((t0 + 1000 * i))"; done | publish step_trainer
wait_until 20 "three step trainer readings" counter_is step-trainer-trusted step_trainer taken 3
check "the pipeline comes to rest again" wait_idle 60
check "the join has the rows it needs" equal 3 "$(lake curated/machine_learning | wc -l)"
check_balance
check_stop
finish
