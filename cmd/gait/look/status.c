/*
 * gait status: what every process has taken in and what became of it; and whether all of it is worked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/broker.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/options.h"
#include "base/printable.h"
#include "base/say.h"
#include "streams/catalog.h"
#include "common/commands.h"
#include "common/settings.h"
#include "look/layout.h"
#include "look/peers.h"

#define ANSWER_WAIT_MS 1000   /* a process that is this slow is worth a look */
#define ROUND_WAIT_MS 300     /* --wait-idle: a question that got lost is asked again */
#define ROUND_PAUSE_NS 10000000L /* --wait-idle: between two questions; also how late it may return */
#define ACKNOWLEDGE_WAIT_MS 10000 /* a commit, on a slow disk */
#define WAIT_SECONDS_MAX (7 * 24 * 3600)

static const char help[] =
    "usage: gait status [OPTION]... [--acknowledge [PROCESS]...]\n\n"
    "Show every process: state, what it has taken in, what became of it, and how far it is behind.\n"
    "Exit status 0 if all processes answered, every input balances, none went back in time, no inbox lost messages\n"
    "and nothing hinders one (no `why`), 1 if not.\n\n"
    "  --json               one JSON document instead of a table\n"
    "  --wait-idle SECONDS  print nothing and return as soon as everything that has come in is worked\n"
    "                       everywhere; exit status 1 if it is not after SECONDS\n"
    "  --acknowledge        tell these processes, or all, that you have seen that their state is an older copy\n"
    "                       of itself, or that their inbox lost messages: they go on; exit status 1 if one of\n"
    "                       them can't\n"
    "  --prefix PREFIX      first level of the topics (default gait)\n" BROKER_OPTIONS_HELP
    "  --help               print this\n"
    "  --version            print the version\n";

struct request {
    struct broker broker;
    const char *prefix;
    bool json;
    int wait_s; /* −1: don't wait */
    bool acknowledge;
    char **names; /* of processes, */
    int name_count; /* 0: all */
};

/*
 * For people.
 */

#define NAME_WIDTH 25 /* the longest, and a blank */
#define INPUT_INDENT "  "
#define INPUT_NAME_BYTES 80

/* An input's columns: its counters, and how far it is behind. Short, so that all fit beside the longest name. */
static const char *const headers[ANSWER_COUNTERS + 1] = {
    "taken", "passed", "wait", "refused", "dup", "stale", "invalid", "behind",
};

#define COLUMNS (sizeof headers / sizeof headers[0])

static const char *
state_of(const struct peer *peer)
{
    if (peer->answered)
        return peer->answer.state;
    if (strcmp(peer->status, "online") == 0)
        return "no answer";
    return peer->status[0] != '\0' ? peer->status : "unknown";
}

static bool
is_shown(const struct peers *peers, const struct peer *peer)
{
    return peer->answered || peers_expected(peers, peer);
}

/* The row of an input: its name, and the numbers for the columns. */
static void
make_row(const struct peers *peers, const struct peer *peer, unsigned i, char *name, int64_t *numbers)
{
    const struct stream_input *declared = &peer->stream->inputs[i];
    const struct answer_input *input = &peer->answer.inputs[i];

    snprintf(name, INPUT_NAME_BYTES, INPUT_INDENT "%s", declared->name);
    memcpy(numbers, input->counters, sizeof input->counters);
    numbers[ANSWER_COUNTERS] = 0;
    if (declared->from != NULL)
        numbers[ANSWER_COUNTERS] = answer_behind(input, &peers_find(peers, declared->from)->answer);
}

/* All inputs that have numbers share one layout. */
static void
measure(const struct peers *peers, struct layout *layout)
{
    char name[INPUT_NAME_BYTES];
    int64_t numbers[COLUMNS];
    unsigned count;
    const struct peer *list = peers_list(peers, &count);

    *layout = (struct layout){.title = "PROCESS, input", .headers = headers, .columns = COLUMNS, .kept = 2};
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; is_shown(peers, &list[i]) && list[i].known && j < list[i].stream->input_count; j++) {
            make_row(peers, &list[i], j, name, numbers);
            layout_measure(layout, name, numbers);
        }
    }
    layout_settle(layout);
}

