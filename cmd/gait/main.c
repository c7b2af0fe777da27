/*
 * gait: the tools around the processes, as subcommands.
 */
#include <stdio.h>
#include <string.h>

#include "commands.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *prose;
};

static const struct command commands[] = {
    {"up", command_up, "run the whole pipeline in the foreground"},
    {"check", command_check, "say what is wrong with a configuration, or list its keys"},
    {"load", command_load, "publish files of records, until every record has its receipt"},
    {"simulate", command_simulate, "make records of people who do not exist"},
    {"status", command_status, "show what every process has taken in and what became of it"},
    {"rejected", command_rejected, "show what was refused, and the newest of it"},
    {"tail", command_tail, "follow a table or stream"},
};

static void
print_help(FILE *out)
{
    fputs("usage: gait COMMAND [OPTION]... [ARGUMENT]...\n"
          "       gait COMMAND --help\n"
          "       gait --version\n\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].prose);
    fputs("\nExit status: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.\n", out);
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (strcmp(name, "--help") == 0) {
        print_help(stdout);
        return COMMAND_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        puts("gait " GAIT_VERSION);
        return COMMAND_DONE;
    }
    if (argc > 1)
        fprintf(stderr, "gait: unknown command '%s'\n", name);
    print_help(stderr);
    return COMMAND_USAGE;
}
