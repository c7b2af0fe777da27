#include "transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#include "commands.h"
#include "interrupt.h"
#include "progress.h"

#define BATCH_MAX 10000        /* a message ends at 512 KiB anyway */
#define RATE_MAX 1000000000    /* keeps the arithmetic far from overflow */
#define MESSAGES_PER_S_MIN 10  /* with a low rate messages get smaller rather than rare */

struct transfer {
    const char *command;
    const char *prefix;
    struct sender *sender;
    struct progress progress;
    uint64_t done;
    uint64_t total;
};

int
transfer_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *number)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "gait: --%s must be a number from %" PRId64 " to %" PRId64 "\n", name, least, most);
        return -1;
    }
    *number = value;
    return 0;
}

int
transfer_option(struct transfer_options *options, int option, const char *arg)
{
    int64_t number;
    switch (option) {
    case TRANSFER_OPTION_BATCH:
        if (transfer_number("batch", arg, 1, BATCH_MAX, &number) != 0)
            return -1;
        options->batch_records = (unsigned)number;
        return 1;
    case TRANSFER_OPTION_PREFIX:
        options->prefix = arg;
        return 1;
    case TRANSFER_OPTION_RATE:
        return transfer_number("rate", arg, 1, RATE_MAX, &options->records_per_s) == 0 ? 1 : -1;
    default:
        return broker_option(&options->broker, option, arg) == 1 ? 1 : -1;
    }
}

static void
on_tick(void *context)
{
    struct transfer *transfer = context;
    struct progress_state state = {transfer->done, transfer->total, sender_totals(transfer->sender).receipted};
    progress_show(&transfer->progress, &state);
}

struct transfer *
transfer_new(const char *command, struct transfer_options *options)
{
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL)
        log_fatal("out of memory");
    broker_defaults(&options->broker);
    struct sender_options sender = {
        .command = command,
        .broker = &options->broker,
        .prefix = options->prefix,
        .batch_records = options->batch_records,
        .records_per_s = options->records_per_s,
        .tick = on_tick,
        .context = transfer,
    };
    if (sender.records_per_s != 0 && sender.batch_records > sender.records_per_s / MESSAGES_PER_S_MIN) {
        int64_t smaller = sender.records_per_s / MESSAGES_PER_S_MIN;
        sender.batch_records = smaller > 1 ? (unsigned)smaller : 1;
    }
    transfer->command = command;
    transfer->prefix = options->prefix;
    transfer->sender = sender_new(&sender);
    if (transfer->sender == NULL) {
        free(transfer);
        return NULL;
    }
    interrupt_catch();
    progress_start(&transfer->progress);
    return transfer;
}

struct sender *
transfer_sender(struct transfer *transfer)
{
    return transfer->sender;
}

void
transfer_set_progress(struct transfer *transfer, uint64_t done, uint64_t total)
{
    transfer->done = done;
    transfer->total = total;
}

/* "81,273 records in 1,270 messages, 0.42 s, 193,507 records/s" */
static void
print_summary(const struct sender_totals *totals, int64_t elapsed_ms)
{
    char records[PROGRESS_NUMBER_BYTES];
    char messages[PROGRESS_NUMBER_BYTES];
    char rate[PROGRESS_NUMBER_BYTES];
    fprintf(stderr, "%s records in %s messages, %.2f s, %s records/s\n", progress_number(totals->records, records),
            progress_number(totals->messages, messages), (double)elapsed_ms / 1000,
            progress_number(progress_rate(totals->records, elapsed_ms), rate));
}

static void
print_exceptions(const struct sender_totals *totals, const char *prefix)
{
    char number[PROGRESS_NUMBER_BYTES];
    if (totals->duplicate > 0)
        fprintf(stderr, "%s records had been taken before\n", progress_number(totals->duplicate, number));
    if (totals->invalid > 0)
        fprintf(stderr, "%s records were invalid: see %s/rejected/#\n", progress_number(totals->invalid, number),
                prefix);
}

int
transfer_end(struct transfer *transfer, int rc)
{
    char receipted[PROGRESS_NUMBER_BYTES];
    char records[PROGRESS_NUMBER_BYTES];
    /* After a fault of a file, too: what was read before it is loaded then, and not half of it. */
    if (sender_finish(transfer->sender) != 0)
        rc = -1;
    int64_t elapsed_ms = progress_elapsed_ms(&transfer->progress);
    struct sender_totals totals = sender_totals(transfer->sender);
    int exit_code = COMMAND_DONE;
    progress_clear(&transfer->progress);
    if (rc == 0) {
        print_summary(&totals, elapsed_ms);
    } else {
        exit_code = interrupt_signal() != 0 ? 128 + interrupt_signal() : COMMAND_FAILED;
        fprintf(stderr, "gait %s: %s: %s of %s records have their receipt\n", transfer->command,
                interrupt_signal() != 0 ? "interrupted" : "given up", progress_number(totals.receipted, receipted),
                progress_number(totals.records, records));
    }
    print_exceptions(&totals, transfer->prefix);
    sender_free(transfer->sender);
    free(transfer);
    return exit_code;
}
