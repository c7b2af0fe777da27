/*
 * inbox: landing messages that are taken but not worked yet, in append-only files. A message is in the file before it is
 * acknowledged to the broker, so the death of this process loses none. It is not synced: a message survives a power cut
 * once it is worked and committed, and that is what a receipt says.
 *
 * Positions are byte offsets counted through all files ever; a file is called by the position it begins at (16 hex
 * digits) and is allocated in full when it is made, so that appending to it can't run out of disk. There is always one
 * spare file ready; when none can be made, intake stops while there is still room for what is under way.
 *
 * Entry layout:
 *   length u32 BE       of what follows the checksum, never 0
 *   checksum u64 BE     hash_checksum of what follows, xor length
 *   input u8            index in the stream's inputs, plus 128 if there are levels
 *   response_bytes u16 BE, correlation_bytes u16 BE
 *   levels_bytes u8     only if there are levels: 1 to INBOX_LEVELS_BYTES_MAX
 *   levels, response topic, correlation, payload
 * Behind the last entry stand zeros. Reading stops at the first entry that is not whole: it was torn by a crash, and the
 * broker, which has no acknowledgement for it, sends it again.
 *
 * What is worked becomes a hole in its file, where the file system can make one, and goes with its file at the latest.
 * Before that the file that is appended to says so, in a trailer where no entry comes: its last 48 bytes hold twice
 *   epoch u64 BE        of the store that says what is worked
 *   position u64 BE     everything before it may be gone
 *   checksum u64 BE     hash_checksum of these
 * A state that is older than it would take the hole for the end, and what follows for a crash's remains; so it is
 * refused, and so is another store's. In the file itself, because folders are copied while the process runs, the state
 * first: who has copied a hole comes to the trailer later, and finds what it says of it. (It is written before the
 * first entry, for those who first look where data is; and twice, one after the other, because on ext4 one can be read
 * half written.) It is not synced: a power cut may leave an older one, or none; but what it would have said is in the
 * state, which was synced before.
 *
 * What has no trailer is read as well: a copy by inbox_copy, which ends where its entries do, with zeros in the
 * trailer's place; and files of the program before, which had entries up to their last byte, and said what is gone in a
 * file "released" beside them. That is heeded as long as it is there, since it is one more file to ask the same; once
 * the inbox is open a trailer says it, and it is removed. A last file that is not of our size, or has entries where the
 * trailer would be, is left as it is, and a new one begun.
 *
 * One thread appends, another one does all the rest.
 */
#ifndef RUN_INBOX_H
#define RUN_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct inbox;

struct inbox_entry {
    unsigned input;             /* below 128 */
    struct span levels;         /* what the sender's topic has behind the landing topic; at most INBOX_LEVELS_BYTES_MAX */
    struct span response_topic; /* at most INBOX_FIELD_BYTES_MAX */
    struct span correlation;
    struct span payload;
};

#define INBOX_FIELD_BYTES_MAX 65535
#define INBOX_LEVELS_BYTES_MAX 128 /* they are there to be shown to a person, with each refusal */

/* Open the inbox in folder dir (made if need be; it must be ours alone) at position, the first entry that is not worked
 * yet; the store of this epoch says so. What is before it stays until inbox_release. Refuses new messages
 * (inbox_has_room) beyond bytes_max; payloads have at most payload_bytes_max. NULL with a line in the log. */
struct inbox *inbox_open(const char *dir, uint64_t epoch, uint64_t position, uint64_t bytes_max,
                         uint64_t payload_bytes_max);

/* Copy the whole entries of the inbox in folder dir, from position on, as an inbox to folder to, which must be there and
 * empty; somebody may append to dir meanwhile, but must not release. *end is where the copy ends. step is called with
 * the bytes of each entry, and ends it by false. 0, or −1 with a line in the log unless step ended it. */
int inbox_copy(const char *dir, uint64_t position, const char *to, bool (*step)(void *context, uint64_t bytes),
               void *context, uint64_t *end);

/* Append entry. 0, or −1: it is not kept, and must not be acknowledged. */
int inbox_append(struct inbox *inbox, const struct inbox_entry *entry);

/* The entry at *position, which moves behind it. Spans are valid until the next call. 1, 0 there is none yet, −1 with a
 * line in the log, which is not said again for the same position. */
int inbox_read(struct inbox *inbox, uint64_t *position, struct inbox_entry *entry);

/* Say of the entry at position what is wrong with it, unless that has been said of this one. */
void inbox_damaged(struct inbox *inbox, uint64_t position, const char *what);

/* Everything before position is worked and committed: remove it from the disk. */
void inbox_release(struct inbox *inbox, uint64_t position);

/* Make the spare file if it is missing. Whether there is room to go on taking messages in. */
bool inbox_has_room(struct inbox *inbox);

/* Where the next entry will stand. */
uint64_t inbox_end(struct inbox *inbox);

void inbox_close(struct inbox *inbox);

#endif
