/*
 * pipeline: the six processes in one thread over a broker in memory, and the publisher outside. Nothing moves by itself. The
 * simulator and the power cuts are made of it; how a process is stepped, and what is to be known of it, is theirs.
 */
#ifndef SIMULATOR_PIPELINE_H
#define SIMULATOR_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "../unit/memory_wire.h"
#include "base/config.h"
#include "links/links.h"
#include "loader.h"
#include "numbers.h"
#include "run/process.h"
#include "world.h"

struct pipeline;

/* What a test does where others do nothing more. */
struct pipeline_moves {
    /* Step a process, if it is there: whether it wants to go on at once. */
    bool (*step)(struct pipeline *pipeline, unsigned number);

    /* Let the owner of wire hear the next event: whether there was one. */
    bool (*hear)(struct pipeline *pipeline, struct memory_wire *wire);

    /* Others outside do what there is to do. NULL: there are none. */
    void (*act_outside)(struct pipeline *pipeline);

    /* Whether nothing is heard of wire although it is its turn. NULL: it never is so. */
    bool (*is_slow)(const struct memory_wire *wire);
};

struct pipeline {
    char dir[300];
    struct memory_broker broker;
    const struct world *world;
    struct config *config;
    struct links_options links;
    struct process_options options[PROCESSES];
    struct process *processes[PROCESSES]; /* NULL: it is not there */
    struct loader loader;
    unsigned phase;
    const struct pipeline_moves *moves;
};

/* Time since all began, and the clocks of who lives by it. */
extern int64_t pipeline_now_ms;
int64_t pipeline_wall_ms(void);
int64_t pipeline_steady_ms(void);

/* A configuration as the world has it, to be freed; a test fails with one that is wrong. */
struct config *pipeline_configure(const struct world *world);
void pipeline_set(struct config *config, const char *section, const char *key, const char *value);

/* What each process is opened with: the same for all, but for what is said of them here already, and the steady clock. */
void pipeline_set_options(struct pipeline *pipeline, const struct process_options *same);

void pipeline_connect_loader(struct pipeline *pipeline);

/* Give the publisher everything of a phase. */
void pipeline_load(struct pipeline *pipeline, unsigned phase);

/* Its connections break. */
void pipeline_cut_off(struct pipeline *pipeline, unsigned number);

/* While process `number` waits for its disk, some messages get on, and it hears some of them, each by this call. Returns how
 * many it heard. */
uint64_t pipeline_arrive(struct pipeline *pipeline, unsigned number,
                         bool (*hear)(struct pipeline *pipeline, struct memory_wire *wire));

/* One thing happens, to whomever it falls to. */
void pipeline_happen(struct pipeline *pipeline);

/* All messages arrive that are on their way; whether there were any. */
bool pipeline_move(struct pipeline *pipeline);

/* Everything moves until nothing does any more. False: it never comes to rest. */
bool pipeline_settle(struct pipeline *pipeline);

#endif
