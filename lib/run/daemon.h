/*
 * daemon: the main program of every gait process: options, configuration, signals, the loop. A process's own main names
 * its stream and calls it.
 */
#ifndef RUN_DAEMON_H
#define RUN_DAEMON_H

#include "run/stream.h"

/* The environment names here the file that standard error is appended to, if the program is to open it anew at SIGHUP. */
#define DAEMON_LOG_FILE "GAIT_LOG_FILE"

/* Run stream until SIGTERM or SIGINT: what main returns. summary is the first line of --help: what the process does.
 * catalog is all streams there are, table all keys of the configuration. */
int daemon_main(int argc, char **argv, const struct stream *stream, const char *summary,
                const struct stream *const *catalog, const struct config_table *table);

#endif
