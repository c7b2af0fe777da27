/* The wire against a real broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "mqtt/mqtt.h"
#include "private_broker.h"

#define LIMIT_S 15 /* for any one thing to happen; Paho alone may take 8 s to give up connecting */

/* What the wire told us, and the last message. */
struct watcher {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int up;
    int down;
    int subscribed;
    int messages;
    int delivered;
    int refused;
    bool session_kept;
    struct wire_limits limits;
    bool subscribed_ok;
    uint64_t token;
    char reason[512];
    char refusal[512];
    char topic[128];
    char payload[64];
    char response_topic[64];
    struct wire_message last; /* only what is no span */
    uint64_t correlation;
    size_t payload_bytes;
    uint64_t first_out_of_order; /* a sequence that did not follow the one before it */
};

struct seat {
    struct watcher watcher;
    struct wire_options options;
    struct wire *wire;
};

static struct private_broker private_broker;
static struct broker broker;

static void
copy(char *to, size_t size, struct span from)
{
    snprintf(to, size, "%.*s", (int)from.len, from.at != NULL ? from.at : "");
}

static void
on_up(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    watcher->up++;
    watcher->session_kept = session_kept;
    watcher->limits = *limits;
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void
on_subscribed(void *context, bool ok, const char *reason)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    watcher->subscribed++;
    watcher->subscribed_ok = ok;
    copy(watcher->reason, sizeof watcher->reason, span_of(reason));
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void
on_down(void *context, const char *reason)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    watcher->down++;
    copy(watcher->reason, sizeof watcher->reason, span_of(reason));
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void
on_message(void *context, const struct wire_message *message)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    watcher->messages++;
    if (message->sequence != 0 && message->sequence != watcher->last.sequence + 1 && watcher->first_out_of_order == 0)
        watcher->first_out_of_order = message->sequence;
    watcher->last = *message;
    copy(watcher->topic, sizeof watcher->topic, message->topic);
    copy(watcher->payload, sizeof watcher->payload, message->payload);
    copy(watcher->response_topic, sizeof watcher->response_topic, message->response_topic);
    watcher->correlation = message->correlation.len == 8 ? bytes_get_u64(message->correlation.at) : 0;
    watcher->payload_bytes = message->payload.len;
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void
on_delivered(void *context, uint64_t token)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    watcher->delivered++;
    watcher->token = token;
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void
on_refused(void *context, uint64_t token, struct span topic, const char *reason)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    watcher->refused++;
    watcher->token = token;
    copy(watcher->topic, sizeof watcher->topic, topic);
    copy(watcher->refusal, sizeof watcher->refusal, span_of(reason));
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

/* Wait until *count is at least wanted, LIMIT_S at most. */
static bool
reached(struct watcher *watcher, const int *count, int wanted)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += LIMIT_S;
    pthread_mutex_lock(&watcher->lock);
    while (*count < wanted) {
        if (pthread_cond_clockwait(&watcher->changed, &watcher->lock, CLOCK_REALTIME, &deadline) != 0)
            break;
    }
    bool ok = *count >= wanted;
    pthread_mutex_unlock(&watcher->lock);
    return ok;
}

static struct seat *
sit(const char *name, unsigned session_s)
{
    struct seat *seat = calloc(1, sizeof *seat);
    struct wire_events events = {&seat->watcher, on_up, on_subscribed, on_down, on_message, on_delivered, on_refused};

    pthread_mutex_init(&seat->watcher.lock, NULL);
    pthread_cond_init(&seat->watcher.changed, NULL);
    seat->options = (struct wire_options){.client_name = name, .session_s = session_s, .receive_max = 100,
                                          .packet_bytes_max = wire_packet_bytes(0)};
    seat->wire = mqtt_wire(&broker, &seat->options, &events);
    assert_non_null(seat->wire);
    return seat;
}

static void
leave(struct seat *seat)
{
    seat->wire->calls->free(seat->wire);
    pthread_mutex_destroy(&seat->watcher.lock);
    pthread_cond_destroy(&seat->watcher.changed);
    free(seat);
}

