/* batch: what becomes of what arrived, and who is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/name.h"
#include "disk.h"
#include "memory_process.h"
#include "state/hold.h"
#include "state/start.h"

#define LANDING "gait/landing/accelerometer"
#define REJECTED "gait/rejected/accelerometer-trusted"
#define READING(user, time) "{\"user\":\"" user "\",\"timestamp\":" time ",\"x\":1.0,\"y\":-0.5,\"z\":0}"

/* How a receipt begins. */
#define COUNTS(taken, passed, waiting, refused, duplicate, stale, invalid)                                             \
    "{\"taken\":" #taken ",\"passed\":" #passed ",\"waiting\":" #waiting ",\"refused\":" #refused                       \
    ",\"duplicate\":" #duplicate ",\"stale\":" #stale ",\"invalid\":" #invalid

static const struct setting no_hold[] = {{"accelerometer-trusted", "hold", "0"}, {0}};

/* Of the readings that came in. */
static uint64_t
verdicts(enum verdict verdict)
{
    return inside_ledger(bench.process)->inputs[0].verdicts[verdict];
}

static void
assert_heard(const char *topic, unsigned back, const char *payload)
{
    const struct heard *heard = bench_heard(topic, back);

    if (heard == NULL)
        fail_msg("nothing came to %s", topic);
    assert_string_equal(heard->payload, payload);
}

/* The newest rejected message speaks of this, and of nothing else. */
static void
assert_rejected(const char *reason, const char *field, const char *topic)
{
    struct buffer text = {0};

    buffer_printf(&text, "{\"process\":\"accelerometer-trusted\",\"reason\":\"%s\"", reason);
    if (field != NULL)
        buffer_printf(&text, ",\"field\":\"%s\"", field);
    buffer_printf(&text, ",\"topic\":\"%s\",\"time\":%" PRId64 "}", topic, bench.wall_ms);
    assert_heard(REJECTED, 0, buffer_text(&text));
    buffer_free(&text);
}

static bool
metrics_hold(const char *text)
{
    struct buffer metrics = {0};

    inside_metrics(bench.process, &metrics);
    const bool holds = strstr(buffer_text(&metrics), text) != NULL;
    buffer_free(&metrics);
    return holds;
}

static void
every_reason_is_counted_and_said_with_its_field_and_topic(void **state)
{
    char too_large[2048];

    (void)state;
    snprintf(too_large, sizeof too_large, "{\"user\":\"%01500d\"}", 0);
    const struct {
        const char *payload;
        enum reason reason;
        const char *field;
    } cases[] = {
        {"{\"user\":", REASON_BAD_JSON, "user"},
        {"[1]", REASON_BAD_JSON, NULL},
        {"{\"user\":\"a\",\"timestamp\":1600000000000,\"x\":1}", REASON_MISSING_FIELD, "y"},
        {READING("a", "\"1600000000000\""), REASON_BAD_TYPE, "timestamp"},
        {READING("a", "99999999999999999"), REASON_OUT_OF_RANGE, "timestamp"},
        {too_large, REASON_TOO_LARGE, "user"},
        {READING("nobody@example.org", "1600000000000"), REASON_NO_CONSENT, NULL},
    };
    uint64_t invalid = 0;
    bench_open_process(&accelerometer_trusted, no_hold);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t before = inside_ledger(bench.process)->reasons[cases[i].reason];
        bench.wall_ms += 1000;
        bench_send(LANDING "/site-3/phone-17", cases[i].payload, NULL, NULL);
        bench_settle();
        assert_rejected(reason_word(cases[i].reason), cases[i].field, "landing/accelerometer/site-3/phone-17");
        assert_int_equal(inside_ledger(bench.process)->reasons[cases[i].reason], before + 1);
        invalid += cases[i].reason != REASON_NO_CONSENT;
        assert_int_equal(verdicts(VERDICT_INVALID), invalid);
        assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, i + 1);
    }
    assert_int_equal(verdicts(VERDICT_REFUSED), 1);
    assert_null(bench_heard("gait/trusted/accelerometer", 0));
}

/* Reasons that come later than the record, when its sender's levels are not known any more. */
static void
what_waited_is_refused_with_its_landing_topic(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "hold", "1s"}, {0}};

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    bench_send(LANDING "/phone-17", READING("late@example.org", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_WAITING), 1);
    assert_null(bench_heard(REJECTED, 0));
    bench.wall_ms += 2000;
    bench.steady_ms += 2000; /* it is this one that things grow older by */
    bench_settle();
    assert_rejected("expired", NULL, "landing/accelerometer");
    assert_int_equal(verdicts(VERDICT_WAITING), 0);
    assert_int_equal(verdicts(VERDICT_REFUSED), 1);
}

