#include "base/options.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/say.h"
#include "base/suggest.h"

#define SHORTS_BYTES_MAX 64

enum { OPTION_HELP = 0x10000, OPTION_VERSION };

struct lists {
    struct option longs[OPTIONS_MAX + 3];
    char shorts[SHORTS_BYTES_MAX];
    unsigned count; /* of longs */
};

/* A ':' in front: getopt_long tells a value that is missing from an option that is none. */
static void
make_lists(const struct options *options, struct lists *lists)
{
    lists->count = 0;
    for (const struct option *option = options->longs; option->name != NULL; option++) {
        if (lists->count == OPTIONS_MAX)
            log_panic("more options than OPTIONS_MAX");
        lists->longs[lists->count++] = *option;
    }
    lists->longs[lists->count++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    lists->longs[lists->count++] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
    lists->longs[lists->count] = (struct option){NULL, 0, NULL, 0};
    log_assert(strlen(options->shorts) + 1 < sizeof lists->shorts);
    snprintf(lists->shorts, sizeof lists->shorts, ":%s", options->shorts);
}

void
options_refuse(const char *format, ...)
{
    struct buffer text = {NULL, 0, 0};
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buffer_printf(&text, "%s (for help: %s --help)", line, say_name());
    say("%s", buffer_text(&text));
    buffer_free(&text);
}

/* The names that begin as typed does, which has no value behind it; how many. */
static unsigned
find_begun(const struct lists *lists, const char *typed, struct buffer *names)
{
    unsigned count = 0;

    for (unsigned i = 0; i < lists->count; i++) {
        if (strncmp(lists->longs[i].name, typed, strlen(typed)) != 0)
            continue;
        buffer_printf(names, "%s--%s", count > 0 ? ", " : "", lists->longs[i].name);
        count++;
    }
    return count;
}

static void
refuse_long(const struct lists *lists, const char *typed)
{
    struct buffer begun = {NULL, 0, 0};
    const char *nearest = suggest_nearest(typed, &lists->longs[0].name, sizeof lists->longs[0], lists->count);

    if (typed[0] != '\0' && find_begun(lists, typed, &begun) > 1)
        options_refuse("option '--%s' may be any of %s", typed, buffer_text(&begun));
    else if (nearest != NULL)
        options_refuse("unknown option '--%s'; did you mean --%s?", typed, nearest);
    else
        options_refuse("unknown option '--%s'", typed);
    buffer_free(&begun);
}

/* What getopt_long did not take: optopt is the letter, or a long option's number, or 0 for one that it does not know. The
 * value that stands behind a '=' is not shown: it may be a password. */
static void
refuse_option(const struct lists *lists, const char *word, bool value_missing)
{
    char typed[SHORTS_BYTES_MAX];
    bool is_long = word[0] == '-' && word[1] == '-';

    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word, "="), word);
    if (value_missing && is_long)
        options_refuse("option '%s' needs a value", typed);
    else if (value_missing)
        options_refuse("option '-%c' needs a value", optopt);
    else if (is_long && optopt != 0)
        options_refuse("option '%s' takes no value", typed);
    else if (is_long)
        refuse_long(lists, typed + 2);
    else
        options_refuse("unknown option '-%c'", optopt);
}

static _Noreturn void
print_help(const struct options *options)
{
    fputs(options->help, stdout);
    exit(say_end(EXIT_DONE));
}

/* -h is a host's letter in most programs; where it is none, or no host stands behind it, it asks for help as elsewhere. */
int
options_next(const struct options *options, int argc, char **argv)
{
    struct lists lists;

    make_lists(options, &lists);
    opterr = 0;
    /* Where several letters share a word, optind goes on only behind the last. */
    int at = optind > 0 ? optind : 1;
    int option = getopt_long(argc, argv, lists.shorts, lists.longs, NULL);
    switch (option) {
    case ':':
    case '?':
        if (optind > at || at >= argc)
            at = optind - 1;
        if (strcmp(argv[at], "-h") == 0)
            print_help(options);
        refuse_option(&lists, argv[at], option == ':');
        return OPTIONS_BAD;
    case OPTION_HELP:
        print_help(options);
    case OPTION_VERSION:
        printf("%.*s %s\n", (int)strcspn(say_name(), " "), say_name(), GAIT_VERSION); /* the program's, not the command's */
        exit(say_end(EXIT_DONE));
    default:
        return option;
    }
}
