#include "simulation.h"

#include <stdio.h>

#include "../unit/gathered.h"
#include "base/log.h"

static void
run_seed(uint64_t seed)
{
    dice_seed(seed);
    const unsigned phases = dice_chance(50) ? 1 : 2 + dice_roll(PHASES - 1);
    const unsigned newcomer = phases > 1 ? dice_roll(4) : 0; /* 1 the lake, 2 the join */
    simulation_open(seed, phases, dice_chance(3));
    simulation.lake_off = newcomer == 1;
    simulation_set("lake", "enabled", simulation.lake_off ? "off" : "on");
    if (dice_chance(40))
        simulation_register_study();
    simulation.pipeline.loader.trusting = dice_chance(30);
    if (simulation.pipeline.loader.trusting) { /* the broker keeps messages for those that it has seen once */
        processes_start_all();
        processes_settle();
    }
    faults_choose();
    if (dice_chance(30))
        simulation.outbox_bytes_max = 1000 + dice_roll(5000);
    if (dice_chance(30))
        simulation.rejected_bytes_max = 1 + dice_roll(1000);
    if (dice_chance(30))
        simulation.payload_faults_max = 1 + dice_roll(3);
    if (dice_chance(30))
        simulation.window_bytes = 1 + dice_roll(2000);
    if (dice_chance(50)) { /* transactions end inside payloads, and inside what one record brings about */
        simulation.batch_records_max = 1 + dice_roll(6);
        simulation.batch_output_bytes_max = 1 + dice_roll(2000);
    }
    keyset_gathered_max = 1 + (dice_chance(50) ? dice_roll(40) : 8191); /* runs and merges, or none */
    for (unsigned phase = 0; phase < phases; phase++) {
        pipeline_load(&simulation.pipeline, phase);
        if (dice_chance(80))
            loader_shuffle(&simulation.pipeline.loader);
        if (phase == 1 && newcomer > 0) {
            simulation.join_lost = newcomer == 2;
            processes_begin_with_a_newcomer();
        }
        processes_start_all();
        faults_break_things();
        checks_come_right_without_study();
        checks_come_right();
        simulation_seen.phases++;
    }
    simulation_close();
    simulation_seen.seeds++;
}

void
seeds_each(void (*run)(uint64_t seed), unsigned share, void (*after)(uint64_t count))
{
    const uint64_t only = dice_from_environment("GAIT_SEED", 0);
    const uint64_t first = only != 0 ? only : dice_from_environment("GAIT_FIRST", 1);
    const uint64_t count = only != 0 ? 1 : dice_from_environment("GAIT_SEEDS", 200) / share;

    if (only != 0)
        log_open("simulator", LOG_INFO);
    for (uint64_t seed = first; seed < first + count; seed++) {
        run(seed);
        if (after != NULL)
            after(count);
    }
}

static void
say_progress(uint64_t count)
{
    if (simulation_seen.seeds % 100 != 0)
        return;
    print_message("seed %" PRIu64 " of %" PRIu64 "\n", simulation_seen.seeds, count);
    fflush(stdout);
}

static void
whatever_breaks_the_answer_is_the_same(void **state)
{
    const struct simulation_seen *seen = &simulation_seen;

    (void)state;
    seeds_each(run_seed, 1, say_progress);
    print_message("seeds %" PRIu64 ", phases %" PRIu64 ", steps %" PRIu64 ", events %" PRIu64 ", syncs %" PRIu64
                  ", events during a sync %" PRIu64 ", killed %" PRIu64 ", of these at a deed %" PRIu64 ", stopped %" PRIu64
                  ", failed writes %" PRIu64 ", full disks %" PRIu64 ", broker losses %" PRIu64 ", clocks set %" PRIu64
                  "\n",
                  seen->seeds, seen->phases, seen->steps, seen->messages, seen->syncs, seen->meanwhile, seen->kills,
                  seen->deaths, seen->stops, seen->failed_writes, seen->full_disks, seen->forgets, seen->leaps);
}

int
seeds_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_breaks_the_answer_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
