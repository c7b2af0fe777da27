# lib: what the benchmarks that are shell scripts share, on top of what they share with the system tests. BENCH_BIN is
# the folder with bench-report and the like.
. "$(dirname "${BASH_SOURCE[0]}")/../system/lib.sh"
: "${BENCH_BIN:?is not set: the folder that holds the benchmark programs}"

# result NAME UNIT SAMPLE…: see bench.h.
result() {
    echo "$*"
}

# Microseconds since 1970; the locale says what stands before the fraction.
now_us() {
    echo "${EPOCHREALTIME/[^0-9]/}"
}

# divide A B: with decimals.
divide() {
    awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6g\n", a / b }'
}

# seconds_since MICROSECONDS
seconds_since() {
    divide $(($(now_us) - $1)) 1000000
}

# lose_state: stop the pipeline and forget everything, so that the next start begins anew.
lose_state() {
    stop || give_up "gait up did not stop cleanly"
    rm -rf "$run_dir"
}

# landed PROCESS COUNTER: of its landing input.
landed() {
    ask "SELECT sum(json ->> '$2') FROM input WHERE process = '$1' AND json ->> 'from' = 'landing'"
}

# The e-mail address and serial number of the first customer who shares, as two words.
first_person() {
    grep -m 1 shareWithResearchAsOfDate "$work/data/customer.ndjson" |
        sed 's/.*"email":"\([^"]*\)".*"serialNumber":"\([^"]*\)".*/\1 \2/'
}
