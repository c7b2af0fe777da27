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

    (void)state;
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
    struct bench_record records[5];

    (void)state;
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
    const struct bench_record records[] = {
        {0, "", bench_customer("ann", "s1", 100, 10)},
        {0, "", bench_customer("ann", "s2", 100, 20)},
        {0, "", bench_customer("ann", "s2", 200, 0)},
        {0, "", bench_customer("bob", "s1", 50, 30)},
        {0, "", bench_customer("bob", "s1", 49, 0)},
    };
    char expected[1024];

    (void)state;
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

    (void)state;
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

    (void)state;
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
    const char *json = bench_customer("ann", "s1", 100, 10);

    (void)state;
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
    take(bench_customer("public.person", "public-serial", 200, 0));
    const int rows = store_table(bench->store, "rows");
    struct store_item item;
    bench_begin(bench);
    int rc = store_seek(bench->store, rows, (struct span){0}, &item);
    for (; rc == 1; rc = store_next(bench->store, rows, &item))
        assert_null(memmem(item.value.at, item.value.len, "public", 6)); /* the page may be there, free */
    assert_int_equal(rc, 0);
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

/* Leaving. */

static const char *
withdraws_all(const char *email, const char *serial, int64_t updated_ms)
{
    return bench_text("{\"customerName\":\"N\",\"email\":\"%s\",\"phone\":\"1\",\"birthDay\":\"b\",\"serialNumber\":\"%s\","
                      "\"registrationDate\":1,\"lastUpdateDate\":%" PRId64 ",\"withdrawAll\":true}",
                      email, serial, updated_ms);
}

static void
assert_table(const char *expected)
{
    bench_assert_text(bench, bench_table(bench), expected);
}

/* The form's clock is 23 h ahead, ours is right: out at once, and for good. */
static void
bug_320_who_withdraws_after_a_consent_dated_ahead_is_out_at_once(void **state)
{
    const int64_t ahead_ms = BENCH_START_MS + 23 * BENCH_HOUR_MS;
    const char *consent = bench_customer("ann", "s1", ahead_ms, 10);

    (void)state;
    bench->rehearse = true;
    assert_int_equal(take(consent), VERDICT_PASSED);
    bench_forget_lines(bench);
    assert_int_equal(take(bench_customer("ann", "s1", BENCH_START_MS + BENCH_SECOND_MS, 0)), VERDICT_PASSED);
    assert_string_equal(buffer_text(&bench->lines),
                        bench_text("row ann/s1 {\"withdrawn\":%" PRId64 "}\n", BENCH_START_MS + BENCH_SECOND_MS));
    bench_forget_lines(bench);
    assert_int_equal(take(consent), VERDICT_DUPLICATE);
    for (unsigned day = 0; day < 3; day++) {
        bench_reopen(bench);
        bench_advance(bench, 24 * BENCH_HOUR_MS);
        assert_int_equal(take(consent), VERDICT_STALE);
    }
    assert_string_equal(buffer_text(&bench->lines), "");
    assert_int_equal(take(bench_customer("ann", "s1", ahead_ms + 1, 10)), VERDICT_PASSED); /* a newer act */
}

/* It says again, in the same words, that they have left: that was a duplicate, and the row stayed open. */
static void
bug_700_a_withdrawal_that_comes_again_closes_what_a_consent_dated_ahead_opened(void **state)
{
    const int64_t ahead_ms = BENCH_START_MS + 23 * BENCH_HOUR_MS;

    (void)state;
    bench->rehearse = true;
    for (unsigned all = 0; all < 2; all++) {
        const char *serial = all ? "s2" : "s1";
        const char *withdrawal =
            all ? withdraws_all("ann", "s2", BENCH_START_MS) : bench_customer("ann", "s1", BENCH_START_MS, 0);
        take(withdrawal);
        assert_int_equal(take(withdrawal), VERDICT_DUPLICATE);
        assert_int_equal(take(bench_customer("ann", serial, ahead_ms, 10)), VERDICT_PASSED);
        assert_int_equal(take(withdrawal), VERDICT_PASSED);
        assert_table("");
        assert_int_equal(take(withdrawal), VERDICT_DUPLICATE);
        /* What was dated right is newer, and is told apart from it by that. */
        bench_advance(bench, BENCH_SECOND_MS);
        assert_int_equal(take(bench_customer("ann", serial, BENCH_START_MS + 1, 10)), VERDICT_PASSED);
        assert_int_equal(take(withdrawal), VERDICT_DUPLICATE);
        take(bench_customer("ann", serial, BENCH_START_MS + 2, 0));
    }
}

