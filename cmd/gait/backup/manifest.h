/*
 * manifest: what a backup holds, as text: who is in it, at which positions, and every file with its length and checksum.
 * It is written last, so a folder without one is no backup.
 *
 *   gait backup 1
 *   taken 2026-11-24T08:15:02Z
 *   version 0.1.0
 *   process customer-trusted epoch 00d1… inbox 1234 output 17 42            (removed up to 17, last is 42)
 *   inbox customer-trusted up to 5678
 *   link customer-trusted accelerometer-trusted epoch 00d1… applied 40      (of the producer, by the consumer)
 *   missing lake
 *   file 5d41402abc4b2a76b9719d911017c592 8192 state/customer-trusted/store/data.mdb
 *   end 7d793037a0760186574b0282f2f435e7                                    (checksum of all lines before)
 *
 * Checksums are BLAKE2b-128 in hex.
 */
#ifndef BACKUP_MANIFEST_H
#define BACKUP_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/hash.h"

struct manifest_file {
    char *path; /* below the backup's folder: levels without "." and ".." */
    uint64_t bytes;
    struct hash_id hash;
    bool hashed; /* bytes and hash are known */
};

/* All zero is an empty one. Free with manifest_free. */
struct manifest {
    struct buffer notes; /* the lines before the files, but the first */
    struct manifest_file *files;
    unsigned count;
    unsigned capacity;
};

/* Add a file; it has no hash yet. Valid until the next one is added. */
struct manifest_file *manifest_add(struct manifest *manifest, const char *path);

/* Forget the file that was added last. */
void manifest_drop(struct manifest *manifest);

/* Write it to the folder dir, which is a backup then. 0, or −1, said. */
int manifest_write(const struct manifest *manifest, const char *dir);

/* Read that of the backup in folder dir. 0, or −1, said: there is none, or it is damaged. */
int manifest_read(struct manifest *manifest, const char *dir);

/* The text behind word in the first line of the notes that begins with word and a blank: 1, 0 there is none. */
int manifest_note(const struct manifest *manifest, const char *word, struct span *rest);

/* Whether a line of the notes begins with word, a blank, name, and ends or goes on behind a blank. */
bool manifest_names(const struct manifest *manifest, const char *word, const char *name);

/* Whether it has the file path; or, with a slash at its end, any file below that folder. */
bool manifest_has(const struct manifest *manifest, const char *path);

/* Free what it holds; it is empty then. */
void manifest_free(struct manifest *manifest);

#endif
