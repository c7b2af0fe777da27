#!/usr/bin/env bash
# A wrong configuration is refused before anything starts: exit status 78, file and line.
. "$(dirname "$0")/lib.sh"

# refused PROGRAM…: with -c behind it ends with 78 and names the line.
refused() {
    local status=0
    timeout 30 "$@" >"$work/said" 2>&1 || status=$?
    equal 78 "$status" && grep -q "$work/gait.conf:$line:" "$work/said"
}

# wrong LINE WHAT: the configuration at hand is refused by every program that reads it.
wrong() {
    line=$1
    check "$2: gait check" refused "$GAIT_BIN/gait" check -c "$work/gait.conf"
    check "$2: gait up" refused "$GAIT_BIN/gait" up -c "$work/gait.conf" --dir "$run_dir" --port "$port"
    check "$2: a process" refused "$GAIT_BIN/accelerometer-trusted" -c "$work/gait.conf" --dir "$run_dir"
}

port=$(free_port)
printf '[accelerometer-trusted]\nconsent = any\nholdd = 1h\n' | configure
wrong 3 "a key that does not exist"
printf '[accelerometer]\nconsent = any\n' | configure
wrong 1 "a section that does not exist"
printf '# a comment\n\n[accelerometer-trusted]\nconsent = maybe\n' | configure
wrong 4 "a word that is not one of the choices"
printf '[machine-learning-curated]\nwindow = 4\n' | configure
wrong 2 "a duration without its unit"
printf '[machine-learning-curated]\nwindow = 2d\n' | configure
wrong 2 "a value out of bounds"
printf '[mqtt]\nport = 1883\nport = many\n' | configure
wrong 3 "a number that is none"
check_not "nothing was started" test -e "$run_dir/pid/broker.pid"

rules as_of customer 4000
check "a right one is accepted" equal "$work/gait.conf: no faults" "$("$GAIT_BIN/gait" check -c "$work/gait.conf")"

# bug_453: a packet that the configuration lets in can cost more than the machine has. One with little memory is made of a
# mount that only gait check sees.
check_with_memory() {
    local own
    for own in -m -rm; do
        unshare "$own" bash -c 'mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory' \
            2>/dev/null && break
    done || return
    unshare "$own" bash -c 'mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory &&
        echo "$1" | tee /sys/fs/cgroup/memory.max >/sys/fs/cgroup/memory/memory.limit_in_bytes && exec "$2" check "$3"' - \
        "$1" "$GAIT_BIN/gait" "$work/gait.conf" >"$work/said" 2>&1
}
if check_with_memory 1000000000; then
    check "a GB is enough for what the default lets in" equal "$work/gait.conf: no faults" "$(cat "$work/said")"
    printf '[limits]\npayload = 4MiB\n' | configure
    check "it is no fault" check_with_memory 1000000000
    check "but it is said" grep -qE 'gait.conf: \[limits\] payload: with 4MiB .* 609 MiB .* has 953 MiB' "$work/said"
else
    echo "skip   little memory: no file system may be mounted here"
fi
finish