/* The state is an older copy: what everybody downstream was told of who has left is learned, and nothing else. */
static void
what_readers_were_told_is_withdrawn_stays_so(void **state)
{
    const struct {
        const char *what;
        int64_t updated_ms, as_of_ms, recalled_ms;
        int rc;
    } cases[] = {
        {"it shares", 100, 10, 200, 1},      {"of the same date", 200, 10, 200, 1},
        {"something newer is known", 300, 10, 200, 0}, {"it was withdrawn earlier", 100, 0, 200, 1},
        {"it is that withdrawal", 200, 0, 200, 0},     {"nothing is known", -1, 0, 200, 1},
        {"it waits for its date", 100, BENCH_START_MS + BENCH_HOUR_MS, 200, 1},
        {"dated ahead, and withdrawn since", BENCH_START_MS + BENCH_HOUR_MS, 10, BENCH_START_MS, 1},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct span identity[] = {span_of("ann"), span_of("s1")};
        const struct hash_id id = hash_id(&parameters.pseudonym_key, identity, 2);
        char name[HASH_ID_HEX_SIZE];
        hash_hex(&id, name);
        if (cases[i].updated_ms >= 0)
            take(bench_customer("ann", "s1", cases[i].updated_ms, cases[i].as_of_ms));
        bench_forget_lines(bench);
        bench_begin(bench);
        for (unsigned times = 0; times < 2; times++) {
            const int rc = filter_operator.recall(bench->state, span_of(name), cases[i].recalled_ms, bench->now_ms,
                                                  bench->now_ms, &bench->output);
            if (rc != (times == 0 ? cases[i].rc : 0))
                fail_msg("%s, time %u: %d", cases[i].what, times, rc);
        }
        bench_check_balance(bench);
        const char *marker =
            cases[i].rc == 0 ? "" : bench_text("row ann/s1 {\"withdrawn\":%" PRId64 "}\n", cases[i].recalled_ms);
        const char *lines = buffer_text(&bench->lines);
        if (strstr(lines, marker) == NULL)
            fail_msg("%s: no marker in %s", cases[i].what, lines);
        if (cases[i].rc == 1)
            assert_table("");
        /* What was taken in before the copy was made, or after, comes again: none of it lets them in. */
        bench_reopen(bench);
        bench_advance(bench, BENCH_SECOND_MS);
        if (cases[i].rc == 1) {
            assert_int_equal(take(bench_customer("ann", "s1", 150, 11)), VERDICT_STALE);
            assert_table("");
        }
        assert_int_equal(take(bench_customer("ann", "s1", cases[i].recalled_ms + 500, 12)), VERDICT_PASSED);
        bench_commit(bench);
        tear_down(NULL);
        set_up(NULL);
    }
    assert_int_equal(filter_operator.recall(bench->state, span_of("no row of ours"), 1, 2, 2, &bench->output), 0);
}

