/*
 * simulation: the one that runs, shared by the files of the simulator (simulation.c, processes.c, faults.c, checks.c,
 * scenarios.c, bugs.c, seeds.c, copies.c, simulator.c) and nobody else.
 */
#ifndef SIMULATOR_SIMULATION_H
#define SIMULATOR_SIMULATION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/inside.h"
#include "../unit/memory_wire.h"
#include "../unit/scratch_dir.h"
#include "dice.h"
#include "lines.h"
#include "loader.h"
#include "numbers.h"
#include "pipeline.h"
#include "sets.h"
#include "streams/catalog.h"
#include "study.h"
#include "world.h"

#define DAY_MS INT64_C(86400000)
#define PATH_BYTES 400

struct simulation {
    uint64_t seed;
    struct pipeline pipeline;
    struct world world;
    struct study study;
    bool lake_off;                        /* for the first phase */
    unsigned since;                       /* the phase from which on what is decided must come out */
    bool join_lost;                       /* what it knew before that; what comes out may come twice */
    int restored;                         /* this process came back from an older copy: likewise, of everything; or NOBODY */
    uint64_t outbox_bytes_max;            /* of every process; 0: as configured, which is never reached */
    uint64_t rejected_bytes_max;          /* 0 likewise: what is refused is then told in sum, when there is room */
    uint64_t payload_faults_max;          /* 0 likewise; else in sum, when a payload ends */
    uint64_t window_bytes;                /* of every publisher; 0 likewise */
    unsigned batch_records_max;           /* of a transaction; 0 likewise */
    uint64_t batch_output_bytes_max;
    struct rejections {
        uint64_t epoch, sequence; /* the newest message that was whole */
        uint64_t count;           /* of refusals in all of them */
        uint64_t gathered;        /* and in the parts of the next one */
        unsigned part, parts;     /* up to which of how many */
    } rejections[PROCESSES];
    unsigned study_sent;                  /* messages to study */
    uint64_t main_sequence;               /* the newest that went to everybody, of what study gets */
    unsigned main_repeats;

    unsigned faults, broker_faults;       /* those of faults.c that may happen, of all and of the broker's, as bits */
    unsigned loss_percent, twice_percent; /* of messages on links */
    unsigned slow_percent;                /* how often nothing is heard when it is a landing connection's turn */
    unsigned meanwhile_percent;           /* of syncs during which messages arrive */
    const char *lose_once;                /* a message whose topic ends like this is lost; NULL none */
    unsigned lose_skip;                   /* but the first of them get through */
    bool disk_full;
    bool copy_on_write;                   /* on a full disk nothing can be written, not even in place */
    uint64_t join_room;                   /* how large the store of the join can become; 0: as large as it wants */

    int64_t apart_ms[PROCESSES]; /* its host's clock was set by this */
    int acting;                 /* whose deeds these are */
    bool stepping;              /* in process_step, not in an event */
    bool meanwhile;             /* messages arrive while it waits for the disk: nobody dies of those */
    bool dead[PROCESSES];       /* no more deeds of it */
    unsigned dies_in[PROCESSES];  /* at this deed from now; 0 never */
    unsigned fails_in[PROCESSES]; /* a deed on the disk */
    unsigned failures_of_two;     /* left of two failures in a row: of a write that took place, and one that did not */
    jmp_buf last_words;         /* where _exit leads to */
};

extern struct simulation simulation;

/* What a whole run has seen. */
struct simulation_seen {
    uint64_t seeds, phases, steps, messages, syncs, meanwhile, deaths, kills, stops, failed_writes, full_disks, forgets;
    uint64_t no_room, leaps;
};
extern struct simulation_seen simulation_seen;

/* simulation.c: begin one, of so many phases, with nobody started; with crowd as in world_make. End it. */
void simulation_open(uint64_t seed, unsigned phases, bool crowd);
void simulation_close(void);

/* The dice and a simulation of this seed, whose first phase has been loaded; or has come to rest. */
void simulation_open_loaded(uint64_t seed, unsigned phases);
void simulation_open_at_rest(uint64_t seed, unsigned phases);

