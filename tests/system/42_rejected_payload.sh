#!/usr/bin/env bash
# With rejected_payload = on a rejection shows what was refused, whatever bytes it is, and is JSON all the same.
. "$(dirname "$0")/lib.sh"
export LC_ALL=C

configure <<'CONF'
[accelerometer-trusted]
rejected_payload = on
hold = 0
CONF
start
listen "$work/rejected" -t 'gait/rejected/accelerometer-trusted'

# refused COUNT: that many rejections were heard.
refused() {
    [ "$(grep -ac '"reason":.*}$' "$work/rejected")" -eq "$1" ]
}

# rejection REASON PAYLOAD [FIELD]
rejection() {
    printf '{"process":"accelerometer-trusted","reason":"%s",%s"topic":"landing/accelerometer","payload":%s}\n' \
        "$1" "${3:+\"field\":\"$3\",}" "$2"
}

mark=$'\xef\xbf\xbd' # what stands for a byte that is no text
accelerometer nobody@example.org 1600000001000 | publish accelerometer
wait_until 30 "one refusal" refused 1
printf '{"user":"\\n"}' | publish accelerometer
wait_until 30 "two refusals" refused 2
printf 'caf\xc3\xa9 \xe9 \xed\xa0\x80 \xff\x01\x7f' | publish accelerometer
wait_until 30 "three refusals" refused 3
head -c 1048577 /dev/zero | publish accelerometer
wait_until 30 "four refusals" refused 4

{
    rejection no_consent '{"user":"nobody@example.org","timestamp":1600000001000,"x":1.0,"y":-0.5,"z":0}'
    rejection missing_field '"{\"user\":\"\\n\"}"' timestamp
    rejection bad_json $'"caf\xc3\xa9 '"$mark $mark$mark$mark $mark"$'\\u0001\x7f"'
    rejection too_large "" | sed 's/,"payload"://' # for that it is too large as well
} >"$work/want"
grep -ao '{"process".*' "$work/rejected" >"$work/records"
sed 's/,"time":[0-9]*//' "$work/records" >"$work/got"
check "they show what was refused; bug_122: bytes that are no text are replaced" cmp "$work/want" "$work/got"
# What is personal does not stay at the broker for whoever looks later.
kept=$(mosquitto_sub -h 127.0.0.1 -p "$port" -t 'gait/rejected/#' --retained-only -W 1)
check "none of them is kept by the broker" equal "" "$kept"
check_balance
check_stop
finish