/* Withdrawn by a record of before, since it was dated ahead; that has passed when it is recalled. */
static void
what_was_dated_ahead_and_is_no_more_is_recalled(void **state)
{
    const struct span identity[] = {span_of("ann"), span_of("s1")};
    const struct hash_id id = hash_id(&parameters.pseudonym_key, identity, 2);
    char name[HASH_ID_HEX_SIZE];

    (void)state;
    hash_hex(&id, name);
    take(bench_customer("ann", "s1", BENCH_START_MS + BENCH_HOUR_MS, 10));
    bench_advance(bench, 2 * BENCH_HOUR_MS);
    bench_begin(bench);
    assert_int_equal(filter_operator.recall(bench->state, span_of(name), BENCH_START_MS - 1, bench->now_ms, bench->now_ms,
                                            &bench->output), 1);
    assert_table("");
}

/* Whoever consents anew is in, by a clock that is right or by a later date; nothing of before lets them in, whenever and in
 * whatever words it comes, nor anything that is dated ahead. */
static void
who_consents_anew_after_a_consent_dated_ahead_is_in_again(void **state)
{
    const int64_t hour_ms = BENCH_HOUR_MS;
    static const struct {
        int64_t at_h, updated_h, as_of_ms;
        enum verdict verdict;
    } steps[] = {
        {0, -30, 10, VERDICT_PASSED},
        {0, 22, 10, VERDICT_PASSED},
        {0, 23, 10, VERDICT_PASSED},
        {0, 21, 10, VERDICT_STALE},   /* dated ahead too */
        {0, -20, 10, VERDICT_STALE},  /* dated right */
        {1, -25, 0, VERDICT_PASSED},  /* by a clock that is far behind */
        {1, -20, 11, VERDICT_STALE},
        {1, -30, 11, VERDICT_STALE},
        {1, 23, 11, VERDICT_STALE},
        {1, 15, 11, VERDICT_STALE},   /* not heard of before, but ahead */
        {2, 1, 11, VERDICT_PASSED},   /* anew, by a clock that is right */
        {3, 3, 0, VERDICT_PASSED},
        {40, 23, 12, VERDICT_STALE},
        {40, 22, 12, VERDICT_STALE},
        {40, 21, 12, VERDICT_STALE},
        {40, 15, 12, VERDICT_STALE},
        {40, 1, 12, VERDICT_STALE},
        {40, 24, 12, VERDICT_PASSED}, /* anew */
        {41, 40, 0, VERDICT_PASSED},
        {80, 23, 13, VERDICT_STALE},
        {80, 79, 13, VERDICT_PASSED},
    };

    (void)state;
    bench->rehearse = true;
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const int64_t at_ms = BENCH_START_MS + steps[i].at_h * hour_ms;
        bench_advance(bench, at_ms - bench->now_ms);
        assert_int_equal(take(bench_customer("ann", "s1", BENCH_START_MS + steps[i].updated_h * hour_ms,
                                             steps[i].as_of_ms)), steps[i].verdict);
        if (i % 3 == 0)
            bench_reopen(bench);
    }
}

/* The process was away meanwhile, and works the withdrawal when the consent's date has come: what was made after that was
 * taken is newer, what was made before is older. */
static void
bug_321_a_withdrawal_worked_days_later_holds_if_it_was_made_after_the_consent(void **state)
{
    const char *consent = bench_customer("ann", "s1", BENCH_START_MS + 23 * BENCH_HOUR_MS, 10);
    const struct {
        int64_t after_ms;
        enum verdict verdict;
    } cases[] = {{-1, VERDICT_STALE}, {0, VERDICT_PASSED}, {BENCH_HOUR_MS, VERDICT_PASSED}};

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        take(consent);
        bench_reopen(bench);
        bench_advance(bench, 48 * BENCH_HOUR_MS);
        assert_int_equal(take(bench_customer("ann", "s1", BENCH_START_MS + cases[i].after_ms, 0)), cases[i].verdict);
        assert_int_equal(take(consent), VERDICT_STALE);
        assert_table(cases[i].verdict == VERDICT_PASSED ? "" : row_line("ann/s1", consent));
        bench_commit(bench);
        tear_down(NULL);
        set_up(NULL);
    }
}

