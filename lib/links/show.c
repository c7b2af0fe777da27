/*
 * show: what links show of themselves in the metrics of their process, and the words for what is not well.
 */
#include <inttypes.h>

#include "links/links_state.h"
#include "wire/topic.h"

/* Room for what a port says. */
#define PORT_TEXT_SIZE 512

static struct links *
links_of(struct transport *transport)
{
    return (struct links *)transport;
}

static void
add_number(struct buffer *text, const char *name, uint64_t value)
{
    buffer_printf(text, ",\"%s\":%" PRIu64, name, value);
}

void
show_input(struct transport *transport, unsigned input, struct buffer *text)
{
    struct links *links = links_of(transport);
    const struct link *link = &links->links[input];

    if (links->stream->inputs[input].from == NULL)
        return;
    buffer_printf(text, ",\"epoch\":\"%016" PRIx64 "\"", link->committed.epoch);
    add_number(text, "applied", link->committed.applied);
    pthread_mutex_lock(&links->mailbox.lock);
    const bool stands = link->twofold != 0 || link->lost != 0;
    pthread_mutex_unlock(&links->mailbox.lock);
    add_number(text, "stands", stands);
}

void
show_output(struct transport *transport, struct buffer *text)
{
    struct links *links = links_of(transport);
    const struct publisher *publisher = &links->output_publisher;

    if (links->stream->topic == NULL)
        return;
    buffer_add_text(text, ",\"output\":{\"topic\":");
    buffer_add_json_string(text, span_of(links->stream->topic));
    buffer_printf(text, ",\"epoch\":\"%016" PRIx64 "\"", links->epoch);
    add_number(text, "last", links->output.last.sequence);
    add_number(text, "trimmed", links->output.trimmed.sequence);
    add_number(text, "bytes", outbox_bytes(&links->output));
    buffer_add_text(text, ",\"consumers\":[");
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        buffer_add_text(text, i > 0 ? ",{\"name\":" : "{\"name\":");
        buffer_add_json_string(text, span_of(publisher->consumers[i].name));
        add_number(text, "applied", publisher->consumers[i].feed.applied);
        buffer_add_byte(text, '}');
    }
    buffer_add_text(text, "]}");
}

/* Whether the broker refused a message not long ago; then text says which. */
static bool
refused_by_broker(struct links *links, int64_t steady_ms, struct buffer *text)
{
    const struct refused *refused = &links->mailbox.refused;

    pthread_mutex_lock(&links->mailbox.lock);
    const bool shown = steady_ms < refused->until_ms;
    if (shown)
        buffer_add_text(text, refused->text);
    pthread_mutex_unlock(&links->mailbox.lock);
    return shown;
}

const char *
show_user(const struct links *links)
{
    const char *username = config_text(links->host->config, "mqtt", "username");

    return username[0] != '\0' ? username : "(without a name)";
}

/* A broker may grant a subscription and then bring nothing: mosquitto does so with what its ACL denies. */
void
show_silence(const struct links *links, struct buffer *text)
{
    buffer_printf(text, "nothing is published: our own message to %s does not come back to user %s; the broker's ACL must "
                  "allow to publish there and to subscribe to %s", links->topics.sync, show_user(links),
                  links->topics.reports);
}

/* Of a connection that ends again and again: what is held back in case it is cut over that. */
static void
show_held_back(const struct links *links, struct buffer *text)
{
    if (links->output_publisher.refused != 0 || links->refill.active || links->refill.owed)
        buffer_printf(text, "; may user %s publish to %s?", show_user(links), links->topics.output);
    if (links->rejected_publisher.refused != 0)
        buffer_printf(text, "; may user %s publish to %s?", show_user(links), links->topics.rejected);
}

void
show_unsteady(struct transport *transport, struct buffer *text)
{
    struct links *links = links_of(transport);
    const int64_t steady_ms = links->host->steady_ms();
    char port[PORT_TEXT_SIZE] = "";

    if (refused_by_broker(links, steady_ms, text))
        return;
    if (links->link_port.state == PORT_READY && !links->synced && steady_ms >= links->sync_late_ms)
        show_silence(links, text);
    else if (port_unsteady(&links->link_port, steady_ms, port, sizeof port)) {
        buffer_add_text(text, port);
        show_held_back(links, text);
    } else if (links->inbox != NULL && (port_unsteady(&links->landing_port, steady_ms, port, sizeof port) ||
                                        port_missing(&links->landing_port, port, sizeof port)))
        buffer_add_text(text, port);
}

