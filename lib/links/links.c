#include "links/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "state/hold.h"
#include "wire/topic.h"
#include "run/refusal.h"
#include "links/links_state.h"

/* Applied messages that are worth a commit of their own to remove. */
#define TRIM_MESSAGES 256

/* Longest wait at the end for the last messages to be written. */
#define GOODBYE_MS 500

/* Opening. */

static void
name_topics(struct links *links)
{
    const char *prefix = config_text(links->host->config, "mqtt", "prefix");
    const struct stream *stream = links->stream;
    const char *self = stream->name;
    struct topics *topics = &links->topics;

    for (unsigned i = 0; i < stream->input_count; i++) {
        const struct stream_input *input = &stream->inputs[i];
        if (input->landing != NULL)
            topics->landing[i] = topic_name(TOPIC_LANDING_ALL, prefix, input->landing, NULL);
        else
            topics->report_to[i] = topic_name(TOPIC_REPORT, prefix, input->from->name, self);
    }
    topics->reports = topic_name(TOPIC_REPORTS, prefix, self, NULL);
    topics->feeds = topic_name(TOPIC_FEEDS, prefix, self, NULL);
    topics->oldest = topic_name(TOPIC_OLDESTS, prefix, self, NULL);
    topics->link = topic_name(TOPIC_LINK, prefix, self, NULL);
    topics->sync = topic_name(TOPIC_SYNC, prefix, self, NULL);
    topics->kept = topic_name(TOPIC_KEPT, prefix, self, NULL);
    topics->ask = topic_name(TOPIC_ASK, prefix, NULL, NULL);
    topics->acknowledge = topic_name(TOPIC_ACKNOWLEDGE, prefix, self, NULL);
    topics->output = stream->topic != NULL ? topic_name(TOPIC_OUTPUT, prefix, stream->topic, NULL) : NULL;
    topics->rows = stream->operator->recall != NULL ? topic_name(TOPIC_ROWS, prefix, stream->topic, NULL) : NULL;
    topics->rejected = topic_name(TOPIC_REJECTED, prefix, self, NULL);
    topics->status = topic_name(TOPIC_STATUS, prefix, self, NULL);
    topics->metrics = topic_name(TOPIC_METRICS, prefix, self, NULL);
}

/* Names of our two connections. */
static char *
client_name(const struct links *links, const char *behind)
{
    struct buffer text = {0};

    buffer_printf(&text, "%s-%s%s", config_text(links->host->config, "mqtt", "prefix"), links->stream->name, behind);
    buffer_text(&text);
    return text.data;
}

/* A file of this process's state; to be freed. */
static char *
path_of(const struct links *links, const char *name)
{
    struct buffer text = {0};

    buffer_printf(&text, "%s/%s", links->host->state_dir, name);
    buffer_text(&text);
    return text.data;
}

static void
free_topics(struct links *links)
{
    struct topics *topics = &links->topics;
    char *const single[] = {topics->reports,      topics->feeds,         topics->oldest, topics->link,
                            topics->sync,         topics->kept,          topics->ask,    topics->output,
                            topics->rejected,     topics->status,        topics->metrics, topics->acknowledge,
                            topics->rows,         links->link_client,  links->landing_client};

    for (unsigned i = 0; i < sizeof single / sizeof single[0]; i++)
        free(single[i]);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++) {
        free(topics->landing[i]);
        free(topics->report_to[i]);
    }
}

static int64_t
setting(const struct links *links, const char *key)
{
    return config_int(links->host->config, links->stream->name, key);
}

static int
open_inbox(struct links *links)
{
    if (!stream_has_landing(links->stream))
        return 0;
    char *dir = path_of(links, "inbox");
    process_opens(links->host->process, ATTEMPT_OPENS_LANDING);
    const struct inbox_options options = {
        .dir = dir,
        .epoch = links->first_epoch,
        .key = links->inbox_key,
        .boot = links->host->boot,
        .bytes_max = (uint64_t)setting(links, "inbox_bytes"),
        .payload_bytes_max = links->payload_bytes_max + 1,
    };
    links->inbox = inbox_open(&options, links->inbox_position);
    free(dir);
    links->inbox_released = UINT64_MAX;
    links_release(links);
    return links->inbox != NULL ? 0 : -1;
}

