/*
 * process: the skeleton of every gait process, one step at a time.
 *
 *   landing  ── message ──▶ inbox (append, then acknowledge) ─┐
 *   links    ── message ──▶ (by sequence number) ─────────────┼─▶ one transaction: decode, decide, state, counters,
 *   timers   ─────────────────────────────────────────────────┘   outbox, inbox and link positions ─▶ commit (synced)
 *                                                                    │
 *                                reports to producers ◀──────────────┼────▶ publish from the outbox, receipts
 *
 * Whatever has arrived by the time a step begins is worked in one transaction: under load batches grow by themselves,
 * and an idle process makes nobody wait.
 *
 * Transport, clocks and the loop are given from outside, so that a test can run many processes in one thread.
 */
#ifndef RUN_PROCESS_H
#define RUN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "wire/wire.h"
#include "run/stream.h"

struct process_options {
    const struct stream *stream;
    const struct stream *const *catalog; /* all streams there are, ended by NULL: says who consumes whose output */
    const struct config *config;
    const char *dir; /* the folder for everything; this process uses dir/state/<name> */

    /* Make a wire (mqtt_wire, or a test's). */
    struct wire *(*make_wire)(void *context, const struct wire_options *options, const struct wire_events *events);
    void *context;

    int64_t (*wall_ms)(void);   /* since 1970; somebody may set it */
    int64_t (*steady_ms)(void); /* never goes back */
    int64_t built_ms;           /* a wall clock that says less is wrong; 0: none is */
    uint64_t boot;              /* another number each time that the machine comes up; 0: that is not known */
};

struct process;

/* Open state, inbox and wires; nothing is connected yet. options and what it points to must outlive the process. NULL
 * with lines in the log. Free with process_close. */
struct process *process_open(const struct process_options *options);

/* Do what there is to do, without waiting. Returns in how many ms there may be more by itself; 0 is at once. */
int64_t process_step(struct process *process);

/* Wait until something arrives, process_wake is called, or timeout_ms have passed. */
void process_wait(struct process *process, int64_t timeout_ms);

/* End a process_wait, from any thread. */
void process_wake(struct process *process);

/* Whether it was ever connected and subscribed to everything. */
bool process_ready(const struct process *process);

/* Say good-bye to the broker and close everything. Nothing is lost without it. NULL is fine. */
void process_close(struct process *process);

#endif
