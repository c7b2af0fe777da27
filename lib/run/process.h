/*
 * process: the core of every gait process, one step at a time.
 *
 *   sources ── messages ──▶ one transaction: decode, decide, state, counters, what is due ─▶ commit ── messages ──▶ sinks
 *
 * Whatever has arrived by the time a step begins is worked in one transaction: under load batches grow by themselves,
 * and an idle process makes nobody wait.
 *
 * Transport (transport.h), clocks and the loop are given from outside, so that a test can run many processes in one thread.
 */
#ifndef RUN_PROCESS_H
#define RUN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "operator/stream.h"
#include "run/batch.h"
#include "run/transport.h"

struct process_options {
    const struct stream *stream;
    const struct stream *const *catalog; /* all streams there are, ended by NULL: says who consumes whose output */
    const struct config *config;
    const char *dir; /* the folder for everything; this process uses dir/state/<name> */

    /* Open the transport of host, before anything is read of the store. NULL with a line in the log. */
    struct transport *(*open_transport)(void *context, const struct host *host);
    void *context;

    int64_t (*wall_ms)(void);   /* since 1970; somebody may set it */
    int64_t (*steady_ms)(void); /* never goes back */
    int64_t built_ms;           /* a wall clock that says less is wrong; 0: none is */
    uint64_t boot;              /* another number each time that the machine comes up; 0: that is not known */
};

struct process;

/* Open state and transport; nothing is connected yet. options and what it points to must outlive the process. NULL
 * with lines in the log. Free with process_close. */
struct process *process_open(const struct process_options *options);

/* Do what there is to do, without waiting. Returns in how many ms there may be more by itself; 0 is at once. */
int64_t process_step(struct process *process);

/* Wait until something arrives, process_wake is called, or timeout_ms have passed. */
void process_wait(struct process *process, int64_t timeout_ms);

/* End a process_wait, from any thread. */
void process_wake(struct process *process);

/* Whether its transport was ever connected, and would have heard of everything. */
bool process_ready(const struct process *process);

/* Say good-bye to whoever is connected and close everything. Nothing is lost without it. NULL is fine. */
void process_close(struct process *process);

/* For transports. */

/* The folder of this place (ATTEMPT_OPENS_…) is opened next: so that a process which dies of that says so. */
void process_opens(struct process *process, unsigned place);

/* Whether something hinders it from taking in what comes. */
bool process_is_stopped(const struct process *process);

/* The time of the clock on the wall, for people. */
int64_t process_wall_ms(const struct process *process);

/* Nobody takes messages of more bytes. */
void process_bound(struct process *process, size_t message_bytes_max);

/* Its transactions, for batch_recall, batch_rows. */
struct batch *process_batch(struct process *process);

/* Whether what is in memory is what is committed; else what would be shown has not happened. */
bool process_is_shown(const struct process *process);

/* Append the metrics as one JSON object to text; without the newest refusals if it is more than room bytes with them (0:
 * that is not known). */
void process_write_metrics(struct process *process, size_t room, struct buffer *text);

#endif
