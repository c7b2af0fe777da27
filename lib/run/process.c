#include "run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "run/process_state.h"
#include "run/start.h"

/* Longest wait of the loop: the metrics' second. */
#define TICK_MS 1000

/* Applied messages that are worth a commit of their own to remove. */
#define TRIM_MESSAGES 256

/* Longest wait at the end for the last messages to be written. */
#define GOODBYE_MS 500

/* How long to wait before trying again when the disk is full, or files are not as they should be; and the longest wait where
 * something is broken, which is tried ever more rarely: nobody mends it soon. */
#define STALL_MS 200
#define STALL_BROKEN_MS 30000

/* Failures in a row that are counted: more change nothing. */
#define STALLS_MAX 8

/* How long to wait, after a start, for consumers whose last report the broker has forgotten. */
#define HEAR_MS 3000

/* Opening. */

static char *
format(const char *form, const char *a, const char *b, const char *c)
{
    struct buffer text = {0};

    for (; *form != '\0'; form++) {
        if (*form == '1' || *form == '2' || *form == '3')
            buffer_add_text(&text, *form == '1' ? a : *form == '2' ? b : c);
        else
            buffer_add_byte(&text, *form);
    }
    buffer_text(&text);
    return text.data;
}

static void
name_topics(struct process *process)
{
    const char *prefix = config_text(process->options.config, "mqtt", "prefix");
    const struct stream *stream = process->stream;
    struct topics *topics = &process->topics;

    for (unsigned i = 0; i < stream->input_count; i++) {
        const struct stream_input *input = &stream->inputs[i];
        if (input->landing != NULL) {
            topics->landing[i] = format("1/2/#", prefix, input->landing, NULL);
            continue;
        }
        topics->report_to[i] = format("1/link/2/3", prefix, input->from->name, stream->name);
    }
    topics->reports = format("1/link/2/+", prefix, stream->name, NULL);
    topics->feeds = format("1/link/+/2/feed/#", prefix, stream->name, NULL);
    topics->oldest = format("1/link/+/2/oldest", prefix, stream->name, NULL);
    topics->link = format("1/link/2", prefix, stream->name, NULL);
    topics->sync = format("1/link/2/.sync", prefix, stream->name, NULL);
    topics->kept = format("1/link/2/.kept", prefix, stream->name, NULL);
    topics->ask = format("1/ask", prefix, NULL, NULL);
    topics->acknowledge = format("1/acknowledge/2", prefix, stream->name, NULL);
    topics->output = stream->topic != NULL ? format("1/2", prefix, stream->topic, NULL) : NULL;
    topics->rows = stream->operator->recall != NULL ? format("1/2/+", prefix, stream->topic, NULL) : NULL;
    topics->rejected = format("1/rejected/2", prefix, stream->name, NULL);
    topics->status = format("1/status/2", prefix, stream->name, NULL);
    topics->metrics = format("1/metrics/2", prefix, stream->name, NULL);
    process->link_client = format("1-2", prefix, stream->name, NULL);
    process->landing_client = format("1-2-landing", prefix, stream->name, NULL);
}

static void
free_topics(struct process *process)
{
    struct topics *topics = &process->topics;
    char *const single[] = {topics->reports,      topics->feeds,         topics->oldest, topics->link,
                            topics->sync,         topics->kept,          topics->ask,    topics->output,
                            topics->rejected,     topics->status,        topics->metrics, topics->acknowledge,
                            topics->rows,         process->link_client,  process->landing_client};

    for (unsigned i = 0; i < sizeof single / sizeof single[0]; i++)
        free(single[i]);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++) {
        free(topics->landing[i]);
        free(topics->report_to[i]);
    }
}

static int64_t
setting(const struct process *process, const char *key)
{
    return config_int(process->options.config, process->stream->name, key);
}

/* Say what is wrong with a folder, of which errno is. */
static void
log_folder(struct buffer *fault)
{
    (config_is_to_blame(errno) ? log_config_error : log_error)("%s", buffer_text(fault));
}

