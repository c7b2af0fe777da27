/*
 * disk: every call by which this program changes files, those of liblmdb included, passes through here, so that a test can
 * see it, refuse it, or stop the world at it. LMDB takes no function table; the C library's symbols are the seam that LMDB,
 * the inbox and the lake have in common, and a program's own definition of such a symbol comes before the library's.
 *
 * Included by one file of a test program. Without hooks everything is as ever.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum disk_deed {
    DISK_WRITE,    /* bytes at offset of fd; synced if fd was opened so (LMDB's meta pages) */
    DISK_SYNC,     /* fd's data, and what finds it, are durable; of a folder: its names */
    DISK_RESIZE,   /* fd ends at offset */
    DISK_ALLOCATE, /* room for len bytes at offset of fd, which ends behind them if it was shorter */
    DISK_ZERO,     /* len bytes at offset of fd are zeros */
    DISK_CREATE,   /* path is made (or opened to be made, if it exists) */
    DISK_RENAME,   /* path becomes to */
    DISK_REMOVE,   /* path goes */
    DISK_MAKE_DIR,
    DISK_LINK      /* to is another name of path */
};

struct disk_call {
    enum disk_deed deed;
    int fd; /* −1 where there are paths instead */
    uint64_t offset;
    uint64_t len;
    const struct iovec *bytes; /* of a write: byte_count parts, len together */
    int byte_count;
    bool synced;
    int dir_fd; /* that path and to are relative to */
    const char *path;
    const char *to;
    bool emptied; /* of a file that is opened to be made: what was in it goes */
};

/* Before a deed: 0 lets it happen, else it fails with that errno. */
static int (*disk_before)(const struct disk_call *call);

/* After a deed that happened. */
static void (*disk_after)(const struct disk_call *call);

/* Give out room without taking it: in memory, files that are allocated in full would cost more than what is tested. Zeros
 * in place work as on a disk's file system, then. */
static bool disk_is_sparse;

/* The absolute path of what fd is, or of name below dir_fd, in path. */
__attribute__((unused)) static void
disk_path(int dir_fd, const char *name, char *path, size_t size)
{
    char link[64];
    ssize_t len = 0;

    if (name != NULL && (name[0] == '/' || dir_fd == AT_FDCWD)) {
        snprintf(path, size, "%s", name);
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
    len = readlink(link, path, size - 1);
    path[len > 0 ? len : 0] = '\0';
    if (name != NULL)
        snprintf(path + (len > 0 ? len : 0), size - (size_t)(len > 0 ? len : 0), "/%s", name);
}

/* −1 with errno if the deed is refused. */
static inline int
disk_may(const struct disk_call *call)
{
    int rc = disk_before != NULL ? disk_before(call) : 0;

    if (rc == 0)
        return 0;
    errno = rc;
    return -1;
}

static inline long
disk_done(const struct disk_call *call, long rc)
{
    if (rc >= 0 && disk_after != NULL) {
        int kept = errno;
        disk_after(call);
        errno = kept;
    }
    return rc;
}

static inline bool
disk_is_synced(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_DSYNC) != 0;
}

static inline uint64_t
disk_length(const struct iovec *bytes, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++)
        sum += bytes[i].iov_len;
    return sum;
}

/* The calls themselves. */

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    const struct iovec part = {(void *)(uintptr_t)bytes, len};
    const struct disk_call call = {.deed = DISK_WRITE, .fd = fd, .offset = (uint64_t)offset, .len = len, .bytes = &part,
                                   .byte_count = 1, .synced = disk_is_synced(fd)};

    return disk_may(&call) != 0 ? -1 : disk_done(&call, syscall(SYS_pwrite64, fd, bytes, len, offset));
}

