#include "load/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/say.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "load/unpack.h"

#define BATCH_MAX 10000        /* a message ends at 512 KiB anyway */
#define RATE_MAX 1000000000    /* keeps the arithmetic far from overflow */
/* A full outbox or disk often gets room by itself within seconds, and a broker needs 30 s to find out that a process hangs.
 * Who has been stopped for longer needs somebody, and who waits for it is to hear that. */
#define STOPPED_MS_MAX 30000
#define MESSAGES_PER_S_MIN 10  /* with a low rate messages get smaller rather than rare */

struct transfer {
    char *const *files;
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
        say("--%s must be a number from %" PRId64 " to %" PRId64, name, least, most);
        return -1;
    }
    *number = value;
    return 0;
}

int
transfer_option(struct transfer_options *options, int option, char *arg)
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
        return broker_argument(&options->broker, option, arg) == 1 ? 1 : -1;
    }
}

static void
on_tick(void *context)
{
    struct transfer *transfer = context;
    struct sender_totals totals = sender_totals(transfer->sender);

    /* What was read and has no receipt yet is not done. */
    double receipted = totals.records > 0 ? (double)totals.receipted / (double)totals.records : 0;
    struct progress_state state = {(uint64_t)((double)transfer->done * receipted), transfer->total, totals.receipted, NULL};
    progress_show(&transfer->progress, &state);
}

static void
on_clear(void *context)
{
    transfer_clear(context);
}

void
transfer_clear(struct transfer *transfer)
{
    progress_clear(&transfer->progress);
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
        .stopped_ms_max = STOPPED_MS_MAX,
        .tick = on_tick,
        .clear = on_clear,
        .context = transfer,
    };
    if (sender.records_per_s != 0 && sender.batch_records > sender.records_per_s / MESSAGES_PER_S_MIN) {
        int64_t smaller = sender.records_per_s / MESSAGES_PER_S_MIN;
        sender.batch_records = smaller > 1 ? (unsigned)smaller : 1;
    }
    transfer->files = options->files;
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
say_summary(const struct sender_totals *totals, int64_t elapsed_ms)
{
    char records[PROGRESS_NUMBER_BYTES];
    char messages[PROGRESS_NUMBER_BYTES];
    char rate[PROGRESS_NUMBER_BYTES];

    say("%s records in %s messages, %.2f s, %s records/s", progress_number(totals->records, records),
        progress_number(totals->messages, messages), (double)elapsed_ms / 1000,
        progress_number(progress_rate(totals->records, elapsed_ms), rate));
}

/* The first invalid records, by file and line. */
static void
say_faults(const struct transfer *transfer, const struct sender_totals *totals)
{
    char number[PROGRESS_NUMBER_BYTES];
    struct sender_fault fault;
    unsigned said = 0;

    for (; sender_fault(transfer->sender, said, &fault) == 1; said++) {
        if (transfer->files != NULL && fault.line > 0)
            say("%s:%" PRIu64 ": %s", unpack_path_name(transfer->files[fault.file]), fault.line, fault.text);
        else
            say("%s", fault.text);
    }
    if (said > 0 && totals->invalid > said)
        say("... and %s more", progress_number(totals->invalid - said, number));
}

static void
say_exceptions(const struct transfer *transfer, const struct sender_totals *totals)
{
    char number[PROGRESS_NUMBER_BYTES];

    if (totals->duplicate > 0)
        say("%s records had been taken before", progress_number(totals->duplicate, number));
    if (totals->refused > 0)
        say("%s records were refused: gait rejected shows why", progress_number(totals->refused, number));
    if (totals->stale > 0)
        say("%s records were stale: their customers have newer ones, and a withdrawal among them changed nothing",
            progress_number(totals->stale, number));
    if (totals->ahead > 0)
        say("%s records are dated ahead: the clock that dated them, or that of the process, is wrong",
            progress_number(totals->ahead, number));
    if (totals->invalid == 0)
        return;
    say_faults(transfer, totals);
    say("%s records were invalid: gait rejected shows the newest ones of each reason",
        progress_number(totals->invalid, number));
}

/* Why it ended before its time, and what becomes of the records. */
static void
say_failure(const struct transfer *transfer, const struct sender_totals *totals)
{
    char receipted[PROGRESS_NUMBER_BYTES];
    char records[PROGRESS_NUMBER_BYTES];
    const char *process = sender_given_up(transfer->sender);
    const bool stopped = process[0] != '\0';
    const char *rest =
        stopped && totals->records > 0
            ? "; what the broker has acknowledged is kept and will be worked: to load again changes nothing twice"
            : "";

    say("%s: %s%s%s of %s records have their receipt%s", interrupt_signal() != 0 ? "interrupted" : "given up", process,
        stopped ? "; " : "", progress_number(totals->receipted, receipted), progress_number(totals->records, records), rest);
}

int
transfer_end(struct transfer *transfer, int rc)
{
    /* After a fault of a file, too: what was read before it is loaded then, and not half of it. */
    if (sender_finish(transfer->sender) != 0)
        rc = EXIT_FAILED;
    int64_t elapsed_ms = progress_elapsed_ms(&transfer->progress);
    struct sender_totals totals = sender_totals(transfer->sender);
    progress_clear(&transfer->progress);
    if (rc == EXIT_DONE) {
        say_summary(&totals, elapsed_ms);
    } else {
        rc = interrupt_signal() != 0 ? 128 + interrupt_signal() : rc;
        say_failure(transfer, &totals);
    }
    say_exceptions(transfer, &totals);
    if (rc == EXIT_DONE && totals.invalid > 0)
        rc = EXIT_DATA;
    sender_free(transfer->sender);
    free(transfer);
    return rc;
}
