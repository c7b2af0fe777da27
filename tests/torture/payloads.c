/*
 * torture-payloads: publishes payloads that nobody should publish to the landing topics of a running pipeline, with good
 * records among them.
 *
 * usage: torture-payloads PORT COUNT SEED FOLDER
 *
 * Good records have a mark that no mutation makes. They go alone, or on lines between bad ones. FOLDER/<table> gets them
 * as they must come out again, one a line. Every payload wants a receipt; the sums of those are printed in the end, a
 * line each: TABLE taken duplicate invalid. Losing the connection is a failure, so that nothing is sent
 * twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "common/client.h"
#include "mutate.h"
#include "record/json.h"
#include "record/record.h"

#define KINDS (RECORD_STEP_TRAINER + 1) /* of which it makes payloads: the first ones of enum record_kind */
#define RECEIPT_TOPIC "gait/receipt/device/7" /* the level that some of what is published has */

#define WINDOW_PAYLOADS 2000 /* without receipt: enough that batches grow */
#define WINDOW_BYTES (16u << 20)
#define SILENCE_MS 60000 /* without any receipt, on a busy machine with sanitizers */
#define PROGRESS_MS 5000

#define MUTANTS 20    /* persons whose records are mutated */
#define TIME_MS INT64_C(1600000000000)
#define PAYLOADS_A_GOOD_CUSTOMER 100
#define MIB (1u << 20)

struct torture {
    struct client *client;
    struct dice dice;
    uint64_t count;
    uint64_t seed;

    /* Good records so far, and what is to come out. */
    uint64_t good[KINDS];
    uint64_t good_customers; /* in the end */
    FILE *expected[KINDS];

    struct buffer record;
    struct buffer payload;
    int64_t started_ms;
    int64_t progress_ms;
    uint64_t sent;

    /* Under the client's lock. */
    uint64_t receipts;
    uint64_t bytes; /* without receipt */
    struct {
        enum record_kind kind;
        size_t bytes;
    } waiting[WINDOW_PAYLOADS]; /* each at its number modulo this */
    struct {
        uint64_t taken, duplicate, invalid;
    } sums[KINDS];
};

static struct torture torture;

/*
 * The connection.
 */

static uint64_t
counted(const struct json *receipt, const char *what)
{
    int64_t number = json_int_at(receipt, what, -1);

    if (number < 0)
        log_fatal("a receipt does not say how many are %s", what);
    return (uint64_t)number;
}

static void
on_message(void *context, const struct wire_message *message)
{
    static const struct json_limits limits = {.depth_max = 4, .string_bytes_max = 64};
    struct json *receipt = json_parse(message->payload, &limits);

    (void)context;
    if (receipt == NULL || message->correlation.len != 8)
        log_fatal("a receipt that is none");
    uint64_t number = bytes_get_u64(message->correlation.at) % WINDOW_PAYLOADS;
    enum record_kind kind = torture.waiting[number].kind;
    if (torture.waiting[number].bytes == 0)
        log_fatal("a second receipt");
    torture.sums[kind].taken += counted(receipt, "taken");
    torture.sums[kind].duplicate += counted(receipt, "duplicate");
    torture.sums[kind].invalid += counted(receipt, "invalid");
    torture.bytes -= torture.waiting[number].bytes;
    torture.waiting[number].bytes = 0;
    torture.receipts++;
    json_free(receipt);
}

/* With the lock: wait for a receipt; fatal if there is none for long, or no connection any more. */
static void
wait_for_receipt(void)
{
    if (client_wait(torture.client, clock_steady_ms() + SILENCE_MS) && client_is_up(torture.client))
        return;
    uint64_t last = torture.sent - 1; /* not sent yet, if there is no room for it */
    for (uint64_t number = last > WINDOW_PAYLOADS ? last - WINDOW_PAYLOADS : 0; number < last; number++) {
        if (torture.waiting[number % WINDOW_PAYLOADS].bytes != 0)
            log_error("payload %" PRIu64 " of %s has no receipt", number,
                      record_kind_name(torture.waiting[number % WINDOW_PAYLOADS].kind));
    }
    log_fatal("no connection, or no receipt in %d s", SILENCE_MS / 1000);
}

static void
connect_to(int port)
{
    static const char *const filters[] = {RECEIPT_TOPIC};
    static struct broker broker;

    broker.port = port;
    broker_defaults(&broker);
    const struct client_options options = {.broker = &broker, .name = "torture", .message = on_message};
    torture.client = client_new(&options);
    if (torture.client == NULL)
        log_fatal("can't connect");
    client_filters(torture.client, filters, 1);
    if (client_connect(torture.client, clock_steady_ms() + SILENCE_MS) != 0)
        log_fatal("can't connect");
}

