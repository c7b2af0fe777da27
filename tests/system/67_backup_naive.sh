#!/usr/bin/env bash
# gait backup of states that are copies of different times: where one is older than what others have had of it, or than what is
# kept for it, there is no backup, and it is said between which two. One from which the pipeline can go on is a backup, and a
# pipeline that is restored from it has all.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
configure </dev/null
count=10

phase() { # phase N: so many more people, and a reading of each kind; at rest; then a copy of everything
    local i number=$1
    start
    for ((i = number * count; i < (number + 1) * count; i++)); do
        customer "c$i@example.com" "s$i" "$t0" "$t0" >&3
        accelerometer "c$i@example.com" $((t0 + i)) >&4
        step_trainer "s$i" $((t0 + i)) >&5
    done 3>"$work/customer" 4>"$work/accelerometer" 5>"$work/step_trainer"
    # One after the other, so that each process gives out what it gives in one commit: what that trims is of the phase before.
    for i in customer accelerometer step_trainer; do
        check "load $i" load "$i" "$work/$i"
        check "at rest" wait_idle 60
    done
    check_stop
    mkdir "$work/$number"
    cp -a "$run_dir/state" "$run_dir/lake" "$work/$number"
}

# mix N PROCESS M: everything as of N, but the state of that process, as of M.
mix() {
    rm -r "$run_dir/state" "$run_dir/lake"
    cp -a "$work/$1/state" "$work/$1/lake" "$run_dir"
    rm -r "$run_dir/state/$2"
    cp -a "$work/$3/state/$2" "$run_dir/state"
}

backup() {
    rm -rf "$work/backup"
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$work/backup" 2>"$work/said"
}

refused() {
    ! backup && [ ! -e "$work/backup" ] && grep -q "$1 has applied .* messages of $2, whose state has" "$work/said" &&
        grep -q 'these states do not belong together' "$work/said"
}

for i in 1 2 3; do phase "$i"; done

# Of these somebody has more than they have given out.
for pair in "accelerometer-trusted customer-trusted" "customer-curated accelerometer-trusted" \
    "step-trainer-trusted customer-curated" "lake step-trainer-trusted" "lake machine-learning-curated"; do
    read -r consumer producer <<<"$pair"
    mix 3 "$producer" 2
    check "$producer is older" refused "$consumer" "$producer"
    [ "$consumer" = lake ] && continue
    mix 2 "$consumer" 3
    check "$consumer is newer" refused "$consumer" "$producer"
done
mix 2 lake 3
check "lake is newer" refused lake machine-learning-curated
# These are so much older that what they need next is gone.
for pair in "machine-learning-curated step-trainer-trusted" "lake customer-trusted"; do
    read -r consumer producer <<<"$pair"
    mix 3 "$consumer" 1
    check "$consumer is much older" refused "$consumer" "$producer"
done

# These can be gone on from.
for pair in "2 customer-trusted 3" "3 lake 2"; do
    mix $pair
    check "a backup of $pair" backup
    run_dir=$work/restored port=
    check "it is restored" "$GAIT_BIN/gait" restore --dir "$run_dir" "$work/backup" 2>>"$work/restore.log"
    start
    check "it comes to rest" wait_idle 60
    read -r all _ <<<"$pair"
    for table in trusted/accelerometer trusted/step_trainer curated/machine_learning; do
        check "$table: each once" equal "$((all * count)) $((all * count))" \
            "$(lake "$table" | wc -l) $(lake "$table" | sort -u | wc -l)"
    done
    check "trusted/customer has those that came last" equal $((3 * count)) "$(lake trusted/customer | grep -o '"row":"[^"]*"' |
        sort -u | wc -l)"
    check_balance
    check_stop
    rm -r "$run_dir"
    run_dir=$work/run port=
done
finish
