/*
 * link: the consuming end of a link. Messages are taken in strictly by sequence number, whatever the wire loses, repeats
 * or reorders, and wait in memory until they are worked: the producer keeps them until we report that they are applied.
 *
 * They come at <prefix>/link/<producer>/<consumer>/feed. A report is one retained message at
 * <prefix>/link/<producer>/<consumer>:
 *   {"epoch":"<16 hex digits>","applied":N,"rewind":0|1}
 * with what it has of earlier lives of the producer's store, if there were any (lives.h); and with "anew":1 if it awaits all
 * rows of a table, and takes nothing before it has heard where they end.
 *
 * Which message follows on the last is never guessed: only who has heard of no life of the producer's store takes its first
 * message for the next one. From one life to another leads only the producer's word, at …/<consumer>/oldest, a report too:
 * its present life, up to where the consumer has it, and what lives there were before, out of which each link knows better
 * than its producer where it stands. Nobody goes back to a life that he has left: the word was an old one.
 */
#ifndef LINKS_LINK_H
#define LINKS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wire/wire.h"
#include "links/lives.h"

/* Messages and bytes that may wait; a producer that goes further than its window allows is cut off and rewound later. */
#define LINK_MESSAGES_MAX 4096
#define LINK_BYTES_MAX (256u << 20)

/* The largest message that is taken for one: twice what any `message_bytes` and any record of ours can have. Of a larger
 * one so much is kept, and a byte more: enough to be refused as too large. */
#define LINK_PAYLOAD_BYTES_MAX (2u << 20)

/* Messages whose checksums are remembered: what may come once more is in the producer's window (512 messages). A power of
 * two. */
#define LINK_REMEMBERED 1024

/* No message has this number. */
#define LINK_NO_END UINT64_MAX

struct link_message;

/* A message that comes in parts. */
struct link_parts {
    struct link_position of; /* which message, */
    unsigned part, parts;    /* up to which of how many */
    struct buffer whole;
};

struct link {
    struct link_position committed; /* as in the store */
    struct link_position queued;    /* up to and with the newest message in the queue */
    struct lives left, queued_left; /* the lives before these */
    struct link_message *first;
    struct link_message *last;
    unsigned message_count;
    uint64_t bytes;
    struct link_parts next;     /* of the message that is next, */
    struct link_parts repeated; /* and of one that was there before */
    bool rewind; /* a message is missing: say so in the next report */
    bool report; /* a report is wanted */
    int64_t asked_ms; /* when a rewind was last asked for, and when the last report was sent; steady clock */
    int64_t reported_ms;
    uint64_t awaits;  /* a table is sent again to a state that has older rows: until this one is worked nothing is to be
                       * decided by them; UINT64_MAX: which one is not known yet; 0: it is not so. The owner's to keep */
    uint64_t lost;    /* the producer says that everything up to here is gone, and we lack some of it; 0: we don't */
    uint64_t twofold; /* two different messages came under this number; 0: none did */
    uint64_t checksums[LINK_REMEMBERED]; /* of the newest messages of queued.epoch, by number; 0: not known */
};

/* A message in the queue. */
struct link_message {
    struct link_message *next;
    struct link_position position; /* what is applied when this one is */
    struct span row;               /* tables: the row's name */
    struct span payload;
    bool oldest;                   /* no message: the producer says that this is where to begin, and to ask from; the
                                    * payload is what that changes, see link_change */
    char bytes[];                  /* row and payload */
};

/* Begin at what the store says is committed, with an empty queue, and no lives before it: link_remember tells of them. Free
 * with link_free. */
void link_begin(struct link *link, struct link_position committed);
void link_remember(struct link *link, const struct lives *left);

/* The connection is new: report, and ask for what was missed. Parts that came before are forgotten: this one's may be cut
 * elsewhere. */
void link_hello(struct link *link);

/* Ask again where nothing was reported for a while: the last report may have been lost, and a producer that has nothing to
 * send, or believes that we have it all since we did before our state went back in time, would never show it. Every few
 * seconds as long as nothing was ever heard of the producer. */
void link_remind(struct link *link, int64_t steady_ms);

/* A message of the producer arrived; row is empty or the row's name. Queues it if it is the next one. May be called while
 * another thread reads messages that were in the queue before.
 *
 * If it has the number of one that came before, and is another one, somebody else publishes in the producer's name, and one
 * of the two is forged: nobody knows which. Then `twofold` is set (true: with this one), nothing is taken any more, and what
 * waits is not to be worked. What came before the newest LINK_REMEMBERED, or before this process started, is not
 * remembered. */
bool link_receive(struct link *link, const struct wire_message *message, struct span row, int64_t steady_ms);

/* The producer says where to go on: told->position of its present life, which had told->earlier before it. Who knows
 * nothing of these begins there, who does goes on behind what it has. It stands in the queue like a message, so that what
 * comes behind it waits behind it. False if that is no news.
 *
 * Who has less than that, where told->rewind says that the rest is gone, is not moved: our own state went back in time, and
 * what lies between is lost to it. Then the link stands still, with `lost` set, until somebody has decided what is to be
 * done. Without told->rewind it is an answer to what we said before we began. */
struct link_told {
    struct link_position position;
    bool rewind;
    struct lives earlier;
    uint64_t until; /* the rows of a table end here, for one who begins without state; LINK_NO_END: it is told to another */
};
bool link_adopt(struct link *link, const struct link_told *told);

/* What is so when this message, whose `oldest` is set, is worked. */
struct link_change {
    struct lives left;
    uint64_t until;
};
struct link_change link_change(const struct link_message *message);

/* The first count messages of the queue are applied and committed: free them. */
void link_commit(struct link *link, unsigned count);

/* Text of the report to send now; clears report and rewind. */
void link_report(struct link *link, int64_t steady_ms, struct buffer *text);

/* Make text a report. */
void link_write_report(struct link_position position, bool rewind, struct buffer *text);

/* What a producer says besides its position, of the report in text. */
void link_read_told(struct span text, struct link_told *told);

/* Whether the report in text says that its consumer begins anew. */
bool link_reads_anew(struct span text);

/* Read a report: 0, or −1 if it is none. */
int link_read_report(struct span text, struct link_position *position, bool *rewind);

/* Free the messages of its queue, and parts of some that came; not link itself, which must not be NULL. */
void link_free(struct link *link);

#endif
