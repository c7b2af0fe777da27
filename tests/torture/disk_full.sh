#!/usr/bin/env bash
# The disk is full: because of somebody else, or of us; while records come in, while processes start, at the start of
# gait up. Intake stops, gait status says why, and when there is room again all goes on by itself.
#
# The disk is a small one in memory, mounted where only this test sees it, so that it goes away with it.
if [ -z "${GAIT_DISK:-}" ]; then
    GAIT_DISK=$(mktemp -d "${TMPDIR:-/tmp}/gait-disk.XXXXXX")
    export GAIT_DISK
    trap 'rmdir "$GAIT_DISK"' EXIT
    for own in -m -rm; do
        if unshare "$own" mount -t tmpfs none "$GAIT_DISK" 2>/dev/null; then
            unshare "$own" bash "$0" "$@"
            exit
        fi
    done
    printf 'figure\t%s\t%s\n' "rounds with a full disk" "skipped: no file system may be mounted here"
    exit 0
fi

. "$(dirname "$0")/lib.sh"
exec 3>&1 >&2 # the figures

disk=$GAIT_DISK
seed=${GAIT_SEED:-1}
RANDOM=$seed
rounds=0
trap clean_up_and_unmount EXIT

clean_up_and_unmount() {
    local status=$?
    [ "$status" -eq 0 ] || echo "to repeat: GAIT_SEED=$seed $0 $([ "$full" = no ] || echo --full)"
    [ "$status" -eq 0 ] || [ -z "${GAIT_KEEP:-}" ] || cp -r "$disk" "$work/disk"
    umount -l "$disk"
    (exit "$status")
    clean_up
}

# Until not a page is left, again and again: what is committed frees some.
fill() {
    [ "$who" = somebody ] || return
    dd if=/dev/zero of="$disk/filler" bs=4k oflag=append conv=notrunc status=none 2>/dev/null
}

# says_why PROCESS: gait status says that it has stopped for want of disk.
says_why() {
    fill
    ask "SELECT json ->> 'state', json ->> 'why' FROM process WHERE json ->> 'process' = '$1'" |
        grep -qE '^stopped\|(disk full|inbox full, or no disk for it)$'
}

taken() {
    ask "SELECT total(json ->> 'taken') FROM input"
}

# Somebody is stopped, and nobody takes in anything any more.
stands_still() {
    local before
    fill
    before=$(taken)
    says_why accelerometer-trusted || says_why step-trainer-trusted || return
    for _ in {1..5}; do
        [ "$(taken)" = "$before" ] || return
    done
}

taken_more_than() {
    [ "$(counter "$1" "$2" taken)" -gt "$3" ] 2>/dev/null
}

# Its pid file names a living child of gait up.
runs() {
    local pid parent
    pid=$(pid_of "$1")
    [ -n "$pid" ] && read -r _ _ _ parent _ 2>/dev/null <"/proc/$pid/stat" && [ "$parent" = "$up_pid" ]
}

started() {
    [ "$(grep -c "started $1, pid" "$work/up.log")" -ge "$2" ]
}

# round WHO WHAT: who fills the disk (somebody, or the load); what happens while it is full (nothing; kill: all processes
# are killed; all: the broker too; up: gait up is stopped and started; long: it lasts until a load gives up).
round() {
    local name rate consent=any match=time ended victims=("${processes[@]}")
    who=$1
    [ "$2" = kill ] || victims+=(broker)
    [ $((RANDOM % 2)) -eq 0 ] || consent=as_of match=customer
    run_dir=$disk/run
    port= loads=()
    rm -rf "$work/stop" "$work/data" "$work/given_up"
    : >"$work/up.log"
    umount -q "$disk"
    mount -t tmpfs -o size=60m none "$disk" || give_up "no small disk"
    [ "$who" = somebody ] || fallocate -l 30m "$disk/filler" # and the rest is ours
    simulate "$([ "$who" = load ] && echo 350 || echo 200)" --seed "$RANDOM"
    rules "$consent" "$match" 0
    echo "round $rounds: filled by $1, meanwhile $2; consent $consent, match $match"
    start
    load_tables customer
    rate=$([ "$who" = load ] && echo 20000 || echo 2000)
    load_on accelerometer "$rate" 64
    load_on step_trainer $((rate / 2)) 64
    wait_until 30 "the first readings" taken_more_than accelerometer-trusted accelerometer $((RANDOM % 5000))
    wait_until 60 "all to stand still" stands_still
    gait status | grep 'why:' | sort | uniq -c

    case $2 in
        kill | all)
            for name in "${victims[@]}"; do
                kill -KILL "$(pid_of "$name")"
                fill
            done
            ;;
        up)
            check_stop
            fill
            launch
            ;;
    esac
    if [ "$2" = long ]; then
        wait_until 60 "a load to say that it gives up, and why" grep -qsE 'is stopped: (disk|inbox) full' "$work/given_up"
    elif [ "$2" != nothing ]; then
        for name in "${victims[@]}"; do
            wait_until 30 "a new $name" started "$name" 2
        done
        wait_until 60 "to be told why again" says_why accelerometer-trusted
    fi

    rm "$disk/filler"
    touch "$work/stop"
    wait_until 60 "'ready' from gait up" is_ready_or_gone
    stop_loading
    check "the pipeline comes to rest" wait_idle
    for name in "${processes[@]}" broker; do
        wait_until 10 "the pid file of $name" runs "$name"
    done
    check_lake "$consent" "$match" 0
    check_balance
    check_stop
    ended=$(grep -E 'killed by signal|ended with status' "$work/up.log" | grep -vE 'signal 9(;|$)|status 0')
    check "nobody ended but by our hand" equal "" "$ended"
    rm -rf "$run_dir"
    [ "$failures" -eq 0 ] || finish
    rounds=$((rounds + 1))
}

for ((i = 0; i < $(choose 1 5); i++)); do
    round somebody nothing
    round load nothing
    round somebody kill
    round somebody up
    [ "$full" = no ] || round somebody all
    [ "$full" = no ] || round load kill
    [ "$full" = no ] || round somebody long
done
figure "rounds with a full disk" "$rounds" >&3
finish
