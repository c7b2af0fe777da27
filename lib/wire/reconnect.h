/*
 * reconnect: when to connect again.
 *
 * After a connection was lost, or could not be made, the wait doubles with each failure, and begins anew only after a
 * connection has lasted a while: one that is made and ends at once, again and again, is no better than none. It is a sign of
 * something that no reconnect mends, such as two clients of one name, so it may grow longer than the wait for a broker that
 * is away, whose return should not be missed.
 */
#ifndef WIRE_RECONNECT_H
#define WIRE_RECONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"

#define RECONNECT_LOSSES 3 /* so many connections lost within a minute are more than bad luck */

struct reconnect {
    struct backoff backoff; /* not before it is due */
    int64_t up_ms; /* since when there is a connection, steady clock; 0: there is none */
    int64_t lost_ms[RECONNECT_LOSSES]; /* when the newest connections were lost */
    unsigned losses; /* so far */
};

/* A connection is made. */
void reconnect_up(struct reconnect *reconnect, int64_t steady_ms);

/* A connection is lost, or could not be made. */
void reconnect_down(struct reconnect *reconnect, int64_t steady_ms);

/* Whether connections were lost again and again within the last minute. */
bool reconnect_unsteady(const struct reconnect *reconnect, int64_t steady_ms);

#endif
