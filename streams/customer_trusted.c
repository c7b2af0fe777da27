/*
 * customer-trusted: landing customers, filtered to the table of those that share with research.
 */
#include <stdlib.h>

#include "operator/filter.h"
#include "streams/parameters.h"
#include "streams/streams.h"

static void *
parameters(const struct config *config, const char *dir)
{
    struct filter_parameters *filter = parameters_new(sizeof *filter);

    filter->hold_ms = config_int(config, "customer-trusted", "hold");
    filter->rows_max = config_int(config, "customer-trusted", "rows");
    if (parameters_pseudonym_key(config, "customer-trusted", dir, &filter->pseudonym_key) == 0)
        return filter;
    hash_secret_free(filter);
    return NULL;
}

const struct stream customer_trusted = {
    .name = "customer-trusted",
    .topic = "trusted/customer",
    .kind = STREAM_TABLE,
    .inputs = {{.name = "customer", .landing = "landing/customer", .record = RECORD_CUSTOMER}},
    .input_count = 1,
    .operator = &filter_operator,
    .parameters = parameters,
};
