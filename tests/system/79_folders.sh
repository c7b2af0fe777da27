#!/usr/bin/env bash
# bug_380: --dir was trusted blindly: in a folder of somebody else, who had laid a link in the place of a log file, root
# appended to whatever it pointed at. And log files can be rotated while all runs.
. "$(dirname "$0")/lib.sh"

# refused PATTERN COMMAND…: it ends with 78 and says this on standard error.
refused() {
    local pattern=$1 status=0
    shift
    timeout 30 "$@" >"$work/said" 2>&1 || status=$?
    equal "${status_wanted:-78}" "$status" && { grep -qE "$pattern" "$work/said" || ! cat "$work/said"; }
}
target=$work/target
echo "not ours" >"$target"
untouched() {
    equal "not ours" "$(cat "$target")"
}
in_way() {
    (cd "$work/way" && refused 'way, which has mode 0777.*chmod o-w ' "$@")
}
: >"$work/empty.conf"
port=$(free_port)
up=("$GAIT_BIN/gait" up --port "$port" --dir)
lake=("$GAIT_BIN/lake" -p "$port" --dir)

# ---- links, and what others may write in ----

mkdir -m 0700 "$work/links" "$work/links/log" "$work/links/state"
ln -s "$target" "$work/links/log/broker.log"
check "a log file is no link" refused 'links/log/broker.log .*is a link' "${up[@]}" "$work/links"
check "nothing was appended through the link" untouched
ln -s "$work" "$work/links/state/lake"
check "a process says where the link is" refused 'links/state/lake is a link' "${lake[@]}" "$work/links"
mkdir -m 0700 "$work/store" "$work/store/state" "$work/store/state/lake" "$work/store/state/lake/store"
ln -s "$target" "$work/store/state/lake/store/data.mdb"
check "nor is a store one" refused 'store/data.mdb is a link' "${lake[@]}" "$work/store"
check "it was not written" untouched
mkdir -m 0700 "$work/open"
mkdir "$work/open/log" && chmod 0777 "$work/open/log"
check "a folder that others may write in" refused 'open/log has mode 0777.*chmod go-w ' "${up[@]}" "$work/open"
chmod 0770 "$work/open"
check "or the group" refused 'open has mode 0770.*chmod go-w ' "${lake[@]}" "$work/open"
mkdir -m 0700 "$work/locks"
mkdir "$work/way" "$work/way/dir" && chmod 0777 "$work/way"
check "bug_456: a folder on the way that everybody may write in" refused 'way, which has mode 0777.*chmod o-w ' \
    "${up[@]}" "$work/way/dir"
check "gait check finds it" refused 'way, which has mode 0777.*chmod o-w ' \
    "$GAIT_BIN/gait" check --dir "$work/way/dir" "$work/empty.conf"
check "also by a name from there" in_way "${lake[@]}" new
check "nothing was made there" equal dir "$(ls "$work/way")"
ln -s "$target" "$work/locks/lock"
check "a lock is no link" refused 'locks/lock .*is a link' "${up[@]}" "$work/locks"

# ---- what a command writes where its user says ----

simulate_to=("$GAIT_BIN/gait" simulate --customers 2 --readings 2 --out)
mkdir "$work/public" && chmod 1777 "$work/public"
ln -s "$target" "$work/public/accelerometer.ndjson"
status_wanted=1
check "bug_451: no link is followed where others may lay one" refused 'public/accelerometer.ndjson: others may write' \
    "${simulate_to[@]}" "$work/public"
check "its target is as it was" untouched
rm "$work/public/accelerometer.ndjson"
check "new files are made there" "${simulate_to[@]}" "$work/public"
check "and written anew" "${simulate_to[@]}" "$work/public"
check "with all records" equal 2 "$(wc -l <"$work/public/customer.ndjson")"
mkdir -m 0755 "$work/mine"
ln -s "$work/mine.ndjson" "$work/mine/customer.ndjson"
check "one's own link is followed" "${simulate_to[@]}" "$work/mine"
check "to its target" equal 2 "$(wc -l <"$work/mine.ndjson")"

status_wanted=78

# ---- somebody else's ----

