#include "simulation.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct simulation simulation;
struct simulation_seen simulation_seen;

void
simulation_say_how_to_repeat(void)
{
    print_error("to repeat it: GAIT_SEED=%" PRIu64 " simulator\n", simulation.seed);
    if (getenv("GAIT_ONE_FAILURE") != NULL) {
        scratch_dir_remove(simulation.pipeline.dir);
        fflush(NULL);
        syscall(SYS_exit_group, EXIT_FAILURE);
    }
}

void
simulation_fail(const char *what, unsigned number)
{
    simulation_say_how_to_repeat();
    fail_msg("%s %s", catalog_streams[number]->name, what);
}

/* Beginning and end. */

/* The clocks of the host whose process acts. */
static int64_t
wall_ms(void)
{
    return pipeline_wall_ms() + (simulation.acting != NOBODY ? simulation.apart_ms[simulation.acting] : 0);
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    return memory_wire(context, options, events);
}

void
simulation_set(const char *section, const char *key, const char *value)
{
    pipeline_set(simulation.pipeline.config, section, key, value);
}

static void
configure(void)
{
    const struct process_options options = {
        .wall_ms = wall_ms,
        .built_ms = WORLD_START_MS - DAY_MS,
        .boot = 1, /* it is never cut off its power */
    };

    simulation.pipeline.config = pipeline_configure(&simulation.world);
    simulation_set("lake", "enabled", simulation.lake_off ? "off" : "on");
    simulation.pipeline.links = (struct links_options){.make_wire = make_wire, .context = &simulation.pipeline.broker};
    pipeline_set_options(&simulation.pipeline, &options);
}

void
simulation_open(uint64_t seed, unsigned phases, bool crowd)
{
    pipeline_now_ms = 0;
    simulation = (struct simulation){.seed = seed, .acting = NOBODY, .restored = NOBODY};
    simulation.pipeline.world = &simulation.world;
    simulation.pipeline.moves = &processes_moves;
    scratch_dir_make(simulation.pipeline.dir);
    world_make(&simulation.world, phases, crowd);
    simulation.pipeline.broker.takes = checks_take;
    simulation.pipeline.broker.context = &simulation;
    simulation.pipeline.broker.retained_first = dice_chance(50);
    pipeline_connect_loader(&simulation.pipeline);
    configure();
    faults_open();
}

void
simulation_open_loaded(uint64_t seed, unsigned phases)
{
    dice_seed(seed);
    simulation_open(seed, phases, false);
    pipeline_load(&simulation.pipeline, 0);
}

void
simulation_open_at_rest(uint64_t seed, unsigned phases)
{
    simulation_open_loaded(seed, phases);
    processes_start_all();
    checks_come_right();
}

void
simulation_register_study(void)
{
    struct study *study = &simulation.study;
    const struct wire_events events = study_events(study);

    study->options = (struct wire_options){.client_name = "study"};
    study->wire = memory_wire(&simulation.pipeline.broker, &study->options, &events);
    simulation_set("machine-learning-curated", "consumers", "study");
}

void
simulation_close(void)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        process_close(simulation.pipeline.processes[i]);
    faults_close();
    simulation.pipeline.loader.wire->calls->free(simulation.pipeline.loader.wire);
    loader_free(&simulation.pipeline.loader);
    study_free(&simulation.study);
    memory_broker_free(&simulation.pipeline.broker);
    config_free(simulation.pipeline.config);
    world_free(&simulation.world);
    scratch_dir_remove(simulation.pipeline.dir);
}
