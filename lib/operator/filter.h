/*
 * filter: a stream of customer records filtered to a table of those that share with research. The newest record of a row
 * wins, whatever the order they come in; one without consent that is newer withdraws the row.
 */
#ifndef OPERATOR_FILTER_H
#define OPERATOR_FILTER_H

#include "base/hash.h"
#include "operator/operator.h"

struct filter_parameters {
    struct hash_key pseudonym_key; /* row names are keyed hashes of e-mail and serial number */
    int64_t hold_ms;               /* how long a repeated record is recognised */
    int64_t rows_max;              /* most rows there may be; nothing is taken in any more then */
};

/* One input, RECORD_CUSTOMER. Table output. */
extern const struct operator filter_operator;

#endif
