#!/usr/bin/env bash
# Who was not restored is ahead of what was: a consumer from outside (conf/study.sh), and gait's own consumers on another
# machine. Their word is the only proof, since the broker is a new one. The producers notice and say so until somebody has
# acknowledged it; what the consumers had stays, and what comes in after the restore reaches them, once.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/study.sh"

t0=1700000000000
customers=5

# people FROM COUNT: who share, each with a phone and a trainer.
people() {
    local c
    for ((c = $1; c < $1 + $2; c++)); do customer "c$c@example.com" "serial-$c" "$t0" "$t0"; done
}

# times FROM COUNT: of records on standard input, how many of those readings there are, and how often one is at most.
times() {
    grep -oE '"timestamp":[0-9]+' | cut -d: -f2 |
        awk -v from=$((t0 + 10 * $1)) -v end=$((t0 + 10 * ($1 + $2))) '$1 >= from && $1 < end {n[$1]++}
            END {for (i in n) {many++; if (n[i] > most) most = n[i]} print many + 0, most + 0}'
}

is_back() {
    ask "SELECT json ->> 'back_in_time' FROM process WHERE json ->> 'process' = '$1'" 2>/dev/null | grep -qx 1
}

# told PROCESS WITNESS: gait status fails, and says of it why.
told() {
    check_not "gait status fails" gait status >"$work/status" 2>&1
    check "it says that $1 is older than what $2 has had" \
        grep -qE "^went back in time: .* its newest message is [0-9]+, and ($2) has had message [0-9]+" \
        <(ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = '$1'")
    check_not "nothing is at rest" wait_idle 2 2>/dev/null
}

# ---- a consumer from outside ----

in_lake() { # in_lake SET FROM COUNT WANT
    [ "$(lake "$1" | times "$2" "$3")" = "$4" ]
}
study_has() { # study_has FROM COUNT WANT
    [ "$(study 'SELECT records FROM message' | times "$1" "$2")" = "$3" ]
}

configure <<END
[machine-learning-curated]
consumers = study
END
start
start_study
people 1 $customers | publish customer
readings 0 40
check "at rest before the backup" wait_idle
wait_until 30 "study has what came" study_has 0 40 "200 1"
check "backup" "$GAIT_BIN/gait" backup -c "$work/gait.conf" --dir "$run_dir" "$work/b.outside" 2>"$work/said"
for i in 100 140 180; do readings $i 40; done
check "at rest after the backup" wait_idle
wait_until 30 "study has what came after it" study_has 100 120 "600 1"
stop_study
check_stop
study 'SELECT * FROM message ORDER BY 1, 2' >"$work/had"

run_dir=$work/run.outside port=
check "restore what study is ahead of" "$GAIT_BIN/gait" restore -c "$work/gait.conf" --dir "$run_dir" "$work/b.outside" \
    2>"$work/said"
start
check "the set by itself is at rest" wait_idle
start_study
wait_until 30 "machine-learning-curated hears of it" is_back machine-learning-curated
told machine-learning-curated study
readings 300 40
wait_until 30 "study has what came after the restore" study_has 300 40 "200 1"
wait_until 30 "so has the lake" in_lake curated/machine_learning 300 40 "200 1"
check "what study had it has" equal "" "$(study 'SELECT * FROM message ORDER BY 1, 2' | comm -23 <(sort "$work/had") <(sort))"
check "the lake knows what was in the set" equal "200 1" "$(lake curated/machine_learning | times 0 40)"
check "and nothing of what came after that" equal "0 0" "$(lake curated/machine_learning | times 100 120)"
kill_hard machine-learning-curated
wait_until 30 "it is remembered" is_back machine-learning-curated
check "acknowledged" equal "1 acknowledged" "$(gait status --acknowledge)"
check "then it is at rest" wait_idle
for i in 100 140 180; do readings $i 40; done
wait_until 30 "what is loaded again reaches study once more, as the log says" study_has 100 120 "600 2"
check "at rest in the end" wait_idle
check "the lake has it for the first time" equal "600 1" "$(lake curated/machine_learning | times 100 120)"
check "study has nothing to complain of" equal "" "$(cat "$work/study/log")"
check_not "without a person" grep -q @example "$run_dir"/log/*.log
check_balance
stop_study
check_stop

# ---- gait's own, on another machine ----

here=(customer-trusted accelerometer-trusted)
there=(customer-curated step-trainer-trusted machine-learning-curated lake)

# machine NAME: the configuration of this one; what works on the other is a consumer from outside.
machine() {
    local process off=("${here[@]}")
    [ "$1" = there ] || off=("${there[@]}")
    for process in "${off[@]}"; do printf '[%s]\nenabled = off\n' "$process"; done
    [ "$1" = here ] || return 0
    printf '[customer-trusted]\nconsumers = customer-curated, lake\n'
    printf '[accelerometer-trusted]\nconsumers = customer-curated, machine-learning-curated, lake\n'
}
machine here >"$work/here.conf"
machine there >"$work/there.conf"
start_there() {
    : >"$work/there.out"
    "$GAIT_BIN/gait" up -c "$work/there.conf" --dir "$work/there" --broker "127.0.0.1:$port" >"$work/there.out" \
        2>>"$work/there.log" &
    there_pid=$!
    wait_until 30 "'ready' from the other machine" grep -qx ready "$work/there.out"
}
stop_there() {
    kill -TERM "$there_pid"
    wait "$there_pid"
}
start_here() {
    cp "$work/here.conf" "$work/gait.conf"
    start
}
in_lake_there() {
    (run_dir=$work/there && in_lake trusted/accelerometer "$@")
}

run_dir=$work/here port=
start_here
start_there
people 1 $customers | publish customer
readings 0 40
check "at rest before the backup" wait_idle
check "backup of this machine" "$GAIT_BIN/gait" backup -c "$work/here.conf" --dir "$run_dir" "$work/b.here" 2>"$work/said"
check "backup of the other" "$GAIT_BIN/gait" backup -c "$work/there.conf" --dir "$work/there" "$work/b.there" 2>"$work/said"
people 6 20 >"$work/late"
check "load more people" load customer "$work/late"
for i in 100 140 180; do readings $i 40; done
check "at rest after the backup" wait_idle
check_stop
check "the other machine's processes stop" stop_there

rm -r "$run_dir"
check "restore this machine" "$GAIT_BIN/gait" restore -c "$work/here.conf" --dir "$run_dir" "$work/b.here" 2>"$work/said"
start_here
start_there
for process in "${here[@]}"; do
    wait_until 30 "$process hears of it" is_back "$process"
done
told customer-trusted "customer-curated|lake"
told accelerometer-trusted "customer-curated|machine-learning-curated|lake"
customer c99@example.com serial-99 "$t0" "$t0" | publish customer
readings 300 40
wait_until 30 "what comes after the restore reaches the other machine" in_lake_there 300 40 "200 1"
check "what came before it stays" in_lake_there 0 40 "200 1"
check "so does what only they know" in_lake_there 100 120 "600 1"
has_customer() {
    grep -qF '"c99@example.com"' "$work/there/lake/trusted/customer" -r
}
wait_until 30 "so does a row" has_customer
check_not "still not at rest" wait_idle 2 2>/dev/null
check "acknowledged" equal "2 acknowledged" "$(gait status --acknowledge)"
check "then it is at rest" wait_idle
check_not "without a person" grep -q @example "$run_dir"/log/*.log "$work"/there/log/*.log
check_balance

# And the other way round: what is restored lacks what its producers have no longer.
check "the other machine's processes stop" stop_there
rm -r "$work/there"
check "restore the other machine" "$GAIT_BIN/gait" restore -c "$work/there.conf" --dir "$work/there" "$work/b.there" \
    2>"$work/said"
start_there
wait_until 30 "the lake hears of it" is_back lake
check_not "gait status fails" gait status >"$work/status" 2>&1
check "and says what is missing" \
    grep -qE 'has [0-9]+ messages of accelerometer-trusted, which keeps only what follows [0-9]+' \
    <(ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = 'lake'")
check "nobody takes new readings for what is missing" in_lake_there 300 40 "0 0"
check "the other machine's processes stop" stop_there
check_stop
finish
