#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "store/pages.h"

struct table {
    const char *name;
    bool there; /* it is committed; else dbi is valid only in the write transaction at hand, which makes it */
    MDB_dbi dbi;
    MDB_cursor *cursor; /* of the transaction at hand; NULL until it is used */
};

struct store {
    char *dir;
    uint64_t map_bytes; /* what the map was asked to be, or has grown to */
    MDB_env *env;       /* NULL while it can't be opened */
    MDB_txn *txn;      /* the write transaction or the snapshot, whichever is open */
    MDB_txn *snapshot; /* reset between uses, so that it costs no allocation */
    bool reading;      /* txn is the snapshot */
    bool only_read;    /* the environment is open to be looked at */
    bool is_new;       /* nothing had ever been committed when the write transaction began */
    unsigned begun;    /* write transactions */
    bool map_too_small;
    bool cramped; /* it is, and there is no address space for a larger one */
    bool env_is_dead; /* LMDB will do nothing more before the environment is opened anew */
    bool complained; /* a failure is in the log already */
    bool damaged;    /* what it holds is not what this program writes, and the log says so */
    enum store_fault fault;
    struct table tables[STORE_TABLES_MAX];
    int table_count;
};

/* Least map that is tried: the least that `map` may be set to. */
#define MAP_BYTES_MIN (UINT64_C(16) << 20)

/* Less than this is as good as nothing: a commit writes some pages at least. */
#define ROOM_BYTES_MIN (1u << 20)

/* So many transactions apart we look whether who was reading the store has died: its snapshot would keep pages from
 * being used again as long as we live. */
#define READERS_CHECK 64

/* A copy commits each time it has put this much: LMDB keeps the pages of a transaction in memory. */
#define COPY_BYTES (32u << 20)

/* And tells of it this often. */
#define STEP_BYTES (1u << 20)

/* Whether there is no room in dir; a quota does not show in the figures of the file system, so it is tried. */
static bool
disk_is_full(const char *dir)
{
    struct statvfs status;
    int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0) /* this file system knows no files without a name */
        return statvfs(dir, &status) == 0 && (uint64_t)status.f_bavail * status.f_frsize < ROOM_BYTES_MIN;
    const int rc = posix_fallocate(fd, 0, ROOM_BYTES_MIN);
    close(fd);
    return rc == ENOSPC || rc == EDQUOT;
}

/* One place for LMDB's errors: what they mean for the caller, and a line in the log. Always −1. */
static int
failed(struct store *store, const char *what, int rc)
{
    /* LMDB says this to whatever is asked of a transaction that has failed: what counts is why it did. */
    if (rc == MDB_BAD_TXN && store->fault != STORE_FINE)
        return -1;
    switch (rc) {
    case MDB_MAP_FULL:
        store->map_too_small = true;
        store->fault = store->cramped ? STORE_NO_ADDRESS_SPACE : STORE_FULL;
        if (!store->cramped)
            return -1;
        break;
    case ENOSPC:
    case EDQUOT:
        store->fault = STORE_FULL;
        break;
    case EIO: /* LMDB's word for a short write, too */
        store->fault = disk_is_full(store->dir) ? STORE_FULL : STORE_BROKEN;
        break;
    case ENOMEM:
        store->fault = STORE_NO_ADDRESS_SPACE;
        break;
    case MDB_PANIC:
        store->env_is_dead = true;
        store->fault = STORE_BROKEN;
        break;
    default:
        store->fault = STORE_BROKEN;
    }
    if (!store->complained) /* once until something works again */
        log_error("store: %s: %s", what, store->fault == STORE_FULL ? "the disk is full" : mdb_strerror(rc));
    store->complained = true;
    return -1;
}

/* Begin a store: LMDB makes a file of two pages, and syncs neither them nor its name. So it is made under another name, and
 * there is no half-made store under its own. LMDB's code, or 0. */
