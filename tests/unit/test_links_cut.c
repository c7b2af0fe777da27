/* cut: which states can be gone on from together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "memory_process.h"
#include "links/cut.h"

/* The producer's store has what follows `trimmed` up to `last`; the consumer has applied so much of `epoch`. */
struct link_case {
    uint64_t trimmed, last;
    uint64_t epoch, applied;
    bool good;
};

static int
check(const struct link_case *link, struct buffer *faults)
{
    const struct cut_member members[] = {
        {.stream = &customer_trusted,
         .positions = {.epoch = 7, .trimmed = {link->trimmed, 0}, .last = {link->last, 0}}},
        {.stream = &accelerometer_trusted, .positions = {.epoch = 8, .links = {{0}, {link->epoch, link->applied}}}},
    };

    assert_ptr_equal(accelerometer_trusted.inputs[1].from, &customer_trusted);
    return cut_check(members, 2, faults);
}

static void
a_link_goes_on_if_what_follows_is_there(void **state)
{
    static const struct link_case cases[] = {
        {0, 0, 7, 0, true},    {10, 20, 7, 10, true},  {10, 20, 7, 15, true}, {10, 20, 7, 20, true},
        {10, 20, 7, 9, false}, {10, 20, 7, 21, false}, {0, 0, 7, 1, false},   {10, 20, 7, 0, false},
        {10, 20, 0, 0, true}, /* begins as a newcomer, */
        {10, 20, 6, 5, true}, /* and so does one that knows another store */
    };
    struct buffer faults = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_clear(&faults);
        assert_int_equal(check(&cases[i], &faults), cases[i].good ? 0 : -1);
        assert_int_equal(faults.len > 0, !cases[i].good);
    }
    buffer_clear(&faults);
    check(&cases[5], &faults);
    assert_string_equal(buffer_text(&faults),
                        "accelerometer-trusted has applied 21 messages of customer-trusted, whose state has 11 to 20\n");
    buffer_free(&faults);
}

static struct lives
lives_of(unsigned count, const uint64_t (*lives)[3])
{
    struct lives made = {.count = count};

    for (unsigned i = 0; i < count; i++)
        made.list[i] = (struct life){lives[i][0], lives[i][1], lives[i][2]};
    return made;
}

static struct link_position
at(uint64_t epoch, uint64_t applied)
{
    return (struct link_position){epoch, applied};
}

/* Of two states, the producer's at `last` of a life and the consumer's at `has` of one, where both may have had others. */
static int
check_lives(struct link_position last, const struct lives *earlier, uint64_t trimmed, struct link_position has,
            const struct lives *left, struct buffer *faults)
{
    struct cut_member members[] = {
        {.stream = &customer_trusted,
         .positions = {.epoch = last.epoch, .trimmed = {trimmed, 0}, .last = {last.applied, 0}, .earlier = *earlier}},
        {.stream = &accelerometer_trusted, .positions = {.epoch = 8, .links = {{0}, has}, .left = {{0}, *left}}},
    };

    buffer_clear(faults);
    const int rc = cut_check(members, 2, faults);
    assert_int_equal(faults->len > 0, rc != 0);
    return rc;
}

/* Life 7 ended at 12, and life 9 goes on behind that: who is still in life 7 has of it what it had by then. */
static void
a_consumer_that_has_not_heard_of_the_present_life_stands_where_it_will(void **state)
{
    struct buffer faults = {0};
    const struct lives none = {0};
    const struct lives earlier = lives_of(1, (const uint64_t[][3]){{7, 0, 12}});
    const struct link_position last = {9, 20};
    const uint64_t goes_on[] = {10, 11, 12, 13, 500};

    (void)state;
    for (size_t i = 0; i < sizeof goes_on / sizeof goes_on[0]; i++)
        assert_int_equal(check_lives(last, &earlier, 10, at(7, goes_on[i]), &none, &faults), 0);
    assert_int_equal(check_lives(last, &earlier, 10, at(7, 9), &none, &faults), -1);
    assert_string_equal(buffer_text(&faults),
                        "accelerometer-trusted has applied 9 messages of customer-trusted, whose state has 11 to 20\n");
    /* Of life 7 only 12 are in life 9, and what follows them there is gone. */
    assert_int_equal(check_lives(last, &earlier, 13, at(7, 500), &none, &faults), -1);
    assert_string_equal(buffer_text(&faults),
                        "accelerometer-trusted has applied 12 messages of customer-trusted, whose state has 14 to 20\n");
    buffer_free(&faults);
}

