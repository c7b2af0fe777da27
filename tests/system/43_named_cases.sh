#!/usr/bin/env bash
# What is easy to get wrong, each as a payload of its own with a good reading beside it: what the receipt says, and that
# the good ones come out as they were.
. "$(dirname "$0")/lib.sh"

# good NUMBER [X]: a reading, which has to come out.
good() {
    printf '{"user":"eve@example.org","timestamp":%s,"x":%s,"y":2,"z":3}\n' "$((1600000002000 + $1))" "${2:-1}" |
        tee -a "$work/want"
}

# bad MEMBERS: a reading that would be good without these.
bad() {
    printf '{"user":"eve@example.org","y":2,"z":3,%b}\n' "$1"
}

# sent NAME TAKEN INVALID [-n]: publish standard input, or nothing; the receipt says so many.
sent() {
    local name=$1 topic="gait/receipt/$1" from=${4:--s}
    mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -t gait/landing/accelerometer -V 5 -D publish response-topic "$topic" "$from"
    wait_until 30 "the receipt of $name" heard "$work/receipts" "^> $topic "
    check "$name" equal \
        "{\"taken\":$2,\"passed\":$(($2 - $3)),\"waiting\":0,\"refused\":0,\"duplicate\":0,\"stale\":0,\"invalid\":$3}" \
        "$(sed -n "s|,\"faults\":.*|}|; s|^> $topic ||p" "$work/receipts")"
}

# refused NAME NUMBER MEMBERS: one bad reading, and a good one on the next line.
refused() {
    { bad "$3"; good "$2"; } | sent "$1" 2 1
}

# zeros COUNT CHARACTER
zeros() {
    head -c "$1" /dev/zero | tr '\0' "$2"
}

: >"$work/gait.conf"
start
listen "$work/receipts" -V 5 -t 'gait/receipt/#'
customer eve@example.org trainer-5 1600000001000 1600000001000 | publish customer
wait_until 30 "the customer" counter_is accelerometer-trusted customer taken 1

refused duplicate_key 1 '"timestamp":1600000000000,"x":1,"x":1'
refused duplicate_key_with_an_escape 2 '"timestamp":1600000000000,"x":1,"\\u0078":1'
refused duplicate_key_within 3 '"timestamp":1600000000000,"x":1,"more":{"a":1,"a":2}'
refused both_names_of_the_time 4 '"timestamp":1600000000000,"timeStamp":1600000000000,"x":1'
refused key_in_other_case 5 '"timestamp":1600000000000,"X":1'
refused nul_escape 6 '"timestamp":1600000000000,"x":1,"more":"\\u0000"'
refused nul 7 '"timestamp":1600000000000,"x":1,"more":"\0000"'
refused invalid_utf8 8 '"timestamp":1600000000000,"x":1,"more":"\0377"'
refused overlong_utf8 9 '"timestamp":1600000000000,"x":1,"more":"\0300\0257"'
refused lone_surrogate 10 '"timestamp":1600000000000,"x":1,"more":"\\ud83d"'
refused 1e999 11 '"timestamp":1600000000000,"x":1e999'
refused 1E400 12 '"timestamp":1600000000000,"x":-1E400'
refused time_in_seconds 13 '"timestamp":1600000000,"x":1'
refused time_of_2_to_53_and_1 14 '"timestamp":9007199254740993,"x":1'
refused time_of_2_to_63 15 '"timestamp":9223372036854775808,"x":1'
refused time_of_2_to_64_and_a_good_one 16 '"timestamp":18446745673709551616,"x":1'
refused depth_17 17 "\"timestamp\":1600000000000,\"x\":1,\"more\":$(zeros 16 '[')$(zeros 16 ']')"
zeros 1000000 '[' | sent depth_of_a_million 2 2
{ printf '{"more":'; zeros 1000000 '['; echo; good 19; } | sent depth_of_a_million_in_a_record 2 1
{ printf '{"more":"'; zeros 1000000 x; echo '"}'; good 20; } | sent string_of_a_million 2 1
{ printf '{"more":"'; zeros 1048576 x; echo '"}'; } | sent string_of_a_mebibyte 1 1
sent empty 1 1 -n
printf ' \r\n' | sent blanks 1 1
printf '\xef\xbb\xbf' | sent mark_alone 1 1

good 30 9007199254740991 | sent number_below_2_to_53 1 0
good 31 9007199254740993 | sent number_above_2_to_53 1 0
good 32 -9223372036854775809 | sent number_below_minus_2_to_63 1 0
good 33 0.1000000000000000055511151231257827 | sent number_of_many_digits 1 0
good 34 -0 | sent minus_0 1 0
good 35 1e-400 | sent too_small_for_a_double 1 0
{ good 36; good 37; } | tr -d '\n' | sent without_a_separator 2 0
{ printf '\xef\xbb\xbf'; good 38; good 39; } | sent byte_order_mark 2 0
{ good 40; echo; good 41; } | sed 's/$/\r/' | sent crlf 2 0
{ printf '['; good 42; printf ','; bad '"x":1'; printf ','; good 43; printf ']'; } | sent array 3 1
{ bad "\"timestamp\":1600000002044,\"x\":1,\"more\":$(zeros 15 '[')$(zeros 15 ']')"; } | sent depth_16 1 0
printf '{"user":"eve@example.org","timestamp":1600000002044,"x":1,"y":2,"z":3}\n' >>"$work/want"

check "the pipeline comes to rest" wait_idle
lake trusted/accelerometer | sort >"$work/got"
check "all $(wc -l <"$work/want") good ones are out, as they were" cmp <(sort "$work/want") "$work/got"
check_balance
check_stop
finish
