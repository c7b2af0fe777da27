#include "dice.h"

#include <stdlib.h>

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

uint64_t
dice_from_environment(const char *name, uint64_t preset)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : preset;
}
