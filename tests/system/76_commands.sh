#!/usr/bin/env bash
# What commands say and how they end: help, typing errors, -c, URLs, full disks, readers that go away, processes that do not
# answer, SIGHUP, a broker that refuses.
. "$(dirname "$0")/lib.sh"

# says STATUS PATTERN COMMAND…: the command ends so, and some line of what it says matches.
says() {
    local want=$1 pattern=$2 got=0
    shift 2
    timeout 20 "$@" >"$work/said" 2>&1 || got=$?
    equal "$want" "$got" && grep -qE -- "$pattern" "$work/said" && return 0
    echo "       want /$pattern/ of: $*"
    cat "$work/said"
    return 1
}

# one_prefix COMMAND…: every line of what it says begins with "gait".
one_prefix() {
    timeout 20 "$@" >/dev/null 2>"$work/said"
    [ -s "$work/said" ] && ! grep -qvE '^gait( [a-z]+)?: ' "$work/said"
}

bin=$GAIT_BIN/gait
commands=(up check load simulate status tail help)

# ---- help and typing errors: no broker is needed ----

check "gait help" says 0 '^  status ' "$bin" help
check "gait -h" says 0 '^usage: gait COMMAND' "$bin" -h
check "gait alone says how it is used" says 2 '^usage: gait COMMAND' "$bin"
check "a typing error" says 2 'did you mean load\?' "$bin" laod
check "bug_290: a misspelt option of gait" says 2 "unknown option '--verison'; did you mean --version\?" "$bin" --verison
check "bug_290: an option without its dashes" says 2 'did you mean --version\?' "$bin" version
for command in "${commands[@]}"; do
    check "gait $command --help" says 0 "^usage: gait $command" "$bin" "$command" --help
    check "gait $command --version" says 0 '^gait [0-9]' "$bin" "$command" --version
    check "gait $command --hepl" says 2 "^gait $command: unknown option '--hepl'; did you mean --help\?" "$bin" "$command" --hepl
    check "bug_290: gait $command -h" says 0 "^usage: gait $command" "$bin" "$command" -h
    [ "$command" = help ] || check "gait help $command" says 0 "^usage: gait $command" "$bin" help "$command"
done
check "--host alone" says 2 "option '--host' needs a value \(for help: gait status --help\)" "$bin" status --host
check "no value is shown" says 2 "option '--json' takes no value" "$bin" status --json=secret
check_not "not in this message either" grep -q secret "$work/said"
check "a table's name" says 2 'did you mean trusted/customer\?' "$bin" tail trusted/custmer
check "nothing to check" says 2 'no FILE to check' "$bin" check
for command in "${processes[@]}"; do
    check "bug_290: $command -h" says 0 "^usage: $command" "$GAIT_BIN/$command" -h
    check "$command --brokr" says 2 "^$command: .*did you mean --broker\?" "$GAIT_BIN/$command" --brokr x
done
for arguments in "nonsense" "check /nonexistent" "up x" "load customer" "load custmer x" "simulate --share 2" "status --wait-idle x" \
    "status --broker ws://h" "status --prefix /" "tail" "tail x y"; do
    check "one prefix: gait $arguments" one_prefix "$bin" $arguments
done
for arguments in --help --version "help load" "check --keys" "status --help"; do
    check "bug_260: no success on a full disk: gait $arguments" says 1 '^gait.*: standard output: No space left' \
        bash -c "'$bin' $arguments >/dev/full"
done
check "a closed standard output, too" says 1 'standard output: ' bash -c "'$bin' check --keys >&-"

# ---- addresses ----

check "an unknown scheme" says 2 "'ws://' is not spoken.*mqtts://" "$bin" status --broker ws://h:80
check "a URL in the wrong place" says 78 'gait.conf:2: \[mqtt\] host: .*is a URL' bash -c "
    printf '[mqtt]\nhost = mqtt://h\n' >'$work/gait.conf'; '$bin' check '$work/gait.conf'"

# ---- a pipeline that wants a password ----

port=$(free_port)
mosquitto_passwd -c -b "$work/passwords" gait 'se@cret' 2>/dev/null
cat >"$work/mosquitto.conf" <<END
user root
listener $port 127.0.0.1
allow_anonymous false
password_file $work/passwords
END
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
wait_until 10 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
printf '[gait]\nlog = info\n[mqtt]\nport = %s\nprefix = field/gait\nusername = gait\npassword = se@cret\n' "$port" | configure
conf=$work/gait.conf

