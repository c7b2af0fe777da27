/*
 * accelerometer-trusted: landing readings of phones, let through for trusted customers.
 */
#include "operator/gate.h"
#include "streams/parameters.h"
#include "streams/streams.h"

static void *
parameters(const struct config *config, const char *dir)
{
    struct gate_parameters *gate = parameters_new(sizeof *gate);

    (void)dir;
    gate->key = GATE_BY_EMAIL;
    gate->as_of = config_int(config, "accelerometer-trusted", "consent") != 0;
    gate->hold_ms = config_int(config, "accelerometer-trusted", "hold");
    gate->hold_bytes = config_int(config, "accelerometer-trusted", "hold_bytes");
    gate->hold_sender_bytes = gate->hold_bytes / GATE_SENDER_SHARE;
    return gate;
}

const struct stream accelerometer_trusted = {
    .name = "accelerometer-trusted",
    .topic = "trusted/accelerometer",
    .kind = STREAM_LOG,
    .inputs = {[GATE_STREAM] = {.name = "accelerometer", .landing = "landing/accelerometer", .record = RECORD_ACCELEROMETER},
               [GATE_TABLE] = {.name = "customer", .from = &customer_trusted, .record = RECORD_CUSTOMER}},
    .input_count = 2,
    .operator = &gate_operator,
    .parameters = parameters,
};
