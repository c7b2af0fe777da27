/*
 * gait load: publish files of records, until every record has its receipt.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/broker.h"
#include "base/buffer.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "base/say.h"
#include "record/record.h"
#include "common/commands.h"
#include "common/settings.h"
#include "load/input.h"
#include "load/names.h"
#include "load/sender.h"
#include "load/transfer.h"

/* A format: for the tables. */
static const char help_format[] =
    "usage: gait load [OPTION]... TABLE FILE...\n\n"
    "Publish the records in the files, and end when every record has its receipt: then it is on the disk of the\n"
    "process that takes it. TABLE is %s. A file holds NDJSON, JSON or CSV with the\n"
    "names of the fields in the first line (separated by commas, semicolons or tabs); plain or packed with gzip or\n"
    "zstd. - is standard input. Names that differ from the fields' only in case or '_' are taken, others are said.\n"
    "Invalid records are counted, the first ones shown by file and line. A process that is away is waited for; one that\n"
    "says for 30 s that it is stopped, and takes nothing, is given up, with its reason.\n\n"
    "      --batch N        most records in a message (default 64)\n"
    "      --csv            the files are CSV, whatever their first lines\n"
    "      --prefix PREFIX  first level of the topics (default gait)\n"
    "      --rate R         publish at most R records a second\n" BROKER_OPTIONS_HELP
    "      --help           print this\n"
    "      --version        print the version\n\n"
    "Exit status: 0 every record is taken, 1 failed, 2 wrong usage, 65 some records are invalid, or a file holds none,\n"
    "78 wrong configuration, 128 and the signal's number when one ended it.\n";

struct request {
    struct transfer_options transfer;
    bool csv;
    enum record_kind kind;
    char **paths;
    int path_count;
};

/* "customer, accelerometer or step_trainer" */
static void
add_tables(struct buffer *out)
{
    for (unsigned i = 0; i < RECORD_LANDING_KINDS; i++) {
        const char *before = i == 0 ? "" : i + 1 < RECORD_LANDING_KINDS ? ", " : " or ";
        buffer_printf(out, "%s%s", before, record_kind_name((enum record_kind)i));
    }
}

static int
find_kind(const char *table, enum record_kind *kind)
{
    struct buffer tables = {NULL, 0, 0};

    for (unsigned i = 0; i < RECORD_LANDING_KINDS; i++) {
        if (strcmp(record_kind_name((enum record_kind)i), table) == 0) {
            *kind = (enum record_kind)i;
            return 0;
        }
    }
    add_tables(&tables);
    say("'%s' is not a table records are loaded into: %s", table, buffer_text(&tables));
    buffer_free(&tables);
    return -1;
}

