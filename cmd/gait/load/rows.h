/*
 * rows: records out of CSV text: rows become lines of JSON. The only user of libcsv.
 *
 * The first line names the columns by the names of the fields (names.h). What separates them is told by that line, too: a
 * comma, a semicolon, a tab or a bar, whichever makes most fields of it; or by a line "sep=;" before it. An empty cell is an
 * absent field, and so is \N, and NULL where no text is due. A row that has another number of cells than the first line is
 * no record.
 */
#ifndef LOAD_ROWS_H
#define LOAD_ROWS_H

#include "load/input.h"

struct rows;

/* Whether line, the first of a text, names fields as columns. */
bool rows_is_header(const struct names *names, struct span line);

/* where names the file in messages. names and where must outlive it. Free with rows_free. */
struct rows *rows_new(struct names *names, enum record_kind kind, const char *where);

/* Take in all of text, which begins where the last call ended; ended: nothing follows it. INPUT_RECORD, or INPUT_REFUSED
 * when it can't be read as CSV with the columns that are needed, with a line on standard error. */
enum input_result rows_add(struct rows *rows, struct span text, bool ended);

/* The next record of what was taken in: 1, or 0: there is none. It is valid until the next call of rows_add. */
int rows_next(struct rows *rows, struct input_record *record);

/* How many rows the last call of rows_add brought, */
size_t rows_count(const struct rows *rows);

/* and how many of them were not given out yet. */
size_t rows_left(const struct rows *rows);

/* When all was taken in and out: INPUT_END, or INPUT_REFUSED where it ends in the middle of a row, with a line on standard
 * error. */
enum input_result rows_end(const struct rows *rows);

/* The separator, as one calls it ("semicolon"); NULL: a comma, or not known yet. */
const char *rows_separator(const struct rows *rows);

/* NULL is fine. */
void rows_free(struct rows *rows);

#endif
