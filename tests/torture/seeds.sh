#!/usr/bin/env bash
# The simulator over many seeds (tests/simulator), in as many processes as there are processors.
. "$(dirname "$0")/lib.sh"

seeds=$(choose 300 10000)
jobs=$(nproc)
first=${GAIT_FIRST:-1}
share=$(((seeds + jobs - 1) / jobs))
start=$SECONDS
pids=()
for ((job = 0; job < jobs; job++)); do
    GAIT_FIRST=$((first + job * share)) GAIT_SEEDS=$share "$GAIT_BIN/simulator" >"$work/seeds.$job" 2>&1 &
    pids+=($!)
done
# Each says after every hundred seeds how far it is.
done_seeds() {
    awk '/^seed /{at[FILENAME] = $2} END {for (f in at) sum += at[f]; print sum + 0}' "$work"/seeds.*
}
for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do
        [ "$full" = no ] || [ ! -t 2 ] || printf '\rseeds: %s of %s ' "$(done_seeds)" "$seeds" >&2
        sleep 1
    done
    check "a share of the seeds" wait "$pid" >&2
done
[ ! -t 2 ] || echo >&2
[ "$failures" -eq 0 ] || grep -h -B 8 'to repeat it' "$work"/seeds.* >&2

# "seeds 100, phases 150, …": the sums.
sums() {
    cat "$work"/seeds.* | grep '^seeds ' | tr ',' '\n' | sed 's/^ *//' |
        awk '{value = $NF; $NF = ""; sub(/ $/, ""); if (!($0 in sum)) order[++n] = $0; sum[$0] += value}
             END {for (i = 1; i <= n; i++) printf "%s\t%d\n", order[i], sum[order[i]]}'
}
while IFS=$'\t' read -r what value; do
    figure "simulator: $what" "$value"
done < <(sums)
figure "simulator: seeds a minute" $((seeds * 60 / (SECONDS - start + 1)))
finish
