#!/usr/bin/env bash
# The simulator over many seeds (tests/simulator).
. "$(dirname "$0")/lib.sh"

count=$(choose 300 10000)
in_shares simulator seeds GAIT_SEEDS "$count" "$(nproc)" "$count" 2
finish
