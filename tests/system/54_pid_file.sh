#!/usr/bin/env bash
# bug_101: a pid file that could not be written when the process was started (a full disk) named a dead process until the
# next start. Here the folder is away, which fails as well.
. "$(dirname "$0")/lib.sh"

started_again() {
    [ "$(grep -c 'started lake, pid' "$work/up.log")" -eq 2 ]
}

names_the_new_one() {
    [ "$(pid_of lake)" = "$(sed -n 's/.*started lake, pid //p' "$work/up.log" | tail -n 1)" ]
}

rules any time 0
start
check "the pid file names the process" names_the_new_one
lake_pid=$(pid_of lake)
mv "$run_dir/pid" "$run_dir/away"
kill -KILL "$lake_pid"
wait_until 30 "a new lake" started_again
mv "$run_dir/away" "$run_dir/pid"
wait_until 10 "its pid in the file" names_the_new_one
check_stop
check "no pid file is left" equal "" "$(ls "$run_dir/pid")"
finish
