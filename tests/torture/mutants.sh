#!/usr/bin/env bash
# mutants [--full] [NAME]…: does the proof prove anything? Each patch in mutants/ breaks a promise in a copy of the source,
# and a test must notice. One that survives fails the run, and so does one that no longer applies: the list is kept up
# with the source.
#
# A patch begins with sentences that say what it breaks, and a line "caught-by:" with the test programs that may notice;
# one that does is enough, and the first to be asked is the first that is named. A test that hangs has noticed nothing.
# The short version tries a few.
. "$(dirname "$0")/lib.sh"
[ "$full" = no ] || shift

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
copy=$work/copy
build=$work/build
limit_s=900
few=(acknowledge_before_append commit_without_outbox duplicate_not_recognised no_new_subscription
    applied_out_of_order trim_one_too_far)
export GAIT_SEEDS GAIT_ONE_FAILURE=1 TMPDIR=$work/tmp

if [ $# -gt 0 ]; then
    names=("$@")
elif [ "$full" = yes ]; then
    mapfile -t names < <(cd "$here/mutants" && ls *.patch | sed 's/\.patch$//')
else
    names=("${few[@]}")
fi

catchers_of() {
    sed -n 's/^caught-by: //p' "$here/mutants/$1.patch"
}

# The files that a mutant changes.
files_of() {
    sed -n 's/^+++ b\///p' "$here/mutants/$1.patch"
}

# make_copy: the source, and a build folder for it that only compiles what a mutant changes.
make_copy() {
    mkdir -p "$copy" "$work/whole" "$TMPDIR" &&
        cp -R "$top/CMakeLists.txt" "$top/cmd" "$top/lib" "$top/man" "$top/streams" "$top/tests" "$copy" &&
        cmake -S "$copy" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DWARNINGS_ARE_ERRORS=OFF
}

compile() {
    cmake --build "$build" --target "$@"
}

# run CATCHER: its exit status. The first test that fails is the last that it says anything of.
run() {
    rm -rf "$TMPDIR"
    mkdir "$TMPDIR"
    # In a shell of its own, or this one would say that it was aborted.
    (timeout -k 5 "$limit_s" stdbuf -oL "$build/bin/$1" 2>&1 | sed -u '/^\[  FAILED  \]/q' >"$work/output") 2>/dev/null
}

# what_it_said CATCHER: which test failed first, in the last run, or with which seed.
what_it_said() {
    awk -v catcher="$1" '/^\[ RUN /{test = $NF; seed = ""}
        match($0, /GAIT_SEED=[0-9]+/) && seed == "" {seed = substr($0, RSTART, RLENGTH)}
        /^\[  FAILED  \]/{exit}
        END {print catcher ": " (test ~ /^whatever_/ && seed != "" ? seed : test)}' "$work/output"
}

complain() {
    printf '%-36s %s\n' "$name" "$*" >&2
    failures=$((failures + 1))
}

# ask_all: $by says which of the catchers notices, and what it says.
ask_all() {
    local catcher status

    for catcher in "${catchers[@]}"; do
        run "$catcher"
        status=$?
        if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
            echo "$name: $catcher hangs" >&2
        elif [ "$status" -ne 0 ]; then
            by=$(what_it_said "$catcher")
            return
        fi
    done
}

# try NAME: whether it is caught; $by says by what.
try() {
    local files applied=yes
    by=
    mapfile -t files < <(files_of "$1")
    (cd "$copy" && cp --parents "${files[@]}" "$work/whole")
    patch -d "$copy" -p 1 -s -F 0 -r - --no-backup-if-mismatch <"$here/mutants/$1.patch" >"$work/output" 2>&1 || applied=no
    if [ "$applied" = no ]; then
        complain "does not apply any more"
    elif ! compile "${catchers[@]}" >"$work/output" 2>&1; then
        complain "does not compile"
        grep 'error:' "$work/output" >&2
    else
        for GAIT_SEEDS in "$seeds_first" "$seeds"; do
            ask_all
            [ -z "$by" ] || break
        done
        [ -n "$by" ] || complain "SURVIVES ${catchers[*]}"
    fi
    (cd "$work/whole" && cp --parents "${files[@]}" "$copy")
    [ -n "$by" ]
}

command -v patch >/dev/null || give_up "patch is not installed"
make_copy >"$work/output" 2>&1 || give_up "the copy can't be built: $(cat "$work/output")"
mapfile -t all < <(for name in "${names[@]}"; do catchers_of "$name"; done | tr ' ' '\n' | sort -u)
compile "${all[@]}" >"$work/output" 2>&1 || give_up "the copy does not compile: $(grep 'error' "$work/output")"
# Nearly all are noticed by few seeds, or by a test behind these; some mistakes take several faults in a row to show.
seeds_first=100
seeds=$(choose 500 5000)
GAIT_SEEDS=$seeds_first # seeds.sh has run far more, without a mutant
for catcher in "${all[@]}"; do
    run "$catcher" || give_up "$catcher fails without any mutant: $(cat "$work/output")"
done
echo "without a mutant: ${all[*]} pass ($SECONDS s)" >&2

caught=0
for name in "${names[@]}"; do
    began=$SECONDS
    read -ra catchers < <(catchers_of "$name")
    if try "$name"; then
        caught=$((caught + 1))
        printf '%-36s %s (%s s)\n' "$name" "$by" $((SECONDS - began)) >&2
    fi
done
figure "mutants tried" "${#names[@]}"
figure "mutants caught" "$caught"
finish
