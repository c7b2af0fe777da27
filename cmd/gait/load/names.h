/*
 * names: what fields are called in files, against what they are called in the contract.
 *
 * Glue, Athena and Hive write names in lower case, others in snake_case: a name that differs from a field's only in case,
 * '_', '-' and blanks is taken as that field's. One that is a slip of the pen away from an optional field's is not: left
 * out, that field would silently mean no consent. Every other name is no field's, and is not loaded. All this is said, once
 * a name.
 */
#ifndef LOAD_NAMES_H
#define LOAD_NAMES_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/span.h"
#include "record/record.h"

/* The names met so far, in files of one kind of record. */
struct names;

/* Free with names_free. */
struct names *names_new(enum record_kind kind);

/* What a name is. */
enum name_meaning {
    NAME_FIELD,   /* a field, written as in the contract */
    NAME_SIMILAR, /* a field, written in another way */
    NAME_SLIP,    /* no field, but it looks like the optional one */
    NAME_UNKNOWN
};

/* Find name. Where it is a field or a slip, *field is its index in record_fields. */
enum name_meaning names_find(const struct names *names, struct span name, unsigned *field);

/* What field is called in the contract. */
const char *names_field(const struct names *names, unsigned field);

/* Remember a name that is NAME_SIMILAR or NAME_UNKNOWN, for names_say. */
void names_note(struct names *names, struct span name);

/* Write a line for the names noted since the last call: what they were taken as, or that they are not loaded. where says in
 * which file. */
void names_say(struct names *names, const char *where);

/* Append name to text if it is what names look like, else "a name that is none": keys may be anything, even personal. */
void names_add(struct buffer *text, struct span name);

/* NULL is fine. */
void names_free(struct names *names);

#endif
