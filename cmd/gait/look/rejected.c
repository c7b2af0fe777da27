/*
 * gait rejected: what every process has refused, by reason, and the newest few of each: when, on which topic, which field.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/broker.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/options.h"
#include "base/say.h"
#include "common/commands.h"
#include "common/settings.h"
#include "look/peers.h"

#define ANSWER_WAIT_MS 1000 /* as gait status */
#define LINE_COLUMNS 80
#define FIELD_COLUMN 24    /* behind indentation and time */
#define FIELD_WIDTH_MAX 25 /* the longest there is */
#define TIME_SIZE sizeof "2026-11-27 20:02:49"

static const char help[] =
    "usage: gait rejected [OPTION]...\n\n"
    "Show what every process has refused so far, by reason, and of each reason the newest few records: when they\n"
    "were refused, which field is at fault, and the topic they came on. Never what was in them.\n"
    "Exit status 0 if all processes answered, 1 if not.\n\n"
    "  --json               one JSON document instead of a table\n"
    "  --prefix PREFIX      first level of the topics (default gait)\n" BROKER_OPTIONS_HELP
    "  --help               print this\n"
    "  --version            print the version\n";

struct request {
    struct broker broker;
    const char *prefix;
    bool json;
};

/*
 * For people.
 */

/* A time as "2026-11-27 20:02:49", of the UTC. What is no time of these centuries is a row of dashes. */
static void
format_time(int64_t time_ms, char text[TIME_SIZE])
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;

    if (time_ms < 0 || gmtime_r(&seconds, &parts) == NULL || parts.tm_year > 9999 - 1900 ||
        strftime(text, TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(text, TIME_SIZE, "%s", "-------------------");
}

/* Of a topic that is too long for the line its end is shown: that is where devices differ. */
static void
print_refusal(const struct answer_refusal *refusal, int field_width)
{
    char time[TIME_SIZE];

    format_time(refusal->time_ms, time);
    const size_t room = (size_t)(LINE_COLUMNS - FIELD_COLUMN - 1 - field_width);
    const size_t len = strlen(refusal->topic);
    printf("    %s %-*.*s ", time, field_width, field_width, refusal->field[0] != '\0' ? refusal->field : "-");
    if (len <= room)
        puts(refusal->topic);
    else
        printf("...%s\n", refusal->topic + len - (room - 3));
}

/* Columns that the fields of all refusals take. */
static int
widest_field(const struct peer *list, unsigned count)
{
    size_t width = sizeof "FIELD" - 1;

    for (unsigned i = 0; i < count; i++) {
        for (unsigned r = 0; r < REASON_COUNT; r++) {
            for (unsigned j = 0; j < list[i].answer.recent_count[r]; j++) {
                const size_t len = strlen(list[i].answer.recent[r][j].field);
                width = len > width ? len : width;
            }
        }
    }
    return (int)(width < FIELD_WIDTH_MAX ? width : FIELD_WIDTH_MAX);
}

static bool
has_refused(const struct peer *peer)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (peer->answer.reasons[i] != 0)
            return true;
    }
    return false;
}

/* What is to be said of who does not answer, behind its name. */
static const char *
absence(const struct peer *peer)
{
    if (peer->answered)
        return "";
    if (!peer->known)
        return ": no answer, and the broker keeps nothing of it";
    return ": no answer; this is the last it said of itself";
}

static void
print_peer(const struct peer *peer, int field_width)
{
    if (peer->answered && !has_refused(peer))
        return;
    printf("%s%s\n", peer->stream->name, absence(peer));
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (peer->answer.reasons[i] == 0)
            continue;
        printf("  %-40s %12" PRId64 "\n", reason_word(i), peer->answer.reasons[i]);
        for (unsigned j = 0; j < peer->answer.recent_count[i]; j++)
            print_refusal(&peer->answer.recent[i][j], field_width);
    }
}

