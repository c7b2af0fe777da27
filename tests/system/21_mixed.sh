#!/usr/bin/env bash
# All three tables at once, each in random order with three of ten records twice.
. "$(dirname "$0")/lib.sh"

# Bytes for shuf that depend on the seed alone.
random_bytes() {
    awk -v seed="$1" 'BEGIN { srand(seed); for (;;) printf "%06d", 1000000 * rand() }'
}

simulate 200
rules any customer 0
start
mkdir "$work/mixed"
loads=()
for table in step_trainer accelerometer customer; do
    { cat "$work/data/$table.ndjson" && awk 'NR % 10 < 3' "$work/data/$table.ndjson"; } |
        shuf --random-source=<(random_bytes 7) >"$work/mixed/$table.ndjson"
    load "$table" "$work/mixed/$table.ndjson" --batch 16 &
    loads+=($!)
done
for pid in "${loads[@]}"; do
    check "a load ends with its receipts" wait "$pid"
done
check "the pipeline comes to rest" wait_idle
check_lake any customer 0
repeated=$(($(wc -l <"$work/mixed/accelerometer.ndjson") - $(sort -u "$work/data/accelerometer.ndjson" | wc -l)))
check "the repeated readings are counted" equal "$repeated" "$(counter accelerometer-trusted accelerometer duplicate)"
check_balance
check_stop
finish
