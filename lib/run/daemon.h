/*
 * daemon: the main program of every gait process: options, configuration, signals, the loop.
 */
#ifndef RUN_DAEMON_H
#define RUN_DAEMON_H

#include "run/stream.h"

/* Exit codes of every gait program. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

/* The environment names here the file that standard error is appended to, if the program is to open it anew at SIGHUP. */
#define DAEMON_LOG_FILE "GAIT_LOG_FILE"

/* Run stream until SIGTERM or SIGINT: what main returns. catalog is all streams there are, table all keys of the
 * configuration. */
int daemon_main(int argc, char **argv, const struct stream *stream, const struct stream *const *catalog,
                const struct config_table *table);

#endif