/* One process a state folder: LMDB would let two in, and both would answer for the same records. */
static int
lock_state(struct process *process)
{
    char *below = format("state/1", process->stream->name, NULL, NULL);
    struct buffer fault = {0};

    process->lock_fd = folder_file(process->options.dir, below, "lock", O_RDWR | O_CREAT, &fault);
    if (process->lock_fd < 0)
        log_folder(&fault);
    else if ((process->hold_fd = hold_open(process->options.dir)) < 0)
        log_error("can't open the lock of backups in %s: %s", process->options.dir, strerror(errno));
    else if (flock(process->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        log_error("another process works in %s already", process->dir);
        close(process->lock_fd);
        process->lock_fd = -1;
    }
    buffer_free(&fault);
    free(below);
    return process->lock_fd < 0 || process->hold_fd < 0 ? -1 : 0;
}

static int
check_folders(const struct process *process)
{
    struct buffer fault = {0};
    const int rc = start_check_folders(process->stream, process->options.dir, &fault);

    if (rc != 0)
        log_folder(&fault);
    buffer_free(&fault);
    return rc;
}

static int
open_operator(struct process *process)
{
    void *parameters = process->stream->parameters(process->options.config, process->options.dir);

    if (parameters == NULL)
        return -1;
    int rc = process->stream->operator->open(parameters, process->store, &process->operator_state);
    hash_secret_free(parameters);
    return rc;
}

/* Read what is kept in memory, and commit what that writes. 0 or −1. */
static int
load_and_keep(struct process *process)
{
    if (store_begin(process->store) != 0)
        return -1;
    if (batch_load(process) != 0) {
        store_abort(process->store);
        return -1;
    }
    recall_loaded(process);
    if (store_commit(process->store) != 0)
        return -1;
    process->kept = true;
    if (process->recall.restored)
        recall_tables_forgotten(process);
    return 0;
}

/* Read what is kept in memory. All that opening writes is in one transaction, so a store that is refused, whatever for,
 * stays as it was. (What had no room in the map has it in the next one.) If the operator can't go on because of what is
 * stored or files beside it, the process works without it, and writes nothing: it says why, where everybody can see it, and
 * tries again until it can. A new store's operator finds nothing wrong in it. */
static int
load_state(struct process *process)
{
    if (load_and_keep(process) == 0 || (store_fault(process->store) == STORE_FULL && load_and_keep(process) == 0))
        return 0;
    const enum store_fault fault = store_fault(process->store);
    if (process->loaded || fault == STORE_FINE || (store_is_new(process->store) && fault != STORE_BESIDE) ||
        store_begin(process->store) != 0)
        return -1;
    /* What comes in meanwhile is marked by a key that must outlive us. */
    int rc = stream_has_landing(process->stream) ? batch_has_inbox_key(process) : 1;
    rc = rc == 1 ? batch_load_own(process) : -1;
    recall_loaded(process);
    store_abort(process->store);
    return rc;
}

/* Open the store and read from it what is kept in memory. */
static int
open_state(struct process *process)
{
    char *dir = format("1/store", process->dir, NULL, NULL);

    attempt_open(&process->attempt, process->dir);
    attempt_opens(&process->attempt, ATTEMPT_OPENS_STORE);
    process->store = store_open(dir, (uint64_t)setting(process, "map"));
    free(dir);
    if (process->store == NULL || (process->meta = store_table(process->store, "meta")) < 0 ||
        (process->aside = store_table(process->store, "aside")) < 0 ||
        ledger_open(&process->ledger, process->store, "meta", process->stream->input_count) != 0 ||
        recent_open(&process->recent, process->store, "meta") != 0 ||
        outbox_open(&process->output, process->store, "outbox") != 0 ||
        outbox_open(&process->rejected, process->store, "rejected") != 0 || open_operator(process) != 0)
        return -1;
    recall_look(process);
    if (load_state(process) != 0)
        return -1;
    for (unsigned i = 0; i < process->stream->input_count; i++)
        link_hello(&process->links[i]);
    return 0;
}

static int
open_inbox(struct process *process)
{
    if (!stream_has_landing(process->stream))
        return 0;
    char *dir = format("1/inbox", process->dir, NULL, NULL);
    attempt_opens(&process->attempt, ATTEMPT_OPENS_INBOX);
    const struct inbox_options options = {
        .dir = dir,
        .epoch = process->first_epoch,
        .key = process->inbox_key,
        .boot = process->options.boot,
        .bytes_max = (uint64_t)setting(process, "inbox_bytes"),
        .payload_bytes_max = process->payload_bytes_max + 1,
    };
    process->inbox = inbox_open(&options, process->inbox_position);
    free(dir);
    process->inbox_released = UINT64_MAX;
    batch_release(process);
    return process->inbox != NULL ? 0 : -1;
}

static void
open_decoders(struct process *process)
{
    const struct config *config = process->options.config;
    const struct record_limits limits = {
        .json = {(unsigned)config_int(config, "limits", "depth"), (unsigned)config_int(config, "limits", "string")},
        .payload_bytes_max = (unsigned)config_int(config, "limits", "payload"),
        .earliest_ms = config_int(config, "limits", "earliest"),
        .ahead_ms = config_int(config, "limits", "ahead"),
        .fold_email = config_int(config, "limits", "email_case") != 0,
    };

    process->payload_bytes_max = limits.payload_bytes_max;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const struct stream_input *input = &process->stream->inputs[i];
        struct record_limits link_limits = limits;
        /* What one of us sends may be longer than what was taken in: a join puts two records into one. And what was taken
         * in under other limits is good. */
        link_limits.payload_bytes_max = LINK_PAYLOAD_BYTES_MAX;
        link_limits.json = (struct json_limits){RECORD_DEPTH_MAX, RECORD_STRING_BYTES_MAX};
        process->decoders[i] = record_decoder_new(input->record, input->landing != NULL ? &limits : &link_limits);
    }
}

