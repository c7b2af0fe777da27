#!/usr/bin/env bash
# Bad input, a part at a time: the decoder, the configuration, the inbox, the link. Short: mutations of the corpus by
# tests/fuzz/replay.c. Full: libFuzzer with sanitizers for a minute each, or without clang many mutations.
. "$(dirname "$0")/lib.sh"

top=$(cd "$lib_dir/../.." && pwd)
corpus=$top/tests/fuzz/corpus
seed=${GAIT_SEED:-1}
targets=(record config inbox link)
declare -A mutations=([record]=$(choose 20000 2000000) [config]=$(choose 3000 300000) [inbox]=$(choose 1000 100000)
    [link]=$(choose 50000 5000000))

# Whether libFuzzer is there.
has_libfuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return data[size - 1]; }' >"$work/try.c"
    clang -fsanitize=fuzzer,address "$work/try.c" -o "$work/try" 2>"$work/try.log"
}

# The targets, linked with libFuzzer.
build() {
    cmake -S "$top" -B "$top/build-fuzz" -G Ninja -DCMAKE_C_COMPILER=clang -DFUZZ=ON \
        -DSANITIZE=address,undefined,fuzzer-no-link &&
        cmake --build "$top/build-fuzz" --target "${targets[@]/#/fuzz_}"
} >"$work/build.log" 2>&1

# replay TARGET: prints how many inputs there were.
replay() {
    "$GAIT_BIN/fuzz_$1" -s "$seed" -n "${mutations[$1]}" "$corpus/$1" 2>"$work/$1.log" | sed 's/ inputs//'
    [ "${PIPESTATUS[0]}" -eq 0 ] || complain "$1"
}

# fuzz TARGET: prints how many inputs there were. The corpus grows in a copy.
fuzz() {
    mkdir -p "$work/found/$1"
    cp -r "$corpus/$1" "$work/corpus.$1"
    if ! "$top/build-fuzz/bin/fuzz_$1" -seed="$seed" -max_total_time=60 -max_len=1024 -timeout=30 -print_final_stats=1 \
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
if [ "$full" = yes ]; then
    if has_libfuzzer; then
        by=fuzz
        echo "building the libFuzzer targets" >&2
        build || give_up "building: $(tail -n 20 "$work/build.log")" >&2
    else
        figure "fuzzed without libFuzzer, which needs clang and libclang-rt-14-dev" yes
    fi
fi
for target in "${targets[@]}"; do
    echo "fuzz_$target" >&2
    figure "fuzz_$target: inputs" "$("$by" "$target")"
done
findings=$(find "$work" -name 'finding.*' | wc -l)
figure "fuzz targets with findings" "$findings"
[ "$findings" -eq 0 ]
exit