static void
go_up(struct seat *seat)
{
    int before = seat->watcher.up;

    assert_int_equal(seat->wire->calls->connect(seat->wire), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.up, before + 1));
}

static void
subscribe(struct seat *seat, const char *filter, enum wire_delivery delivery)
{
    const char *filters[] = {filter, "test/other/#"};
    int before = seat->watcher.subscribed;

    assert_int_equal(seat->wire->calls->subscribe(seat->wire, filters, 2, 2, delivery), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.subscribed, before + 1));
    assert_true(seat->watcher.subscribed_ok);
}

static int
publish(struct seat *seat, const char *topic, const char *payload, uint64_t token)
{
    struct wire_message message = {.topic = span_of(topic), .payload = span_of(payload),
                                   .delivery = WIRE_AT_LEAST_ONCE};

    return seat->wire->calls->publish(seat->wire, &message, token);
}

static void
test_message_arrives_with_all_its_properties(void **state)
{
    char correlation[8];

    (void)state;
    bytes_put_u64(correlation, 0x0102030405060708);
    struct seat *seat = sit("properties", 0);
    go_up(seat);
    assert_false(seat->watcher.session_kept);
    subscribe(seat, "test/properties/+", WIRE_AT_LEAST_ONCE);
    struct wire_message message = {
        .topic = span_of("test/properties/a"),
        .payload = span_of("hello"),
        .response_topic = span_of("test/answer"),
        .correlation = {correlation, sizeof correlation},
        .epoch = 0xfedcba9876543210,
        .sequence = UINT64_MAX,
        .delivery = WIRE_AT_LEAST_ONCE,
        .expiry_s = 60,
    };
    assert_int_equal(seat->wire->calls->publish(seat->wire, &message, 77), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    assert_true(reached(&seat->watcher, &seat->watcher.delivered, 1));
    assert_int_equal(seat->watcher.token, 77);
    assert_string_equal(seat->watcher.topic, "test/properties/a");
    assert_string_equal(seat->watcher.payload, "hello");
    assert_string_equal(seat->watcher.response_topic, "test/answer");
    assert_true(seat->watcher.correlation == 0x0102030405060708);
    assert_true(seat->watcher.last.epoch == 0xfedcba9876543210);
    assert_true(seat->watcher.last.sequence == UINT64_MAX);
    assert_false(seat->watcher.last.retained);
    assert_int_equal(seat->watcher.last.delivery, WIRE_AT_LEAST_ONCE);
    leave(seat);
}

static void
test_plain_message_has_no_properties(void **state)
{
    struct seat *seat = sit("plain", 0);

    (void)state;
    go_up(seat);
    subscribe(seat, "test/plain", WIRE_AT_MOST_ONCE);
    assert_int_equal(publish(seat, "test/plain", "", 0), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    assert_int_equal(seat->watcher.payload_bytes, 0);
    assert_string_equal(seat->watcher.response_topic, "");
    assert_int_equal(seat->watcher.last.epoch, 0);
    assert_int_equal(seat->watcher.last.sequence, 0);
    assert_int_equal(seat->watcher.last.correlation.len, 0);
    assert_int_equal(seat->watcher.last.delivery, WIRE_AT_MOST_ONCE);
    leave(seat);
}

/* What anybody may write into the properties of a link. Published by somebody else's client: ours can't. */
static const struct {
    const char *properties[6]; /* name and value by turns */
    uint64_t epoch;
    uint64_t sequence;
} link_properties[] = {
    {{"epoch", "0000000000000001", "sequence", "1"}, 1, 1},
    {{"epoch", "ffffffffffffffff", "sequence", "18446744073709551615"}, UINT64_MAX, UINT64_MAX},
    {{"sequence", "12", "other", "7", "epoch", "00000000000000a0"}, 0xa0, 12},
    {{"Epoch", "0000000000000001", "Sequence", "1"}, 0, 0},
    {{"epoch", "1", "sequence", "01"}, 0, 0},
    {{"epoch", "00000000000000001", "sequence", "0"}, 0, 0},
    {{"epoch", "00000000000000AB", "sequence", "18446744073709551616"}, 0, 0},
    {{"epoch", "0x00000000000001", "sequence", "99999999999999999999"}, 0, 0},
    {{"epoch", "-000000000000001", "sequence", "-1"}, 0, 0},
    {{"epoch", " 000000000000001", "sequence", " 1"}, 0, 0},
    {{"epoch", "000000000000001g", "sequence", "1 "}, 0, 0},
    {{"epoch", "", "sequence", ""}, 0, 0},
    {{"epoch", "0000000000000001", "sequence", "1e3"}, 1, 0},
    {{"sequence", "1.0"}, 0, 0},
    {{"epoch", "0000000000000001", "part", "7/1/2"}, 1, 7},
    {{"part", "7/3/2"}, 0, 0},
    {{"part", "7/0/2"}, 0, 0},
    {{"part", "7/1/99999999"}, 0, 0},
    {{"part", "7/1"}, 0, 0},
    {{"part", "//"}, 0, 0},
    {{"part", "7/1/2/"}, 0, 0},
    {{"sequence", "+1"}, 0, 0},
};

static void
publish_with_properties(const char *topic, const char *const *properties)
{
    char port[16];
    const char *arguments[40] = {"mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-q", "1",
                                 "-m",            "x",  "-p", port, "-t",        topic};
    unsigned count = 13;
    int status;

    snprintf(port, sizeof port, "%d", private_broker.port);
    for (unsigned i = 0; i < 6 && properties[i] != NULL; i += 2) {
        const char *const property[] = {"-D", "publish", "user-property", properties[i], properties[i + 1]};
        memcpy(arguments + count, property, sizeof property);
        count += 5;
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
test_malformed_properties_of_a_link_count_as_absent(void **state)
{
    struct seat *seat = sit("malformed", 0);

    (void)state;
    go_up(seat);
    subscribe(seat, "test/malformed", WIRE_AT_LEAST_ONCE);
    for (unsigned i = 0; i < sizeof link_properties / sizeof link_properties[0]; i++) {
        publish_with_properties("test/malformed", link_properties[i].properties);
        assert_true(reached(&seat->watcher, &seat->watcher.messages, (int)i + 1));
        pthread_mutex_lock(&seat->watcher.lock);
        const uint64_t epoch = seat->watcher.last.epoch, sequence = seat->watcher.last.sequence;
        pthread_mutex_unlock(&seat->watcher.lock);
        if (epoch != link_properties[i].epoch || sequence != link_properties[i].sequence)
            fail_msg("case %u: epoch %" PRIx64 ", sequence %" PRIu64, i, epoch, sequence);
    }
    leave(seat);
}

static void
test_kept_message_is_told_from_news(void **state)
{
    struct seat *seat = sit("retained", 0);
    struct wire_message message = {.topic = span_of("test/retained"), .payload = span_of("row"), .retained = true,
                                   .delivery = WIRE_AT_LEAST_ONCE};

    (void)state;
    go_up(seat);
    assert_int_equal(seat->wire->calls->publish(seat->wire, &message, 1), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.delivered, 1));
    subscribe(seat, "test/retained", WIRE_AT_LEAST_ONCE);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    assert_true(seat->watcher.last.retained);
    assert_int_equal(seat->wire->calls->publish(seat->wire, &message, 2), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 2));
    assert_false(seat->watcher.last.retained);
    leave(seat);
}

/* Paho sleeps for a second whenever it holds more messages than the broker's Receive Maximum (20 here). */
static void
test_more_messages_than_broker_allows_in_flight_go_through_in_order_and_fast(void **state)
{
    enum { COUNT = 1000 };
    static char payload[8192];
    struct seat *seat = sit("many", 0);

    (void)state;
    memset(payload, 'x', sizeof payload);
    go_up(seat);
    subscribe(seat, "test/many", WIRE_AT_MOST_ONCE);
    for (int i = 1; i <= COUNT; i++) {
        struct wire_message message = {.topic = span_of("test/many"), .payload = {payload, sizeof payload},
                                       .epoch = 1, .sequence = (uint64_t)i, .delivery = WIRE_AT_LEAST_ONCE};
        assert_int_equal(seat->wire->calls->publish(seat->wire, &message, (uint64_t)i), 0);
    }
    assert_true(reached(&seat->watcher, &seat->watcher.delivered, COUNT)); /* LIMIT_S is far below COUNT / 20 seconds */
    assert_true(reached(&seat->watcher, &seat->watcher.messages, COUNT));
    assert_int_equal(seat->watcher.token, COUNT);
    assert_int_equal(seat->watcher.first_out_of_order, 0);
    leave(seat);
}

static void
test_dead_broker_is_one_down_and_connect_works_again(void **state)
{
    struct seat *seat = sit("outage", 60);

    (void)state;
    go_up(seat);
    subscribe(seat, "test/outage", WIRE_AT_LEAST_ONCE);
    private_broker_kill(&private_broker);
    assert_true(reached(&seat->watcher, &seat->watcher.down, 1));
    assert_int_equal(publish(seat, "test/outage", "lost", 1), -1);
    assert_int_equal(seat->wire->calls->connect(seat->wire), 0); /* refused */
    assert_true(reached(&seat->watcher, &seat->watcher.down, 2));
    private_broker_start(&private_broker);
    go_up(seat);
    assert_int_equal(seat->watcher.down, 2);
    assert_false(seat->watcher.session_kept);
    subscribe(seat, "test/outage", WIRE_AT_LEAST_ONCE);
    assert_int_equal(publish(seat, "test/outage", "kept", 2), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    assert_string_equal(seat->watcher.payload, "kept");
    leave(seat);
}

static void
test_refused_connection_is_one_down(void **state)
{
    struct broker nowhere = {.host = "127.0.0.1", .port = 0};

    (void)state;
    close(private_broker_socket(&nowhere.port, false));
    struct broker kept = broker;
    broker = nowhere;
    struct seat *seat = sit("nowhere", 0);
    broker = kept;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(seat->wire->calls->connect(seat->wire), 0);
        assert_true(reached(&seat->watcher, &seat->watcher.down, i));
    }
    assert_int_equal(seat->watcher.up, 0);
    assert_int_equal(publish(seat, "test/nowhere", "x", 1), -1);
    leave(seat);
}

/* What `down` says of an attempt to connect to a broker. */
static void
expect_down(const struct broker *where, const char *address, const char *cause)
{
    struct broker kept = broker;

    broker = *where;
    struct seat *seat = sit("cause", 0);
    broker = kept;
    assert_int_equal(seat->wire->calls->connect(seat->wire), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.down, 1));
    if (strncmp(seat->watcher.reason, address, strlen(address)) != 0 || strstr(seat->watcher.reason, cause) == NULL)
        fail_msg("wanted %s … %s: %s", address, cause, seat->watcher.reason);
    leave(seat);
}

static void
bug_232_down_says_where_and_why_no_connection_was_made(void **state)
{
    char address[64];
    struct broker nowhere = {.host = "127.0.0.1", .port = 0};
    int listening = private_broker_socket(&nowhere.port, false); /* bound, and nobody listens */

    (void)state;
    snprintf(address, sizeof address, "127.0.0.1:%d: ", nowhere.port);
    expect_down(&nowhere, address, "refused");
    close(listening);
    expect_down(&(struct broker){.host = "nosuchhost.invalid", .port = 1883}, "nosuchhost.invalid:1883: ", "unknown host");
    struct broker tls = broker;
    tls.cafile = "/etc/hostname"; /* no certificates in it */
    snprintf(address, sizeof address, "127.0.0.1:%d: ", tls.port);
    expect_down(&tls, address, "TLS");
    expect_down(&nowhere, "127.0.0.1", "refused"); /* what was wrong before does not stick */

    struct private_broker strict = {.settings = "allow_anonymous false\n"};
    private_broker_start(&strict);
    struct broker locked = {.host = "127.0.0.1", .port = strict.port, .username = "gait", .password = "wrong"};
    snprintf(address, sizeof address, "127.0.0.1:%d: ", strict.port);
    expect_down(&locked, address, "user name or password");
    private_broker_remove(&strict);
}

static void
bug_233_what_the_broker_announced_is_kept_to(void **state)
{
    static char large[3000];
    struct private_broker small = {.settings = "max_packet_size 2000\nmax_qos 0\nretain_available false\n"};

    (void)state;
    private_broker_start(&small);
    struct broker kept = broker;
    broker.port = small.port;
    struct seat *seat = sit("limits", 0);
    broker = kept;
    go_up(seat);
    assert_int_equal(seat->watcher.limits.packet_bytes_max, 2000);
    assert_false(seat->watcher.limits.acknowledges);
    assert_false(seat->watcher.limits.retains);
    subscribe(seat, "test/limits", WIRE_AT_LEAST_ONCE);

    memset(large, 'x', sizeof large - 1);
    assert_int_equal(publish(seat, "test/limits", large, 1), -1);
    const struct wire_message message = {
        .topic = span_of("test/limits"), .payload = span_at(large, wire_room(&seat->watcher.limits, strlen("test/limits"))),
        .epoch = UINT64_MAX, .sequence = UINT64_MAX, .part = 1, .parts = WIRE_PARTS_MAX, .retained = true,
        .delivery = WIRE_AT_LEAST_ONCE};
    assert_int_equal(seat->wire->calls->publish(seat->wire, &message, 2), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    assert_int_equal(seat->watcher.payload_bytes, message.payload.len);
    assert_int_equal(seat->watcher.last.part, 1);
    assert_int_equal(seat->watcher.last.parts, WIRE_PARTS_MAX);
    assert_true(seat->watcher.last.sequence == UINT64_MAX);
    assert_int_equal(seat->watcher.down, 0);
    assert_int_equal(seat->watcher.delivered, 0); /* nobody said so */
    leave(seat);
    private_broker_remove(&small);
}

/* A broker that names no limit takes what MQTT can say, and no more: it was a panic, for what a store held. */
static void
bug_357_what_no_packet_can_hold_is_not_sent(void **state)
{
    const size_t size = (size_t)256 << 20;
    char *large = calloc(1, size); /* never touched */

    (void)state;
    assert_non_null(large);
    struct seat *seat = sit("no limits", 0);
    go_up(seat);
    const struct wire_message message = {
        .topic = span_of("test/large"), .payload = span_at(large, size), .delivery = WIRE_AT_LEAST_ONCE};
    assert_false(wire_fits(&seat->watcher.limits, &message));
    assert_int_equal(seat->wire->calls->publish(seat->wire, &message, 1), -1);
    subscribe(seat, "test/large", WIRE_AT_LEAST_ONCE);
    assert_int_equal(publish(seat, "test/large", "x", 2), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    leave(seat);
    free(large);
}

/* The will asks for more than such a broker gives; it refuses once, and then we come without. */
static void
a_will_that_is_refused_is_left_out(void **state)
{
    struct private_broker small = {.settings = "max_qos 0\n"};

    (void)state;
    private_broker_start(&small);
    struct broker kept = broker;
    broker.port = small.port;
    struct seat *seat = sit("without-will", 0);
    broker = kept;
    seat->options.will_topic = "test/will";
    seat->options.will_text = "gone";
    assert_int_equal(seat->wire->calls->connect(seat->wire), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.down, 1));
    assert_non_null(strstr(seat->watcher.reason, "refuses"));
    go_up(seat);
    assert_false(seat->watcher.limits.acknowledges);
    leave(seat);
    private_broker_remove(&small);
}

/* A broker whose ACL lets nurse publish to test/allowed only. */
static void
start_denying(struct private_broker *denying, char *settings, size_t size, unsigned queued_max)
{
    char acl[100];

    snprintf(denying->dir, sizeof denying->dir, "/tmp/gait-test-broker-XXXXXX");
    assert_non_null(mkdtemp(denying->dir));
    assert_int_equal(chmod(denying->dir, 0755), 0);
    snprintf(acl, sizeof acl, "%s/acl", denying->dir);
    FILE *file = fopen(acl, "w");
    assert_non_null(file);
    fputs("user nurse\ntopic read test/#\ntopic write test/allowed\n", file);
    fclose(file);
    snprintf(settings, size, "acl_file %s\nmax_queued_messages %u\n", acl, queued_max);
    denying->settings = settings;
    private_broker_start(denying);
    broker.port = denying->port;
    broker.username = "nurse";
}

static void
stop_denying(struct private_broker *denying)
{
    char acl[100];

    snprintf(acl, sizeof acl, "%s/acl", denying->dir);
    unlink(acl);
    private_broker_remove(denying);
    broker.port = private_broker.port;
    broker.username = NULL;
}

static void
bug_342_a_message_that_is_refused_is_not_delivered_and_is_named(void **state)
{
    struct private_broker denying = {0};
    char settings[200];

    (void)state;
    start_denying(&denying, settings, sizeof settings, 1000000);
    struct seat *seat = sit("refused", 0);
    go_up(seat);
    assert_int_equal(publish(seat, "test/denied", "x", 5), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.refused, 1));
    assert_int_equal(seat->watcher.token, 5);
    assert_string_equal(seat->watcher.topic, "test/denied");
    assert_non_null(strstr(seat->watcher.refusal, "test/denied to user nurse (Not authorized)"));
    assert_int_equal(publish(seat, "test/denied", "x", 0), 0); /* nobody waits for that, and it is told all the same */
    assert_true(reached(&seat->watcher, &seat->watcher.refused, 2));
    assert_int_equal(seat->watcher.token, 0);
    assert_int_equal(seat->watcher.delivered, 0);
    /* The connection lives on. That nobody has subscribed (16) is no refusal. */
    assert_int_equal(publish(seat, "test/allowed", "x", 6), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.delivered, 1));
    assert_int_equal(seat->watcher.token, 6);
    assert_int_equal(seat->watcher.refused, 2);
    assert_int_equal(seat->watcher.down, 0);
    leave(seat);
    stop_denying(&denying);
}

