/*
 * keyset: whatever order keys come in, however many a transaction, and whatever ends between, look-ups find what a plain
 * array would find; and the point of it all, that this costs few writes and few reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/log.h"
#include "disk.h"
#include "gathered.h"
#include "panics.h"
#include "scratch_dir.h"
#include "splitmix.h"
#include "store/keyset.h"

#define MAP_BYTES (UINT64_C(1) << 30)
#define TINY_MAP_BYTES (UINT64_C(64) << 10)

/* Keys are what is looked for u64, filler, age u64. What is looked for is a place in the middle of the numbers, where the
 * first byte goes from 0x7f to 0x80. */
#define MIDDLE (UINT64_C(1) << 63)

/* The token of a place: equal for `width` neighbours. */
struct rule {
    uint64_t width;
    uint64_t salt;
};

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static int table;
static struct keyset *set;
static size_t key_bytes;
static struct rule rule;
static uint64_t chance;
static unsigned seed; /* shown when a check fails */

/* The model: what is committed, in order, and what this transaction has added. Keys below the horizon go at a commit. */
static struct buffer committed, fresh;
static uint64_t horizon, committed_horizon;

static struct buffer found, expected;

static unsigned
roll(unsigned sides)
{
    return splitmix_roll(&chance, sides);
}

static uint64_t
token(const void *context, const char *key)
{
    const struct rule *by = context;

    return bytes_get_u64(key) / by->width ^ by->salt;
}

static uint64_t
age_of(const char *key)
{
    return bytes_get_u64(key + key_bytes - KEYSET_AGE_BYTES);
}

static void
make_key(char *key, uint64_t place, uint64_t age)
{
    bytes_put_u64(key, MIDDLE + place);
    for (size_t at = 8; at < key_bytes - KEYSET_AGE_BYTES; at++)
        key[at] = (char)roll(256);
    bytes_put_u64(key + key_bytes - KEYSET_AGE_BYTES, age);
}

/* The set's life. */

static void
begin(void)
{
    assert_int_equal(store_begin(store), 0);
}

static void
load(void)
{
    begin();
    assert_int_equal(keyset_load(set), 0);
    assert_int_equal(store_commit(store), 0);
    begin();
}

static void
open_set(uint64_t map_bytes)
{
    const struct keyset_rules rules = {.key_bytes = key_bytes, .token = token, .context = &rule,
                                       .token_rule = rule.width ^ rule.salt};

    store = store_open(dir, map_bytes);
    assert_non_null(store);
    set = keyset_open(store, "set", &rules);
    assert_non_null(set);
    table = store_table(store, "set");
    assert_true(table >= 0);
}

static void
close_set(void)
{
    keyset_free(set);
    store_close(store);
    set = NULL;
    store = NULL;
}

/* The process ends, with what was not committed, and starts again. */
static void
reopen(void)
{
    close_set();
    buffer_clear(&fresh);
    horizon = committed_horizon;
    open_set(MAP_BYTES);
    load();
}

static void
start(size_t bytes, uint64_t width)
{
    key_bytes = bytes;
    rule = (struct rule){.width = width};
    horizon = committed_horizon = 0;
    buffer_clear(&committed);
    buffer_clear(&fresh);
    open_set(MAP_BYTES);
    load();
}

static int
set_up(void **state)
{
    (void)state;
    seed = 0;
    chance = 1;
    keyset_gathered_max = 8192;
    scratch_dir_make(dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    close_set();
    scratch_dir_remove(dir);
    buffer_free(&committed);
    buffer_free(&fresh);
    buffer_free(&found);
    buffer_free(&expected);
    return 0;
}

/* The model. */

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, key_bytes);
}

static size_t
count_of(const struct buffer *keys)
{
    return keys->len / key_bytes;
}

static void
sort(struct buffer *keys)
{
    if (keys->len > 0)
        qsort(keys->data, count_of(keys), key_bytes, compare);
}