static int
begin_file(const struct store *store, const char *path)
{
    struct buffer made = {0};
    MDB_env *env;
    int rc = mdb_env_create(&env);

    if (rc != 0)
        return rc;
    buffer_printf(&made, "%s/data.new", store->dir);
    unlink(buffer_text(&made)); /* of one who was killed here */
    if ((rc = mdb_env_set_mapsize(env, MAP_BYTES_MIN)) == 0 &&
        (rc = mdb_env_open(env, buffer_text(&made), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600)) == 0)
        rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
    if (rc == 0 && (rename(buffer_text(&made), path) != 0 || file_sync_dir(store->dir) != 0))
        rc = errno;
    buffer_free(&made);
    return rc;
}

static int
damaged_file(const char *path, const char *what)
{
    log_error("store: %s is damaged, or no store: it %s. Nothing is changed: bring back the newest backup (gait restore), "
              "or move the state folder that it is in away and load again", path, what);
    return -1;
}

/* LMDB is about to abort: in a page that was not looked at, or that has changed since, stands what can't be. */
static void
say_assertion(MDB_env *env, const char *what)
{
    const struct store *store = mdb_env_get_userctx(env);

    log_error("store: %s/data.mdb is damaged: LMDB gives up: %s. Bring back the newest backup (gait restore), or move the "
              "state folder that it is in away and load again", store->dir, what);
}

static int
try_env(struct store *store)
{
    int dead_readers;
    int rc;

    if ((rc = mdb_env_create(&store->env)) != 0) {
        store->env = NULL;
        return rc;
    }
    if ((rc = mdb_env_set_userctx(store->env, store)) != 0 || (rc = mdb_env_set_assert(store->env, say_assertion)) != 0 ||
        (rc = mdb_env_set_maxdbs(store->env, STORE_TABLES_MAX)) != 0 ||
        (rc = mdb_env_set_mapsize(store->env, store->map_bytes)) != 0 ||
        /* NOTLS: a snapshot belongs to the store, not to the thread that happens to take it. No other flag: in tests of
         * power cuts NOSYNC left corrupt files, the default never did. */
        (rc = mdb_env_open(store->env, store->dir, MDB_NOTLS, 0600)) != 0 ||
        /* A killed process leaves its reader slot behind, which would keep pages from being used again. */
        (rc = mdb_reader_check(store->env, &dead_readers)) != 0) {
        mdb_env_close(store->env);
        store->env = NULL;
    }
    return rc;
}

/* Where a process may have little address space (ulimit -v, a small machine) less of it is asked for: the map grows when it
 * is full. */
static int
try_smaller_maps(struct store *store)
{
    const uint64_t wanted_bytes = store->map_bytes;
    int rc = try_env(store);

    while (rc == ENOMEM && store->map_bytes / 2 >= MAP_BYTES_MIN) {
        store->map_bytes /= 2;
        rc = try_env(store);
    }
    if (rc == 0 && store->map_bytes != wanted_bytes)
        log_warning("store: no address space for a `map` of %llu MiB (ulimit -v?): going on with %llu MiB",
                    (unsigned long long)wanted_bytes >> 20, (unsigned long long)store->map_bytes >> 20);
    return rc;
}

static void
close_env(struct store *store)
{
    if (store->snapshot != NULL)
        mdb_txn_abort(store->snapshot);
    store->snapshot = NULL;
    if (store->env != NULL)
        mdb_env_close(store->env);
    store->env = NULL;
}

/* That there is a file, and one that can be mapped. 0, or −1 with a line in the log. */
static int
see_to_file(const struct store *store)
{
    struct buffer path = {0}, fault = {0};
    int rc = 0;

    buffer_printf(&path, "%s/data.mdb", store->dir);
    enum pages pages = pages_look(buffer_text(&path), &fault);
    if (pages == PAGES_UNBORN && unlink(buffer_text(&path)) == 0) {
        log_warning("store: nothing was ever written to %s: making it anew", buffer_text(&path));
        pages = PAGES_ABSENT;
    }
    if (pages == PAGES_ABSENT && (rc = begin_file(store, buffer_text(&path))) != 0)
        log_error("store: can't make %s: %s", buffer_text(&path), mdb_strerror(rc));
    else if (pages == PAGES_DAMAGED)
        rc = damaged_file(buffer_text(&path), buffer_text(&fault));
    buffer_free(&path);
    buffer_free(&fault);
    return rc == 0 ? 0 : -1;
}

