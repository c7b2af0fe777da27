/*
 * step-trainer-trusted: landing readings of step trainers, let through for curated customers.
 */
#include "operator/gate.h"
#include "streams/parameters.h"
#include "streams/streams.h"

#define NAME "step-trainer-trusted"

static const struct config_key keys[] = {
    PARAMETERS_GATE_KEYS(NAME),
};

static void *
parameters(const struct config *config, const char *dir)
{
    (void)dir;
    return parameters_gate(config, NAME, GATE_BY_SERIAL_NUMBER);
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
