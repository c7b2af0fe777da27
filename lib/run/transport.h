/*
 * transport: how records come to a process, and how what it decides leaves it. The core works one transaction after
 * another over these calls, and knows neither connections nor files. lib/links has them over connections and an inbox, the
 * tests of the core in memory; a log would be another.
 *
 * Records come from sources. A source gives one message after another, each at a position behind the one before; how far it
 * is worked is part of the transaction, and so is what is appended to the sinks. One transaction is
 *
 *   begin, prepare, for each source (next, worked)…, append…, finish, flush, commit, committed
 *
 * with a load before it whenever what is in memory may not be what is committed: at the start, and after an abort, which
 * may come behind any of these calls but the last. One that found nothing to do ends behind finish without a word, and the
 * next one begins; one that only makes room is not prepared. What a transport keeps in the process's store it writes in
 * flush, so that it is committed with what the operator has decided; the commit is its own, since it may have more to do
 * there than the store. Who fails because of something that waiting may help says so of the store (store_found); what fails
 * without that is taken for broken.
 *
 * All calls come from one thread, that of the loop, but wake, which may come from any.
 */
#ifndef RUN_TRANSPORT_H
#define RUN_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/span.h"
#include "store/store.h"
#include "operator/operator.h"
#include "operator/stream.h"
#include "state/attempt.h"
#include "state/ledger.h"
#include "run/place.h"

/* Sources by number: an input that is the output of another stream has one of its own, by the input's number; those of
 * landing share one, as the order of their records is that of their arrival. */
#define SOURCE_LANDING ATTEMPT_LANDING
#define SOURCES_MAX (SOURCE_LANDING + 1)

/* What a transport, too, says of its files where they hinder it. */
#define TRANSPORT_FILES_WRONG "its files are not what its state says, or can't be used: its log says which, and what to do"

/* The message at the front of a source. */
struct source_message {
    unsigned input;           /* which of the stream's its records are of */
    struct span payload;
    struct span row;          /* tables: the row's name; else empty */
    struct span levels;       /* landing: what the sender's topic has behind the landing topic; else empty */
    struct position position; /* where it stands: behind the one before, and no other message has stood there */
    uint64_t life;            /* what tells it from one that comes in its place after a crash, besides its payload */
    size_t beside_bytes;      /* that it takes besides payload and levels, for the bounds of a transaction */
};

/* What next says. */
enum source_next {
    SOURCE_BROKEN = -1, /* the transaction is to be aborted */
    SOURCE_EMPTY,       /* nothing more has come */
    SOURCE_MESSAGE,     /* here is one */
    SOURCE_MOVED,       /* none, but it stands elsewhere: a payload that was begun there is not gone on with */
};

enum sink {
    SINK_OUTPUT,   /* the stream's */
    SINK_REJECTED, /* what is said of records that are refused or invalid */
};

/* What a transport had to do in a transaction before any record. */
struct prepared {
    unsigned steps; /* that are worth a commit */
    bool alone;     /* no record is to be worked in this transaction */
    unsigned moved; /* a bit for each source that is to begin elsewhere, as SOURCE_MOVED */
};

/* Whether records may be worked at present. */
struct intake {
    bool stopped; /* nothing, or not all, comes in: write_why says why */
    bool decides; /* what is there may be worked */
    bool learns;  /* something has to be learned before anything is decided: that is not put off until there is room */
};

/* The process that a transport is part of, as the transport sees it; the same from its opening until it is closed. */
struct host {
    struct process *process; /* for the calls of process.h that are for transports */
    const struct stream *stream;
    const struct stream *const *catalog; /* all streams, ended by NULL */
    const struct config *config;
    const char *dir;       /* the folder for everything */
    const char *state_dir; /* of this process */
    struct store *store;
    int meta; /* the table of the store that core and transport share; their keys differ */
    int64_t (*steady_ms)(void);
    uint64_t boot;
};

struct transport {
    const struct transport_calls *calls;
};

struct transport_calls {
    /* Close it, and say good-bye to whoever is connected. Nothing is lost without it. NULL is fine. */
    void (*close)(struct transport *transport);

    /* The state, in a transaction. */

    /* Read what is in the store of it, and into places the places in payloads that were begun (place_decode); a store in
     * which nothing was ever committed is made one. ledger is what is counted: records come from somewhere. 0 or −1. */
    int (*load)(struct transport *transport, struct payload_place places[SOURCES_MAX], const struct ledger *ledger);

