#include "load/places.h"

/*
 * A place is a number of 7 bits a byte, low ones first, the high bit of all but the last byte set: lines since the place
 * before (of another file: since line 0) times 4, 2 if it is told, 1 if it is of another file. Then that file's number
 * follows likewise.
 */
enum { OTHER_FILE = 1, TOLD = 2, LINE_SHIFT = 2 };

static void
add_number(struct buffer *bytes, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        buffer_add_byte(bytes, (char)(number | 0x80));
    buffer_add_byte(bytes, (char)number);
}

static uint64_t
read_number(const struct buffer *bytes, size_t *at)
{
    uint64_t number = 0;
    unsigned shift = 0;
    unsigned char byte;

    do {
        byte = (unsigned char)bytes->data[(*at)++];
        number |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte >= 0x80);
    return number;
}

void
places_add(struct places *places, const struct place *place)
{
    bool other = place->file != places->last.file;
    uint64_t lines = other ? place->line : place->line - places->last.line;

    add_number(&places->bytes, lines << LINE_SHIFT | (place->told ? TOLD : 0) | (other ? OTHER_FILE : 0));
    if (other)
        add_number(&places->bytes, place->file);
    places->last = *place;
}

int
places_find(const struct places *places, uint64_t index, struct place *place)
{
    *place = (struct place){0};
    size_t at = 0;
    while (at < places->bytes.len) {
        uint64_t number = read_number(&places->bytes, &at);
        if ((number & OTHER_FILE) != 0)
            *place = (struct place){.file = (unsigned)read_number(&places->bytes, &at)};
        place->line += number >> LINE_SHIFT;
        place->told = (number & TOLD) != 0;
        if (index-- == 0)
            return 1;
    }
    return 0;
}

void
places_clear(struct places *places)
{
    buffer_clear(&places->bytes);
    places->last = (struct place){0};
}

void
places_free(struct places *places)
{
    buffer_free(&places->bytes);
}
