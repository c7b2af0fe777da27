/*
 * store: one process's durable state, an LMDB environment with named tables. The only user of lmdb.h, and the one place
 * that knows LMDB's recoverable errors.
 *
 * There is one write transaction at a time, begun by store_begin; gets, puts and cursors below work in it. Between
 * transactions store_snapshot gives a read-only view. A commit returns when the data is on the disk (fdatasync).
 *
 * After any call has returned −1 the write transaction can only be aborted; store_fault then says whether waiting may
 * help. Values that are given out point into the map or the transaction's memory: valid until the next put, delete,
 * commit or abort.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Longest key (LMDB's own limit is 511). */
#define STORE_KEY_BYTES_MAX 500

/* Most tables of one store. */
#define STORE_TABLES_MAX 40

struct store;

/* An entry that a cursor stands on. */
struct store_item {
    struct span key;
    struct span value;
};

enum store_fault {
    STORE_FINE,  /* nothing went wrong */
    STORE_FULL,  /* no room on the disk: abort, wait, try again */
    STORE_NO_ADDRESS_SPACE, /* the map is full, and no address space for a larger one: the same */
    STORE_BROKEN, /* input/output error or corrupt file: only an operator can help */
    STORE_BESIDE  /* not the store, but files that belong to it are not as they should be: only an operator can help */
};

/* Open the store in folder dir, made if need be (0700, files 0600), with a map of map_bytes (sparse, address space only), or
 * a smaller one, with a warning, where the process may not have that much. A file that is none (store/pages.h) is refused,
 * and stays as it is. NULL with a line in the log. Free with store_close. */
struct store *store_open(const char *dir, uint64_t map_bytes);

/* Open the store in folder dir only to look at it, while the process that it belongs to may be at work on it (live), or
 * where nobody is and nothing may be written, not even the file of locks (a copy). What is written meanwhile can't use
 * pages that a snapshot needs again, so the live file grows by as much. The calls that there are then: store_snapshot,
 * store_table inside it (−1 if there is no such table), those that read, store_size, store_copy. NULL with a line in
 * the log, also for a file that is no store. Free with store_close. */
struct store *store_open_to_read(const char *dir, bool live);

/* Bytes of the pages that the snapshot at hand uses, of all tables; −1. */
int64_t store_size(struct store *store);

/* Write what the snapshot at hand holds, all tables, as a store of its own to folder dir, which must be empty: compact,
 * synced, and without a file of locks. step is called with the bytes done since the last time; if it returns false the
 * copy is given up. 0, or −1 with a line in the log unless step gave it up; what is in dir then is no store. */
int store_copy(struct store *store, const char *dir, bool (*step)(void *context, uint64_t bytes), void *context);

/* Open the named table; only between transactions. If there is none the next transaction makes it, and a store that is not
 * committed to stays as it was. Returns its number for the calls below, or −1 with a line in the log. name must stay valid.
 * Asking again for a name gives the same number. */
int store_table(struct store *store, const char *name);

/* Close it; a transaction that is not committed is forgotten, a snapshot ended. NULL is fine. */
void store_close(struct store *store);

/* Begin the write transaction. 0 or −1. */
int store_begin(struct store *store);

/* Make all of it durable, or none (then −1, and the transaction is gone). Grows the map and returns −1 with STORE_FULL if
 * only the map was too small: the next try has room. */
int store_commit(struct store *store);

/* Forget the write transaction, if there is one. */
void store_abort(struct store *store);

/* Somebody who keeps files beside the store found this fault with them: store_fault says so until the next transaction, and
 * the one at hand can only be aborted. */
void store_found(struct store *store, enum store_fault fault);

/* What stands in table is none of what this program writes there: the store is damaged, or somebody else's. Says so in the
 * log, once, with `what` is wrong; the transaction can only be aborted, and the fault is STORE_BROKEN. Always −1. */
int store_damaged(struct store *store, int table, const char *what);

/* The same of what stands at key, or should, which is named too where it is words; such a key must not be personal. */
int store_damaged_at(struct store *store, int table, struct span key, const char *what);

/* Whether store_damaged was called since it was opened. */
bool store_is_damaged(const struct store *store);

/* Whether nothing had ever been committed to it when the write transaction at hand began: there was not even a table. What
 * is absent otherwise has been lost. */
bool store_is_new(const struct store *store);

/* What the last failure was. */
enum store_fault store_fault(const struct store *store);

/* Look key up: 1 and *value, 0, −1. */
int store_get(struct store *store, int table, struct span key, struct span *value);

/* The same, of a value of len bytes; with another length it is damaged. */
int store_get_exact(struct store *store, int table, struct span key, size_t len, struct span *value);

/* Put, in place of what is there. Keys that come in order cost a fraction of random ones. 0 or −1. */
int store_put(struct store *store, int table, struct span key, struct span value);

/* Put only if key is absent: 1 done, 0 it is there, −1. */
int store_put_new(struct store *store, int table, struct span key, struct span value);

/* Put len bytes that the caller fills in before the next call: *room points to them. 0 or −1. */
int store_put_room(struct store *store, int table, struct span key, size_t len, char **room);

/* Delete key: 1 done, 0 it was absent, −1. */
int store_delete(struct store *store, int table, struct span key);

/* Stand on the first entry whose key is not below key: 1 and *item, 0 there is none, −1. Each table has one cursor, which
 * every other call on that table but store_get may move. */
int store_seek(struct store *store, int table, struct span key, struct store_item *item);

/* The entry after the one last given out for this table by store_seek or store_next: 1, 0, −1. */
int store_next(struct store *store, int table, struct store_item *item);

/* The last entry: 1, 0, −1. */
int store_last(struct store *store, int table, struct store_item *item);

/* Delete the entry that store_seek or store_next stands on; store_next then gives the one behind it. 0 or −1. */
int store_delete_here(struct store *store, int table);

/* Look at the committed state between transactions: afterwards get, seek and next read from it. 0 or −1. End it with
 * store_snapshot_end before the next wait and before store_begin (a forgotten reader makes the file grow). */
int store_snapshot(struct store *store);
void store_snapshot_end(struct store *store);

/* Entries in the table, in the transaction or snapshot at hand; −1 on error. */
int64_t store_count(struct store *store, int table);

#endif
