#!/usr/bin/env bash
# A benchmark that is killed leaves neither folders, which in memory once were 23 GB of it, nor programs.
#
# usage: killed.sh
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
above=$work/above

has_begun() {
    compgen -G "$above/*/*" >/dev/null
}

nothing_is_left() {
    [ -z "$(ls -A "$above")" ]
}

# Of those who make their folders here.
nobody_is_left() {
    ! grep -qsa "TMPDIR=$above" /proc/[0-9]*/environ
}

# killed SIGNAL COMMAND…: by it, when it has made a folder and something in it.
killed() {
    local signal=$1 pid name=${2##*/}
    shift
    mkdir "$above"
    env TMPDIR="$above" BENCH_MEMORY="$above" "$@" >/dev/null 2>&1 &
    pid=$!
    wait_until 60 "a folder of $name" has_begun
    kill "-$signal" "$pid"
    wait_until 20 "$name killed by SIG$signal: no folder" nothing_is_left
    wait "$pid" 2>/dev/null
    wait_until 20 "$name killed by SIG$signal: no program" nobody_is_left
    check "$name killed by SIG$signal: nothing is left" rmdir "$above"
}

for signal in HUP TERM KILL; do
    killed "$signal" "$BENCH_BIN/bench-costs" 256 1000
done
killed TERM "$BENCH_BIN/bench-growth" 10000000 60
for signal in TERM KILL; do
    killed "$signal" "$here/costs.sh" default 256 1000
done
killed TERM "$here/all.sh" costs
finish
