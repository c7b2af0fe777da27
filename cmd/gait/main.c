/*
 * gait: the tools around the processes, as subcommands.
 */
#include "base/say.h"
#include "common/commands.h"

static const struct command commands[] = {
    {"up", command_up, "run the whole pipeline in the foreground"},
    {"check", command_check, "say what is wrong with a configuration, or list its keys"},
    {"load", command_load, "publish files of records, until every record has its receipt"},
    {"simulate", command_simulate, "make records of people who do not exist"},
    {"status", command_status, "show what every process has taken in and what became of it"},
    {"rejected", command_rejected, "show what was refused, and the newest of it"},
    {"tail", command_tail, "follow a table or stream"},
    {"backup", command_backup, "copy states, lake and keys of a pipeline, as one set, while it runs"},
    {"restore", command_restore, "bring back what gait backup has copied"},
    {"help", command_help, "print this, or what one command does: gait help COMMAND"},
};

int
main(int argc, char **argv)
{
    say_begin();
    return say_end(commands_run(commands, sizeof commands / sizeof commands[0], argc, argv));
}
