/*
 * wire: what links and the tools need of a message transport, and no more. lib/mqtt implements it over Paho; the
 * tests implement it in memory. It is no seam for another kind of transport: a log has positions and transactions where a
 * wire has subscriptions and acknowledgements.
 *
 * A wire is one connection under one client name. It does not reconnect by itself: after a `down` the owner calls
 * connect again, and after each `up` it subscribes again; port.h does that for everybody.
 *
 * What is relied on, of every implementation and of the broker behind it:
 *
 * - Filters. '/' parts a topic into levels. In a filter '+' is one level, whole, and '#' at the end all further ones, or
 *   none: "landing/x/#" brings what is sent to "landing/x", too.
 * - Retained. Of the messages to a topic that say `retained` the newest is kept, and given to everybody who subscribes to
 *   it, marked as retained, before `subscribed` or behind it; also to who was subscribed before and does so again. What is
 *   sent while somebody is subscribed comes to them as news, without the mark.
 * - The echo. What an owner publishes behind `subscribed`, to a topic to which it is subscribed itself, comes back, and
 *   before it comes everything retained that the subscription brings. So a process knows when it has heard all that there
 *   is to hear (`.sync`). MQTT does not say so in so many words; every broker that was tried does so (73_other_brokers.sh).
 * - Order. Messages of one connection to one topic come in the order of sending, if all go the same way (wire_delivery).
 *   `delivered` and `refused` come in the order of sending, whatever the topics: what is answered behind one that was
 *   refused says nothing of that one.
 * - Acknowledgement. An at-least-once message is acknowledged when the owner's `message` returns, not before; if the owner
 *   dies in it, the message comes again where a session is kept. A message may come twice, an at-most-once one not at all.
 * - Sessions. With session_s the other side remembers, for so long, what is subscribed and which at-least-once messages were
 *   not acknowledged, and brings them on the next connection; `up` says whether it has.
 * - The will. When a connection ends without disconnect (the owner has died, or the network), the broker publishes it,
 *   retained, for the owner.
 *
 * What is not relied on: that a broker keeps anything. It may be killed and forget sessions, queued messages and retained
 * ones that it has acknowledged; it may throw away what it can't queue; it may grant a subscription that its access list
 * denies, and be silent. Links and receipts are made so that nothing is lost by that.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* How far a message goes: at most once, or acknowledged by the other side (at least once). */
enum wire_delivery { WIRE_AT_MOST_ONCE = 0, WIRE_AT_LEAST_ONCE = 1 };

/* A message, in or out. What is absent has len 0, or is 0. Received: valid only during the call that brings it. */
struct wire_message {
    struct span topic; /* outgoing: must have a NUL behind it */
    struct span payload;
    struct span response_topic; /* where the sender wants an answer; outgoing: must have a NUL behind it */
    struct span correlation;    /* opaque bytes of the sender's, to be given back with the answer */
    uint64_t epoch;             /* links: which life of the producer's store, never 0 there */
    uint64_t sequence;          /* links: position in that store's outbox, from 1 */
    unsigned part, parts;       /* links: this is part 1 … parts of what stands there; 0: it is whole */
    bool retained;              /* outgoing: the broker keeps it; incoming: it was kept, this is not news */
    enum wire_delivery delivery;
    unsigned expiry_s; /* outgoing: the broker may forget it after this; 0 never */
    bool tentative;    /* outgoing: it may be refused, which is told to the owner and not to the log */
};

/* What the other side takes, as it said on connecting. A wire keeps to it: what is too large is not sent, what can't be
 * acknowledged is sent at most once, what can't be retained is not. Owners keep to it so that this does not happen. */
struct wire_limits {
    size_t packet_bytes_max; /* a message with its topic and all else, see wire_fits; the transport's own limit at most */
    bool acknowledges;       /* at-least-once */
    bool retains;
    unsigned session_s;      /* how long it remembers us when we are away */
};

/* What a packet has at most besides topic, payload, response topic and correlation: headers, lengths, numbers. */
#define WIRE_OVERHEAD_BYTES 192

#define WIRE_PARTS_MAX (1u << 20) /* of one message: a byte each of the largest */

/* What a packet toward us may have beside the largest payload: topic, response topic, correlation, and user properties.
 * Paho makes 150 bytes of memory of each byte of empty user properties (a packet of 1 MiB of them: 170 MB, half a second of
 * CPU time), before it shows us anything, so a packet has not much more room than the payloads that are wanted. */
