/*
 * The choice among the commands, and gait help.
 */
#include "common/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "base/say.h"
#include "base/suggest.h"

#define COMMAND_NAME_BYTES 32 /* the longest, with "gait " */

static const struct command *commands; /* commands_run's */
static unsigned command_count;

static const char options_text[] =
    "\nEvery command has --help and --version, and a manual page, gait-COMMAND(1).\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 65 data refused, 78 wrong configuration.\n";

static void
print_help(FILE *out)
{
    fputs("usage: gait COMMAND [OPTION]... [ARGUMENT]...\n"
          "       gait help [COMMAND]\n"
          "       gait --version\n\n",
          out);
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].prose);
    fputs(options_text, out);
}

static int
refuse_command(const char *name)
{
    static const char *const options[] = {"--help", "--version"};
    const char *nearest = suggest_nearest(name, &commands[0].name, sizeof commands[0], command_count);

    if (nearest == NULL)
        nearest = suggest_nearest(name, options, sizeof options[0], sizeof options / sizeof options[0]);
    const char *what = name[0] == '-' ? "option" : "command";
    if (nearest != NULL)
        say("unknown %s '%s'; did you mean %s? gait help lists all", what, name, nearest);
    else
        say("unknown %s '%s'; gait help lists all commands", what, name);
    return EXIT_USAGE;
}

/* Run the command in argv[0]. */
static int
run_command(int argc, char **argv)
{
    static char name[COMMAND_NAME_BYTES]; /* stays valid: what is said begins with it */

    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        snprintf(name, sizeof name, "gait %s", commands[i].name);
        say_as(name);
        log_open(name, LOG_INFO);
        return commands[i].run(argc, argv);
    }
    return refuse_command(argv[0]);
}

static const char help[] =
    "usage: gait help [COMMAND]\n\n"
    "Print what commands gait has, or what one does.\n\n"
    "      --help     print this\n"
    "      --version  print the version\n";

int
command_help(int argc, char **argv)
{
    static const struct option none[] = {{NULL, 0, NULL, 0}};
    static const struct options options = {"", none, help};
    static char help_option[] = "--help";

    if (options_next(&options, argc, argv) != -1)
        return EXIT_USAGE;
    if (argc - optind > 1) {
        options_refuse("one command at a time");
        return EXIT_USAGE;
    }
    if (optind == argc || strcmp(argv[optind], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    char *asked[] = {argv[optind], help_option, NULL};
    optind = 0; /* begin anew, as getopt_long wants it said */
    return run_command(2, asked);
}

int
commands_run(const struct command *list, unsigned count, int argc, char **argv)
{
    commands = list;
    command_count = count;
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("gait " GAIT_VERSION);
        return EXIT_DONE;
    }
    return run_command(argc - 1, argv + 1);
}