/* mosquitto 2.0.11 with max_queued_messages 0 ends the connection, also of one who wants no answer. */
static void
bug_343_a_connection_that_is_cut_after_a_message_names_it(void **state)
{
    struct private_broker denying = {0};
    struct wire_message message = {.topic = span_of("test/denied"), .payload = span_of("x")};
    char settings[200];

    (void)state;
    start_denying(&denying, settings, sizeof settings, 0);
    struct seat *seat = sit("cut", 0);
    go_up(seat);
    assert_int_equal(seat->wire->calls->publish(seat->wire, &message, 0), 0);
    assert_true(reached(&seat->watcher, &seat->watcher.down, 1));
    assert_non_null(strstr(seat->watcher.reason, "after a message to test/denied from user nurse"));
    leave(seat);
    stop_denying(&denying);
}

/* Against packets that are made to hurt, and those that are too large for us: the broker keeps them back. */
static void
bug_341_a_packet_larger_than_we_take_is_not_sent_to_us(void **state)
{
    static char large[WIRE_MESSAGE_BYTES_MAX + WIRE_PROPERTIES_BYTES_MAX];
    struct seat *reader = sit("reader", 0), *writer = sit("writer", 0);

    (void)state;
    go_up(reader);
    go_up(writer);
    subscribe(reader, "test/large", WIRE_AT_LEAST_ONCE);
    memset(large, 'x', sizeof large);
    struct wire_message message = {
        .topic = span_of("test/large"), .payload = {large, sizeof large}, .delivery = WIRE_AT_LEAST_ONCE};
    assert_int_equal(writer->wire->calls->publish(writer->wire, &message, 1), 0);
    assert_true(reached(&writer->watcher, &writer->watcher.delivered, 1));
    message.payload.len = WIRE_MESSAGE_BYTES_MAX;
    assert_int_equal(writer->wire->calls->publish(writer->wire, &message, 2), 0);
    assert_true(reached(&reader->watcher, &reader->watcher.messages, 1));
    assert_int_equal(publish(writer, "test/large", "end", 3), 0);
    assert_true(reached(&reader->watcher, &reader->watcher.messages, 2));
    /* If the large one had come, too, this would be the one behind it, or there would be three. */
    pthread_mutex_lock(&reader->watcher.lock);
    const int messages = reader->watcher.messages;
    const size_t payload_bytes = reader->watcher.payload_bytes;
    pthread_mutex_unlock(&reader->watcher.lock);
    assert_int_equal(messages, 2);
    assert_int_equal(payload_bytes, strlen("end"));
    assert_int_equal(reader->watcher.down, 0);
    leave(reader);
    leave(writer);
}

