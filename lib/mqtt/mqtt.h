/*
 * mqtt: the wire over MQTT 5, by Eclipse Paho's asynchronous client. The only user of MQTTAsync.h.
 */
#ifndef MQTT_MQTT_H
#define MQTT_MQTT_H

#include "base/broker.h"
#include "base/wire.h"

/* A wire to broker, not connected yet. events is copied; broker, options and their strings must outlive the wire.
 * NULL with a line in the log when the library refuses. Free with wire->calls->free.
 * epoch and sequence of a message travel as the user properties "epoch" (16 hex digits) and "sequence" (decimal). */
struct wire *mqtt_wire(const struct broker *broker, const struct wire_options *options, const struct wire_events *events);

#endif
