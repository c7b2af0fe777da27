/*
 * publisher: the producing end of a link. It sends the messages of an outbox to several receivers, each by itself: to the
 * broker, on the topic of the output, for whoever subscribes; and to every registered consumer, on a topic of its own,
 *
 *   <prefix>/link/<producer>/<consumer>/feed, of a table with "/<row>" behind it.
 *
 * To each it sends in order, never further ahead of what that receiver has than a window of bytes; so nobody waits for
 * anybody else, one who is away costs a window once, and one who is behind catches up without the others' hearing of it.
 * The broker says by its acknowledgements what it has, a consumer by its reports. The outbox may be trimmed up to what all
 * of them have.
 *
 * Who has what this store has not given out yet, or followed a life of it that it does not know (lives.h), is proof that it
 * is an older copy of itself. publisher.older says so, and the caller begins another life.
 *
 * A broker may take less than what a message has that was appended before it said so. Then the message goes out in parts,
 * cut between records, and its number holds for all of them.
 */
#ifndef LINKS_PUBLISHER_H
#define LINKS_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/name.h"
#include "wire/wire.h"
#include "links/lives.h"
#include "links/outbox.h"

/* One receiver, and how far it is. */
struct publisher_feed {
    bool follows;              /* it has said where it stands in this store, and what comes next there is left; else it is
                                * sent one message now and then, to which it has something to say: reports get lost too */
    uint64_t applied;          /* it has everything up to here, and keeps it */
    uint64_t next;             /* the next one to send to it */
    uint64_t rewound;          /* it asked, and was sent this one again and all behind it; 0: that is no news any more */
    struct outbox_mark window; /* applied, and where that stands in bytes */
    struct outbox_mark sent;   /* the newest one sent on this connection */
    uint64_t handed;           /* the newest one that the wire was given on this connection: up to there all are repeats */
    struct backoff probe;      /* when to send the last one again, if nothing was heard by then; until it has applied
                                * something ever more rarely */
};

/* What a consumer has said: where it is, and what it has of earlier lives; or that it begins anew, and awaits all rows. One
 * that the broker kept may be of a state that is gone since: nothing is removed for its sake. */
struct publisher_word {
    struct link_position position;
    struct lives earlier;
    bool anew;
    bool kept;
};

/* How often a consumer is sent everything again: anybody who may report in its name can ask a thousand times a second. The
 * first few times at once, then once a second, and ever more rarely while it applies nothing in between. */
struct publisher_rewinds {
    int64_t paid_ms;  /* up to when those that it had are paid for */
    int64_t price_ms; /* of the last one */
    uint64_t applied; /* what it had applied then */
    bool waits;       /* one is wanted, and it is too early: */
    struct publisher_word wanted; /* what its report said */
};

struct publisher_consumer {
    const char *name;
    struct publisher_feed feed;
    bool heard;               /* it has reported since the start: */
    struct publisher_word said; /* this, last */
    uint64_t confirmed;         /* up to here it needs nothing any more: by what it has said itself since the start */
    struct publisher_rewinds rewinds;
    bool witness;  /* its word has proved something: once in a run is enough, whatever it says */
    bool elsewhere; /* it is in an earlier life, and to be told that it has everything up to feed.applied of this one */
    bool behind;    /* it needs messages that are gone, and is to be told so; */
    bool complained; /* and the log says so */
    struct backoff tell; /* when it is told that it is elsewhere or behind: again ever more rarely, since it may be away;
                          * one that asks, a second after the last time */
    bool newcomer; /* it knows nothing of this store, whose first messages are gone, and is to be told: see newcomer.c */
    bool has_rows; /* all rows of the table were appended for it, and it has not reported yet that it begins there */
};

struct publisher {
    struct outbox *outbox;
    const char *topic; /* of the stream; of a table: what stands before "/<row>" */
    const char *link;  /* what stands before "/<consumer>/feed"; NULL if there can't be any consumers */
    bool table;
    uint64_t epoch;
    struct lives earlier; /* before this epoch's */
    uint64_t window_bytes;
    uint64_t token; /* upper bits that tell this publisher's tokens from others' */
    /* What goes in place of a record that is larger than the broker takes, and a '}' behind it; NULL: it goes whole, or
     * stands. */
    struct span (*shorten)(struct span record);
    struct publisher_consumer consumers[CONSUMERS_MAX];
    unsigned consumer_count;

