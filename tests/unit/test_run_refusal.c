/* refusal: what is counted and yet to be told outlives the process, and no line shows more than it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"
#include "run/refusal.h"
#include "scratch_dir.h"

#define MAP_BYTES (16u << 20)
#define TIME_MS INT64_C(1700000000000)

static const struct stream rows = {.name = "rows", .topic = "trusted/rows", .kind = STREAM_TABLE};
static const struct stream stream = {
    .name = "core",
    .inputs = {{.name = "landed", .landing = "landing/core"}, {.name = "rows", .from = &rows}},
    .input_count = 2,
};

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static int meta;
static struct ledger ledger;
static struct recent recent;
static struct gather lines;
static struct refusal refusal;
static size_t bytes_max;
static uint64_t waiting_bytes; /* in the sink */
static uint64_t taken_bytes;   /* ever */
static struct buffer given;    /* to the sink, each message with a line end */

static int
take(struct transport *transport, enum sink sink, struct span row, struct span payload, bool retained)
{
    (void)transport;
    (void)retained;
    assert_int_equal(sink, SINK_REJECTED);
    assert_int_equal(row.len, 0);
    waiting_bytes += payload.len;
    taken_bytes += payload.len;
    buffer_add_span(&given, payload);
    buffer_add_byte(&given, '\n');
    return 0;
}

static uint64_t
waiting(struct transport *transport, enum sink sink)
{
    (void)transport;
    assert_int_equal(sink, SINK_REJECTED);
    return waiting_bytes;
}

static uint64_t
taken(struct transport *transport)
{
    (void)transport;
    return taken_bytes;
}

static const struct transport_calls calls = {.append = take, .waiting = waiting, .appended = taken};
static struct transport sink_only = {&calls};

static void
begin(void)
{
    assert_int_equal(store_begin(store), 0);
}

static void
load(void)
{
    begin();
    assert_int_equal(ledger_load(&ledger), 0);
    assert_int_equal(recent_load(&recent), 0);
    assert_int_equal(refusal_load(&refusal), 0);
    store_abort(store);
}

static void
commit(void)
{
    begin();
    assert_int_equal(refusal_flush(&refusal), 0);
    assert_int_equal(store_commit(store), 0);
}

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    meta = store_table(store, "meta");
    assert_int_equal(ledger_open(&ledger, store, "meta", 2), 0);
    assert_int_equal(recent_open(&recent, store, "meta"), 0);
    bytes_max = 1 << 20;
    waiting_bytes = 0;
    lines = (struct gather){.transport = &sink_only, .sink = SINK_REJECTED, .bytes_max = &bytes_max};
    refusal = (struct refusal){.stream = &stream,
                               .store = store,
                               .table = meta,
                               .ledger = &ledger,
                               .recent = &recent,
                               .lines = &lines,
                               .waiting_bytes_max = 1000,
                               .bounded = true,
                               .wall_ms = TIME_MS};
    gather_begin(&lines);
    load();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    refusal_free(&refusal);
    gather_free(&lines);
    buffer_free(&given);
    store_close(store);
    scratch_dir_remove(dir);
    return 0;
}

static void
tell(unsigned input, enum reason reason, const char *payload)
{
    refusal_tell(&refusal, input, (struct fault){reason, NULL}, span_of(payload), false);
}

/* What was told since the last time: of each line what stands between process and time. */
static void
assert_told(const char *expected)
{
    gather_close(&lines);
    assert_string_equal(buffer_text(&given), expected);
    buffer_clear(&given);
}

#define LINE(reason, topic, behind)                                                                                    \
    "{\"process\":\"core\",\"reason\":\"" reason "\"" topic ",\"time\":1700000000000" behind "}"
#define TOPIC(topic) ",\"topic\":\"" topic "\""

static void
a_line_names_the_topic_that_it_came_on(void **state)
{
    (void)state;
    refusal.levels = span_of("site/phone");
    tell(0, REASON_NO_CONSENT, "\"a\":1"); /* which is shown to nobody who did not ask for it */
    tell(1, REASON_EXPIRED, ""); /* one that waited did not come with these levels */
    refusal.levels = (struct span){0};
    refusal_tell(&refusal, 0, (struct fault){REASON_BAD_TYPE, "x"}, (struct span){0}, true);
    assert_told(LINE("no_consent", TOPIC("landing/core/site/phone"), "") "\n"
                LINE("expired", TOPIC("trusted/rows"), "") "\n"
                LINE("bad_type", ",\"field\":\"x\"" TOPIC("landing/core"), "") "\n");
    assert_int_equal(ledger.reasons[REASON_NO_CONSENT], 1);
    assert_int_equal(ledger.reasons[REASON_EXPIRED], 1);
    assert_int_equal(ledger.reasons[REASON_BAD_TYPE], 1);
    assert_int_equal(refusal_untold(&refusal), 0);
}

