#include "dice.h"

#include <sodium.h>
#include <stdlib.h>

#include "../unit/splitmix.h"

static uint64_t state;
static uint64_t others;
static uint64_t *of_keys = &state;

void
dice_seed(uint64_t seed)
{
    state = seed;
    others = ~seed;
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

static const char *
name_of_dice(void)
{
    return "dice";
}

static uint32_t
random_from_dice(void)
{
    return splitmix_roll(of_keys, UINT32_MAX);
}

static void
fill_from_dice(void *const bytes, const size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)splitmix_roll(of_keys, 256);
}

void
dice_make_keys(bool from_others)
{
    static struct randombytes_implementation dice = {
        .implementation_name = name_of_dice, .random = random_from_dice, .buf = fill_from_dice};

    of_keys = from_others ? &others : &state;
    randombytes_set_implementation(&dice);
}

uint64_t
dice_from_environment(const char *name, uint64_t preset)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : preset;
}
