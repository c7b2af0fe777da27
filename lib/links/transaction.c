/*
 * transaction: what links do in one transaction of the core: give it what has come, keep what it puts out, and say where
 * they are, all of it committed together or not at all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "state/hold.h"
#include "links/links_state.h"

/* Messages of the outbox that are removed in one transaction. */
#define TRIM_MAX 1000

static struct links *
links_of(struct transport *transport)
{
    return (struct links *)transport;
}

void
transaction_begin(struct transport *transport)
{
    struct links *links = links_of(transport);
    struct progress *now = &links->now;

    *now = (struct progress){.inbox_position = links->inbox_position, .lost = links->lost};
    links->receipts.count = 0;
    buffer_clear(&links->receipts.bytes);
    pthread_mutex_lock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        const struct link *link = &links->links[i];
        now->links[i] = link->committed;
        now->awaits[i] = link->awaits;
        /* These and the pointers between them don't change any more; the last one's pointer may. One of them may be forged
         * where two came under one number. */
        now->front[i] = link->first;
        now->link_left[i] = link->twofold == 0 ? link->message_count : 0;
    }
    pthread_mutex_unlock(&links->mailbox.lock);
}

/* Before records are worked. */

void
transaction_forget_table(struct links *links, unsigned input)
{
    struct progress *now = &links->now;

    now->forgotten[input] = now->moved[input] = true;
    now->links[input] = (struct link_position){0};
    now->left[input].count = 0;
    now->awaits[input] = LINK_NO_END;
    now->link_left[input] = 0;
    now->forgets |= 1u << input;
}

int
transaction_prepare(struct transport *transport, bool intake, struct output *output, struct prepared *prepared)
{
    struct links *links = links_of(transport);
    struct progress *now = &links->now;

    if (links->acknowledged && kept_acknowledge(links) != 0)
        return -1;
    if (links->output_publisher.older.seen && kept_begin_life(links) != 0)
        return -1;
    const bool decides = intake && !now->acknowledged && now->epoch == 0 && !links->newcomers.active;
    now->recalls = decides && links->recall.due;
    const int recalled = now->recalls ? recall_work(links, output) : 0;
    if (recalled < 0)
        return -1;
    *prepared = (struct prepared){
        .steps = now->steps + (unsigned)recalled, .alone = !decides || now->recalls, .moved = now->forgets};
    return 0;
}

/* Landing. */

/* What stands at the inbox's front can't be read, and is passed over. */
static void
pass_gap(struct links *links, const struct inbox_gap *gap)
{
    struct inbox_lost *lost = &links->now.lost;

    log_assert(gap->from == links->now.inbox_position && gap->to > gap->from);
    links->now.inbox_position = gap->to;
    if (!gap->damage)
        return;
    lost->from = lost->gaps == 0 ? gap->from : lost->from;
    lost->to = gap->to;
    lost->bytes += gap->to - gap->from;
    lost->gaps++;
}

static enum source_next
next_of_inbox(struct links *links, struct source_message *message)
{
    struct progress *now = &links->now;
    const struct inbox_entry *entry = &now->entry;
    struct inbox_gap gap;

    now->inbox_behind = now->inbox_position;
    int rc = inbox_read(links->inbox, &now->inbox_behind, &now->entry, &gap);
    if (rc >= 0 && gap.from != gap.to) {
        pass_gap(links, &gap);
        return SOURCE_MOVED;
    }
    if (rc == 1 && (entry->input >= links->stream->input_count || links->stream->inputs[entry->input].landing == NULL)) {
        inbox_damaged(links->inbox, now->inbox_position, "is for an input that this process does not have");
        errno = EINVAL;
        rc = -1;
    }
    if (rc < 0) /* full: for what is damaged, which is to be kept */
        store_found(links->store, errno == ENOSPC || errno == EDQUOT ? STORE_FULL : STORE_BROKEN);
    if (rc != 1)
        return rc < 0 ? SOURCE_BROKEN : SOURCE_EMPTY;
    *message = (struct source_message){
        .input = entry->input,
        .payload = entry->payload,
        .levels = entry->levels,
        .position = {links->first_epoch, now->inbox_position},
        .beside_bytes = entry->response_topic.len + entry->correlation.len,
    };
    return SOURCE_MESSAGE;
}

static void
inbox_worked(struct links *links, const struct tally *tally)
{
    struct progress *now = &links->now;

    log_assert(now->inbox_behind > now->inbox_position);
    if (now->entry.response_topic.len > 0)
        answers_add_receipt(links, &now->entry, tally);
    now->inbox_position = now->inbox_behind;
}

/* Links. */

/* The message at the front is worked. */
static void
link_worked(struct links *links, unsigned input)
{
    struct progress *now = &links->now;
    const struct link_message *message = now->front[input];

    log_assert(now->link_left[input] > 0);
    now->links[input] = message->position;
    now->link_messages[input]++;
    if (message->position.epoch != 0 && message->position.applied >= now->awaits[input])
        now->awaits[input] = 0;
    if (--now->link_left[input] > 0)
        now->front[input] = message->next;
}

/* What is at the front is no message: the producer says where to go on. */
static void
take_change(struct links *links, unsigned input)
{
    struct progress *now = &links->now;
    const struct link_change change = link_change(now->front[input]);

    now->left[input] = change.left;
    now->moved[input] = true;
    if (now->awaits[input] != 0 && change.until == LINK_NO_END) {
        transaction_forget_table(links, input); /* its producer went back, maybe to before our rows were sent */
        return;
    }
    if (now->awaits[input] != 0)
        now->awaits[input] = change.until;
    link_worked(links, input);
}

