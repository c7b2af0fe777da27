#!/usr/bin/env bash
# Room for one more sensor: heart_rate.patch gives a copy of this tree one. It touches six files at most; all the rest finds
# the sensor in the lists that these add to: programs, configuration, gait's commands, the lake. What a pipeline had before
# it keeps.
. "$(dirname "$0")/lib.sh"
top=$lib_dir/../..
copy=$work/copy
patch=$lib_dir/heart_rate.patch

# heart_rate EMAIL TIME_MS BEATS
heart_rate() {
    printf '{"user":"%s","timestamp":%s,"beatsPerMinute":%s}\n' "$1" "$2" "$3"
}

# silent COMMAND…: what it says is shown only if it fails.
silent() {
    "$@" >"$work/said" 2>&1 || {
        cat "$work/said"
        return 1
    }
}

build() {
    cmake -S "$copy" -B "$work/build" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 &&
        cmake --build "$work/build" -j "$(nproc)"
}

# ---- the copy ----

mkdir "$copy"
(cd "$top" && cp -R CMakeLists.txt README.md cmd conf lib man streams tests "$copy")
check "the patch touches six files at most" [ "$(grep -c '^+++ ' "$patch")" -le 6 ]
patch -d "$copy" -p1 -s --no-backup-if-mismatch <"$patch" || give_up "the patch does not apply any more"
silent build || give_up "the copy does not build"
check "the copy's own tests pass" silent ctest --test-dir "$work/build" --output-on-failure -j "$(nproc)" \
    --no-tests=error -LE 'system|torture|slow|bench'
check "the rules of the house hold in the copy" \
    silent env GAIT_BIN="$work/build/bin" bash "$copy/tests/system/01_house.sh"

# ---- the pipeline of before ----

rules any time 0
start
customer ada@example.org trainer-1 1600000000000 1600000000000 | publish customer
accelerometer ada@example.org 1600000001000 | publish accelerometer
check "the pipeline comes to rest" wait_idle
check_stop

# ---- and the same with the sensor ----

GAIT_BIN=$work/build/bin
printf '[heart-rate-trusted]\nhold = 1h\n' >>"$work/gait.conf"
start
check "there is a process for it" [ -n "$(pid_of heart-rate-trusted)" ]
heart_rate ada@example.org 1600000002000 61 | publish heart_rate
heart_rate bob@example.org 1600000003000 62 | publish heart_rate
printf '{"user":"ada@example.org","timestamp":1600000004000}\n' | publish heart_rate
wait_until 30 "a reading that waits for its customer" counter_is heart-rate-trusted heart_rate waiting 1
wait_until 30 "one that passes" counter_is heart-rate-trusted heart_rate passed 1
wait_until 30 "one without its number" counter_is heart-rate-trusted heart_rate invalid 1
check "the field is named" grep -q '"field":"beatsPerMinute"' <(gait rejected --json)
customer bob@example.org trainer-2 1600000000000 1600000000000 | publish customer
check "the pipeline comes to rest" wait_idle
check "who waited has passed" equal 2 "$(counter heart-rate-trusted heart_rate passed)"
check "both are in the lake" equal "$(heart_rate ada@example.org 1600000002000 61
    heart_rate bob@example.org 1600000003000 62)" "$(lake trusted/heart_rate)"
check "what was there before is there" equal 1 "$(lake trusted/accelerometer | wc -l)"
customer bob@example.org trainer-2 1600000005000 | publish customer
check "the pipeline comes to rest" wait_idle
heart_rate bob@example.org 1600000006000 63 | publish heart_rate
wait_until 30 "a reading that is refused" counter_is heart-rate-trusted heart_rate refused 1

# ---- its tools ----

simulate 20 --readings 8
load_tables heart_rate customer
check "the pipeline comes to rest" wait_idle
grep shareWithResearchAsOfDate "$work/data/customer.ndjson" | grep -o '"[^"]*@[^"]*"' >"$work/sharing"
want=$(grep -cFf "$work/sharing" "$work/data/heart_rate.ndjson")
check "gait simulate makes readings" [ "$want" -gt 8 ]
check "gait load brings those of who shares to the lake" equal $((2 + want)) "$(lake trusted/heart_rate | wc -l)"
check "gait knows the table" grep -q 'customer, accelerometer, step_trainer or heart_rate' <("$GAIT_BIN/gait" load --help)
check_balance
check_stop
finish
