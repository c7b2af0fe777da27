/*
 * receipt: what a process answers to a message of records, once it has them on its disk (design.md, Landing).
 */
#ifndef LOAD_RECEIPT_H
#define LOAD_RECEIPT_H

#include <stdint.h>

#include "base/span.h"

#define RECEIPT_FAULTS_MAX 8

/* One of the invalid records. */
struct receipt_fault {
    uint64_t record; /* which of the message, from 0 */
    char reason[24];
    char field[48]; /* the one at fault, or "" */
};

struct receipt {
    uint64_t taken; /* records in the message, */
    uint64_t duplicate;
    uint64_t invalid;
    uint64_t refused; /* this and those below: 0 too where a process of before does not say them */
    uint64_t stale;
    uint64_t ahead; /* dated ahead of the process's clock, whatever became of them */
    struct receipt_fault faults[RECEIPT_FAULTS_MAX]; /* the first of those; processes of before do not say them */
    unsigned fault_count;
};

/* Read payload, which anybody may have sent. 0, or −1 if it is no receipt. */
int receipt_read(struct span payload, struct receipt *receipt);

/* A fault in words that a person understands ("missing_field: email is missing"). text has RECEIPT_TEXT_BYTES. */
#define RECEIPT_TEXT_BYTES 128
void receipt_describe(const struct receipt_fault *fault, char *text);

#endif
