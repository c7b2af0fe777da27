#!/usr/bin/env bash
# Mosquitto's own clients as website, phone, trainer and researcher, with MQTT 3.1.1 and 5.
. "$(dirname "$0")/lib.sh"

rules any time 0
start
listen "$work/five" -V 5 -t 'gait/curated/#' -t 'gait/trusted/#'
listen "$work/three" -V 311 -t gait/curated/machine_learning

customer ann@example.org trainer-1 1600000001000 1600000001000 | publish customer -V 5
accelerometer ann@example.org 1600000002000 | publish accelerometer/phone-7 -V 311
step_trainer trainer-1 1600000002000 | publish step_trainer/trainer-1 -V 5

wait_until 30 "the pair at a version 5 client" heard "$work/five" '^> gait/curated/machine_learning '
wait_until 30 "the pair at a version 3.1.1 client" heard "$work/three" '^> gait/curated/machine_learning '
check "the pair holds the fields of both" heard "$work/three" \
    '"sensorReadingTime":1600000002000.*"distanceFromObject":221.*"timestamp":1600000002000.*"y":-0.5'
check "the trusted customer is out" heard "$work/five" '^> gait/trusted/customer/[0-9a-f]+ .*"ann@example.org"'
check "the curated customer is out" heard "$work/five" '^> gait/curated/customer/[0-9a-f]+ .*"ann@example.org"'
check "the trusted readings are out" heard "$work/five" '^> gait/trusted/(accelerometer|step_trainer) ' 2
check_not "no topic holds an address" grep -q '^> [^ ]*@' "$work/five"

# Several records a message, in the three ways to write them; numbers come out as they came in.
{
    accelerometer ann@example.org 1600000003000
    accelerometer ann@example.org 1600000004000
} | publish accelerometer -V 5
printf '[%s,%s]' "$(accelerometer ann@example.org 1600000005000)" "$(accelerometer ann@example.org 1600000006000)" |
    publish accelerometer -V 5
printf '%s%s' "$(accelerometer ann@example.org 1600000007000)" "$(accelerometer ann@example.org 1600000008000)" |
    publish accelerometer -V 311
wait_until 30 "six more readings" counter_is accelerometer-trusted accelerometer passed 7
check "the pipeline comes to rest" wait_idle
check "all are in the lake" equal 7 "$(lake trusted/accelerometer | wc -l)"
check "1.0 is still 1.0" equal 7 "$(lake trusted/accelerometer | grep -c '"x":1.0,"y":-0.5,"z":0')"

# A table is there for who comes later.
listen "$work/late" -V 5 -t 'gait/curated/customer/+'
wait_until 10 "the retained row" heard "$work/late" '"ann@example.org"'
check_balance
check_stop
finish
