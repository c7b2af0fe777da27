/*
 * gait simulate: records of people who do not exist, to the broker or to files. Equal options give equal records.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/exit.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/options.h"
#include "base/say.h"
#include "record/record.h"
#include "common/commands.h"
#include "common/interrupt.h"
#include "common/settings.h"
#include "load/transfer.h"

static const char help[] =
    "usage: gait simulate [OPTION]...\n\n"
    "Make customers and readings of their phones and step trainers, and publish them like gait load, or write them to\n"
    "files that are called after their tables: customer.ndjson, accelerometer.ndjson and so on. Nobody in them exists.\n"
    "Equal options give equal records.\n\n"
    "      --customers N    how many people (default 100)\n"
    "      --readings N     accelerometer readings of each, and half as many of the step trainer (default 60)\n"
    "      --share PART     how many share with research, from 0 to 1 (default 0.5)\n"
    "      --seed S         other numbers give other people (default 1)\n"
    "      --start MS       when the readings begin, in ms since 1970 (default 1700000000000)\n"
    "      --out DIR        write files there, instead of publishing\n"
    "      --batch N        most records in a message (default 64)\n"
    "      --prefix PREFIX  first level of the topics (default gait)\n"
    "      --rate R         publish at most R records a second\n" BROKER_OPTIONS_HELP
    "      --help           print this\n"
    "      --version        print the version\n";

#define CUSTOMERS_MAX 100000000
#define READINGS_MAX 10000000
#define READING_MS 1000         /* from one reading to the next of the same person, on average */
#define PERSON_MS 60000         /* the readings of N people spread over N times this: times of two rarely coincide */
#define MEMBER_MS (30 * 86400000LL) /* people registered at most so long before their readings */
#define LATE_CONSENT_PERCENT 20 /* of those who share: consent in the midst of their readings, to tell as_of from any */
#define OFF_TIME_PERCENT 10     /* step trainer readings at a time without an accelerometer reading */
#define OFF_TIME_MS 400         /* by at most this */

struct request {
    struct transfer_options transfer;
    int64_t customers;
    int64_t readings;
    int64_t seed;
    int64_t start_ms;
    double share;
    const char *out;
};

/* Where records go: to a sender, or to files. */
struct sink {
    struct transfer *transfer; /* NULL: files */
    FILE *files[RECORD_LANDING_KINDS];
    uint64_t records;
    uint64_t total;
};

struct person {
    char email[64];
    char serial_number[40];
    int64_t first_ms; /* of the readings */
};

/* SplitMix64: Guy Steele, Doug Lea, Christine Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014,
 * with the constants of Sebastiano Vigna's version. Ours, because the C library's may change. */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* From 0 to below - 1. Not exactly even, by less than below / 2^64. */
static int64_t
random_below(uint64_t *state, int64_t below)
{
    return (int64_t)((unsigned __int128)next_random(state) * (uint64_t)below >> 64);
}

static const char *
random_word(uint64_t *state, const char *const *words, int64_t count)
{
    return words[random_below(state, count)];
}

/* Version 4, as the trainers' serial numbers are. */
static void
random_uuid(uint64_t *state, char *text, size_t size)
{
    uint64_t a = next_random(state);
    uint64_t b = next_random(state);

    snprintf(text, size, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
             (unsigned)(a & 0xfff), (unsigned)(0x8000 | (b >> 48 & 0x3fff)), b & 0xffffffffffff);
}

static void
make_customer(const struct request *request, uint64_t *random, int64_t number, struct person *person,
              struct buffer *out)
{
    static const char *const given[] = {"Ada",  "Bela", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana",
                                        "Ivan", "Jun",  "Kofi", "Lena", "Maya", "Nils",   "Olga",  "Pablo"};
    static const char *const family[] = {"Abara",  "Brandt", "Castro", "Dubois", "Eriksen", "Fischer", "Gupta", "Huang",
                                         "Ito",    "Jensen", "Kovacs", "Lopez",  "Moreau",  "Novak",   "Okoye",
                                         "Petrov"};
    const char *first = random_word(random, given, sizeof given / sizeof given[0]);
    const char *last = random_word(random, family, sizeof family / sizeof family[0]);

