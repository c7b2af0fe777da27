#!/usr/bin/env bash
# What each process costs a record: microseconds, and instructions by what they are spent on.
#
# usage: costs.sh smoke|default|full CUSTOMERS READINGS     what needs no disk is in BENCH_MEMORY, or /dev/shm
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BENCH_BIN:?}"

. "$here/folder.sh"

# Commits wait for no disk where instructions are counted: waiting takes none.
memory=${BENCH_MEMORY:-/dev/shm}
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
make_folder "$memory"

run "$BENCH_BIN/bench-costs" "$2" "$3" || exit 1
[ "$1" != smoke ] || exit 0
if ! command -v valgrind >/dev/null || ! command -v callgrind_annotate >/dev/null; then
    echo "costs: instructions are not counted: valgrind is not installed"
    exit 0
fi

# What these do is done for whoever calls them.
skip=()
for name in 'buffer_*' 'mem*' '__mem*' 'str*' '__str*' '*alloc*' free '_int_*' 'cfree' 'unlink_chunk*'; do
    skip+=("--fn-skip=$name")
done

for process in $(grep -oE '^ *(STREAM|SINK)\([a-z_]+' "$here/../../streams/streams.h" | sed 's/.*(//' | tr _ -); do
    run env TMPDIR="$folder" valgrind --tool=callgrind --toggle-collect=work_measured "${skip[@]}" \
        --callgrind-out-file="$folder/profile" "$BENCH_BIN/bench-costs" "$2" "$3" "$process" \
        >"$folder/records" 2>"$folder/log" || {
        cat "$folder/log"
        exit 1
    }
    callgrind_annotate --threshold=100 --auto=no "$folder/profile" |
        awk -v process="$process" -v records="$(cat "$folder/records")" -f "$here/costs.awk" || exit 1
done
