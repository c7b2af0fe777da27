/*
 * recording: a pipeline of which can be put on a tape what its processes do to their files and what they tell the world.
 */
#ifndef POWER_CUT_RECORDING_H
#define POWER_CUT_RECORDING_H

#include "../simulator/pipeline.h"
#include "links/inbox.h"
#include "tape.h"

/* Whom a file is of: a process's number, or this. */
#define GROUP_SHARED PROCESSES

/* Marks on the tape: what the world was told. */
enum mark_kind {
    MARK_OPENED,   /* the process is open */
    MARK_SAID,     /* it has published something */
    MARK_RECEIPT,  /* a receipt for payload `number`, whose entry ends at `value` */
    MARK_OUTPUT,   /* message `value` of its output */
    MARK_REJECTED, /* of what it refused */
    MARK_APPLIED,  /* a report on input `number` */
    MARK_APPENDED, /* payload `number` is acknowledged, its entry ends at `value` */
    MARK_HEARD,    /* the publisher has the receipt for payload `number` */
    MARK_PHASE     /* the publisher has `value` payloads now, those of phase `number` being the last */
};

struct mark {
    enum mark_kind kind;
    unsigned process;
    unsigned number;
    uint64_t value;
    uint64_t epoch;
};

/* An entry of an inbox, as it was taken in. */
struct entry {
    uint64_t begin, end;
    uint64_t sum;
    unsigned number; /* of the payload */
};

struct entries {
    struct entry *list;
    unsigned count, capacity;
};

struct recording {
    struct pipeline pipeline;
    struct tape *tape; /* NULL: nothing is recorded */
    struct entries entries[PROCESSES]; /* that were taken in, or found there, since the tape began */
};

extern struct world recording_world;

#define RECORDING_HOLD_MS (2 * 3600 * INT64_C(1000))

/* Make the world and the configuration of all of them; and forget them. */
void recording_make_world(void);
void recording_free_world(void);

/* For tape_begin: whose file path is, below the folder that recording_in is called with. */
unsigned recording_group_of(const char *path);

/* Keep everything in the folder root/gait, of a machine that has just come up. */
void recording_in(struct recording *recording, const char *root);

/* Begin to record what is below root. */
void recording_begin(struct recording *recording, struct tape *tape, const char *root);

/* Give the publisher everything of a phase, in some order; with some so large that inbox files fill up. */
void recording_load(struct recording *recording, unsigned phase);

/* False: a process did not open. */
bool recording_start(struct recording *recording, unsigned number);
bool recording_start_all(struct recording *recording);

/* Kill it: nobody hears a good-bye, and what it had not committed is gone. */
void recording_kill(struct recording *recording, unsigned number);

/* Something breaks. */
void recording_break(struct recording *recording);

/* Everything moves until nothing does any more. */
void recording_settle(struct recording *recording);

/* Whether the sets are those of the world, and each reading was counted once, up to this phase. */
bool recording_is_right(const struct recording *recording, bool complain);

/* Nothing breaks: whether everything comes right by itself, and stays so. */
bool recording_comes_right(struct recording *recording);

void recording_close(struct recording *recording);

/* A hash of bytes, and of whatever gave sum. */
uint64_t recording_add_to_sum(uint64_t sum, struct span bytes);

/* struct entry's sum. */
uint64_t recording_sum(struct span response_topic, struct span correlation, struct span payload);

/* How much an entry takes of its inbox file (links/inbox.h). */
static inline uint64_t
recording_entry_bytes(const struct inbox_entry *entry)
{
    const size_t levels = entry->levels.len > 0 ? 1 + entry->levels.len : 0;

    return 17 + levels + entry->response_topic.len + entry->correlation.len + entry->payload.len;
}

/* The entry that was taken in at begin, or NULL. */
const struct entry *recording_entry(const struct recording *recording, unsigned process, uint64_t begin);

#endif