/* How many keys of committed are below key. */
static size_t
rank_of(const char *key)
{
    size_t low = 0, high = count_of(&committed);

    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (compare(committed.data + middle * key_bytes, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* fresh becomes part of committed; from behind, so that it happens in place. */
static void
merge_model(void)
{
    const size_t sum = committed.len + fresh.len;
    size_t right = fresh.len;

    sort(&fresh);
    buffer_reserve(&committed, right);
    while (right > 0) {
        const char *key = fresh.data + right - key_bytes;
        const size_t at = rank_of(key) * key_bytes;
        memmove(committed.data + at + right, committed.data + at, committed.len - at);
        right -= key_bytes;
        memcpy(committed.data + at + right, key, key_bytes);
        committed.len = at; /* what is behind is in its place */
    }
    committed.len = sum;
    buffer_clear(&fresh);
}

/* The dead leave the model. */
static void
bury(void)
{
    size_t alive = 0;

    for (size_t at = 0; at < committed.len; at += key_bytes) {
        if (age_of(committed.data + at) < horizon)
            continue;
        memmove(committed.data + alive, committed.data + at, key_bytes);
        alive += key_bytes;
    }
    committed.len = alive;
}

static void
commit_model(void)
{
    merge_model();
    if (horizon > committed_horizon)
        bury();
    committed_horizon = horizon;
}

static void
add_if_wanted(const struct keyset_query *query, const char *key)
{
    bool wanted = query->token_count == 0;

    for (unsigned i = 0; i < query->token_count; i++)
        wanted = wanted || token(&rule, key) == query->tokens[i];
    if (wanted && memcmp(key, query->from, key_bytes) >= 0 && memcmp(key, query->to, key_bytes) <= 0 &&
        age_of(key) >= query->horizon)
        buffer_add(&expected, key, key_bytes);
}

/* What the model finds, in expected; how many. */
static size_t
model_find(const struct keyset_query *query)
{
    const char *end = committed.data + committed.len;

    buffer_clear(&expected);
    for (const char *key = committed.data + rank_of(query->from) * key_bytes; key < end; key += key_bytes) {
        if (memcmp(key, query->to, key_bytes) > 0 || count_of(&expected) == query->max)
            break;
        add_if_wanted(query, key);
    }
    for (size_t at = 0; at < fresh.len; at += key_bytes)
        add_if_wanted(query, fresh.data + at);
    sort(&expected);
    if (count_of(&expected) > query->max)
        expected.len = query->max * key_bytes;
    return count_of(&expected);
}

/* Find and compare with the model. How many there were. */
static size_t
assert_found(const struct keyset_query *query)
{
    const size_t count = model_find(query);
    const int rc = keyset_find(set, query, &found);

    if (rc != (int)count || !span_equal(buffer_span(&found), buffer_span(&expected)))
        print_error("seed %u: %d found (%zu bytes), expected %zu; %u tokens\n", seed, rc, found.len, count,
                    query->token_count);
    assert_int_equal(rc, count);
    assert_int_equal(found.len, expected.len);
    assert_true(span_equal(buffer_span(&found), buffer_span(&expected)));
    return count;
}

/* The keys of both and their tokens live as long as the test needs them. */
static char query_from[KEYSET_KEY_BYTES_MAX], query_to[KEYSET_KEY_BYTES_MAX];

/* All keys at the places first to last, both included. */
static struct keyset_query
places(uint64_t first, uint64_t last)
{
    memset(query_from, 0, key_bytes);
    memset(query_to, 0xff, key_bytes);
    bytes_put_u64(query_from, MIDDLE + first);
    bytes_put_u64(query_to, MIDDLE + last);
    return (struct keyset_query){.from = query_from, .to = query_to, .horizon = horizon, .max = UINT_MAX};
}

static struct keyset_query
everything(void)
{
    struct keyset_query query = places(0, 0);

    memset(query_from, 0, key_bytes);
    memset(query_to, 0xff, key_bytes);
    return query;
}

/* query asks for the tokens of its places, too; there must not be too many. */
static void
ask_for_tokens(struct keyset_query *query)
{
    const uint64_t first = bytes_get_u64(query->from) / rule.width, last = bytes_get_u64(query->to) / rule.width;

    assert_true(last - first < KEYSET_TOKENS_MAX);
    query->token_count = 0;
    for (uint64_t number = first; number <= last; number++)
        query->tokens[query->token_count++] = number ^ rule.salt;
}

static void
add_key(const char *key)
{
    keyset_add(set, key);
    buffer_add(&fresh, key, key_bytes);
}

static void
add(uint64_t place, uint64_t age)
{
    char key[KEYSET_KEY_BYTES_MAX];

    make_key(key, place, age);
    add_key(key);
}

static void
take_back(void)
{
    keyset_take_back(set);
    fresh.len -= key_bytes;
}

static void
flush(void)
{
    assert_int_equal(keyset_flush(set, horizon), 0);
}

/* Flush and commit, and begin the next transaction. */
static void
commit(void)
{
    flush();
    assert_int_equal(store_commit(store), 0);
    commit_model();
    begin();
}

/* The transaction fails. */
static void
fail_transaction(void)
{
    store_abort(store);
    buffer_clear(&fresh);
    horizon = committed_horizon;
    load();
}

/* Runs in this state, 'r' for ready, of this level or above. */
static unsigned
runs(char run_state, unsigned level)
{
    struct store_item item;
    unsigned count = 0;
    int rc = store_seek(store, table, span_of("h"), &item);

    for (; rc == 1 && item.key.at[0] == 'h'; rc = store_next(store, table, &item))
        count += item.value.at[0] == run_state && (unsigned char)item.value.at[1] >= level;
    return count;
}

/* Keys that the table holds, alive or not. Whatever belongs to a run must have the head of a run, or it would stay for
 * good, and what a look-up reads must be as many keys as the heads say. */
static size_t
stored_keys(void)
{
    struct store_item item;
    struct span head;
    char head_key[5] = "h";
    uint64_t keys = 0, ready = 0, counted = 0;

    for (int rc = store_seek(store, table, (struct span){0}, &item); rc != 0; rc = store_next(store, table, &item)) {
        const char kind = item.key.at[0];
        assert_int_equal(rc, 1);
        if (kind == 'b' || kind == 'r')
            keys += item.value.len / key_bytes;
        if (kind == 'h' && item.value.at[0] == 'r')
            counted += bytes_get_u64(item.value.at + 10);
        if (kind != 'b' && kind != 'f')
            continue;
        memcpy(head_key + 1, item.key.at + 1, 4);
        assert_int_equal(store_get(store, table, span_at(head_key, 5), &head), 1);
        if (kind == 'b' && head.at[0] == 'r')
            ready += item.value.len / key_bytes;
    }
    assert_int_equal(ready, counted);
    return keys;
}

/* One behind the other: what each rule says. */

static void
an_empty_set_has_nothing(void **state)
{
    (void)state;
    start(24, 1);
    struct keyset_query query = everything();
    assert_int_equal(assert_found(&query), 0);
    query = places(5, 5);
    ask_for_tokens(&query);
    assert_int_equal(assert_found(&query), 0);
    commit();
    reopen();
    query = everything();
    assert_int_equal(assert_found(&query), 0);
}

static void
a_key_is_found_from_when_it_is_added_on(void **state)
{
    (void)state;
    for (unsigned with_tokens = 0; with_tokens < 2; with_tokens++) {
        start(24, 1);
        add(5 + with_tokens, 1);
        for (unsigned step = 0; step < 4; step++) {
            struct keyset_query query = places(5 + with_tokens, 5 + with_tokens);
            if (with_tokens)
                ask_for_tokens(&query);
            buffer_add_text(&found, "something else");
            assert_int_equal(assert_found(&query), 1);
            if (step == 0)
                commit();
            else if (step == 1)
                fail_transaction(); /* one that had nothing to do with it */
            else if (step == 2)
                reopen();
        }
        if (with_tokens == 0)
            close_set();
    }
}

static void
both_ends_are_included(void **state)
{
    char keys[5][KEYSET_KEY_BYTES_MAX];

    (void)state;
    start(32, 1);
    for (unsigned i = 0; i < 5; i++) {
        make_key(keys[i], 7, 10);
        keys[i][20] = (char)(0x7d + i); /* 0x7d to 0x81 */
        memset(keys[i] + 8, 0, 12);
    }
    for (unsigned committed_too = 0; committed_too < 2; committed_too++) {
        for (unsigned i = 0; i < 5 && !committed_too; i++)
            add_key(keys[4 - i]);
        for (unsigned first = 0; first < 5; first++) {
            for (unsigned last = first; last < 5; last++) {
                struct keyset_query query = {.from = keys[first], .to = keys[last], .max = 100};
                assert_int_equal(assert_found(&query), last - first + 1);
                query.tokens[0] = token(&rule, keys[0]);
                query.token_count = 1;
                assert_int_equal(assert_found(&query), last - first + 1);
            }
        }
        commit();
    }
}

static void
only_keys_with_the_tokens_are_found(void **state)
{
    (void)state;
    start(16, 10);
    for (uint64_t place = 0; place < 100; place++)
        add(place, place + 1);
    for (unsigned step = 0; step < 2; step++) {
        struct keyset_query query = places(8, 71);
        for (unsigned count = 1; count <= KEYSET_TOKENS_MAX; count++) {
            query.tokens[count - 1] = (MIDDLE + 8 + 21 * (count - 1)) / rule.width; /* of 8, 29, 50, 71 */
            query.token_count = count;
            assert_true(assert_found(&query) > 0);
        }
        assert_true(assert_found(&query) >= 20); /* the middle ones wholly */
        query = places(8, 71);
        assert_int_equal(assert_found(&query), 64);
        commit();
    }
}

static void
no_more_than_wanted_the_lowest_ones(void **state)
{
    (void)state;
    start(24, 1000);
    for (uint64_t place = 100; place-- > 0;) {
        if (place % 7 == 3)
            commit(); /* some are committed, and some not */
        add(place, 100 - place);
    }
    for (unsigned max = 1; max < 110; max += 9) {
        struct keyset_query query = places(10, 89);
        query.max = max;
        assert_int_equal(assert_found(&query), max < 80 ? max : 80);
        query.tokens[0] = MIDDLE / rule.width;
        query.token_count = 1;
        assert_found(&query);
        query.horizon = 50; /* the dead do not count */
        assert_found(&query);
    }
}

static void
below_the_horizon_keys_are_dead(void **state)
{
    (void)state;
    start(16, 1);
    for (uint64_t age = 1; age <= 3; age++)
        add(7, age);
    for (unsigned step = 0; step < 3; step++) {
        for (uint64_t least = 0; least <= 4; least++) {
            struct keyset_query query = places(7, 7);
            query.horizon = least;
            ask_for_tokens(&query);
            assert_int_equal(assert_found(&query), least == 0 ? 3 : 4 - least);
        }
        if (step == 0)
            commit();
        else
            reopen();
    }
}

static void
what_is_taken_back_was_never_there(void **state)
{
    (void)state;
    start(24, 1);
    add(5, 1);
    take_back(); /* the only one */
    struct keyset_query query = places(5, 5);
    ask_for_tokens(&query);
    assert_int_equal(assert_found(&query), 0);
    add(5, 2);
    add(9, 3); /* the highest: what was added last, not what sorts last, goes */
    add(3, 4);
    query = everything();
    assert_int_equal(assert_found(&query), 3); /* a look-up may put what was added in order */
    take_back();
    assert_int_equal(assert_found(&query), 2);
    commit();
    assert_int_equal(assert_found(&query), 2);
    add(4, 5);
    take_back(); /* leaves what is committed alone */
    commit();
    reopen();
    query = everything();
    assert_int_equal(assert_found(&query), 2);
    assert_int_equal(stored_keys(), 2);
}

/* Whatever comes. */

enum order { ASCENDING, DESCENDING, SHUFFLED };

struct course {
    size_t key_bytes;
    enum order order;
    size_t keys;          /* to be added, and more until runs reach level */
    unsigned batch;       /* most keys a transaction */
    unsigned window;      /* half of a look-up's width, in places */
    unsigned kept;        /* how many are alive; 0: all */
    unsigned trouble;     /* one in so many transactions fails, as many end with the process; 0: none */
    unsigned looks;       /* look-ups a transaction */
    bool new_rules;       /* a restart changes token_rule */
    uint64_t map_bytes;   /* at first; 0: as much as is needed */
    unsigned level;
};

/* Enough to reach any level that is asked for. */
#define KEYS_MAX 2000000

static uint64_t next_place, next_age;

static uint64_t
place_of(const struct course *course)
{
    switch (course->order) {
    case ASCENDING:
        return next_place += roll(3);
    case DESCENDING:
        return next_place -= roll(3);
    default:
        return roll((unsigned)course->keys) - course->keys / 2;
    }
}

static void
add_some(const struct course *course, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        add(place_of(course), ++next_age);
        if (roll(50) == 0) {
            take_back();
            next_age--;
        }
    }
}

/* Somewhere among what is or was there, or might be. */
static uint64_t
some_place(const struct course *course)
{
    const struct buffer *keys = fresh.len > 0 && roll(2) == 0 ? &fresh : &committed;

    if (keys->len == 0 || roll(4) == 0)
        return place_of(&(struct course){.order = SHUFFLED, .keys = course->keys});
    return bytes_get_u64(keys->data + key_bytes * roll((unsigned)count_of(keys))) - MIDDLE;
}

static void
look(const struct course *course)
{
    const uint64_t place = some_place(course), half = roll(course->window + 1);
    struct keyset_query query = places(place - half, place + half);

    switch (roll(8)) {
    case 0: /* the lowest there are, from somewhere on */
        memset(query_to, 0xff, key_bytes);
        query.max = 1 + roll(10);
        break;
    case 1: /* reads every run */
        break;
    case 2: /* some of the tokens */
        ask_for_tokens(&query);
        query.tokens[0] = query.tokens[query.token_count - 1];
        query.token_count = 1;
        break;
    case 3:
        ask_for_tokens(&query);
        query.max = 1 + roll(3);
        break;
    case 4: /* from a key to a key */
        if (committed.len == 0)
            break;
        const size_t at = roll((unsigned)count_of(&committed)), left = count_of(&committed) - at;
        memcpy(query_from, committed.data + at * key_bytes, key_bytes);
        memcpy(query_to, committed.data + (at + roll(left < 5 ? (unsigned)left : 5)) * key_bytes, key_bytes);
        break;
    default:
        ask_for_tokens(&query);
    }
    if (roll(4) == 0)
        query.horizon += roll(1000);
    assert_found(&query);
}

/* Until the store has room for it. */
static void
load_until_there_is_room(void)
{
    for (unsigned i = 0; i < 100; i++) {
        begin();
        if (keyset_load(set) == 0 && store_commit(store) == 0) {
            begin();
            return;
        }
        assert_int_equal(store_fault(store), STORE_FULL);
        store_abort(store);
    }
    fail_msg("the store never has room");
}

static void
run_course(const struct course *course)
{
    size_t added = 0;
    uint64_t committed_age = next_age = 0;
    unsigned full = 0;

    next_place = 0;
    while (added < course->keys || (course->level > 0 && runs('r', course->level) == 0)) {
        assert_true(added < KEYS_MAX);
        const unsigned batch = 1 + roll(roll(3) == 0 ? course->batch : 1 + course->batch / 16);
        const unsigned parts = 1 + roll(3);
        for (unsigned part = 0; part < parts; part++) {
            add_some(course, batch / parts + 1);
            for (unsigned i = 0; i < course->looks; i++)
                look(course);
        }
        if (course->kept != 0 && next_age > course->kept && next_age - course->kept > horizon)
            horizon = next_age - course->kept;
        if (course->trouble != 0 && roll(course->trouble) == 0) {
            if (roll(2) == 0)
                flush();
            fail_transaction();
            next_age = committed_age;
        } else if (keyset_flush(set, horizon) != 0 || store_commit(store) != 0) {
            assert_int_equal(store_fault(store), STORE_FULL);
            full++;
            store_abort(store);
            buffer_clear(&fresh);
            horizon = committed_horizon;
            next_age = committed_age;
            load_until_there_is_room();
        } else {
            added += next_age - committed_age;
            committed_age = next_age;
            commit_model();
            begin();
        }
        look(course);
        if (course->trouble != 0 && roll(course->trouble) == 0) {
            if (course->new_rules)
                rule.salt = roll(3);
            reopen();
            look(course);
        }
    }
    struct keyset_query query = everything();
    assert_found(&query);
    reopen();
    query = everything();
    assert_found(&query);
    assert_true(stored_keys() >= count_of(&committed));
    assert_int_equal(full > 0, course->map_bytes != 0);
}

static void
run_courses(const struct course *courses, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        seed = i + 1;
        chance = seed;
        if (i > 0) {
            close_set();
            scratch_dir_remove(dir);
            scratch_dir_make(dir);
        }
        start(courses[i].key_bytes, (2 * courses[i].window + 2) / 3);
        if (courses[i].map_bytes != 0) {
            close_set();
            open_set(courses[i].map_bytes);
            load_until_there_is_room();
        }
        run_course(&courses[i]);
    }
}

#define RUN(courses) run_courses(courses, sizeof(courses) / sizeof(courses)[0])

static void
look_ups_find_what_an_array_holds_in_whatever_order_keys_come(void **state)
{
    static const struct course courses[] = {
        {.key_bytes = 16, .order = ASCENDING, .keys = 60000, .batch = 300, .window = 20, .looks = 3},
        {.key_bytes = 24, .order = DESCENDING, .keys = 60000, .batch = 300, .window = 20, .looks = 3},
        {.key_bytes = 32, .order = SHUFFLED, .keys = 60000, .batch = 300, .window = 20, .looks = 3},
        {.key_bytes = 48, .order = SHUFFLED, .keys = 30000, .batch = 20000, .window = 20, .looks = 20},
    };

    (void)state;
    RUN(courses);
}

static void
so_they_do_with_several_levels(void **state)
{
    static const struct course courses[] = {
        {.key_bytes = 24, .order = SHUFFLED, .keys = 300000, .batch = 4000, .window = 10, .looks = 2, .level = 1},
        {.key_bytes = 16, .order = ASCENDING, .keys = 300000, .batch = 2000, .window = 10, .looks = 1, .level = 2},
        {.key_bytes = 32, .order = DESCENDING, .keys = 300000, .batch = 10000, .window = 10, .looks = 10, .trouble = 100,
         .level = 1},
    };

    (void)state;
    RUN(courses);
}

static void
so_they_do_whatever_fails_and_ends(void **state)
{
    static const struct course courses[] = {
        {.key_bytes = 24, .order = SHUFFLED, .keys = 60000, .batch = 1000, .window = 10, .looks = 2, .trouble = 4},
        {.key_bytes = 32, .order = DESCENDING, .keys = 60000, .batch = 5000, .window = 10, .looks = 2, .trouble = 3},
        {.key_bytes = 16, .order = SHUFFLED, .keys = 20000, .batch = 50, .window = 10, .looks = 1, .trouble = 10},
    };

    (void)state;
    RUN(courses);
}

static void
so_they_do_while_old_keys_die(void **state)
{
    static const struct course courses[] = {
        {.key_bytes = 24, .order = SHUFFLED, .keys = 100000, .batch = 2000, .window = 20, .looks = 3, .kept = 20000,
         .trouble = 30},
        {.key_bytes = 16, .order = ASCENDING, .keys = 100000, .batch = 2000, .window = 20, .looks = 3, .kept = 5000},
        {.key_bytes = 32, .order = DESCENDING, .keys = 100000, .batch = 5000, .window = 20, .looks = 3, .kept = 40000,
         .trouble = 20},
        {.key_bytes = 24, .order = SHUFFLED, .keys = 300000, .batch = 3000, .window = 20, .looks = 3, .kept = 100000,
         .level = 1},
    };

    (void)state;
    RUN(courses);
}

static void
so_they_do_with_other_tokens_after_a_restart(void **state)
{
    static const struct course courses[] = {
        {.key_bytes = 24, .order = SHUFFLED, .keys = 100000, .batch = 5000, .window = 20, .looks = 10, .trouble = 10,
         .new_rules = true},
    };

    (void)state;
    RUN(courses);
}

static void
so_they_do_when_the_store_is_full_now_and_then(void **state)
{
    static const struct course courses[] = {
        {.key_bytes = 24, .order = SHUFFLED, .keys = 60000, .batch = 3000, .window = 20, .looks = 3, .kept = 30000,
         .map_bytes = TINY_MAP_BYTES},
    };

    (void)state;
    RUN(courses);
}

/* Ages that do not come in order: no run is dead as a whole, and what is dead goes by merging. */
static void
keys_die_by_age_not_by_arrival(void **state)
{
    enum { KEYS = 150000 };

    (void)state;
    start(24, 16);
    for (unsigned i = 0; i < KEYS; i++) {
        add(roll(KEYS), 1 + roll(KEYS));
        if (i % 1000 != 999)
            continue;
        horizon = i / 10 * 9;
        for (unsigned look_up = 0; look_up < 20; look_up++) {
            const uint64_t place = roll(KEYS);
            struct keyset_query query = places(place, place + 20);
            ask_for_tokens(&query);
            assert_found(&query);
        }
        commit();
    }
    assert_true(stored_keys() < KEYS / 10 * 8);
    horizon = KEYS / 10 * 9;
    struct keyset_query query = everything();
    assert_true(assert_found(&query) > KEYS / 20);
}

/* In memory, in runs and when those are merged. */
static void
keys_as_old_as_the_horizon_live(void **state)
{
    (void)state;
    start(24, 16);
    horizon = 7;
    size_t count = 0;
    while (runs('r', 1) == 0) {
        assert_true(count < KEYS_MAX);
        for (unsigned i = 0; i < 1000; i++, count++)
            add(roll(1000000), 7);
        commit();
    }
    struct keyset_query query = everything();
    assert_int_equal(assert_found(&query), count);
    query.horizon = 8;
    assert_int_equal(assert_found(&query), 0);
}

/* What it costs. */

/* Add count keys at even places, in no order, `batch` a transaction. */
static void
add_shuffled(unsigned count, unsigned batch)
{
    for (unsigned i = 0; i < count; i++) {
        add(2 * roll(1000000), ++next_age);
        if (i % batch == batch - 1 || i == count - 1)
            commit();
    }
}

static void
dead_keys_do_not_stay(void **state)
{
    (void)state;
    start(24, 16);
    next_age = 0;
    add_shuffled(150000, 2000);
    assert_true(stored_keys() >= 150000);
    horizon = next_age + 1; /* nobody stays */
    struct keyset_query query = everything();
    assert_int_equal(assert_found(&query), 0);
    add_shuffled(10000, 1000);
    assert_true(stored_keys() < 20000);
    assert_true(store_count(store, table) < 1000);
    query = everything();
    assert_int_equal(assert_found(&query), 10000);
    reopen();
    query = everything();
    assert_int_equal(assert_found(&query), 10000);
}

/* Add keys until a merge is under way, or none is any more. */
static void
add_until(bool merging)
{
    for (unsigned i = 0; (runs('g', 0) > 0) != merging; i++) {
        assert_true(i < 100);
        add_shuffled(1000, 1000);
    }
}

/* All that a merge reads dies while it is under way, and there is time to remove it. */
static void
a_run_that_is_being_merged_stays_until_that_is_done(void **state)
{
    (void)state;
    start(24, 16);
    next_age = 0;
    add_until(true);
    horizon = next_age + 1;
    add_shuffled(500, 1);
    assert_int_equal(runs('g', 0), 1);
    add_until(false);
    struct keyset_query query = everything();
    assert_true(assert_found(&query) > 500);
}

/* What the store's file takes on the disk. */
static size_t
file_bytes(void)
{
    char path[SCRATCH_DIR_SIZE + 16];
    struct stat about;

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    assert_int_equal(stat(path, &about), 0);
    return (size_t)about.st_blocks * 512;
}

#define WINDOW_KEYS 30000

/* A run dies as a whole, or in the next merge, and while it is merged it is there twice: so there are more keys than live
 * ones, and it takes some lives until the file is as large as it gets. tests/torture/soak.sh relies on these figures. */
static void
a_window_that_moves_on_takes_no_more_room(void **state)
{
    size_t most = 0, settled = 0;

    (void)state;
    start(24, 16);
    next_age = 0;
    while (next_age < 24 * WINDOW_KEYS) {
        horizon = next_age > WINDOW_KEYS ? next_age - WINDOW_KEYS : 0;
        add_shuffled(1000, 1000);
        const size_t keys = stored_keys();
        most = keys > most ? keys : most;
        if (next_age < 12 * WINDOW_KEYS)
            settled = file_bytes();
    }
    assert_true(most < 3 * WINDOW_KEYS);
    assert_true(file_bytes() < 7 * WINDOW_KEYS * key_bytes);
    assert_true(file_bytes() <= settled + settled / 50);
}

/* The process ends again and again while runs are merged: no half of a run may stay. */
static void
a_merge_that_was_cut_off_leaves_nothing(void **state)
{
    (void)state;
    start(24, 16);
    next_age = 0;
    for (unsigned i = 0; i < 300; i++) {
        add_shuffled(700, 700);
        if (roll(10) == 0)
            reopen();
    }
    add_shuffled(60000, 500);
    assert_true(stored_keys() < 2 * 270000); /* some are being merged again */
    assert_true(runs('g', 0) <= 3); /* those that are under way */
    assert_true(runs('r', 0) < 16);
    struct keyset_query query = everything();
    assert_found(&query);
}

static uint64_t written_bytes;

static void
count_written(const struct disk_call *call)
{
    if (call->deed == DISK_WRITE)
        written_bytes += call->len;
}

/* Bytes that one call of `work` writes. */
static uint64_t
written_by(void (*work)(unsigned count, unsigned batch), unsigned count, unsigned batch)
{
    written_bytes = 0;
    disk_after = count_written;
    work(count, batch);
    disk_after = NULL;
    return written_bytes;
}

static int plain;

static void
put_shuffled(unsigned count, unsigned batch)
{
    char key[KEYSET_KEY_BYTES_MAX];

    for (unsigned i = 0; i < count; i++) {
        make_key(key, 2 * roll(1000000), ++next_age);
        assert_int_equal(store_put_new(store, plain, span_at(key, key_bytes), (struct span){0}), 1);
        if (i % batch != batch - 1 && i != count - 1)
            continue;
        assert_int_equal(store_commit(store), 0);
        begin();
    }
}

/* Against a B+ tree of the same keys. */
static void
keys_in_no_order_write_few_pages(void **state)
{
    const struct {
        unsigned batch, times; /* as many bytes, at least */
    } rows[] = {{64, 5}, {1000, 7}, {8192, 15}};

    (void)state;
    start(24, 16);
    next_age = 0;
    store_abort(store);
    plain = store_table(store, "plain");
    begin();
    add_shuffled(200000, 10000);
    put_shuffled(200000, 10000);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint64_t tree = written_by(put_shuffled, 8192, rows[i].batch);
        const uint64_t ours = written_by(add_shuffled, 8192, rows[i].batch);
        if (tree < rows[i].times * ours)
            print_error("8192 keys, %u a transaction: a tree writes %" PRIu64 " bytes, a set %" PRIu64 "\n",
                        rows[i].batch, tree, ours);
        assert_true(tree >= rows[i].times * ours);
    }
}

