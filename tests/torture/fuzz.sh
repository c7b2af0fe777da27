#!/usr/bin/env bash
# Bad input, a part at a time: the decoder, the configuration, the inbox, the link. Short: mutations of the corpus by
# tests/fuzz/replay.c. Full: libFuzzer for a minute each, with the targets in GAIT_FUZZ_BIN; without it many mutations.
. "$(dirname "$0")/lib.sh"

corpus=$lib_dir/../fuzz/corpus
seed=${GAIT_SEED:-1}
targets=(record config inbox link)
declare -A mutations=([record]=$(choose 20000 2000000) [config]=$(choose 3000 300000) [inbox]=$(choose 1000 100000)
    [link]=$(choose 50000 5000000))

# replay TARGET: prints how many inputs there were.
replay() {
    "$GAIT_BIN/fuzz_$1" -s "$seed" -n "${mutations[$1]}" "$corpus/$1" 2>"$work/$1.log" | sed 's/ inputs//'
    [ "${PIPESTATUS[0]}" -eq 0 ] || complain "$1"
}

# fuzz TARGET: prints how many inputs there were. The corpus grows in a copy.
fuzz() {
    mkdir -p "$work/found/$1"
    cp -r "$corpus/$1" "$work/corpus.$1"
    if ! "$GAIT_FUZZ_BIN/fuzz_$1" -seed="$seed" -max_total_time=60 -max_len=1024 -timeout=30 -print_final_stats=1 \
        -artifact_prefix="$work/found/$1/" "$work/corpus.$1" >"$work/$1.log" 2>&1; then
        complain "$1"
        find "$work/found/$1" -type f -exec sh -c 'echo "the input, in base64:"; base64 "$1"' sh {} \; >&2
    fi
    sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log"
}

complain() {
    tail -n 40 "$work/$1.log" >&2
    echo "fuzz_$1 found something; again: GAIT_SEED=$seed $0$([ "$full" = no ] || echo ' --full')" >&2
    touch "$work/finding.$1"
}

by=replay
if [ "$full" = yes ] && [ -n "${GAIT_FUZZ_BIN:-}" ]; then
    by=fuzz
elif [ "$full" = yes ]; then
    figure "fuzzed without libFuzzer: GAIT_FUZZ_BIN is not set" yes
fi
for target in "${targets[@]}"; do
    echo "fuzz_$target" >&2
    figure "fuzz_$target: inputs" "$("$by" "$target")"
done
findings=$(find "$work" -name 'finding.*' | wc -l)
figure "fuzz targets with findings" "$findings"
[ "$findings" -eq 0 ]
exit
