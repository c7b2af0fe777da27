#!/usr/bin/env bash
# Copies of the six states, each of its own time, are put back. Whatever they contradict each other in is in `gait status`, which
# fails: the lake, older than what its producers keep; and accelerometer-trusted, older than what the others have had of it.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
configure </dev/null
mkdir "$work/copies"

phase() { # phase N: ten more customers and a reading of each, at rest; then copies of the states behind N
    local i number=$1
    shift
    start
    for ((i = number * 10; i < number * 10 + 10; i++)); do
        customer "c$i@example.com" "s$i" "$t0" "$t0"
    done >"$work/customers"
    for ((i = number * 10; i < number * 10 + 10; i++)); do accelerometer "c$i@example.com" $((t0 + i)); done >"$work/readings"
    check "load customers" load customer "$work/customers"
    check "load readings" load accelerometer "$work/readings"
    check "at rest" wait_idle 60
    check_stop
    for i in "$@"; do cp -a "$run_dir/state/$i" "$work/copies/$i"; done
}

is_back() {
    ask "SELECT json ->> 'back_in_time' FROM process WHERE json ->> 'process' = '$1'" | grep -qx 1
}

phase 1 lake
phase 2 accelerometer-trusted
phase 3 customer-trusted customer-curated step-trainer-trusted machine-learning-curated
rm -r "$run_dir/state"
cp -a "$work/copies" "$run_dir/state"

start
for process in lake accelerometer-trusted; do
    wait_until 20 "$process says that it is an older copy" is_back "$process"
done
check_not "nothing is at rest" wait_idle 3
check_not "gait status fails" gait status
gait status >"$work/status" 2>/dev/null
tr -s ' \n' ' ' <"$work/status" >"$work/line"
check "and says why of one" grep -qE '(curated|lake|the broker) has had message 3' "$work/line"
# What was reported last may not have been trimmed yet.
check "and of the other" grep -qE 'has 10 messages of customer-trusted, which keeps only what follows (1[1-9]|2[0-9]|30)' \
    "$work/line"
check_not "what the lake lacks of streams nobody can send it" gait status --acknowledge
check "accelerometer-trusted is acknowledged" not is_back accelerometer-trusted
check "the lake is not" is_back lake
check_stop
finish