/* However large the runs are that are merged. */
static void
a_transaction_merges_only_so_much(void **state)
{
    uint64_t most = 0;

    (void)state;
    start(24, 16);
    next_age = 0;
    for (unsigned i = 0; i < 1100; i++) {
        const uint64_t bytes = written_by(add_shuffled, 250, 250);
        most = bytes > most ? bytes : most;
    }
    assert_true(most < 2000000);
}

static void
what_is_added_again_calls_for_no_merging(void **state)
{
    char key[KEYSET_KEY_BYTES_MAX];

    (void)state;
    start(24, 16);
    next_age = 0;
    while (runs('g', 0) == 0)
        add_shuffled(1000, 1000);
    reopen();
    for (unsigned i = 0; i < 5000; i++) {
        make_key(key, roll(1000000), ++next_age);
        keyset_add_again(set, key);
        buffer_add(&fresh, key, key_bytes);
    }
    assert_true(written_by(add_shuffled, 1, 1) < 100000);
    struct keyset_query query = everything();
    assert_true(assert_found(&query) > 5000);
}

static void
small_transactions_share_what_they_write(void **state)
{
    struct store_item item;
    size_t values = 0, keys = 0;

    (void)state;
    start(24, 16);
    next_age = 0;
    for (unsigned i = 0; i < 100; i++) {
        add_shuffled(1 + roll(19), 20);
        if (i % 10 == 9)
            reopen();
    }
    for (int rc = store_seek(store, table, span_of("r"), &item); rc == 1; rc = store_next(store, table, &item), values++)
        keys += item.value.len / key_bytes;
    assert_int_equal(keys, count_of(&committed));
    assert_true(values <= keys / 80 + 1);
    struct keyset_query query = everything();
    assert_found(&query);
}

