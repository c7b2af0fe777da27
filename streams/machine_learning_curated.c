/*
 * machine-learning-curated: pairs of trusted step trainer and accelerometer readings of about the same time.
 */
#include <stdlib.h>

#include "operator/join.h"
#include "streams/parameters.h"
#include "streams/streams.h"

static void *
parameters(const struct config *config, const char *dir)
{
    static const char section[] = "machine-learning-curated";
    struct join_parameters *join = parameters_new(sizeof *join);

    join->match = config_int(config, section, "match") != 0 ? JOIN_BY_CUSTOMER : JOIN_BY_TIME;
    join->window_ms = config_int(config, section, "window");
    join->retain_ms = config_int(config, section, "retain");
    join->subject = (enum join_subject)config_int(config, section, "subject");
    if (parameters_pseudonym_key(config, section, dir, &join->pseudonym_key) == 0)
        return join;
    hash_secret_free(join);
    return NULL;
}

const struct stream machine_learning_curated = {
    .name = "machine-learning-curated",
    .topic = "curated/machine_learning",
    .kind = STREAM_LOG,
    .inputs = {[JOIN_STEP_TRAINER] = {.name = "step_trainer", .from = &step_trainer_trusted, .record = RECORD_STEP_TRAINER},
               [JOIN_ACCELEROMETER] = {.name = "accelerometer",
                                       .from = &accelerometer_trusted,
                                       .record = RECORD_ACCELEROMETER},
               [JOIN_TABLE] = {.name = "customer", .from = &customer_curated, .record = RECORD_CUSTOMER}},
    .input_count = 3,
    .operator = &join_operator,
    .parameters = parameters,
};
