#include "load/taker.h"

#include <stdio.h>

void
taker_status(struct taker *taker, struct span status, bool news)
{
    taker->offline = span_is(status, "offline");
    if (news) /* it has started, connected anew, or is gone: its metrics follow */
        taker->stopped = false;
}

void
taker_metrics(struct taker *taker, const struct answer *answer, int64_t now_ms)
{
    const bool stopped = answer_is_stopped(answer);

    if (stopped && !taker->stopped)
        taker->stopped_ms = now_ms;
    taker->stopped = stopped;
    snprintf(taker->why, sizeof taker->why, "%s", answer->why[0] != '\0' ? answer->why : "it does not say why");
}

int64_t
taker_stopped_for_ms(const struct taker *taker, int64_t now_ms)
{
    return taker->stopped && !taker->offline ? now_ms - taker->stopped_ms : -1;
}
