#include "links/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/name.h"

#define PREFIX_BYTES 12 /* length and marks */
#define HEAD_BYTES 5    /* input and the two lengths */
#define HAS_LEVELS 0x80 /* in the byte of the input */
#define FILE_NAME_SIZE 17    /* 16 hex digits and NUL */
#define SPARE "spare"
#define RELEASED "released" /* what the trailer says, in a file, in folders of the program before */
#define SAID_BYTES 24
#define TRAILER_BYTES (2 * SAID_BYTES)
#define NOTE ".end" /* behind the folder's name */
#define NOTE_BYTES 40
#define DAMAGED ".damaged"
#define DAMAGED_SIZE (FILE_NAME_SIZE + sizeof DAMAGED - 1)

/* What a disk writes whole or not at all. */
#define SECTOR_BYTES 512

/* Where no inbox ever gets to: a name that says so is none of ours, and sums of positions stay in range. */
#define POSITION_MAX (UINT64_C(1) << 62)

/* Small, because two of them are always allocated; large enough for two of the largest entries. */
#define FILE_BYTES_MIN (4u << 20)

/* Read this much at once: several messages a system call. */
#define READ_BYTES (256u << 10)

/* What is worked is wiped once it is this much, or all of it: personal data must not lie about in a file that happens not
 * to be full yet, and a system call a message is too many under load. */
#define WIPE_BYTES (64u << 10)

/* Most files one inbox may have: bounds the list below. */
#define FILES_MAX 4096

/* What to do about an inbox that is another state's. */
#define MEND                                                                                                              \
    ". Nothing is changed before this is mended: bring back the state that belongs to the inbox; or move the inbox's "    \
    "folder away, with the messages in it that are not worked"

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
    bool spare_useless;    /* what lies there by its name is ours, and could not be removed */
    int spare_error;       /* why there is none, if that is said in the log; 0 */
    unsigned named;        /* files that were given their names, and how many of these are durable */
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

static void
name_of(uint64_t begin, char *name)
{
    snprintf(name, FILE_NAME_SIZE, "%016" PRIx64, begin);
}

/* Of an entry of before version 4 at at; length is what stands in its first four bytes. */
static uint64_t
checksum_of(const char *at, size_t length)
{
    return hash_checksum(span_at(at + PREFIX_BYTES, length)) ^ length;
}

/* Of an entry of this length at position: its head is the lower half. */
static uint64_t
place_mark(const struct inbox *inbox, uint64_t position, size_t length)
{
    char place[12];

    bytes_put_u64(place, position);
    bytes_put_u32(place + 8, (uint32_t)length);
    return hash_64(&inbox->key, span_at(place, sizeof place));
}

static uint32_t
body_mark(const struct inbox *inbox, uint64_t place, const char *at, size_t length)
{
    return (uint32_t)hash_64(&inbox->key, span_at(at + PREFIX_BYTES, length)) ^ (uint32_t)(place >> 32);
}

static bool
has_levels(const unsigned char *head)
{
    return (head[0] & HAS_LEVELS) != 0;
}

/* Whether the length bytes at head are of an entry: its parts are as long as they may be, and fit. */
static bool
parts_fit(const unsigned char *head, size_t length)
{
    size_t bytes = HEAD_BYTES;

    if (length < HEAD_BYTES + (has_levels(head) ? 1 : 0))
        return false;
    if (has_levels(head)) {
        if (head[HEAD_BYTES] == 0 || head[HEAD_BYTES] > LEVELS_BYTES_MAX)
            return false;
        bytes += 1 + (size_t)head[HEAD_BYTES];
    }
    return bytes + ((size_t)head[1] << 8 | head[2]) + ((size_t)head[3] << 8 | head[4]) <= length;
}

/* Whether at, of an entry of this length at position, stands its head. */
static bool
has_head(const struct inbox *inbox, uint64_t position, const char *at, size_t length)
{
    return (uint32_t)place_mark(inbox, position, length) == bytes_get_u32(at + 4);
}

/* Whether the marks at at, of an entry of this length at position, are right: nobody can forge them. */
static bool
has_marks(const struct inbox *inbox, uint64_t position, const char *at, size_t length)
{
    return has_head(inbox, position, at, length) &&
           body_mark(inbox, place_mark(inbox, position, length), at, length) == bytes_get_u32(at + 8);
}

/* How many bytes the entry at position, the start of bytes, takes, if it is whole and right; else 0. */
static size_t
whole_entry(const struct inbox *inbox, uint64_t position, struct span bytes)
{
    if (bytes.len < PREFIX_BYTES)
        return 0;
    size_t length = bytes_get_u32(bytes.at);
    if (length < HEAD_BYTES || length > bytes.len - PREFIX_BYTES ||
        !parts_fit((const unsigned char *)bytes.at + PREFIX_BYTES, length))
        return 0;
    if (!has_marks(inbox, position, bytes.at, length) && checksum_of(bytes.at, length) != bytes_get_u64(bytes.at + 4))
        return 0;
    return PREFIX_BYTES + length;
}

/* Open a file of the inbox's folder. −1 with errno. */
static int
open_file(const struct inbox *inbox, const char *name, int flags)
{
    struct buffer fault = {0};
    const int fd = folder_file_at(inbox->dir_fd, inbox->dir, name, flags, &fault);
    const int error = errno;

    buffer_free(&fault);
    errno = error;
    return fd;
}

/* What a file says at its end of what may be gone. */
struct said {
    uint64_t epoch;
    uint64_t position;
};

/* Say in the open file, which is of our size, that everything before position may be gone. 0, or −1 with errno. */
static int
say_released(const struct inbox *inbox, int fd, uint64_t position)
{
    char said[SAID_BYTES];

    bytes_put_u64(said, inbox->epoch);
    bytes_put_u64(said + 8, position);
    bytes_put_u64(said + 16, hash_checksum(span_at(said, 16)));
    /* One after the other: on ext4 who reads may get a write in part, and then finds the other one whole. */
    for (uint64_t at = inbox->file_bytes - TRAILER_BYTES; at < inbox->file_bytes; at += SAID_BYTES) {
        if (file_write_at(fd, said, sizeof said, at) != 0) {
            log_debug("inbox: %s: can't say what is released: %s", inbox->dir, strerror(errno));
            return -1;
        }
    }
    return 0;
}

