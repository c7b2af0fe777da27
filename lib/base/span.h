/*
 * span: a run of bytes that somebody else owns.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes [at, at + len). Not terminated by NUL. len 0 with at NULL is "none". */
struct span {
    const char *at;
    size_t len;
};

/* The bytes of the C string text, without its NUL. text must outlive the span. */
static inline struct span
span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

/* The len bytes at bytes. */
static inline struct span
span_at(const void *bytes, size_t len)
{
    return (struct span){(const char *)bytes, len};
}

/* Whether a and b hold the same bytes. */
static inline bool
span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Whether span begins with the bytes of prefix. */
static inline bool
span_begins(struct span span, struct span prefix)
{
    return span.len >= prefix.len && (prefix.len == 0 || memcmp(span.at, prefix.at, prefix.len) == 0);
}

/* Whether span holds exactly the bytes of the C string text. */
static inline bool
span_is(struct span span, const char *text)
{
    return span_equal(span, span_of(text));
}

#endif
