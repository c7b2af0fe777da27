/*
 * unpack: the bytes of a file, plain or unpacked. The only user of zlib and libzstd.
 *
 * What a file is packed with is told by its first bytes, not by its name: that holds for standard input, too. gzip (any
 * number of members, and zeros between and behind them, as tapes and pigz leave them) and zstd (any number of frames, those
 * to be skipped among them, as pzstd writes them) are unpacked.
 */
#ifndef LOAD_UNPACK_H
#define LOAD_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* What came of an attempt to read. */
enum input_result {
    INPUT_REFUSED = -2, /* this data can't be loaded as it is; a line is on standard error */
    INPUT_FAULT = -1,   /* can't be read further; a line is on standard error */
    INPUT_END = 0,
    INPUT_RECORD = 1,      /* there is more */
    INPUT_NOTHING_YET = 2  /* a pipe or terminal is silent: do what must not wait, and ask again */
};

struct unpack;

/* Open the file at path ("-": standard input). NULL with a line on standard error. Free with unpack_free. */
struct unpack *unpack_open(const char *path);

/* Append some more bytes to text, at most 128 KiB. INPUT_RECORD: look whether there are some. After INPUT_NOTHING_YET the
 * next call waits for at most 100 ms. */
enum input_result unpack_read(struct unpack *unpack, struct buffer *text);

/* What the file is packed with, as soon as something was read: "gzip", "zstd", or NULL. */
const char *unpack_packing(const struct unpack *unpack);

/* What path is called in messages: itself, or "standard input". */
const char *unpack_path_name(const char *path);

/* The same of this one's path. */
const char *unpack_name(const struct unpack *unpack);

/* Whether it is a plain file that was opened by its name: that can be done again, and reads the same. */
bool unpack_is_file(const struct unpack *unpack);

/* How much of the file was read, as it lies on the disk, */
uint64_t unpack_bytes_read(const struct unpack *unpack);

/* and how long it is; 0: not known. */
uint64_t unpack_bytes_total(const struct unpack *unpack);

/* NULL is fine. */
void unpack_free(struct unpack *unpack);

#endif