static void
what_there_is_no_room_for_is_refused(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "hold_bytes", "0"}, {0}};

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    bench_send(LANDING, READING("late@example.org", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_rejected("hold_full", NULL, "landing/accelerometer");
    assert_int_equal(verdicts(VERDICT_REFUSED), 1);
}

static void
bug_273_the_newest_refusal_stays_at_the_broker_unless_it_shows_records(void **state)
{
    static const struct setting shown[] = {{"accelerometer-trusted", "rejected_payload", "on"}, {0}};

    (void)state;
    bench_open_process(&accelerometer_trusted, no_hold);
    bench_send(LANDING, "{}", NULL, NULL);
    bench_settle();
    assert_true(bench_heard(REJECTED, 0)->retained);
    bench_close_process();
    bench_open_process(&accelerometer_trusted, shown);
    bench_send(LANDING, "{\"user\":\"eve@example.org\"}", NULL, NULL);
    bench_settle();
    assert_non_null(strstr(bench_heard(REJECTED, 0)->payload, "eve@"));
    assert_false(bench_heard(REJECTED, 0)->retained);
    /* What was not sent yet when the setting changed shows a record all the same. */
    bench.withheld = REJECTED;
    bench_send(LANDING, "{\"user\":\"mallory@example.org\"}", NULL, NULL);
    bench_settle();
    bench_close_process();
    bench.withheld = NULL;
    bench_forget();
    bench_open_process(&accelerometer_trusted, no_hold);
    bench_settle();
    assert_non_null(strstr(bench_heard(REJECTED, 0)->payload, "mallory@"));
    assert_false(bench_heard(REJECTED, 0)->retained);
}

static void
a_receipt_counts_what_became_of_each_record(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_send(LANDING, READING("a", "1600000000000"), NULL, "nobody asks");
    bench_settle();
    bench_send(LANDING, READING("a", "1600000000000") READING("b", "1600000000000"), "gait/receipt/me", "id 1");
    bench_settle();
    assert_heard("gait/receipt/me", 0, COUNTS(2, 0, 1, 0, 1, 0, 0) "}");
    assert_string_equal(bench_heard("gait/receipt/me", 0)->correlation, "id 1");
    assert_false(bench_heard("gait/receipt/me", 0)->retained);
    assert_null(bench_heard("gait/receipt/me", 1));
}

/* Of those that go out within a second one is to be acknowledged: if the broker's ACL denies them, that is how we know. */
static void
receipts_are_sent_at_most_once_but_for_one_now_and_then(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    for (unsigned second = 0; second < 3; second++) {
        bench_forget();
        for (unsigned i = 0; i < 4; i++)
            bench_send(LANDING, "{}", "gait/receipt/me", NULL);
        bench_settle();
        for (unsigned i = 0; i < 4; i++) {
            const struct heard *receipt = bench_heard("gait/receipt/me", 3 - i);
            assert_int_equal(receipt->delivery, i == 0 ? WIRE_AT_LEAST_ONCE : WIRE_AT_MOST_ONCE);
        }
        bench.steady_ms += inside_numbers.receipt_tried_ms;
    }
}

static void
bug_274_a_receipt_says_which_records_are_invalid_and_why(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_send(LANDING, READING("a", "1600000000000") "\n{}\n" READING("b", "1600000000000") "\n{\"user\":1}\n x\n",
               "gait/receipt/me", NULL);
    bench_settle();
    assert_heard("gait/receipt/me", 0,
                 COUNTS(5, 0, 2, 0, 0, 0, 3) ",\"faults\":["
                 "{\"record\":1,\"reason\":\"missing_field\",\"field\":\"user\"},"
                 "{\"record\":3,\"reason\":\"bad_type\",\"field\":\"user\"},"
                 "{\"record\":4,\"reason\":\"bad_json\"}]}");
    /* The next one knows nothing of it; and of many the first eight. */
    bench_send(LANDING, "{}{}{}{}{}{}{}{}{}{}", "gait/receipt/me", NULL);
    bench_send(LANDING, "{", "gait/receipt/you", NULL);
    bench_settle();
    const char *faults = strstr(bench_heard("gait/receipt/me", 0)->payload, ",\"faults\":[{\"record\":0,");
    assert_non_null(faults);
    assert_non_null(strstr(faults, "{\"record\":7,\"reason\":\"missing_field\",\"field\":\"user\"}]}"));
    assert_null(strstr(faults, "\"record\":8"));
    assert_heard("gait/receipt/you", 0,
                 COUNTS(1, 0, 0, 0, 0, 0, 1) ",\"faults\":[{\"record\":0,\"reason\":\"bad_json\"}]}");
}

/* The customer s of a, of this date; consenting since then, or not at all (0). */
static const char *
customer(int64_t updated_ms, int64_t as_of_ms)
{
    static char text[512];
    int len = snprintf(text, sizeof text,
                       "{\"customerName\":\"A\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1\","
                       "\"serialNumber\":\"s\",\"registrationDate\":5,\"lastUpdateDate\":%" PRId64, updated_ms);

    if (as_of_ms > 0)
        len += snprintf(text + len, sizeof text - (size_t)len, ",\"shareWithResearchAsOfDate\":%" PRId64, as_of_ms);
    snprintf(text + len, sizeof text - (size_t)len, "}");
    return text;
}

static const char *
receipt_for(const char *payload)
{
    bench_send("gait/landing/customer", payload, "gait/receipt/website", NULL);
    bench_settle();
    return bench_heard("gait/receipt/website", 0)->payload;
}

/* Its rows of before may be of who has left. */
static void
a_restored_state_decides_nothing_before_its_rows_have_come(void **state)
{
    static const char reading[] = "{\"sensorReadingTime\":1600000000000,\"serialNumber\":\"s\",\"distanceFromObject\":1}";
    const struct wire_message row = {
        .topic = span_of("gait/link/customer-curated/step-trainer-trusted/feed/abc"),
        .payload = span_of("{\"withdrawn\":5}"),
        .epoch = 7,
        .sequence = 4,
    };
    char mark[SCRATCH_DIR_SIZE + 64];
    struct buffer metrics = {0};

    (void)state;
    bench_open_process(&step_trainer_trusted, NULL);
    bench_close_process();
    snprintf(mark, sizeof mark, "%s/state/step-trainer-trusted/" HOLD_RESTORED, bench.dir);
    assert_int_equal(file_replace(mark, ""), 0);
    for (unsigned start = 0; start < 2; start++) {
        bench_open_process(&step_trainer_trusted, NULL);
        assert_int_not_equal(access(mark, F_OK), 0);
        bench_send("gait/landing/step_trainer", reading, "gait/receipt/x", NULL);
        bench_settle();
        assert_null(bench_heard("gait/receipt/x", 0));
        inside_metrics(bench.process, &metrics);
        assert_non_null(
            strstr(buffer_text(&metrics), "nothing is decided before customer-curated has sent all its rows again"));
        if (start == 0)
            bench_close_process(); /* what it awaits is remembered */
    }
    memory_route(&bench.broker, &row); /* not before it is told where they end */
    bench_settle();
    assert_null(bench_heard("gait/receipt/x", 0));
    bench_send("gait/link/customer-curated/step-trainer-trusted/oldest",
               "{\"epoch\":\"0000000000000007\",\"applied\":3,\"rewind\":0,\"until\":4}", NULL, NULL);
    bench_settle();
    assert_null(bench_heard("gait/receipt/x", 0));
    memory_route(&bench.broker, &row);
    bench_settle();
    assert_non_null(bench_heard("gait/receipt/x", 0));
    buffer_clear(&metrics);
    inside_metrics(bench.process, &metrics);
    assert_null(strstr(buffer_text(&metrics), "has sent all its rows"));
    buffer_free(&metrics);
}

/* A website that gets stale for a withdrawal knows, and whose clock is ahead too. */
static void
bug_324_a_receipt_says_the_verdict_and_what_is_dated_ahead(void **state)
{
    const int64_t now_ms = bench.wall_ms;

    (void)state;
    bench_open_process(&customer_trusted, NULL);
    assert_string_equal(receipt_for(customer(now_ms - 1000, 0)), COUNTS(1, 0, 0, 1, 0, 0, 0) "}");
    assert_string_equal(receipt_for(customer(now_ms, now_ms)), COUNTS(1, 1, 0, 0, 0, 0, 0) "}");
    assert_string_equal(receipt_for(customer(now_ms - 500, 0)), COUNTS(1, 0, 0, 0, 0, 1, 0) "}");
    assert_string_equal(receipt_for(customer(now_ms + 1, now_ms)), COUNTS(1, 1, 0, 0, 0, 0, 0) ",\"ahead\":1}");
    assert_string_equal(receipt_for(customer(now_ms + 1, now_ms)), COUNTS(1, 0, 0, 0, 1, 0, 0) ",\"ahead\":1}");
    assert_string_equal(receipt_for(customer(now_ms - 500, 0)), COUNTS(1, 1, 0, 0, 0, 0, 0) "}");
    assert_string_equal(receipt_for(customer(now_ms - 500, 0)), COUNTS(1, 0, 0, 0, 1, 0, 0) "}");
    assert_string_equal(receipt_for(customer(now_ms - 400, 0)), COUNTS(1, 0, 0, 0, 0, 1, 0) "}");
    assert_string_equal(receipt_for(customer(now_ms + 2, now_ms + 5000)), COUNTS(1, 0, 1, 0, 0, 0, 0) ",\"ahead\":1}");
    assert_string_equal(receipt_for("{}"),
                        COUNTS(1, 0, 0, 0, 0, 0, 1)
                        ",\"faults\":[{\"record\":0,\"reason\":\"missing_field\",\"field\":\"customerName\"}]}");
    /* Nothing else comes, and the row goes out when its date has come. */
    const unsigned before = bench.heard_count;
    bench.wall_ms += 5000;
    bench.steady_ms += 5000;
    bench_settle();
    assert_true(bench.heard_count > before);
    assert_int_equal(verdicts(VERDICT_WAITING), 0);
}

/* Send 200 readings, of which the process has worked some. */
static void
begin_a_payload(struct buffer *payload)
{
    for (unsigned i = 0; i < 200; i++)
        buffer_printf(payload, "%s\n", i % 4 == 3 ? "{}" : READING("a", "1600000000000"));
    bench_open_process(&accelerometer_trusted, no_hold);
    *inside_limits(bench.process).batch_records = 7;
    bench_send(LANDING, buffer_text(payload), "gait/receipt/me", NULL);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(inside_work(bench.process, inside_timekeeper(bench.process)->now_ms, true), 1);
    assert_null(bench_heard("gait/receipt/me", 0));
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 35);
}

/* Begun in transactions of before, perhaps by a version that kept fewer counts: all of it is in the receipt. */
static void
a_receipt_counts_what_was_worked_before_a_restart(void **state)
{
    static const char *const receipts[] = {COUNTS(200, 0, 0, 1, 149, 0, 50), COUNTS(200, 1, 0, 0, 149, 0, 50)};

    (void)state;
    for (unsigned of_before = 0; of_before < 2; of_before++) {
        struct buffer payload = {0};
        char value[256];
        struct span place;
        begin_a_payload(&payload);
        struct store *store = inside_store(bench.process);
        const int meta = inside_meta(bench.process);
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(store_get(store, meta, span_of("inbox"), &place), 1);
        assert_int_equal(place.len, 8 + 129);
        memcpy(value, place.at, place.len);
        if (of_before == 1)
            assert_int_equal(store_put(store, meta, span_of("inbox"), span_at(value, place.len - 40)), 0);
        assert_int_equal(store_commit(store), 0);
        inside_unload(bench.process); /* it reads what the store says, as a process that has just started */
        bench_settle();
        assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 200);
        const char *receipt = bench_heard("gait/receipt/me", 0)->payload;
        assert_int_equal(strncmp(receipt, receipts[of_before], strlen(receipts[of_before])), 0);
        buffer_free(&payload);
        bench_end(NULL);
        bench_begin(NULL);
    }
}

