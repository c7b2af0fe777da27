/*
 * loader: the publisher outside. It sends each payload until it has a receipt for it, as `gait load` does; or, trusting,
 * only until the broker has acknowledged it, as devices do.
 */
#ifndef SIMULATOR_LOADER_H
#define SIMULATOR_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wire/wire.h"
#include "world.h"

#define LOADER_PAYLOADS_MAX 1000

/* Where it wants receipts. */
#define LOADER_RECEIPTS "gait/receipt/device" /* and the number of the device that sends */

struct payload {
    enum landing landing;
    struct buffer text;
    unsigned records; /* that a receipt must speak of */
    bool done;
    int64_t sent_ms; /* −1: not on this connection */
};

struct loader {
    bool trusting;
    struct wire *wire;
    struct wire_options options;
    bool up, subscribed, down;
    enum { LOADER_DOWN, LOADER_CONNECTING, LOADER_SUBSCRIBING, LOADER_READY } state;
    struct payload payloads[LOADER_PAYLOADS_MAX];
    unsigned count, done;
    bool wrong; /* a receipt spoke of fewer records, or more */
};

/* Events for the loader's wire, which the caller makes with loader->options and puts into loader->wire. */
struct wire_events loader_events(struct loader *loader);

/* Do what there is to do. */
void loader_step(struct loader *loader, int64_t now_ms);

/* Payloads of one landing topic, in order, of a few records or of many; some records come twice, and some lines are none. */
void loader_add(struct loader *loader, enum landing landing, const struct lines *lines);

/* Whatever has no receipt yet, in another order. */
void loader_shuffle(struct loader *loader);

/* Whether everything has what it waits for. */
bool loader_is_done(const struct loader *loader);

void loader_free(struct loader *loader);

#endif
