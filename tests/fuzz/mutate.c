#include "mutate.h"

#include <string.h>

#include "../unit/splitmix.h"

/* Beyond this a text only shrinks: a doubling a round would fill the memory. */
#define TEXT_BYTES_MAX (64 * 1024)

/* Longest run of one token. */
#define RUN_MAX 64

#define TOKEN(literal) {literal, sizeof(literal) - 1}

/* What goes in anywhere: other line ends, byte order marks, bytes that are no UTF-8, escapes that stand for no character,
 * brackets that nobody closes, what other formats allow. */
static const struct span tokens[] = {
    TOKEN("\r\n"), TOKEN("\n"), TOKEN("\r"), TOKEN("\t"), TOKEN("\0"), TOKEN(" "), TOKEN("\xef\xbb\xbf"),
    TOKEN("\xff"), TOKEN("\xc0\xaf"), TOKEN("\xed\xa0\x80"), TOKEN("\xf4\x90\x80\x80"), TOKEN("\xe2\x82"), TOKEN("\x7f"),
    TOKEN("\xc3\xa9"), TOKEN("\xf0\x9f\x98\x80"),
    TOKEN("\\u0000"), TOKEN("\\ud83d"), TOKEN("\\ude00"), TOKEN("\\ud83d\\ude00"), TOKEN("\\u0041"), TOKEN("\\"),
    TOKEN("\\\""), TOKEN("\\x"),
    TOKEN("{"), TOKEN("}"), TOKEN("["), TOKEN("]"), TOKEN("\""), TOKEN(","), TOKEN(":"), TOKEN("="), TOKEN(";"),
    TOKEN("#"), TOKEN("{}"), TOKEN("[]"), TOKEN("}{"), TOKEN("},{"), TOKEN("{\"a\":"), TOKEN("[["), TOKEN("/**/"),
    TOKEN("null"), TOKEN("true"), TOKEN("NaN"), TOKEN("Infinity"), TOKEN("-"), TOKEN("+"), TOKEN("."),
    TOKEN("\"withdrawn\":1"), TOKEN("\"timeStamp\":1600000000000,"),
};

/* What takes the place of a number, whole or in part. */
static const struct span numbers[] = {
    TOKEN("0"), TOKEN("-0"), TOKEN("-1"), TOKEN("1e999"), TOKEN("-1e999"), TOKEN("1E400"), TOKEN("1e-400"),
    TOKEN("1.6e12"), TOKEN("1600000000000.0"), TOKEN("9007199254740991"), TOKEN("9007199254740992"),
    TOKEN("9007199254740993"), TOKEN("9223372036854775807"), TOKEN("9223372036854775808"), TOKEN("-9223372036854775808"),
    TOKEN("-9223372036854775809"), TOKEN("18446744073709551615"), TOKEN("18446744073709551616"), TOKEN("4294967296"),
    TOKEN("01"), TOKEN("1."), TOKEN(".5"), TOKEN("1e"), TOKEN("0x10"), TOKEN("+1"), TOKEN("1e1000000000"),
    TOKEN("0.1000000000000000055511151231257827021181583404541015625"),
    TOKEN("11111111111111111111111111111111111111111111111111111111111111111111111111111111"),
};

struct dice
dice_for(uint64_t seed, uint64_t index)
{
    return (struct dice){seed * UINT64_C(0xd1342543de82ef95) + index};
}

unsigned
dice_roll(struct dice *dice, unsigned sides)
{
    return splitmix_roll(&dice->state, sides);
}

/* Put bytes in the place of len bytes at at. bytes must not point into text. */
static void
replace(struct buffer *text, size_t at, size_t len, struct span bytes)
{
    size_t rest = text->len - at - len;

    if (text->len + bytes.len > TEXT_BYTES_MAX && bytes.len > len)
        return;
    buffer_reserve(text, bytes.len);
    memmove(text->data + at + bytes.len, text->data + at + len, rest);
    if (bytes.len > 0)
        memcpy(text->data + at, bytes.at, bytes.len);
    text->len = at + bytes.len + rest;
}

static size_t
place(struct dice *dice, const struct buffer *text)
{
    return dice_roll(dice, (unsigned)text->len + 1);
}

/* Length of a piece at at: mostly short. */
static size_t
piece(struct dice *dice, const struct buffer *text, size_t at)
{
    size_t most = text->len - at;

    if (most > 16 && dice_roll(dice, 4) != 0)
        most = 16;
    return dice_roll(dice, (unsigned)most + 1);
}

