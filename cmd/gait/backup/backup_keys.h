/*
 * backup_keys: the key files of a pipeline, where its configuration says that they are. A backup has one for each
 * process that has one, at keys/PROCESS.key.
 */
#ifndef BACKUP_BACKUP_KEYS_H
#define BACKUP_BACKUP_KEYS_H

#include "base/config.h"
#include "backup/copying.h"
#include "backup/manifest.h"
#include "backup/set.h"

/* Copy those of the processes in set to the backup that is being filled in partial, and add them to manifest. 0, or −1,
 * said. */
int backup_keys_save(const struct config *config, const struct set *set, const char *partial, struct copying *copying,
                     struct manifest *manifest);

/* Bring those in the backup source to their places; with check, only see whether that can be done: there is no file yet,
 * or it is the same. dir is the pipeline's folder. 0, or −1, said. */
int backup_keys_restore(const struct config *config, const char *dir, const char *source, const struct manifest *manifest,
                        bool check);

#endif