struct store *
store_open(const char *dir, uint64_t map_bytes)
{
    struct store *store = calloc(1, sizeof *store);
    int rc;

    if (store == NULL || (store->dir = strdup(dir)) == NULL)
        log_fatal("out of memory");
    store->map_bytes = map_bytes;
    if (file_make_dirs(dir) != 0)
        log_error("store: can't make folder %s: %s", dir, strerror(errno));
    else if (see_to_file(store) == 0) {
        if ((rc = try_smaller_maps(store)) == 0)
            return store;
        log_error("store: can't open %s: %s%s", dir, mdb_strerror(rc),
                  rc == ENOMEM ? ": too little address space even for a small `map` (ulimit -v?)" : "");
    }
    store_close(store);
    return NULL;
}

/* As store_open_to_read, of a store that was made. LMDB's code, or 0. */
static int
open_to_read(struct store *store, const char *path, bool live)
{
    struct stat status;
    int rc;

    if (stat(path, &status) != 0)
        return errno;
    if ((rc = mdb_env_create(&store->env)) != 0) {
        store->env = NULL;
        return rc;
    }
    store->map_bytes = 2 * (uint64_t)status.st_size + MAP_BYTES_MIN;
    if ((rc = mdb_env_set_userctx(store->env, store)) != 0 || (rc = mdb_env_set_assert(store->env, say_assertion)) != 0 ||
        (rc = mdb_env_set_maxdbs(store->env, STORE_TABLES_MAX)) != 0 ||
        (rc = mdb_env_set_mapsize(store->env, store->map_bytes)) != 0)
        return rc;
    return mdb_env_open(store->env, store->dir, MDB_RDONLY | MDB_NOTLS | (live ? 0 : MDB_NOLOCK), 0600);
}

struct store *
store_open_to_read(const char *dir, bool live)
{
    struct store *store = calloc(1, sizeof *store);
    struct buffer path = {0}, fault = {0};
    int rc = -1;

    if (store == NULL || (store->dir = strdup(dir)) == NULL)
        log_fatal("out of memory");
    store->only_read = true;
    buffer_printf(&path, "%s/data.mdb", dir);
    const enum pages pages = pages_look(buffer_text(&path), &fault);
    if (pages == PAGES_DAMAGED)
        damaged_file(buffer_text(&path), buffer_text(&fault));
    else if ((rc = pages == PAGES_SOUND ? open_to_read(store, buffer_text(&path), live) : ENOENT) != 0)
        log_error("store: can't read %s: %s", dir, mdb_strerror(rc));
    buffer_free(&path);
    buffer_free(&fault);
    if (rc == 0)
        return store;
    store_close(store);
    return NULL;
}

/* A table that is absent is made by the next transaction: so a store that is refused, whatever for, stays as it was. */
static int
open_table(struct store *store, struct table *table)
{
    MDB_txn *txn = NULL;
    int rc;

    table->there = false;
    log_assert((store->txn != NULL) == store->only_read); /* a handle belongs to the transaction that opens it */
    if (store->only_read) {
        rc = mdb_dbi_open(store->txn, table->name, 0, &table->dbi);
        table->there = rc == 0;
        return rc != 0 ? failed(store, table->name, rc) : 0;
    }
    if ((rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn)) != 0)
        return failed(store, table->name, rc);
    rc = mdb_dbi_open(txn, table->name, 0, &table->dbi);
    table->there = rc == 0;
    if (table->there)
        rc = mdb_txn_commit(txn); /* or the handle is closed */
    else
        mdb_txn_abort(txn);
    if (rc == MDB_INCOMPATIBLE)
        return store_damaged(store, (int)(table - store->tables), "it is no table, but a value");
    return rc == 0 || rc == MDB_NOTFOUND ? 0 : failed(store, table->name, rc);
}