/* Keys that are gathered by a set of so many thousand keys before they become a run. */
static size_t
most_gathered(unsigned thousands)
{
    size_t most = 0;

    for (unsigned i = 0; i < thousands * 1000; i++) {
        size_t gathered = 0;
        struct store_item item;
        add(roll(1000000), ++next_age);
        if (i % 5 != 4)
            continue;
        commit();
        for (int rc = store_seek(store, table, span_of("r"), &item); rc == 1; rc = store_next(store, table, &item))
            gathered += item.value.len / key_bytes;
        most = gathered > most ? gathered : most;
    }
    return most;
}

/* Or its runs would be too many; but what a transaction writes at once has a limit. */
static void
a_large_set_gathers_more(void **state)
{
    (void)state;
    keyset_gathered_max = 20;
    start(24, 16);
    next_age = 0;
    assert_int_equal(most_gathered(1), 15); /* and five more make a run */
    const size_t some = most_gathered(6);
    assert_in_range(some, 25, 60);
    assert_in_range(most_gathered(20), some + 50, 160);
    assert_int_equal(most_gathered(10), 155);
}

/* Reads of the store, all of which pass through here: a program's own definition comes before the library's. */
static unsigned reads;

int mdb_cursor_get(void *cursor, void *key, void *value, int how);
int mdb_get(void *txn, unsigned number, void *key, void *value);

