#!/usr/bin/env bash
# What is no whole set is no backup, and what is no whole backup is not restored: it is said which file or which link, and
# nothing is touched. A backup that is interrupted or killed is none either, and the pipeline does not notice.
. "$(dirname "$0")/lib.sh"

backup() {
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$@" 2>"$work/said"
}
restore() {
    "$GAIT_BIN/gait" restore --dir "$work/new" "$@" 2>"$work/said"
}
# fails STATUS COMMAND…
fails() {
    local status=0
    "${@:2}" || status=$?
    equal "$1" "$status"
}
says() {
    grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }
}

simulate 100
rules any time 0
check "a folder without a pipeline: no backup" fails 1 backup "$work/none"
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle

# Targets.
check "no target is wrong usage" fails 2 backup
check "backup" backup "$work/b"
check "a second one does not go to the same folder" fails 1 backup "$work/b"
check "it says so" says "$work/b is there already"
mkdir "$work/empty"
check "an empty folder will do" backup "$work/empty/"
check "it has a manifest" [ -s "$work/empty/manifest" ]
touch "$work/file"
check "a file will not" fails 1 backup "$work/file"
mkdir "$work/c.partial"
check "nor one that another backup left, or is at" fails 1 backup "$work/c"
check "it says so" says "c.partial"
check "and stays" [ -d "$work/c.partial" ]
rmdir "$work/c.partial"
check "what can't be made is said" fails 1 backup "$work/no/where"

ln -s "$work/nowhere" "$work/link"
check "nor will a link" fails 1 backup "$work/link"
check "it says so" says "$work/link is there already"
mkdir -m 0777 "$work/open"
check "nor a place where others could put something else" fails 1 backup "$work/open/b"
check "it says so" says "the way to $work/open goes through $work/open, which has mode 0777"
check "and leaves nothing" equal "" "$(ls "$work/open")"
chmod +t "$work/open"
check "but one where they can't" backup "$work/open/b"
chmod g+w "$run_dir"
check "a pipeline in which others may write is none of ours" fails 1 backup "$work/c"
check "it says so" says "$run_dir has mode"
chmod g-w "$run_dir"

# A pipeline of which something is missing.
mv "$run_dir/pseudonym.key" "$work/key"
check "without its key it is no backup" fails 1 backup "$work/c"
check "it says which" says "pseudonym.key"
check "and leaves nothing" [ ! -e "$work/c.partial" ]
mv "$work/key" "$run_dir/pseudonym.key"
check_stop
mv "$run_dir/state/lake" "$work/state.lake"
check "without a state neither" fails 1 backup "$work/c"
check "it says whose" says "no state of lake"
check "unless one says so" backup --incomplete "$work/incomplete"
check "the manifest knows" grep -qx "missing lake" "$work/incomplete/manifest"
mv "$work/state.lake" "$run_dir/state/lake"

# bug_336: copies of different times. The consumer's is newer than its producer's.
cp -R "$run_dir/state" "$work/earlier"
start
for i in 1 2 3; do customer "late$i@example.com" "late-$i" 1700000000000 1700000000000; done | publish customer
check "the pipeline comes to rest" wait_idle
check_stop
mv "$run_dir/state/customer-trusted" "$work/later"
cp -R "$work/earlier/customer-trusted" "$run_dir/state"
check "states of different times are no backup" fails 1 backup "$work/c"
check "it says which" says "accelerometer-trusted has applied"
check "and of whom" says "of customer-trusted"
check "nothing is left" [ ! -e "$work/c" ] && [ ! -e "$work/c.partial" ]
rm -r "$run_dir/state/customer-trusted"
mv "$work/later" "$run_dir/state/customer-trusted"

# A part of the lake that somebody has cut.
part=$(find "$run_dir/lake/trusted/accelerometer" -type f)
cp -p "$part" "$work/part"
truncate -s -10 "$part"
check "a lake that was cut is no backup" fails 1 backup "$work/c"
check "it says which file" says "$part"
cp -p "$work/part" "$part"

