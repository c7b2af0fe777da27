#!/usr/bin/env bash
# Rate against latency: a pipeline at 10, 50 and 90 percent of what it can sustain, and at 150.
#
# usage: load_shape.sh smoke|default|full
. "$(dirname "$0")/lib.sh"

case $1 in
    smoke) customers=20 readings=100 longest_ms=300 levels=(90) ;;
    default) customers=1500 readings=1000 longest_ms=3000 levels=(10 50 90 150) ;;
    full) customers=5000 readings=2000 longest_ms=20000 levels=(10 50 90 150) ;;
esac
probes=50 # pairs a second beside the load, whose latency is measured

# Phones send twice as often as step trainers. Each call takes the next records from the data: a repeated one would cost
# less, being a duplicate.
taken=0 # of the step trainer's
available=$((customers * readings / 2))

# cut STEPS: files with the next so many step trainer readings, and with twice as many of the phones. On the disk at once, as
# the data are: a gigabyte that the kernel writes half a minute later is what every commit would wait for.
cut() {
    steps=$(($1 < available - taken ? $1 : available - taken))
    [ "$steps" -gt 0 ] || give_up "there are no records left"
    tail -n +$((taken + 1)) "$work/data/step_trainer.ndjson" | head -n "$steps" >"$work/steps.ndjson"
    tail -n +$((taken * 2 + 1)) "$work/data/accelerometer.ndjson" | head -n $((steps * 2)) >"$work/accelerations.ndjson"
    taken=$((taken + steps))
    sync "$work/steps.ndjson" "$work/accelerations.ndjson"
}

# load_both [RATE]: both files at once, at RATE records a second together; returns when all have their receipts.
load_both() {
    local limit=() limit2=() first status=0
    if [ $# -gt 0 ]; then
        limit=(--rate $(($1 * 2 / 3 + 1)))
        limit2=(--rate $(($1 / 3 + 1)))
    fi
    load accelerometer "$work/accelerations.ndjson" "${limit[@]}" &
    first=$!
    load step_trainer "$work/steps.ndjson" "${limit2[@]}" || status=1
    wait "$first" || status=1
    return "$status"
}

# Different records that were taken in: a message that gait load had to send again is counted there as duplicates.
total_landed() {
    local process
    for process in accelerometer-trusted step-trainer-trusted; do
        echo $(($(landed "$process" taken) - $(landed "$process" duplicate)))
    done | awk '{ sum += $1 } END { print sum }'
}

# length_ms MAXIMUM: how long each level can be with the records that are left.
length_ms() {
    local percent sum=0 left_ms
    for percent in "${levels[@]}"; do
        sum=$((sum + percent))
    done
    left_ms=$(((available - taken) * 3 * 1000 / ($1 * sum / 100)))
    echo $((left_ms < longest_ms ? left_ms : longest_ms))
}

# level PERCENT
level() {
    local rate=$((max * $1 / 100)) began load_s rest_s before probe_pid missing
    local pairs
    cut $((rate * level_ms / 3000))
    before=$(total_landed)
    "$BENCH_BIN/bench-latency" "load_shape/$1%" "$port" "$email" "$serial_number" 100000 "$probes" \
        >"$work/latency" 2>>"$work/load.log" &
    probe_pid=$!
    began=$(now_us)
    load_both "$rate" || give_up "a load at $1 %"
    load_s=$(seconds_since "$began")
    began=$(now_us)
    kill -TERM "$probe_pid"
    wait "$probe_pid" || give_up "the probes at $1 %: $(tail -n 1 "$work/load.log")"
    wait_idle || give_up "the pipeline does not come to rest"
    rest_s=$(seconds_since "$began")
    pairs=$(awk '$2 == "pairs" { print $3 }' "$work/latency")
    missing=$((before + steps * 3 + pairs * 2 - $(total_landed)))
    result "load_shape/$1%/asked" records/s "$rate"
    result "load_shape/$1%/taken" records/s "$(divide $((steps * 3)) "$load_s")"
    cat "$work/latency"
    result "load_shape/$1%/until_at_rest" s "$rest_s"
    result "load_shape/$1%/not_taken" records "$missing"
    [ "$missing" -eq 0 ] || failures=$((failures + 1))
}

"$GAIT_BIN/gait" simulate --customers "$customers" --readings "$readings" --out "$work/data" >/dev/null 2>&1 ||
    give_up "gait simulate"
sync "$work/data"/*
read -r email serial_number < <(first_person)
: >"$work/gait.conf"
start
load customer "$work/data/customer.ndjson" || give_up "load customer"
wait_idle || give_up "the pipeline does not come to rest"

# The maximum: as fast as receipts allow, until all is at rest. Not the first records: those warm up.
cut $((available / 50))
load_both || give_up "a load"
wait_idle || give_up "the pipeline does not come to rest"
rates=()
for _ in 1 2 3; do
    cut $((available / 16))
    began=$(now_us)
    load_both || give_up "a load"
    wait_idle || give_up "the pipeline does not come to rest"
    rates+=("$(divide $((steps * 3)) "$(seconds_since "$began")")")
done
result load_shape/maximum records/s "${rates[@]}"
max=$(printf '%.0f\n' "${rates[@]}" | sort -n | sed -n 2p)
level_ms=$(length_ms "$max")
for percent in "${levels[@]}"; do
    level "$percent"
done
stop || give_up "gait up did not stop cleanly"
finish
