/*
 * metrics: what a process shows of itself, one JSON object. The fields are described in the README.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "run/process_state.h"

static void
add_text(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "\"%s\":", name);
    buffer_add_json_string(text, span_of(value));
}

static void
add_number(struct buffer *text, const char *name, uint64_t value)
{
    buffer_printf(text, ",\"%s\":%" PRIu64, name, value);
}

static void
add_inputs(struct process *process, struct buffer *text)
{
    buffer_add_text(text, ",\"inputs\":[");
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const struct stream_input *input = &process->stream->inputs[i];
        buffer_add_text(text, i > 0 ? ",{" : "{");
        add_text(text, "name", input->name);
        buffer_add_byte(text, ',');
        add_text(text, "from", input->from != NULL ? input->from->name : "landing");
        if (input->from != NULL) {
            buffer_printf(text, ",\"epoch\":\"%016" PRIx64 "\"", process->links[i].committed.epoch);
            add_number(text, "applied", process->links[i].committed.applied);
            pthread_mutex_lock(&process->lock);
            const bool stands = process->links[i].twofold != 0 || process->links[i].lost != 0;
            pthread_mutex_unlock(&process->lock);
            add_number(text, "stands", stands);
        }
        add_number(text, "taken", process->ledger.inputs[i].taken);
        for (unsigned v = 0; v < VERDICT_COUNT; v++)
            add_number(text, ledger_word((enum verdict)v), process->ledger.inputs[i].verdicts[v]);
        buffer_add_byte(text, '}');
    }
    buffer_add_byte(text, ']');
}

static void
add_output(struct process *process, struct buffer *text)
{
    const struct publisher *publisher = &process->output_publisher;

    if (process->stream->topic == NULL)
        return;
    buffer_add_text(text, ",\"output\":{");
    add_text(text, "topic", process->stream->topic);
    buffer_printf(text, ",\"epoch\":\"%016" PRIx64 "\"", process->epoch);
    add_number(text, "last", process->output.last.sequence);
    add_number(text, "trimmed", process->output.trimmed.sequence);
    add_number(text, "bytes", outbox_bytes(&process->output));
    buffer_add_text(text, ",\"consumers\":[");
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        buffer_add_text(text, i > 0 ? ",{" : "{");
        add_text(text, "name", publisher->consumers[i].name);
        add_number(text, "applied", publisher->consumers[i].feed.applied);
        buffer_add_byte(text, '}');
    }
    buffer_add_text(text, "]}");
}

static void
add_reasons(struct process *process, bool recent, struct buffer *text)
{
    const char *comma = "";

    buffer_add_text(text, ",\"reasons\":{");
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        if (process->ledger.reasons[r] == 0)
            continue;
        buffer_printf(text, "%s\"%s\":%" PRIu64, comma, reason_word((enum reason)r), process->ledger.reasons[r]);
        comma = ",";
    }
    buffer_add_text(text, recent ? "},\"recent\":" : "},\"recent\":{}");
    if (recent)
        recent_write(&process->recent, text);
}

static void
add_gauges(struct process *process, struct buffer *text)
{
    struct gauge gauges[OPERATOR_GAUGES_MAX];
    const struct operator *operator = process->stream->operator;
    unsigned count = operator->gauges != NULL ? operator->gauges(process->operator_state, gauges) : 0;

    buffer_add_text(text, ",\"gauges\":{");
    for (unsigned i = 0; i < count; i++)
        buffer_printf(text, "%s\"%s\":%" PRId64, i > 0 ? "," : "", gauges[i].name, gauges[i].value);
    buffer_add_byte(text, '}');
}

/* Whether the broker refused a message not long ago; then why_text says which. */
static bool
refused_by_broker(struct process *process, int64_t steady_ms)
{
    const struct refusal *refusal = &process->arrived.refusal;

    pthread_mutex_lock(&process->lock);
    const bool shown = steady_ms < refusal->until_ms;
    if (shown)
        snprintf(process->why_text, sizeof process->why_text, "%s", refusal->text);
    pthread_mutex_unlock(&process->lock);
    return shown;
}

const char *
metrics_user(const struct process *process)
{
    const char *username = config_text(process->options.config, "mqtt", "username");

    return username[0] != '\0' ? username : "(without a name)";
}

/* A broker may grant a subscription and then bring nothing: mosquitto does so with what its ACL denies. */
static const char *
why_silent(struct process *process)
{
    snprintf(process->why_text, sizeof process->why_text,
             "nothing is published: our own message to %s does not come back to user %s; the broker's ACL must allow to "
             "publish there and to subscribe to %s", process->topics.sync, metrics_user(process), process->topics.reports);
    return process->why_text;
}