/* Names of rows and persons are made of the addresses as the first process took them. */
static void
email_case_is_not_changed_over_a_state(void **state)
{
    static const struct setting fold[] = {{"limits", "email_case", "fold"}, {0}};
    static const struct setting *const settings[] = {NULL, fold};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct buffer errors = {0}, fault = {0};
        bench_open_process(&customer_trusted, settings[i]);
        bench_close_process();
        bench_open_process(&customer_trusted, settings[i]);
        bench_close_process();
        assert_int_equal(start_check_state(&customer_trusted, bench.config, bench.options.dir, NULL, &fault), 1);
        assert_int_equal(start_check_state(&lake, bench.config, bench.options.dir, NULL, &fault), 1); /* it has none */
        assert_int_equal(fault.len, 0);
        assert_int_equal(config_set(bench.config, "limits", "email_case", i == 0 ? "fold" : "keep", "test", &errors), 0);
        assert_int_equal(log_had_config_error(), i > 0);
        assert_null(process_open(&bench.options));
        assert_true(log_had_config_error());
        assert_int_equal(start_check_state(&customer_trusted, bench.config, bench.options.dir, NULL, &fault), 0);
        assert_non_null(strstr(buffer_text(&fault), i == 0 ? "email_case = keep, and the configuration says fold: set it " :
                                                             "email_case = fold, and the configuration says keep: set it "));
        buffer_free(&fault);
        bench_end(NULL);
        bench_begin(NULL);
    }
}

/* Folded, a row and the readings of its person find each other, and each goes out as it came. */
static void
bug_325_folded_addresses_are_one_person(void **state)
{
    static const struct setting folded[] = {{"limits", "email_case", "fold"}, {"accelerometer-trusted", "hold", "0"}, {0}};
    static const char row[] = "{\"customerName\":\"A\",\"email\":\"A@Example.org\",\"phone\":\"1\",\"birthDay\":\"1\","
                              "\"serialNumber\":\"s\",\"registrationDate\":5,\"lastUpdateDate\":6,"
                              "\"shareWithResearchAsOfDate\":6}";
    const struct wire_message message = {.topic = span_of("gait/link/customer-trusted/accelerometer-trusted/feed/row1"),
                                         .payload = span_of(row),
                                         .epoch = 7,
                                         .sequence = 1,
                                         .delivery = WIRE_AT_LEAST_ONCE};

    (void)state;
    bench_open_process(&accelerometer_trusted, folded);
    memory_route(&bench.broker, &message);
    bench_settle();
    bench_send(LANDING, READING("a@eXample.ORG", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_heard("gait/trusted/accelerometer", 0, READING("a@eXample.ORG", "1600000000000"));
}

static void
what_the_last_receipts_needed_is_free_for_the_next(void **state)
{
    size_t bytes = 0;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    for (unsigned i = 0; i < 100; i++) {
        bench_send(LANDING, "{}", "gait/receipt/me", "correlation");
        bench_settle();
        if (i == 0)
            bytes = inside_receipt_bytes(bench.process);
        assert_int_equal(inside_receipt_bytes(bench.process), bytes);
        assert_int_equal(inside_receipts(bench.process), 0);
    }
    assert_in_range(bytes, 1, 100);
}

/* While nothing is taken in, what is acknowledged waits in the inbox, and its publisher for the receipt. */
static void
a_receipt_comes_when_its_payload_is_worked(void **state)
{
    static const struct setting small[] = {{"accelerometer-trusted", "outbox_bytes", "1MiB"}, {0}};

    (void)state;
    bench_open_process(&accelerometer_trusted, small);
    *inside_limits(bench.process).outbox_bytes = 0; /* nothing is taken in */
    bench_send(LANDING, "{}", "gait/receipt/me", NULL);
    bench_settle();
    assert_null(bench_heard("gait/receipt/me", 0));
    assert_null(bench_heard(REJECTED, 0));
    *inside_limits(bench.process).outbox_bytes = 1 << 20;
    bench_settle();
    assert_non_null(bench_heard("gait/receipt/me", 0));
    assert_non_null(bench_heard(REJECTED, 0));
}

static void
bug_275_the_newest_refusals_can_be_asked_for_afterwards(void **state)
{
    struct buffer expected = {0};

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    assert_true(metrics_hold("\"recent\":{}"));
    for (unsigned i = 0; i < 6; i++) {
        char topic[64];
        snprintf(topic, sizeof topic, LANDING "/phone-%u", i);
        bench.wall_ms += 1000;
        bench_send(topic, i == 5 ? "{}" : "{\"user\":\"a\"}", NULL, NULL);
        bench_settle();
    }
    bench_send(LANDING, "[", NULL, NULL);
    bench_settle();
    buffer_printf(&expected, "\"recent\":{\"bad_json\":[{\"topic\":\"landing/accelerometer\",\"time\":%" PRId64 "}],"
                             "\"missing_field\":[", bench.wall_ms);
    for (unsigned i = 0; i < 4; i++)
        buffer_printf(&expected, "%s{\"field\":\"%s\",\"topic\":\"landing/accelerometer/phone-%u\",\"time\":%" PRId64 "}",
                      i > 0 ? "," : "", i == 0 ? "user" : "timestamp", 5 - i, bench.wall_ms - 1000 * i);
    buffer_add_text(&expected, "]}");
    if (!metrics_hold(buffer_text(&expected))) {
        struct buffer metrics = {0};
        inside_metrics(bench.process, &metrics);
        fail_msg("%s is not in %s", buffer_text(&expected), buffer_text(&metrics));
    }
    /* Another life knows them too. */
    bench_close_process();
    bench_open_process(&accelerometer_trusted, NULL);
    assert_true(metrics_hold(buffer_text(&expected)));
    buffer_free(&expected);
}

static void
a_large_payload_is_refused_whole(void **state)
{
    static const struct setting settings[] = {{"limits", "payload", "1KiB"}, {0}};
    char payload[5000];

    (void)state;
    memset(payload, ' ', sizeof payload);
    bench_open_process(&accelerometer_trusted, settings);
    bench_send_bytes(LANDING, span_at(payload, 1024), span_of("gait/receipt/me"), NULL);
    bench_settle();
    assert_rejected("bad_json", NULL, "landing/accelerometer");
    bench_send_bytes(LANDING, span_at(payload, sizeof payload), span_of("gait/receipt/me"), NULL);
    bench_settle();
    assert_rejected("too_large", NULL, "landing/accelerometer");
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 2);
}

/* Rows of the table over the link, then a reading of that person. */
static void
what_comes_over_a_link_is_taken_once_and_opens_the_gate(void **state)
{
    static const char row[] = "{\"customerName\":\"A\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1\","
                              "\"serialNumber\":\"s\",\"registrationDate\":5,\"lastUpdateDate\":6,"
                              "\"shareWithResearchAsOfDate\":6}";
    struct wire_message message = {.topic = span_of("gait/link/customer-trusted/accelerometer-trusted/feed/row1"),
                                   .payload = span_of(row),
                                   .epoch = 7,
                                   .sequence = 1,
                                   .delivery = WIRE_AT_LEAST_ONCE};

    (void)state;
    bench_open_process(&accelerometer_trusted, no_hold);
    memory_route(&bench.broker, &message);
    memory_route(&bench.broker, &message);
    bench_settle();
    assert_int_equal(inside_ledger(bench.process)->inputs[1].taken, 1);
    assert_int_equal(inside_link(bench.process, 1)->committed.applied, 1);
    bench_send(LANDING, READING("a@example.org", "1600000000000"), "gait/receipt/me", NULL);
    bench_settle();
    assert_heard("gait/trusted/accelerometer", 0, READING("a@example.org", "1600000000000"));
    assert_heard("gait/receipt/me", 0, COUNTS(1, 1, 0, 0, 0, 0, 0) "}");
    assert_int_equal(verdicts(VERDICT_PASSED), 1);
    /* A row that is none is refused on the topic of the table, not on the row's. */
    message.sequence = 2;
    message.payload = span_of("{\"email\":\"a@example.org\"}");
    memory_route(&bench.broker, &message);
    bench_settle();
    assert_rejected("missing_field", "customerName", "trusted/customer");
    assert_int_equal(inside_link(bench.process, 1)->committed.applied, 2);
}

static void
nothing_is_committed_when_nothing_came(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 0);
    assert_false(inside_has_work(bench.process, bench.wall_ms, true));
    bench_send(LANDING, "{}", NULL, NULL);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    assert_true(inside_has_work(bench.process, bench.wall_ms, true));
    assert_false(inside_has_work(bench.process, bench.wall_ms, false));
    assert_int_equal(inside_work(bench.process, bench.wall_ms, false), 0);
    assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 1);
    assert_false(inside_has_work(bench.process, bench.wall_ms, true));
}

