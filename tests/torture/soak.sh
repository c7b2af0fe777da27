#!/usr/bin/env bash
# Full load for long: memory and file descriptors of every process stay flat, and so does the state once hold, retain and
# the ten minutes for which equal records are recognised at least have passed. The same people throughout, with readings
# of ever later times. (The short version ends before the ten minutes do and looks at memory and descriptors only.)
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
        [ -d "$run_dir/lake" ] && find "$run_dir/lake" -name 'part-*.ndjson' -mmin +1 -delete
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
memory=0
for name in "${processes[@]}"; do
    check "$name is still the same process" equal 1 "$(awk -v n="$name" '$1 == n {print $6}' "$work/samples" | sort -u | wc -l)" >&2
    check "memory of $name stays flat" flat "$(halves "$name" 3)" 105 "$slack_kib" >&2
    check "descriptors of $name stay flat" flat "$(halves "$name" 4)" 100 0 >&2
    [ "$full" = no ] || check "the state of $name stays flat" flat "$(halves "$name" 5)" 105 4096 >&2
    read -r _ most <<<"$(halves "$name" 3)"
    [ "$most" -le "$memory" ] || memory=$most
    figure "soak: state of $name, KiB, before and behind" "$(halves "$name" 5)"
done
taken=$(ask "SELECT sum(json ->> 'taken') FROM input WHERE name IN ('accelerometer', 'step_trainer', 'customer')
              AND process IN ('accelerometer-trusted', 'step-trainer-trusted', 'customer-trusted') AND json ->> 'from' = 'landing'")
figure "soak: records taken in" "$taken"
figure "soak: records a second" $((taken / length_s))
figure "soak: largest anonymous memory, KiB" "$memory"
check "records were taken in" [ "$taken" -gt 1000 ] >&2
check_stop >&2
finish
