/*
 * links_state: the inside of the transport, shared by the files of this folder that are parts of it (links.c, transaction.c,
 * kept.c, arrive.c, sync.c, answers.c, show.c, refill.c, newcomer.c, recall.c, probe.c) and nobody else.
 */
#ifndef LINKS_LINKS_STATE_H
#define LINKS_LINKS_STATE_H

#include "base/backoff.h"
#include "base/name.h"
#include "wire/port.h"
#include "run/process.h"
#include "links/inbox.h"
#include "links/link.h"
#include "links/links.h"
#include "links/lives.h"
#include "links/mailbox.h"
#include "links/outbox.h"
#include "links/publisher.h"

/* How long to wait between two looks at what nobody wakes us for: the metrics' second. */
#define TICK_MS 1000

/* By how much a topic of ours may be longer than that of our metrics. */
#define TOPIC_BYTES_MORE 256

/* What may wait in the wire when an answer or a receipt is added to it. They are asked for, and by whoever may ask; one that
 * is left out is asked for again. */
#define ANSWERS_WAITING_BYTES_MAX (16u << 20)

/* How often a receipt is to be acknowledged, if there are any. */
#define RECEIPT_TRIED_MS 1000

/* How long it is shown that the broker refused something: what is tried again comes in less. */
#define REFUSED_SHOWN_MS 60000

/* How long a message of our own to ourselves may take before that is called strange. */
#define SYNC_LATE_MS 10000

/* What that message says when it also asks whether all has come that recall.c has asked for. */
#define SYNC_RECALL "recall"

/* What tells tokens apart: the upper byte. */
#define TOKEN_OUTPUT (UINT64_C(1) << 56)
#define TOKEN_REJECTED (UINT64_C(2) << 56)
#define TOKEN_REFILL (UINT64_C(3) << 56)
#define TOKEN_REFILL_LAST (TOKEN_REFILL | 1) /* of a chunk */
#define TOKEN_PROBE (UINT64_C(4) << 56)

/* Topics of this process, with the prefix. */
struct topics {
    char *landing[OPERATOR_INPUTS_MAX];      /* filter: …/landing/<x>/# */
    char *reports;                           /* filter: …/link/<self>/+ */
    char *report_to[OPERATOR_INPUTS_MAX];    /* …/link/<producer>/<self> */
    char *feeds;                             /* filter: …/link/+/<self>/feed/#, which is …/feed too */
    char *oldest;                            /* filter: …/link/+/<self>/oldest */
    char *link;                              /* …/link/<self>: what consumers are sent is below that */
    char *sync;                              /* …/link/<self>/.sync: no consumer's name has a dot */
    char *kept;                              /* …/link/<self>/.kept */
    char *ask;                               /* …/ask */
    char *acknowledge;                       /* …/acknowledge/<self>: an operator has seen what was told */
    char *output;                            /* NULL if there is none */
    char *rows;                              /* filter: …/<output>/+, of a table; else NULL */
    char *rejected;
    char *status;
    char *metrics;
};

/* An answer to a publisher, once the batch is committed. Offsets into receipts.bytes. */
struct receipt {
    size_t topic_at, topic_len;
    size_t correlation_at, correlation_len;
    unsigned input;
    struct tally tally;
};

struct receipts {
    struct buffer bytes;
    struct receipt *list;
    unsigned count, capacity;
};

/* Rows of a table being given to a broker that forgot its retained messages. */
struct refill {
    bool active;
    bool owed; /* the broker lacks rows, but what it has may be newer than this state: see pay_refill */
    bool done; /* just finished: the broker is to be told up to where its copy goes */
    bool waiting;          /* for the broker to acknowledge the last chunk */
    struct buffer after;   /* row name of the last one sent */
    struct buffer topic;
    struct buffer payload;
    unsigned sent;         /* in this chunk */
    bool failed;
    struct backoff again;  /* after a row was refused: when to begin anew */
};

/* Rows of a table being appended to the outbox once more, for consumers that begin without state. */
struct newcomers {
    bool active;
    bool finished; /* with the transaction at hand */
    uint64_t behind;     /* the first of them comes behind this message */
    struct buffer after; /* row name of the last one appended */
    struct buffer row;
    struct buffer payload;
    unsigned appended; /* in this transaction */
    bool failed;
};