static int
refuse_the_store(const struct disk_call *call)
{
    char path[512];

    if (call->deed != DISK_WRITE)
        return 0;
    disk_path(call->fd, NULL, path, sizeof path);
    return strstr(path, "/data.mdb") != NULL ? ENOSPC : 0;
}

/* Where nothing else is to be done than to remove what was taken, a disk that stays full is no reason to say now and then
 * that all is well. */
static void
what_can_not_be_trimmed_is_tried_until_it_is(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_send(LANDING, "[1]", NULL, NULL);
    bench_settle();
    const struct outbox *rejected = inside_rejected(bench.process);
    assert_int_equal(rejected->last.sequence, 1);
    assert_int_equal(rejected->trimmed.sequence, 0);
    bench.steady_ms += 2000;
    disk_before = refuse_the_store;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(process_step(bench.process), 200);
        assert_true(inside_is_stopped(bench.process));
        assert_string_equal(inside_why(bench.process), "disk full");
        bench.steady_ms += 200;
    }
    disk_before = NULL;
    process_step(bench.process);
    assert_false(inside_is_stopped(bench.process));
    assert_int_equal(rejected->trimmed.sequence, 1);
}

static int
end_with_a_disk(void **state)
{
    disk_before = NULL;
    return bench_end(state);
}

/* A reading waits, its time is up, and the broker is one that nothing is worked with. */
static void
bug_301_a_process_that_may_not_work_what_is_due_does_not_spin(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "hold", "1s"}, {0}};

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    bench_send(LANDING, READING("late@example.org", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_WAITING), 1);
    *inside_limits(bench.process).broker_retains = false;
    bench.steady_ms += 2000;
    for (unsigned i = 0; i < 3; i++)
        process_step(bench.process);
    assert_true(inside_is_stopped(bench.process));
    assert_non_null(strstr(inside_why(bench.process), "the broker retains no messages"));
    assert_true(process_step(bench.process) > 0);
}

/* Else a disk that is full stays full while a table's rows are to be appended for a newcomer. */
static void
bug_302_who_makes_room_appends_nothing_for_newcomers(void **state)
{
    (void)state;
    bench_open_process(&customer_trusted, NULL);
    bench_send("gait/landing/customer",
               "{\"customerName\":\"A\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1\","
               "\"serialNumber\":\"s\","
               "\"registrationDate\":1600000000000,\"lastUpdateDate\":1600000000000,"
               "\"shareWithResearchAsOfDate\":1600000000000}", NULL, NULL);
    bench_settle();
    struct process *process = bench.process;
    const uint64_t last = inside_output(process)->last.sequence;
    assert_int_equal(last, 1);
    *inside_rows(process).newcomer = true;
    assert_int_equal(inside_make_room(process, inside_timekeeper(process)->now_ms), 1);
    assert_int_equal(inside_output(process)->last.sequence, last);
    assert_true(*inside_rows(process).newcomer);
    assert_int_equal(inside_work(process, inside_timekeeper(process)->now_ms, true), 1);
    assert_int_equal(inside_output(process)->last.sequence, last + 1);
    assert_false(*inside_rows(process).newcomer);
}

/* Anybody could stop a process with it. */
static void
bug_303_of_a_refused_payload_goes_out_what_the_broker_takes(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "rejected_payload", "on"}, {0}};
    char payload[1500];

    (void)state;
    memset(payload, '\1', sizeof payload); /* six bytes each as JSON */
    bench.broker.packet_bytes_max = 2048;
    bench_open_process(&accelerometer_trusted, settings);
    bench_send_bytes(LANDING, span_at(payload, sizeof payload), (struct span){0}, NULL);
    bench_settle();
    assert_false(inside_is_stopped(bench.process));
    const struct heard *heard = bench_heard(REJECTED, 0);
    assert_non_null(strstr(heard->payload, "\"payload\":\"\\u0001\\u0001"));
    assert_non_null(strstr(heard->payload, "\\u0001\",\"cut\":true}"));
    bench_send(LANDING, "[1]", NULL, NULL); /* and one that it does take is shown whole */
    bench_settle();
    heard = bench_heard(REJECTED, 0);
    assert_null(strstr(heard->payload, "cut"));
    assert_non_null(strstr(heard->payload, "\"payload\":\"[1\""));
}

/* Status and metrics must get through, whatever strangers send. */
static void
bug_306_metrics_that_the_broker_does_not_take_come_without_the_newest_refusals(void **state)
{
    (void)state;
    bench.broker.packet_bytes_max = 1536;
    bench_open_process(&accelerometer_trusted, NULL);
    for (unsigned i = 0; i < 4; i++) {
        bench_send(LANDING "/a-device-with-a-very-long-name-that-fills-a-level/and-a-second-one-as-long-as-the-first", "{}",
                   NULL, NULL);
        bench_send(LANDING "/a-device-with-a-very-long-name-that-fills-a-level/and-a-second-one-as-long-as-the-first", "[1",
                   NULL, NULL);
    }
    bench_settle();
    bench.steady_ms += 2000;
    bench_settle();
    assert_int_equal(verdicts(VERDICT_INVALID), 12);
    assert_non_null(strstr(bench_heard("gait/metrics/accelerometer-trusted", 0)->payload, "\"invalid\":12"));
    bench_send("gait/ask", "", "gait/answer/me", "1");
    bench_settle();
    assert_non_null(strstr(bench_heard("gait/answer/me", 0)->payload, "\"invalid\":12"));
    assert_true(strlen(bench_heard("gait/answer/me", 0)->payload) < bench.broker.packet_bytes_max);
}

