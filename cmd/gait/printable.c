#include "printable.h"

#include <stdbool.h>
#include <stdint.h>

/* The character at the beginning of text, and in *len its bytes; 0xfffd and 1 byte if it is no UTF-8. */
static uint32_t
next_character(struct span text, size_t *len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text.at;
    const size_t bytes = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint32_t character = bytes == 1 ? at[0] : at[0] & (0x7fu >> bytes);

    *len = 1;
    if (bytes > text.len || at[0] > 0xf7 || (at[0] & 0xc0) == 0x80)
        return 0xfffd;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0xfffd;
        character = character << 6 | (at[i] & 0x3f);
    }
    if (character < least[bytes] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
        return 0xfffd;
    *len = bytes;
    return character;
}

/* C0 and C1; marks, embeddings, overrides and isolates of direction; separators of lines and paragraphs. */
static bool
speaks(uint32_t character)
{
    return (character < 0x20 && character != '\t') || (character >= 0x7f && character <= 0x9f) || character == 0x61c ||
           character == 0x200e || character == 0x200f || (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069);
}

void
printable_add(struct buffer *line, struct span text)
{
    while (text.len > 0) {
        size_t len;
        const uint32_t character = next_character(text, &len);
        if (speaks(character) || (character == 0xfffd && len == 1))
            buffer_add_byte(line, '?');
        else
            buffer_add(line, text.at, len);
        text = span_at(text.at + len, text.len - len);
    }
}