static void
print_table(const struct peers *peers, bool all_answered)
{
    unsigned count;
    bool any = false;
    const struct peer *list = peers_list(peers, &count);
    const int field_width = widest_field(list, count);

    for (unsigned i = 0; i < count; i++)
        any = any || has_refused(&list[i]);
    if (any)
        printf("%-42s %12s\n    %-19s %-*s %s\n", "PROCESS AND REASON", "COUNT", "THE NEWEST, UTC", field_width, "FIELD",
               "TOPIC");
    for (unsigned i = 0; i < count; i++) {
        if (list[i].answered || peers_expected(peers, &list[i]))
            print_peer(&list[i], field_width);
    }
    if (!any && all_answered)
        puts("nothing was refused");
}

/*
 * For programs.
 */

static void
add_refusals(struct buffer *json, const struct answer *answer, unsigned reason)
{
    for (unsigned i = 0; i < answer->recent_count[reason]; i++) {
        const struct answer_refusal *refusal = &answer->recent[reason][i];
        buffer_add_text(json, i > 0 ? ",{" : "{");
        if (refusal->field[0] != '\0') {
            buffer_add_text(json, "\"field\":");
            buffer_add_json_string(json, span_of(refusal->field));
            buffer_add_byte(json, ',');
        }
        buffer_add_text(json, "\"topic\":");
        buffer_add_json_string(json, span_of(refusal->topic));
        buffer_printf(json, ",\"time\":%" PRId64 "}", refusal->time_ms);
    }
}

static void
add_peer(struct buffer *json, const struct peer *peer)
{
    const char *comma = "";

    buffer_printf(json, "{\"process\":\"%s\",\"answered\":%s,\"reasons\":{", peer->stream->name,
                  peer->answered ? "true" : "false");
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (peer->answer.reasons[i] == 0)
            continue;
        buffer_printf(json, "%s\"%s\":{\"count\":%" PRId64 ",\"recent\":[", comma, reason_word(i), peer->answer.reasons[i]);
        add_refusals(json, &peer->answer, i);
        buffer_add_text(json, "]}");
        comma = ",";
    }
    buffer_add_text(json, "}}");
}

static void
print_json(const struct peers *peers)
{
    struct buffer json = {NULL, 0, 0};
    unsigned count;
    const struct peer *list = peers_list(peers, &count);
    const char *comma = "";

    buffer_add_text(&json, "{\"processes\":[");
    for (unsigned i = 0; i < count; i++) {
        if (!list[i].answered && !peers_expected(peers, &list[i]))
            continue;
        buffer_add_text(&json, comma);
        add_peer(&json, &list[i]);
        comma = ",";
    }
    buffer_add_text(&json, "]}");
    puts(buffer_text(&json));
    buffer_free(&json);
}

/* 0 and *request; −1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_JSON = BROKER_OPTION_END, OPTION_PREFIX };
    static const struct option longs[] = {
        BROKER_LONG_OPTIONS,
        {"json", no_argument, NULL, OPTION_JSON},
        {"prefix", required_argument, NULL, OPTION_PREFIX},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTION_JSON)
            request->json = true;
        else if (option == OPTION_PREFIX)
            request->prefix = optarg;
        else if (option == OPTIONS_BAD || broker_argument(&request->broker, option, optarg) != 1)
            return -1;
    }
    if (optind < argc)
        options_refuse("it takes no arguments, but got '%s'", argv[optind]);
    return optind == argc ? 0 : -1;
}

int
command_rejected(int argc, char **argv)
{
    struct request request = {.prefix = NULL};

    if (read_options(argc, argv, &request) != 0)
        return EXIT_USAGE;
    int code = settings_complete(&request.broker, &request.prefix);
    if (code >= 0)
        return code;
    struct peers *peers = peers_new(&request.broker, request.prefix);
    if (peers == NULL)
        return EXIT_FAILED;
    int asked = peers_ask(peers, clock_steady_ms(), ANSWER_WAIT_MS);
    if (asked >= 0 && request.json)
        print_json(peers);
    else if (asked >= 0)
        print_table(peers, asked == 1);
    peers_free(peers);
    return asked == 1 ? EXIT_DONE : EXIT_FAILED;
}