/* Make those tables that are absent, in the transaction at hand. LMDB's code, or 0. */
static int
make_tables(struct store *store)
{
    MDB_stat stat = {.ms_entries = 1};
    MDB_dbi main;
    bool all = true;
    int rc = 0;

    for (int i = 0; i < store->table_count; i++)
        all = all && store->tables[i].there;
    if (!all && (rc = mdb_dbi_open(store->txn, NULL, 0, &main)) == 0)
        rc = mdb_stat(store->txn, main, &stat);
    store->is_new = !all && stat.ms_entries == 0;
    for (int i = 0; i < store->table_count && rc == 0; i++) {
        if (!store->tables[i].there)
            rc = mdb_dbi_open(store->txn, store->tables[i].name, MDB_CREATE, &store->tables[i].dbi);
    }
    return rc;
}

/* After a write that failed at the wrong moment LMDB refuses everything until the environment is opened anew; what is
 * committed then is read from the file. 0 or −1. */
static int
revive(struct store *store)
{
    int rc;

    if (!store->env_is_dead)
        return 0;
    close_env(store);
    if ((rc = try_smaller_maps(store)) != 0)
        return failed(store, "can't open it again", rc);
    for (int i = 0; i < store->table_count; i++) {
        if (open_table(store, &store->tables[i]) != 0)
            return -1;
    }
    store->env_is_dead = false;
    log_info("store: opened again");
    return 0;
}

int
store_table(struct store *store, const char *name)
{
    for (int i = 0; i < store->table_count; i++) {
        if (strcmp(store->tables[i].name, name) == 0)
            return i;
    }
    if (store->table_count == STORE_TABLES_MAX)
        log_panic("store: more than %d tables", STORE_TABLES_MAX);
    struct table *table = &store->tables[store->table_count];
    table->name = name;
    return open_table(store, table) == 0 ? store->table_count++ : -1;
}

void
store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->reading)
        store_snapshot_end(store);
    store_abort(store);
    close_env(store);
    free(store->dir);
    free(store);
}

enum store_fault
store_fault(const struct store *store)
{
    return store->fault;
}

void
store_found(struct store *store, enum store_fault fault)
{
    log_assert(fault != STORE_FINE);
    store->fault = fault;
}

int
store_damaged(struct store *store, int table, const char *what)
{
    log_assert(table >= 0 && table < STORE_TABLES_MAX && store->tables[table].name != NULL);
    if (!store->damaged)
        log_error("store: %s, table %s: %s: it is damaged, or not of this program. Nothing is changed: bring back a copy of "
                  "the state, or remove it and load again", store->dir, store->tables[table].name, what);
    store->damaged = true;
    store->fault = STORE_BROKEN;
    return -1;
}

bool
store_is_damaged(const struct store *store)
{
    return store->damaged;
}

bool
store_is_new(const struct store *store)
{
    return store->is_new;
}

/* Cursors of a write transaction end with it; those of a snapshot are ours to close. */
static void
forget_cursors(struct store *store)
{
    for (int i = 0; i < store->table_count; i++) {
        if (store->tables[i].cursor != NULL && store->reading)
            mdb_cursor_close(store->tables[i].cursor);
        store->tables[i].cursor = NULL;
    }
}

/* Whether there is address space for so much more. */
static bool
address_space_has(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map != MAP_FAILED && munmap(map, bytes) == 0;
}

/* Only without a transaction: LMDB forbids it otherwise. It gives up the old map before it has the new one, and crashes when
 * it is used without any, so what can't succeed is not begun: the map stays, with what room there is or can be made in it.
 * 0 or −1. */
static int
grow_map(struct store *store)
{
    MDB_envinfo info;
    int rc;

    store->cramped = false;
    if (!store->map_too_small)
        return 0;
    if ((rc = mdb_env_info(store->env, &info)) != 0)
        return failed(store, "can't grow the map", rc);
    store->cramped = !address_space_has(info.me_mapsize);
    if (store->cramped)
        return 0;
    if ((rc = mdb_env_set_mapsize(store->env, info.me_mapsize * 2)) != 0) {
        store->env_is_dead = true;
        return failed(store, "can't grow the map", rc);
    }
    store->map_too_small = false;
    store->map_bytes = info.me_mapsize * 2;
    log_info("store: map grown to %zu MiB", info.me_mapsize * 2 >> 20);
    return 0;
}

