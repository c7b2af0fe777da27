#!/usr/bin/env bash
# What the simulator expects of its worlds, by brute force, is what the SQL says: twenty of them.
. "$(dirname "$0")/lib.sh"

for seed in $(seq 1 20); do
    rm -rf "$work/data" "$run_dir"
    read -r consent match window email_case < <(GAIT_WORLD=$work GAIT_SEED=$seed "$GAIT_BIN/simulator")
    equal_sets=$(compare_lake "$consent" "$match" "$window" | grep -c '|yes$')
    check "world $seed: $consent, $match, $window ms, $email_case" equal 5 "$equal_sets"
done
finish
