#!/usr/bin/env bash
# What one account can use up: a payload of faults is told of in 65 lines, one device fills a quarter of the waiting room, and
# customers without consent fill the rows up to their bound. Others' records go their way meanwhile, and all are counted.
. "$(dirname "$0")/lib.sh"

configure <<'END'
[limits]
payload = 4MiB
[customer-trusted]
rows = 20
[accelerometer-trusted]
hold_bytes = 64KiB
END
start
listen "$work/rejected" -V 5 -t 'gait/rejected/accelerometer-trusted'

# told: how many refusals the rejections tell of; a line without a count is about one.
told() {
    awk '/"reason":/ { sum += match($0, /"count":[0-9]+/) ? substr($0, RSTART + 8, RLENGTH - 8) : 1 } END { print sum + 0 }' \
        "$work/rejected"
}

told_all() {
    [ "$(told)" = "$(ask "SELECT (json ->> 'invalid') + (json ->> 'refused') FROM input
                           WHERE process = 'accelerometer-trusted' AND name = 'accelerometer'")" ]
}

# written PROCESS: bytes that it had written to the disk.
written() {
    awk '/^write_bytes/ { print $2 }' "/proc/$(pid_of "$1")/io"
}

# A payload of commas, with a reading at its end.
commas() {
    printf '['
    head -c "$1" /dev/zero | tr '\0' ','
    accelerometer good@example.org 1600000001000
    printf ']'
}
before=$(written accelerometer-trusted)
for _ in 1 2 3 4; do
    commas 4000000 | publish accelerometer/evil
done
wait_until 60 "the faults" counter_is accelerometer-trusted accelerometer invalid 16000000
wait_until 10 "all faults to be told of" told_all
check "bug_350: of four payloads of commas 65 lines each" equal 260 "$(grep -c '"reason":' "$work/rejected")"
mib=$((($(written accelerometer-trusted) - before) >> 20))
check "bug_350: what they make is written once ($mib MiB, of 16 MiB that came)" [ "$mib" -le 40 ]
check "the reading behind them waits" counter_is accelerometer-trusted accelerometer waiting 1
check "and came three times more" counter_is accelerometer-trusted accelerometer duplicate 3

# One device has readings of nobody.
for ((i = 0; i < 500; i++)); do
    accelerometer "nobody-$i@example.org" 1600000001000
done | publish accelerometer/evil
wait_until 30 "a full share" counter_is accelerometer-trusted accelerometer taken 16000504
check_not "bug_355: what it has too much is refused" counter_is accelerometer-trusted accelerometer refused 0
check "bug_355: its share is a quarter" \
    [ "$(ask "SELECT json ->> '$.gauges.waiting_bytes' FROM process WHERE json ->> 'process' = 'accelerometer-trusted'")" -le \
        16384 ]
waiting=$(counter accelerometer-trusted accelerometer waiting)
accelerometer late@example.org 1600000001000 | publish accelerometer/good
wait_until 30 "another device's reading" counter_is accelerometer-trusted accelerometer waiting $((waiting + 1))
wait_until 10 "all refusals to be told of" told_all

# Who never shared stays, up to a bound; and nobody is forgotten for it.
for ((i = 0; i < 25; i++)); do
    customer "private-$i@example.org" "trainer-$i" 1600000001000
done | publish customer
wait_until 30 "the customers" counter_is customer-trusted customer taken 25
customer late@example.org trainer-late 1600000001000 1600000001000 | publish customer
of_rows() {
    ask "SELECT json ->> '$1' FROM process WHERE json ->> 'process' = 'customer-trusted'"
}
check "bug_356: they are counted" equal "25 25" "$(of_rows '$.gauges.rows') $(of_rows '$.gauges.rows_without_consent')"
check "bug_356: intake stops, and it is said which key raises the bound" \
    grep -q 'there are 25 rows .* the key `rows` of this process allows 20' <(of_rows '$.why')
check "bug_356: people see it, too" grep -qx '  rows_without_consent: 25' <(gait status)
check_balance
check "gait up stops cleanly" stop

configure <<'END'
[customer-trusted]
rows = 30
END
start
check "with a greater bound it goes on" wait_idle 60
check "and the reading that waited for the customer passes" \
    counter_is accelerometer-trusted accelerometer passed 1
check_balance
check_stop
finish
