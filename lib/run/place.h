/*
 * place: how far a payload is worked, where a transaction had to end inside of it, and what became of its records so far.
 */
#ifndef RUN_PLACE_H
#define RUN_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "record/record.h"
#include "operator/operator.h"

/* Invalid records of a payload that are remembered one by one: enough to see what is wrong with the rest. */
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

/* How many records it counts. */
uint64_t tally_taken(const struct tally *tally);

/* Note the fault of the next record, of this kind; to be called before it is counted as invalid. */
void tally_add_fault(struct tally *tally, enum record_kind kind, const struct fault *fault);

/* Zeros: no payload is begun. Layout, behind the position of its source: at u64 BE, record u8, identity u64 BE, then u64 BE
 * each taken, duplicate and invalid, TALLY_FAULTS_MAX times record u32 BE, reason u8, field u8, then u64 BE each passed,
 * waiting, refused, stale and ahead; nothing where none is begun. Stores of before have nothing behind the faults: what is
 * left of taken counts as passed then. */
struct payload_place {
    uint64_t at; /* of a record_cursor, as is record */
    enum record_place record;
    uint64_t identity; /* of the payload: one that comes instead, after a crash, is begun at its beginning */
    struct tally tally; /* what became of the records before */
};

#define PLACE_BYTES_OF_BEFORE (41 + TALLY_FAULTS_MAX * 6)
#define PLACE_BYTES (PLACE_BYTES_OF_BEFORE + 40)

/* Write place to value, which has room for PLACE_BYTES: how many bytes it took, 0 where nothing is begun. */
size_t place_encode(const struct payload_place *place, char *value);

/* Read it from value; of none, where value is empty. 0, or −1 if it is no place. */
int place_decode(struct span value, struct payload_place *place);

#endif