/* One of our clocks has come to the consent's date, the other has not: it may lie ahead, so the withdrawal holds. */
static void
a_date_lies_ahead_if_one_clock_says_so(void **state)
{
    const int64_t apart_ms[] = {-2 * BENCH_HOUR_MS, 2 * BENCH_HOUR_MS};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        bench->wall_apart_ms = apart_ms[i];
        const int64_t date_ms = BENCH_START_MS + (i == 0 ? -1 : 1) * BENCH_HOUR_MS;
        take(bench_customer("ann", i == 0 ? "s1" : "s2", date_ms, 10));
        assert_int_equal(take(bench_customer("ann", i == 0 ? "s1" : "s2", BENCH_START_MS - 3 * BENCH_HOUR_MS, 0)),
                         VERDICT_PASSED);
    }
    assert_table("");
}

/* Whose consent has a date of its own that lies ahead waits for it: nothing goes out before, and by both of our clocks. */
static void
bug_322_a_consent_opens_when_its_date_has_come(void **state)
{
    const char *ann = bench_customer("ann", "s1", 100, BENCH_START_MS + BENCH_HOUR_MS);
    const char *bob = bench_customer("bob", "s1", 100, BENCH_START_MS + 2 * BENCH_HOUR_MS);

    (void)state;
    bench->rehearse = true;
    assert_int_equal(take(ann), VERDICT_WAITING);
    assert_int_equal(take(bob), VERDICT_WAITING);
    assert_int_equal(take(ann), VERDICT_DUPLICATE);
    bench_advance(bench, BENCH_HOUR_MS - 1);
    assert_string_equal(buffer_text(&bench->lines), "");
    bench_assert_text(bench, bench_rows(bench, 1), "");
    bench_reopen(bench);
    bench_advance(bench, 1);
    assert_table(row_line("ann/s1", ann));
    assert_int_equal(bench->setup->operator->due_ms(bench->state), BENCH_START_MS + 2 * BENCH_HOUR_MS);
    /* The clock on the wall is behind: not yet. */
    bench->wall_apart_ms = -BENCH_MINUTE_MS;
    bench_advance(bench, BENCH_HOUR_MS);
    assert_int_equal(bench_count_lines(bench, "row bob"), 0);
    bench_advance(bench, BENCH_MINUTE_MS);
    assert_int_equal(bench_count_lines(bench, "row bob"), 1);
    const int64_t counts[VERDICT_COUNT] = {2, 0, 0, 1, 0, 0};
    assert_memory_equal(bench->counts[0].verdicts, counts, sizeof counts);
}

/* What comes while a row waits for its date. */
static void
who_waits_for_a_date_may_change_their_mind(void **state)
{
    const int64_t later_ms = BENCH_START_MS + BENCH_HOUR_MS;
    const char *now = bench_customer("bob", "s1", 200, 10);

    (void)state;
    bench->rehearse = true;
    take(bench_customer("ann", "s1", 100, later_ms));
    assert_int_equal(take(bench_customer("ann", "s1", 200, 0)), VERDICT_PASSED); /* and is not heard of any more */
    take(bench_customer("bob", "s1", 100, later_ms));
    assert_int_equal(take(now), VERDICT_PASSED);
    take(bench_customer("ann", "s2", 100, later_ms));
    const char *even_later = bench_customer("ann", "s2", 200, later_ms + 1);
    assert_int_equal(take(even_later), VERDICT_WAITING);
    bench_advance(bench, BENCH_HOUR_MS);
    assert_table(row_line("bob/s1", now));
    bench_advance(bench, 1);
    assert_int_equal(bench_count_lines(bench, "row ann/s1"), 0);
    assert_int_equal(bench_count_lines(bench, "row ann/s2"), 1);
    const int64_t counts[VERDICT_COUNT] = {3, 0, 1, 0, 2, 0};
    assert_memory_equal(bench->counts[0].verdicts, counts, sizeof counts);
}

