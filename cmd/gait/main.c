/*
 * gait: the tools around the processes, as subcommands.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/suggest.h"

#include "commands.h"
#include "say.h"

#define COMMAND_NAME_BYTES 32 /* the longest, with "gait " */

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *prose;
};

static int command_help(int argc, char **argv);

static const struct command commands[] = {
    {"up", command_up, "run the whole pipeline in the foreground"},
    {"check", command_check, "say what is wrong with a configuration, or list its keys"},
    {"load", command_load, "publish files of records, until every record has its receipt"},
    {"simulate", command_simulate, "make records of people who do not exist"},
    {"status", command_status, "show what every process has taken in and what became of it"},
    {"tail", command_tail, "follow a table or stream"},
    {"help", command_help, "print this, or what one command does: gait help COMMAND"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

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
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].prose);
    fputs(options_text, out);
}

static int
refuse_command(const char *name)
{
    const char *nearest = suggest_nearest(name, &commands[0].name, sizeof commands[0], COMMAND_COUNT);
    const char *what = name[0] == '-' ? "option" : "command";
    if (nearest != NULL)
        say("unknown %s '%s'; did you mean %s? gait help lists all", what, name, nearest);
    else
        say("unknown %s '%s'; gait help lists all commands", what, name);
    return COMMAND_USAGE;
}

/* Run the command in argv[0]. */
static int
run_command(int argc, char **argv)
{
    static char name[COMMAND_NAME_BYTES]; /* stays valid: what is said begins with it */
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        snprintf(name, sizeof name, "gait %s", commands[i].name);
        say_as(name);
        log_open(name, LOG_INFO);
        return commands[i].run(argc, argv);
    }
    return refuse_command(argv[0]);
}

static int
command_help(int argc, char **argv)
{
    static const struct option none[] = {{NULL, 0, NULL, 0}};
    static const struct options options = {"", none, "usage: gait help [COMMAND]\n\nPrint what gait's commands are, or what one does.\n"};
    static char help[] = "--help";
    if (options_next(&options, argc, argv) != -1)
        return COMMAND_USAGE;
    if (argc - optind > 1) {
        options_refuse("one command at a time");
        return COMMAND_USAGE;
    }
    if (optind == argc || strcmp(argv[optind], "help") == 0) {
        print_help(stdout);
        return COMMAND_DONE;
    }
    char *asked[] = {argv[optind], help, NULL};
    optind = 0; /* begin anew, as getopt_long wants it said */
    return run_command(2, asked);
}

static int
run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return COMMAND_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return COMMAND_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("gait " GAIT_VERSION);
        return COMMAND_DONE;
    }
    return run_command(argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
    say_begin();
    return say_end(run(argc, argv));
}
