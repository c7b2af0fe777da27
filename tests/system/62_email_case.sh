#!/usr/bin/env bash
# [limits] email_case: addresses that differ in capitals are two persons, or one, in every process and in the SQL; and a
# state is not gone on with in the other way.
. "$(dirname "$0")/lib.sh"

configure_case() {
    configure <<CONF
[limits]
email_case = $1
[machine-learning-curated]
match = customer
subject = ${2:-email}
CONF
}

mkdir "$work/data"
{
    customer Cleo@Example.org t1 1600000001000 1600000001000
    customer cleo@example.org t2 1600000001000 1600000001000
    customer CLEO@example.org t2 1600000002000
    customer dan@example.org t3 1600000001000 1600000001000
} >"$work/data/customer.ndjson"
for user in cleo@example.org CLEO@EXAMPLE.ORG DAN@example.org dan@example.org; do
    accelerometer "$user" 1600000003000
done >"$work/data/accelerometer.ndjson"
for trainer in t1 t2 t3; do
    step_trainer "$trainer" 1600000003000
done >"$work/data/step_trainer.ndjson"

load_all() {
    load_tables customer accelerometer step_trainer
    check "the pipeline comes to rest" wait_idle
}

configure_case keep
start
load_all
check "two persons: the readings of one of each" equal 2 "$(lake trusted/accelerometer | wc -l)"
email_case=keep check_lake any customer 0
check_stop

configure_case fold
launch
wait_until 60 "the end of gait up" is_gone "$up_pid"
status=0
wait "$up_pid" || status=$?
up_pid=
check "another case over a state ends it" equal 78 "$status"
check "and it says what to do" grep -q \
    'made with \[limits\] email_case = keep, and the configuration says fold: set it back' "$work/up.log"
check_not "it is not ready" is_ready
rm -rf "$run_dir"

start
load_all
check "one person: all readings" equal 4 "$(lake trusted/accelerometer | wc -l)"
check "as they came" equal 1 "$(lake trusted/accelerometer | grep -c '"CLEO@EXAMPLE.ORG"')"
email_case=fold check_lake any customer 0
check_balance
check_stop

rm -rf "$run_dir"
configure_case fold pseudonym
start
load_all
check "one pseudonym for all spellings of one" equal 2 \
    "$(lake curated/machine_learning | grep -o '"user":"[0-9a-f]*"' | sort -u | wc -l)"
check_stop
finish
