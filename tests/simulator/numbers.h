/*
 * numbers: processes by their place in the catalog.
 */
#ifndef SIMULATOR_NUMBERS_H
#define SIMULATOR_NUMBERS_H

#include "streams/streams.h"

#define PROCESSES STREAMS_COUNT
#define NUMBER_FILTER STREAMS_customer_trusted
#define NUMBER_JOIN STREAMS_machine_learning_curated
#define NUMBER_LAKE STREAMS_lake
#define NOBODY -1

/* Of the process that makes this stream; NOBODY. */
int number_of_stream(const struct stream *stream);

/* Of the process whose connection has this name at the broker; NOBODY. */
int number_of_client(const char *name);

#endif