/* What is not well although records are taken in. */
static const char *
why_unsteady(struct process *process)
{
    const int64_t steady_ms = process->options.steady_ms();

    if (refused_by_broker(process, steady_ms))
        return process->why_text;
    if (process->link_port.state == PORT_READY && !process->synced && steady_ms >= process->sync_late_ms)
        return why_silent(process);
    if (port_unsteady(&process->link_port, steady_ms, process->why_text, sizeof process->why_text) ||
        (process->inbox != NULL &&
         (port_unsteady(&process->landing_port, steady_ms, process->why_text, sizeof process->why_text) ||
          port_missing(&process->landing_port, process->why_text, sizeof process->why_text))))
        return process->why_text;
    if (process->set_aside > 0) {
        snprintf(process->why_text, sizeof process->why_text,
                 "%u records were set aside, which the process died of: its log says which", process->set_aside);
        return process->why_text;
    }
    return "";
}

static const char *
why_too_large(struct process *process)
{
    const size_t output_bytes = process->output_publisher.unfit_bytes;

    snprintf(process->why_text, sizeof process->why_text,
             "a record needs a packet of %zu bytes, and the broker takes %zu at most: raise its maximum packet size "
             "(max_packet_size of mosquitto) and restart it",
             output_bytes > 0 ? output_bytes : process->rejected_publisher.unfit_bytes, process->limits.packet_bytes_max);
    return process->why_text;
}

const char *
why_stopped(struct process *process)
{
    static const char *const words[] = {
        [WHY_NOT_STOPPED] = "",
        [WHY_DISK_FULL] = "disk full",
        [WHY_NO_ADDRESS_SPACE] = "state file full, and no address space for a larger `map` (ulimit -v?)",
        [WHY_STORE_BROKEN] = "state damaged or unreadable, see the log",
        [WHY_FILES_WRONG] = "its files are not what its state says, or can't be used: its log says which, and what to do",
        [WHY_INBOX_FULL] = "inbox full, or no disk for it",
        [WHY_OUTBOX_FULL] = "outbox full",
        [WHY_BROKER_AWAY] = "no connection to the broker",
        [WHY_NO_ACKNOWLEDGEMENT] = "the broker acknowledges nothing (its maximum QoS is 0): allow QoS 1 (max_qos of "
                                   "mosquitto)",
        [WHY_NO_RETAIN] = "the broker retains no messages, and tables and links need that: allow it (retain_available of "
                          "mosquitto)",
        [WHY_ROWS_OLD] = "",
    };
    if (process->why == WHY_NOT_STOPPED)
        return why_unsteady(process);
    if (process->why == WHY_RECORD_TOO_LARGE)
        return why_too_large(process);
    if (process->why == WHY_OPERATOR_FULL) {
        const char *why = process->stream->operator->why_full(process->operator_state);
        return why != NULL ? why : "";
    }
    if (process->why == WHY_CLOCK_WRONG)
        return process->timekeeper.why;
    return words[process->why];
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
say_who_holds(const struct process *process, struct buffer *text)
{
    const struct publisher *publisher = &process->output_publisher;
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
back_write(const struct back *back, struct buffer *text)
{
    buffer_printf(text, "went back in time: this state is an older copy of itself: its newest message is %" PRIu64
                        ", and %s ", back->last, back->witness);
    if (back->knew > 0)
        buffer_printf(text, "has had message %" PRIu64, back->knew);
    else
        buffer_add_text(text, "has followed a later one");
}

void
lost_write(const struct inbox_lost *lost, struct buffer *text)
{
    buffer_printf(text, "its inbox lost messages that were acknowledged: %" PRIu64 " bytes in %" PRIu64 " place%s from %"
                        PRIu64 " to %" PRIu64, lost->bytes, lost->gaps, lost->gaps == 1 ? "" : "s", lost->from, lost->to);
}

/* Up to where messages are gone that the input lacks; 0: none. */
static uint64_t
lost_on(struct process *process, unsigned input)
{
    pthread_mutex_lock(&process->lock);
    const uint64_t lost = process->links[input].lost;
    pthread_mutex_unlock(&process->lock);
    return lost;
}

bool
lacks_rows(struct process *process)
{
    bool lacks = false;

    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const struct stream *from = process->stream->inputs[i].from;
        lacks = lacks || (from != NULL && from->kind == STREAM_TABLE && lost_on(process, i) > 0);
    }
    return lacks;
}

/* Whether an operator has yet to see that this state is an older copy, by its output or by an input. */
static bool
is_back(struct process *process)
{
    bool back = process->back.told;

    for (unsigned i = 0; i < process->stream->input_count; i++)
        back = back || lost_on(process, i) > 0;
    return back;
}

/* Where this state is an older copy. */
static void
say_back_in_time(struct process *process, struct saying *saying)
{
    if (process->back.told) {
        buffer_add_text(saying->text, saying->between);
        back_write(&process->back, saying->text);
        buffer_add_text(saying->text, ": see its log, then gait status --acknowledge");
        saying->between = "; ";
    }
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const uint64_t lost = lost_on(process, i);
        if (lost == 0)
            continue;
        buffer_printf(saying->text, "%swent back in time: this state has %" PRIu64
                                    " messages of %s, which keeps only what follows ",
                      saying->between, process->links[i].committed.applied, process->stream->inputs[i].from->name);
        buffer_add_int(saying->text, (int64_t)lost);
        saying->between = "; ";
    }
}

