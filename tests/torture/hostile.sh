#!/usr/bin/env bash
# One account against all: what each kind of account can use up with the shipped broker configuration and ACL over TLS, and
# what others notice of it. While each deed is done a well-behaved phone publishes fifty readings a second and waits for
# their receipts. Bounds are those of "What each account can use up" in DESIGN.
. "$(dirname "$0")/lib.sh"
exec 3>&1 >&2 # the figures

conf_dir=$lib_dir/../../conf
hostile=$GAIT_BIN/torture-hostile
root=$work/root
inner=$(free_port)
outer=$(free_port)
port=$inner
broker_pid=
deeds=0
lost_in_all=0
slowest_ms=0
slack=1 # sanitizers keep what is freed
! grep -qa __asan_init "$GAIT_BIN/lake" || slack=8

# What one account may cost at most, whatever it does.
process_mib=$((176 * slack))  # memory of one process, more than before: what Paho makes of a packet of the limit
broker_mib=$((128 * slack))   # the same of the broker
disk_factor=8                 # bytes of state for a byte that was sent, and
disk_mib=24                   # what a store grows by before it uses its pages again
receipt_ms=$((5000 * slack))  # the slowest receipt of somebody else
commas=$(choose 10 30)

# ---- the machine ----

# The shipped configuration, with our folder in place of /etc and /var/lib, and our ports.
start_broker() {
    local name
    mkdir -p "$root"/certs "$root/lib"
    chmod 0711 "$work"
    certificate
    for name in gait operator loader website researcher study phone-1 phone-6; do
        echo "$name:secret-$name"
    done >"$root/passwords"
    mosquitto_passwd -U "$root/passwords"
    cp "$conf_dir/mosquitto.acl" "$root/acl"
    sed -e "s#/etc/mosquitto/\(ca_certificates\|certs\)/#$root/certs/#" -e "s#/etc/mosquitto/#$root/#" \
        -e "s#/var/lib/mosquitto/#$root/lib/#" -e "s#^listener 1883 .*#listener $inner 127.0.0.1#" \
        -e "s#^listener 8883\$#listener $outer 127.0.0.1#" "$conf_dir/mosquitto.conf" >"$root/mosquitto.conf"
    [ "$(id -u)" -ne 0 ] || chown -R mosquitto "$root/lib" "$root/certs" "$root/passwords" "$root/acl"
    # As many descriptors as SETUP.md gives it, or this machine.
    descriptors=$(sed -n 's/^LimitNOFILE=//p' "$conf_dir/systemd/mosquitto-limits.conf")
    ({ ulimit -S -n "$descriptors" 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"; } &&
        PATH=$PATH:/usr/sbin exec mosquitto -c "$root/mosquitto.conf") >"$work/broker.log" 2>&1 &
    broker_pid=$!
    wait_until 20 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$outer" 2>/dev/null
}

certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$root/certs/server.key" -out "$root/certs/server.crt" \
        2>>"$work/openssl.log" && cp "$root/certs/server.crt" "$root/certs/ca.crt"
}

gait_as() {
    local account=$1 command=$2
    shift 2
    "$GAIT_BIN/gait" "$command" --broker "127.0.0.1:$inner" -u "$account" -P "secret-$account" "$@"
}

# What asks as operator: see ask of the system tests.
gait() {
    gait_as operator "$@"
}

# as ACCOUNT DEED OPTION…: over TLS. start_as does so in the background; its pid is in $!.
as() {
    start_as "$@"
    wait $!
}

start_as() {
    local account=$1 deed=$2
    shift 2
    "$hostile" -p "$outer" -c "$root/certs/ca.crt" -u "$account" -w "secret-$account" "$@" "$deed" &
}

# ---- what is measured ----

victim_pid() {
    if [ "$1" = broker ]; then echo "$broker_pid"; else pid_of "$1"; fi
}

ticks() { # used by NAME
    awk '{print $14 + $15}' "/proc/$(victim_pid "$1")/stat"
}

disk_bytes() { # of a store the pages that are in use, since the file itself grows ahead
    du -s -B1 "$run_dir/state" "$run_dir/lake" "$root/lib" 2>/dev/null | awk '{sum += $1} END {print sum}'
}

pids() {
    (cd "$run_dir/pid" && grep -H . -- *.pid)
}

# watched: whose memory is looked at, the broker last.
watched() {
    local name
    for name in "${processes[@]}" broker; do victim_pid "$name"; done
}

declare -A ticks_before
look_before() {
    local name
    pids_before=$(pids)
    disk_before=$(disk_bytes)
    "$hostile" watch $(watched) >"$work/memory" &
    watch=$!
    for name in "${processes[@]}" broker; do ticks_before[$name]=$(ticks "$name"); done
}

look_after() {
    local name used
    kill -TERM "$watch"
    wait "$watch"
    broker_kib=$(tail -n 1 "$work/memory")
    process_kib=$(head -n -1 "$work/memory" | sort -n | tail -n 1)
    used_ticks=0
    for name in "${processes[@]}" broker; do
        used=$(($(ticks "$name") - ticks_before[$name]))
        [ "$used" -lt 0 ] || used_ticks=$((used_ticks + used)) # less: it is another process now
    done
    disk_grown=$(($(disk_bytes) - disk_before))
}