/* A line, or more where it is long. */
static void
add_line(struct buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add_line(struct buffer *text, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    layout_add_paragraph(line, 4, text);
}

/* Consumers from outside: gait's own show how far they are behind in their own rows. */
static void
add_consumers(const struct peer *peer, struct buffer *text)
{
    for (unsigned i = 0; i < peer->answer.consumer_count; i++) {
        const struct answer_consumer *consumer = &peer->answer.consumers[i];
        if (catalog_find(consumer->name) == NULL)
            add_line(text, "  %s: %" PRId64 " messages wait for %s", peer->stream->topic != NULL ? peer->stream->topic : "",
                     peer->answer.last - consumer->applied, consumer->name);
    }
}

static void
add_peer(const struct peers *peers, const struct peer *peer, const struct layout *layout, struct buffer *text)
{
    char name[INPUT_NAME_BYTES];
    int64_t numbers[COLUMNS];
    bool old = peer->known && !peer->answered;

    buffer_printf(text, "%-*s %s%s\n", NAME_WIDTH, peer->stream->name, state_of(peer),
                  old ? "; what it said last, not of now:" : "");
    if (!peer->known)
        return;
    for (unsigned i = 0; i < peer->stream->input_count; i++) {
        make_row(peers, peer, i, name, numbers);
        layout_add_row(layout, name, numbers, text);
    }
    if (peer->answer.why[0] != '\0')
        add_line(text, "  why: %s", peer->answer.why);
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (peer->answer.reasons[i] != 0)
            add_line(text, "  %s: %" PRId64, reason_word(i), peer->answer.reasons[i]);
    }
    if (peer->answer.untold != 0)
        add_line(text, "  untold: %" PRId64, peer->answer.untold);
    for (unsigned i = 0; i < peer->answer.gauge_count; i++) {
        if (peer->answer.gauges[i].value != 0)
            add_line(text, "  %s: %" PRId64, peer->answer.gauges[i].name, peer->answer.gauges[i].value);
    }
    if (peer->answer.unanswered != 0)
        add_line(text, "  not answered: %" PRId64 " receipts or answers were wanted at a topic of somebody else",
                 peer->answer.unanswered);
    add_consumers(peer, text);
}

/* The last lines: of the whole. */
static void
add_verdicts(const struct peers *peers, struct buffer *text)
{
    struct buffer why = {NULL, 0, 0};
    unsigned expected;
    unsigned answered = peers_answered(peers, &expected);

    if (peers_at_rest(peers, &why))
        add_line(text, "at rest");
    else
        add_line(text, "not at rest: %s", buffer_text(&why));
    buffer_clear(&why);
    if (!peers_balanced(peers, &why))
        add_line(text, "BALANCE BROKEN: %s", buffer_text(&why));
    else if (answered < expected)
        add_line(text, "balance: %u of %u answered", answered, expected);
    else
        add_line(text, "balance ok");
    buffer_clear(&why);
    if (!peers_well(peers, &why))
        add_line(text, "not well: %s", buffer_text(&why));
    buffer_free(&why);
}

