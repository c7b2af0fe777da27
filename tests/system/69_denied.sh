#!/usr/bin/env bash
# A broker whose ACL does not let gait do what it has to: what is refused is kept and comes when it may, status says which
# topic is refused to which account, and the log says it in a few lines; also where nothing is refused, but nothing comes either.
# bug_342, bug_343, bug_346, bug_400, bug_401, bug_402
. "$(dirname "$0")/lib.sh"

t0=1700000000000
broker_pid=

# broker QUEUED LINE…: a mosquitto with max_queued_messages QUEUED and these lines for user gait in its ACL. It remembers
# nothing of the one before.
broker() {
    local queued=$1
    shift
    [ -z "$broker_pid" ] || stop_broker
    allow "$@"
    cat >"$work/mosquitto.conf" <<END
user root
listener $port 127.0.0.1
allow_anonymous true
password_file $work/passwords
acl_file $work/acl
max_queued_messages $queued
set_tcp_nodelay true
log_type all
END
    PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >>"$work/broker.log" 2>&1 &
    broker_pid=$!
    wait_until 10 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
}

stop_broker() {
    kill -TERM "$broker_pid"
    wait "$broker_pid"
}

# allow LINE…: what gait may do; the test itself may do anything but that of gait.
allow() {
    printf '%s\n' "topic readwrite #" "user gait" "$@" >"$work/acl"
}

# allow_now LINE…: the same, while the broker runs.
allow_now() {
    allow "$@"
    kill -HUP "$broker_pid"
}

why() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = '$1'"
}

# why_says PROCESS TEXT…: all of them stand in it; an empty one: nothing does.
why_says() {
    local text process=$1 said
    said=$(why "$process")
    shift
    for text; do
        [[ -n $text || -z $said ]] && [[ $said == *"$text"* ]] || return 1
    done
}

trimmed_is() {
    [ "$(ask "SELECT json ->> '\$.output.trimmed' FROM process WHERE json ->> 'process' = '$1'")" = "$2" ]
}

rejected_waiting_is() {
    [ "$(ask "SELECT json ->> 'rejected_waiting' FROM process WHERE json ->> 'process' = '$1'")" = "$2" ]
}

# denied CLIENT TOPIC: the broker has refused a message of it.
denied() {
    grep -q "Denied PUBLISH from $1 .*'$2'" "$work/broker.log"
}

# without_receipt: a reading comes in, and there is no answer.
without_receipt() {
    ! mosquitto_rr -h 127.0.0.1 -p "$port" -V 5 -q 1 -W 1 -t gait/landing/accelerometer -e gait/receipt/me -m '{}' 2>/dev/null
}

receipt_is_missed() {
    without_receipt && why_says accelerometer-trusted gait/receipt/me "user gait" "Not authorized"
}

# status_is_content: the exit status of gait status, whose lines go to a file as one.
status_is_content() {
    local status=0
    gait status >"$work/status" 2>&1 || status=$?
    tr -s ' \n' ' ' <"$work/status" >"$work/line"
    return "$status"
}

lines() {
    grep -c -- "$2" "$run_dir/log/$1.log"
}

mosquitto_passwd -c -b "$work/passwords" gait secret 2>/dev/null
port=$(free_port)
configure <<END
[mqtt]
username = gait
password = secret
END
all_but_output=("topic read gait/#" "topic write gait/link/#" "topic write gait/status/#" "topic write gait/metrics/#"
    "topic write gait/answer/#" "topic write gait/receipt/#" "topic write gait/trusted/customer/#"
    "topic write gait/curated/#")
broker 1000000 "${all_but_output[@]}"
start --broker "127.0.0.1:$port"
customer ada@example.com serial-ada $t0 $t0 | publish customer
for i in 1 2 3 4 5; do
    accelerometer ada@example.com $((t0 + i)) | publish accelerometer
    echo '{}' | publish step_trainer
done

# Output and rejections are refused: they wait, and consumers have what they are sent.
wait_until 30 "a why with topic and account" \
    why_says accelerometer-trusted "gait/trusted/accelerometer" "user gait" "Not authorized" "ACL"
