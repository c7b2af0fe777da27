#include "run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "run/process_state.h"

/* Longest wait of the loop: the metrics' second. */
#define TICK_MS 1000

/* Applied messages that are worth a commit of their own to remove. */
#define TRIM_MESSAGES 256

/* Longest wait at the end for the last messages to be written. */
#define GOODBYE_MS 500

/* How long to wait before trying again when the disk is full or broken. */
#define STALL_MS 200

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
        topics->links[i] = format(input->from->kind == STREAM_TABLE ? "1/2/+" : "1/2", prefix, input->from->topic, NULL);
        topics->report_to[i] = format("1/link/2/3", prefix, input->from->name, stream->name);
    }
    topics->reports = format("1/link/2/+", prefix, stream->name, NULL);
    topics->oldest = format("1/link/+/2/oldest", prefix, stream->name, NULL);
    topics->sync = format("1/link/2/.sync", prefix, stream->name, NULL);
    topics->kept = format("1/link/2/.kept", prefix, stream->name, NULL);
    topics->ask = format("1/ask", prefix, NULL, NULL);
    topics->output = stream->topic != NULL ? format("1/2", prefix, stream->topic, NULL) : NULL;
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
    char *const single[] = {topics->reports,      topics->oldest,         topics->sync,     topics->kept,   topics->ask,
                            topics->output,       topics->rejected,       topics->status,   topics->metrics,
                            process->link_client, process->landing_client};

    for (unsigned i = 0; i < sizeof single / sizeof single[0]; i++)
        free(single[i]);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++) {
        free(topics->landing[i]);
        free(topics->links[i]);
        free(topics->report_to[i]);
    }
}

static int64_t
setting(const struct process *process, const char *key)
{
    return config_int(process->options.config, process->stream->name, key);
}

