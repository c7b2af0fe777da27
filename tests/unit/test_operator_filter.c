/*
 * filter: the newest record of a customer decides, whatever the order they come in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "operator_bench.h"

static const struct filter_parameters parameters = {
    .pseudonym_key = {"a key for tests"}, .hold_ms = BENCH_HOUR_MS, .rows_max = 1000000};

static struct bench_setup setup;
static struct bench *bench;

static int
set_up(void **state)
{
    (void)state;
    setup = bench_filter(&parameters);
    bench = bench_open(&setup);
    bench_call_row(bench, &parameters.pseudonym_key, span_of("ann"), span_of("s1"));
    bench_call_row(bench, &parameters.pseudonym_key, span_of("ann"), span_of("s2"));
    bench_call_row(bench, &parameters.pseudonym_key, span_of("bob"), span_of("s1"));
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    bench_close(bench);
    return 0;
}

static enum verdict
take(const char *json)
{
    return bench_take(bench, 0, "", json);
}

static const char *
row_line(const char *name, const char *json)
{
    return bench_text("row %s %s\n", name, json);
}

/* The versions of one customer, the winner first. */
static void
the_winner_does_not_depend_on_the_order_of_arrival(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct {
            int64_t updated_ms, as_of_ms;
        } versions[5];
        unsigned count;
    } cases[] = {
        {"newest wins", {{500, 10}, {400, 20}, {300, 30}, {200, 0}, {100, 50}}, 5},
        {"the last word is no", {{500, 0}, {400, 20}, {300, 0}, {200, 5}, {100, 5}}, 5},
        {"nobody ever said yes", {{500, 0}, {400, 0}, {300, 0}}, 3},
        {"equal dates: no wins", {{500, 0}, {500, 40}, {500, 30}, {400, 50}, {300, 60}}, 5},
        {"equal dates: the later consent wins", {{500, 40}, {500, 30}, {500, 20}, {499, 0}, {1, 50}}, 5},
        {"yes after no", {{500, 10}, {400, 0}, {300, 10}, {200, 0}, {100, 10}}, 5},
        {"times at the edges", {{INT64_C(1700000000000), 1}, {1, 1}, {0, 1}}, 3},
    };
    for (unsigned c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct bench_record records[BENCH_ORDER_MAX];
        for (unsigned i = 0; i < cases[c].count; i++)
            records[i] = (struct bench_record){
                0, "", bench_customer("ann", "s1", cases[c].versions[i].updated_ms, cases[c].versions[i].as_of_ms)};
        const char *winner = cases[c].versions[0].as_of_ms > 0 ? row_line("ann/s1", records[0].json) : "";
        bench_every_order(bench, records, cases[c].count, false, bench_table, winner);
    }
}

/* Records that are equal in all that the rule looks at: any may win, but always the same. */
static void
even_the_last_tie_is_broken_the_same_way(void **state)
{
    (void)state;
    struct bench_record records[5];
    for (unsigned i = 0; i < 5; i++)
        records[i] = (struct bench_record){
            0, "", bench_text("{\"customerName\":\"N%u\",\"email\":\"ann\",\"phone\":\"1\",\"birthDay\":\"b\","
                              "\"serialNumber\":\"s1\",\"registrationDate\":1,\"lastUpdateDate\":5,"
                              "\"shareWithResearchAsOfDate\":3}", i)};
    for (unsigned i = 0; i < 5; i++)
        take(records[i].json);
    char *winner = bench_table(bench);
    assert_int_equal(strncmp(winner, "row ann/s1 {\"customerName\":\"N", 29), 0);
    bench_abort(bench);
    bench_every_order(bench, records, 5, false, bench_table, winner);
    free(winner);
}