/* How many refusals the rejections tell of in all, since bench_forget, and in how many lines. */
static uint64_t
told(unsigned *lines)
{
    uint64_t sum = 0;

    *lines = 0;
    for (unsigned i = 0; i < bench.heard_count; i++) {
        if (strcmp(bench.heard[i].topic, REJECTED) != 0)
            continue;
        char *rest = bench.heard[i].payload;
        for (char *line = strtok_r(rest, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
            const char *count = strstr(line, ",\"count\":");
            sum += count != NULL ? strtoull(count + strlen(",\"count\":"), NULL, 10) : 1;
            ++*lines;
        }
    }
    return sum;
}

/* An array of so many elements that are none, with a reading behind each hundred. */
static void
make_commas(struct buffer *payload, unsigned count, unsigned *readings)
{
    buffer_clear(payload);
    buffer_add_byte(payload, '[');
    *readings = 0;
    for (unsigned i = 1; i <= count; i++) {
        if (i % 100 == 0)
            buffer_printf(payload, READING("a%u", "1600000000000"), ++*readings);
        else
            buffer_add_byte(payload, ' ');
        buffer_add_byte(payload, ',');
    }
    buffer_add_text(payload, READING("last", "1600000000000") "]");
    ++*readings;
}

/* A megabyte of commas was a million messages. */
static void
bug_350_the_faults_of_a_payload_are_told_in_sum_behind_the_first(void **state)
{
    struct buffer payload = {0};
    unsigned readings, lines;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    make_commas(&payload, 20000, &readings);
    const unsigned faults = 20000 - (readings - 1);
    bench_send_bytes(LANDING "/phone-17", buffer_span(&payload), span_of("gait/receipt/phone-17/me"), NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_INVALID), faults);
    assert_int_equal(verdicts(VERDICT_WAITING), readings);
    assert_int_equal(inside_ledger(bench.process)->reasons[REASON_BAD_JSON], faults);
    const struct heard *heard = bench_heard(REJECTED, 0);
    char expected[128];
    snprintf(expected, sizeof expected, "\"topic\":\"landing/accelerometer/phone-17\",\"time\":%" PRId64 ",\"count\":%u}",
             bench.wall_ms, faults - inside_numbers.payload_faults);
    assert_non_null(strstr(heard->payload, expected));
    assert_int_equal(told(&lines), faults);
    assert_int_equal(lines, inside_numbers.payload_faults + 1);
    snprintf(expected, sizeof expected, "\"duplicate\":0,\"stale\":0,\"invalid\":%u,\"faults\":[{\"record\":0,", faults);
    const char *receipt = bench_heard("gait/receipt/phone-17/me", 0)->payload;
    assert_memory_equal(receipt, "{\"taken\":20001,", 15);
    assert_non_null(strstr(receipt, expected));
    /* The next payload has a budget of its own, and one that keeps to it is told of as ever. */
    bench_forget();
    bench_send(LANDING, "[1,2,3]", NULL, NULL);
    bench_settle();
    assert_int_equal(told(&lines), 3);
    assert_int_equal(lines, 3);
    buffer_free(&payload);
}

/* Transactions end inside of the payload, and so does a life. */
static void
bug_350_what_is_told_in_sum_survives(void **state)
{
    struct buffer payload = {0};
    unsigned readings, lines;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    make_commas(&payload, 3000, &readings);
    const unsigned faults = 3000 - (readings - 1);
    bench_send_bytes(LANDING "/phone-17", buffer_span(&payload), span_of("gait/receipt/me"), NULL);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    /* Behind the second reading, so that some are counted. */
    *inside_limits(bench.process).batch_records = inside_numbers.payload_faults + 2;
    assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 1);
    assert_true(inside_is_in_payload(bench.process));
    assert_true(metrics_hold("\"untold\":"));
    assert_false(metrics_hold("\"untold\":0"));
    bench_close_process();
    bench_open_process(&accelerometer_trusted, NULL);
    assert_int_equal(verdicts(VERDICT_INVALID), faults);
    assert_int_equal(told(&lines), faults);
    assert_int_equal(lines, inside_numbers.payload_faults + 1);
    assert_non_null(strstr(bench_heard(REJECTED, 0)->payload, "\"topic\":\"landing/accelerometer/phone-17\""));
    assert_true(metrics_hold("\"untold\":0"));
    buffer_free(&payload);
}

/* Each reason has a line, and those of several topics none of these. */
static void
bug_351_intake_goes_on_when_nobody_takes_rejections(void **state)
{
    unsigned lines;

    (void)state;
    bench_open_process(&accelerometer_trusted, no_hold);
    *inside_limits(bench.process).rejected_bytes = 1000;
    bench.withheld = REJECTED;
    for (unsigned i = 0; i < 50; i++) {
        bench_send(i % 2 == 0 ? LANDING "/phone-1" : LANDING "/phone-2", i % 5 == 0 ? READING("a", "1600000000000") : "{",
                   "gait/receipt/me", NULL);
        bench_settle();
        assert_false(inside_is_stopped(bench.process));
        assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, i + 1);
        assert_in_range(outbox_bytes(inside_rejected(bench.process)), 0, 1000 + 200);
    }
    const uint64_t refused = verdicts(VERDICT_INVALID) + verdicts(VERDICT_REFUSED);
    assert_int_equal(verdicts(VERDICT_INVALID), 40);
    assert_int_equal(refused, 41); /* the readings were one */
    assert_int_equal(told(&lines), 0);
    bench_close_process();
    bench.withheld = NULL;
    bench_open_process(&accelerometer_trusted, no_hold);
    bench.steady_ms += 2000;
    bench_settle();
    assert_int_equal(told(&lines), refused);
    assert_in_range(lines, 2, 12);
    assert_true(metrics_hold("\"untold\":0"));
    /* Who makes room on a full disk adds nothing. */
    *inside_untold(bench.process, REASON_EXPIRED) = 1;
    const uint64_t end = inside_rejected(bench.process)->last.end;
    assert_int_equal(inside_make_room(bench.process, bench.wall_ms), 1);
    assert_int_equal(inside_rejected(bench.process)->last.end, end);
    const char *last = bench_heard(REJECTED, 0)->payload;
    assert_null(strstr(last, "topic"));
    assert_non_null(strstr(last, "\"reason\":\"bad_json\",\"time\":"));
}

/* It was committed whole, and no start of the process survived it. */
static void
bug_352_what_is_refused_is_shown_up_to_a_limit(void **state)
{
    static const struct setting settings[] = {
        {"accelerometer-trusted", "rejected_payload", "on"}, {"accelerometer-trusted", "message_bytes", "1MiB"}, {0}};
    const size_t size = 900000;
    char *payload = malloc(size);

    (void)state;
    memset(payload, '\1', size);
    bench_open_process(&accelerometer_trusted, settings);
    bench_send_bytes(LANDING, span_at(payload, size), (struct span){0}, NULL);
    bench_settle();
    const struct heard *heard = bench_heard(REJECTED, 0);
    assert_in_range(strlen(heard->payload), 65000, 65536);
    assert_non_null(strstr(heard->payload, "\\u0001\",\"cut\":true}"));
    /* Before a broker has said what it takes, what any takes. */
    process_close(bench.process);
    bench.process = process_open(&bench.options);
    const uint64_t end = inside_rejected(bench.process)->last.end;
    const struct inbox_entry entry = {.payload = span_at(payload, size)};
    assert_int_equal(inbox_append(inside_inbox(bench.process), &entry), 0);
    assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 1);
    assert_in_range(inside_rejected(bench.process)->last.end - end, 900, 1100);
    free(payload);
}

/* Stores hold what earlier versions committed; and brokers come to take less than what is in them. */
static void
bug_352_a_stored_rejection_that_does_not_fit_goes_without_its_payload(void **state)
{
    struct buffer line = {0};
    unsigned lines;

    (void)state;
    bench.broker.packet_bytes_max = 2048;
    bench_open_process(&accelerometer_trusted, NULL);
    buffer_add_text(&line, "{\"process\":\"accelerometer-trusted\",\"reason\":\"bad_json\",\"topic\":\"a\",\"time\":1,"
                           "\"payload\":\"");
    memset(buffer_reserve(&line, 1 << 20), 'x', 1 << 20);
    line.len += 1 << 20;
    buffer_add_text(&line, "\"}\n{\"process\":\"accelerometer-trusted\",\"reason\":\"bad_json\",\"time\":2}");
    assert_int_equal(inside_reject(bench.process, buffer_span(&line)), 0);
    bench_settle();
    assert_false(inside_is_stopped(bench.process));
    assert_heard(REJECTED, 0,
                 "{\"process\":\"accelerometer-trusted\",\"reason\":\"bad_json\",\"topic\":\"a\",\"time\":1}\n"
                 "{\"process\":\"accelerometer-trusted\",\"reason\":\"bad_json\",\"time\":2}");
    assert_int_equal(told(&lines), 2);
    buffer_free(&line);
}

