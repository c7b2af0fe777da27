#!/usr/bin/env bash
# Somebody else in the lake (bug_200, bug_201): files that gait did not write stay, and where the files are not what the state
# says, in either direction, nothing is lost: the lake stands still, says why, and goes on when that is mended.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
sent=0

# readings COUNT: so many more, of one customer who is trusted.
readings() {
    local i
    for ((i = 1; i <= $1; i++)); do accelerometer ann@example.com $((t0 + ++sent)); done >"$work/readings.ndjson"
    load accelerometer "$work/readings.ndjson"
}

says_why() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = 'lake'" | grep -q 'its log says'
}

# Whoever only subscribes, and asks nothing.
monitor_sees() {
    mosquitto_sub -h 127.0.0.1 -p "$port" -C 1 -W 5 -t gait/metrics/lake | grep -q "\"state\":\"$1\""
}

complains() {
    grep -qE "error lake: .*$1" "$run_dir/log/lake.log"
}

configure <<END
[lake]
part_bytes = 4KiB
END
start
customer ann@example.com serial-1 "$t0" "$t0" | publish customer
wait_until 20 "a trusted customer" counter_is accelerometer-trusted customer passed 1
for _ in 1 2 3; do readings 70; check "the lake has them" wait_idle 60; done
day=$(echo "$run_dir"/lake/trusted/accelerometer/date=*)
mapfile -t parts < <(ls "$day")
check "there are closed parts" [ "${#parts[@]}" -ge 3 ]

# The closed parts become one file of the reader's own, whose name sorts behind all others.
newest=${parts[-1]}
unset 'parts[-1]'
(cd "$day" && cat "${parts[@]}" >part-together.ndjson && rm "${parts[@]}")
kill_hard lake
readings 5
check "the lake goes on" wait_idle 60
check "all lines are there once" equal "$sent" "$(lake trusted/accelerometer | sort -u | wc -l)"
check "and no line twice" equal "$sent" "$(lake trusted/accelerometer | wc -l)"
check_stop

# Lines are taken out of the newest part while nobody looks.
newest=$(ls "$day" | grep -v together | tail -n 1)
cp "$day/$newest" "$work/whole"
sed -i 2,3d "$day/$newest"
cp "$day/$newest" "$work/short"
start
readings 5
wait_until 20 "a lake that says why it stands still" says_why
wait_until 10 "a monitor that sees it" monitor_sees stopped
check "the others go on" counter_is accelerometer-trusted accelerometer passed "$sent"
check "the log names the file, and its bytes" complains \
    "$newest has $(stat -c %s "$work/short") bytes, and the state knows of $(stat -c %s "$work/whole")"
check "the file is as it was left" cmp "$work/short" "$day/$newest"
cp "$work/whole" "$day/$newest"
check "brought back, it goes on by itself" wait_idle 60
check "all lines are there again" equal "$sent" "$(lake trusted/accelerometer | sort -u | wc -l)"
check_stop

# The state of the lake comes from an older copy.
cp -r "$run_dir/state/lake" "$work/older"
start
readings 70
check "the lake has more than the copy knows" wait_idle 60
check_stop
mv "$run_dir/state/lake" "$work/newer"
mv "$work/older" "$run_dir/state/lake"
start
wait_until 20 "a lake that says why it stands still" says_why
check "not a line is lost" equal "$sent" "$(lake trusted/accelerometer | sort -u | wc -l)"
check_stop
rm -r "$run_dir/state/lake"
mv "$work/newer" "$run_dir/state/lake"
start
readings 5
check "with the right state it goes on" wait_idle 60
check "all lines are there once" equal "$sent" "$(lake trusted/accelerometer | sort -u | wc -l)"
check "and no line twice" equal "$sent" "$(lake trusted/accelerometer | wc -l)"
check "there are no zeros in the lake" equal 0 "$(lake . | tr -cd '\0' | wc -c)"
check_balance
check_stop
finish
