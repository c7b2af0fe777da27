/* port: a connection that is kept up, or kept down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "wire/port.h"

/* A wire that counts what it is asked for. */
static unsigned connects;
static unsigned subscribes;
static unsigned disconnects;
static bool refuses;

static int
stub_connect(struct wire *wire)
{
    (void)wire;
    connects++;
    return refuses ? -1 : 0;
}

static int
stub_subscribe(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
               enum wire_delivery delivery)
{
    assert_int_equal(news_from, 1);
    (void)wire;
    subscribes++;
    assert_int_equal(count, 2);
    assert_string_equal(filters[0], "one/#");
    assert_string_equal(filters[1], "two/+");
    assert_int_equal(delivery, WIRE_AT_LEAST_ONCE);
    return 0;
}

static void
stub_disconnect(struct wire *wire, int timeout_ms)
{
    (void)wire;
    assert_true(timeout_ms >= 0);
    disconnects++;
}

static const struct wire_calls stub_calls = {
    .connect = stub_connect, .subscribe = stub_subscribe, .disconnect = stub_disconnect};
static struct wire wire = {&stub_calls};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct wire_limits limits = {SIZE_MAX, true, true, 0};
static struct port port;
static int64_t now_ms;

static int
set_up(void **state)
{
    (void)state;
    connects = subscribes = disconnects = 0;
    refuses = false;
    now_ms = 100000;
    port = (struct port){.name = "test",
                         .client = "gait-test",
                         .wire = &wire,
                         .filters = {"one/#", "two/+"},
                         .news_from = 1,
                         .filter_count = 2,
                         .delivery = WIRE_AT_LEAST_ONCE,
                         .wanted = true,
                         .lock = &lock};
    return 0;
}

static int
step(void)
{
    return port_step(&port, now_ms);
}

static void
come_up(void)
{
    step();
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, true, "");
    assert_int_equal(step(), 1);
    assert_int_equal(port.state, PORT_READY);
}

/* Step until it connects again, at most limit_ms; how long it took. */
static int64_t
time_to_connect(int64_t limit_ms)
{
    const unsigned before = connects;
    const int64_t from_ms = now_ms;

    while (connects == before) {
        assert_true(now_ms - from_ms <= limit_ms);
        now_ms++;
        step();
    }
    return now_ms - from_ms;
}

static void
it_connects_subscribes_and_is_ready_once(void **state)
{
    (void)state;
    assert_int_equal(port_due_ms(&port), 0);
    assert_int_equal(step(), 0);
    assert_int_equal(connects, 1);
    assert_int_equal(port.state, PORT_CONNECTING);
    assert_true(port_due_ms(&port) == INT64_MAX);
    assert_int_equal(step(), 0);
    assert_int_equal(connects, 1);
    port_hear_up(&port, &limits);
    assert_int_equal(step(), 0);
    assert_int_equal(subscribes, 1);
    assert_int_equal(port.state, PORT_SUBSCRIBING);
    port_hear_subscribed(&port, true, "");
    assert_int_equal(step(), 1);
    assert_int_equal(step(), 0);
    assert_int_equal(port.state, PORT_READY);
    assert_int_equal(connects, 1);
}

static void
one_that_is_not_wanted_stays_down_until_it_is(void **state)
{
    (void)state;
    port.wanted = false;
    assert_int_equal(step(), 0);
    assert_int_equal(connects, 0);
    assert_true(port_due_ms(&port) == INT64_MAX);
    port.wanted = true;
    come_up();
    port.wanted = false;
    assert_int_equal(step(), 0);
    assert_int_equal(disconnects, 1);
    assert_int_equal(port.state, PORT_DOWN);
    assert_int_equal(step(), 0);
    assert_int_equal(disconnects, 1);
    port.wanted = true;
    come_up();
    assert_int_equal(connects, 2);
}