/* Register the consumers of the output: every stream that has it as an input, and those the configuration names. */
static void
add_consumers(struct process *process)
{
    const struct stream *const *stream = process->options.catalog;

    for (; *stream != NULL; stream++) {
        for (unsigned i = 0; i < (*stream)->input_count; i++) {
            if ((*stream)->inputs[i].from == process->stream &&
                config_int(process->options.config, (*stream)->name, "enabled") != 0)
                publisher_add(&process->output_publisher, (*stream)->name);
        }
    }
    process->consumer_names = strdup(config_text(process->options.config, process->stream->name, "consumers"));
    if (process->consumer_names == NULL)
        log_fatal("out of memory");
    char *rest = process->consumer_names;
    for (char *name = strtok_r(rest, ", \t", &rest); name != NULL; name = strtok_r(NULL, ", \t", &rest))
        publisher_add(&process->output_publisher, name);
}

static void
open_publishers(struct process *process)
{
    process->output_publisher = (struct publisher){
        .outbox = &process->output,
        .topic = process->topics.output,
        .link = process->topics.link,
        .table = process->stream->kind == STREAM_TABLE,
        .epoch = process->epoch,
        .earlier = process->earlier,
        .window_bytes = (uint64_t)setting(process, "link_bytes"),
        .token = TOKEN_OUTPUT,
    };
    process->rejected_publisher = (struct publisher){
        .outbox = &process->rejected,
        .topic = process->topics.rejected,
        .epoch = process->epoch,
        .window_bytes = (uint64_t)setting(process, "link_bytes"),
        .token = TOKEN_REJECTED,
        .shorten = refusal_without_payload,
    };
    add_consumers(process);
    publisher_init(&process->output_publisher);
    publisher_init(&process->rejected_publisher);
}

static int
open_ports(struct process *process)
{
    const struct wire_events link_events = arrive_on_links(process);
    const struct wire_events landing_events = arrive_on_landing(process);
    struct port *links = &process->link_port;
    struct port *landing = &process->landing_port;

    *links = (struct port){.name = "links", .client = process->link_client, .lock = &process->lock, .wanted = true};
    *landing = (struct port){
        .name = "landing", .client = process->landing_client, .lock = &process->lock, .delivery = WIRE_AT_LEAST_ONCE};
    links->filters[links->filter_count++] = process->topics.reports;
    links->news_from = links->filter_count; /* nothing of the others is retained, unless by a stranger */
    links->filters[links->filter_count++] = process->topics.oldest;
    links->filters[links->filter_count++] = process->topics.feeds;
    links->filters[links->filter_count++] = process->topics.acknowledge;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->topics.landing[i] != NULL)
            landing->filters[landing->filter_count++] = process->topics.landing[i];
    }
    /* A question is asked where records come in, so that it can't overtake those before it. */
    struct port *asked = process->inbox != NULL ? landing : links;
    asked->filters[asked->filter_count++] = process->topics.ask;

    process->link_options = (struct wire_options){
        .client_name = process->link_client,
        .packet_bytes_max = wire_packet_bytes(process->payload_bytes_max),
        .will_topic = process->topics.status,
        .will_text = "offline",
    };
    links->wire = process->options.make_wire(process->options.context, &process->link_options, &link_events);
    if (links->wire == NULL || process->inbox == NULL)
        return links->wire != NULL ? 0 : -1;
    process->landing_options = (struct wire_options){
        .client_name = process->landing_client,
        .packet_bytes_max = process->payload_bytes_max + WIRE_PROPERTIES_BYTES_MAX,
        .session_s = (unsigned)(config_int(process->options.config, "mqtt", "session") / 1000)};
    process->session_told_s = process->landing_options.session_s;
    landing->wire = process->options.make_wire(process->options.context, &process->landing_options, &landing_events);
    return landing->wire != NULL ? 0 : -1;
}

