#include "simulation.h"

#include <stdio.h>

/* Coming and going. */

void
processes_kill(unsigned number)
{
    pipeline_cut_off(&simulation.pipeline, number);
    simulation.dead[number] = true;
    simulation.acting = (int)number;
    process_close(simulation.pipeline.processes[number]);
    simulation.acting = NOBODY;
    simulation.pipeline.processes[number] = NULL;
    simulation.dead[number] = false;
    simulation.dies_in[number] = simulation.fails_in[number] = 0;
    simulation_seen.kills++;
}

void
processes_stop(unsigned number)
{
    simulation.acting = (int)number;
    process_close(simulation.pipeline.processes[number]);
    simulation.acting = NOBODY;
    simulation.pipeline.processes[number] = NULL;
    if (simulation.dead[number])
        processes_kill(number);
    simulation_seen.stops++;
}

/* Bury it if it has died. */
static void
bury(int number)
{
    if (number != NOBODY && simulation.dead[number])
        processes_kill((unsigned)number);
}

bool
processes_is_off(unsigned number)
{
    return simulation.lake_off && number == NUMBER_LAKE;
}

/* The configuration takes only limits that are worth having. */
static void
set_limits(struct process *process)
{
    const struct inside_limits limits = inside_limits(process);

    if (simulation.outbox_bytes_max > 0)
        *limits.outbox_bytes = simulation.outbox_bytes_max;
    if (simulation.rejected_bytes_max > 0)
        *limits.rejected_bytes = simulation.rejected_bytes_max;
    if (simulation.payload_faults_max > 0)
        *limits.payload_faults = simulation.payload_faults_max;
    if (simulation.window_bytes > 0)
        *limits.output_window_bytes = *limits.rejected_window_bytes = simulation.window_bytes;
    if (simulation.batch_records_max > 0)
        *limits.batch_records = simulation.batch_records_max;
    if (simulation.batch_output_bytes_max > 0)
        *limits.batch_output_bytes = simulation.batch_output_bytes_max;
}

void
processes_start(unsigned number)
{
    const bool fine = faults_spare(number);

    if (processes_is_off(number))
        return;
    simulation.acting = (int)number;
    simulation.stepping = true;
    simulation.pipeline.processes[number] = process_open(&simulation.pipeline.options[number]);
    simulation.stepping = false;
    simulation.acting = NOBODY;
    if (simulation.pipeline.processes[number] == NULL) {
        if (fine)
            simulation_fail("does not start", number);
        simulation.dead[number] = false;
        simulation.dies_in[number] = simulation.fails_in[number] = 0;
    } else {
        set_limits(simulation.pipeline.processes[number]);
    }
    bury((int)number);
}

void
processes_start_the_dead(unsigned percent)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (simulation.pipeline.processes[i] == NULL && dice_chance(percent))
            processes_start(i);
    }
}

void
processes_start_all(void)
{
    processes_start_the_dead(100);
}

void
processes_name_state(unsigned number, char dir[PATH_BYTES])
{
    snprintf(dir, PATH_BYTES, "%s/state/%s", simulation.pipeline.dir, catalog_streams[number]->name);
}

void
processes_remove_state(unsigned number)
{
    char dir[PATH_BYTES];

    processes_name_state(number, dir);
    scratch_dir_remove(dir);
}

void
processes_begin_with_a_newcomer(void)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (simulation.pipeline.processes[i] != NULL)
            processes_stop(i);
    }
    simulation.lake_off = false;
    simulation_set("lake", "enabled", "on");
    if (simulation.join_lost)
        processes_remove_state(NUMBER_JOIN);
    simulation.since = 1;
    processes_start_all();
}

/* What they do. */

int64_t
processes_step(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];

    if (process == NULL)
        return 1;
    const struct checks_step before = checks_before_step(number);
    simulation.acting = (int)number;
    simulation.stepping = true;
    const int64_t wait = process_step(process);
    simulation.stepping = false;
    simulation.acting = NOBODY;
    checks_after_step(number, &before);
    bury((int)number);
    simulation_seen.steps++;
    return wait;
}

bool
processes_hear(struct memory_wire *wire, bool cut)
{
    volatile bool heard = false;

    simulation.acting = number_of_client(wire->name);
    if (setjmp(simulation.last_words) == 0) {
        if (cut)
            memory_wire_hear_and_cut(wire);
        else
            heard = memory_wire_hear(wire);
    }
    const int number = simulation.acting;
    simulation.acting = NOBODY;
    bury(number);
    simulation_seen.messages += heard;
    return heard;
}

static bool
hear_meanwhile(struct pipeline *pipeline, struct memory_wire *wire)
{
    (void)pipeline;
    return memory_wire_hear(wire);
}

void
processes_arrive_meanwhile(unsigned number)
{
    if (!dice_chance(simulation.meanwhile_percent))
        return;
    simulation.meanwhile = true;
    simulation_seen.meanwhile += pipeline_arrive(&simulation.pipeline, number, hear_meanwhile);
    simulation.meanwhile = false;
}

static bool
step_in_turn(struct pipeline *pipeline, unsigned number)
{
    (void)pipeline;
    return processes_step(number) == 0;
}

static bool
hear_in_turn(struct pipeline *pipeline, struct memory_wire *wire)
{
    (void)pipeline;
    return processes_hear(wire, false);
}

static void
act_outside(struct pipeline *pipeline)
{
    (void)pipeline;
    study_step(&simulation.study);
}

static bool
is_slow(const struct memory_wire *wire)
{
    return simulation.slow_percent > 0 && strstr(wire->name, "-landing") != NULL && dice_chance(simulation.slow_percent);
}

const struct pipeline_moves processes_moves = {
    .step = step_in_turn, .hear = hear_in_turn, .act_outside = act_outside, .is_slow = is_slow};

void
processes_settle(void)
{
    if (!pipeline_settle(&simulation.pipeline)) {
        simulation_say_how_to_repeat();
        fail_msg("it never comes to rest");
    }
}

void
processes_settle_for(int64_t time_ms)
{
    const int64_t end_ms = pipeline_now_ms + time_ms;

    for (processes_settle(); pipeline_now_ms < end_ms; processes_settle())
        pipeline_now_ms += 2000;
}
