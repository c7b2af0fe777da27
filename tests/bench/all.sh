#!/usr/bin/env bash
# All benchmarks, one after the other: lines of results on standard output, see bench.h.
#
# usage: all.sh [--full | --smoke] [BENCHMARK]…     decode growth restart pipeline costs load_shape
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${GAIT_BIN:?}" "${BENCH_BIN:?}"

size=default
case ${1:-} in
    --full | --smoke)
        size=${1#--}
        shift
        ;;
esac
case $size in
    smoke) sample_ms=1 readings=1000 starts=1 growth_s=10 cost_customers=64 ;;
    default) sample_ms=300 readings=1000000 starts=7 growth_s=45 cost_customers=256 ;;
    full) sample_ms=1000 readings=10000000 starts=15 growth_s=240 cost_customers=256 ;;
esac
if [ $# -eq 0 ]; then
    set -- decode growth restart pipeline costs load_shape
fi

# Everything that anyone makes is below this. Where nothing is measured, nobody has to wait for a disk.
[ "$size" != smoke ] || [ ! -w /dev/shm ] || TMPDIR=/dev/shm
. "$here/folder.sh"
make_folder "${TMPDIR:-/tmp}"
export TMPDIR=$folder

if [ "$size" != smoke ]; then
    echo "# gait $("$GAIT_BIN/gait" --version | awk '{ print $NF }'), $(nproc) processors, state on" \
        "$(stat -f -c %T "$TMPDIR"), load average $(cut -d ' ' -f 1 /proc/loadavg)"
fi

# Limits, in seconds: nothing here may hang for good.
status=0
for benchmark in "$@"; do
    case $benchmark in
        decode) run timeout 60 "$BENCH_BIN/bench-decode" "$sample_ms" ;;
        growth) run timeout 1200 "$BENCH_BIN/bench-growth" "$readings" "$growth_s" ;;
        restart) run timeout 600 "$here/restart.sh" "$readings" "$starts" ;;
        pipeline) run timeout 300 "$here/pipeline.sh" "$size" ;;
        costs) run timeout 300 "$here/costs.sh" "$size" "$cost_customers" 16 ;;
        load_shape) run timeout 600 "$here/load_shape.sh" "$size" ;;
        *)
            echo "all.sh: there is no benchmark called $benchmark" >&2
            exit 2
            ;;
    esac || {
        echo "FAILED $benchmark"
        status=1
    }
done
exit "$status"