/* What publish took can be seen until it has gone. */
static void
what_waits_in_the_wire_is_counted(void **state)
{
    struct seat *seat = sit("weight", 0);

    (void)state;
    go_up(seat);
    assert_int_equal(seat->wire->calls->waiting(seat->wire), 0);
    kill(private_broker.pid, SIGSTOP);
    for (int i = 1; i <= 500; i++)
        assert_int_equal(publish(seat, "test/weight", "0123456789", (uint64_t)i), 0);
    assert_int_equal(seat->wire->calls->waiting(seat->wire), 500 * (strlen("test/weight") + 10));
    kill(private_broker.pid, SIGCONT);
    assert_true(reached(&seat->watcher, &seat->watcher.delivered, 500));
    assert_int_equal(seat->wire->calls->waiting(seat->wire), 0);
    leave(seat);
}

static void
test_session_keeps_messages_while_we_are_away(void **state)
{
    struct seat *away = sit("away", 3600);
    struct seat *sender = sit("sender", 0);

    (void)state;
    go_up(away);
    go_up(sender);
    subscribe(away, "test/away", WIRE_AT_LEAST_ONCE);
    away->wire->calls->disconnect(away->wire, 1000);
    assert_int_equal(publish(away, "test/away", "x", 1), -1);
    for (int i = 1; i <= 30; i++)
        assert_int_equal(publish(sender, "test/away", "waiting", (uint64_t)i), 0);
    assert_true(reached(&sender->watcher, &sender->watcher.delivered, 30));
    go_up(away);
    assert_true(away->watcher.session_kept);
    assert_true(reached(&away->watcher, &away->watcher.messages, 30));
    assert_int_equal(away->watcher.down, 0);
    leave(away);
    leave(sender);
}

