/*
 * What the operators rely on in the store: transactions, snapshots, cursors, and a full map that is no catastrophe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "disk.h"
#include "panics.h"
#include "store/store.h"

#define MAP_BYTES (UINT64_C(1) << 30)
#define TINY_MAP_BYTES (UINT64_C(64) << 10)

static char dir[40];
static char state_dir[64];
static struct store *store;

static int
set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gait-store-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(state_dir, sizeof state_dir, "%s/state", dir);
    store = store_open(state_dir, MAP_BYTES);
    return store == NULL ? -1 : 0;
}

static const char *
below(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", state_dir, name);
    return path;
}

static int
tear_down(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    unlink(below("data.mdb"));
    unlink(below("lock.mdb"));
    rmdir(state_dir);
    return rmdir(dir);
}

static void
reopen(uint64_t map_bytes)
{
    store_close(store);
    store = store_open(state_dir, map_bytes);
    assert_non_null(store);
}

static int
table_called(const char *name)
{
    int table = store_table(store, name);

    assert_true(table >= 0);
    return table;
}

static void
put(int table, const char *key, const char *value)
{
    assert_int_equal(store_put(store, table, span_of(key), span_of(value)), 0);
}

/* value NULL: key must be absent. */
static void
assert_value(int table, const char *key, const char *value)
{
    struct span got;

    assert_int_equal(store_get(store, table, span_of(key), &got), value != NULL);
    if (value != NULL)
        assert_true(span_is(got, value));
}

static void
assert_item(int rc, const struct store_item *item, const char *key)
{
    assert_int_equal(rc, key != NULL);
    if (key != NULL)
        assert_true(span_is(item->key, key));
}

