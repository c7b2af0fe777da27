/*
 * client: a command's connection to the broker: a wire and the waiting that a command line does in one thread.
 *
 * What is received is given to a callback that runs in a thread of the wire's, under the client's lock. Whoever looks
 * at what that callback writes holds the lock, too: client_lock, look, client_wait until it changes, client_unlock.
 */
#ifndef LOOK_CLIENT_H
#define LOOK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/broker.h"
#include "wire/wire.h"

struct client;

/* A client that is not connected yet, under a random name; broker must outlive it. message is called with context for
 * everything that is received; it must not call anything here. NULL with a line in the log. Free with client_free. */
struct client *client_new(const struct broker *broker,
                          void (*message)(void *context, const struct wire_message *message), void *context);

/* The name it has at the broker: "gait-" and hex digits. */
const char *client_name(const struct client *client);

/* Connect if it isn't, and subscribe the count filters at QoS 1; try again until deadline_ms (of clock_steady_ms; at
 * least once). 0 when all are subscribed, else -1 with a line on standard error. Without the lock. */
int client_connect(struct client *client, const char *const *filters, unsigned count, int64_t deadline_ms);

/* Send a message. 0, or -1 when not connected. Without the lock. */
int client_publish(struct client *client, const struct wire_message *message);

void client_lock(struct client *client);
void client_unlock(struct client *client);

/* With the lock, which is given away meanwhile: wait until something was received or the connection has changed (true),
 * or deadline_ms has come (false). INT64_MAX: no deadline. */
bool client_wait(struct client *client, int64_t deadline_ms);

/* With the lock: whether the connection stands. */
bool client_is_up(const struct client *client);

/* NULL is fine. */
void client_free(struct client *client);

#endif
