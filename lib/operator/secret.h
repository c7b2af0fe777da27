/*
 * secret: the random key of one store. Fingerprints in it are keyed with it, so that a stolen state file does not tell
 * whose readings it holds, and nobody can make two records collide on purpose.
 */
#ifndef OPERATOR_SECRET_H
#define OPERATOR_SECRET_H

#include "base/hash.h"
#include "store/store.h"

/* Open its table, between transactions. 0 or −1. */
int secret_open(struct store *store);

/* Read the store's key in a transaction, or make it if the store is new. 0 or −1. */
int secret_load(struct store *store, struct hash_key *key);

#endif
