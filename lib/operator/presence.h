/*
 * presence: a customer table semi-join a stream. A row of the table goes out once a reading of its person has been seen;
 * later changes of the row follow, and so does its withdrawal.
 */
#ifndef OPERATOR_PRESENCE_H
#define OPERATOR_PRESENCE_H

#include "operator/operator.h"

/* Inputs in this order. No parameters (NULL). Table output. */
enum presence_input { PRESENCE_TABLE, PRESENCE_STREAM };

extern const struct operator presence_operator;

#endif