static void
a_consumer_that_has_moved_is_judged_by_the_present_life(void **state)
{
    struct buffer faults = {0};
    const struct lives earlier = lives_of(1, (const uint64_t[][3]){{7, 0, 12}});
    const struct lives left = lives_of(1, (const uint64_t[][3]){{7, 500, 12}});
    const struct link_position last = {9, 20};

    (void)state;
    assert_int_equal(check_lives(last, &earlier, 12, at(9, 12), &left, &faults), 0);
    assert_int_equal(check_lives(last, &earlier, 12, at(9, 20), &left, &faults), 0);
    assert_int_equal(check_lives(last, &earlier, 14, at(9, 13), &left, &faults), -1);
    assert_int_equal(check_lives(last, &earlier, 12, at(9, 21), &left, &faults), -1);
    buffer_free(&faults);
}

/* The producer's state is of before the life in which its consumer is: that has other messages under its next numbers. */
static void
a_consumer_in_a_life_to_come_is_no_cut(void **state)
{
    struct buffer faults = {0};
    const struct lives none = {0};
    const struct lives left = lives_of(1, (const uint64_t[][3]){{7, 12, 12}});

    (void)state;
    assert_int_equal(check_lives(at(7, 20), &none, 10, at(9, 12), &left, &faults), -1);
    assert_string_equal(buffer_text(&faults), "accelerometer-trusted has followed customer-trusted into a life of its state "
                                              "that this state of it does not know\n");
    /* The life that it left ended where this one goes on, and it took more in the next: that is of no use here. */
    assert_int_equal(check_lives(at(7, 20), &none, 10, at(9, 18), &left, &faults), -1);
    /* Once that life is known to have been another one it counts for what it shares. */
    const struct lives foreign = lives_of(2, (const uint64_t[][3]){{7, 0, 20}, {9, 0, 0}});
    assert_int_equal(check_lives(at(5, 30), &foreign, 10, at(9, 18), &left, &faults), 0);
    assert_int_equal(check_lives(at(5, 30), &foreign, 15, at(9, 18), &left, &faults), -1);
    buffer_free(&faults);
}

static void
a_consumer_of_no_life_that_its_producer_had_begins_as_a_newcomer(void **state)
{
    struct buffer faults = {0};
    const struct lives earlier = lives_of(1, (const uint64_t[][3]){{7, 0, 12}});
    const struct lives left = lives_of(1, (const uint64_t[][3]){{4, 500, 400}});

    (void)state;
    assert_int_equal(check_lives(at(9, 20), &earlier, 15, at(6, 1), &left, &faults), 0);
    buffer_free(&faults);
}

static void
a_producer_elsewhere_is_not_asked(void **state)
{
    const struct cut_member member = {.stream = &accelerometer_trusted, .positions = {.links = {{0}, {7, 1000}}}};
    struct buffer faults = {0};

    (void)state;
    assert_int_equal(cut_check(&member, 1, &faults), 0);
    buffer_free(&faults);
}

/* The store of the process that ran, open to be read. */
static struct store *
open_store(void)
{
    struct buffer path = {0};

    buffer_printf(&path, "%s/state/accelerometer-trusted/store", bench.dir);
    struct store *store = store_open_to_read(buffer_text(&path), true);
    assert_non_null(store);
    assert_int_equal(store_snapshot(store), 0);
    buffer_free(&path);
    return store;
}

static void
positions_are_those_that_the_process_had(void **state)
{
    struct kept_positions positions;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_send("gait/landing/accelerometer", "[1]", NULL, NULL);
    bench_settle();
    assert_non_null(bench_heard("gait/rejected/accelerometer-trusted", 0)); /* which is no output */
    const uint64_t epoch = inside_epoch(bench.process);
    const uint64_t inbox = inside_inbox_position(bench.process);
    assert_true(inbox > 0);
    bench_close_process();
    struct store *store = open_store();
    assert_int_equal(cut_read(store, &accelerometer_trusted, &positions), 0);
    assert_true(positions.epoch == epoch && positions.inbox == inbox);
    assert_true(positions.links[1].epoch == 0 && positions.links[1].applied == 0);
    assert_true(positions.last.sequence == 0 && positions.trimmed.sequence == 0);
    store_close(store);
}