/* What an older state learns of who has left meanwhile. */
struct recall {
    bool restored;      /* what it had of tables is to be forgotten with the next commit */
    bool due;           /* nothing is decided before it is done */
    bool asked;         /* the broker is, on this connection, and has not answered */
    bool come;          /* it has: */
    struct buffer rows; /* those that it keeps as withdrawn */
    size_t done;        /* of its bytes, committed; */
    size_t worked;      /* with the transaction at hand */
    unsigned withdrawn, withdrawn_now; /* likewise, rows of which we did not know it */
};

#define PROBE_TOKEN_BYTES 16

/* Whether a landing subscription brings anything; see probe.c. */
struct probe {
    char *topic; /* NULL: the input is none of landing */

    /* The loop's. */
    bool up;        /* there are connections to look at */
    bool under_way; /* it was sent, and the broker has not answered */
    bool back;      /* it came back on this connection */
    bool missed;    /* the broker took it, and it is not back yet */
    bool silent;    /* and that was too long: the log says so */
    int64_t due_ms; /* when it is sent, or missed; steady clock */
    struct backoff cut; /* after a connection that ended in place of an answer: not before then */

    /* Shared with the wires' threads; under the mailbox's lock. */
    char token[PROBE_TOKEN_BYTES]; /* of this connection: nobody else knows it before it is sent */
    uint64_t sent;                 /* which sending, of all */
    bool taken, refused, came_back;
    bool something_came; /* from anybody */
};

/* Why nothing is taken in at present, or not all; LINKS_TAKE: it is. */
enum links_why {
    LINKS_TAKE,
    LINKS_FILES_WRONG,
    LINKS_INBOX_FULL,
    LINKS_OUTBOX_FULL,
    LINKS_BROKER_AWAY,
    LINKS_NO_ACKNOWLEDGEMENT, /* from here on nothing is worked, not even what is in the inbox */
    LINKS_NO_RETAIN,
    LINKS_RECORD_TOO_LARGE,
    LINKS_ROWS_OLD
};

/* This state is an older copy of itself, and nobody has acknowledged that yet. */
struct back {
    bool told;
    int64_t wall_ms;  /* when it was noticed */
    uint64_t knew;    /* up to where the witness had applied; 0: it had followed a later copy */
    uint64_t last;    /* the newest message of this state */
    char witness[NAME_SIZE]; /* a consumer, or "the broker" */
};

/* Messages of the inbox that were acknowledged and can't be read, which nobody has acknowledged yet. */
struct inbox_lost {
    uint64_t gaps;     /* 0: there are none */
    uint64_t bytes;    /* of them */
    uint64_t from, to; /* where the first one begins and the last one ends */
};

/* How far the transaction at hand has come. */
struct progress {
    uint64_t inbox_position;
    uint64_t inbox_behind;      /* the message that was given out, */
    struct inbox_entry entry;   /* this one */
    struct link_position links[OPERATOR_INPUTS_MAX];
    struct lives left[OPERATOR_INPUTS_MAX];      /* before these */
    bool moved[OPERATOR_INPUTS_MAX];             /* to another life */
    uint64_t awaits[OPERATOR_INPUTS_MAX];        /* as in struct link */
    bool forgotten[OPERATOR_INPUTS_MAX];         /* the link is to begin without state */
    const struct link_message *front[OPERATOR_INPUTS_MAX]; /* of those that had come when it began, */
    unsigned link_left[OPERATOR_INPUTS_MAX];               /* so many are left, */
    unsigned link_messages[OPERATOR_INPUTS_MAX];           /* and so many are worked */
    uint64_t epoch;                              /* of the life that begins with this transaction; 0: none */
    struct lives earlier;
    uint64_t last;                               /* the newest message then */
    bool acknowledged;
    struct inbox_lost lost;
    bool recalls;
    bool finished; /* also by what is appended for newcomers */
    unsigned steps; /* of its own */
    unsigned forgets; /* tables, a bit each, before records are worked */
};

struct links {
    struct transport transport;
    struct links_options options;
    const struct host *host;
    const struct stream *stream;
    struct store *store;
    int meta; /* table: see kept.c */
    struct topics topics;
    struct mailbox mailbox;

    /* As committed. */
    uint64_t epoch;
    uint64_t first_epoch; /* of all lives of this store: what the inbox knows it by */
    struct lives earlier;
    struct back back;
    struct hash_key inbox_key;
    struct inbox_lost lost;
    uint64_t inbox_position;
    struct link links[OPERATOR_INPUTS_MAX];
    struct outbox output;
    struct outbox rejected;