/* The newest word of somebody who shared is that they share from tomorrow: until then they don't. */
static void
a_newer_consent_that_lies_ahead_closes_the_row_until_then(void **state)
{
    const char *later = bench_customer("ann", "s1", 200, BENCH_START_MS + BENCH_HOUR_MS);

    (void)state;
    bench->rehearse = true;
    take(bench_customer("ann", "s1", 100, 10));
    bench_forget_lines(bench);
    assert_int_equal(take(later), VERDICT_WAITING);
    assert_string_equal(buffer_text(&bench->lines), "row ann/s1 {\"withdrawn\":200}\n");
    bench_assert_text(bench, bench_rows(bench, 1), "row ann/s1 {\"withdrawn\":200}\n");
    bench_advance(bench, BENCH_HOUR_MS);
    assert_table(row_line("ann/s1", later));
}

/* All of a person's rows, whichever comes first; but not what is consented to later, nor anybody else's. */
static void
bug_323_who_withdraws_all_is_out_with_every_row(void **state)
{
    const struct bench_record records[] = {
        {0, "", bench_customer("ann", "s1", 100, 10)},
        {0, "", bench_customer("ann", "s2", 200, 10)},
        {0, "", bench_customer("ann", "s3", 201, 10)},
        {0, "", bench_customer("bob", "s1", 50, 10)},
        {0, "", withdraws_all("ann", "s1", 200)},
        {0, "", withdraws_all("ann", "s4", 150)},
    };
    char expected[1024];

    (void)state;
    bench_call_row(bench, &parameters.pseudonym_key, span_of("ann"), span_of("s3"));
    snprintf(expected, sizeof expected, "%s%s", row_line("ann/s3", records[2].json), row_line("bob/s1", records[3].json));
    bench_every_order(bench, records, 6, true, bench_table, expected);
}

static void
each_record_that_withdraws_all_gets_its_verdict(void **state)
{
    const int64_t ahead_ms = BENCH_START_MS + BENCH_HOUR_MS;

    (void)state;
    bench->rehearse = true;
    assert_int_equal(take(withdraws_all("ann", "s1", 100)), VERDICT_REFUSED);
    assert_int_equal(take(withdraws_all("ann", "s1", 100)), VERDICT_DUPLICATE);
    assert_int_equal(take(withdraws_all("ann", "s1", 99)), VERDICT_STALE);
    assert_int_equal(take(bench_customer("ann", "s2", 100, 10)), VERDICT_STALE);
    assert_int_equal(take(bench_customer("ann", "s2", 101, 10)), VERDICT_PASSED);
    assert_int_equal(take(bench_customer("ann", "s1", 300, 10)), VERDICT_PASSED);
    assert_int_equal(take(withdraws_all("ann", "s1", 200)), VERDICT_PASSED); /* s2; s1 has consented later */
    assert_int_equal(take(withdraws_all("ann", "s1", 201)), VERDICT_STALE);
    assert_int_equal(take(bench_customer("ann", "s3", ahead_ms, 10)), VERDICT_PASSED);
    assert_int_equal(take(withdraws_all("ann", "s4", 202)), VERDICT_PASSED); /* s3, as what is dated ahead */
    assert_int_equal(take(bench_customer("ann", "s3", ahead_ms, 11)), VERDICT_STALE);
    assert_int_equal(take(bench_customer("ann", "s5", 400, ahead_ms)), VERDICT_WAITING);
    assert_int_equal(take(withdraws_all("ann", "s1", 400)), VERDICT_PASSED);
    bench_advance(bench, 2 * BENCH_HOUR_MS);
    assert_table("");
}

/* Very many rows: a few at a time, over restarts; nobody is let in meanwhile by an older consent, and who consents
 * meanwhile, by a clock ahead even, stays. */
