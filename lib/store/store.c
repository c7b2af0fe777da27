#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"

struct table {
    const char *name;
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

/* Whether there is no room for us; a quota does not show in the figures of the file system, so it is tried. */
static bool
disk_is_full(const struct store *store)
{
    struct statvfs status;
    int fd = open(store->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0) /* this file system knows no files without a name */
        return statvfs(store->dir, &status) == 0 && (uint64_t)status.f_bavail * status.f_frsize < ROOM_BYTES_MIN;
    const int rc = posix_fallocate(fd, 0, ROOM_BYTES_MIN);
    close(fd);
    return rc == ENOSPC || rc == EDQUOT;
}

/* One place for LMDB's errors: what they mean for the caller, and a line in the log. Always -1. */
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
        store->fault = disk_is_full(store) ? STORE_FULL : STORE_BROKEN;
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

/* A new file is two pages that LMDB does not sync, and a power cut may leave anything in their place. The first commit makes
 * it longer, and both are synced before that (below): a file of two pages that is no store never held anything. Whether
 * dir had such a file; it is gone then. */
static bool
remove_unborn(const char *dir)
{
    struct buffer path = {0};
    struct stat status;

    buffer_printf(&path, "%s/data.mdb", dir);
    const bool removed = stat(buffer_text(&path), &status) == 0 && status.st_size <= 2 * sysconf(_SC_PAGESIZE) &&
                         unlink(buffer_text(&path)) == 0;
    if (removed)
        log_warning("store: nothing was ever written to %s: making it anew", buffer_text(&path));
    buffer_free(&path);
    return removed;
}

/* What mdb_env_open may have made is durable then, and so is its name. */
static int
sync_new(struct store *store)
{
    MDB_envinfo info;
    int rc;

    if ((rc = mdb_env_info(store->env, &info)) != 0 ||
        (info.me_last_txnid == 0 && (rc = mdb_env_sync(store->env, 1)) != 0))
        return rc;
    return file_sync_dir(store->dir) == 0 ? 0 : errno;
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
    if ((rc = mdb_env_set_maxdbs(store->env, STORE_TABLES_MAX)) != 0 ||
        (rc = mdb_env_set_mapsize(store->env, store->map_bytes)) != 0 ||
        /* NOTLS: a snapshot belongs to the store, not to the thread that happens to take it. No other flag: in tests of
         * power cuts NOSYNC left corrupt files, the default never did. */
        (rc = mdb_env_open(store->env, store->dir, MDB_NOTLS, 0600)) != 0 ||
        /* A killed process leaves its reader slot behind, which would keep pages from being used again. */
        (rc = mdb_reader_check(store->env, &dead_readers)) != 0 || (rc = sync_new(store)) != 0) {
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

static int
open_env(struct store *store)
{
    const int rc = try_smaller_maps(store);
    return rc == MDB_INVALID && remove_unborn(store->dir) ? try_smaller_maps(store) : rc;
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

struct store *
store_open(const char *dir, uint64_t map_bytes)
{
    struct store *store = calloc(1, sizeof *store);
    int rc;

    if (store == NULL || (store->dir = strdup(dir)) == NULL)
        log_fatal("out of memory");
    store->map_bytes = map_bytes;
    if (file_make_dirs(dir) != 0) {
        log_error("store: can't make folder %s: %s", dir, strerror(errno));
    } else if ((rc = open_env(store)) != 0) {
        log_error("store: can't open %s: %s%s", dir, mdb_strerror(rc),
                  rc == ENOMEM ? ": too little address space even for a small `map` (ulimit -v?)" : "");
    } else {
        return store;
    }
    store_close(store);
    return NULL;
}

static int
open_table(struct store *store, struct table *table)
{
    MDB_txn *txn = NULL;
    int rc;

    if ((rc = mdb_txn_begin(store->env, NULL, 0, &txn)) != 0)
        return failed(store, table->name, rc);
    if ((rc = mdb_dbi_open(txn, table->name, MDB_CREATE, &table->dbi)) != 0) {
        mdb_txn_abort(txn);
        return failed(store, table->name, rc);
    }
    return (rc = mdb_txn_commit(txn)) != 0 ? failed(store, table->name, rc) : 0;
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
    if ((rc = open_env(store)) != 0)
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
    store->fault = fault;
}

int
store_damaged(struct store *store, int table, const char *what)
{
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
    if (store->txn != NULL)
        log_panic("store: begin inside a transaction");
    store->fault = STORE_FINE;
    if (revive(store) != 0 || grow_map(store) != 0)
        return -1;
    int rc = mdb_txn_begin(store->env, NULL, 0, &store->txn);
    if (rc != 0) {
        store->txn = NULL;
        return failed(store, "begin", rc);
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
    int rc = mdb_get(store->txn, table_of(store, table)->dbi, &k, &v);

    *value = span_at(v.mv_data, v.mv_size);
    return found(store, table, rc);
}

int
store_get_exact(struct store *store, int table, struct span key, size_t len, struct span *value)
{
    int rc = store_get(store, table, key, value);
    return rc == 1 && value->len != len ? store_damaged(store, table, "a value of another length") : rc;
}

static int
put(struct store *store, int table, struct span key, MDB_val *value, unsigned flags)
{
    MDB_cursor *cursor = cursor_of(store, table);
    MDB_val k = val_of(key);

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
    MDB_cursor *cursor = cursor_of(store, table);
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
    MDB_cursor *cursor = cursor_of(store, table);
    MDB_val k = val_of(key);
    MDB_val v = {0, NULL};

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
    MDB_cursor *cursor = cursor_of(store, table);

    if (cursor == NULL)
        return -1;
    int rc = mdb_cursor_del(cursor, 0);
    return rc == 0 ? 0 : failed(store, store->tables[table].name, rc);
}

int64_t
store_count(struct store *store, int table)
{
    MDB_stat stat;
    int rc = mdb_stat(store->txn, table_of(store, table)->dbi, &stat);

    return rc == 0 ? (int64_t)stat.ms_entries : failed(store, store->tables[table].name, rc);
}
