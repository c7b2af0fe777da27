/*
 * refill: a table's rows are retained messages, and a broker can forget those. It is then given all of them again, in
 * chunks, each after it acknowledged the one before. They carry no sequence number, so links pass over them.
 */
#include <stdlib.h>

#include "base/backoff.h"
#include "base/log.h"
#include "links/links_state.h"
#include "wire/topic.h"

#define CHUNK_ROWS 200

/* After the broker has refused a row, or may have cut the connection over one; at most as long as the publisher waits. */
#define AGAIN_MIN_MS 1000
#define AGAIN_MAX_MS 15000

void
refill_begin(struct links *links)
{
    struct refill *refill = &links->refill;

    buffer_clear(&refill->after);
    refill->active = links->stream->operator->rows != NULL;
    refill->waiting = refill->done = refill->owed = false;
}

void
refill_restart(struct links *links, bool wary, int64_t steady_ms)
{
    links->refill.active = links->refill.waiting = links->refill.done = links->refill.owed = false;
    if (wary)
        backoff_put_off(&links->refill.again, AGAIN_MIN_MS, AGAIN_MAX_MS, steady_ms);
    else
        backoff_reset(&links->refill.again);
}

static bool
send_row(void *context, struct span row, struct span body)
{
    struct links *links = context;
    struct refill *refill = &links->refill;

    buffer_clear(&refill->topic);
    buffer_add_text(&refill->topic, links->topics.output);
    topic_add_row(&refill->topic, row);
    buffer_clear(&refill->payload);
    buffer_add_byte(&refill->payload, '{');
    buffer_add_span(&refill->payload, body);
    buffer_add_byte(&refill->payload, '}');
    const bool last = ++refill->sent == CHUNK_ROWS;
    const struct wire_message message = {
        .topic = span_at(buffer_text(&refill->topic), refill->topic.len),
        .payload = buffer_span(&refill->payload),
        .retained = true,
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    struct wire *wire = links->link_port.wire;
    if (!wire_fits(&links->limits, &message))
        publisher_stand(&links->output_publisher, message.payload.len + message.topic.len + WIRE_OVERHEAD_BYTES);
    if (wire->calls->publish(wire, &message, last ? TOKEN_REFILL_LAST : TOKEN_REFILL) != 0) {
        refill->failed = true; /* the connection broke: it begins anew with the next one */
        return false;
    }
    buffer_clear(&refill->after);
    buffer_add_span(&refill->after, row);
    return !last;
}

/* The broker refused a row, so its copy is not whole, and must not be said to be: all of it again, later. */
static void
refill_again(struct links *links, int64_t steady_ms)
{
    struct refill *refill = &links->refill;
    struct wire *wire = links->link_port.wire;
    const struct wire_message nothing = {
        .topic = span_of(links->topics.kept), .retained = true, .delivery = WIRE_AT_LEAST_ONCE};

    backoff_put_off(&refill->again, AGAIN_MIN_MS, AGAIN_MAX_MS, steady_ms);
    wire->calls->publish(wire, &nothing, 0);
    refill_begin(links);
}

void
refill_step(struct links *links, int64_t steady_ms)
{
    struct refill *refill = &links->refill;

    pthread_mutex_lock(&links->mailbox.lock);
    const bool refused = links->mailbox.refill_refused;
    if (links->mailbox.refill_delivered)
        refill->waiting = false;
    links->mailbox.refill_delivered = links->mailbox.refill_refused = false;
    pthread_mutex_unlock(&links->mailbox.lock);
    if (refused && backoff_is_due(&refill->again, steady_ms)) /* else it was another one of those before */
        refill_again(links, steady_ms);
    if (!refill->active || links->link_port.state != PORT_READY || !backoff_is_due(&refill->again, steady_ms))
        return;
    if (refill->waiting || store_snapshot(links->store) != 0)
        return;
    refill->sent = 0;
    refill->failed = false;
    int rc = batch_rows(process_batch(links->host->process), buffer_span(&refill->after), send_row, links);
    store_snapshot_end(links->store);
    refill->waiting = refill->sent == CHUNK_ROWS;
    if (rc != 0 || refill->failed || refill->sent < CHUNK_ROWS) {
        refill->active = false;
        refill->done = rc == 0 && !refill->failed;
    }
}

void
refill_free(struct links *links)
{
    buffer_free(&links->refill.after);
    buffer_free(&links->refill.topic);
    buffer_free(&links->refill.payload);
}
