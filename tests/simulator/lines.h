/*
 * lines: a list of lines as a multiset.
 */
#ifndef SIMULATOR_LINES_H
#define SIMULATOR_LINES_H

struct lines {
    char **list;
    unsigned count, capacity;
};

void lines_add(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lines_free(struct lines *lines);

/* Sort them, and leave each once. */
void lines_once(struct lines *lines);

/* The first line of part that is not in whole, or not as often; NULL if all are. Sorts both. */
const char *lines_missing(struct lines *part, struct lines *whole);

#endif
