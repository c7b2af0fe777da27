#!/usr/bin/env bash
# The rules of the house that a compiler does not check.
. "$(dirname "$0")/lib.sh"
cd "$lib_dir/../.." || exit 1

# one_file HEADER FILE: only FILE includes HEADER.
one_file() {
    equal "$2" "$(grep -rlE "#include [<\"]($1)[>\"]" lib streams cmd | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')"
}

check "LMDB has one user" one_file 'lmdb\.h' lib/store/store.c
check "Paho has one user" one_file 'MQTTAsync\.h' lib/mqtt/mqtt.c
# unled: what Paho's archive, as it is linked, does not call by the names that paho.syms gives. A Paho that called something
# else would wait where ours does not, and nobody would say so.
unled() {
    awk '{print $2}' lib/mqtt/paho.syms | grep -vxFf <(nm "$GAIT_BIN/../paho.a" 2>/dev/null | awk '$1 == "U" {print $2}')
}
check "Paho's calls are led to us" equal "" "$(unled)"
check "cJSON has one user" one_file '(cjson/)?cJSON\.h' lib/record/json.c
check "libsodium has one user" one_file 'sodium\.h' lib/base/hash.c
check "zlib and zstd have one user" one_file '(zlib|zstd)\.h' cmd/gait/load/unpack.c
check "libcsv has one user" one_file 'csv\.h' cmd/gait/load/rows.c

# The torture run starts them without arguments.
check_not "mutants are caught by tests that need no arguments" \
    grep -rhnE '^caught-by:.* (fuzz_|[a-z_]*\.sh)' tests/torture/mutants
check "the jobs are found in their list" [ "${#processes[@]}" -ge 6 ]
names=$(printf '%s\n' "${processes[@]}" | grep -v '^lake$' | paste -sd '|')
check_not "lib names no stream" grep -rnE "^[^/*]*($names)" lib --include=*.c
check_not "streams know no broker" grep -rnE '#include "(mqtt|wire|links|run|daemon)/' streams
check_not "operators know no broker and no clock" grep -rnE '#include "(run|mqtt|base/clock)|time\(|clock_gettime' lib/operator
check_not "nobody goes round the doors of the house" grep -rnE '#include "(\.|[^"/]*")' lib streams cmd
# made_by_hand FOLDER…: code that puts a topic or filter together itself, without its comments.
made_by_hand() {
    local file
    find "$@" -name '*.[ch]' ! -path 'lib/wire/topic.*' | while read -r file; do
        sed -E 's|/\*.*||; s|^ \*.*||' "$file" | sed "s|^|$file: |"
    done | grep -E "\"[^\"]*/[+#][\"/]|\bprefix\b.*%s/|%s/.*\bprefix\b|add_byte\([^,]*topic[^,]*, '/'\)|\"[^\"]*/(feed|oldest)\b"
}
# refusal.c says to people which topic a record came on.
check "topics are made in one module" equal "" "$(made_by_hand lib cmd streams | grep -v '^lib/run/refusal\.c:')"
check_not "no header shows a variable that can be changed" grep -rnP '^extern (?!.*\bconst\b)' lib streams cmd --include=*.h
check_not "no line is longer than 125 columns" grep -rnE '^.{126,}' lib streams cmd tests --include=*.c --include=*.h

unspaced_declarations() {
    find lib streams cmd tests -name '*.[ch]' -print0 | xargs -0 awk -f "$lib_dir/declarations.awk"
}
check "a blank line is behind the declarations that a function begins with" equal "" "$(unspaced_declarations)"

# A comment is above every function that a header declares, or above the block in which it stands.
bare_prototypes() {
    find lib streams cmd -name '*.h' -print0 | xargs -0 awk '
        FNR == 1 { said = inside = 0 }
        /^}/ { inside = 0; next }
        inside { next }
        /^$/ { said = 0 }
        /\*\/$/ { said = 1 }
        /\{$/ && !/^extern "C"/ { inside = 1 }
        /^[a-z_][^=]*[ *][a-z_0-9]+\(/ && !/^(typedef|struct [a-z_]+ \{)/ || /^[a-z_0-9]+\(/ {
            if (!said)
                print FILENAME ":" FNR ": no comment says what this does"
        }'
}
check "a comment is above every function that a header declares" equal "" "$(bare_prototypes)"

# The core hears and speaks through transport.h alone, and nobody else knows its inside.
check_not "the core has nothing of links, wire or broker" \
    grep -rniE '#include [<"](links|wire)/|mqtt|paho|broker|\.sync\b' lib/run
# seen_by HEADER FILES: only they include it, of tests, too.
seen_by() {
    equal "$2" "$(grep -rlE "#include [<\"]$1[>\"]" lib streams cmd tests | LC_ALL=C sort | paste -sd ' ')"
}
check "one file knows the inside of a batch, and one of the tests" \
    seen_by 'run/batch_state\.h' 'lib/run/batch.c tests/unit/inside.c'
check "one file knows the inside of a process, and one of the tests" \
    seen_by 'run/process_state\.h' 'lib/run/process.c tests/unit/inside.c'
# seen_by_namesakes MODULE: its inside is included by MODULE.c and MODULE_*.c, and by nobody else.
seen_by_namesakes() {
    seen_by "$1_state\.h" "$(ls "lib/$1".c "lib/$1"_*.c | LC_ALL=C sort | paste -sd ' ')"
}
check "the files of the transport, and nobody else, know its inside" seen_by 'links/links_state\.h' \
    "$(printf 'lib/links/%s.c ' answers arrive kept links newcomer probe recall refill show sync transaction)tests/unit/inside.c"
for module in store/keyset operator/filter operator/join links/inbox; do
    check "the files of ${module#*/}, and nobody else, know its inside" seen_by_namesakes "$module"
done
check_not "the tests of the core know no transport but their own" \
    grep -nE '#include "(links|wire|mqtt|streams)/|"(inside|memory_process|memory_wire)\.h"' \
    tests/unit/memory_transport.h tests/unit/test_run_{process,gather,place,refusal}.c

for main in cmd/*/main.c; do
    check "$main fits a screen" [ "$(wc -l <"$main")" -le 80 ]
done
check "the README has all keys as they are" \
    equal "$("$GAIT_BIN/gait" check --keys --markdown)" "$(sed -n '/^| section | key/,/^$/p' README.md | sed '/^$/d')"

# Rooms move, and what is said of them stays. "`name`.h" of a document may lie in any room.
gone() {
    local name
    grep -rhoE '\b(base|daemon|lake|links|mqtt|operator|record|run|state|store|wire|streams)/[a-z_]+\.[ch]\b' \
        lib cmd streams tests --include=*.[ch] --include=*.sh | sort -u >"$work/named"
    grep -hoE '\b(base|daemon|lake|links|mqtt|operator|record|run|state|store|wire|streams)/[a-z_]+\.[ch]\b' ./*.md |
        sort -u >>"$work/named"
    while read -r name; do
        [ -e "lib/$name" ] || [ -e "$name" ] || echo "$name is named, and is not there"
    done <"$work/named"
}
check "what sources and documents name is there" equal "" "$(gone)"
finish