/* One process a state folder: LMDB would let two in, and both would answer for the same records. */
static int
lock_state(struct process *process)
{
    char *path = format("1/lock", process->dir, NULL, NULL);

    if (file_make_dirs(process->dir) == 0)
        process->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (process->lock_fd < 0)
        log_error("can't open %s: %s", path, strerror(errno));
    else if (flock(process->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        log_error("another process works in %s already", process->dir);
        close(process->lock_fd);
        process->lock_fd = -1;
    }
    free(path);
    return process->lock_fd < 0 ? -1 : 0;
}

static int
open_operator(struct process *process)
{
    void *parameters = process->stream->parameters(process->options.config, process->options.dir);

    if (parameters == NULL)
        return -1;
    int rc = process->stream->operator->open(parameters, process->store, &process->operator_state);
    free(parameters);
    return rc;
}

/* Open the store and read from it what is kept in memory. */
static int
open_state(struct process *process)
{
    char *dir = format("1/store", process->dir, NULL, NULL);

    process->store = store_open(dir, (uint64_t)setting(process, "map"));
    free(dir);
    if (process->store == NULL || (process->meta = store_table(process->store, "meta")) < 0 ||
        ledger_open(&process->ledger, process->store, "meta", process->stream->input_count) != 0 ||
        outbox_open(&process->output, process->store, "outbox") != 0 ||
        outbox_open(&process->rejected, process->store, "rejected") != 0 || open_operator(process) != 0)
        return -1;
    if (store_begin(process->store) != 0 || batch_load(process) != 0 || store_commit(process->store) != 0)
        return -1;
    for (unsigned i = 0; i < process->stream->input_count; i++)
        link_begin(&process->links[i], process->links[i].committed);
    return 0;
}

static int
open_inbox(struct process *process)
{
    bool landing = false;

    for (unsigned i = 0; i < process->stream->input_count; i++)
        landing = landing || process->stream->inputs[i].landing != NULL;
    if (!landing)
        return 0;
    char *dir = format("1/inbox", process->dir, NULL, NULL);
    process->inbox = inbox_open(dir, process->inbox_position, (uint64_t)setting(process, "inbox_bytes"),
                                process->payload_bytes_max + 1);
    free(dir);
    return process->inbox != NULL ? 0 : -1;
}

static void
open_decoders(struct process *process)
{
    const struct config *config = process->options.config;
    const struct record_limits limits = {
        .json = {(unsigned)config_int(config, "limits", "depth"), (unsigned)config_int(config, "limits", "string")},
        .payload_bytes_max = (unsigned)config_int(config, "limits", "payload"),
        .ahead_ms = config_int(config, "limits", "ahead"),
    };

    process->payload_bytes_max = limits.payload_bytes_max;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const struct stream_input *input = &process->stream->inputs[i];
        struct record_limits link_limits = limits;
        /* What one of us sends may be longer than what was taken in: a join puts two records into one. */
        link_limits.payload_bytes_max = UINT32_MAX;
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
        .table = process->stream->kind == STREAM_TABLE,
        .epoch = process->epoch,
        .window_bytes = (uint64_t)setting(process, "link_bytes"),
        .token = TOKEN_OUTPUT,
    };
    process->rejected_publisher = (struct publisher){
        .outbox = &process->rejected,
        .topic = process->topics.rejected,
        .epoch = process->epoch,
        .window_bytes = (uint64_t)setting(process, "link_bytes"),
        .token = TOKEN_REJECTED,
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

    *links = (struct port){.name = "links", .lock = &process->lock, .wanted = true};
    *landing = (struct port){.name = "landing", .lock = &process->lock, .delivery = WIRE_AT_LEAST_ONCE};
    links->filters[links->filter_count++] = process->topics.reports;
    /* What is retained of a table comes out of order and may be old; the link brings it in its turn. */
    links->news_from = links->filter_count;
    links->filters[links->filter_count++] = process->topics.oldest;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->topics.landing[i] != NULL)
            landing->filters[landing->filter_count++] = process->topics.landing[i];
        else
            links->filters[links->filter_count++] = process->topics.links[i];
    }
    /* A question is asked where records come in, so that it can't overtake those before it. */
    struct port *asked = process->inbox != NULL ? landing : links;
    asked->filters[asked->filter_count++] = process->topics.ask;

    process->link_options = (struct wire_options){
        .client_name = process->link_client, .will_topic = process->topics.status, .will_text = "offline"};
    links->wire = process->options.make_wire(process->options.context, &process->link_options, &link_events);
    if (links->wire == NULL || process->inbox == NULL)
        return links->wire != NULL ? 0 : -1;
    process->landing_options = (struct wire_options){
        .client_name = process->landing_client,
        .session_s = (unsigned)(config_int(process->options.config, "mqtt", "session") / 1000)};
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
    process->lock_fd = -1;
    init_waiting(process);
    name_topics(process);
    process->dir = format("1/state/2", options->dir, process->stream->name, NULL);
    process->batch_records_max = BATCH_RECORDS_MAX;
    process->batch_output_bytes_max = BATCH_OUTPUT_BYTES_MAX;
    process->message_bytes = setting(process, "message_bytes");
    process->outbox_bytes_max = (uint64_t)setting(process, "outbox_bytes");
    process->rejected_payload = setting(process, "rejected_payload") != 0;
    open_decoders(process);
    if (lock_state(process) != 0 || open_state(process) != 0 || open_inbox(process) != 0) {
        process_close(process);
        return NULL;
    }
    open_publishers(process);
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

/* Tell the broker, in a retained message behind the rows, up to where its copy of the table goes. If it forgets, it
 * forgets this too, or goes back to an older one. */
static void
send_kept(struct process *process)
{
    const struct link_position copied = {process->epoch, process->output_publisher.copied};

    link_write_report(copied, false, &process->scratch);
    publish(process, process->topics.kept, buffer_span(&process->scratch), true);
}

static void
pump(struct process *process, int64_t steady_ms)
{
    struct publisher *output = &process->output_publisher;
    struct publisher *rejected = &process->rejected_publisher;

    if (!process->synced || process->link_port.state != PORT_READY)
        return;
    if (publisher_ready(output, steady_ms) || publisher_ready(rejected, steady_ms)) {
        if (store_snapshot(process->store) != 0)
            return;
        int sent = publisher_pump(output, process->link_port.wire, steady_ms);
        publisher_pump(rejected, process->link_port.wire, steady_ms);
        store_snapshot_end(process->store);
        /* Before a refill is done the broker's copy is not whole, whatever was sent. */
        if (sent > 0 && output->table && !process->refill.active)
            send_kept(process);
    }
    refill_step(process);
    if (process->refill.done)
        send_kept(process);
    process->refill.done = false;
}

