#include "run/port.h"

#include <stdio.h>

#include "base/log.h"

/* A broker that restarts is back in some ten milliseconds; one that is away for hours must not be hammered. */
#define RETRY_MIN_MS 20
#define RETRY_MAX_MS 1000

/* Longest wait for the last messages to be written when a port is closed. */
#define DISCONNECT_MS 1000

void
port_hear_up(struct port *port)
{
    pthread_mutex_lock(port->lock);
    port->heard_up = true;
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

/* Down for now. One line in the log an outage. */
static void
give_up(struct port *port, const char *what, const char *reason, int64_t steady_ms)
{
    if (!port->complained)
        log_warning("%s: %s: %s; trying again until it works", port->name, what, reason);
    port->complained = true;
    port->state = PORT_DOWN;
    port->retry_ms = steady_ms + port->retry_wait_ms;
    port->retry_wait_ms = port->retry_wait_ms * 2 < RETRY_MAX_MS ? port->retry_wait_ms * 2 : RETRY_MAX_MS;
}

static void
close_port(struct port *port)
{
    port->wire->calls->disconnect(port->wire, DISCONNECT_MS);
    port->state = PORT_DOWN;
    pthread_mutex_lock(port->lock);
    port->heard_up = port->heard_subscribed = port->heard_refused = port->heard_down = false;
    pthread_mutex_unlock(port->lock);
}

static void
open_port(struct port *port, int64_t steady_ms)
{
    if (port->retry_wait_ms == 0)
        port->retry_wait_ms = RETRY_MIN_MS;
    if (port->wire->calls->connect(port->wire) == 0)
        port->state = PORT_CONNECTING;
    else
        give_up(port, "can't connect", "refused by the library", steady_ms);
}

static int
hear_subscribed(struct port *port)
{
    log_info("%s: connected", port->name);
    port->state = PORT_READY;
    port->retry_wait_ms = RETRY_MIN_MS;
    port->complained = false;
    return 1;
}

int
port_step(struct port *port, int64_t steady_ms)
{
    char reason[sizeof port->reason];
    int ready = 0;

    pthread_mutex_lock(port->lock);
    const bool up = port->heard_up, subscribed = port->heard_subscribed, refused = port->heard_refused;
    const bool down = port->heard_down;
    port->heard_up = port->heard_subscribed = port->heard_refused = port->heard_down = false;
    memcpy(reason, port->reason, sizeof reason);
    pthread_mutex_unlock(port->lock);

    if (up && port->state == PORT_CONNECTING) {
        port->state = PORT_SUBSCRIBING;
        /* A failure to send is followed by `down`. */
        port->wire->calls->subscribe(port->wire, port->filters, port->filter_count, port->news_from,
                                           port->delivery);
    }
    if (subscribed && port->state == PORT_SUBSCRIBING && !down)
        ready = hear_subscribed(port);
    if (refused && !down) {
        close_port(port);
        give_up(port, "can't subscribe", reason, steady_ms);
    }
    if (down)
        give_up(port, "not connected", reason, steady_ms);
    if (!port->wanted && port->state != PORT_DOWN) {
        close_port(port);
        return 0;
    }
    if (port->wanted && port->state == PORT_DOWN && steady_ms >= port->retry_ms)
        open_port(port, steady_ms);
    return ready && port->state == PORT_READY;
}

int64_t
port_due_ms(const struct port *port)
{
    return port->wanted && port->state == PORT_DOWN ? port->retry_ms : INT64_MAX;
}
