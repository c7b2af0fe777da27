/*
 * input: records out of files of NDJSON, JSON or CSV, plain or packed with gzip or zstd. The only user of zlib, libzstd
 * and libcsv.
 *
 * Records are not judged here, only told apart: what is no JSON, too, is handed on, so that the process that takes the
 * records counts it and says why it refuses it.
 */
#ifndef GAIT_INPUT_H
#define GAIT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "record/record.h"

/* Longest record; a longer one is a fault of the file. As much as a process takes in one payload by default. */
#define INPUT_RECORD_BYTES_MAX (1024 * 1024)

/* What is read, and from where. */
struct input;

/* Open the file at path ("-": standard input) with records of kind. It is CSV if csv says so, or its name (.csv,
 * .csv.gz, .csv.zst). NULL with a line on standard error. Free with input_free. */
struct input *input_open(const char *path, enum record_kind kind, bool csv);

enum input_result {
    INPUT_FAULT = -1, /* can't be read further; a line is on standard error */
    INPUT_END = 0,
    INPUT_RECORD = 1,
    INPUT_NOTHING_YET = 2 /* a pipe or terminal is silent: do what must not wait, and ask again */
};

/* The next record as one line without its end; valid until the next call. After INPUT_NOTHING_YET the next call waits
 * for at most 100 ms. */
enum input_result input_next(struct input *input, struct span *record);

/* How much of the file was read, as it lies on the disk, and how long it is (0: not known). */
uint64_t input_bytes_read(const struct input *input);
uint64_t input_bytes_total(const struct input *input);

void input_free(struct input *input);

#endif
