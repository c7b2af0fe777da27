/*
 * inbox_state: the inside of an inbox, shared by inbox.c and the files inbox_*.c, and nobody else. inbox.h has the layouts.
 */
#ifndef LINKS_INBOX_STATE_H
#define LINKS_INBOX_STATE_H

#include <errno.h>
#include <pthread.h>

#include "base/buffer.h"
#include "links/inbox.h"

/* Of an entry: length and marks, and then the input and the two lengths. */
#define PREFIX_BYTES 12
#define HEAD_BYTES 5
#define HAS_LEVELS INBOX_INPUTS_MAX /* in the byte of the input */

#define FILE_NAME_SIZE 17   /* 16 hex digits and NUL */
#define RELEASED "released" /* what the trailer says, in a file, in folders of the program before */
#define SAID_BYTES 24
#define TRAILER_BYTES (2 * SAID_BYTES)

/* Most files one inbox may have: bounds the list below. */
#define FILES_MAX 4096

struct inbox {
    char *dir; /* for the log */
    int dir_fd;
    int note_fd; /* −1: none */
    uint64_t epoch;
    struct hash_key key;
    uint64_t boot;
    uint64_t since; /* what is from here on was written since the machine came up */
    uint64_t file_bytes;
    uint64_t bytes_max;

    pthread_mutex_t lock; /* for what follows */
    uint64_t files[FILES_MAX]; /* where each begins, ascending; the last one is appended to */
    unsigned file_count;
    unsigned strangers; /* more that are called as ours are; once, at the start */
    uint64_t end;
    uint64_t released;
    uint64_t wiped; /* everything before this is gone from the files */
    int append_fd;
    bool spare;
    bool spare_useless; /* what lies there by its name is ours, and could not be removed */
    int spare_error;    /* why there is none, if that is said in the log; 0 */
    unsigned named;     /* files that were given their names, and how many of these are durable */
    unsigned named_synced;
    struct buffer entry; /* being appended */

    /* Reading: one thread only. */
    int read_fd;
    uint64_t read_file;  /* where the open file begins */
    bool told;           /* the log says that the entry at told_at is damaged */
    uint64_t told_at;
    uint64_t passed_over;  /* the log says what can't be read before this, and its bytes are kept */
    struct buffer ahead; /* bytes read at ahead_at */
    uint64_t ahead_at;
};

/* What a file says at its end of what may be gone. */
struct said {
    uint64_t epoch;
    uint64_t position;
};

/* The note beside the folder. */
struct note {
    uint64_t boot, epoch, since, end;
};

/* Where a position is in the files. */
struct place {
    uint64_t file; /* where its file begins; that may be behind it, if the one that it was in is gone */
    uint64_t next; /* where the next file begins, or the next entry goes */
    bool last;
};

/* Whether there is no room, which goes by. */
static inline bool
inbox_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

/* inbox.c: an inbox of these options, with no file open. Free with inbox_close. */
struct inbox *inbox_new(const struct inbox_options *options);

/* inbox_entry.c, how an entry lies in bytes: whether at at, of an entry of this length at position, stands its head. */
bool inbox_entry_has_head(const struct inbox *inbox, uint64_t position, const char *at, size_t length);

/* Whether the marks at at, of an entry of this length at position, are right: nobody can forge them. */
bool inbox_entry_has_marks(const struct inbox *inbox, uint64_t position, const char *at, size_t length);

/* How many bytes the entry at position, the start of bytes, takes, if it is whole and right; else 0. */
size_t inbox_entry_whole(const struct inbox *inbox, uint64_t position, struct span bytes);

/* Put entry into bytes, without its marks; mark what is encoded for its place. */
void inbox_entry_encode(const struct inbox_entry *entry, struct buffer *bytes);
void inbox_entry_mark(const struct inbox *inbox, uint64_t position, struct buffer *bytes);

/* The entry in the whole bytes at at. */
struct inbox_entry inbox_entry_decode(const char *at, size_t whole);

/* inbox_said.c, what trailers and the note say: say in the open file, which is of our size, that everything before position
 * may be gone. 0, or −1 with errno. */
int inbox_said_write_trailer(const struct inbox *inbox, int fd, uint64_t position);

/* What the open file of size bytes says, as far as it is right: how many times, at most two. −1 with errno. */
int inbox_said_read_trailer(int fd, uint64_t size, struct said *said);

