#!/usr/bin/env bash
# Readings of one time pair each with each: with the lake stopped they must fill the outbox to outbox_bytes and one
# transaction (8 MiB), not with all pairs, and the join answers meanwhile. And one message of very many records, all bad.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
outbox_bytes=$((1024 * 1024))
most=$((outbox_bytes + 8 * 1024 * 1024 + 64 * 1024))
readings=400

configure <<END
[machine-learning-curated]
outbox_bytes = 1MiB
END
start
customer ada@example.com serial-ada "$t0" "$t0" | publish customer
for ((i = 0; i < readings; i++)); do
    printf '{"user":"ada@example.com","timestamp":%s,"x":%d,"y":0,"z":0}\n' "$((t0 + 2))" "$i" >&3
    printf '{"sensorReadingTime":%s,"serialNumber":"serial-ada","distanceFromObject":%d}\n' "$((t0 + 2))" "$i" >&4
done 3>"$work/phone.ndjson" 4>"$work/trainer.ndjson"
check "load phones" load accelerometer "$work/phone.ndjson"
check "all of it is worked" wait_idle 30
lake_pid=$(pid_of lake)
kill -STOP "$lake_pid"
check "load trainers" load step_trainer "$work/trainer.ndjson"

# of_join PATH: out of the join's answer.
of_join() {
    ask "SELECT json ->> '$1' FROM process WHERE json ->> 'process' = 'machine-learning-curated'"
}

bytes_out() {
    of_join '$.output.bytes'
}

# It keeps to the bound at every look, and stops when the outbox is full.
is_full() {
    local now
    now=$(bytes_out)
    [ "${now:-0}" -le "$most" ] || give_up "bug_212: $now bytes in the outbox, $outbox_bytes and a transaction may be"
    [ "${now:-0}" -ge "$outbox_bytes" ]
}
wait_until 20 "a full outbox" is_full
before=$(bytes_out)
check "bug_212: the outbox holds what it may, and what one transaction adds" [ "$before" -le "$most" ]
check "bug_212: it says so" [ -n "$(of_join '$.why')" ]
kill -CONT "$lake_pid"
check "the pipeline comes to rest when the lake goes on" wait_idle 60
check "the lake has every pair" equal "$((readings * readings))" "$(lake curated/machine_learning | wc -l)"
check "and each once" equal "$((readings * readings))" "$(lake curated/machine_learning | sort -u | wc -l)"

yes '{}' | head -n 100000 | tr -d '\n' | publish accelerometer
wait_until 20 "100,000 refusals out of one message" counter_is accelerometer-trusted accelerometer invalid 100000
check_balance
check_stop
finish
