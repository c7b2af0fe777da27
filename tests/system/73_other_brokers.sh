#!/usr/bin/env bash
# Brokers that take less than ours: what they announce is kept to, also by what was stored before they said so; what can't
# work says why. And two pipelines under the same names, and why there is no connection.
. "$(dirname "$0")/lib.sh"

broker_pid=
passwords=

# broker LINE…: a mosquitto on $port with these lines in its configuration, in place of the one before; it remembers nothing.
broker() {
    [ -z "$broker_pid" ] || stop_pid "$broker_pid"
    printf '%s\n' "user root" "listener $port 127.0.0.1" "allow_anonymous ${passwords:-true}" "max_queued_messages 0" \
        "set_tcp_nodelay true" "$@" >"$work/mosquitto.conf"
    PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >>"$work/broker.log" 2>&1 &
    broker_pid=$!
    wait_until 10 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
}

stop_pid() {
    kill -TERM "$1"
    wait "$1"
}

# lacks SETTING: a process at a broker with this setting is up and says what it lacks.
lacks() {
    local process broker_pid= port
    port=$(free_port)
    broker "$1"
    "$GAIT_BIN/customer-trusted" -c "$work/gait.conf" --dir "$work/lacks" --broker "127.0.0.1:$port" 2>>"$work/lacks.log" &
    process=$!
    wait_until 10 "a line that names $1" grep -q "nothing is taken in: .*${1% *}" "$work/lacks.log"
    stop_pid "$process"
    stop_pid "$broker_pid"
}

# why PROCESS: what status says of it.
why() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = '$1'"
}

# why_says PROCESS TEXT…: all of them stand in it.
why_says() {
    local text process=$1 said
    said=$(why "$process")
    shift
    for text in "$@"; do
        [[ $said == *"$text"* ]] || return 1
    done
}

logs() {
    cat "$run_dir"/log/*.log
}

rules any time 0
lacks "max_qos 0"
lacks "retain_available false"
port=$(free_port)
broker
start --broker "127.0.0.1:$port"
customer ada@example.com serial-ada 1700000000000 1700000000000 | publish customer
check "at rest" wait_idle
for i in $(seq 3000); do accelerometer ada@example.com $((1700000000000 + i)); done >"$work/readings"

# What waits for the lake is larger than the next broker takes.
kill -STOP "$(pid_of lake)"
check "load" load accelerometer "$work/readings"
wait_until 10 "all readings" counter_is accelerometer-trusted accelerometer passed 3000
broker "max_packet_size 10240"
listen "$work/parts" -V 5 -t gait/link/accelerometer-trusted/lake/feed -F '> %P'
kill_hard lake
check "bug 231: at rest with what was stored before" wait_idle 30
check "bug 231: in parts" heard "$work/parts" 'part:[0-9]+/2/'
check "bug 231: all of it came, once" equal 3000 "$(lake trusted/accelerometer | sort -u | wc -l)"
check "bug 231: and none twice" equal 3000 "$(lake trusted/accelerometer | wc -l)"
sed 's/"x":1.0/"x":2.0/' "$work/readings" >"$work/more"
check "bug 231: load keeps to the limit" timeout 20 "$GAIT_BIN/gait" load --broker "127.0.0.1:$port" --batch 1000 \
    accelerometer "$work/more" 2>>"$work/load.log"
check "bug 231: at rest again" wait_idle 30
check "bug 231: all of these came too" equal 6000 "$(lake trusted/accelerometer | sort -u | wc -l)"

# A record that the broker does not take.
wide=$(printf 'x%.0s' {1..900})
printf '{"customerName":"%s","email":"%s@example.com","phone":"%s","birthDay":"%s","serialNumber":"%s","registrationDate":1,' \
    "$wide" "${wide:0:100}" "$wide" "$wide" "$wide" >"$work/wide"
printf '"lastUpdateDate":1700000000000,"shareWithResearchAsOfDate":1700000000000}\n' >>"$work/wide"
check "a row that fits" load customer "$work/wide"
check "at rest" wait_idle 30
broker "max_packet_size 3500"
check_not "bug 231: load refuses what does not fit" load customer "$work/wide"
check "and says which" grep -q 'record 1 .*maximum packet size' "$work/load.log"
wait_until 20 "a why that names the limit" why_says customer-trusted "packet" "max_packet_size" "3500"
check "it is stopped" equal stopped "$(ask "SELECT json ->> 'state' FROM process WHERE json ->> 'process' = 'customer-trusted'")"

broker
wait_until 20 "no why" why_says customer-trusted ""
step_trainer serial-ada 1700000000001 | publish step_trainer
check "all goes on when the broker is better" wait_idle 30
check "counts are right" counter_is accelerometer-trusted accelerometer passed 6000

# Another pipeline under the same names.
before=$(logs | wc -l)
"$GAIT_BIN/gait" up -c "$work/gait.conf" --dir "$work/run2" --broker "127.0.0.1:$port" >"$work/up2.out" 2>>"$work/up.log" &
second=$!
wait_until 20 "a line that says so" bash -c "grep -hq 'another process use the client name' '$run_dir'/log/*.log"
wait_until 20 "a why that says so" why_says lake "another process" "gait-lake"
stop_pid "$second"
check "bug 230: a few lines a connection, not a storm" [ "$(($(logs | wc -l) - before))" -lt 120 ]

# Why there is no connection.
says() {
    local want=$1 said
    shift
    said=$("$GAIT_BIN/gait" status "$@" 2>&1)
    [[ $said == *"$want"* ]] || { echo "       '$said'"; return 1; }
}
nobody=$(free_port)
check "bug 232: refused" says "127.0.0.1:$nobody: Connection refused" --broker "127.0.0.1:$nobody"
check "bug 232: unknown host" says "nosuchhost.invalid:1883: unknown host" --broker nosuchhost.invalid
check "bug 232: not TLS" says "TLS" --broker "127.0.0.1:$port" --cafile /etc/ssl/certs/ca-certificates.crt
passwords=false
broker
check "bug 232: not authorized" says "user name or password" --broker "127.0.0.1:$port" -u gait -P wrong
stop
finish
