#include "dice.h"

#include "../unit/splitmix.h"

static uint64_t state;

void
dice_seed(uint64_t seed)
{
    state = seed;
}

unsigned
dice_roll(unsigned sides)
{
    return splitmix_roll(&state, sides);
}

bool
dice_chance(unsigned percent)
{
    return dice_roll(100) < percent;
}
