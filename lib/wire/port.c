#include "wire/port.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Longest wait for the last messages to be written when a port is closed. */
#define DISCONNECT_MS 1000

void
port_hear_up(struct port *port, const struct wire_limits *limits)
{
    pthread_mutex_lock(port->lock);
    port->heard_up = true;
    port->heard_limits = *limits;
    pthread_mutex_unlock(port->lock);
}

static void
keep_reason(struct port *port, const char *reason)
{
    snprintf(port->reason, sizeof port->reason, "%s", reason != NULL ? reason : "no reason given");
}

void
port_hear_subscribed(struct port *port, bool ok, const char *reason)
{
    pthread_mutex_lock(port->lock);
    if (ok)
        port->heard_subscribed = true;
    else
        port->heard_refused = true;
    if (!ok)
        keep_reason(port, reason);
    pthread_mutex_unlock(port->lock);
}

void
port_hear_down(struct port *port, const char *reason)
{
    pthread_mutex_lock(port->lock);
    port->heard_down = true;
    keep_reason(port, reason);
    pthread_mutex_unlock(port->lock);
}

/* Down for now. One line in the log an outage, one for many outages in a row, and one for each new reason not to get in. */
static void
give_up(struct port *port, const char *what, const char *reason, int64_t steady_ms)
{
    char trouble[sizeof port->reason + 256];
    const bool was_unsteady = reconnect_unsteady(&port->reconnect, steady_ms);
    const bool news = port->reconnect.up_ms == 0 && strcmp(reason, port->told) != 0;

    port->failures += port->state != PORT_READY;
    port->state = PORT_DOWN;
    reconnect_down(&port->reconnect, steady_ms);
    if (port->quiet)
        return;
    if (!was_unsteady && port_unsteady(port, steady_ms, trouble, sizeof trouble)) {
        log_warning("%s: %s", port->name, trouble);
    } else if (!port->complained || news) {
        log_warning("%s: %s: %s; trying again until it works", port->name, what, reason);
        snprintf(port->told, sizeof port->told, "%s", reason);
    }
    port->complained = true;
}

static void
close_port(struct port *port)
{
    port->wire->calls->disconnect(port->wire, DISCONNECT_MS);
    port->state = PORT_DOWN;
    port->reconnect.up_ms = 0; /* not lost, but given up */
    pthread_mutex_lock(port->lock);
    port->heard_up = port->heard_subscribed = port->heard_refused = port->heard_down = false;
    pthread_mutex_unlock(port->lock);
}

static void
open_port(struct port *port, int64_t steady_ms)
{
    static const char refused[] = "refused by the library";

    log_assert(port->state == PORT_DOWN);
    if (port->wire->calls->connect(port->wire) == 0) {
        port->state = PORT_CONNECTING;
        return;
    }
    pthread_mutex_lock(port->lock);
    keep_reason(port, refused);
    pthread_mutex_unlock(port->lock);
    give_up(port, "can't connect", refused, steady_ms);
}

/* The log says that the connection is there, but not each time that one is made which does not last. */
static void
say_connected(struct port *port, int64_t steady_ms)
{
    if (port->quiet || reconnect_unsteady(&port->reconnect, steady_ms))
        return;
    log_info("%s: connected", port->name);
    port->complained = false;
    port->told[0] = '\0';
}

int
port_step(struct port *port, int64_t steady_ms)
{
    char reason[sizeof port->reason];
    int ready = 0;

    pthread_mutex_lock(port->lock);
    const bool up = port->heard_up, subscribed = port->heard_subscribed, down = port->heard_down;
    const bool refused = port->heard_refused && port->state == PORT_SUBSCRIBING && !down;
    port->heard_up = port->heard_subscribed = port->heard_refused = port->heard_down = false;
    memcpy(reason, port->reason, sizeof reason);
    pthread_mutex_unlock(port->lock);

    if (up && port->state == PORT_CONNECTING) {
        port->state = PORT_SUBSCRIBING;
        reconnect_up(&port->reconnect, steady_ms);
        log_assert(port->filter_count <= PORT_FILTERS_MAX && port->news_from <= port->filter_count);
        /* A failure to send is followed by `down`. */
        port->wire->calls->subscribe(port->wire, port->filters, port->filter_count, port->news_from, port->delivery);
    }
    if (subscribed && port->state == PORT_SUBSCRIBING && !down) {
        port->state = PORT_READY;
        port->failures = 0;
        ready = 1;
        say_connected(port, steady_ms);
    } else if (port->state == PORT_READY && port->complained && !down) {
        say_connected(port, steady_ms);
    }
    if (refused) {
        close_port(port);
        give_up(port, "can't subscribe", reason, steady_ms);
    }
    if (down)
        give_up(port, "not connected", reason, steady_ms);
    if (!port->wanted && port->state != PORT_DOWN) {
        close_port(port);
        return 0;
    }
    if (port->wanted && port->state == PORT_DOWN && backoff_is_due(&port->reconnect.backoff, steady_ms))
        open_port(port, steady_ms);
    return refused ? -1 : ready && port->state == PORT_READY;
}

struct wire_limits
port_limits(struct port *port)
{
    pthread_mutex_lock(port->lock);
    const struct wire_limits limits = port->heard_limits;
    pthread_mutex_unlock(port->lock);
    return limits;
}

void
port_reason(struct port *port, char *text, size_t size)
{
    pthread_mutex_lock(port->lock);
    snprintf(text, size, "%s", port->reason);
    pthread_mutex_unlock(port->lock);
}

bool
port_is_up(const struct port *port)
{
    return port->state == PORT_READY && !port->heard_down;
}

bool
port_unsteady(struct port *port, int64_t steady_ms, char *text, size_t size)
{
    char reason[sizeof port->reason];

    if (!reconnect_unsteady(&port->reconnect, steady_ms))
        return false;
    port_reason(port, reason, sizeof reason);
    snprintf(text, size, "does another process use the client name %s, or does the broker cut who may not publish there? "
             "The connection ends again and again (%s)", port->client, reason);
    return true;
}

bool
port_missing(const struct port *port, char *text, size_t size)
{
    if (!port->wanted || port->state == PORT_READY || port->told[0] == '\0')
        return false;
    snprintf(text, size, "%s: %s", port->name, port->told);
    return true;
}

int64_t
port_due_ms(const struct port *port)
{
    return port->wanted && port->state == PORT_DOWN ? port->reconnect.backoff.at_ms : INT64_MAX;
}