static void
many_rows_are_withdrawn_in_steps(void **state)
{
    const unsigned many = 700;
    const int64_t ahead_ms = BENCH_START_MS + BENCH_HOUR_MS;
    char newer[512];

    (void)state;
    for (unsigned i = 0; i < many; i++)
        take(bench_customer("ann", bench_text("t%u", i), 100, 10));
    bench_forget_lines(bench);
    assert_int_equal(take(withdraws_all("ann", "s1", 200)), VERDICT_PASSED);
    const unsigned first = bench_count_lines(bench, "row ");
    assert_in_range(first, 1, 256);
    assert_int_equal(bench->setup->operator->due_ms(bench->state), 0);
    for (unsigned i = 0; i < many; i += 7) {
        snprintf(newer, sizeof newer, "%s", bench_customer("ann", bench_text("t%u", i), ahead_ms, 10));
        assert_int_equal(take(bench_customer("ann", bench_text("t%u", i), 150, 10)), VERDICT_STALE);
        assert_int_equal(take(newer), VERDICT_PASSED);
    }
    bench_reopen(bench);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(bench_work(bench, 50), 50);
    bench_reopen(bench);
    bench_settle(bench, 50);
    char *table = bench_table(bench);
    struct buffer text = {0};
    buffer_add_text(&text, table);
    unsigned open = 0;
    for (const char *at = buffer_text(&text); (at = strchr(at, '\n')) != NULL; at++)
        open++;
    assert_int_equal(open, many / 7);
    buffer_free(&text);
    free(table);
    assert_int_equal(bench_work(bench, 50), 0);
}

/* Output that is full ends a step in between. */
static void
a_full_output_ends_a_step_of_withdrawals(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        take(bench_customer("ann", bench_text("t%u", i), 100, 10));
    bench_forget_lines(bench);
    bench->room = 300;
    take(withdraws_all("ann", "s1", 200));
    assert_in_range(bench_count_lines(bench, "row "), 1, 10);
    bench_settle(bench, 100);
    assert_int_equal(bench_count_lines(bench, "row "), 50);
    assert_table("");
}

/* A store of before has no table that says whose rows are whose: it is made of them, in steps. */
static void
rows_of_a_store_of_before_are_withdrawn_too(void **state)
{
    const unsigned rows = 30;

    (void)state;
    for (unsigned withdrawn_first = 0; withdrawn_first < 2; withdrawn_first++) {
        for (unsigned i = 0; i < rows; i++)
            take(bench_customer(i % 2 == 0 ? "ann" : "bob", bench_text("t%u", i), 100, 10));
        bench_commit(bench);
        const int table = store_table(bench->store, "person_rows");
        struct store_item item;
        bench_begin(bench);
        while (store_seek(bench->store, table, (struct span){0}, &item) == 1)
            assert_int_equal(store_delete_here(bench->store, table), 0);
        bench_reopen(bench);
        bench_forget_lines(bench);
        if (withdrawn_first == 0)
            bench_settle(bench, 7);
        else
            assert_int_equal(bench_work(bench, 7), 7);
        assert_int_equal(take(withdraws_all("ann", "s1", 200)), VERDICT_PASSED);
        bench_reopen(bench);
        bench_settle(bench, 7);
        assert_int_equal(bench_count_lines(bench, "row "), rows / 2);
        assert_int_equal(take(withdraws_all("bob", "s1", 200)), VERDICT_PASSED);
        assert_table("");
        bench_commit(bench);
        tear_down(NULL);
        set_up(NULL);
    }
}

