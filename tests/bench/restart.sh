#!/usr/bin/env bash
# How long a process with much state needs from exec to ready, after SIGTERM and after kill -9.
#
# usage: restart.sh READINGS STARTS     10^5, 10^6, … up to READINGS (or READINGS alone, if they are fewer)
. "$(dirname "$0")/lib.sh"

last=$1
starts=$2

start_broker() {
    port=$(free_port)
    printf 'listener %d 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n' "$port" \
        >"$work/mosquitto.conf"
    [ "$(id -u)" -ne 0 ] || echo "user root" >>"$work/mosquitto.conf"
    PATH=$PATH:/usr/sbin:/usr/local/sbin mosquitto -c "$work/mosquitto.conf" 2>>"$work/up.log" &
    wait_until 10 "a broker" broker_listens
}

broker_listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# measure NAME SIGNAL PROGRAM DIR
measure() {
    "$BENCH_BIN/bench-ready" "$1" "$2" "$starts" "$GAIT_BIN/$3" --dir "$4" --broker "127.0.0.1:$port" \
        2>>"$work/up.log" || give_up "$1"
}

# fill PROGRAM DIR KIND SIZE: give the process state. It must be its own, so it has begun it.
fill() {
    "$BENCH_BIN/bench-ready" begin TERM 1 "$GAIT_BIN/$1" --dir "$2" --broker "127.0.0.1:$port" >/dev/null \
        2>>"$work/up.log" || give_up "$1"
    "$BENCH_BIN/bench-fill" "$2/state/$1/store" "$3" "$4" || give_up "bench-fill"
}

# gate SIZE: accelerometer-trusted with readings that wait. They keep coming while it is killed, so that it
# finds an inbox to work, and a transaction that was not to be.
gate() {
    local dir=$work/gate load_pid
    fill accelerometer-trusted "$dir" gate "$1"
    measure "restart/gate/$1/after_term" TERM accelerometer-trusted "$dir"
    "$GAIT_BIN/gait" load --broker "127.0.0.1:$port" --batch 16 --rate 5000 accelerometer \
        "$work/data/accelerometer.ndjson" 2>>"$work/load.log" &
    load_pid=$!
    measure "restart/gate/$1/after_kill" KILL accelerometer-trusted "$dir"
    kill -TERM "$load_pid" 2>/dev/null || give_up "the load ended before the restarts"
    wait "$load_pid"
    rm -rf "$dir"
}

# join SIZE: machine-learning-curated with readings that are joined.
join() {
    local dir=$work/join
    fill machine-learning-curated "$dir" join "$1"
    measure "restart/join/$1/after_term" TERM machine-learning-curated "$dir"
    measure "restart/join/$1/after_kill" KILL machine-learning-curated "$dir"
    rm -rf "$dir"
}

"$GAIT_BIN/gait" simulate --customers 100 --readings $((starts * 300)) --seed 7 --out "$work/data" >/dev/null 2>&1 ||
    give_up "gait simulate"
start_broker
size=$((last < 100000 ? last : 100000))
while [ "$size" -le "$last" ]; do
    gate "$size"
    join "$size"
    size=$((size * 10))
done
finish
