/*
 * folders: the pipeline's folder and those in it that `gait up` makes, and the files there that it opens itself.
 */
#ifndef UP_FOLDERS_H
#define UP_FOLDERS_H

#include "base/buffer.h"

/* Files in the folder: `lock` is of one `gait up` alone, `lock.processes` of all that it starts. */
#define FOLDERS_LOCK "lock"
#define FOLDERS_LOCK_PROCESSES "lock.processes"

/* Make dir and the folders in it, if they are missing, and see that they are ours. 0; or −1 with errno, and with what is
 * wrong and what to do about it appended to fault. */
int folders_make(const char *dir, struct buffer *fault);

/* What that, and to open the files in them, would find wrong with what is there. Nothing is made. 0 or −1 as above. */
int folders_look(const char *dir, struct buffer *fault);

#endif