static void
test_disconnect_waits_until_everything_is_sent(void **state)
{
    struct seat *sender = sit("goodbye", 0);
    struct seat *reader = sit("reader", 0);

    (void)state;
    go_up(sender);
    go_up(reader);
    subscribe(reader, "test/goodbye", WIRE_AT_LEAST_ONCE);
    for (int i = 1; i <= 200; i++)
        assert_int_equal(publish(sender, "test/goodbye", "x", (uint64_t)i), 0);
    sender->wire->calls->disconnect(sender->wire, LIMIT_S * 1000);
    assert_int_equal(sender->watcher.delivered, 200);
    assert_true(reached(&reader->watcher, &reader->watcher.messages, 200));
    assert_int_equal(sender->watcher.down, 0);
    leave(sender);
    leave(reader);
}

/* The broker hangs: it takes the TCP connection and answers nothing. */
static void
test_disconnect_ends_an_attempt_to_connect(void **state)
{
    struct seat *seat = sit("hung", 0);

    (void)state;
    kill(private_broker.pid, SIGSTOP);
    assert_int_equal(seat->wire->calls->connect(seat->wire), 0);
    assert_int_equal(seat->wire->calls->connect(seat->wire), -1);
    seat->wire->calls->disconnect(seat->wire, 100);
    kill(private_broker.pid, SIGCONT);
    go_up(seat);
    assert_int_equal(seat->watcher.up, 1);
    assert_int_equal(seat->watcher.down, 0);
    leave(seat);
}

