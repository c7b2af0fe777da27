#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "links/inbox_state.h"

#define NOTE ".end" /* behind the folder's name */
#define NOTE_BYTES 40

int
inbox_said_write_trailer(const struct inbox *inbox, int fd, uint64_t position)
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

int
inbox_said_read_trailer(int fd, uint64_t size, struct said *said)
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

int
inbox_said_open_note(const char *dir, int flags)
{
    struct buffer path = {0};

    buffer_printf(&path, "%s" NOTE, dir);
    const int fd = open(buffer_text(&path), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    const int error = errno;
    buffer_free(&path);
    errno = error;
    return fd;
}

struct note
inbox_said_read_note(const struct inbox *inbox)
{
    char bytes[NOTE_BYTES];
    struct note note = {0};
    const int fd = inbox_said_open_note(inbox->dir, O_RDONLY);

    if (fd >= 0 && file_read_at(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes &&
        hash_checksum(span_at(bytes, NOTE_BYTES - 8)) == bytes_get_u64(bytes + NOTE_BYTES - 8) &&
        bytes_get_u64(bytes + 8) == inbox->epoch)
        note = (struct note){bytes_get_u64(bytes), inbox->epoch, bytes_get_u64(bytes + 16), bytes_get_u64(bytes + 24)};
    if (note.end > INBOX_POSITION_MAX)
        note = (struct note){0};
    if (fd >= 0)
        close(fd);
    return note;
}

void
inbox_said_write_note(const struct inbox *inbox)
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
