#!/usr/bin/env bash
# What one account can do to the others, at a real broker: packets that are made to hurt, answers that are asked for in
# somebody else's name, consumers that never have enough, records under the producer's numbers. bug_340, bug_341, bug_344,
# bug_345
. "$(dirname "$0")/lib.sh"

t0=1700000000000

# packet BYTES: CONNECT, and an MQTT 5 PUBLISH of so many bytes to a landing topic, nearly all of it empty user properties:
# mosquitto_pub makes no such thing.
packet() {
    local topic=gait/landing/accelerometer/evil length
    length=$((($1 - ${#topic} - 10) / 5 * 5))
    printf '\020\022\0\004MQTT\005\002\0\074\0\0\005poisn' # CONNECT, clean start
    octets 0x32                                             # PUBLISH, QoS 1
    variable $((2 + ${#topic} + 2 + $(variable "$length" | wc -c) + length + 2))
    octets 0 ${#topic}
    printf '%s' "$topic"
    octets 0 1
    variable "$length"
    yes '&0000' | tr -d '\n' | tr 0 '\0' | head -c "$length"
    printf '{}'
    octets 0xe0 0 # DISCONNECT
}

# variable N: N as MQTT has it, seven bits an octet.
variable() {
    local n=$1
    while [ "$n" -ge 128 ]; do
        octets $((n % 128 + 128))
        n=$((n / 128))
    done
    octets "$n"
}

octets() {
    local octet
    for octet; do
        printf '%b' "\\0$(printf %o "$octet")"
    done
}

# poison BYTES: send it and wait until the broker closes.
poison() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    (packet "$1" >&3) 2>/dev/null # the broker may have gone before the end of it
    timeout 20 cat <&3 >"$work/answer"
    exec 3>&-
}

# peak PROCESS: the most memory that it had, in MiB.
peak() {
    awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$(pid_of "$1")/status"
}

unanswered() {
    ask "SELECT json ->> 'unanswered' FROM process WHERE json ->> 'process' = 'accelerometer-trusted'"
}

unanswered_is() {
    [ "$(unanswered)" = "$1" ]
}

why() {
    ask "SELECT json ->> 'why' FROM process WHERE json ->> 'process' = '$1'"
}

why_says() {
    [[ $(why "$1") == *"$2"* ]]
}

# at PROCESS PATH: a value of what it says.
at() {
    ask "SELECT json ->> '$2' FROM process WHERE json ->> 'process' = '$1'"
}

configure <<END
[accelerometer-trusted]
consumers = greedy
link_bytes = 64KiB
END
start
customer ada@example.com serial-ada $t0 $t0 | publish customer
wait_until 30 "the customer" counter_is accelerometer-trusted customer passed 1

# Packets. One of 4 MiB is refused by the broker, one below its limit is read, at a price that is known.
taker=$(pid_of accelerometer-trusted)
poison 4194304
accelerometer ada@example.com $((t0 + 1)) | publish accelerometer
wait_until 20 "a reading behind it" counter_is accelerometer-trusted accelerometer taken 1
# A sanitizer makes each of 200,000 properties cost a hundred times as much.
largest=1100000 most_mib=256 unread_mib=64
! is_sanitized || largest=100000 most_mib=4096 unread_mib=4096
check "what is too large for the broker costs nobody anything" [ "$(peak accelerometer-trusted)" -lt "$unread_mib" ]
poison "$largest"
wait_until 20 "the largest packet" counter_is accelerometer-trusted accelerometer taken 2
check "it costs so much memory at most" [ "$(peak accelerometer-trusted)" -lt "$most_mib" ]
check "nobody has died" equal "$taker" "$(pid_of accelerometer-trusted)"
head -c 1100000 /dev/zero | tr '\0' x | publish accelerometer
wait_until 20 "a payload between the two limits" counter_is accelerometer-trusted accelerometer taken 3
check "is refused as too large" heard <(gait rejected) too_large

# Answers: to a level of its own, or to none; elsewhere they are counted.
listen "$work/answers" -V 5 -t '#'
for topic in elsewhere/x gait/receipt/ada gait/receipt/evil gait/receipt/evil/2 gait/trusted/accelerometer; do
    echo '{}' | publish accelerometer/evil -V 5 -D publish response-topic "$topic"
done
echo '{}' | publish accelerometer -V 5 -D publish response-topic gait/receipt/any
wait_until 20 "the last receipt" heard "$work/answers" '^> gait/receipt/any '
check "the sender's own level is answered" heard "$work/answers" '^> gait/receipt/evil \{"taken":1'
check "and below it" heard "$work/answers" '^> gait/receipt/evil/2 \{"taken":1'
check_not "nobody else's" heard "$work/answers" '^> (elsewhere/x|gait/receipt/ada) '
check_not "nor a topic of records" heard "$work/answers" '^> gait/trusted/accelerometer \{"taken"'
wait_until 10 "the rest is counted" unanswered_is 3
gait status >"$work/status"
check "and shown" grep -q 'not answered: 3 receipts' "$work/status"

# Rewinds: a consumer that asks for two places in turn, a thousand times.
for i in $(seq 3000); do accelerometer ada@example.com $((t0 + 10 + i)); done >"$work/readings"
check "load" load accelerometer "$work/readings"
check "at rest but for greedy" wait_until 20 "readings" counter_is accelerometer-trusted accelerometer passed 3001
listen "$work/feed" -V 5 -t gait/link/accelerometer-trusted/greedy/feed -F '> %t %P'
before=$(peak accelerometer-trusted)
epoch=$(at accelerometer-trusted '$.output.epoch')
for i in $(seq 1000); do
    printf '{"epoch":"%s","applied":%d,"rewind":1}\n' "$epoch" $((i % 2))
done | mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -l -t gait/link/accelerometer-trusted/greedy
window=$(grep -c '^> ' "$work/feed") last=$(at accelerometer-trusted '$.output.last')
check "bug 344: a few windows are sent, not a thousand" [ "$window" -le $((8 * (last + 1))) ]
check "bug 344: its producer takes no more memory" [ $(($(peak accelerometer-trusted) - before)) -lt $((most_mib / 16)) ]
wait_until 20 "it is named" why_says accelerometer-trusted "greedy has applied nothing"
printf '{"epoch":"%s","applied":%d,"rewind":0}' "$epoch" "$last" |
    mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -s -t gait/link/accelerometer-trusted/greedy
check "all goes on" wait_idle 30

# forge EMAIL NUMBER: a record to customer-curated, as the producer's message of this number.
forge() {
    accelerometer "$1" $((t0 + 1)) |
        mosquitto_pub -V 5 -h 127.0.0.1 -p "$port" -q 1 -s -t gait/link/accelerometer-trusted/customer-curated/feed \
            -D publish user-property epoch "$(at accelerometer-trusted '$.output.epoch')" \
            -D publish user-property sequence "$2"
}

# A record under the producer's next number: a consumer that has more than was given out is noticed.
position=$(at accelerometer-trusted '$.output.last')
forge forged@example.com $((position + 1))
wait_until 20 "the forged one" counter_is customer-curated accelerometer taken 3002
wait_until 20 "a why that says so" \
    why_says accelerometer-trusted "went back in time" "customer-curated has had message $((position + 1))"
check "the log says what it may be" grep -q 'somebody else publishes in the name' "$run_dir/log/accelerometer-trusted.log"
check_not "it is not at rest" wait_idle 2
check "an operator has seen it" equal "1 acknowledged" "$(gait status --acknowledge)"
accelerometer ada@example.com $((t0 + 5000)) | publish accelerometer
wait_until 20 "nothing of its own is lost" counter_is customer-curated accelerometer taken 3003
check "all goes on then" wait_idle 30

# And under one that the consumer knows.
forge other@example.com $((position + 1))
wait_until 20 "a why that says so" why_says customer-curated "two different messages came under number $((position + 1))"
why customer-curated >"$work/why"
check "it names producer and topic" \
    grep -q 'of accelerometer-trusted: .*gait/link/accelerometer-trusted/customer-curated/feed' "$work/why"
check "the log says it once" equal 1 "$(grep -c 'two different messages' "$run_dir/log/customer-curated.log")"
check_not "that is no rest either" wait_idle 2
accelerometer ada@example.com $((t0 + 5001)) | publish accelerometer
check "others have gone on" wait_until 20 "the reading" counter_is machine-learning-curated accelerometer taken 3003
check_balance
check_stop
finish
