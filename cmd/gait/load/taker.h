/*
 * taker: what the process that takes our records says of itself, so that nobody waits for ever for one that is stopped.
 *
 * It says so at <prefix>/metrics/<process> whenever something has changed, and the broker keeps the newest. That may be of
 * a process that is gone: then <prefix>/status/<process> is offline, by its own word or its last will, and what it said
 * before does not count; nor does it when it is back, until it has said so anew.
 */
#ifndef LOAD_TAKER_H
#define LOAD_TAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/answer.h"

/* All zero is one of which nothing is known. */
struct taker {
    bool offline;
    bool stopped;       /* by what it has said last */
    int64_t stopped_ms; /* since when, without interruption */
    char why[ANSWER_WHY_SIZE];
};

/* Its status; news: it has just changed, else the broker kept it. */
void taker_status(struct taker *taker, struct span status, bool news);

/* What it said of itself, and when we heard it. */
void taker_metrics(struct taker *taker, const struct answer *answer, int64_t now_ms);

/* How long it has said that it is stopped; −1: it does not. */
int64_t taker_stopped_for_ms(const struct taker *taker, int64_t now_ms);

#endif
