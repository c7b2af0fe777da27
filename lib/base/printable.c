#include "base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"

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

/* The next character and its *len bytes, which is to be shown as it is (true), or not. */
static bool
is_shown(struct span text, uint32_t *character, size_t *len)
{
    *character = next_character(text, len);
    return !speaks(*character) && !(*character == 0xfffd && *len == 1);
}

size_t
printable_clean(char *text, size_t len)
{
    size_t kept = 0;

    for (size_t at = 0, bytes; at < len; at += bytes) {
        uint32_t character;
        if (is_shown(span_at(text + at, len - at), &character, &bytes)) {
            memmove(text + kept, text + at, bytes);
            kept += bytes;
        } else {
            text[kept++] = '?';
        }
    }
    log_assert(kept <= len);
    return kept;
}

void
printable_add(struct buffer *line, struct span text)
{
    const size_t before = line->len;

    buffer_add_span(line, text);
    if (line->len > before)
        line->len = before + printable_clean(line->data + before, line->len - before);
}

void
printable_add_json(struct buffer *line, struct span document)
{
    for (size_t at = 0, bytes; at < document.len; at += bytes) {
        uint32_t character;
        if (is_shown(span_at(document.at + at, document.len - at), &character, &bytes))
            buffer_add(line, document.at + at, bytes);
        else if (character < 0x20)
            buffer_add_byte(line, ' ');
        else
            buffer_printf(line, "\\u%04x", (unsigned)character);
    }
}
