/*
 * folder: the folders that gait works in, which must be its own. Whoever may write in one of them, or has laid a link there,
 * decides where our files are written, and for root that is anywhere; so each is looked at on the way, by descriptor.
 */
#ifndef BASE_FOLDER_H
#define BASE_FOLDER_H

#include "base/buffer.h"

/* Open the folder below, levels with / between them or "", of dir. What is missing is made, mode 0700, with a durable name.
 * dir may be reached through links of ours or root's, as base/way says; no level below it may be one. Each of them, dir too,
 * must belong to us or to root, and nobody else may write in it. A descriptor, or −1 with errno, and with what is wrong and
 * what to do about it appended to fault. */
int folder_open(const char *dir, const char *below, struct buffer *fault);

/* The same for a folder that may be absent, and stays so: −1 then, with nothing appended. */
int folder_look(const char *dir, const char *below, struct buffer *fault);

/* Whether everything in the open folder, which faults call path, is a file or folder of ours or of root: for where
 * somebody else's code opens files by name. 0, or −1 as above. */
int folder_is_clean(int folder, const char *path, struct buffer *fault);

/* Open the file name in the folder below of dir, as openat does with flags and mode 0600 but through no link, and only if
 * it is a file that belongs to us or to root. A descriptor, or −1 as above. */
int folder_file(const char *dir, const char *below, const char *name, int flags, struct buffer *fault);

/* The same for the file name in the open folder, which faults call path. */
int folder_file_at(int folder, const char *path, const char *name, int flags, struct buffer *fault);

/* Make the file name in the folder below of dir, which must be there, hold text, mode 0600, seen whole or not at all by
 * readers: what file_replace does, through no link. One writer at a time. 0, or −1 as above. */
int folder_replace(const char *dir, const char *below, const char *name, const char *text, struct buffer *fault);

/* Remove the file, or link, name there; it may be absent, and so may the folder. 0, or −1 as above. */
int folder_remove(const char *dir, const char *below, const char *name, struct buffer *fault);

/* Open the file name in the folder dir to write there what a person wants to have, from its beginning: mode 0666 less the
 * umask. Where nobody but us and root may write, as every tool does, through a link of ours too. Elsewhere others may have
 * laid a link, or a file that is theirs to read: there it is a new file, or a regular one of ours alone. A descriptor, or −1
 * as above. */
int folder_output(const char *dir, const char *name, struct buffer *fault);

#endif
