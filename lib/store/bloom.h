/*
 * bloom: a blocked Bloom filter (Bloom 1970; Putze, Sanders, Singler 2007) in memory: that a hash was not added, or that it
 * may have been. Who was added is never denied.
 *
 * A filter is lines of so many bytes, what a processor fetches at once: a hash's bits are all in one, one in each word, so
 * that a line is asked without a branch. What is looked up comes through here often: hence the code in this header.
 */
#ifndef STORE_BLOOM_H
#define STORE_BLOOM_H

#include <stdbool.h>
#include <stdint.h>

#define BLOOM_LINE_BYTES 64
#define BLOOM_LINE_WORDS 8
#define BLOOM_LINE_BITS (8 * BLOOM_LINE_BYTES)
#define BLOOM_BITS_PER_KEY 16

/* Another number when the bits of a hash are others. */
#define BLOOM_LAYOUT UINT64_C(1)

/* All zero has no memory. */
struct bloom {
    uint64_t lines;
    void *memory;
    uint64_t *words; /* lines * BLOOM_LINE_WORDS, in memory where a line begins; NULL: it is not in memory */
};

/* What a hash sets in a line. */
struct bloom_mask {
    uint64_t words[BLOOM_LINE_WORDS];
};

/* How many lines a filter of so many hashes has; never 0. */
uint64_t bloom_lines(uint64_t keys);

/* Take memory for so many lines, all zero, or give it back; lines stays. Running out of memory is fatal. */
void bloom_make(struct bloom *bloom, uint64_t lines);
void bloom_free(struct bloom *bloom);

/* Tokens need not look random; hashes, which are made of them here, must. (The finalizer of MurmurHash3, Appleby.) */
static inline uint64_t
bloom_hash(uint64_t token)
{
    token = (token ^ token >> 33) * UINT64_C(0xff51afd7ed558ccd);
    token = (token ^ token >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return token ^ token >> 33;
}

/* The hash's line of a filter of so many, whose words these are. */
static inline uint64_t *
bloom_line(uint64_t *words, uint64_t lines, uint64_t hash)
{
    return words + ((hash >> 32) * lines >> 32) * BLOOM_LINE_WORDS;
}

/* The bits that hash sets in its line: one in each word. */
static inline struct bloom_mask
bloom_mask(uint64_t hash)
{
    const uint64_t bits = hash * UINT64_C(0x9e3779b97f4a7c15);
    struct bloom_mask mask;

    for (unsigned i = 0; i < BLOOM_LINE_WORDS; i++)
        mask.words[i] = UINT64_C(1) << (bits >> (58 - 6 * i) & 63);
    return mask;
}

/* Set the bits of hash in bloom, which must be in memory. */
static inline void
bloom_add(struct bloom *bloom, uint64_t hash)
{
    uint64_t *line = bloom_line(bloom->words, bloom->lines, hash);
    const struct bloom_mask mask = bloom_mask(hash);

    for (unsigned i = 0; i < BLOOM_LINE_WORDS; i++)
        line[i] |= mask.words[i];
}

/* Whether the hash, whose mask this is, may have been added. */
static inline bool
bloom_may_have(uint64_t *words, uint64_t lines, uint64_t hash, const struct bloom_mask *mask)
{
    const uint64_t *line = bloom_line(words, lines, hash);
    uint64_t missing = 0;

    for (unsigned i = 0; i < BLOOM_LINE_WORDS; i++)
        missing |= mask->words[i] & ~line[i];
    return missing == 0;
}

#endif
