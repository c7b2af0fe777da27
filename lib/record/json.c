#include "record/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Where a scan is. After a fault, at is the byte that was wrong. */
struct scan {
    const char *at;
    const char *end;
    const struct json_limits *limits;
    unsigned depth;
};

static enum reason scan_value(struct scan *scan, struct json_member *member);

static inline void
skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* The byte at hand, or NUL at the end: JSON's grammar has no place for a NUL, so both are faults. */
static inline char
peek(const struct scan *scan)
{
    return scan->at < scan->end ? *scan->at : '\0';
}

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Strings. Most are plain ASCII, so they are looked through eight bytes at a time for a byte that needs a closer look.
 */

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Whether one of the eight bytes is a control character, a quote, a backslash or not ASCII: x - n borrows from the top
 * bit of a byte of x below n, and x ^ c is zero in the bytes that equal c. */
static inline bool
has_special(uint64_t bytes)
{
    uint64_t quote = bytes ^ EACH_BYTE('"');
    uint64_t backslash = bytes ^ EACH_BYTE('\\');
    uint64_t found = (bytes - EACH_BYTE(0x20)) | (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1)) | bytes;

    return (found & EACH_BYTE(0x80)) != 0;
}

static inline bool
is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline const char *
skip_plain(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t bytes;
        memcpy(&bytes, at, sizeof bytes);
        if (has_special(bytes))
            break;
        at += 8;
    }
    while (at < end && is_plain((unsigned char)*at))
        at++;
    return at;
}

