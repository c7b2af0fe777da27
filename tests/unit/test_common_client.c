/* client: a command finds its broker, or says in time that there is none. The wire is one that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "mqtt/mqtt.h"
#include "common/client.h"

static struct {
    struct wire wire;
    struct wire_events events;
    unsigned refusals; /* so many connections are refused before one is made */
    bool silent;       /* who connects hears nothing */
    bool denies;       /* whatever is subscribed */
    unsigned connects, subscribes, disconnects;
    char filters[64]; /* of the newest subscription */
} broker;

static char told[64]; /* what the client's owner was told, a letter each */

static int
fake_connect(struct wire *wire)
{
    const struct wire_limits limits = {.packet_bytes_max = 10240, .acknowledges = true, .retains = true};

    (void)wire;
    broker.connects++;
    if (broker.silent)
        return 0;
    if (broker.connects <= broker.refusals)
        broker.events.down(broker.events.context, "nobody there");
    else
        broker.events.up(broker.events.context, false, &limits);
    return 0;
}

static int
fake_subscribe(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
               enum wire_delivery delivery)
{
    const struct wire_message kept = {.topic = span_of("kept"), .retained = true};

    (void)wire;
    assert_int_equal(news_from, count); /* all is wanted that is retained */
    assert_int_equal(delivery, WIRE_AT_LEAST_ONCE);
    broker.subscribes++;
    snprintf(broker.filters, sizeof broker.filters, "%u: %s", count, filters[0]);
    if (!broker.denies)
        broker.events.message(broker.events.context, &kept);
    broker.events.subscribed(broker.events.context, !broker.denies, "denied");
    return 0;
}

static int
fake_publish(struct wire *wire, const struct wire_message *message, uint64_t token)
{
    (void)wire;
    (void)message;
    (void)token;
    return 0;
}

static void
fake_disconnect(struct wire *wire, int timeout_ms)
{
    (void)wire;
    (void)timeout_ms;
    broker.disconnects++;
}

static void
fake_free(struct wire *wire)
{
    (void)wire;
}

/* In place of lib/mqtt. */
struct wire *
mqtt_wire(const struct broker *where, const struct wire_options *options, const struct wire_events *events)
{
    static const struct wire_calls calls = {fake_connect,    fake_subscribe,  fake_publish, NULL,
                                            fake_disconnect, fake_free};

    (void)where;
    assert_int_equal(strlen(options->client_name), 13);
    assert_memory_equal(options->client_name, "test-", 5);
    broker.wire.calls = &calls;
    broker.events = *events;
    return &broker.wire;
}

static void
on_message(void *context, const struct wire_message *message)
{
    (void)message;
    assert_ptr_equal(context, told);
    strcat(told, "m");
}

static void
on_up(void *context)
{
    assert_ptr_equal(context, told);
    strcat(told, "u");
}

static struct client *
new_client(void)
{
    static const char *const filters[] = {"one/+", "two"};
    static struct broker where;
    const struct client_options options = {
        .broker = &where, .name = "test", .context = told, .message = on_message, .up = on_up};

    memset(&broker, 0, sizeof broker);
    told[0] = '\0';
    struct client *client = client_new(&options);
    assert_non_null(client);
    client_filters(client, filters, 2);
    return client;
}

/* client_connect, and the lines it says in said. */
static int
connect_by(struct client *client, int64_t deadline_ms, char *said, size_t size)
{
    FILE *lines = tmpfile();
    const int before = dup(STDERR_FILENO);

    assert_true(lines != NULL && before >= 0 && dup2(fileno(lines), STDERR_FILENO) >= 0);
    const int rc = client_connect(client, deadline_ms);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    rewind(lines);
    said[fread(said, 1, size - 1, lines)] = '\0';
    fclose(lines);
    return rc;
}

static bool
is_up(struct client *client)
{
    client_lock(client);
    const bool up = client_is_up(client);
    client_unlock(client);
    return up;
}

/* A step, before limit_ms. */
static int
step_before(struct client *client, int64_t limit_ms)
{
    assert_true(clock_steady_ms() < limit_ms);
    return client_step(client);
}

static void
one_that_is_there_is_found_and_its_limits_are_known(void **state)
{
    char said[256];
    struct client *client = new_client();

    (void)state;
    assert_int_equal(client_limits(client).packet_bytes_max, 0);
    assert_int_equal(connect_by(client, 0, said, sizeof said), 0);
    assert_string_equal(said, "");
    assert_true(is_up(client));
    assert_string_equal(broker.filters, "2: one/+");
    assert_int_equal(client_limits(client).packet_bytes_max, 10240);
    assert_int_equal(connect_by(client, 0, said, sizeof said), 0); /* it is connected */
    assert_int_equal(broker.connects, 1);
    client_free(client);
}