static void
say_too_large(const struct links *links, struct buffer *text)
{
    const size_t output_bytes = links->output_publisher.unfit_bytes;

    buffer_printf(text, "a record needs a packet of %zu bytes, and the broker takes %zu at most: raise its maximum packet "
                  "size (max_packet_size of mosquitto) and restart it",
                  output_bytes > 0 ? output_bytes : links->rejected_publisher.unfit_bytes, links->limits.packet_bytes_max);
}

/* Consumers that are named: a text for people, of bounded length. */
#define CONSUMERS_NAMED_MAX 2

/* Several things to be said in one text. */
struct saying {
    struct buffer *text;
    const char *between;
    unsigned consumers;
};

static void
say_no_progress(struct saying *saying, const struct publisher_consumer *consumer)
{
    if (saying->consumers++ >= CONSUMERS_NAMED_MAX)
        return;
    buffer_printf(saying->text, "%s%s has applied nothing ", saying->between, consumer->name);
    if (consumer->feed.applied > 0)
        buffer_printf(saying->text, "since message %" PRIu64, consumer->feed.applied);
    else
        buffer_add_text(saying->text, "yet");
    saying->between = "; ";
}

static void
end_saying(struct saying *saying)
{
    if (saying->consumers > CONSUMERS_NAMED_MAX)
        buffer_printf(saying->text, "; and %u more", saying->consumers - CONSUMERS_NAMED_MAX);
}

/* Who holds a full outbox: without these it would be half empty. */
static void
say_who_holds(const struct links *links, struct buffer *text)
{
    const struct publisher *publisher = &links->output_publisher;
    const struct outbox *outbox = publisher->outbox;
    const uint64_t half = outbox->trimmed.sequence + (outbox->last.sequence - outbox->trimmed.sequence) / 2;
    struct saying saying = {text, "", 0};

    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        if (publisher->consumers[i].confirmed <= half)
            say_no_progress(&saying, &publisher->consumers[i]);
    }
    end_saying(&saying);
    if (saying.consumers == 0)
        buffer_add_text(text, "the broker has not acknowledged what is in it");
}

void
show_why(struct transport *transport, struct buffer *text)
{
    static const char *const words[] = {
        [LINKS_TAKE] = "",
        [LINKS_FILES_WRONG] = TRANSPORT_FILES_WRONG,
        [LINKS_INBOX_FULL] = "inbox full, or no disk for it",
        [LINKS_OUTBOX_FULL] = "outbox full: ",
        [LINKS_BROKER_AWAY] = "no connection to the broker",
        [LINKS_NO_ACKNOWLEDGEMENT] = "the broker acknowledges nothing (its maximum QoS is 0): allow QoS 1 (max_qos of "
                                     "mosquitto)",
        [LINKS_NO_RETAIN] = "the broker retains no messages, and tables and links need that: allow it (retain_available of "
                            "mosquitto)",
        [LINKS_RECORD_TOO_LARGE] = "",
        [LINKS_ROWS_OLD] = "", /* show_more says which */
    };
    const struct links *links = links_of(transport);

    buffer_add_text(text, words[links->why]);
    if (links->why == LINKS_RECORD_TOO_LARGE)
        say_too_large(links, text);
    if (links->why == LINKS_OUTBOX_FULL)
        say_who_holds(links, text);
}

void
show_back(const struct back *back, struct buffer *text)
{
    buffer_printf(text, "went back in time: this state is an older copy of itself: its newest message is %" PRIu64
                        ", and %s ", back->last, back->witness);
    if (back->knew > 0)
        buffer_printf(text, "has had message %" PRIu64, back->knew);
    else
        buffer_add_text(text, "has followed a later one");
}

static void
say_lost(const struct inbox_lost *lost, struct buffer *text)
{
    buffer_printf(text, "its inbox lost messages that were acknowledged: %" PRIu64 " bytes in %" PRIu64 " place%s from %"
                        PRIu64 " to %" PRIu64, lost->bytes, lost->gaps, lost->gaps == 1 ? "" : "s", lost->from, lost->to);
}

static uint64_t
lost_on(struct links *links, unsigned input)
{
    pthread_mutex_lock(&links->mailbox.lock);
    const uint64_t lost = links->links[input].lost;
    pthread_mutex_unlock(&links->mailbox.lock);
    return lost;
}

bool
show_lacks_rows(struct links *links)
{
    bool lacks = false;

    for (unsigned i = 0; i < links->stream->input_count; i++) {
        const struct stream *from = links->stream->inputs[i].from;
        lacks = lacks || (from != NULL && from->kind == STREAM_TABLE && lost_on(links, i) > 0);
    }
    return lacks;
}

/* Whether an operator has yet to see that this state is an older copy, by its output or by an input. */
static bool
is_back(struct links *links)
{
    bool back = links->back.told;

    for (unsigned i = 0; i < links->stream->input_count; i++)
        back = back || lost_on(links, i) > 0;
    return back;
}

