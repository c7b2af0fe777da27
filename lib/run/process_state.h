/*
 * process_state: the inside of a process, shared by the files of the skeleton (process.c, batch.c, refusal.c,
 * arrive.c, refill.c, newcomer.c, probe.c, metrics.c) and nobody else.
 */
#ifndef RUN_PROCESS_STATE_H
#define RUN_PROCESS_STATE_H

#include <pthread.h>

#include "base/buffer.h"
#include "base/name.h"
#include "record/record.h"
#include "run/attempt.h"
#include "run/cut.h"
#include "run/hold.h"
#include "run/inbox.h"
#include "run/ledger.h"
#include "run/link.h"
#include "run/lives.h"
#include "run/outbox.h"
#include "run/process.h"
#include "run/publisher.h"
#include "run/recent.h"
#include "run/timekeeper.h"
#include "store/store.h"
#include "wire/port.h"

/* Bounds one transaction: its memory, and how long a reading waits for the commit it is in. */
#define BATCH_RECORDS_MAX 8192
#define BATCH_PAYLOAD_BYTES_MAX (2u << 20)

/* Output of one transaction after which it does no more. */
#define BATCH_OUTPUT_BYTES_MAX (8u << 20)

/* Steps of expiry and release in one transaction, besides two for each record taken in, and how many at a time between two
 * looks at the output. */
#define BATCH_WORK_MAX 1000
#define BATCH_WORK_STEP 100

/* By how much a topic of ours may be longer than that of our metrics. */
#define TOPIC_BYTES_MORE 256

/* Questions that may wait to be looked at; more are dropped, and come again. */
#define ASKS_MAX 64

/* What may wait in the wire when an answer or a receipt is added to it. They are asked for, and by whoever may ask; one that
 * is left out is asked for again. */
#define ANSWERS_WAITING_BYTES_MAX (16u << 20)

/* How often a receipt is to be acknowledged, if there are any. */
#define RECEIPT_TRIED_MS 1000

/* How long it is shown that the broker refused something: what is tried again comes in less. */
#define REFUSAL_SHOWN_MS 60000

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

/* Invalid records of a payload that its receipt tells of one by one: enough to see what is wrong with the rest. */
#define TALLY_FAULTS_MAX 8
#define TALLY_NO_FIELD UINT8_MAX

/* What became of the records of one payload. Plain data, so that it can be kept in a store. */
struct tally {
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t ahead; /* of them: customers dated ahead of our clocks */
    struct {
        uint32_t record; /* its place in the payload, from 0 */
        uint8_t reason;
        uint8_t field; /* in record_fields of the input's kind, or TALLY_NO_FIELD */
    } faults[TALLY_FAULTS_MAX]; /* of the first invalid ones */
};

/* How far the payload at the front of an input is worked, where a transaction had to end inside of it; zeros: it is not
 * begun. Layout, behind the position of that input: at u64 BE, record u8, identity u64 BE, then u64 BE each taken, duplicate
 * and invalid, TALLY_FAULTS_MAX times record u32 BE, reason u8, field u8, then u64 BE each passed, waiting, refused, stale
 * and ahead; nothing where it is not begun. Stores of before have nothing behind the faults: what is left of taken counts as
 * passed then. */
struct payload_place {
    uint64_t at; /* of a record_cursor, as is record */
    enum record_place record;
    uint64_t identity; /* of the payload: one that comes instead, after a crash, is begun at its beginning */
    struct tally tally; /* what became of the records before */
};

/* Invalid records of one payload that are told of one by one; of the rest one message for each reason says how many. A
 * byte of payload can be an invalid record, and a message about it has a hundred and more. */
#define PAYLOAD_FAULTS_MAX 64

/* The part of outbox_bytes that messages about refusals may take besides: when nobody takes them intake goes on, and
 * further ones are counted, to be told in sum when there is room again. */
#define REJECTED_SHARE 8

/* Refusals that are counted, and told of when their payload ends or there is room.
 * Layout: key "untold"; value = how many reasons u8, u64 BE each, topic. Absent: none. */