int
store_begin(struct store *store)
{
    int dead_readers;

    if (store->txn != NULL || store->only_read)
        log_panic("store: begin inside a transaction, or only to read");
    log_assert(!store->reading);
    store->fault = STORE_FINE;
    if (revive(store) != 0 || grow_map(store) != 0)
        return -1;
    int rc = store->begun++ % READERS_CHECK == 0 ? mdb_reader_check(store->env, &dead_readers) : 0;
    if (rc == 0)
        rc = mdb_txn_begin(store->env, NULL, 0, &store->txn);
    if (rc != 0) {
        store->txn = NULL;
        return failed(store, "begin", rc);
    }
    if ((rc = make_tables(store)) != 0) {
        failed(store, "begin", rc);
        store_abort(store);
        return -1;
    }
    return 0;
}

int
store_commit(struct store *store)
{
    if (store->txn == NULL || store->reading)
        log_panic("store: commit outside a transaction");
    if (store->fault != STORE_FINE) {
        store_abort(store);
        return -1;
    }
    int rc = mdb_txn_commit(store->txn);
    store->txn = NULL;
    forget_cursors(store);
    if (rc != 0)
        return failed(store, "commit", rc);
    for (int i = 0; i < store->table_count; i++)
        store->tables[i].there = true;
    store->complained = false;
    return 0;
}

void
store_abort(struct store *store)
{
    if (store->txn == NULL || store->reading)
        return;
    mdb_txn_abort(store->txn);
    store->txn = NULL;
    forget_cursors(store);
}

/* Who only looks has a map of little more than the file; since it was opened that may have grown. LMDB's code or 0. */
static int
snapshot_of_larger(struct store *store)
{
    int rc = MDB_MAP_RESIZED;

    if (store->snapshot != NULL)
        mdb_txn_abort(store->snapshot);
    store->snapshot = NULL;
    while (rc == MDB_MAP_RESIZED && store->only_read) {
        store->map_bytes *= 2;
        if ((rc = mdb_env_set_mapsize(store->env, store->map_bytes)) == 0)
            rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->snapshot);
    }
    if (rc != 0)
        store->snapshot = NULL;
    return rc;
}

int
store_snapshot(struct store *store)
{
    int rc;

    if (store->txn != NULL)
        log_panic("store: snapshot inside a transaction");
    if (store->env_is_dead) /* to be opened again by the next transaction, after which all that is in memory is read again */
        return -1;
    if (store->snapshot == NULL)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->snapshot);
    else
        rc = mdb_txn_renew(store->snapshot);
    if (rc == MDB_MAP_RESIZED)
        rc = snapshot_of_larger(store);
    if (rc != 0)
        return failed(store, "snapshot", rc);
    store->txn = store->snapshot;
    store->reading = true;
    return 0;
}

void
store_snapshot_end(struct store *store)
{
    if (!store->reading)
        log_panic("store: no snapshot to end");
    forget_cursors(store);
    mdb_txn_reset(store->snapshot);
    store->txn = NULL;
    store->reading = false;
}

static struct table *
table_of(struct store *store, int table)
{
    if (store->txn == NULL || table < 0 || table >= store->table_count)
        log_panic("store: table %d used outside a transaction", table);
    return &store->tables[table];
}

/* Whether the table can be asked: in a snapshot it may not have been made yet. */
static bool
is_there(struct store *store, int table)
{
    return table_of(store, table)->there || !store->reading;
}

/* The table's cursor in the transaction at hand; NULL on error. Puts and deletes go through it because LMDB then first
 * tries the page it stands on: keys that come in order find their place without a descent. */
static MDB_cursor *
cursor_of(struct store *store, int number)
{
    struct table *table = table_of(store, number);

    if (table->cursor == NULL) {
        int rc = mdb_cursor_open(store->txn, table->dbi, &table->cursor);
        if (rc != 0) {
            table->cursor = NULL;
            failed(store, table->name, rc);
        }
    }
    return table->cursor;
}

