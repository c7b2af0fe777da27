/*
 * record: the kinds of record that come in, as the operators see them.
 *
 * Decoding is strict and keeps what is needed to decide (keys, times, fingerprint) and what goes out again (body), as
 * it came in: numbers and strings are passed on as text, so nothing is rounded on the way. Times are whole milliseconds:
 * one that came with a fraction or an exponent (1655564376361.0, 1.655564376361E12) is rounded down and goes out as an
 * integer.
 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"
#include "record/json.h"
#include "record/reason.h"

/* New ones go before RECORD_LINE: what lands comes first, customers and then readings. */
enum record_kind {
    RECORD_CUSTOMER,
    RECORD_ACCELEROMETER,
    RECORD_STEP_TRAINER,
    RECORD_LINE /* a line that is one object with members, whatever they are: only body is set */
};
#define RECORD_LANDING_KINDS RECORD_LINE /* how many land */

/* What no record has, whoever sends it and whatever the configuration says: a time before 1970 or after the year 9999, which
 * also keeps sums of times far from the ends of int64; more depth or a longer string than the limits can be set to. */
#define RECORD_TIME_MS_MAX INT64_C(253402300799999)
#define RECORD_DEPTH_MAX 64
#define RECORD_STRING_BYTES_MAX (64u << 10)

/* Whether time_ms is one that a record can have: from 1970 on, up to RECORD_TIME_MS_MAX. */
static inline bool
record_time_is_right(int64_t time_ms)
{
    return time_ms >= 0 && time_ms <= RECORD_TIME_MS_MAX;
}

/* A member of lines that is the lake's to write: none comes with it. */
#define RECORD_ROW "row"

/* Limits on what is taken in; times between 0 (a reading's: earliest_ms) and now_ms + ahead_ms, or RECORD_TIME_MS_MAX. */
struct record_limits {
    struct json_limits json;
    unsigned payload_bytes_max;
    int64_t earliest_ms; /* of a reading, 0 or more: who sends seconds is told, as they lie in January 1970 */
    int64_t ahead_ms;
    bool fold_email; /* record->email has a to z in place of A to Z, so that spellings that differ in that are one person */
};

/*
 * A decoded record. Spans point into the text it was decoded from or into the decoder: valid until the next decode.
 *
 * body is the record's members in a fixed order without the braces, times as integers, numbers and strings as they came:
 *   customer        "customerName":…,"email":…,"phone":…,"birthDay":…,"serialNumber":…,"registrationDate":…,
 *                   "lastUpdateDate":… and those of shareWithResearchAsOfDate, shareWithPublicAsOfDate,
 *                   shareWithFriendsAsOfDate that were there and not null, in this order (withdrawAll is never there)
 *   accelerometer   "user":…,"timestamp":…,"x":…,"y":…,"z":…     (timeStamp is accepted for timestamp, not both)
 *   step trainer    "sensorReadingTime":…,"serialNumber":…,"distanceFromObject":…
 * Members with other names are dropped. Two records are duplicates if they are equal field by field (strings by their
 * characters, numbers by value, null like absent, a flag that is false too): equal `identity` bytes.
 */
struct record {
    enum record_kind kind;
    struct span email;           /* customer, accelerometer (user): characters, escapes resolved; see fold_email */
    struct span serial_number;   /* customer, step trainer */
    int64_t time_ms;             /* lastUpdateDate, timestamp, sensorReadingTime */
    int64_t research_as_of_ms;   /* customer: shareWithResearchAsOfDate, 0 if it does not share */
    bool withdraws_all;          /* customer: withdrawAll; then it does not share */
    int64_t withdrawn_ms;        /* customer on a link: a withdrawn marker's time, and nothing else is set. Else 0 */
    struct span body;            /* see above */
    struct {
        unsigned member; /* where in body the e-mail address stands: its member, from the quote of its name on, */
        unsigned value;  /* its characters, as they came, */
        unsigned end;    /* and what follows them: the closing quote. All 0: there is none */
    } person;
    struct span identity;        /* canonical bytes of all fields; empty for withdrawn markers and lines */
};

/* Memory that decoding reuses from record to record. */
struct record_decoder;

/* limits is copied. Free with record_decoder_free. */
struct record_decoder *record_decoder_new(enum record_kind kind, const struct record_limits *limits);
void record_decoder_free(struct record_decoder *decoder);

