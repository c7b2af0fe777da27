#!/usr/bin/env bash
# bug 710: a set in which a consumer was behind is brought back, and the broker has kept what that one said when it was not any
# more. Its producers keep for it what the set has of their outboxes, so it gets all of that.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
port=$(free_port)
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "persistence false" "user root" >"$work/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
broker=(--broker "127.0.0.1:$port")
readings=3000

in_lake() {
    lake trusted/accelerometer | wc -l
}
lake_has() {
    [ "$(in_lake)" -ge "$1" ]
}

configure </dev/null
start "${broker[@]}"
customer c1@example.com serial-1 "$t0" "$t0" | publish customer
for ((i = 0; i < readings; i++)); do accelerometer c1@example.com $((t0 + i)); done >"$work/readings"
check "at rest with a customer" wait_idle
kill -STOP "$(pid_of lake)"
check "readings are taken while the lake stands" load accelerometer "$work/readings"
wait_until 30 "all have passed" counter_is accelerometer-trusted accelerometer passed "$readings"
kill -CONT "$(pid_of lake)"
kill -KILL "$(pid_of lake)" # or it would catch up
check_stop
held=$(in_lake)
check "the lake is behind" [ "$held" -lt "$readings" ]
check "backup" "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$work/backup" 2>"$work/said"
start "${broker[@]}"
check "the lake catches up" wait_idle
check "it has all" equal "$readings" "$(in_lake)"
check_stop

run_dir=$work/run.restored
check "restore" "$GAIT_BIN/gait" restore -c "$work/gait.conf" --dir "$run_dir" "$work/backup" 2>"$work/said"
check "it is behind again" equal "$held" "$(in_lake)"
start "${broker[@]}"
wait_until 30 "the rest of the set" lake_has "$readings"
gait status --acknowledge >"$work/said" || true
check "at rest" wait_idle
check "each once" equal "$readings" "$(in_lake)"
check_not "nothing is said to be lost" grep -q 'keeps only what follows' "$run_dir"/log/*.log
check_balance
check_stop
finish
