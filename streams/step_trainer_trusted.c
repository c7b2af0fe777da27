/*
 * step-trainer-trusted: landing readings of step trainers, let through for curated customers.
 */
#include "operator/gate.h"
#include "streams/parameters.h"
#include "streams/streams.h"

#define NAME "step-trainer-trusted"

static const struct config_key keys[] = {
    {NAME, "hold", CONFIG_DURATION, "24h", "0", "365d", NULL,
     "How long a reading waits for its customer and a repeated one is recognised; 0: it never waits."},
    {NAME, "hold_bytes", CONFIG_SIZE, "4GiB", "0", "8192GiB", NULL,
     "What may wait, and of each sender a quarter of it; readings that would exceed that are refused."},
};

static void *
parameters(const struct config *config, const char *dir)
{
    struct gate_parameters *gate = parameters_new(sizeof *gate);

    (void)dir;
    gate->key = GATE_BY_SERIAL_NUMBER;
    gate->hold_ms = config_int(config, NAME, "hold");
    gate->hold_bytes = config_int(config, NAME, "hold_bytes");
    gate->hold_sender_bytes = gate->hold_bytes / GATE_SENDER_SHARE;
    return gate;
}

const struct stream step_trainer_trusted = {
    .name = NAME,
    .summary = "lets step trainer readings of curated customers through",
    .topic = "trusted/step_trainer",
    .kind = STREAM_LOG,
    .inputs = {[GATE_STREAM] = {.name = "step_trainer", .landing = "landing/step_trainer", .record = RECORD_STEP_TRAINER},
               [GATE_TABLE] = {.name = "customer", .from = &customer_curated, .record = RECORD_CUSTOMER}},
    .input_count = 2,
    .operator = &gate_operator,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .parameters = parameters,
};