/* Which limits hold and which extras are allowed: what comes from outside, or over a link, which says that it comes from one
 * of our own processes. Of a link the limits that can be set are not asked again, so that what was taken in once is good
 * everywhere, whatever they were then: earliest_ms and ahead_ms don't count, and who reads a link gives the greatest depth
 * and string. What no record has is refused from there, too: whoever may publish there may forge. Withdrawn markers are
 * allowed. */
enum record_source { RECORD_FROM_LANDING, RECORD_FROM_LINK };

/* Decode the one object that fills text but for white space. REASON_NONE and
 * *record, or why it is refused and which field is at fault: the first missing one, or the first of body order that is
 * wrong; in text that is no object as a whole (bad_json, too_large) the one in which that was found. */
struct fault record_decode(struct record_decoder *decoder, struct span text, enum record_source source, int64_t now_ms,
                           struct record *record);

/*
 * A payload is one object, an array of objects, or objects one after another (NDJSON, with or without line ends, CRLF
 * too; a BOM before the first is skipped). record_next finds and decodes one after the other; a bad record ends where
 * the next one can be told to begin, so that its neighbours are not harmed.
 */
enum record_place {
    RECORD_AT_START,
    RECORD_BETWEEN,       /* objects one after another: before one or behind one */
    RECORD_FIRST_ELEMENT, /* in an array: behind its '[' */
    RECORD_AFTER_ELEMENT,
    RECORD_AFTER_COMMA,
    RECORD_AT_END
};

struct record_cursor {
    struct span payload;
    size_t at; /* where the next record is looked for */
    enum record_place place;
};

/* Start on payload. */
struct record_cursor record_cursor(struct span payload);

/* The next record. 1 and either fault->reason REASON_NONE and *record, or *fault as from record_decode; 0 at the end.
 * Always advances. An empty payload is one refused record (REASON_BAD_JSON), one over payload_bytes_max is one too
 * (REASON_TOO_LARGE). So is what can't be a record (REASON_BAD_JSON): each run of text between objects, each element of
 * an array that is no object or is not there, a missing ']', and everything behind an array. An array without elements
 * is no record. For RECORD_LINE every line that is not blank is one, and its object, with the braces, the body. */
int record_next(struct record_decoder *decoder, struct record_cursor *cursor, enum record_source source, int64_t now_ms,
                struct record *record, struct fault *fault);

/* Append the record's body, with name in place of the e-mail address; name has nothing that JSON would escape. The record
 * has an address. */
void record_rename_person(const struct record *record, struct span name, struct buffer *out);

/* Append the record's body without the member that is the e-mail address. The record has one. */
void record_leave_out_person(const struct record *record, struct buffer *out);

/* The body of a withdrawn marker. Time 0 becomes 1, because withdrawn_ms 0 says that a record is none. */
void record_encode_withdrawn(int64_t withdrawn_ms, struct buffer *body);

/* The time of a withdrawn marker from its body; 0 if it is none. */
int64_t record_withdrawn_ms(struct span body);

/* What a kind's fields are called and made of, in body order: for tools that make records from other formats. */
enum record_field_type {
    RECORD_FIELD_TEXT,
    RECORD_FIELD_TIME_MS,
    RECORD_FIELD_NUMBER,
    RECORD_FIELD_FLAG /* true or false; never goes out again */
};

/* What a field is to a decision: the member of struct record that it sets. */
enum record_role {
    RECORD_ROLE_NONE,
    RECORD_ROLE_EMAIL,         /* must not be empty */
    RECORD_ROLE_SERIAL_NUMBER, /* must not be empty */
    RECORD_ROLE_TIME,
    RECORD_ROLE_RESEARCH_AS_OF,
    RECORD_ROLE_WITHDRAW_ALL /* out of range beside a consent */
};

struct record_field {
    const char *name;
    enum record_field_type type;
    bool required;
    enum record_role role;
    const char *alias; /* another name that is accepted for it, or NULL; both at once are REASON_BAD_JSON */
};

/* The fields of kind (not RECORD_LINE); *count of them. */
const struct record_field *record_fields(enum record_kind kind, unsigned *count);

/* The name of the kind as in topics: "customer", "accelerometer", "step_trainer". */
const char *record_kind_name(enum record_kind kind);

#endif
