#!/usr/bin/env bash
# Times as exporters write them, 1655564376361.0 and 1.655564376361E12 and with a fraction: the same records as with whole
# milliseconds, and integers come out. Seconds in place of milliseconds are refused.
. "$(dirname "$0")/lib.sh"

# as_float: every time of the records on standard input with a fraction of nothing, every third line's with an exponent.
as_float() {
    sed -E -e 's/("(timestamp|timeStamp|sensorReadingTime|[a-zA-Z]+Date)":)([0-9]{13})/\1\3.0/g' \
        -e '0~3 s/([0-9])([0-9]{12})\.0/\1.\2E12/g'
}

simulate 20
mkdir "$work/whole"
for file in "$work"/data/*.ndjson; do
    mv "$file" "$work/whole"
    as_float <"$work/whole/${file##*/}" >"$file"
done
check_not "a time is left as it was" grep -qE '(timestamp|sensorReadingTime|Date)":[0-9]{13}[,}]' "$work"/data/*.ndjson
rules any customer 0
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle
check_lake any customer 0
lake trusted/accelerometer >"$work/out"
check "there are readings" test -s "$work/out"
check_not "a time that is no integer comes out" grep -qvE '"timestamp":[0-9]+,' "$work/out"

load accelerometer "$work/whole/accelerometer.ndjson"
check "the pipeline is at rest" wait_idle
check "the same readings with whole times are duplicates" equal "$(sort -u "$work/whole/accelerometer.ndjson" | wc -l)" \
    "$(counter accelerometer-trusted accelerometer duplicate)"
someone=$(sed -n '1s/.*"user":"\([^"]*\)".*/\1/p' "$work/out")
{
    accelerometer "$someone" 1600000002          # seconds
    accelerometer "$someone" 1600000002000000    # microseconds
    accelerometer "$someone" 946684799999        # the last ms before 2000
    accelerometer "$someone" 1600000099000.75
} | publish accelerometer
wait_until 30 "the readings" counter_is accelerometer-trusted accelerometer invalid 3
check "the pipeline is at rest" wait_idle
check "a fraction is cut off" grep -q '"timestamp":1600000099000,' <(lake trusted/accelerometer)
check_balance
check_stop
finish
