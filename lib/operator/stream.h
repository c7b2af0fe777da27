/*
 * stream: the declaration of one job, made in streams/: what comes in, which operator decides, what goes out.
 */
#ifndef OPERATOR_STREAM_H
#define OPERATOR_STREAM_H

#include <stdbool.h>

#include "base/config.h"
#include "operator/operator.h"

/* The largest message of a stream: twice what any `message_bytes` and any record of ours can have. */
#define STREAM_MESSAGE_BYTES_MAX (2u << 20)

enum stream_kind {
    STREAM_LOG,  /* one topic, messages of one or more records */
    STREAM_TABLE /* one topic a row, which keeps its newest record */
};

/* An input: from outside (landing), or the output of another stream. */
struct stream_input {
    const char *name;           /* in metrics: "customer", "accelerometer", … */
    const char *landing;        /* topic filter below the prefix without its "/#"; NULL for a link */
    const struct stream *from;  /* the producer; NULL for landing */
    enum record_kind record;
};

struct stream {
    const char *name;    /* of the process: "accelerometer-trusted" */
    const char *summary; /* what it does: the first line of --help */
    const char *topic;  /* of the output, below the prefix: "trusted/accelerometer"; NULL if there is none */
    enum stream_kind kind;
    struct stream_input inputs[OPERATOR_INPUTS_MAX];
    unsigned input_count;
    const struct operator *operator;

    /* What its section of the configuration has besides the keys that every process has. */
    const struct config_key *keys;
    unsigned key_count;

    /* Parameters of the operator from the configuration, in memory to be freed with hash_secret_free; the operator copies
     * them.
     * dir is the folder for everything (--dir). NULL with a line in the log. */
    void *(*parameters)(const struct config *config, const char *dir);
};

/* Whether anything comes in from outside. */
static inline bool
stream_has_landing(const struct stream *stream)
{
    for (unsigned i = 0; i < stream->input_count; i++) {
        if (stream->inputs[i].landing != NULL)
            return true;
    }
    return false;
}

#endif
