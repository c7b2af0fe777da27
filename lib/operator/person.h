/*
 * person: what stands for an e-mail address or serial number inside a store: its keyed hash. Readings come in runs of the
 * same person, and hashing shows in every profile, so the last answer is kept.
 */
#ifndef OPERATOR_PERSON_H
#define OPERATOR_PERSON_H

#include "base/buffer.h"
#include "base/hash.h"

/* All zero but for key, which must outlive it. Free with person_free. */
struct person {
    const struct hash_key *key;
    struct buffer text; /* whose hash is in id; empty: nobody's yet */
    struct hash_id id;
};

/* The hash of text, which must not be empty. */
struct hash_id person_id(struct person *person, struct span text);

/* Free the text that was hashed last; person can be used on. */
void person_free(struct person *person);

#endif
