#!/usr/bin/env bash
# gait load takes what strangers have, says what it can't take, and its exit status tells the two apart.
. "$(dirname "$0")/lib.sh"

: >"$work/gait.conf"
start
files=$work/files
mkdir "$files"
echo 0 >"$work/number" # of the last reading

# readings COUNT: that many more, which nobody has loaded yet. Also in a pipe, where a variable would not come back.
readings() {
    local number last
    number=$(<"$work/number")
    last=$((number + $1))
    echo "$last" >"$work/number"
    while [ "$number" -lt "$last" ]; do
        number=$((number + 1))
        accelerometer eve@example.org $((1600000002000 + number))
    done
}

# loads STATUS NAME [OPTION…]: load files/NAME, or standard input if NAME is -; it ends with this status.
loads() {
    local want=$1 name=$2 path=- status=0
    shift 2
    [ "$name" = - ] || path=$files/$name
    gait load "$@" accelerometer "$path" >"$work/said" 2>&1 || status=$?
    check "$name: exit status" equal "$want" "$status"
}

# says PATTERN, the load before.
says() {
    check "it says $1" grep -qE -- "$1" "$work/said"
}

# What the process counts as taken and as invalid.
counts() {
    echo "$(counter accelerometer-trusted accelerometer taken) $(counter accelerometer-trusted accelerometer invalid)"
}

columns='USER;timestamp;X;y;z;device' # as an export of a lake writes them, with a column more
rows() {
    echo "$columns"
    readings "$1" | sed -E 's/.*:"([^"]*)","timestamp":([0-9]*),"x":([^,]*),"y":([^,]*),"z":([^}]*)}/\1;\2;\3;\4;\5;7/'
}

# byte NUMBER…: bytes of these values.
byte() {
    local number
    for number in "$@"; do
        printf "\\x$(printf %02x "$number")"
    done
}

# zstd_frame: standard input, from 256 bytes to 64 KiB, as a frame of zstd with one block as it is: that takes no zstd.
zstd_frame() {
    local size
    cat >"$work/block"
    size=$(stat -c %s "$work/block")
    byte 0x28 0xb5 0x2f 0xfd 0x60 $(((size - 256) & 255)) $((size - 256 >> 8))
    byte $((size << 3 & 255 | 1)) $((size << 3 >> 8 & 255)) $((size << 3 >> 16))
    cat "$work/block"
}

customer eve@example.org trainer-5 1600000001000 1600000001000 | publish customer
wait_until 30 "the customer" counter_is accelerometer-trusted customer taken 1

# What can be taken. 9 files of 10.
readings 10 >"$files/plain"
loads 0 plain
check_not "no bar where no terminal is" grep -q $'\r' "$work/said"
{
    readings 5 | gzip
    head -c 100 /dev/zero
    readings 5 | gzip
    head -c 1000 /dev/zero
} >"$files/padded.gz"
loads 0 padded.gz
{
    printf '\x50\x2a\x4d\x18\x04\x00\x00\x00abcd'
    readings 5 | zstd_frame
    printf '\x5f\x2a\x4d\x18\x00\x00\x00\x00'
    readings 5 | zstd_frame
} >"$files/pzstd.zst"
loads 0 pzstd.zst
rows 10 >"$files/semicolons.csv"
loads 0 semicolons.csv
says 'semicolons'
says 'USER as user, X as x$'
says 'not loaded: device$'
rows 10 | tr ';' '\t' | sed 's/$/\r/' | gzip >"$files/tabs"
loads 0 tabs
{
    echo 'sep=|'
    rows 10 | tr ';' '|'
} >"$files/bars"
loads 0 - <"$files/bars"
readings 10 | sed 's/"user"/"USER"/' >"$files/upper"
loads 0 upper
{
    printf '['
    readings 10 | paste -sd,
    printf ']'
} >"$files/array"
loads 0 array --batch 3
readings 10 | sed 's/^/\x1e/' >"$files/sequence"
loads 0 sequence
check "all were taken, none was invalid" equal "90 0" "$(counts)"
check "and all came out" equal 90 "$(counter accelerometer-trusted accelerometer passed)"

# What is no text, or has the wrong names: nothing of it is sent, nor of the good file before it.
printf '\xfd7zXZ\0\0\4\xe6\xd6\xb4\x46' >"$files/xz"
readings 10 | iconv -t UTF-16 >"$files/utf16"
readings 10 | sed 's/"z"/"zz"/;s/$/\x00/' >"$files/nul"
printf 'user,timestamp,x,y\na,1,2,3\n' >"$files/columns.csv"
for name in xz utf16 nul columns.csv; do
    readings 10 >"$files/good"
    loads 65 "$name" --batch 1
    gait load accelerometer "$files/good" "$files/$name" >/dev/null 2>&1
    check "$name: exit status with a good one" equal 65 $?
done
loads 65 xz
says 'xz -dc'
readings 10 | gzip | head -c -20 >"$files/cut.gz"
loads 1 cut.gz
says 'the file ends there'

# Invalid records, by file and line.
before=($(counts))
{
    readings 2
    echo 'not "JSON" {'
    echo '{"user":"eve@example.org","x":1,"y":2,"z":3}'
    readings 1 | tr -d '\n'
    readings 1
    echo 'nor this'
    echo '{"user":"eve@example.org","timestamp":1600000000000,"x":"PRIVATE","y":2,"z":3}'
} >"$files/mixed"
loads 65 mixed --batch 3
after=($(counts))
says '8 records in 3 messages'
says 'mixed:3: bad_json'
says 'mixed:4: missing_field: timestamp is missing'
says 'mixed:6: bad_json'
says 'mixed:7: bad_type: x '
says '4 records were invalid: gait rejected'
check_not "it shows no value" grep -q PRIVATE "$work/said"
check "the process counts the same" equal "8 4" "$((after[0] - before[0])) $((after[1] - before[1]))"
for _ in {1..9}; do echo '{}'; done >"$files/empty_objects"
loads 65 empty_objects
says 'empty_objects:5: missing_field: user is missing'
says 'and 4 more'
check_not "more than a few are not shown" grep -q 'empty_objects:6' "$work/said"
{
    echo 'user,timestamp,x,y,z'
    echo 'eve@example.org,1600000001999,1,2'
    readings 1 | sed 's/[^,]*://g;s/[}"]//g'
} >"$files/short.csv"
loads 65 short.csv
says 'short.csv:2: the row has 4 cells, and the first line 5'
says '^[^0-9]*2 records'

# A bar on a terminal of 30 columns fits in them. A bare machine may have no terminals (/dev/pts).
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    readings 60 >"$files/slow"
    script -qec "stty cols 30; '$GAIT_BIN/gait' load --broker 127.0.0.1:$port --rate 120 accelerometer '$files/slow'" /dev/null \
        </dev/null >"$work/terminal" 2>&1
    tr '\r' '\n' <"$work/terminal" | sed -n 's/\x1b\[K.*//p' >"$work/bars"
    check "there is a bar" grep -q '%' "$work/bars"
    check_not "it is no longer than the terminal is wide" grep -qE '^.{30}' "$work/bars"
    check_not "nor says 100 % while receipts are to come" grep -q '100%.*[ [>]0 records' "$work/bars"
fi

check_balance
check_stop
finish
