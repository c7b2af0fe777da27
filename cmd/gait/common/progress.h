/*
 * progress: a bar on standard error while something long goes on, in one line of the terminal, whatever its width. Says
 * nothing when standard error is no terminal.
 */
#ifndef COMMON_PROGRESS_H
#define COMMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* How far it is. */
struct progress_state {
    uint64_t done;    /* in the unit of total (bytes, records) */
    uint64_t total;   /* 0: not known; then there is no bar and no time left */
    uint64_t records; /* shown, and what the rate is of */
    const char *unit; /* what these are; NULL: "records" */
};

struct progress {
    bool terminal;
    bool shown; /* a bar stands in the last line */
    int64_t start_ms;
    int64_t due_ms;
};

/* Begin, now. */
void progress_start(struct progress *progress);

/* The line for this state after elapsed_ms: at most width columns, and PROGRESS_LINE_BYTES − 1. What does not fit is left
 * out, the least important first: the bar, the time left, the rate. Returns line. */
#define PROGRESS_LINE_BYTES 256
const char *progress_line(const struct progress_state *state, int64_t elapsed_ms, unsigned width, char *line);

/* Draw the bar, unless it was drawn within the last 100 ms. Cheap to call often. */
void progress_show(struct progress *progress, const struct progress_state *state);

/* Wipe the bar away, so that a line can be written. */
void progress_clear(struct progress *progress);

/* Milliseconds since the start. */
int64_t progress_elapsed_ms(const struct progress *progress);

/* number in decimal with commas ("81,273") into text, which has PROGRESS_NUMBER_BYTES. Returns text. */
#define PROGRESS_NUMBER_BYTES 32
const char *progress_number(uint64_t number, char *text);

/* records a second over elapsed_ms, as a whole number; 0 when no time has passed. */
uint64_t progress_rate(uint64_t records, int64_t elapsed_ms);

#endif