if [ "$(id -u)" -eq 0 ]; then
    mkdir -m 0755 "$work/theirs" "$work/theirs/log"
    ln -s "$target" "$work/theirs/log/lake.log"
    chown -R 65534 "$work/theirs"
    check "a folder of somebody else" refused 'theirs belongs to user 65534.*chown' "${up[@]}" "$work/theirs"
    check "the same for one process" refused 'theirs belongs to user 65534.*chown' "${lake[@]}" "$work/theirs"
    check "nothing was made there" equal log "$(ls "$work/theirs")"
    check "it was not written to" untouched

    # bug_456: a link of somebody else was followed, and root's folder where it points filled.
    mkdir -m 0755 "$work/roots" "$work/ours" "$work/mallory" "$work/mallory/ours"
    mkdir -m 1777 "$work/sticky" && chmod 1777 "$work/sticky"
    echo precious >"$work/roots/file"
    for folder in mallory sticky ours; do
        ln -s "$work/roots" "$work/$folder/link"
        chown -h 65534 "$work/$folder/link"
    done
    chown 65534 "$work/mallory"
    # no_way DIR PATTERN: nothing works there, and all say this.
    no_way() {
        refused "$2" "${up[@]}" "$1" && refused "$2" "${lake[@]}" "$1" &&
            refused "$2" "$GAIT_BIN/gait" check --dir "$1" "$work/empty.conf" &&
            status_wanted=1 refused "$2" "$GAIT_BIN/gait" backup --dir "$1" "$work/set"
    }
    check "a folder of somebody else on the way" no_way "$work/mallory/ours" 'mallory, which belongs to user 65534.*chown'
    check "a folder made there" no_way "$work/mallory/new/new" 'mallory, which belongs to user 65534.*chown'
    check "a link there" no_way "$work/mallory/link" 'mallory, which belongs to user 65534.*chown'
    check "a link of his in a folder of ours" no_way "$work/ours/link" 'ours/link, which is a link of user 65534.*chown -h'
    check "a link of his in a sticky one" no_way "$work/sticky/link" 'sticky/link, which is a link of user 65534.*chown -h'
    check "a link of his inside the way" no_way "$work/sticky/link/new" 'sticky/link, which is a link of user 65534.*chown -h'
    check "nothing was made where they point" equal file "$(ls "$work/roots")"
    check "nor in his folder" equal "link ours" "$(ls "$work/mallory" | tr '\n' ' ' | sed 's/ $//')"
else
    echo "skip   folders of somebody else: only root can make one"
fi

# ---- log files, while it runs ----

rules any time 0
mkdir -m 0700 "$work/real"
ln -s "$work/real" "$run_dir" # the user's own link
start
log=$run_dir/log/lake.log
has_line() {
    grep -qs 'SIGHUP: \[gait\] log is' "$1"
}
mv "$log" "$log.1"
kill -HUP "$up_pid"
wait_until 10 "a line in the new log file" has_line "$log"
check "none in the old one" not has_line "$log.1"
cp "$log" "$log.2" && : >"$log" # what logrotate's copytruncate does
kill -HUP "$(pid_of lake)"
wait_until 10 "a line in the log that was cut" has_line "$log"
check "it begins at its beginning" equal "" "$(head -c 1 "$log" | tr -d 0-9)"
mv "$log" "$log.3" && ln -s "$target" "$log"
kill -HUP "$(pid_of lake)"
wait_until 10 "a word of the link" grep -q 'the log stays where it is: .*lake.log .*is a link' "$log.3"
check "the log stays" has_line "$log.3"
check "nothing went through the link" untouched

# bug_450: nor are the folders links that were none at the start: what is opened in them while it runs is opened below DIR.
mkdir "$work/elsewhere" "$work/elsewhere.pid"
mv "$run_dir/log" "$run_dir/log.old" && ln -s "$work/elsewhere" "$run_dir/log"
mv "$run_dir/pid" "$run_dir/pid.old" && ln -s "$work/elsewhere.pid" "$run_dir/pid"
lake_pid=$(cat "$run_dir/pid.old/lake.pid")
kill -HUP "$lake_pid"
wait_until 10 "a word of the folder" grep -q 'the log stays where it is: .*/log is a link' "$run_dir/log.old/lake.log.3"
kill -KILL "$lake_pid"
wait_until 10 "a word of the other" grep -q 'the pid file of lake: .*/pid is a link' "$work/up.log"
check "nothing was made at their ends" equal "" "$(ls "$work/elsewhere" "$work/elsewhere.pid" | grep -v :)"
wait_until 10 "lake can't be prepared" grep -q "lake can't be prepared: .*/log is a link" "$work/up.log"
rm "$run_dir/log" "$run_dir/pid"
mv "$run_dir/log.old" "$run_dir/log" && mv "$run_dir/pid.old" "$run_dir/pid"
wait_until 30 "lake is back, with a pid file" has_new_pid lake "$lake_pid"
check_stop
finish
