/*
 * catalog: every stream that streams.h lists, and every key of the configuration.
 */
#ifndef STREAMS_CATALOG_H
#define STREAMS_CATALOG_H

#include "streams/streams.h"

/* All streams, producers before their consumers, ended by NULL. */
extern const struct stream *const catalog_streams[];

/* The table of all configuration keys. */
extern const struct config_table catalog_config;

/* The stream called name, or NULL. */
const struct stream *catalog_find(const char *name);

/* The stream that takes landing records of this kind, or NULL. */
const struct stream *catalog_landing(enum record_kind kind);

#endif
