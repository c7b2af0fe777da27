#!/usr/bin/env bash
# The whole pipeline on a private broker, against public tools on the same machine in the same run.
#
# usage: pipeline.sh smoke|default|full
. "$(dirname "$0")/lib.sh"

case $1 in
    smoke) customers=10 readings=20 singles=100 runs=1 pairs=5 ;;
    default) customers=200 readings=333 singles=15000 runs=3 pairs=300 ;;
    full) customers=1000 readings=333 singles=60000 runs=3 pairs=1000 ;;
esac
tables=(customer accelerometer step_trainer)
trusted=gait/trusted/accelerometer

# The five sets by the batch SQL in memory; prints how many accelerometer readings are trusted.
batch_sql() {
    (cd "$work/data" && sql :memory:) <<END
.read '$sql_dir/landing.sql'
.read '$sql_dir/customer_trusted.sql'
.read '$sql_dir/accelerometer_trusted.sql'
.read '$sql_dir/customer_curated.sql'
.read '$sql_dir/step_trainer_trusted.sql'
.read '$sql_dir/machine_learning_curated.sql'
SELECT count(*) FROM customer_curated;
SELECT count(*) FROM step_trainer_trusted;
SELECT count(*) FROM machine_learning_curated;
SELECT count(*) FROM customer_trusted;
SELECT count(*) FROM accelerometer_trusted;
END
}

load_all() {
    local table
    for table in "${tables[@]}"; do
        load "$table" "$work/data/$table.ndjson" --batch 64 || give_up "load $table"
    done
    wait_idle || give_up "the pipeline does not come to rest"
}

# Anonymous memory of the largest gait process, in MiB.
largest_mib() {
    local process
    for process in "${processes[@]}"; do
        awk '/^RssAnon/ { print $2 / 1024 }' "/proc/$(pid_of "$process")/status"
    done | sort -n | tail -n 1
}

# cross TOPIC-IN TOPIC-OUT LINES: publish $work/singles.ndjson, one message a line, by mosquitto_pub; the seconds until
# that many lines have come out at mosquitto_sub. (mosquitto_pub -l forgets what is unsent at the end of its input, so
# that is held open until all is through.)
cross() {
    local began fifo=$work/lines sub pub
    mkfifo "$fifo"
    listen "$work/heard" -t "$2"
    sub=$!
    mosquitto_pub -V 5 -q 1 -h 127.0.0.1 -p "$port" -t "$1" -l <"$fifo" &
    pub=$!
    exec 4>"$fifo"
    began=$(now_us)
    cat "$work/singles.ndjson" >&4
    until_lines "$work/heard" "$3" || give_up "not all lines came out of $2"
    seconds_since "$began"
    exec 4>&-
    wait "$pub"
    kill "$sub"
    wait "$sub" 2>/dev/null
    rm "$fifo"
}

# until_lines FILE COUNT: wait for as many lines with a record in them. grep ends at the last one, and tail after it.
until_lines() {
    [ "$(timeout 60 tail -n +1 -f "$1" | grep -c -m "$2" '{')" = "$2" ]
}

"$GAIT_BIN/gait" simulate --customers "$customers" --readings "$readings" --out "$work/data" >/dev/null 2>&1 ||
    give_up "gait simulate"
records=$(cat "$work"/data/*.ndjson | wc -l)

: >"$work/gait.conf"
ratios=() rates=() sizes=()
for ((run = 0; run < runs; run++)); do
    began=$(now_us)
    batch_sql >/dev/null || give_up "the batch SQL"
    sql_s=$(seconds_since "$began")
    start
    began=$(now_us)
    load_all
    took_s=$(seconds_since "$began")
    sizes+=("$(largest_mib)")
    ratios+=("$(divide "$took_s" "$sql_s")")
    rates+=("$(divide "$records" "$took_s")")
    [ "$run" -eq $((runs - 1)) ] || lose_state
done
result pipeline/batch/over_sqlite3 ratio "${ratios[@]}"
result pipeline/batch/rate records/s "${rates[@]}"
result pipeline/batch/largest_process MiB "${sizes[@]}"

# The same people's readings of later days, singly. Their number and whose they are is the same on each day, and so is
# how many of them pass.
later() {
    "$GAIT_BIN/gait" simulate --customers "$customers" --readings "$readings" --out "$work/later" \
        --start $((1700000000000 + ($1 + 1) * 10000000000)) >/dev/null 2>&1 || give_up "gait simulate"
    head -n "$singles" "$work/later/accelerometer.ndjson" >"$work/singles.ndjson"
}

later 0
cp "$work/singles.ndjson" "$work/data/accelerometer.ndjson"
passing=$(batch_sql | tail -n 1)
ratios=() rates=()
for ((run = 0; run < runs; run++)); do
    later "$run"
    straight_s=$(cross straight/through straight/through "$singles") || exit 1
    through_s=$(cross gait/landing/accelerometer "$trusted" "$passing") || exit 1
    ratios+=("$(divide "$straight_s" "$through_s")")
    rates+=("$(divide "$singles" "$through_s")")
    wait_idle || give_up "the pipeline does not come to rest"
done
result pipeline/single/over_broker ratio "${ratios[@]}"
result pipeline/single/rate records/s "${rates[@]}"

# Idle, and of one person.
read -r email serial_number < <(first_person)
"$BENCH_BIN/bench-latency" pipeline/latency "$port" "$email" "$serial_number" "$pairs" 50 || give_up "bench-latency"
stop || give_up "gait up did not stop cleanly"
finish
