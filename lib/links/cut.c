#include "links/cut.h"

#include <inttypes.h>

#include "base/log.h"

int
cut_read(struct store *store, const struct stream *stream, struct kept_positions *positions)
{
    struct outbox output;
    const int meta = store_table(store, "meta");

    if (meta < 0 || outbox_open(&output, store, "outbox") != 0) {
        log_error("%s: its store holds no state of a process", stream->name);
        return -1;
    }
    if (kept_read(store, meta, stream, positions) != 0 || outbox_load(&output) != 0)
        return -1;
    positions->last = output.last;
    positions->trimmed = output.trimmed;
    return 0;
}

static void
write_lives(const struct lives *lives, bool applied, const char *word, struct buffer *text)
{
    if (lives->count > 0)
        buffer_printf(text, " %s", word);
    for (unsigned i = 0; i < lives->count; i++)
        buffer_printf(text, " %016" PRIx64 " %" PRIu64, lives->list[i].epoch,
                      applied ? lives->list[i].applied : lives->list[i].last);
}

static void
write_link(const struct cut_member *consumer, unsigned input, struct buffer *text)
{
    const struct link_position at = consumer->positions.links[input];

    buffer_printf(text, "link %s %s epoch %016" PRIx64 " applied %" PRIu64, consumer->stream->inputs[input].from->name,
                  consumer->stream->name, at.epoch, at.applied);
    write_lives(&consumer->positions.left[input], true, "left", text);
    buffer_add_byte(text, '\n');
}

void
cut_write(const struct cut_member *member, struct buffer *text)
{
    const struct kept_positions *at = &member->positions;

    buffer_printf(text, "process %s epoch %016" PRIx64, member->stream->name, at->epoch);
    write_lives(&at->earlier, false, "earlier", text);
    buffer_printf(text, " inbox %" PRIu64 " output %" PRIu64 " %" PRIu64 "%s\n", at->inbox, at->trimmed.sequence,
                  at->last.sequence, at->back ? " back" : "");
    for (unsigned i = 0; i < member->stream->input_count; i++) {
        if (member->stream->inputs[i].from != NULL)
            write_link(member, i, text);
    }
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
    const struct lives *earlier = &producer->positions.earlier;
    const struct link_position last = {producer->positions.epoch, producer->positions.last.sequence};
    const uint64_t trimmed = producer->positions.trimmed.sequence;
    struct lives left = consumer->positions.left[input];
    uint64_t has;

    lives_settle(&left, at);
    const bool met = lives_meet(at, &left, last, earlier, &has);
    const bool older = lives_prove(at, met, last, earlier);
    if (!older && (!met || trimmed <= has))
        return 0;
    if (older && at.epoch != last.epoch)
        buffer_printf(faults, "%s has followed %s into a life of its state that this state of it does not know\n",
                      consumer->stream->name, producer->stream->name);
    else
        buffer_printf(faults, "%s has applied %" PRIu64 " messages of %s, whose state has %" PRIu64 " to %" PRIu64 "\n",
                      consumer->stream->name, older ? at.applied : has, producer->stream->name, trimmed + 1, last.applied);
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
