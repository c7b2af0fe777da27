/*
 * customer-curated: trusted customers of whom a trusted accelerometer reading has been seen.
 */
#include "operator/presence.h"
#include "streams/parameters.h"
#include "streams/streams.h"

static void *
parameters(const struct config *config, const char *dir)
{
    (void)config;
    (void)dir;
    return parameters_new(1); /* presence has none */
}

const struct stream customer_curated = {
    .name = "customer-curated",
    .summary = "keeps the table of trusted customers who have readings",
    .topic = "curated/customer",
    .kind = STREAM_TABLE,
    .inputs = {[PRESENCE_TABLE] = {.name = "customer", .from = &customer_trusted, .record = RECORD_CUSTOMER},
               [PRESENCE_STREAM] = {.name = "accelerometer",
                                    .from = &accelerometer_trusted,
                                    .record = RECORD_ACCELEROMETER}},
    .input_count = 2,
    .operator = &presence_operator,
    .parameters = parameters,
};
