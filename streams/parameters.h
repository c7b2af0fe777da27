/*
 * parameters: what several streams do to make their operator's parameters.
 */
#ifndef STREAMS_PARAMETERS_H
#define STREAMS_PARAMETERS_H

#include <stddef.h>

#include "base/config.h"
#include "base/hash.h"
#include "operator/gate.h"

/* size zeroed bytes, to be freed with hash_secret_free; out of memory is fatal. */
void *parameters_new(size_t size);

/* The keys of a gate, as rows of a section's keys. */
#define PARAMETERS_GATE_KEYS(section)                                                                                      \
    {section, "hold", CONFIG_DURATION, "24h", "0", "365d", NULL,                                                           \
     "How long a reading waits for its customer and a repeated one is recognised; 0: it never waits."},                    \
    {section, "hold_bytes", CONFIG_SIZE, "4GiB", "0", "8192GiB", NULL,                                                     \
     "What may wait, and of each sender a quarter of it; readings that would exceed that are refused."}

/* What section says in them, for a gate whose readings name their customer by key: as parameters_new, of any consent. */
struct gate_parameters *parameters_gate(const struct config *config, const char *section, enum gate_key key);

/* A path has 4095 bytes at most, with the names of ours below or behind it. */
#define PARAMETERS_PATH_MAX "3840"

/* What configurations call the file with a key. */
#define PARAMETERS_KEY "pseudonym_key"

/* The name of the file that section names, by default dir/pseudonym.key, into path, which is then text. */
const char *parameters_key_path(const struct config *config, const char *section, const char *dir, struct buffer *path);

/* Read, or make, the key in it. 0, or −1 with a line in the log. */
int parameters_pseudonym_key(const struct config *config, const char *section, const char *dir, struct hash_key *key);

/* What that would find, without making anything: 1, a key; 0, none, and it can be made; −1 with the line appended to
 * faults. */
int parameters_look_for_key(const struct config *config, const char *section, const char *dir, struct buffer *faults);

#endif