/* They stay for ever, and nobody saw how many there were. */
static void
bug_356_rows_are_counted_those_without_consent_too(void **state)
{
    static const struct {
        const char *who;
        int64_t updated_ms, as_of_ms;
        int64_t rows, closed;
    } steps[] = {
        {"ann", 100, 0, 1, 1}, {"ann", 200, 0, 1, 1}, {"ann", 300, 9, 1, 0}, {"bob", 100, 9, 2, 0}, {"bob", 200, 0, 2, 1},
        {"bob", 150, 9, 2, 1}, {"ann", 400, 0, 2, 2}, {"cleo", 1, 0, 3, 3},  {"cleo", 2, 7, 3, 2},
    };

    (void)state;
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

/* A count that is stored and can't be is damage when it shows, not a number below zero. */
static void
who_comes_back_and_was_not_counted_is_damage(void **state)
{
    const char none[8] = {0};

    (void)state;
    take(bench_customer("ann", "s1", 100, 0));
    bench_commit(bench);
    const int counts = bench_table_called(bench, "row_counts");
    assert_int_equal(store_put(bench->store, counts, span_of("closed"), span_at(none, sizeof none)), 0);
    bench_commit(bench);
    bench_reopen(bench);
    bench_take_damaged(bench, 0, "", bench_customer("ann", "s1", 200, 10));
}

/* What is kept of who does not share is nothing personal: a row that says otherwise is not worked. */
static void
a_row_that_does_not_share_and_has_a_record_is_damage(void **state)
{
    struct store_item item;
    struct buffer name = {0}, value = {0};

    (void)state;
    take(bench_customer("ann", "s1", 100, 10));
    const int rows = bench_table_called(bench, "rows");
    assert_int_equal(store_seek(bench->store, rows, (struct span){0}, &item), 1);
    buffer_add_span(&name, item.key);
    buffer_add_span(&value, item.value);
    memset(value.data + 8, 0, 8);
    assert_int_equal(store_put(bench->store, rows, buffer_span(&name), buffer_span(&value)), 0);
    bench_take_damaged(bench, 0, "", bench_customer("ann", "s1", 200, 10));
    buffer_free(&name);
    buffer_free(&value);
}

static void
a_row_that_waits_and_is_not_among_those_that_do_is_damage(void **state)
{
    struct store_item item;

    (void)state;
    assert_int_equal(take(bench_customer("ann", "s1", 100, BENCH_START_MS + BENCH_HOUR_MS)), VERDICT_WAITING);
    const int openings = bench_table_called(bench, "openings");
    assert_int_equal(store_seek(bench->store, openings, (struct span){0}, &item), 1);
    assert_int_equal(store_delete_here(bench->store, openings), 0);
    bench_take_damaged(bench, 0, "", bench_customer("ann", "s1", 200, 0));
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
        EACH(bug_320_who_withdraws_after_a_consent_dated_ahead_is_out_at_once),
        EACH(bug_700_a_withdrawal_that_comes_again_closes_what_a_consent_dated_ahead_opened),
        EACH(what_readers_were_told_is_withdrawn_stays_so),
        EACH(what_was_dated_ahead_and_is_no_more_is_recalled),
        EACH(who_consents_anew_after_a_consent_dated_ahead_is_in_again),
        EACH(bug_321_a_withdrawal_worked_days_later_holds_if_it_was_made_after_the_consent),
        EACH(a_date_lies_ahead_if_one_clock_says_so),
        EACH(bug_322_a_consent_opens_when_its_date_has_come),
        EACH(who_waits_for_a_date_may_change_their_mind),
        EACH(a_newer_consent_that_lies_ahead_closes_the_row_until_then),
        EACH(bug_323_who_withdraws_all_is_out_with_every_row),
        EACH(each_record_that_withdraws_all_gets_its_verdict),
        EACH(many_rows_are_withdrawn_in_steps),
        EACH(a_full_output_ends_a_step_of_withdrawals),
        EACH(rows_of_a_store_of_before_are_withdrawn_too),
        EACH(bug_356_rows_are_counted_those_without_consent_too),
        EACH(who_comes_back_and_was_not_counted_is_damage),
        EACH(a_row_that_does_not_share_and_has_a_record_is_damage),
        EACH(a_row_that_waits_and_is_not_among_those_that_do_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
