/*
 * study: a registered consumer from outside, of machine-learning-curated, that does what the README says and no more. It
 * may be away for long.
 */
#ifndef SIMULATOR_STUDY_H
#define SIMULATOR_STUDY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wire/wire.h"
#include "lines.h"

#define STUDY_LINK "gait/link/machine-learning-curated/study"

struct study {
    struct wire *wire; /* NULL: nobody is called that */
    struct wire_options options;
    bool away; /* to be kept away, or to come back */
    bool up, subscribed, down;
    enum { STUDY_DOWN, STUDY_CONNECTING, STUDY_SUBSCRIBING, STUDY_READY } state;
    bool report, rewind;

    /* Whatever breaks, it keeps these. */
    uint64_t epoch, applied;
    struct lines records;
    struct { uint64_t epoch, sequence; unsigned part; } gathering; /* what parts were put together of last */
    struct buffer whole;
    bool lost; /* it was told that what it needs is gone */
};

/* Events for the study's wire, which the caller makes with study->options and puts into study->wire. */
struct wire_events study_events(struct study *study);

/* Do what there is to do. */
void study_step(struct study *study);

void study_free(struct study *study);

#endif