static void
init_waiting(struct process *process)
{
    pthread_mutex_init(&process->lock, NULL);
    pthread_cond_init(&process->changed, NULL);
}

struct process *
process_open(const struct process_options *options)
{
    struct process *process = calloc(1, sizeof *process);

    if (process == NULL)
        log_fatal("out of memory");
    process->options = *options;
    process->stream = options->stream;
    process->lock_fd = process->hold_fd = process->attempt.fd = -1;
    init_waiting(process);
    name_topics(process);
    process->dir = format("1/state/2", options->dir, process->stream->name, NULL);
    process->batch_records_max = BATCH_RECORDS_MAX;
    process->batch_output_bytes_max = BATCH_OUTPUT_BYTES_MAX;
    process->message_bytes = setting(process, "message_bytes");
    process->payload_faults_max = PAYLOAD_FAULTS_MAX;
    process->outbox_bytes_max = (uint64_t)setting(process, "outbox_bytes");
    process->rejected_bytes_max = process->outbox_bytes_max / REJECTED_SHARE;
    process->timekeeper = (struct timekeeper){
        .built_ms = options->built_ms,
        .behind_ms = config_int(options->config, "limits", "ahead") + TIMEKEEPER_STEP_MS,
        .trusting = config_int(options->config, "gait", "clock_check") == 0,
    };
    process->rejected_payload = setting(process, "rejected_payload") != 0;
    open_decoders(process);
    if (hold_restores(options->dir) || lock_state(process) != 0 || check_folders(process) != 0 ||
        open_state(process) != 0 || open_inbox(process) != 0) {
        process_close(process);
        return NULL;
    }
    batch_opened(process);
    open_publishers(process);
    probe_open(process);
    if (open_ports(process) != 0) {
        process_close(process);
        return NULL;
    }
    return process;
}

/* Sending. */

static int
publish(struct process *process, const char *topic, struct span payload, bool retained)
{
    const struct wire_message message = {
        .topic = span_of(topic), .payload = payload, .retained = retained, .delivery = WIRE_AT_LEAST_ONCE};
    struct wire *wire = process->link_port.wire;

    return wire->calls->publish(wire, &message, 0);
}

static void
send_reports(struct process *process, int64_t steady_ms)
{
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        struct link *link = &process->links[i];
        bool wanted = false;
        pthread_mutex_lock(&process->lock);
        link_remind(link, steady_ms);
        if (process->topics.report_to[i] != NULL && (wanted = link->report))
            link_report(link, steady_ms, &process->scratch);
        pthread_mutex_unlock(&process->lock);
        if (wanted)
            publish(process, process->topics.report_to[i], buffer_span(&process->scratch), true);
    }
}

/* Tell the broker, in a retained message behind them, up to which message of the output it has everything. If it forgets
 * some of a table's rows it forgets this too, or goes back to an older one. */
static void
send_kept(struct process *process)
{
    const struct link_position copied = {process->epoch, process->output_publisher.broker.next - 1};

    struct lives has = process->earlier;

    lives_settle(&has, copied);
    link_write_report(copied, false, &process->scratch);
    lives_write(&has, true, &process->scratch);
    publish(process, process->topics.kept, buffer_span(&process->scratch), true);
}

/* Whether the broker lacks what nothing here works without. */
static enum why_stopped
what_broker_lacks(const struct process *process)
{
    if (!process->limits.acknowledges)
        return WHY_NO_ACKNOWLEDGEMENT;
    return process->limits.retains ? WHY_NOT_STOPPED : WHY_NO_RETAIN;
}

/* Give a broker that lacks rows all of them, once it is clear that this state is no older copy, whose rows may be older than
 * what it has, or an operator has seen that. */
static void
pay_refill(struct process *process)
{
    if (process->refill.owed && process->heard && !process->back.told && !process->output_publisher.older.seen)
        refill_begin(process);
}

/* Before a refill is done the broker's copy is not whole, whatever was sent. */
static bool
broker_is_whole(const struct process *process)
{
    return !process->refill.active && !process->refill.owed;
}

static void
pump(struct process *process, int64_t steady_ms)
{
    struct publisher *output = &process->output_publisher;
    struct publisher *rejected = &process->rejected_publisher;

    if (!process->synced || process->link_port.state != PORT_READY || what_broker_lacks(process) != WHY_NOT_STOPPED)
        return;
    if (publisher_ready(output, steady_ms) || publisher_ready(rejected, steady_ms)) {
        if (store_snapshot(process->store) != 0)
            return;
        int sent = publisher_pump(output, process->link_port.wire, steady_ms);
        publisher_pump(rejected, process->link_port.wire, steady_ms);
        store_snapshot_end(process->store);
        if (sent > 0 && broker_is_whole(process))
            send_kept(process);
    }
    pay_refill(process);
    refill_step(process, steady_ms);
    if (process->refill.done)
        send_kept(process);
    process->refill.done = false;
}

