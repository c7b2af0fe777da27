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
    gate->key = GATE_BY_EMAIL;
    gate->as_of = config_int(config, NAME, "consent") != 0;
    gate->hold_ms = config_int(config, NAME, "hold");
    gate->hold_bytes = config_int(config, NAME, "hold_bytes");
    gate->hold_sender_bytes = gate->hold_bytes / GATE_SENDER_SHARE;
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