static void
send_metrics(struct process *process, int64_t steady_ms)
{
    /* After a failed transaction the counters in memory are those of what did not happen. */
    if (process->link_port.state != PORT_READY || steady_ms < process->metrics_ms || !process->loaded)
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
answer(struct process *process, struct ask *ask)
{
    buffer_clear(&process->metrics);
    metrics_write(process, &process->metrics);
    const struct wire_message message = {
        .topic = span_of(ask->topic),
        .payload = buffer_span(&process->metrics),
        .correlation = buffer_span(&ask->correlation),
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    struct wire *wire = process->link_port.wire;
    wire->calls->publish(wire, &message, 0);
    free(ask->topic);
    buffer_free(&ask->correlation);
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
        if (process->asks[i].inbox_position <= process->inbox_position || stopped)
            answer(process, &process->asks[i]);
        else
            process->asks[left++] = process->asks[i];
    }
    process->ask_count = left;
}

/* Hearing. */

static void
links_ready(struct process *process)
{
    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++)
        link_hello(&process->links[i]);
    pthread_mutex_unlock(&process->lock);
    process->synced = false;
    buffer_clear(&process->metrics_sent);
    publish(process, process->topics.status, span_of("online"), true);
    process->sync_ms = 0;
}

/* Ask the broker, and again if the answer got lost, whether everything retained has come. */
static void
ask_sync(struct process *process, int64_t steady_ms)
{
    if (process->synced || process->link_port.state != PORT_READY || steady_ms < process->sync_ms)
        return;
    publish(process, process->topics.sync, (struct span){0}, false);
    process->sync_ms = steady_ms + TICK_MS;
}

/* Everything retained has come: begin to publish where the consumers and the broker's own copy of the table end. */
static void
become_synced(struct process *process, bool kept_heard, struct link_position kept)
{
    process->synced = true;
    publisher_restart(&process->output_publisher);
    publisher_restart(&process->rejected_publisher);
    if (process->stream->kind != STREAM_TABLE)
        return;
    /* What the consumers have confirmed is not sent again: where the broker's copy lacks some of it, only a refill
     * helps. */
    if (kept_heard && kept.epoch == process->epoch && kept.applied <= process->output.last.sequence &&
        kept.applied >= publisher_confirmed(&process->output_publisher)) {
        process->output_publisher.copied = kept.applied;
    } else {
        process->output_publisher.copied = process->output.last.sequence;
        refill_begin(process);
    }
}

/* Consumers know rows that were sent in an earlier life, and report so only now: they are not sent again, and a broker
 * that went back in time lacks them. */
static void
check_copy(struct process *process)
{
    struct publisher *publisher = &process->output_publisher;

    if (!process->synced || !publisher->table || publisher->consumer_count == 0 ||
        publisher_confirmed(publisher) <= publisher->copied)
        return;
    publisher->copied = process->output.last.sequence;
    refill_begin(process);
}

static void
hear(struct process *process)
{
    struct arrived *arrived = &process->arrived;

    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < arrived->report_count; i++) {
        const struct report *report = &arrived->reports[i];
        publisher_report(&process->output_publisher, span_of(report->name), report->position.epoch,
                         report->position.applied, report->rewind);
    }
    arrived->report_count = 0;
    const bool synced = arrived->synced && process->link_port.state == PORT_READY;
    const bool kept_heard = arrived->kept_heard;
    const struct link_position kept = arrived->kept;
    const uint64_t delivered_output = arrived->delivered_output;
    const uint64_t delivered_rejected = arrived->delivered_rejected;
    if (synced)
        arrived->synced = arrived->kept_heard = false;
    pthread_mutex_unlock(&process->lock);

    publisher_delivered(&process->output_publisher, delivered_output);
    publisher_delivered(&process->rejected_publisher, delivered_rejected);
    if (synced && !process->synced)
        become_synced(process, kept_heard, kept);
    check_copy(process);
    newcomer_look(process);
}

/* The step. */

