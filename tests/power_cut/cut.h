/*
 * cut: what a power cut at an instant of a tape may leave on the disk.
 *
 * What was synced is there. Of what was written and not synced, any part: each page of a file holds what one of the
 * writes since its last sync left in it, or none; a torn one holds sectors of several. A file ends where it did at any
 * time since then, or in between. Names are synced with their folder and not with their file, and without that any of them
 * may be made, changed or removed, or not: stricter than ext4 or XFS, which keep their order and make a new file's name
 * durable with the file.
 */
#ifndef POWER_CUT_CUT_H
#define POWER_CUT_CUT_H

#include "tape.h"

#define GROUPS_MAX 16

enum cut_way {
    CUT_NONE, /* nothing that was not synced is there */
    CUT_ALL,  /* everything is */
    CUT_DROP, /* everything but the event `one` */
    CUT_KEEP, /* nothing but the event `one` */
    CUT_ANY   /* by the dice */
};

struct cut;

/* Over tape, at its beginning. States are built in the folder dir, which is empty. */
struct cut *cut_new(const struct tape *tape, const char *dir);
void cut_free(struct cut *cut);

/* Go on to the instant behind event. */
void cut_go(struct cut *cut, unsigned event);

/* How many events of the group are not synced, and the first count_max of them, the newest first. */
unsigned cut_pending(struct cut *cut, unsigned group, unsigned *events, unsigned count_max);

/* Choose a state at this instant: for each group its way. */
void cut_choose(struct cut *cut, const enum cut_way *ways, unsigned one);

/* A hash of all there is in the chosen state at and below path (below the tape's root): names, sizes, contents. 0 if
 * there is nothing by that name. */
uint64_t cut_key(struct cut *cut, const char *path);

/* Remove what was built. */
void cut_clear(struct cut *cut);

/* Build path of the chosen state, and everything below it, in the folder that cut_root names. */
void cut_build(struct cut *cut, const char *path);
const char *cut_root(const struct cut *cut);

/* For tape_watch, while somebody works with what was built. */
void cut_touched(ino_t inode, uint64_t offset, uint64_t len, bool zeros);

#endif
