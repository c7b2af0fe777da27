#!/usr/bin/env bash
# kill -9 and SIGTERM of every process and of the broker at random instants while records come in: while they start, several
# at once, the one that has just come back; in the middle of it `gait up` itself, or everything. The broker forgets all
# it had, keeps its file, or goes back in time; or it is spared, and devices do without receipts. Afterwards every round
# comes to rest by itself, and the sets are equal.
. "$(dirname "$0")/lib.sh"
exec 3>&1 >&2 # the figures

seed=${GAIT_SEED:-1}
RANDOM=$seed
kills_wanted=$(choose 64 1000)
kills_a_round=$(choose 22 50)
memory_max_kib=$((64 * 1024))
! grep -qa __asan_init "$GAIT_BIN/lake" || memory_max_kib=$((1024 * 1024)) # what is freed counts too
trap repeat_and_clean_up EXIT

names=("${processes[@]}" broker)
victims=()
declare -A kills=() terms=() peaks=() killed=()
up_kills=0
rounds=0
returns=0
forgotten=0
back=0

# ---- a broker of ours, whose file we may take away ----

broker_pid=
broker_dir=

own_broker() {
    [ -n "$broker_dir" ]
}

# broker_begin killed|spared
broker_begin() {
    broker_dir=$work/broker.$rounds
    mkdir "$broker_dir"
    port=$(free_port)
    # As people have it: saved now and then, the limits of the package. One that drops what it has acknowledged is good
    # only for those who wait for a receipt.
    cat >"$broker_dir/mosquitto.conf" <<END_OF_CONF
listener $port 127.0.0.1
allow_anonymous true
persistence true
persistence_location $broker_dir/
autosave_interval 1
$([ "$1" = killed ] || echo max_queued_messages 0)
$([ "$(id -u)" -ne 0 ] || echo user root)
END_OF_CONF
    broker_run
}

broker_run() {
    PATH=$PATH:/usr/sbin mosquitto -c "$broker_dir/mosquitto.conf" >>"$broker_dir/log" 2>&1 &
    broker_pid=$!
}

# Keep what it knows now.
broker_remember() {
    local file=$broker_dir/mosquitto.db
    own_broker || return 0
    rm -f "$file"
    kill -USR1 "$broker_pid"
    wait_until 30 "the broker's file" cp "$file" "$file.old" 2>/dev/null
}

# If it is gone it comes back, perhaps only after some more has happened: with what it knew long ago, with nothing, or with
# what it saved last, in turn.
broker_tend() {
    local file=$broker_dir/mosquitto.db
    own_broker || return 0
    ! kill -0 "$broker_pid" 2>/dev/null || return 0
    [ "${1:-}" = now ] || [ $((RANDOM % 2)) -eq 0 ] || return 0
    wait "$broker_pid" 2>/dev/null # and don't say that it was killed
    case $((returns++ % 3)) in
        0) cp "$file.old" "$file" && back=$((back + 1)) ;;
        1) rm -f "$file" && forgotten=$((forgotten + 1)) ;;
    esac
    broker_run
}

# The last word: it is as it was before all this, and nothing more comes that would bring it up to date.
broker_go_back() {
    own_broker && [ "${#victims[@]}" -eq "${#names[@]}" ] || return 0
    wait_until 60 "'ready' from gait up" is_ready_or_gone
    check "the pipeline comes to rest" wait_idle
    wait_until 30 "the end of the broker" strike broker KILL # else the wait below has no end
    returns=0
    wait "$broker_pid" 2>/dev/null
    broker_tend now
}

broker_end() {
    own_broker || return 0
    kill -TERM "$broker_pid" && wait "$broker_pid"
    broker_dir=
}

# ---- victims ----

# locate NAME: its process into $pid, if it is alive. The pid file of one that has not been started again yet is old, and
# the number may be somebody else's: only a child of gait up counts, and a broker that is one already.
locate() {
    local comm state parent whose=$up_pid
    pid=
    if own_broker && [ "$1" = broker ]; then
        pid=$broker_pid whose=$$
    else
        { read -r pid; } 2>/dev/null <"$run_dir/pid/$1.pid"
    fi
    [ -n "$pid" ] && { read -r _ comm state parent _; } 2>/dev/null <"/proc/$pid/stat" || return
    [ "$parent" = "$whose" ] && [ "$state" != Z ] && { [ "$1" != broker ] || [ "$comm" = "(mosquitto)" ]; }
}

