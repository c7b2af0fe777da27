/*
 * transfer: what `gait load` and `gait simulate` have in common around a sender: options, progress bar, the last words
 * and the exit code.
 */
#ifndef LOAD_TRANSFER_H
#define LOAD_TRANSFER_H

#include <stdint.h>

#include "base/broker.h"
#include "load/sender.h"

struct transfer_options {
    struct broker broker;
    const char *prefix;
    unsigned batch_records;
    int64_t records_per_s; /* 0: no limit */
    char *const *files;    /* paths by the number in an origin, for messages; NULL: origins say nothing */
};

/* The prefix is settings_complete's (settings.h) where no option said it. */
#define TRANSFER_OPTIONS_DEFAULT {.batch_records = 64}

/* The long options of both commands, beside the broker's. */
enum {
    TRANSFER_OPTION_BATCH = BROKER_OPTION_END,
    TRANSFER_OPTION_PREFIX,
    TRANSFER_OPTION_RATE,
    TRANSFER_OPTION_END
};
#define TRANSFER_LONG_OPTIONS                                                                                          \
    {"batch", required_argument, NULL, TRANSFER_OPTION_BATCH},                                                         \
        {"prefix", required_argument, NULL, TRANSFER_OPTION_PREFIX},                                                   \
        {"rate", required_argument, NULL, TRANSFER_OPTION_RATE}

/* Take one option that getopt_long returned, the broker's too. 1 taken, −1 unknown or a bad value (with a line on
 * standard error). */
int transfer_option(struct transfer_options *options, int option, char *arg);

/* Read text as a number from least to most for the option called name. 0, or −1 with a line on standard error. */
int transfer_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *number);

struct transfer;

/* Begin: catches signals, makes the sender, starts the clock. options must outlive it. NULL with a line in the log. */
struct transfer *transfer_new(const char *command, struct transfer_options *options);

/* Where its records go. */
struct sender *transfer_sender(struct transfer *transfer);

/* How far it is, for the bar: done of total in whatever unit; total 0 is not known. */
void transfer_set_progress(struct transfer *transfer, uint64_t done, uint64_t total);

/* Wipe the bar away, before a line is written. */
void transfer_clear(struct transfer *transfer);

/* Wait for all receipts; say what was sent, and what was wrong; free transfer. The exit code: rc if that is one of a
 * failure, 128 + the signal's number when one ended it, done only when every record has its receipt and none is invalid. */
int transfer_end(struct transfer *transfer, int rc);

#endif