static void
insert_token(struct dice *dice, struct buffer *text)
{
    struct buffer run = {0};
    const struct span *token = &tokens[dice_roll(dice, sizeof tokens / sizeof tokens[0])];
    unsigned times = dice_roll(dice, 8) == 0 ? 1 + dice_roll(dice, RUN_MAX) : 1;

    for (unsigned i = 0; i < times; i++)
        buffer_add_span(&run, *token);
    replace(text, place(dice, text), 0, buffer_span(&run));
    buffer_free(&run);
}

static bool
is_number_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("+-.eE", byte) != NULL);
}

/* Replace the number at or behind a place, or one digit of it. */
static void
replace_number(struct dice *dice, struct buffer *text)
{
    size_t at = place(dice, text);

    while (at < text->len && (text->data[at] < '0' || text->data[at] > '9'))
        at++;
    size_t end = at;
    while (end < text->len && is_number_byte(text->data[end]))
        end++;
    bool digit = end > at && dice_roll(dice, 3) == 0;
    const char byte = (char)('0' + dice_roll(dice, 10));
    const struct span *number = &numbers[dice_roll(dice, sizeof numbers / sizeof numbers[0])];
    if (digit)
        replace(text, at + dice_roll(dice, (unsigned)(end - at)), 1, span_at(&byte, 1));
    else if (end > at)
        replace(text, at, end - at, *number);
}

/* Copy a piece of text to another place in it. */
static void
copy_piece(struct dice *dice, struct buffer *text)
{
    struct buffer copy = {0};
    size_t at = place(dice, text);

    buffer_add(&copy, text->data + at, piece(dice, text, at));
    replace(text, place(dice, text), 0, buffer_span(&copy));
    buffer_free(&copy);
}

/* Where the member ends that begins at at, roughly: at a comma or a brace. */
static size_t
member_end(const struct buffer *text, size_t at)
{
    while (at < text->len && strchr(",}]\n", text->data[at]) == NULL)
        at++;
    return at;
}

/* A member of an object once more, with its name as it is, in other case, or with an escape. */
static void
double_member(struct dice *dice, struct buffer *text)
{
    struct buffer copy = {0};
    size_t at = place(dice, text);

    while (at < text->len && !(text->data[at] == '"' && at > 0 && (text->data[at - 1] == ',' || text->data[at - 1] == '{')))
        at++;
    if (at < text->len) {
        size_t end = member_end(text, at);
        unsigned how = dice_roll(dice, 3);
        buffer_add(&copy, text->data + at, end - at);
        if (how == 1 && copy.len > 1)
            copy.data[1] ^= 0x20;
        if (how == 2 && copy.len > 1) {
            struct buffer escape = {0};
            buffer_printf(&escape, "\\u%04x", (unsigned)(unsigned char)copy.data[1]);
            replace(&copy, 1, 1, buffer_span(&escape));
            buffer_free(&escape);
        }
        buffer_add_byte(&copy, ',');
        replace(text, at, 0, buffer_span(&copy));
    }
    buffer_free(&copy);
}

/* The beginning of one and the end of the other. */
static void
splice(struct dice *dice, struct buffer *text, struct span other)
{
    size_t from = dice_roll(dice, (unsigned)other.len + 1);
    size_t at = place(dice, text);
    size_t len = other.len - from;

    if (dice_roll(dice, 2) == 0)
        replace(text, at, text->len - at, span_at(other.at + from, len));
    else
        replace(text, at, 0, span_at(other.at + from, dice_roll(dice, (unsigned)len + 1)));
}

static void
change_byte(struct dice *dice, struct buffer *text)
{
    if (text->len == 0)
        return;
    char *byte = &text->data[dice_roll(dice, (unsigned)text->len)];
    switch (dice_roll(dice, 3)) {
    case 0:
        *byte = (char)(*byte ^ 1 << dice_roll(dice, 8));
        break;
    case 1:
        *byte = (char)dice_roll(dice, 256);
        break;
    default:
        *byte ^= 0x20; /* case, of letters */
    }
}

void
mutate(struct dice *dice, struct buffer *text, struct span other)
{
    size_t at = place(dice, text);

    switch (dice_roll(dice, 12)) {
    case 0:
    case 1:
    case 2:
        change_byte(dice, text);
        break;
    case 3:
        text->len = at;
        break;
    case 4:
        replace(text, at, piece(dice, text, at), (struct span){NULL, 0});
        break;
    case 5:
        copy_piece(dice, text);
        break;
    case 6:
    case 7:
        insert_token(dice, text);
        break;
    case 8:
    case 9:
        replace_number(dice, text);
        break;
    case 10:
        double_member(dice, text);
        break;
    default:
        splice(dice, text, other);
    }
}