# What it has allocated, the most of all that were looked at, in KiB.
look_at_memory() {
    local field value
    while read -r field value _; do
        if [ "$field" = RssAnon: ]; then
            [ "$value" -le "${peaks[$1]:-0}" ] || peaks[$1]=$value
            return
        fi
    done 2>/dev/null <"/proc/$pid/status"
}

# strike NAME SIGNAL: false if there is nobody to strike.
strike() {
    locate "$1" || return
    [ "$pid" != "${killed[$1]:-}" ] || return # it dies already
    look_at_memory "$1"
    kill "-$2" "$pid" 2>/dev/null || return
    if [ "$2" = TERM ]; then
        terms[$1]=$((${terms[$1]:-0} + 1))
        return
    fi
    kills[$1]=$((${kills[$1]:-0} + 1))
    killed[$1]=$pid
    round_kills=$((round_kills + 1))
}

# The next one from a random one on that is alive.
strike_any() {
    local i from=$RANDOM signal=KILL
    [ $((RANDOM % 5)) -ne 0 ] || signal=TERM
    for i in "${!victims[@]}"; do
        if strike "${victims[(from + i) % ${#victims[@]}]}" "$signal"; then
            return
        fi
    done
}

# Up to 0.4 s, often much less.
pause() {
    local ms=$((RANDOM % 3 == 0 ? RANDOM % 30 : RANDOM % 400))
    sleep "$(printf '0.%03d' "$ms")"
}

launch_up() {
    if own_broker; then launch --broker "127.0.0.1:$port"; else launch; fi
}

# gait up dies too, alone or with all it runs, or stops as it should, and is started again.
strike_up() {
    local name
    case $((RANDOM % 3)) in
        0)
            kill -KILL "$up_pid"
            up_kills=$((up_kills + 1))
            ;;
        1)
            kill -STOP "$up_pid" # so that it starts none of them again
            for name in "${victims[@]}"; do
                strike "$name" KILL
            done
            kill -KILL "$up_pid"
            up_kills=$((up_kills + 1))
            ;;
        2) kill -TERM "$up_pid" ;;
    esac
    wait "$up_pid" 2>/dev/null
    broker_tend now
    launch_up
}

strike_until() {
    local i count limit=$((SECONDS + 300))
    while [ "$round_kills" -lt "$1" ]; do
        [ "$SECONDS" -lt "$limit" ] || give_up "nobody is left to kill"
        kill -0 "$up_pid" 2>/dev/null || give_up "gait up ended"
        broker_tend
        count=$((RANDOM % 4 == 0 ? 2 + RANDOM % 6 : 1))
        for ((i = 0; i < count; i++)); do
            strike_any
        done
        pause
    done
}

# ---- a round ----

# Lines "ROW RECORD": the newest of each row.
newest() {
    awk '{ newest[$1] = $0 } END { for (row in newest) print newest[row] }' | LC_ALL=C sort
}

newest_in_lake() {
    lake "$1" | sed 's/^{"row":"\([0-9a-f]*\)",/\1 {/' | newest
}

newest_retained() {
    sed -n "s|^> gait/$1/||p" "$work/retained" | newest
}

# What the broker retains of a table is the newest of each row in the lake.
retained_is_lake() {
    [ "$(newest_in_lake "$1")" = "$(newest_retained "$1")" ]
}

# One who withdrew before anything was killed, and whose phone and trainer know nothing of that.
withdrawn_person() {
    local t0=1700000000000 i
    customer ada@example.com serial-ada "$t0" "$t0" >>"$work/data/customer.ndjson"
    customer ada@example.com serial-ada "$((t0 + 1))" >>"$work/data/customer.ndjson"
    tail -n 2 "$work/data/customer.ndjson" >"$work/ada.ndjson"
    for i in {1..200}; do
        accelerometer ada@example.com "$((t0 + 50 * i))"
    done >>"$work/data/accelerometer.ndjson"
    for i in {1..100}; do
        step_trainer serial-ada "$((t0 + 100 * i))"
    done >>"$work/data/step_trainer.ndjson"
    for i in accelerometer step_trainer; do
        shuf --random-source=<(yes "$seed$rounds") -o "$work/data/$i.ndjson" "$work/data/$i.ndjson"
    done
}

# load_for TABLE SECONDS: so fast that all is loaded in that time, then once more.
load_for() {
    local count
    count=$(wc -l <"$work/data/$1.ndjson")
    load_on "$1" $((count / $2 + 1)) "${batches[RANDOM % 3]}"
}