/* What the open file of size bytes says, as far as it is right: how many times, at most two. −1 with errno. */
static int
read_said(int fd, uint64_t size, struct said *said)
{
    char trailer[TRAILER_BYTES];
    const uint64_t bytes = size < TRAILER_BYTES ? size / SAID_BYTES * SAID_BYTES : TRAILER_BYTES;
    const ssize_t got = file_read_at(fd, trailer, (size_t)bytes, size - bytes);
    int count = 0;

    if (got < 0)
        return -1;
    for (const char *at = trailer; at + SAID_BYTES <= trailer + got; at += SAID_BYTES) {
        if (hash_checksum(span_at(at, 16)) == bytes_get_u64(at + 16))
            said[count++] = (struct said){bytes_get_u64(at), bytes_get_u64(at + 8)};
    }
    return count;
}

/* Whether there is no room, which goes by. */
static bool
is_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

/* Why there is no spare file is said once, unless that is a full disk, which others say. */
static int
say_no_spare(struct inbox *inbox, int error)
{
    if (!is_full(error) && inbox->spare_error != error)
        log_error("inbox: can't make %s/" SPARE ": %s. Nothing is taken in without it%s", inbox->dir, strerror(error),
                  error == EEXIST ? ": what is there by that name is no file of ours, move it away" : "");
    inbox->spare_error = is_full(error) ? 0 : error;
    errno = error;
    return -1;
}

/* Remove a spare file that is of no use; what can't be removed is remembered, since by its name nobody could tell it from
 * somebody else's. Whether it is gone, else errno. */
static bool
remove_spare(struct inbox *inbox)
{
    inbox->spare_useless = unlinkat(inbox->dir_fd, SPARE, 0) != 0 && errno != ENOENT && errno != EISDIR;
    return !inbox->spare_useless;
}

static int
make_spare(struct inbox *inbox)
{
    if (inbox->spare_useless && !remove_spare(inbox))
        return say_no_spare(inbox, errno);
    int fd = open_file(inbox, SPARE, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0)
        return say_no_spare(inbox, errno);
    int rc = posix_fallocate(fd, 0, (off_t)inbox->file_bytes);
    close(fd);
    if (rc != 0) {
        remove_spare(inbox);
        return say_no_spare(inbox, rc);
    }
    inbox->spare = true;
    inbox->spare_error = 0;
    return 0;
}

/* Let the names of files be durable; with the lock. Whether they are, else errno. */
static bool
sync_names(struct inbox *inbox)
{
    if (inbox->named_synced != inbox->named && fsync(inbox->dir_fd) != 0)
        return false;
    inbox->named_synced = inbox->named;
    return true;
}

/* Go on in a new file that begins at begin. If that is where the last one begins there is nothing in it, and it goes. */
static int
begin_file(struct inbox *inbox, uint64_t begin)
{
    char name[FILE_NAME_SIZE];
    const bool in_place = inbox->file_count > 0 && inbox->files[inbox->file_count - 1] == begin;

    if (!in_place && inbox->file_count == FILES_MAX) {
        errno = EMFILE;
        return -1;
    }
    if (!inbox->spare && make_spare(inbox) != 0)
        return -1;
    /* If a power cut left this file its name and the one before it none, what is not worked of that would seem to have
     * been removed, which is refused. Mostly inbox_has_room has done it. */
    if (!sync_names(inbox))
        return -1;
    name_of(begin, name);
    /* Whoever copies it may first look where data is, and read it later: its trailer is there before its first entry. */
    int fd = open_file(inbox, SPARE, O_RDWR);
    if (fd < 0 || say_released(inbox, fd, inbox->released) != 0 ||
        renameat(inbox->dir_fd, SPARE, inbox->dir_fd, name) != 0) {
        const int error = errno;
        if (fd >= 0)
            close(fd);
        errno = error;
        return -1;
    }
    inbox->spare = false;
    inbox->named++;
    if (inbox->append_fd >= 0)
        close(inbox->append_fd);
    inbox->append_fd = fd;
    if (!in_place)
        inbox->files[inbox->file_count++] = begin;
    inbox->end = begin;
    return 0;
}

static int
ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int
list_files(struct inbox *inbox)
{
    struct dirent *entry;
    DIR *dir = opendir(inbox->dir);
    char name[FILE_NAME_SIZE];

    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, SPARE) == 0)
            inbox->spare = true;
        const uint64_t begin = strtoull(entry->d_name, NULL, 16);
        name_of(begin, name);
        if (strcmp(entry->d_name, name) != 0) /* not ours */
            continue;
        if (inbox->file_count == FILES_MAX)
            log_fatal("inbox: more than %d files in %s", FILES_MAX, inbox->dir);
        inbox->files[inbox->file_count++] = begin;
    }
    closedir(dir);
    qsort(inbox->files, inbox->file_count, sizeof inbox->files[0], ascending);
    return 0;
}

void
inbox_damaged(struct inbox *inbox, uint64_t position, const char *what)
{
    if (!inbox->told || inbox->told_at != position)
        log_error("inbox: %s: the entry at %" PRIu64 " %s. Nothing is taken from behind it: bring back a copy of inbox and "
                  "state, or move the inbox's folder away, with the messages in it that are not worked",
                  inbox->dir, position, what);
    inbox->told = true;
    inbox->told_at = position;
}

/* The file that begins at file, for reading. −1 with errno. */
static int
file_to_read(struct inbox *inbox, uint64_t file)
{
    char name[FILE_NAME_SIZE];

    if (inbox->read_fd >= 0 && inbox->read_file == file)
        return inbox->read_fd;
    if (inbox->read_fd >= 0)
        close(inbox->read_fd);
    name_of(file, name);
    inbox->read_fd = open_file(inbox, name, O_RDONLY);
    inbox->read_file = file;
    return inbox->read_fd;
}

/* −1 with errno. */
static int
unreadable(struct inbox *inbox, uint64_t position)
{
    char what[128];
    const int error = errno;

    snprintf(what, sizeof what, "can't be read: %s", strerror(error));
    inbox_damaged(inbox, position, what);
    errno = error;
    return -1;
}

static int
read_ahead(struct inbox *inbox, uint64_t file, uint64_t position, size_t want)
{
    const int fd = file_to_read(inbox, file);

    buffer_clear(&inbox->ahead);
    inbox->ahead_at = position;
    ssize_t got = fd < 0 ? -1 : file_read_at(fd, buffer_reserve(&inbox->ahead, want), want, position - file);
    if (got < 0)
        return unreadable(inbox, position);
    inbox->ahead.len = (size_t)got;
    return 0;
}

/* What is read ahead at position, as far as it goes. */
static struct span
ahead_from(const struct inbox *inbox, uint64_t position)
{
    if (position < inbox->ahead_at || position >= inbox->ahead_at + inbox->ahead.len)
        return (struct span){0};
    size_t skip = (size_t)(position - inbox->ahead_at);
    return span_at(inbox->ahead.data + skip, inbox->ahead.len - skip);
}

