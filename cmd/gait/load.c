/*
 * gait load: publish files of records, until every record has its receipt.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/broker.h"
#include "base/log.h"
#include "base/options.h"
#include "record/record.h"

#include "commands.h"
#include "input.h"
#include "sender.h"
#include "settings.h"
#include "transfer.h"

static const char help[] =
    "usage: gait load [OPTION]... TABLE FILE...\n\n"
    "Publish the records in the files, and end when every record has its receipt: then it is on the disk of the\n"
    "process that takes it. TABLE is customer, accelerometer or step_trainer. A file holds NDJSON, JSON or, if its\n"
    "name says .csv, CSV with the names of the fields in the first line; plain or packed with gzip or zstd. - is\n"
    "standard input.\n\n"
    "      --batch N        most records in a message (default 64)\n"
    "      --csv            the files are CSV, whatever their names\n"
    "      --prefix PREFIX  first level of the topics (default gait)\n"
    "      --rate R         publish at most R records a second\n" BROKER_OPTIONS_HELP
    "      --help           print this\n"
    "      --version        print the version\n";

struct request {
    struct transfer_options transfer;
    bool csv;
    enum record_kind kind;
    char **paths;
    int path_count;
};

static int
find_kind(const char *table, enum record_kind *kind)
{
    for (enum record_kind i = RECORD_CUSTOMER; i <= RECORD_STEP_TRAINER; i++) {
        if (strcmp(record_kind_name(i), table) == 0) {
            *kind = i;
            return 0;
        }
    }
    fprintf(stderr, "gait load: '%s' is not a table records are loaded into: customer, accelerometer or step_trainer\n",
            table);
    return -1;
}

/* 0 and *request; −1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_CSV = TRANSFER_OPTION_END };
    static const struct option longs[] = {
        BROKER_LONG_OPTIONS,
        TRANSFER_LONG_OPTIONS,
        {"csv", no_argument, NULL, OPTION_CSV},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;
    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTION_CSV)
            request->csv = true;
        else if (option == OPTIONS_BAD || transfer_option(&request->transfer, option, optarg) != 1)
            return -1;
    }
    if (argc - optind < 2) {
        options_refuse(optind == argc ? "which TABLE, and which FILE?" : "which FILE?");
        return -1;
    }
    if (find_kind(argv[optind], &request->kind) != 0)
        return -1;
    request->paths = argv + optind + 1;
    request->path_count = argc - optind - 1;
    return 0;
}

/* Where we are. */
struct loading {
    struct transfer *transfer;
    struct input **inputs; /* one a path; NULL where the file is not open */
    uint64_t bytes_before; /* of the files that are done */
    uint64_t bytes_total;  /* 0: one of them is no plain file */
};

/* Open every file before anything is sent: a load that can't be done is not begun. Plain files are closed again, there
 * may be more than a process may hold; a pipe stays open, its writer would not survive a second opening. */
static int
check_files(const struct request *request, struct loading *loading)
{
    bool known = true;
    for (int i = 0; i < request->path_count; i++) {
        struct input *input = input_open(request->paths[i], request->kind, request->csv);
        if (input == NULL)
            return -1;
        uint64_t bytes = input_bytes_total(input);
        loading->bytes_total += bytes;
        if (bytes > 0) {
            input_free(input);
        } else {
            loading->inputs[i] = input;
            known = false;
        }
    }
    if (!known)
        loading->bytes_total = 0;
    return 0;
}

/* 0; −1 when the file can't be read to its end, or a signal came. */
static int
load_file(const struct request *request, struct loading *loading, struct input *input)
{
    struct sender *sender = transfer_sender(loading->transfer);
    for (;;) {
        struct span record;
        enum input_result result = input_next(input, &record);
        int rc = 0;
        transfer_set_progress(loading->transfer, loading->bytes_before + input_bytes_read(input),
                              loading->bytes_total);
        if (result == INPUT_RECORD)
            rc = sender_add(sender, request->kind, record);
        else if (result == INPUT_NOTHING_YET)
            rc = sender_flush(sender);
        else
            return result == INPUT_END ? 0 : -1;
        if (rc != 0)
            return -1;
    }
}

static int
load_files(const struct request *request, struct loading *loading)
{
    for (int i = 0; i < request->path_count; i++) {
        struct input **input = &loading->inputs[i];
        if (*input == NULL)
            *input = input_open(request->paths[i], request->kind, request->csv);
        if (*input == NULL || load_file(request, loading, *input) != 0)
            return -1;
        loading->bytes_before += input_bytes_read(*input);
        input_free(*input);
        *input = NULL;
    }
    return 0;
}

static int
load(struct request *request, struct loading *loading)
{
    if (check_files(request, loading) != 0)
        return COMMAND_FAILED;
    loading->transfer = transfer_new("load", &request->transfer);
    if (loading->transfer == NULL)
        return COMMAND_FAILED;
    return transfer_end(loading->transfer, load_files(request, loading));
}

int
command_load(int argc, char **argv)
{
    struct request request = {.transfer = TRANSFER_OPTIONS_DEFAULT};
    struct loading loading = {0};
    if (read_options(argc, argv, &request) != 0)
        return COMMAND_USAGE;
    int code = settings_complete(&request.transfer.broker, &request.transfer.prefix);
    if (code >= 0)
        return code;
    loading.inputs = calloc((size_t)request.path_count, sizeof *loading.inputs);
    if (loading.inputs == NULL)
        log_fatal("out of memory");
    int exit_code = load(&request, &loading);
    for (int i = 0; i < request.path_count; i++)
        input_free(loading.inputs[i]);
    free(loading.inputs);
    return exit_code;
}
