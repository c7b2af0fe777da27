/*
 * backoff: when to try again.
 *
 * After a connection was lost, or could not be made, the wait doubles with each failure, and begins anew only after a
 * connection has lasted a while: one that is made and ends at once, again and again, is no better than none. It is a sign of
 * something that no reconnect mends, such as two clients of one name, so it may grow longer than the wait for a broker that
 * is away, whose return should not be missed.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_LOSSES 3 /* so many connections lost within a minute are more than bad luck */

struct backoff {
    int64_t wait_ms; /* the last one; 0: none yet */
    int64_t up_ms;   /* since when there is a connection, steady clock; 0: there is none */
    int64_t lost_ms[BACKOFF_LOSSES]; /* when the newest connections were lost */
    unsigned losses; /* so far */
};

/* What is waited after wait_ms was in vain: twice that, max_ms at most. */
static inline int64_t
backoff_doubled(int64_t wait_ms, int64_t max_ms)
{
    return wait_ms < max_ms / 2 ? wait_ms * 2 : max_ms;
}

/* A connection is made. */
void backoff_up(struct backoff *backoff, int64_t steady_ms);

/* A connection is lost, or could not be made: when to try again, on the steady clock. */
int64_t backoff_down(struct backoff *backoff, int64_t steady_ms);

/* Whether connections were lost again and again within the last minute. */
bool backoff_unsteady(const struct backoff *backoff, int64_t steady_ms);

#endif
