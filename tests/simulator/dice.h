/*
 * dice: chance that a seed repeats.
 */
#ifndef SIMULATOR_DICE_H
#define SIMULATOR_DICE_H

#include <stdbool.h>
#include <stdint.h>

/* Begin the sequence of seed. */
void dice_seed(uint64_t seed);

/* 0 to sides - 1. */
unsigned dice_roll(unsigned sides);

/* 0 to sides - 1, one whose bit is set in allowed. */
unsigned dice_roll_among(unsigned sides, unsigned allowed);

/* True in so many of a hundred. */
bool dice_chance(unsigned percent);

/* Have keys and epochs come from dice too, or a seed would not repeat itself: from these, or from others that dice_seed
 * begins with them. */
void dice_make_keys(bool from_others);

/* The number that the environment has under this name; preset, if there is none. */
uint64_t dice_from_environment(const char *name, uint64_t preset);

#endif
