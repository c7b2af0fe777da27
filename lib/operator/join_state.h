/*
 * join_state: the inside of a join, shared by join.c and join_pairs.c, and nobody else.
 */
#ifndef OPERATOR_JOIN_STATE_H
#define OPERATOR_JOIN_STATE_H

#include "operator/backlog.h"
#include "operator/consent.h"
#include "operator/join.h"
#include "operator/person.h"
#include "operator/waiting.h"

/* One of the two streams. Its number is that of its input. */
struct side {
    struct person person;
    struct backlog readings;
    struct consent consent;
    struct waiting waiting;
    int partners; /* who belongs together by a row of the table */
};

struct join {
    struct store *store;
    struct join_parameters parameters;
    struct hash_key key;
    struct person pseudonym; /* of e-mail addresses, with the pseudonym key */
    struct side sides[2];
    int pairings;
    int rests;
    int rules;
    int64_t pairing_count;
    int64_t rest_count;
    int64_t now_ms;
    struct buffer record; /* an output record */
    struct buffer found;  /* index keys of partners */
    struct buffer steps;  /* index keys of a pairing's step readings */
    struct buffer body;   /* of the accelerometer reading, its subject replaced; of a pairing's or rest's reading */
};

/* join_pairs.c: rules and keys of a side's index. context is the join. */
struct keyset_rules join_pairs_rules(const struct join *join);
void join_pairs_index_key(const void *context, const struct backlog_record *record, char *key);

/* Let a reading take part: pair it with what is there, then keep it for what comes. 1 paired, 0 not yet, −1. */
int join_pairs_admit(struct join *join, unsigned side, struct backlog_record *reading, struct output *output);

/* A row that was not there before: note that what its two sides have admitted already is to be paired. A row that comes
 * back after a withdrawal is not new: what was decided while it was away stays decided. Before join_pairs_set. 0 or −1. */
int join_pairs_note(struct join *join, const struct hash_id persons[2]);

/* These two belong together by a row of the table, or do not any more. 0 or −1. */
int join_pairs_set(struct join *join, const struct hash_id persons[2], bool open);

/* Pair what is to be paired yet, in at most budget steps: how many were done, or −1. */
int join_pairs_work(struct join *join, unsigned budget, struct output *output);

#endif