/* Open the store of a process that ran, and put value there. */
static void
put_in_store(const char *key, struct span value)
{
    struct buffer path = {0};

    buffer_printf(&path, "%s/state/accelerometer-trusted/store", bench.dir);
    struct store *store = store_open(buffer_text(&path), 16 << 20);
    const int meta = store_table(store, "meta");
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, meta, span_of(key), value), 0);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
    buffer_free(&path);
}

static void
the_lives_before_are_among_them(void **state)
{
    const struct lives earlier = lives_of(2, (const uint64_t[][3]){{3, 0, 17}, {2, 0, 9}});
    const struct lives left = lives_of(1, (const uint64_t[][3]){{7, 21, 12}});
    struct cut_member member = {.stream = &accelerometer_trusted};
    struct buffer text = {0};
    char bytes[LIVES_BYTES_MAX];
    char position[16];

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_close_process();
    bytes_put_u64(position, 1);
    put_in_store("epoch", span_at(position, 8));
    bytes_put_u64(position, 9);
    bytes_put_u64(position + 8, 14);
    put_in_store("link customer-trusted", span_at(position, sizeof position));
    put_in_store("earlier", lives_encode(&earlier, bytes));
    put_in_store("left customer-trusted", lives_encode(&left, bytes));
    struct store *store = open_store();
    assert_int_equal(cut_read(store, &accelerometer_trusted, &member.positions), 0);
    cut_write(&member, &text);
    assert_string_equal(buffer_text(&text),
                        "process accelerometer-trusted epoch 0000000000000001 "
                        "earlier 0000000000000003 17 0000000000000002 9 inbox 0 output 0 0\n"
                        "link customer-trusted accelerometer-trusted epoch 0000000000000009 applied 14 "
                        "left 0000000000000007 21\n");
    store_close(store);
    buffer_free(&text);
}

static unsigned lines_said;
static char last_line[512];

static void
count_line(const char *text)
{
    lines_said++;
    snprintf(last_line, sizeof last_line, "%s", text);
}

/* What a newer program wrote, what is too short, what is no process's: none is taken for positions. */
static void
what_is_not_known_is_refused(void **state)
{
    static const struct {
        const char *key;
        size_t bytes;
        uint64_t value;
        const char *said; /* last; NULL: that its positions are damaged */
    } wrong[] = {{"format", 8, 99, "the state of accelerometer-trusted has format 99"},
                 {"process", 1, (uint64_t)'x' << 56, "what lies in the place of accelerometer-trusted's state is that of x"},
                 {"format", 7, 0, NULL},
                 {"epoch", 3, 0, NULL},
                 {"inbox", 7, 0, NULL},
                 {"link customer-trusted", 15, 0, NULL},
                 {"earlier", 23, 1, NULL},
                 {"earlier", 24, 0, NULL},
                 {"left customer-trusted", 23, 1, NULL}};
    struct kept_positions positions;
    char value[24] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bench_open_process(&accelerometer_trusted, NULL);
        bench_close_process();
        bytes_put_u64(value, wrong[i].value);
        put_in_store(wrong[i].key, span_at(value, wrong[i].bytes));
        struct store *store = open_store();
        lines_said = 0;
        log_follow(count_line);
        assert_int_equal(cut_read(store, &accelerometer_trusted, &positions), -1);
        log_follow(NULL);
        /* Why it is refused, and no guess behind that. */
        const char *said = wrong[i].said != NULL ? wrong[i].said : "what it says of its positions is damaged";
        assert_non_null(strstr(last_line, said));
        assert_true(wrong[i].said == NULL || lines_said == 1);
        store_close(store);
        scratch_dir_remove(bench.dir);
        scratch_dir_make(bench.dir);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_link_goes_on_if_what_follows_is_there),
        TEST(a_consumer_that_has_not_heard_of_the_present_life_stands_where_it_will),
        TEST(a_consumer_that_has_moved_is_judged_by_the_present_life),
        TEST(a_consumer_in_a_life_to_come_is_no_cut),
        TEST(a_consumer_of_no_life_that_its_producer_had_begins_as_a_newcomer),
        TEST(a_producer_elsewhere_is_not_asked),
        TEST(positions_are_those_that_the_process_had),
        TEST(the_lives_before_are_among_them),
        TEST(what_is_not_known_is_refused),
    };

    hash_init();
    log_open("test", LOG_NOTHING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