/* 0 and *request; −1: wrong usage, said. */
static int
take_options(int argc, char **argv, const char *help, struct request *request)
{
    enum { OPTION_CSV = TRANSFER_OPTION_END };
    static const struct option longs[] = {
        BROKER_LONG_OPTIONS,
        TRANSFER_LONG_OPTIONS,
        {"csv", no_argument, NULL, OPTION_CSV},
        {NULL, 0, NULL, 0},
    };
    const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
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

static int
read_options(int argc, char **argv, struct request *request)
{
    struct buffer tables = {NULL, 0, 0};
    struct buffer help = {NULL, 0, 0};

    add_tables(&tables);
    buffer_printf(&help, help_format, buffer_text(&tables));
    const int rc = take_options(argc, argv, buffer_text(&help), request);
    buffer_free(&tables);
    buffer_free(&help);
    return rc;
}

/* Where we are. */
struct loading {
    struct transfer *transfer;
    struct names *names;
    struct input **inputs; /* one a path; NULL where the file is not open */
    uint64_t bytes_before; /* of the files that are done */
    uint64_t bytes_total;  /* 0: one of them is no plain file */
};

static struct input *
open_input(const struct request *request, struct loading *loading, int index)
{
    return input_open(request->paths[index], request->kind, request->csv, loading->names);
}

/* The exit code for an input's last answer. */
static int
exit_code(enum input_result result)
{
    switch (result) {
    case INPUT_REFUSED:
        return EXIT_DATA;
    case INPUT_FAULT:
        return EXIT_FAILED;
    default:
        return EXIT_DONE;
    }
}

/* What was found out about how the file is written; separator: that, too. */
static void
say_form(struct loading *loading, const struct input *input, bool separator)
{
    if (loading->transfer != NULL)
        transfer_clear(loading->transfer);
    if (separator && input_separator(input) != NULL)
        say("%s: the columns are separated by %s", input_name(input), input_separator(input));
    names_say(loading->names, input_name(input));
}

/* Look into every file before anything is sent: a load that can't be done is not begun. Plain files are closed again, there
 * may be more than a process may hold; a pipe stays open, its writer would not survive a second opening, and is not waited
 * for. */
static int
check_files(const struct request *request, struct loading *loading)
{
    bool known = true;
    int rc = EXIT_DONE;

    for (int i = 0; i < request->path_count && rc == EXIT_DONE; i++) {
        struct input *input = open_input(request, loading, i);
        if (input == NULL)
            return EXIT_FAILED;
        loading->bytes_total += input_bytes_total(input);
        if (input_is_file(input)) {
            rc = exit_code(input_begin(input));
            if (rc == EXIT_DONE)
                say_form(loading, input, true);
            input_free(input);
        } else {
            loading->inputs[i] = input;
            known = false;
        }
    }
    if (!known)
        loading->bytes_total = 0;
    return rc;
}

/* The exit code, also when a signal came. */
static int
load_file(const struct request *request, struct loading *loading, struct input *input, unsigned file)
{
    struct sender *sender = transfer_sender(loading->transfer);

    for (;;) {
        struct input_record record;
        enum input_result result = input_next(input, &record);
        int rc = 0;
        transfer_set_progress(loading->transfer, loading->bytes_before + input_bytes_done(input), loading->bytes_total);
        if (result == INPUT_RECORD) {
            struct sender_origin origin = {file, record.line, record.problem};
            rc = sender_add(sender, request->kind, record.text, &origin);
        } else if (result == INPUT_NOTHING_YET) {
            rc = sender_flush(sender);
        } else {
            return exit_code(result);
        }
        if (rc != 0)
            return EXIT_FAILED;
    }
}

static int
load_files(const struct request *request, struct loading *loading)
{
    int rc = EXIT_DONE;

    for (int i = 0; i < request->path_count && rc == EXIT_DONE; i++) {
        struct input **input = &loading->inputs[i];
        bool looked_at = *input == NULL;
        if (looked_at)
            *input = open_input(request, loading, i);
        if (*input == NULL)
            return EXIT_FAILED;
        rc = load_file(request, loading, *input, (unsigned)i);
        say_form(loading, *input, !looked_at);
        loading->bytes_before += input_bytes_done(*input);
        input_free(*input);
        *input = NULL;
    }
    return rc;
}

static int
load(struct request *request, struct loading *loading)
{
    int rc = check_files(request, loading);

    if (rc != EXIT_DONE)
        return rc;
    loading->transfer = transfer_new("load", &request->transfer);
    if (loading->transfer == NULL)
        return EXIT_FAILED;
    return transfer_end(loading->transfer, load_files(request, loading));
}

int
command_load(int argc, char **argv)
{
    struct request request = {.transfer = TRANSFER_OPTIONS_DEFAULT};
    struct loading loading = {0};

    if (read_options(argc, argv, &request) != 0)
        return EXIT_USAGE;
    int code = settings_complete(&request.transfer.broker, &request.transfer.prefix);
    if (code >= 0)
        return code;
    request.transfer.files = request.paths;
    loading.names = names_new(request.kind);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers, as meant */
    loading.inputs = calloc((size_t)request.path_count, sizeof *loading.inputs);
    if (loading.inputs == NULL)
        log_fatal("out of memory");
    int rc = load(&request, &loading);
    for (int i = 0; i < request.path_count; i++)
        input_free(loading.inputs[i]);
    free(loading.inputs);
    names_free(loading.names);
    return rc;
}
