/*
 * printable: text from outside, without what speaks to a terminal.
 */
#ifndef GAIT_PRINTABLE_H
#define GAIT_PRINTABLE_H

#include "base/buffer.h"
#include "base/span.h"

/* Append text, which may be any bytes, with a '?' for each control character (C0 but tab, DEL, C1 as UTF-8 or as bare
 * bytes), each character that turns the direction of what follows or ends a line, and each byte that is of no UTF-8. */
void printable_add(struct buffer *line, struct span text);

#endif