/* Whoever may write to a link's topic can send what none of us would. */
static void
bug_353_what_is_no_message_of_a_link_is_refused_or_passed_over(void **state)
{
    const size_t size = LINK_PAYLOAD_BYTES_MAX + 100;
    char *payload = malloc(size);

    (void)state;
    memset(payload, '\1', size);
    struct wire_message message = {.topic = span_of("gait/link/customer-trusted/accelerometer-trusted/feed/row1"),
                                   .payload = span_at(payload, size),
                                   .epoch = 7,
                                   .sequence = 1,
                                   .delivery = WIRE_AT_LEAST_ONCE};
    bench_open_process(&accelerometer_trusted, no_hold);
    memory_route(&bench.broker, &message);
    bench_settle();
    assert_rejected("too_large", NULL, "trusted/customer");
    assert_int_equal(inside_link(bench.process, 1)->committed.applied, 1);
    /* A row without a name was a panic. */
    message.topic = span_of("gait/link/customer-trusted/accelerometer-trusted/feed");
    message.payload = span_of("{\"customerName\":\"A\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1\","
                              "\"serialNumber\":\"s\",\"registrationDate\":5,\"lastUpdateDate\":6,"
                              "\"shareWithResearchAsOfDate\":6}");
    message.sequence = 2;
    memory_route(&bench.broker, &message);
    bench_settle();
    assert_int_equal(inside_link(bench.process, 1)->committed.applied, 1);
    free(payload);
}

/* `[]` has two bytes and no record: half a million of them, with a receipt each, were one transaction. */
static void
bug_354_messages_without_records_count_as_records(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    for (unsigned i = 0; i < 100; i++)
        bench_send(LANDING, "[]", "gait/receipt/me", NULL);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    *inside_limits(bench.process).batch_records = 10;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 1);
        assert_int_equal(inside_receipts(bench.process), 10);
    }
    assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 0);
}

/* What is to be sent back is held in memory until the commit. */
static void
bug_354_what_receipts_need_is_bounded(void **state)
{
    char correlation[60001] = {0};

    (void)state;
    memset(correlation, 'c', sizeof correlation - 1);
    bench_open_process(&accelerometer_trusted, NULL);
    for (unsigned i = 0; i < 100; i++)
        bench_send(LANDING, "[]", "gait/receipt/me", correlation);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    assert_int_equal(inside_work(bench.process, bench.wall_ms, true), 1);
    assert_in_range(inside_receipt_bytes(bench.process), inside_numbers.transaction_bytes,
                    inside_numbers.transaction_bytes + 2 * sizeof correlation);
}

/* What stands behind an account's level is its own to choose. */
static void
bug_355_a_sender_is_the_first_level_behind_the_landing_topic(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "hold_bytes", "600B"}, {0}};

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    bench_send(LANDING "/evil/a", READING("a", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_WAITING), 1);
    bench_send(LANDING "/evil/b", READING("b", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_WAITING), 1);
    assert_rejected("hold_full", NULL, "landing/accelerometer/evil/b");
    bench_send(LANDING "/good", READING("c", "1600000000000"), NULL, NULL);
    bench_send(LANDING, READING("d", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_WAITING), 3);
    bench_send(LANDING, READING("e", "1600000000000"), NULL, NULL);
    bench_settle();
    assert_rejected("hold_full", NULL, "landing/accelerometer");
}

#define CUSTOMER(who, more)                                                                                          \
    "{\"customerName\":\"A\",\"email\":\"" who "\",\"phone\":\"1\",\"birthDay\":\"1\",\"serialNumber\":\"s\","       \
    "\"registrationDate\":1600000000000,\"lastUpdateDate\":1600000000000" more "}"

/* An older consent must not come back, so they are never forgotten; but there can be too many. */
static void
bug_356_intake_stops_when_there_are_as_many_rows_as_may_be(void **state)
{
    static const struct setting few[] = {{"customer-trusted", "rows", "3"}, {0}};
    static const struct setting more[] = {{"customer-trusted", "rows", "4"}, {0}};

    (void)state;
    bench_open_process(&customer_trusted, few);
    bench_send("gait/landing/customer", CUSTOMER("a", "") CUSTOMER("b", ",\"shareWithResearchAsOfDate\":1600000000000"),
               NULL, NULL);
    bench_settle();
    assert_false(inside_is_stopped(bench.process));
    assert_true(metrics_hold("\"gauges\":{\"rows\":2,\"rows_without_consent\":1}"));
    bench_send("gait/landing/customer", CUSTOMER("c", ""), NULL, NULL);
    bench_settle();
    bench_send("gait/landing/customer", CUSTOMER("d", ""), "gait/receipt/me", NULL);
    bench_settle();
    assert_int_equal(verdicts(VERDICT_REFUSED), 2);
    assert_null(bench_heard("gait/receipt/me", 0));
    assert_true(metrics_hold("\"state\":\"stopped\",\"why\":\"there are 3 rows of customers, 2 of them without consent, and "
                             "the key `rows` of this process allows 3: raise it"));
    for (unsigned i = 0; i < 3; i++)
        process_step(bench.process);
    assert_true(process_step(bench.process) > 0);
    bench_close_process();
    bench_open_process(&customer_trusted, more);
    assert_int_equal(verdicts(VERDICT_REFUSED), 3);
}

/* The format in the store of the process, which is closed; `put`, unless 0, takes its place. */
static uint64_t
stored_format(uint64_t put)
{
    char path[256], value[8];
    struct span found;

    snprintf(path, sizeof path, "%s/state/accelerometer-trusted/store", bench.dir);
    struct store *store = store_open(path, UINT64_C(1) << 24);
    assert_non_null(store);
    const int meta = store_table(store, "meta");
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_get(store, meta, span_of("format"), &found), 1);
    const uint64_t format = bytes_get_u64(found.at);
    bytes_put_u64(value, put);
    if (put > 0)
        assert_int_equal(store_put(store, meta, span_of("format"), span_at(value, 8)), 0);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
    return format;
}

static void
a_store_of_the_format_before_becomes_one_of_ours(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_close_process();
    for (unsigned before = 2; before < 4; before++) {
        assert_int_equal(stored_format(before), 4);
        bench_open_process(&accelerometer_trusted, NULL);
        bench_close_process();
    }
    assert_int_equal(stored_format(0), 4);
}

/* As in a store of before version 4. */
static void
forget_inbox_key(void)
{
    char path[256];

    snprintf(path, sizeof path, "%s/state/accelerometer-trusted/store", bench.dir);
    struct store *store = store_open(path, UINT64_C(1) << 24);
    assert_non_null(store);
    const int meta = store_table(store, "meta");
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_delete(store, meta, span_of("inbox_key")), 1);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
}

/* As gait restore leaves it. */
static void
mark_restored(const struct stream *stream)
{
    char path[2 * SCRATCH_DIR_SIZE];

    snprintf(path, sizeof path, "%s/state/%s/" HOLD_RESTORED, bench.dir, stream->name);
    FILE *mark = fopen(path, "w");
    assert_non_null(mark);
    assert_int_equal(fclose(mark), 0);
}

/* A consumer without state says so. */
static void
report_nothing(const char *topic)
{
    const struct wire_message message = {
        .topic = span_of(topic),
        .payload = span_of("{\"epoch\":\"0000000000000000\",\"applied\":0,\"rewind\":1,\"anew\":1}"),
        .retained = true,
    };

    memory_route(&bench.broker, &message);
    bench_settle();
}

static const char *
some_customer(unsigned number)
{
    static char payload[512];

    snprintf(payload, sizeof payload,
             "{\"customerName\":\"A\",\"email\":\"e%u@example.org\",\"phone\":\"1\",\"birthDay\":\"%0200u\","
             "\"serialNumber\":\"s%u\",\"registrationDate\":5,\"lastUpdateDate\":1600000000000,"
             "\"shareWithResearchAsOfDate\":1600000000000}", number, number, number);
    return payload;
}

/* An operator that has to be loaded again before it can go on. */
static struct stream late;
static struct operator late_operator;
static const struct operator *late_of;
static struct store *late_store;
static unsigned loads_in_vain;
static enum store_fault late_fault;

static int
open_late(const void *parameters, struct store *store, void **state)
{
    late_store = store;
    return late_of->open(parameters, store, state);
}

