#!/usr/bin/env bash
# A process stands still for a while (SIGSTOP) under load, then the broker does: nobody else's memory grows, intake stops
# where an outbox is full, gait status says who does not answer, and afterwards all comes right by itself.
. "$(dirname "$0")/lib.sh"
exec 3>&1 >&2 # the figures

stall_s=$(choose 3 30)
memory_max_kib=$((64 * 1024))
! grep -qa __asan_init "$GAIT_BIN/lake" || memory_max_kib=$((1024 * 1024)) # what is freed counts too
most_kib=0
victims=(accelerometer-trusted lake)
[ "$full" = no ] || victims=("${processes[@]}" broker)

# watch_memory: what each has allocated, the most of all in KiB, into $work/memory, until $work/stop is there.
watch_memory() {
    local name pid field value most=0
    until [ -e "$work/stop" ]; do
        for name in "${processes[@]}" broker; do
            while read -r field value _; do
                [ "$field" = RssAnon: ] && [ "$value" -gt "$most" ] && most=$value
            done 2>/dev/null <"/proc/$(pid_of "$name")/status"
        done
        echo "$most" >"$work/memory"
        sleep 0.1
    done
}

# says PATTERN: gait status says so. (It fails when somebody does not answer.)
says() {
    gait status >"$work/status" 2>&1
    grep -qE "$1" "$work/status"
}

some_taken() {
    [ "$(ask "SELECT total(json ->> 'taken') FROM input WHERE name = 'accelerometer'
              AND process = 'accelerometer-trusted'")" != 0.0 ]
}

# stall NAME
stall() {
    local pid state end name
    run_dir=$work/run.$1
    port= loads=()
    rm -f "$work/stop"
    : >"$work/up.log"
    # Outboxes as small as may be, so that they are full soon.
    for name in "${processes[@]}"; do
        printf '[%s]\noutbox_bytes = 1MiB\n' "$name"
        [ "$name" != machine-learning-curated ] || echo "subject = email"
    done | configure
    start
    load_tables customer
    # Not as fast as can be: most must be left to come when somebody stops, or no outbox gets full.
    load_on accelerometer 20000 256
    load_on step_trainer 10000 256
    wait_until 30 "the first readings" some_taken

    watch_memory &
    loads+=($!)
    echo "$1 stands still"
    pid=$(pid_of "$1")
    kill -STOP "$pid"
    end=$((SECONDS + stall_s))
    if [ "$1" = broker ]; then
        check_not "gait status says that there is no broker" gait status
    else
        wait_until 30 "to be told who" says "^$1 +(no answer|offline)"
        check "and that there is work left" says "^not at rest: "
    fi
    if [ "$1" = lake ]; then
        wait_until 60 "a full outbox" says "why: outbox full: lake has applied nothing since message"
    fi
    sleep $((SECONDS < end ? end - SECONDS : 0))
    read -r _ _ state _ <"/proc/$pid/stat"
    check "$1 stood still" equal T "$state"
    kill -CONT "$pid"

    check "the pipeline comes to rest" wait_idle
    stop_loading # only now: it ends the watch
    check "and stays so" wait_idle
    check_lake any time 0
    check_balance
    check_stop
    check_not "nobody was started again" grep -q 'starting it again' "$work/up.log"
    rm -rf "$run_dir"
    [ "$(cat "$work/memory")" -le "$most_kib" ] || most_kib=$(cat "$work/memory")
    [ "$failures" -eq 0 ] || finish
}

simulate 400 --share 1
for victim in "${victims[@]}"; do
    stall "$victim"
done
check "memory is bounded: $most_kib KiB" [ "$most_kib" -le "$memory_max_kib" ]
figure "stalls of $stall_s s" "${#victims[@]}" >&3
figure "most memory of one process meanwhile, KiB" "$most_kib" >&3
finish
