/*
 * step-trainer-trusted: landing readings of step trainers, let through for curated customers.
 */
#include "operator/gate.h"
#include "streams/parameters.h"
#include "streams/streams.h"

static void *
parameters(const struct config *config, const char *dir)
{
    struct gate_parameters *gate = parameters_new(sizeof *gate);

    (void)dir;
    gate->key = GATE_BY_SERIAL_NUMBER;
    gate->hold_ms = config_int(config, "step-trainer-trusted", "hold");
    gate->hold_bytes = config_int(config, "step-trainer-trusted", "hold_bytes");
    gate->hold_sender_bytes = gate->hold_bytes / GATE_SENDER_SHARE;
    return gate;
}

const struct stream step_trainer_trusted = {
    .name = "step-trainer-trusted",
    .topic = "trusted/step_trainer",
    .kind = STREAM_LOG,
    .inputs = {[GATE_STREAM] = {.name = "step_trainer", .landing = "landing/step_trainer", .record = RECORD_STEP_TRAINER},
               [GATE_TABLE] = {.name = "customer", .from = &customer_curated, .record = RECORD_CUSTOMER}},
    .input_count = 2,
    .operator = &gate_operator,
    .parameters = parameters,
};