/* Where this state is an older copy. */
static void
say_back_in_time(struct links *links, struct saying *saying)
{
    if (links->back.told) {
        buffer_add_text(saying->text, saying->between);
        show_back(&links->back, saying->text);
        buffer_add_text(saying->text, ": see its log, then gait status --acknowledge");
        saying->between = "; ";
    }
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        const uint64_t lost = lost_on(links, i);
        if (lost == 0)
            continue;
        buffer_printf(saying->text, "%swent back in time: this state has %" PRIu64
                                    " messages of %s, which keeps only what follows ",
                      saying->between, links->links[i].committed.applied, links->stream->inputs[i].from->name);
        buffer_add_int(saying->text, (int64_t)lost);
        saying->between = "; ";
    }
}

/* What it lost of its inbox. */
static void
say_lost_inbox(const struct links *links, struct saying *saying)
{
    if (links->lost.gaps == 0)
        return;
    buffer_add_text(saying->text, saying->between);
    say_lost(&links->lost, saying->text);
    buffer_add_text(saying->text, ": see its log, then gait status --acknowledge");
    saying->between = "; ";
}

/* Where nothing more is taken, since somebody else publishes in the producer's name. */
static void
say_twofold(struct links *links, struct saying *saying)
{
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        pthread_mutex_lock(&links->mailbox.lock);
        const uint64_t twofold = links->links[i].twofold;
        pthread_mutex_unlock(&links->mailbox.lock);
        if (twofold == 0)
            continue;
        buffer_printf(saying->text, "%stwo different messages came under number %" PRIu64
                                    " of %s: nothing more is taken from %s/" TOPIC_FEED_LEVEL "; its log says what to do",
                      saying->between, twofold, links->stream->inputs[i].from->name, links->topics.report_to[i]);
        saying->between = "; ";
    }
}

/* What is wrong although all that comes is taken: consumers that don't answer. A broker that lets nothing through to them
 * does not say so: a feed is not acknowledged. */
static void
say_who_is_missed(struct links *links, struct saying *saying)
{
    const struct publisher *publisher = &links->output_publisher;
    const char *first = NULL;

    for (unsigned i = 0; links->synced && i < publisher->consumer_count; i++) {
        if (!publisher_consumer_silent(publisher, &publisher->consumers[i]))
            continue;
        say_no_progress(saying, &publisher->consumers[i]);
        first = first != NULL ? first : publisher->consumers[i].name;
    }
    end_saying(saying);
    if (first == NULL)
        return;
    buffer_printf(saying->text, ". If it runs: does the broker's ACL let user %s publish at %s", show_user(links),
                  publisher->link);
    topic_add_feed(saying->text, first);
    buffer_add_text(saying->text, ", and it subscribe there?");
}

/* Whose rows have to come before anything is decided: that is soon, unless nobody runs who has them. */
static void
say_awaited(const struct links *links, struct saying *saying)
{
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (links->links[i].awaits == 0)
            continue;
        buffer_printf(saying->text, "%snothing is decided before %s has sent all its rows again", saying->between,
                      links->stream->inputs[i].from->name);
        saying->between = "; ";
    }
}

/* Where messages may be there, and don't come. */
static void
say_silent(const struct links *links, struct saying *saying)
{
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (!links->probes[i].silent)
            continue;
        buffer_add_text(saying->text, saying->between);
        probe_write(links, &links->probes[i], saying->text);
        saying->between = "; ";
    }
}

void
show_more(struct transport *transport, bool stopped, struct buffer *text)
{
    struct links *links = links_of(transport);
    struct saying saying = {text, text->len > 0 ? "; " : "", 0};

    say_back_in_time(links, &saying);
    say_lost_inbox(links, &saying);
    say_twofold(links, &saying);
    say_awaited(links, &saying);
    say_silent(links, &saying);
    if (!stopped)
        say_who_is_missed(links, &saying);
}

void
show_all(struct transport *transport, struct buffer *text)
{
    struct links *links = links_of(transport);

    add_number(text, "rejected_waiting", links->rejected.last.sequence - links->rejected.trimmed.sequence);
    add_number(text, "inbox_bytes", links->inbox != NULL ? inbox_end(links->inbox) - links->inbox_position : 0);
    add_number(text, "back_in_time", is_back(links));
    add_number(text, "inbox_lost", links->lost.bytes);
    pthread_mutex_lock(&links->mailbox.lock);
    const uint64_t unanswered = links->mailbox.unanswered;
    pthread_mutex_unlock(&links->mailbox.lock);
    add_number(text, "unanswered", unanswered);
}
