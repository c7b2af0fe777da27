/*
 * reason: the stable words that say why a record was refused. They stand in gait/rejected/<process>, in the metrics and
 * in the store, so a word never changes its meaning and its number never changes at all: add at the end.
 */
#ifndef RECORD_REASON_H
#define RECORD_REASON_H

enum reason {
    REASON_NONE = 0,      /* not refused */
    REASON_BAD_JSON,      /* not one well-formed JSON object (grammar, UTF-8, NUL, depth, duplicate key) */
    REASON_MISSING_FIELD, /* a required field is absent or null */
    REASON_BAD_TYPE,      /* a field has another JSON type than it must */
    REASON_OUT_OF_RANGE,  /* a time too early or too far ahead, a number that is no finite double, an empty string */
    REASON_TOO_LARGE,     /* payload or string over its limit */
    REASON_NO_CONSENT,    /* the customer does not share with research */
    REASON_EXPIRED,       /* waited for `hold` or `retain`, and what it waited for did not come */
    REASON_HOLD_FULL,     /* would have had to wait, and `hold_bytes` are waiting already */
    REASON_POISON,        /* the process died of it, again and again */
    REASON_COUNT
};

/* What is wrong with one record, and where. */
struct fault {
    enum reason reason;
    const char *field; /* one of those in record.c's tables (static), or NULL: in none, or one that has no name there */
};

/* The word for reason; "none" for REASON_NONE. */
const char *reason_word(enum reason reason);

#endif