static void
only_the_owner_can_read_it(void **state)
{
    struct stat info;

    (void)state;
    assert_int_equal(stat(state_dir, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(stat(below("data.mdb"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(stat(below("lock.mdb"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void
a_folder_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    assert_null(store_open("/proc/none", MAP_BYTES));
    assert_null(store_open(below("data.mdb"), MAP_BYTES)); /* a file */
}

static void
a_table_keeps_its_number_and_apart_from_others(void **state)
{
    int a = table_called("a");
    int b = table_called("b");

    (void)state;
    assert_int_not_equal(a, b);
    assert_int_equal(table_called("a"), a);
    assert_int_equal(store_begin(store), 0);
    put(a, "key", "1");
    assert_value(b, "key", NULL);
    assert_int_equal(store_commit(store), 0);
}

static void
as_many_tables_as_promised(void **state)
{
    static char names[STORE_TABLES_MAX][8];

    (void)state;
    for (int i = 0; i < STORE_TABLES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        assert_int_equal(table_called(names[i]), i);
    }
    reopen(MAP_BYTES);
    for (int i = 0; i < STORE_TABLES_MAX; i++)
        assert_int_equal(table_called(names[STORE_TABLES_MAX - 1 - i]), i);
}

static void
bug_713_a_store_of_all_tables_is_measured(void **state)
{
    static char names[STORE_TABLES_MAX][8];

    (void)state;
    for (int i = 0; i < STORE_TABLES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        table_called(names[i]);
    }
    assert_int_equal(store_begin(store), 0);
    for (int i = 0; i < STORE_TABLES_MAX; i++)
        put(i, "a", "1");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_snapshot(store), 0);
    assert_true(store_size(store) > 0);
    store_snapshot_end(store);
}

static void
committed_is_there_after_reopening(void **state)
{
    int table = table_called("t");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(table, "kept", "yes");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    put(table, "open", "no");
    reopen(MAP_BYTES); /* with the transaction open, like a process that was killed */
    table = table_called("t");
    assert_int_equal(store_begin(store), 0);
    assert_value(table, "kept", "yes");
    assert_value(table, "open", NULL);
    assert_int_equal(store_count(store, table), 1);
}

static void
an_abort_undoes_puts_and_deletes(void **state)
{
    int table = table_called("t");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(table, "a", "1");
    put(table, "b", "2");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    put(table, "a", "changed");
    put(table, "c", "3");
    assert_int_equal(store_delete(store, table, span_of("b")), 1);
    store_abort(store);
    store_abort(store); /* nothing to abort is fine */
    assert_int_equal(store_begin(store), 0);
    assert_value(table, "a", "1");
    assert_value(table, "b", "2");
    assert_value(table, "c", NULL);
}

static void
a_cursor_does_not_outlive_its_transaction(void **state)
{
    struct store_item item;
    int table = table_called("t");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(table, "a", "");
    put(table, "b", "");
    assert_item(store_seek(store, table, span_of("a"), &item), &item, "a");
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    put(table, "z", "");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_snapshot(store), 0);
    assert_item(store_next(store, table, &item), &item, "z"); /* from the first: it stands nowhere yet */
    store_snapshot_end(store);
    assert_int_equal(store_begin(store), 0);
    assert_item(store_next(store, table, &item), &item, "z");
}

static void
a_snapshot_sees_what_is_committed(void **state)
{
    struct store_item item;
    int table = table_called("t");

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        char key[2] = {(char)('a' + round), '\0'};
        assert_int_equal(store_begin(store), 0);
        put(table, key, "new");
        put(table, "gone", "");
        store_abort(store);
        assert_int_equal(store_begin(store), 0);
        put(table, key, "kept");
        assert_int_equal(store_commit(store), 0);
        assert_int_equal(store_snapshot(store), 0);
        assert_value(table, key, "kept");
        assert_value(table, "gone", NULL);
        assert_int_equal(store_count(store, table), round + 1);
        assert_item(store_seek(store, table, span_of(""), &item), &item, "a");
        assert_item(store_last(store, table, &item), &item, key);
        store_snapshot_end(store);
    }
    assert_int_equal(store_snapshot(store), 0); /* closing inside one is fine */
}

static void
put_new_leaves_what_is_there(void **state)
{
    int table = table_called("t");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put_new(store, table, span_of("a"), span_of("1")), 1);
    assert_int_equal(store_put_new(store, table, span_of("a"), span_of("2")), 0);
    assert_value(table, "a", "1");
    put(table, "a", "longer than before");
    assert_value(table, "a", "longer than before");
    put(table, "a", "");
    assert_value(table, "a", "");
    assert_int_equal(store_count(store, table), 1);
    assert_int_equal(store_commit(store), 0); /* "it is there" is no failure */
}

static void
put_room_is_filled_by_the_caller(void **state)
{
    int table = table_called("t");
    const size_t lens[] = {0, 1, 100, 5000, 100000}; /* the last two do not fit a page */
    char key[2] = "a";
    struct span got;
    char *room;

    (void)state;
    assert_int_equal(store_begin(store), 0);
    for (unsigned i = 0; i < sizeof lens / sizeof lens[0]; i++, key[0]++) {
        assert_int_equal(store_put_room(store, table, span_of(key), lens[i], &room), 0);
        memset(room, key[0], lens[i]);
    }
    /* In place of what is there, shorter and longer. */
    assert_int_equal(store_put_room(store, table, span_of("c"), 3, &room), 0);
    memcpy(room, "xyz", 3);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_snapshot(store), 0);
    assert_value(table, "c", "xyz");
    for (unsigned i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        key[0] = (char)('a' + i);
        assert_int_equal(store_get(store, table, span_of(key), &got), 1);
        assert_int_equal(got.len, i == 2 ? 3 : lens[i]);
        for (size_t at = 0; i != 2 && at < got.len; at++)
            assert_int_equal(got.at[at], key[0]);
    }
    store_snapshot_end(store);
}

static void
an_empty_value_and_the_longest_key(void **state)
{
    int table = table_called("t");
    char longest[STORE_KEY_BYTES_MAX];
    const struct span key = span_at(longest, sizeof longest);
    struct span got;
    struct store_item item;

    (void)state;
    memset(longest, 0xff, sizeof longest);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, table, key, (struct span){0}), 0);
    put(table, "zero", "");
    assert_int_equal(store_get(store, table, key, &got), 1);
    assert_int_equal(got.len, 0);
    assert_int_equal(store_last(store, table, &item), 1);
    assert_true(span_equal(item.key, key));
    assert_int_equal(store_delete(store, table, key), 1);
    assert_int_equal(store_delete(store, table, key), 0);
    assert_int_equal(store_commit(store), 0);
}

static void
keys_may_hold_any_bytes(void **state)
{
    int table = table_called("t");
    const struct span nul = span_at("\0", 1), nuls = span_at("\0\0", 2), high = span_at("\xff", 1);
    struct store_item item;

    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, table, high, span_of("3")), 0);
    assert_int_equal(store_put(store, table, nuls, span_of("2")), 0);
    assert_int_equal(store_put(store, table, nul, span_of("1")), 0);
    assert_int_equal(store_seek(store, table, (struct span){0}, &item), 1);
    assert_true(span_equal(item.key, nul));
    assert_int_equal(store_next(store, table, &item), 1);
    assert_true(span_equal(item.key, nuls));
    assert_int_equal(store_next(store, table, &item), 1);
    assert_true(span_equal(item.key, high));
    assert_int_equal(store_next(store, table, &item), 0);
}