struct untold {
    uint64_t counts[REASON_COUNT];
    struct buffer topic; /* below the prefix; empty: there were several */
    bool changed;
};

/* The places of all inputs: of links by input, and one of the inbox. As in attempt.h. */
#define PLACE_INBOX ATTEMPT_INBOX
#define PLACES (ATTEMPT_INBOX + 1)

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

/* Somebody asks for the metrics. */
struct ask {
    char *topic;
    struct buffer correlation;
    uint64_t inbox_position; /* answered when the inbox is worked up to here */
};

/* A consumer's newest report since the last look. */
struct report {
    bool heard;
    struct publisher_word said;
    bool rewind;
};

/* The newest message that the broker refused. */
struct refusal {
    char text[256];   /* what, to whom, why */
    int64_t until_ms; /* shown until then; steady clock */
};

/* What the wires' threads have left for the loop; under process->lock. */
struct arrived {
    struct ask asks[ASKS_MAX];
    unsigned ask_count;
    struct report reports[PUBLISHER_CONSUMERS_MAX]; /* in the order of the publisher's consumers */
    bool synced;                 /* our own message came back: everything retained has come before it */
    bool kept_heard;             /* the broker's copy of …/.kept came */
    struct report kept;
    bool acknowledged;           /* an operator says so */
    uint64_t delivered_output;   /* newest token acknowledged, */
    uint64_t delivered_rejected;
    uint64_t refused_output;     /* and the first one refused, since the last look */
    uint64_t refused_rejected;
    bool refill_delivered, refill_refused;
    struct buffer recalled; /* what the broker keeps as withdrawn, see recall.c, */
    uint64_t recalled_of;   /* of so many rows, */
    bool recalled_come;     /* and all of it has come */
    struct refusal refusal;
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
    int64_t again_ms;      /* after a row was refused: when to begin anew */
    int64_t again_wait_ms;
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
    int64_t cut_wait_ms; /* after a connection that ended in place of an answer: so long, */
    int64_t held_until_ms; /* and until then */

    /* Shared with the wires' threads; under process->lock. */
    char token[PROBE_TOKEN_BYTES]; /* of this connection: nobody else knows it before it is sent */
    uint64_t sent;                 /* which sending, of all */
    bool taken, refused, came_back;
    bool something_came; /* from anybody */
};

/* Why nothing is taken in at present; WHY_NOT_STOPPED: it is. */
enum why_stopped {
    WHY_NOT_STOPPED,
    WHY_DISK_FULL,
    WHY_NO_ADDRESS_SPACE,
    WHY_STORE_BROKEN,
    WHY_FILES_WRONG,
    WHY_INBOX_FULL,
    WHY_OUTBOX_FULL,
    WHY_BROKER_AWAY,
    WHY_NO_ACKNOWLEDGEMENT, /* from here on nothing is taken in, not even what is in the inbox */
    WHY_NO_RETAIN,
    WHY_RECORD_TOO_LARGE,
    WHY_CLOCK_WRONG,
    WHY_ROWS_OLD,
    WHY_OPERATOR_FULL /* the operator says why */
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

struct process {
    struct process_options options;
    const struct stream *stream;
    struct topics topics;
    char *dir; /* of this process's state */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken;
    struct arrived arrived;
    uint64_t unanswered; /* receipts and answers that were asked for where we give none, since the start; under lock */

    struct store *store;
    int meta; /* table: "epoch", "earlier", "back", "inbox", "inbox_key", "inbox_lost", "link <producer>",
               * "left <producer>", "awaits <producer>", "first", "ledger", "recent", "clock", "email_case", "untold" */
    uint64_t epoch;
    uint64_t first_epoch; /* of all lives of this store: what the inbox knows it by */
    struct lives earlier;
    struct back back;
    struct hash_key inbox_key;
    struct inbox_lost lost;
    bool acknowledged; /* and that is to be committed */
    bool loaded; /* what is kept in memory agrees with the store; */
    bool own_loaded; /* all but what the operator keeps, which is what metrics show */
    bool kept; /* what loading it writes is committed: that makes a new store one of ours */
    void *operator_state;
    struct ledger ledger;
    struct recent recent;
    struct untold untold;
    struct attempt attempt;
    int aside;               /* table: records that the process died of, see batch.c */
    unsigned set_aside;      /* how many since it was opened */
    struct record_decoder *decoders[OPERATOR_INPUTS_MAX];

