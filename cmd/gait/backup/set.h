/*
 * set: the states of all processes below one folder, the pipeline's own or those of a backup, looked at together.
 */
#ifndef BACKUP_SET_H
#define BACKUP_SET_H

#include <stdbool.h>

#include "base/config.h"
#include "links/cut.h"
#include "streams/streams.h"

struct set {
    const char *dir;
    struct cut_member members[STREAMS_COUNT]; /* in the catalog's order: producers before their consumers */
    struct store *stores[STREAMS_COUNT];      /* of these; NULL where there is no state */
    unsigned count;
};

/* Begin with the states of all processes that config has enabled, and that are there; others than in the set go to
 * missing, each with a blank before it. All strings must outlive set. Free with set_close. 0; −1, said: there is none. */
int set_find(struct set *set, const struct config *config, const char *dir, struct buffer *missing);

/* Open the stores: live where processes may be at work. 0, or −1, said. */
int set_open(struct set *set, bool live);

/* Take snapshots of all, consumers before their producers, so that nothing is applied in one that is not in the other,
 * and read their positions. 0, or −1, said. */
int set_look(struct set *set);

/* Whether the pipeline can go on from there; else said, link by link. */
bool set_is_cut(const struct set *set);

/* Say of which states something is lost that nobody has acknowledged: the pipeline can go on from them, without that. */
void set_say_back(const struct set *set);

/* The path DIR/state/<process of member i> followed by what comes behind; valid until path changes. */
const char *set_path(const struct set *set, unsigned i, const char *behind, struct buffer *path);

/* Close the stores and free what set_find made. */
void set_close(struct set *set);

#endif
