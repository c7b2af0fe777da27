/*
 * topic: the names of all topics of gait, below the prefix of the configuration, and of the filters for several of them.
 *
 *   landing/<kind>                    records come in, here and on levels below, which are their senders'
 *   landing/<kind>/.probe             a process's own message, to see whether its subscription brings anything
 *   receipt/<…>, answer/<…>           to whoever asked: a response topic of the asker's, below these
 *   <output>, <output>/<row>          what a stream gives out; of a table each row is retained
 *   rejected/<process>                what it refused, or found invalid
 *   status/<process>                  "online" or "offline", retained
 *   metrics/<process>                 retained
 *   ask                               everybody is asked for the metrics
 *   acknowledge/<process>             an operator has seen what is told
 *   link/<producer>/<consumer>        where the consumer is: a report, retained (links/link.h)
 *   link/<producer>/<consumer>/feed   what it is sent; of a table, with the row's name behind it
 *   link/<producer>/<consumer>/oldest where it is to begin
 *   link/<process>/.sync              a process's own message: everything retained came before it
 *   link/<process>/.kept              up to where the broker has its output, retained; no consumer's name has a dot
 */
#ifndef WIRE_TOPIC_H
#define WIRE_TOPIC_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/span.h"

/* With what name, and peer where there are two, stand for. */
enum topic {
    TOPIC_LANDING,     /* a kind */
    TOPIC_LANDING_ALL, /* a landing topic; a filter */
    TOPIC_PROBE,       /* a landing topic */
    TOPIC_RECEIPT,     /* whose */
    TOPIC_ANSWER,      /* whose */
    TOPIC_OUTPUT,      /* the stream's topic */
    TOPIC_ROWS,        /* the stream's topic; a filter */
    TOPIC_REJECTED,    /* a process */
    TOPIC_STATUS,      /* a process, or "+" for a filter */
    TOPIC_METRICS,     /* likewise */
    TOPIC_ASK,         /* nothing */
    TOPIC_ACKNOWLEDGE, /* a process */
    TOPIC_LINK,        /* a producer */
    TOPIC_REPORT,      /* a producer, a consumer */
    TOPIC_REPORTS,     /* a producer; a filter */
    TOPIC_FEEDS,       /* a consumer; a filter, also for the rows of tables */
    TOPIC_OLDEST,      /* a producer, a consumer */
    TOPIC_OLDESTS,     /* a consumer; a filter */
    TOPIC_SYNC,        /* a process */
    TOPIC_KEPT,        /* a process */
    TOPIC_COUNT
};

/* The levels below the prefix of topics that others name, for us to answer. */
#define TOPIC_RECEIPT_LEVEL "receipt"
#define TOPIC_ANSWER_LEVEL "answer"

/* The levels below a consumer's report. */
#define TOPIC_FEED_LEVEL "feed"
#define TOPIC_OLDEST_LEVEL "oldest"

/* The levels of a process's own below its link. */
#define TOPIC_SYNC_LEVEL ".sync"
#define TOPIC_KEPT_LEVEL ".kept"

/* The topic's name; name and peer as above, NULL where there is none. To be freed. */
char *topic_name(enum topic topic, const char *prefix, const char *name, const char *peer);

/* For what is sent in numbers, into a buffer that is kept. Append to a table's output, or to a feed of it, a row's level. */
void topic_add_row(struct buffer *topic, struct span row);

/* Append to a producer's TOPIC_LINK what makes it the feed of this consumer. */
void topic_add_feed(struct buffer *topic, const char *consumer);

/* Whether topic matches filter, whose only wildcards are a last level + or #. *level is what that stands for: of #, which
 * takes an empty level too, maybe nothing. */
bool topic_matches(struct span topic, const char *filter, struct span *level);

/* Whether topic is "<above>/<level>". */
bool topic_is(struct span topic, const char *above, const char *level);

/* The rest of topic behind "<above>/<level>/", if it begins with that. */
bool topic_is_below(struct span topic, const char *above, const char *level, struct span *rest);

#endif