int
mdb_cursor_get(void *cursor, void *key, void *value, int how)
{
    static int (*real)(void *, void *, void *, int);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "mdb_cursor_get");
    reads++;
    return real(cursor, key, value, how);
}

int
mdb_get(void *txn, unsigned number, void *key, void *value)
{
    static int (*real)(void *, unsigned, void *, void *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "mdb_get");
    reads++;
    return real(txn, number, key, value);
}

static void
look_ups_read_only_runs_that_hold_what_they_want(void **state)
{
    enum { LOOKS = 2000 };

    (void)state;
    start(24, 1);
    next_age = 0;
    add_shuffled(120000, 1000);
    for (unsigned again = 0; again < 2; again++) {
        reads = 0;
        for (unsigned i = 0; i < LOOKS; i++) { /* nothing stands at odd places */
            const uint64_t place = 2 * roll(1000000) + 1;
            struct keyset_query query = places(place, place);
            ask_for_tokens(&query);
            assert_int_equal(assert_found(&query), 0);
        }
        assert_true(reads < LOOKS / 20);
        reads = 0;
        for (size_t at = 0; at < committed.len; at += key_bytes) { /* none is missing from its run's filter */
            const uint64_t place = bytes_get_u64(committed.data + at) - MIDDLE;
            struct keyset_query query = places(place, place);
            ask_for_tokens(&query);
            assert_true(assert_found(&query) > 0);
        }
        assert_true(reads < count_of(&committed) / 4 * 5);
        reopen();
    }
}

