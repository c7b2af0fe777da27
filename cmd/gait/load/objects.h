/*
 * objects: records out of JSON text.
 *
 * A record is an object at the top level: on a line of its own, several on a line, spread over many lines, or in an array:
 * one rule holds for all of them. White space, commas, brackets and record separators (RFC 7464) between objects are
 * skipped; an array must be closed, else the rest of its file is missing. A broken object must not swallow its neighbours:
 * it ends at a line end inside a string, or before a line that begins with '{' (records are flat: an object never holds
 * one). Anything else at the top level, to the end of its line, is a record that will be refused.
 */
#ifndef LOAD_OBJECTS_H
#define LOAD_OBJECTS_H

#include "load/input.h"

struct objects;

/* names must outlive it. Free with objects_free. */
struct objects *objects_new(struct names *names);

/* Find the next record in the len bytes at text, which begin where the last call ended; ended: none will follow them. Text
 * may be changed. The number of bytes that are done with; record->text.at is NULL where they hold no whole record. record is
 * valid until the next call. */
size_t objects_next(struct objects *objects, char *text, size_t len, bool ended, struct input_record *record);

/* Of text, which may be anything: make an object that is one record to whoever takes it in, and refused as no JSON. */
void objects_wrap(struct span text, struct buffer *object);

/* When all was taken: INPUT_END, or INPUT_REFUSED where it ends in the middle of an array, with a line on standard error
 * that begins with where. */
enum input_result objects_end(const struct objects *objects, const char *where);

/* The line that the next record is looked for in, from 1. */
uint64_t objects_line(const struct objects *objects);

/* NULL is fine. */
void objects_free(struct objects *objects);

#endif