# What is not whole is not restored: one byte of any file, anywhere in it.
flip() { # flip FILE AT: the lowest bit of that byte is another one; where there is none it is one more
    local byte
    [ -s "$1" ] || { echo >>"$1"; return; }
    byte=$(od -An -tu1 -j"$2" -N1 "$1")
    chmod u+w "$1"
    printf '%b' "\\0$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
check "the set has an inbox" test -n "$(find "$work/b/state" -path '*/inbox/*' -type f)"
for file in $(cd "$work/b" && find . -type f | LC_ALL=C sort); do
    file=${file#./}
    cp -R "$work/b" "$work/damaged"
    at=$(((RANDOM * 32768 + RANDOM) % ($(stat -c %s "$work/b/$file") + ($(stat -c %s "$work/b/$file") == 0))))
    flip "$work/damaged/$file" "$at"
    check "damaged $file at $at: not restored" fails 1 restore "$work/damaged"
    check "it says which" says "damaged/$file"
    mv "$work/damaged/$file" "$work/away"
    check "missing $file: not restored" fails 1 restore "$work/damaged"
    check "it says which" says "damaged/$file"
    ln -s "$work/away" "$work/damaged/$file"
    check "a link in place of $file: not restored" fails 1 restore "$work/damaged"
    check "nothing is touched" [ ! -e "$work/new" ]
    rm -rf "$work/damaged"
done

# Nor is what somebody has made, who can make checksums.
digest() {
    b2sum -l 128 | cut -d' ' -f1
}
seal() { # seal SET: the manifest, as on standard input, with its last line
    cat >"$work/lines"
    { cat "$work/lines"; echo "end $(digest <"$work/lines")"; } >"$1/manifest"
}
# add SET FILE: after all others in the manifest, whatever is in the file.
add() {
    sed '$d' "$1/manifest" >"$work/before"
    { cat "$work/before"; echo "file $(digest <"$1/$2") $(stat -c %s "$1/$2") $2"; } | seal "$1"
}
forge() { # forge: a copy of the set, to be changed
    rm -rf "$work/forged"
    cp -R "$work/b" "$work/forged"
}
forge
sed '$d' "$work/b/manifest" | seal "$work/forged"
check "the checksum is made like ours" cmp "$work/b/manifest" "$work/forged/manifest"
echo outside >"$work/outside"
for path in "state/../../outside" "$work/outside" "lake/../../outside" "../outside" "state/./x" $'lake/\e[2J'; do
    forge
    mkdir -p "$work/forged/state/x" "$work/forged/lake"
    printf 'x\n' >"$work/forged/lake/"$'\e[2J'
    sed '$d' "$work/b/manifest" >"$work/before"
    { cat "$work/before"; echo "file $(digest <"$work/outside") 8 $path"; } | seal "$work/forged"
    check "a manifest that names $(printf %q "$path"): not restored" fails 1 restore "$work/forged"
    check "it says so" says "forged/manifest: it "
    check "and shows nothing of it" not grep -q $'\e' "$work/said"
    check "nothing is touched" [ ! -e "$work/new" ]
done
sed 's/^taken .*/taken \x1b[2J/' "$work/b/manifest" | sed '$d' | seal "$work/forged"
check "nor one that is for terminals" fails 1 restore "$work/forged"
check "it shows nothing of it" not grep -q $'\e' "$work/said"
sed '1s/1$/2/' "$work/b/manifest" | sed '$d' | seal "$work/forged"
check "another version's: not restored" fails 1 restore "$work/forged"
check "it says so" says "forged/manifest: it was made by another version of gait"
forge
sed '/ state\/lake\//d; $d' "$work/b/manifest" | seal "$work/forged"
check "a state that the manifest does not name: not restored" fails 1 restore "$work/forged"
check "it says which" says "forged/state/lake/store/data.mdb and the manifest do not go together"
rm -r "$work/forged/state/lake"
check "nor a manifest that names a state which is not there" fails 1 restore "$work/forged"
check "it says which" says "forged/state/lake/store/data.mdb and the manifest do not go together"
forge
store=state/lake/store/data.mdb
at=$(LC_ALL=C grep -obaP 'format\x00{7}\x04' "$work/forged/$store" | head -n 1 | cut -d: -f1)
printf '\x63' | dd of="$work/forged/$store" bs=1 seek=$((at + 13)) conv=notrunc status=none
sed "s|^file [0-9a-f]* \([0-9]*\) $store\$|file $(digest <"$work/forged/$store") \1 $store|; \$d" "$work/b/manifest" |
    seal "$work/forged"
check "a state of another version: not restored" fails 1 restore "$work/forged"
check "it says whose" says "the state of lake has format 99"
rm -r "$work/forged"

# Nor is anything written over.
run_dir=$work/run
start
check "a pipeline that runs is not overwritten" \
    fails 1 eval '"$GAIT_BIN/gait" restore --dir "$run_dir" "$work/b" 2>"$work/said"'
check "it says so" says "works in"
check_stop
check "nor is one that is stopped" fails 1 eval '"$GAIT_BIN/gait" restore --dir "$run_dir" "$work/b" 2>"$work/said"'
check "it says what to do" says "move it away"
mkdir -p -m 0777 "$work/new"
check "nor is a folder filled in which others may write" fails 1 restore "$work/b"
check "it says so" says "$work/new has mode"
chmod go-w "$work/new"
mkdir "$work/elsewhere"
ln -s "$work/elsewhere" "$work/new/state"
check "nor a link's" fails 1 restore "$work/b"
check "it says so" says "new/state is there already"
rm "$work/new/state"
head -c 32 /dev/urandom >"$work/new/pseudonym.key"
check "nor another key" fails 1 restore "$work/b"
check "it says which" says "new/pseudonym.key"
check "and has touched nothing" equal "lock pseudonym.key" "$(ls "$work/new" | xargs)"
cp "$run_dir/pseudonym.key" "$work/new/pseudonym.key"
check "the same key is none" restore "$work/b"
check "once is enough" fails 1 restore "$work/b"
find "$work/new/lake" -type f | grep -q . || check "the lake is there" false

# Interrupted, or killed: the pipeline goes on, and nothing looks like a backup. So that there is time for it, the lake has a
# large part of an earlier day.
start
mkdir "$run_dir/lake/trusted/accelerometer/date=2020-01-01"
truncate -s 256M "$run_dir/lake/trusted/accelerometer/date=2020-01-01/part-00000001.ndjson"
begun() {
    [ -e "$work/$1.partial/state/customer-trusted/store/data.mdb" ]
}
for signal in INT TERM KILL; do
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$work/$signal" 2>"$work/said" &
    pid=$!
    wait_until 60 "a backup" begun "$signal"
    kill -"$signal" "$pid"
    status=0
    wait "$pid" 2>/dev/null || status=$?
    check "SIG$signal: it ends by that" equal "$((128 + $(kill -l "$signal")))" "$status"
    check "SIG$signal: there is no backup" [ ! -e "$work/$signal" ]
    check "SIG$signal: nor is there a manifest" [ ! -e "$work/$signal.partial/manifest" ]
done
check "SIGINT leaves nothing" [ ! -e "$work/INT.partial" ]
check "nor does SIGTERM" [ ! -e "$work/TERM.partial" ]
trimmed() {
    [ "$(ask "SELECT count(*) FROM process WHERE json ->> '$.output.trimmed' < json ->> '$.output.last'")" = 0 ]
}
for i in 4 5 6; do customer "late$i@example.com" "late-$i" 1700000000000 1700000000000; done | publish customer
check "the pipeline comes to rest" wait_idle
wait_until 30 "outboxes that are trimmed to the end" trimmed
check_balance
check_stop

# So is a restore. So that there is time for it the set has a large part, which comes first.
cp -R "$work/b" "$work/big"
large=lake/trusted/accelerometer/date=2020-01-01/part-00000001.ndjson
mkdir "$work/big/${large%/*}"
truncate -s 256M "$work/big/$large"
add "$work/big" "$large"
sed '$d' "$work/big/manifest" | awk -v large="$large" '$1 != "file" {print; next} $NF == large {print $0 rest; next}
    {rest = rest "\n" $0}' >"$work/ordered"
seal "$work/big" <"$work/ordered"
restore_begun() {
    [ -s "$work/restored/restore.partial/$large" ]
}
begin_restore() {
    "$GAIT_BIN/gait" restore --dir "$work/restored" "$work/big" 2>"$work/said" &
    pid=$!
    wait_until 60 "a restore" restore_begun
}
for signal in INT TERM KILL; do
    begin_restore
    kill -"$signal" "$pid"
    status=0
    wait "$pid" 2>/dev/null || status=$?
    check "SIG$signal: it ends by that" equal "$((128 + $(kill -l "$signal")))" "$status"
    check "SIG$signal: there is no state" [ ! -e "$work/restored/state" ]
    check "SIG$signal: nor a lake" [ ! -e "$work/restored/lake" ]
    check "SIG$signal: nor a key" [ ! -e "$work/restored/pseudonym.key" ]
    [ "$signal" = KILL ] || check "SIG$signal: nothing is left of it" equal lock "$(ls "$work/restored")"
done
check "what a kill left is not filled" fails 1 eval '"$GAIT_BIN/gait" restore --dir "$work/restored" "$work/b" 2>"$work/said"'
check "it says so" says "remove $work/restored/restore.partial"
check "nor does a pipeline begin beside it" \
    fails 1 eval 'timeout 20 "$GAIT_BIN/gait" up --port 1 --dir "$work/restored" >"$work/up.out" 2>"$work/said"'
check "it says so" says "remove $work/restored/restore.partial"
check "nor does a process" fails 1 eval 'timeout 20 "$GAIT_BIN/lake" --broker 127.0.0.1:1 --dir "$work/restored" 2>"$work/said"'
check "it says so" says "remove $work/restored/restore.partial"
check "nothing has begun" equal "" "$(find "$work/restored" -maxdepth 2 -path '*/state/*')"
rm -r "$work/restored"

# Somebody else makes a state meanwhile: then there is nothing of the set, neither is there of what it would go with.
begin_restore
mkdir -p "$work/restored/state/lake"
status=0
wait "$pid" || status=$?
check "a state that comes in between: not restored" equal 1 "$status"
check "it says which" says "restored/state: Directory not empty"
check "the lake is not there without it" [ ! -e "$work/restored/lake" ]
check "nothing is left of it" [ ! -e "$work/restored/restore.partial" ]
rmdir "$work/restored/state/lake" "$work/restored/state"
: >"$work/restored/pseudonym.key.partial"
chmod u+w "$work/restored/pseudonym.key"
rm "$work/restored/pseudonym.key"
check "what a kill left of a key is not taken for one" \
    fails 1 eval '"$GAIT_BIN/gait" restore --dir "$work/restored" "$work/b" 2>"$work/said"'
check "it says which" says "pseudonym.key.partial"
rm "$work/restored/pseudonym.key.partial"
check "then it is restored" "$GAIT_BIN/gait" restore --dir "$work/restored" "$work/b" 2>"$work/said"
finish
