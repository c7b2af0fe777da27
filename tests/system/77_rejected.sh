#!/usr/bin/env bash
# Bug 277: a refusal can be followed up afterwards: which field, which device, which record of a payload.
. "$(dirname "$0")/lib.sh"

configure <<'CONF'
[accelerometer-trusted]
hold = 0
CONF
start
check "nothing is refused at first" equal "nothing was refused" "$(gait rejected)"

# receipt TABLE/LEVEL: publish standard input there as one message, and print the receipt of that level.
receipt() {
    mosquitto_rr -V 5 -h 127.0.0.1 -p "$port" -q 1 -t "gait/landing/$1" -e "gait/receipt/${1#*/}" -W 30 -m "$(cat)"
}

# A customer who does not say when it was changed, between one who is right and one whose serial number is none.
{
    customer eve@example.org trainer-5 1600000001000 1600000001000
    customer bob@example.org trainer-6 null
    customer ann@example.org "" 1600000001000
} | receipt customer/form-2 >"$work/receipt"
check "the receipt says which records are invalid" equal \
    '{"taken":3,"passed":1,"waiting":0,"refused":0,"duplicate":0,"stale":0,"invalid":2,"faults":[
{"record":1,"reason":"missing_field","field":"lastUpdateDate"},{"record":2,"reason":"out_of_range","field":"serialNumber"}]}' \
    "$(sed 's/"faults":\[/&\n/' "$work/receipt")"
for device in 1 2 3 4 5; do
    echo '{"user":"eve@example.org","timestamp":"SECRET","x":1,"y":2,"z":3}' | publish "accelerometer/site-3/phone-1$device"
done
accelerometer nobody@example.org 1600000001000 | publish "accelerometer/$(printf 'a%.0s' {1..200})"
step_trainer trainer-5 1600000001000 | publish step_trainer # it waits: that is no refusal
check "all is worked" wait_idle

# Whoever comes late finds the newest message of each process.
timeout 10 mosquitto_sub -h 127.0.0.1 -p "$port" -t 'gait/rejected/#' -C 2 -F '%r %t %p' >"$work/late" || true
late() {
    check "a late subscriber sees $1" grep -q -- "$2" "$work/late"
}
late "the field and the form" '"field":"serialNumber","topic":"landing/customer/form-2"'
late "that it was kept" '^1 gait/rejected/customer-trusted'
late "the other process's" '^1 gait/rejected/accelerometer-trusted'

check "gait rejected succeeds" eval 'gait rejected >"$work/table"'
says() {
    check "gait rejected says '$1'" grep -qE -- "$1" "$work/table"
}
says '^accelerometer-trusted$'
says '^  bad_type +5$'
says '^    20[0-9-]{8} [0-9:]{8} timestamp +landing/accelerometer/site-3/phone-15$'
says '^  no_consent +1$'
says '^    20[0-9-]{8} [0-9:]{8} - +\.\.\.a+$'
says '^    20[0-9-]{8} [0-9:]{8} lastUpdateDate +landing/customer/form-2$'
check "of five the newest four stand there" equal 4 "$(grep -c 'phone-1[2-5]$' "$work/table")"
check "newest first" equal phone-15 "$(grep -o 'phone-1.' "$work/table" | head -1)"
check_not "nothing of a record" grep -qE 'SECRET|@example' "$work/table" "$work/late" "$work/receipt"
check "it fits 80 columns" equal 0 "$(awk 'length > 80' "$work/table" | wc -l)"
check "its header" grep -q '^PROCESS AND REASON' "$work/table"

gait rejected --json >"$work/json"
value() {
    sql :memory: "SELECT value ->> '$2' FROM json_each(CAST(readfile('$work/json') AS TEXT), '\$.processes')
        WHERE value ->> 'process' = '$1'"
}
check "for programs: the count" equal 5 "$(value accelerometer-trusted '$.reasons.bad_type.count')"
check "for programs: the topic" equal landing/accelerometer/site-3/phone-15 \
    "$(value accelerometer-trusted '$.reasons.bad_type.recent[0].topic')"
check "for programs: the field" equal timestamp "$(value accelerometer-trusted '$.reasons.bad_type.recent[3].field')"
check "the metrics show it, too" equal landing/customer/form-2 \
    "$(ask "SELECT json ->> '\$.recent.missing_field[0].topic' FROM process WHERE json ->> 'process' = 'customer-trusted'")"

check_not "what can't be written is a failure" eval "gait rejected >/dev/full"
check_not "a process that does not answer is one, too" "$GAIT_BIN/gait" rejected -p "$(free_port)"

# Another life of the process knows it.
kill_hard accelerometer-trusted
wait_until 30 "the process to answer again" eval "gait rejected >/dev/null"
check "and it is there after a crash" equal 4 "$(gait rejected | grep -c 'phone-1[2-5]$')"
check_balance
check_stop
finish
