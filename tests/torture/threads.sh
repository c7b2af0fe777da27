#!/usr/bin/env bash
# The tests under ThreadSanitizer: those where threads meet in the short version, all of them in the full one. (Under
# AddressSanitizer and UndefinedBehaviorSanitizer all of them run in every ./run test.) Nothing to do without a build
# with it: then GAIT_TSAN_BIN is not set.
. "$(dirname "$0")/lib.sh"

if [ -z "${GAIT_TSAN_BIN:-}" ]; then
    figure "threads: skipped, no build with ThreadSanitizer" 0
    finish
fi
build=$(dirname "$GAIT_TSAN_BIN")
only=()
[ "$full" = yes ] || only=(-L threads)
TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}" ctest --test-dir "$build" "${only[@]}" -LE torture --output-on-failure \
    >"$work/tests.log" 2>&1 || { failures=1 && cat "$work/tests.log" >&2; }
passed=$(sed -n 's/.*, \([0-9]*\) tests failed out of \([0-9]*\).*/\2 \1/p' "$work/tests.log")
figure "threads: tests under ThreadSanitizer, and failed" "${passed:-0 ?}"
check "tests were run" [ "${passed%% *}" -gt 0 ] >&2
finish
