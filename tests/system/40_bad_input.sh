#!/usr/bin/env bash
# Bad records among good ones: the good ones come out, the bad ones are reported by reason and never shown.
. "$(dirname "$0")/lib.sh"

good() {
    accelerometer eve@example.org "$1"
}

rules any time 0
start
listen "$work/rejected" -V 5 -t 'gait/rejected/#'
customer eve@example.org trainer-5 1600000001000 1600000001000 | publish customer
wait_until 30 "the customer" counter_is accelerometer-trusted customer taken 1

# Publish standard input as one message and wait for its receipt. (mosquitto_rr 2.0.11 sends nothing with -s or -f.)
receipt() {
    mosquitto_rr -V 5 -h 127.0.0.1 -p "$port" -q 1 -t gait/landing/accelerometer -e "gait/receipt/$1" -W 30 -m "$(cat)"
}

{
    good 1600000002000
    echo '{"user":"eve@example.org","timestamp":16000'
    good 1600000003000
    echo '{"user":"eve@example.org","x":1,"y":2,"z":3,"marker":"PAYLOAD"}'
    echo '{"user":"eve@example.org","timestamp":"PAYLOAD","x":1,"y":2,"z":3}'
    echo '{"user":"eve@example.org","timestamp":-5,"x":1,"y":2,"z":3}'
    echo '{"user":"eve@example.org","timestamp":1600000004000,"x":1e999,"y":2,"z":3}'
    echo '{"user":"eve@example.org","user":"PAYLOAD","timestamp":1600000004000,"x":1,"y":2,"z":3}'
    echo PAYLOAD
    good 1600000005000
    good 1600000005000
} | receipt lines >"$work/receipt.lines"
check "the receipt counts what was taken" grep -qE '"taken":11\b' "$work/receipt.lines"
check "the receipt counts the repeated one" grep -qE '"duplicate":1\b' "$work/receipt.lines"
check "the receipt counts the bad ones" grep -qE '"invalid":7\b' "$work/receipt.lines"

printf '[%s,{"user":1,"timestamp":1600000006000,"x":1,"y":2,"z":3},[1,2],%s]' \
    "$(good 1600000006000)" "$(good 1600000007000)" | receipt array >"$work/receipt.array"
check "bad ones in an array are counted" grep -qE '"invalid":2\b' "$work/receipt.array"
printf '\xff\xfe' | receipt bytes >"$work/receipt.bytes"
check "no text at all is one bad record" grep -qE '"invalid":1\b' "$work/receipt.bytes"
{
    printf '{"user":"eve@example.org","timestamp":1600000008000,"x":1,"y":2,"z":3,"more":'
    head -c 100 /dev/zero | tr '\0' '['
} | receipt deep >"$work/receipt.deep"
check "what is nested too deep is bad" grep -qE '"invalid":[1-9]' "$work/receipt.deep"

# mosquitto cuts the connection of whoever publishes to a topic of more than 200 levels, and an answer would go there.
deep=$(printf 'a/%.0s' {1..220})a
accelerometer eve@example.com 1700000000999 | publish accelerometer -V 5 -D publish response-topic "$deep"
check "the pipeline comes to rest" wait_idle
check_not "an impossible response topic costs nobody a connection" grep -rq 'not connected' "$run_dir/log"
check "all good ones are out" equal 5 "$(lake trusted/accelerometer | wc -l)"
for reason in bad_json missing_field bad_type out_of_range; do
    wait_until 10 "a message about $reason" heard "$work/rejected" "\"reason\":\"$reason\""
done
check "it says process, topic and time" heard "$work/rejected" '"process":"accelerometer-trusted"'
check "it says the topic" heard "$work/rejected" '"topic":"'
check "it says the time" heard "$work/rejected" '"time'
check_not "it does not show the record" grep -qE 'PAYLOAD|eve@' "$work/rejected"
check_not "nor does a log" grep -rqE 'PAYLOAD|eve@' "$run_dir/log" "$work/up.log"
check_balance
check_stop
finish
