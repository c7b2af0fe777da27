/*
 * numbers: processes by their place in the catalog.
 */
#ifndef SIMULATOR_NUMBERS_H
#define SIMULATOR_NUMBERS_H

#include "operator/stream.h"

#define PROCESSES 6
#define NUMBER_FILTER 0 /* customer-trusted */
#define NUMBER_JOIN 4
#define NUMBER_LAKE 5
#define NOBODY -1

/* Of the process that makes this stream; NOBODY. */
int number_of_stream(const struct stream *stream);

/* Of the process whose connection has this name at the broker; NOBODY. */
int number_of_client(const char *name);

#endif