/* Finds leaks and late events under the sanitizers. */
static void
test_free_with_messages_outstanding(void **state)
{
    struct seat *seat = sit("outstanding", 60);

    (void)state;
    go_up(seat);
    kill(private_broker.pid, SIGSTOP);
    const char *filters[] = {"test/outstanding"};
    assert_int_equal(seat->wire->calls->subscribe(seat->wire, filters, 1, 1, WIRE_AT_LEAST_ONCE), 0);
    for (int i = 1; i <= 500; i++)
        assert_int_equal(publish(seat, "test/outstanding", "x", (uint64_t)i), 0);
    seat->wire->calls->disconnect(seat->wire, 50);
    assert_int_equal(seat->watcher.delivered, 0);
    assert_int_equal(seat->watcher.down, 0);
    leave(seat);
    kill(private_broker.pid, SIGCONT);
}

static void
test_second_connection_under_the_name_puts_the_first_out(void **state)
{
    struct seat *first = sit("twin", 60);
    struct seat *second = sit("twin", 60);

    (void)state;
    go_up(first);
    go_up(second);
    assert_true(reached(&first->watcher, &first->watcher.down, 1));
    assert_int_equal(second->watcher.down, 0);
    leave(first);
    leave(second);
}

/* The other half of the next test, in a process of its own: connect, then die without a word. */
static int
vanish(int port)
{
    broker.port = port;
    struct seat *seat = sit("vanisher", 0);
    seat->options.will_topic = "test/will";
    seat->options.will_text = "offline";
    go_up(seat);
    raise(SIGKILL);
    return 1;
}