static void
what_was_heard_before_it_was_closed_does_not_count_afterwards(void **state)
{
    (void)state;
    come_up();
    port.wanted = false;
    step();
    port.wanted = true;
    step();
    assert_int_equal(port.state, PORT_CONNECTING);
    port_hear_subscribed(&port, true, ""); /* nobody has asked */
    assert_int_equal(step(), 0);
    assert_int_equal(port.state, PORT_CONNECTING);
    port_hear_up(&port, &limits);
    step();
    assert_int_equal(port.state, PORT_SUBSCRIBING);
}

static void
a_lost_connection_is_made_again_soon_and_then_ever_more_rarely(void **state)
{
    (void)state;
    come_up();
    port_hear_down(&port, "gone");
    assert_int_equal(step(), 0);
    assert_int_equal(port.state, PORT_DOWN);
    assert_true(port_due_ms(&port) > now_ms);
    int64_t waited_ms = time_to_connect(50);
    for (int i = 0; i < 10; i++) {
        port_hear_down(&port, "still gone");
        step();
        int64_t next_ms = time_to_connect(1000);
        assert_true(next_ms >= waited_ms);
        waited_ms = next_ms;
    }
    assert_int_equal(waited_ms, 1000);
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, true, "");
    assert_int_equal(step(), 1);
    now_ms += 10000; /* it lasts */
    port_hear_down(&port, "gone again");
    step();
    assert_true(time_to_connect(50) <= 50);
}

/* A connection that is made and ends at once. */
static void
come_and_go(void)
{
    if (port.state == PORT_DOWN)
        time_to_connect(60000);
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, true, "");
    step();
    assert_int_equal(port.state, PORT_READY);
    now_ms += 10;
    port_hear_down(&port, "taken over");
    step();
}

static void
bug_230_connections_that_do_not_last_are_made_ever_more_rarely(void **state)
{
    const int64_t from_ms = now_ms;

    (void)state;
    step();
    for (int i = 0; i < 20; i++)
        come_and_go();
    assert_true(now_ms - from_ms > 60000);
    now_ms += time_to_connect(60000); /* but it does not give up */
    assert_int_equal(port.state, PORT_CONNECTING);
}

static void
a_connection_that_ends_again_and_again_is_said_until_it_lasts(void **state)
{
    char text[256] = "";

    (void)state;
    step();
    for (int i = 0; i < 2; i++) {
        come_and_go();
        assert_false(port_unsteady(&port, now_ms, text, sizeof text));
    }
    come_and_go();
    assert_true(port_unsteady(&port, now_ms, text, sizeof text));
    assert_non_null(strstr(text, "gait-test"));
    assert_non_null(strstr(text, "taken over"));
    time_to_connect(60000);
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, true, "");
    step();
    assert_true(port_unsteady(&port, now_ms, text, sizeof text)); /* it has not lasted yet */
    now_ms += 61000;
    assert_false(port_unsteady(&port, now_ms, text, sizeof text));
}

static void
one_that_is_closed_on_purpose_is_no_loss(void **state)
{
    char text[256];

    (void)state;
    for (int i = 0; i < 10; i++) {
        port.wanted = true;
        come_up();
        port.wanted = false;
        step();
    }
    assert_false(port_unsteady(&port, now_ms, text, sizeof text));
}

static void
what_the_broker_takes_is_known_when_it_is_ready(void **state)
{
    const struct wire_limits small = {.packet_bytes_max = 10240, .retains = true, .session_s = 60};

    (void)state;
    step();
    port_hear_up(&port, &small);
    assert_int_equal(port_limits(&port).packet_bytes_max, 10240);
    assert_false(port_limits(&port).acknowledges);
    assert_true(port_limits(&port).retains);
    assert_int_equal(port_limits(&port).session_s, 60);
}

static void
a_connection_lost_while_it_subscribes_is_not_ready(void **state)
{
    (void)state;
    step();
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, true, "");
    port_hear_down(&port, "gone");
    assert_int_equal(step(), 0);
    assert_int_equal(port.state, PORT_DOWN);
    time_to_connect(50);
    port_hear_up(&port, &limits);
    port_hear_down(&port, "up and gone in one step");
    assert_int_equal(step(), 0);
    assert_int_equal(port.state, PORT_DOWN);
}

