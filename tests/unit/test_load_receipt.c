/* receipt: what a process says of a message's records, whoever sent it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/buffer.h"
#include "load/receipt.h"

static struct receipt
read(const char *text)
{
    struct receipt receipt;

    assert_int_equal(receipt_read(span_of(text), &receipt), 0);
    return receipt;
}

static void
expect_words(const char *reason, const char *field, const char *want)
{
    struct receipt_fault fault = {0};
    char text[RECEIPT_TEXT_BYTES];

    snprintf(fault.reason, sizeof fault.reason, "%s", reason);
    snprintf(fault.field, sizeof fault.field, "%s", field);
    receipt_describe(&fault, text);
    assert_string_equal(text, want);
}

static void
counts_are_read(void **state)
{
    struct receipt receipt = read("{\"taken\":64,\"duplicate\":3,\"invalid\":0}");

    (void)state;
    assert_int_equal(receipt.taken, 64);
    assert_int_equal(receipt.duplicate, 3);
    assert_int_equal(receipt.invalid, 0);
    assert_int_equal(receipt.fault_count, 0);
    assert_int_equal(receipt.stale, 0); /* of a process of before */
    receipt = read("{\"taken\":9,\"passed\":1,\"waiting\":1,\"refused\":2,\"duplicate\":1,\"stale\":3,\"invalid\":1,"
                   "\"ahead\":7}");
    assert_int_equal(receipt.taken, 9);
    assert_int_equal(receipt.refused, 2);
    assert_int_equal(receipt.stale, 3);
    assert_int_equal(receipt.ahead, 7);
    receipt = read("{\"taken\":1,\"duplicate\":0,\"invalid\":0,\"stale\":-1,\"ahead\":\"7\"}");
    assert_int_equal(receipt.stale, 0);
    assert_int_equal(receipt.ahead, 0);
}

static void
faults_are_read(void **state)
{
    struct receipt receipt = read("{\"taken\":64,\"duplicate\":0,\"invalid\":2,\"faults\":["
                                  "{\"record\":7,\"reason\":\"missing_field\",\"field\":\"email\"},"
                                  "{\"record\":63,\"reason\":\"bad_json\"}]}");

    (void)state;
    assert_int_equal(receipt.fault_count, 2);
    assert_int_equal(receipt.faults[0].record, 7);
    assert_string_equal(receipt.faults[0].reason, "missing_field");
    assert_string_equal(receipt.faults[0].field, "email");
    assert_int_equal(receipt.faults[1].record, 63);
    assert_string_equal(receipt.faults[1].reason, "bad_json");
    assert_string_equal(receipt.faults[1].field, "");
}

static void
more_faults_than_there_may_be_and_strange_ones_do_no_harm(void **state)
{
    struct buffer text = {0};

    (void)state;
    buffer_add_text(&text, "{\"taken\":9,\"duplicate\":0,\"invalid\":9,\"faults\":[{},7,{\"record\":-1,\"reason\":\"x\"}");
    for (int i = 0; i < 20; i++)
        buffer_printf(&text, ",{\"record\":%d,\"reason\":\"bad\\u001b[2J\",\"field\":\"somebody@example.org\"}", i);
    buffer_add_text(&text, "]}");
    struct receipt receipt = read(buffer_text(&text));
    assert_int_equal(receipt.fault_count, RECEIPT_FAULTS_MAX);
    assert_int_equal(receipt.faults[0].record, 0);
    assert_string_equal(receipt.faults[0].reason, ""); /* nothing that is no word reaches a terminal */
    assert_string_equal(receipt.faults[0].field, "");
    buffer_free(&text);
}

static void
what_is_no_receipt_is_none(void **state)
{
    static const char *const texts[] = {
        "", "7", "[]", "{}", "{\"taken\":1}", "{\"taken\":1,\"duplicate\":0}",
        "{\"taken\":-1,\"duplicate\":0,\"invalid\":0}", "{\"taken\":1,\"duplicate\":0,\"invalid\":\"0\"}",
        "{\"taken\":1,\"duplicate\":0,\"invalid\":0} {}",
    };
    struct receipt receipt;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(receipt_read(span_of(texts[i]), &receipt), -1);
}

static void
a_fault_is_said_in_words(void **state)
{
    (void)state;
    expect_words("missing_field", "email", "missing_field: email is missing");
    expect_words("bad_type", "x", "bad_type: x has another type than it must");
    expect_words("bad_type", "withdrawAll", "bad_type: withdrawAll must be true or false");
    expect_words("out_of_range", "timestamp", "out_of_range: timestamp is out of range");
    expect_words("out_of_range", "withdrawAll",
                 "out_of_range: withdrawAll stands beside shareWithResearchAsOfDate: leave one of them out");
    expect_words("bad_json", "", "bad_json: no JSON object");
    expect_words("of_tomorrow", "x", "of_tomorrow: x is refused");
    expect_words("of_tomorrow", "", "of_tomorrow: refused");
    expect_words("", "", "invalid: refused");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_read),
        cmocka_unit_test(faults_are_read),
        cmocka_unit_test(more_faults_than_there_may_be_and_strange_ones_do_no_harm),
        cmocka_unit_test(what_is_no_receipt_is_none),
        cmocka_unit_test(a_fault_is_said_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
