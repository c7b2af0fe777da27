# folder: a folder that goes away when the script ends or is told to, with whatever it runs then. Sourced by bash.
folder=
running=

# make_folder ABOVE: $folder. Who removes it waits until nobody holds the pipe any more, so kill -9 is an end, too.
make_folder() {
    folder=$(mktemp -d "$1/gait-bench.XXXXXX") || exit 1
    exec {held}> >(trap '' INT TERM HUP && cat >/dev/null && rm -rf "$folder")
    guard=$!
    trap leave EXIT
    trap 'exit 130' INT TERM HUP
}

leave() {
    local status=$?
    trap '' INT TERM HUP
    [ -z "$running" ] || kill -TERM "$running" 2>/dev/null
    exec {held}>&-
    wait "$guard"
    exit "$status"
}

# run COMMAND…: bash takes a signal when what it waits for in the foreground has ended, which may be in minutes. This it
# does not wait for so.
run() {
    local status=0
    "$@" &
    running=$!
    wait "$running" || status=$?
    running=
    return "$status"
}
