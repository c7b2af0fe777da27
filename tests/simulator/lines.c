#include "lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
lines_add(struct lines *lines, const char *format, ...)
{
    va_list args;

    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity * 2 + 64;
        lines->list = realloc(lines->list, lines->capacity * sizeof lines->list[0]);
        if (lines->list == NULL)
            abort();
    }
    va_start(args, format);
    if (vasprintf(&lines->list[lines->count++], format, args) < 0)
        abort();
    va_end(args);
}

void
lines_free(struct lines *lines)
{
    while (lines->count > 0)
        free(lines->list[--lines->count]);
    free(lines->list);
    *lines = (struct lines){0};
}

static int
compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *
lines_missing(struct lines *part, struct lines *whole)
{
    unsigned at = 0;

    if (part->count > 0)
        qsort(part->list, part->count, sizeof part->list[0], compare);
    if (whole->count > 0)
        qsort(whole->list, whole->count, sizeof whole->list[0], compare);
    for (unsigned i = 0; i < part->count; i++, at++) {
        while (at < whole->count && strcmp(whole->list[at], part->list[i]) < 0)
            at++;
        if (at == whole->count || strcmp(whole->list[at], part->list[i]) != 0)
            return part->list[i];
    }
    return NULL;
}

void
lines_once(struct lines *lines)
{
    unsigned kept = 0;

    if (lines->count > 0)
        qsort(lines->list, lines->count, sizeof lines->list[0], compare);
    for (unsigned i = 0; i < lines->count; i++) {
        if (kept > 0 && strcmp(lines->list[kept - 1], lines->list[i]) == 0)
            free(lines->list[i]);
        else
            lines->list[kept++] = lines->list[i];
    }
    lines->count = kept;
}
