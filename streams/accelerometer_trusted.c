/*
 * accelerometer-trusted: landing readings of phones, let through for trusted customers.
 */
#include "operator/gate.h"
#include "streams/parameters.h"
#include "streams/streams.h"

#define NAME "accelerometer-trusted"

static const char *const consent_words[] = {"any", "as_of", NULL};

static const struct config_key keys[] = {
    {NAME, "consent", CONFIG_CHOICE, "any", NULL, NULL, consent_words,
     "any: all readings of a consenting customer; as_of: those since the date of consent."},
    PARAMETERS_GATE_KEYS(NAME),
};

static void *
parameters(const struct config *config, const char *dir)
{
    struct gate_parameters *gate = parameters_gate(config, NAME, GATE_BY_EMAIL);

    (void)dir;
    gate->as_of = config_int(config, NAME, "consent") != 0;
    return gate;
}

const struct stream accelerometer_trusted = {
    .name = NAME,
    .summary = "lets phone readings of trusted customers through",
    .topic = "trusted/accelerometer",
    .kind = STREAM_LOG,
    .inputs = {[GATE_STREAM] = {.name = "accelerometer", .landing = "landing/accelerometer", .record = RECORD_ACCELEROMETER},
               [GATE_TABLE] = {.name = "customer", .from = &customer_trusted, .record = RECORD_CUSTOMER}},
    .input_count = 2,
    .operator = &gate_operator,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .parameters = parameters,
};
