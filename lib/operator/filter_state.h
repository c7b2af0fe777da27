/*
 * filter_state: the inside of a filter, shared by filter.c, filter_row.c and filter_person.c, and nobody else.
 */
#ifndef OPERATOR_FILTER_STATE_H
#define OPERATOR_FILTER_STATE_H

#include "operator/filter.h"
#include "operator/person.h"
#include "operator/seen.h"

#define ROW_NAME_BYTES (HASH_ID_HEX_SIZE - 1)

/* Of a customer's row. Numbers stand in the store. */
enum row_flags {
    ROW_PUBLISHED = 1, /* it stands in the output, as a record or as a withdrawn marker */
    ROW_AHEAD = 2,     /* consents of it were dated ahead: see struct ahead */
    ROW_WAITS = 4      /* it shares, and as_of_ms lies ahead: a marker stands in the output if anything does */
};

/* Consents of a row that were dated ahead of our clocks when they came. Behind a withdrawal none of these dates lets anybody
 * in again; a consent that is dated right does, and one that is newer than all of them. */
struct ahead {
    int64_t from_ms, to_ms; /* their dates */
    int64_t taken_ms;       /* when the one came that won */
    int64_t right_ms;       /* date of the newest record that was not dated ahead, up to then and while that one held */
};

struct row {
    int64_t updated_ms;
    int64_t as_of_ms;
    uint64_t tie;
    unsigned flags;
    struct ahead ahead;
    struct span body;
};

/* Of a person who has withdrawn all rows; round 0: has not. */
struct all {
    int64_t ms;
    uint64_t round;
};

struct filter {
    struct store *store;
    struct filter_parameters parameters;
    struct hash_key key; /* of fingerprints and persons */
    struct person person;
    struct seen seen;
    int rows, openings, persons, person_rows, closings, row_counts;
    bool unmade; /* person_rows is not whole */
    int64_t closing_count;
    int64_t opening_ms; /* date of the first opening; INT64_MAX: there is none */
    bool openings_changed;
    int64_t behind_ms; /* how far the later of our clocks is before the earlier one */
    int64_t row_count;
    int64_t closed_count; /* of them do not share: they stay for ever, since an older consent must not come back */
    bool closed_changed;
    struct record_decoder *decoder; /* of bodies */
    struct buffer scratch;
    struct buffer body;
    char why[224];
};

/* One call's surroundings. */
struct act {
    struct filter *filter;
    struct output *output;
    int64_t earliest_ms; /* what both clocks have come to: what is dated later lies ahead */
};

/* Whether its newest record consents, from whichever date on. */
static inline bool
filter_row_shares(const struct row *row)
{
    return row->as_of_ms != 0;
}

/* Whether the date that it shares from lies ahead, and it stands among the openings. */
static inline bool
filter_row_waits(const struct row *row)
{
    return (row->flags & ROW_WAITS) != 0;
}

/* Whether the row's record stands in the output. */
static inline bool
filter_row_is_open(const struct row *row)
{
    return filter_row_shares(row) && !filter_row_waits(row);
}

/* Whether the row's record was dated ahead when it was taken. */
static inline bool
filter_row_was_ahead(const struct row *row)
{
    return filter_row_shares(row) && (row->flags & ROW_AHEAD) != 0 && row->updated_ms >= row->ahead.from_ms;
}

/* filter_row.c: decode value: 0, or −1 if it is no row. */
int filter_row_decode(struct filter *filter, struct span value, struct row *row);

/* What is known of the row: 1, 0, −1. Its body is valid until the next put. */
int filter_row_get(struct filter *filter, struct span name, struct row *row);

/* Count a row that takes old's place; NULL: it is new. 0, or −1 if the counts can't be. */
int filter_row_count(struct filter *filter, const struct row *old, const struct row *row);

/* Put it in place of what is known. 0 or −1. */
int filter_row_put(struct filter *filter, struct span name, const struct row *row);

/* Read how many rows there are, and how many of them do not share; put what has changed of that. 0 or −1. */
int filter_row_load_counts(struct filter *filter);
int filter_row_put_counts(struct filter *filter);

/* Whether a wins over b. A total order, so that the winner never depends on the order of arrival: the newer one; of two
 * of the same date the one without consent, then the later consent, then (records that differ in nothing that matters
 * here) whichever the fingerprint says. */
bool filter_row_wins(const struct row *a, const struct row *b);

/* The output row's body: the record, or a withdrawn marker. */
struct span filter_row_published(const struct row *row, struct buffer *scratch);

/* Give out the row as it stands in the output. */
void filter_row_emit(const struct act *act, struct span name, const struct row *row);

/* The row waits for this date. 0 or −1. */
int filter_row_add_opening(struct filter *filter, struct span name, int64_t as_of_ms);

/* The row waits for its date no more, for what the verdict says of its record. 0 or −1. */
int filter_row_stop_waiting(const struct act *act, struct span name, const struct row *row, enum verdict verdict);

/* Look when the first row that waits opens. 0 or −1. */
int filter_row_look_at_openings(struct filter *filter);

/* Give out the first row that waits, if its date has come: 1, 0, −1. */
int filter_row_open_first(const struct act *act);

/* Date *row, a withdrawal, with regard to old, and return whether it wins over that: also if it comes while old's date lies
 * ahead, or was made after old had been taken, which was dated ahead then. It is newer then than all that was dated right.
 * What we did not take as dated ahead (in a store of before, or our clock was set back) gives it its own date. */
bool filter_row_date_withdrawal(const struct act *act, const struct row *old, struct row *row);

/* Whether a consent that is newer than old by its date is one of those that a withdrawal was made after; or, since its date
 * does not tell, may be. */
bool filter_row_is_overruled(const struct act *act, const struct row *row, const struct row *old);

/* Note in *row, a consent that takes old's place, which consents were dated ahead. */
void filter_row_note_ahead(const struct act *act, struct row *row, const struct row *old);

/* filter_person.c: the row is the person's, shares, and has been looked at up to this round. 0 or −1. */
int filter_person_put_row(struct filter *filter, const struct hash_id *person, struct span name, uint64_t round);

/* What the person has withdrawn all rows by. 0 or −1. */
int filter_person_get_all(struct filter *filter, const struct hash_id *person, struct all *all);

/* Withdraw the person's row by a record of date_ms. PASSED: it shared; REFUSED: it did not, and now we know why not; STALE:
 * something newer is known; ERROR. */
enum verdict filter_person_withdraw_row(const struct act *act, const struct hash_id *person, struct span name,
                                        int64_t date_ms, uint64_t tie);

/* Withdraw all rows of the person: those there are, as many as may be done at once, and what will come that is no newer.
 * 1 some shared, or there are too many to know; 0 none did; −1. */
int filter_person_withdraw_all(const struct act *act, const struct hash_id *person, const struct all *all);

/* Go on with the first closing: how many steps were done, 0 there is none, −1. */
int filter_person_work_closing(const struct act *act, unsigned budget);

/* Whose row this is, by its record, which it shares. 0 or −1. */
int filter_person_find_owner(struct filter *filter, struct span body, struct hash_id *person);

/* Go on making person_rows: how many steps were done, −1. */
int filter_person_work_unmade(struct filter *filter, unsigned budget);

/* Whether person_rows is whole: a new store's is, one of before has rows and no word of it. 0 or −1. */
int filter_person_look_for_unmade(struct filter *filter);

/* Bring a row to what is known of its person before it changes: its turn may not have come yet since all were withdrawn,
 * and what comes now was made after that. 0 or −1. */
int filter_person_catch_up(const struct act *act, const struct hash_id *person, struct span name, const struct all *all);

#endif
