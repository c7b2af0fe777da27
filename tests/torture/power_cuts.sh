#!/usr/bin/env bash
# What power cuts leave (tests/power_cut): so many different states of the disk, in as many processes as there are
# processors.
. "$(dirname "$0")/lib.sh"

states=$(choose 2000 100000)
jobs=$(choose 1 "$(nproc)")
first=${GAIT_SEED:-1}
start=$SECONDS
pids=()
for ((job = 0; job < jobs; job++)); do
    GAIT_SEED='' GAIT_FIRST=$((first + job * 100000)) GAIT_STATES=$(((states + jobs - 1) / jobs)) \
        "$GAIT_BIN/power_cut" >"$work/states.$job" 2>&1 &
    pids+=($!)
done
# Each says before every seed how far it is.
done_states() {
    awk '/^seed /{at[FILENAME] = $4} END {for (f in at) sum += at[f]; print sum + 0}' "$work"/states.*
}
for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do
        [ "$full" = no ] || [ ! -t 2 ] || printf '\rstates: %s of %s ' "$(done_states)" "$states" >&2
        sleep 1
    done
    check "a share of the states" wait "$pid" >&2
done
[ ! -t 2 ] || echo >&2
[ "$failures" -eq 0 ] || tail -n 40 "$work"/states.* >&2

# "states 100, instants 150, …": the sums.
sums() {
    cat "$work"/states.* | grep '^states ' | tr ',' '\n' | sed 's/^ *//' |
        awk '{value = $NF; $NF = ""; sub(/ $/, ""); if (!($0 in sum)) order[++n] = $0; sum[$0] += value}
             END {for (i = 1; i <= n; i++) printf "%s\t%d\n", order[i], sum[order[i]]}'
}
while IFS=$'\t' read -r what value; do
    figure "power cuts: $what" "$value"
done < <(sums)
figure "power cuts: seconds" $((SECONDS - start))
finish