# deed WHAT SENT_BYTES COMMAND…: do it, and hold what it cost against the bounds. What it says is in $work/said.
deed() {
    local what=$1 sent=$2 probe half lost all cut
    shift 2
    deeds=$((deeds + 1))
    echo "-- $what"
    look_before
    start_as phone-1 probe -t gait/landing/accelerometer/phone-1 -r gait/receipt/phone-1 -e 20 >"$work/probe"
    probe=$!
    "$@" >"$work/said" 2>&1
    sed 's/^/       /' "$work/said"
    check "$what: the pipeline comes to rest" wait_idle 60
    kill -TERM "$probe"
    wait "$probe"
    look_after
    read -r lost cut half all < <(awk '/^sent /{print $4 + 0, $6 + 0, $8, $11}' "$work/probe")
    check "$what: nothing died" equal "$pids_before" "$(pids)"
    check "$what: a process took $((process_kib / 1024)) MiB" [ "$process_kib" -le $((process_mib * 1024)) ]
    check "$what: the broker took $((broker_kib / 1024)) MiB" [ "$broker_kib" -le $((broker_mib * 1024)) ]
    check "$what: disk for $((sent / 1024)) KiB: $((disk_grown / 1024)) KiB" \
        [ "$disk_grown" -le $((sent * disk_factor + disk_mib * 1048576)) ]
    check "$what: nobody else was cut off" equal 0 "$cut"
    check "$what: nobody else lost a receipt ($(cat "$work/probe"))" equal 0 "$lost"
    check "$what: the slowest receipt took ${all:-?} ms" [ "${all:-999999}" -ge 0 -a "${all:-999999}" -le "$receipt_ms" ]
    lost_in_all=$((lost_in_all + ${lost:-1}))
    [ "${all:-0}" -le "$slowest_ms" ] || slowest_ms=$all
    figure "$what" "process $((process_kib / 1024)) MiB, broker $((broker_kib / 1024)) MiB, disk $((disk_grown / 1024)) of $((
        sent / 1024)) KiB, processor $((used_ticks * 10)) ms; others: lost ${lost:-?}, half ${half:-?} ms, all ${all:-?} ms" >&3
}

# says PATTERN: what the deed said.
says() {
    grep -qE "$1" "$work/said"
}

# ---- deeds that are more than one command ----

# More clients than max_connections, that never say who they are; gait itself still comes in. Their number stands
# still when the broker has let in as many as it will.
half_open() {
    local pid before=0 now=-1
    start_as phone-6 half_open -n 1200 -d 120
    pid=$!
    for _ in {1..60}; do
        [ "$now" != "$before" ] || break
        before=$now
        sleep 1
        now=$(ls "/proc/$broker_pid/fd" | wc -l)
    done
    echo "$now descriptors"
    gait_as operator status || echo "gait's own port is closed"
    kill -TERM "$pid"
    wait "$pid"
} 2>/dev/null

# $records readings of somebody who shares, as loader.
load_readings() {
    gait_as loader load accelerometer "$work/readings.$1" 2>>"$work/load.log" && echo "all loaded"
}

slow_reader() {
    start_as researcher slow -t 'gait/trusted/#' -d 600
    local pid=$!
    sleep 1
    load_readings 1
    wait_idle 60 >/dev/null
    kill -TERM "$pid"
    wait "$pid"
}

absent_reader() {
    as researcher leave -t 'gait/trusted/#' -n 1
    load_readings 2
}

# Readings that found no room to wait.
hold_full() {
    ask "SELECT total(json ->> '\$.reasons.hold_full') FROM process" | sed 's/\.0$//'
}

make_readings() {
    local set
    for set in 1 2; do
        awk -v count="$records" -v start="16000$set" 'BEGIN {for (i = 0; i < count; i++)
            printf "{\"user\":\"ada@example.com\",\"timestamp\":%s%07d,\"x\":1.0,\"y\":-0.5,\"z\":0}\n", start, i}' \
            >"$work/readings.$set"
    done
}

# What study has not had: pairs, 2 MiB of them.
make_pairs() {
    awk 'BEGIN {for (i = 0; i < 10000; i++)
        printf "{\"user\":\"ada@example.com\",\"timestamp\":161000%07d,\"x\":1,\"y\":1,\"z\":1}\n", i}' >"$work/pairs"
    gait_as loader load accelerometer "$work/pairs" 2>>"$work/load.log" || return
    sed -e 's/"user":"[^"]*","timestamp":\([0-9]*\),.*/"sensorReadingTime":\1,"distanceFromObject":1,/' \
        -e 's/$/"serialNumber":"serial-ada"}/' "$work/pairs" >"$work/steps"
    gait_as loader load step_trainer "$work/steps" 2>>"$work/load.log" || return
    wait_idle 60 >/dev/null && [ "$(ask "SELECT json ->> '\$.output.last' FROM process
        WHERE json ->> 'process' = 'machine-learning-curated'")" -gt 20 ]
}

