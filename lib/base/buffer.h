/*
 * buffer: bytes that grow at the end. Running out of memory is fatal (log_fatal), so nothing here returns an error.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* len bytes are in use of cap allocated ones. All zero is an empty buffer. Free with buffer_free. */
struct buffer {
    char *data;
    size_t len;
    size_t cap;
};

/* Make room for extra more bytes behind len; returns where they start. len is not changed. */
char *buffer_reserve(struct buffer *buffer, size_t extra);

/* Append the len bytes at bytes. */
void buffer_add(struct buffer *buffer, const void *bytes, size_t len);

/* Append the bytes of span. */
void buffer_add_span(struct buffer *buffer, struct span span);

/* Append the C string text, without its NUL. */
void buffer_add_text(struct buffer *buffer, const char *text);

/* Append one byte. */
void buffer_add_byte(struct buffer *buffer, char byte);

/* Append value in decimal. */
void buffer_add_int(struct buffer *buffer, int64_t value);

/* Append what printf would print. Not for hot paths. */
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Append text as a JSON string, with quotes; bytes that JSON does not allow bare are escaped. text must be UTF-8. */
void buffer_add_json_string(struct buffer *buffer, struct span text);

/* The content with a NUL behind it (not counted in len); valid until the next change. */
const char *buffer_text(struct buffer *buffer);

/* The content; valid until the next change. */
static inline struct span
buffer_span(const struct buffer *buffer)
{
    return (struct span){buffer->data, buffer->len};
}

/* Forget the content, keep the memory. */
static inline void
buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
}

/* Give the memory back; the buffer is empty and usable afterwards. */
void buffer_free(struct buffer *buffer);

#endif
