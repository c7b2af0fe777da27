/*
 * daemon: the main program of every gait process: options, configuration, signals, the loop.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "operator/stream.h"

/* Run stream until SIGTERM or SIGINT: what main returns. catalog is all streams there are, table all keys of the
 * configuration. */
int daemon_main(int argc, char **argv, const struct stream *stream, const struct stream *const *catalog,
                const struct config_table *table);

#endif
