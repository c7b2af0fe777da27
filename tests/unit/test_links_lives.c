/* lives: who has what of a store that came back from older copies of itself, in whatever order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/log.h"
#include "links/link.h"
#include "links/lives.h"
#include "splitmix.h"

static struct lives
lives_of(unsigned count, const uint64_t (*lives)[3])
{
    struct lives made = {.count = count};

    for (unsigned i = 0; i < count; i++)
        made.list[i] = (struct life){lives[i][0], lives[i][1], lives[i][2]};
    return made;
}

/* The message up to which the consumer has the present life; −1: it knows none of the producer's. */
static int64_t
meet(struct link_position at, struct lives consumer, struct link_position last, const struct lives *earlier)
{
    uint64_t has;

    lives_settle(&consumer, at);
    return lives_meet(at, &consumer, last, earlier, &has) ? (int64_t)has : -1;
}

static void
what_a_later_life_shares_with_an_earlier_one_is_had(void **state)
{
    const struct lives none = {0};
    const struct lives earlier = lives_of(2, (const uint64_t[][3]){{2, 0, 12}, {1, 0, 8}});
    const struct link_position last = {3, 20};

    (void)state;
    assert_int_equal(meet((struct link_position){3, 15}, none, last, &earlier), 15);
    assert_int_equal(meet((struct link_position){2, 10}, none, last, &earlier), 10);
    assert_int_equal(meet((struct link_position){2, 30}, none, last, &earlier), 12);
    assert_int_equal(meet((struct link_position){1, 3}, none, last, &earlier), 3);
    assert_int_equal(meet((struct link_position){1, 30}, none, last, &earlier), 8);
    assert_int_equal(meet((struct link_position){4, 30}, none, last, &earlier), -1);
    assert_int_equal(meet((struct link_position){0, 0}, none, last, &earlier), -1);
}

/* The same copy is put back twice: the consumer was behind the first time, and had caught up in the life that followed. */
static void
what_was_taken_in_a_life_that_is_gone_counts_for_the_one_before(void **state)
{
    const struct lives first = lives_of(1, (const uint64_t[][3]){{1, 0, 8}});
    struct lives left = {0};

    (void)state;
    lives_leave(&left, (struct link_position){1, 3}, &first);
    /* At 15 of life 2: of life 1 it has what was before the switch, and no more, whatever life 1 gave out later. */
    const struct lives second = lives_of(1, (const uint64_t[][3]){{1, 0, 25}});
    assert_int_equal(meet((struct link_position){2, 15}, left, (struct link_position){1, 6}, &(struct lives){0}), 6);
    assert_int_equal(meet((struct link_position){2, 15}, left, (struct link_position){9, 30}, &second), 8);
    assert_int_equal(meet((struct link_position){2, 5}, left, (struct link_position){9, 30}, &second), 5);
}

static void
a_life_that_is_pushed_again_moves_to_the_front_and_the_oldest_makes_room(void **state)
{
    struct lives lives = {0};

    (void)state;
    for (uint64_t i = 1; i <= LIVES_MAX + 2; i++)
        lives_push(&lives, (struct life){i, i, i});
    assert_int_equal(lives.count, LIVES_MAX);
    assert_null(lives_find(&lives, 2));
    lives_push(&lives, (struct life){5, 50, 50});
    assert_int_equal(lives.count, LIVES_MAX);
    assert_int_equal(lives.list[0].epoch, 5);
    assert_int_equal(lives.list[1].epoch, LIVES_MAX + 2);
    for (uint64_t i = 3; i <= LIVES_MAX + 2; i++)
        assert_non_null(lives_find(&lives, i));
    assert_int_equal(lives_find(&lives, 5)->applied, 50);
}

static void
lives_read_back_from_a_report_and_from_a_store(void **state)
{
    char bytes[LIVES_BYTES_MAX];
    struct buffer text = {0};
    struct lives lives = {0}, again;
    struct link_position position;
    bool rewind;

    (void)state;
    for (uint64_t i = 1; i <= LIVES_MAX; i++) {
        lives_push(&lives, (struct life){i << 60, i, 100 * i});
        for (unsigned applied = 0; applied < 2; applied++) {
            link_write_report((struct link_position){7, 9}, true, &text);
            lives_write(&lives, applied != 0, &text);
            assert_int_equal(link_read_report(buffer_span(&text), &position, &rewind), 0);
            assert_true(position.epoch == 7 && position.applied == 9 && rewind);
            lives_read(buffer_span(&text), applied != 0, &again);
            assert_int_equal(again.count, i);
            for (unsigned j = 0; j < i; j++) {
                assert_true(again.list[j].epoch == lives.list[j].epoch);
                assert_int_equal(again.list[j].applied, applied != 0 ? lives.list[j].applied : 0);
                assert_int_equal(again.list[j].last, applied != 0 ? 0 : lives.list[j].last);
            }
        }
        lives_decode(lives_encode(&lives, bytes), &again);
        assert_int_equal(again.count, i);
        assert_memory_equal(again.list, lives.list, i * sizeof lives.list[0]);
    }
    buffer_free(&text);
}

