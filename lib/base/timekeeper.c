#include "base/timekeeper.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The time that the newest commit proves to have passed. After a clock that was ahead for a while, one of the two is too
 * late; neither is ever too early. */
static int64_t
proven_ms(const struct timekeeper *timekeeper)
{
    return least(timekeeper->committed.now_ms, timekeeper->committed.wall_ms);
}

static enum timekeeper_fault
find_fault(const struct timekeeper *timekeeper, int64_t wall_ms)
{
    if (timekeeper->trusting)
        return TIMEKEEPER_RIGHT;
    if (wall_ms < timekeeper->built_ms)
        return TIMEKEEPER_BEFORE_BUILD;
    if (wall_ms < proven_ms(timekeeper) - timekeeper->behind_ms)
        return TIMEKEEPER_BEFORE_COMMIT;
    return TIMEKEEPER_RIGHT;
}

static void
write_why(struct timekeeper *timekeeper)
{
    char says[CLOCK_TEXT_SIZE], before[CLOCK_TEXT_SIZE];

    clock_write(timekeeper->wall_ms, says);
    if (timekeeper->fault == TIMEKEEPER_BEFORE_BUILD) {
        clock_write(timekeeper->built_ms, before);
        snprintf(timekeeper->why, sizeof timekeeper->why,
                 "the clock says %s, and this program was made on %.10s: set it, then intake goes on", says, before);
    } else if (timekeeper->fault == TIMEKEEPER_BEFORE_COMMIT) {
        clock_write(proven_ms(timekeeper), before);
        snprintf(timekeeper->why, sizeof timekeeper->why,
                 "the clock says %s, and the newest commit is of %s: set it; if it is right, set [gait] clock_check = off",
                 says, before);
    } else {
        timekeeper->why[0] = '\0';
    }
}

static void
note_step(struct timekeeper *timekeeper, int64_t wall_ms, int64_t steady_ms)
{
    const int64_t expected_ms = steady_ms + timekeeper->apart_ms;
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];

    if (!timekeeper->looked || llabs(wall_ms - expected_ms) <= TIMEKEEPER_STEP_MS)
        return;
    timekeeper->set = true;
    clock_write(expected_ms, from);
    clock_write(wall_ms, to);
    log_warning("the clock was set from %s to %s; what waits grows no older by that", from, to);
}

/* now_ms goes on from the newest commit, if there is one, by what has passed since. */
static void
begin(struct timekeeper *timekeeper, int64_t wall_ms, int64_t steady_ms)
{
    const struct timekeeper_mark committed = timekeeper->committed;
    int64_t start_ms = wall_ms;

    if (committed.now_ms != 0)
        start_ms = committed.now_ms + (wall_ms > committed.wall_ms ? wall_ms - committed.wall_ms : 0);
    timekeeper->offset_ms = start_ms - steady_ms;
    timekeeper->begun = true;
}

void
timekeeper_look(struct timekeeper *timekeeper, int64_t wall_ms, int64_t steady_ms)
{
    const enum timekeeper_fault before = timekeeper->fault;

    note_step(timekeeper, wall_ms, steady_ms);
    timekeeper->looked = true;
    timekeeper->apart_ms = wall_ms - steady_ms;
    timekeeper->wall_ms = wall_ms;
    timekeeper->fault = find_fault(timekeeper, wall_ms);
    if (timekeeper->fault == TIMEKEEPER_RIGHT && !timekeeper->begun)
        begin(timekeeper, wall_ms, steady_ms);
    if (timekeeper->begun)
        timekeeper->now_ms = steady_ms + timekeeper->offset_ms;
    if (timekeeper->fault == before)
        return;
    write_why(timekeeper);
    if (timekeeper->fault != TIMEKEEPER_RIGHT)
        log_error("nothing is taken in: %s", timekeeper->why);
    else
        log_info("the clock is right again: intake goes on");
}

int64_t
timekeeper_latest_ms(const struct timekeeper *timekeeper)
{
    return timekeeper->wall_ms > timekeeper->now_ms ? timekeeper->wall_ms : timekeeper->now_ms;
}

int64_t
timekeeper_earliest_ms(const struct timekeeper *timekeeper)
{
    return least(timekeeper->wall_ms, timekeeper->now_ms);
}

bool
timekeeper_knows(const struct timekeeper *timekeeper)
{
    return timekeeper->begun && timekeeper->fault == TIMEKEEPER_RIGHT;
}

void
timekeeper_committed(struct timekeeper *timekeeper)
{
    log_assert(timekeeper_knows(timekeeper));
    timekeeper->committed = (struct timekeeper_mark){timekeeper->now_ms, timekeeper->wall_ms};
    timekeeper->set = false;
}
