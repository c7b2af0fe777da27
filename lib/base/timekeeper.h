/*
 * timekeeper: what time it is for a process, whatever is done to the clock of its host.
 *
 * now_ms, from which records are stamped and expire, begins with the wall clock and goes on with the steady one, so that
 * setting the clock, rightly or wrongly, makes nothing older. Each commit carries both (struct timekeeper_mark); a restart
 * adds what the wall clock has gone on since, which is all that it is asked for.
 *
 * A wall clock that is evidently wrong, before this program was made or before the newest commit, would refuse good
 * records for good, and a process that has just started would stamp others wrongly. Then nothing is taken in until it is
 * right. It may be behind the newest commit by as much as records may be ahead of it: that refuses nothing.
 */
#ifndef BASE_TIMEKEEPER_H
#define BASE_TIMEKEEPER_H

#include <stdbool.h>
#include <stdint.h>

/* A clock that is set by more than this gets a line in the log. Slewing and slow steps stay below it. */
#define TIMEKEEPER_STEP_MS 60000

#define TIMEKEEPER_WHY_SIZE 192

/* The time of a commit; both 0: there was none. */
struct timekeeper_mark {
    int64_t now_ms;
    int64_t wall_ms;
};

enum timekeeper_fault { TIMEKEEPER_RIGHT, TIMEKEEPER_BEFORE_BUILD, TIMEKEEPER_BEFORE_COMMIT };

struct timekeeper {
    /* Given. */
    int64_t built_ms;  /* when this program was made; 0: not looked at */
    int64_t behind_ms; /* how far the wall clock may be behind the newest commit */
    bool trusting;     /* never find the wall clock wrong */
    struct timekeeper_mark committed; /* of the newest commit */

    int64_t wall_ms; /* at the last look */
    int64_t now_ms;  /* 0 until the wall clock has been right once */
    enum timekeeper_fault fault;
    char why[TIMEKEEPER_WHY_SIZE]; /* what is wrong and what to do; "" without a fault */
    bool set; /* the clock was since the last commit: worth one of its own, or a restart takes that for time that passed */

    bool looked;
    bool begun;
    int64_t apart_ms;  /* wall clock less steady clock */
    int64_t offset_ms; /* now_ms less steady clock */
};

/* Look at the clocks. Lines in the log when the wall clock was set, is wrong, is right again. */
void timekeeper_look(struct timekeeper *timekeeper, int64_t wall_ms, int64_t steady_ms);

/* What a record's time may be ahead of: a clock that was set back makes no record one from the future. */
int64_t timekeeper_latest_ms(const struct timekeeper *timekeeper);

/* What a record's time may lie ahead of: what one of the two clocks has not come to yet is still to come. */
int64_t timekeeper_earliest_ms(const struct timekeeper *timekeeper);

/* Whether a commit may carry a mark; and that it has. */
bool timekeeper_knows(const struct timekeeper *timekeeper);
void timekeeper_committed(struct timekeeper *timekeeper);

#endif