static void
an_empty_key_is_our_fault_and_harms_nothing(void **state)
{
    int table = table_called("t");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(table, "a", "1");
    assert_int_equal(store_put(store, table, (struct span){0}, span_of("x")), -1);
    assert_int_equal(store_commit(store), -1);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_fault(store), STORE_FINE);
    assert_value(table, "a", NULL);
}

static void
seek_stands_on_the_first_that_is_not_below(void **state)
{
    int table = table_called("t");
    struct store_item item;

    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_item(store_seek(store, table, span_of(""), &item), &item, NULL);
    assert_item(store_seek(store, table, span_of("a"), &item), &item, NULL);
    assert_item(store_last(store, table, &item), &item, NULL);
    put(table, "b", "");
    put(table, "d", "");
    assert_item(store_seek(store, table, span_of(""), &item), &item, "b");
    assert_item(store_seek(store, table, span_of("b"), &item), &item, "b");
    assert_item(store_seek(store, table, span_of("ba"), &item), &item, "d");
    assert_item(store_next(store, table, &item), &item, NULL);
    assert_item(store_next(store, table, &item), &item, NULL);
    assert_item(store_seek(store, table, span_of("e"), &item), &item, NULL);
    assert_item(store_last(store, table, &item), &item, "d");
}

static void
a_get_does_not_move_the_cursor(void **state)
{
    int table = table_called("t"), other = table_called("u");
    struct store_item item;

    (void)state;
    assert_int_equal(store_begin(store), 0);
    for (char key[2] = "a"; key[0] <= 'e'; key[0]++)
        put(table, key, key);
    assert_item(store_seek(store, table, span_of("b"), &item), &item, "b");
    assert_value(table, "e", "e");
    put(other, "x", "");
    assert_item(store_seek(store, other, span_of("x"), &item), &item, "x");
    assert_item(store_next(store, table, &item), &item, "c");
}

static void
delete_here_leaves_next_at_the_one_behind(void **state)
{
    int table = table_called("t");
    struct store_item item;

    (void)state;
    assert_int_equal(store_begin(store), 0);
    for (char key[2] = "a"; key[0] <= 'd'; key[0]++)
        put(table, key, "");
    assert_item(store_seek(store, table, span_of("b"), &item), &item, "b");
    assert_int_equal(store_delete_here(store, table), 0);
    assert_item(store_next(store, table, &item), &item, "c");
    assert_int_equal(store_delete_here(store, table), 0);
    assert_item(store_next(store, table, &item), &item, "d");
    assert_int_equal(store_delete_here(store, table), 0);
    assert_item(store_next(store, table, &item), &item, NULL);
    assert_item(store_seek(store, table, span_of(""), &item), &item, "a");
    assert_int_equal(store_delete_here(store, table), 0);
    assert_item(store_next(store, table, &item), &item, NULL);
    assert_int_equal(store_count(store, table), 0);
}