/* The same, for who changes the table. */
static MDB_cursor *
cursor_to_change(struct store *store, int number)
{
    if (store->reading)
        log_panic("store: table %d changed in a snapshot", number);
    return cursor_of(store, number);
}

/* LMDB takes pointers to non-const memory, which it does not write to. */
static MDB_val
val_of(struct span span)
{
    union {
        const char *in;
        void *out;
    } address = {.in = span.at};

    return (MDB_val){span.len, address.out};
}

static int
found(struct store *store, int table, int rc)
{
    if (rc == 0)
        return 1;
    return rc == MDB_NOTFOUND ? 0 : failed(store, store->tables[table].name, rc);
}

int
store_get(struct store *store, int table, struct span key, struct span *value)
{
    MDB_val k = val_of(key);
    MDB_val v = {0, NULL};
    int rc = is_there(store, table) ? mdb_get(store->txn, table_of(store, table)->dbi, &k, &v) : MDB_NOTFOUND;

    *value = span_at(v.mv_data, v.mv_size);
    return found(store, table, rc);
}

int
store_damaged_at(struct store *store, int table, struct span key, const char *what)
{
    struct buffer text = {0};
    bool words = key.len > 0;

    for (size_t i = 0; i < key.len; i++)
        words = words && key.at[i] >= ' ' && key.at[i] <= '~';
    if (words)
        buffer_printf(&text, "%.*s: ", (int)key.len, key.at);
    buffer_add_text(&text, what);
    store_damaged(store, table, buffer_text(&text));
    buffer_free(&text);
    return -1;
}

int
store_get_exact(struct store *store, int table, struct span key, size_t len, struct span *value)
{
    int rc = store_get(store, table, key, value);

    return rc == 1 && value->len != len ? store_damaged_at(store, table, key, "a value of another length") : rc;
}

static int
put(struct store *store, int table, struct span key, MDB_val *value, unsigned flags)
{
    MDB_cursor *cursor = cursor_to_change(store, table);
    MDB_val k = val_of(key);

    log_assert(key.len <= STORE_KEY_BYTES_MAX);
    if (cursor == NULL)
        return -1;
    int rc = mdb_cursor_put(cursor, &k, value, flags);
    if (rc == MDB_KEYEXIST)
        return 0;
    return rc == 0 ? 1 : failed(store, store->tables[table].name, rc);
}

int
store_put(struct store *store, int table, struct span key, struct span value)
{
    MDB_val v = val_of(value);

    return put(store, table, key, &v, 0) == 1 ? 0 : -1;
}

int
store_put_new(struct store *store, int table, struct span key, struct span value)
{
    MDB_val v = val_of(value);

    return put(store, table, key, &v, MDB_NOOVERWRITE);
}

int
store_put_room(struct store *store, int table, struct span key, size_t len, char **room)
{
    MDB_val v = {len, NULL};

    if (put(store, table, key, &v, MDB_RESERVE) != 1)
        return -1;
    *room = v.mv_data;
    return 0;
}

int
store_delete(struct store *store, int table, struct span key)
{
    MDB_cursor *cursor = cursor_to_change(store, table);
    MDB_val k = val_of(key);

    if (cursor == NULL)
        return -1;
    int rc = found(store, table, mdb_cursor_get(cursor, &k, NULL, MDB_SET));
    if (rc != 1)
        return rc;
    return store_delete_here(store, table) == 0 ? 1 : -1;
}

static int
move(struct store *store, int table, struct span key, struct store_item *item, MDB_cursor_op op)
{
    MDB_val k = val_of(key);
    MDB_val v = {0, NULL};

    if (!is_there(store, table))
        return 0;
    MDB_cursor *cursor = cursor_of(store, table);
    if (cursor == NULL)
        return -1;
    int rc = found(store, table, mdb_cursor_get(cursor, &k, &v, op));
    if (rc == 1)
        *item = (struct store_item){span_at(k.mv_data, k.mv_size), span_at(v.mv_data, v.mv_size)};
    return rc;
}

