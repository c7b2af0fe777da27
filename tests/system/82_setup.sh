#!/usr/bin/env bash
# conf/SETUP.md, from its text alone: its commands are typed as they stand there, in a folder in place of /, and with what
# comes of them real clients try each cell of its table. What is put in place of what:
#
#   /etc, /var/lib, /root, ~                 the same below $root
#   /usr/local/bin                           where the programs were built
#   1883, 8883, 8884                         free ports of 127.0.0.1
#   broker.example.org, 192.0.2.10           this machine
#   apt-get, useradd, systemctl, runuser     small programs that do what matters here
#   install, chown                           leave owners out who are not known here, or that only root can give
. "$(dirname "$0")/lib.sh"

conf_dir=$lib_dir/../../conf
root=$work/root
typed_sections=()
host=localhost
getent hosts localhost >/dev/null || host=127.0.0.1 # a bare machine may know no names
inner=$(free_port)
outer=$(free_port)
receipt='{"taken":1,"passed":1,"waiting":0,"refused":0,"duplicate":0,"stale":0,"invalid":0}'
browsers=$(free_port)
port=$inner

# here: standard input with this machine's names in place of those in SETUP.md.
here() {
    sed -e "s#/usr/local/bin/#$GAIT_BIN/#g" \
        -e "s#/\(etc\|var/lib\|root\)/\(mosquitto\|gait\|systemd\|logrotate\)#$root/\1/\2#g" \
        -e "s#-C /var/lib#-C $root/var/lib#" -e "s#^\(listener 88[0-9]*\)\$#\1 127.0.0.1#" \
        -e "s#\b1883\b#$inner#g" -e "s#\b8883\b#$outer#g" -e "s#\b8884\b#$browsers#g" \
        -e "s#broker\.example\.org#$host#g" -e "s#192\.0\.2\.10#127.0.0.1#g"
}