    struct inbox *inbox; /* NULL without a landing input */
    uint64_t inbox_position;
    uint64_t inbox_released; /* what is worked is gone from it up to here; UINT64_MAX: since we are up, nothing is yet */
    struct link links[OPERATOR_INPUTS_MAX];
    struct payload_place places[PLACES]; /* as in the store */

    struct outbox output;
    struct outbox rejected;
    struct publisher output_publisher;
    struct publisher rejected_publisher;

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

    /* The batch at work. */
    struct output calls; /* what operators are given */
    struct buffer output_message;
    struct buffer rejected_message;
    bool output_failed;
    bool alone; /* something stored is worked by it, which killed before, or may have, and nothing else is to be */
    uint64_t output_end; /* of both outboxes when the transaction began */
    enum store_fault fault; /* why the last one failed */
    struct receipts receipts;
    struct span levels; /* what the payload at hand has in its topic behind the landing topic */
    struct buffer refused_topic;
    int64_t now_ms; /* the timekeeper's: records are stamped with it and expire by it */
    unsigned batch_records_max;     /* BATCH_RECORDS_MAX and BATCH_OUTPUT_BYTES_MAX, but for tests, which have little data */
    uint64_t batch_output_bytes_max;
    uint64_t payload_faults_max; /* PAYLOAD_FAULTS_MAX, likewise */
    int64_t message_bytes;
    size_t payload_bytes_max;
    uint64_t outbox_bytes_max;
    uint64_t rejected_bytes_max;
    bool rejected_payload;