    /* Whether what must outlive the process is in the store, for one that writes nothing: 1, 0, −1. */
    int (*is_founded)(struct transport *transport);

    /* What load has written is committed, by a transaction that did nothing else. */
    void (*kept)(struct transport *transport);

    /* The state is loaded: go on from there. What it opens is opened once; nothing is connected yet. 0, or −1 with a line in
     * the log. */
    int (*start)(struct transport *transport);

    /* One transaction. */

    /* It begins, where the last one was committed. */
    void (*begin)(struct transport *transport);

    /* Do what has to be done before records are worked. intake: they may be. 0 or −1. */
    int (*prepare)(struct transport *transport, bool intake, struct output *output, struct prepared *prepared);

    /* The front of a source; what message points to is valid until worked, or the end of the transaction. Only what had come
     * when the transaction began has to be given. */
    enum source_next (*next)(struct transport *transport, unsigned source, struct source_message *message);

    /* The message that next gave is worked; tally says what became of its records. */
    void (*worked)(struct transport *transport, unsigned source, const struct tally *tally);

    /* Sources that may have something, a bit each. */
    unsigned (*has)(struct transport *transport);

    /* A number that is another one for each message that comes to stand at the front of the source. */
    uint64_t (*front)(struct transport *transport, unsigned source);

    /* Whether rows are to come, with the transaction at hand, before anything else is decided. */
    bool (*awaits)(struct transport *transport);

    /* Give a message to a sink: one or more records, or a row with its name. retained: of a stream's, whoever looks later is
     * to find the newest. 0 or −1. */
    int (*append)(struct transport *transport, enum sink sink, struct span row, struct span payload, bool retained);

    /* Bytes that the sink holds and nobody has taken; and all bytes that were ever appended to the sinks. */
    uint64_t (*waiting)(struct transport *transport, enum sink sink);
    uint64_t (*appended)(struct transport *transport);

    /* Records are worked: do what else is due, or, with for_room, only what makes some. How many steps, or −1. */
    int (*finish)(struct transport *transport, bool for_room);

    /* Write how far the sources are, those that something was worked of with their places, and what else is new. 0 or −1. */
    int (*flush)(struct transport *transport, const struct payload_place places[SOURCES_MAX],
                 const bool worked[SOURCES_MAX]);

    /* Make all of it durable, the store's transaction among it, or none. 0 or −1. */
    int (*commit)(struct transport *transport);
    void (*committed)(struct transport *transport);

    /* It is aborted, and nothing of it is so. The store's transaction is. */
    void (*aborted)(struct transport *transport);

    /* The loop. */

    /* Take what has come since the last time; and, after the transaction, send what is to be sent. Neither waits. */
    void (*hear)(struct transport *transport, int64_t steady_ms);
    void (*speak)(struct transport *transport, int64_t steady_ms);

    /* Whether records may be worked. What comes in meanwhile may use up its room, so it is to be asked each time. */
    struct intake (*look)(struct transport *transport, int64_t steady_ms);

    /* Whether nothing more may be put out until somebody takes some of it; then write_why says who holds it. Asked behind
     * look, if that decides. */
    bool (*is_full)(struct transport *transport);

    /* Whether a transaction would find anything: messages, with intake, or what prepare and finish do. */
    bool (*waits)(struct transport *transport, bool intake, int64_t steady_ms);

    /* In how many ms there may be more to do that nobody wakes us for. */
    int64_t (*idle_ms)(struct transport *transport, int64_t steady_ms);

    /* Wait until something arrives, wake was called, or timeout_ms have passed. */
    void (*wait)(struct transport *transport, int64_t timeout_ms);
    void (*wake)(struct transport *transport);

    /* Whether it was ever connected, and would have heard of everything. */
    bool (*is_ready)(const struct transport *transport);

    /* What is shown: text is appended to. */

    /* Why look said `stopped`, or is_full is; and, where neither is so, what is not well all the same (maybe nothing). */
    void (*write_why)(struct transport *transport, struct buffer *text);
    void (*write_unsteady)(struct transport *transport, struct buffer *text);

    /* What else has to be said, each behind "; " if something stands before it; stopped: something hinders the process. */
    void (*write_more)(struct transport *transport, bool stopped, struct buffer *text);

    /* Members of the metrics, each with a comma before it: of an input, of the output as a whole, of everything. */
    void (*write_input)(struct transport *transport, unsigned input, struct buffer *text);
    void (*write_output)(struct transport *transport, struct buffer *text);
    void (*write_all)(struct transport *transport, struct buffer *text);
};

#endif
