#!/usr/bin/env bash
# A consumer that stands still (the lake, stopped) must not hold up withdrawals: more rows than a link has in flight come
# before one, and the gate closes all the same.
. "$(dirname "$0")/lib.sh"

t0=1700000000000

rules any time 0
start
lake_pid=$(pid_of lake)
kill -STOP "$lake_pid"
customer ada@example.com serial-ada "$t0" "$t0" | publish customer
for i in {1..1500}; do customer "c$i@example.com" "serial-$i" "$t0" "$t0"; done >"$work/customers.ndjson"
check "load many customers" load customer "$work/customers.ndjson"
customer ada@example.com serial-ada "$((t0 + 1))" | publish customer
wait_until 20 "the gate has all rows" counter_is accelerometer-trusted customer passed 1502
accelerometer ada@example.com "$((t0 + 2))" | publish accelerometer
wait_until 20 "the reading is decided" counter_is accelerometer-trusted accelerometer taken 1
check "it was refused" equal 1 "$(counter accelerometer-trusted accelerometer refused)"
kill -CONT "$lake_pid"
check "the pipeline comes to rest when the lake goes on" wait_idle 60
check "the lake has all of it, once" equal 1502 "$(lake trusted/customer | wc -l)"
check_balance
check_stop
finish
