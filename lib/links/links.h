/*
 * links: the transport of a process whose wire to the others is MQTT.
 *
 *   landing  ── message ──▶ inbox (append, then acknowledge) ─┐
 *   links    ── message ──▶ queue (by sequence number) ───────┼─▶ the core's transaction, with outbox, inbox position and
 *                                                             │   link positions in it ─▶ commit (synced)
 *                           reports to producers ◀────────────┼────▶ publish from the outbox, receipts to publishers
 *
 * The wire loses, repeats and reorders; sequence numbers, reports and rewinds make it reliable (link.h, publisher.h).
 */
#ifndef LINKS_LINKS_H
#define LINKS_LINKS_H

#include "wire/wire.h"
#include "run/transport.h"

struct links_options {
    /* Make a wire (mqtt_wire, or a test's). */
    struct wire *(*make_wire)(void *context, const struct wire_options *options, const struct wire_events *events);
    void *context;
};

/* For open_transport of struct process_options: context is the struct links_options, which must outlive the process. */
struct transport *links_open(void *context, const struct host *host);

#endif
