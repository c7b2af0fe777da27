# lib: what the parts of the torture run share.
. "$(dirname "${BASH_SOURCE[0]}")/../system/lib.sh"
full=no
[ "${1:-}" != --full ] || full=yes
# figure WHAT VALUE: one line of the table that the torture run ends with.
figure() { printf 'figure\t%s\t%s\n' "$1" "$2"; }
# choose SHORT FULL: one of both.
choose() { if [ "$full" = yes ]; then echo "$2"; else echo "$1"; fi; }
