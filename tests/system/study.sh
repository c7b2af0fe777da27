# study: what the tests of a consumer from outside (conf/study.sh) share. Sourced behind lib.sh, by tests that say in
# $customers how many there are and in $t0 when their readings begin.
trap 'status=$?; [ -z "${study_pid:-}" ] || kill -TERM -- "-$study_pid" 2>/dev/null; (exit "$status"); clean_up' EXIT

# readings FROM COUNT: of each customer's phone and trainer, at the same instants.
readings() {
    local table form
    for table in accelerometer step_trainer; do
        form='{"user":"c%d@example.com","timestamp":%.0f,"x":1.0,"y":-0.5,"z":0}\n'
        [ "$table" = accelerometer ] || form='{"serialNumber":"serial-%d","sensorReadingTime":%.0f,"distanceFromObject":221}\n'
        awk -v t0="$t0" -v from="$1" -v count="$2" -v customers="$customers" -v form="$form" 'BEGIN {
            for (i = from; i < from + count; i++)
                for (c = 1; c <= customers; c++)
                    printf form, c, t0 + 10 * i + c
        }' >"$work/$table.ndjson"
        check "load $2 readings of each $table" load "$table" "$work/$table.ndjson"
    done
}

# study.sh in a folder, and process group, of its own; it finds the broker where mosquitto's clients look for their options.
start_study() {
    mkdir -p "$work/study"
    printf -- '-h 127.0.0.1\n-p %s\n' "$port" | tee "$work/study/mosquitto_pub" >"$work/study/mosquitto_sub"
    cd "$work/study" || exit
    XDG_CONFIG_HOME=$work/study setsid sh "$lib_dir/../../conf/study.sh" >"$work/study/log" 2>&1 &
    study_pid=$!
    cd "$work" || exit
}

# Its group has the pid of setsid, which becomes the shell.
stop_study() {
    kill -TERM -- "-$study_pid"
    wait "$study_pid" 2>/dev/null
    study_pid=
}

# study SQL: what study.db says.
study() {
    sql -cmd '.timeout 5000' "$work/study/study.db" "$1" 2>/dev/null
}
