/*
 * machine-learning-curated: pairs of trusted step trainer and accelerometer readings of about the same time.
 */
#include <stdlib.h>

#include "operator/join.h"
#include "streams/parameters.h"
#include "streams/streams.h"

#define NAME "machine-learning-curated"

static const char *const match_words[] = {"time", "customer", NULL};
static const char *const subject_words[] = {"pseudonym", "email", "none", NULL};

static const struct config_key keys[] = {
    {NAME, "match", CONFIG_CHOICE, "time", NULL, NULL, match_words,
     "time: readings pair by time alone; customer: both must belong to the same customer."},
    {NAME, "window", CONFIG_DURATION, "0ms", "0", "1d", NULL,
     "Largest difference of the two times of a pair."},
    {NAME, "retain", CONFIG_DURATION, "24h", "1s", "365d", NULL,
     "How long after its arrival a reading may still find a partner."},
    {NAME, "subject", CONFIG_CHOICE, "pseudonym", NULL, NULL, subject_words,
     "What stands for the e-mail address in the output."},
    {NAME, "pseudonym_key", CONFIG_KEY_FILE, NULL, NULL, PARAMETERS_PATH_MAX, NULL,
     "File with the key of the pseudonyms; made if absent; default DIR/pseudonym.key."},
};

static void *
parameters(const struct config *config, const char *dir)
{
    struct join_parameters *join = parameters_new(sizeof *join);

    join->match = config_int(config, NAME, "match") != 0 ? JOIN_BY_CUSTOMER : JOIN_BY_TIME;
    join->window_ms = config_int(config, NAME, "window");
    join->retain_ms = config_int(config, NAME, "retain");
    join->subject = (enum join_subject)config_int(config, NAME, "subject");
    if (parameters_pseudonym_key(config, NAME, dir, &join->pseudonym_key) == 0)
        return join;
    hash_secret_free(join);
    return NULL;
}

const struct stream machine_learning_curated = {
    .name = NAME,
    .summary = "joins step trainer and phone readings into training records",
    .topic = "curated/machine_learning",
    .kind = STREAM_LOG,
    .inputs = {[JOIN_STEP_TRAINER] = {.name = "step_trainer", .from = &step_trainer_trusted, .record = RECORD_STEP_TRAINER},
               [JOIN_ACCELEROMETER] = {.name = "accelerometer",
                                       .from = &accelerometer_trusted,
                                       .record = RECORD_ACCELEROMETER},
               [JOIN_TABLE] = {.name = "customer", .from = &customer_curated, .record = RECORD_CUSTOMER}},
    .input_count = 3,
    .operator = &join_operator,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .parameters = parameters,
};