static void
customers_are_told_apart_by_both_of_their_names(void **state)
{
    (void)state;
    const struct bench_record records[] = {
        {0, "", bench_customer("ann", "s1", 100, 10)},
        {0, "", bench_customer("ann", "s2", 100, 20)},
        {0, "", bench_customer("ann", "s2", 200, 0)},
        {0, "", bench_customer("bob", "s1", 50, 30)},
        {0, "", bench_customer("bob", "s1", 49, 0)},
    };
    char expected[1024];
    snprintf(expected, sizeof expected, "%s%s", row_line("ann/s1", records[0].json),
             row_line("bob/s1", records[3].json));
    bench_every_order(bench, records, 5, true, bench_table, expected);
    take(bench_customer("a", "bc", 1, 1));
    take(bench_customer("ab", "c", 1, 1));
    assert_int_equal(bench_count_lines(bench, "row "), 2);
}

/* Steps on one customer: what comes of each. */
static void
each_record_gets_its_verdict(void **state)
{
    (void)state;
    static const struct {
        int64_t updated_ms, as_of_ms;
        enum verdict verdict;
        const char *line; /* NULL: nothing goes out; "": the record */
    } steps[] = {
        {100, 0, VERDICT_REFUSED, "refuse customer no_consent\n"},
        {100, 0, VERDICT_DUPLICATE, NULL},
        {90, 5, VERDICT_STALE, NULL},
        {200, 5, VERDICT_PASSED, ""},
        {150, 0, VERDICT_STALE, NULL},
        {200, 4, VERDICT_STALE, NULL},
        {200, 6, VERDICT_PASSED, ""},
        {200, 0, VERDICT_PASSED, "row ann/s1 {\"withdrawn\":200}\n"},
        {200, 7, VERDICT_STALE, NULL},
        {300, 0, VERDICT_REFUSED, "refuse customer no_consent\n"},
        {400, 8, VERDICT_PASSED, ""},
        {400, 8, VERDICT_DUPLICATE, NULL},
        {500, 0, VERDICT_PASSED, "row ann/s1 {\"withdrawn\":500}\n"},
    };
    bench->rehearse = true;
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const char *json = bench_customer("ann", "s1", steps[i].updated_ms, steps[i].as_of_ms);
        bench_forget_lines(bench);
        assert_int_equal(take(json), steps[i].verdict);
        const char *line = steps[i].line;
        assert_string_equal(buffer_text(&bench->lines),
                            line == NULL ? "" : line[0] == '\0' ? row_line("ann/s1", json) : line);
    }
    const int64_t counts[VERDICT_COUNT] = {5, 0, 2, 2, 4, 0};
    assert_memory_equal(bench->counts[0].verdicts, counts, sizeof counts);
}

/* Present, not null, above 0. */
static void
what_counts_as_consent(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        enum verdict verdict;
    } rows[] = {
        {"", VERDICT_REFUSED},
        {",\"shareWithResearchAsOfDate\":null", VERDICT_REFUSED},
        {",\"shareWithResearchAsOfDate\":0", VERDICT_REFUSED},
        {",\"shareWithPublicAsOfDate\":5", VERDICT_REFUSED},
        {",\"shareWithResearchAsOfDate\":1", VERDICT_PASSED},
        {",\"shareWithResearchAsOfDate\":-1", VERDICT_INVALID},
        {",\"shareWithResearchAsOfDate\":\"1\"", VERDICT_INVALID},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(take(bench_text("{\"customerName\":\"N\",\"email\":\"e%u\",\"phone\":\"1\",\"birthDay\":\"b\","
                                         "\"serialNumber\":\"s\",\"registrationDate\":1,\"lastUpdateDate\":5%s}",
                                         i, rows[i].member)),
                         rows[i].verdict);
}

/* The same record once more when its first arrival is forgotten changes nothing that stands. */
static void
a_repeated_record_is_stale_when_it_is_no_duplicate_any_more(void **state)
{
    (void)state;
    const char *json = bench_customer("ann", "s1", 100, 10);
    assert_int_equal(take(json), VERDICT_PASSED);
    bench_advance(bench, BENCH_HOUR_MS - 1);
    assert_int_equal(take(json), VERDICT_DUPLICATE);
    bench_advance(bench, 1);
    assert_int_equal(take(json), VERDICT_STALE);
    assert_int_equal(bench_count_lines(bench, ""), 1);
}

