/*
 * probe: whether a landing subscription brings anything. mosquitto grants one whose messages its ACL denies, and is silent
 * then, which looks like a quiet night.
 *
 * So when nothing has come for a while behind a connect, a message of ours goes to <prefix>/landing/<x>/.probe, at QoS 1.
 * The broker may refuse it, for good reason: then nothing is known, and nothing said. It may take it, and it comes back: all
 * is well, for this connection. Or it takes it, nothing comes back, and nothing else comes meanwhile: that is said, and it
 * is tried again, until something comes. What waits for us at the broker comes before the probe, so it is not sent beside
 * that.
 *
 * It holds no record ("[]"), so no subscriber takes it for one; one that the broker has kept since an earlier connection is
 * taken in like anybody's, and does nothing. Ours is known by a token. It is left out of the inbox only as it was sent: with
 * a record, or a wish for a receipt, it is somebody else's, and nothing that a stranger sends is passed over.
 *
 * It goes over the links' connection, where what had no answer is forgotten when that ends. Some brokers end it because of a
 * message that they deny (mosquitto 2.0.11 with max_queued_messages 0); then the next one comes ever later.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/hash.h"
#include "base/log.h"
#include "links/links_state.h"
#include "wire/topic.h"

/* How long nothing has to come before it is sent, and then before it is missed. */
#define QUIET_MS 5000

/* When it is missed: somebody may be at work on the ACL. */
#define AGAIN_MS 30000

#define CUT_WAIT_MIN_MS 60000
#define CUT_WAIT_MAX_MS 3600000

#define NOTHING "[]"

/* Tokens of the wire hold the input, and the number of the sending. */
#define NUMBER_SHIFT 8

_Static_assert(OPERATOR_INPUTS_MAX <= 1 << NUMBER_SHIFT, "an input has room in a token");

void
probe_open(struct links *links)
{
    const char *prefix = config_text(links->host->config, "mqtt", "prefix");

    for (unsigned i = 0; i < links->stream->input_count; i++) {
        const char *landing = links->stream->inputs[i].landing;
        if (landing != NULL)
            links->probes[i].topic = topic_name(TOPIC_PROBE, prefix, landing, NULL);
    }
}

void
probe_free(struct links *links)
{
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++)
        free(links->probes[i].topic);
}

void
probe_write(const struct links *links, const struct probe *probe, struct buffer *text)
{
    const unsigned input = (unsigned)(probe - links->probes);

    buffer_printf(text, "nothing comes in: our own message to %s does not come back to user %s; the broker's ACL must allow "
                  "that user to read %s", probe->topic, show_user(links), links->topics.landing[input]);
}

/* What the wires' threads hear. */

void
probe_answered(struct links *links, uint64_t token, bool taken)
{
    const uint64_t low = token & PUBLISHER_TOKEN_MASK;
    struct probe *probe = &links->probes[low % (1 << NUMBER_SHIFT) % OPERATOR_INPUTS_MAX];

    if (low >> NUMBER_SHIFT != probe->sent)
        return; /* of an earlier connection */
    probe->taken = taken;
    probe->refused = !taken;
}

bool
probe_came(struct links *links, unsigned input, const struct wire_message *message)
{
    struct probe *probe = &links->probes[input];
    const bool ours = probe->sent > 0 && message->response_topic.len == 0 && span_is(message->topic, probe->topic) &&
                      span_is(message->payload, NOTHING) &&
                      span_equal(message->correlation, span_at(probe->token, sizeof probe->token));

    probe->something_came = true;
    probe->came_back = probe->came_back || ours;
    return ours;
}

/* The loop. */

/* There are connections to look at. */
static void
begin(struct links *links, struct probe *probe, int64_t steady_ms)
{
    char token[PROBE_TOKEN_BYTES];

    hash_random(token, sizeof token);
    pthread_mutex_lock(&links->mailbox.lock);
    memcpy(probe->token, token, sizeof token);
    probe->taken = probe->refused = probe->came_back = false;
    pthread_mutex_unlock(&links->mailbox.lock);
    probe->back = probe->missed = false;
    probe->due_ms = steady_ms + QUIET_MS > probe->cut.at_ms ? steady_ms + QUIET_MS : probe->cut.at_ms;
}

/* The broker has answered. */
static void
judge(struct probe *probe, bool taken, int64_t steady_ms)
{
    probe->under_way = false;
    backoff_reset(&probe->cut);
    probe->missed = taken && !probe->back;
    probe->silent = probe->silent && taken;
    if (probe->missed)
        probe->due_ms = steady_ms + (probe->silent ? AGAIN_MS : QUIET_MS);
}

/* Look at what the wires' threads have left. */
static void
hear(struct links *links, struct probe *probe, int64_t steady_ms)
{
    pthread_mutex_lock(&links->mailbox.lock);
    const bool taken = probe->taken, refused = probe->refused, came = probe->something_came;
    probe->back = probe->back || probe->came_back;
    probe->taken = probe->refused = probe->came_back = probe->something_came = false;
    pthread_mutex_unlock(&links->mailbox.lock);
    if (probe->under_way && (taken || refused))
        judge(probe, taken, steady_ms);
    if (!came)
        return;
    probe->silent = probe->missed = false;
    if (probe->back)
        probe->due_ms = INT64_MAX;
    else if (probe->due_ms != INT64_MAX && probe->due_ms < steady_ms + QUIET_MS)
        probe->due_ms = steady_ms + QUIET_MS;
}

static void
say_silent(struct links *links, struct probe *probe)
{
    struct buffer text = {0};

    probe_write(links, probe, &text);
    log_warning("landing: %s", buffer_text(&text));
    buffer_free(&text);
    probe->silent = true;
}

static void
send_probe(struct links *links, struct probe *probe, int64_t steady_ms)
{
    const uint64_t input = (uint64_t)(probe - links->probes);
    struct wire *wire = links->link_port.wire;
    const struct wire_message message = {
        .topic = span_of(probe->topic),
        .payload = span_of(NOTHING),
        .correlation = span_at(probe->token, sizeof probe->token),
        .delivery = WIRE_AT_LEAST_ONCE,
        .tentative = true,
    };

    pthread_mutex_lock(&links->mailbox.lock);
    const uint64_t number = ++probe->sent;
    pthread_mutex_unlock(&links->mailbox.lock);
    probe->under_way = wire->calls->publish(wire, &message, TOKEN_PROBE | number << NUMBER_SHIFT | input) == 0;
    probe->due_ms = probe->under_way ? INT64_MAX : steady_ms + QUIET_MS;
}

static void
step(struct links *links, struct probe *probe, int64_t steady_ms)
{
    const bool linked = links->link_port.state == PORT_READY;
    const bool up = linked && links->landing_port.state == PORT_READY && links->limits.acknowledges;

    if (probe->under_way && !linked) /* the connection ended, and an answer was awaited */
        backoff_put_off(&probe->cut, CUT_WAIT_MIN_MS, CUT_WAIT_MAX_MS, steady_ms);
    probe->under_way = probe->under_way && up;
    if (up && !probe->up)
        begin(links, probe, steady_ms);
    probe->up = up;
    if (!up)
        return;
    hear(links, probe, steady_ms);
    if (steady_ms < probe->due_ms)
        return;
    if (probe->missed && !probe->silent)
        say_silent(links, probe);
    send_probe(links, probe, steady_ms);
}

void
probe_step(struct links *links, int64_t steady_ms)
{
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (links->probes[i].topic != NULL)
            step(links, &links->probes[i], steady_ms);
    }
}