/* Against a plain array, on a table of many pages whose pages empty and merge on the way. */
static void
walking_and_deleting_agrees_with_an_array(void **state)
{
    enum { KEYS = 5000, WALKS = 40 };
    static bool there[KEYS];
    int table = table_called("t");
    char key[8], value[64] = {0};
    struct store_item item;
    uint64_t chance = 7;

    (void)state;
    for (unsigned walk = 0; walk < WALKS; walk++) {
        assert_int_equal(store_begin(store), 0);
        for (unsigned i = 0; i < KEYS; i++) {
            chance = chance * 6364136223846793005u + 1442695040888963407u;
            if (there[i] || chance >> 62 == 0)
                continue;
            bytes_put_u64(key, i);
            assert_int_equal(store_put(store, table, span_at(key, 8), span_at(value, (size_t)(chance >> 58))), 0);
            there[i] = true;
        }
        unsigned at = (unsigned)(chance >> 33) % KEYS;
        const unsigned some = 1 + walk % 5; /* of how many one stays */
        bytes_put_u64(key, at);
        int rc = store_seek(store, table, span_at(key, 8), &item);
        for (; at < KEYS; at++) {
            if (!there[at])
                continue;
            assert_int_equal(rc, 1);
            assert_int_equal(bytes_get_u64(item.key.at), at);
            if (some == 1 || at % some != 0) {
                assert_int_equal(store_delete_here(store, table), 0);
                there[at] = false;
            }
            rc = store_next(store, table, &item);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(store_commit(store), 0);
    }
}

/* A full map. */

/* Put entries of 1 KiB until the store says that it is full; how many went in. */
static unsigned
fill(int table)
{
    char value[1024] = {0};
    char key[8];

    for (unsigned i = 0; i < 100000; i++) {
        bytes_put_u64(key, i);
        if (store_put(store, table, span_at(key, sizeof key), span_at(value, sizeof value)) != 0)
            return i;
    }
    fail_msg("the map never fills");
    return 0;
}

static void
a_full_map_grows_and_the_next_try_has_room(void **state)
{
    (void)state;
    reopen(TINY_MAP_BYTES);
    int table = table_called("t");
    unsigned before = 0;
    char key[8];
    struct span got;

    for (unsigned round = 0; round < 6; round++) {
        assert_int_equal(store_begin(store), 0);
        unsigned filled = fill(table);
        assert_int_equal(store_fault(store), STORE_FULL);
        assert_true(filled > before);
        before = filled;
        assert_int_equal(store_commit(store), -1);
    }
    assert_int_equal(store_begin(store), 0);
    char value[1024] = {1};
    for (unsigned i = 0; i < before; i++) {
        bytes_put_u64(key, i);
        assert_int_equal(store_put(store, table, span_at(key, 8), span_at(value, sizeof value)), 0);
    }
    assert_int_equal(store_commit(store), 0);
    /* A smaller map in the configuration does not lose what is there, and a snapshot reads it. */
    reopen(TINY_MAP_BYTES);
    table = table_called("t");
    assert_int_equal(store_snapshot(store), 0);
    assert_int_equal(store_count(store, table), before);
    bytes_put_u64(key, before - 1);
    assert_int_equal(store_get(store, table, span_at(key, 8), &got), 1);
    assert_int_equal(got.at[0], 1);
    store_snapshot_end(store);
}

/* The field's 41: a host with a limit of address space. More than any host has is limited in the same way. */
static void
bug_280_a_map_larger_than_the_address_space_is_opened_smaller(void **state)
{
    (void)state;
    reopen(UINT64_C(1) << 50);
    int table = table_called("t");
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, table, span_of("k"), span_of("v")), 0);
    assert_int_equal(store_commit(store), 0);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool limits_hold = false; /* a sanitizer has more address space than a limit could leave it */
#else
static const bool limits_hold = true;
#endif

static void
limit_address_space(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

/* LMDB gives up the old map before it has the new one: it crashed with the next call. */
static void
bug_281_a_map_that_can_not_grow_stays_and_says_so(void **state)
{
    (void)state;
    if (!limits_hold)
        skip();
    reopen(TINY_MAP_BYTES);
    int table = table_called("t");
    struct span got;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, table, span_of("k"), span_of("v")), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    unsigned filled = fill(table);
    assert_int_equal(store_commit(store), -1);
    limit_address_space(0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_begin(store), 0);
        fill(table);
        assert_int_equal(store_fault(store), STORE_NO_ADDRESS_SPACE);
        assert_int_equal(store_commit(store), -1);
        assert_int_equal(store_snapshot(store), 0);
        assert_int_equal(store_get(store, table, span_of("k"), &got), 1);
        store_snapshot_end(store);
    }
    limit_address_space(RLIM_INFINITY);
    assert_int_equal(store_begin(store), 0);
    assert_true(fill(table) > filled);
    store_abort(store);
}

