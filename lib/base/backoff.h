/*
 * backoff: when to try again what was in vain: after a while that doubles each time, between a least and a most, which the
 * caller has reasons for.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* Steady clock, in whose past 0 lies. All zero: nothing was in vain, and it may be tried at once. */
struct backoff {
    int64_t wait_ms; /* the last one; 0: none yet */
    int64_t at_ms;   /* not before this; the owner may move it, INT64_MAX: not until it does so again */
};

/* What is waited after wait_ms was in vain: twice that, max_ms at most. */
static inline int64_t
backoff_doubled(int64_t wait_ms, int64_t max_ms)
{
    return wait_ms < max_ms / 2 ? wait_ms * 2 : max_ms;
}

/* It was in vain: not again before min_ms have passed, or twice what was waited before, max_ms at most. */
void backoff_put_off(struct backoff *backoff, int64_t min_ms, int64_t max_ms, int64_t steady_ms);

/* Whether it may be tried. */
static inline bool
backoff_is_due(const struct backoff *backoff, int64_t steady_ms)
{
    return steady_ms >= backoff->at_ms;
}

/* It was not in vain: what comes next may be tried at once, and the waits begin anew. */
static inline void
backoff_reset(struct backoff *backoff)
{
    *backoff = (struct backoff){0};
}

#endif