static inline bool
is_continuation(const unsigned char *byte)
{
    return (*byte & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character beyond ASCII at at, or 0 if there is none that is valid (Unicode, table 3-7). */
static size_t
utf8_length(const char *at, const char *end)
{
    const unsigned char *c = (const unsigned char *)at;
    size_t left = (size_t)(end - at);

    if (c[0] >= 0xc2 && c[0] <= 0xdf)
        return left >= 2 && is_continuation(c + 1) ? 2 : 0;
    if (c[0] >= 0xe0 && c[0] <= 0xef) {
        if (left < 3 || !is_continuation(c + 1) || !is_continuation(c + 2))
            return 0;
        bool overlong = c[0] == 0xe0 && c[1] < 0xa0;
        bool surrogate = c[0] == 0xed && c[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (c[0] >= 0xf0 && c[0] <= 0xf4) {
        if (left < 4 || !is_continuation(c + 1) || !is_continuation(c + 2) || !is_continuation(c + 3))
            return 0;
        bool overlong = c[0] == 0xf0 && c[1] < 0x90;
        bool beyond = c[0] == 0xf4 && c[1] > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The value of the escape \uXXXX at at, or −1 if there is none. */
static int
unicode_escape(const char *at, const char *end)
{
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int value = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool
is_high_surrogate(int value)
{
    return value >= 0xd800 && value <= 0xdbff;
}

static bool
is_low_surrogate(int value)
{
    return value >= 0xdc00 && value <= 0xdfff;
}

/* Bytes of the escape at at ('\\' first), a pair of surrogates being one; 0 if it is none, NUL or a lone surrogate. */
static size_t
escape_length(const char *at, const char *end)
{
    if (end - at < 2)
        return 0;
    if (at[1] != 'u')
        return at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) != NULL ? 2 : 0;
    int value = unicode_escape(at, end);
    if (value <= 0 || is_low_surrogate(value))
        return 0;
    if (!is_high_surrogate(value))
        return 6;
    return is_low_surrogate(unicode_escape(at + 6, end)) ? 12 : 0;
}

/* Scan the string at hand (its quote first); content is what stands between the quotes. */
static inline enum reason
scan_string(struct scan *scan, struct span *content, bool *escaped)
{
    const char *start = ++scan->at;

    *escaped = false;
    for (;;) {
        scan->at = skip_plain(scan->at, scan->end);
        if (scan->at == scan->end)
            return REASON_BAD_JSON;
        if (*scan->at == '"')
            break;
        bool escape = *scan->at == '\\';
        size_t length = escape ? escape_length(scan->at, scan->end) : utf8_length(scan->at, scan->end);
        *escaped |= escape;
        if (length == 0)
            return REASON_BAD_JSON;
        scan->at += length;
    }
    *content = span_at(start, (size_t)(scan->at - start));
    if (content->len > scan->limits->string_bytes_max)
        return REASON_TOO_LARGE;
    scan->at++;
    return REASON_NONE;
}

/*
 * Numbers and words.
 */

/* Skip the digits at hand: whether there was one. */
static inline bool
skip_digits(struct scan *scan)
{
    const char *start = scan->at;

    while (scan->at < scan->end && is_digit(*scan->at))
        scan->at++;
    return scan->at > start;
}

static inline enum reason
scan_number(struct scan *scan, struct span *text)
{
    const char *start = scan->at;

    if (peek(scan) == '-')
        scan->at++;
    if (peek(scan) == '0')
        scan->at++;
    else if (!skip_digits(scan))
        return REASON_BAD_JSON;
    if (peek(scan) == '.') {
        scan->at++;
        if (!skip_digits(scan))
            return REASON_BAD_JSON;
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->at++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->at++;
        if (!skip_digits(scan))
            return REASON_BAD_JSON;
    }
    *text = span_at(start, (size_t)(scan->at - start));
    return REASON_NONE;
}

static enum reason
scan_word(struct scan *scan, struct span word, struct span *text)
{
    if ((size_t)(scan->end - scan->at) < word.len || memcmp(scan->at, word.at, word.len) != 0)
        return REASON_BAD_JSON;
    *text = span_at(scan->at, word.len);
    scan->at += word.len;
    return REASON_NONE;
}

/*
 * Names. Those with escapes are compared character by character, as they would be unescaped.
 */

/* A string on its way out of its escapes. */
struct unescape {
    const char *at;
    const char *end;
    unsigned char ready[4]; /* bytes of the character at hand */
    unsigned ready_count;
    unsigned ready_at;
};

static unsigned
utf8_encode(unsigned character, unsigned char *bytes)
{
    if (character < 0x80) {
        bytes[0] = (unsigned char)character;
        return 1;
    }
    if (character < 0x800) {
        bytes[0] = (unsigned char)(0xc0 | character >> 6);
        bytes[1] = (unsigned char)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        bytes[0] = (unsigned char)(0xe0 | character >> 12);
        bytes[1] = (unsigned char)(0x80 | (character >> 6 & 0x3f));
        bytes[2] = (unsigned char)(0x80 | (character & 0x3f));
        return 3;
    }
    bytes[0] = (unsigned char)(0xf0 | character >> 18);
    bytes[1] = (unsigned char)(0x80 | (character >> 12 & 0x3f));
    bytes[2] = (unsigned char)(0x80 | (character >> 6 & 0x3f));
    bytes[3] = (unsigned char)(0x80 | (character & 0x3f));
    return 4;
}

/* The character that the escape at at stands for; the scan has let it pass. */
static unsigned
escape_character(const char *at, const char *end)
{
    switch (at[1]) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        break;
    default: /* a quote, a backslash or a slash */
        return (unsigned char)at[1];
    }
    unsigned value = (unsigned)unicode_escape(at, end);
    if (!is_high_surrogate((int)value))
        return value;
    unsigned low = (unsigned)unicode_escape(at + 6, end);
    return 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
}

/* The next byte of the unescaped string, or −1 at its end. */
static int
unescape_next(struct unescape *unescape)
{
    if (unescape->ready_at < unescape->ready_count)
        return unescape->ready[unescape->ready_at++];
    if (unescape->at == unescape->end)
        return -1;
    if (*unescape->at != '\\')
        return (unsigned char)*unescape->at++;
    unescape->ready_count = utf8_encode(escape_character(unescape->at, unescape->end), unescape->ready);
    unescape->ready_at = 1;
    unescape->at += escape_length(unescape->at, unescape->end);
    return unescape->ready[0];
}

/* Whether two names are the same characters; each may have escapes. */
static bool
same_characters(struct span a, struct span b)
{
    struct unescape left = {.at = a.at, .end = a.at + a.len};
    struct unescape right = {.at = b.at, .end = b.at + b.len};

    for (;;) {
        int byte = unescape_next(&left);
        if (byte != unescape_next(&right))
            return false;
        if (byte < 0)
            return true;
    }
}

static bool
has_name(const struct json_object *object, const struct json_member *member)
{
    for (unsigned i = 0; i < object->count; i++) {
        const struct json_member *other = &object->members[i];
        bool same = member->name_escaped || other->name_escaped ? same_characters(member->name, other->name)
                                                                : span_equal(member->name, other->name);
        if (same)
            return true;
    }
    return false;
}

/*
 * Values. Recursion is bounded by depth_max.
 */

/* Scan the member at hand into the next free place of object. */
static inline enum reason
scan_member(struct scan *scan, struct json_object *object)
{
    if (peek(scan) != '"')
        return REASON_BAD_JSON;
    if (object->count == JSON_MEMBERS_MAX)
        return REASON_TOO_LARGE;
    struct json_member *member = &object->members[object->count];
    enum reason reason = scan_string(scan, &member->name, &member->name_escaped);
    if (reason != REASON_NONE)
        return reason;
    object->in_member = has_name(object, member);
    if (object->in_member)
        return REASON_BAD_JSON;
    skip_blanks(scan);
    if (peek(scan) != ':')
        return REASON_BAD_JSON;
    scan->at++;
    skip_blanks(scan);
    reason = scan_value(scan, member);
    if (reason == REASON_NONE)
        object->count++;
    else
        object->in_member = true;
    return reason;
}

/* Scan the object at hand ('{' first). */
static enum reason
scan_object(struct scan *scan, struct json_object *object)
{
    object->count = 0;
    object->in_member = false;
    if (++scan->depth > scan->limits->depth_max)
        return REASON_BAD_JSON;
    scan->at++;
    skip_blanks(scan);
    while (object->count > 0 || peek(scan) != '}') {
        enum reason reason = scan_member(scan, object);
        if (reason != REASON_NONE)
            return reason;
        skip_blanks(scan);
        if (peek(scan) == '}')
            break;
        if (peek(scan) != ',')
            return REASON_BAD_JSON;
        scan->at++;
        skip_blanks(scan);
    }
    scan->at++;
    scan->depth--;
    return REASON_NONE;
}

/* Scan an object whose members nobody asks for: only that it is one, and has no name twice. */
static enum reason
scan_inner_object(struct scan *scan)
{
    struct json_object inner;

    return scan_object(scan, &inner);
}

/* Scan the array at hand ('[' first). */
static enum reason
scan_array(struct scan *scan)
{
    if (++scan->depth > scan->limits->depth_max)
        return REASON_BAD_JSON;
    scan->at++;
    skip_blanks(scan);
    bool empty = peek(scan) == ']';
    while (!empty) {
        struct json_member element;
        enum reason reason = scan_value(scan, &element);
        if (reason != REASON_NONE)
            return reason;
        skip_blanks(scan);
        if (peek(scan) == ']')
            break;
        if (peek(scan) != ',')
            return REASON_BAD_JSON;
        scan->at++;
        skip_blanks(scan);
    }
    scan->at++;
    scan->depth--;
    return REASON_NONE;
}

/* Scan the array or object at hand; it is the member's value as it stands. */
static enum reason
scan_nested(struct scan *scan, struct json_member *member)
{
    const char *start = scan->at;
    enum reason reason = member->type == JSON_ARRAY ? scan_array(scan) : scan_inner_object(scan);

    member->value = span_at(start, (size_t)(scan->at - start));
    return reason;
}

/* Scan the value at hand into member. */
static enum reason
scan_value(struct scan *scan, struct json_member *member)
{
    member->escaped = false;
    switch (peek(scan)) {
    case '"':
        member->type = JSON_STRING;
        return scan_string(scan, &member->value, &member->escaped);
    case 'n':
        member->type = JSON_NULL;
        return scan_word(scan, span_of("null"), &member->value);
    case 't':
        member->type = JSON_TRUE;
        return scan_word(scan, span_of("true"), &member->value);
    case 'f':
        member->type = JSON_FALSE;
        return scan_word(scan, span_of("false"), &member->value);
    case '[':
        member->type = JSON_ARRAY;
        return scan_nested(scan, member);
    case '{':
        member->type = JSON_OBJECT;
        return scan_nested(scan, member);
    default:
        member->type = JSON_NUMBER;
        return scan_number(scan, &member->value);
    }
}

enum reason
json_scan(struct span text, const struct json_limits *limits, struct json_object *object)
{
    object->count = 0;
    object->length = 0;
    object->in_member = false;
    if (text.len == 0 || text.at[0] != '{')
        return REASON_BAD_JSON;
    struct scan scan = {.at = text.at, .end = text.at + text.len, .limits = limits};
    enum reason reason = scan_object(&scan, object);
    log_assert(scan.at <= scan.end && object->count <= JSON_MEMBERS_MAX);
    object->length = (size_t)(scan.at - text.at);
    return reason;
}

bool
json_name_is(const struct json_member *member, struct span name)
{
    if (!member->name_escaped)
        return span_equal(member->name, name);
    struct unescape unescape = {.at = member->name.at, .end = member->name.at + member->name.len};
    for (size_t i = 0; i < name.len; i++) {
        if (unescape_next(&unescape) != (unsigned char)name.at[i])
            return false;
    }
    return unescape_next(&unescape) < 0;
}

const struct json_member *
json_find(const struct json_object *object, struct span name)
{
    for (unsigned i = 0; i < object->count; i++) {
        if (json_name_is(&object->members[i], name))
            return &object->members[i];
    }
    return NULL;
}

void
json_unescape(const struct json_member *member, struct buffer *text)
{
    if (!member->escaped) {
        buffer_add_span(text, member->value);
        return;
    }
    char *out = buffer_reserve(text, member->value.len);
    struct unescape unescape = {.at = member->value.at, .end = member->value.at + member->value.len};
    int byte;
    while ((byte = unescape_next(&unescape)) >= 0) {
        *out++ = (char)byte;
        text->len++;
    }
}

void
json_add_any_text(struct buffer *out, struct span text)
{
    json_add_text_up_to(out, text, SIZE_MAX);
}

/* What a character takes in a JSON string, at most. */
static size_t
escaped_bytes(struct span character)
{
    const unsigned char first = (unsigned char)character.at[0];

    return first < ' ' ? sizeof "\\u001f" - 1 : first == '"' || first == '\\' ? 2 : character.len;
}

bool
json_add_text_up_to(struct buffer *out, struct span text, size_t bytes_max)
{
    struct buffer valid = {0};
    size_t bytes = sizeof "\"\"" - 1, i = 0;
    const size_t before = out->len;

    log_assert(bytes_max >= bytes);
    while (i < text.len) {
        const char *at = text.at + i;
        const size_t length = (unsigned char)*at < 0x80 ? 1 : utf8_length(at, text.at + text.len);
        const struct span character = length > 0 ? span_at(at, length) : span_of("\xef\xbf\xbd");
        bytes += escaped_bytes(character);
        if (bytes > bytes_max)
            break;
        buffer_add_span(&valid, character);
        i += length > 0 ? length : 1;
    }
    buffer_add_json_string(out, buffer_span(&valid));
    buffer_free(&valid);
    log_assert(out->len - before <= bytes_max);
    return i == text.len;
}

/*
 * The values of numbers that the scan has let pass.
 */

int
json_int64(const struct json_member *member, int64_t *value)
{
    if (member->type != JSON_NUMBER)
        return 0;
    bool negative = member->value.at[0] == '-';
    const char *digits = member->value.at + negative;
    size_t count = member->value.len - negative;
    if (count > 19) /* there are no leading zeros; 19 digits fit uint64_t */
        return 0;
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(digits[i])) /* a point, an exponent */
            return 0;
        size = size * 10 + (uint64_t)(digits[i] - '0');
    }
    if (size > (uint64_t)INT64_MAX + negative)
        return 0;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return 1;
}

/* The exponent written in [at, end), an 'e' first or nothing; held at one more than JSON_EXPONENT_MAX either way. */
static int64_t
exponent_of(const char *at, const char *end)
{
    int64_t exponent = 0;
    bool negative = false;

    for (; at < end; at++) {
        if (*at == '-')
            negative = true;
        if (is_digit(*at) && exponent <= JSON_EXPONENT_MAX)
            exponent = exponent * 10 + (*at - '0');
    }
    if (exponent > JSON_EXPONENT_MAX)
        exponent = JSON_EXPONENT_MAX + INT64_C(1);
    return negative ? -exponent : exponent;
}

/* Where the exponent of number begins: at its 'e', or at its end if it has none. */
static const char *
exponent_start(struct span number)
{
    const char *end = number.at + number.len;
    const char *at = number.at;

    while (at < end && *at != 'e' && *at != 'E')
        at++;
    return at;
}

/* Put digit behind the number in *size, which must not exceed most. */
static bool
add_digit(uint64_t *size, unsigned digit, uint64_t most)
{
    if (*size > (most - digit) / 10)
        return false;
    *size = *size * 10 + digit;
    return true;
}

int
json_floor(const struct json_member *member, int64_t *value)
{
    if (member->type != JSON_NUMBER || json_int64(member, value))
        return member->type == JSON_NUMBER;
    const struct span number = member->value;
    const char *exponent_at = exponent_start(number);
    const char *point = memchr(number.at, '.', (size_t)(exponent_at - number.at));
    const bool negative = number.at[0] == '-';
    const uint64_t most = (uint64_t)INT64_MAX + negative;
    /* How many digits stand before the point once the exponent has moved it. */
    int64_t whole = (point != NULL ? point : exponent_at) - number.at - negative;
    whole += exponent_of(exponent_at, number.at + number.len);
    uint64_t size = 0;
    bool fraction = false;
    for (const char *at = number.at + negative; at < exponent_at; at++) {
        if (at == point)
            continue;
        const unsigned digit = (unsigned)(*at - '0');
        if (whole-- <= 0)
            fraction = fraction || digit > 0;
        else if (!add_digit(&size, digit, most))
            return 0;
    }
    for (; whole > 0 && size > 0; whole--) {
        if (!add_digit(&size, 0, most))
            return 0;
    }
    if (negative && fraction && size++ == most)
        return 0;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return 1;
}

bool
json_is_finite(const struct json_member *member)
{
    struct span number = member->value;

    if (member->type != JSON_NUMBER || number.len > JSON_NUMBER_BYTES_MAX)
        return false;
    const char *exponent_at = exponent_start(number);
    if (exponent_at == number.at + number.len)
        return true; /* no 64 digits reach 1e308 */
    int64_t exponent = exponent_of(exponent_at, number.at + number.len);
    if (exponent > JSON_EXPONENT_MAX || exponent < -JSON_EXPONENT_MAX)
        return false;
    char text[JSON_NUMBER_BYTES_MAX + 1];
    memcpy(text, number.at, number.len);
    text[number.len] = '\0';
    return isfinite(strtod(text, NULL));
}

void
json_canonical_number(struct span number, struct buffer *text)
{
    const char *exponent_at = exponent_start(number);
    int64_t exponent = exponent_of(exponent_at, number.at + number.len);
    char *out = buffer_reserve(text, JSON_CANONICAL_BYTES_MAX(number.len));
    size_t sign = number.at[0] == '-';
    size_t len = sign;
    bool fraction = false;

    out[0] = '-';
    for (const char *at = number.at + sign; at < exponent_at; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        exponent -= fraction;
        if (len > sign || *at != '0')
            out[len++] = *at;
    }
    for (; len > sign && out[len - 1] == '0'; len--)
        exponent++;
    if (len == sign) {
        buffer_add_byte(text, '0');
        return;
    }
    text->len += len;
    if (exponent != 0) {
        buffer_add_byte(text, 'e');
        buffer_add_int(text, exponent);
    }
}

/*
 * Documents.
 */

struct json {
    cJSON *value;
};

/* Integers below this are exact in a double; this one could be its neighbour, rounded. */
#define EXACT_INTEGER_END (INT64_C(1) << 53)

static bool
is_exact(double number)
{
    return fabs(number) < (double)EXACT_INTEGER_END;
}

/* The next number in text, behind the strings before it; text goes on behind it. */
static struct span
cut_number(struct span *text)
{
    const char *at = text->at;
    const char *end = text->at + text->len;

    while (at < end && *at != '-' && (*at < '0' || *at > '9')) {
        if (*at == '"') {
            for (at++; at < end && *at != '"'; at++)
                at += *at == '\\';
        }
        at++;
    }
    const char *start = at;
    while (at < end && strchr("+-.0123456789Ee", *at) != NULL)
        at++;
    if (at == start || at > end)
        log_panic("cJSON found a number where there is none");
    *text = span_at(at, (size_t)(end - at));
    return span_at(start, (size_t)(at - start));
}

/* cJSON keeps numbers as doubles. What one does not hold gets its digits beside it, where cJSON keeps those of a string,
 * and frees them. text is that of value and what follows: numbers stand in it in the order of the tree. */
static void
keep_digits(cJSON *value, struct span *text)
{
    if (cJSON_IsNumber(value)) {
        const struct span digits = cut_number(text);
        if (!is_exact(value->valuedouble) && (value->valuestring = strndup(digits.at, digits.len)) == NULL)
            log_fatal("out of memory for a JSON document");
    }
    for (cJSON *child = value->child; child != NULL; child = child->next)
        keep_digits(child, text);
}

struct json *
json_parse(struct span text, const struct json_limits *limits)
{
    if (text.len == 0)
        return NULL;
    struct scan scan = {.at = text.at, .end = text.at + text.len};
    struct json_object object;
    skip_blanks(&scan);
    if (json_scan(span_at(scan.at, (size_t)(scan.end - scan.at)), limits, &object) != REASON_NONE)
        return NULL;
    const char *start = scan.at;
    scan.at += object.length;
    skip_blanks(&scan);
    if (scan.at != scan.end)
        return NULL;
    cJSON *value = cJSON_ParseWithLength(start, object.length);
    if (value == NULL) /* a number of more than 63 bytes is too long for cJSON */
        return NULL;
    struct json *json = malloc(sizeof *json);
    if (json == NULL)
        log_fatal("out of memory for a JSON document");
    struct span rest = span_at(start, object.length);
    keep_digits(value, &rest);
    json->value = value;
    return json;
}

/* The value at path below value, or NULL. */
static cJSON *
value_at(cJSON *value, const char *path)
{
    while (value != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        cJSON *child = cJSON_IsObject(value) ? value->child : NULL;
        while (child != NULL && (strncmp(child->string, path, len) != 0 || child->string[len] != '\0'))
            child = child->next;
        value = child;
        path += len;
        path += *path == '.';
    }
    return value;
}

const char *
json_text(const struct json *json, const char *preset)
{
    return cJSON_IsString(json->value) ? json->value->valuestring : preset;
}

int64_t
json_int(const struct json *json, int64_t preset)
{
    if (!cJSON_IsNumber(json->value))
        return preset;
    const double number = json->value->valuedouble;
    if (is_exact(number))
        return number == trunc(number) ? (int64_t)number : preset;
    const struct json_member member = {.type = JSON_NUMBER, .value = span_of(json->value->valuestring)};
    int64_t exact;
    return json_int64(&member, &exact) ? exact : preset;
}

const char *
json_text_at(const struct json *json, const char *path, const char *preset)
{
    cJSON *value = value_at(json->value, path);

    return value != NULL ? json_text(&(struct json){value}, preset) : preset;
}

int64_t
json_int_at(const struct json *json, const char *path, int64_t preset)
{
    cJSON *value = value_at(json->value, path);

    return value != NULL ? json_int(&(struct json){value}, preset) : preset;
}

unsigned
json_each(const struct json *json, const char *path,
          void (*each)(void *context, const char *name, const struct json *value), void *context)
{
    const cJSON *parent = value_at(json->value, path);
    unsigned count = 0;

    for (cJSON *child = parent != NULL ? parent->child : NULL; child != NULL; child = child->next) {
        each(context, child->string, &(struct json){child});
        count++;
    }
    return count;
}

void
json_free(struct json *json)
{
    if (json == NULL)
        return;
    cJSON_Delete(json->value);
    free(json);
}
