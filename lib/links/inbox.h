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
 *   length u32 BE       of what follows the two marks, never 0
 *   head u32 BE         lower half of H, the hash_64 under the inbox's key of (position u64 BE, length u32 BE)
 *   body u32 BE         lower half of the hash_64 under that key of what follows, xor the upper half of H
 *   input u8            index in the stream's inputs, plus 128 if there are levels
 *   response_bytes u16 BE, correlation_bytes u16 BE
 *   levels_bytes u8     only if there are levels: 1 to LEVELS_BYTES_MAX
 *   levels, response topic, correlation, payload
 * Entries of stores of before version 4 have in the place of the two marks a checksum u64 BE: hash_checksum of what follows,
 * xor length. They are read where they begin behind another one.
 *
 * Behind the last entry stand zeros. What is not whole there was torn by a crash, and the broker, which has no
 * acknowledgement for it, sends it again; or it is damaged. Whatever it is, what follows is not thrown away for it: reading
 * goes on at the next whole entry. Payloads are written by strangers, and may hold what looks like an entry; but they don't
 * know the key, so nobody but this program makes an entry with the right marks for its place. (Those of before can be
 * forged: behind damage they are read again from the next file on.) The head comes first so that a search costs a hash of 12
 * bytes a byte, whatever lengths a payload pretends to be.
 *
 * What is passed over is a power cut's or a loss that an operator has to be told of (struct inbox_gap). The files are not
 * synced, so a cut may take any pages that were written since the machine came up last, or none: it leaves the sectors that
 * it took as they were, from an entry's begin or their own on zeros. Hence it is damage if there is no such sector, or if a
 * whole file is missing (names are synced before the next one is given); and wherever it was written since the machine came
 * up, since then no cut was. That is said, as is up to where messages are acknowledged, by a note beside the folder,
 * DIR.end, which is not synced either:
 *   boot u64 BE         when the machine came up (struct inbox_options)
 *   epoch u64 BE        of the store
 *   since u64 BE        what is from here on was written since then
 *   end u64 BE          where the next entry goes
 *   checksum u64 BE     hash_checksum of these
 * By it files that were removed or emptied while the process was down are noticed. The bytes of what is damaged are kept,
 * before anything is wiped: in the file BEGIN.damaged beside the others, 16 hex digits, from that position on.
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
#ifndef LINKS_INBOX_H
#define LINKS_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/span.h"

struct inbox;

struct inbox_options {
    const char *dir;     /* the folder, made if need be; it must be ours alone */
    uint64_t epoch;      /* of the store that says what is worked */
    struct hash_key key; /* of that store, and secret: only its first half counts */
    uint64_t boot;       /* another number each time that the machine comes up; 0: that is not known */
    uint64_t bytes_max;  /* new messages are refused beyond it (inbox_has_room) */
    uint64_t payload_bytes_max;
};

struct inbox_entry {
    unsigned input;             /* below 128 */
    struct span levels;         /* what the sender's topic has behind the landing topic; at most LEVELS_BYTES_MAX */
    struct span response_topic; /* at most INBOX_FIELD_BYTES_MAX */
    struct span correlation;
    struct span payload;
};

/* What was passed over, since it can't be read. */
struct inbox_gap {
    uint64_t from, to; /* equal: nothing was */
    bool damage;       /* it was acknowledged, and no power cut has taken it: an operator has to see that */
};

#define INBOX_FIELD_BYTES_MAX 65535

/* Inputs are below this: an entry has one byte for its input and a bit. */
#define INBOX_INPUTS_MAX 128

/* Where no inbox ever gets to: a name, or a store, that says so is none of ours, and sums of positions stay in range. */
#define INBOX_POSITION_MAX (UINT64_C(1) << 62)

/* Open the inbox at position, the first entry that is not worked yet; the store says so. What is before it stays until
 * inbox_release. Of options nothing is needed afterwards. NULL with a line in the log. */
struct inbox *inbox_open(const struct inbox_options *options, uint64_t position);

/* Copy the whole entries of the inbox of options, and what is damaged between them, from position on, as an inbox to folder
 * to, which must be there and empty; somebody may append to it meanwhile, but must not release. *end is where the copy
 * ends. step is called with the bytes of each entry, and ends it by false. 0, or −1 with a line in the log unless step ended
 * it. */
int inbox_copy(const struct inbox_options *options, uint64_t position, const char *to,
               bool (*step)(void *context, uint64_t bytes), void *context, uint64_t *end);

/* Append entry. 0, or −1: it is not kept, and must not be acknowledged. */
int inbox_append(struct inbox *inbox, const struct inbox_entry *entry);

/* The entry at *position, which moves behind it; what can't be read before it is passed over, which *gap says. Spans are
 * valid until the next call. 1; 0 there is none yet, but there may have been a gap, which *position is behind then; −1 with
 * errno and a line in the log, which is not said again for the same position. Without room to keep what is damaged it is −1
 * without a line. */
int inbox_read(struct inbox *inbox, uint64_t *position, struct inbox_entry *entry, struct inbox_gap *gap);

/* Say of the entry at position what is wrong with it, unless that has been said of this one. */
void inbox_damaged(struct inbox *inbox, uint64_t position, const char *what);

/* Everything before position is worked and committed: remove it from the disk. */
void inbox_release(struct inbox *inbox, uint64_t position);

/* Make the spare file if it is missing. Whether there is room to go on taking messages in. */
bool inbox_has_room(struct inbox *inbox);

/* Whether there is none because of what the log says, in the place of the spare file, and not for want of bytes. */
bool inbox_is_hindered(struct inbox *inbox);

/* Where the next entry will stand. */
uint64_t inbox_end(struct inbox *inbox);

/* Close its files; what stands in them stays. No other thread may be in it any more. NULL is fine. */
void inbox_close(struct inbox *inbox);

#endif