    struct progress now; /* the transaction at hand */
    struct receipts receipts;

    struct inbox *inbox; /* NULL without a landing input */
    uint64_t inbox_released; /* what is worked is gone from it up to here; UINT64_MAX: since we are up, nothing is yet */
    int hold_fd;
    bool kept;         /* what loading it writes was committed at the start */
    bool acknowledged; /* by an operator, and that is to be committed */
    struct publisher output_publisher;
    struct publisher rejected_publisher;
    char *consumer_names; /* of the configuration; publishers point into it */

    size_t payload_bytes_max;
    uint64_t outbox_bytes_max;
    struct wire_options link_options;
    struct wire_options landing_options;
    char *link_client;
    char *landing_client;
    struct port link_port;
    struct port landing_port;
    struct wire_limits limits; /* what the broker takes, on link_port's connection */
    unsigned session_told_s;   /* which session the log says that the broker grants */
    bool synced; /* link_port is ready and everything retained has come */
    int64_t synced_ms; /* when it was so for the first time; steady clock; 0: it was not yet */
    bool heard; /* since the start, from everybody who may know more than this state, or there was time for that */
    int64_t sync_ms; /* when to ask for that again; steady clock */
    int64_t sync_late_ms; /* when the answer is late */
    bool sync_told;       /* the log says so */
    bool ready;
    enum links_why why;

    struct refill refill;
    struct newcomers newcomers;
    struct recall recall;
    struct probe probes[OPERATOR_INPUTS_MAX];
    struct ask asks[ASKS_MAX];
    unsigned ask_count;
    struct buffer scratch;
    struct buffer metrics;
    struct buffer metrics_sent;
    int64_t receipt_tried_ms; /* when the next one is to be acknowledged; steady clock */
    int64_t metrics_ms; /* when they may be sent again; steady clock */
    int64_t trim_ms;    /* when the outboxes are trimmed even if nothing else is to be committed */
};

/* links.c: publish payload to topic, at least once. 0 or −1. */
int links_publish(struct links *links, const char *topic, struct span payload, bool retained);

/* The largest message that one of ours can have. */
size_t links_room(const struct links *links);

/* Remove from the inbox what is worked and committed, unless somebody has asked that nothing be removed: then it is to be
 * called again. */
void links_release(struct links *links);

/* kept.c: what stands in the store of all this: positions, lives, what is to be acknowledged. In a transaction; as the calls
 * of the transport. */
int kept_load(struct links *links, struct payload_place *places, const struct ledger *ledger);
int kept_is_founded(struct links *links);
int kept_flush(struct links *links, const struct payload_place *places, const bool *worked);

/* The state becomes another life of itself, with the transaction at hand; or an operator has seen what was told. */
int kept_begin_life(struct links *links);
int kept_acknowledge(struct links *links);

/* Publishers know of lives what is committed; say it in the log if that is news. */
void kept_tell_publishers(struct links *links);

/* transaction.c: the calls of the transport for one transaction. */
void transaction_begin(struct transport *transport);
int transaction_prepare(struct transport *transport, bool intake, struct output *output, struct prepared *prepared);
enum source_next transaction_next(struct transport *transport, unsigned source, struct source_message *message);
void transaction_worked(struct transport *transport, unsigned source, const struct tally *tally);
unsigned transaction_has(struct transport *transport);
uint64_t transaction_front(struct transport *transport, unsigned source);
bool transaction_awaits(struct transport *transport);
int transaction_append(struct transport *transport, enum sink sink, struct span row, struct span payload, bool retained);
int transaction_finish(struct transport *transport, bool for_room);
int transaction_commit(struct transport *transport);
void transaction_committed(struct transport *transport);
void transaction_aborted(struct transport *transport);

/* The link begins as one that knows nothing of its producer, with the transaction at hand; nothing else is worked until all
 * rows have come. */
void transaction_forget_table(struct links *links, unsigned input);

/* Whether rows that are known to be old are to be replaced before anything else is decided: as committed. */
bool links_awaits_rows(const struct links *links);

/* sync.c: hear who is where, after each connection and always; say where we are, and publish what somebody lacks.
 *
 * The links are connected: keep to what the broker takes, say that we are online, and begin anew to hear what is
 * retained. */
void sync_connected(struct links *links);

/* Ask the broker, if that is due, for our own message behind everything retained; warn once if it is late. */
void sync_ask(struct links *links, int64_t steady_ms);

