#!/usr/bin/env bash
# A bad start: standard streams that are closed, a key that is somebody else's, more consumers than there may be. Each is
# survived, or refused with a line that says what to do.
. "$(dirname "$0")/lib.sh"

# start_customer: customer-trusted without a broker; its streams are those of the call.
start_customer() {
    "$GAIT_BIN/customer-trusted" --dir "$work/alone" --broker 127.0.0.1:1 &
    pid=$!
}

stop_customer() {
    kill -TERM "$pid"
    wait "$pid"
}

has_inbox() {
    [ -s "$work/alone/state/customer-trusted/inbox/0000000000000000" ]
}

start_customer <&- >&- 2>&-
wait_until 20 "an inbox" has_inbox
for fd in 0 1 2; do
    check "descriptor $fd is nobody's file" equal /dev/null "$(readlink "/proc/$pid/fd/$fd")"
done
check "it stops" stop_customer
start_customer 2>"$work/again.err"
wait_until 20 "a start on the same store" grep -q 'links: ' "$work/again.err"
check "the store is whole" stop_customer
check_not "and no line went into it" grep -qa 'info customer-trusted' "$work/alone/state/customer-trusted/store/data.mdb"

key=$work/alone/pseudonym.key
mv "$key" "$work/real.key" && ln -s "$work/real.key" "$key"
status=0
"$GAIT_BIN/customer-trusted" --dir "$work/alone" --broker 127.0.0.1:1 2>"$work/link.err" || status=$?
check "a key behind a link is refused" equal 78 "$status"
check "and it is said" grep -q "key file $key is a symbolic link" "$work/link.err"
rm "$key" && mv "$work/real.key" "$key"
if [ "$(id -u)" -eq 0 ]; then
    chown 12345 "$key"
    status=0
    "$GAIT_BIN/customer-trusted" --dir "$work/alone" --broker 127.0.0.1:1 2>"$work/owner.err" || status=$?
    check "a key of somebody else is refused" equal 78 "$status"
    check "and it is said whose it is" grep -q "key file $key belongs to user 12345" "$work/owner.err"
fi

printf '[customer-trusted]\nconsumers = %s\n' "$(seq -s , -f 'c%g' 40)" >"$work/many.conf"
status=0
"$GAIT_BIN/gait" check "$work/many.conf" 2>"$work/many.err" || status=$?
check "40 consumers do not pass gait check" equal 78 "$status"
check "which says where" grep -q 'many.conf:2: \[customer-trusted\] consumers: .* at most 32 names' "$work/many.err"
finish
