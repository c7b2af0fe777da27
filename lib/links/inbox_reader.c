#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "links/inbox_state.h"

/* Read this much at once: several messages a system call. */
#define READ_BYTES (256u << 10)

void
inbox_reader_damaged(struct inbox *inbox, uint64_t position, const char *what)
{
    if (!inbox->told || inbox->told_at != position)
        log_error("inbox: %s: the entry at %" PRIu64 " %s. Nothing is taken from behind it: bring back a copy of inbox and "
                  "state, or move the inbox's folder away, with the messages in it that are not worked",
                  inbox->dir, position, what);
    inbox->told = true;
    inbox->told_at = position;
}

int
inbox_reader_file(struct inbox *inbox, uint64_t file)
{
    char name[FILE_NAME_SIZE];

    if (inbox->read_fd >= 0 && inbox->read_file == file)
        return inbox->read_fd;
    if (inbox->read_fd >= 0)
        close(inbox->read_fd);
    inbox_files_name(file, name);
    inbox->read_fd = inbox_files_open(inbox, name, O_RDONLY);
    inbox->read_file = file;
    return inbox->read_fd;
}

int
inbox_reader_failed(struct inbox *inbox, uint64_t position)
{
    char what[128];
    const int error = errno;

    snprintf(what, sizeof what, "can't be read: %s", strerror(error));
    inbox_reader_damaged(inbox, position, what);
    errno = error;
    return -1;
}

static int
read_ahead(struct inbox *inbox, uint64_t file, uint64_t position, size_t want)
{
    const int fd = inbox_reader_file(inbox, file);

    buffer_clear(&inbox->ahead);
    inbox->ahead_at = position;
    ssize_t got = fd < 0 ? -1 : file_read_at(fd, buffer_reserve(&inbox->ahead, want), want, position - file);
    if (got < 0)
        return inbox_reader_failed(inbox, position);
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

int
inbox_reader_entry(struct inbox *inbox, uint64_t file, uint64_t position, uint64_t there, struct span *entry)
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
    entry->len = inbox_entry_whole(inbox, position, *entry);
    return 0;
}

int
inbox_reader_find(struct inbox *inbox, uint64_t file, uint64_t from, uint64_t last, uint64_t to, uint64_t *position)
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
            !inbox_entry_has_head(inbox, *position, bytes.at, length))
            continue;
        if (inbox_reader_entry(inbox, file, *position, to - *position, &entry) != 0)
            return -1;
        if (entry.len > 0 && inbox_entry_has_marks(inbox, *position, entry.at, length))
            return 0;
    }
    *position = to;
    return 0;
}

int
inbox_reader_copy(struct inbox *inbox, uint64_t file, uint64_t position, uint64_t end, int fd, uint64_t to)
{
    char bytes[1 << 14];
    const int from = inbox_reader_file(inbox, file);
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
