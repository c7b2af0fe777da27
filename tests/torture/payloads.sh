#!/usr/bin/env bash
# Bad input, all of it: mutated payloads through a running pipeline, good records among them. Full: through the one in
# GAIT_ASAN_BIN, if that is set.
. "$(dirname "$0")/lib.sh"

sender=$GAIT_BIN/torture-payloads
[ "$full" = no ] || GAIT_BIN=${GAIT_ASAN_BIN:-$GAIT_BIN}

count=$(choose 20000 1000000)
seed=${GAIT_SEED:-1}
mark="good-$seed-"
sent=$work/sent
rejected=$work/rejected

# sums PROCESS INPUT: what its counters say, as the sender says it of the receipts.
sums() {
    ask "SELECT '$2 ' || (json ->> 'taken') || ' ' || (json ->> 'duplicate') || ' ' || (json ->> 'invalid') FROM input
          WHERE process = '$1' AND name = '$2'"
}

pids() {
    (cd "$run_dir/pid" && grep -H . -- *.pid)
}

# out ZONE/TABLE: the good records in the lake, as they were sent, in order. A row has a field more.
out() {
    lake "$1" | grep -F "$mark" | sed 's/"row":"[0-9a-f]*",//; s/,"row":"[0-9a-f]*"//' | LC_ALL=C sort
}

# comes_out ZONE/TABLE KIND: each good record once, and no other.
comes_out() {
    LC_ALL=C sort "$sent/$2" >"$work/want"
    out "$1" >"$work/got"
    check "$1: all $(wc -l <"$work/want") good records, each once" cmp "$work/want" "$work/got"
}

# times FIELD FILE…
times() {
    local field=$1
    shift
    sed -n "s/.*\"$field\":\([0-9]*\).*/\1/p" "$@" | LC_ALL=C sort
}

# How many refusals the rejections tell of: one each, or as many as they say.
told() {
    awk '/"reason":/ { sum += match($0, /"count":[0-9]+/) ? substr($0, RSTART + 8, RLENGTH - 8) : 1 } END { print sum + 0 }' \
        "$rejected"
}

has_rejected() {
    [ "$(told)" -ge "$1" ]
}

prove() {
    local kind process refused before
    configure <<CONF
[machine-learning-curated]
match = customer
CONF
    start
    before=$(pids)
    listen "$rejected" -t 'gait/rejected/#'
    mkdir "$sent"
    "$sender" "$port" "$count" "$seed" "$sent" >"$work/sums" || { gait status; give_up "not all have a receipt"; }
    check "the pipeline comes to rest" wait_idle 300

    while read -r process kind; do
        check "$process counts what the receipts say" \
            equal "$(grep "^$kind " "$work/sums")" "$(sums "$process" "$kind")"
    done <<'LANDINGS'
customer-trusted customer
accelerometer-trusted accelerometer
step-trainer-trusted step_trainer
LANDINGS
    check_balance
    check "what one process passes, the next one understands" equal 0 \
        "$(ask "SELECT sum(json ->> 'invalid') FROM input WHERE json ->> 'from' <> 'landing'")"
    refused=$(ask "SELECT sum((json ->> 'invalid') + (json ->> 'refused')) FROM input")
    wait_until 120 "the last rejection" has_rejected "$refused"
    check "every rejection has a reason" equal "$refused" "$(told)"

    comes_out trusted/customer customer
    comes_out curated/customer customer
    comes_out trusted/accelerometer accelerometer
    comes_out trusted/step_trainer step_trainer
    times timestamp "$sent/accelerometer" >"$work/times"
    times sensorReadingTime "$sent/step_trainer" | LC_ALL=C comm -12 "$work/times" - >"$work/want"
    lake curated/machine_learning | grep -F "$mark" | times sensorReadingTime >"$work/got"
    check "curated/machine_learning: all $(wc -l <"$work/want") pairs of good records, each once" \
        cmp "$work/want" "$work/got"

    check "nothing died" equal "$before" "$(pids)"
    check_not "no rejection shows whose record it was" grep -q '@example' "$rejected"
    check_not "nor does a log" grep -rqE '@example|mutant-|good-' "$run_dir/log" "$work/up.log"
    check_stop
    check_not "no sanitizer complains" grep -rE 'Sanitizer|runtime error' "$run_dir/log" "$work/up.log"
    check "nothing was started again" equal "$(wc -l <<<"$before")" "$(grep -c ': started ' "$work/up.log")"
    [ "$failures" -eq 0 ] || echo "again: GAIT_SEED=$seed $0$([ "$full" = no ] || echo ' --full')"
    refused_in_all=$refused
}

prove >&2
records=$(awk '{ taken += $2 } END { print taken }' "$work/sums")
figure "mutated payloads through a pipeline" "$count"
figure "records in them, all accounted for" "$records"
figure "of them rejected, each with a reason" "$refused_in_all"
figure "good records among them, all came out once" "$(cat "$sent"/* | wc -l)"
finish >&2
