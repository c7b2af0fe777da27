/*
 * gait load: publish files of records, until every record has its receipt.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/broker.h"
#include "streams/catalog.h"

#include "commands.h"
#include "input.h"
#include "interrupt.h"
#include "progress.h"
#include "sender.h"
#include "transfer.h"

static const char help[] =
    "usage: gait load [OPTION]... TABLE FILE...\n\n"
    "Publish the records in the files, and end when every record has its receipt: it is on the disk of the process that\n"
    "takes it then. TABLE is customer, accelerometer or step_trainer. A file holds NDJSON, JSON or, if its name says .csv,\n"
    "CSV with the names of the fields in the first line; plain or packed with gzip or zstd. - is standard input.\n\n"
    "      --batch N        most records in a message (default 64)\n"
    "      --csv            the files are CSV, whatever their names\n"
    "      --prefix PREFIX  first level of the topics (default gait)\n"
    "      --rate R         publish at most R records a second\n" BROKER_OPTIONS_HELP
    "      --help           print this\n";

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

/* 0 and *request; 1: help was asked for; −1: wrong usage. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_CSV = TRANSFER_OPTION_END, OPTION_HELP };
    static const struct option options[] = {
        BROKER_LONG_OPTIONS,
        TRANSFER_LONG_OPTIONS,
        {"csv", no_argument, NULL, OPTION_CSV},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, BROKER_SHORT_OPTIONS, options, NULL)) != -1) {
        switch (option) {
        case OPTION_CSV:
            request->csv = true;
            break;
        case OPTION_HELP:
            return 1;
        default:
            if (transfer_option(&request->transfer, option, optarg) != 1)
                return -1;
        }
    }
    if (argc - optind < 2 || find_kind(argv[optind], &request->kind) != 0)
        return -1;
    request->paths = argv + optind + 1;
    request->path_count = argc - optind - 1;
    return 0;
}

/* What the progress bar is about. */
struct loading {
    struct transfer *transfer;
    struct input *input;  /* at hand; NULL between two */
    uint64_t bytes_before; /* of the files that are done */
    uint64_t bytes_total;  /* 0: one of them is no plain file */
};

static void
set_progress(struct loading *loading)
{
    uint64_t now = loading->input != NULL ? input_bytes_read(loading->input) : 0;
    transfer_set_progress(loading->transfer, loading->bytes_before + now, loading->bytes_total);
}

/* Open every file once, before anything is sent: a load that can't be done is not begun. */
static int
check_files(const struct request *request, uint64_t *bytes_total)
{
    bool known = true;
    *bytes_total = 0;
    for (int i = 0; i < request->path_count; i++) {
        struct input *input = input_open(request->paths[i], request->kind, request->csv);
        if (input == NULL)
            return -1;
        known = known && input_bytes_total(input) > 0;
        *bytes_total += input_bytes_total(input);
        input_free(input);
    }
    if (!known)
        *bytes_total = 0;
    return 0;
}

/* 0; −1 when the file can't be read to its end, or a signal came. */
static int
load_file(const struct request *request, struct loading *loading)
{
    struct sender *sender = transfer_sender(loading->transfer);
    struct input *input = loading->input;
    for (;;) {
        struct span record;
        enum input_result result = input_next(input, &record);
        int rc = 0;
        set_progress(loading);
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
        loading->input = input_open(request->paths[i], request->kind, request->csv);
        int rc = loading->input != NULL ? load_file(request, loading) : -1;
        loading->bytes_before += loading->input != NULL ? input_bytes_read(loading->input) : 0;
        input_free(loading->input);
        loading->input = NULL;
        if (rc != 0)
            return -1;
    }
    return 0;
}

int
command_load(int argc, char **argv)
{
    struct request request = {.transfer = TRANSFER_OPTIONS_DEFAULT};
    struct loading loading = {0};
    int usage = read_options(argc, argv, &request);
    if (usage != 0) {
        fputs(help, usage > 0 ? stdout : stderr);
        return usage > 0 ? COMMAND_DONE : COMMAND_USAGE;
    }
    if (check_files(&request, &loading.bytes_total) != 0)
        return COMMAND_FAILED;
    loading.transfer = transfer_new("load", &request.transfer);
    if (loading.transfer == NULL)
        return COMMAND_FAILED;
    return transfer_end(loading.transfer, load_files(&request, &loading));
}
