/*
 * parameters: what several streams do to make their operator's parameters.
 */
#ifndef STREAMS_PARAMETERS_H
#define STREAMS_PARAMETERS_H

#include <stddef.h>

#include "base/config.h"
#include "base/hash.h"

/* size zeroed bytes, to be freed with hash_secret_free; out of memory is fatal. */
void *parameters_new(size_t size);

/* Read, or make, the pseudonym key that section names, by default dir/pseudonym.key. 0, or −1 with a line in the log. */
int parameters_pseudonym_key(const struct config *config, const char *section, const char *dir, struct hash_key *key);

#endif
