/* gather: records leave together, as many as fit, and a row by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run/gather.h"

/* A sink: what it is given, "SINK [row ]payload" or "SINK! …" if it is retained, each with a line end. */
static struct buffer given;
static unsigned takes; /* so many; then it refuses them */
static uint64_t taken_bytes;

static int
take(struct transport *transport, enum sink sink, struct span row, struct span payload, bool retained)
{
    (void)transport;
    if (takes-- == 0)
        return -1;
    buffer_printf(&given, "%d%s %.*s%s%.*s;", sink, retained ? "!" : "", (int)row.len, row.at, row.len > 0 ? " " : "",
                  (int)payload.len, payload.at);
    taken_bytes += payload.len;
    return 0;
}

static uint64_t
taken(struct transport *transport)
{
    (void)transport;
    return taken_bytes;
}

static const struct transport_calls calls = {.append = take, .appended = taken};
static struct transport sink_only = {&calls};
static size_t bytes_max;
static struct gather gather;

static int
set_up(void **state)
{
    (void)state;
    bytes_max = 1000;
    takes = UINT32_MAX;
    gather = (struct gather){.transport = &sink_only, .sink = SINK_OUTPUT, .bytes_max = &bytes_max};
    gather_begin(&gather);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    gather_free(&gather);
    buffer_free(&given);
    return 0;
}

static void
assert_given(const char *expected)
{
    assert_string_equal(buffer_text(&given), expected);
    buffer_clear(&given);
}

static void
record(const char *body)
{
    gather_record(&gather, span_of(body));
}

static void
records_of_a_transaction_leave_together(void **state)
{
    (void)state;
    gather_close(&gather);
    assert_given(""); /* there was none */
    record("\"a\":1");
    record("\"b\":2");
    assert_given("");
    gather_close(&gather);
    assert_given("0 {\"a\":1}\n{\"b\":2};");
    gather_close(&gather);
    assert_given("");
    assert_false(gather.failed);
}

/* With its braces and the line end before it a record fills a message to the byte, and no further. */
static void
a_message_is_as_long_as_it_may_be(void **state)
{
    (void)state;
    bytes_max = sizeof "{123}\n{456}" - 1;
    record("123");
    record("456");
    record("7");
    assert_given("0 {123}\n{456};");
    gather_close(&gather);
    assert_given("0 {7};");
    record("123");
    record("4567");
    assert_given("0 {123};");
    gather_close(&gather);
    assert_given("0 {4567};");
    /* One that does not fit at all goes by itself; and what fits may change between two. */
    record("12345678901234567890");
    record("1");
    assert_given("0 {12345678901234567890};");
    bytes_max = 1;
    record("2");
    assert_given("0 {1};");
    gather_close(&gather);
    assert_given("0 {2};");
}

static void
a_row_is_a_message_by_itself(void **state)
{
    (void)state;
    gather_row(&gather, span_of("r1"), span_of("\"a\":1"));
    gather_row(&gather, span_of("r2"), span_of("\"b\":2"));
    assert_given("0 r1 {\"a\":1};0 r2 {\"b\":2};");
    gather_close(&gather);
    assert_given("");
}

static void
messages_go_to_their_sink_as_they_are_to_be_kept(void **state)
{
    (void)state;
    gather.sink = SINK_REJECTED;
    gather.retained = true;
    record("1");
    gather_close(&gather);
    assert_given("1! {1};");
}

/* What the sink does not take fails the transaction, whatever comes behind it; the next one begins with nothing. */
static void
a_sink_that_refuses_is_remembered_until_the_next_transaction(void **state)
{
    (void)state;
    bytes_max = 1;
    takes = 0;
    record("1");
    assert_false(gather.failed);
    record("2");
    assert_true(gather.failed);
    gather_close(&gather);
    assert_true(gather.failed);
    assert_given("0 {2};");
    gather_begin(&gather);
    assert_false(gather.failed);
    takes = 0;
    gather_row(&gather, span_of("r"), span_of("3"));
    assert_true(gather.failed);
    gather_begin(&gather);
    takes = UINT32_MAX;
    record("4"); /* the transaction is given up */
    gather_begin(&gather);
    record("5");
    gather_close(&gather);
    assert_given("0 {5};");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_of_a_transaction_leave_together),
        TEST(a_message_is_as_long_as_it_may_be),
        TEST(a_row_is_a_message_by_itself),
        TEST(messages_go_to_their_sink_as_they_are_to_be_kept),
        TEST(a_sink_that_refuses_is_remembered_until_the_next_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
