/*
 * customer-trusted: landing customers, filtered to the table of those that share with research.
 */
#include <stdlib.h>

#include "operator/filter.h"
#include "streams/parameters.h"
#include "streams/streams.h"

#define NAME "customer-trusted"

static const struct config_key keys[] = {
    {NAME, "pseudonym_key", CONFIG_KEY_FILE, NULL, NULL, PARAMETERS_PATH_MAX, NULL,
     "File with the key of the row names; made if absent; default DIR/pseudonym.key."},
    {NAME, "hold", CONFIG_DURATION, "24h", "0", "365d", NULL, "How long a repeated record is recognised."},
    {NAME, "rows", CONFIG_INTEGER, "10000000", "1", "1000000000000", NULL,
     "Most rows, with and without consent, that are kept, for ever; intake stops when there are as many."},
};

static void *
parameters(const struct config *config, const char *dir)
{
    struct filter_parameters *filter = parameters_new(sizeof *filter);

    filter->hold_ms = config_int(config, NAME, "hold");
    filter->rows_max = config_int(config, NAME, "rows");
    if (parameters_pseudonym_key(config, NAME, dir, &filter->pseudonym_key) == 0)
        return filter;
    hash_secret_free(filter);
    return NULL;
}

const struct stream customer_trusted = {
    .name = NAME,
    .summary = "keeps the table of customers who share their data with research",
    .topic = "trusted/customer",
    .kind = STREAM_TABLE,
    .inputs = {{.name = "customer", .landing = "landing/customer", .record = RECORD_CUSTOMER}},
    .input_count = 1,
    .operator = &filter_operator,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .parameters = parameters,
};