/* Broken rules: what stands in the table and can't be is damage, before anything is made of it; what only we can break is a
 * panic. */

#define RUN_KEYS 200 /* three blocks */

static char last_error[512];

static void
note_error(const char *text)
{
    snprintf(last_error, sizeof last_error, "%s", text);
}

/* Stand on the first entry of this kind, of this run if it is not 0, and copy it. */
static void
look_at_entry(char kind, uint32_t run, struct buffer *key, struct buffer *value)
{
    char prefix[5] = {kind};
    struct store_item item;

    bytes_put_u32(prefix + 1, run);
    assert_int_equal(store_seek(store, table, span_at(prefix, run > 0 ? 5 : 1), &item), 1);
    assert_int_equal(item.key.at[0], kind);
    buffer_clear(key);
    buffer_clear(value);
    buffer_add_span(key, item.key);
    buffer_add_span(value, item.value);
}

static void
put_entry(const struct buffer *key, const struct buffer *value)
{
    assert_int_equal(store_put(store, table, buffer_span(key), buffer_span(value)), 0);
}

static struct buffer entry_key, entry;

static void
swap_keys_of_a_block(void)
{
    char first[KEYSET_KEY_BYTES_MAX];

    look_at_entry('b', 3, &entry_key, &entry);
    memcpy(first, entry.data, key_bytes);
    memmove(entry.data, entry.data + key_bytes, key_bytes);
    memcpy(entry.data + key_bytes, first, key_bytes);
    put_entry(&entry_key, &entry);
}

