/*
 * presence: a row goes out once there is a reading of its person, and follows its changes and its withdrawal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "operator_bench.h"

static struct bench_setup setup;
static struct bench *bench;

static int
set_up(void **state)
{
    (void)state;
    setup = bench_presence();
    bench = bench_open(&setup);
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
take_row(const char *row, const char *json)
{
    return bench_take(bench, PRESENCE_TABLE, row, json);
}

static enum verdict
take_reading(const char *email)
{
    return bench_take(bench, PRESENCE_STREAM, "", bench_phone(email, 100, 1));
}

static void
the_table_does_not_depend_on_the_order_of_arrival(void **state)
{
    const struct bench_record records[] = {
        {PRESENCE_TABLE, "a1", bench_customer("ann", "s1", 100, 10)},
        {PRESENCE_TABLE, "a2", bench_customer("ann", "s2", 100, 10)},
        {PRESENCE_TABLE, "b1", bench_customer("bob", "s1", 100, 10)},
        {PRESENCE_TABLE, "d4", bench_customer("dan", "s4", 100, 10)}, /* no reading of his */
        {PRESENCE_STREAM, "", bench_phone("ann", 1, 1)},
        {PRESENCE_STREAM, "", bench_phone("bob", 2, 1)},
        {PRESENCE_STREAM, "", bench_phone("cleo", 3, 1)}, /* nobody's customer */
    };
    char expected[1024];

    (void)state;
    snprintf(expected, sizeof expected, "row a1 %s\nrow a2 %s\nrow b1 %s\n", records[0].json, records[1].json,
             records[2].json);
    bench_every_order(bench, records, 7, false, bench_output_rows, expected);
}

/* What becomes of a row, step by step: letters are r a reading of the person, o an open row, n a newer one, w withdrawn
 * before both, m between them; expected: what goes out at each step, - nothing. */
static void
a_row_follows_its_person(void **state)
{
    static const struct {
        const char *steps, *out;
    } cases[] = {
        {"or", "-o"},       {"ro", "-o"},       {"orr", "-o-"},      {"onr", "--n"},     {"orn", "-on"},
        {"ron", "-on"},     {"ow", "-w"},       {"w", "w"},          {"ww", "w-"},       {"owr", "-w-"},
        {"orw", "-ow"},     {"rowr", "-ow-"},   {"rwo", "-wo"},      {"owor", "-w-o"},   {"owro", "-w-o"},
        {"orwn", "-own"},   {"orwnw", "-ownw"}, {"onwnr", "--w-n"},
        {"oor", "--o"},     {"roo", "-o-"},     {"rownn", "-own-"}, {"rono", "-ono"},
        /* Who has left is not brought back by an older row, which a producer gives out whose state went back in time. */
        {"rom", "-om"},     {"romo", "-om-"},   {"romn", "-omn"},    {"mor", "m--"},     {"mnr", "m-n"},
        {"rmwo", "-m--"},   {"rwmo", "-wm-"},   {"rowmo", "-owm-"},  {"romnwo", "-omnwo"},
    };

    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        for (unsigned c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            bench->rehearse = mode == 1;
            char email[16], row[16];
            snprintf(email, sizeof email, "%u-%u", mode, c); /* each case has a person of its own */
            snprintf(row, sizeof row, "r%u-%u", mode, c);
            for (unsigned i = 0; cases[c].steps[i] != '\0'; i++) {
                char expected[512] = "";
                const char *bodies[] = {bench_customer(email, "s1", 100, 10), bench_customer(email, "s1", 200, 20)};
                bench_forget_lines(bench);
                switch (cases[c].steps[i]) {
                case 'r':
                    take_reading(email);
                    break;
                case 'w':
                case 'm':
                    take_row(row, bench_withdrawn(cases[c].steps[i] == 'm' ? 150 : 50));
                    break;
                default:
                    take_row(row, bodies[cases[c].steps[i] == 'n']);
                }
                if (cases[c].out[i] == 'w' || cases[c].out[i] == 'm')
                    snprintf(expected, sizeof expected, "row %s {\"withdrawn\":%s}\n", row,
                             cases[c].out[i] == 'm' ? "150" : "50");
                else if (cases[c].out[i] != '-')
                    snprintf(expected, sizeof expected, "row %s %s\n", row, bodies[cases[c].out[i] == 'n']);
                char *got = bench_output(bench, "row ");
                if (strcmp(got, expected) != 0)
                    print_error("%s, step %u\n", cases[c].steps, i);
                bench_assert_text(bench, got, expected);
            }
        }
    }
}