static void
what_is_no_list_of_lives_is_none(void **state)
{
    static const char *const texts[] = {
        "", "{}", "{\"earlier\":[]}", "{\"earlier\":7}", "{\"earlier\":[1,2,3]}", "{\"earlier\":[\"x\",1]}",
        "{\"earlier\":[\"1122334455667788\"]}", "{\"earlier\":[\"1122334455667788\",-1]}",
        "{\"earlier\":[\"0000000000000000\",1]}", "{\"earlier\":[[\"1122334455667788\",1]]}", "{\"earlier\":",
    };
    struct lives lives;

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        lives.count = 1;
        lives_read(span_of(texts[i]), true, &lives);
        if (lives.count != 0)
            fail_msg("taken for lives: %s", texts[i]);
    }
    lives_decode(span_of("short"), &lives);
    assert_int_equal(lives.count, 0);
}

/*
 * Brute force: a producer whose state is copied and put back at random, with consumers that are now and then away. What it
 * gives out is told apart by content, and each consumer keeps a list of what it took.
 */

#define RECORDS_MAX 4000
#define CONSUMERS 3
#define COPIES 3

struct producer {
    struct link_position last; /* epoch, newest number */
    struct lives earlier;
    unsigned content[RECORDS_MAX]; /* of each number */
};

struct taker {
    struct link_position at;
    struct lives left;
    bool has[RECORDS_MAX]; /* contents */
};

static uint64_t epochs;
static unsigned contents;
static uint64_t dice;

static unsigned
dice_roll(unsigned sides)
{
    return splitmix_roll(&dice, sides);
}

/* Put the copy back: what the consumers say of it. True if somebody proves that it is old. */
static bool
is_proved(const struct producer *producer, const struct taker *takers)
{
    for (unsigned i = 0; i < CONSUMERS; i++) {
        const struct link_position at = takers[i].at;
        const bool met = meet(at, takers[i].left, producer->last, &producer->earlier) >= 0;
        if (lives_prove(at, met, producer->last, &producer->earlier))
            return true;
    }
    return false;
}

static void
begin_life(struct producer *producer, const struct taker *takers)
{
    for (unsigned i = 0; i < CONSUMERS; i++) {
        const uint64_t epoch = takers[i].at.epoch;
        if (epoch != 0 && epoch != producer->last.epoch && lives_find(&producer->earlier, epoch) == NULL)
            lives_push(&producer->earlier, (struct life){.epoch = epoch});
    }
    lives_push(&producer->earlier, (struct life){.epoch = producer->last.epoch, .last = producer->last.applied});
    producer->last.epoch = ++epochs;
}

/* The consumer takes the next few messages: each once, and none that it has from an earlier life, and all of them. */
static void
follow(const struct producer *producer, struct taker *taker, unsigned count)
{
    if (taker->at.epoch != producer->last.epoch) { /* −1: nothing in the present life is of one that it knows */
        const int64_t has = meet(taker->at, taker->left, producer->last, &producer->earlier);
        lives_leave(&taker->left, taker->at, &producer->earlier);
        taker->at = (struct link_position){producer->last.epoch, has > 0 ? (uint64_t)has : 0};
    }
    for (uint64_t number = 1; number <= taker->at.applied; number++)
        assert_true(taker->has[producer->content[number]]);
    for (; count > 0 && taker->at.applied < producer->last.applied; count--) {
        bool *has = &taker->has[producer->content[++taker->at.applied]];
        assert_false(*has);
        *has = true;
    }
}

static void
whatever_copies_come_back_nobody_misses_or_repeats_anything(void **state)
{
    static struct producer producer, copies[COPIES];
    static struct taker takers[CONSUMERS];

    (void)state;
    for (unsigned seed = 1; seed <= 3000; seed++) {
        dice = seed;
        memset(&producer, 0, sizeof producer);
        memset(takers, 0, sizeof takers);
        contents = 0;
        producer.last.epoch = ++epochs;
        for (unsigned i = 0; i < COPIES; i++)
            copies[i] = producer;
        for (unsigned deeds = 0, restores = 0; deeds < 60 && restores < LIVES_MAX - 2; deeds++) {
            switch (dice_roll(5)) {
            case 0:
                copies[dice_roll(COPIES)] = producer;
                break;
            case 1:
                producer = copies[dice_roll(COPIES)];
                if (is_proved(&producer, takers)) {
                    begin_life(&producer, takers);
                    restores++;
                    break;
                }
                /* Nobody can know that. It is as if it had never gone further, unless it is made to. */
                for (unsigned i = 0; i < COPIES; i++)
                    copies[i] = producer;
                break;
            case 2:
                for (unsigned count = dice_roll(20); count > 0; count--)
                    producer.content[++producer.last.applied] = contents++;
                break;
            default:
                follow(&producer, &takers[dice_roll(CONSUMERS)], dice_roll(30));
            }
        }
        for (unsigned i = 0; i < CONSUMERS; i++)
            follow(&producer, &takers[i], RECORDS_MAX);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_later_life_shares_with_an_earlier_one_is_had),
        cmocka_unit_test(what_was_taken_in_a_life_that_is_gone_counts_for_the_one_before),
        cmocka_unit_test(a_life_that_is_pushed_again_moves_to_the_front_and_the_oldest_makes_room),
        cmocka_unit_test(lives_read_back_from_a_report_and_from_a_store),
        cmocka_unit_test(what_is_no_list_of_lives_is_none),
        cmocka_unit_test(whatever_copies_come_back_nobody_misses_or_repeats_anything),
    };

    log_open("test", LOG_NOTHING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