static void
print_table(const struct peers *peers)
{
    struct buffer text = {NULL, 0, 0};
    struct layout layout;
    unsigned count;
    const struct peer *list = peers_list(peers, &count);

    measure(peers, &layout);
    layout_add_headers(&layout, &text);
    for (unsigned i = 0; i < count; i++) {
        if (is_shown(peers, &list[i]))
            add_peer(peers, &list[i], &layout, &text);
    }
    if (layout.rounded)
        add_line(&text, "(rounded down: k 10^3, M 10^6, G 10^9, T 10^12, P 10^15, E 10^18; exactly with --json)");
    add_verdicts(peers, &text);
    fputs(buffer_text(&text), stdout);
    buffer_free(&text);
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
    struct buffer shown = {NULL, 0, 0};
    struct buffer why = {NULL, 0, 0};
    unsigned count;
    const struct peer *list = peers_list(peers, &count);
    const char *comma = "";

    buffer_add_text(&json, "{\"processes\":[");
    for (unsigned i = 0; i < count; i++) {
        if (!is_shown(peers, &list[i]))
            continue;
        buffer_add_text(&json, comma);
        add_document(&json, &list[i]);
        comma = ",";
    }
    unsigned expected;
    unsigned answered = peers_answered(peers, &expected);
    bool balanced = peers_balanced(peers, &why);
    buffer_printf(&json, "],\"expected\":%u,\"answered\":%u", expected, answered);
    buffer_clear(&why);
    buffer_printf(&json, ",\"at_rest\":%s", peers_at_rest(peers, &why) ? "true" : "false");
    /* Of what did not answer nothing is known: neither true nor false. */
    const char *otherwise = answered < expected ? "null" : "true";
    buffer_printf(&json, ",\"balanced\":%s", balanced ? otherwise : "false");
    buffer_printf(&json, ",\"well\":%s}", peers_well(peers, &why) ? otherwise : "false");
    printable_add_json(&shown, buffer_span(&json)); /* the documents are as whoever may publish there made them */
    puts(buffer_text(&shown));
    buffer_free(&json);
    buffer_free(&shown);
    buffer_free(&why);
}

/*
 * The two ways to ask.
 */

/* Nobody at all: rather a wrong broker or prefix than six dead processes. */
static void
look_for_nobody(const struct peers *peers, const struct request *request)
{
    struct buffer address = {NULL, 0, 0};
    unsigned expected;

    if (peers_answered(peers, &expected) > 0)
        return;
    broker_address(&request->broker, &address);
    say("nobody answers below prefix %s at %s: does gait run there, and with this prefix? --prefix or -c says another",
        request->prefix, buffer_text(&address));
    buffer_free(&address);
}

static int
show(struct peers *peers, const struct request *request)
{
    struct buffer why = {NULL, 0, 0};
    int asked = peers_ask(peers, clock_steady_ms(), ANSWER_WAIT_MS);

    if (asked < 0)
        return EXIT_FAILED;
    if (request->json)
        print_json(peers);
    else
        print_table(peers);
    look_for_nobody(peers, request);
    bool right = peers_balanced(peers, &why) && peers_onward(peers, &why) && peers_well(peers, &why);
    buffer_free(&why);
    return asked == 1 && right ? EXIT_DONE : EXIT_FAILED;
}

static bool
is_named(const struct request *request, const struct peer *peer)
{
    bool named = request->name_count == 0;

    for (int i = 0; i < request->name_count; i++)
        named |= strcmp(request->names[i], peer->stream->name) == 0;
    return named;
}

/* What is left to acknowledge of those that are named, told to them if tell is set: how many. */
static unsigned
count_told(struct peers *peers, const struct request *request, bool tell)
{
    unsigned count, left = 0;
    const struct peer *list = peers_list(peers, &count);

    for (unsigned i = 0; i < count; i++) {
        if (!is_named(request, &list[i]) || !list[i].answered || !list[i].answer.unacknowledged)
            continue;
        left++;
        if (tell)
            peers_acknowledge(peers, &list[i]);
    }
    return left;
}

/* Of those that are named: who is still not as it should be. */
static int
say_left(const struct peers *peers, const struct request *request)
{
    int result = EXIT_DONE;
    unsigned count;
    const struct peer *list = peers_list(peers, &count);

    for (unsigned i = 0; i < count; i++) {
        if (!is_named(request, &list[i]) || !is_shown(peers, &list[i]))
            continue;
        if (list[i].answered && !list[i].answer.unacknowledged)
            continue;
        say("%s: %s", list[i].stream->name, list[i].answered ? list[i].answer.why : "does not answer");
        result = EXIT_FAILED;
    }
    return result;
}

