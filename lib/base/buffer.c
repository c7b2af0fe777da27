#include "base/buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* The first allocation: most buffers hold a topic or a small record. */
#define FIRST_CAP 256

char *
buffer_reserve(struct buffer *buffer, size_t extra)
{
    if (extra > SIZE_MAX / 2 - buffer->len)
        log_fatal("out of memory: a buffer of %zu bytes can't grow by %zu", buffer->len, extra);
    size_t needed = buffer->len + extra;
    if (needed > buffer->cap || buffer->data == NULL) {
        /* Doubling keeps the copying in proportion to what is appended. */
        size_t cap = buffer->cap < FIRST_CAP ? FIRST_CAP : 2 * buffer->cap;
        if (cap < needed)
            cap = needed;
        char *data = realloc(buffer->data, cap);
        if (data == NULL)
            log_fatal("out of memory: a buffer of %zu bytes can't grow by %zu", buffer->len, extra);
        buffer->data = data;
        buffer->cap = cap;
    }
    return buffer->data + buffer->len;
}

void
buffer_add(struct buffer *buffer, const void *bytes, size_t len)
{
    if (len == 0)
        return; /* bytes may be NULL then, which memcpy does not allow */
    memcpy(buffer_reserve(buffer, len), bytes, len);
    buffer->len += len;
}

void
buffer_add_span(struct buffer *buffer, struct span span)
{
    buffer_add(buffer, span.at, span.len);
}

void
buffer_add_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void
buffer_add_byte(struct buffer *buffer, char byte)
{
    *buffer_reserve(buffer, 1) = byte;
    buffer->len++;
}

void
buffer_add_int(struct buffer *buffer, int64_t value)
{
    char digits[20]; /* of 2^63, and its sign */
    size_t at = sizeof digits;

    /* Unsigned, because the smallest int64_t has no positive twin. */
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    buffer_add(buffer, digits + at, sizeof digits - at);
}

void
buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        log_panic("buffer_printf: the format can't be printed");

    char *at = buffer_reserve(buffer, (size_t)len + 1); /* vsnprintf writes a NUL */
    va_start(args, format);
    const int written = vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    log_assert(written == len); /* else what stood in memory before would be among it */
    buffer->len += (size_t)len;
}

/* The letter behind the backslash for the bytes that JSON has a short escape for, else 0. */
static char
short_escape(char byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void
add_escaped(struct buffer *buffer, char byte)
{
    char letter = short_escape(byte);

    if (letter != 0) {
        buffer_add_byte(buffer, '\\');
        buffer_add_byte(buffer, letter);
    } else {
        buffer_printf(buffer, "\\u%04x", (unsigned)(unsigned char)byte);
    }
}

void
buffer_add_json_string(struct buffer *buffer, struct span text)
{
    buffer_add_byte(buffer, '"');
    size_t clean = 0; /* where the run of bytes starts that need no escape */
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.at[i];
        if ((unsigned char)byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        buffer_add(buffer, text.at + clean, i - clean);
        add_escaped(buffer, byte);
        clean = i + 1;
    }
    if (text.len > 0)
        buffer_add(buffer, text.at + clean, text.len - clean);
    buffer_add_byte(buffer, '"');
}

const char *
buffer_text(struct buffer *buffer)
{
    *buffer_reserve(buffer, 1) = '\0';
    return buffer->data;
}

void
buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){NULL, 0, 0};
}
