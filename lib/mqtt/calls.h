/*
 * calls: what Paho calls of the C library, answered here, for it alone: in the copy of its library that we link, the names
 * paho_* stand in place of the C library's (paho.syms). It keeps to itself what became of a connection, and gives out no
 * socket: this is where both are seen.
 */
#ifndef MQTT_CALLS_H
#define MQTT_CALLS_H

#include <stdbool.h>

/* What the system said of the newest attempt to connect, which Paho does not tell: how many there were, and an errno, 0 if
 * none was said. All connections of a program are to one broker, and Paho makes one at a time. */
unsigned calls_connects(void);
int calls_connect_error(void);

/* Whether to wait a moment for each connection, so that Paho finds it made. Not with TLS: there it closes the socket after a
 * failure only if it had to look for the connection. */
void calls_wait_for_connection(bool wait);

#endif
