/*
 * gait status: what every process has taken in and what became of it; and whether all of it is worked.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/broker.h"
#include "base/clock.h"
#include "streams/catalog.h"

#include "commands.h"
#include "peers.h"

#define ANSWER_WAIT_MS 1000   /* a process that is this slow is worth a look */
#define ROUND_WAIT_MS 300     /* --wait-idle: a question that got lost is asked again */
#define ROUND_PAUSE_NS 10000000L /* --wait-idle: between two questions; also how late it may return */
#define WAIT_SECONDS_MAX (7 * 24 * 3600)

static const char help[] =
    "usage: gait status [OPTION]...\n\n"
    "Show every process: state, what it has taken in, what became of it, and how far it is behind.\n"
    "Exit status 0 if all processes answered, 1 if not.\n\n"
    "      --json               one JSON document instead of a table\n"
    "      --wait-idle SECONDS  print nothing and return as soon as everything that has come in is worked\n"
    "                           everywhere; exit status 1 if it is not after SECONDS\n"
    "      --prefix PREFIX      first level of the topics (default gait)\n" BROKER_OPTIONS_HELP
    "      --help               print this\n";

struct request {
    struct broker broker;
    const char *prefix;
    bool json;
    int wait_s; /* −1: don't wait */
};

/*
 * For people.
 */

static const char *
state_of(const struct peer *peer)
{
    if (peer->answered)
        return peer->answer.state;
    if (strcmp(peer->status, "online") == 0)
        return "no answer";
    return peer->status[0] != '\0' ? peer->status : "unknown";
}

static void
print_header(void)
{
    printf("%-25s %-9s %-25s", "PROCESS", "STATE", "INPUT");
    for (unsigned i = 0; i < ANSWER_COUNTERS; i++)
        printf(" %9s", answer_counter_names[i]);
    printf(" %9s\n", "behind");
}

static void
print_input(const struct peers *peers, const struct peer *peer, unsigned i)
{
    const struct stream_input *declared = &peer->stream->inputs[i];
    const struct answer_input *input = &peer->answer.inputs[i];
    printf("%-25s %-9s %-25s", i == 0 ? peer->stream->name : "", i == 0 ? state_of(peer) : "", declared->name);
    for (unsigned j = 0; j < ANSWER_COUNTERS; j++)
        printf(" %9" PRId64, input->counters[j]);
    if (declared->from != NULL)
        printf(" %9" PRId64, answer_behind(input, &peers_find(peers, declared->from)->answer));
    putchar('\n');
}

/* Consumers from outside: gait's own show how far they are behind in their own rows. */
static void
print_consumers(const struct peer *peer)
{
    for (unsigned i = 0; i < peer->answer.consumer_count; i++) {
        const struct answer_consumer *consumer = &peer->answer.consumers[i];
        if (catalog_find(consumer->name) == NULL)
            printf("  %s: %" PRId64 " messages wait for %s\n", peer->stream->topic != NULL ? peer->stream->topic : "",
                   peer->answer.last - consumer->applied, consumer->name);
    }
}

static void
print_peer(const struct peers *peers, const struct peer *peer)
{
    if (!peer->known) {
        printf("%-25s %s\n", peer->stream->name, state_of(peer));
        return;
    }
    for (unsigned i = 0; i < peer->stream->input_count; i++)
        print_input(peers, peer, i);
    if (peer->answer.why[0] != '\0')
        printf("  why: %s\n", peer->answer.why);
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (peer->answer.reasons[i] != 0)
            printf("  %s: %" PRId64 "\n", reason_word(i), peer->answer.reasons[i]);
    }
    print_consumers(peer);
}

static void
print_table(const struct peers *peers)
{
    struct buffer why = {NULL, 0, 0};
    unsigned count;
    const struct peer *list = peers_list(peers, &count);
    print_header();
    for (unsigned i = 0; i < count; i++) {
        if (list[i].answered || peers_expected(peers, &list[i]))
            print_peer(peers, &list[i]);
    }
    if (peers_at_rest(peers, &why))
        puts("at rest");
    else
        printf("not at rest: %s\n", buffer_text(&why));
    buffer_clear(&why);
    if (peers_balanced(peers, &why))
        puts("balance ok");
    else
        printf("BALANCE BROKEN: %s\n", buffer_text(&why));
    buffer_free(&why);
}

/*
 * For programs.
 */