static void
a_refused_subscription_closes_and_tries_again(void **state)
{
    (void)state;
    step();
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, false, "not allowed");
    assert_int_equal(step(), -1);
    assert_int_equal(disconnects, 1);
    assert_int_equal(port.state, PORT_DOWN);
    time_to_connect(50);
    assert_int_equal(port.state, PORT_CONNECTING);
}

/* gait load subscribes to metrics so, which it may not be allowed to. */
static void
what_is_subscribed_besides_may_be_refused(void **state)
{
    (void)state;
    come_up();
    port_hear_subscribed(&port, false, "not allowed");
    assert_int_equal(step(), 0);
    assert_int_equal(port.state, PORT_READY);
    assert_int_equal(disconnects, 0);
}

static void
attempts_in_vain_are_counted_until_one_is_not(void **state)
{
    char reason[64];

    (void)state;
    step();
    port_hear_down(&port, "refused");
    step();
    assert_int_equal(port.failures, 1);
    time_to_connect(50);
    port_hear_up(&port, &limits);
    step();
    port_hear_subscribed(&port, false, "not allowed");
    step();
    assert_int_equal(port.failures, 2);
    port_reason(&port, reason, sizeof reason);
    assert_string_equal(reason, "not allowed");
    time_to_connect(100);
    come_up();
    assert_int_equal(port.failures, 0);
    assert_true(port_is_up(&port));
    port_hear_down(&port, "gone");
    assert_false(port_is_up(&port)); /* before the next step */
    step();
    assert_int_equal(port.failures, 0); /* that one was lost: no attempt was in vain */
}

/* What the log has been told; the test's own lines, if there are any, are in it, too. */
static size_t
logged_bytes(bool quiet)
{
    char text[64];
    FILE *log = tmpfile();
    const int before = dup(STDERR_FILENO);

    assert_true(log != NULL && before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    log_open("test", LOG_INFO);
    port.quiet = quiet;
    come_up();
    port_hear_down(&port, "gone");
    step();
    log_open("test", LOG_ERROR);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    rewind(log);
    const size_t bytes = fread(text, 1, sizeof text, log);
    fclose(log);
    return bytes;
}

static void
a_quiet_one_leaves_all_words_to_its_owner(void **state)
{
    assert_true(logged_bytes(false) > 0);
    set_up(state);
    assert_int_equal(logged_bytes(true), 0);
}

static void
a_library_that_does_not_even_try_is_asked_again(void **state)
{
    (void)state;
    refuses = true;
    step();
    assert_int_equal(port.state, PORT_DOWN);
    step();
    assert_int_equal(connects, 1);
    time_to_connect(50);
    refuses = false;
    time_to_connect(200);
    assert_int_equal(port.state, PORT_CONNECTING);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_connects_subscribes_and_is_ready_once),
        TEST(one_that_is_not_wanted_stays_down_until_it_is),
        TEST(what_was_heard_before_it_was_closed_does_not_count_afterwards),
        TEST(a_lost_connection_is_made_again_soon_and_then_ever_more_rarely),
        TEST(bug_230_connections_that_do_not_last_are_made_ever_more_rarely),
        TEST(a_connection_that_ends_again_and_again_is_said_until_it_lasts),
        TEST(one_that_is_closed_on_purpose_is_no_loss),
        TEST(what_the_broker_takes_is_known_when_it_is_ready),
        TEST(a_connection_lost_while_it_subscribes_is_not_ready),
        TEST(a_refused_subscription_closes_and_tries_again),
        TEST(what_is_subscribed_besides_may_be_refused),
        TEST(attempts_in_vain_are_counted_until_one_is_not),
        TEST(a_quiet_one_leaves_all_words_to_its_owner),
        TEST(a_library_that_does_not_even_try_is_asked_again),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