static void
each_row_counts_where_it_ends(void **state)
{
    const int64_t *table = bench->counts[PRESENCE_TABLE].verdicts;

    (void)state;
    assert_int_equal(take_row("a1", bench_customer("ann", "s1", 100, 10)), VERDICT_WAITING);
    assert_int_equal(take_row("a1", bench_customer("ann", "s1", 200, 10)), VERDICT_WAITING);
    assert_int_equal(table[VERDICT_STALE], 1); /* the older one that waited */
    assert_int_equal(table[VERDICT_WAITING], 1);
    assert_int_equal(take_row("a2", bench_customer("ann", "s2", 100, 10)), VERDICT_WAITING);
    assert_int_equal(take_row("a2", bench_withdrawn(300)), VERDICT_PASSED);
    assert_int_equal(table[VERDICT_REFUSED], 1);
    assert_int_equal(bench_count_lines(bench, "refuse customer no_consent"), 1);
    assert_int_equal(take_reading("ann"), VERDICT_PASSED);
    assert_int_equal(table[VERDICT_WAITING], 0);
    assert_int_equal(table[VERDICT_PASSED], 2);
    assert_int_equal(take_row("a1", bench_customer("ann", "s1", 300, 10)), VERDICT_PASSED);
    assert_int_equal(table[VERDICT_STALE], 1);
}

/* The last reading's person is remembered, and must not be after an abort. */
static void
an_abort_forgets_who_was_seen(void **state)
{
    (void)state;
    bench_commit(bench);
    take_reading("ann");
    bench_abort(bench);
    assert_int_equal(take_row("a1", bench_customer("ann", "s1", 100, 10)), VERDICT_WAITING);
    take_reading("ann");
    assert_int_equal(bench_count_lines(bench, "row a1 "), 1);
    bench_commit(bench);
    bench_reopen(bench);
    assert_int_equal(take_row("a2", bench_customer("ann", "s2", 100, 10)), VERDICT_PASSED);
}

/* Thousands of seeded steps against the rule as one would write it down. */

#define PERSONS 4
#define ROWS 6

static void
chance_agrees_with_the_rule(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        uint64_t chance = seed * UINT64_C(0x9E3779B97F4A7C15);
        bool seen[PERSONS] = {false};
        struct buffer expected = {0};
        char rows[ROWS][512] = {{0}}; /* bodies that wait */

        bench->seed = seed;
        bench->rehearse = seed % 5 == 0;
        bench->room = bench_chance(&chance, 2) * (1 + bench_chance(&chance, 400)); /* or rows that have to come later */
        for (unsigned step = 0; step < 40; step++) {
            unsigned r = bench_chance(&chance, ROWS);
            unsigned person = r % PERSONS;
            const char *row = bench_text("%u-r%u", seed, r);
            const char *email = bench_text("%u-p%u", seed, person);
            bench_forget_lines(bench);
            buffer_clear(&expected);
            switch (bench_chance(&chance, 4)) {
            case 0:
                take_reading(email);
                for (unsigned i = 0; i < ROWS; i++) {
                    if (!seen[person] && i % PERSONS == person && rows[i][0] != '\0') {
                        buffer_printf(&expected, "row %u-r%u %s\n", seed, i, rows[i]);
                        rows[i][0] = '\0';
                    }
                }
                seen[person] = true;
                break;
            case 1:
                take_row(row, bench_withdrawn(step + 1));
                rows[r][0] = '\0';
                buffer_printf(&expected, "row %s {\"withdrawn\":%u}\n", row, step + 1);
                break;
            default: {
                const char *json = bench_customer(email, bench_text("s%u", r), step + 1, 1);
                take_row(row, json);
                if (seen[person])
                    buffer_printf(&expected, "row %s %s\n", row, json);
                else
                    snprintf(rows[r], sizeof rows[r], "%s", json);
            }
            }
            bench_settle(bench, 1 + bench_chance(&chance, 3));
            bench_assert_text(bench, bench_output(bench, "row "), buffer_text(&expected));
            if (bench_chance(&chance, 50) == 0)
                bench_reopen(bench);
        }
        buffer_free(&expected);
    }
}

