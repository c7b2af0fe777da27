/*
 * commands: the subcommands of gait, one file each. Each takes its arguments with argv[0] = its own name and returns
 * the exit code.
 */
#ifndef COMMON_COMMANDS_H
#define COMMON_COMMANDS_H

/* Exit codes of every program; 65 and 78 are EX_DATAERR and EX_CONFIG of sysexits.h. */
enum { COMMAND_DONE = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2, COMMAND_DATA = 65, COMMAND_CONFIGURATION = 78 };

/* One of them: a row of main.c's table. */
struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *prose; /* for gait help */
};

/* Run the one that the arguments of main name, or say which there are. The exit code. */
int commands_run(const struct command *list, unsigned count, int argc, char **argv);

int command_up(int argc, char **argv);
int command_check(int argc, char **argv);
int command_load(int argc, char **argv);
int command_simulate(int argc, char **argv);
int command_status(int argc, char **argv);
int command_rejected(int argc, char **argv);
int command_tail(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_help(int argc, char **argv);

#endif
