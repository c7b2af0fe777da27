#include "wire/reconnect.h"

/* A broker that restarts is back in some ten milliseconds; one that is away for hours must not be hammered. */
#define WAIT_MIN_MS 20
#define WAIT_MAX_MS 1000

/* A connection that ended before this was none: there is no more than one in that time, whatever ends them. Not longer, or
 * a broker that is restarted twice would be missed for seconds. */
#define LASTED_MS 1000

/* If only such are to be had, this is often enough. Longer than LASTED_MS: of two that take one name from each other, one
 * finds peace while the other waits. */
#define BRIEF_WAIT_MAX_MS 15000

#define UNSTEADY_MS 60000

void
reconnect_up(struct reconnect *reconnect, int64_t steady_ms)
{
    reconnect->up_ms = steady_ms;
}

void
reconnect_down(struct reconnect *reconnect, int64_t steady_ms)
{
    const bool lost = reconnect->up_ms != 0;

    if (lost)
        reconnect->lost_ms[reconnect->losses++ % RECONNECT_LOSSES] = steady_ms;
    if (lost && steady_ms - reconnect->up_ms >= LASTED_MS)
        backoff_reset(&reconnect->backoff);
    backoff_put_off(&reconnect->backoff, WAIT_MIN_MS, lost ? BRIEF_WAIT_MAX_MS : WAIT_MAX_MS, steady_ms);
    reconnect->up_ms = 0;
}

bool
reconnect_unsteady(const struct reconnect *reconnect, int64_t steady_ms)
{
    return reconnect->losses >= RECONNECT_LOSSES &&
           steady_ms - reconnect->lost_ms[reconnect->losses % RECONNECT_LOSSES] < UNSTEADY_MS;
}
