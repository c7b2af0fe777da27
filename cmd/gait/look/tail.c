/*
 * gait tail: follow what a process gives out, one record a line.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "base/printable.h"
#include "base/say.h"
#include "base/suggest.h"
#include "wire/topic.h"
#include "streams/catalog.h"
#include "common/client.h"
#include "common/commands.h"
#include "common/settings.h"

static const char help[] =
    "usage: gait tail [OPTION]... TABLE\n\n"
    "Follow a table or stream, one record a line; for a table each line begins with the row's name. Ends with Ctrl-C.\n"
    "TABLE may go without its first level where that is clear: machine_learning is curated/machine_learning.\n"
    "It ends, too, when nobody reads what it prints any more.\n\n"
    "  --prefix PREFIX      first level of the topics (default gait)\n" BROKER_OPTIONS_HELP
    "  --help               print this\n"
    "  --version            print the version\n";

#define TABLES_MAX (STREAMS_OUTPUTS + 1) /* in the catalog, and one */
#define REJECTED "rejected"   /* not in the catalog: every process has one */
#define RECONNECT_MS 60000    /* how long we try to find a broker again that went away */

struct request {
    struct broker broker;
    const char *prefix;
    const char *table;
};

/* What is followed. */
struct target {
    const char *topic; /* below the prefix */
    bool rows;         /* one topic a row or process */
    bool row_names;    /* show the row's name */
};

struct follower {
    char *filter;
    bool row_names;
    struct buffer line;
    int write_errno; /* why standard output is no use any more; 0 while it is */
};

/* One record as one line; a row that is gone from the broker has none. */
static void
add_line(struct follower *follower, struct span row, struct span record)
{
    if (follower->row_names) {
        printable_add(&follower->line, row);
        buffer_add_byte(&follower->line, ' ');
    }
    printable_add(&follower->line, record); /* also into a pipe, behind which a terminal may be */
    buffer_add_byte(&follower->line, '\n');
}

static void
on_message(void *context, const struct wire_message *message)
{
    struct follower *follower = context;
    struct span rest = message->payload;
    struct span row;

    if (!topic_matches(message->topic, follower->filter, &row))
        return;
    buffer_clear(&follower->line);
    while (rest.len != 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.at) : rest.len;
        if (len != 0)
            add_line(follower, row, span_at(rest.at, len));
        rest = span_at(rest.at + len, rest.len - len);
        if (end != NULL)
            rest = span_at(rest.at + 1, rest.len - 1);
    }
    if (fwrite(follower->line.data, 1, follower->line.len, stdout) != follower->line.len || fflush(stdout) != 0)
        follower->write_errno = errno;
}

static const char *
short_name(const char *topic)
{
    const char *slash = strrchr(topic, '/');

    return slash != NULL ? slash + 1 : topic;
}

/* Whether table is topic, or its last level and by_short_name. */
static bool
is_named(const char *table, const char *topic, bool by_short_name)
{
    return strcmp(table, by_short_name ? short_name(topic) : topic) == 0;
}

/* How many topics table means; *target is one of them. */
static unsigned
count_targets(const char *table, bool by_short_name, struct target *target)
{
    unsigned count = 0;

    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        const struct stream *stream = catalog_streams[i];
        if (stream->topic == NULL || !is_named(table, stream->topic, by_short_name))
            continue;
        bool rows = stream->kind == STREAM_TABLE;
        *target = (struct target){stream->topic, rows, rows};
        count++;
    }
    return count;
}

/* 0 and *target, or −1 if table is unknown or means more than one. */
static int
find_target(const char *table, struct target *target)
{
    if (strcmp(table, REJECTED) == 0) {
        *target = (struct target){REJECTED, true, false};
        return 0;
    }
    if (count_targets(table, false, target) == 1)
        return 0;
    return count_targets(table, true, target) == 1 ? 0 : -1;
}

/* All names there are; how many. */
static unsigned
list_tables(const char **names, const char **short_names)
{
    unsigned count = 0;

    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (catalog_streams[i]->topic != NULL)
            names[count++] = catalog_streams[i]->topic;
    }
    names[count++] = REJECTED;
    for (unsigned i = 0; i < count; i++)
        short_names[i] = short_name(names[i]);
    return count;
}

