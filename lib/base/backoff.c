#include "base/backoff.h"

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
backoff_up(struct backoff *backoff, int64_t steady_ms)
{
    backoff->up_ms = steady_ms;
}

int64_t
backoff_down(struct backoff *backoff, int64_t steady_ms)
{
    const bool lost = backoff->up_ms != 0;
    const int64_t max_ms = lost ? BRIEF_WAIT_MAX_MS : WAIT_MAX_MS;

    if (lost)
        backoff->lost_ms[backoff->losses++ % BACKOFF_LOSSES] = steady_ms;
    if (backoff->wait_ms == 0 || (lost && steady_ms - backoff->up_ms >= LASTED_MS))
        backoff->wait_ms = WAIT_MIN_MS;
    else
        backoff->wait_ms = backoff_doubled(backoff->wait_ms, max_ms);
    backoff->up_ms = 0;
    return steady_ms + backoff->wait_ms;
}

bool
backoff_unsteady(const struct backoff *backoff, int64_t steady_ms)
{
    return backoff->losses >= BACKOFF_LOSSES &&
           steady_ms - backoff->lost_ms[backoff->losses % BACKOFF_LOSSES] < UNSTEADY_MS;
}
