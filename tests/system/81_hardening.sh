#!/usr/bin/env bash
# What makes a fault of ours harder to use: how programs are built, as readelf sees it; what a crash leaves of their memory;
# and what the services of conf/systemd may still do.
. "$(dirname "$0")/lib.sh"
units=$lib_dir/../../conf/systemd

# ---- the programs ----

# has PATTERN COMMAND…: a line of what it prints matches.
has() {
    local pattern=$1
    shift
    "$@" 2>/dev/null | grep -E -- "$pattern" >/dev/null # not -q: who prints would be told of a closed pipe
}

for name in gait "${processes[@]}"; do
    program=$GAIT_BIN/$name
    check "$name is position independent" has 'Type: +DYN .*Position-Independent' readelf -Wh "$program"
    check "$name binds at its start" has 'FLAGS_1.*NOW.*PIE' readelf -Wd "$program"
    check "$name makes its tables read only" has '^ *GNU_RELRO' readelf -Wl "$program"
    check_not "no stack of $name can be executed" has 'GNU_STACK.* RWE ' readelf -Wl "$program"
    check_not "no segment of $name can be written and executed" has '^ *LOAD .* RWE ' readelf -Wl "$program"
    check "$name has stack canaries" has '__stack_chk_fail' readelf -Ws "$program"
    check_not "no function of $name takes the place of a library's" \
        has ' FUNC +(GLOBAL|WEAK) +DEFAULT +[0-9]+ ' readelf -W --dyn-syms "$program"
done
if is_sanitized; then
    echo "skip   _FORTIFY_SOURCE: sanitizers want it away"
else
    check "lengths of copies are checked" has '__(memcpy|snprintf|vsnprintf|fprintf)_chk' readelf -Ws "$GAIT_BIN/gait"
fi
if [ "$(uname -m)" = x86_64 ]; then
    # Whether it is enforced depends on the C library and the kernel, too.
    for name in gait "${processes[@]}"; do
        check "$name is marked for it" has 'x86 feature: IBT, SHSTK' readelf -Wn "$GAIT_BIN/$name"
    done
    check "functions begin where jumps may land" has 'endbr64' objdump -d --no-show-raw-insn "$GAIT_BIN/gait" --disassemble=main
else
    echo "skip   control flow protection: looked at on x86_64 only"
fi

# ---- what a crash leaves ----

# leaves_nothing PID: neither has it room for a core, nor does any of its memory go into one that is piped to somebody.
leaves_nothing() {
    grep -qE '^Max core file size +0 +0 ' "/proc/$1/limits" && equal 00000000 "$(cat "/proc/$1/coredump_filter")"
}
rules any time 0
start
for name in broker "${processes[@]}"; do
    check "bug_452: a crash of $name leaves no records" leaves_nothing "$(pid_of "$name")"
done
check "nor one of gait up" leaves_nothing "$up_pid"
check_stop

# ---- the services ----

# exposure FILE: how much systemd-analyze says it may, in tenths.
exposure() {
    systemd-analyze security --offline=true --no-pager "$1" 2>"$work/analyze.log" |
        sed -n 's/.*Overall exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'
}
if systemd-analyze security --help 2>/dev/null | grep -q -e --offline; then
    for unit in "$units"/*.service; do
        level=$(exposure "$unit")
        check "$(basename "$unit"): exposure of $level tenths, below 15" [ "${level:-99}" -lt 15 ]
    done
else
    echo "skip   systemd-analyze: not here, or too old for --offline"
fi
for unit in "$units"/*.service; do
    check "$(basename "$unit") may use @resources: setrlimit" not grep -qE '^SystemCallFilter=~.*@resources' "$unit"
done
finish
