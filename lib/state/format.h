/*
 * format: of which version a store is, whose it is, and how it tells persons apart: what is looked at before anything else
 * in it is believed.
 *
 * Table layout, in the table "meta":
 *   "format"      the version u64 BE
 *   "process"     the name of the process that the state is of; absent in stores of versions that did not say it
 *   "email_case"  u8 1: persons are told apart without the capitals of their e-mail addresses; absent: with them
 *   "clock"       now_ms i64 BE, wall_ms i64 BE (struct timekeeper_mark); absent in stores of versions that had none
 */
#ifndef STATE_FORMAT_H
#define STATE_FORMAT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/timekeeper.h"
#include "store/store.h"

/* In a transaction: make a new store one of this process's; look at an older one, and go on with it as one of this version.
 * 0; or −1, for one of another version, process or email case with a line in the log that says dir, where it lies. */
int format_load(struct store *store, int meta, const char *process, bool fold_email, const char *dir);

/* Change the store, to what it was, so that there is something to commit. 0 or −1. */
int format_touch(struct store *store, int meta);

/* Whether the store, in the transaction or snapshot at hand, which may be somebody else's, is one that is read here, and of
 * this process. 1; 0, it does not say so, or can't be read; −1 with a line in the log, it is another's. */
int format_look(struct store *store, int meta, const char *process);

/* Whether the state in store, in the transaction or snapshot at hand, tells persons apart as fold_email says. 1; 0, and how
 * it was made and what to do is appended to fault; −1. */
int format_fits_email_case(struct store *store, int meta, bool fold_email, struct buffer *fault);

/* The time of the newest commit. 0 or −1. */
int format_put_time(struct store *store, int meta, struct timekeeper_mark mark);
int format_load_time(struct store *store, int meta, struct timekeeper_mark *mark);

/* Whether text is a name that can be shown to people. */
bool format_is_name(struct span text);

#endif
