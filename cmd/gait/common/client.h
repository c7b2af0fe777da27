/*
 * client: a command's connection to the broker: a wire, the port that keeps it up, and the waiting that a command line does
 * in one thread.
 *
 * What is received is given to a callback that runs in a thread of the wire's, under the client's lock. Whoever looks
 * at what that callback writes holds the lock, too: client_lock, look, client_wait until it changes, client_unlock.
 * All calls are for one thread, the command's; but for client_wait, client_is_up and client_events without the lock.
 */
#ifndef COMMON_CLIENT_H
#define COMMON_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/broker.h"
#include "wire/wire.h"

struct client_options {
    const struct broker *broker; /* must outlive the client */
    const char *name;            /* what the name at the broker begins with, at most 14 bytes of it */
    void *context;

    /* For everything that is received. Neither this nor what follows may call anything here. */
    void (*message)(void *context, const struct wire_message *message);

    /* A new connection is made, and nothing has come over it yet. NULL is fine. */
    void (*up)(void *context);
};

struct client;

/* A client that is not connected yet, under a name that ends with 8 random hex digits. options is copied. NULL with a line
 * in the log. Free with client_free. */
struct client *client_new(const struct client_options *options);

/* The name it has at the broker. */
const char *client_name(const struct client *client);

/* Subscribe the count filters, PORT_FILTERS_MAX at most, at QoS 1, from the next connection on. They must outlive the
 * client. */
void client_filters(struct client *client, const char *const *filters, unsigned count);

/*
 * Staying connected, for whoever has other things to do meanwhile.
 */

/* Connect if it isn't and the time has come, and what else is to be done about the connection, without waiting. 1 if it has
 * become usable in this call, −1 if the broker refuses the filters, else 0. */
int client_step(struct client *client);

/* When client_step has something to do by itself: steady clock, INT64_MAX for never. */
int64_t client_due_ms(const struct client *client);

/* Whether somebody should hear that there is no connection: a second attempt was in vain since there was one, or those that
 * are made do not last. The first is made at once, and may come too early for a broker that starts with us. */
bool client_is_missed(const struct client *client);

/* Whether connections were lost again and again within the last minute. */
bool client_unsteady(const struct client *client);

/* Why there is no connection, or what is refused, for people. */
void client_reason(struct client *client, char *text, size_t size);

/* What the broker takes, as it said on the newest connection; packet_bytes_max is 0 before the first. */
struct wire_limits client_limits(struct client *client);

/*
 * Being connected, for whoever can do nothing else.
 */

/* Connect if it isn't; try again until deadline_ms (of clock_steady_ms; at least once). 0 when all filters are subscribed,
 * else −1 with a line on standard error. */
int client_connect(struct client *client, int64_t deadline_ms);

/* Subscribe to more, until the connection ends; it does no harm if that is refused. 0, or −1 when not connected. */
int client_subscribe(struct client *client, const char *const *filters, unsigned count);

/* Send a message. 0, or −1 when not connected. */
int client_publish(struct client *client, const struct wire_message *message);

/* Keep the wire's threads out, and let them in again; not twice. */
void client_lock(struct client *client);
void client_unlock(struct client *client);

/* With the lock: a number that grows with everything that is received, and with every change of the connection. */
uint64_t client_events(const struct client *client);

/* With the lock, which is given away meanwhile: wait until something was received or the connection has changed (true),
 * or deadline_ms has come (false). INT64_MAX: no deadline. */
bool client_wait(struct client *client, int64_t deadline_ms);

/* With the lock: whether the connection stands. */
bool client_is_up(const struct client *client);

/* NULL is fine. */
void client_free(struct client *client);

#endif
