#include "inside.h"

#include "links/links_state.h"
#include "run/batch_state.h"
#include "run/process_state.h"

/* Processes of tests have links for their transport. */
static struct links *
links_of(const struct process *process)
{
    return (struct links *)process->transport;
}

struct store *
inside_store(struct process *process)
{
    return process->store;
}

int
inside_meta(const struct process *process)
{
    return process->host.meta;
}

int
inside_aside(const struct process *process)
{
    return process->batch->aside.table;
}

uint64_t
inside_epoch(const struct process *process)
{
    return links_of(process)->epoch;
}

bool
inside_is_loaded(const struct process *process)
{
    return process->batch->loaded;
}

void
inside_unload(struct process *process)
{
    process->batch->loaded = false;
}

const struct ledger *
inside_ledger(const struct process *process)
{
    return &process->batch->ledger;
}

const struct recent *
inside_recent(const struct process *process)
{
    return &process->batch->recent;
}

const struct timekeeper *
inside_timekeeper(const struct process *process)
{
    return &process->time;
}

const struct attempt *
inside_attempt(const struct process *process)
{
    return &process->attempt;
}

void *
inside_operator_state(const struct process *process)
{
    return process->batch->operator_state;
}

struct inbox *
inside_inbox(const struct process *process)
{
    return links_of(process)->inbox;
}

uint64_t
inside_inbox_end(const struct process *process)
{
    return inbox_end(links_of(process)->inbox);
}

uint64_t
inside_inbox_position(const struct process *process)
{
    return links_of(process)->inbox_position;
}

bool
inside_is_in_payload(const struct process *process)
{
    return process->batch->places[SOURCE_LANDING].identity != 0;
}

struct hash_key
inside_inbox_key(const struct process *process)
{
    return links_of(process)->inbox_key;
}

const struct link *
inside_link(const struct process *process, unsigned input)
{
    return &links_of(process)->links[input];
}

const char *
inside_report_topic(const struct process *process, unsigned input)
{
    return links_of(process)->topics.report_to[input];
}

const struct outbox *
inside_output(const struct process *process)
{
    return &links_of(process)->output;
}

const struct outbox *
inside_rejected(const struct process *process)
{
    return &links_of(process)->rejected;
}

const char *
inside_rejected_topic(const struct process *process)
{
    return links_of(process)->topics.rejected;
}

int
inside_reject(struct process *process, struct span lines)
{
    struct outbox *rejected = &links_of(process)->rejected;

    if (store_begin(process->store) != 0)
        return -1;
    if (outbox_append(rejected, (struct span){0}, lines) != 0 || outbox_flush(rejected) != 0) {
        store_abort(process->store);
        return -1;
    }
    return store_commit(process->store);
}

uint64_t *
inside_untold(struct process *process, enum reason reason)
{
    return &process->batch->refusal.counts[reason];
}

unsigned
inside_receipts(const struct process *process)
{
    return links_of(process)->receipts.count;
}

size_t
inside_receipt_bytes(const struct process *process)
{
    return links_of(process)->receipts.bytes.len;
}

uint64_t
inside_unanswered(const struct process *process)
{
    return links_of(process)->mailbox.unanswered;
}

int
inside_work(struct process *process, int64_t now_ms, bool intake)
{
    process->time.now_ms = now_ms;
    return batch_work(process->batch, intake);
}

int
inside_make_room(struct process *process, int64_t now_ms)
{
    process->time.now_ms = now_ms;
    return batch_make_room(process->batch);
}

bool
inside_has_work(struct process *process, int64_t now_ms, bool intake)
{
    process->time.now_ms = now_ms;
    return batch_waits(process->batch, intake, process->options.steady_ms());
}

bool
inside_is_stopped(const struct process *process)
{
    return process->why != WHY_NOT_STOPPED;
}

const char *
inside_why(struct process *process)
{
    buffer_clear(&process->why_text);
    process_write_why(process, &process->why_text);
    return buffer_text(&process->why_text);
}

bool
inside_is_back(const struct process *process)
{
    return links_of(process)->back.told;
}

void
inside_metrics(struct process *process, struct buffer *text)
{
    process_write_metrics(process, 0, text);
}

bool
inside_is_connected(const struct process *process, bool landing)
{
    return (landing ? links_of(process)->landing_port : links_of(process)->link_port).state == PORT_READY;
}

struct wire_events
inside_events(struct process *process, bool landing)
{
    return landing ? arrive_on_landing(links_of(process)) : arrive_on_links(links_of(process));
}

int
inside_hold(const struct process *process)
{
    return links_of(process)->hold_fd;
}

struct inside_limits
inside_limits(struct process *process)
{
    return (struct inside_limits){
        .batch_records = &process->batch->records_max,
        .batch_output_bytes = &process->batch->output_bytes_max,
        .payload_faults = &process->batch->payload_faults_max,
        .outbox_bytes = &links_of(process)->outbox_bytes_max,
        .rejected_bytes = &process->batch->refusal.waiting_bytes_max,
        .output_window_bytes = &links_of(process)->output_publisher.window_bytes,
        .rejected_window_bytes = &links_of(process)->rejected_publisher.window_bytes,
        .message_bytes = &process->batch->message_bytes,
        .broker_retains = &links_of(process)->limits.retains,
    };
}

struct inside_rows
inside_rows(struct process *process)
{
    return (struct inside_rows){
        .restored = &links_of(process)->recall.restored,
        .due = &links_of(process)->recall.due,
        .heard = &links_of(process)->heard,
        .synced_ms = &links_of(process)->synced_ms,
        .newcomer = &links_of(process)->newcomers.active,
    };
}

bool
inside_serves_newcomer(const struct process *process)
{
    return links_of(process)->newcomers.active || links_of(process)->newcomers.finished;
}

static struct inside_report
report_of(const struct report *report, bool heard)
{
    return (struct inside_report){.heard = heard, .rewind = report->rewind, .position = report->said.position};
}

struct inside_arrived
inside_arrived(const struct process *process)
{
    const struct mailbox *arrived = &links_of(process)->mailbox;

    return (struct inside_arrived){
        .reports = {report_of(&arrived->reports[0], arrived->reports[0].heard),
                    report_of(&arrived->reports[1], arrived->reports[1].heard)},
        .kept = report_of(&arrived->kept, arrived->kept_heard),
        .synced = arrived->synced,
        .refill_delivered = arrived->refill_delivered,
        .delivered_output = arrived->delivered_output,
        .delivered_rejected = arrived->delivered_rejected,
    };
}

uint64_t
inside_token(enum inside_token of, uint64_t number)
{
    static const uint64_t tokens[] = {
        [INSIDE_OUTPUT] = TOKEN_OUTPUT,
        [INSIDE_REJECTED] = TOKEN_REJECTED,
        [INSIDE_REFILL] = TOKEN_REFILL,
        [INSIDE_REFILL_LAST] = TOKEN_REFILL_LAST,
    };

    return tokens[of] | number;
}

_Static_assert(INSIDE_PROBE_BYTES == PROBE_TOKEN_BYTES, "the token of a probe has another size");

const struct inside_numbers inside_numbers = {
    .transaction_bytes = BATCH_PAYLOAD_BYTES_MAX,
    .payload_faults = BATCH_PAYLOAD_FAULTS_MAX,
    .questions = ASKS_MAX,
    .receipt_tried_ms = RECEIPT_TRIED_MS,
    .refusal_shown_ms = REFUSED_SHOWN_MS,
};
