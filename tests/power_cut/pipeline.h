/*
 * pipeline: the six processes in one thread over a broker in memory, and a publisher outside. What they do to their files
 * and what they tell the world can be put on a tape.
 */
#ifndef POWER_CUT_PIPELINE_H
#define POWER_CUT_PIPELINE_H

#include "../simulator/loader.h"
#include "../simulator/numbers.h"
#include "../simulator/world.h"
#include "../unit/memory_wire.h"
#include "links/inbox.h"
#include "links/links.h"
#include "run/process.h"
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

struct pipeline {
    char dir[300];
    struct memory_broker broker;
    struct links_options links;
    struct process_options options[PROCESSES];
    struct process *processes[PROCESSES]; /* NULL: not started */
    struct loader loader;
    unsigned phase;
    struct tape *tape; /* NULL: nothing is recorded */
    struct entries entries[PROCESSES]; /* that were taken in, or found there, since the tape began */
};

extern struct world pipeline_world;
extern int64_t pipeline_now_ms;

#define PIPELINE_HOLD_MS (2 * 3600 * INT64_C(1000))

/* Make the world and the configuration of all pipelines; and forget them. */
void pipeline_make_world(void);
void pipeline_free_world(void);

/* For tape_begin: whose file path is, below the folder that pipeline_in is called with. */
unsigned pipeline_group_of(const char *path);

/* Keep everything in the folder root/gait, of a machine that has just come up. */
void pipeline_in(struct pipeline *pipeline, const char *root);

/* Begin to record what is below root. */
void pipeline_record(struct pipeline *pipeline, struct tape *tape, const char *root);

void pipeline_connect_loader(struct pipeline *pipeline);

/* Give the publisher everything of a phase, in some order; with some so large that inbox files fill up. */
void pipeline_load(struct pipeline *pipeline, unsigned phase);

/* False: a process did not open. */
bool pipeline_start(struct pipeline *pipeline, unsigned number);
bool pipeline_start_all(struct pipeline *pipeline);

/* Kill it: nobody hears a good-bye, and what it had not committed is gone. */
void pipeline_kill(struct pipeline *pipeline, unsigned number);

/* One thing happens, to whomever it falls to; or something breaks. */
void pipeline_happen(struct pipeline *pipeline);
void pipeline_break(struct pipeline *pipeline);

/* Everything moves until nothing does any more. */
void pipeline_settle(struct pipeline *pipeline);

/* Whether the sets are those of the world, and each reading was counted once, up to this phase. */
bool pipeline_is_right(const struct pipeline *pipeline, bool complain);

/* Nothing breaks: whether everything comes right by itself, and stays so. */
bool pipeline_comes_right(struct pipeline *pipeline);

void pipeline_close(struct pipeline *pipeline);

/* A hash of bytes, and of whatever gave sum. */
uint64_t pipeline_add_to_sum(uint64_t sum, struct span bytes);

/* struct entry's sum. */
uint64_t pipeline_sum(struct span response_topic, struct span correlation, struct span payload);

/* How much an entry takes of its inbox file (run/inbox.h). */
static inline uint64_t
pipeline_entry_bytes(const struct inbox_entry *entry)
{
    const size_t levels = entry->levels.len > 0 ? 1 + entry->levels.len : 0;
    return 17 + levels + entry->response_topic.len + entry->correlation.len + entry->payload.len;
}

/* The entry that was taken in at begin, or NULL. */
const struct entry *pipeline_entry(const struct pipeline *pipeline, unsigned process, uint64_t begin);

#endif
