/*
 * bench-decode: what record_next costs a record, for messages of 64 landing records of each kind.
 *
 * usage: bench-decode MILLISECONDS-A-SAMPLE
 */
#include <stdio.h>

#include "bench.h"
#include "record/record.h"

#define MESSAGE_RECORDS 64
#define MESSAGES 256 /* taken in turn: more than the first-level cache holds, as in life */
#define SAMPLES 3
#define NOW_MS (BENCH_START_MS + 86400000)

static const struct record_limits limits = {
    .json = {.depth_max = 16, .string_bytes_max = 1024}, .payload_bytes_max = 1 << 20, .ahead_ms = 86400000};

static void
make_messages(enum record_kind kind, struct buffer *messages)
{
    for (unsigned i = 0; i < MESSAGES * MESSAGE_RECORDS; i++) {
        struct buffer *message = &messages[i / MESSAGE_RECORDS];
        const unsigned person = i % BENCH_PERSONS;
        if (kind == RECORD_CUSTOMER)
            bench_add_customer(message, person);
        else if (kind == RECORD_ACCELEROMETER)
            bench_add_accelerometer(message, person, BENCH_START_MS + i);
        else
            bench_add_step_trainer(message, person, BENCH_START_MS + i);
    }
}

/* How many good records the message holds. */
static unsigned
decode(struct record_decoder *decoder, const struct buffer *message)
{
    struct record_cursor cursor = record_cursor(buffer_span(message));
    struct record record;
    struct fault fault;
    unsigned good = 0;

    while (record_next(decoder, &cursor, RECORD_FROM_LANDING, NOW_MS, &record, &fault) == 1)
        good += fault.reason == REASON_NONE;
    return good;
}

/* Nanoseconds a record; 0 if one was refused. */
static double
sample(struct record_decoder *decoder, const struct buffer *messages, int64_t sample_ns)
{
    const int64_t start_ns = bench_now_ns();
    int64_t took_ns;
    uint64_t records = 0;

    do {
        for (unsigned i = 0; i < MESSAGES; i++) {
            if (decode(decoder, &messages[i]) != MESSAGE_RECORDS)
                return 0;
            records += MESSAGE_RECORDS;
        }
        took_ns = bench_now_ns() - start_ns;
    } while (took_ns < sample_ns);
    return (double)took_ns / (double)records;
}

static int
measure(enum record_kind kind, int64_t sample_ns)
{
    struct record_decoder *decoder = record_decoder_new(kind, &limits);
    struct buffer messages[MESSAGES] = {0};
    double ns[SAMPLES], rates[SAMPLES];
    char name[64];
    int rc = 0;

    make_messages(kind, messages);
    for (unsigned i = 0; i < SAMPLES; i++) {
        ns[i] = sample(decoder, messages, sample_ns);
        rates[i] = 1e9 / ns[i];
        rc = ns[i] > 0 ? rc : -1;
    }
    snprintf(name, sizeof name, "decode/%s", record_kind_name(kind));
    if (rc == 0)
        bench_result(name, "ns/record", ns, SAMPLES);
    if (rc == 0)
        bench_result(name, "records/s", rates, SAMPLES);
    for (unsigned i = 0; i < MESSAGES; i++)
        buffer_free(&messages[i]);
    record_decoder_free(decoder);
    return rc;
}

int
main(int argc, char **argv)
{
    static const enum record_kind kinds[] = {RECORD_CUSTOMER, RECORD_ACCELEROMETER, RECORD_STEP_TRAINER};

    if (argc != 2) {
        fprintf(stderr, "usage: bench-decode MILLISECONDS-A-SAMPLE\n");
        return 2;
    }
    const int64_t sample_ns = (int64_t)bench_count(argv[1]) * 1000000;
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (measure(kinds[i], sample_ns) != 0) {
            fprintf(stderr, "bench-decode: a %s record was refused\n", record_kind_name(kinds[i]));
            return 1;
        }
    }
    return 0;
}
