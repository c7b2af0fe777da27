#!/usr/bin/env bash
# A backup that is taken under load, restored elsewhere, and loaded to the end there, has the answer of the batch SQL; the
# pipeline that it was taken of does not notice.
. "$(dirname "$0")/lib.sh"

simulate 150
rules any time 0
start
# loads_run: each of the three takes records in.
loads_run() {
    [ "$(counter customer-trusted customer taken)" -gt 0 ] &&
        [ "$(counter accelerometer-trusted accelerometer taken)" -gt 500 ] &&
        [ "$(counter step-trainer-trusted step_trainer taken)" -gt 500 ]
}
load_on customer 40
load_on accelerometer 2000
load_on step_trainer 2000
wait_until 60 "records of all three kinds" loads_run
backup() {
    "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$@" 2>>"$work/backup.log"
}
restore() {
    "$GAIT_BIN/gait" restore -c "$work/gait.conf" "$@" 2>>"$work/backup.log"
}
for i in 1 2 3 4 5; do
    check "backup $i under load" backup "$work/backup.$i"
done
stop_loading
check "the pipeline comes to rest" wait_idle
check_lake any time 0
check "backup at rest" backup "$work/backup.rest"
check_stop
check "backup of a pipeline that is stopped" backup "$work/backup.stopped"

for i in 1 3 5 rest stopped; do
    rm -rf "$work/run.$i"
    check "restore backup $i" restore --dir "$work/run.$i" "$work/backup.$i"
    run_dir=$work/run.$i
    port=
    start
    check "backup $i comes to rest" wait_idle
    load_tables customer accelerometer step_trainer
    check "backup $i comes to rest again" wait_idle
    check_lake any time 0
    check_balance
    check_stop
done
cat "$work/backup.log"
finish