/* Open the note beside folder dir. −1 with errno. */
int inbox_said_open_note(const char *dir, int flags);

/* The note, if there is one of this store's inbox; else zeros. */
struct note inbox_said_read_note(const struct inbox *inbox);

/* Messages before inbox->end are acknowledged. Without the note less is noticed, and that is all. */
void inbox_said_write_note(const struct inbox *inbox);

/* inbox_zeros.c, zeros in an open file: let nothing else stand in fd from at to end, which it has, and not come back: what
 * stood there must not look like an entry to the next recovery. In place, so that the room is not lost to somebody else on a
 * full disk. 0, or −1 with errno. */
int inbox_zeros_write(int fd, uint64_t at, uint64_t end);

/* How many bytes of fd from at to end are not zero; *behind is where the last of these ends. Where the file system knows of
 * holes, they are passed over. */
uint64_t inbox_zeros_remains(int fd, uint64_t at, uint64_t end, uint64_t *behind);

/* Whether fd has a sector from at to end, or the part of one that begins at either, which is nothing but zeros: what a
 * power cut has taken. If an entry stands at end the sector before it is whole. −1 with errno. */
int inbox_zeros_have_sector(int fd, uint64_t at, uint64_t end, bool entry_at_end);

/* inbox_files.c, the files of the folder: what one is called that begins at begin, written to name (FILE_NAME_SIZE). */
void inbox_files_name(uint64_t begin, char *name);

/* Open a file of the inbox's folder. −1 with errno. */
int inbox_files_open(const struct inbox *inbox, const char *name, int flags);

/* Look which there are, in the folder by its path. 0, or −1 with errno. */
int inbox_files_list(struct inbox *inbox);

/* Make the spare file, which must be missing; with the lock. 0, or −1 with errno, and a line in the log unless the disk is
 * full. */
int inbox_files_make_spare(struct inbox *inbox);

/* A spare that was being made when the process died may be short. And it may have been in use: a power cut can leave a
 * file its old name, and what was written to it under the new one. It is zeroed, or removed. */
void inbox_files_check_spare(struct inbox *inbox);

/* Let the names of files be durable; with the lock. Whether they are, else errno. */
bool inbox_files_sync_names(struct inbox *inbox);

/* Go on in a new file that begins at begin; with the lock. If that is where the last one begins there is nothing in it, and
 * it goes. 0, or −1 with errno. */
int inbox_files_begin(struct inbox *inbox, uint64_t begin);

/* inbox_reader.c, entries out of files: as inbox_damaged. */
void inbox_reader_damaged(struct inbox *inbox, uint64_t position, const char *what);

/* The same of one that can't be read, by errno. −1, and errno is as it was. */
int inbox_reader_failed(struct inbox *inbox, uint64_t position);

/* The file that begins at file, for reading. −1 with errno. */
int inbox_reader_file(struct inbox *inbox, uint64_t file);

/* The whole entry at position, of a file with there more bytes in it: len 0 if it is damaged. −1 with errno and a line in
 * the log if it can't be read. */
int inbox_reader_entry(struct inbox *inbox, uint64_t file, uint64_t position, uint64_t there, struct span *entry);

/* Where the first whole entry that nobody can have forged begins in file, from `from` on and before `last`, and ends before
 * `to`; `to` if there is none. −1 likewise. */
int inbox_reader_find(struct inbox *inbox, uint64_t file, uint64_t from, uint64_t last, uint64_t to, uint64_t *position);

/* Copy the bytes of file from position on up to end, to fd from to on. 0, or −1 with errno. */
int inbox_reader_copy(struct inbox *inbox, uint64_t file, uint64_t position, uint64_t end, int fd, uint64_t to);

/* inbox_gap.c: go over what can't be read at *position, to the next whole entry or file, and keep what is damaged. −1 with
 * errno, and a line in the log unless there is no room to keep it. */
int inbox_gap_pass_over(struct inbox *inbox, const struct place *place, uint64_t *position, struct inbox_gap *gap);

/* inbox_belongs.c, whose files lie there: whether the store goes with the inbox; else a line in the log. */
bool inbox_belongs_to_store(const struct inbox *inbox, uint64_t position);

/* Leave files alone that are called by a position where none of ours begins, unless they are by what is in them; reach is up
 * to where messages can be. */
void inbox_belongs_leave_strangers(struct inbox *inbox, uint64_t position, uint64_t reach);

#endif
