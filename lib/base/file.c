#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much file_read asks for at a time. */
#define READ_BYTES 16384

/* Make one folder: 1, 0 it is there already, −1 with errno. */
static int
make_dir(const char *path)
{
    if (mkdir(path, 0700) == 0)
        return 1;
    int saved = errno;
    struct stat info;
    /* Not only EEXIST: mkdir of a folder that is there also says EROFS or EACCES. */
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return 0;
        saved = ENOTDIR;
    }
    errno = saved;
    return -1;
}

/* Make the names of path and of those above it durable, count of them. path is cut on the way. */
static int
sync_names(char *path, unsigned count)
{
    for (; count > 0; count--) {
        /* Who may not read a folder has not made anything in it. */
        if (file_sync_name(path) != 0 && errno != EACCES)
            return -1;
        char *slash = strrchr(path, '/');
        while (slash != NULL && slash > path && slash[-1] == '/')
            slash--;
        if (slash == NULL || slash == path)
            break;
        *slash = '\0';
    }
    return 0;
}

int
file_make_dirs(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    unsigned made = 0;
    int rc = 0;

    if (len == 0 || len >= sizeof part) {
        errno = len == 0 ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    memcpy(part, path, len + 1);
    while (len > 1 && part[len - 1] == '/')
        part[--len] = '\0';
    for (size_t i = 1; i <= len && rc >= 0; i++) {
        if (i < len && part[i] != '/')
            continue;
        part[i] = '\0';
        rc = make_dir(part);
        made += rc == 1;
        if (i < len)
            part[i] = '/';
    }
    /* And the lowest that was there: whoever made it may have been killed before it could do this. */
    return rc < 0 ? -1 : sync_names(part, made + 1);
}

int
file_write_at(int fd, const void *bytes, size_t len, uint64_t offset)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t written = pwrite(fd, at, len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        at += written;
        len -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

ssize_t
file_read_at(int fd, void *bytes, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = pread(fd, (char *)bytes + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int
file_read(const char *path, struct buffer *content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    ssize_t got;
    /* read, not pread: path may be a pipe. */
    do {
        got = read(fd, buffer_reserve(content, READ_BYTES), READ_BYTES);
        if (got > 0)
            content->len += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    int saved = errno;
    close(fd);
    errno = saved;
    return got < 0 ? -1 : 0;
}

/* Write text to the new file fd and close it, on success or not. The sync is what makes the rename safe: without it a
 * power cut may leave the new name on an empty file. */
static int
write_and_close(int fd, const char *text)
{
    int result = 0;

    if (file_write_at(fd, text, strlen(text), 0) != 0 || fsync(fd) != 0)
        result = -1;
    int saved = errno;
    if (close(fd) != 0 && result == 0)
        return -1;
    errno = saved;
    return result;
}

int
file_replace(const char *path, const char *text)
{
    struct buffer temporary = {NULL, 0, 0};

    buffer_printf(&temporary, "%s.XXXXXX", path);
    buffer_text(&temporary);
    int fd = mkostemp(temporary.data, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        goto fail;
    if (write_and_close(fd, text) != 0 || rename(temporary.data, path) != 0) {
        int saved = errno;
        unlink(temporary.data);
        errno = saved;
        goto fail;
    }
    buffer_free(&temporary);
    return 0;

fail:;
    int saved = errno;
    buffer_free(&temporary);
    errno = saved;
    return -1;
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int
file_remove_dir(const char *path)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
file_sync_name(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    if (len >= sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(dir, path, len);
    dir[len] = '\0';
    return file_sync_dir(slash == NULL ? "." : len == 0 ? "/" : dir);
}

int
file_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    int result = fsync(fd);
    if (result != 0 && errno == EINVAL) /* this file system has nothing to sync of a folder */
        result = 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

bool
file_is_ours(const struct stat *info)
{
    return info->st_uid == geteuid() || info->st_uid == 0;
}
