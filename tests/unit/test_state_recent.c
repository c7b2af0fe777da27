/* recent: the newest refusals, and no more than these, in memory and in the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "state/recent.h"
#include "scratch_dir.h"

#define MAP_BYTES (16u << 20)

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static struct recent recent;

static void
assert_written(const char *expected)
{
    struct buffer text = {0};

    recent_write(&recent, &text);
    assert_string_equal(buffer_text(&text), expected);
    buffer_free(&text);
}

static void
note(enum reason reason, const char *field, const char *topic, int64_t time_ms)
{
    const struct fault fault = {reason, field};

    recent_note(&recent, &fault, span_of(topic), time_ms);
}

static void
open_all(void)
{
    assert_non_null(store = store_open(dir, MAP_BYTES));
    assert_int_equal(recent_open(&recent, store, "meta"), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(recent_load(&recent), 0);
}

static int
begin(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    open_all();
    return 0;
}

static int
end(void **state)
{
    (void)state;
    store_close(store);
    scratch_dir_remove(dir);
    return 0;
}

static void
reopen(void)
{
    assert_int_equal(recent_flush(&recent), 0);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
    open_all();
}

static void
there_is_nothing_at_first(void **state)
{
    (void)state;
    assert_written("{}");
    reopen();
    assert_written("{}");
}

static void
the_newest_come_first_and_older_ones_go(void **state)
{
    static const char all[] =
        "{\"missing_field\":[{\"topic\":\"t\",\"time\":9},{\"field\":\"f8\",\"topic\":\"t\",\"time\":8},"
        "{\"field\":\"f7\",\"topic\":\"t\",\"time\":7},{\"field\":\"f6\",\"topic\":\"t\",\"time\":6}],"
        "\"hold_full\":[{\"topic\":\"a/\\\"\\\\/\xc3\xa9\",\"time\":-1}]}";
    char field[8];

    (void)state;
    for (int i = 1; i <= 9; i++) {
        snprintf(field, sizeof field, "f%d", i);
        note(REASON_MISSING_FIELD, i == 9 ? NULL : field, "t", i);
        if (i == 3)
            reopen();
    }
    note(REASON_HOLD_FULL, NULL, "a/\"\\/\xc3\xa9", -1);
    assert_written(all);
    reopen();
    assert_written(all);
    /* Another one drives out the oldest, wherever the ring began. */
    note(REASON_MISSING_FIELD, "g", "u", 10);
    reopen();
    assert_written("{\"missing_field\":[{\"field\":\"g\",\"topic\":\"u\",\"time\":10},{\"topic\":\"t\",\"time\":9},"
                   "{\"field\":\"f8\",\"topic\":\"t\",\"time\":8},{\"field\":\"f7\",\"topic\":\"t\",\"time\":7}],"
                   "\"hold_full\":[{\"topic\":\"a/\\\"\\\\/\xc3\xa9\",\"time\":-1}]}");
}

static void
what_was_noted_in_an_aborted_transaction_is_forgotten(void **state)
{
    (void)state;
    note(REASON_BAD_JSON, NULL, "t", 1);
    reopen();
    note(REASON_BAD_JSON, NULL, "u", 2);
    note(REASON_EXPIRED, NULL, "u", 2);
    assert_int_equal(recent_flush(&recent), 0);
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(recent_load(&recent), 0);
    assert_written("{\"bad_json\":[{\"topic\":\"t\",\"time\":1}]}");
    reopen();
    assert_written("{\"bad_json\":[{\"topic\":\"t\",\"time\":1}]}");
}

static void
names_and_topics_may_have_their_full_size(void **state)
{
    char field[RECENT_FIELD_BYTES_MAX + 1], topic[RECENT_TOPIC_BYTES_MAX + 1];
    struct buffer expected = {0};

    (void)state;
    snprintf(field, sizeof field, "%0*d", RECENT_FIELD_BYTES_MAX, 0);
    snprintf(topic, sizeof topic, "%0*d", RECENT_TOPIC_BYTES_MAX, 0);
    for (int i = 0; i < RECENT_MAX; i++)
        note(REASON_BAD_TYPE, field, topic, INT64_MAX);
    buffer_add_text(&expected, "{\"bad_type\":[");
    for (int i = 0; i < RECENT_MAX; i++)
        buffer_printf(&expected, "%s{\"field\":\"%s\",\"topic\":\"%s\",\"time\":9223372036854775807}", i > 0 ? "," : "",
                      field, topic);
    buffer_add_text(&expected, "]}");
    reopen();
    assert_written(buffer_text(&expected));
    buffer_free(&expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_is_nothing_at_first),
        TEST(the_newest_come_first_and_older_ones_go),
        TEST(what_was_noted_in_an_aborted_transaction_is_forgotten),
        TEST(names_and_topics_may_have_their_full_size),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
