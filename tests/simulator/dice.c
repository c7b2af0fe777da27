#include "dice.h"

static uint64_t state;

void
dice_seed(uint64_t seed)
{
    state = seed;
}

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
unsigned
dice_roll(unsigned sides)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ z >> 31) % sides);
}

unsigned
dice_roll_among(unsigned sides, unsigned allowed)
{
    unsigned side;

    do
        side = dice_roll(sides);
    while ((allowed >> side & 1) == 0);
    return side;
}

bool
dice_chance(unsigned percent)
{
    return dice_roll(100) < percent;
}
