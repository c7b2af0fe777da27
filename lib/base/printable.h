/*
 * printable: text from outside, without what speaks to a terminal. Whatever is said to a person goes through here: say and
 * log see to it for their lines, commands for what they print otherwise.
 *
 * What speaks: control characters (C0 but tab, DEL, C1 as UTF-8 or as bare bytes), characters that turn the direction of
 * what follows or end a line, and bytes that are of no UTF-8.
 */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/span.h"

/* Put a '?' in the place of each character, or byte, that speaks in the len bytes at text, which may be any. How many bytes
 * are left: never more. Takes no memory, so that it can be used where there is none. */
size_t printable_clean(char *text, size_t len);

/* Append text, cleaned like that. */
void printable_add(struct buffer *line, struct span text);

/* Append document, which is JSON: what speaks in it can only stand in strings, and is escaped there (\u009b), so that it
 * stays the same document; line ends between its parts are blanks then. */
void printable_add_json(struct buffer *line, struct span document);

#endif
