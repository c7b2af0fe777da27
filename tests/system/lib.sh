# lib: what the system tests and the demo share. Sourced by bash; GAIT_BIN is the folder with the programs.
#
# A test sources this, calls start once or more, then check for everything it wants to be true, then finish. Everything
# lives below $work, which goes away at the end; with GAIT_KEEP=1 in the environment a failed test's folder stays.
set -uo pipefail
export LC_ALL=C.UTF-8 # the same everywhere; also where there is no locale

: "${GAIT_BIN:?is not set: the folder that holds the programs}"
GAIT_BIN=$(cd "$GAIT_BIN" && pwd) # tests go elsewhere
lib_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sql_dir=$lib_dir/../../streams/sql
mapfile -t processes < <(grep -oE '^ *(STREAM|SINK)\([a-z_]+' "$lib_dir/../../streams/streams.h" | sed 's/.*(//' | tr _ -)

work=$(mktemp -d "${TMPDIR:-/tmp}/gait-test.XXXXXX")
run_dir=$work/run # the pipeline's own folder
port=
up_pid=
failures=0
loads=()

# The sqlite3 command line, whatever the user's own settings are.
sql() {
    sqlite3 -batch -init /dev/null "$@"
}

# ---- checks ----

# check NAME COMMAND…: the command must succeed.
check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok     $name"
    else
        echo "FAILED $name"
        failures=$((failures + 1))
    fi
}

# check_not NAME COMMAND…: the command must fail.
check_not() {
    local name=$1
    shift
    check "$name" not "$@"
}

not() {
    ! "$@"
}

# Whether the programs are built with a sanitizer, which wants some things otherwise.
is_sanitized() {
    [ "$(readelf -Ws "$GAIT_BIN/gait" 2>/dev/null | grep -cE '__(asan|tsan)_init')" -gt 0 ]
}

# equal WANT GOT, for check.
equal() {
    [ "$1" = "$2" ] && return 0
    echo "       want '$1', got '$2'"
    return 1
}

# The test can't go on.
give_up() {
    echo "FAILED $*"
    [ ! -s "$work/up.log" ] || tail -n 20 "$work/up.log"
    exit 1
}

# wait_until SECONDS WHAT COMMAND…: try the command until it succeeds. SECONDS are plenty on a quiet machine; it gives up after
# three times as many, since a test of ours is to fail for what gait does, not for what a busy machine does not.
wait_until() {
    local limit=$((3 * $1)) what=$2 end
    shift 2
    end=$((SECONDS + limit))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || give_up "$what did not happen in $limit s"
        sleep 0.05
    done
}

# The exit status of the test.
finish() {
    [ "$failures" -eq 0 ] || echo "$failures failed"
    [ "$failures" -eq 0 ]
    exit
}

# ---- the pipeline ----