/* The whole entry at position, of a file with there more bytes in it: len 0 if it is damaged. −1 with errno and a line in
 * the log if it can't be read. */
static int
entry_at(struct inbox *inbox, uint64_t file, uint64_t position, uint64_t there, struct span *entry)
{
    size_t want = READ_BYTES;

    *entry = ahead_from(inbox, position);
    for (;;) {
        size_t whole = entry->len < PREFIX_BYTES ? SIZE_MAX : PREFIX_BYTES + (size_t)bytes_get_u32(entry->at);
        if (whole <= entry->len || entry->len == there)
            break;
        if (whole != SIZE_MAX && whole > want)
            want = whole;
        if (want > there)
            want = (size_t)there;
        if (read_ahead(inbox, file, position, want) != 0)
            return -1;
        *entry = ahead_from(inbox, position);
        if (entry->len < want) /* the file is shorter than it was made: what is whole before its end counts */
            break;
    }
    entry->len = whole_entry(inbox, position, *entry);
    return 0;
}

/* Where the first whole entry that nobody can have forged begins in file, from `from` on and before `last`, and ends before
 * `to`; `to` if there is none. −1 likewise. */
static int
find_entry(struct inbox *inbox, uint64_t file, uint64_t from, uint64_t last, uint64_t to, uint64_t *position)
{
    struct span bytes, entry;

    for (*position = from; *position < last; ++*position) {
        bytes = ahead_from(inbox, *position);
        /* Not beyond `to`: what is appended there later would be read out of this. */
        const size_t want = to - *position < READ_BYTES ? (size_t)(to - *position) : READ_BYTES;
        if (bytes.len < PREFIX_BYTES && read_ahead(inbox, file, *position, want) != 0)
            return -1;
        bytes = ahead_from(inbox, *position);
        if (bytes.len < PREFIX_BYTES || to - *position < PREFIX_BYTES)
            break;
        const size_t length = bytes_get_u32(bytes.at);
        if (length < HEAD_BYTES || length > to - *position - PREFIX_BYTES ||
            !has_head(inbox, *position, bytes.at, length))
            continue;
        if (entry_at(inbox, file, *position, to - *position, &entry) != 0)
            return -1;
        if (entry.len > 0 && has_marks(inbox, *position, entry.at, length))
            return 0;
    }
    *position = to;
    return 0;
}

static int
write_zeros(int fd, uint64_t at, uint64_t end)
{
    static const char zeros[1 << 16];

    for (; at < end; at += sizeof zeros) {
        if (file_write_at(fd, zeros, end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros, at) != 0)
            return -1;
    }
    return 0;
}

/* Let nothing but zeros stand in fd from at to end, which it has, and not come back: what stood there must not look like an
 * entry to the next recovery. In place, so that the room is not lost to somebody else on a full disk. */
static int
zero(int fd, uint64_t at, uint64_t end)
{
    if (at < end && fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)at, (off_t)(end - at)) != 0 && write_zeros(fd, at, end) != 0)
        return -1;
    return fdatasync(fd);
}

/* A spare that was being made when the process died may be short. And it may have been in use: a power cut can leave a
 * file its old name, and what was written to it under the new one. */
static void
check_spare(struct inbox *inbox)
{
    struct stat status;

    if (!inbox->spare)
        return;
    int fd = open_file(inbox, SPARE, O_RDWR);
    inbox->spare = fd >= 0 && fstat(fd, &status) == 0 && (uint64_t)status.st_size == inbox->file_bytes &&
                   zero(fd, 0, inbox->file_bytes) == 0;
    if (fd >= 0)
        close(fd);
    if (!inbox->spare)
        remove_spare(inbox);
}

/* How many bytes of fd from at to end are not zero; *behind is where the last of these ends. Where the file system knows of
 * holes, they are passed over. */
static uint64_t
remains_in(int fd, uint64_t at, uint64_t end, uint64_t *behind)
{
    char bytes[1 << 14];
    uint64_t count = 0;
    ssize_t got = 0;

    *behind = at;
    do {
        const off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        at = data > 0 ? (uint64_t)data : at;
        const bool none = (data < 0 && errno == ENXIO) || at >= end;
        got = none ? 0 : file_read_at(fd, bytes, end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes, at);
        for (ssize_t i = 0; i < got; i++) {
            count += bytes[i] != '\0';
            *behind = bytes[i] != '\0' ? at + (uint64_t)i + 1 : *behind;
        }
        at += got > 0 ? (uint64_t)got : 0;
    } while (got > 0);
    return count;
}

/* Zero what stands in the last file, the open fd, behind its last whole entry, up to end, and say so. */
static int
zero_remains(struct inbox *inbox, int fd, uint64_t begin, uint64_t end)
{
    uint64_t behind;

    if (inbox->end >= end)
        return zero(fd, end - begin, end - begin);
    const uint64_t remains = remains_in(fd, inbox->end - begin, end - begin, &behind);
    if (remains > 0)
        log_warning("inbox: %s: from %" PRIu64 " on %" PRIu64 " bytes of no whole message are wiped: whoever wrote them "
                    "died before it acknowledged them, or they had no receipt", inbox->dir, inbox->end, remains);
    return zero(fd, inbox->end - begin, end - begin);
}

/* What can't be read. */

/* Whether fd has a sector from at to end, or the part of one that begins at either, which is nothing but zeros: what a
 * power cut has taken. If an entry stands at end the sector before it is whole. −1 with errno. */
static int
lacks_sector(int fd, uint64_t at, uint64_t end, bool entry_at_end)
{
    char bytes[SECTOR_BYTES];

    while (at < end) {
        const uint64_t next = at / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
        const size_t len = (size_t)((next < end ? next : end) - at);
        memset(bytes, 0, len); /* where the file ends, too */
        if (file_read_at(fd, bytes, len, at) < 0)
            return -1;
        size_t zeros = 0;
        while (zeros < len && bytes[zeros] == '\0')
            zeros++;
        if (zeros == len && (next <= end || !entry_at_end))
            return 1;
        at += len;
    }
    return 0;
}

/* Whether what stands in the last file, the open fd, behind its last whole entry up to end was there whole once: neither has
 * a crash torn it nor a power cut taken some of it. Then *behind is where it ends. −1 with errno. */