static void
refuse_table(const char *table)
{
    const char *names[TABLES_MAX];
    const char *short_names[TABLES_MAX];
    struct buffer list = {NULL, 0, 0};
    unsigned count = list_tables(names, short_names);

    for (unsigned i = 0; i < count; i++)
        buffer_printf(&list, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " and ", names[i]);
    const char *nearest = suggest_nearest(table, names, sizeof names[0], count);
    if (nearest == NULL)
        nearest = suggest_nearest(table, short_names, sizeof short_names[0], count);
    if (nearest == NULL)
        say("there is no table '%s'; there are %s", table, buffer_text(&list));
    else if (strcmp(nearest, table) == 0)
        say("'%s' may be more than one table; there are %s", table, buffer_text(&list));
    else
        say("there is no table '%s', did you mean %s? There are %s", table, nearest, buffer_text(&list));
    buffer_free(&list);
}

/* 0 and *request; −1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_PREFIX = BROKER_OPTION_END };
    static const struct option longs[] = {
        BROKER_LONG_OPTIONS,
        {"prefix", required_argument, NULL, OPTION_PREFIX},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTION_PREFIX)
            request->prefix = optarg;
        else if (option == OPTIONS_BAD || broker_argument(&request->broker, option, optarg) != 1)
            return -1;
    }
    if (optind + 1 != argc) {
        options_refuse("%s", optind == argc ? "which TABLE?" : "one TABLE at a time");
        return -1;
    }
    request->table = argv[optind];
    return 0;
}

/* Whoever reads what we print may go away while no message comes, or while the broker is away; then nothing would ever
 * tell. Every line is written out at once, so the end may come at any time, as with signals. */
static void *
end_with_reader(void *context)
{
    struct pollfd reader = {STDOUT_FILENO, 0, 0};

    (void)context;
    for (;;) {
        if (poll(&reader, 1, -1) < 0)
            continue;
        if ((reader.revents & POLLNVAL) != 0)
            return NULL; /* writing says it */
        if ((reader.revents & (POLLERR | POLLHUP)) != 0)
            _exit(EXIT_DONE);
    }
}

static void
watch_reader(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, end_with_reader, NULL) != 0)
        log_fatal("can't start a thread");
    pthread_detach(thread);
}

/* Print until standard output is closed (0) or the broker is gone for good or refuses (−1). Signals just end us: every
 * line is written out at once. */
static int
follow(struct client *client, const struct follower *follower)
{
    int64_t deadline_ms = clock_steady_ms(); /* a broker that was never there is not waited for */

    for (;;) {
        if (client_connect(client, deadline_ms) != 0)
            return -1;
        client_lock(client);
        while (follower->write_errno == 0 && client_is_up(client))
            client_wait(client, INT64_MAX);
        int write_errno = follower->write_errno;
        client_unlock(client);
        if (write_errno != 0) {
            if (write_errno != EPIPE)
                say("standard output: %s", strerror(write_errno));
            return write_errno == EPIPE ? 0 : -1;
        }
        deadline_ms = clock_steady_ms() + RECONNECT_MS;
    }
}

int
command_tail(int argc, char **argv)
{
    struct request request = {.prefix = NULL};
    struct target target;

    if (read_options(argc, argv, &request) != 0)
        return EXIT_USAGE;
    if (find_target(request.table, &target) != 0) {
        refuse_table(request.table);
        return EXIT_USAGE;
    }
    int code = settings_complete(&request.broker, &request.prefix);
    if (code >= 0)
        return code;
    watch_reader();
    struct follower follower = {
        .filter = topic_name(target.rows ? TOPIC_ROWS : TOPIC_OUTPUT, request.prefix, target.topic, NULL),
        .row_names = target.row_names,
    };
    const struct client_options options = {
        .broker = &request.broker, .name = "gait", .context = &follower, .message = on_message};
    struct client *client = client_new(&options);
    if (client != NULL)
        client_filters(client, (const char *const *)&follower.filter, 1);
    int result = client != NULL && follow(client, &follower) == 0 ? EXIT_DONE : EXIT_FAILED;
    client_free(client);
    buffer_free(&follower.line);
    free(follower.filter);
    return result;
}