static void
its_owner_hears_of_a_connection_before_anything_comes_over_it(void **state)
{
    char said[256];
    struct client *client = new_client();

    (void)state;
    assert_int_equal(connect_by(client, 0, said, sizeof said), 0);
    assert_string_equal(told, "um");
    broker.events.down(broker.events.context, "gone");
    assert_int_equal(connect_by(client, 0, said, sizeof said), 0);
    assert_string_equal(told, "umum");
    client_free(client);
}

static void
one_attempt_is_made_where_the_time_is_up_and_no_second(void **state)
{
    char said[256];
    struct client *client = new_client();

    (void)state;
    broker.refusals = 1000;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(connect_by(client, 0, said, sizeof said), -1);
        assert_int_equal(broker.connects, i);
        assert_non_null(strstr(said, "no connection to the broker: nobody there\n"));
    }
    broker.refusals = 0;
    assert_int_equal(connect_by(client, 0, said, sizeof said), 0);
    broker.events.down(broker.events.context, "gone");
    broker.refusals = 1000;
    assert_false(is_up(client));
    assert_int_equal(connect_by(client, 0, said, sizeof said), -1); /* one was lost, and that was no attempt */
    assert_int_equal(broker.connects, 5);
    client_free(client);
}

static void
one_that_is_to_come_is_waited_for(void **state)
{
    char said[256];
    struct client *client = new_client();

    (void)state;
    broker.refusals = 3;
    assert_int_equal(connect_by(client, clock_steady_ms() + 20000, said, sizeof said), 0);
    assert_int_equal(broker.connects, 4);
    assert_string_equal(said, "");
    client_free(client);
}

static void
it_is_given_up_at_the_deadline(void **state)
{
    char said[256];
    const int64_t start_ms = clock_steady_ms();
    struct client *client = new_client();

    (void)state;
    broker.refusals = 1000;
    assert_int_equal(connect_by(client, start_ms + 300, said, sizeof said), -1);
    assert_in_range(clock_steady_ms() - start_ms, 100, 4000);
    assert_in_range(broker.connects, 3, 6); /* after 20, 40, 80, 160 ms */
    client_free(client);
}

static void
what_is_refused_is_not_tried_again(void **state)
{
    char said[256];
    struct client *client = new_client();

    (void)state;
    broker.denies = true;
    assert_int_equal(connect_by(client, clock_steady_ms() + 20000, said, sizeof said), -1);
    assert_int_equal(broker.connects, 1);
    assert_non_null(strstr(said, "the broker refuses to let us read: denied\n"));
    client_free(client);
}

static void
one_that_never_answers_is_given_up_and_tried_anew(void **state)
{
    char said[256];
    const int64_t start_ms = clock_steady_ms();
    struct client *client = new_client();

    (void)state;
    broker.silent = true;
    assert_int_equal(connect_by(client, 0, said, sizeof said), -1);
    assert_in_range(clock_steady_ms() - start_ms, 4900, 15000);
    assert_non_null(strstr(said, "no connection to the broker: 127.0.0.1:1883: no answer\n"));
    assert_int_equal(broker.disconnects, 1); /* or an answer that comes after all would be taken for one to the next */
    broker.silent = false;
    assert_int_equal(connect_by(client, 0, said, sizeof said), 0);
    client_free(client);
}

static void
it_is_missed_when_two_attempts_were_in_vain(void **state)
{
    char reason[64];
    const int64_t limit_ms = clock_steady_ms() + 20000;
    struct client *client = new_client();

    (void)state;
    broker.refusals = 2;
    assert_int_equal(client_step(client), 0); /* it connects, and the first is refused */
    assert_int_equal(client_step(client), 0);
    assert_false(client_is_missed(client));
    while (broker.connects < 2 || client_due_ms(client) == INT64_MAX)
        step_before(client, limit_ms);
    assert_true(client_is_missed(client));
    client_reason(client, reason, sizeof reason);
    assert_string_equal(reason, "nobody there");
    while (step_before(client, limit_ms) == 0)
        continue;
    assert_false(client_is_missed(client));
    client_free(client);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_there_is_found_and_its_limits_are_known),
        cmocka_unit_test(its_owner_hears_of_a_connection_before_anything_comes_over_it),
        cmocka_unit_test(one_attempt_is_made_where_the_time_is_up_and_no_second),
        cmocka_unit_test(one_that_is_to_come_is_waited_for),
        cmocka_unit_test(it_is_given_up_at_the_deadline),
        cmocka_unit_test(what_is_refused_is_not_tried_again),
        cmocka_unit_test(one_that_never_answers_is_given_up_and_tried_anew),
        cmocka_unit_test(it_is_missed_when_two_attempts_were_in_vain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