/* As a process does that trims its outbox, and then goes on. */
static void
bug_304_room_can_be_made_in_a_map_that_can_not_grow(void **state)
{
    (void)state;
    if (!limits_hold)
        skip();
    char value[16000] = {0};
    reopen(TINY_MAP_BYTES);
    int table = table_called("t");
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, table, span_of("large"), span_at(value, sizeof value)), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    fill(table);
    assert_int_equal(store_commit(store), -1);
    limit_address_space(0);
    const int begun = store_begin(store);
    const int deleted = begun == 0 ? store_delete(store, table, span_of("large")) : -1;
    const int committed = deleted == 1 ? store_commit(store) : -1;
    limit_address_space(RLIM_INFINITY);
    assert_int_equal(begun, 0);
    assert_int_equal(deleted, 1);
    assert_int_equal(committed, 0);
}

static void
a_map_that_fills_at_the_commit_grows_too(void **state)
{
    (void)state;
    reopen(TINY_MAP_BYTES);
    int table = table_called("t");
    char key[8], value[512] = {0};
    unsigned committed = 0, failed = 0;

    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(store_begin(store), 0);
        bytes_put_u64(key, committed);
        if (store_put(store, table, span_at(key, 8), span_at(value, sizeof value)) == 0 && store_commit(store) == 0) {
            committed++;
            continue;
        }
        assert_int_equal(store_fault(store), STORE_FULL);
        store_abort(store);
        failed++;
    }
    assert_true(failed > 0 && failed < 20);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_count(store, table), committed);
}

/* LMDB answers MDB_BAD_TXN to everything after a failure. A caller that does not look at once (a release in the middle
 * of a batch) made a full disk look like a damaged state. */
static void
a_full_store_stays_full_whatever_is_asked_of_it_then(void **state)
{
    (void)state;
    reopen(TINY_MAP_BYTES);
    int table = table_called("t"), other = table_called("u");
    struct span got;
    struct store_item item;
    char *room;

    assert_int_equal(store_begin(store), 0);
    fill(table);
    assert_int_equal(store_get(store, other, span_of("a"), &got), -1);
    assert_int_equal(store_seek(store, other, span_of("a"), &item), -1);
    assert_int_equal(store_put(store, other, span_of("a"), span_of("b")), -1);
    assert_int_equal(store_put_room(store, table, span_of("a"), 5, &room), -1);
    assert_int_equal(store_delete(store, table, span_of("a")), -1);
    assert_int_equal(store_fault(store), STORE_FULL);
    assert_int_equal(store_commit(store), -1);
    assert_int_equal(store_fault(store), STORE_FULL);
    assert_int_equal(store_begin(store), 0);
    put(table, "a", "1");
    assert_int_equal(store_commit(store), 0);
}

static void
pages_of_deleted_entries_are_used_again(void **state)
{
    int table = table_called("t");
    struct stat info;
    off_t after_ten = 0;
    char key[8], value[1000] = {0};

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        assert_int_equal(store_begin(store), 0);
        for (unsigned i = 0; i < 200; i++) {
            bytes_put_u64(key, round * 200 + i);
            assert_int_equal(store_put(store, table, span_at(key, 8), span_at(value, sizeof value)), 0);
            if (round == 0)
                continue;
            bytes_put_u64(key, (round - 1) * 200 + i);
            assert_int_equal(store_delete(store, table, span_at(key, 8)), 1);
        }
        assert_int_equal(store_commit(store), 0);
        assert_int_equal(store_snapshot(store), 0); /* read and ended: keeps no pages */
        assert_int_equal(store_count(store, table), 200);
        store_snapshot_end(store);
        assert_int_equal(stat(below("data.mdb"), &info), 0);
        if (round == 10)
            after_ten = info.st_size;
    }
    assert_true(info.st_size <= after_ten * 3 / 2);
}

/* Failing writes. */

static unsigned deeds;
static unsigned failing_deed;

static int
fail_one(const struct disk_call *call)
{
    (void)call;
    return ++deeds == failing_deed ? EIO : 0;
}

/* Try to commit key in place of before, with deed number `failing` of it failing. Whether the commit went well. */
static bool
commit_failing_at(int table, const char *value, unsigned failing)
{
    deeds = 0;
    failing_deed = failing;
    disk_before = fail_one;
    assert_int_equal(store_begin(store), 0);
    put(table, "key", value);
    const bool committed = store_commit(store) == 0;
    disk_before = NULL;
    return committed;
}

