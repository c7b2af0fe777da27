/* peers: what is said of processes that are not at rest. On the wire customer-trusted alone answers, and has no
 * consumers, so nobody else is expected to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "mqtt/mqtt.h"
#include "look/peers.h"

static struct {
    struct wire wire;
    struct wire_events events;
    const char *document;
} process;

static int
fake_connect(struct wire *wire)
{
    const struct wire_limits limits = {.packet_bytes_max = SIZE_MAX, .acknowledges = true, .retains = true};

    (void)wire;
    process.events.up(process.events.context, false, &limits);
    return 0;
}

static int
fake_subscribe(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
               enum wire_delivery delivery)
{
    (void)wire;
    (void)filters;
    (void)count;
    (void)news_from;
    (void)delivery;
    process.events.subscribed(process.events.context, true, "");
    return 0;
}

static int
fake_publish(struct wire *wire, const struct wire_message *message, uint64_t token)
{
    const struct wire_message answer = {.topic = message->response_topic,
                                        .payload = span_of(process.document),
                                        .correlation = message->correlation};

    (void)wire;
    (void)token;
    process.events.message(process.events.context, &answer);
    return 0;
}

static void
fake_disconnect(struct wire *wire, int timeout_ms)
{
    (void)wire;
    (void)timeout_ms;
}

static void
fake_free(struct wire *wire)
{
    (void)wire;
}

/* In place of lib/mqtt. */
struct wire *
mqtt_wire(const struct broker *broker, const struct wire_options *options, const struct wire_events *events)
{
    static const struct wire_calls calls = {fake_connect,    fake_subscribe,  fake_publish, NULL,
                                            fake_disconnect, fake_free};

    (void)broker;
    (void)options;
    process.wire.calls = &calls;
    process.events = *events;
    return &process.wire;
}

/* What is not at rest when customer-trusted answers with this state, why, and a record due. */
static void
expect_not_at_rest(const char *state, const char *because, const char *want)
{
    static const struct broker broker;
    struct buffer document = {0}, why = {0};

    buffer_printf(&document, "{\"process\":\"customer-trusted\",\"state\":\"%s\",\"why\":\"%s\",\"due\":1}", state,
                  because);
    process.document = buffer_text(&document);
    struct peers *peers = peers_new(&broker, "gait");
    assert_non_null(peers);
    assert_int_equal(peers_ask(peers, clock_steady_ms() + 1000, 1000), 1);
    assert_false(peers_at_rest(peers, &why));
    assert_string_equal(buffer_text(&why), want);
    peers_free(peers);
    buffer_free(&document);
    buffer_free(&why);
}

static void
a_stopped_process_says_why(void **state)
{
    (void)state;
    expect_not_at_rest("stopped", "disk full",
                       "customer-trusted has 0 bytes in its inbox and 1 records due, stopped: disk full");
}

/* It was called stopped whenever it had anything to say. */
static void
bug_257_a_running_process_is_not_called_stopped(void **state)
{
    (void)state;
    expect_not_at_rest("running", "lake is silent",
                       "customer-trusted has 0 bytes in its inbox and 1 records due; it runs, but: lake is silent");
    expect_not_at_rest("running", "", "customer-trusted has 0 bytes in its inbox and 1 records due");
}

/* Whether all is well when customer-trusted answers with this state and why. */
static void
expect_well(const char *state, const char *because, bool well)
{
    static const struct broker broker;
    struct buffer document = {0}, why = {0};

    buffer_printf(&document, "{\"process\":\"customer-trusted\",\"state\":\"%s\",\"why\":\"%s\"}", state, because);
    process.document = buffer_text(&document);
    struct peers *peers = peers_new(&broker, "gait");
    assert_non_null(peers);
    assert_int_equal(peers_ask(peers, clock_steady_ms() + 1000, 1000), 1);
    assert_true(peers_at_rest(peers, &why));
    assert_int_equal(peers_well(peers, &why), well);
    assert_string_equal(buffer_text(&why), well ? "" : "customer-trusted");
    peers_free(peers);
    buffer_free(&document);
    buffer_free(&why);
}

/* The exit status of gait status was 0. */
static void
bug_402_whoever_has_something_to_say_is_not_well(void **state)
{
    (void)state;
    expect_well("running", "", true);
    expect_well("running", "nothing comes in", false);
    expect_well("stopped", "disk full", false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_process_says_why),
        cmocka_unit_test(bug_257_a_running_process_is_not_called_stopped),
        cmocka_unit_test(bug_402_whoever_has_something_to_say_is_not_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