    enum why_stopped why;
    enum why_stopped why_stalled; /* until stalled_until_ms */
    char why_text[512];
    struct timekeeper timekeeper;
    int64_t stalled_until_ms;
    unsigned stalls; /* in a row */
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
    int lock_fd;
    int hold_fd;
    char *consumer_names; /* of the configuration; publishers point into it */
};

/* batch.c: work what has arrived in one transaction. 1 something was worked, 0 there was nothing, −1 it failed (state in
 * memory is stale then, and process->loaded false). */
int batch_work(struct process *process, int64_t now_ms, bool intake);

/* After batch_work found no room: trim what may be trimmed, and commit even if that is nothing, so that the store can
 * use again what earlier transactions have freed. As batch_work. */
int batch_make_room(struct process *process, int64_t now_ms);

/* Remove from the inbox what is worked and committed, unless somebody has asked that nothing be removed: then it is to be
 * called again. */
void batch_release(struct process *process);

/* Whether batch_work would find anything. */
bool batch_waits(struct process *process, int64_t now_ms, bool intake);

/* Begin to note what is worked next; once all is loaded and open. */
void batch_opened(struct process *process);

/* Whether rows that are known to be old are to be replaced before anything else is decided. */
bool batch_awaits_rows(const struct process *process);

/* Read everything that is kept in memory from the store, inside a transaction. 0 or −1. */
int batch_load(struct process *process);

/* The same, without the operator: for a process whose operator can't go on yet. */
int batch_load_own(struct process *process);

/* Whether the key of the inbox is in the store, in the transaction at hand: 1, 0, −1. */
int batch_has_inbox_key(struct process *process);

/* Read the positions in a store that may be somebody else's, in a snapshot; meta is its table. 0, or −1 with a line in the
 * log: something is not of a format that is read here. */
int batch_read_positions(struct store *store, int meta, const struct stream *stream, struct cut_positions *positions);

/* Whether the state in store, in the transaction or snapshot at hand, goes with email_case of config; meta is its table. 1;
 * 0, and how it was made and what to do is appended to fault; −1. */
int batch_email_case_fits(struct store *store, int meta, const struct config *config, struct buffer *fault);

/* Publish the receipts of the batch that was committed. */
void batch_send_receipts(struct process *process);

/* Add a record, without its braces, to the message that is being filled for outbox; a full one goes there first. */
void batch_add_record(struct process *process, struct outbox *outbox, struct buffer *message, struct span body);

/* refusal.c, in a transaction: tell of a record that is refused or invalid. payload is what was refused: a record's
 * members, or the text as it came in (whole). If there is no room for more it is counted, as below. */
void refusal_tell(struct process *process, unsigned input, struct fault fault, struct span payload, bool whole);

/* Only count it. */
void refusal_count(struct process *process, unsigned input, struct fault fault);

/* Tell of those that were counted, a line for each reason, if there is room. How many lines. */
unsigned refusal_tell_counted(struct process *process);

/* How many those are. */
uint64_t refusal_untold(const struct process *process);

/* Read what is counted, after open and after an aborted transaction; write it, before the commit. 0 or −1. */
int refusal_load(struct process *process);
int refusal_flush(struct process *process);

/* A line up to where it shows what was refused, without its last '}'. */
struct span refusal_without_payload(struct span line);

/* arrive.c: events for the two ports' wires. */
struct wire_events arrive_on_links(struct process *process);
struct wire_events arrive_on_landing(struct process *process);

/* refill.c: begin, or go on, giving rows to a broker that forgot them; or leave it, for one that has them. In no
 * transaction. */
void refill_begin(struct process *process);
void refill_end(struct process *process);
void refill_step(struct process *process, int64_t steady_ms);
void refill_free(struct process *process);

/* newcomer.c: look whether a consumer without state has reported, and bring it to where it can follow. newcomer_work is
 * for inside a transaction: how many rows were appended, −1. */
void newcomer_look(struct process *process);
int newcomer_work(struct process *process);
void newcomer_committed(struct process *process);
void newcomer_free(struct process *process);

/* recall.c: look, before the state is loaded, whether gait restore has put it here. */
void recall_look(struct process *process);

/* It is loaded. */
void recall_loaded(struct process *process);

/* What it had of tables is forgotten, and that is committed. */
void recall_tables_forgotten(struct process *process);

/* This state has just been found to be an older copy. */
void recall_told(struct process *process);

/* With each connection: ask the broker, if that is due. */
void recall_ask(struct process *process);

/* On the wire's thread: a message of our own output. */
void recall_keep(struct process *process, struct span row, const struct wire_message *message);

/* Take what the broker has answered. */
void recall_hear(struct process *process);

/* In a transaction: withdraw rows: how many were looked at, −1. recall_committed after the commit. */
int recall_work(struct process *process, struct output *output);
void recall_committed(struct process *process);

void recall_free(struct process *process);

/* probe.c: set up what is to be looked at; send what is due, and judge what came of it. */
void probe_open(struct process *process);
void probe_step(struct process *process, int64_t steady_ms);
void probe_free(struct process *process);

/* What the wires' threads hear, to be called with the lock held: the broker took the probe with this token, or refused it;
 * and a message came to a landing input: whether it is our own, and to be left out. */
void probe_answered(struct process *process, uint64_t token, bool taken);
bool probe_came(struct process *process, unsigned input, const struct wire_message *message);

/* What is to be said of one that is silent. */
void probe_write(const struct process *process, const struct probe *probe, struct buffer *text);

/* metrics.c: append the metrics as one JSON object; without the newest refusals if the broker does not take it with them. */
void metrics_write(struct process *process, struct buffer *text);

/* Our account at the broker, for people. */
const char *metrics_user(const struct process *process);

/* What is to be said of a state that went back in time, without the operator's next step. */
void back_write(const struct back *back, struct buffer *text);

/* What is to be said of what the inbox lost, likewise. */
void lost_write(const struct inbox_lost *lost, struct buffer *text);

/* Whether a table lacks rows that its producer has no longer: what this state has of it may be withdrawn. */
bool lacks_rows(struct process *process);

/* The words for why nothing is taken in, or what else is not well; "" if all is. Valid until the next call. */
const char *why_stopped(struct process *process);

#endif