/* LMDB does nothing more, ever, after the write of a meta page has failed: the store stood until its process was started
 * again. */
static void
bug_003_a_store_goes_on_after_a_failed_write_whichever_it_is(void **state)
{
    const int table = table_called("t");

    (void)state;
    assert_true(commit_failing_at(table, "old", 0));
    bool committed = false;
    unsigned failing = 1;
    for (; !committed; failing++) {
        assert_true(failing < 20);
        committed = commit_failing_at(table, "new", failing);
        for (unsigned tries = 0; store_begin(store) != 0; tries++) /* the first finds that it has to be opened again */
            assert_true(tries < 2);
        assert_value(table, "key", committed ? "new" : "old");
        put(table, "key", "old");
        assert_int_equal(store_commit(store), 0);
        assert_int_equal(store_fault(store), STORE_FINE);
    }
    assert_true(failing > 3); /* data, sync, meta page */
    assert_int_equal(store_snapshot(store), 0);
    assert_value(table, "key", "old");
    store_snapshot_end(store);
}

/* Copies, and who reads from outside. A process opens a store once, so whoever looks at it while it changes is another
 * one. */

/* Run child in a process of its own, which is told to go on by a byte and says by another that it has come there. */
struct child {
    pid_t pid;
    int to;
    int from;
};

static void
child_wait(int fd)
{
    char byte;

    if (read(fd, &byte, 1) != 1)
        _exit(9);
}

static void
child_tell(int fd)
{
    if (write(fd, "", 1) != 1)
        _exit(9);
}

static struct child
child_start(int (*run)(int in, int out))
{
    int down[2], up[2];

    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(down[1]); /* so that the end of the test is the end of the child */
        close(up[0]);
        _exit(run(down[0], up[1]));
    }
    close(down[0]);
    close(up[1]);
    char byte;
    assert_int_equal(read(up[0], &byte, 1), 1);
    return (struct child){pid, down[1], up[0]};
}

static int
child_end(const struct child *child)
{
    int status;

    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->to);
    close(child->from);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
go_on(void *context, uint64_t bytes)
{
    *(uint64_t *)context += bytes;
    return true;
}

/* Take a snapshot, say so, and copy it when told to. */
static int
copy_when_told(int in, int out)
{
    uint64_t bytes = 0;
    struct store *other = store_open_to_read(state_dir, true);

    if (other == NULL || store_snapshot(other) != 0)
        return 1;
    child_tell(out);
    child_wait(in);
    if (store_size(other) <= 0 || store_copy(other, below("copy"), go_on, &bytes) != 0 || bytes == 0)
        return 2;
    store_close(other);
    return 0;
}

/* 2000 keys in order, each with 20 KiB of one letter: more than a transaction of a copy has. */
static void
put_many(int table, char letter)
{
    static char value[20 << 10];
    char key[16];

    memset(value, letter, sizeof value);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%08d", i);
        assert_int_equal(store_put(store, table, span_of(key), span_at(value, sizeof value)), 0);
    }
}

static void
expect_many(int table, char letter)
{
    struct store_item item;
    unsigned count = 0;
    int rc = store_seek(store, table, (struct span){0}, &item);

    for (; rc == 1; rc = store_next(store, table, &item), count++) {
        assert_int_equal(item.value.len, 20 << 10);
        assert_int_equal(item.value.at[0], letter);
    }
    assert_int_equal(count, 2000);
}

/* LMDB's own copy would be of the time when it is made. */
static void
a_copy_is_of_the_snapshot_whatever_was_committed_since(void **state)
{
    const int few = table_called("few");
    const int many = table_called("many");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(few, "key", "then");
    put(few, "gone", "");
    put_many(many, 'a');
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(mkdir(below("copy"), 0700), 0);
    const struct child child = child_start(copy_when_told);
    const int later = table_called("later");
    assert_int_equal(store_begin(store), 0);
    put(few, "key", "now");
    put(later, "key", "now");
    assert_int_equal(store_delete(store, few, span_of("gone")), 1);
    put_many(many, 'b');
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(write(child.to, "", 1), 1);
    assert_int_equal(child_end(&child), 0);
    store_close(store);
    store = NULL;

    assert_int_equal(access(below("copy/lock.mdb"), F_OK), -1);
    store = store_open_to_read(below("copy"), false);
    assert_non_null(store);
    assert_int_equal(store_snapshot(store), 0);
    assert_value(table_called("few"), "key", "then");
    assert_value(table_called("few"), "gone", "");
    expect_many(table_called("many"), 'a');
    assert_int_equal(store_table(store, "later"), -1);
    store_close(store);
    assert_int_equal(access(below("copy/lock.mdb"), F_OK), -1);
    store = store_open(below("copy"), MAP_BYTES); /* and a process goes on with it */
    assert_non_null(store);
    const int again = table_called("few");
    assert_int_equal(store_begin(store), 0);
    assert_value(again, "key", "then");
    store_abort(store);
    unlink(below("copy/data.mdb"));
    unlink(below("copy/lock.mdb"));
    assert_int_equal(rmdir(below("copy")), 0);
}

