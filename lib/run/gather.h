/*
 * gather: the message that is being filled for a sink. Records that are decided in one transaction leave together, as many
 * as fit.
 */
#ifndef RUN_GATHER_H
#define RUN_GATHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "run/transport.h"

struct gather {
    struct transport *transport;
    enum sink sink;
    bool retained;        /* the newest message is to be found by whoever looks later */
    const size_t *bytes_max; /* of a message of more than one record */
    struct buffer message;
    bool failed;          /* the sink did not take one: the transaction is to be aborted */
};

/* A transaction begins: nothing is gathered yet. */
void gather_begin(struct gather *gather);

/* Add a record, without its braces; a full message goes to the sink before it. */
void gather_record(struct gather *gather, struct span body);

/* Give a row to the sink, a message by itself; body is without braces. */
void gather_row(struct gather *gather, struct span row, struct span body);

/* Give the sink what is gathered. */
void gather_close(struct gather *gather);

/* Free the message, with what was not given to the sink; gather can be used on. */
void gather_free(struct gather *gather);

#endif
