#!/usr/bin/env bash
# Somebody leaves, and then gait restore brings back all states of a time before. The broker still keeps the withdrawal, so
# nothing of theirs comes out, not even what waited at the broker while nothing ran; nor does their older consent let them in.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
port=$(free_port)
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "persistence false" "user root" >"$work/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &

# who TABLE MEMBER FROM: whose readings of this second and later are in the lake.
who() {
    lake "$1" | grep -E "\"(timestamp|sensorReadingTime)\":$3" | grep -oE "\"$2\":\"[^\"]*\"" | sort | uniq -c | tr -s ' \n' '  '
}
second() { # second N: what everybody sends in it
    local c
    for c in 1 2 3; do
        accelerometer "c$c@example.com" $(($1 * 1000)) | publish accelerometer
        step_trainer "serial-$c" $(($1 * 1000)) | publish step_trainer
    done
}

configure </dev/null
start --broker "127.0.0.1:$port"
for c in 1 2 3; do customer "c$c@example.com" "serial-$c" "$t0" "$t0" | publish customer; done
second 1700000001
check "at rest before the backup" wait_idle
check "backup" "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$work/backup" 2>"$work/said"
customer c1@example.com serial-1 $((t0 + 1000)) | publish customer
check "at rest when one has left" wait_idle
check_stop

second 1700000002 # while nothing runs
run_dir=$work/run.restored
check "restore" "$GAIT_BIN/gait" restore -c "$work/gait.conf" --dir "$run_dir" "$work/backup" 2>"$work/said"
check "each state is marked" equal "${#processes[@]}" "$(find "$run_dir/state" -name restored | wc -l)"
start --broker "127.0.0.1:$port"
waited_for_is_out() {
    [ "$(lake trusted/accelerometer | grep -c '"timestamp":1700000002')" -ge 2 ] &&
        [ "$(lake trusted/step_trainer | grep -c '"sensorReadingTime":1700000002')" -ge 2 ]
}
wait_until 30 "what waited at the broker" waited_for_is_out
gait status --acknowledge >"$work/said"
customer c1@example.com serial-1 "$t0" "$t0" | publish customer
second 1700000003
check "at rest after the restore" wait_idle
check "phones of the others come out" \
    equal ' 2 "user":"c2@example.com" 2 "user":"c3@example.com" ' "$(who trusted/accelerometer user '170000000[2-3]')"
check "trainers of the others do" \
    equal ' 2 "serialNumber":"serial-2" 2 "serialNumber":"serial-3" ' "$(who trusted/step_trainer serialNumber '170000000[2-3]')"
check "the training set has nothing of who left" \
    equal ' 4 "serialNumber":"serial-2" 4 "serialNumber":"serial-3" ' \
    "$(who curated/machine_learning serialNumber '170000000[2-3]')"
check "customer-trusted says so" grep -q '1 rows are withdrawn, of which this state' "$run_dir/log/customer-trusted.log"
check "no mark is left" equal "" "$(find "$run_dir/state" -name restored)"
customer c1@example.com serial-1 $((t0 + 2000)) "$t0" | publish customer
check "at rest when they have come back" wait_idle
second 1700000004
check "at rest in the end" wait_idle
check "who consents anew is in" \
    equal ' 1 "user":"c1@example.com" 1 "user":"c2@example.com" 1 "user":"c3@example.com" ' \
    "$(who trusted/accelerometer user 1700000004)"
check_balance
check_stop
finish