static int
acknowledge(struct peers *peers, const struct request *request)
{
    const struct timespec pause = {0, ROUND_PAUSE_NS};
    int64_t deadline_ms = clock_steady_ms() + ANSWER_WAIT_MS;

    if (peers_ask(peers, deadline_ms, ANSWER_WAIT_MS) < 0)
        return EXIT_FAILED;
    const unsigned back = count_told(peers, request, true);
    deadline_ms = clock_steady_ms() + (back > 0 ? ACKNOWLEDGE_WAIT_MS : 0);
    unsigned left = back;
    while (left > 0 && clock_steady_ms() < deadline_ms) {
        nanosleep(&pause, NULL);
        if (peers_ask(peers, deadline_ms, ROUND_WAIT_MS) < 0)
            return EXIT_FAILED;
        left = count_told(peers, request, false);
    }
    printf("%u acknowledged\n", back - left);
    look_for_nobody(peers, request);
    return say_left(peers, request);
}

static int
wait_idle(struct peers *peers, const struct request *request)
{
    const struct timespec pause = {0, ROUND_PAUSE_NS};
    struct buffer why = {NULL, 0, 0};
    int64_t deadline_ms = clock_steady_ms() + request->wait_s * INT64_C(1000);
    int result = EXIT_FAILED;

    for (;;) {
        buffer_clear(&why);
        if (peers_ask(peers, deadline_ms, ROUND_WAIT_MS) < 0)
            break;
        if (peers_at_rest(peers, &why)) {
            result = EXIT_DONE;
            break;
        }
        if (clock_steady_ms() >= deadline_ms) {
            say("not at rest after %d s: %s", request->wait_s, buffer_text(&why));
            look_for_nobody(peers, request);
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
        say("--wait-idle takes whole seconds, at most %d", WAIT_SECONDS_MAX);
        return -1;
    }
    return (int)value;
}

/* The processes behind --acknowledge; −1: one of them is none, said. */
static int
read_names(int argc, char **argv, struct request *request)
{
    if (request->json || request->wait_s >= 0) {
        options_refuse("--acknowledge goes with neither --json nor --wait-idle");
        return -1;
    }
    request->names = argv + optind;
    request->name_count = argc - optind;
    for (int i = 0; i < request->name_count; i++) {
        if (catalog_find(request->names[i]) == NULL) {
            options_refuse("--acknowledge: there is no process '%s'", request->names[i]);
            return -1;
        }
    }
    return 0;
}

/* 0 and *request; −1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_JSON = BROKER_OPTION_END, OPTION_WAIT_IDLE, OPTION_ACKNOWLEDGE, OPTION_PREFIX };
    static const struct option longs[] = {
        BROKER_LONG_OPTIONS,
        {"json", no_argument, NULL, OPTION_JSON},
        {"wait-idle", required_argument, NULL, OPTION_WAIT_IDLE},
        {"acknowledge", no_argument, NULL, OPTION_ACKNOWLEDGE},
        {"prefix", required_argument, NULL, OPTION_PREFIX},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        switch (option) {
        case OPTION_JSON:
            request->json = true;
            break;
        case OPTION_WAIT_IDLE:
            request->wait_s = read_seconds(optarg);
            if (request->wait_s < 0)
                return -1;
            break;
        case OPTION_ACKNOWLEDGE:
            request->acknowledge = true;
            break;
        case OPTION_PREFIX:
            request->prefix = optarg;
            break;
        case OPTIONS_BAD:
            return -1;
        default:
            if (broker_argument(&request->broker, option, optarg) != 1)
                return -1;
        }
    }
    if (request->acknowledge)
        return read_names(argc, argv, request);
    if (optind < argc)
        options_refuse("it takes no arguments, but got '%s'", argv[optind]);
    return optind == argc ? 0 : -1;
}

int
command_status(int argc, char **argv)
{
    struct request request = {.prefix = NULL, .wait_s = -1};

    if (read_options(argc, argv, &request) != 0)
        return EXIT_USAGE;
    int code = settings_complete(&request.broker, &request.prefix);
    if (code >= 0)
        return code;
    struct peers *peers = peers_new(&request.broker, request.prefix);
    if (peers == NULL)
        return EXIT_FAILED;
    int result = request.acknowledge   ? acknowledge(peers, &request)
                 : request.wait_s >= 0 ? wait_idle(peers, &request)
                                       : show(peers, &request);
    peers_free(peers);
    return result;
}
