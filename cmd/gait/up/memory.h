/*
 * memory: whether a machine has what one packet can cost.
 *
 * Paho makes some 150 bytes of memory of each byte of empty user properties, before it shows us anything of a packet, so
 * nothing but the largest packet bounds that, and no code of ours can set aside the one of which it dies.
 */
#ifndef UP_MEMORY_H
#define UP_MEMORY_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"

/* What this machine has for us, in bytes: its memory, or less where a control group above us may have only that. root is
 * put before /proc and /sys: "", but for tests. */
uint64_t memory_of_machine(const char *root);

/* Append a line, about the configuration at path, if a packet of the largest `payload` can cost more than half of
 * memory_bytes. */
void memory_warn(const struct config *config, const char *path, uint64_t memory_bytes, struct buffer *warnings);

#endif
