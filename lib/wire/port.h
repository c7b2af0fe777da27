/*
 * port: one connection, kept up: it connects, subscribes, and tries again when something breaks.
 *
 * The owner of the wire passes on what the wire's threads report (port_hear_up, …); its loop calls port_step, and is told
 * when the port has become usable.
 */
#ifndef WIRE_PORT_H
#define WIRE_PORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/reconnect.h"
#include "wire/wire.h"

#define PORT_FILTERS_MAX 16

enum port_state { PORT_DOWN, PORT_CONNECTING, PORT_SUBSCRIBING, PORT_READY };

struct port {
    const char *name;   /* for the log */
    const char *client; /* the client's name, which no other connection may have */
    struct wire *wire;
    const char *filters[PORT_FILTERS_MAX];
    unsigned filter_count;
    unsigned news_from; /* filters from here on bring only what is new, not what is retained */
    enum wire_delivery delivery;
    bool wanted; /* keep it up; else keep it down */
    bool quiet;  /* the log says nothing: the owner has words of its own, see failures, port_reason and port_unsteady */

    /* The loop's. */
    enum port_state state;
    struct reconnect reconnect;
    unsigned failures; /* attempts in vain since it was ready last */
    bool complained; /* the log says that it is not well */
    char told[512];  /* why, as it says */

    /* Told by the wire's threads, under lock. */
    pthread_mutex_t *lock;
    bool heard_up, heard_subscribed, heard_refused, heard_down;
    struct wire_limits heard_limits;
    char reason[512]; /* of the newest trouble */
};

/* What the wire reports; to be called with the lock not held. */
void port_hear_up(struct port *port, const struct wire_limits *limits);
void port_hear_subscribed(struct port *port, bool ok, const char *reason);
void port_hear_down(struct port *port, const char *reason);

/* Do what is to be done now. 1 if the port has become ready in this call, −1 if the broker refuses what is subscribed (it
 * is tried again all the same), else 0. What the owner subscribes to beside the filters, once the port is ready, may be
 * refused without harm. */
int port_step(struct port *port, int64_t steady_ms);

/* What the broker takes; once the port has become ready. */
struct wire_limits port_limits(struct port *port);

/* Of the newest trouble, for people. */
void port_reason(struct port *port, char *text, size_t size);

/* With the lock held, in the loop's thread: whether the port is ready, and not lost since. */
bool port_is_up(const struct port *port);

/* Whether the connection ends again and again; then text says so, and what may be the cause. */
bool port_unsteady(struct port *port, int64_t steady_ms, char *text, size_t size);

/* Whether the port is wanted and not there, and the log says why: so does text. */
bool port_missing(const struct port *port, char *text, size_t size);

/* When port_step has something to do by itself: steady clock, INT64_MAX for never. */
int64_t port_due_ms(const struct port *port);

#endif