static void
send_metrics(struct process *process, int64_t steady_ms)
{
    /* After a failed transaction the counters in memory are those of what did not happen. */
    if (process->link_port.state != PORT_READY || steady_ms < process->metrics_ms || !process->own_loaded)
        return;
    buffer_clear(&process->metrics);
    metrics_write(process, &process->metrics);
    if (span_equal(buffer_span(&process->metrics), buffer_span(&process->metrics_sent)))
        return;
    if (publish(process, process->topics.metrics, buffer_span(&process->metrics), true) != 0)
        return;
    process->metrics_ms = steady_ms + TICK_MS;
    buffer_clear(&process->metrics_sent);
    buffer_add_span(&process->metrics_sent, buffer_span(&process->metrics));
}

static void
answer(struct process *process, const struct ask *ask)
{
    struct wire *wire = process->link_port.wire;

    if (wire->calls->waiting(wire) > ANSWERS_WAITING_BYTES_MAX)
        return;
    buffer_clear(&process->metrics);
    metrics_write(process, &process->metrics);
    const struct wire_message message = {
        .topic = span_of(ask->topic),
        .payload = buffer_span(&process->metrics),
        .correlation = buffer_span(&ask->correlation),
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    wire->calls->publish(wire, &message, 0);
}

static void
free_asks(struct ask *asks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(asks[i].topic);
        buffer_free(&asks[i].correlation);
    }
}

/* Answer those who asked before what is worked now arrived, or after it. */
static void
answer_asks(struct process *process)
{
    unsigned left = 0;

    pthread_mutex_lock(&process->lock);
    unsigned moved = 0;
    while (moved < process->arrived.ask_count && process->ask_count < ASKS_MAX)
        process->asks[process->ask_count++] = process->arrived.asks[moved++];
    process->arrived.ask_count -= moved;
    memmove(process->arrived.asks, process->arrived.asks + moved, process->arrived.ask_count * sizeof(struct ask));
    pthread_mutex_unlock(&process->lock);
    for (unsigned i = 0; i < process->ask_count; i++) {
        bool stopped = process->why != WHY_NOT_STOPPED;
        if (process->asks[i].inbox_position > process->inbox_position && !stopped) {
            process->asks[left++] = process->asks[i];
            continue;
        }
        answer(process, &process->asks[i]);
        free_asks(&process->asks[i], 1);
    }
    process->ask_count = left;
}

/* Hearing. */

/* Fill messages only up to what the broker takes. */
static void
keep_to_limits(struct process *process)
{
    process->limits = port_limits(&process->link_port);
    process->output_publisher.limits = process->rejected_publisher.limits = process->limits;
    const int64_t wanted = setting(process, "message_bytes");
    const size_t room = wire_room(&process->limits, strlen(process->topics.metrics) + TOPIC_BYTES_MORE);
    process->message_bytes = room < (size_t)wanted ? (int64_t)room : wanted;
    process->why = what_broker_lacks(process);
    if (process->why != WHY_NOT_STOPPED)
        log_error("nothing is taken in: %s", why_stopped(process));
}

static void
links_ready(struct process *process)
{
    keep_to_limits(process);
    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++)
        link_hello(&process->links[i]);
    pthread_mutex_unlock(&process->lock);
    process->synced = process->sync_told = false;
    process->sync_late_ms = process->options.steady_ms() + SYNC_LATE_MS;
    recall_ask(process);
    buffer_clear(&process->metrics_sent);
    publish(process, process->topics.status, span_of("online"), true);
    process->sync_ms = process->receipt_tried_ms = 0;
}

/* Ask the broker, and again if the answer got lost, whether everything retained has come. */
static void
ask_sync(struct process *process, int64_t steady_ms)
{
    const bool wanted = !process->synced || process->recall.asked;

    if (!wanted || process->link_port.state != PORT_READY || steady_ms < process->sync_ms)
        return;
    if (!process->synced && steady_ms >= process->sync_late_ms && !process->sync_told) {
        log_warning("links: %s", why_stopped(process));
        process->sync_told = true;
    }
    publish(process, process->topics.sync, span_of(process->recall.asked ? SYNC_RECALL : ""), false);
    process->sync_ms = steady_ms + TICK_MS;
}