/* Take out of the mailbox what consumers, broker and operator have said since the last look, and go on from there. */
void sync_hear(struct links *links, int64_t steady_ms);

/* Report to each producer how far we are, if that is wanted or long ago. */
void sync_report(struct links *links, int64_t steady_ms);

/* Publish what the windows allow of both outboxes, and of rows that the broker lacks, once everything retained has come. */
void sync_pump(struct links *links, int64_t steady_ms);

/* Whether something new may be decided after the start. */
bool sync_has_heard(struct links *links, int64_t steady_ms);

/* Whether it has yet to learn who left, or which rows there are, before it decides anything. */
bool sync_has_to_learn(const struct links *links);

/* Whether the broker lacks what nothing here works without. */
enum links_why sync_what_broker_lacks(const struct links *links);

/* answers.c: note that a receipt is to be sent, in a transaction; send those of one that is committed. */
void answers_add_receipt(struct links *links, const struct inbox_entry *entry, const struct tally *tally);
void answers_send_receipts(struct links *links);

/* Answer those who asked before what is worked now arrived, or after it; publish the metrics if they have changed. */
void answers_answer(struct links *links);
void answers_send_metrics(struct links *links, int64_t steady_ms);

/* show.c: the calls of the transport that say something. */
void show_why(struct transport *transport, struct buffer *text);
void show_unsteady(struct transport *transport, struct buffer *text);
void show_more(struct transport *transport, bool stopped, struct buffer *text);
void show_input(struct transport *transport, unsigned input, struct buffer *text);
void show_output(struct transport *transport, struct buffer *text);
void show_all(struct transport *transport, struct buffer *text);

/* Our account at the broker, for people. */
const char *show_user(const struct links *links);

/* What is to be said of a state that went back in time, without the operator's next step. */
void show_back(const struct back *back, struct buffer *text);

/* What is to be said where our own message does not come back. */
void show_silence(const struct links *links, struct buffer *text);

/* Whether a table lacks rows that its producer has no longer: what this state has of it may be withdrawn. */
bool show_lacks_rows(struct links *links);

/* arrive.c: events for the two ports' wires. */
struct wire_events arrive_on_links(struct links *links);
struct wire_events arrive_on_landing(struct links *links);

/* refill.c: begin, or go on, giving rows to a broker that forgot them; or leave what a connection has begun, for the next
 * one, which, wary as publisher_restart is, does not begin at once. In no transaction. */
void refill_begin(struct links *links);
void refill_restart(struct links *links, bool wary, int64_t steady_ms);
void refill_step(struct links *links, int64_t steady_ms);
void refill_free(struct links *links);

/* newcomer.c: look whether a consumer without state has reported, and bring it to where it can follow. newcomer_work is
 * for inside a transaction: how many rows were appended, −1. */
void newcomer_look(struct links *links);
int newcomer_work(struct links *links);
void newcomer_committed(struct links *links);
void newcomer_free(struct links *links);

/* recall.c: look, before the state is loaded, whether gait restore has put it here. */
void recall_look(struct links *links);

/* It is loaded. */
void recall_loaded(struct links *links);

/* What it had of tables is forgotten, and that is committed. */
void recall_tables_forgotten(struct links *links);

/* This state has just been found to be an older copy. */
void recall_told(struct links *links);

/* With each connection: ask the broker, if that is due. */
void recall_ask(struct links *links);

/* On the wire's thread: a message of our own output. */
void recall_keep(struct links *links, struct span row, const struct wire_message *message);

/* Take what the broker has answered. */
void recall_hear(struct links *links);

/* In a transaction: withdraw rows: how many were looked at, −1. recall_committed after the commit. */
int recall_work(struct links *links, struct output *output);
void recall_committed(struct links *links);

/* Free what it has read of this state, and what the broker has answered. */
void recall_free(struct links *links);

/* probe.c: set up what is to be looked at; send what is due, and judge what came of it. */
void probe_open(struct links *links);
void probe_step(struct links *links, int64_t steady_ms);
void probe_free(struct links *links);

/* What the wires' threads hear, to be called with the lock held: the broker took the probe with this token, or refused it;
 * and a message came to a landing input: whether it is our own, and to be left out. */
void probe_answered(struct links *links, uint64_t token, bool taken);
bool probe_came(struct links *links, unsigned input, const struct wire_message *message);

/* What is to be said of one that is silent. */
void probe_write(const struct links *links, const struct probe *probe, struct buffer *text);

#endif
