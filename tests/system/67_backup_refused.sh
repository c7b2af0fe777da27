#!/usr/bin/env bash
# What is no whole set is no backup, and what is no whole backup is not restored: it is said which file or which link, and
# nothing is touched. A backup that is interrupted or killed is none either, and the pipeline does not notice.
. "$(dirname "$0")/lib.sh"

backup() {
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$@" 2>"$work/said"
}
restore() {
    "$GAIT_BIN/gait" restore --dir "$work/new" "$@" 2>"$work/said"
}
# fails STATUS COMMAND…
fails() {
    local status=0
    "${@:2}" || status=$?
    equal "$1" "$status"
}
says() {
    grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }
}

simulate 100
rules any time 0
check "a folder without a pipeline: no backup" fails 1 backup "$work/none"
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle

# Targets.
check "no target is wrong usage" fails 2 backup
check "backup" backup "$work/b"
check "a second one does not go to the same folder" fails 1 backup "$work/b"
check "it says so" says "$work/b is there already"
mkdir "$work/empty"
check "an empty folder will do" backup "$work/empty/"
check "it has a manifest" [ -s "$work/empty/manifest" ]
touch "$work/file"
check "a file will not" fails 1 backup "$work/file"
mkdir "$work/c.partial"
check "nor one that another backup left, or is at" fails 1 backup "$work/c"
check "it says so" says "c.partial"
check "and stays" [ -d "$work/c.partial" ]
rmdir "$work/c.partial"
check "what can't be made is said" fails 1 backup "$work/no/where"

# A pipeline of which something is missing.
mv "$run_dir/pseudonym.key" "$work/key"
check "without its key it is no backup" fails 1 backup "$work/c"
check "it says which" says "pseudonym.key"
check "and leaves nothing" [ ! -e "$work/c.partial" ]
mv "$work/key" "$run_dir/pseudonym.key"
check_stop
mv "$run_dir/state/lake" "$work/state.lake"
check "without a state neither" fails 1 backup "$work/c"
check "it says whose" says "no state of lake"
check "unless one says so" backup --incomplete "$work/incomplete"
check "the manifest knows" grep -qx "missing lake" "$work/incomplete/manifest"
mv "$work/state.lake" "$run_dir/state/lake"

# bug_336: copies of different times. The consumer's is newer than its producer's.
cp -R "$run_dir/state" "$work/earlier"
start
for i in 1 2 3; do customer "late$i@example.com" "late-$i" 1700000000000 1700000000000; done | publish customer
check "the pipeline comes to rest" wait_idle
check_stop
mv "$run_dir/state/customer-trusted" "$work/later"
cp -R "$work/earlier/customer-trusted" "$run_dir/state"
check "states of different times are no backup" fails 1 backup "$work/c"
check "it says which" says "accelerometer-trusted has applied"
check "and of whom" says "of customer-trusted"
check "nothing is left" [ ! -e "$work/c" ] && [ ! -e "$work/c.partial" ]
rm -r "$run_dir/state/customer-trusted"
mv "$work/later" "$run_dir/state/customer-trusted"

# A part of the lake that somebody has cut.
part=$(find "$run_dir/lake/trusted/accelerometer" -type f)
cp -p "$part" "$work/part"
truncate -s -10 "$part"
check "a lake that was cut is no backup" fails 1 backup "$work/c"
check "it says which file" says "$part"
cp -p "$work/part" "$part"

# What is not whole is not restored.
for file in state/lake/store/data.mdb "${part#"$run_dir/"}" keys/customer-trusted.key manifest; do
    cp -R "$work/b" "$work/damaged"
    chmod u+w "$work/damaged/$file"
    printf X | dd of="$work/damaged/$file" bs=1 seek=20 conv=notrunc status=none
    check "damaged $file: not restored" fails 1 restore "$work/damaged"
    check "it says which" says "damaged/$file"
    mv "$work/damaged/$file" "$work/away"
    check "missing $file: not restored" fails 1 restore "$work/damaged"
    check "it says which" says "damaged/$file"
    check "nothing is touched" [ ! -e "$work/new" ]
    rm -rf "$work/damaged"
done

# Nor is anything written over.
run_dir=$work/run
start
check "a pipeline that runs is not overwritten" \
    fails 1 eval '"$GAIT_BIN/gait" restore --dir "$run_dir" "$work/b" 2>"$work/said"'
check "it says so" says "works in"
check_stop
check "nor is one that is stopped" fails 1 eval '"$GAIT_BIN/gait" restore --dir "$run_dir" "$work/b" 2>"$work/said"'
check "it says what to do" says "move it away"
mkdir -p "$work/new"
head -c 32 /dev/urandom >"$work/new/pseudonym.key"
check "nor another key" fails 1 restore "$work/b"
check "it says which" says "new/pseudonym.key"
check "and has touched nothing" equal "lock pseudonym.key" "$(ls "$work/new" | xargs)"
cp "$run_dir/pseudonym.key" "$work/new/pseudonym.key"
check "the same key is none" restore "$work/b"
check "once is enough" fails 1 restore "$work/b"
find "$work/new/lake" -type f | grep -q . || check "the lake is there" false

# Interrupted, or killed: the pipeline goes on, and nothing looks like a backup. So that there is time for it, the lake has a
# large part of an earlier day.
start
mkdir "$run_dir/lake/trusted/accelerometer/date=2020-01-01"
truncate -s 256M "$run_dir/lake/trusted/accelerometer/date=2020-01-01/part-00000001.ndjson"
begun() {
    [ -e "$work/$1.partial/state/customer-trusted/store/data.mdb" ]
}
for signal in INT TERM KILL; do
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$work/$signal" 2>"$work/said" &
    pid=$!
    wait_until 60 "a backup" begun "$signal"
    kill -"$signal" "$pid"
    status=0
    wait "$pid" 2>/dev/null || status=$?
    check "SIG$signal: it ends by that" equal "$((128 + $(kill -l "$signal")))" "$status"
    check "SIG$signal: there is no backup" [ ! -e "$work/$signal" ]
    check "SIG$signal: nor is there a manifest" [ ! -e "$work/$signal.partial/manifest" ]
done
check "SIGINT leaves nothing" [ ! -e "$work/INT.partial" ]
check "nor does SIGTERM" [ ! -e "$work/TERM.partial" ]
trimmed() {
    [ "$(ask "SELECT count(*) FROM process WHERE json ->> '$.output.trimmed' < json ->> '$.output.last'")" = 0 ]
}
for i in 4 5 6; do customer "late$i@example.com" "late-$i" 1700000000000 1700000000000; done | publish customer
check "the pipeline comes to rest" wait_idle
wait_until 30 "outboxes that are trimmed to the end" trimmed
check_balance
check_stop
finish