epoch_of() {
    ask "SELECT json ->> '\$.output.epoch' FROM process WHERE json ->> 'process' = '$1'"
}

configure <<END
[mqtt]
username = gait
password = secret-gait
[accelerometer-trusted]
hold_bytes = 4MiB
consumers = study
[machine-learning-curated]
consumers = study
END
chmod 600 "$work/gait.conf"
start_broker
start --broker "127.0.0.1:$inner"
customer ada@example.com serial-ada 1600000000000 1600000000000 >"$work/ada"
customer phone-1@example.com serial-1 1600000000000 1600000000000 >>"$work/ada"
check "customers" gait_as loader load customer "$work/ada" 2>>"$work/load.log"
records=$(choose 100000 500000)
make_readings
own=gait/landing/accelerometer/phone-6
mib=1048576

deed "nothing at all" 0 sleep 1
properties=209000
deed "a device: a packet of the limit, $properties user properties" $((properties * 5)) as phone-6 properties -t "$own" \
    -n "$properties"
properties=$(choose 400000 2000000)
deed "a device: one packet, $properties user properties" $((properties * 5)) as phone-6 properties -t "$own" -n "$properties"
junk=$(choose 10000 200000)
deed "a device: $junk payloads of junk" $((junk * 200)) as phone-6 publish -t "$own" -f junk -s 200 -n "$junk"
deed "a device: $junk payloads without a record" $((junk * 2)) as phone-6 publish -t "$own" -m '[]' -n "$junk"
deed "a device: the same reading $junk times" $((junk * 70)) as phone-6 publish -t "$own" -n "$junk" \
    -m '{"user":"ada@example.com","timestamp":1600000000000,"x":1,"y":1,"z":1}'
deed "a device: 1000 answers elsewhere" 0 as phone-6 publish -t "$own" -r elsewhere/x -m '[]' -n 1000
mosquitto_sub -h 127.0.0.1 -p "$inner" -u gait -P secret-gait -t gait/receipt/phone-1 -W 600 >"$work/forged" 2>/dev/null &
forged=$!
deed "a device: 300 answers to somebody else" 0 as phone-6 publish -t "$own" -r gait/receipt/phone-1 -m '[]' -n 300
kill "$forged"
check "none of them came" equal 0 "$(grep -c '"taken":0' "$work/forged")"
deed "a device: 20 retained MiB on its landing topic" $((20 * mib)) as phone-6 publish -k -t "$own" -f junk -s $mib -n 20
deed "a device: 300 reports in the name of lake" 0 as phone-6 publish -t gait/link/accelerometer-trusted/lake -n 300 \
    -m '{"epoch":"0000000000000000","applied":9,"rewind":1}'
check "all refused" says 'acknowledged 0, refused 300'
subscriptions=$(choose 2000 20000)
deed "a device: $subscriptions subscriptions with wildcards" 0 as phone-6 subscribe -t gait -n "$subscriptions" -d 1
connects=$(choose 100 1000)
deed "a device: $connects connections one after the other" 0 as phone-6 connect -n "$connects"
deed "nobody: 1200 connections that say nothing" 0 half_open
check "gait's own port was open" says '^balance ok'
deed "a device: readings of people whom nobody knows" $((8 * mib)) as phone-6 publish -t "$own" -f readings -s 65536 -n 128
held=$(hold_full)
check "the room is full for it" [ "$held" -gt 0 ]
accelerometer unknown@example.com 1600000000001 >"$work/unknown"
check "somebody else's" gait_as loader load accelerometer "$work/unknown" 2>>"$work/load.log"
check "has room" equal "$held" "$(hold_full)"
deed "a device: $commas times 1 MiB of commas" $((commas * mib)) \
    as phone-6 publish -t "$own" -f commas -s $mib -n "$commas"
rows=$(choose 30 300)
deed "website: customers who do not share" $((rows * 65536)) as website publish -t gait/landing/customer/website \
    -f customers -s 65536 -n "$rows"
asks=$(choose 2000 20000)
deed "operator: $asks questions" 0 as operator publish -t gait/ask -r gait/answer/x -n "$asks"
check "pairs for study" make_pairs
rewinds=$(choose 2000 20000)
deed "study: $rewinds rewinds" 0 as study publish -t gait/link/machine-learning-curated/study -n "$rewinds" \
    -m '{"epoch":"'"$(epoch_of machine-learning-curated)"'","applied":0,"rewind":1}'
check "all were taken" says "acknowledged $rewinds"
deed "researcher: reads nothing while $records readings pass" $((records * 70)) slow_reader
check "all came in" says 'all loaded'
deed "researcher: absent while $records readings pass" $((records * 70)) absent_reader
check "all came in" says 'all loaded'
check_balance
check_stop
figure "hostile deeds" "$deeds" >&3
figure "receipts that others lost" "$lost_in_all" >&3
figure "slowest receipt of somebody else, ms" "$slowest_ms" >&3
kill -TERM "$broker_pid"
finish
