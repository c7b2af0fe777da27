#!/usr/bin/env bash
# `gait check` and a start agree: what a start refuses because of the configuration, or of files, folders and states that it
# names, gait check finds before, and both end with 78 and say the same. Nothing is started again and again over it.
. "$(dirname "$0")/lib.sh"

port=$(free_port)
conf=$work/gait.conf

# run STATUS FILE COMMAND…: it ends with this status, soon; what it says goes to FILE.
run() {
    local want=$1 file=$2 status=0
    shift 2
    timeout -k 5 30 "$@" >"$file" 2>&1 || status=$?
    equal "$want" "$status" || { cat "$file"; return 1; }
}

# says FILE WORDS
says() {
    grep -qF -- "$2" "$1" || { cat "$1"; return 1; }
}

# agree NAME KEY WORDS…: check ends with 78 and names the file and key; `gait up` and a process end with 78, too, and all of
# them say these words.
agree() {
    local name=$1 key=$2 words
    shift 2
    check "$name: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
    check "$name: gait up" run 78 "$work/up" "$GAIT_BIN/gait" up -c "$conf" --broker 127.0.0.1:1
    check "$name: a process" run 78 "$work/process" "$GAIT_BIN/${process:-customer-trusted}" -c "$conf" -h 127.0.0.1 -p 1
    check "$name: check names file and key" grep -qE "^gait check: $conf(:[0-9]+)?: $key" "$work/check"
    for words; do
        for who in check up process; do
            check "$name: $who: $words" says "$work/$who" "$words"
        done
    done
}

# fine NAME: check finds nothing, and a process starts.
fine() {
    check "$1: gait check" run 0 "$work/check" "$GAIT_BIN/gait" check "$conf"
    : >"$work/process" # what the one before said is no word of this one
    "$GAIT_BIN/customer-trusted" -c "$conf" -h 127.0.0.1 -p 1 2>"$work/process" &
    pid=$!
    wait_until 20 "a start ($1)" grep -q 'links: ' "$work/process"
    kill -TERM "$pid"
    check "$1: a process" wait "$pid"
}

key=$work/keys/key
dir_key=$run_dir/pseudonym.key
named() {
    printf '[gait]\ndir = %s\n[customer-trusted]\npseudonym_key = %s\n' "$run_dir" "${1:-$key}" | configure
}
in_dir() {
    printf '[gait]\ndir = %s\n' "$run_dir" | configure
}

# ---- the key ----

make_key() {
    rm -rf "$1"
    head -c 32 /dev/urandom >"$1"
    chmod "${2:-0400}" "$1"
}

named
agree "a key in a folder that is not there" '\[customer-trusted\] pseudonym_key: ' "key file $key is not there and can't be made" \
    "the folder that it is in has to be there: make it"
mkdir -m 0700 "$work/keys"
fine "a key that is made"
for mode in 0640 0660 0440 0644 0604 0620; do
    make_key "$key" "$mode"
    agree "a key of mode $mode" '\[customer-trusted\] pseudonym_key: ' \
        "[customer-trusted] pseudonym_key: key file $key has mode $mode; allowed is that only its owner may read it: chmod 0400 $key"
done
for mode in 0400 0600; do
    make_key "$key" "$mode"
    fine "a key of mode $mode"
done
make_key "$work/keys/real"
rm "$key" && ln -s "$work/keys/real" "$key"
agree "a key behind a link" '\[customer-trusted\] pseudonym_key: ' "is a symbolic link; allowed is the file itself: name that"
rm "$key" && head -c 31 /dev/urandom >"$key" && chmod 0400 "$key"
agree "a key that is too short" '\[customer-trusted\] pseudonym_key: ' "has 31 bytes; allowed is a file of 32"
rm "$key" && mkdir "$key"
agree "a folder in place of a key" '\[customer-trusted\] pseudonym_key: ' "is a folder, a pipe or a device; allowed is a file of 32"
rmdir "$key"
if [ "$(id -u)" -eq 0 ]; then
    make_key "$key" && chown 12345 "$key"
    agree "a key of somebody else" '\[customer-trusted\] pseudonym_key: ' "belongs to user 12345, who could read and change it"
    rm "$key"