int
store_seek(struct store *store, int table, struct span key, struct store_item *item)
{
    if (key.len == 0) /* LMDB refuses an empty key; below all of them is the first */
        return move(store, table, key, item, MDB_FIRST);
    return move(store, table, key, item, MDB_SET_RANGE);
}

int
store_next(struct store *store, int table, struct store_item *item)
{
    return move(store, table, (struct span){0}, item, MDB_NEXT);
}

int
store_last(struct store *store, int table, struct store_item *item)
{
    return move(store, table, (struct span){0}, item, MDB_LAST);
}

int
store_delete_here(struct store *store, int table)
{
    MDB_cursor *cursor = cursor_to_change(store, table);

    if (cursor == NULL)
        return -1;
    int rc = mdb_cursor_del(cursor, 0);
    return rc == 0 ? 0 : failed(store, store->tables[table].name, rc);
}

int64_t
store_count(struct store *store, int table)
{
    MDB_stat stat = {0};
    int rc = is_there(store, table) ? mdb_stat(store->txn, table_of(store, table)->dbi, &stat) : 0;

    return rc == 0 ? (int64_t)stat.ms_entries : failed(store, store->tables[table].name, rc);
}

/* Copies. LMDB's own (mdb_env_copy) takes a snapshot of its own, at the time when it begins; what belongs together in
 * several stores needs those that were taken together. */

struct copy {
    struct store *from;
    MDB_env *env;
    MDB_txn *txn;
    uint64_t bytes;   /* put since the last commit */
    uint64_t untold;  /* and since step was called */
    bool given_up;
    bool (*step)(void *context, uint64_t bytes);
    void *context;
};

/* Open all tables that there are in the snapshot. How many, −1. */
static int
open_all_tables(struct store *store, MDB_dbi *tables, char names[][STORE_KEY_BYTES_MAX + 1])
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    MDB_dbi main;
    unsigned flags;
    int count = 0;
    int rc;

    log_assert(store->txn != NULL);
    if ((rc = mdb_dbi_open(store->txn, NULL, 0, &main)) != 0 || (rc = mdb_cursor_open(store->txn, main, &cursor)) != 0)
        return failed(store, "copy", rc);
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size > STORE_KEY_BYTES_MAX || count == STORE_TABLES_MAX) {
            rc = MDB_INCOMPATIBLE;
            break;
        }
        memcpy(names[count], key.mv_data, key.mv_size);
        names[count][key.mv_size] = '\0';
        if ((rc = mdb_dbi_open(store->txn, names[count], 0, &tables[count])) != 0 ||
            (rc = mdb_dbi_flags(store->txn, tables[count], &flags)) != 0)
            break;
        count++;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? count : failed(store, "copy: what is there is no store of ours", rc);
}

