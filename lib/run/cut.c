#include "run/cut.h"

#include <inttypes.h>

#include "base/log.h"
#include "run/process_state.h"

int
cut_read(struct store *store, const struct stream *stream, struct cut_positions *positions)
{
    struct outbox output;
    const int meta = store_table(store, "meta");

    if (meta < 0 || outbox_open(&output, store, "outbox") != 0) {
        log_error("%s: its store holds no state of a process", stream->name);
        return -1;
    }
    if (batch_read_positions(store, meta, stream, positions) != 0 || outbox_load(&output) != 0)
        return -1;
    positions->last = output.last;
    positions->trimmed = output.trimmed;
    return 0;
}

static const struct cut_member *
find(const struct cut_member *members, unsigned count, const struct stream *stream)
{
    for (unsigned i = 0; i < count; i++) {
        if (members[i].stream == stream)
            return &members[i];
    }
    return NULL;
}

static int
check_link(const struct cut_member *consumer, unsigned input, const struct cut_member *producer, struct buffer *faults)
{
    const struct link_position at = consumer->positions.links[input];
    const uint64_t trimmed = producer->positions.trimmed.sequence;
    const uint64_t last = producer->positions.last.sequence;

    if (at.epoch != producer->positions.epoch || (trimmed <= at.applied && at.applied <= last))
        return 0;
    buffer_printf(faults, "%s has applied %" PRIu64 " messages of %s, whose state has %" PRIu64 " to %" PRIu64 "\n",
                  consumer->stream->name, at.applied, producer->stream->name, trimmed + 1, last);
    return -1;
}

int
cut_check(const struct cut_member *members, unsigned count, struct buffer *faults)
{
    int rc = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct stream *stream = members[i].stream;
        for (unsigned j = 0; stream != NULL && j < stream->input_count; j++) {
            const struct stream *from = stream->inputs[j].from;
            const struct cut_member *producer = from != NULL ? find(members, count, from) : NULL;
            if (producer != NULL && check_link(&members[i], j, producer, faults) != 0)
                rc = -1;
        }
    }
    return rc;
}
