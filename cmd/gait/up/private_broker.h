/*
 * private_broker: a mosquitto of our own on 127.0.0.1, for `gait up` without --broker.
 */
#ifndef UP_PRIVATE_BROKER_H
#define UP_PRIVATE_BROKER_H

#include <stddef.h>

#include "base/buffer.h"

/* Where, in dir/broker, the broker saves at its end what it knows. Good for one start: see mosquitto.conf there. */
#define PRIVATE_BROKER_SAVED "mosquitto.db"

/* Append the path of the mosquitto to run, from PATH or where distributions put it. 0, or −1 with a line in the log. */
int private_broker_find(struct buffer *path);

/* Whether port of 127.0.0.1 is free, as far as one can know beforehand. 0, or −1 with a line in the log. */
int private_broker_check_port(int port);

/* Write dir/broker/mosquitto.conf for a broker on port that keeps its data in dir/broker (which must exist; dir must be
 * absolute) and append its path to conf_path. It takes packets for payloads of payload_bytes. 0, or −1 with a line in the
 * log. */
int private_broker_configure(const char *dir, int port, size_t payload_bytes, struct buffer *conf_path);

/* What one session may hold back at the broker for a client that is slow or away; also in conf/mosquitto.conf, which says
 * what that is worth. */
#define PRIVATE_BROKER_QUEUED_MESSAGES_MAX 1000000
#define PRIVATE_BROKER_QUEUED_BYTES_MAX (512u << 20)

#endif