static int
was_whole(const struct inbox *inbox, int fd, uint64_t begin, uint64_t end, uint64_t *behind)
{
    char length[4] = {0};
    const uint64_t at = inbox->end - begin;

    if (inbox->end >= end || remains_in(fd, at, end - begin, behind) == 0)
        return 0;
    if (file_read_at(fd, length, sizeof length, at) < 0)
        return -1;
    const uint64_t whole = at + PREFIX_BYTES + bytes_get_u32(length);
    if (whole > *behind && (whole <= end - begin || whole <= inbox->file_bytes)) /* the file may be cut short, too */
        return 0; /* its last byte never came */
    const int lacks = lacks_sector(fd, at, *behind, false);
    *behind += begin;
    return lacks < 0 ? -1 : lacks == 0;
}

/* Let inbox->end be behind the last whole entry of the last file, the open fd, which has them from there up to end, and
 * nothing but zeros or a trailer from trailer on. −1 with errno. */
static int
find_last(struct inbox *inbox, int fd, uint64_t begin, uint64_t end, uint64_t trailer)
{
    struct span entry;
    uint64_t behind, next = 0;

    while (next < end) {
        do {
            if (entry_at(inbox, begin, inbox->end, end - inbox->end, &entry) != 0)
                return -1;
            inbox->end += entry.len;
        } while (entry.len > 0);
        if (inbox->end >= trailer || remains_in(fd, inbox->end - begin, trailer - begin, &behind) == 0)
            break;
        if (find_entry(inbox, begin, inbox->end + 1, begin + behind, end, &next) != 0)
            return -1;
        inbox->end = next < end ? next : inbox->end;
    }
    return 0;
}

/* Find the end of the last file, the open fd: behind its last whole entry, looking from position on (what is before it may
 * be wiped); or behind what was whole once, known: messages are acknowledged up to there. What stands behind is zeroed; the
 * trailer stays. Whether it can be gone on in: that can't a file that is not as long as ours, nor one of the program before
 * that has entries where the trailer would be, nor one that ends before position. −1 with errno. */
static int
find_end(struct inbox *inbox, int fd, uint64_t position, uint64_t known)
{
    const uint64_t begin = inbox->files[inbox->file_count - 1];
    struct said said[2];
    struct stat status;
    uint64_t behind;

    const int told = fstat(fd, &status) != 0 ? -1 : read_said(fd, (uint64_t)status.st_size, said);
    if (told < 0)
        return -1;
    const bool ours = (uint64_t)status.st_size == inbox->file_bytes;
    const uint64_t end = begin + (uint64_t)status.st_size;
    const uint64_t trailer = ours || (told > 0 && end - begin > TRAILER_BYTES) ? end - TRAILER_BYTES : end;
    inbox->end = position < begin ? begin : position < end ? position : end;
    if (find_last(inbox, fd, begin, end, trailer) != 0)
        return -1;
    const int damaged = was_whole(inbox, fd, begin, trailer, &behind);
    if (damaged < 0)
        return -1;
    if (damaged > 0)
        inbox->end = behind;
    if (inbox->end < known)
        inbox->end = known;
    buffer_clear(&inbox->ahead); /* not what stands there from now on */
    if (zero_remains(inbox, fd, begin, trailer) != 0)
        return -1;
    return ours && inbox->end <= trailer;
}

/* The note beside the folder. */

struct note {
    uint64_t boot, epoch, since, end;
};

