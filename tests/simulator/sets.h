/*
 * sets: what a lake holds of each set, against what must be there and what may.
 */
#ifndef SIMULATOR_SETS_H
#define SIMULATOR_SETS_H

#include <stdbool.h>

#include "lines.h"
#include "pipeline.h"
#include "world.h"

/* Whether it is said what is wrong, and saying it. */
extern bool sets_complaining;
void sets_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The lake's files of a set, as lines; of a table all that was ever said of its rows. */
void sets_read_lake(const char *dir, enum set set, struct lines *lines);

/* Of a table's lines leave the last of each row, without its name, unless it is a withdrawal. False, with once: one says the
 * same of its row as the one before. */
bool sets_last_of_rows(struct lines *lines, bool once);

/* Whether lines has all that must be there and, unless it is NULL, no more than may. */
bool sets_is_between(const char *where, struct lines *lines, struct lines *must, struct lines *may);

/* Whether process `number` has counted each reading once, however often it was sent, and as passed those that came out. (The
 * ledger itself panics at a commit that does not balance.) */
bool sets_are_counted(const struct pipeline *pipeline, unsigned number, enum landing landing, enum set set);

#endif