static void
end_a_block_with_another_key(void)
{
    look_at_entry('b', 3, &entry_key, &entry);
    entry.data[entry.len - 1] ^= 1;
    put_entry(&entry_key, &entry);
}

static void
lose_a_block(void)
{
    look_at_entry('b', 3, &entry_key, &entry);
    assert_int_equal(store_delete(store, table, buffer_span(&entry_key)), 1);
}

/* The first block of a run becomes that of another, too. */
static void
copy_a_block(void)
{
    lose_a_block();
    look_at_entry('b', 2, &entry_key, &entry);
    bytes_put_u32(entry_key.data + 1, 3);
    put_entry(&entry_key, &entry);
}

static void
say_more_keys_than_memory_has(void)
{
    look_at_entry('h', 3, &entry_key, &entry);
    bytes_put_u64(entry.data + 10, UINT64_C(1) << 60);
    put_entry(&entry_key, &entry);
}

static void
say_no_keys(void)
{
    look_at_entry('h', 3, &entry_key, &entry);
    bytes_put_u64(entry.data + 10, 0);
    put_entry(&entry_key, &entry);
}

static void
begin_behind_the_end(void)
{
    look_at_entry('h', 3, &entry_key, &entry);
    memset(entry.data + 34, 0xff, key_bytes);
    put_entry(&entry_key, &entry);
}

static void
give_the_last_number(void)
{
    look_at_entry('h', 3, &entry_key, &entry);
    entry.data[0] = 'd';
    bytes_put_u32(entry_key.data + 1, UINT32_MAX);
    put_entry(&entry_key, &entry);
}

static void
add_a_key_out_of_runs_again(void)
{
    look_at_entry('r', 0, &entry_key, &entry);
    buffer_add(&entry, entry.data, key_bytes);
    put_entry(&entry_key, &entry);
}

static void
add_a_key_of_a_run_out_of_runs(void)
{
    look_at_entry('b', 3, &entry_key, &entry);
    look_at_entry('r', 0, &entry_key, &found);
    buffer_clear(&found);
    buffer_add(&found, entry.data, key_bytes);
    put_entry(&entry_key, &found);
}

/* Load, and add keys until runs are merged. Whether any of that fails. */
static bool
is_refused(void)
{
    char key[KEYSET_KEY_BYTES_MAX];
    int rc = keyset_load(set);

    for (unsigned i = 0; i < 10 * RUN_KEYS && rc == 0; i++) {
        make_key(key, roll(1000000), ++next_age);
        keyset_add(set, key);
        if (i % RUN_KEYS == RUN_KEYS - 1)
            rc = keyset_flush(set, 0);
    }
    return rc != 0;
}

