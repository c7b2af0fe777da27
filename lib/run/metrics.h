/*
 * metrics: what a process shows of itself, one JSON object. The fields are described in the README.
 */
#ifndef RUN_METRICS_H
#define RUN_METRICS_H

#include "base/buffer.h"
#include "operator/stream.h"
#include "run/batch.h"
#include "run/transport.h"

struct metrics {
    const struct stream *stream;
    struct transport *transport;
    const struct batch *batch;
    bool stopped;
    const char *why; /* "": all is well */
};

/* Append them to text; without the newest refusals if it is more than room bytes with them (0: that is not known). */
void metrics_write(const struct metrics *metrics, size_t room, struct buffer *text);

#endif
