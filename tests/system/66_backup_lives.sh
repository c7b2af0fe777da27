#!/usr/bin/env bash
# A producer's state is an older copy, and begins another life. A backup that is taken while a consumer has not heard of it, and
# one when all is at rest, are sets that a pipeline goes on from. States of two lives are none.
. "$(dirname "$0")/lib.sh"

restored=accelerometer-trusted
simulate 60
rules any time 0
backup() {
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$@" 2>"$work/said"
}
restore() {
    "$GAIT_BIN/gait" restore --dir "$run_dir" "$@" 2>"$work/said"
}
# part NAME FROM TO: those lines of what each phone says.
part() {
    sed -n "$2,$3p" "$work/data/accelerometer.ndjson" >"$work/$1.ndjson"
}
lives_of() { # lives_of BACKUP: what it says of the producer, and of the link from there to the lake
    grep -E "^(process $restored|link $restored lake) " "$1/manifest"
}
epoch() {
    sed -n 's/.* epoch \([0-9a-f]*\).*/\1/p'
}

# missing: how many records the batch SQL has that the lake has not, each counted once.
missing() {
    local set
    compare_lake any time 0 >/dev/null
    for set in customer_trusted accelerometer_trusted customer_curated step_trainer_trusted machine_learning_curated; do
        echo "SELECT count(*) FROM (SELECT * FROM $set EXCEPT SELECT * FROM lake_$set);"
    done | sql "$work/sets.db" | xargs
}

half=$(($(wc -l <"$work/data/accelerometer.ndjson") / 2))
part before 1 "$half"
part between "$((half + 1))" "$((half + half / 2))"
part after "$((half + half / 2 + 1))" '$'

start
load_tables customer step_trainer
check "load" load accelerometer "$work/before.ndjson"
check "at rest before the copy" wait_idle
check_stop
cp -a "$run_dir/state/$restored" "$work/copy"
start
check "load what the copy does not know" load accelerometer "$work/between.ndjson"
check "at rest after the copy" wait_idle
check "backup in the life before" backup "$work/b.before"
check_stop
rm -r "$run_dir/state/$restored"
cp -a "$work/copy" "$run_dir/state/$restored"
check_not "a copy that is older is no backup" backup "$work/none"
check "it says of what" grep -q "lake has applied [0-9]* messages of $restored, whose state has" "$work/said"

# The lake does not hear of the life that begins: somebody else has its state, so it can't start. What it had is retained.
is_back() {
    ask "SELECT json ->> 'back_in_time' FROM process WHERE json ->> 'process' = '$restored'" 2>/dev/null | grep -qx 1
}
lock=$run_dir/state/lake/lock
flock --no-fork "$lock" sleep 1000 &
holder=$!
wait_until 10 "the lock" not flock -n "$lock" true
launch
wait_until 30 "another life" is_back
check "acknowledge it" gait status --acknowledge "$restored" >/dev/null
check "backup at once" backup "$work/b.moving"
check "the lake is in another life than its producer" \
    equal 2 "$(lives_of "$work/b.moving" | epoch | sort -u | wc -l)"
check "which knows that one" grep -qE "^process $restored .* earlier $(lives_of "$work/b.moving" | grep ^link | epoch) " \
    "$work/b.moving/manifest"
kill "$holder"
wait_until 60 "the lake" is_ready
check "load into the copy" load accelerometer "$work/after.ndjson"
check "at rest in the new life" wait_idle
check "backup at rest" backup "$work/b.rest"
check "the lake has moved" equal 1 "$(lives_of "$work/b.rest" | epoch | sort -u | wc -l)"
check "and knows what it left" grep -qE "^link $restored lake .* left [0-9a-f]{16} " "$work/b.rest/manifest"
check_stop

# The producer in the life before, its consumers in this one.
mv "$run_dir/state/$restored" "$work/newest"
cp -a "$work/b.before/state/$restored" "$run_dir/state/$restored"
check_not "states of two lives are no backup" backup "$work/none"
check "it says so" grep -q "has followed $restored into a life of its state that this state of it does not know" "$work/said"
rm -r "$run_dir/state/$restored"
mv "$work/newest" "$run_dir/state/$restored"

for b in moving rest; do
    run_dir=$work/run.$b port=
    check "restore what was taken ($b)" restore "$work/b.$b"
    start
    check "it comes to rest" wait_idle
    check "with nothing to be said of it" gait status >"$work/status"
    load_tables customer accelerometer step_trainer
    check "it comes to rest with the rest" wait_idle
    # What came between the copy and its return comes out a second time, as the log said; the sets are equal all the same.
    check "nothing is missing in the lake" equal "0 0 0 0 0" "$(missing)"
    check_balance
    check_stop
done
finish
