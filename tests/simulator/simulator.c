/*
 * simulator: the whole pipeline in one thread. The six processes, with the real operators, links, inbox and store, over a
 * broker in memory and with a clock of their own. A seed says what data comes in which order and what breaks when: in the
 * end the lake, the broker's copy of the tables and every counter must be what the rules of the five jobs say.
 *
 * What may break: messages get lost and come twice; connections break, at a publish or a message half heard; the broker
 * dies and forgets its sessions, what it retains, or all, or comes back with what it retained once; a registered consumer
 * from outside is away for long; a process is stopped, killed, or dies at any of the deeds by which it acts on the world:
 * a write, a sync, a rename, a publish; a write fails; the disk is full for a while; somebody sets the clock of a host.
 * While a process waits for its disk, messages arrive.
 *
 * A process that dies does no more deeds: the calls it still makes until it can be buried fail without effect. So no
 * stack has to be left in the middle.
 *
 * GAIT_SEED=N runs that seed alone, with its log; GAIT_SEEDS=N as many, from GAIT_FIRST=N on. GAIT_WORLD=DIR runs
 * nothing, but writes down the world of GAIT_SEED and what is expected of it, to be compared with the SQL.
 * GAIT_ONE_FAILURE=1 ends it all at the first failure.
 */
#include "simulation.h"

#include <signal.h>
#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

/* A panic ends everything: it must not hide the seed. */
static void
on_abort(int number)
{
    (void)number;
    simulation_say_how_to_repeat();
}

/* Lines as the file DIR/name; those of a table get a row, as they have in the lake. */
static void
write_lines(const char *dir, const char *name, const struct lines *lines, bool table)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    *strrchr(path, '/') = '\0';
    if (file_make_dirs(path) != 0)
        abort();
    path[strlen(path)] = '/';
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    for (unsigned i = 0; i < lines->count; i++) {
        if (table)
            fprintf(file, "{\"row\":\"%032u\",%s\n", i, lines->list[i] + 1);
        else
            fprintf(file, "%s\n", lines->list[i]);
    }
    fclose(file);
}

/* The landing files below dir/data, what must come of them as the files of a lake below dir/run/lake; and the rules on
 * standard output: consent, match, window_ms, email_case. */
static void
write_world(const char *dir, uint64_t seed)
{
    static struct world world;
    char name[128];

    dice_seed(seed);
    world_make(&world, 1, false);
    for (unsigned i = 0; i < LANDINGS; i++) {
        snprintf(name, sizeof name, "data/%s.ndjson", landing_names[i]);
        write_lines(dir, name, &world.landing[0][i], false);
    }
    for (unsigned i = 0; i < SETS; i++) {
        struct lines must = {0}, may = {0};
        world_expect(&world, (enum set)i, 0, 0, &must, &may);
        snprintf(name, sizeof name, "run/lake/%s/date=2026-01-01/part-00000001.ndjson", set_paths[i]);
        write_lines(dir, name, &must, is_table((enum set)i));
        lines_free(&must);
        lines_free(&may);
    }
    printf("%s %s %u %s\n", world.as_of ? "as_of" : "any", world.by_customer ? "customer" : "time", world.window_s * 1000,
           world.fold ? "fold" : "keep");
    world_free(&world);
}

int
main(void)
{
    if (getenv("GAIT_WORLD") != NULL) {
        write_world(getenv("GAIT_WORLD"), dice_from_environment("GAIT_SEED", 1));
        return 0;
    }
    dice_make_keys(true);
    hash_init();
    log_open("simulator", LOG_NOTHING);
    signal(SIGABRT, on_abort);
    return scenarios_run() + bugs_run() + seeds_run() + copies_run();
}
