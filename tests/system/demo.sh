#!/usr/bin/env bash
# The demonstration: a generated data set through a private pipeline, compared with the batch SQL.
. "$(dirname "$0")/lib.sh"

tables=(customer accelerometer step_trainer)

echo "making people who do not exist, and what they measured"
"$GAIT_BIN/gait" simulate --customers 950 --readings 85 --out "$work/data" >/dev/null || give_up "gait simulate"
for table in "${tables[@]}"; do
    printf '  %-14s %8d records\n' "$table" "$(wc -l <"$work/data/$table.ndjson")"
done

echo "starting a broker and all processes"
rules any time 0
start

began=$(date +%s%N)
for table in "${tables[@]}"; do
    gait load "$table" "$work/data/$table.ndjson" || give_up "gait load $table"
done
wait_idle || give_up "the pipeline does not come to rest"
took_ms=$((($(date +%s%N) - began) / 1000000))
echo "all worked, durably, in $((took_ms / 1000)).$(printf '%03d' $((took_ms % 1000))) s"

echo
printf '%-26s %10s %10s  %s\n' SET RECORDS "BATCH SQL" EQUAL
sets=0
while IFS='|' read -r set lake_count batch_count same; do
    printf '%-26s %10d %10d  %s\n' "$set" "$lake_count" "$batch_count" "$same"
    [ "$same" = yes ] && sets=$((sets + 1))
done < <(compare_lake any time 0)
echo

stop || give_up "gait up did not stop cleanly"
[ "$sets" -eq 5 ] || give_up "the sets differ"