static void
show_progress(bool end)
{
    int64_t now_ms = clock_steady_ms();

    if (!end && now_ms < torture.progress_ms)
        return;
    torture.progress_ms = now_ms + PROGRESS_MS;
    int64_t took_ms = now_ms - torture.started_ms;
    fprintf(stderr, "%" PRIu64 " of %" PRIu64 " payloads, %" PRIu64 " a second\n", torture.sent, torture.count,
            torture.sent * 1000 / (uint64_t)(took_ms > 0 ? took_ms : 1));
}

/* Publish the payload at hand. */
static void
publish(enum record_kind kind)
{
    char topic[64];
    char correlation[8];
    uint64_t number = torture.sent++;

    snprintf(topic, sizeof topic, "gait/landing/%s%s", record_kind_name(kind),
             dice_roll(&torture.dice, 4) == 0 ? "/device/7" : "");
    bytes_put_u64(correlation, number);
    const struct wire_message message = {
        .topic = span_of(topic),
        .payload = buffer_span(&torture.payload),
        .response_topic = span_of(RECEIPT_TOPIC),
        .correlation = span_at(correlation, sizeof correlation),
        .epoch = dice_roll(&torture.dice, 8), /* of no meaning here */
        .sequence = dice_roll(&torture.dice, 8),
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    client_lock(torture.client);
    while (torture.waiting[number % WINDOW_PAYLOADS].bytes != 0 || torture.bytes > WINDOW_BYTES)
        wait_for_receipt();
    torture.waiting[number % WINDOW_PAYLOADS].kind = kind;
    torture.waiting[number % WINDOW_PAYLOADS].bytes = message.payload.len + 1;
    torture.bytes += message.payload.len + 1;
    client_unlock(torture.client);
    if (client_publish(torture.client, &message) != 0)
        log_fatal("can't publish");
    buffer_clear(&torture.payload);
    show_progress(false);
}

/*
 * Records.
 */

/* Write a record of kind into torture.record. who is e-mail address and serial number. */
static void
write_record(enum record_kind kind, const char *who, int64_t time_ms)
{
    struct buffer *record = &torture.record;

    buffer_clear(record);
    if (kind == RECORD_CUSTOMER)
        buffer_printf(record,
                      "{\"customerName\":\"N %s\",\"email\":\"%s\",\"phone\":\"8015550100\",\"birthDay\":\"1970-01-01\","
                      "\"serialNumber\":\"%s\",\"registrationDate\":%" PRId64 ",\"lastUpdateDate\":%" PRId64
                      ",\"shareWithResearchAsOfDate\":%" PRId64 "}",
                      who, who, who, TIME_MS, time_ms, TIME_MS);
    else if (kind == RECORD_ACCELEROMETER)
        buffer_printf(record, "{\"user\":\"%s\",\"timestamp\":%" PRId64 ",\"x\":1.0,\"y\":-0.5,\"z\":2e1}", who, time_ms);
    else
        buffer_printf(record, "{\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"%s\",\"distanceFromObject\":221}",
                      time_ms, who);
}

/* A record of somebody whose records are mutated, as it should be. */
static void
write_plain(enum record_kind kind)
{
    char who[32];

    snprintf(who, sizeof who, "mutant-%u@example.org", dice_roll(&torture.dice, MUTANTS));
    write_record(kind, who, TIME_MS + dice_roll(&torture.dice, 1000));
}

/* The same, mutated. */
static void
write_mutated(enum record_kind kind)
{
    struct buffer other = {0};

    write_plain((enum record_kind)dice_roll(&torture.dice, KINDS));
    buffer_add_span(&other, buffer_span(&torture.record));
    write_plain(dice_roll(&torture.dice, 20) == 0 ? (enum record_kind)dice_roll(&torture.dice, KINDS) : kind);
    unsigned count = dice_roll(&torture.dice, 2) == 0 ? 1 : 1 + dice_roll(&torture.dice, 4);
    for (; count > 0; count--)
        mutate(&torture.dice, &torture.record, buffer_span(&other));
    buffer_free(&other);
}

/* The same on one line, which goes on with nothing that a line before it may have begun: two lines could be one object
 * with what is between them. */
static void
write_mutated_line(enum record_kind kind)
{
    struct buffer *line = &torture.record;
    size_t blanks = 0;

    write_mutated(kind);
    for (size_t i = 0; i < line->len; i++) {
        if (line->data[i] == '\n')
            line->data[i] = ' ';
    }
    while (blanks < line->len && strchr(" \t\r", line->data[blanks]) != NULL)
        blanks++;
    if (blanks < line->len && strchr(",]}", line->data[blanks]) != NULL)
        line->data[blanks] = '{';
}

/* The next good record of kind. */
static void
write_good(enum record_kind kind)
{
    char who[64];
    uint64_t number = torture.good[kind]++;

    snprintf(who, sizeof who, "good-%" PRIu64 "-%" PRIu64 "@example.net", torture.seed, number % torture.good_customers);
    write_record(kind, who, TIME_MS + INT64_C(10000000000) + (int64_t)number);
    fprintf(torture.expected[kind], "%.*s\n", (int)torture.record.len, torture.record.data);
}

/* There are only so many good customers. */
static bool
may_be_good(enum record_kind kind)
{
    return kind != RECORD_CUSTOMER || torture.good[kind] < torture.good_customers;
}

static void
add_record(void)
{
    buffer_add_span(&torture.payload, buffer_span(&torture.record));
}

/*
 * Payloads, into torture.payload.
 */

/* Records one after another, with whatever between them. */
static void
make_several(enum record_kind kind)
{
    static const char *const between[] = {"\n", "\r\n", "", " ", "\n\n", ","};
    const char *separator = between[dice_roll(&torture.dice, sizeof between / sizeof between[0])];
    bool array = dice_roll(&torture.dice, 3) == 0;

    if (dice_roll(&torture.dice, 10) == 0)
        buffer_add_text(&torture.payload, "\xef\xbb\xbf");
    if (array)
        buffer_add_byte(&torture.payload, '[');
    for (unsigned count = 2 + dice_roll(&torture.dice, 7); count > 0; count--) {
        write_mutated(kind);
        add_record();
        if (count > 1)
            buffer_add_text(&torture.payload, array ? "," : separator);
    }
    if (array && dice_roll(&torture.dice, 10) != 0)
        buffer_add_byte(&torture.payload, ']');
}

/* Good records on lines of their own, bad ones before, between and behind them. The first line begins no array: in one,
 * lines mean nothing. */
static void
make_neighbours(enum record_kind kind)
{
    const char *line_end = dice_roll(&torture.dice, 2) == 0 ? "\n" : "\r\n";

    if (dice_roll(&torture.dice, 10) == 0)
        buffer_add_text(&torture.payload, "\xef\xbb\xbf");
    buffer_add_byte(&torture.payload, '{');
    for (unsigned count = 1 + dice_roll(&torture.dice, 4); count > 0 && may_be_good(kind); count--) {
        write_mutated_line(kind);
        add_record();
        buffer_add_text(&torture.payload, line_end);
        write_good(kind);
        add_record();
        buffer_add_text(&torture.payload, line_end);
    }
    write_mutated_line(kind);
    add_record();
}

static void
make_good(enum record_kind kind)
{
    bool array = dice_roll(&torture.dice, 3) == 0;

    if (array)
        buffer_add_text(&torture.payload, "[\n");
    for (unsigned count = 1 + dice_roll(&torture.dice, 3); count > 0 && may_be_good(kind); count--) {
        if (torture.payload.len > 2)
            buffer_add_text(&torture.payload, array ? "," : "");
        write_good(kind);
        add_record();
    }
    if (array)
        buffer_add_byte(&torture.payload, ']');
}

static void
add_times(const char *text, unsigned times)
{
    while (times-- > 0)
        buffer_add_text(&torture.payload, text);
}

/* A record with something nested in it, about as deep as is allowed. */
static void
make_nested(enum record_kind kind)
{
    bool array = dice_roll(&torture.dice, 2) == 0;
    unsigned depth = 1 + dice_roll(&torture.dice, 40);

    buffer_add_text(&torture.payload, "{\"more\":");
    add_times(array ? "[" : "{\"a\":", depth);
    buffer_add_text(&torture.payload, array ? "" : "0");
    add_times(array ? "]" : "}", depth - (dice_roll(&torture.dice, 10) == 0));
    buffer_add_byte(&torture.payload, ',');
    write_plain(kind);
    buffer_add(&torture.payload, torture.record.data + 1, torture.record.len - 1);
}

/* One that is large: a string, a payload, more records than any transaction wants, depth. */
static void
make_large(enum record_kind kind)
{
    write_plain(kind);
    switch (dice_roll(&torture.dice, 4)) {
    case 0:
        buffer_add_text(&torture.payload, "{\"more\":\"");
        add_times("0123456789abcdef", MIB / 16);
        buffer_add_text(&torture.payload, "\"}");
        break;
    case 1:
        buffer_add_text(&torture.payload, "{\"more\":\"");
        add_times("x", MIB - 1000);
        buffer_add_text(&torture.payload, "\",");
        buffer_add(&torture.payload, torture.record.data + 1, torture.record.len - 1);
        break;
    case 2:
        add_times("{}", 1 + dice_roll(&torture.dice, 20000));
        break;
    default:
        buffer_add_text(&torture.payload, "{\"more\":");
        add_times(dice_roll(&torture.dice, 2) == 0 ? "[" : "{\"a\":", 1 + dice_roll(&torture.dice, 100000));
    }
}

static void
make_small(void)
{
    static const char *const texts[] = {"",  "\xef\xbb\xbf", " \r\n", "{}", "[]", "[[", "null", "\"", "{\"a\":1",
                                        "1", "\xff\xfe",     "}",     ",",  "[,]", "{\"withdrawn\":1}"};

    buffer_add_text(&torture.payload, texts[dice_roll(&torture.dice, sizeof texts / sizeof texts[0])]);
}

static void
make_noise(void)
{
    for (unsigned count = dice_roll(&torture.dice, 300); count > 0; count--)
        buffer_add_byte(&torture.payload, (char)dice_roll(&torture.dice, 256));
}

static void
make_payload(enum record_kind kind)
{
    unsigned percent = dice_roll(&torture.dice, 100);

    if (dice_roll(&torture.dice, 4000) == 0) {
        make_large(kind);
    } else if (percent < 12) {
        make_good(kind);
    } else if (percent < 24) {
        make_neighbours(kind);
    } else if (percent < 40) {
        make_several(kind);
    } else if (percent < 44) {
        make_small();
    } else if (percent < 48) {
        make_noise();
    } else if (percent < 50) {
        make_nested(kind);
    } else if (percent < 54) {
        write_plain((enum record_kind)dice_roll(&torture.dice, KINDS));
        add_record();
    } else {
        write_mutated(kind);
        add_record();
    }
}

/* The persons of the mutated records are there before them, so that what is still good of these goes all the way. */
static void
publish_mutants(void)
{
    for (unsigned i = 0; i < MUTANTS; i++) {
        char who[32];
        snprintf(who, sizeof who, "mutant-%u@example.org", i);
        write_record(RECORD_CUSTOMER, who, TIME_MS);
        add_record();
        publish(RECORD_CUSTOMER);
    }
}

static void
publish_all(void)
{
    torture.started_ms = clock_steady_ms();
    publish_mutants();
    while (torture.sent < torture.count) {
        enum record_kind kind = (enum record_kind)dice_roll(&torture.dice, KINDS);
        make_payload(kind);
        publish(kind);
    }
    while (may_be_good(RECORD_CUSTOMER)) { /* whoever chance left out */
        write_good(RECORD_CUSTOMER);
        add_record();
        publish(RECORD_CUSTOMER);
    }
    client_lock(torture.client);
    while (torture.receipts < torture.sent)
        wait_for_receipt();
    client_unlock(torture.client);
    show_progress(true);
}

int
main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    log_open("torture-payloads", LOG_INFO);
    torture.count = strtoull(argv[2], NULL, 10);
    torture.seed = strtoull(argv[3], NULL, 10);
    torture.dice = dice_for(torture.seed, 0);
    torture.good_customers = 1 + torture.count / PAYLOADS_A_GOOD_CUSTOMER;
    for (unsigned i = 0; i < KINDS; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[4], record_kind_name((enum record_kind)i));
        if ((torture.expected[i] = fopen(path, "w")) == NULL)
            log_fatal("%s: %s", path, strerror(errno));
    }
    connect_to(atoi(argv[1]));
    publish_all();
    client_free(torture.client);
    for (unsigned i = 0; i < KINDS; i++) {
        if (fclose(torture.expected[i]) != 0)
            log_fatal("%s: %s", argv[4], strerror(errno));
        printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", record_kind_name((enum record_kind)i), torture.sums[i].taken,
               torture.sums[i].duplicate, torture.sums[i].invalid);
    }
    buffer_free(&torture.record);
    buffer_free(&torture.payload);
    return EXIT_SUCCESS;
}