static void
nothing_personal_is_kept_of_who_does_not_share(void **state)
{
    (void)state;
    take(bench_customer("private.person", "private-serial", 100, 0));
    assert_false(bench_file_holds(bench, "private"));
    take(bench_customer("public.person", "public-serial", 100, 1));
    assert_true(bench_file_holds(bench, "public.person")); /* so the look is one */
}

static void
rows_come_again_in_pages_as_they_stand(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        take(bench_customer(bench_text("e%u", i), "s", 100, i % 3 == 0 ? 0 : 10));
        if (i % 3 == 1)
            take(bench_customer(bench_text("e%u", i), "s", 200, 20));
        if (i % 6 == 2)
            take(bench_customer(bench_text("e%u", i), "s", 200, 0));
    }
    char *table = bench_table(bench);
    for (unsigned page = 1; page < 50; page += 12) {
        char *rows = bench_rows(bench, page);
        char *open = bench_sorted(rows, "row ");
        /* Withdrawn ones stand in the table as markers: a consumer that was away must hear of them. */
        unsigned markers = 0;
        for (const char *at = open; (at = strstr(at, "{\"withdrawn\":200}")) != NULL; at++)
            markers++;
        assert_int_equal(markers, 10);
        free(rows);
        struct buffer rest = {0};
        for (char *line = strtok(open, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            if (strstr(line, "{\"withdrawn\":") == NULL)
                buffer_printf(&rest, "%s\n", line);
        }
        assert_string_equal(buffer_text(&rest), table);
        buffer_free(&rest);
        free(open);
        bench_reopen(bench);
    }
    free(table);
}

/* They stay for ever, and nobody saw how many there were. */
static void
bug_356_rows_are_counted_those_without_consent_too(void **state)
{
    (void)state;
    static const struct {
        const char *who;
        int64_t updated_ms, as_of_ms;
        int64_t rows, closed;
    } steps[] = {
        {"ann", 100, 0, 1, 1}, {"ann", 200, 0, 1, 1}, {"ann", 300, 9, 1, 0}, {"bob", 100, 9, 2, 0}, {"bob", 200, 0, 2, 1},
        {"bob", 150, 9, 2, 1}, {"ann", 400, 0, 2, 2}, {"cleo", 1, 0, 3, 3},  {"cleo", 2, 7, 3, 2},
    };
    bench->rehearse = true;
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct gauge gauges[OPERATOR_GAUGES_MAX];
        take(bench_customer(steps[i].who, "s1", steps[i].updated_ms, steps[i].as_of_ms));
        for (unsigned look = 0; look < 3; look++) {
            assert_int_equal(filter_operator.gauges(bench->state, gauges), 2);
            assert_string_equal(gauges[0].name, "rows");
            assert_int_equal(gauges[0].value, steps[i].rows);
            assert_string_equal(gauges[1].name, "rows_without_consent");
            assert_int_equal(gauges[1].value, steps[i].closed);
            if (look == 1) { /* a store whose version did not count them */
                bench_commit(bench);
                const int counts = store_table(bench->store, "row_counts");
                bench_begin(bench);
                assert_int_equal(store_delete(bench->store, counts, span_of("closed")), 1);
                bench_commit(bench);
            }
            bench_reopen(bench);
        }
    }
    assert_null(filter_operator.why_full(bench->state));
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(the_winner_does_not_depend_on_the_order_of_arrival),
        EACH(even_the_last_tie_is_broken_the_same_way),
        EACH(customers_are_told_apart_by_both_of_their_names),
        EACH(each_record_gets_its_verdict),
        EACH(what_counts_as_consent),
        EACH(a_repeated_record_is_stale_when_it_is_no_duplicate_any_more),
        EACH(nothing_personal_is_kept_of_who_does_not_share),
        EACH(rows_come_again_in_pages_as_they_stand),
        EACH(bug_356_rows_are_counted_those_without_consent_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