/* Everything retained has come: begin to publish where the consumers and the broker say that they are; kept: up to where the
 * broker has what is kept of the output, by what it says itself, or NULL. */
static void
become_synced(struct process *process, const struct report *kept)
{
    struct publisher *publisher = &process->output_publisher;
    uint64_t has = 0;
    const bool known = kept != NULL && publisher_kept(publisher, &kept->said.position, &kept->said.earlier, &has) &&
                       has >= process->output.trimmed.sequence;
    uint64_t copied = publisher->broker.applied;

    process->synced = true;
    if (process->synced_ms == 0)
        process->synced_ms = process->options.steady_ms();
    refill_end(process);
    if (known && (publisher->table || has > copied)) {
        copied = has;
    } else if (publisher->table) {
        /* Some of what it lacks is not in the outbox any more. It is given the rows as they are now, and that is all. */
        copied = process->output.last.sequence;
        process->refill.owed = true;
    }
    publisher_restart(&process->output_publisher, copied);
    publisher_restart(&process->rejected_publisher, process->rejected_publisher.broker.applied);
}

static void
hear(struct process *process, int64_t steady_ms)
{
    struct arrived *arrived = &process->arrived;

    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->output_publisher.consumer_count; i++) {
        struct report *report = &arrived->reports[i];
        if (report->heard)
            publisher_report(&process->output_publisher, span_of(process->output_publisher.consumers[i].name),
                             &report->said, report->rewind, steady_ms);
        report->heard = false;
    }
    const bool synced = arrived->synced && process->link_port.state == PORT_READY;
    const bool kept_heard = arrived->kept_heard;
    const struct report kept = arrived->kept;
    process->acknowledged = process->acknowledged || arrived->acknowledged;
    arrived->acknowledged = false;
    const uint64_t delivered_output = arrived->delivered_output;
    const uint64_t delivered_rejected = arrived->delivered_rejected;
    const uint64_t refused_output = arrived->refused_output;
    const uint64_t refused_rejected = arrived->refused_rejected;
    arrived->delivered_output = arrived->delivered_rejected = arrived->refused_output = arrived->refused_rejected = 0;
    if (synced)
        arrived->synced = arrived->kept_heard = false;
    pthread_mutex_unlock(&process->lock);

    /* What was acknowledged behind a refused one does not count. */
    publisher_refused(&process->output_publisher, refused_output, steady_ms);
    publisher_refused(&process->rejected_publisher, refused_rejected, steady_ms);
    if (refused_output != 0 && process->synced && broker_is_whole(process))
        send_kept(process); /* it has less than that said */
    publisher_delivered(&process->output_publisher, delivered_output);
    publisher_delivered(&process->rejected_publisher, delivered_rejected);
    if (synced && !process->synced)
        become_synced(process, kept_heard ? &kept : NULL);
    recall_hear(process);
    newcomer_look(process);
}

/* The step. */

/* Whether something new may be decided after the start: those who have what earlier runs gave out must have had the time to
 * say so, or, if this state is an older copy, its next numbers would be those of messages that they have already. The broker
 * keeps what they said last; where it has forgotten it they come back with it. */
static bool
has_heard(struct process *process, int64_t steady_ms)
{
    const struct publisher *publisher = &process->output_publisher;

    if (process->recall.due && !process->recall.come)
        return false;
    if (process->heard || process->synced_ms == 0)
        return process->heard;
    bool all = true;
    for (unsigned i = 0; i < publisher->consumer_count; i++)
        all = all && publisher->consumers[i].heard;
    process->heard = all || process->output.last.sequence == 0 || steady_ms - process->synced_ms >= HEAR_MS;
    return process->heard;
}

/* Whether it has yet to learn who left, or which rows there are, before it decides anything. That is not put off until there
 * is room: those who would make some may be told where to begin only when it is known. */
static bool
has_to_learn(const struct process *process)
{
    return process->recall.due || batch_awaits_rows(process);
}

