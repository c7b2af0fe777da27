/*
 * mqtt: the wire over MQTT 5, by Eclipse Paho's asynchronous client. The only user of MQTTAsync.h.
 */
#ifndef MQTT_MQTT_H
#define MQTT_MQTT_H

#include "base/broker.h"
#include "wire/wire.h"

/* A wire to broker, not connected yet. events is copied; broker, options and their strings must outlive the wire.
 * NULL with a line in the log when the library refuses. Free with wire->calls->free.
 * epoch and sequence of a message travel as the user properties "epoch" (16 hex digits) and "sequence" (decimal); of a part
 * in place of that "part" (sequence/part/parts): who does not know of parts sees no number, and later a gap, but takes no
 * part for the whole.
 *
 * One thread at a time makes the calls of a wire. What publish takes may wait in the wire's memory until the broker has
 * acknowledged what went before: owners bound what they have under way. At-most-once is for small and rare messages: no
 * acknowledgement tells Paho that the socket takes more, so many of them at once crawl. */
struct wire *mqtt_wire(const struct broker *broker, const struct wire_options *options,
                       const struct wire_events *events);

#endif
