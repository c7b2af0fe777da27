#!/usr/bin/env bash
# gait backup again and again while records come in and processes are killed, some of the backups too; then several of the sets,
# one after another, in an empty folder: with all loaded again each has the answer of the batch SQL.
. "$(dirname "$0")/lib.sh"
exec 3>&1 >&2 # the figures

seed=${GAIT_SEED:-1}
RANDOM=$seed
rounds_wanted=$(choose 1 10)
backups_a_round=$(choose 8 16)
restores_a_round=$(choose 2 4)
load_s=$(choose 4 8)
people=$(choose 150 300)
trap repeat_and_clean_up EXIT

taken=0 kills=0 killed_backups=0 restored=0

# begin_backup TARGET: in the background, as $pid, which is its own.
begin_backup() {
    "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$1" 2>>"$work/backup.log" &
    pid=$!
}

# Up to 0.2 s.
pause() {
    sleep "$(printf '0.%03d' $((RANDOM % 200)))"
}

# Kill up to three processes, the pid of each as its file says; gait up starts them again.
strike() {
    local count=$((RANDOM % 4)) name
    for ((; count > 0; count--)); do
        name=${processes[RANDOM % ${#processes[@]}]}
        kill -KILL "$(pid_of "$name")" 2>/dev/null && kills=$((kills + 1))
    done
}

# Take one while somebody dies.
take() {
    local pid
    begin_backup "$1"
    [ $((RANDOM % 2)) -eq 0 ] || pause
    strike
    check "a backup under load" wait "$pid"
    taken=$((taken + 1))
}

# Kill one: it leaves no backup, and nothing that the next one stumbles over.
kill_one() {
    local pid
    begin_backup "$work/killed"
    sleep "$(printf '0.%03d' $((RANDOM % 60)))"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null && rm -r "$work/killed" # it was faster
    [ ! -e "$work/killed.partial" ] || killed_backups=$((killed_backups + 1))
    rm -rf "$work/killed.partial"
}

takes_in() {
    [ "$(counter "$1" "$2" taken)" -gt 0 ]
}

# restore_and_compare SET CONSENT MATCH WINDOW
restore_and_compare() {
    local number=$1
    shift
    run_dir=$work/restored port=
    : >"$work/up.log"
    check "restore set $number" "$GAIT_BIN/gait" restore -c "$work/gait.conf" --dir "$run_dir" "$work/b.$number" \
        2>>"$work/backup.log"
    start
    check "it comes to rest" wait_idle
    check "it is no empty one" takes_in accelerometer-trusted accelerometer
    load_tables customer accelerometer step_trainer
    check "it comes to rest with the rest" wait_idle
    check_lake "$@"
    check_balance
    check "nothing is to be said of it" gait status >/dev/null
    check_stop
    rm -rf "$run_dir"
    restored=$((restored + 1))
}

round() {
    local consents=(any as_of) matches=(time customer) windows=(0 0 300) number name chosen=()
    local rule=("${consents[RANDOM % 2]}" "${matches[RANDOM % 2]}" "${windows[RANDOM % 3]}")
    run_dir=$work/run.$1 port= loads=()
    rm -rf "$work/stop" "$work/data" "$work"/b.*
    : >"$work/up.log"
    simulate "$people" --readings 120 --seed "$RANDOM"
    rules "${rule[@]}"
    echo "round $1: consent ${rule[0]}, match ${rule[1]}, window ${rule[2]}"
    start
    for name in customer accelerometer step_trainer; do # so fast that it ends behind the last backup
        load_on "$name" $(($(wc -l <"$work/data/$name.ndjson") / load_s + 1)) 8
    done
    wait_until 60 "readings" takes_in accelerometer-trusted accelerometer
    for ((number = 0; number < backups_a_round; number++)); do
        take "$work/b.$number"
        [ $((number % 4)) -ne 3 ] || kill_one
        pause
    done
    stop_loading
    wait_until 60 "'ready' from gait up" is_ready_or_gone
    check "the pipeline comes to rest" wait_idle
    check_lake "${rule[@]}"
    check_balance
    check_stop
    check "nobody died but by our hand" equal "" \
        "$(grep -E 'killed by signal|ended with status' "$work/up.log" | grep -vE 'signal (9|15)(;|$)|status 0')"
    rm -rf "$run_dir"
    # The first and the last, and some between.
    chosen=(0 $((backups_a_round - 1)))
    while [ "${#chosen[@]}" -lt "$restores_a_round" ]; do
        chosen+=($((1 + RANDOM % (backups_a_round - 2))))
    done
    for number in "${chosen[@]}"; do
        restore_and_compare "$number" "${rule[@]}"
    done
    check "no address in what was said" not grep -q @ "$work/backup.log"
    [ "$failures" -eq 0 ] || finish
}

for ((i = 0; i < rounds_wanted; i++)); do
    round "$i"
done
check "somebody was killed" [ "$kills" -gt 0 ]
figure "backups while processes were killed" "$taken" >&3
figure "kill -9 of a process meanwhile" "$kills" >&3
figure "kill -9 of a backup at work" "$killed_backups" >&3
figure "sets restored with equal sets in the lake" "$restored" >&3
figure "slowest backup, s" "$(sed -n 's/.* MiB, \([0-9.]*\) s$/\1/p' "$work/backup.log" | sort -n | tail -n 1)" >&3
finish
