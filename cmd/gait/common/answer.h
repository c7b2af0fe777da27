/*
 * answer: what a process says of itself, in its answer to <prefix>/ask and retained at <prefix>/metrics/<process>.
 *
 * It comes over the broker, where others may publish too: what is missing or malformed counts as zero or empty, and
 * texts hold printable ASCII only, so that they can be shown.
 */
#ifndef COMMON_ANSWER_H
#define COMMON_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"
#include "base/span.h"
#include "record/reason.h"
#include "operator/stream.h"

#define ANSWER_NAME_SIZE NAME_SIZE
#define ANSWER_WHY_SIZE 512

/* The names of an input's counters, taken first; and how many there are. */
enum { ANSWER_TAKEN, ANSWER_COUNTERS = 7 };
extern const char *const answer_counter_names[ANSWER_COUNTERS];

struct answer_input {
    int64_t counters[ANSWER_COUNTERS];
    char epoch[ANSWER_NAME_SIZE]; /* links: which outbox was applied … */
    int64_t applied;              /* … and up to where */
    bool stands;                  /* nothing more is taken on it, and the process says why */
};

struct answer_consumer {
    char name[ANSWER_NAME_SIZE];
    int64_t applied;
};

struct answer_gauge {
    char name[ANSWER_NAME_SIZE];
    int64_t value;
};

#define ANSWER_RECENT_MAX 4       /* a process keeps as many of each reason */
#define ANSWER_TOPIC_SIZE 256

/* One of the newest records that were refused for a reason. */
struct answer_refusal {
    int64_t time_ms;
    char field[ANSWER_NAME_SIZE]; /* empty: none is at fault */
    char topic[ANSWER_TOPIC_SIZE]; /* below the prefix */
};

struct answer {
    char process[ANSWER_NAME_SIZE];
    char state[16];
    char why[ANSWER_WHY_SIZE]; /* why it is stopped, or what hinders it */
    int64_t pid;
    struct answer_input inputs[OPERATOR_INPUTS_MAX]; /* in the order of the stream's declaration */
    char epoch[ANSWER_NAME_SIZE];                    /* of the output; empty if there is none */
    int64_t last;
    struct answer_consumer consumers[CONSUMERS_MAX];
    unsigned consumer_count;
    int64_t reasons[REASON_COUNT];
    struct answer_refusal recent[REASON_COUNT][ANSWER_RECENT_MAX]; /* newest first */
    unsigned recent_count[REASON_COUNT];
    struct answer_gauge gauges[OPERATOR_GAUGES_MAX];
    unsigned gauge_count;
    int64_t untold; /* refusals that it has counted, and not told of yet */
    int64_t inbox_bytes;
    int64_t due;
    int64_t unanswered; /* asked for at topics where no answers are given */
    bool unacknowledged; /* its state is an older copy of itself, or its inbox lost messages, and nobody has seen that */
};

/* Read the metrics document in text. 0, or −1 if it is no JSON object of a process in the catalog, or longer than any. */
int answer_decode(struct span text, struct answer *answer);

/* Whether the process takes nothing in. */
bool answer_is_stopped(const struct answer *answer);

/* Whether taken = passed + waiting + refused + duplicate + stale + invalid for this input. */
bool answer_balances(const struct answer_input *input);

/* Whether name is a registered consumer of the output. */
bool answer_has_consumer(const struct answer *answer, const char *name);

/* How many messages of the producer's output this input has not applied yet; all, if it knows another outbox. */
int64_t answer_behind(const struct answer_input *input, const struct answer *producer);

#endif