    struct {
        bool seen;
        const char *witness;
        uint64_t knew; /* up to where it has applied; 0: it followed a life that this store does not know */
    } older; /* the proof that this store is an older copy of itself */

    uint64_t kept_epoch; /* that the broker said, where that proved something */
    struct publisher_feed broker;
    uint64_t refused; /* the broker does not take this one, or may not: it alone is tried until it does; 0: it takes all */
    struct backoff retry; /* when */
    struct buffer full_topic;
    struct buffer shortened; /* a payload, with what was put in place of records */
    struct wire_limits limits;    /* of the broker; the caller sets them on connecting */
    size_t unfit_bytes;           /* the packet that a record would need, if the broker takes none so large; else 0 */
};

/* The bit of sequence numbers that a token holds. */
#define PUBLISHER_TOKEN_MASK ((UINT64_C(1) << 56) - 1)

/* Set up over outbox, which must be loaded; the fields above `broker` are the caller's. */
void publisher_init(struct publisher *publisher);

/* A record does not fit into what the broker takes, by a packet of so many bytes: nothing is sent until the next
 * connection. Says so in the log. */
void publisher_stand(struct publisher *publisher, size_t packet_bytes);

/* Register a consumer, unless there is one of that name; name must stay valid. */
void publisher_add(struct publisher *publisher, const char *name);

/* The connection is new, and the broker has everything up to `copied`: begin behind that. What was sent to consumers and
 * not applied is sent again. wary: connections end again and again, and it may be over what the broker is sent, since some
 * brokers cut who may not publish, and their answer is lost with the connection; then the next message is held back as one
 * that was refused is. */
void publisher_restart(struct publisher *publisher, uint64_t copied, bool wary, int64_t steady_ms);

/* Consumer name reports what *said is; rewind: it wants everything behind that again. Whoever asks for the same again, as it
 * may for each message behind a gap, is answered once, until it is probed; who asks too often waits. Names that are not
 * registered are ignored. One that knows nothing of this epoch becomes a newcomer if the oldest messages are gone, and holds
 * the rest; so does one that begins anew, in any case. */
void publisher_report(struct publisher *publisher, struct span name, const struct publisher_word *said, bool rewind,
                      int64_t steady_ms);

/* The index of the registered consumer of this name, or −1. */
int publisher_find(const struct publisher *publisher, struct span name);

/* The same of the broker, on connecting: whether it knows this store, and *has up to where it has its output then. */
bool publisher_kept(struct publisher *publisher, const struct link_position *said, const struct lives *earlier,
                    uint64_t *has);

/* The lives before the next one, which begins now. */
struct lives publisher_end_life(const struct publisher *publisher);

/* The store's life is this one now, and these were before it: everybody is to be told where he stands in it. */
void publisher_begin_life(struct publisher *publisher, uint64_t epoch, const struct lives *earlier);

/* Whether this consumer, which is elsewhere or behind, is to be told so now. */
bool publisher_tells(struct publisher_consumer *consumer, int64_t steady_ms);

/* The broker acknowledged the message with this token. */
void publisher_delivered(struct publisher *publisher, uint64_t token);

/* The broker did not take the message with this token; what it took before that is acknowledged. The broker is sent it
 * again until it takes it, ever more rarely, and nothing behind it meanwhile. */
void publisher_refused(struct publisher *publisher, uint64_t token, int64_t steady_ms);

/* Send what the windows allow, inside a snapshot. Returns how many were sent to the broker, −1 if the store or the wire
 * failed. */
int publisher_pump(struct publisher *publisher, struct wire *wire, int64_t steady_ms);

/* Up to where the outbox may be trimmed. */
uint64_t publisher_confirmed(const struct publisher *publisher);

/* Whether anything waits to be sent that a window would allow. */
bool publisher_ready(const struct publisher *publisher, int64_t steady_ms);

/* Whether nothing comes from the consumer although something waits for it: it does not answer, for longer than one that
 * has just been started may take, or can't go on. */
bool publisher_consumer_silent(const struct publisher *publisher, const struct publisher_consumer *consumer);

/* Free the texts that it writes into; not publisher itself, nor its outbox and consumers. */
void publisher_free(struct publisher *publisher);

#endif