else
    echo "skip   files of somebody else: only root can make one"
fi

# The default has no line of its own.
in_dir
make_key "$dir_key" 0444
agree "a key of the default that everybody may read" '\[customer-trusted\] pseudonym_key: ' \
    "key file $dir_key has mode 0444; allowed is that only its owner may read it: chmod 0400 $dir_key"
process=machine-learning-curated agree "it is the other's key, too" '\[machine-learning-curated\] pseudonym_key: ' \
    "key file $dir_key has mode 0444"
make_key "$dir_key"
fine "its key as it should be"
check "--dir says where, too" run 78 "$work/check" "$GAIT_BIN/gait" check --dir "$work/keys/real" "$conf"
check "and what is wrong there" says "$work/check" "--dir: folder $work/keys/real can't be opened: Not a directory"

# ---- folders ----

for mode in 0777 0770 0702; do
    chmod "$mode" "$run_dir"
    agree "a folder of mode $mode" '\[gait\] dir: ' \
        "$run_dir has mode $mode, but nobody except its owner may be allowed to write in it: chmod go-w $run_dir"
done
chmod 0700 "$run_dir"
state=$run_dir/state/customer-trusted
chmod 0777 "$state/store"
check "a folder below it: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
check "a folder below it: a process" run 78 "$work/process" "$GAIT_BIN/customer-trusted" -c "$conf" -p 1
check "a folder below it: gait up" run 78 "$work/up" "$GAIT_BIN/gait" up -c "$conf" --port "$port"
for who in check process up; do
    check "a folder below it: $who" says "$work/$who" "$state/store has mode 0777"
done
chmod 0700 "$state/store"
mkdir -m 0700 -p "$run_dir/log"
ln -sf "$work/elsewhere" "$run_dir/log/lake.log"
check "a link as a log file: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
check "a link as a log file: gait up" run 78 "$work/up" "$GAIT_BIN/gait" up -c "$conf" --port "$port"
for who in check up; do
    check "a link as a log file: $who" says "$work/$who" "$run_dir/log/lake.log can't be opened: it is a link"
done
rm "$run_dir/log/lake.log"
if [ "$(id -u)" -eq 0 ]; then
    chown 12345 "$run_dir"
    agree "a folder of somebody else" '\[gait\] dir: ' "$run_dir belongs to user 12345, but allowed is only"
    check "check says whom it judged for" says "$work/check" "judged for root, as whom this ran, and $run_dir is user 12345's"
    chown 0 "$run_dir"
fi
fine "the folder as it should be"

# ---- TLS, and files that others may change ----

printf '[gait]\ndir = %s\n[mqtt]\ncafile = %s\nkey = %s\n' "$run_dir" "$work/ca.crt" "$work/our.key" | configure
agree "files for TLS that are not there" '\[mqtt\] cafile: ' "$conf:4: [mqtt] cafile: $work/ca.crt can't be read: No such file"
check "each is told" says "$work/check" "$conf:5: [mqtt] key: $work/our.key can't be read: No such file"
: >"$work/ca.crt"
install -m 0600 /dev/null "$work/our.key"
fine "files for TLS that are there"
if [ "$(id -u)" -eq 0 ]; then
    warned() {
        check "$1: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
        check "$1: check says" says "$work/check" "$2"
        : >"$work/process"
        "$GAIT_BIN/customer-trusted" -c "$conf" -h 127.0.0.1 -p 1 2>"$work/process" &
        pid=$!
        wait_until 20 "a start ($1)" grep -q 'links: ' "$work/process"
        kill -TERM "$pid"
        check "$1: a process starts" wait "$pid"
        check "$1: and warns" says "$work/process" " warning customer-trusted: $2"
    }
    chown 12345 "$work/our.key"
    warned "a private key of somebody else" "$conf:5: [mqtt] key: $work/our.key belongs to user 12345, who may change it"
    chown 0 "$work/our.key" && chown 12345 "$conf"
    warned "a configuration of somebody else" "$conf: this file belongs to user 12345, who may change it"
    chown 0 "$conf"