/* Whether records may be taken in and worked; else process->why says why not. */
static bool
may_take(struct process *process, int64_t steady_ms)
{
    const bool heard = has_heard(process, steady_ms);

    process->why = WHY_NOT_STOPPED;
    if (process->inbox != NULL) {
        const bool room = inbox_has_room(process->inbox);
        process->landing_port.wanted = room && process->link_port.state == PORT_READY;
        if (!room)
            process->why = inbox_is_hindered(process->inbox) ? WHY_FILES_WRONG : WHY_INBOX_FULL;
    }
    if (process->link_port.state != PORT_READY)
        process->why = WHY_BROKER_AWAY;
    else if (what_broker_lacks(process) != WHY_NOT_STOPPED)
        process->why = what_broker_lacks(process);
    else if (process->output_publisher.unfit_bytes > 0 || process->rejected_publisher.unfit_bytes > 0)
        process->why = WHY_RECORD_TOO_LARGE;
    if (process->timekeeper.fault != TIMEKEEPER_RIGHT)
        process->why = WHY_CLOCK_WRONG;
    else if (process->why == WHY_NOT_STOPPED && lacks_rows(process))
        process->why = WHY_ROWS_OLD;
    if (store_is_damaged(process->store))
        process->why = WHY_STORE_BROKEN;
    if (process->why >= WHY_NO_ACKNOWLEDGEMENT || process->why == WHY_STORE_BROKEN || !heard)
        return false;
    if (process->stream->operator->why_full != NULL && process->loaded &&
        process->stream->operator->why_full(process->operator_state) != NULL) {
        process->why = WHY_OPERATOR_FULL;
        return has_to_learn(process);
    }
    if (outbox_bytes(&process->output) < process->outbox_bytes_max)
        return true;
    process->why = WHY_OUTBOX_FULL;
    return has_to_learn(process);
}

static bool
trim_waits(const struct process *process, int64_t steady_ms)
{
    const uint64_t output = publisher_confirmed(&process->output_publisher) - process->output.trimmed.sequence;
    const uint64_t rejected = publisher_confirmed(&process->rejected_publisher) - process->rejected.trimmed.sequence;

    /* A full outbox is trimmed at once: everything waits for it. */
    return output + rejected >= TRIM_MESSAGES ||
           (output + rejected > 0 && (steady_ms >= process->trim_ms || process->why == WHY_OUTBOX_FULL));
}

static enum why_stopped
why_of_fault(enum store_fault fault)
{
    switch (fault) {
    case STORE_FULL:
        return WHY_DISK_FULL;
    case STORE_NO_ADDRESS_SPACE:
        return WHY_NO_ADDRESS_SPACE;
    case STORE_BESIDE:
        return WHY_FILES_WRONG;
    default:
        return WHY_STORE_BROKEN;
    }
}

/* How long to wait now that a transaction has failed. */
static int64_t
stall_ms(struct process *process)
{
    const unsigned doublings = process->why == WHY_STORE_BROKEN ? process->stalls : 0;

    if (process->stalls < STALLS_MAX)
        process->stalls++;
    return (int64_t)STALL_MS << doublings < STALL_BROKEN_MS ? (int64_t)STALL_MS << doublings : STALL_BROKEN_MS;
}