static enum source_next
next_of_link(struct links *links, unsigned input, struct source_message *given)
{
    const struct link_message *message = links->now.front[input];

    if (links->now.link_left[input] == 0)
        return SOURCE_EMPTY;
    if (message->oldest) {
        take_change(links, input);
        return SOURCE_MOVED;
    }
    *given = (struct source_message){
        .input = input,
        .payload = message->payload,
        .row = message->row,
        .position = {message->position.epoch, message->position.applied},
        .life = message->position.epoch,
    };
    return SOURCE_MESSAGE;
}

/* All sources. */

enum source_next
transaction_next(struct transport *transport, unsigned source, struct source_message *message)
{
    struct links *links = links_of(transport);

    return source == SOURCE_LANDING ? next_of_inbox(links, message) : next_of_link(links, source, message);
}

void
transaction_worked(struct transport *transport, unsigned source, const struct tally *tally)
{
    struct links *links = links_of(transport);

    if (source == SOURCE_LANDING)
        inbox_worked(links, tally);
    else
        link_worked(links, source);
}

unsigned
transaction_has(struct transport *transport)
{
    struct links *links = links_of(transport);
    unsigned has = 0;

    pthread_mutex_lock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->stream->input_count; i++)
        has |= links->links[i].message_count > 0 ? 1u << i : 0;
    pthread_mutex_unlock(&links->mailbox.lock);
    if (links->inbox != NULL && inbox_end(links->inbox) > links->now.inbox_position)
        has |= 1u << SOURCE_LANDING;
    return has;
}

uint64_t
transaction_front(struct transport *transport, unsigned source)
{
    const struct progress *now = &links_of(transport)->now;

    if (source == SOURCE_LANDING)
        return now->inbox_position;
    return now->links[source].applied ^ now->links[source].epoch;
}

bool
transaction_awaits(struct transport *transport)
{
    const struct links *links = links_of(transport);
    bool awaits = false;

    for (unsigned i = 0; i < links->stream->input_count; i++)
        awaits = awaits || links->now.awaits[i] != 0;
    return awaits;
}

/* Sinks. */

int
transaction_append(struct transport *transport, enum sink sink, struct span row, struct span payload, bool retained)
{
    struct links *links = links_of(transport);
    struct outbox *outbox = sink == SINK_OUTPUT ? &links->output : &links->rejected;

    return outbox_append(outbox, retained ? span_of(OUTBOX_RETAINED) : row, payload);
}

/* The end. */

static int
trim(struct links *links)
{
    const uint64_t of_output = publisher_confirmed(&links->output_publisher);
    const uint64_t of_rejected = publisher_confirmed(&links->rejected_publisher);

    if ((of_output <= links->output.trimmed.sequence && of_rejected <= links->rejected.trimmed.sequence) ||
        hold_taken(links->hold_fd))
        return 0;
    const int output = outbox_trim(&links->output, of_output, TRIM_MAX);
    const int rejected = outbox_trim(&links->rejected, of_rejected, TRIM_MAX);
    return output < 0 || rejected < 0 ? -1 : output + rejected;
}

int
transaction_finish(struct transport *transport, bool for_room)
{
    struct links *links = links_of(transport);
    const int appended = for_room ? 0 : newcomer_work(links);
    const int trimmed = appended < 0 ? -1 : trim(links);

    links->now.finished = !for_room;
    links->trim_ms = links->host->steady_ms() + TICK_MS;
    return trimmed < 0 ? -1 : appended + trimmed;
}

int
transaction_commit(struct transport *transport)
{
    return store_commit(links_of(transport)->store);
}

static void
committed_acknowledgement(struct links *links)
{
    if (links->back.told)
        log_info("%s: that it went back in time is acknowledged", links->stream->name);
    if (links->lost.gaps > 0)
        log_info("%s: that its inbox lost messages is acknowledged", links->stream->name);
    links->back.told = links->acknowledged = false;
}

static void
committed_life(struct links *links)
{
    const struct publisher *publisher = &links->output_publisher;
    struct back *back = &links->back;

    *back = (struct back){true, process_wall_ms(links->host->process), publisher->older.knew, links->now.last, ""};
    snprintf(back->witness, sizeof back->witness, "%s", publisher->older.witness);
    links->epoch = links->now.epoch;
    links->earlier = links->now.earlier;
    kept_tell_publishers(links);
    recall_told(links);
}

static void
committed_positions(struct links *links)
{
    const struct progress *now = &links->now;

    links->inbox_position = now->inbox_position;
    links_release(links);
    pthread_mutex_lock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (now->forgotten[i]) {
            link_free(&links->links[i]);
            link_begin(&links->links[i], (struct link_position){0});
        } else if (now->link_messages[i] > 0) {
            link_commit(&links->links[i], now->link_messages[i]);
        }
        links->links[i].awaits = now->awaits[i];
    }
    pthread_mutex_unlock(&links->mailbox.lock);
}

void
transaction_committed(struct transport *transport)
{
    struct links *links = links_of(transport);

    committed_positions(links);
    if (links->now.acknowledged)
        committed_acknowledgement(links);
    links->lost = links->now.lost;
    if (links->now.epoch != 0)
        committed_life(links);
    if (links->recall.restored)
        recall_tables_forgotten(links);
    if (links->now.recalls)
        recall_committed(links);
    if (links->now.finished)
        newcomer_committed(links);
}

void
transaction_aborted(struct transport *transport)
{
    struct links *links = links_of(transport);

    links->receipts.count = 0;
    links->trim_ms = 0; /* what was to be trimmed still is */
}