/* Register the consumers of the output: every stream that has it as an input, and those the configuration names. */
static void
add_consumers(struct links *links)
{
    const struct stream *const *stream = links->host->catalog;

    for (; *stream != NULL; stream++) {
        for (unsigned i = 0; i < (*stream)->input_count; i++) {
            if ((*stream)->inputs[i].from == links->stream &&
                config_int(links->host->config, (*stream)->name, "enabled") != 0)
                publisher_add(&links->output_publisher, (*stream)->name);
        }
    }
    links->consumer_names = strdup(config_text(links->host->config, links->stream->name, "consumers"));
    if (links->consumer_names == NULL)
        log_fatal("out of memory");
    char *rest = links->consumer_names;
    for (char *name = strtok_r(rest, ", \t", &rest); name != NULL; name = strtok_r(NULL, ", \t", &rest))
        publisher_add(&links->output_publisher, name);
}

static void
open_publishers(struct links *links)
{
    links->output_publisher = (struct publisher){
        .outbox = &links->output,
        .topic = links->topics.output,
        .link = links->topics.link,
        .table = links->stream->kind == STREAM_TABLE,
        .epoch = links->epoch,
        .earlier = links->earlier,
        .window_bytes = (uint64_t)setting(links, "link_bytes"),
        .token = TOKEN_OUTPUT,
    };
    links->rejected_publisher = (struct publisher){
        .outbox = &links->rejected,
        .topic = links->topics.rejected,
        .epoch = links->epoch,
        .window_bytes = (uint64_t)setting(links, "link_bytes"),
        .token = TOKEN_REJECTED,
        .shorten = refusal_without_payload,
    };
    add_consumers(links);
    publisher_init(&links->output_publisher);
    publisher_init(&links->rejected_publisher);
}

_Static_assert(OPERATOR_INPUTS_MAX + 5 <= PORT_FILTERS_MAX, "all that a port subscribes has room");
_Static_assert(OPERATOR_INPUTS_MAX <= INBOX_INPUTS_MAX, "an input has room in an entry of the inbox");

static int
open_ports(struct links *links)
{
    const struct wire_events link_events = arrive_on_links(links);
    const struct wire_events landing_events = arrive_on_landing(links);
    struct port *wired = &links->link_port;
    struct port *landing = &links->landing_port;

    *wired = (struct port){.name = "links", .client = links->link_client, .lock = &links->mailbox.lock, .wanted = true};
    *landing = (struct port){
        .name = "landing", .client = links->landing_client, .lock = &links->mailbox.lock, .delivery = WIRE_AT_LEAST_ONCE};
    wired->filters[wired->filter_count++] = links->topics.reports;
    wired->news_from = wired->filter_count; /* nothing of the others is retained, unless by a stranger */
    wired->filters[wired->filter_count++] = links->topics.oldest;
    wired->filters[wired->filter_count++] = links->topics.feeds;
    wired->filters[wired->filter_count++] = links->topics.acknowledge;
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (links->topics.landing[i] != NULL)
            landing->filters[landing->filter_count++] = links->topics.landing[i];
    }
    /* A question is asked where records come in, so that it can't overtake those before it. */
    struct port *asked = links->inbox != NULL ? landing : wired;
    asked->filters[asked->filter_count++] = links->topics.ask;

    links->link_options = (struct wire_options){
        .client_name = links->link_client,
        .packet_bytes_max = wire_packet_bytes(links->payload_bytes_max),
        .will_topic = links->topics.status,
        .will_text = "offline",
    };
    wired->wire = links->options.make_wire(links->options.context, &links->link_options, &link_events);
    if (wired->wire == NULL || links->inbox == NULL)
        return wired->wire != NULL ? 0 : -1;
    links->landing_options = (struct wire_options){
        .client_name = links->landing_client,
        .packet_bytes_max = links->payload_bytes_max + WIRE_PROPERTIES_BYTES_MAX,
        .session_s = (unsigned)(config_int(links->host->config, "mqtt", "session") / 1000)};
    links->session_told_s = links->landing_options.session_s;
    landing->wire = links->options.make_wire(links->options.context, &links->landing_options, &landing_events);
    return landing->wire != NULL ? 0 : -1;
}

