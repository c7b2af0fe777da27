#!/usr/bin/env bash
# Registered consumers are independent of each other: one that is away (conf/study.sh) keeps nobody else waiting, and is
# named; it catches up by itself, and only a full outbox stops intake. bug_223, bug_225
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/study.sh"

t0=1700000000000
customers=5
long=$(printf '%064d' 1) # bug_225: the longest name that `gait check` takes
link_readings=100 # a customer's: more than link_bytes come of them
outbox_readings=1300 # more than outbox_bytes

in_the_lake() {
    [ "$(lake curated/machine_learning | wc -l)" = "$1" ]
}

records='SELECT sum(length(records) - length(replace(records, char(10), char())) + 1) FROM message'
with_study() {
    [ "$(study "$records")" = "$1" ]
}

whole="SELECT count(*) = max(sequence) AND min(sequence) = 1 AND count(DISTINCT epoch) = 1 FROM message"

says() {
    ask "SELECT json ->> 'state', json ->> 'why' FROM process WHERE json ->> 'process' = 'machine-learning-curated'" |
        grep -qE "$1"
}

# applied_is PROCESS CONSUMER N: what the process's metrics say.
applied_is() {
    [ "$(ask "SELECT value ->> 'applied' FROM process, json_each(process.json, '\$.output.consumers')
               WHERE process.json ->> 'process' = '$1' AND value ->> 'name' = '$2'")" = "$3" ]
}

configure <<END
[machine-learning-curated]
consumers = study
link_bytes = 64KiB
outbox_bytes = 1MiB
message_bytes = 60KiB
[customer-curated]
consumers = $long
END
check "the configuration has no faults" "$GAIT_BIN/gait" check -c "$work/gait.conf"
start
listen "$work/plain" -V 5 -t gait/curated/machine_learning -F '> %P'
for c in $(seq $customers); do customer "c$c@example.com" "serial-$c" "$t0" "$t0"; done | publish customer

readings 1 $link_readings
total=$((customers * link_readings))
wait_until 20 "the lake has everything, without study" in_the_lake $total
wait_until 20 "status names who is away" says '^running\|study has applied nothing yet\. If it runs: .*user \(without a name\).* at gait/link/[a-z-]*/study/feed'
check "and says what waits for it" grep -qE 'messages wait for study' <(gait status)

curated=$(ask "SELECT json ->> '\$.output.epoch' FROM process WHERE json ->> 'process' = 'customer-curated'")
mosquitto_pub -h 127.0.0.1 -p "$port" -t "gait/link/customer-curated/$long" \
    -m "{\"epoch\":\"$curated\",\"applied\":1,\"rewind\":0}"
wait_until 10 "a report in a name of 64 characters is heard" applied_is customer-curated "$long" 1

start_study
wait_until 30 "study has caught up" with_study $total
check "each message once and in order" equal 1 "$(study "$whole")"
wait_until 20 "nothing more to say" says '^running\|$'
stop_study

readings $((link_readings + 1)) $outbox_readings
total=$((total + customers * outbox_readings))
wait_until 20 "a full outbox stops intake, and study is named" \
    says '^stopped\|outbox full: study has applied nothing since message [0-9]+$'
start_study
wait_until 60 "study has caught up again" with_study $total
check "each message once and in order" equal 1 "$(study "$whole")"
check "the pipeline comes to rest" wait_idle
check "the lake has everything, once" in_the_lake $total
check "plain subscribers have each message once" equal "$(study 'SELECT count(*) FROM message')" \
    "$(grep -oE 'sequence:[0-9]+' "$work/plain" | sort -u | wc -l)"
check "and hear no repeats" equal 0 "$(grep -oE 'sequence:[0-9]+' "$work/plain" | sort | uniq -d | wc -l)"
check "study had nothing to complain of" equal "" "$(cat "$work/study/log")"
check_balance
check_stop
finish