int64_t
store_size(struct store *store)
{
    char names[STORE_TABLES_MAX][STORE_KEY_BYTES_MAX + 1];
    MDB_dbi tables[STORE_TABLES_MAX];
    int count = open_all_tables(store, tables, names);
    int64_t bytes = count < 0 ? -1 : 0;
    MDB_stat stat;

    for (int i = 0; i < count; i++) {
        int rc = mdb_stat(store->txn, tables[i], &stat);
        if (rc != 0)
            return failed(store, names[i], rc);
        bytes += (int64_t)((stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize);
    }
    return bytes;
}

/* LMDB's code, or 0. */
static int
commit_copy(struct copy *copy)
{
    int rc = copy->txn != NULL ? mdb_txn_commit(copy->txn) : 0;

    copy->txn = NULL;
    copy->bytes = 0;
    return rc != 0 ? rc : mdb_txn_begin(copy->env, NULL, 0, &copy->txn);
}

/* Append the entries on which from stands and that follow, until the transaction has enough. LMDB's code; MDB_NOTFOUND: that
 * was all. */
static int
copy_some(struct copy *copy, MDB_cursor *from, MDB_cursor *to)
{
    MDB_val key, value;
    int rc = 0;

    while (copy->bytes < COPY_BYTES && (rc = mdb_cursor_get(from, &key, &value, MDB_NEXT)) == 0 &&
           (rc = mdb_cursor_put(to, &key, &value, MDB_APPEND)) == 0) {
        copy->bytes += key.mv_size + value.mv_size;
        copy->untold += key.mv_size + value.mv_size;
        if (copy->untold < STEP_BYTES)
            continue;
        if (!copy->step(copy->context, copy->untold)) {
            copy->given_up = true;
            return ECANCELED;
        }
        copy->untold = 0;
    }
    return rc;
}

static int
copy_table(struct copy *copy, MDB_dbi table, const char *name)
{
    MDB_cursor *from, *to;
    MDB_stat before, after;
    MDB_dbi into;
    int rc;

    if ((rc = mdb_dbi_open(copy->txn, name, MDB_CREATE, &into)) != 0 ||
        (rc = mdb_cursor_open(copy->from->txn, table, &from)) != 0)
        return rc;
    do {
        if ((rc = mdb_cursor_open(copy->txn, into, &to)) != 0)
            break;
        rc = copy_some(copy, from, to);
        mdb_cursor_close(to);
        if (rc == 0)
            rc = commit_copy(copy);
    } while (rc == 0);
    mdb_cursor_close(from);
    if (rc != MDB_NOTFOUND)
        return rc;
    if ((rc = mdb_stat(copy->from->txn, table, &before)) != 0 || (rc = mdb_stat(copy->txn, into, &after)) != 0)
        return rc;
    return before.ms_entries == after.ms_entries ? 0 : MDB_CORRUPTED;
}

/* The files in dir, without a lock: nobody else knows of them, and who finds them after a crash finds no whole copy. So they
 * are synced at the end only. LMDB's code, or 0. */
static int
open_copy(struct copy *copy, const char *dir, uint64_t map_bytes)
{
    int rc = mdb_env_create(&copy->env);

    if (rc != 0) {
        copy->env = NULL;
        return rc;
    }
    if ((rc = mdb_env_set_maxdbs(copy->env, STORE_TABLES_MAX)) != 0 ||
        (rc = mdb_env_set_mapsize(copy->env, map_bytes)) != 0 ||
        (rc = mdb_env_open(copy->env, dir, MDB_NOTLS | MDB_NOLOCK | MDB_NOSYNC, 0600)) != 0)
        return rc;
    return commit_copy(copy);
}

static int
copy_all_tables(struct copy *copy)
{
    char names[STORE_TABLES_MAX][STORE_KEY_BYTES_MAX + 1];
    MDB_dbi tables[STORE_TABLES_MAX];
    const int count = open_all_tables(copy->from, tables, names);
    int rc = count < 0 ? MDB_INCOMPATIBLE : 0;

    for (int i = 0; i < count && rc == 0; i++)
        rc = copy_table(copy, tables[i], names[i]);
    if (rc == 0) {
        rc = mdb_txn_commit(copy->txn);
        copy->txn = NULL;
    }
    return rc == 0 ? mdb_env_sync(copy->env, 1) : rc;
}

int
store_copy(struct store *store, const char *dir, bool (*step)(void *context, uint64_t bytes), void *context)
{
    struct copy copy = {.from = store, .step = step, .context = context};
    const int64_t size = store_size(store);

    if (size < 0)
        return -1;
    /* Twice, and some: the pages of the copy are filled, but each commit leaves some behind. */
    int rc = open_copy(&copy, dir, 2 * (uint64_t)size + 2 * MAP_BYTES_MIN + 2 * COPY_BYTES);
    if (rc == 0)
        rc = copy_all_tables(&copy);
    if (copy.txn != NULL)
        mdb_txn_abort(copy.txn);
    if (copy.env != NULL)
        mdb_env_close(copy.env);
    if (rc != 0 && !copy.given_up)
        log_error("store: can't copy %s to %s: %s", store->dir, dir,
                  rc == EIO && disk_is_full(dir) ? "the disk is full" : mdb_strerror(rc)); /* EIO as in failed */
    return rc == 0 ? 0 : -1;
}
