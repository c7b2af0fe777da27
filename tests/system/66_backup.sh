#!/usr/bin/env bash
# A backup that is taken under load is a set that a pipeline elsewhere, on another broker, goes on from: with the rest loaded
# it has the answer of the batch SQL. All is loaded again there, so what the backup has taken in comes as a repeat, and what
# was lost between two of its states would be missing for good.
. "$(dirname "$0")/lib.sh"

simulate 150
rules any time 0
backup() {
    "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$@" 2>>"$work/backup.log"
}
restore() {
    "$GAIT_BIN/gait" restore -c "$work/gait.conf" "$@" 2>>"$work/backup.log"
}

# loads_run: each of the three takes records in.
loads_run() {
    [ "$(counter customer-trusted customer taken)" -gt 0 ] &&
        [ "$(counter accelerometer-trusted accelerometer taken)" -gt 500 ] &&
        [ "$(counter step-trainer-trusted step_trainer taken)" -gt 500 ]
}

start
pids=$(cat "$run_dir"/pid/*.pid)
load_on customer 40
load_on accelerometer 3000
load_on step_trainer 3000
wait_until 60 "records of all three kinds" loads_run
for i in 1 2 3 4; do
    check "backup $i under load" backup "$work/backup.$i"
    [ "$i" -ne 2 ] || kill_hard machine-learning-curated # a process may die and come back meanwhile, too
done
stop_loading
check "the pipeline comes to rest" wait_idle
check_lake any time 0
check "nobody but the one that was killed has died of it" \
    equal 1 "$(comm -23 <(tr ' ' '\n' <<<"$pids" | sort) <(cat "$run_dir"/pid/*.pid | sort) | wc -l)"
check "backup at rest" backup "$work/backup.rest"
check_stop
check "backup of a pipeline that is stopped" backup "$work/backup.stopped"
check "only its owner can read it" \
    equal "" "$(find "$work"/backup.*/ -type f ! -perm 0600 ! -path '*/keys/*' -o -type d ! -perm 0700)"
check "nothing is left behind" equal "" "$(find "$work" -name '*.partial')"
sum() {
    (cd "$1" && find lake keys -type f | LC_ALL=C sort | xargs cat) | cksum
}
check "at rest and stopped the same is copied" equal "$(sum "$work/backup.rest")" "$(sum "$work/backup.stopped")"

run_dir=$work/run.rest port=
check "restore what was at rest" restore --dir "$run_dir" "$work/backup.rest"
start
check "it comes to rest" wait_idle
check_lake any time 0
check_balance
check_stop

for i in 1 3 4; do
    run_dir=$work/run.$i port=
    mkdir -p "$run_dir/state" "$run_dir/lake" "$run_dir/log" # as gait up makes them
    check "restore $i" restore --dir "$run_dir" "$work/backup.$i"
    check "the key is as it was" cmp -s "$work/run/pseudonym.key" "$run_dir/pseudonym.key"
    check "and nobody else's" equal 400 "$(stat -c %a "$run_dir/pseudonym.key")"
    start
    check "it comes to rest" wait_idle
    check "it had begun" [ "$(counter accelerometer-trusted accelerometer taken)" -ge 500 ]
    load_tables customer accelerometer step_trainer
    check "it comes to rest with the rest" wait_idle
    check "what it had were repeats" [ "$(counter accelerometer-trusted accelerometer duplicate)" -ge 500 ]
    check_lake any time 0
    check_balance
    check_stop
done

# What is acknowledged and not worked waits in the inbox, and is in the set: nothing of it is loaded again. It waits because
# the outbox is full, for a consumer that never comes.
t0=1700000000000
messages=6 records=4000
run_dir=$work/run.inbox port=
printf '[accelerometer-trusted]\nconsumers = nobody\noutbox_bytes = 1MiB\n' | configure
start
customer a@example.com s1 "$t0" "$t0" | publish customer
check "the customer is everywhere" wait_idle
for ((i = 0; i < messages; i++)); do
    seq -f "$(accelerometer a@example.com %.0f)" $((t0 + i * records)) $((t0 + i * records + records - 1)) |
        publish accelerometer
done
kept() { # the process has acknowledged the last message
    grep -rqaF "\"timestamp\":$((t0 + messages * records - 1))," "$run_dir/state/accelerometer-trusted/inbox"
}
wait_until 30 "all messages in the inbox" kept
is_full() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = 'accelerometer-trusted'" | grep -q '^outbox full'
}
wait_until 30 "a full outbox" is_full
check "backup with an inbox" backup "$work/backup.inbox"
check "not all is worked" [ "$(lake trusted/accelerometer | wc -l)" -lt $((messages * records)) ]
check_stop
run_dir=$work/run.worked port=
configure </dev/null
check "restore" restore --dir "$run_dir" "$work/backup.inbox"
start
check "it comes to rest" wait_idle
check "all of it is worked" equal $((messages * records)) "$(lake trusted/accelerometer | wc -l)"
check "once" equal $((messages * records)) "$(lake trusted/accelerometer | sort -u | wc -l)"
check_balance
check_stop
finish
