/*
 * lake: every trusted and curated set, written to files.
 */
#include <stdio.h>

#include "lake/lake.h"
#include "streams/parameters.h"
#include "streams/streams.h"

#define NAME "lake"

static const struct config_key keys[] = {
    {NAME, "part_bytes", CONFIG_SIZE, "128MiB", "4KiB", "16GiB", NULL, "A part file that has reached this is closed."},
};

static void *
parameters(const struct config *config, const char *dir)
{
    struct lake_parameters *files = parameters_new(sizeof *files);

    snprintf(files->dir, sizeof files->dir, "%s/lake", dir);
    files->part_bytes = config_int(config, NAME, "part_bytes");
    files->table_count = lake.input_count;
    for (unsigned i = 0; i < lake.input_count; i++) {
        files->tables[i].path = lake.inputs[i].from->topic;
        files->tables[i].rows = lake.inputs[i].from->kind == STREAM_TABLE;
    }
    return files;
}

_Static_assert(STREAMS_OUTPUTS <= OPERATOR_INPUTS_MAX, "the lake has an input for each output");

#define TAKE(job, set) {.name = #set, .from = &(job), .record = RECORD_LINE},
#define NOTHING(job)

const struct stream lake = {
    .name = NAME,
    .summary = "writes every trusted and curated set to files",
    .inputs = {STREAMS(TAKE, NOTHING)},
    .input_count = STREAMS_OUTPUTS,
    .operator = &lake_operator,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .parameters = parameters,
};
