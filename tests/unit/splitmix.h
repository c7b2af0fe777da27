/*
 * splitmix: the chance that seeds repeat, in tests.
 */
#ifndef TESTS_SPLITMIX_H
#define TESTS_SPLITMIX_H

#include <stdint.h>

/* 0 to sides - 1: the next number of the sequence at state (splitmix64: Steele, Lea, Flood, Fast splittable pseudorandom
 * number generators, 2014). */
static inline unsigned
splitmix_roll(uint64_t *state, unsigned sides)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ z >> 31) % sides);
}

#endif