static void
what_would_spoil_a_run_is_damage(void **state)
{
    static const struct {
        void (*damage)(void);
        const char *what;
    } rows[] = {
        {swap_keys_of_a_block, "a block whose keys are in no order"},
        {end_a_block_with_another_key, "a block that ends with another key"},
        {lose_a_block, "a run of another number of keys than its head says"},
        {copy_a_block, "a key in two runs"},
        {say_more_keys_than_memory_has, "a run's head that is none"},
        {say_no_keys, "a run's head that is none"},
        {begin_behind_the_end, "a run's head that is none"},
        {give_the_last_number, "a run with the last of all numbers"},
        {add_a_key_out_of_runs_again, "a key twice"},
        {add_a_key_of_a_run_out_of_runs, "a key in two runs"},
    };

    (void)state;
    log_open("test", LOG_ERROR);
    log_follow(note_error);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        keyset_gathered_max = RUN_KEYS;
        start(24, 16);
        next_age = 0;
        add_shuffled(7 * RUN_KEYS, RUN_KEYS);
        add_shuffled(3, 3);
        assert_int_equal(runs('r', 0), 7);
        rows[i].damage();
        const bool refused = is_refused();
        if (!refused || strstr(last_error, rows[i].what) == NULL)
            print_error("%s: the log says %s\n", rows[i].what, last_error);
        assert_true(refused);
        assert_true(store_is_damaged(store));
        assert_non_null(strstr(last_error, rows[i].what));
        close_set();
        scratch_dir_remove(dir);
        scratch_dir_make(dir);
    }
    log_follow(NULL);
    buffer_free(&entry_key);
    buffer_free(&entry);
    open_set(MAP_BYTES);
}

/* A run is removed bit by bit, and its head at the end. */
static void
a_dead_run_that_has_lost_its_head_is_damage(void **state)
{
    struct store_item item;
    int rc;

    (void)state;
    keyset_gathered_max = RUN_KEYS;
    start(24, 16);
    next_age = 0;
    for (unsigned i = 0; i < 10000 && runs('d', 0) == 0; i++)
        add_shuffled(5, 5); /* so that not all of a run is removed at once */
    for (rc = store_seek(store, table, span_of("h"), &item); rc == 1 && item.value.at[0] != 'd';)
        rc = store_next(store, table, &item);
    assert_int_equal(rc, 1);
    assert_int_equal(store_delete_here(store, table), 0);
    rc = 0;
    for (unsigned i = 0; i < 10 && rc == 0; i++) {
        for (unsigned j = 0; j < RUN_KEYS; j++)
            add(roll(1000000), ++next_age);
        rc = keyset_flush(set, horizon);
    }
    assert_int_equal(rc, -1);
    assert_true(store_is_damaged(store));
}

/* What is found in a block is what it says it is. */
static void
a_look_up_reads_no_block_of_another_key(void **state)
{
    (void)state;
    keyset_gathered_max = RUN_KEYS;
    start(24, 16);
    next_age = 0;
    add_shuffled(3 * RUN_KEYS, RUN_KEYS);
    end_a_block_with_another_key();
    const struct keyset_query query = everything();
    assert_int_equal(keyset_find(set, &query, &found), -1);
    assert_true(store_is_damaged(store));
    buffer_free(&entry_key);
    buffer_free(&entry);
}

static void
add_one_twice(void)
{
    char key[KEYSET_KEY_BYTES_MAX];

    make_key(key, 7, 1);
    keyset_add(set, key);
    keyset_add(set, key);
    keyset_flush(set, 0);
}

static void
take_back_what_is_committed(void)
{
    keyset_take_back(set);
}

static void
look_for_too_much(void)
{
    struct keyset_query query = everything();

    query.token_count = KEYSET_TOKENS_MAX + 1;
    keyset_find(set, &query, &found);
}

static void
look_for_nothing(void)
{
    struct keyset_query query = everything();

    query.max = 0;
    keyset_find(set, &query, &found);
}

static void
add_one_no_newer(void)
{
    char key[KEYSET_KEY_BYTES_MAX];

    make_key(key, 7, 5);
    keyset_add(set, key);
    make_key(key, 8, 5);
    keyset_add(set, key);
}

static void
who_breaks_the_rules_of_a_set_panics(void **state)
{
    (void)state;
    start(24, 16);
    add(7, 3);
    commit();
    keyset_gathered_max = 1;
    assert_panics(add_one_twice);
    assert_panics(take_back_what_is_committed);
    assert_panics(look_for_too_much);
    assert_panics(look_for_nothing);

    /* Of keys that are kept elsewhere those that are in no run are known by their ages. */
    const struct keyset_rules rules = {.key_bytes = 24, .token = token, .context = &rule, .kept_elsewhere = true};
    store_abort(store);
    keyset_free(set);
    set = keyset_open(store, "elsewhere", &rules);
    load();
    assert_panics(add_one_no_newer);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(an_empty_set_has_nothing),
        EACH(a_key_is_found_from_when_it_is_added_on),
        EACH(both_ends_are_included),
        EACH(only_keys_with_the_tokens_are_found),
        EACH(no_more_than_wanted_the_lowest_ones),
        EACH(below_the_horizon_keys_are_dead),
        EACH(what_is_taken_back_was_never_there),
        EACH(look_ups_find_what_an_array_holds_in_whatever_order_keys_come),
        EACH(so_they_do_with_several_levels),
        EACH(so_they_do_whatever_fails_and_ends),
        EACH(so_they_do_while_old_keys_die),
        EACH(so_they_do_with_other_tokens_after_a_restart),
        EACH(so_they_do_when_the_store_is_full_now_and_then),
        EACH(keys_die_by_age_not_by_arrival),
        EACH(keys_as_old_as_the_horizon_live),
        EACH(dead_keys_do_not_stay),
        EACH(a_run_that_is_being_merged_stays_until_that_is_done),
        EACH(a_window_that_moves_on_takes_no_more_room),
        EACH(a_merge_that_was_cut_off_leaves_nothing),
        EACH(keys_in_no_order_write_few_pages),
        EACH(a_transaction_merges_only_so_much),
        EACH(what_is_added_again_calls_for_no_merging),
        EACH(small_transactions_share_what_they_write),
        EACH(a_large_set_gathers_more),
        EACH(look_ups_read_only_runs_that_hold_what_they_want),
        EACH(what_would_spoil_a_run_is_damage),
        EACH(a_dead_run_that_has_lost_its_head_is_damage),
        EACH(a_look_up_reads_no_block_of_another_key),
        EACH(who_breaks_the_rules_of_a_set_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
