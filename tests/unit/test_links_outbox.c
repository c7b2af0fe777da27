/* outbox: what was decided stays until it is trimmed, under its number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/name.h"
#include "links/outbox.h"
#include "scratch_dir.h"

#define MAP_BYTES (16u << 20)

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static struct outbox outbox;

static void
open_outbox(void)
{
    store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(outbox_open(&outbox, store, "outbox"), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(outbox_load(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
}

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    open_outbox();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    store_close(store);
    scratch_dir_remove(dir);
    return 0;
}

static void
reopen(void)
{
    store_close(store);
    open_outbox();
}

static void
begin(void)
{
    assert_int_equal(store_begin(store), 0);
}

static void
commit(void)
{
    assert_int_equal(outbox_flush(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
}

static void
append(const char *row, const char *payload)
{
    assert_int_equal(outbox_append(&outbox, span_of(row), span_of(payload)), 0);
}

/* Messages from first to last, each with its number as payload. */
static void
append_numbers(uint64_t first, uint64_t last)
{
    char text[24];

    for (uint64_t i = first; i <= last; i++) {
        snprintf(text, sizeof text, "%" PRIu64, i);
        append("", text);
    }
}

static void
expect(uint64_t asked, uint64_t sequence, const char *row, const char *payload)
{
    struct outbox_message message;

    assert_int_equal(outbox_read(&outbox, asked, &message), 1);
    assert_int_equal(message.mark.sequence, sequence);
    assert_true(span_is(message.row, row));
    assert_true(span_is(message.payload, payload));
}

static void
expect_none(uint64_t asked)
{
    struct outbox_message message;

    assert_int_equal(outbox_read(&outbox, asked, &message), 0);
}

static void
an_empty_outbox_has_nothing(void **state)
{
    (void)state;
    begin();
    expect_none(0);
    expect_none(1);
    assert_int_equal(outbox_trim(&outbox, 0, 10), 0);
    assert_int_equal(outbox_bytes(&outbox), 0);
    commit();
}

static void
messages_are_read_by_number_with_their_rows(void **state)
{
    char longest[NAME_BYTES_MAX + 1];

    (void)state;
    memset(longest, 'r', NAME_BYTES_MAX);
    longest[NAME_BYTES_MAX] = '\0';
    begin();
    append("", "one");
    append(longest, "two");
    append("row", "");
    expect(1, 1, "", "one"); /* in the same transaction */
    commit();
    assert_int_equal(store_snapshot(store), 0);
    expect(0, 1, "", "one"); /* the head, under 0, is no message */
    expect(2, 2, longest, "two");
    expect(3, 3, "row", "");
    expect_none(4);
    store_snapshot_end(store);
}

static void
numbers_go_on_after_a_reload_even_if_all_is_trimmed(void **state)
{
    (void)state;
    begin();
    append_numbers(1, 3);
    commit();
    reopen();
    assert_int_equal(outbox.last.sequence, 3);
    begin();
    expect(3, 3, "", "3");
    append_numbers(4, 4);
    assert_int_equal(outbox_trim(&outbox, 4, 10), 4);
    commit();
    reopen();
    assert_int_equal(outbox.last.sequence, 4);
    assert_int_equal(outbox.trimmed.sequence, 4);
    assert_int_equal(outbox_bytes(&outbox), 0);
    begin();
    expect_none(1);
    append_numbers(5, 5);
    expect(1, 5, "", "5"); /* the oldest there is */
    commit();
}

static void
trimming_keeps_to_its_budget_and_its_limit(void **state)
{
    (void)state;
    begin();
    append_numbers(1, 10);
    assert_int_equal(outbox_trim(&outbox, 7, 3), 3);
    expect(1, 4, "", "4");
    assert_int_equal(outbox_trim(&outbox, 7, 100), 4);
    assert_int_equal(outbox_trim(&outbox, 7, 100), 0);
    assert_int_equal(outbox_trim(&outbox, 2, 100), 0);
    expect(1, 8, "", "8");
    commit();
    assert_int_equal(outbox.trimmed.sequence, 7);
}

static void
bytes_are_those_of_the_messages_in_it(void **state)
{
    const size_t head = 9;
    struct outbox_message message;

    (void)state;
    begin();
    append("", "12345");
    append("row", "1234567");
    assert_int_equal(outbox_bytes(&outbox), head + 5 + head + 3 + 7);
    assert_int_equal(outbox_read(&outbox, 1, &message), 1);
    assert_int_equal(message.mark.end, head + 5);
    assert_int_equal(outbox_read(&outbox, 2, &message), 1);
    assert_int_equal(message.mark.end, outbox.last.end);
    assert_int_equal(outbox_trim(&outbox, 1, 1), 1);
    assert_int_equal(outbox_bytes(&outbox), head + 3 + 7);
    commit();
    reopen();
    assert_int_equal(outbox_bytes(&outbox), head + 3 + 7);
    assert_int_equal(outbox.last.end, head + 5 + head + 3 + 7);
}

static void
an_aborted_transaction_leaves_nothing(void **state)
{
    (void)state;
    begin();
    append_numbers(1, 5);
    commit();
    begin();
    append_numbers(6, 9);
    assert_int_equal(outbox_trim(&outbox, 3, 100), 3);
    assert_int_equal(outbox_flush(&outbox), 0);
    store_abort(store);
    begin();
    assert_int_equal(outbox_load(&outbox), 0);
    assert_int_equal(outbox.last.sequence, 5);
    assert_int_equal(outbox.trimmed.sequence, 0);
    expect(1, 1, "", "1");
    expect_none(6);
    append("", "another six");
    commit();
    reopen();
    begin();
    expect(6, 6, "", "another six");
    commit();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_outbox_has_nothing),
        TEST(messages_are_read_by_number_with_their_rows),
        TEST(numbers_go_on_after_a_reload_even_if_all_is_trimmed),
        TEST(trimming_keeps_to_its_budget_and_its_limit),
        TEST(bytes_are_those_of_the_messages_in_it),
        TEST(an_aborted_transaction_leaves_nothing),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
