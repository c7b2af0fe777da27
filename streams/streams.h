/*
 * streams: the six jobs, each declared in a file of its own.
 */
#ifndef STREAMS_STREAMS_H
#define STREAMS_STREAMS_H

#include "operator/stream.h"

extern const struct stream customer_trusted;
extern const struct stream accelerometer_trusted;
extern const struct stream customer_curated;
extern const struct stream step_trainer_trusted;
extern const struct stream machine_learning_curated;
extern const struct stream lake;

#endif
