#!/bin/sh
# study: a registered consumer of curated/machine_learning, in as little as possible. It keeps every message exactly once
# in study.db, whatever dies: the message and the position are one transaction, and the report comes after it.
#
# The producer must know of it: `consumers = study` in the section [machine-learning-curated] of its configuration. Then it
# sends what study lacks on a topic of study's own, at study's pace.
producer=machine-learning-curated
link=gait/link/$producer/study
feed=$link/feed # of a table it would be $link/feed/<row>

sql() { sqlite3 -batch -cmd '.timeout 10000' study.db "$1"; } # others may read it meanwhile

# report 0: this is how far we are. report 1: and send everything behind it again.
report() {
    mosquitto_pub -q 1 -r -t "$link" -m "$(sql "
        SELECT printf('{\"epoch\":\"%s\",\"applied\":%d,\"rewind\":$1}', epoch, applied) FROM position")"
}

# take EPOCH SEQUENCE PAYLOAD_IN_HEX. Numbers go up by one; where one stands in another epoch only the producer knows.
take() {
    case $(sql "SELECT CASE WHEN '$1' <> epoch THEN iif($2 = 1 AND epoch = '0000000000000000', 'next', 'gap')
                            WHEN $2 <= applied THEN 'repeat'
                            WHEN $2 = applied + 1 THEN 'next' ELSE 'gap' END FROM position") in
    next)
        sql "BEGIN;
             INSERT INTO message VALUES ('$1', $2, CAST(x'$3' AS TEXT));
             UPDATE position SET epoch = '$1', applied = $2;
             COMMIT;" && report 0
        ;;
    repeat) report 0 ;;
    gap) ask ;;
    esac
}

# Ask for what is missing, once a second at most: what was under way behind a gap keeps coming for a while, and each message
# of it shows the gap again.
ask() {
    now=$(date +%s)
    [ "$now" = "$asked" ] || report 1
    asked=$now
}

# take_part EPOCH NUMBER/PART/PARTS PAYLOAD_IN_HEX: what was too large for the broker comes in parts, one after the other.
take_part() {
    number=${2%%/*} parts=${2##*/} part=${2#*/} part=${part%/*}
    if [ "$part" = 1 ]; then
        whole=$3
    elif [ "$1/$number/$part/$parts" = "$expected" ]; then
        whole=${whole}0a$3
    else
        ask
        return
    fi
    expected=$1/$number/$((part + 1))/$parts
    [ "$part" != "$parts" ] || take "$1" "$number" "$whole"
}

# The producer's answer to one who knows nothing of its store: its oldest message is the one behind this position; or to one
# who knows another life of it: this is where you are in the present one. With "rewind":1 it says that what lies between is gone:
# this study.db is an older copy, and to go on would leave a hole in it.
begin_at() {
    if [ "$(sql "WITH said (report) AS (VALUES (CAST(x'$1' AS TEXT)))
                 SELECT count(*) FROM said, position
                  WHERE epoch <> '0000000000000000' AND applied < report ->> '\$.applied'
                    AND report ->> '\$.rewind' = 1")" = 1 ]; then
        echo "study: messages behind $(sql 'SELECT applied FROM position') are gone: bring back a newer study.db" >&2
        kill $$ # the whole of it
        exit 1
    fi
    sql "WITH said (report) AS (VALUES (CAST(x'$1' AS TEXT)))
         UPDATE position SET epoch = report ->> '\$.epoch', applied = report ->> '\$.applied' FROM said
          WHERE epoch <> report ->> '\$.epoch'"
    report 1
}

sql "CREATE TABLE IF NOT EXISTS message (epoch TEXT, sequence INTEGER, records TEXT, PRIMARY KEY (epoch, sequence));
     CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT, applied INTEGER);
     INSERT OR IGNORE INTO position VALUES (1, '0000000000000000', 0);"

# Payloads in hex, because they have lines of their own; then the user properties: epoch:… sequence:…, or epoch:… part:…
stdbuf -oL mosquitto_sub -V 5 -q 1 -t "$feed" -t "$link/oldest" -t "$link/hello" -F '%t %x %P' |
while read -r from payload epoch place; do
    case "$from $place" in
    "$feed sequence:"*) take "${epoch#epoch:}" "${place#sequence:}" "$payload" ;;
    "$feed part:"*) take_part "${epoch#epoch:}" "${place#part:}" "$payload" ;;
    "$link/oldest "*) begin_at "$payload" ;;
    "$link/hello "*) report 1 ;; # our own message came back, so we are subscribed: ask for what was missed
    esac
done &

sleep 1
mosquitto_pub -t "$link/hello" -m hello
wait