#define WIRE_PROPERTIES_BYTES_MAX (64u * 1024)

/* The largest payload that gait's own programs send each other: message_bytes has this for its greatest value, and one
 * record is never more than what it was made of. */
#define WIRE_MESSAGE_BYTES_MAX (1u << 20)

/* The largest packet that a broker has to take where payloads of so many bytes are taken in. */
static inline size_t
wire_packet_bytes(size_t payload_bytes)
{
    return (payload_bytes > WIRE_MESSAGE_BYTES_MAX ? payload_bytes : WIRE_MESSAGE_BYTES_MAX) + WIRE_PROPERTIES_BYTES_MAX;
}

/* Room for payload in a message to a topic of so many bytes; 0: none. */
static inline size_t
wire_room(const struct wire_limits *limits, size_t topic_bytes)
{
    const size_t taken = topic_bytes + WIRE_OVERHEAD_BYTES;

    return limits->packet_bytes_max > taken ? limits->packet_bytes_max - taken : 0;
}

/* Whether the message is one that the other side takes. */
static inline bool
wire_fits(const struct wire_limits *limits, const struct wire_message *message)
{
    return message->payload.len <= wire_room(limits, message->topic.len + message->response_topic.len +
                                                         message->correlation.len);
}

/* What a wire tells its owner. Calls come from threads of the wire's own, one at a time for one wire; they must not
 * call into the wire, must not wait for anybody who does, and should be short: nothing else arrives meanwhile. */
struct wire_events {
    void *context;

    /* Connected. session_kept: the other side still knows our subscriptions and what waits for us. limits is valid only
     * during the call. */
    void (*up)(void *context, bool session_kept, const struct wire_limits *limits);

    /* All topics of one subscribe call are subscribed (ok), or one is refused (reason says which, to whom and why). */
    void (*subscribed)(void *context, bool ok, const char *reason);

    /* The connection is lost, or connect failed. reason is for people: which host and port, and the cause. */
    void (*down)(void *context, const char *reason);

    /* A message. When the call returns, an at-least-once message is acknowledged: whoever can't keep it must not return. */
    void (*message)(void *context, const struct wire_message *message);

    /* The message that publish sent with this token is acknowledged by the other side. */
    void (*delivered)(void *context, uint64_t token);

    /* The other side refuses the message to topic that publish sent with this token, or with none (0), and did not take it.
     * reason is for people, with the account. NULL is fine. */
    void (*refused)(void *context, uint64_t token, struct span topic, const char *reason);
};

/* How to connect. Strings must outlive the wire. */
struct wire_options {
    const char *client_name;      /* one connection a name; a second one puts the first out */
    unsigned session_s;           /* how long the other side remembers us when we are away; 0: start clean every time */
    unsigned receive_max;         /* unacknowledged messages toward us; 0: the library's default */
    size_t packet_bytes_max;      /* larger ones are not sent to us, but dropped by the broker; 0: no limit */
    unsigned keep_alive_s;        /* 0: 20 s */
    const char *will_topic;       /* retained message the broker publishes when we vanish; NULL none */
    const char *will_text;
};

struct wire {
    const struct wire_calls *calls;
};

struct wire_calls {
    /* Begin to connect; `up` or `down` follows. 0, or −1 when it can't even be tried (no `down` follows). */
    int (*connect)(struct wire *wire);

    /* Subscribe count topic filters; those from index news_from on without what is retained: only what is new. `subscribed`
     * follows once. 0, or −1 when not connected. */
    int (*subscribe)(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
                     enum wire_delivery delivery);

    /* Send a message; its bytes are copied. With token not 0, `delivered` follows when the other side has it.
     * 0, or −1 when not connected, or it does not fit: then it is not sent at all. */
    int (*publish)(struct wire *wire, const struct wire_message *message, uint64_t token);

    /* Bytes that publish took and that are still here: they wait, or are unacknowledged. */
    size_t (*waiting)(struct wire *wire);

    /* Say good-bye and close the connection, keeping the session; no will is sent. Waits until what was published is
     * written, at most timeout_ms. No `down` follows. May be followed by connect. */
    void (*disconnect)(struct wire *wire, int timeout_ms);

    /* Disconnect if need be and free the wire; no event comes after it returns. NULL is fine. */
    void (*free)(struct wire *wire);
};

#endif