static int
load_late(void *state)
{
    if (loads_in_vain == 0)
        return late_of->load(state);
    loads_in_vain--;
    store_found(late_store, late_fault);
    return -1;
}

static const struct stream *
make_late(const struct stream *stream, unsigned in_vain, enum store_fault fault)
{
    late_of = stream->operator;
    late_operator = *late_of;
    late_operator.open = open_late;
    late_operator.load = load_late;
    late = *stream;
    late.operator = &late_operator;
    loads_in_vain = in_vain;
    late_fault = fault;
    return &late;
}

/* Whether "meta" of the process, which is closed, has key. */
static bool
is_stored(const struct stream *stream, const char *key)
{
    char path[256];
    struct span found;

    snprintf(path, sizeof path, "%s/state/%s/store", bench.dir, stream->name);
    struct store *store = store_open_to_read(path, false);
    assert_non_null(store);
    assert_int_equal(store_snapshot(store), 0);
    const int rc = store_get(store, store_table(store, "meta"), span_of(key), &found);
    store_snapshot_end(store);
    store_close(store);
    assert_true(rc >= 0);
    return rc == 1;
}

static void
feed_row(void)
{
    const struct wire_message row = {.topic = span_of("gait/link/customer-trusted/customer-curated/feed/r1"),
                                     .payload = span_of(some_customer(1)),
                                     .epoch = 7,
                                     .sequence = 1};

    memory_route(&bench.broker, &row);
    bench_settle();
}

/* The next start said that its format is missing, and every one behind it. */
static void
who_begins_beside_something_wrong_has_begun_when_that_is_mended(void **state)
{
    (void)state;
    bench_open_process(make_late(&customer_curated, 2, STORE_BESIDE), NULL);
    bench.steady_ms += 60000;
    bench_settle();
    assert_true(inside_is_loaded(bench.process));
    feed_row();
    assert_int_equal(verdicts(VERDICT_PASSED) + verdicts(VERDICT_WAITING), 1);
    bench_close_process();
    assert_true(is_stored(&customer_curated, "format") && is_stored(&customer_curated, "epoch"));
    bench_open_process(&customer_curated, NULL);
    assert_int_equal(verdicts(VERDICT_PASSED) + verdicts(VERDICT_WAITING), 1);
}

/* Likewise: else the mark goes with the next commit, and the next start goes on by the rows of the copy. */
static void
rows_of_a_restored_state_are_forgotten_when_it_can_be_loaded(void **state)
{
    (void)state;
    bench_open_process(&customer_curated, NULL);
    feed_row();
    assert_int_equal(inside_link(bench.process, 0)->committed.applied, 1);
    bench_close_process();
    mark_restored(&customer_curated);
    bench_open_process(make_late(&customer_curated, 2, STORE_BESIDE), NULL);
    bench.steady_ms += 60000;
    bench_settle();
    assert_true(inside_is_loaded(bench.process));
    bench.wall_ms += 60000; /* the clock was set: that is committed */
    bench_settle();
    assert_false(*inside_rows(bench.process).restored);
    bench_close_process();
    bench_open_process(&customer_curated, NULL);
    assert_int_equal(inside_link(bench.process, 0)->committed.epoch, 0);
    assert_true(inside_link(bench.process, 0)->awaits == LINK_NO_END);
    assert_true(metrics_hold("nothing is decided before customer-trusted has sent all its rows again"));
}

/* Entries that are marked by a key which nobody has kept are lost. */
static void
the_inbox_has_no_key_that_is_not_stored(void **state)
{
    static const enum store_fault faults[] = {STORE_FULL, STORE_BROKEN};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        bench_open_process(&accelerometer_trusted, NULL);
        bench_close_process();
        forget_inbox_key();
        if (faults[i] == STORE_FULL) { /* of the map, which grows */
            bench_open_process(make_late(&accelerometer_trusted, 1, faults[i]), NULL);
            bench_close_process();
            assert_true(is_stored(&late, "inbox_key"));
        } else {
            make_late(&accelerometer_trusted, UINT_MAX, faults[i]);
            bench.options.stream = &late;
            assert_null(process_open(&bench.options));
        }
    }
}

/* What is full can be emptied only by consumers, who are told where to begin only when it is known who has left. */
static void
who_left_is_asked_beside_a_full_outbox(void **state)
{
    static const struct setting settings[] = {
        {"customer-trusted", "consumers", "study"}, {"customer-trusted", "outbox_bytes", "1MiB"}, {0}};
    char row[NAME_BYTES_MAX + 64];

    (void)state;
    bench_open_process(&customer_trusted, settings);
    bench.steady_ms += 5000;
    for (unsigned i = 0; i < 4000 && outbox_bytes(inside_output(bench.process)) < 1 << 20; i++) {
        bench_send("gait/landing/customer", some_customer(i), NULL, NULL);
        bench_settle();
        if (i == 0)
            snprintf(row, sizeof row, "%s", bench.heard[bench.heard_count - 1].topic);
        for (unsigned j = bench.heard_count; i == 0 && j-- > 0;) {
            if (strncmp(bench.heard[j].topic, "gait/trusted/customer/", 22) == 0)
                snprintf(row, sizeof row, "%s", bench.heard[j].topic);
        }
        bench_forget();
    }
    assert_true(outbox_bytes(inside_output(bench.process)) >= 1 << 20);
    bench_close_process();

    const struct wire_message left = {
        .topic = span_of(row), .payload = span_of("{\"withdrawn\":1600000001000}"), .retained = true};
    memory_route(&bench.broker, &left);
    mark_restored(&customer_trusted);
    bench_open_process(&customer_trusted, settings);
    report_nothing("gait/link/customer-trusted/study");
    for (unsigned i = 0; i < 5; i++, bench.steady_ms += 1000)
        bench_settle();
    assert_false(*inside_rows(bench.process).due);
    assert_non_null(bench_heard("gait/link/customer-trusted/study/oldest", 0));
}

/* Nor is a consumer given rows that may be of who has left. */
static void
rows_are_given_out_again_when_it_is_known_who_left(void **state)
{
    static const struct setting settings[] = {{"customer-trusted", "consumers", "study, other"}, {0}};

    (void)state;
    bench_open_process(&customer_trusted, settings);
    bench.steady_ms += 5000;
    bench_send("gait/landing/customer", some_customer(1), NULL, NULL);
    bench_settle();
    *inside_rows(bench.process).due = true;
    report_nothing("gait/link/customer-trusted/study");
    bench_settle();
    assert_null(bench_heard("gait/link/customer-trusted/study/oldest", 0));
    /* Nor before the others had the time to say that this state is an older copy: rows take numbers that they may have. */
    *inside_rows(bench.process).due = *inside_rows(bench.process).heard = false;
    *inside_rows(bench.process).synced_ms = bench.steady_ms;
    bench_settle();
    assert_null(bench_heard("gait/link/customer-trusted/study/oldest", 0));
    bench.steady_ms += 5000;
    bench_settle();
    assert_non_null(bench_heard("gait/link/customer-trusted/study/oldest", 0));
}

static void
report_of_study(uint64_t applied)
{
    char text[128];

    snprintf(text, sizeof text, "{\"epoch\":\"%016" PRIx64 "\",\"applied\":%" PRIu64 ",\"rewind\":1}",
             inside_epoch(bench.process), applied);
    bench_send("gait/link/customer-trusted/study", text, NULL, NULL);
    bench_settle();
}

/* What is said of messages that are gone, or of lives, needs no rows: it does not wait for them. */
static void
who_lacks_messages_is_told_so_whatever_is_awaited(void **state)
{
    static const struct setting settings[] = {{"customer-trusted", "consumers", "study"}, {0}};

    (void)state;
    bench_open_process(&customer_trusted, settings);
    bench.steady_ms += 5000;
    for (unsigned i = 0; i < 3; i++)
        bench_send("gait/landing/customer", some_customer(i), NULL, NULL);
    bench_settle();
    report_of_study(inside_output(bench.process)->last.sequence);
    bench.steady_ms += 5000;
    bench_settle();
    assert_true(inside_output(bench.process)->trimmed.sequence > 0);
    *inside_rows(bench.process).due = true;
    report_of_study(0);
    assert_non_null(bench_heard("gait/link/customer-trusted/study/oldest", 0));
}