static void
test_will_is_published_when_a_process_is_killed(void **state)
{
    char port[16];
    struct seat *seat = sit("mourner", 0);

    (void)state;
    go_up(seat);
    subscribe(seat, "test/will", WIRE_AT_LEAST_ONCE);
    snprintf(port, sizeof port, "%d", broker.port);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_mqtt_wire", port, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    assert_true(reached(&seat->watcher, &seat->watcher.messages, 1));
    assert_string_equal(seat->watcher.payload, "offline");
    leave(seat);
}

static void
test_no_will_after_disconnect(void **state)
{
    struct seat *seat = sit("polite", 0);
    struct seat *reader = sit("will-reader", 0);

    (void)state;
    seat->options.will_topic = "test/polite";
    seat->options.will_text = "offline";
    go_up(reader);
    subscribe(reader, "test/polite", WIRE_AT_LEAST_ONCE);
    go_up(seat);
    seat->wire->calls->disconnect(seat->wire, 1000);
    go_up(seat);
    assert_int_equal(publish(seat, "test/polite", "second life", 1), 0);
    assert_true(reached(&reader->watcher, &reader->watcher.messages, 1));
    assert_string_equal(reader->watcher.payload, "second life"); /* a will would have come before it */
    leave(seat);
    leave(reader);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_arrives_with_all_its_properties),
        cmocka_unit_test(test_plain_message_has_no_properties),
        cmocka_unit_test(test_malformed_properties_of_a_link_count_as_absent),
        cmocka_unit_test(test_kept_message_is_told_from_news),
        cmocka_unit_test(test_more_messages_than_broker_allows_in_flight_go_through_in_order_and_fast),
        cmocka_unit_test(test_refused_connection_is_one_down),
        cmocka_unit_test(bug_232_down_says_where_and_why_no_connection_was_made),
        cmocka_unit_test(bug_233_what_the_broker_announced_is_kept_to),
        cmocka_unit_test(bug_357_what_no_packet_can_hold_is_not_sent),
        cmocka_unit_test(a_will_that_is_refused_is_left_out),
        cmocka_unit_test(bug_342_a_message_that_is_refused_is_not_delivered_and_is_named),
        cmocka_unit_test(bug_343_a_connection_that_is_cut_after_a_message_names_it),
        cmocka_unit_test(bug_341_a_packet_larger_than_we_take_is_not_sent_to_us),
        cmocka_unit_test(what_waits_in_the_wire_is_counted),
        cmocka_unit_test(test_session_keeps_messages_while_we_are_away),
        cmocka_unit_test(test_disconnect_waits_until_everything_is_sent),
        cmocka_unit_test(test_disconnect_ends_an_attempt_to_connect),
        cmocka_unit_test(test_free_with_messages_outstanding),
        cmocka_unit_test(test_second_connection_under_the_name_puts_the_first_out),
        cmocka_unit_test(test_will_is_published_when_a_process_is_killed),
        cmocka_unit_test(test_no_will_after_disconnect),
        cmocka_unit_test(test_dead_broker_is_one_down_and_connect_works_again),
    };

    broker.host = "127.0.0.1";
    if (argc == 2)
        return vanish(atoi(argv[1]));
    private_broker_start(&private_broker);
    broker.port = private_broker.port;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    private_broker_remove(&private_broker);
    return failed;
}
