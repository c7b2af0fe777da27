/*
 * hash: fingerprints, pseudonyms and checksums, and memory for what must stay secret. The only user of libsodium.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

#define HASH_KEY_BYTES 32
#define HASH_ID_BYTES 16
#define HASH_ID_HEX_SIZE (2 * HASH_ID_BYTES + 1)

/* A secret that makes hashes useless to whoever does not have it. */
struct hash_key {
    unsigned char bytes[HASH_KEY_BYTES];
};

/* A 128-bit keyed hash: stands for a person or a serial number where the thing itself must not stand. */
struct hash_id {
    unsigned char bytes[HASH_ID_BYTES];
};

/* Start libsodium; call once before anything else here. Fatal if it can't. */
void hash_init(void);

/* len random bytes to bytes. */
void hash_random(void *bytes, size_t len);

/* size bytes of zeros for secrets: never swapped out where the limit of locked memory (ulimit -l) allows it, in no core
 * dump, and wiped by hash_secret_free. */
void *hash_secret_new(size_t size);

/* Wipe secret, from hash_secret_new or NULL, and give it back. */
void hash_secret_free(void *secret);

/* The same for len bytes that are there already, until the program ends; they are wiped by hash_wipe. */
void hash_secret_keep(void *at, size_t len);

/* Zeros to len bytes, which no compiler leaves out. */
void hash_wipe(void *at, size_t len);

/* Keyed BLAKE2b-128 over the count parts, each preceded by its length so that no two lists of parts collide. */
struct hash_id hash_id(const struct hash_key *key, const struct span *parts, unsigned count);

/* SipHash-2-4 of bytes under the first half of key: a fingerprint that nobody without the key can make collide. Half the
 * size of hash_id, and cheaper; for what only has to be told apart from a few others. */
uint64_t hash_64(const struct hash_key *key, struct span bytes);

/* id in lower case hex with a NUL; hex has HASH_ID_HEX_SIZE bytes. */
void hash_hex(const struct hash_id *id, char *hex);

/* The id that hash_hex wrote to the beginning of hex: 0, or −1 if that is none. */
int hash_unhex(const char *hex, struct hash_id *id);

/* SipHash-2-4 of bytes under a fixed key: finds torn and rotten bytes, keeps nobody out. */
uint64_t hash_checksum(struct span bytes);

/* BLAKE2b-128 of bytes that come piece by piece: tells whether a file is what it was. Begin; add; end writes the hash to
 * *id, if id is not NULL, and frees. */
struct hash_sum *hash_sum_begin(void);
void hash_sum_add(struct hash_sum *sum, struct span bytes);
void hash_sum_end(struct hash_sum *sum, struct hash_id *id);

/* Read the key in the file at path, or make the file (mode 0400, its folder must exist) with a random one if there is
 * none; of two processes that make it at once both get the same key. It must be a regular file of ours or of root's, which
 * nobody else has any right to, of HASH_KEY_BYTES bytes, and no link. 0; or −1 with errno, and what is wrong and what to do
 * about it appended to fault. */
int hash_key_file(const char *path, struct hash_key *key, struct buffer *fault);

/* What hash_key_file would find: 1, a key; 0, none, and it can be made; −1 as above. Nothing is made. */
int hash_key_look(const char *path, struct buffer *fault);

#endif