/* A write to a disk that becomes full is short, and LMDB calls that an input or output error. */
static int room_errno;
static char said[512];

static int
cut_writes_short(const struct disk_call *call)
{
    if (call->deed == DISK_ALLOCATE)
        return room_errno;
    return call->deed == DISK_WRITE ? EIO : 0;
}

static void
note_said(const char *text)
{
    snprintf(said, sizeof said, "%s", text);
}

static int
copy_to_a_disk_that_cuts_writes_short(int in, int out)
{
    static const struct {
        int room_errno;
        const char *said;
    } disks[] = {{ENOSPC, "/copy: the disk is full"}, {0, "/copy: Input/output error"}};
    struct store *other = store_open_to_read(state_dir, true);
    int status = other == NULL || store_snapshot(other) != 0;

    (void)in;
    child_tell(out);
    log_follow(note_said);
    disk_before = cut_writes_short;
    for (unsigned i = 0; i < 2 && status == 0; i++) {
        uint64_t bytes = 0;
        room_errno = disks[i].room_errno;
        if (store_copy(other, below("copy"), go_on, &bytes) != -1 || strstr(said, disks[i].said) == NULL)
            status = 2;
    }
    disk_before = NULL;
    store_close(other);
    return status;
}

static void
a_copy_onto_a_full_disk_says_so(void **state)
{
    const int few = table_called("few");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(few, "key", "value");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(mkdir(below("copy"), 0700), 0);
    const struct child child = child_start(copy_to_a_disk_that_cuts_writes_short);
    assert_int_equal(child_end(&child), 0);
    unlink(below("copy/data.mdb"));
    assert_int_equal(rmdir(below("copy")), 0);
}

static bool
stop(void *context, uint64_t bytes)
{
    (void)context;
    (void)bytes;
    return false;
}

static int
give_copy_up(int in, int out)
{
    struct store *other = store_open_to_read(state_dir, true);

    (void)in;
    child_tell(out);
    if (other == NULL || store_snapshot(other) != 0 || store_copy(other, below("copy"), stop, NULL) != -1)
        return 1;
    store_close(other);
    return 0;
}

static void
a_copy_that_is_given_up_is_a_failure(void **state)
{
    const int many = table_called("many");

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put_many(many, 'a');
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(mkdir(below("copy"), 0700), 0);
    const struct child child = child_start(give_copy_up);
    assert_int_equal(child_end(&child), 0);
    unlink(below("copy/data.mdb"));
    assert_int_equal(rmdir(below("copy")), 0);
}

/* The map of who only looks is made for the file as it was then. */
static int
look_later(int in, int out)
{
    struct store *other = store_open_to_read(state_dir, true);
    struct span value;

    if (other == NULL)
        return 1;
    child_tell(out);
    child_wait(in);
    if (store_snapshot(other) != 0 || store_get(other, store_table(other, "few"), span_of("key"), &value) != 1)
        return 2;
    store_close(other);
    return 0;
}

static void
a_file_that_grew_since_it_was_opened_can_be_looked_at(void **state)
{
    const int few = table_called("few");
    const int many = table_called("many");
    const struct child child = child_start(look_later);

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put_many(many, 'a');
    put(few, "key", "now");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(write(child.to, "", 1), 1);
    assert_int_equal(child_end(&child), 0);
}

static int
look_for_ever(int in, int out)
{
    struct store *other = store_open_to_read(state_dir, true);

    if (other == NULL || store_snapshot(other) != 0)
        return 1;
    child_tell(out);
    child_wait(in);
    return 0;
}

