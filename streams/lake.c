/*
 * lake: every trusted and curated set, written to files.
 */
#include <stdio.h>

#include "lake/lake.h"
#include "streams/parameters.h"
#include "streams/streams.h"

static void *
parameters(const struct config *config, const char *dir)
{
    struct lake_parameters *files = parameters_new(sizeof *files);

    snprintf(files->dir, sizeof files->dir, "%s/lake", dir);
    files->part_bytes = config_int(config, "lake", "part_bytes");
    files->table_count = lake.input_count;
    for (unsigned i = 0; i < lake.input_count; i++) {
        files->tables[i].path = lake.inputs[i].from->topic;
        files->tables[i].rows = lake.inputs[i].from->kind == STREAM_TABLE;
    }
    return files;
}

const struct stream lake = {
    .name = "lake",
    .inputs = {{.name = "trusted_customer", .from = &customer_trusted, .record = RECORD_LINE},
               {.name = "trusted_accelerometer", .from = &accelerometer_trusted, .record = RECORD_LINE},
               {.name = "curated_customer", .from = &customer_curated, .record = RECORD_LINE},
               {.name = "trusted_step_trainer", .from = &step_trainer_trusted, .record = RECORD_LINE},
               {.name = "curated_machine_learning", .from = &machine_learning_curated, .record = RECORD_LINE}},
    .input_count = 5,
    .operator = &lake_operator,
    .parameters = parameters,
};