    snprintf(person->email, sizeof person->email, "%s.%s.%" PRId64 "@example.com", first, last, number);
    random_uuid(random, person->serial_number, sizeof person->serial_number);
    person->first_ms = request->start_ms + random_below(random, request->customers * PERSON_MS);
    int64_t registered_ms = person->first_ms - random_below(random, MEMBER_MS);
    if (registered_ms < 1)
        registered_ms = 1;

    buffer_printf(out, "{\"customerName\":\"%s %s\",\"email\":\"%s\",\"phone\":\"555%07d\"", first, last, person->email,
                  (int)random_below(random, 10000000));
    buffer_printf(out, ",\"birthDay\":\"%d-%02d-%02d\"", 1930 + (int)random_below(random, 76),
                  1 + (int)random_below(random, 12), 1 + (int)random_below(random, 28));
    bool shares = (double)random_below(random, 1000000) < request->share * 1000000;
    int64_t consent_ms = registered_ms;
    if (random_below(random, 100) < LATE_CONSENT_PERCENT)
        consent_ms = person->first_ms + random_below(random, request->readings * READING_MS + 1);
    buffer_printf(out, ",\"serialNumber\":\"%s\",\"registrationDate\":%" PRId64 ",\"lastUpdateDate\":%" PRId64,
                  person->serial_number, registered_ms, shares ? consent_ms : registered_ms);
    if (shares)
        buffer_printf(out, ",\"shareWithResearchAsOfDate\":%" PRId64, consent_ms);
    if (random_below(random, 2) == 0)
        buffer_printf(out, ",\"shareWithPublicAsOfDate\":%" PRId64, registered_ms);
    if (random_below(random, 2) == 0)
        buffer_printf(out, ",\"shareWithFriendsAsOfDate\":%" PRId64, registered_ms);
    buffer_add_byte(out, '}');
}

static void
add_axis(struct buffer *out, uint64_t *random, const char *name)
{
    int tenths = (int)random_below(random, 201) - 100;
    int size = abs(tenths);

    buffer_printf(out, ",\"%s\":%s%d.%d", name, tenths < 0 ? "-" : "", size / 10, size % 10);
}

static void
make_accelerometer(const struct person *person, uint64_t *random, int64_t time_ms, struct buffer *out)
{
    buffer_printf(out, "{\"user\":\"%s\",\"timestamp\":%" PRId64, person->email, time_ms);
    add_axis(out, random, "x");
    add_axis(out, random, "y");
    add_axis(out, random, "z");
    buffer_add_byte(out, '}');
}

static void
make_step_trainer(const struct person *person, uint64_t *random, int64_t time_ms, struct buffer *out)
{
    if (random_below(random, 100) < OFF_TIME_PERCENT)
        time_ms += 1 + random_below(random, OFF_TIME_MS);
    buffer_printf(out, "{\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"%s\",\"distanceFromObject\":%d}", time_ms,
                  person->serial_number, 200 + (int)random_below(random, 101));
}

/* A reading of a sensor of which nothing more is known than its fields. */
static void
make_any(enum record_kind kind, const struct person *person, uint64_t *random, int64_t time_ms, struct buffer *out)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);

    for (unsigned i = 0; i < count; i++) {
        const char *text = fields[i].role == RECORD_ROLE_EMAIL ? person->email : person->serial_number;
        buffer_printf(out, "%c\"%s\":", i == 0 ? '{' : ',', fields[i].name);
        if (fields[i].type == RECORD_FIELD_TEXT)
            buffer_printf(out, "\"%s\"", text);
        else if (fields[i].type == RECORD_FIELD_TIME_MS)
            buffer_add_int(out, time_ms);
        else if (fields[i].type == RECORD_FIELD_NUMBER)
            buffer_add_int(out, random_below(random, 200));
        else
            buffer_add_text(out, "false");
    }
    buffer_add_byte(out, '}');
}

