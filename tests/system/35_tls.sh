#!/usr/bin/env bash
# A broker somewhere else, with TLS, a password and a certificate of our own that it asks for.
. "$(dirname "$0")/lib.sh"

# certificate NAME SUBJECT-ALTERNATIVE-NAME: $work/NAME.key and .crt, signed by the CA.
certificate() {
    openssl req -newkey rsa:2048 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" -subj "/CN=$1" 2>>"$work/openssl.log" &&
        openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 1 \
            -out "$work/$1.crt" -extfile <(echo "subjectAltName=$2") 2>>"$work/openssl.log"
}

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test-ca -keyout "$work/ca.key" -out "$work/ca.crt" \
    2>>"$work/openssl.log" || give_up "openssl: $(cat "$work/openssl.log")"
certificate server DNS:localhost,IP:127.0.0.1
certificate client DNS:client
host=localhost
getent hosts localhost >/dev/null || host=127.0.0.1 # a bare machine may know no names
port=$(free_port)
mosquitto_passwd -c -b "$work/passwords" gait secret 2>/dev/null
cat >"$work/mosquitto.conf" <<END
user root
listener $port 127.0.0.1
allow_anonymous false
password_file $work/passwords
cafile $work/ca.crt
certfile $work/server.crt
keyfile $work/server.key
require_certificate true
set_tcp_nodelay true
END
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
wait_until 10 "a broker" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null

us=(-u gait -P secret --cafile "$work/ca.crt" --cert "$work/client.crt" --key "$work/client.key")
rules any time 0
: >"$work/up.out"
"$GAIT_BIN/gait" up -c "$work/gait.conf" --dir "$run_dir" --broker "$host:$port" "${us[@]}" \
    >"$work/up.out" 2>>"$work/up.log" &
up_pid=$!
wait_until 30 "'ready' from gait up" is_ready_or_gone
check "the pipeline is ready over TLS" is_ready
customer ada@example.com serial-ada 1700000000000 1700000000000 >"$work/customers"
gait_tls() {
    local command=$1
    shift
    "$GAIT_BIN/gait" "$command" --broker "$host:$port" "${us[@]}" "$@"
}
check "gait load" gait_tls load customer "$work/customers" 2>>"$work/load.log"
check "gait status" gait_tls status --wait-idle 30
check "the lake has it" equal 1 "$(lake trusted/customer | wc -l)"
wrong_ca() {
    timeout 3 "$GAIT_BIN/gait" status --broker "$host:$port" -u gait -P secret --cafile "$work/client.crt"
}
check_not "a broker that is not who it says is not spoken to" wrong_ca 2>/dev/null
# Without --cafile the certificates of the system count; OpenSSL lets the environment say which these are.
system_status() {
    timeout 20 "$GAIT_BIN/gait" status --broker "mqtts://gait:secret@$host:$port" --cert "$work/client.crt" \
        --key "$work/client.key" "$@"
}
check "a URL with mqtts://" env SSL_CERT_FILE="$work/ca.crt" bash -c "$(declare -f system_status); GAIT_BIN='$GAIT_BIN' work='$work' \
    host='$host' port='$port'; system_status --wait-idle 10"
check_not "whom the system does not trust is not spoken to" system_status 2>/dev/null
check_not "the password stands in no log" grep -rq secret "$run_dir/log" "$work/up.log"
check_stop
finish
