#!/usr/bin/env bash
# Leaving holds: whatever clock the form had, whatever comes again, with one row or with all; and who is told of it.
. "$(dirname "$0")/lib.sh"

rules any time 0
start
listen "$work/receipts" -V 5 -t 'gait/receipt/#'
now=$(date +%s%3N)
hour=3600000

# verdict NAME TABLE: publish standard input, one record; the receipt's counts that are not 0, but taken.
verdict() {
    publish "$2" -V 5 -D publish response-topic "gait/receipt/$1"
    wait_until 30 "the receipt of $1" heard "$work/receipts" "^> gait/receipt/$1 "
    grep -F "> gait/receipt/$1 {" "$work/receipts" | grep -oE '"[a-z]+":[1-9][0-9]*' | grep -v taken | tr -d '"' | xargs
}

# says VERDICT NAME TABLE
says() {
    check "$2: $1" equal "$1" "$(verdict "$2" "$3")"
}

# withdraw_all EMAIL SERIAL UPDATED_MS [MORE MEMBERS]
withdraw_all() {
    customer "$1" "$2" "$3" | sed "s/}\$/,\"withdrawAll\":true${4:-}}/"
}

readings_out() {
    lake trusted/accelerometer | grep -cF "\"$1\""
}

# A form whose clock is 23 h ahead.
ahead=$((now + 23 * hour))
customer cleo@example.org t1 $ahead "$now" | says "passed:1 ahead:1" ahead customer
accelerometer cleo@example.org "$now" | publish accelerometer
check "the pipeline comes to rest" wait_idle
check "a reading comes out" equal 1 "$(readings_out cleo@example.org)"
customer cleo@example.org t1 $((now + 1)) | says "passed:1" withdrawal customer
check "the pipeline comes to rest" wait_idle
accelerometer cleo@example.org $((now + 1)) | says "refused:1" reading accelerometer
customer cleo@example.org t1 $ahead "$now" | says "duplicate:1 ahead:1" repeat customer
customer cleo@example.org t1 $ahead $((now - 1)) | says "stale:1 ahead:1" repeat_in_other_words customer
check "the pipeline comes to rest" wait_idle
accelerometer cleo@example.org $((now + 2)) | says "refused:1" reading_2 accelerometer
customer cleo@example.org t1 $((now + 2)) "$now" | says "passed:1" newer_act customer
check "the pipeline comes to rest" wait_idle
accelerometer cleo@example.org $((now + 3)) | says "passed:1" reading_3 accelerometer
customer cleo@example.org t1 $((now + 3)) | says "passed:1" withdrawal_2 customer
customer cleo@example.org t1 $ahead $((now - 2)) | says "stale:1 ahead:1" repeat_2 customer
customer cleo@example.org t1 $((ahead + 1)) "$now" | says "passed:1 ahead:1" newest_act customer
check "the pipeline comes to rest" wait_idle
accelerometer cleo@example.org $((now + 4)) | says "passed:1" reading_4 accelerometer

# A withdrawal that does not hold, and its sender knows.
customer dan@example.org t2 "$now" "$now" | says "passed:1" dan customer
customer dan@example.org t2 $((now - 1)) | says "stale:1" dan_late customer

# A consent with a date of its own that is still to come, over a restart of the process that waits.
opens=$(($(date +%s%3N) + 8000))
accelerometer fay@example.org "$now" | says "waiting:1" early accelerometer
customer fay@example.org t3 "$now" "$opens" | says "waiting:1 ahead:1" tomorrow customer
kill_hard customer-trusted
check "the pipeline comes to rest" wait_idle
[ "$(date +%s%3N)" -ge "$opens" ] || check "nothing comes out before its date" equal 0 "$(readings_out fay@example.org)"
wait_until 60 "the date" counter_is customer-trusted customer waiting 0
check "not before" [ "$(date +%s%3N)" -ge "$opens" ]
check "the pipeline comes to rest" wait_idle
check "and then it does" equal 1 "$(readings_out fay@example.org)"

# Two trainers, and readings go on while one row shares; then all rows are closed at once.
customer gus@example.org t4 "$now" "$now" | says "passed:1" gus_4 customer
customer gus@example.org t5 "$now" "$now" | says "passed:1" gus_5 customer
customer gus@example.org t6 "$now" "$now" | says "passed:1" gus_6 customer
customer gus@example.org t4 $((now + 1)) | says "passed:1" gus_4_goes customer
check "the pipeline comes to rest" wait_idle
accelerometer gus@example.org "$now" | says "passed:1" gus_reads accelerometer
withdraw_all gus@example.org t4 $((now + 2)) | says "passed:1" gus_goes customer
check "the pipeline comes to rest" wait_idle
accelerometer gus@example.org $((now + 1)) | says "refused:1" gus_reads_2 accelerometer
customer gus@example.org t7 $((now + 2)) "$now" | says "stale:1" gus_7 customer
check "every row of his is a marker" equal 3 \
    "$(lake trusted/customer | tail -n 3 | grep -cE '^\{"row":"[0-9a-f]+","withdrawn":[0-9]+\}$')"
withdraw_all gus@example.org t4 $((now + 3)) ",\"shareWithResearchAsOfDate\":$now" | says "invalid:1" both customer
check "the field is named" heard "$work/receipts" '"reason":"out_of_range","field":"withdrawAll"'
customer gus@example.org t5 $((now + 4)) "$now" | says "passed:1" gus_again customer
check "the pipeline comes to rest" wait_idle
accelerometer gus@example.org $((now + 3)) | says "passed:1" gus_reads_3 accelerometer

# Files say the same.
{
    customer hal@example.org t8 $((now + 10 * hour)) "$now"
    customer hal@example.org t8 "$now"
    customer dan@example.org t2 $((now - 2))
    customer ida@example.org t9 "$now"
} >"$work/customers.ndjson"
check "the load is none that failed" load customer "$work/customers.ndjson" --batch 1
for line in '1 records were refused' '1 records were stale' '1 records are dated ahead'; do
    check "gait load says: $line" grep -q "$line" "$work/load.log"
done
check "the pipeline comes to rest" wait_idle
check_balance
check_stop
finish
