/*
 * join: the interval join of two streams of readings: every pair whose times differ by at most a window comes out once,
 * whichever reading comes first. Inner, and emitted at once, so it needs no watermark; a reading stays joinable for
 * `retain` after its arrival.
 *
 * A reading takes part only while a row of the customer table says so (its person is known and has not withdrawn);
 * before the row is there it waits.
 */
#ifndef OPERATOR_JOIN_H
#define OPERATOR_JOIN_H

#include "operator/operator.h"

/* Inputs in this order. */
enum join_input { JOIN_STEP_TRAINER, JOIN_ACCELEROMETER, JOIN_TABLE };

enum join_match {
    JOIN_BY_TIME,    /* any two readings pair */
    JOIN_BY_CUSTOMER /* both must belong to one row of the table: its e-mail, its serial number */
};

/* What stands for the e-mail address in the output. Numbers as in the configuration's words. */
enum join_subject { JOIN_SUBJECT_PSEUDONYM, JOIN_SUBJECT_EMAIL, JOIN_SUBJECT_NONE };

struct join_parameters {
    enum join_match match;
    int64_t window_ms;
    int64_t retain_ms;
    enum join_subject subject;
    struct hash_key pseudonym_key;
};

extern const struct operator join_operator;

#endif