fi

# ---- values ----

# refused LINE NAME WORDS: a configuration that is on standard input.
refused() {
    configure
    agree "$2" "" "$conf:$1: $3"
}
names=$(for i in {1..32}; do printf '%s%064d' "${comma-}" "$i"; comma=,; done)
refused 2 "a consumer twice" "[customer-trusted] consumers: 'a,a' has a name twice; allowed is at most 32 names" <<END
[customer-trusted]
consumers = a,a
END
refused 2 "a password that is too long" "[mqtt] password: is too long; allowed is any text of at most 65535 bytes" <<END
[mqtt]
password = $(printf '%065536d' 1)
END
check_not "it is not shown" grep -q 0000 "$work/check"
refused 2 "a key that is too long" "section or key of 300 bytes; allowed are 197" <<END
[mqtt]
$(printf '%0300d' 1) = 1
END
for name in "${processes[@]}"; do
    printf '[%s]\nenabled = off\n' "$name"
done | configure
check "nothing to run: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
check "nothing to run: gait up" run 78 "$work/up" "$GAIT_BIN/gait" up -c "$conf" --dir "$run_dir" --port "$port"
for who in check up; do
    check "nothing to run: $who" says "$work/$who" "enabled is off in the section of every process; allowed is that one is on"
done
configure <<END
[gait]
dir = $run_dir
[mqtt]
prefix = $(printf '%064d/%063d' 1 1)
username = $(printf '%065535d' 1)
password = $(printf '%065535d' 1)
host = $(printf '%0253d' 1)
cafile =
[customer-trusted]
consumers = $names
END
chmod 0600 "$conf"
check "the longest values: gait check" run 0 "$work/check" "$GAIT_BIN/gait" check "$conf"
printf '[gait]\ndir = %s\n[customer-trusted]\nconsumers = %s\n' "$run_dir" "$names" | configure
fine "the longest list of consumers"

# ---- a state that was made otherwise ----

# other NAME LINE WORDS: the configuration at hand does not go with the state: `gait up` ends over it and says what to do.
other() {
    check "$1: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
    check "$1: gait up" run 78 "$work/up" "$GAIT_BIN/gait" up -c "$conf" --port "$port"
    for who in check up; do
        check "$1: $who says which state, and what to do" grep -qE -- "$2" "$work/$who"
    done
    check "$1: it is not started again" not grep -q 'starting it again' "$work/up"
}
rm -rf "$run_dir"
in_dir
start --port "$port"
check "beside a pipeline at work" run 0 "$work/check" "$GAIT_BIN/gait" check "$conf"
printf '[gait]\ndir = %s\n[limits]\nemail_case = fold\n' "$run_dir" | configure
check "a change that is yet to come" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
check_stop
stores() {
    (cd "$run_dir" && find . -path '*/store/*' -printf '%p %s %T@ %i %u\n' | LC_ALL=C sort)
}
made="the state in $run_dir/state/.* was made with"
other "another email_case" "$made \[limits\] email_case = keep, and the configuration says fold: set it back, or, to begin anew"
printf '[gait]\ndir = %s\n[machine-learning-curated]\nmatch = customer\n' "$run_dir" | configure
rm "$run_dir/state/customer-trusted/store/lock.mdb" # as of a state that was restored: whoever makes it owns it
stores >"$work/stores"
check "another match: gait check" run 78 "$work/check" "$GAIT_BIN/gait" check "$conf"
check "which writes nothing" equal "$(cat "$work/stores")" "$(stores)"
other "another match" "state.* was made with match = time and subject = pseudonym, and the configuration says customer and pseudonym: set"
finish
