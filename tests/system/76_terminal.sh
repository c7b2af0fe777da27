#!/usr/bin/env bash
# Nothing that comes from outside speaks to a terminal: names of files and folders, arguments, addresses, what stands in
# files, what the broker has kept of others. Every command is given an ESC, a line end, DEL and C1 wherever it takes a word.
. "$(dirname "$0")/lib.sh"

evil=$'x\e]0;title\a\e[2J\x7f\xc2\x9b31m\xe2\x80\xae'
shown='x?]0;title??[2J??31m?'
dir=$work/$evil
mkdir "$dir"
bin=$GAIT_BIN/gait

# is_quiet FILE: no control character in it but line ends and tabs, also none as UTF-8.
is_quiet() {
    ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1" || ! sed -n l "$1"
}

# quiet NAME STATUS SHOWN COMMAND…: it ends so, says SHOWN, in a line, and nothing that speaks to a terminal.
quiet() {
    local name=$1 want=$2 words=$3 got=0
    shift 3
    timeout 20 "$@" >"$work/said" 2>&1 || got=$?
    check "$name: it ends with $want" equal "$want" "$got"
    check "$name: it is said" grep -qF -- "$words" "$work/said"
    check "bug_365: $name: nothing speaks to a terminal" is_quiet "$work/said"
}

# ---- names ----

quiet "a command" 2 "unknown command '$shown'" "$bin" "$evil"
quiet "an option" 2 "unknown option '--$shown'" "$bin" status "--$evil"
quiet "an argument" 2 "$shown" "$bin" status "$evil"
quiet "a table" 2 "there is no table '$shown'" "$bin" tail "$evil"
quiet "a table to load" 2 "'$shown' is not a table" "$bin" load "$evil" /dev/null
quiet "a process" 2 "there is no process '$shown'" "$bin" status --acknowledge "$evil"
quiet "a kind of broker" 2 "'$shown://' is not spoken" "$bin" status --broker "$evil://h"
quiet "a host" 2 "broker '[$shown' is no address" "$bin" status --broker "[$evil"
quiet "a prefix" 2 "$shown" "$bin" status --prefix "$evil"
quiet "a configuration that is not there" 78 "$shown/no" "$bin" check "$dir/no"

# ---- a configuration ----

printf '[gait]\nlog = info\n' >"$dir/good"
quiet "a configuration without faults" 0 "$shown/good: no faults" "$bin" check "$dir/good"
printf '[\xc2\x9b31m]\n[gait]\nlog = \xc2\x9b31m\n\xc2\x9b31m = x\n' >"$dir/bad"
quiet "a configuration with faults" 78 "$shown/bad:1: [?31m]: unknown section" "$bin" check "$dir/bad"
check "a value" grep -qF "log: '?31m'" "$work/said"
check "a key" grep -qF "[gait] ?31m" "$work/said"
quiet "a process with a configuration with faults" 78 "$shown/bad:3" "$GAIT_BIN/lake" -c "$dir/bad"

# ---- files and folders ----

quiet "a file that is not there" 1 "$shown/no" "$bin" load customer "$dir/no"
printf '\xc2\x9b31m,email\n1,2\n' >"$dir/columns.csv"
quiet "columns of nobody" 65 "?31m" "$bin" load --csv --broker 127.0.0.1:1 customer "$dir/columns.csv"
printf '\x1f\x8bdamaged' >"$dir/packed"
quiet "a packed file that is none" 1 "$shown/packed" "$bin" load customer "$dir/packed"
: >"$dir/file"
quiet "a folder that is none, for files" 1 "$shown/file" "$bin" simulate --out "$dir/file"
quiet "for a pipeline" 78 "$shown/file" "$bin" up --dir "$dir/file"
quiet "for a process" 78 "$shown/file" "$GAIT_BIN/lake" --dir "$dir/file"
quiet "nothing to back up" 1 "$shown" "$bin" backup --dir "$dir" "$dir/backup"
quiet "no backup" 1 "$shown/file" "$bin" restore --dir "$dir/new" "$dir/file"
mkdir "$dir/made"
printf 'gait backup 1\nprocess \x9b31m\nfile %032d 1 state/\e[2J\nend %032d\n' 0 0 >"$dir/made/manifest"
quiet "a backup that somebody made" 1 "$shown/made/manifest" "$bin" restore --dir "$dir/new" "$dir/made"
quiet "a line end in a name" 1 "$shown/two?lines" "$bin" load customer "$dir/two"$'\n'"lines"
check "one event is one line" equal 1 "$(wc -l <"$work/said")"

# ---- what the broker has kept of others ----

port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$work/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
wait_until 10 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
word='\xc2\x9b31m\x7f\\u009b\\u001b[2J'
printf "{\"process\":\"customer-trusted\",\"state\":\"stopped$word\",\"why\":\"why$word\",\"output\":{\"topic\":\"$word\",
    \"epoch\":\"$word\",\"last\":7,\"consumers\":[{\"name\":\"name$word\",\"applied\":1}]},\"reasons\":{\"bad_json\":1,
    \"$word\":2},\"gauges\":{\"gauge$word\":3},\"recent\":{\"bad_json\":[{\"field\":\"field$word\",\"topic\":\"topic$word\",
    \"time\":1700000000000}]}}" |
    mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -r -t gait/metrics/customer-trusted -s
quiet "status" 1 "why: why" "$bin" status --broker "127.0.0.1:$port"
check "it has a gauge" grep -q 'gauge?' "$work/said"
check "it has a consumer" grep -q 'wait for name?' "$work/said"
quiet "rejected" 1 "topic?" "$bin" rejected --broker "127.0.0.1:$port"
check "it has a field" grep -q 'field?' "$work/said"
quiet "status for programs" 1 '"why":"why\u009b31m\u007f\u009b\u001b[2J"' "$bin" status --json --broker "127.0.0.1:$port"
check "it is the same document" equal $'why\xc2\x9b31m\x7f\xc2\x9b\e[2J' "$(grep '^{' "$work/said" >"$work/json"
    sql :memory: "SELECT CAST(readfile('$work/json') AS TEXT) ->> '\$.processes[0].why'")"
quiet "rejected for programs" 1 'topic' "$bin" rejected --json --broker "127.0.0.1:$port"
kill %1
finish
