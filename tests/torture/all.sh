#!/usr/bin/env bash
# all [--full] [PART]…: the parts of the torture run one after another, and at the end a table of their figures. Needs
# GAIT_BIN (programs and tests of the plain build) and, for some parts, GAIT_ASAN_BIN and GAIT_TSAN_BIN.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=(seeds power_cuts kills backups stall disk_full hostile fuzz payloads mutants threads soak)
full=()
if [ "${1:-}" = --full ]; then
    full=(--full)
    shift
fi
[ $# -eq 0 ] || parts=("$@")
for part in "${parts[@]}"; do
    if [ ! -f "$here/$part.sh" ]; then
        echo "there is no part '$part' of the torture run; there are: $(cd "$here" && ls *.sh | sed 's/\.sh$//' |
            grep -vx 'all\|lib' | tr '\n' ' ')" >&2
        exit 2
    fi
done

figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
failed=()
start=$SECONDS
for part in "${parts[@]}"; do
    echo "== $part" >&2
    began=$SECONDS
    bash "$here/$part.sh" "${full[@]}" >"$figures.part" || failed+=("$part")
    grep -v '^figure' "$figures.part" | grep -v '^ok ' >&2
    { grep '^figure' "$figures.part"; printf 'figure\t%s: seconds\t%d\n' "$part" $((SECONDS - began)); } >>"$figures"
    rm -f "$figures.part"
done

awk -F '\t' '{if (length($2) > wide) wide = length($2); what[NR] = $2; value[NR] = $3}
             END {for (i = 1; i <= NR; i++) printf "%-*s  %s\n", wide, what[i], value[i]}' "$figures"
echo "$((${#parts[@]} - ${#failed[@]})) passed, ${#failed[@]} failed, in $(((SECONDS - start) / 60)) min$(
    [ "${#failed[@]}" -eq 0 ] || printf ': %s' "${failed[*]}")"
[ "${#failed[@]}" -eq 0 ]