up_refused() {
    says 1 'is not let in by the broker' "$bin" up -c "$conf" --dir "$run_dir" --broker "mqtt://gait:wrong@127.0.0.1:$port" &&
        grep -qiE 'is not ready: .*not authorized' "$work/said"
}
check "bug_263: gait up says that the broker refuses it, and ends" up_refused
start --broker 127.0.0.1
check_not "the password stands in no log" grep -rq 'se@cret' "$run_dir/log" "$work/up.log"

customer ada@example.com serial-ada 1700000000000 1700000000000 >"$work/customers"
check "gait load takes all from the configuration" says 0 . "$bin" load -c "$conf" customer "$work/customers"
check "gait status, too" "$bin" status -c "$conf" --wait-idle 30
# Whoever has nobody to read what it prints ends, though no message comes: the first line is the row that is kept.
timeout 20 "$bin" tail -c "$conf" trusted/customer 2>"$work/tail.log" | head -n 1 >"$work/row"
ended=("${PIPESTATUS[@]}")
check "bug_262: gait tail ends with its reader" equal 0 "${ended[0]}"
check "it printed the row" grep -q '"serialNumber":"serial-ada"' "$work/row"
check "a URL says it all" says 0 '^balance ok$' "$bin" status --broker "mqtt://gait:se%40cret@127.0.0.1:$port" --prefix field/gait
"$bin" tail --broker "mqtt://gait:se%40cret@127.0.0.1:$port" --prefix field/gait curated/machine_learning >"$work/tail.log" 2>&1 &
tail_pid=$!
wait_until 10 "bug_291: a command line without the password" grep -aqE 'mqtt://gait:\*+@127' "/proc/$tail_pid/cmdline"
kill "$tail_pid"
wait "$tail_pid"
check "the command line wins" says 1 'Not authorized|not authorized|bad user' "$bin" status -c "$conf" -u nobody
check "a wrong prefix is told" says 1 'nobody answers below prefix gait at ' "$bin" status -c "$conf" --prefix gait
check "bug_260: gait status on a full disk" says 1 'standard output: No space' bash -c "'$bin' status -c '$conf' >/dev/full"

# ---- SIGHUP ----

all=${#processes[@]}

reread() {
    [ "$(grep -l 'SIGHUP: \[gait\] log is debug now' "$run_dir"/log/*.log | wc -l)" -eq "$all" ]
}
sed -i 's/^log = info/log = debug/' "$conf"
mv "$run_dir/log/lake.log" "$run_dir/log/lake.log.1"
kill -HUP "$up_pid"
wait_until 10 "the log's new level" reread # in the new lake.log, too
sed -i 's/^log = debug/log = loud/' "$conf"
kill -HUP "$(pid_of lake)"
wait_until 10 "a complaint" grep -q "SIGHUP: .*gait.conf:2: \[gait\] log: 'loud'" "$run_dir/log/lake.log"
sed -i 's/^log = loud/log = info/' "$conf"

# ---- processes that do not answer ----

# All but the lake, which is the last.
for name in "${processes[@]:0:all-1}"; do
    kill -STOP "$(pid_of "$name")"
done
check "bug_261: one of six is not all" says 1 "^balance: 1 of $all answered\$" "$bin" status -c "$conf"
check_not "nor at rest" grep -qx 'at rest' "$work/said"
check "what is old is marked" grep -qE '^customer-trusted +no answer; what it said last' "$work/said"
check "it is shown" grep -qE '^  customer +1 +1( |$)' "$work/said"
check "no line is wider than a terminal" equal "" "$(awk 'length > 80' "$work/said")"
"$bin" status -c "$conf" --json >"$work/status.json"
check "--json says so" equal "$all|1|0|unknown" "$(sql :memory: "SELECT s ->> 'expected', s ->> 'answered', s ->> 'at_rest',
    coalesce(s ->> 'balanced', 'unknown') FROM (SELECT CAST(readfile('$work/status.json') AS TEXT) AS s)")"
check "--wait-idle counts them" says 1 'not at rest after 0 s: customer-trusted does not answer' \
    "$bin" status -c "$conf" --wait-idle 0
for name in "${processes[@]:0:all-1}"; do
    kill -CONT "$(pid_of "$name")"
done
check "all is well" "$bin" status -c "$conf" --wait-idle 30
check_stop

# ---- one process of which the broker has never heard anything else ----

: >"$work/alone.log"
"$GAIT_BIN/lake" -c <(sed 's|^prefix = .*|prefix = alone|' "$conf") --dir "$work/alone" 2>"$work/alone.log" &
wait_until 10 "a lake alone" grep -q ready "$work/alone.log"
check "bug_261: five of which nothing is known are not well" says 1 "^balance: 1 of $all answered\$" \
    "$bin" status -c "$conf" --prefix alone
check_not "nor at rest" "$bin" status -c "$conf" --prefix alone --wait-idle 0 2>/dev/null
finish
