/*
 * file: the small calls around files that POSIX leaves to everyone.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buffer.h"

/* Make the folder path and those above it that are missing, mode 0700; their names are durable then. 0, or −1 with
 * errno. */
int file_make_dirs(const char *path);

/* Write all len bytes at offset. 0, or −1 with errno; part may be written then. */
int file_write_at(int fd, const void *bytes, size_t len, uint64_t offset);

/* Read up to len bytes at offset, fewer only at the end of the file. How many, or −1 with errno. */
ssize_t file_read_at(int fd, void *bytes, size_t len, uint64_t offset);

/* Append the whole file at path to content. 0, or −1 with errno. */
int file_read(const char *path, struct buffer *content);

/* Make the file at path hold text, seen whole or not at all by readers (temporary name, rename), mode 0600.
 * 0, or −1 with errno. */
int file_replace(const char *path, const char *text);

/* Remove the folder at path with everything in it; links are removed, not followed. 0, or −1 with errno. */
int file_remove_dir(const char *path);

/* Make a created, renamed or removed name in the folder at path durable. 0, or −1 with errno. */
int file_sync_dir(const char *path);

/* The same for the name path itself: sync the folder that it is in. */
int file_sync_name(const char *path);

/* Whether what is looked at belongs to us or to root, the only ones whose files we believe. */
bool file_is_ours(const struct stat *info);

#endif
