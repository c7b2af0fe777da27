/*
 * consent: which persons (or serial numbers) have opened the gate, from the rows of a customer table.
 *
 * A person is known by a hash_id of the e-mail or serial number and may have several rows; one open row opens the gate.
 * Where every row is withdrawn the gate is closed; where there is no row nothing is known yet, and one waits.
 *
 * Rows come in the order in which their producer decided, and the last one counts, but for one case: a record of before the
 * row's withdrawal. The producer gives out none unless its state went back in time and it has forgotten the withdrawal; who
 * has left stays out then.
 *
 * Table layouts:
 *   NAME_rows     key = row name; value = person (HASH_ID_BYTES)
 *   NAME_persons  key = person, row name; value = i64 BE: consent since then; or 0 or less, withdrawn, by a record of
 *                 so long after 1970, which is not known of stores of before
 */
#ifndef OPERATOR_CONSENT_H
#define OPERATOR_CONSENT_H

#include <stdint.h>

#include "base/hash.h"
#include "base/name.h"
#include "record/record.h"
#include "store/store.h"

enum consent_state { CONSENT_UNKNOWN, CONSENT_CLOSED, CONSENT_OPEN };

/* What is known of a person; from_ms is the earliest consent date among the open rows. */
struct consent_answer {
    enum consent_state state;
    int64_t from_ms;
};

/* Power of two. Readings come in runs and rounds of the same few hundred persons. */
#define CONSENT_CACHE_SLOTS 1024

struct consent {
    struct store *store;
    int rows;
    int persons;
    struct {
        struct hash_id person;
        struct consent_answer answer;
        bool used;
    } cache[CONSENT_CACHE_SLOTS];
};

/* Tables are called name_rows and name_persons as given. 0 or −1. */
int consent_open(struct consent *consent, struct store *store, const char *rows, const char *persons);

/* Forget the cache, as after an aborted transaction. */
void consent_load(struct consent *consent);

/* Row now is what record says: it belongs to person and consents; or it is withdrawn, by a marker, which names nobody
 * (person NULL: whoever it belonged to before). 1 with *changed the person; 0 nothing changes: a marker of a row that is not
 * known, or a consent of before the row's withdrawal; −1. */
int consent_apply(struct consent *consent, struct span row, const struct hash_id *person, const struct record *record,
                  struct hash_id *changed);

/* What is known of person. 0 or −1. */
int consent_ask(struct consent *consent, const struct hash_id *person, struct consent_answer *answer);

#endif
