#!/usr/bin/env bash
# Full load for long: memory and file descriptors of every process stay flat, and so does the state once hold and retain have
# passed. The same people throughout, with readings of ever later times. What grows with the load alone are the fingerprints
# of ten minutes, which the processes with a landing input keep: their file is as large as it gets after several times ten
# minutes (test_store_keyset has the figures, and the time), so here they are held against what so many may take. (The short
# version ends before the ten minutes do and looks at memory and descriptors only.)
. "$(dirname "$0")/lib.sh"

length_s=$(choose 20 780)
settled_s=$(choose 8 640) # by then everything is as large as it gets
slack_kib=$(choose 65536 1024) # in a few seconds memory is still on its way to what a full transaction takes
! grep -qa __asan_init "$GAIT_BIN/lake" || slack_kib=$((1024 * 1024)) # what is freed counts too
configure <<'END'
[accelerometer-trusted]
hold = 10s
[step-trainer-trusted]
hold = 10s
[machine-learning-curated]
match = customer
retain = 10s
END
start

load_readings() {
    local start_ms=$((1600000000000 + $1 * 100000000))
    until [ -e "$work/stop" ]; do
        "$GAIT_BIN/gait" simulate --customers 200 --readings 100 --seed "$1" --start "$start_ms" --port "$port" \
            >/dev/null 2>>"$work/load.log" || return
        start_ms=$((start_ms + 100000))
        [ -d "$run_dir/lake" ] && find "$run_dir/lake" -name 'part-*.ndjson' -mmin +1 -delete 2>/dev/null # so does the other load
    done
}

# One line a process: NAME SECONDS ANONYMOUS_KIB DESCRIPTORS STATE_KIB.
sample() {
    local name pid anonymous descriptors state
    for name in "${processes[@]}"; do
        pid=$(pid_of "$name")
        anonymous=$(awk '/^Anonymous:/{print $2}' "/proc/$pid/smaps_rollup" 2>/dev/null)
        descriptors=$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l)
        state=$(du -sk "$run_dir/state/$name" | cut -f1)
        echo "$name $SECONDS ${anonymous:-0} $descriptors $state $pid"
    done
}

for load in 1 2; do
    load_readings "$load" &
    loads+=($!)
done
start_s=$SECONDS
while [ $((SECONDS - start_s)) -lt "$length_s" ]; do
    sample >>"$work/samples"
    [ ! -t 2 ] || printf '\rsoak: %s of %s s ' $((SECONDS - start_s)) "$length_s" >&2
    sleep "$(choose 1 5)"
done
stop_loading >&2
check "the pipeline comes to rest" wait_idle 300 >&2
check_balance >&2

# The largest of column $2 of process $1, in the first and in the second half of what comes after everything has settled.
halves() {
    awk -v name="$1" -v column="$2" -v settled=$((start_s + settled_s)) -v end=$((start_s + length_s)) '
        $1 == name && $2 >= settled {half = $2 < (settled + end) / 2 ? 1 : 2; if ($column > most[half]) most[half] = $column}
        END {print most[1] + 0, most[2] + 0}' "$work/samples"
}
# flat PAIR HUNDREDTHS MORE: whether the second of the pair is at most so many hundredths of the first, and so much more. (A
# store's file is as large as its largest transaction has made it, which some MiB of chance are in.)
flat() {
    local first second
    read -r first second <<<"$1"
    [ "$first" -gt 0 ] && [ "$second" -le $((first * $2 / 100 + $3)) ] && return
    echo "       grew from $first to $second"
    return 1
}
# Records that process $1 took in within ten minutes, by the average.
within_ten_minutes() {
    local taken
    taken=$(ask "SELECT coalesce(sum(json ->> 'taken'), 0) FROM input WHERE process = '$1' AND json ->> 'from' = 'landing'")
    echo $((taken * 600 / length_s))
}
# within PAIR KIB: whether the second of the pair is at most so much.
within() {
    local most
    read -r _ most <<<"$1"
    [ "$most" -gt 0 ] && [ "$most" -le "$2" ] && return
    echo "       $most, of $2"
    return 1
}
# A fingerprint has 24 bytes, and filters in memory take 2 more; each is there up to three times, its pages up to seven.
memory=0
for name in "${processes[@]}"; do
    check "$name is still the same process" equal 1 "$(awk -v n="$name" '$1 == n {print $6}' "$work/samples" | sort -u | wc -l)" >&2
    keys=$(within_ten_minutes "$name")
    check "descriptors of $name stay flat" flat "$(halves "$name" 4)" 100 0 >&2
    if [ "$full" = no ] || [ "$keys" -eq 0 ]; then
        check "memory of $name stays flat" flat "$(halves "$name" 3)" 105 "$slack_kib" >&2
    else
        check "memory of $name is within bounds" within "$(halves "$name" 3)" $((65536 + 10 * keys / 1024)) >&2
    fi
    if [ "$full" = yes ] && [ "$keys" -eq 0 ]; then
        check "the state of $name stays flat" flat "$(halves "$name" 5)" 105 4096 >&2
    elif [ "$full" = yes ]; then
        check "the state of $name is within bounds" within "$(halves "$name" 5)" $((65536 + 7 * 24 * keys / 1024)) >&2
    fi
    read -r _ most <<<"$(halves "$name" 3)"
    [ "$most" -le "$memory" ] || memory=$most
    figure "soak: state of $name, KiB, before and behind" "$(halves "$name" 5)"
    [ "$keys" -eq 0 ] || figure "soak: fingerprints of ten minutes in $name" "$keys"
done
taken=$(ask "SELECT sum(json ->> 'taken') FROM input WHERE name IN ('accelerometer', 'step_trainer', 'customer')
              AND process IN ('accelerometer-trusted', 'step-trainer-trusted', 'customer-trusted') AND json ->> 'from' = 'landing'")
figure "soak: records taken in" "$taken"
figure "soak: records a second" $((taken / length_s))
figure "soak: largest anonymous memory, KiB" "$memory"
check "records were taken in" [ "$taken" -gt 1000 ] >&2
check_stop >&2
finish
