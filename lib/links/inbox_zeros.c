#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "links/inbox_state.h"

/* What a disk writes whole or not at all. */
#define SECTOR_BYTES 512

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

int
inbox_zeros_write(int fd, uint64_t at, uint64_t end)
{
    if (at < end && fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)at, (off_t)(end - at)) != 0 && write_zeros(fd, at, end) != 0)
        return -1;
    return fdatasync(fd);
}

uint64_t
inbox_zeros_remains(int fd, uint64_t at, uint64_t end, uint64_t *behind)
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

int
inbox_zeros_have_sector(int fd, uint64_t at, uint64_t end, bool entry_at_end)
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