/* Work what waits. 1 worked, 0 nothing was there, −1 stalled. */
static int
work(struct process *process, int64_t steady_ms)
{
    /* Even if nothing can be worked at present: what comes in meanwhile may use up the inbox. */
    const bool intake = may_take(process, steady_ms);
    if (steady_ms < process->stalled_until_ms) {
        process->why = process->why_stalled;
        return -1;
    }
    if (process->loaded && !batch_waits(process, process->timekeeper.now_ms, intake) && !trim_waits(process, steady_ms))
        return 0;
    int rc = batch_work(process, process->timekeeper.now_ms, intake);
    if (rc < 0) {
        process->why = process->why_stalled = why_of_fault(process->fault);
        /* What is in the way may be our own output, which has been taken long since. */
        if (process->fault == STORE_FULL || process->fault == STORE_NO_ADDRESS_SPACE)
            batch_make_room(process, process->timekeeper.now_ms);
        process->stalled_until_ms = steady_ms + stall_ms(process);
        return -1;
    }
    process->stalls = 0;
    process->trim_ms = steady_ms + TICK_MS;
    batch_send_receipts(process);
    return rc;
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long until there is something to do that nobody will wake us for. */
static int64_t
idle_ms(struct process *process, int64_t steady_ms)
{
    const struct operator *operator = process->stream->operator;
    int64_t wait_ms = TICK_MS;

    wait_ms = least(wait_ms, port_due_ms(&process->link_port) - steady_ms);
    if (process->inbox != NULL)
        wait_ms = least(wait_ms, port_due_ms(&process->landing_port) - steady_ms);
    if (operator->due_ms != NULL && process->heard && !has_to_learn(process) && process->why != WHY_OUTBOX_FULL &&
        process->why != WHY_STORE_BROKEN && process->why < WHY_NO_ACKNOWLEDGEMENT)
        wait_ms = least(wait_ms, operator->due_ms(process->operator_state) - process->timekeeper.now_ms);
    if (process->stalled_until_ms > steady_ms)
        wait_ms = process->stalled_until_ms - steady_ms;
    return wait_ms > 0 ? wait_ms : 0;
}

/* A shorter session than we ask for is no reason not to work, but records may be lost while we are away for long. */
static void
check_session(struct process *process)
{
    const unsigned granted_s = port_limits(&process->landing_port).session_s;

    if (granted_s < process->landing_options.session_s && granted_s != process->session_told_s)
        log_warning("landing: while we are away the broker keeps messages for %u s, not for %u s as session of [mqtt] says: "
                    "raise its limit of session expiry, or lower session",
                    granted_s, process->landing_options.session_s);
    process->session_told_s = granted_s;
}

/* Paho's receiver, which all connections share, sleeps up to 1 s on the sockets it knew when it went to sleep. An answer on
 * the connection that is up makes it look for the one that is being made. */
static void
step_landing(struct process *process, int64_t steady_ms)
{
    const enum port_state before = process->landing_port.state;

    if (port_step(&process->landing_port, steady_ms) == 1)
        check_session(process);
    if (before == PORT_DOWN && process->landing_port.state == PORT_CONNECTING)
        publish(process, process->topics.sync, (struct span){0}, false);
}

int64_t
process_step(struct process *process)
{
    const int64_t steady_ms = process->options.steady_ms();

    timekeeper_look(&process->timekeeper, process->options.wall_ms(), steady_ms);
    if (port_step(&process->link_port, steady_ms) == 1)
        links_ready(process);
    if (process->link_port.state != PORT_READY)
        process->synced = false;
    if (process->inbox != NULL)
        step_landing(process, steady_ms);
    hear(process, steady_ms);
    ask_sync(process, steady_ms);
    batch_release(process);
    int worked = work(process, steady_ms);
    send_reports(process, steady_ms);
    pump(process, steady_ms);
    probe_step(process, steady_ms);
    answer_asks(process);
    send_metrics(process, steady_ms);
    if (process->synced && (process->inbox == NULL || process->landing_port.state == PORT_READY))
        process->ready = true;
    return worked == 1 ? 0 : idle_ms(process, steady_ms);
}

bool
process_ready(const struct process *process)
{
    return process->ready;
}

void
process_wake(struct process *process)
{
    pthread_mutex_lock(&process->lock);
    process->woken = true;
    pthread_cond_broadcast(&process->changed);
    pthread_mutex_unlock(&process->lock);
}

void
process_wait(struct process *process, int64_t timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&process->lock);
    while (!process->woken && timeout_ms > 0 &&
           pthread_cond_clockwait(&process->changed, &process->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
    process->woken = false;
    pthread_mutex_unlock(&process->lock);
}

/* Closing. */

static void
close_ports(struct process *process)
{
    struct wire *const wires[] = {process->landing_port.wire, process->link_port.wire};

    if (process->link_port.state == PORT_READY)
        publish(process, process->topics.status, span_of("offline"), true);
    for (unsigned i = 0; i < 2; i++) {
        if (wires[i] == NULL)
            continue;
        wires[i]->calls->disconnect(wires[i], GOODBYE_MS);
        wires[i]->calls->free(wires[i]);
    }
}

static void
free_memory(struct process *process)
{
    free_asks(process->asks, process->ask_count);
    free_asks(process->arrived.asks, process->arrived.ask_count);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++) {
        record_decoder_free(process->decoders[i]);
        link_free(&process->links[i]);
    }
    publisher_free(&process->output_publisher);
    publisher_free(&process->rejected_publisher);
    refill_free(process);
    newcomer_free(process);
    recall_free(process);
    probe_free(process);
    struct buffer *const buffers[] = {&process->output_message, &process->rejected_message, &process->receipts.bytes,
                                      &process->refused_topic,  &process->untold.topic,     &process->scratch,
                                      &process->metrics,        &process->metrics_sent};
    for (unsigned i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        buffer_free(buffers[i]);
    free(process->receipts.list);
    free(process->consumer_names);
    free(process->dir);
    free_topics(process);
}

void
process_close(struct process *process)
{
    if (process == NULL)
        return;
    close_ports(process);
    if (process->operator_state != NULL)
        process->stream->operator->close(process->operator_state);
    store_close(process->store);
    inbox_close(process->inbox);
    attempt_close(&process->attempt);
    if (process->lock_fd >= 0)
        close(process->lock_fd);
    if (process->hold_fd >= 0)
        close(process->hold_fd);
    free_memory(process);
    pthread_cond_destroy(&process->changed);
    pthread_mutex_destroy(&process->lock);
    free(process);
}
