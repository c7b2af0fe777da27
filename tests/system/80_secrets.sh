#!/usr/bin/env bash
# Passwords and keys: files that everybody can read are told, a command line holds no password (bug_381: `gait up` gave it to
# its processes as an argument), memory that holds keys is locked.
. "$(dirname "$0")/lib.sh"

# found FILE MODE PATTERN: with this mode of FILE, gait check ends with 78 and says this.
found() {
    local status=0
    chmod "$2" "$1"
    "$GAIT_BIN/gait" check "$work/gait.conf" >"$work/said" 2>&1 || status=$?
    equal 78 "$status" && { grep -qE "$3" "$work/said" || ! cat "$work/said"; }
}

# fine FILE MODE
fine() {
    chmod "$2" "$1"
    "$GAIT_BIN/gait" check "$work/gait.conf" >"$work/said" 2>&1
}

# ---- files that others can read ----

printf '[mqtt]\nusername = gait\npassword = geheim\nkey = %s\n' "$work/our.key" | configure
openssl genrsa -out "$work/our.key" 2048 2>>"$work/openssl.log"
chmod 600 "$work/our.key"
for mode in 0644 0604 0642; do
    check "a configuration with a password, $mode" found "$work/gait.conf" "$mode" \
        "gait.conf:3: \[mqtt\] password: this file has mode $mode, .*chmod o-rwx $work/gait.conf"
    check_not "the password is not shown" grep -q geheim "$work/said"
done
check "0640 root:gait is how it is meant" fine "$work/gait.conf" 0640
check "a private key" found "$work/our.key" 0644 "gait.conf:4: \[mqtt\] key: $work/our.key has mode 0644, .*chmod o-rwx"
check "the group may read it" fine "$work/our.key" 0640
printf '[mqtt]\nkey = %s\n[customer-trusted]\npseudonym_key = %s\n' /nonexistent "$work/pseudonym.key" | configure
check "what is not there is found by who needs it" fine "$work/gait.conf" 0644
head -c 32 /dev/urandom >"$work/pseudonym.key"
check "the key of pseudonyms" found "$work/pseudonym.key" 0444 '\[customer-trusted\] pseudonym_key: .* has mode 0444'
rules any time 0
check "without a secret in it everybody may read it" fine "$work/gait.conf" 0644

# ---- who starts with it is warned ----

port=$(free_port)
mosquitto_passwd -c -b "$work/passwords" gait geheim 2>/dev/null
cat >"$work/mosquitto.conf" <<END
$([ "$(id -u)" -ne 0 ] || echo user root)
listener $port 127.0.0.1
allow_anonymous false
password_file $work/passwords
END
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
broker_pid=$!
wait_until 10 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
printf '[mqtt]\nusername = gait\npassword = geheim\n' | configure
chmod 644 "$work/gait.conf"
start --broker "127.0.0.1:$port"
check "gait up warns" grep -q ' warning up: .*password: this file has mode 0644' "$work/up.log"
check "so does a process" grep -q ' warning lake: .*password: this file has mode 0644' "$run_dir/log/lake.log"
locked_kib() {
    sed -n 's/^VmLck:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(pid_of "$1")/status"
}
if is_sanitized; then
    echo "skip   locked memory: AddressSanitizer does not let mlock through"
elif [ "$(ulimit -l)" = unlimited ] || [ "$(ulimit -l)" -ge 1024 ]; then
    for name in "${processes[@]}"; do
        check "$name has locked memory" [ "$(locked_kib "$name")" -gt 0 ]
    done
fi
# leaves_no_core PID: nobody may raise that any more.
leaves_no_core() {
    grep -qE '^Max core file size +0 +0 ' "/proc/$1/limits"
}
if [ "$(ulimit -Hc)" = 0 ]; then
    echo "skip   cores: nobody here may have any"
else
    check "gait up leaves no core" leaves_no_core "$up_pid"
    "$GAIT_BIN/lake" --dir "$work/alone" --broker 127.0.0.1:1 2>"$work/alone.err" & # of gait up it would have that limit
    pid=$!
    wait_until 20 "a process" grep -q 'links: ' "$work/alone.err"
    check "nor does a process" leaves_no_core "$pid"
    kill -TERM "$pid"
    wait "$pid"
fi
unlockable() (
    ulimit -l 0
    GAIT_PASSWORD=geheim "$GAIT_BIN/gait" status --broker "127.0.0.1:$port" -u gait --wait-idle 30
)
check "no memory to lock is no error" unlockable
check_stop

# ---- the environment, and command lines ----

printf '[mqtt]\nsession = 1d\n' | configure
export GAIT_PASSWORD=geheim
start --broker "127.0.0.1:$port" -u gait
check "the environment lets in" "$GAIT_BIN/gait" status --broker "127.0.0.1:$port" -u gait --wait-idle 30
wrong() {
    timeout 20 "$GAIT_BIN/gait" status -h 127.0.0.1 -p "$port" -u gait -P wrong 2>/dev/null
}
check_not "-P wins over it" wrong
unset GAIT_PASSWORD
for name in "${processes[@]}"; do
    check_not "no password in the environment of $name any more" grep -aq geheim "/proc/$(pid_of "$name")/environ"
done
check_stop
kill "$broker_pid"

# What `gait up` gives its processes, from their first instant: these write down what they were given.
mkdir "$work/bin"
cp "$GAIT_BIN/gait" "$work/bin/gait"
for name in "${processes[@]}"; do
    cat >"$work/bin/$name" <<END
#!/bin/sh
echo "\$*" >"$work/bin/$name.arguments"
echo "\$GAIT_PASSWORD" >"$work/bin/$name.password"
exec sleep 60
END
    chmod 755 "$work/bin/$name"
done
"$work/bin/gait" up -c "$work/gait.conf" --dir "$run_dir" --broker "127.0.0.1:$port" -u gait -P geheim \
    >"$work/up.out" 2>>"$work/up.log" &
up_pid=$!
have_all() {
    [ "$(cat "$work"/bin/*.password 2>/dev/null | grep -c .)" -eq "${#processes[@]}" ]
}
wait_until 20 "what the processes were given" have_all
check "no argument is the password" not grep -q geheim "$work"/bin/*.arguments
check "it is in their environment" equal geheim "$(sort -u "$work"/bin/*.password)"
check "nor does it stand in the command line of gait up" not grep -aq geheim "/proc/$up_pid/cmdline"
check_stop
check_not "it stands in no log" grep -rq geheim "$run_dir/log" "$work/up.log"
finish
