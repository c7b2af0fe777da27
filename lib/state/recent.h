/*
 * recent: the newest few records that a process refused for each reason: when, which field was at fault, on which topic it
 * came. Never what was in it. So whoever looks afterwards sees what it was about, without having listened.
 *
 * Noted in memory, whatever comes, and written once a transaction: a flood of bad records costs the store no more than one.
 *
 * Table layout: key = "recent", reason u8 (its number in enum reason); value = for each of the newest refusals, newest
 * first: time i64 BE, field_bytes u8, topic_bytes u8, field, topic.
 */
#ifndef STATE_RECENT_H
#define STATE_RECENT_H

#include "base/buffer.h"
#include "base/name.h"
#include "record/reason.h"
#include "store/store.h"

#define RECENT_MAX 4 /* for each reason: enough to see whether it is one device or all */
#define RECENT_FIELD_BYTES_MAX 63
#define RECENT_TOPIC_BYTES_MAX (63 + LEVELS_BYTES_MAX) /* ours are short, and what a sender may have behind them */

struct recent_refusal {
    int64_t time_ms;
    unsigned char field_bytes;
    unsigned char topic_bytes;
    char field[RECENT_FIELD_BYTES_MAX];
    char topic[RECENT_TOPIC_BYTES_MAX];
};

struct recent {
    struct store *store;
    int table;
    struct {
        struct recent_refusal ring[RECENT_MAX];
        unsigned next; /* in ring: behind the newest one */
        unsigned count;
        bool changed;
    } reasons[REASON_COUNT];
};

/* Over the table called name, which may hold other keys too. 0 or −1. */
int recent_open(struct recent *recent, struct store *store, const char *name);

/* Read them, in a transaction: after open and after an aborted one. 0 or −1. */
int recent_load(struct recent *recent);

/* A record was refused. topic is below the prefix, at most RECENT_TOPIC_BYTES_MAX. */
void recent_note(struct recent *recent, const struct fault *fault, struct span topic, int64_t time_ms);

/* Write what was noted; before the commit. 0 or −1. */
int recent_flush(struct recent *recent);

/* Append {"<reason>":[{"field":"…","topic":"…","time":MS},…],…}: reasons that there are refusals of, newest first; no
 * "field" where none is at fault. */
void recent_write(const struct recent *recent, struct buffer *text);

#endif
