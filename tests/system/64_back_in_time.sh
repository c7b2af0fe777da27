#!/usr/bin/env bash
# The state of one process comes back from a copy that is older than what its consumers have. It notices: what comes in from
# now on comes out everywhere, what had come out stays and comes out no second time, and until an operator has seen it nobody
# is told that all is at rest. What came in after the copy was made is loaded again.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
restored=accelerometer-trusted
configure </dev/null

readings() { # readings FROM COUNT
    local i
    for ((i = $1; i < $1 + $2; i++)); do accelerometer a@example.com $((t0 + i)); done
}

times_in_lake() { # times_in_lake FROM COUNT: of how many readings, and how often at most, the lake has these
    lake trusted/accelerometer | grep -o '"timestamp":[0-9]*' | cut -d: -f2 |
        awk -v from=$((t0 + $1)) -v end=$((t0 + $1 + $2)) '$1 >= from && $1 < end {n[$1]++}
            END {for (i in n) {many++; if (n[i] > most) most = n[i]} print many + 0, most + 0}'
}

start
customer a@example.com s1 "$t0" "$t0" | publish customer
check "at rest" wait_idle 60
readings 0 300 >"$work/a"
check "load before the copy" load accelerometer "$work/a"
check "at rest before the copy" wait_idle 60
check_stop
cp -a "$run_dir/state/$restored" "$work/copy"

start
for ((i = 300; i < 900; i += 100)); do
    readings "$i" 100 >"$work/b$i"
    check "load after the copy" load accelerometer "$work/b$i"
done
check "at rest after the copy" wait_idle 60
check_stop

rm -r "$run_dir/state/$restored"
cp -a "$work/copy" "$run_dir/state/$restored"
before=$(wc -l <"$run_dir/log/$restored.log" 2>/dev/null || echo 0)
start
for ((i = 1000; i < 1500; i += 100)); do
    readings "$i" 100 >"$work/c$i"
    check "load into the copy" load accelerometer "$work/c$i"
done
check_not "an older copy is not at rest" wait_idle 5
check_not "gait status fails" gait status
gait status >"$work/status" 2>/dev/null
check "gait status says why" grep -q 'went back in time' "$work/status"
check_not "nor is it said to be at rest" grep -q '^ *at rest' "$work/status"
check "everything new comes out once" equal "500 1" "$(times_in_lake 1000 500)"
check "what had come out stays, once" equal "900 1" "$(times_in_lake 0 900)"
check "the balance holds" equal 1 "$(ask "SELECT json ->> 'balanced' FROM status")"
check "one line of the log says so" equal 1 "$(cat "$run_dir"/log/*.log | grep -c 'error.*went back in time')"
check_not "without a person" grep -q @example "$run_dir"/log/*.log

# Nor is a backup silent about it: the set is one, but what that state lacks is not in it.
unseen="$restored went back in time, and nobody has acknowledged that"
backup() {
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$1" 2>"$work/said"
}
check "a backup meanwhile is one" backup "$work/unseen"
check "bug_455: it says what it lacks" grep -qF "gait backup: $unseen" "$work/said"
check "so does its manifest" grep -qE "^process $restored .* back\$" "$work/unseen/manifest"
check "it can be restored" eval '"$GAIT_BIN/gait" restore --dir "$work/new" "$work/unseen" 2>"$work/said"'
check "which says so" grep -qF "gait restore: $unseen" "$work/said"

kill_hard "$restored"
wait_until 30 "an answer of the new process" counter_is "$restored" accelerometer invalid 0
check_not "it is remembered across a crash" wait_idle 3

gait status --acknowledge nobody >/dev/null 2>&1
check "a process that does not exist is wrong usage" equal 2 $?
gait status --acknowledge --json >/dev/null 2>&1
check "so is another form" equal 2 $?
check "another process has nothing to acknowledge" equal "0 acknowledged" "$(gait status --acknowledge lake)"
check "acknowledged" equal "1 acknowledged" "$(gait status --acknowledge)"
check "then it is at rest" wait_idle 60
check "a backup" backup "$work/seen"
check_not "is silent then" grep -qF "$unseen" "$work/said"
check_not "as is its manifest" grep -qE '^process .* back$' "$work/seen/manifest"
check "and gait status is content" gait status >/dev/null
for ((i = 300; i < 900; i += 100)); do check "load it again" load accelerometer "$work/b$i"; done
check "load what the copy knew" load accelerometer "$work/a"
check "at rest in the end" wait_idle 60
check "what the copy knew is a repeat" equal "300 1" "$(times_in_lake 0 300)"
check "what it did not comes out a second time, as the log said" equal "600 2" "$(times_in_lake 300 600)"
check_balance
check_stop
start
check "and is remembered as seen" wait_idle 60
check_stop
finish
