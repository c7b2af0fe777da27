# lib: what the parts of the torture run share.
. "$(dirname "${BASH_SOURCE[0]}")/../system/lib.sh"
full=no
[ "${1:-}" != --full ] || full=yes
# figure WHAT VALUE: one line of the table that the torture run ends with.
figure() { printf 'figure\t%s\t%s\n' "$1" "$2"; }
# choose SHORT FULL: one of both.
choose() { if [ "$full" = yes ]; then echo "$2"; else echo "$1"; fi; }

# What has a seed ends like this; how to repeat it is said if it failed.
repeat_and_clean_up() {
    local status=$?
    [ "$status" -eq 0 ] || echo "to repeat: GAIT_SEED=$seed $0 $([ "$full" = no ] || echo --full)"
    (exit "$status")
    clean_up
}

# How far the processes of in_shares are: each says so in lines that begin with "seed ", in field $1.
done_so_far() {
    awk -v field="$1" '/^seed /{at[FILENAME] = $field} END {for (f in at) sum += at[f]; print sum + 0}' "$work"/share.*
}

# in_shares PROGRAM WHAT VARIABLE COUNT JOBS STRIDE FIELD: run $GAIT_BIN/PROGRAM in JOBS processes, each for its share of
# COUNT, which it is told in VARIABLE, with seeds from GAIT_FIRST on that are STRIDE apart. What they say at the end
# ("PHRASE NUMBER, PHRASE NUMBER, …", the first phrase being WHAT) is added up and becomes figures.
in_shares() {
    local program=$1 what=$2 variable=$3 count=$4 jobs=$5 stride=$6 field=$7 share job pid pids=() start=$SECONDS
    share=$(((count + jobs - 1) / jobs))
    for ((job = 0; job < jobs; job++)); do
        env "$variable=$share" GAIT_SEED= GAIT_FIRST=$((${GAIT_SEED:-1} + job * stride)) \
            "$GAIT_BIN/$program" >"$work/share.$job" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do
            [ "$full" = no ] || [ ! -t 2 ] || printf '\r%s: %s of %s ' "$what" "$(done_so_far "$field")" "$count" >&2
            sleep 1
        done
        check "a share of the $what" wait "$pid" >&2
    done
    [ ! -t 2 ] || echo >&2
    [ "$failures" -eq 0 ] || tail -n 40 "$work"/share.* >&2
    while IFS=$'\t' read -r phrase number; do
        figure "$program: $phrase" "$number"
    done < <(grep -h "^$what " "$work"/share.* | tr ',' '\n' | sed 's/^ *//' |
        awk '{number = $NF; $NF = ""; sub(/ $/, ""); if (!($0 in sum)) order[++n] = $0; sum[$0] += number}
             END {for (i = 1; i <= n; i++) printf "%s\t%d\n", order[i], sum[order[i]]}')
    figure "$program: $what a minute" $((count * 60 / (SECONDS - start + 1)))
}