# The machine: folders that Debian and its packages make, and the programs of the list above.
make_machine() {
    local name
    chmod 0711 "$work"
    mkdir -p "$root"/etc/mosquitto/{certs,ca_certificates} "$root"/etc/systemd/system "$root"/var/lib/{mosquitto,gait} \
        "$root/root" "$work/bin" "$work/source/conf/systemd"
    chmod 0755 "$root" "$root/etc" "$root/etc/mosquitto" "$root/etc/mosquitto"/* "$root/var" "$root/var/lib"
    chmod 0700 "$root/var/lib/gait"
    ! is_root || chown mosquitto "$root/var/lib/mosquitto"
    for name in mosquitto.conf mosquitto.acl systemd/gait.service systemd/mosquitto-limits.conf; do
        here <"$conf_dir/$name" >"$work/source/conf/$name"
    done
    for name in apt-get useradd; do
        printf '#!/bin/sh\nexit 0\n' >"$work/bin/$name"
    done
    program runuser 'runuser() { shift 3 && "$@"; }' # there is no user gait: as whom we are
    program systemctl "$(declare -f systemctl service_start service_stop service_up is_alive here)"
    program install "$(declare -f install is_known)"
    program chown "$(declare -f chown is_known)"
}

# program NAME FUNCTIONS: a program that calls the function of its name.
program() {
    printf '#!/usr/bin/env bash\nwork=%q root=%q inner=%q\n%s\n%s "$@"\n' "$work" "$root" "$inner" "$2" "$1" >"$work/bin/$1"
    chmod +x "$work/bin"/*
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# is_known GROUP: we may give files to it.
is_known() {
    [ "$(id -u)" -eq 0 ] && getent group "$1" >/dev/null
}

install() {
    local arguments=()
    while [ $# -gt 0 ]; do
        case $1 in
        -g)
            ! is_known "$2" || arguments+=(-g "$2")
            shift
            ;;
        *) arguments+=("$1") ;;
        esac
        shift
    done
    command -p install "${arguments[@]}"
}

chown() {
    ! is_known "$1" || command -p chown "$@"
}

# ---- services ----

systemctl() {
    case "$*" in
    daemon-reload | "enable mosquitto") ;;
    "enable --now gait" | "start gait") service_start gait ;;
    "stop gait" | "stop mosquitto") service_stop "$2" ;;
    "restart mosquitto") service_stop mosquitto && service_start mosquitto ;;
    *) echo "this systemctl does not know: $*" >&2 && return 1 ;;
    esac
}

# A service is started when it is up, as with Type=notify.
service_start() {
    local command limits=$root/etc/systemd/system/$1.service.d/limits.conf descriptors=1024 # as systemd gives
    [ ! -f "$limits" ] || descriptors=$(sed -n 's/^LimitNOFILE=//p' "$limits")
    if [ "$1" = mosquitto ]; then
        command="mosquitto -c $root/etc/mosquitto/mosquitto.conf"
    else
        command=$(sed -n 's/^ExecStart=//p' "$root/etc/systemd/system/$1.service")
    fi
    ({ ulimit -S -n "$descriptors" 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"; } &&
        exec $command) >"$work/$1.out" 2>>"$work/$1.log" </dev/null &
    echo $! >"$work/$1.pid"
    for _ in {1..600}; do
        service_up "$1" && return
        is_alive "$(cat "$work/$1.pid")" || break
        sleep 0.05
    done
    tail -n 5 "$work/$1.log" >&2
    return 1
}

service_up() {
    if [ "$1" = mosquitto ]; then
        (exec 3<>"/dev/tcp/127.0.0.1/$inner") 2>/dev/null
    else
        grep -qx ready "$work/$1.out"
    fi
}

service_stop() {
    local pid
    pid=$(cat "$work/$1.pid" 2>/dev/null) || return 0
    rm "$work/$1.pid"
    kill -TERM "$pid" 2>/dev/null
    for _ in {1..600}; do
        is_alive "$pid" || return 0
        sleep 0.05
    done
    kill -KILL "$pid"
}

# Its parent is gone, so it may stay a zombie where nobody waits for orphans.
is_alive() {
    local state
    read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" && [ "$state" != Z ]
}

leave() {
    local status=$?
    service_stop gait
    service_stop mosquitto
    (exit "$status")
    clean_up
}
trap leave EXIT

# ---- the text ----

sections() {
    sed -n 's/^## //p' "$conf_dir/SETUP.md"
}

# commands SECTION: what stands there to be typed.
commands() {
    awk -v section="## $1" '/^## /{in_it = $0 == section} in_it && /^```$/{code = 0} code {print}
                            in_it && /^```sh$/{code = 1}' "$conf_dir/SETUP.md"
}

# type_in SECTION: its commands, with what they ask for on standard input.
type_in() {
    typed_sections+=("$1")
    commands "$1" | here >"$work/typed"
    check "$1: its commands do" run_typed
}

run_typed() {
    (cd "$work/source" && env -u XDG_CONFIG_HOME HOME="$root/root" PATH="$work/bin:$GAIT_BIN:$PATH:/usr/sbin" \
        bash -eu "$work/typed" >>"$work/typed.log" 2>&1) && return
    sed 's/^/       /' "$work/typed" | tail -n 3
    tail -n 5 "$work/typed.log"
    return 1
}

# rows FIRST-CELL: the table that begins with it, a line a row, with | between cells, without what Markdown adds.
rows() {
    sed -n "/^| $1 |/,/^\$/p" "$conf_dir/SETUP.md" |
        sed -e '2d' -e '/^$/d' -e 's/^| //' -e 's/ |$//' -e 's/ | /|/g' -e 's/`//g'
}

# ---- clients ----

password() {
    cat "$root/etc/gait/accounts/$1" 2>/dev/null || echo "password of $1"
}

# is_inside ACCOUNT: SETUP.md has it connect to the port of this machine.
is_inside() {
    [ "$1" = registrar ] || rows account | grep -q "^$1|[^|]*|127\.0\.0\.1:1883"
}

# as ACCOUNT CLIENT OPTION…: one of mosquitto's clients, where the account is to connect to: over TLS, but for some.
as() {
    local account=$1 client=$2 where=(-h "$host" -p "$outer" --cafile "$root/etc/mosquitto/ca_certificates/ca.crt")
    shift 2
    ! is_inside "$account" || where=(-h 127.0.0.1 -p "$inner")
    "$client" "${where[@]}" -u "$account" -P "$(password "$account")" "$@"
}

# settings ACCOUNT: a configuration for gait's tools, as SETUP.md makes the operator's.
settings() {
    printf '[mqtt]\nhost = %s\nport = %s\ncafile = %s\nusername = %s\npassword = %s\n' "$host" "$outer" \
        "$root/etc/mosquitto/ca_certificates/ca.crt" "$1" "$(password "$1")" >"$work/$1.conf"
    chmod 600 "$work/$1.conf"
}

# Publish as gait does, on the port for gait.
as_gait() {
    mosquitto_pub -h 127.0.0.1 -p "$inner" -u gait -P "$(password gait)" "$@"
}

# hear FILE ACCOUNT OPTION…: in the background; returns when it is subscribed.
hear() {
    local file=$1 account=$2
    shift 2
    as "$account" stdbuf_sub -d -q 1 -F '> %t %p' "$@" >"$file" 2>&1 &
    hearers+=($!)
    wait_until 20 "a subscription of $account" grep -q '^Subscribed' "$file"
}

stdbuf_sub() {
    exec stdbuf -oL mosquitto_sub "$@"
}

stop_hearers() {
    local pid
    for pid in "${hearers[@]}"; do
        kill "$pid" 2>/dev/null
    done
    hearers=()
}
hearers=()

# ---- the matrix ----

# Who stands for a column: the device of the table is both kinds of device.
accounts_of() {
    if [ "$1" = "a device" ]; then echo "phone-7 phone-9"; else echo "$1"; fi
}

# write_all ACCOUNT COLUMN: publish on each topic of the table; a line for each of them that was refused.
write_all() {
    local account=$1 topic row=0 cells
    while IFS='|' read -ra cells; do
        row=$((row + 1))
        [[ ${cells[0]} == "write "* ]] || continue
        topic=$(topic_of "${cells[0]}" "$account")
        as "$account" mosquitto_pub -V 5 -q 1 -t "$topic" -m "\"$account writes $row\"" >"$work/said.$account" 2>&1
        if grep -q 'Not authorized' "$work/said.$account"; then
            echo "$row refused"
        elif [ -s "$work/said.$account" ]; then
            echo "$row $(cat "$work/said.$account")"
        else
            echo "$row taken"
        fi
    done < <(rows may | tail -n +2) >"$work/wrote.$account"
}

topic_of() {
    local topic=${1#* }
    topic=${topic//<account>/$2}
    echo "${topic//<other>/somebody-else}"
}

# Publish on whatever is read in the table by any account, and at last something that all can read.
publish_for_readers() {
    local account cells topic
    rows may | grep '^read ' | while IFS='|' read -ra cells; do
        for account in "$@"; do topic_of "${cells[0]}" "$account"; done
    done | sort -u | while read -r topic; do
        as_gait -t "$topic" -m "to read"
    done
    for account in "$@"; do
        [ "$account" = registrar ] || as_gait -t "gait/receipt/$account" -m "the end"
    done
    env -u XDG_CONFIG_HOME HOME="$root/root" mosquitto_ctrl dynsec listClients >"$work/ctrl.log" 2>&1 # the end for registrar
}

# filters ACCOUNT: what it reads of the table, as options.
filters() {
    rows may | grep '^read ' | while IFS='|' read -ra cells; do
        printf -- '-t\n%s\n' "$(topic_of "${cells[0]}" "$1")"
    done
}

has_read_all() {
    grep -qE '^> (gait/receipt/[^ ]* the end|\$CONTROL/)' "$1"
}

# bug 390: operator and website could write readings, since what is said of all accounts holds for them too; only some had
# a line that denies it.
matrix() {
    local header cells row=0 column account everybody=() options pids=()
    IFS='|' read -ra header < <(rows may)
    for column in "${header[@]:1}"; do
        everybody+=($(accounts_of "$column"))
    done
    listen "$work/seen" -u gait -P "$(password gait)" -t 'gait/#'
    for account in "${everybody[@]}"; do
        write_all "$account" &
        pids+=($!)
    done
    wait "${pids[@]}"
    as_gait -q 1 -t gait/ask -m "the end"
    wait_until 20 "the end of what is written" heard "$work/seen" '^> gait/ask the end'

    for account in "${everybody[@]}"; do
        mapfile -t options < <(filters "$account")
        [ "$account" != registrar ] || options+=(-t '$CONTROL/dynamic-security/v1/response')
        hear "$work/read.$account" "$account" "${options[@]}"
    done
    publish_for_readers "${everybody[@]}"
    for account in "${everybody[@]}"; do
        wait_until 20 "the end of what $account reads" has_read_all "$work/read.$account"
    done
    stop_hearers

    while IFS='|' read -ra cells; do
        row=$((row + 1))
        for ((column = 1; column < ${#header[@]}; column++)); do
            for account in $(accounts_of "${header[column]}"); do
                check "$account, ${cells[0]}: ${cells[column]}" "cell_${cells[0]%% *}" "$account" "$row" \
                    "$(topic_of "${cells[0]}" "$account")" "${cells[column]}"
            done
        done
    done < <(rows may | tail -n +2)
    check "the table has rows" [ "$row" -ge 30 ]
}

# cell_write ACCOUNT ROW TOPIC yes|no: what its publisher was told, and what came through.
cell_write() {
    local told=refused came=no
    [ "$4" = no ] || told=taken
    ! heard "$work/seen" "^> $3 \"$1 writes $2\"" || came=yes
    equal "$2 $told" "$(grep "^$2 " "$work/wrote.$1")" && equal "$4" "$came"
}

cell_read() {
    local came=no
    ! heard "$work/read.$1" "^> $3 to read" || came=yes
    equal "$4" "$came"
}

# ---- what is tried ----

# modes: the files that SETUP.md speaks of are as it says.
modes() {
    local file owner mode group
    while IFS='|' read -r file owner mode _; do
        file=$(here <<<"$file")
        check "$file has mode $mode" equal "$mode" "0$(stat -c %a "$file")"
        [ "${owner#*:}" = mosquitto ] && is_root || continue
        group=%G
        [[ $owner == *:* ]] || group=%U
        check "$file is mosquitto's" equal mosquitto "$(stat -c $group "$file")"
    done < <(rows file | tail -n +2)
}

# key_is_for_mosquitto: what SETUP.md says of a key that only root can read. Only where the broker leaves root behind.
key_is_for_mosquitto() {
    local key=$root/etc/mosquitto/certs/server.key
    chmod 0600 "$key"
    check_not "a key that mosquitto may not read" systemctl restart mosquitto 2>/dev/null
    check "is named" grep -q 'Unable to load server key file' "$work/mosquitto.log"
    chmod 0640 "$key"
    check "and one that it may read is enough" systemctl restart mosquitto
}

strangers() {
    check_not "nobody without an account" mosquitto_pub -h "$host" -p "$outer" -t gait/ask -m x \
        --cafile "$root/etc/mosquitto/ca_certificates/ca.crt" 2>/dev/null
    check_not "nor on the inner port" mosquitto_pub -h 127.0.0.1 -p "$inner" -t gait/ask -m x 2>/dev/null
    check_not "nobody with a wrong password" mosquitto_pub -h 127.0.0.1 -p "$inner" -u gait -P wrong -t gait/ask -m x \
        2>/dev/null
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 1 -subj "/CN=gait CA" \
        -keyout "$work/other.key" -out "$work/other.crt" 2>/dev/null
    check_not "a broker that another CA signed is not spoken to" mosquitto_pub -h "$host" -p "$outer" -t gait/ask -m x \
        --cafile "$work/other.crt" -u operator -P "$(password operator)" 2>/dev/null
    settings operator
    sed -i "s#^cafile = .*#cafile = $work/other.crt#" "$work/operator.conf"
    check_not "nor by gait" says_status
}

says_status() {
    timeout 10 "$GAIT_BIN/gait" status -c "$work/operator.conf" >/dev/null 2>&1
}

# The first records, from those who may, with gait's own tools and others.
records() {
    local account
    for account in operator loader researcher; do settings "$account"; done
    customer ben@example.com serial-ben 1600000000000 1600000000000 >"$work/customers"
    check "loader loads" "$GAIT_BIN/gait" load -c "$work/loader.conf" customer "$work/customers" 2>>"$work/load.log"
    "$GAIT_BIN/gait" tail -c "$work/researcher.conf" machine_learning >"$work/tail" 2>&1 &
    hearers+=($!)
    check "phone-7 has a receipt" equal "$receipt" \
        "$(as phone-7 mosquitto_rr -V 5 -q 1 -W 30 -t gait/landing/accelerometer/phone-7 -e gait/receipt/phone-7 \
            -m "$(accelerometer ada@example.com 1655564376999)")"
    # Somebody else in the name of another: the broker calls him what his account is called.
    hear "$work/thief" phone-7 -i phone-9 -t 'gait/receipt/#'
    check "phone-9, of the plugin, too" equal "$receipt" \
        "$(as phone-9 mosquitto_rr -V 5 -q 1 -W 30 -i phone-7 -t gait/landing/step_trainer/phone-9 -e gait/receipt/phone-9 \
            -m "$(step_trainer 50f7b4f3 1655564376999)")"
    as_gait -t gait/receipt/phone-7 -m end
    wait_until 10 "its own receipt" heard "$work/thief" '^> gait/receipt/phone-7 end'
    check_not "who calls himself phone-9 has no receipt of phone-9's" heard "$work/thief" 'gait/receipt/phone-9'
    check "operator sees the pipeline at rest" "$GAIT_BIN/gait" status -c "$work/operator.conf" --wait-idle 60
    wait_until 20 "the pair at gait tail" grep -q '"sensorReadingTime":1655564376999' "$work/tail"
    stop_hearers
}

# bug 454: on the port of this machine a client has the name that it says, and the pattern for receipts was about that: its
# own account's receipts study could not read there, and those of anybody whose name it took it could.
names_inside() {
    hear "$work/inside" study -i phone-7 -t 'gait/receipt/#'
    as_gait -t gait/receipt/phone-7 -m "of phone-7"
    as_gait -t gait/receipt/study -m "of study"
    wait_until 10 "its own receipt" heard "$work/inside" '^> gait/receipt/study of study'
    check_not "who calls himself phone-7 inside has no receipt of phone-7's" heard "$work/inside" 'gait/receipt/phone-7'
    stop_hearers
}

# A device that calls itself like a process of gait's.
takeover() {
    listen "$work/statuses" -u gait -P "$(password gait)" -t gait/status/lake
    as phone-7 mosquitto_pub -i gait-lake -q 1 -t gait/landing/accelerometer/phone-7 -m '[]'
    as phone-9 mosquitto_pub -i gait-accelerometer-trusted-landing -c -q 1 -t gait/landing/accelerometer/phone-9 -m '[]'
    check "the pipeline is at rest" "$GAIT_BIN/gait" status -c "$work/operator.conf" --wait-idle 60
    check_not "nobody puts a process out" heard "$work/statuses" '^> gait/status/lake offline'
}

# browser ACCOUNT: a browser's first words, and a CONNECT in a frame of websockets, as MQTT 3.1.1. What the broker answers is
# in $work/upgrade: its last bytes are the return code.
browser() {
    local user=$1 password connect line bytes
    password=$(password "$user")
    bytes=$((16 + ${#user} * 2 + ${#password}))
    exec 4<>"/dev/tcp/127.0.0.1/$browsers"
    printf '%s\r\n' 'GET / HTTP/1.1' 'Host: x' 'Connection: Upgrade' 'Upgrade: websocket' 'Sec-WebSocket-Version: 13' \
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' 'Sec-WebSocket-Protocol: mqtt' '' >&4
    while read -r -t 10 line <&4 && [ "$line" != $'\r' ]; do echo "$line"; done >"$work/upgrade"
    connect="\\x00\\x04MQTT\\x04\\xc2\\x00\\x3c$(field "$user")$(field "$user")$(field "$password")"
    printf "\\x82\\x$(hex $((0x80 + 2 + bytes)))\\x00\\x00\\x00\\x00\\x10\\x$(hex $bytes)$connect" >&4
    timeout 10 head -c 6 <&4 | od -An -tx1 >>"$work/upgrade" # two bytes of the frame, and CONNACK
    exec 4>&-
}

hex() {
    printf %02x "$1"
}

# field TEXT: its length in two bytes, and itself, for printf.
field() {
    printf '\\x00\\x%02x%s' "${#1}" "$1"
}

browsers() {
    browser website
    check "a browser is answered" grep -q '^HTTP/1.1 101' "$work/upgrade"
    check "in MQTT" grep -qi '^Sec-WebSocket-Protocol: mqtt' "$work/upgrade"
    check "it comes in with its account" grep -q '20 02 00 00' "$work/upgrade"
    browser nobody
    check "and not without one" grep -q '20 02 00 05' "$work/upgrade"
}

# More connections than the broker has descriptors, that say nothing. Their number stands still when the broker has let in as
# many as it will.
strangers_stay() {
    local pid before=0 now=-1
    : >"$work/half_open"
    "$GAIT_BIN/torture-hostile" -p "$outer" -n 1200 -d 60 half_open >"$work/half_open" &
    pid=$!
    wait_until 20 "connections" grep -q '^connections ' "$work/half_open"
    for _ in {1..30}; do
        [ "$now" != "$before" ] || break
        before=$now
        sleep 1
        now=$(ls "/proc/$(cat "$work/mosquitto.pid")/fd" | wc -l)
    done
    check "many of them are open: $now descriptors" [ "$now" -ge 800 ]
    check "bug 391: gait's own port lets in" timeout 10 mosquitto_pub -h 127.0.0.1 -p "$inner" -u gait \
        -P "$(password gait)" -t gait/answer/x -m x
    kill -TERM "$pid"
    wait "$pid"
}

has_ended() {
    ! kill -0 "$1" 2>/dev/null
}

make_machine
PATH=$PATH:/usr/sbin
type_in "Who reads which file"
type_in "Certificates"
type_in "Accounts"
type_in "The broker"
! is_root || key_is_for_mosquitto
type_in "gait"
strangers
type_in "The website"
check "the website has its receipt" grep -qx "$receipt" "$work/typed.log"
type_in "A device" < <(printf 'password of phone-7\npassword of phone-7\n')
type_in "Devices, without a restart" < <(printf 'password of phone-9\npassword of phone-9\n')
modes
type_in "Browsers"
records
names_inside
takeover
browsers
strangers_stay
check "gait stops" service_stop gait
matrix

hear "$work/lost" phone-9 -t gait/receipt/phone-9
type_in "Lost, stolen, gone"
wait_until 10 "the end of phone-9's connection" has_ended "${hearers[-1]}"
check_not "phone-9 is out" as phone-9 mosquitto_pub -t gait/landing/accelerometer/phone-9 -m '[]' 2>/dev/null
check_not "and so is phone-7" as phone-7 mosquitto_pub -t gait/landing/accelerometer/phone-7 -m '[]' 2>/dev/null
check "gait starts" service_start gait
certificate=$root/etc/mosquitto/certs/server.crt
serial=$(openssl x509 -noout -serial -in "$certificate")
type_in "Renewing the certificate"
check "the certificate is another" [ "$serial" != "$(openssl x509 -noout -serial -in "$certificate")" ]
check "nobody had to know" "$GAIT_BIN/gait" status -c "$work/operator.conf" --wait-idle 60
type_in "What to back up"
check "the copy has the state" grep -q 'gait/state/customer-trusted/store/data.mdb' \
    <(tar -tzf "$root/root/gait-state.tar.gz")
check "gait is at rest again" "$GAIT_BIN/gait" status -c "$work/operator.conf" --wait-idle 60
check "all that stands there to be typed was" equal "$(sections | while read -r section; do
    [ -z "$(commands "$section")" ] || echo "$section"; done)" "$(printf '%s\n' "${typed_sections[@]}")"
finish
