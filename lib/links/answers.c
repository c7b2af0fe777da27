/*
 * answers: what is said to those who asked: receipts to publishers, the metrics to whoever looks.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "links/links_state.h"

void
answers_add_receipt(struct links *links, const struct inbox_entry *entry, const struct tally *tally)
{
    struct receipts *receipts = &links->receipts;

    if (receipts->count == receipts->capacity) {
        receipts->capacity = receipts->capacity * 2 + 16;
        receipts->list = realloc(receipts->list, receipts->capacity * sizeof *receipts->list);
        if (receipts->list == NULL)
            log_fatal("out of memory");
    }
    struct receipt *receipt = &receipts->list[receipts->count++];
    receipt->input = entry->input;
    receipt->tally = *tally;
    receipt->topic_at = receipts->bytes.len;
    receipt->topic_len = entry->response_topic.len;
    buffer_add_span(&receipts->bytes, entry->response_topic);
    buffer_add_byte(&receipts->bytes, '\0');
    receipt->correlation_at = receipts->bytes.len;
    receipt->correlation_len = entry->correlation.len;
    buffer_add_span(&receipts->bytes, entry->correlation);
}

static void
write_receipt(const struct tally *tally, enum record_kind kind, struct buffer *text)
{
    unsigned field_count;
    const struct record_field *fields = record_fields(kind, &field_count);

    buffer_printf(text, "{\"taken\":%" PRIu64, tally_taken(tally));
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        buffer_printf(text, ",\"%s\":%" PRIu64, ledger_word((enum verdict)i), tally->verdicts[i]);
    if (tally->ahead > 0)
        buffer_printf(text, ",\"ahead\":%" PRIu64, tally->ahead);
    for (unsigned i = 0; i < tally->verdicts[VERDICT_INVALID] && i < TALLY_FAULTS_MAX; i++) {
        buffer_printf(text, "%s{\"record\":%" PRIu32 ",\"reason\":\"%s\"", i == 0 ? ",\"faults\":[" : ",",
                      tally->faults[i].record, reason_word((enum reason)tally->faults[i].reason));
        if (tally->faults[i].field < field_count)
            buffer_printf(text, ",\"field\":\"%s\"", fields[tally->faults[i].field].name);
        buffer_add_byte(text, '}');
    }
    buffer_add_text(text, tally->verdicts[VERDICT_INVALID] > 0 ? "]}" : "}");
}

/* Receipts are not acknowledged, but for one now and then: else nobody would say that the broker's ACL denies them. */
static enum wire_delivery
receipt_delivery(struct links *links)
{
    const int64_t steady_ms = links->host->steady_ms();

    if (steady_ms < links->receipt_tried_ms)
        return WIRE_AT_MOST_ONCE;
    links->receipt_tried_ms = steady_ms + RECEIPT_TRIED_MS;
    return WIRE_AT_LEAST_ONCE;
}

void
answers_send_receipts(struct links *links)
{
    struct receipts *receipts = &links->receipts;
    struct wire *wire = links->link_port.wire;

    for (unsigned i = 0; i < receipts->count; i++) {
        const struct receipt *receipt = &receipts->list[i];
        buffer_clear(&links->scratch);
        write_receipt(&receipt->tally, links->stream->inputs[receipt->input].record, &links->scratch);
        const struct wire_message message = {
            .topic = span_at(receipts->bytes.data + receipt->topic_at, receipt->topic_len),
            .payload = buffer_span(&links->scratch),
            .correlation = span_at(receipts->bytes.data + receipt->correlation_at, receipt->correlation_len),
            .delivery = receipt_delivery(links),
        };
        /* One that can't be sent is not missed for long: the publisher sends its message again. */
        if (wire->calls->waiting(wire) > ANSWERS_WAITING_BYTES_MAX || wire->calls->publish(wire, &message, 0) != 0)
            break;
    }
    receipts->count = 0;
}

void
answers_send_metrics(struct links *links, int64_t steady_ms)
{
    /* After a failed transaction the counters in memory are those of what did not happen. */
    if (links->link_port.state != PORT_READY || steady_ms < links->metrics_ms || !process_is_shown(links->host->process))
        return;
    buffer_clear(&links->metrics);
    process_write_metrics(links->host->process, links_room(links), &links->metrics);
    if (span_equal(buffer_span(&links->metrics), buffer_span(&links->metrics_sent)))
        return;
    if (links_publish(links, links->topics.metrics, buffer_span(&links->metrics), true) != 0)
        return;
    links->metrics_ms = steady_ms + TICK_MS;
    buffer_clear(&links->metrics_sent);
    buffer_add_span(&links->metrics_sent, buffer_span(&links->metrics));
}

static void
answer(struct links *links, const struct ask *ask)
{
    struct wire *wire = links->link_port.wire;

    if (wire->calls->waiting(wire) > ANSWERS_WAITING_BYTES_MAX)
        return;
    buffer_clear(&links->metrics);
    process_write_metrics(links->host->process, links_room(links), &links->metrics);
    const struct wire_message message = {
        .topic = span_of(ask->topic),
        .payload = buffer_span(&links->metrics),
        .correlation = buffer_span(&ask->correlation),
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    wire->calls->publish(wire, &message, 0);
}

void
answers_answer(struct links *links)
{
    unsigned left = 0;

    pthread_mutex_lock(&links->mailbox.lock);
    unsigned moved = 0;
    while (moved < links->mailbox.ask_count && links->ask_count < ASKS_MAX)
        links->asks[links->ask_count++] = links->mailbox.asks[moved++];
    links->mailbox.ask_count -= moved;
    memmove(links->mailbox.asks, links->mailbox.asks + moved, links->mailbox.ask_count * sizeof(struct ask));
    pthread_mutex_unlock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->ask_count; i++) {
        bool stopped = process_is_stopped(links->host->process);
        if (links->asks[i].inbox_position > links->inbox_position && !stopped) {
            links->asks[left++] = links->asks[i];
            continue;
        }
        answer(links, &links->asks[i]);
        mailbox_free_asks(&links->asks[i], 1);
    }
    links->ask_count = left;
}
