/*
 * binary: what a file holds that is no text, by its first bytes.
 */
#ifndef LOAD_BINARY_H
#define LOAD_BINARY_H

#include <stdbool.h>

#include "base/span.h"

struct binary {
    const char *what;    /* "a bzip2 file" */
    const char *command; /* that, with the file's name behind it, writes the text in it to standard output; NULL: none */
};

/* Whether text, the beginning of what was to be text in UTF-8, is something else. 1 and *binary, or 0. The more of it is
 * there the better is it known: 4 KiB are looked at. */
bool binary_find(struct span text, struct binary *binary);

#endif