/* Sending. */

int
links_publish(struct links *links, const char *topic, struct span payload, bool retained)
{
    const struct wire_message message = {
        .topic = span_of(topic), .payload = payload, .retained = retained, .delivery = WIRE_AT_LEAST_ONCE};
    struct wire *wire = links->link_port.wire;

    return wire->calls->publish(wire, &message, 0);
}

size_t
links_room(const struct links *links)
{
    const size_t room = wire_room(&links->limits, strlen(links->topics.metrics) + TOPIC_BYTES_MORE);

    return room > 0 || links->limits.packet_bytes_max == 0 ? room : 1; /* 0: nobody has named a limit yet */
}

/* Whether records may be worked. */

static struct links *
links_of(struct transport *transport)
{
    return (struct links *)transport;
}

/* What hinders them, if something does. */
static enum links_why
find_why(struct links *links)
{
    enum links_why why = LINKS_TAKE;

    if (links->inbox != NULL) {
        const bool room = inbox_has_room(links->inbox);
        links->landing_port.wanted = room && links->link_port.state == PORT_READY;
        if (!room)
            why = inbox_is_hindered(links->inbox) ? LINKS_FILES_WRONG : LINKS_INBOX_FULL;
    }
    if (links->link_port.state != PORT_READY)
        why = LINKS_BROKER_AWAY;
    else if (sync_what_broker_lacks(links) != LINKS_TAKE)
        why = sync_what_broker_lacks(links);
    else if (links->output_publisher.unfit_bytes > 0 || links->rejected_publisher.unfit_bytes > 0)
        why = LINKS_RECORD_TOO_LARGE;
    return why == LINKS_TAKE && show_lacks_rows(links) ? LINKS_ROWS_OLD : why;
}

static struct intake
look(struct transport *transport, int64_t steady_ms)
{
    struct links *links = links_of(transport);
    const bool heard = sync_has_heard(links, steady_ms);

    links->why = find_why(links);
    return (struct intake){.stopped = links->why != LINKS_TAKE,
                           .decides = links->why < LINKS_NO_ACKNOWLEDGEMENT && heard,
                           .learns = sync_has_to_learn(links)};
}

static bool
is_full(struct transport *transport)
{
    struct links *links = links_of(transport);

    if (outbox_bytes(&links->output) < links->outbox_bytes_max)
        return false;
    links->why = LINKS_OUTBOX_FULL;
    return true;
}

static bool
trim_waits(const struct links *links, int64_t steady_ms)
{
    const uint64_t output = publisher_confirmed(&links->output_publisher) - links->output.trimmed.sequence;
    const uint64_t rejected = publisher_confirmed(&links->rejected_publisher) - links->rejected.trimmed.sequence;

    /* A full outbox is trimmed at once: everything waits for it. */
    return output + rejected >= TRIM_MESSAGES ||
           (output + rejected > 0 && (steady_ms >= links->trim_ms || links->why == LINKS_OUTBOX_FULL));
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
idle_ms(struct transport *transport, int64_t steady_ms)
{
    struct links *links = links_of(transport);
    const int64_t link_ms = port_due_ms(&links->link_port) - steady_ms;

    return links->inbox != NULL ? least(link_ms, port_due_ms(&links->landing_port) - steady_ms) : link_ms;
}

void
links_release(struct links *links)
{
    if (links->inbox == NULL || links->inbox_released == links->inbox_position || hold_taken(links->hold_fd))
        return;
    inbox_release(links->inbox, links->inbox_position);
    links->inbox_released = links->inbox_position;
}

bool
links_awaits_rows(const struct links *links)
{
    bool awaits = false;

    for (unsigned i = 0; i < links->stream->input_count; i++)
        awaits = awaits || links->links[i].awaits != 0;
    return awaits;
}

static bool
has_messages(struct links *links)
{
    bool has = links->inbox != NULL && inbox_end(links->inbox) > links->inbox_position;

    pthread_mutex_lock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->stream->input_count; i++)
        has = has || (links->links[i].message_count > 0 && links->links[i].twofold == 0);
    pthread_mutex_unlock(&links->mailbox.lock);
    return has;
}

