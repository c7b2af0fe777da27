/*
 * copying: files of a backup from here to there, in a folder that is no backup and no state before all of it is there: with
 * checksums, a bar, and an end when a signal comes.
 */
#ifndef BACKUP_COPYING_H
#define BACKUP_COPYING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "common/progress.h"
#include "backup/manifest.h"

/* What folders are called that are being filled: NAME.partial becomes NAME. */
#define COPYING_PARTIAL ".partial"

struct copying {
    struct progress progress;
    uint64_t done;
    uint64_t total; /* bytes that are to be copied, and read */
    struct buffer block;
};

/* Begin; signals are only noted from now on. Free with copying_end. */
void copying_begin(struct copying *copying);

/* Wipe the bar away and free what copying_begin made. */
void copying_end(struct copying *copying);

/* So many bytes more are done. False: a signal came, give it up. context is the struct copying. */
bool copying_step(void *context, uint64_t bytes);

/* The path of name in folder dir, in path; valid until that changes. */
const char *copying_path(const char *dir, const char *name, struct buffer *path);

/* Copy the file at from, most bytes at most, to the new file at to (mode 0600, its folder made if need be), and say in
 * file how many they were and what their checksum is. 1; 0 there is no file at from; −1, said. */
int copying_file(struct copying *copying, const char *from, uint64_t most, const char *to, struct manifest_file *file);

/* Read the file at path, from the disk where that can be had, and compare it with what file says; where it says nothing yet,
 * write it there. 0, or −1, said. */
int copying_check(struct copying *copying, const char *path, struct manifest_file *file);

/* Add to manifest all files of the folder name in dir, without checksums. 0, or −1, said. */
int copying_note_all(struct manifest *manifest, const char *dir, const char *name);

/* Whether there is room for bytes more at path, a folder; else said. */
bool copying_has_room(const char *path, uint64_t bytes);

/* Whether there is nothing at path, or an empty folder, and no link to one. */
bool copying_is_free(const char *path);

/* Whether path, a pipeline's folder, belongs to whoever runs this (or what we make there would be of no use to him), nobody
 * else may write in it, and nobody else can lead the way to it elsewhere; else said. make: it is made if it is missing. */
bool copying_is_ours(const char *path, bool make);

/* Whether nobody else can move away what we make at path, and put something of his own there, as way_is_safe says of the
 * folder above; else said. */
bool copying_is_safe(const char *path);

/* Make everything durable that was written to the file system of path. 0, or −1, said. */
int copying_sync(const char *path);

/* The exit code of what went on with rc, 0 or −1: says it if a signal came. */
int copying_status(int rc);

#endif