static void
what_has_no_room_is_counted_and_told_in_sum(void **state)
{
    (void)state;
    waiting_bytes = refusal.waiting_bytes_max;
    tell(0, REASON_NO_CONSENT, "");
    tell(0, REASON_NO_CONSENT, "");
    tell(0, REASON_EXPIRED, "");
    refusal_count(&refusal, 0, (struct fault){REASON_BAD_JSON, NULL});
    assert_int_equal(refusal_untold(&refusal), 4);
    assert_int_equal(ledger.reasons[REASON_NO_CONSENT], 2);
    assert_int_equal(refusal_tell_counted(&refusal), 0);
    assert_told("");
    waiting_bytes--;
    assert_int_equal(refusal_tell_counted(&refusal), 3);
    assert_told(LINE("bad_json", TOPIC("landing/core"), ",\"count\":1") "\n"
                LINE("no_consent", TOPIC("landing/core"), ",\"count\":2") "\n"
                LINE("expired", TOPIC("landing/core"), ",\"count\":1") "\n");
    assert_int_equal(refusal_untold(&refusal), 0);
    assert_int_equal(refusal_tell_counted(&refusal), 0);
    waiting_bytes = 0;
    refusal_count(&refusal, 0, (struct fault){REASON_BAD_JSON, NULL});
    assert_int_equal(refusal_tell_counted(&refusal), 1);
    assert_told(LINE("bad_json", TOPIC("landing/core"), ",\"count\":1") "\n");
    /* Of several topics none is named; and the next ones are of their own again. */
    refusal_count(&refusal, 0, (struct fault){REASON_EXPIRED, NULL});
    refusal_count(&refusal, 1, (struct fault){REASON_EXPIRED, NULL});
    refusal_count(&refusal, 1, (struct fault){REASON_EXPIRED, NULL});
    waiting_bytes = 0;
    assert_int_equal(refusal_tell_counted(&refusal), 1);
    refusal_count(&refusal, 1, (struct fault){REASON_EXPIRED, NULL});
    assert_int_equal(refusal_tell_counted(&refusal), 1);
    assert_told(LINE("expired", "", ",\"count\":3") "\n" LINE("expired", TOPIC("trusted/rows"), ",\"count\":1") "\n");
}

/* What is gathered for the sink takes of its room, too. */
static void
lines_of_this_transaction_take_room(void **state)
{
    unsigned told = 0;

    (void)state;
    for (; refusal_untold(&refusal) == 0; told++) {
        assert_true(told < 100);
        tell(0, REASON_NO_CONSENT, "");
    }
    assert_true(lines.message.len >= refusal.waiting_bytes_max);
    assert_true(lines.message.len < refusal.waiting_bytes_max + 200);
    assert_int_equal(given.len, 0);
}

static void
what_is_counted_outlives_the_process(void **state)
{
    (void)state;
    refusal_count(&refusal, 1, (struct fault){REASON_BAD_JSON, NULL});
    load(); /* after a transaction that failed, */
    assert_int_equal(refusal_untold(&refusal), 0);
    refusal_count(&refusal, 0, (struct fault){REASON_EXPIRED, NULL});
    refusal_count(&refusal, 0, (struct fault){REASON_EXPIRED, NULL});
    commit();
    refusal_count(&refusal, 0, (struct fault){REASON_BAD_JSON, NULL});
    load(); /* and after another one */
    assert_int_equal(refusal_untold(&refusal), 2);
    assert_true(span_is(buffer_span(&refusal.counted_topic), "landing/core"));
    store_close(store);
    store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    meta = refusal.table = store_table(store, "meta");
    assert_int_equal(ledger_open(&ledger, store, "meta", 2), 0);
    assert_int_equal(recent_open(&recent, store, "meta"), 0);
    refusal.store = store;
    memset(refusal.counts, 0, sizeof refusal.counts);
    buffer_clear(&refusal.counted_topic);
    load();
    assert_int_equal(refusal_tell_counted(&refusal), 1);
    assert_told(LINE("expired", TOPIC("landing/core"), ",\"count\":2") "\n");
    commit();
    load();
    assert_int_equal(refusal_untold(&refusal), 0);
}

/* The value at "untold". */
static void
put(const char *value, size_t len)
{
    begin();
    assert_int_equal(store_put(store, meta, span_of("untold"), span_at(value, len)), 0);
    assert_int_equal(store_commit(store), 0);
}

static int
loads(void)
{
    begin();
    const int rc = refusal_load(&refusal);
    store_abort(store);
    return rc;
}

