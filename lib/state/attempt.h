/*
 * attempt: what a process is at, noted in a file before each transaction, so that it does not die of one record at every
 * start.
 *
 * For each place that records come from, the note says where its next one stands (its front), and how often in a row the
 * process died with that front at work. After a few deaths there, which may be anybody's doing, records are worked one a
 * transaction for a while; one that the process dies of even so, ATTEMPT_DEATHS times in a row, is to be set aside. A front
 * that moves forgets its deaths, so kills at random come to nothing.
 *
 * What is due without an input stands where counters and output stand: that is enough to suspect it. Then its steps are told
 * apart by what is stored there and worked (ATTEMPT_STORED).
 *
 * While the store and the inbox are opened the note says that; a process that dies of either says so at its next start. What
 * it died of can't be set aside there: it is not known.
 *
 * The note is not synced: only the death of the process is of interest, and that loses no write. A note that can't be read
 * or written is none.
 *
 * Layout of the file: tried u16 BE, a bit for each place that was at work; for each place position u64 BE, at u64 BE,
 * careful u16 BE, deaths u8; hash_checksum of all this u64 BE.
 */
#ifndef STATE_ATTEMPT_H
#define STATE_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "operator/operator.h"

/* One for each input, one for landing, what is due without an input, what of that is worked alone, and the folders that
 * are opened at the start. */
#define ATTEMPT_LANDING OPERATOR_INPUTS_MAX
#define ATTEMPT_DUE (OPERATOR_INPUTS_MAX + 1)
#define ATTEMPT_STORED (OPERATOR_INPUTS_MAX + 2)
#define ATTEMPT_OPENS_STORE (OPERATOR_INPUTS_MAX + 3)
#define ATTEMPT_OPENS_LANDING (OPERATOR_INPUTS_MAX + 4)
#define ATTEMPT_PLACES (OPERATOR_INPUTS_MAX + 5)

/* Deaths at one front before records are worked one by one, and then of one record before it is set aside: an operator, or
 * the kernel that wants memory, may well kill twice at the same place. */
#define ATTEMPT_SUSPECTED 2
#define ATTEMPT_DEATHS 3

/* So many records are worked one by one then: as many as may have been in the transaction. */
#define ATTEMPT_CAREFUL 8192

/* Where the next record of a place stands. */
struct attempt_front {
    uint64_t position; /* of its payload, whatever counts those */
    uint64_t at;       /* in the payload */
};

struct attempt {
    int fd; /* −1: nothing is noted */
    unsigned tried; /* bits of the places at work */
    struct {
        struct attempt_front front;
        unsigned careful; /* so many records are to be worked one by one yet */
        unsigned deaths;
    } places[ATTEMPT_PLACES];
};

/* Read the note in folder dir, and say it if the process died of opening. End with attempt_close. */
void attempt_open(struct attempt *attempt, const char *dir);

/* The folder of this place is opened next, ATTEMPT_OPENS_STORE or ATTEMPT_OPENS_LANDING. */
void attempt_opens(struct attempt *attempt, unsigned place);

/* All is open: compare the note with the fronts that are committed. Who stands where it stood has died there. */
void attempt_opened(struct attempt *attempt, const struct attempt_front *fronts);

/* Whether records are to be worked one by one. */
bool attempt_is_careful(const struct attempt *attempt);

/* The places whose bits are set in tried are worked next, from these fronts on (of all places). */
void attempt_begin(struct attempt *attempt, unsigned tried, const struct attempt_front *fronts);

/* This one record, or step, is worked next, alone. How often the process has died of it in a row. */
unsigned attempt_begin_one(struct attempt *attempt, unsigned place, struct attempt_front front);

/* What was begun alone is committed: it has killed nobody. */
void attempt_end_one(struct attempt *attempt);

/* Nothing came of it, by no fault of the record's: the transaction failed. */
void attempt_forget(struct attempt *attempt);

/* Whoever closes while it opens has not died of that. */
void attempt_close(struct attempt *attempt);

#endif
