/*
 * mutate: inputs that nobody would send on purpose, made from those that somebody would. The same seed makes the same
 * ones on every machine.
 */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Chance from a seed. */
struct dice {
    uint64_t state;
};

/* The dice for input number index of seed. */
struct dice dice_for(uint64_t seed, uint64_t index);

/* 0 to sides - 1. */
unsigned dice_roll(struct dice *dice, unsigned sides);

/* Change text in one way, in place: bits and bytes, pieces cut out, doubled or taken from other, numbers and names
 * replaced, odd tokens put in. */
void mutate(struct dice *dice, struct buffer *text, struct span other);

#endif
