/*
 * input: records out of files of NDJSON, JSON or CSV, plain or packed.
 *
 * Records are not judged here, only told apart: what is no JSON, too, is handed on, so that the process that takes the
 * records counts it and says why it refuses it. Two things are: what is no text is refused as a whole, and a field's name
 * that is misspelt (names.h).
 */
#ifndef LOAD_INPUT_H
#define LOAD_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "record/record.h"
#include "load/names.h"
#include "load/unpack.h"

/* Longest record; a longer one is a fault of the file. As much as a process takes in one payload by default. */
#define INPUT_RECORD_BYTES_MAX (1024 * 1024)

/* Each is one record to the process that takes it, whatever it is. */
struct input_record {
    struct span text;    /* one line, without its end, that begins with '{' */
    uint64_t line;       /* of the unpacked file, from 1, that it begins in */
    const char *problem; /* why it can't be taken, where that is known here; text is then refused by the process. Or NULL */
};

/* What is read, and from where. */
struct input;

/* Open the file at path ("-": standard input) with records of kind; names of fields are noted in names, which must outlive
 * it. It is CSV if csv says so, or its name (.csv, .tsv, with .gz or .zst behind it too), or its first line, which then
 * names fields. NULL with a line on standard error. Free with input_free. */
struct input *input_open(const char *path, enum record_kind kind, bool csv, struct names *names);

/* Look at the beginning of the file: INPUT_RECORD if it can be loaded as far as one sees there. input_next does it, too. */
enum input_result input_begin(struct input *input);

/* The next record; valid until the next call. After INPUT_NOTHING_YET the next call waits for at most 100 ms. */
enum input_result input_next(struct input *input, struct input_record *record);

/* What separates the columns of CSV, if it is no comma: "semicolons"; else NULL. */
const char *input_separator(const struct input *input);

/* The path, or "standard input". */
const char *input_name(const struct input *input);

/* Whether it is a plain file with a name: it can be opened again, and reads the same. */
bool input_is_file(const struct input *input);

/* How much of the file was given out as records, as it lies on the disk, */
uint64_t input_bytes_done(const struct input *input);

/* and how long it is; 0: not known. */
uint64_t input_bytes_total(const struct input *input);

/* Close the file. NULL is fine. */
void input_free(struct input *input);

#endif