/* A program of before knew fewer reasons, and one of later may know more. */
static void
the_layout_is_as_it_is_said(void **state)
{
    struct span value;
    char fewer[1 + 8 * 3 + 4] = {3};

    (void)state;
    bytes_put_u64(fewer + 1 + 8 * 2, 5);
    memcpy(fewer + 1 + 8 * 3, "a/bc", 4);
    put(fewer, sizeof fewer);
    refusal.counts[3] = 7;
    assert_int_equal(loads(), 0);
    assert_int_equal(refusal.counts[2], 5);
    assert_int_equal(refusal_untold(&refusal), 5);
    assert_true(span_is(buffer_span(&refusal.counted_topic), "a/bc"));
    refusal_count(&refusal, 0, (struct fault){2, NULL});
    commit();
    begin();
    assert_int_equal(store_get(store, meta, span_of("untold"), &value), 1);
    assert_int_equal(value.len, 1 + 8 * REASON_COUNT); /* of two topics none */
    assert_int_equal(value.at[0], REASON_COUNT);
    for (unsigned r = 0; r < REASON_COUNT; r++)
        assert_int_equal(bytes_get_u64(value.at + 1 + 8 * r), r == 2 ? 6 : 0);
    store_abort(store);
}

static void
what_is_no_count_is_damage(void **state)
{
    char value[1 + 8 * (REASON_COUNT + 1)] = {0};

    (void)state;
    log_open("test", LOG_NOTHING);
    put(value, 0);
    assert_int_equal(loads(), -1);
    put(value, sizeof value); /* of no reasons */
    assert_int_equal(loads(), -1);
    value[0] = REASON_COUNT + 1;
    put(value, sizeof value);
    assert_int_equal(loads(), -1);
    value[0] = REASON_COUNT;
    put(value, 8 * REASON_COUNT);
    assert_int_equal(loads(), -1);
    put(value, 1 + 8 * REASON_COUNT);
    assert_int_equal(loads(), 0);
    assert_true(store_is_damaged(store));
}

/* What was refused is shown as far as there is room; what a record is made of as an object, all else as text. */
static void
what_was_refused_is_shown_up_to_a_limit(void **state)
{
    static char long_text[4000];

    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    refusal.with_payload = true;
    tell(0, REASON_NO_CONSENT, "\"a\":1");
    refusal_tell(&refusal, 0, (struct fault){REASON_BAD_JSON, NULL}, span_of("{\"a"), true);
    tell(0, REASON_EXPIRED, "");
    assert_told(LINE("no_consent", TOPIC("landing/core"), ",\"payload\":{\"a\":1}") "\n"
                LINE("bad_json", TOPIC("landing/core"), ",\"payload\":\"{\\\"a\"") "\n"
                LINE("expired", TOPIC("landing/core"), "") "\n");
    const struct {
        size_t bytes_max;
        bool bounded;
        size_t least, most; /* of the line */
    } cases[] = {{300, true, 250, 300}, {2000, true, 1900, 2000}, {1 << 20, false, 900, 1024}, {100, true, 80, 100}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes_max = cases[i].bytes_max;
        refusal.bounded = cases[i].bounded;
        waiting_bytes = 0;
        tell(0, REASON_EXPIRED, long_text);
        gather_close(&lines);
        assert_in_range(given.len - 1, cases[i].least, cases[i].most);
        assert_int_equal(strstr(buffer_text(&given), "xxx\",\"cut\":true}") != NULL, i < 3);
        assert_int_equal(strstr(buffer_text(&given), "payload") != NULL, i < 3);
        buffer_clear(&given);
    }
}

static void
a_line_can_do_without_what_was_refused(void **state)
{
    static const struct {
        const char *line, *without;
    } cases[] = {
        {"{\"topic\":\"a\",\"time\":1,\"payload\":{\"x\":1}}", "{\"topic\":\"a\",\"time\":1"},
        {"{\"topic\":\"a\",\"time\":1,\"payload\":\"x\",\"cut\":true}", "{\"topic\":\"a\",\"time\":1"},
        {"{\"topic\":\"a\",\"time\":1}", "{\"topic\":\"a\",\"time\":1"},
        /* A topic can't look like it, and what was refused may. */
        {"{\"topic\":\"\\\",\\\"payload\\\":\",\"time\":1,\"payload\":\",\\\"payload\\\":\"}",
         "{\"topic\":\"\\\",\\\"payload\\\":\",\"time\":1"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(span_is(refusal_without_payload(span_of(cases[i].line)), cases[i].without));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_names_the_topic_that_it_came_on),
        TEST(what_has_no_room_is_counted_and_told_in_sum),
        TEST(lines_of_this_transaction_take_room),
        TEST(what_is_counted_outlives_the_process),
        TEST(the_layout_is_as_it_is_said),
        TEST(what_is_no_count_is_damage),
        TEST(what_was_refused_is_shown_up_to_a_limit),
        TEST(a_line_can_do_without_what_was_refused),
    };

    log_open("test", LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
