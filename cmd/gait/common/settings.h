/*
 * settings: what a command takes from a configuration file, beside what its options say.
 */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <stdbool.h>

#include "base/broker.h"
#include "base/config.h"

/* The configuration in the file at path, or all defaults for NULL. NULL when something is wrong in it: every fault has
 * been said then, and the exit code is EXIT_CONFIG. Free with config_free. */
struct config *settings_read(const char *path);

/* Whether `gait up` has anything to run with config; if not, settings_nothing_runs says so. */
bool settings_run_anything(const struct config *config);
extern const char settings_nothing_runs[];

/* Complete what options said of the broker by the configuration that they named, or by defaults. *prefix is what --prefix
 * said, or NULL: then it is set, too. Valid until the program ends. −1 to go on, or the exit code, when it was said what is
 * wrong. */
int settings_complete(struct broker *broker, const char **prefix);

#endif