wait_until 10 "likewise of rejections" why_says step-trainer-trusted "gait/rejected/step-trainer-trusted" "user gait"
wait_until 20 "the consumers go on" counter_is machine-learning-curated accelerometer taken 5
check "bug 342: what is refused does not count as delivered" trimmed_is accelerometer-trusted 0
check_not "bug 342: nor do rejections" rejected_waiting_is step-trainer-trusted 0
check "bug 342: one line, not one a message" equal 1 "$(lines accelerometer-trusted 'refuses gait/trusted/accelerometer')"
check "the connection lives on" equal 0 "$(lines accelerometer-trusted 'not connected')"
check_not "bug 402: gait status fails" status_is_content
wait_until 20 "the question that may not be asked" denied gait-accelerometer-trusted gait/landing/accelerometer/.probe
check "which nobody hears of" equal 0 "$(lines accelerometer-trusted gait/landing)"

listen "$work/heard" -V 5 -t gait/trusted/accelerometer -t 'gait/rejected/#'
allow_now "topic readwrite gait/#"
wait_until 40 "all of it, when it may come" heard "$work/heard" '^> gait/trusted/accelerometer ' 1
wait_until 40 "rejections too" rejected_waiting_is step-trainer-trusted 0
check "each reading is heard" equal 5 "$(grep -o '"timestamp":[0-9]*' "$work/heard" | sort -u | wc -l)"
check "at rest" wait_idle

# 2.0.11 cuts who is denied, if max_queued_messages is 0.
broker 0 "${all_but_output[@]}"
accelerometer ada@example.com $((t0 + 6)) | publish accelerometer
wait_until 120 "bug 343: a line about the connection" grep -q 'or does the broker cut' "$run_dir/log/accelerometer-trusted.log"
wait_until 60 "a why with topic and account" why_says accelerometer-trusted "gait/trusted/accelerometer" "user gait"
check "bug 343: and no new line for each time" [ "$(lines accelerometer-trusted 'refuses gait/trusted/acc')" -le 2 ]

# Granted, and silent: nothing of our own comes back.
broker 1000000 "topic write gait/#" "topic read gait/ask"
wait_until 60 "bug 346: a line that says so" grep -q 'does not come back to user gait' "$run_dir/log/lake.log"
check "bug 346: once" equal 1 "$(lines lake 'does not come back')"

# So is landing. Until something comes, and by then nobody has to say anything.
silent="nothing comes in: our own message to gait/landing"
broker 1000000 "topic write gait/#" "topic read gait/ask" "topic read gait/link/#"
for of in customer step_trainer accelerometer; do
    wait_until 40 "bug 400: a why with topic and account" why_says "${of/_/-}-trusted" \
        "$silent/$of/.probe does not come back to user gait" "to read gait/landing/$of/#"
done
check "bug 400: one line" equal 1 "$(lines accelerometer-trusted "landing: $silent")"
check_not "bug 402: gait status fails" status_is_content
check "and says whose why to read" \
    grep -qE 'not well: customer-trusted, accelerometer-trusted,.* step-trainer-trusted' "$work/line"
check "as it does for programs" equal 0 "$(ask "SELECT json ->> 'well' FROM status")"
check "what has come in is worked" wait_idle
allow_now "topic readwrite gait/#"
wait_until 50 "the messages come back" status_is_content
check "for programs, too" equal 1 "$(ask "SELECT json ->> 'well' FROM status")"

# Receipts, which nobody acknowledges.
allow_now "topic deny gait/receipt/#" "topic readwrite gait/#"
wait_until 20 "bug 401: a why with topic and account" receipt_is_missed

# All is well again.
broker 1000000 "topic readwrite gait/#"
wait_until 60 "the last reading" counter_is accelerometer-trusted accelerometer passed 6
check "all goes on" wait_idle 60
wait_until 70 "nothing more to say" status_is_content
check_not "no password in a log" grep -rq secret "$run_dir/log"
check_stop
finish