/* What it lost of its inbox. */
static void
say_lost_inbox(const struct process *process, struct saying *saying)
{
    if (process->lost.gaps == 0)
        return;
    buffer_add_text(saying->text, saying->between);
    lost_write(&process->lost, saying->text);
    buffer_add_text(saying->text, ": see its log, then gait status --acknowledge");
    saying->between = "; ";
}

/* Where nothing more is taken, since somebody else publishes in the producer's name. */
static void
say_twofold(struct process *process, struct saying *saying)
{
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        pthread_mutex_lock(&process->lock);
        const uint64_t twofold = process->links[i].twofold;
        pthread_mutex_unlock(&process->lock);
        if (twofold == 0)
            continue;
        buffer_printf(saying->text, "%stwo different messages came under number %" PRIu64
                                    " of %s: nothing more is taken from %s/feed; its log says what to do",
                      saying->between, twofold, process->stream->inputs[i].from->name, process->topics.report_to[i]);
        saying->between = "; ";
    }
}

/* What is wrong although all that comes is taken: consumers that don't answer. A broker that lets nothing through to them
 * does not say so: a feed is not acknowledged. */
static void
say_who_is_missed(struct process *process, struct saying *saying)
{
    const struct publisher *publisher = &process->output_publisher;
    const char *first = NULL;

    for (unsigned i = 0; process->synced && i < publisher->consumer_count; i++) {
        if (!publisher_consumer_silent(publisher, &publisher->consumers[i]))
            continue;
        say_no_progress(saying, &publisher->consumers[i]);
        first = first != NULL ? first : publisher->consumers[i].name;
    }
    end_saying(saying);
    if (first != NULL)
        buffer_printf(saying->text,
                      ". If it runs: does the broker's ACL let user %s publish at %s/%s/feed, and it subscribe there?",
                      metrics_user(process), publisher->link, first);
}

/* Whose rows have to come before anything is decided: that is soon, unless nobody runs who has them. */
static void
say_awaited(const struct process *process, struct saying *saying)
{
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->links[i].awaits == 0)
            continue;
        buffer_printf(saying->text, "%snothing is decided before %s has sent all its rows again", saying->between,
                      process->stream->inputs[i].from->name);
        saying->between = "; ";
    }
}

/* Where messages may be there, and don't come. */
static void
say_silent(const struct process *process, struct saying *saying)
{
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (!process->probes[i].silent)
            continue;
        buffer_add_text(saying->text, saying->between);
        probe_write(process, &process->probes[i], saying->text);
        saying->between = "; ";
    }
}

static void
add_why(struct process *process, struct buffer *text)
{
    struct buffer why = {0};

    buffer_add_text(&why, why_stopped(process));
    if (process->why == WHY_OUTBOX_FULL) {
        buffer_add_text(&why, ": ");
        say_who_holds(process, &why);
    }
    struct saying saying = {&why, why.len > 0 ? "; " : "", 0};
    say_back_in_time(process, &saying);
    say_lost_inbox(process, &saying);
    say_twofold(process, &saying);
    say_awaited(process, &saying);
    say_silent(process, &saying);
    if (process->why == WHY_NOT_STOPPED)
        say_who_is_missed(process, &saying);
    add_text(text, "why", buffer_text(&why));
    buffer_free(&why);
}

static void
write_all(struct process *process, bool recent, struct buffer *text)
{
    const struct operator *operator = process->stream->operator;
    int64_t due_ms = operator->due_ms != NULL ? operator->due_ms(process->operator_state) : INT64_MAX;

    buffer_add_byte(text, '{');
    add_text(text, "process", process->stream->name);
    buffer_add_byte(text, ',');
    add_text(text, "version", GAIT_VERSION);
    add_number(text, "pid", (uint64_t)getpid());
    buffer_add_byte(text, ',');
    add_text(text, "state", process->why == WHY_NOT_STOPPED ? "running" : "stopped");
    buffer_add_byte(text, ',');
    add_why(process, text);
    add_inputs(process, text);
    add_output(process, text);
    add_reasons(process, recent, text);
    add_gauges(process, text);
    add_number(text, "rejected_waiting", process->rejected.last.sequence - process->rejected.trimmed.sequence);
    add_number(text, "untold", refusal_untold(process));
    add_number(text, "inbox_bytes", process->inbox != NULL ? inbox_end(process->inbox) - process->inbox_position : 0);
    add_number(text, "due", due_ms <= 0);
    add_number(text, "back_in_time", is_back(process));
    add_number(text, "inbox_lost", process->lost.bytes);
    pthread_mutex_lock(&process->lock);
    const uint64_t unanswered = process->unanswered;
    pthread_mutex_unlock(&process->lock);
    add_number(text, "unanswered", unanswered);
    buffer_add_byte(text, '}');
}

void
metrics_write(struct process *process, struct buffer *text)
{
    const size_t before = text->len;
    const size_t room = wire_room(&process->limits, strlen(process->topics.metrics) + TOPIC_BYTES_MORE);

    write_all(process, true, text);
    if (process->limits.packet_bytes_max == 0 || text->len - before <= room) /* 0: nobody has named a limit yet */
        return;
    text->len = before;
    write_all(process, false, text);
}