/* Whether records may be taken in and worked; else process->why says why not. */
static bool
may_take(struct process *process)
{
    process->why = WHY_NOT_STOPPED;
    if (process->inbox != NULL) {
        const bool room = inbox_has_room(process->inbox);
        process->landing_port.wanted = room && process->link_port.state == PORT_READY;
        if (!room)
            process->why = WHY_INBOX_FULL;
    }
    if (process->link_port.state != PORT_READY)
        process->why = WHY_BROKER_AWAY;
    if (outbox_bytes(&process->output) + outbox_bytes(&process->rejected) < process->outbox_bytes_max)
        return true;
    process->why = WHY_OUTBOX_FULL;
    return false;
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

/* Work what waits. 1 worked, 0 nothing was there, −1 stalled. */
static int
work(struct process *process, int64_t wall_ms, int64_t steady_ms)
{
    const enum why_stopped why = process->why;
    /* Even if nothing can be worked at present: what comes in meanwhile may use up the inbox. */
    const bool intake = may_take(process);
    if (steady_ms < process->stalled_until_ms) {
        process->why = why;
        return -1;
    }
    if (process->loaded && !batch_waits(process, wall_ms, intake) && !trim_waits(process, steady_ms))
        return 0;
    int rc = batch_work(process, wall_ms, intake);
    if (rc < 0) {
        process->why = process->fault == STORE_FULL ? WHY_DISK_FULL : WHY_STORE_BROKEN;
        /* What is in the way may be our own output, which has been taken long since. */
        if (process->fault == STORE_FULL)
            batch_make_room(process, wall_ms);
        process->stalled_until_ms = steady_ms + STALL_MS;
        return -1;
    }
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
idle_ms(struct process *process, int64_t wall_ms, int64_t steady_ms)
{
    const struct operator *operator = process->stream->operator;
    int64_t wait_ms = TICK_MS;

    wait_ms = least(wait_ms, port_due_ms(&process->link_port) - steady_ms);
    if (process->inbox != NULL)
        wait_ms = least(wait_ms, port_due_ms(&process->landing_port) - steady_ms);
    if (operator->due_ms != NULL && process->why != WHY_OUTBOX_FULL)
        wait_ms = least(wait_ms, operator->due_ms(process->operator_state) - wall_ms);
    if (process->stalled_until_ms > steady_ms)
        wait_ms = process->stalled_until_ms - steady_ms;
    return wait_ms > 0 ? wait_ms : 0;
}

/* Paho's receiver, which all connections share, sleeps up to 1 s on the sockets it knew when it went to sleep. An answer on
 * the connection that is up makes it look for the one that is being made. */
static void
step_landing(struct process *process, int64_t steady_ms)
{
    const enum port_state before = process->landing_port.state;

    port_step(&process->landing_port, steady_ms);
    if (before == PORT_DOWN && process->landing_port.state == PORT_CONNECTING)
        publish(process, process->topics.sync, (struct span){0}, false);
}

int64_t
process_step(struct process *process)
{
    const int64_t wall_ms = process->options.wall_ms();
    const int64_t steady_ms = process->options.steady_ms();

    if (port_step(&process->link_port, steady_ms) == 1)
        links_ready(process);
    if (process->link_port.state != PORT_READY)
        process->synced = false;
    if (process->inbox != NULL)
        step_landing(process, steady_ms);
    hear(process);
    ask_sync(process, steady_ms);
    int worked = work(process, wall_ms, steady_ms);
    send_reports(process, steady_ms);
    pump(process, steady_ms);
    answer_asks(process);
    send_metrics(process, steady_ms);
    if (process->synced && (process->inbox == NULL || process->landing_port.state == PORT_READY))
        process->ready = true;
    return worked == 1 ? 0 : idle_ms(process, wall_ms, steady_ms);
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
free_asks(struct ask *asks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(asks[i].topic);
        buffer_free(&asks[i].correlation);
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
    struct buffer *const buffers[] = {&process->output_message, &process->rejected_message, &process->receipts.bytes,
                                      &process->scratch,        &process->metrics,          &process->metrics_sent};
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
    if (process->lock_fd >= 0)
        close(process->lock_fd);
    free_memory(process);
    pthread_cond_destroy(&process->changed);
    pthread_mutex_destroy(&process->lock);
    free(process);
}
