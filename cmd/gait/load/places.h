/*
 * places: where the records of one message stood, file and line, in about a byte a record.
 */
#ifndef LOAD_PLACES_H
#define LOAD_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct place {
    unsigned file; /* its number, from 0 */
    uint64_t line; /* from 1 */
    bool told;     /* what is wrong with the record is known already */
};

/* All zero is none. Free with places_free. */
struct places {
    struct buffer bytes;
    struct place last;
};

/* Append the place of the next record. Within a file lines never go back. */
void places_add(struct places *places, const struct place *place);

/* The place of record index, from 0: 1 and *place, or 0: there are not so many. */
int places_find(const struct places *places, uint64_t index, struct place *place);

/* Forget them, keep the memory. */
void places_clear(struct places *places);

/* Free their memory. */
void places_free(struct places *places);

#endif