# publish_on TABLE SECONDS: once in that time, as devices do that know of no receipts: the broker's word is all they have.
publish_on() {
    local line count=0 a_tenth
    a_tenth=$(($(wc -l <"$work/data/$1.ndjson") / $2 / 10 + 1))
    while IFS= read -r line; do
        echo "$line"
        [ $((++count % a_tenth)) -ne 0 ] || sleep 0.1
    done <"$work/data/$1.ndjson" | mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -t "gait/landing/$1" -l &
    loads+=($!)
}

round() {
    local brokers=(own file spared)
    local consents=(any as_of) matches=(time customer) windows=(0 0 300) batches=(1 16 64)
    local consent=${consents[RANDOM % 2]} match=${matches[RANDOM % 2]} window=${windows[RANDOM % 3]}
    local people=40 readings=60 name ended
    # Many rows: a broker that forgot is given them in more than one go.
    [ $((RANDOM % 2)) -eq 0 ] || people=600 readings=6
    run_dir=$work/run.$rounds
    port= killed=() round_kills=0 loads=()
    rm -rf "$work/stop" "$work/data"
    : >"$work/up.log"
    simulate "$people" --readings "$readings" --seed "$RANDOM"
    withdrawn_person
    rules "$consent" "$match" "$window"
    echo "round $rounds: $people people, consent $consent, match $match, window $window, broker ${brokers[rounds % 3]}"
    victims=("${names[@]}")
    case ${brokers[rounds % 3]} in
        file) broker_begin killed ;;
        spared)
            broker_begin spared
            victims=("${processes[@]}")
            ;;
    esac
    launch_up
    wait_until 30 "'ready' from gait up" is_ready_or_gone
    check "load one who shares" load customer <(head -n 1 "$work/ada.ndjson")
    check "that is everywhere" wait_idle
    broker_remember
    check "load the withdrawal" load customer <(tail -n 1 "$work/ada.ndjson")
    check "it is everywhere" wait_idle
    for name in customer accelerometer step_trainer; do
        if [ "${brokers[rounds % 3]}" = spared ]; then
            publish_on "$name" "$(choose 6 10)"
        else
            load_for "$name" "$(choose 6 10)"
        fi
    done

    strike_until $(($1 / 2))
    strike_up
    strike_until "$1"
    broker_tend now
    stop_loading
    broker_go_back
    wait_until 60 "'ready' from gait up" is_ready_or_gone
    check "the pipeline comes to rest" wait_idle
    check_lake "$consent" "$match" "$window"
    check_balance
    listen "$work/retained" -V 5 -t 'gait/trusted/customer/+' -t 'gait/curated/customer/+'
    wait_until 60 "the trusted rows at the broker" retained_is_lake trusted/customer
    wait_until 60 "the curated rows at the broker" retained_is_lake curated/customer
    check "nothing of who withdrew" not grep -rq 'ada@' "$run_dir/lake/trusted/accelerometer" "$run_dir/lake/curated"
    for name in "${names[@]}"; do
        locate "$name" && look_at_memory "$name"
    done
    check_stop
    broker_end
    ended=$(grep -E 'killed by signal|ended with status' "$work/up.log" | grep -vE 'signal (9|15)(;|$)|status 0')
    check "nobody ended but by our hand" equal "" "$ended"
    check "no address in a log" not grep -rq @ "$run_dir/log" "$work/up.log"
    rm -rf "$run_dir"
    [ "$failures" -eq 0 ] || finish
    rounds=$((rounds + 1))
}

total() {
    local sum=0 count
    for count in "$@"; do
        sum=$((sum + count))
    done
    echo "$sum"
}

until [ "$(total "${kills[@]}")" -ge "$kills_wanted" ]; do
    round "$kills_a_round"
done
for name in "${names[@]}"; do
    echo "$name: ${kills[$name]:-0} kill -9, ${terms[$name]:-0} SIGTERM, at most ${peaks[$name]:-0} KiB allocated"
    check "$name was killed" [ "${kills[$name]:-0}" -gt 0 ]
    check "its memory is bounded" [ "${peaks[$name]:-0}" -le "$memory_max_kib" ]
done
figure "kill -9 of a process survived" "$(total "${kills[@]}" "-${kills[broker]}")" >&3
figure "kill -9 of the broker survived" "${kills[broker]}" >&3
figure "returns of the broker without its file" "$forgotten" >&3
figure "returns of the broker with an older file" "$back" >&3
figure "kill -9 of gait up survived" "$up_kills" >&3
figure "SIGTERM" "$(total "${terms[@]}")" >&3
figure "rounds with equal sets" "$rounds" >&3
figure "most memory of one process, KiB" "$(printf '%s\n' "${peaks[@]}" | sort -n | tail -n 1)" >&3
finish
