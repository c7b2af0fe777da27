/*
 * streams: the list of all jobs. Each is declared in a file of its own, and everything else that has to know what there is
 * takes it from here: programs (CMake reads the list), the catalog, its sections of the configuration, the lake's inputs.
 */
#ifndef STREAMS_STREAMS_H
#define STREAMS_STREAMS_H

#include "operator/stream.h"

/*
 * STREAM(job, set): a job that gives something out, which the lake calls set: its topic, with _ for /. SINK(job): one
 * that gives nothing out. job is the struct stream, and with - for _ the name of process and program.
 *
 * Producers come before their consumers. The stores of those who have many inputs know these by their number, so a new job
 * goes behind those that are there, before lake.
 */
#define STREAMS(STREAM, SINK)                                                                                              \
    STREAM(customer_trusted, trusted_customer)                                                                             \
    STREAM(accelerometer_trusted, trusted_accelerometer)                                                                   \
    STREAM(customer_curated, curated_customer)                                                                             \
    STREAM(step_trainer_trusted, trusted_step_trainer)                                                                     \
    STREAM(machine_learning_curated, curated_machine_learning)                                                             \
    SINK(lake)

#define STREAMS_DECLARE(job, ...) extern const struct stream job;
STREAMS(STREAMS_DECLARE, STREAMS_DECLARE)
#undef STREAMS_DECLARE

/* Their numbers, in this order, and how many there are. */
#define STREAMS_NUMBER(job, ...) STREAMS_##job,
enum { STREAMS(STREAMS_NUMBER, STREAMS_NUMBER) STREAMS_COUNT };
#undef STREAMS_NUMBER

/* How many of them give something out. */
#define STREAMS_ONE(job, set) +1
#define STREAMS_NONE(job)
enum { STREAMS_OUTPUTS = 0 STREAMS(STREAMS_ONE, STREAMS_NONE) };
#undef STREAMS_ONE
#undef STREAMS_NONE

#endif
