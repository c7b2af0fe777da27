#!/usr/bin/env bash
# bug_410, bug_411: where data.mdb was cut short or written over LMDB died of a signal at every start, without a line; and
# whatever lay in the place of a store was written to, or over, before it was refused. The process ends with 1 and a line that
# says which file, what is wrong and what to do, as does whoever only looks; and the file stays as it is.
. "$(dirname "$0")/lib.sh"

rules any time 0
simulate 20
start
load_tables customer accelerometer step_trainer
wait_idle || give_up "all is worked"
check_stop
cp -a "$run_dir/state" "$work/good"

# store PROCESS: its file.
store() {
    echo "$run_dir/state/$1/store/data.mdb"
}

# put_back PROCESS: its good store.
put_back() {
    cp "$work/good/$1/store/data.mdb" "$(store "$1")"
}

# refused PROCESS WHY: it ends with 1, says why, and leaves its file as it is.
refused() {
    local file status=0
    file=$(store "$1")
    cp "$file" "$work/before"
    timeout 30 "$GAIT_BIN/$1" --dir "$run_dir" --broker 127.0.0.1:1 -c "$work/gait.conf" 2>"$work/said" || status=$?
    equal 1 "$status" && cmp "$work/before" "$file" && { grep -q "error.*$2" "$work/said" || ! cat "$work/said"; }
}

# not_copied WHY: gait backup says it too.
not_copied() {
    local status=0
    rm -rf "$work/backup"
    "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$work/backup" 2>"$work/said" || status=$?
    equal 1 "$status" && { grep -q "$1" "$work/said" || ! cat "$work/said"; }
}

# not_judged WHY: so does gait check, which finds no fault of the configuration.
not_judged() {
    local status=0
    "$GAIT_BIN/gait" check --dir "$run_dir" "$work/gait.conf" >"$work/printed" 2>"$work/said" || status=$?
    equal 1 "$status" && equal "" "$(cat "$work/printed")" && { grep -q "$1" "$work/said" || ! cat "$work/said"; }
}

page=4096
for process in "${processes[@]}"; do
    file=$(store "$process")
    pages=$(($(stat -c %s "$file") / page))
    for bytes in 0 7 $((page / 2)) $page $((2 * page)) $((3 * page)); do
        truncate -s "$bytes" "$file"
        check "$process: a store of $bytes bytes is refused" refused "$process" "$file is damaged, or no store.*gait restore"
        put_back "$process"
    done
    for at in 0 1; do
        head -c $page /dev/urandom | dd of="$file" bs=$page seek=$at conv=notrunc status=none
        check "$process: garbage for page $at is refused" refused "$process" "meta page $at is none"
        put_back "$process"
    done
    dd if=/dev/zero of="$file" bs=$page seek=2 count=$((pages - 2)) conv=notrunc status=none
    check "$process: zeros for all other pages are refused" refused "$process" "page [0-9]* of .* is another one, or none"
    put_back "$process"
done

file=$(store customer-curated)
truncate -s $((3 * page)) "$file"
check "gait check does not pass over it" not_judged "$file is damaged, or no store"
check "a backup is not made of it" not_copied "$file is damaged, or no store"
echo "a text" >"$file"
check "what is no store is refused" refused customer-curated "$file is damaged, or no store"
cp "$work/good/step-trainer-trusted/store/data.mdb" "$file"
check "so is that of another process" refused customer-curated "is that of step-trainer-trusted"
check "a backup is not made of that either" not_copied "is that of step-trainer-trusted"
put_back customer-curated

start
check "with their own stores all work" wait_idle
check_balance
check_lake any time 0
check_stop
finish
