#include "inside.h"

#include "run/process_state.h"

struct store *
inside_store(struct process *process)
{
    return process->store;
}

int
inside_meta(const struct process *process)
{
    return process->meta;
}

int
inside_aside(const struct process *process)
{
    return process->aside;
}

uint64_t
inside_epoch(const struct process *process)
{
    return process->epoch;
}

bool
inside_is_loaded(const struct process *process)
{
    return process->loaded;
}

void
inside_unload(struct process *process)
{
    process->loaded = false;
}

const struct ledger *
inside_ledger(const struct process *process)
{
    return &process->ledger;
}

const struct recent *
inside_recent(const struct process *process)
{
    return &process->recent;
}

const struct timekeeper *
inside_timekeeper(const struct process *process)
{
    return &process->timekeeper;
}

const struct attempt *
inside_attempt(const struct process *process)
{
    return &process->attempt;
}

void *
inside_operator_state(const struct process *process)
{
    return process->operator_state;
}

struct inbox *
inside_inbox(const struct process *process)
{
    return process->inbox;
}

uint64_t
inside_inbox_end(const struct process *process)
{
    return inbox_end(process->inbox);
}

uint64_t
inside_inbox_position(const struct process *process)
{
    return process->inbox_position;
}

bool
inside_is_in_payload(const struct process *process)
{
    return process->places[PLACE_INBOX].identity != 0;
}

struct hash_key
inside_inbox_key(const struct process *process)
{
    return process->inbox_key;
}

const struct link *
inside_link(const struct process *process, unsigned input)
{
    return &process->links[input];
}

const char *
inside_report_topic(const struct process *process, unsigned input)
{
    return process->topics.report_to[input];
}

const struct outbox *
inside_output(const struct process *process)
{
    return &process->output;
}

const struct outbox *
inside_rejected(const struct process *process)
{
    return &process->rejected;
}

const char *
inside_rejected_topic(const struct process *process)
{
    return process->topics.rejected;
}

int
inside_reject(struct process *process, struct span lines)
{
    if (store_begin(process->store) != 0)
        return -1;
    if (outbox_append(&process->rejected, (struct span){0}, lines) != 0 || outbox_flush(&process->rejected) != 0) {
        store_abort(process->store);
        return -1;
    }
    return store_commit(process->store);
}

uint64_t *
inside_untold(struct process *process, enum reason reason)
{
    return &process->untold.counts[reason];
}

unsigned
inside_receipts(const struct process *process)
{
    return process->receipts.count;
}

size_t
inside_receipt_bytes(const struct process *process)
{
    return process->receipts.bytes.len;
}

uint64_t
inside_unanswered(const struct process *process)
{
    return process->unanswered;
}

int
inside_work(struct process *process, int64_t now_ms, bool intake)
{
    return batch_work(process, now_ms, intake);
}

int
inside_make_room(struct process *process, int64_t now_ms)
{
    return batch_make_room(process, now_ms);
}

bool
inside_has_work(struct process *process, int64_t now_ms, bool intake)
{
    return batch_waits(process, now_ms, intake);
}

bool
inside_is_stopped(const struct process *process)
{
    return process->why != WHY_NOT_STOPPED;
}

const char *
inside_why(struct process *process)
{
    return why_stopped(process);
}

bool
inside_is_back(const struct process *process)
{
    return process->back.told;
}

void
inside_metrics(struct process *process, struct buffer *text)
{
    metrics_write(process, text);
}

bool
inside_is_connected(const struct process *process, bool landing)
{
    return (landing ? process->landing_port : process->link_port).state == PORT_READY;
}

struct wire_events
inside_events(struct process *process, bool landing)
{
    return landing ? arrive_on_landing(process) : arrive_on_links(process);
}

int
inside_hold(const struct process *process)
{
    return process->hold_fd;
}

struct inside_limits
inside_limits(struct process *process)
{
    return (struct inside_limits){
        .batch_records = &process->batch_records_max,
        .batch_output_bytes = &process->batch_output_bytes_max,
        .payload_faults = &process->payload_faults_max,
        .outbox_bytes = &process->outbox_bytes_max,
        .rejected_bytes = &process->rejected_bytes_max,
        .output_window_bytes = &process->output_publisher.window_bytes,
        .rejected_window_bytes = &process->rejected_publisher.window_bytes,
        .message_bytes = &process->message_bytes,
        .broker_retains = &process->limits.retains,
    };
}

struct inside_rows
inside_rows(struct process *process)
{
    return (struct inside_rows){
        .restored = &process->recall.restored,
        .due = &process->recall.due,
        .heard = &process->heard,
        .synced_ms = &process->synced_ms,
        .newcomer = &process->newcomers.active,
    };
}

bool
inside_serves_newcomer(const struct process *process)
{
    return process->newcomers.active || process->newcomers.finished;
}

static struct inside_report
report_of(const struct report *report, bool heard)
{
    return (struct inside_report){.heard = heard, .rewind = report->rewind, .position = report->said.position};
}

struct inside_arrived
inside_arrived(const struct process *process)
{
    const struct arrived *arrived = &process->arrived;

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
    .payload_faults = PAYLOAD_FAULTS_MAX,
    .questions = ASKS_MAX,
    .receipt_tried_ms = RECEIPT_TRIED_MS,
    .refusal_shown_ms = REFUSAL_SHOWN_MS,
};
