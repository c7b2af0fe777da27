/*
 * lines: a list of lines as a multiset.
 */
#ifndef SIMULATOR_LINES_H
#define SIMULATOR_LINES_H

#include <stdbool.h>

struct lines {
    char **list;
    unsigned count, capacity;
};

void lines_add(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lines_free(struct lines *lines);

/* Whether every line of part is in whole, at least as often. Sorts both. */
bool lines_within(struct lines *part, struct lines *whole);

#endif
