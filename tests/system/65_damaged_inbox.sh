#!/usr/bin/env bash
# Messages wait in the inbox, acknowledged, when its files are damaged, removed or emptied while nobody works (bug_680): what
# stands behind the damage is worked, its bytes are kept, and what is lost is told until somebody has seen it. What is called
# like a file of the inbox, or is in the place of its spare file, is named, and costs nothing (bug_681).
. "$(dirname "$0")/lib.sh"

t0=1700000000000
process=accelerometer-trusted
messages=30 # ten or so fill a file

# One reading, and blanks.
message() {
    accelerometer a@example.com $((t0 + 1000000 + $1))
    printf '%400000s' ''
}

is_full() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = '$process'" | grep -q '^outbox full'
}

files() {
    find "$inbox" -regex '.*/[0-9a-f]*' -printf '%f\n' 2>/dev/null | LC_ALL=C sort
}

messages_in() { # messages_in FILE of the inbox
    grep -ao "\"timestamp\":$(((t0 + 1000000) / 1000000))" "$inbox/$1" | wc -l
}

kept() { # the process has acknowledged the last message
    grep -rqaF "\"timestamp\":$((t0 + 1000000 + messages))," "$inbox"
}

# They wait because the outbox is full, for a consumer that never comes.
printf '[%s]\nconsumers = nobody\noutbox_bytes = 1MiB\n' "$process" | configure
start
customer a@example.com s1 "$t0" "$t0" | publish customer
check "the customer is everywhere" wait_idle
for ((i = 0; i < 5; i++)); do
    seq -f "$(accelerometer a@example.com %.0f)" $((t0 + i * 4000)) $((t0 + i * 4000 + 3999)) | publish accelerometer
done
wait_until 30 "a full outbox" is_full
inbox=$run_dir/state/$process/inbox
for ((i = 1; i <= messages; i++)); do
    message "$i" | publish accelerometer
done
wait_until 30 "all messages in the inbox" kept
check_stop
check "they wait in several files" [ "$(files | wc -l)" -ge 3 ]
saved=$run_dir

# go_on_with NAME: the pipeline as it was saved, which is to go on now.
go_on_with() {
    echo "--- $1"
    run_dir=$work/run.$1 port=
    cp -a "$saved" "$run_dir"
    inbox=$run_dir/state/$process/inbox
    configure </dev/null
    : >"$work/up.log"
}

logged() {
    cat "$work/up.log" "$run_dir"/log/*.log 2>/dev/null
}

quietly_idle() {
    wait_idle 2 2>/dev/null
}

status_is_fine() {
    gait status >/dev/null 2>&1
}

worked() { # everything in the inbox is
    [ "$(ask "SELECT json ->> 'inbox_bytes' FROM process WHERE json ->> 'process' = '$process'" 2>/dev/null)" = 0 ]
}

out() { # how many of the messages came out
    lake trusted/accelerometer | grep -o '"timestamp":[0-9]*' | cut -d: -f2 | awk -v after=$((t0 + 1000000)) '$1 > after' |
        sort -u | wc -l
}

why() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = '$process'" 2>/dev/null
}

arrived() {
    [ "$(out)" -ge "$1" ]
}

# check_told COUNT: so many messages come out, and that others are lost is told until it is acknowledged.
check_told() {
    start
    wait_until 60 "an inbox that is worked" worked
    wait_until 60 "$1 messages in the lake" arrived "$1"
    check "$1 of the messages come out, and no more" equal "$1" "$(out)"
    check "the log says what is lost, once" equal 1 "$(logged | grep -c 'error.*inbox: .*: lost from [0-9]* to [0-9]*')"
    check "gait status says why" [ "$(why | grep -c 'its inbox lost messages that were acknowledged: .* see its log')" = 1 ]
    check_not "and ends with 1" status_is_fine
    check_not "nothing is at rest" quietly_idle
    kill_hard "$process"
    wait_until 30 "the same told again" told
    check "it is acknowledged" gait status --acknowledge "$process"
    check "then all is at rest" wait_idle 60
    check "and gait status ends with 0" status_is_fine
    kill_hard "$process"
    check "for good" wait_idle 60
    check_balance
    check_stop
    check_not "nobody is named" grep -q @example "$work/up.log" "$run_dir"/log/*.log
}

told() {
    why | grep -q 'its inbox lost messages'
}

go_on_with flipped_bit
middle=$(files | sed -n 2p)
size=$((400000 + $(accelerometer a@example.com $((t0 + 1000000)) | wc -c)))
printf 'x' | dd of="$inbox/$middle" bs=1 seek=$((size * 2)) conv=notrunc status=none
check_told $((messages - 1))
check "its bytes are kept" [ "$(find "$inbox" -name '*.damaged' -size +390k | wc -l)" = 1 ]
check "the log says where" grep -q "kept in $(find "$inbox" -name '*.damaged')" <(logged)

go_on_with middle_file_removed
middle=$(files | sed -n 2p)
lost=$(messages_in "$middle")
rm "$inbox/$middle"
check_told $((messages - lost))

go_on_with last_file_emptied
last=$(files | tail -n 1)
lost=$(messages_in "$last")
dd if=/dev/zero of="$inbox/$last" bs="$(stat -c %s "$inbox/$last")" count=1 conv=notrunc status=none
check_told $((messages - lost))

go_on_with folder_removed
rm -r "$inbox"
check_told 0

go_on_with strange_names
: >"$inbox/7fffffffffffffff"
: >"$inbox/0000000000000001"
rm -f "$inbox/spare"
mkdir "$inbox/spare"
launch
wait_until 60 "an inbox that is worked" worked
hindered() {
    why | grep -q 'its log says which'
}
wait_until 30 "a why" hindered
check "the log names the folder" grep -q 'error.*inbox: .*/spare: File exists' <(logged)
check "and files that are none, once" equal 2 "$(logged | grep -c 'error.*inbox: .* is left alone')"
rmdir "$inbox/spare"
wait_until 30 "'ready' from gait up" is_ready
check "without it all is at rest" wait_idle 60
check "all messages came out" equal "$messages" "$(out)"
check "nothing is lost" status_is_fine
check "what is none is still there" [ -e "$inbox/7fffffffffffffff" -a -e "$inbox/0000000000000001" ]
check_stop
finish