/* A setting of its configuration. */
void simulation_set(const char *section, const char *key, const char *value);

/* A consumer from outside registers for the training set. */
void simulation_register_study(void);

/* Say which seed it is; with GAIT_ONE_FAILURE, end it all. */
void simulation_say_how_to_repeat(void);

/* The test fails: process `number` does what it must not. */
void simulation_fail(const char *what, unsigned number);

/* processes.c: start a process, unless it is switched off; or each that is dead, by the dice; or all that are. */
void processes_start(unsigned number);
void processes_start_the_dead(unsigned percent);
void processes_start_all(void);

/* Stop it, or kill -9: nobody hears a good-bye, and what it had not committed is gone. */
void processes_stop(unsigned number);
void processes_kill(unsigned number);

/* Whether it is switched off. */
bool processes_is_off(unsigned number);

/* The folder of its state; and remove that. */
void processes_name_state(unsigned number, char dir[PATH_BYTES]);
void processes_remove_state(unsigned number);

/* All stop, and begin again with the lake switched on, or with the join's state gone: each then knows nothing of producers
 * whose first messages are gone. */
void processes_begin_with_a_newcomer(void);

/* One step, if it is there; in how many ms there may be more. */
int64_t processes_step(unsigned number);

/* Let the owner of wire hear the next event; with cut, it is not acknowledged. */
bool processes_hear(struct memory_wire *wire, bool cut);

/* What comes in while a process waits for its disk. */
void processes_arrive_meanwhile(unsigned number);

/* How all of them are moved. */
extern const struct pipeline_moves processes_moves;

/* Everything moves until nothing does any more; the same for so long. */
void processes_settle(void);
void processes_settle_for(int64_t time_ms);

/* faults.c: let deeds and messages be what the faults make of them, until faults_close. */
void faults_open(void);
void faults_close(void);

/* Half of the seeds know only some kinds of faults: what takes several of a kind, or two kinds one after the other, is
 * likely then. */
void faults_choose(void);

/* Things happen, and some break. */
void faults_break_things(void);

/* Nothing breaks any more, and all are there; and so for so long, with study. */
void faults_end(void);
void faults_calm_down(int64_t time_ms);

/* Whether nothing is to break for it. */
bool faults_spare(unsigned number);

/* Count down to a process's death, which is before this deed; the deed before it is done. */
bool faults_is_dead(int number);

/* checks.c: what is to be seen of a process before a step, and looked at after it. */
struct checks_step {
    bool loaded, full;
    uint64_t taken, good, put_out;
};
struct checks_step checks_before_step(unsigned number);
void checks_after_step(unsigned number, const struct checks_step *before);

/* Look at what processes say to the outside: a broker's `takes`. */
void checks_take(void *context, const struct memory_wire *from, const struct wire_message *message);

/* Records that it has taken in. */
uint64_t checks_taken(const struct process *process);

/* The broker's copy of a table. */
void checks_read_retained(enum set set, struct lines *lines);

/* Whether what came of it is right, in a set or in all. */
bool checks_set_is_right(enum set set);
bool checks_sets_are_right(void);

/* Every link has applied what its producer has decided, all of it is trimmed, and nothing has a hole. */
bool checks_links_are_whole(void);

/* Whether a process says that its state is an older copy. */
bool checks_is_taken_for_old(unsigned number);

/* Whether whoever asks now is told that all is at rest. */
bool checks_hear_rest(void);

/* Nothing breaks any more: everything must come right by itself, and stay so; and all but study while it is away, unless
 * that fills the outbox. */
void checks_come_right(void);
void checks_come_right_without_study(void);

/* Tests: what happens in an order that is written down; bugs by name; seeds; states that are copied, and come back. How many
 * failed. */
int scenarios_run(void);
int bugs_run(void);
int seeds_run(void);
int copies_run(void);

/* seeds.c: run the seeds that the environment names, or `share` of them; after each, `after`, unless it is NULL. */
void seeds_each(void (*run)(uint64_t seed), unsigned share, void (*after)(uint64_t count));

#endif
