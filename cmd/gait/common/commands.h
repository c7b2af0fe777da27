/*
 * commands: the subcommands of gait, one file each. Each takes its arguments with argv[0] = its own name and returns
 * the exit code.
 */
#ifndef COMMON_COMMANDS_H
#define COMMON_COMMANDS_H

/* One of them: a row of main.c's table. */
struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *prose; /* for gait help */
};

/* Run the one that the arguments of main name, or say which there are. The exit code. */
int commands_run(const struct command *list, unsigned count, int argc, char **argv);

/* The subcommands, each in the file of its name (this one: command_help), whose help text says what it does. argv[0] is its
 * name; the exit code. */
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