/* −1 with errno. */
static int
open_note(const char *dir, int flags)
{
    struct buffer path = {0};

    buffer_printf(&path, "%s" NOTE, dir);
    const int fd = open(buffer_text(&path), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    const int error = errno;
    buffer_free(&path);
    errno = error;
    return fd;
}

/* The note, if there is one of this store's inbox; else zeros. */
static struct note
read_note(const struct inbox *inbox)
{
    char bytes[NOTE_BYTES];
    struct note note = {0};
    const int fd = open_note(inbox->dir, O_RDONLY);

    if (fd >= 0 && file_read_at(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes &&
        hash_checksum(span_at(bytes, NOTE_BYTES - 8)) == bytes_get_u64(bytes + NOTE_BYTES - 8) &&
        bytes_get_u64(bytes + 8) == inbox->epoch)
        note = (struct note){bytes_get_u64(bytes), inbox->epoch, bytes_get_u64(bytes + 16), bytes_get_u64(bytes + 24)};
    if (note.end > POSITION_MAX)
        note = (struct note){0};
    if (fd >= 0)
        close(fd);
    return note;
}

/* Messages before inbox->end are acknowledged. Without the note less is noticed, and that is all. */
static void
write_note(const struct inbox *inbox)
{
    char bytes[NOTE_BYTES];

    bytes_put_u64(bytes, inbox->boot);
    bytes_put_u64(bytes + 8, inbox->epoch);
    bytes_put_u64(bytes + 16, inbox->since);
    bytes_put_u64(bytes + 24, inbox->end);
    bytes_put_u64(bytes + 32, hash_checksum(span_at(bytes, NOTE_BYTES - 8)));
    if (inbox->note_fd >= 0 && file_write_at(inbox->note_fd, bytes, sizeof bytes, 0) != 0)
        log_debug("inbox: %s" NOTE " can't be written: %s", inbox->dir, strerror(errno));
}

/* Whether the store of position goes with what was said, else a line in the log. */
static bool
goes_with(const struct inbox *inbox, const struct said *said, uint64_t position)
{
    const bool ours = said->epoch == inbox->epoch;

    if (ours && said->position <= position)
        return true;
    log_error("inbox: %s: it was worked up to %" PRIu64 " by %s, and the state ends at %" PRIu64 ": what came later would "
              "be lost" MEND, inbox->dir, said->position, ours ? "a newer copy of the state" : "another state", position);
    return false;
}

/* How often the file name says that the store goes with it; −1 with a line in the log: it says that it does not, or can't be
 * read. */
static int
file_goes_with(const struct inbox *inbox, const char *name, uint64_t position)
{
    struct buffer fault = {0};
    struct said said[2];
    struct stat status;
    int count = -1;
    const int fd = folder_file_at(inbox->dir_fd, inbox->dir, name, O_RDONLY, &fault);

    if (fd < 0)
        log_error("inbox: %s", buffer_text(&fault));
    else if (fstat(fd, &status) != 0 || (count = read_said(fd, (uint64_t)status.st_size, said)) < 0)
        log_error("inbox: can't read %s/%s: %s", inbox->dir, name, strerror(errno));
    if (fd >= 0)
        close(fd);
    buffer_free(&fault);
    bool fine = count >= 0;
    for (int i = 0; i < count && fine; i++)
        fine = goes_with(inbox, &said[i], position);
    return fine ? count : -1;
}

/* Whether the store goes with the inbox; else a line in the log. */
static bool
belongs_to_store(const struct inbox *inbox, uint64_t position)
{
    char name[FILE_NAME_SIZE];
    bool said = false;

    for (unsigned i = 0; i < inbox->file_count; i++) {
        name_of(inbox->files[i], name);
        const int count = file_goes_with(inbox, name, position);
        if (count < 0)
            return false;
        said = said || count > 0;
    }
    const bool none = inbox->file_count == 0 && inbox->strangers > 0;
    if (none || (inbox->file_count > 0 && inbox->files[0] > position && !said)) {
        log_error("inbox: %s: nothing is left from %" PRIu64 " on, where the state ends: do they belong together?" MEND,
                  inbox->dir, position);
        return false;
    }
    return faccessat(inbox->dir_fd, RELEASED, F_OK, AT_SYMLINK_NOFOLLOW) != 0 ||
           file_goes_with(inbox, RELEASED, position) >= 0;
}

/* Whether the file that begins at begin, size bytes long, is an inbox's: by its end, or by what is in it. */
static bool
is_proven(struct inbox *inbox, uint64_t begin, uint64_t size)
{
    struct said said[2];
    struct span entry = {0};
    uint64_t found = UINT64_MAX;
    const uint64_t end = begin + (size < inbox->file_bytes ? size : inbox->file_bytes);
    const int fd = file_to_read(inbox, begin);

    if (fd < 0 || read_said(fd, size, said) > 0)
        return fd >= 0;
    buffer_clear(&inbox->ahead);
    return (entry_at(inbox, begin, begin, end - begin, &entry) == 0 && entry.len > 0) ||
           (find_entry(inbox, begin, begin, end, end, &found) == 0 && found < end);
}

/* Whether an entry of the file before, looking from position on, ends behind begin: then no file of ours begins there. */
static bool
is_run_over(struct inbox *inbox, uint64_t before, uint64_t begin, uint64_t position)
{
    struct span entry;
    uint64_t end = before < position ? position : before;

    buffer_clear(&inbox->ahead);
    do {
        if (entry_at(inbox, before, end, inbox->file_bytes, &entry) != 0)
            return false;
        end += entry.len;
    } while (entry.len > 0 && end <= begin);
    return entry.len > 0;
}

/* Leave files alone that are called by a position where none of ours begins, unless they are by what is in them; reach is up
 * to where messages can be. */
static void
leave_strangers(struct inbox *inbox, uint64_t position, uint64_t reach)
{
    unsigned count = 0;
    struct stat status;
    char name[FILE_NAME_SIZE];

    for (unsigned i = 0; i < inbox->file_count; i++) {
        const uint64_t begin = inbox->files[i];
        name_of(begin, name);
        const bool file = fstatat(inbox->dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
        const uint64_t size = file && (uint64_t)status.st_size < POSITION_MAX ? (uint64_t)status.st_size : 0;
        bool strange = begin > POSITION_MAX;
        if (!strange && !(file && is_proven(inbox, begin, size)))
            strange = begin > reach || (file && count > 0 && is_run_over(inbox, inbox->files[count - 1], begin, position));
        if (strange) {
            log_error("inbox: %s/%s is left alone: no message can begin at %" PRIu64 ", as it is called, and nothing in it "
                      "says that it is of this inbox. Move it away", inbox->dir, name, begin);
            continue;
        }
        inbox->files[count++] = begin;
        const uint64_t end = begin + (size > inbox->file_bytes ? size : inbox->file_bytes);
        reach = end > reach ? end : reach;
    }
    inbox->strangers = inbox->file_count - count;
    inbox->file_count = count;
    buffer_clear(&inbox->ahead);
}

static int
open_files(struct inbox *inbox)
{
    struct buffer fault = {0};

    inbox->dir_fd = folder_open(inbox->dir, "", &fault);
    if (inbox->dir_fd < 0)
        log_error("inbox: %s", buffer_text(&fault));
    buffer_free(&fault);
    if (inbox->dir_fd < 0)
        return -1;
    if (list_files(inbox) == 0)
        return 0;
    log_error("inbox: %s: %s", inbox->dir, strerror(errno));
    return -1;
}

/* Where the next entry goes: behind the last whole one, in its file if that can be gone on in. After a power cut the files
 * may have lost what was worked and committed: then at position. And not before known: messages are acknowledged up to
 * there. */
static int
go_on(struct inbox *inbox, uint64_t position, uint64_t known)
{
    char name[FILE_NAME_SIZE];
    int goes_on = 0;

    inbox->end = position > known ? position : known;
    if (inbox->file_count > 0) {
        name_of(inbox->files[inbox->file_count - 1], name);
        inbox->append_fd = open_file(inbox, name, O_RDWR);
        goes_on = inbox->append_fd < 0 ? -1 : find_end(inbox, inbox->append_fd, position, known);
    }
    if (goes_on != 0)
        return goes_on < 0 ? -1 : say_released(inbox, inbox->append_fd, position);
    /* It may take the place of an empty one, that has just been read. */
    if (inbox->read_fd >= 0)
        close(inbox->read_fd);
    inbox->read_fd = -1;
    return begin_file(inbox, inbox->end < position ? position : inbox->end);
}

/* Up to where messages are acknowledged that no power cut can have taken, by the note; 0: it does not say. The names of
 * files are never taken all: that there is none is somebody's doing. */
static uint64_t
acknowledged_to(const struct inbox *inbox, const struct note *note, uint64_t position)
{
    if (inbox->file_count == 0 && note->end == 0 && position > 0)
        log_warning("inbox: %s has no file, though messages up to %" PRIu64 " were worked: if others waited behind them, "
                    "they are lost", inbox->dir, position);
    return inbox->file_count == 0 || (note->boot == inbox->boot && inbox->boot != 0) ? note->end : 0;
}

/* What was written before the machine came up may be lost to that. */
static void
say_since(struct inbox *inbox, const struct note *note)
{
    const bool same = note->boot == inbox->boot && inbox->boot != 0 && note->end > 0;

    inbox->since = same ? note->since : inbox->end;
    if (note->end > inbox->end)
        log_warning("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ": the machine went down before this was on its disk; it "
                    "had no receipt", inbox->dir, inbox->end, note->end);
    inbox->note_fd = open_note(inbox->dir, O_RDWR | O_CREAT);
    write_note(inbox);
}

static struct inbox *
inbox_new(const struct inbox_options *options)
{
    const uint64_t largest = PREFIX_BYTES + HEAD_BYTES + 1 + LEVELS_BYTES_MAX + 2 * (uint64_t)INBOX_FIELD_BYTES_MAX +
                             options->payload_bytes_max;
    struct inbox *inbox = calloc(1, sizeof *inbox);

    if (inbox == NULL)
        log_fatal("out of memory");
    pthread_mutex_init(&inbox->lock, NULL);
    inbox->dir_fd = inbox->append_fd = inbox->read_fd = inbox->note_fd = -1;
    inbox->epoch = options->epoch;
    inbox->key = options->key;
    inbox->boot = options->boot;
    inbox->named = 1; /* those that are there: who named them may have been killed before the sync */
    inbox->file_bytes = 2 * largest + TRAILER_BYTES > FILE_BYTES_MIN ? 2 * largest + TRAILER_BYTES : FILE_BYTES_MIN;
    inbox->bytes_max = options->bytes_max;
    if ((inbox->dir = strdup(options->dir)) == NULL)
        log_fatal("out of memory");
    return inbox;
}

struct inbox *
inbox_open(const struct inbox_options *options, uint64_t position)
{
    struct inbox *inbox = inbox_new(options);

    if (open_files(inbox) != 0)
        goto fail;
    const struct note note = read_note(inbox);
    leave_strangers(inbox, position, position > note.end ? position : note.end);
    if (!belongs_to_store(inbox, position))
        goto fail;
    check_spare(inbox);
    inbox->released = position;
    if (go_on(inbox, position, acknowledged_to(inbox, &note, position)) != 0) {
        log_error("inbox: %s: %s", inbox->dir, strerror(errno));
        goto fail;
    }
    say_since(inbox, &note);
    unlinkat(inbox->dir_fd, RELEASED, 0); /* the trailer says it from now on */
    return inbox;
fail:
    inbox_close(inbox);
    return NULL;
}

/* Copying. */

/* Where the whole entries of the file that begins at begin are written to. */
struct copy {
    int dir_fd;
    const char *dir; /* for the log */
    bool (*step)(void *context, uint64_t bytes);
    void *context;
};

/* Copy the bytes of file from position on up to end, to fd. 0 or −1 with errno. */
static int
copy_bytes(struct inbox *inbox, uint64_t file, uint64_t position, uint64_t end, int fd, uint64_t to)
{
    char bytes[1 << 14];
    const int from = file_to_read(inbox, file);
    ssize_t got = from < 0 ? -1 : 1;

    while (got > 0 && position < end) {
        got = file_read_at(from, bytes, end - position < sizeof bytes ? (size_t)(end - position) : sizeof bytes,
                           position - file);
        if (got > 0 && file_write_at(fd, bytes, (size_t)got, to) != 0)
            return -1;
        position += got > 0 ? (uint64_t)got : 0;
        to += got > 0 ? (uint64_t)got : 0;
    }
    return got < 0 ? -1 : 0;
}

/* Copy what stands at *position of the file that begins at begin, up to end: an entry, or what is damaged before the next
 * one; of the last file, to which somebody may append, not what stands behind all of them. *bytes is how much it was. 0, or
 * −1 with errno. */
static int
copy_next(struct inbox *inbox, uint64_t begin, uint64_t end, bool last, int fd, uint64_t *position, uint64_t *bytes)
{
    struct span entry;
    uint64_t next;

    *bytes = 0;
    if (entry_at(inbox, begin, *position, end - *position, &entry) != 0)
        return -1;
    *bytes = entry.len;
    if (entry.len > 0)
        return file_write_at(fd, entry.at, entry.len, *position - begin);
    if (*position >= end)
        return 0;
    if (find_entry(inbox, begin, *position + 1, end, end, &next) != 0)
        return -1;
    *bytes = next < end || !last ? next - *position : 0;
    return copy_bytes(inbox, begin, *position, *position + *bytes, fd, *position - begin);
}

/* Copy the entries from *position on, which is in the file that begins at begin, up to next at most (UINT64_MAX: there is no
 * next file); *position goes behind them. */
static int
copy_entries(struct inbox *inbox, const struct copy *copy, uint64_t begin, uint64_t next, uint64_t *position)
{
    char name[FILE_NAME_SIZE];
    struct stat status;
    uint64_t bytes = 1;
    bool goes_on = true;

    name_of(begin, name);
    const int fd = openat(copy->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fstatat(inbox->dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        goto failed;
    const uint64_t end = begin + (uint64_t)status.st_size < next ? begin + (uint64_t)status.st_size : next;
    while (bytes > 0 && goes_on) {
        if (copy_next(inbox, begin, end, next == UINT64_MAX, fd, position, &bytes) != 0)
            goto failed;
        *position += bytes;
        goes_on = bytes == 0 || copy->step(copy->context, bytes);
    }
    /* What a sender has chosen must not stand where a trailer would. */
    if (goes_on && ftruncate(fd, (off_t)(*position - begin + TRAILER_BYTES)) != 0)
        goto failed;
    close(fd);
    return goes_on ? 0 : -1;
failed:
    log_error("inbox: can't copy %s/%s to %s: %s", inbox->dir, name, copy->dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int
copy_files(struct inbox *inbox, const struct copy *copy, uint64_t *position)
{
    unsigned i = 0;

    if (inbox->file_count > 0 && inbox->files[0] > *position) {
        log_error("inbox: %s: nothing is left from %" PRIu64 " on, where the state ends: do they belong together?",
                  inbox->dir, *position);
        return -1;
    }
    while (i + 1 < inbox->file_count && inbox->files[i + 1] <= *position)
        i++;
    for (; i < inbox->file_count; i++) {
        const uint64_t next = i + 1 < inbox->file_count ? inbox->files[i + 1] : UINT64_MAX;
        if (copy_entries(inbox, copy, inbox->files[i], next, position) != 0)
            return -1;
        /* What a power cut took between two files is missing in the copy, too, and is told by who reads it. */
        if (next != UINT64_MAX)
            *position = next;
    }
    return 0;
}

int
inbox_copy(const struct inbox_options *options, uint64_t position, const char *to,
           bool (*step)(void *context, uint64_t bytes), void *context, uint64_t *end)
{
    struct inbox *inbox = inbox_new(options);
    struct copy copy = {open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to, step, context};
    int rc = -1;

    inbox->dir_fd = open(inbox->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *end = position;
    if (copy.dir_fd < 0 || inbox->dir_fd < 0 || list_files(inbox) != 0) {
        log_error("inbox: can't copy %s to %s: %s", inbox->dir, to, strerror(errno));
    } else {
        leave_strangers(inbox, position, position);
        rc = copy_files(inbox, &copy, end);
    }
    if (copy.dir_fd >= 0)
        close(copy.dir_fd);
    inbox_close(inbox);
    return rc;
}

static void
encode_entry(const struct inbox_entry *entry, struct buffer *bytes)
{
    char head[HEAD_BYTES + 1];
    const size_t head_bytes = entry->levels.len > 0 ? HEAD_BYTES + 1 : HEAD_BYTES;
    const size_t length =
        head_bytes + entry->levels.len + entry->response_topic.len + entry->correlation.len + entry->payload.len;

    head[0] = (char)(entry->input | (entry->levels.len > 0 ? HAS_LEVELS : 0));
    head[1] = (char)(entry->response_topic.len >> 8);
    head[2] = (char)entry->response_topic.len;
    head[3] = (char)(entry->correlation.len >> 8);
    head[4] = (char)entry->correlation.len;
    head[HEAD_BYTES] = (char)entry->levels.len;
    buffer_clear(bytes);
    buffer_reserve(bytes, PREFIX_BYTES + length);
    bytes->len = PREFIX_BYTES;
    buffer_add(bytes, head, head_bytes);
    buffer_add_span(bytes, entry->levels);
    buffer_add_span(bytes, entry->response_topic);
    buffer_add_span(bytes, entry->correlation);
    buffer_add_span(bytes, entry->payload);
    bytes_put_u32(bytes->data, (uint32_t)length);
}

/* Mark the encoded entry for its place. */
static void
mark_entry(const struct inbox *inbox, uint64_t position, struct buffer *bytes)
{
    const size_t length = bytes->len - PREFIX_BYTES;
    const uint64_t place = place_mark(inbox, position, length);

    bytes_put_u32(bytes->data + 4, (uint32_t)place);
    bytes_put_u32(bytes->data + 8, body_mark(inbox, place, bytes->data, length));
}

/* The entry in the whole_entry bytes at at. */
static struct inbox_entry
decode_entry(const char *at, size_t whole)
{
    const unsigned char *head = (const unsigned char *)at + PREFIX_BYTES;
    const size_t levels_bytes = has_levels(head) ? head[HEAD_BYTES] : 0;
    const char *levels = at + PREFIX_BYTES + HEAD_BYTES + (levels_bytes > 0 ? 1 : 0);
    const char *rest = levels + levels_bytes;
    size_t response_bytes = (size_t)head[1] << 8 | head[2];
    size_t correlation_bytes = (size_t)head[3] << 8 | head[4];
    size_t payload_bytes = whole - (size_t)(rest - at) - response_bytes - correlation_bytes;

    return (struct inbox_entry){
        .input = head[0] & ~(unsigned)HAS_LEVELS,
        .levels = span_at(levels, levels_bytes),
        .response_topic = span_at(rest, response_bytes),
        .correlation = span_at(rest + response_bytes, correlation_bytes),
        .payload = span_at(rest + response_bytes + correlation_bytes, payload_bytes),
    };
}

int
inbox_append(struct inbox *inbox, const struct inbox_entry *entry)
{
    int rc = -1;

    if (entry->response_topic.len > INBOX_FIELD_BYTES_MAX || entry->correlation.len > INBOX_FIELD_BYTES_MAX)
        log_panic("inbox: a field of more than %d bytes", INBOX_FIELD_BYTES_MAX);
    if (entry->levels.len > LEVELS_BYTES_MAX || entry->input >= HAS_LEVELS)
        log_panic("inbox: %zu bytes of levels, input %u", entry->levels.len, entry->input);
    pthread_mutex_lock(&inbox->lock);
    encode_entry(entry, &inbox->entry);
    uint64_t begin = inbox->files[inbox->file_count - 1];
    const uint64_t most = inbox->file_bytes - TRAILER_BYTES;
    if (inbox->end + inbox->entry.len > begin + most) {
        if (inbox->entry.len > most || begin_file(inbox, inbox->end) != 0)
            goto done;
        begin = inbox->end;
    }
    mark_entry(inbox, inbox->end, &inbox->entry);
    if (file_write_at(inbox->append_fd, inbox->entry.data, inbox->entry.len, inbox->end - begin) != 0)
        goto done;
    inbox->end += inbox->entry.len;
    write_note(inbox);
    rc = 0;
done:
    pthread_mutex_unlock(&inbox->lock);
    return rc;
}

/* Where a position is in the files. */
struct place {
    uint64_t file; /* where its file begins; that may be behind it, if the one that it was in is gone */
    uint64_t next; /* where the next file begins, or the next entry goes */
    bool last;
};

static struct place
place_of(struct inbox *inbox, uint64_t position)
{
    unsigned i = inbox->file_count - 1;

    while (i > 0 && inbox->files[i] > position)
        i--;
    const bool last = i + 1 == inbox->file_count;
    return (struct place){inbox->files[i], last ? inbox->end : inbox->files[i + 1], last};
}

/* Whether a power cut can have taken what can't be read from `from` to `to`; −1 with errno. */
static int
may_be_a_power_cuts(struct inbox *inbox, const struct place *place, uint64_t from, uint64_t to)
{
    struct stat status;

    if (from >= inbox->since || place->file > from)
        return 0;
    const int fd = file_to_read(inbox, place->file);
    if (fd < 0 || fstat(fd, &status) != 0)
        return -1;
    const uint64_t size = (uint64_t)status.st_size > inbox->file_bytes ? (uint64_t)status.st_size : inbox->file_bytes;
    if (to - place->file > size)
        return 0; /* a file is missing */
    return lacks_sector(fd, from - place->file, to - place->file, to != place->next);
}

/* Where the entries of the open file, which begins at begin, end at the latest. −1 with errno. */
static int
entries_end(int fd, uint64_t begin, uint64_t *end)
{
    struct stat status;
    struct said said[2];

    const int count = fstat(fd, &status) != 0 ? -1 : read_said(fd, (uint64_t)status.st_size, said);
    *end = begin + (uint64_t)status.st_size - (count > 0 ? TRAILER_BYTES : 0);
    return count < 0 ? -1 : 0;
}

/* Keep the bytes of the file from `from` to `to` in one by name, DAMAGED; unless there are none, or only zeros: then name is
 * "". −1 with errno. */
static int
keep_damaged(struct inbox *inbox, const struct place *place, uint64_t from, uint64_t to, char name[DAMAGED_SIZE])
{
    uint64_t behind, end;
    const int file = place->file > from ? -1 : file_to_read(inbox, place->file);

    name[0] = '\0';
    if (place->file > from)
        return 0;
    if (file < 0 || entries_end(file, place->file, &end) != 0)
        return -1;
    end = to < end ? to : end;
    if (end <= from || remains_in(file, from - place->file, end - place->file, &behind) == 0)
        return 0;
    name_of(from, name);
    memcpy(name + FILE_NAME_SIZE - 1, DAMAGED, sizeof DAMAGED);
    const int fd = open_file(inbox, name, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return -1;
    const bool kept =
        copy_bytes(inbox, place->file, from, end, fd, 0) == 0 && fdatasync(fd) == 0 && fsync(inbox->dir_fd) == 0;
    const int error = errno;
    close(fd);
    errno = error;
    return kept ? 0 : -1;
}

static void
say_lost(const struct inbox *inbox, const struct place *place, uint64_t from, uint64_t to, bool damage, const char *kept)
{
    char name[FILE_NAME_SIZE];

    name_of(place->file, name);
    if (!damage)
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ", in file %s: a power cut has taken some of it, and it "
                  "had no receipt", inbox->dir, from, to, name);
    else if (place->file > from)
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ": the file is gone, and messages in it were acknowledged. "
                  "What follows is worked, from file %s on", inbox->dir, from, to, name);
    else if (kept[0] == '\0')
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ", in file %s: nothing is there, and messages in it were "
                  "acknowledged. What follows is worked", inbox->dir, from, to, name);
    else
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ", in file %s: it is damaged, and messages in it were "
                  "acknowledged. Its bytes are kept in %s/%s, which nobody removes but you. What follows is worked",
                  inbox->dir, from, to, name, inbox->dir, kept);
}

/* Go over what can't be read at *position, to the next whole entry or file. −1 with errno and a line in the log. */
static int
pass_over(struct inbox *inbox, const struct place *place, uint64_t *position, struct inbox_gap *gap)
{
    char kept[DAMAGED_SIZE] = "";
    const uint64_t from = *position;
    uint64_t to = place->file;

    if (place->file <= from && find_entry(inbox, place->file, from + 1, place->next, place->next, &to) != 0)
        return -1;
    const int cut = may_be_a_power_cuts(inbox, place, from, to);
    if (cut < 0)
        return unreadable(inbox, from);
    if (from >= inbox->passed_over) {
        if (cut == 0 && keep_damaged(inbox, place, from, to, kept) != 0)
            return is_full(errno) ? -1 : unreadable(inbox, from);
        say_lost(inbox, place, from, to, cut == 0, kept);
        inbox->passed_over = to;
    }
    gap->from = gap->from == gap->to ? from : gap->from;
    gap->to = to;
    gap->damage = gap->damage || cut == 0;
    *position = to;
    return 0;
}

int
inbox_read(struct inbox *inbox, uint64_t *position, struct inbox_entry *entry, struct inbox_gap *gap)
{
    struct span bytes = {0};

    *gap = (struct inbox_gap){0};
    for (;;) {
        pthread_mutex_lock(&inbox->lock);
        const uint64_t end = inbox->end;
        const struct place place = place_of(inbox, *position);
        pthread_mutex_unlock(&inbox->lock);
        if (*position >= end)
            return 0;
        if (place.file <= *position && entry_at(inbox, place.file, *position, place.next - *position, &bytes) != 0)
            return -1;
        if (bytes.len > 0)
            break;
        if (pass_over(inbox, &place, position, gap) != 0)
            return -1;
    }
    *entry = decode_entry(bytes.at, bytes.len);
    *position += bytes.len;
    return 1;
}

/* Make a hole of what is worked in the file that is appended to; older files are removed as a whole. Where the file
 * system can't, it stays until its file is removed. */
static void
wipe(struct inbox *inbox)
{
    const uint64_t begin = inbox->files[inbox->file_count - 1];
    const uint64_t from = inbox->wiped > begin ? inbox->wiped : begin;
    const uint64_t to = inbox->released < inbox->end ? inbox->released : inbox->end;

    if (to <= from || (to < inbox->end && to - from < WIPE_BYTES))
        return;
    if (say_released(inbox, inbox->append_fd, to) != 0) /* no hole that nobody tells of */
        return;
    if (fallocate(inbox->append_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(from - begin),
                  (off_t)(to - from)) != 0)
        log_debug("inbox: can't wipe what is worked: %s", strerror(errno));
    inbox->wiped = to;
}

void
inbox_release(struct inbox *inbox, uint64_t position)
{
    char name[FILE_NAME_SIZE];
    unsigned gone = 0;

    pthread_mutex_lock(&inbox->lock);
    inbox->released = position;
    /* None goes before the next one has its name for good: no power cut may leave none at all. */
    if (inbox->file_count > 1 && inbox->files[1] <= position && !sync_names(inbox)) {
        pthread_mutex_unlock(&inbox->lock);
        return;
    }
    /* If it can't be said they go all the same: on a full disk that makes room, and a state that is older than this finds
     * that they are not there. */
    if (inbox->file_count > 1 && inbox->files[1] <= position)
        say_released(inbox, inbox->append_fd, position);
    /* The last one stays: it is appended to. */
    while (gone + 1 < inbox->file_count && inbox->files[gone + 1] <= position) {
        name_of(inbox->files[gone++], name);
        if (unlinkat(inbox->dir_fd, name, 0) != 0)
            log_warning("inbox: can't remove %s/%s: %s", inbox->dir, name, strerror(errno));
    }
    inbox->file_count -= gone;
    memmove(inbox->files, inbox->files + gone, inbox->file_count * sizeof inbox->files[0]);
    wipe(inbox);
    pthread_mutex_unlock(&inbox->lock);
}

bool
inbox_has_room(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    bool room = (inbox->spare || make_spare(inbox) == 0) && inbox->end - inbox->released < inbox->bytes_max &&
                inbox->file_count + 2 < FILES_MAX; /* what is under way, and if the last one can't be gone on in */
    const unsigned named = inbox->named;
    const bool synced = inbox->named_synced == named;
    pthread_mutex_unlock(&inbox->lock);
    if (synced || fsync(inbox->dir_fd) != 0) /* not with the lock: what arrives need not wait for it */
        return room;
    pthread_mutex_lock(&inbox->lock);
    inbox->named_synced = named;
    pthread_mutex_unlock(&inbox->lock);
    return room;
}

bool
inbox_is_hindered(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    const bool hindered = !inbox->spare && inbox->spare_error != 0;
    pthread_mutex_unlock(&inbox->lock);
    return hindered;
}

uint64_t
inbox_end(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    uint64_t end = inbox->end;
    pthread_mutex_unlock(&inbox->lock);
    return end;
}

void
inbox_close(struct inbox *inbox)
{
    if (inbox == NULL)
        return;
    const int fds[] = {inbox->dir_fd, inbox->append_fd, inbox->read_fd, inbox->note_fd};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    pthread_mutex_destroy(&inbox->lock);
    buffer_free(&inbox->entry);
    buffer_free(&inbox->ahead);
    free(inbox->dir);
    free(inbox);
}