static void
rows_come_again_as_they_went_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        take_row(bench_text("r%02u", i), bench_customer(bench_text("e%u", i), "s", 100, 10));
        if (i % 3 == 0)
            take_reading(bench_text("e%u", i));
        if (i % 5 == 0)
            take_row(bench_text("r%02u", i), bench_withdrawn(200));
    }
    struct buffer expected = {0};
    for (unsigned i = 0; i < 30; i++) {
        if (i % 5 == 0)
            buffer_printf(&expected, "row r%02u {\"withdrawn\":200}\n", i);
        else if (i % 3 == 0)
            buffer_printf(&expected, "row r%02u %s\n", i, bench_customer(bench_text("e%u", i), "s", 100, 10));
    }
    for (unsigned page = 1; page < 40; page += 6)
        bench_assert_text(bench, bench_rows(bench, page), buffer_text(&expected));
    buffer_free(&expected);
}

/* One reading of somebody with very many rows: they were all published in one step. What becomes of some of them before it
 * is their turn is not undone. */
static void
bug_211_many_rows_of_a_person_are_published_in_bounded_steps(void **state)
{
    enum { MANY = 3000, EACH_STEP = 300 };
    struct buffer expected = {0};

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        take_row(bench_text("r%04u", i), bench_customer("ann", bench_text("s%u", i), 100, 10));
    take_reading("ann");
    assert_in_range(bench_count_lines(bench, "row "), 1, EACH_STEP);
    assert_int_equal(setup.operator->due_ms(bench->state), 0);
    take_row("r2000", bench_withdrawn(200));
    take_row("r2001", bench_customer("ann", "s2001", 200, 10));
    take_row("r9999", bench_customer("ann", "s9999", 100, 10));
    bench_reopen(bench);
    for (unsigned before = bench_count_lines(bench, "row "); before < MANY + 1;) {
        bench_work(bench, EACH_STEP);
        const unsigned now = bench_count_lines(bench, "row ");
        assert_in_range(now - before, 1, EACH_STEP);
        before = now;
    }
    bench_settle(bench, 10);
    assert_int_equal(bench_count_lines(bench, "row "), MANY + 1);
    for (unsigned i = 0; i < MANY; i++) {
        if (i != 2000)
            buffer_printf(&expected, "row r%04u %s\n", i,
                          bench_customer("ann", bench_text("s%u", i), i == 2001 ? 200 : 100, 10));
    }
    buffer_printf(&expected, "row r9999 %s\n", bench_customer("ann", "s9999", 100, 10));
    bench_assert_text(bench, bench_table(bench), buffer_text(&expected));
    assert_int_equal(bench->counts[PRESENCE_TABLE].verdicts[VERDICT_WAITING], 0);
    buffer_free(&expected);
}

static void
forget_who_waits(void)
{
    struct store_item item;
    const int waiting = bench_table_called(bench, "waiting");

    assert_int_equal(store_seek(bench->store, waiting, (struct span){0}, &item), 1);
    assert_int_equal(store_delete_here(bench->store, waiting), 0);
}

static void
a_row_that_waits_and_is_not_among_those_that_do_is_damage(void **state)
{
    (void)state;
    assert_int_equal(take_row("a", bench_customer("ann", "s1", 100, 10)), VERDICT_WAITING);
    forget_who_waits();
    bench_take_damaged(bench, PRESENCE_TABLE, "a", bench_withdrawn(200));
}

static void
a_row_among_those_that_wait_that_does_not_is_damage(void **state)
{
    struct store_item item;
    struct buffer key = {0};
    const int waiting = bench_table_called(bench, "waiting");

    (void)state;
    take_row("a", bench_customer("ann", "s1", 100, 10));
    assert_int_equal(store_seek(bench->store, waiting, (struct span){0}, &item), 1);
    buffer_add_span(&key, item.key);
    take_row("a", bench_withdrawn(200));
    assert_int_equal(store_put(bench->store, waiting, buffer_span(&key), (struct span){0}), 0);
    bench_take_damaged(bench, PRESENCE_STREAM, "", bench_phone("ann", 100, 1));
    buffer_free(&key);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(the_table_does_not_depend_on_the_order_of_arrival),
        EACH(a_row_follows_its_person),
        EACH(each_row_counts_where_it_ends),
        EACH(an_abort_forgets_who_was_seen),
        EACH(chance_agrees_with_the_rule),
        EACH(rows_come_again_as_they_went_out),
        EACH(bug_211_many_rows_of_a_person_are_published_in_bounded_steps),
        EACH(a_row_that_waits_and_is_not_among_those_that_do_is_damage),
        EACH(a_row_among_those_that_wait_that_does_not_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