/* The sensors that have readings of their own kind, and one for how many of the person's times. */
static const struct sensor {
    void (*make)(const struct person *person, uint64_t *random, int64_t time_ms, struct buffer *out);
    int64_t every;
} sensors[RECORD_LANDING_KINDS] = {
    [RECORD_ACCELEROMETER] = {make_accelerometer, 1},
    [RECORD_STEP_TRAINER] = {make_step_trainer, 2},
};

static int64_t
every(unsigned kind)
{
    return sensors[kind].make != NULL ? sensors[kind].every : 1;
}

/* All records of a person. */
static int64_t
count_records(int64_t readings)
{
    int64_t count = 1;

    for (unsigned kind = RECORD_CUSTOMER + 1; kind < RECORD_LANDING_KINDS; kind++)
        count += (readings + every(kind) - 1) / every(kind);
    return count;
}

/* 0, or −1 when a signal came or the disk is full. */
static int
put(struct sink *sink, enum record_kind kind, struct buffer *record)
{
    int rc = 0;

    if (interrupt_signal() != 0)
        return -1;
    sink->records++;
    if (sink->transfer != NULL) {
        transfer_set_progress(sink->transfer, sink->records, sink->total);
        rc = sender_add(transfer_sender(sink->transfer), kind, buffer_span(record), NULL);
    } else {
        buffer_add_byte(record, '\n');
        if (fwrite(record->data, record->len, 1, sink->files[kind]) != 1)
            rc = -1;
    }
    buffer_clear(record);
    return rc;
}

/* The readings of all sensors at time number index. 0, or −1 as above. */
static int
make_readings(const struct person *person, uint64_t *random, int64_t index, struct sink *sink, struct buffer *record)
{
    const int64_t time_ms = person->first_ms + index * READING_MS + random_below(random, READING_MS);

    for (unsigned kind = RECORD_CUSTOMER + 1; kind < RECORD_LANDING_KINDS; kind++) {
        if (index % every(kind) != 0)
            continue;
        if (sensors[kind].make != NULL)
            sensors[kind].make(person, random, time_ms, record);
        else
            make_any((enum record_kind)kind, person, random, time_ms, record);
        if (put(sink, (enum record_kind)kind, record) != 0)
            return -1;
    }
    return 0;
}

static int
make_person(const struct request *request, uint64_t *random, int64_t number, struct sink *sink, struct buffer *record)
{
    struct person person;

    make_customer(request, random, number, &person, record);
    if (put(sink, RECORD_CUSTOMER, record) != 0)
        return -1;
    for (int64_t i = 0; i < request->readings; i++) {
        if (make_readings(&person, random, i, sink, record) != 0)
            return -1;
    }
    return 0;
}

static int
make_people(const struct request *request, struct sink *sink)
{
    struct buffer record = {0};
    uint64_t random = (uint64_t)request->seed;
    int rc = 0;

    sink->total = (uint64_t)(request->customers * count_records(request->readings));
    for (int64_t i = 0; i < request->customers && rc == 0; i++)
        rc = make_person(request, &random, i, sink, &record);
    buffer_free(&record);
    return rc;
}

static FILE *
open_file(const char *dir, enum record_kind kind)
{
    struct buffer name = {0};
    struct buffer fault = {0};

    buffer_printf(&name, "%s.ndjson", record_kind_name(kind));
    const int fd = folder_output(dir, buffer_text(&name), &fault);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && file == NULL)
        log_fatal("out of memory");
    if (file == NULL)
        say("%s", buffer_text(&fault));
    buffer_free(&name);
    buffer_free(&fault);
    return file;
}

static int
open_files(const char *dir, struct sink *sink)
{
    if (file_make_dirs(dir) != 0) {
        say("%s: %s", dir, strerror(errno));
        return -1;
    }
    for (unsigned i = 0; i < RECORD_LANDING_KINDS; i++) {
        sink->files[i] = open_file(dir, (enum record_kind)i);
        if (sink->files[i] == NULL)
            return -1;
    }
    return 0;
}

