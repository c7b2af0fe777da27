#include "base/backoff.h"

#include "base/log.h"

void
backoff_put_off(struct backoff *backoff, int64_t min_ms, int64_t max_ms, int64_t steady_ms)
{
    log_assert(min_ms > 0 && min_ms <= max_ms);
    backoff->wait_ms = backoff->wait_ms == 0 ? min_ms : backoff_doubled(backoff->wait_ms, max_ms);
    backoff->at_ms = steady_ms + backoff->wait_ms;
}
