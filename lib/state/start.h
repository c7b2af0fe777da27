/*
 * start: what a process finds wrong with its folders and its state before it works with them; `gait check` asks the same
 * without starting one.
 */
#ifndef STATE_START_H
#define STATE_START_H

#include "base/buffer.h"
#include "base/config.h"
#include "operator/stream.h"

/* Whether the folders below dir in which LMDB and others open files by name for stream are ours, and nobody has laid a link
 * there; those that are missing are made later. 0; or −1 with errno, and with what is wrong and what to do about it appended
 * to fault. */
int start_check_folders(const struct stream *stream, const char *dir, struct buffer *fault);

/* Whether stream can go on from the state below dir, if it has any, with config and the operator's parameters (NULL: these
 * are not asked). Nothing is written, unless a process is at work on it: then a place in its list of readers. 1, or there is
 * no state; 0, and what is wrong and what to do is appended to fault; −1 with a line in the log: it can't be read. */
int start_check_state(const struct stream *stream, const struct config *config, const char *dir, const void *parameters,
                      struct buffer *fault);

#endif