/* The process's own document with "answered" as a first member more; `known` says that it is an object. */
static void
add_document(struct buffer *json, const struct peer *peer)
{
    buffer_printf(json, "{\"answered\":%s,", peer->answered ? "true" : "false");
    if (!peer->answered && peer->status[0] != '\0')
        buffer_printf(json, "\"status\":\"%s\",", peer->status);
    if (peer->known) {
        const char *brace = memchr(peer->text.data, '{', peer->text.len);
        size_t skip = (size_t)(brace + 1 - peer->text.data);
        buffer_add(json, peer->text.data + skip, peer->text.len - skip);
    } else {
        buffer_printf(json, "\"process\":\"%s\"}", peer->stream->name);
    }
}

static void
print_json(const struct peers *peers)
{
    struct buffer json = {NULL, 0, 0};
    struct buffer why = {NULL, 0, 0};
    unsigned count;
    const struct peer *list = peers_list(peers, &count);
    const char *comma = "";
    buffer_add_text(&json, "{\"processes\":[");
    for (unsigned i = 0; i < count; i++) {
        if (!list[i].answered && !peers_expected(peers, &list[i]))
            continue;
        buffer_add_text(&json, comma);
        add_document(&json, &list[i]);
        comma = ",";
    }
    buffer_printf(&json, "],\"at_rest\":%s", peers_at_rest(peers, &why) ? "true" : "false");
    buffer_printf(&json, ",\"balanced\":%s}", peers_balanced(peers, &why) ? "true" : "false");
    puts(buffer_text(&json));
    buffer_free(&json);
    buffer_free(&why);
}

/*
 * The two ways to ask.
 */

static int
show(struct peers *peers, const struct request *request)
{
    int asked = peers_ask(peers, clock_steady_ms(), ANSWER_WAIT_MS);
    if (asked < 0)
        return COMMAND_FAILED;
    if (request->json)
        print_json(peers);
    else
        print_table(peers);
    return asked == 1 ? COMMAND_DONE : COMMAND_FAILED;
}

static int
wait_idle(struct peers *peers, const struct request *request)
{
    const struct timespec pause = {0, ROUND_PAUSE_NS};
    struct buffer why = {NULL, 0, 0};
    int64_t deadline_ms = clock_steady_ms() + request->wait_s * INT64_C(1000);
    int result = COMMAND_FAILED;
    for (;;) {
        buffer_clear(&why);
        if (peers_ask(peers, deadline_ms, ROUND_WAIT_MS) < 0)
            break;
        if (peers_at_rest(peers, &why)) {
            result = COMMAND_DONE;
            break;
        }
        if (clock_steady_ms() >= deadline_ms) {
            fprintf(stderr, "gait status: not at rest after %d s: %s\n", request->wait_s, buffer_text(&why));
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (request->json)
        print_json(peers);
    buffer_free(&why);
    return result;
}

static int
read_seconds(const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > WAIT_SECONDS_MAX) {
        fprintf(stderr, "gait status: --wait-idle takes whole seconds, at most %d\n", WAIT_SECONDS_MAX);
        return -1;
    }
    return (int)value;
}

/* 0 and *request; 1: help was asked for; −1: wrong usage, a line is on standard error. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_JSON = BROKER_OPTION_END, OPTION_WAIT_IDLE, OPTION_PREFIX, OPTION_HELP };
    static const struct option options[] = {
        BROKER_LONG_OPTIONS,
        {"json", no_argument, NULL, OPTION_JSON},
        {"wait-idle", required_argument, NULL, OPTION_WAIT_IDLE},
        {"prefix", required_argument, NULL, OPTION_PREFIX},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, BROKER_SHORT_OPTIONS, options, NULL)) != -1) {
        switch (option) {
        case OPTION_JSON:
            request->json = true;
            break;
        case OPTION_WAIT_IDLE:
            request->wait_s = read_seconds(optarg);
            if (request->wait_s < 0)
                return -1;
            break;
        case OPTION_PREFIX:
            request->prefix = optarg;
            break;
        case OPTION_HELP:
            return 1;
        default:
            if (broker_option(&request->broker, option, optarg) != 1)
                return -1;
        }
    }
    return optind == argc ? 0 : -1;
}

int
command_status(int argc, char **argv)
{
    struct request request = {.prefix = "gait", .wait_s = -1};
    int usage = read_options(argc, argv, &request);
    if (usage != 0) {
        fputs(help, usage > 0 ? stdout : stderr);
        return usage > 0 ? COMMAND_DONE : COMMAND_USAGE;
    }
    struct peers *peers = peers_new(&request.broker, request.prefix);
    if (peers == NULL)
        return COMMAND_FAILED;
    int result = request.wait_s >= 0 ? wait_idle(peers, &request) : show(peers, &request);
    peers_free(peers);
    return result;
}