# A port on 127.0.0.1 that nobody listens on, below those that the kernel gives to clients.
free_port() {
    local candidate
    while :; do
        candidate=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# configure: the configuration from standard input, for the next start.
configure() {
    cat >"$work/gait.conf"
}

# rules CONSENT MATCH WINDOW: a configuration with these, and addresses as the SQL has them.
rules() {
    configure <<END
[accelerometer-trusted]
consent = $1
[machine-learning-curated]
match = $2
window = $3ms
subject = email
END
}

# start [OPTION…]: start gait up, on a broker of its own if the options name none, and wait until it is ready.
start() {
    launch "$@"
    wait_until 30 "'ready' from gait up" is_ready_or_gone
    is_ready || give_up "gait up ended"
}

# launch [OPTION…]: the same without the wait.
launch() {
    [ -n "$port" ] || port=$(free_port)
    [ $# -gt 0 ] || set -- --port "$port"
    : >"$work/up.out"
    "$GAIT_BIN/gait" up -c "$work/gait.conf" --dir "$run_dir" "$@" >"$work/up.out" 2>>"$work/up.log" &
    up_pid=$!
}

is_ready() {
    grep -qx ready "$work/up.out"
}

is_ready_or_gone() {
    is_ready || ! kill -0 "$up_pid" 2>/dev/null
}

# Stop it; the status that it ended with.
stop() {
    local pid=$up_pid status=0
    up_pid=
    kill -TERM "$pid" || return
    wait "$pid" || status=$?
    return "$status"
}

# The pid of a process or of the broker, from its file.
pid_of() {
    cat "$run_dir/pid/$1.pid" 2>/dev/null
}

# kill_hard NAME: kill -9 a process (or broker) and wait until another one has taken its place.
kill_hard() {
    local name=$1 pid
    pid=$(pid_of "$name")
    kill -KILL "$pid" || return
    wait_until 30 "a new $name" has_new_pid "$name" "$pid"
}

has_new_pid() {
    local pid
    pid=$(pid_of "$1")
    [ -n "$pid" ] && [ "$pid" != "$2" ]
}

# Whatever we started is gone afterwards, and so is the folder.
clean_up() {
    local status=$? pid
    trap - EXIT
    [ -z "$up_pid" ] || kill -TERM "$up_pid" 2>/dev/null
    for _ in {1..100}; do
        [ -n "$up_pid" ] && kill -0 "$up_pid" 2>/dev/null || break
        sleep 0.1
    done
    if [ -n "$up_pid" ] && kill -0 "$up_pid" 2>/dev/null; then
        echo "gait up does not stop: killed with all its processes"
        kill -KILL "$up_pid" $(cat "$run_dir"/pid/*.pid) 2>/dev/null
    fi
    for pid in $(jobs -p); do
        kill -TERM "$pid" 2>/dev/null
    done
    wait
    if [ "$status" -ne 0 ] && [ -n "${GAIT_KEEP:-}" ]; then
        echo "kept $work"
    else
        rm -rf "$work"
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# ---- records in ----

# gait COMMAND…: a command of gait at this broker.
gait() {
    local command=$1
    shift
    "$GAIT_BIN/gait" "$command" --broker "127.0.0.1:$port" "$@"
}

# load TABLE FILE [OPTION…]: all of the file is taken when it returns.
load() {
    local table=$1 file=$2
    shift 2
    gait load "$@" "$table" "$file" 2>>"$work/load.log"
}

# simulate CUSTOMERS [OPTION…]: landing files in $work/data. One who shares with research has no phone: trusted, not
# curated.
simulate() {
    local address file=$work/data/accelerometer.ndjson
    "$GAIT_BIN/gait" simulate --customers "$@" --out "$work/data" >/dev/null 2>>"$work/load.log" ||
        give_up "gait simulate"
    address=$(grep -m 1 shareWithResearchAsOfDate "$work/data/customer.ndjson" | grep -o '[^"]*@[^"]*')
    grep -vF "\"$address\"" "$file" >"$file.less" && mv "$file.less" "$file"
}

# load_tables TABLE…: from $work/data, one after the other.
load_tables() {
    local table
    for table in "$@"; do
        check "load $table" load "$table" "$work/data/$table.ndjson"
    done
}

# load_on TABLE RATE [BATCH]: load from $work/data at RATE records a second, again and again until stop_loading, in the
# background: a load is under way whenever something is killed, on fast and slow machines. Repeats are duplicates. A load that
# gives up a process, which may be stopped for long when a test wants that, is made again to its end.
load_on() {
    load_until_stopped "$@" &
    loads+=($!)
}

load_until_stopped() {
    local pid= again= log=$work/load.$1.log
    trap 'kill -TERM $pid 2>/dev/null; exit 143' TERM # else it would wait for its receipts for ever when the test has failed
    until [ -e "$work/stop" ] && [ -z "$again" ]; do
        "$GAIT_BIN/gait" load --broker "127.0.0.1:$port" --rate "$2" --batch "${3:-16}" "$1" "$work/data/$1.ndjson" \
            2>"$log" &
        pid=$! again=
        wait "$pid" || again=$(grep 'given up: .* is stopped: ' "$log") || return
        [ -z "$again" ] || echo "$again" | tee -a "$work/given_up"
    done
}

# Wait for the loads of load_on.
stop_loading() {
    local pid
    touch "$work/stop"
    for pid in "${loads[@]}"; do
        wait_until 120 "the end of a load" is_gone "$pid"
        check "a load ends with its receipts" wait "$pid"
    done
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# publish TABLE [OPTION of mosquitto_pub…]: one message from standard input.
publish() {
    local table=$1
    shift
    mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -t "gait/landing/$table" -s "$@"
}

# customer EMAIL SERIAL UPDATED_MS [CONSENT_MS]: the record.
customer() {
    printf '{"customerName":"Name of %s","email":"%s","phone":"8015550100","birthDay":"1970-01-01",' "$1" "$1"
    printf '"serialNumber":"%s","registrationDate":1600000000000,"lastUpdateDate":%s' "$2" "$3"
    [ $# -lt 4 ] || printf ',"shareWithResearchAsOfDate":%s' "$4"
    printf '}\n'
}

# accelerometer EMAIL TIME_MS
accelerometer() {
    printf '{"user":"%s","timestamp":%s,"x":1.0,"y":-0.5,"z":0}\n' "$1" "$2"
}

# step_trainer SERIAL TIME_MS
step_trainer() {
    printf '{"sensorReadingTime":%s,"serialNumber":"%s","distanceFromObject":221}\n' "$2" "$1"
}

# ---- what comes out ----

# All input is worked everywhere.
wait_idle() {
    gait status --wait-idle "${1:-120}"
}

# listen FILE [OPTION of mosquitto_sub…]: write "> TOPIC PAYLOAD" for every message to FILE, in the background.
# Returns when it is subscribed.
listen() {
    local file=$1
    shift
    : >"$file"
    stdbuf -oL mosquitto_sub -d -h 127.0.0.1 -p "$port" -q 1 -F '> %t %p' "$@" >"$file" 2>&1 &
    wait_until 10 "a subscription" grep -q '^Subscribed' "$file"
}

# heard FILE PATTERN [COUNT]: FILE has COUNT (1) or more lines of messages that match: a message of several records has
# its topic before the first.
heard() {
    [ "$(grep -v -e '^Client ' -e '^Subscribed ' "$1" | grep -cE -- "$2")" -ge "${3:-1}" ]
}

# ask SQL: a value out of `gait status --json`, which the SQL finds in status.json.
ask() {
    gait status --json >"$work/status.json" 2>/dev/null
    sql :memory: "WITH status AS (SELECT CAST(readfile('$work/status.json') AS TEXT) AS json),
        process AS (SELECT value AS json FROM status, json_each(status.json, '\$.processes')),
        input AS (SELECT process.json ->> 'process' AS process, value ->> 'name' AS name, value AS json
                    FROM process, json_each(process.json, '\$.inputs'))
        $1"
}

# counter PROCESS INPUT COUNTER
counter() {
    ask "SELECT json ->> '$3' FROM input WHERE process = '$1' AND name = '$2'"
}

# counter_is PROCESS INPUT COUNTER VALUE, for wait_until.
counter_is() {
    [ "$(counter "$1" "$2" "$3")" = "$4" ]
}

# lake ZONE/TABLE: all its records.
lake() {
    find "$run_dir/lake/$1" -name 'part-*.ndjson' 2>/dev/null | LC_ALL=C sort | xargs -r cat
}

# compare_lake CONSENT MATCH WINDOW [DATA]: the lines of compare.sql. email_case is a variable, of which few tests know.
compare_lake() {
    local set data=${4:-$work/data} files=$work/lake
    rm -rf "$files" "$work/sets.db"
    mkdir "$files"
    for set in trusted/customer trusted/accelerometer curated/customer trusted/step_trainer curated/machine_learning; do
        lake "$set" >"$files/${set/\//_}.ndjson"
    done
    (cd "$data" && sql "$work/sets.db") <<END
.read '$sql_dir/landing.sql'
UPDATE parameters SET consent = '$1', match = '$2', window_ms = $3, email_case = '${email_case:-keep}';
.read '$sql_dir/customer_trusted.sql'
.read '$sql_dir/accelerometer_trusted.sql'
.read '$sql_dir/customer_curated.sql'
.read '$sql_dir/step_trainer_trusted.sql'
.read '$sql_dir/machine_learning_curated.sql'
END
    (cd "$files" && sql "$work/sets.db") <<END
.read '$lib_dir/lake.sql'
.read '$lib_dir/compare.sql'
END
}

# check_lake CONSENT MATCH WINDOW [DATA]: each of the five sets is what the batch SQL says.
check_lake() {
    local set lake_count batch_count same lines=0
    while IFS='|' read -r set lake_count batch_count same; do
        lines=$((lines + 1))
        check "$set: $lake_count records in the lake, $batch_count by the SQL, equal" equal yes "$same"
        check "$set is not empty" [ "$batch_count" -gt 0 ]
    done < <(compare_lake "$@")
    check "five sets were compared" equal 5 "$lines"
}

# check_balance: promise 3, by every process's own counters.
check_balance() {
    local unbalanced
    unbalanced=$(ask "SELECT process || ' ' || name FROM input
                       WHERE json ->> 'taken' <> (json ->> 'passed') + (json ->> 'waiting') + (json ->> 'refused')
                           + (json ->> 'duplicate') + (json ->> 'stale') + (json ->> 'invalid')")
    check "every record is accounted for" equal "" "$unbalanced"
    check "gait status says so" equal 1 "$(ask "SELECT json ->> 'balanced' FROM status")"
}

# check_stop: gait up ends with status 0.
check_stop() {
    check "gait up stops cleanly" stop
}
