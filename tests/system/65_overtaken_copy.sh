#!/usr/bin/env bash
# A process's folder is copied while it runs, by somebody who comes to the inbox's messages last: those that the copied state
# has not worked are wiped by then (bug_390). The copy is refused with a line that says so, and nothing in it is changed.
. "$(dirname "$0")/lib.sh"

t0=1700000000000
process=customer-trusted
copy=$run_dir/state/$process
configure </dev/null

customers() { # customers FROM: ten more
    local i
    for ((i = $1; i < $1 + 10; i++)); do customer "c$i@example.com" "s$i" "$t0" "$t0"; done >"$work/customers"
    check "load from $1" load customer "$work/customers"
}

is_message_file() {
    [[ ${1##*/} =~ ^[0-9a-f]{16}$ ]]
}

refused() {
    grep -hq 'inbox: .*it was worked up to' "$work/up.log" "$run_dir"/log/*.log
}

sums() {
    (cd "$copy" && sha256sum inbox/* store/data.mdb)
}

start
customers 0
check "at rest" wait_idle 60
mkdir "$work/copy"
cp -a "$copy/." "$work/copy"
customers 10
check "at rest, and wiped" wait_idle 60
for file in "$copy"/inbox/*; do
    if is_message_file "$file"; then cp -a "$file" "$work/copy/inbox"; fi
done
check_stop
check_not "no copy is refused so far" refused

rm -r "$copy"
cp -a "$work/copy" "$copy"
sums >"$work/before"
launch
wait_until 30 "a line of the inbox that it does not go with the state" refused
check "nothing in the copy is changed" equal "$(cat "$work/before")" "$(sums)"
stop
check_not "nobody is named" grep -q @example "$work/up.log" "$run_dir"/log/*.log

# What the line says: away with the inbox. What else is amiss with an older copy is 64_back_in_time's.
mv "$copy/inbox" "$work/away"
start
customers 20
check_stop
finish
