/*
 * gate: a stream semi-join a customer table, with waiting. A reading passes if a row of the table has its key and
 * consents; it waits where nothing is known of its key yet; it is refused where consent was withdrawn.
 */
#ifndef OPERATOR_GATE_H
#define OPERATOR_GATE_H

#include "operator/operator.h"

/* Inputs in this order. */
enum gate_input { GATE_STREAM, GATE_TABLE };

enum gate_key { GATE_BY_EMAIL, GATE_BY_SERIAL_NUMBER };

struct gate_parameters {
    enum gate_key key;
    bool as_of;         /* a reading must not be older than the consent */
    int64_t hold_ms;    /* how long one waits; 0: nobody does, nothing of a reading is stored */
    int64_t hold_bytes; /* what may wait, */
    int64_t hold_sender_bytes; /* and of one sender */
};

/* One sender may take this part of the waiting room: none can shut the others out. Those who send without a level of
 * their own are one. */
#define GATE_SENDER_SHARE 4

extern const struct operator gate_operator;

#endif