static bool
waits(struct transport *transport, bool intake, int64_t steady_ms)
{
    struct links *links = links_of(transport);

    return links->newcomers.active || links->acknowledged || links->output_publisher.older.seen ||
           (intake && (links->recall.due || has_messages(links))) || trim_waits(links, steady_ms);
}

/* A shorter session than we ask for is no reason not to work, but records may be lost while we are away for long. */
static void
check_session(struct links *links)
{
    const unsigned granted_s = port_limits(&links->landing_port).session_s;

    if (granted_s < links->landing_options.session_s && granted_s != links->session_told_s)
        log_warning("landing: while we are away the broker keeps messages for %u s, not for %u s as session of [mqtt] says: "
                    "raise its limit of session expiry, or lower session",
                    granted_s, links->landing_options.session_s);
    links->session_told_s = granted_s;
}

/* Paho's receiver, which all connections share, sleeps up to 1 s on the sockets it knew when it went to sleep. An answer on
 * the connection that is up makes it look for the one that is being made. */
static void
step_landing(struct links *links, int64_t steady_ms)
{
    const enum port_state before = links->landing_port.state;

    if (port_step(&links->landing_port, steady_ms) == 1)
        check_session(links);
    if (before == PORT_DOWN && links->landing_port.state == PORT_CONNECTING)
        links_publish(links, links->topics.sync, (struct span){0}, false);
}

static void
hear(struct transport *transport, int64_t steady_ms)
{
    struct links *links = links_of(transport);

    if (port_step(&links->link_port, steady_ms) == 1)
        sync_connected(links);
    if (links->link_port.state != PORT_READY)
        links->synced = false;
    if (links->inbox != NULL)
        step_landing(links, steady_ms);
    sync_hear(links, steady_ms);
    sync_ask(links, steady_ms);
    links_release(links);
}

static void
speak(struct transport *transport, int64_t steady_ms)
{
    struct links *links = links_of(transport);

    answers_send_receipts(links);
    sync_report(links, steady_ms);
    sync_pump(links, steady_ms);
    probe_step(links, steady_ms);
    answers_answer(links);
    answers_send_metrics(links, steady_ms);
    if (links->synced && (links->inbox == NULL || links->landing_port.state == PORT_READY))
        links->ready = true;
}

static void
wait_for_mail(struct transport *transport, int64_t timeout_ms)
{
    mailbox_wait(&links_of(transport)->mailbox, timeout_ms);
}

static void
wake(struct transport *transport)
{
    mailbox_wake(&links_of(transport)->mailbox);
}

static bool
is_ready(const struct transport *transport)
{
    return ((const struct links *)transport)->ready;
}

/* Closing. */

static void
close_ports(struct links *links)
{
    struct wire *const wires[] = {links->landing_port.wire, links->link_port.wire};

    if (links->link_port.state == PORT_READY)
        links_publish(links, links->topics.status, span_of("offline"), true);
    for (unsigned i = 0; i < 2; i++) {
        if (wires[i] == NULL)
            continue;
        wires[i]->calls->disconnect(wires[i], GOODBYE_MS);
        wires[i]->calls->free(wires[i]);
    }
}

static void
free_memory(struct links *links)
{
    mailbox_free_asks(links->asks, links->ask_count);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++)
        link_free(&links->links[i]);
    publisher_free(&links->output_publisher);
    publisher_free(&links->rejected_publisher);
    refill_free(links);
    newcomer_free(links);
    recall_free(links);
    probe_free(links);
    struct buffer *const buffers[] = {&links->receipts.bytes, &links->scratch, &links->metrics, &links->metrics_sent};
    for (unsigned i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        buffer_free(buffers[i]);
    free(links->receipts.list);
    free(links->consumer_names);
    free_topics(links);
}