ssize_t
writev(int fd, const struct iovec *bytes, int count)
{
    const off_t at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    const struct disk_call call = {.deed = DISK_WRITE, .fd = fd, .offset = at > 0 ? (uint64_t)at : 0,
                                   .len = disk_length(bytes, count), .bytes = bytes, .byte_count = count,
                                   .synced = disk_is_synced(fd)};

    return at >= 0 && disk_may(&call) != 0 ? -1 : disk_done(&call, syscall(SYS_writev, fd, bytes, count));
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
    const struct iovec part = {(void *)(uintptr_t)bytes, len};
    const off_t at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    const struct disk_call call = {.deed = DISK_WRITE, .fd = fd, .offset = at > 0 ? (uint64_t)at : 0, .len = len,
                                   .bytes = &part, .byte_count = 1, .synced = disk_is_synced(fd)};

    if (at < 0) /* no file */
        return syscall(SYS_write, fd, bytes, len);
    return disk_may(&call) != 0 ? -1 : disk_done(&call, syscall(SYS_write, fd, bytes, len));
}

static inline int
disk_sync(int fd, long number)
{
    const struct disk_call call = {.deed = DISK_SYNC, .fd = fd};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, disk_before != NULL ? 0 : syscall(number, fd));
}

int
fdatasync(int fd)
{
    return disk_sync(fd, SYS_fdatasync);
}

int
fsync(int fd)
{
    return disk_sync(fd, SYS_fsync);
}

int
ftruncate(int fd, off_t length)
{
    const struct disk_call call = {.deed = DISK_RESIZE, .fd = fd, .offset = (uint64_t)length};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, syscall(SYS_ftruncate, fd, length));
}

static inline long
disk_fallocate(int fd, int mode, off_t offset, off_t len)
{
    struct stat status;

    if (!disk_is_sparse || (mode & FALLOC_FL_PUNCH_HOLE) != 0)
        return syscall(SYS_fallocate, fd, mode, offset, len);
    if (fstat(fd, &status) != 0)
        return -1;
    if (mode != 0 && syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) != 0)
        return -1;
    return offset + len > status.st_size ? syscall(SYS_ftruncate, fd, offset + len) : 0;
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
    const struct disk_call call = {.deed = mode == 0 ? DISK_ALLOCATE : DISK_ZERO, .fd = fd, .offset = (uint64_t)offset,
                                   .len = (uint64_t)len};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, disk_fallocate(fd, mode, offset, len));
}

int
posix_fallocate(int fd, off_t offset, off_t len)
{
    return fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

int
openat(int dir_fd, const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    if ((flags & O_CREAT) == 0)
        return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
    const struct disk_call call = {.deed = DISK_CREATE, .fd = -1, .dir_fd = dir_fd, .path = path,
                                   .emptied = (flags & O_TRUNC) != 0};
    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, syscall(SYS_openat, dir_fd, path, flags, mode));
}

int
open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    return openat(AT_FDCWD, path, flags, mode);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    const struct disk_call call = {.deed = DISK_RENAME, .fd = -1, .dir_fd = from_fd, .path = from, .to = to};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, syscall(SYS_renameat, from_fd, from, to_fd, to));
}

int
rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int
unlinkat(int dir_fd, const char *path, int flags)
{
    const struct disk_call call = {.deed = DISK_REMOVE, .fd = -1, .dir_fd = dir_fd, .path = path};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, syscall(SYS_unlinkat, dir_fd, path, flags));
}

int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int
link(const char *path, const char *to)
{
    const struct disk_call call = {.deed = DISK_LINK, .fd = -1, .dir_fd = AT_FDCWD, .path = path, .to = to};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0));
}

int
mkostemp(char *path, int flags)
{
    char *random = path + strlen(path) - 6;
    static unsigned number; /* the name has to be free, not secret */
    int fd;

    do {
        snprintf(random, 7, "%06u", number++ % 1000000);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | flags, 0600);
    } while (fd < 0 && errno == EEXIST);
    return fd;
}

int
mkdirat(int dir_fd, const char *path, mode_t mode)
{
    const struct disk_call call = {.deed = DISK_MAKE_DIR, .fd = -1, .dir_fd = dir_fd, .path = path};

    return disk_may(&call) != 0 ? -1 : (int)disk_done(&call, syscall(SYS_mkdirat, dir_fd, path, mode));
}

int
mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

#endif
