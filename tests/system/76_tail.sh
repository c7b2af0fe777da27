#!/usr/bin/env bash
# gait tail: rows with their names, streams record by record, refusals; whatever is in them; a broker that is away for a
# while; a reader that goes away; a full disk.
. "$(dirname "$0")/lib.sh"

# follow FILE TABLE: gait tail into FILE, in the background. When it is subscribed only shows by something that comes, so
# what is not retained is published again and again until it has come.
tails=()
follow() {
    local file=$1
    shift
    gait tail "$@" >"$file" 2>"$file.err" &
    tails+=($!)
}

lines_are() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}

# A reading that is refused, whatever happens.
refused_shows() {
    printf '{"user":' | mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -t gait/landing/accelerometer -s 2>/dev/null
    sleep 0.05
    [ -s "$work/refused" ]
}

# Three new readings in one message, to be three lines.
time=1700000000000
readings_show() {
    for _ in 1 2 3; do
        time=$((time + 1))
        accelerometer ada@example.com "$time"
    done >"$work/three"
    load accelerometer "$work/three" && sleep 0.05 && lines_are "$work/readings" 3
}

rules any time 0
start
customer ada@example.com serial-ada 1700000000000 1700000000000 >"$work/customers"
check "a customer" load customer "$work/customers"
follow "$work/rows" trusted/customer
follow "$work/readings" accelerometer
follow "$work/refused" rejected
wait_until 10 "the row that the broker keeps" lines_are "$work/rows" 1
check "it begins with its name" grep -qE '^[0-9a-f]+ \{"customerName":"Name of ada@example.com".*\}$' "$work/rows"
wait_until 10 "a refusal" refused_shows
check "it says who refused it, and why" grep -qE '^\{.*"process":"accelerometer-trusted".*"reason":"bad_json".*\}$' "$work/refused"

wait_until 10 "the readings" readings_show
check_not "one record a line" grep -qvE '^\{"user":"ada@example.com","timestamp":1700000000[0-9]+,[^{}]*\}$' "$work/readings"

# What would speak to a terminal does not, behind a pipe neither.
printf 'evil\033[2J\177\302\233 row' | mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -t gait/trusted/customer/evil -s
wait_until 10 "a row of somebody else" lines_are "$work/rows" 2
check "control characters are shown as ?" grep -qxaF 'evil evil?[2J?? row' "$work/rows"

# The broker dies and comes back: gait tail is there again by itself.
kill_hard broker
: >"$work/refused"
wait_until 20 "a refusal after the broker's death" refused_shows

# Its readers are gone when the pipe is; nothing is said.
mkfifo "$work/pipe"
gait tail trusted/accelerometer >"$work/pipe" 2>"$work/pipe.err" &
gone=$!
exec 3<"$work/pipe"
exec 3<&-
status=0
wait_until 10 "the end of gait tail" is_gone "$gone"
wait "$gone" || status=$?
check "bug_262: gait tail ends when nobody reads" equal 0 "$status"
check "and says nothing" equal "" "$(cat "$work/pipe.err")"

status=0
timeout 20 "$GAIT_BIN/gait" tail --broker "127.0.0.1:$port" trusted/customer >/dev/full 2>"$work/full.err" || status=$?
check "a full disk ends it" equal 1 "$status"
check "and is said" grep -qE '^gait tail: standard output: No space' "$work/full.err"

for pid in "${tails[@]}"; do
    kill -TERM "$pid"
    wait "$pid"
done 2>/dev/null
check_stop
finish