/* 0, or −1 when one could not be written to its end; errno says why. */
static int
close_files(struct sink *sink)
{
    int rc = 0;

    for (unsigned i = 0; i < RECORD_LANDING_KINDS; i++) {
        if (sink->files[i] == NULL)
            continue;
        if (ferror(sink->files[i]))
            rc = -1;
        if (fclose(sink->files[i]) != 0)
            rc = -1;
    }
    return rc;
}

static int
write_files(const struct request *request)
{
    struct sink sink = {0};

    interrupt_catch();
    int rc = open_files(request->out, &sink);
    bool opened = rc == 0;
    if (opened)
        rc = make_people(request, &sink);
    if (close_files(&sink) != 0)
        rc = -1;
    if (interrupt_signal() != 0)
        return 128 + interrupt_signal();
    if (rc != 0 && opened)
        say("%s: %s", request->out, strerror(errno));
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int
publish(struct request *request)
{
    struct sink sink = {.transfer = transfer_new("simulate", &request->transfer)};

    if (sink.transfer == NULL)
        return EXIT_FAILED;
    return transfer_end(sink.transfer, make_people(request, &sink) == 0 ? EXIT_DONE : EXIT_FAILED);
}

static int
read_share(const char *text, double *share)
{
    char *end = NULL;

    *share = strtod(text, &end);
    if (end == text || *end != '\0' || !(*share >= 0 && *share <= 1)) {
        say("--share must be a number from 0 to 1");
        return -1;
    }
    return 0;
}

enum {
    OPTION_CUSTOMERS = TRANSFER_OPTION_END,
    OPTION_READINGS,
    OPTION_SEED,
    OPTION_START,
    OPTION_SHARE,
    OPTION_OUT
};

/* Take one option: 0, −1 for a bad one, said. */
static int
take_option(struct request *request, int option, char *arg)
{
    switch (option) {
    case OPTION_CUSTOMERS:
        return transfer_number("customers", arg, 1, CUSTOMERS_MAX, &request->customers);
    case OPTION_READINGS:
        return transfer_number("readings", arg, 0, READINGS_MAX, &request->readings);
    case OPTION_SEED:
        return transfer_number("seed", arg, INT64_MIN, INT64_MAX, &request->seed);
    case OPTION_START:
        return transfer_number("start", arg, 1, INT64_MAX / 1000, &request->start_ms);
    case OPTION_SHARE:
        return read_share(arg, &request->share);
    case OPTION_OUT:
        request->out = arg;
        return 0;
    case OPTIONS_BAD:
        return -1;
    default:
        return transfer_option(&request->transfer, option, arg) == 1 ? 0 : -1;
    }
}

/* 0 and *request; −1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    static const struct option longs[] = {
        BROKER_LONG_OPTIONS,
        TRANSFER_LONG_OPTIONS,
        {"customers", required_argument, NULL, OPTION_CUSTOMERS},
        {"readings", required_argument, NULL, OPTION_READINGS},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"start", required_argument, NULL, OPTION_START},
        {"share", required_argument, NULL, OPTION_SHARE},
        {"out", required_argument, NULL, OPTION_OUT},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (take_option(request, option, optarg) != 0)
            return -1;
    }
    if (optind < argc)
        options_refuse("it takes no arguments, but got '%s'", argv[optind]);
    return optind == argc ? 0 : -1;
}

int
command_simulate(int argc, char **argv)
{
    struct request request = {
        .transfer = TRANSFER_OPTIONS_DEFAULT,
        .customers = 100,
        .readings = 60,
        .seed = 1,
        .start_ms = 1700000000000,
        .share = 0.5,
    };

    if (read_options(argc, argv, &request) != 0)
        return EXIT_USAGE;
    int code = settings_complete(&request.transfer.broker, &request.transfer.prefix);
    if (code >= 0)
        return code;
    return request.out != NULL ? write_files(&request) : publish(&request);
}
