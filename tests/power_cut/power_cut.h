/*
 * power_cut: the life at hand, shared by the files that look at what a cut leaves of it (power_cut.c, findings.c, known.c)
 * and nobody else.
 */
#ifndef POWER_CUT_POWER_CUT_H
#define POWER_CUT_POWER_CUT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cut.h"
#include "links/link.h"
#include "recording.h"
#include "streams/catalog.h"
#include "tape.h"

struct power_cut {
    uint64_t seed;
    struct recording first; /* is recorded */
    struct tape tape;

    /* The state at hand. */
    struct cut *cut;
    unsigned instant; /* the newest event before the cut */
    enum cut_way ways[GROUPS_MAX];
    unsigned one;
};

extern struct power_cut power_cut;

/* What a whole run has seen. */
struct power_cut_seen {
    uint64_t seeds, lives, writes, syncs, names, commits, instants, states, opened, gone_on;
};
extern struct power_cut_seen power_cut_seen;

/* Choose this way for all groups. */
void power_cut_all_ways(enum cut_way way);

/* findings.c: what a process was found to be in a state. */
struct finding {
    uint64_t key;
    uint64_t life;
    const char *wrong; /* NULL: nothing */
    uint64_t digest;   /* of all that is in its tables, and of the files it keeps beside them */
    uint64_t inbox_position, inbox_end;
    uint64_t output, rejected; /* last sequence numbers */
    struct link_position links[OPERATOR_INPUTS_MAX];
};

/* Begin with none; and forget them. */
void findings_begin(void);
void findings_end(void);

/* Open process `number` in the chosen state, if that was not done before. Sets *is_new, or leaves it. */
const struct finding *findings_of(unsigned number, bool *is_new);

/* The process's log of coming back, in case it says why. */
void findings_open_with_log(unsigned number);

/* known.c: what is known of who was told what at the instant. */
struct known_told {
    bool receipted[LOADER_PAYLOADS_MAX]; /* a receipt was sent */
    bool heard[LOADER_PAYLOADS_MAX];     /* and came */
    unsigned payload_count, phase;
};
extern struct known_told known_told;

/* Begin with a seed, or with a life that begins in the state at hand; and free what is known. */
void known_clear(void);
void known_begin_anew(void);
void known_free(void);

/* Learn what is there before the first instant of the tape; or go on to this instant, and learn what is new. */
void known_learn_beginning(void);
void known_learn(void);

/* Fail unless process `number`, in the chosen state, holds what it must. Sets *is_new, or leaves it. */
void known_check(unsigned number, bool *is_new);

/* The state at hand is wrong, as seen at a process: say all that helps, and end. */
void known_fail(unsigned number, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
