#!/usr/bin/env bash
# What power cuts leave (tests/power_cut): so many different states of the disk.
. "$(dirname "$0")/lib.sh"

in_shares power_cut states GAIT_STATES "$(choose 2000 100000)" "$(choose 1 "$(nproc)")" 100000 4
finish
