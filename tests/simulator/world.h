/*
 * world: the data of a simulation, and by brute force what the five jobs are to make of it.
 *
 * It comes in phases, each of which has come to rest before the next begins. In the second some customers, the leavers,
 * withdraw. What comes of a leaver's readings of that phase depends on what was faster; those of later phases never come
 * out. So a set has lines that must be there and lines that may.
 */
#ifndef SIMULATOR_WORLD_H
#define SIMULATOR_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "lines.h"

enum landing { CUSTOMER, ACCELEROMETER, STEP_TRAINER, LANDINGS };
extern const char *const landing_names[LANDINGS];

enum set { TRUSTED_CUSTOMER, TRUSTED_ACCELEROMETER, CURATED_CUSTOMER, TRUSTED_STEP_TRAINER, MACHINE_LEARNING, SETS };
extern const char *const set_paths[SETS];

bool is_table(enum set set);

#define PHASES 3
#define WORLD_START_MS INT64_C(1700000000000) /* what the clocks say when it begins */
#define WORLD_CUSTOMERS_MAX 400
#define WORLD_READINGS_MAX 600

/* A customer by the end of the day. */
struct customer {
    unsigned person, trainer;
    unsigned consent_s; /* 0: none */
    bool withdrawn;     /* an older record consents */
    bool leaves;        /* withdraws in the second phase */
    bool ahead;         /* the consent was dated by a clock that is ahead, and comes again after that */
    bool gone;          /* a record that withdraws all rows of the person does it; consent_s 0: from the beginning */
    bool all;           /* and this is the row that says so */
    unsigned version;   /* of the record that counts in the end */
    char *row;          /* that record; of a leaver, the last one that consents */
    int curated[2];     /* phase from which on readings may have made it curated: at the earliest, surely; PHASES never */
};

struct reading {
    unsigned owner; /* person, or trainer */
    unsigned time_s;
    unsigned phase;
    char *body;
};

struct world {
    bool as_of;
    bool by_customer;
    bool fold; /* e-mail addresses are told apart without their capitals, which they have or not */
    unsigned window_s;
    bool forgets;     /* see world_forget */
    unsigned times_s; /* of readings: few, so that many pair; or one, as of devices whose clocks were never set */
    unsigned phases;
    struct customer customers[WORLD_CUSTOMERS_MAX];
    unsigned customer_count;
    struct reading phones[WORLD_READINGS_MAX], trainers[WORLD_READINGS_MAX];
    unsigned phone_count, trainer_count;
    struct lines landing[PHASES][LANDINGS];
};

/* Make a world of so many phases by the dice; with crowd, one with more rows than are refilled at a time. */
void world_make(struct world *world, unsigned phases, bool crowd);

/* customer-trusted goes back to before the withdrawals, and is given all its records again, in any order. Who is downstream
 * has not forgotten them, and takes no consent of before; but one that was dated by a clock ahead is not known for such. */
void world_forget(struct world *world);

/* What must be in set, and what may, when phase has come to rest. Of streams, what must be there are only lines that were
 * decided in phase `since` or later, of readings from then: for one who begins to listen then. */
void world_expect(const struct world *world, enum set set, unsigned since, unsigned phase, struct lines *must,
                  struct lines *may);

/* How many readings of the landing set have come by the end of phase. */
unsigned world_readings(const struct world *world, enum landing landing, unsigned phase);

void world_free(struct world *world);

#endif
