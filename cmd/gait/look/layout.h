/*
 * layout: tables and paragraphs that fit a terminal of 80 columns.
 */
#ifndef LOOK_LAYOUT_H
#define LOOK_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#define LAYOUT_WIDTH 80
#define LAYOUT_COLUMNS_MAX 10

/* A table of numbers: a name in front, then columns with a header each. */
struct layout {
    const char *title; /* above the names */
    const char *const *headers;
    unsigned columns;
    unsigned kept; /* the first so many are shown though they be empty */
    int name_width;
    int widths[LAYOUT_COLUMNS_MAX]; /* 0: every number is 0, so it is not shown */
    bool rounded; /* the numbers did not fit: they are shown as thousands, millions and so on */
};

/* Take the row into account: all must be before the first is added. */
void layout_measure(struct layout *layout, const char *name, const int64_t *numbers);

/* All rows are measured: make what does not fit the width narrower. */
void layout_settle(struct layout *layout);

/* Append the line of headers. */
void layout_add_headers(const struct layout *layout, struct buffer *text);

/* Append a row. A 0 is a '-'. */
void layout_add_row(const struct layout *layout, const char *name, const int64_t *numbers, struct buffer *text);

/* Append the words of paragraph in lines; the second and the further ones begin with so many blanks. A word that is longer
 * than a line is cut into pieces. */
void layout_add_paragraph(const char *paragraph, int indent, struct buffer *text);

#endif