/* A process that lives for weeks would never use a page again. */
static void
bug_335_who_was_killed_while_it_read_keeps_no_pages(void **state)
{
    const int table = table_called("t");
    static char value[256 << 10];
    struct stat info;

    (void)state;
    assert_int_equal(store_begin(store), 0);
    put(table, "key", "value");
    assert_int_equal(store_commit(store), 0);
    const struct child child = child_start(look_for_ever);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    assert_int_equal(child_end(&child), -1);
    for (int i = 0; i < 400; i++) {
        memset(value, i, sizeof value);
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(store_put(store, table, span_of("large"), span_at(value, sizeof value)), 0);
        assert_int_equal(store_commit(store), 0);
    }
    assert_int_equal(stat(below("data.mdb"), &info), 0);
    assert_true(info.st_size < 32 << 20); /* of 100 MiB that were written */
}

static void
what_is_no_store_is_not_looked_at(void **state)
{
    (void)state;
    assert_null(store_open_to_read(dir, true)); /* none there */
    assert_int_equal(access(dir, F_OK), 0);
    store_close(store);
    assert_int_equal(unlink(below("data.mdb")), 0);
    assert_int_equal(symlink("/etc/passwd", below("data.mdb")), 0);
    store = store_open_to_read(state_dir, true);
    assert_null(store);
}

static int looked_at;

static void
put_in_a_snapshot(void)
{
    store_put(store, looked_at, span_of("b"), span_of("2"));
}

static void
delete_in_a_snapshot(void)
{
    store_delete(store, looked_at, span_of("a"));
}

static void
who_changes_what_is_only_looked_at_panics(void **state)
{
    (void)state;
    looked_at = table_called("t");
    assert_int_equal(store_begin(store), 0);
    put(looked_at, "a", "1");
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_snapshot(store), 0);
    assert_panics(put_in_a_snapshot);
    assert_panics(delete_in_a_snapshot);
    store_snapshot_end(store);
}

int
main(void)
{
    log_open("test", LOG_NOTHING);
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(only_the_owner_can_read_it),
        EACH(a_folder_that_cannot_be_made_is_an_error),
        EACH(a_table_keeps_its_number_and_apart_from_others),
        EACH(as_many_tables_as_promised),
        EACH(bug_713_a_store_of_all_tables_is_measured),
        EACH(committed_is_there_after_reopening),
        EACH(an_abort_undoes_puts_and_deletes),
        EACH(a_cursor_does_not_outlive_its_transaction),
        EACH(a_snapshot_sees_what_is_committed),
        EACH(put_new_leaves_what_is_there),
        EACH(put_room_is_filled_by_the_caller),
        EACH(an_empty_value_and_the_longest_key),
        EACH(keys_may_hold_any_bytes),
        EACH(an_empty_key_is_our_fault_and_harms_nothing),
        EACH(seek_stands_on_the_first_that_is_not_below),
        EACH(a_get_does_not_move_the_cursor),
        EACH(delete_here_leaves_next_at_the_one_behind),
        EACH(walking_and_deleting_agrees_with_an_array),
        EACH(a_full_map_grows_and_the_next_try_has_room),
        EACH(a_map_that_fills_at_the_commit_grows_too),
        EACH(bug_280_a_map_larger_than_the_address_space_is_opened_smaller),
        EACH(bug_281_a_map_that_can_not_grow_stays_and_says_so),
        EACH(bug_304_room_can_be_made_in_a_map_that_can_not_grow),
        EACH(a_full_store_stays_full_whatever_is_asked_of_it_then),
        EACH(pages_of_deleted_entries_are_used_again),
        EACH(bug_003_a_store_goes_on_after_a_failed_write_whichever_it_is),
        EACH(a_copy_is_of_the_snapshot_whatever_was_committed_since),
        EACH(a_copy_onto_a_full_disk_says_so),
        EACH(a_copy_that_is_given_up_is_a_failure),
        EACH(a_file_that_grew_since_it_was_opened_can_be_looked_at),
        EACH(bug_335_who_was_killed_while_it_read_keeps_no_pages),
        EACH(what_is_no_store_is_not_looked_at),
        EACH(who_changes_what_is_only_looked_at_panics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