static void
close_links(struct transport *transport)
{
    struct links *links = links_of(transport);

    close_ports(links);
    inbox_close(links->inbox);
    if (links->hold_fd >= 0)
        close(links->hold_fd);
    free_memory(links);
    mailbox_close(&links->mailbox);
    free(links);
}

/* The transport's calls. */

static int
load(struct transport *transport, struct payload_place places[SOURCES_MAX], const struct ledger *ledger)
{
    return kept_load(links_of(transport), places, ledger);
}

static int
is_founded(struct transport *transport)
{
    return kept_is_founded(links_of(transport));
}

static void
kept(struct transport *transport)
{
    struct links *links = links_of(transport);

    links->kept = true;
    recall_loaded(links);
    if (links->recall.restored)
        recall_tables_forgotten(links);
}

static int
start(struct transport *transport)
{
    struct links *links = links_of(transport);

    if (!links->kept)
        recall_loaded(links);
    for (unsigned i = 0; i < links->stream->input_count; i++)
        link_hello(&links->links[i]);
    if (open_inbox(links) != 0)
        return -1;
    open_publishers(links);
    probe_open(links);
    return open_ports(links);
}

static int
flush(struct transport *transport, const struct payload_place places[SOURCES_MAX], const bool worked[SOURCES_MAX])
{
    return kept_flush(links_of(transport), places, worked);
}

static uint64_t
waiting(struct transport *transport, enum sink sink)
{
    const struct links *links = links_of(transport);

    return outbox_bytes(sink == SINK_OUTPUT ? &links->output : &links->rejected);
}

static uint64_t
appended(struct transport *transport)
{
    const struct links *links = links_of(transport);

    return links->output.last.end + links->rejected.last.end;
}

static const struct transport_calls links_calls = {
    .close = close_links,
    .load = load,
    .is_founded = is_founded,
    .kept = kept,
    .start = start,
    .begin = transaction_begin,
    .prepare = transaction_prepare,
    .next = transaction_next,
    .worked = transaction_worked,
    .has = transaction_has,
    .front = transaction_front,
    .awaits = transaction_awaits,
    .append = transaction_append,
    .waiting = waiting,
    .appended = appended,
    .finish = transaction_finish,
    .flush = flush,
    .commit = transaction_commit,
    .committed = transaction_committed,
    .aborted = transaction_aborted,
    .hear = hear,
    .speak = speak,
    .look = look,
    .is_full = is_full,
    .waits = waits,
    .idle_ms = idle_ms,
    .wait = wait_for_mail,
    .wake = wake,
    .is_ready = is_ready,
    .write_why = show_why,
    .write_unsteady = show_unsteady,
    .write_more = show_more,
    .write_input = show_input,
    .write_output = show_output,
    .write_all = show_all,
};

struct transport *
links_open(void *context, const struct host *host)
{
    const struct links_options *options = context;
    struct links *links = calloc(1, sizeof *links);

    if (links == NULL)
        log_fatal("out of memory");
    links->transport.calls = &links_calls;
    links->options = *options;
    links->host = host;
    links->stream = host->stream;
    links->store = host->store;
    links->meta = host->meta;
    links->payload_bytes_max = (size_t)config_int(host->config, "limits", "payload");
    links->outbox_bytes_max = (uint64_t)setting(links, "outbox_bytes");
    mailbox_open(&links->mailbox);
    name_topics(links);
    links->link_client = client_name(links, "");
    links->landing_client = client_name(links, "-landing");
    recall_look(links);
    links->hold_fd = hold_open(host->dir);
    if (links->hold_fd < 0)
        log_error("can't open the lock of backups in %s: %s", host->dir, strerror(errno));
    if (links->hold_fd < 0 || outbox_open(&links->output, links->store, "outbox") != 0 ||
        outbox_open(&links->rejected, links->store, "rejected") != 0) {
        close_links(&links->transport);
        return NULL;
    }
    return &links->transport;
}
