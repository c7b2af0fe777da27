#!/usr/bin/env bash
# What each process costs a record: microseconds, and instructions by what they are spent on.
#
# usage: costs.sh smoke|default|full CUSTOMERS READINGS
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BENCH_BIN:?}"

"$BENCH_BIN/bench-costs" "$2" "$3" || exit 1
[ "$1" != smoke ] || exit 0
if ! command -v valgrind >/dev/null || ! command -v callgrind_annotate >/dev/null; then
    echo "costs: instructions are not counted: valgrind is not installed"
    exit 0
fi

# Commits wait for no disk here: waiting takes no instructions.
memory=/dev/shm
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
work=$(mktemp -d "$memory/gait-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# What these do is done for whoever calls them.
skip=()
for name in 'buffer_*' 'mem*' '__mem*' 'str*' '__str*' '*alloc*' free '_int_*' 'cfree' 'unlink_chunk*'; do
    skip+=("--fn-skip=$name")
done

for process in customer-trusted accelerometer-trusted customer-curated step-trainer-trusted machine-learning-curated \
    lake; do
    records=$(TMPDIR=$work valgrind --tool=callgrind --toggle-collect=work_measured "${skip[@]}" \
        --callgrind-out-file="$work/profile" "$BENCH_BIN/bench-costs" "$2" "$3" "$process" 2>"$work/log") || {
        cat "$work/log"
        exit 1
    }
    callgrind_annotate --threshold=100 --auto=no "$work/profile" |
        awk -v process="$process" -v records="$records" -f "$here/costs.awk" || exit 1
done
