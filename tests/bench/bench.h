/*
 * bench: what the benchmarks share: a clock, made-up records, a folder that goes away, and the one line a result is.
 *
 * A result is a line "NAME UNIT SAMPLE…" on standard output, from programs and shell scripts alike; bench-report makes
 * the table and the JSON file of them. So medians are taken in one place.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Most samples of one result. */
#define BENCH_SAMPLES_MAX 16

/* People there are in made-up data. */
#define BENCH_PERSONS 1000

/* When made-up readings begin, in ms since 1970. */
#define BENCH_START_MS INT64_C(1600000000000)

/* Nanoseconds of a clock that never goes back. */
int64_t bench_now_ns(void);

/* Print the result: count samples of what is called name. */
void bench_result(const char *name, const char *unit, const double *samples, unsigned count);

/* A number from text, at least 1; else a line on standard error and exit status 2. */
uint64_t bench_count(const char *text);

/* The number of place i in a shuffled order of 0 … BENCH_SHUFFLED - 1, the same in every run: each is there once. */
#define BENCH_SHUFFLED (UINT64_C(1) << 24)
uint64_t bench_shuffled(uint64_t i);

/* Append a record and a line end. All but numbers' digits are the same for everybody: nothing hangs on luck. Person is
 * below BENCH_PERSONS. */
void bench_add_customer(struct buffer *text, unsigned person);
void bench_add_accelerometer(struct buffer *text, unsigned person, int64_t time_ms);
void bench_add_step_trainer(struct buffer *text, unsigned person, int64_t time_ms);

/* A folder below TMPDIR (or /tmp): on a real disk, if synced commits are to cost what they cost. dir has
 * BENCH_DIR_SIZE bytes. One at a time. It goes away with us, however we end, and we end with who started us. Exits if it
 * can't be made. */
#define BENCH_DIR_SIZE 256
void bench_dir_make(char *dir);
void bench_dir_remove(const char *dir);

#endif
