#include "run/place.h"

#include "base/bytes.h"
#include "base/log.h"

#define FAULTS_AT 41
#define FAULT_BYTES 6

_Static_assert(PLACE_BYTES_OF_BEFORE == FAULTS_AT + TALLY_FAULTS_MAX * FAULT_BYTES, "the layout of a place");

uint64_t
tally_taken(const struct tally *tally)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        sum += tally->verdicts[i];
    return sum;
}

static uint8_t
field_number(enum record_kind kind, const char *name)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);

    for (unsigned i = 0; i < count; i++) {
        if (fields[i].name == name)
            return (uint8_t)i;
    }
    return TALLY_NO_FIELD;
}

void
tally_add_fault(struct tally *tally, enum record_kind kind, const struct fault *fault)
{
    const uint64_t invalid = tally->verdicts[VERDICT_INVALID];

    log_assert(fault->reason > REASON_NONE && fault->reason < REASON_COUNT);
    if (invalid >= TALLY_FAULTS_MAX)
        return;
    tally->faults[invalid].record = (uint32_t)tally_taken(tally); /* fewer than the payload has bytes */
    tally->faults[invalid].reason = (uint8_t)fault->reason;
    tally->faults[invalid].field = field_number(kind, fault->field);
}

/* What stands behind the faults, then ahead. */
static const enum verdict later_verdicts[] = {VERDICT_PASSED, VERDICT_WAITING, VERDICT_REFUSED, VERDICT_STALE};

size_t
place_encode(const struct payload_place *place, char *value)
{
    const char *const begin = value;

    log_assert(place->record <= RECORD_AT_END);
    if (place->identity == 0)
        return 0;
    bytes_put_u64(value, place->at);
    value[8] = (char)place->record;
    bytes_put_u64(value + 9, place->identity);
    bytes_put_u64(value + 17, tally_taken(&place->tally));
    bytes_put_u64(value + 25, place->tally.verdicts[VERDICT_DUPLICATE]);
    bytes_put_u64(value + 33, place->tally.verdicts[VERDICT_INVALID]);
    value += FAULTS_AT;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++, value += FAULT_BYTES) {
        bytes_put_u32(value, place->tally.faults[i].record);
        value[4] = (char)place->tally.faults[i].reason;
        value[5] = (char)place->tally.faults[i].field;
    }
    for (unsigned i = 0; i < 4; i++, value += 8)
        bytes_put_u64(value, place->tally.verdicts[later_verdicts[i]]);
    bytes_put_u64(value, place->tally.ahead);
    log_assert(value + 8 == begin + PLACE_BYTES);
    return PLACE_BYTES;
}

/* The counts of a tally in the value of a place, with what a store of before did not say: what became of the rest. */
static void
decode_counts(const char *at, bool of_before, struct tally *tally)
{
    tally->verdicts[VERDICT_DUPLICATE] = bytes_get_u64(at + 25);
    tally->verdicts[VERDICT_INVALID] = bytes_get_u64(at + 33);
    if (of_before) {
        tally->verdicts[VERDICT_PASSED] = bytes_get_u64(at + 17) - tally_taken(tally);
        return;
    }
    at += PLACE_BYTES_OF_BEFORE;
    for (unsigned i = 0; i < 4; i++, at += 8)
        tally->verdicts[later_verdicts[i]] = bytes_get_u64(at);
    tally->ahead = bytes_get_u64(at);
}

int
place_decode(struct span value, struct payload_place *place)
{
    const char *at = value.at;
    bool right;

    *place = (struct payload_place){0};
    if (value.len == 0)
        return 0;
    if (value.len != PLACE_BYTES && value.len != PLACE_BYTES_OF_BEFORE)
        return -1;
    *place = (struct payload_place){
        .at = bytes_get_u64(at), .record = (enum record_place)at[8], .identity = bytes_get_u64(at + 9)};
    decode_counts(at, value.len == PLACE_BYTES_OF_BEFORE, &place->tally);
    at += FAULTS_AT;
    right = place->record <= RECORD_AT_END;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++, at += FAULT_BYTES) {
        place->tally.faults[i].record = bytes_get_u32(at);
        place->tally.faults[i].reason = (uint8_t)at[4];
        place->tally.faults[i].field = (uint8_t)at[5];
        right = right && place->tally.faults[i].reason < REASON_COUNT;
    }
    return right ? 0 : -1;
}