static char last_error[1024];

static void
note_error(const char *text)
{
    snprintf(last_error, sizeof last_error, "%s", text);
}

/* A broker that has not room for all of them sends a client some retained messages, and throws the others away. */
static void
rows_that_the_broker_did_not_send_are_missed(void **state)
{
    char row[NAME_BYTES_MAX + 64] = "";

    (void)state;
    bench_open_process(&customer_trusted, NULL);
    for (unsigned i = 0; i < 3; i++)
        bench_send("gait/landing/customer", some_customer(i), NULL, NULL);
    bench_settle();
    for (unsigned i = 0; i < bench.heard_count; i++) {
        if (strncmp(bench.heard[i].topic, "gait/trusted/customer/", 22) == 0)
            snprintf(row, sizeof row, "%s", bench.heard[i].topic);
    }
    bench_close_process();
    for (unsigned i = 0; i < 2; i++) {
        mark_restored(&customer_trusted);
        last_error[0] = '\0';
        log_follow(note_error);
        bench_open_process(&customer_trusted, NULL);
        log_follow(NULL);
        assert_false(*inside_rows(bench.process).due);
        assert_int_equal(strstr(last_error, "of the 3 rows") != NULL && strstr(last_error, "only 2:") != NULL, i == 1);
        bench_close_process();
        const struct wire_message gone = {.topic = span_of(row), .retained = true};
        memory_route(&bench.broker, &gone);
    }
}

/* Whether the client of this name has subscribed to topic. */
static bool
has_subscribed(const char *client, const char *topic)
{
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        const struct memory_wire *wire = bench.broker.wires[i];
        for (unsigned j = 0; strcmp(wire->name, client) == 0 && j < wire->filter_count; j++) {
            if (strcmp(wire->filters[j], topic) == 0)
                return true;
        }
    }
    return false;
}

/* On another connection it would overtake what is under way on that one. */
static void
a_question_comes_by_the_connection_that_records_come_by(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    assert_true(has_subscribed("gait-accelerometer-trusted-landing", "gait/ask"));
    assert_false(has_subscribed("gait-accelerometer-trusted", "gait/ask"));
    bench_close_process();
    bench_open_process(&customer_curated, NULL);
    assert_true(has_subscribed("gait-customer-curated", "gait/ask"));
}

/* The place of the first message that is not empty, to a topic that begins so, among all that was heard, or behind it. */
static unsigned
first_heard(const char *topic)
{
    unsigned i = 0;

    while (i < bench.heard_count &&
           (strncmp(bench.heard[i].topic, topic, strlen(topic)) != 0 || bench.heard[i].payload[0] == '\0'))
        i++;
    return i;
}

#define ROWS "gait/trusted/customer/"
#define MANY_ROWS 3000

/* More rows than are given out at once; while they are, another one comes. */
static void
a_copy_that_rows_are_still_given_to_is_not_said_to_be_whole(void **state)
{
    struct buffer customers = {0};

    (void)state;
    bench_open_process(&customer_trusted, NULL);
    for (unsigned i = 0; i < MANY_ROWS; i++)
        buffer_printf(&customers, "{\"customerName\":\"n\",\"email\":\"e%u@x\",\"phone\":\"1\",\"birthDay\":\"1970-01-01\","
                      "\"serialNumber\":\"s%u\",\"registrationDate\":1600000000000,\"lastUpdateDate\":1600000000000,"
                      "\"shareWithResearchAsOfDate\":1600000000000}\n", i, i);
    bench_send_bytes("gait/landing/customer", buffer_span(&customers), (struct span){0}, NULL);
    buffer_free(&customers);
    bench_settle();
    memory_free_messages(&bench.broker.retained);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        if (strcmp(bench.broker.wires[i]->name, "gait-customer-trusted") == 0)
            memory_wire_cut(bench.broker.wires[i]); /* the other one follows by itself, and is there again at once */
    }
    bench_forget();
    for (unsigned i = 0; i < 200 && first_heard(ROWS) == bench.heard_count; i++)
        bench_move();
    bench_send("gait/landing/customer", CUSTOMER("a", ",\"shareWithResearchAsOfDate\":1600000000000"), NULL, NULL);
    bench_settle();
    const unsigned kept = first_heard("gait/link/customer-trusted/.kept");
    assert_true(kept < bench.heard_count);
    unsigned rows = 0;
    for (unsigned i = 0; i < kept; i++)
        rows += strncmp(bench.heard[i].topic, ROWS, strlen(ROWS)) == 0;
    assert_true(rows >= MANY_ROWS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_question_comes_by_the_connection_that_records_come_by),
        TEST(a_copy_that_rows_are_still_given_to_is_not_said_to_be_whole),
        TEST(every_reason_is_counted_and_said_with_its_field_and_topic),
        TEST(what_waited_is_refused_with_its_landing_topic),
        TEST(what_there_is_no_room_for_is_refused),
        TEST(bug_273_the_newest_refusal_stays_at_the_broker_unless_it_shows_records),
        TEST(a_receipt_counts_what_became_of_each_record),
        TEST(receipts_are_sent_at_most_once_but_for_one_now_and_then),
        TEST(bug_274_a_receipt_says_which_records_are_invalid_and_why),
        TEST(a_restored_state_decides_nothing_before_its_rows_have_come),
        TEST(bug_324_a_receipt_says_the_verdict_and_what_is_dated_ahead),
        TEST(a_receipt_counts_what_was_worked_before_a_restart),
        TEST(email_case_is_not_changed_over_a_state),
        TEST(bug_325_folded_addresses_are_one_person),
        TEST(what_the_last_receipts_needed_is_free_for_the_next),
        TEST(a_receipt_comes_when_its_payload_is_worked),
        TEST(bug_275_the_newest_refusals_can_be_asked_for_afterwards),
        TEST(a_large_payload_is_refused_whole),
        TEST(what_comes_over_a_link_is_taken_once_and_opens_the_gate),
        TEST(nothing_is_committed_when_nothing_came),
        cmocka_unit_test_setup_teardown(what_can_not_be_trimmed_is_tried_until_it_is, bench_begin, end_with_a_disk),
        TEST(bug_301_a_process_that_may_not_work_what_is_due_does_not_spin),
        TEST(bug_302_who_makes_room_appends_nothing_for_newcomers),
        TEST(bug_306_metrics_that_the_broker_does_not_take_come_without_the_newest_refusals),
        TEST(bug_350_the_faults_of_a_payload_are_told_in_sum_behind_the_first),
        TEST(bug_350_what_is_told_in_sum_survives),
        TEST(bug_351_intake_goes_on_when_nobody_takes_rejections),
        TEST(bug_352_what_is_refused_is_shown_up_to_a_limit),
        TEST(bug_352_a_stored_rejection_that_does_not_fit_goes_without_its_payload),
        TEST(bug_353_what_is_no_message_of_a_link_is_refused_or_passed_over),
        TEST(bug_354_messages_without_records_count_as_records),
        TEST(bug_354_what_receipts_need_is_bounded),
        TEST(bug_355_a_sender_is_the_first_level_behind_the_landing_topic),
        TEST(bug_356_intake_stops_when_there_are_as_many_rows_as_may_be),
        TEST(bug_303_of_a_refused_payload_goes_out_what_the_broker_takes),
        TEST(a_store_of_the_format_before_becomes_one_of_ours),
        TEST(who_left_is_asked_beside_a_full_outbox),
        TEST(rows_are_given_out_again_when_it_is_known_who_left),
        TEST(who_lacks_messages_is_told_so_whatever_is_awaited),
        TEST(who_begins_beside_something_wrong_has_begun_when_that_is_mended),
        TEST(rows_of_a_restored_state_are_forgotten_when_it_can_be_loaded),
        TEST(the_inbox_has_no_key_that_is_not_stored),
        TEST(rows_that_the_broker_did_not_send_are_missed),
    };

    hash_init();
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
