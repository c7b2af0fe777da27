#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/way.h"

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* Append the fault; always −1, with the errno that names it. */
static int fail(struct buffer *fault, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int
fail(struct buffer *fault, int error, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_add_text(fault, text);
    errno = error;
    return -1;
}

static int
check_owner(const struct stat *info, const char *path, struct buffer *fault)
{
    if (file_is_ours(info))
        return 0;
    const unsigned us = (unsigned)geteuid();
    return fail(fault, EPERM, "%s belongs to user %u, but allowed is only what belongs to root or to user %u, as whom this "
                "runs; if nobody else's work is in it: chown -R %u %s", path, (unsigned)info->st_uid, us, us, path);
}

/* Whether the open folder is ours alone. */
static int
check_folder(int fd, const char *path, struct buffer *fault)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return fail(fault, errno, "%s: %s", path, strerror(errno));
    if (check_owner(&info, path, fault) != 0)
        return -1;
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(fault, EPERM, "%s has mode %04o, but nobody except its owner may be allowed to write in it: chmod go-w "
                    "%s", path, (unsigned)(info.st_mode & 07777), path);
    return 0;
}

/* Make the name path in the open folder above durable; one that was there, too: whoever made it may have been killed before
 * it could do this. */
static int
sync_name(int above, const char *path, struct buffer *fault)
{
    if (fsync(above) == 0 || errno == EINVAL) /* this file system has nothing to sync of a folder */
        return 0;
    return fail(fault, errno, "the name %s can't be made durable: %s", path, strerror(errno));
}

/* The level name of the open folder above, made if it is wanted and missing; path is its whole name. Its descriptor, −1. */
static int
open_level(int above, const char *name, bool make, const char *path, struct buffer *fault)
{
    bool made = make && mkdirat(above, name, 0700) == 0;
    int error = made ? 0 : errno;
    int fd = openat(above, name, OPEN_FLAGS | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT && !make)
        return -1;
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return fail(fault, ENOTDIR, "%s is a link or a file, where gait keeps a folder of its own; move it away (a folder "
                    "of another disk comes there by mount --bind)", path);
    if (fd < 0)
        return fail(fault, errno == ENOENT ? error : errno, "%s: %s", path, strerror(errno == ENOENT ? error : errno));
    if (check_folder(fd, path, fault) == 0 && (!make || sync_name(above, path, fault) == 0))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Down from the open folder fd, which is closed. */
static int
descend(int fd, const char *dir, const char *below, bool make, struct buffer *fault)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer name = {NULL, 0, 0};

    buffer_add_text(&path, dir);
    for (below += strspn(below, "/"); fd >= 0 && *below != '\0'; below += strspn(below, "/")) {
        size_t len = strcspn(below, "/");
        buffer_clear(&name);
        buffer_add_span(&name, span_at(below, len));
        buffer_printf(&path, "/%s", buffer_text(&name));
        int next = open_level(fd, buffer_text(&name), make, buffer_text(&path), fault);
        int error = errno;
        close(fd);
        errno = error;
        fd = next;
        below += len;
    }
    buffer_free(&path);
    buffer_free(&name);
    return fd;
}

static int
walk(const char *dir, const char *below, bool make, struct buffer *fault)
{
    const int fd = way_open(dir, make, fault);

    if (fd < 0)
        return -1;
    if (check_folder(fd, dir, fault) == 0)
        return descend(fd, dir, below, make, fault);
    close(fd);
    errno = EPERM;
    return -1;
}

int
folder_open(const char *dir, const char *below, struct buffer *fault)
{
    return walk(dir, below, true, fault);
}

int
folder_look(const char *dir, const char *below, struct buffer *fault)
{
    return walk(dir, below, false, fault);
}

static int
check_entry(int folder, const char *path, const char *name, struct buffer *fault)
{
    struct buffer whole = {NULL, 0, 0};
    struct stat info;
    int rc = 0;

    buffer_printf(&whole, "%s/%s", path, name);
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        rc = errno == ENOENT ? 0 : fail(fault, errno, "%s: %s", buffer_text(&whole), strerror(errno));
    else if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
        rc = fail(fault, ELOOP, "%s is a link or a device, where only files of gait belong; move it away",
                  buffer_text(&whole));
    else
        rc = check_owner(&info, buffer_text(&whole), fault);
    buffer_free(&whole);
    return rc;
}

int
folder_is_clean(int folder, const char *path, struct buffer *fault)
{
    int fd = openat(folder, ".", OPEN_FLAGS); /* closedir closes what fdopendir was given */
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL) {
        rc = fail(fault, errno, "%s can't be read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = check_entry(folder, path, entry->d_name, fault);
    }
    closedir(dir);
    return rc;
}

int
folder_file_at(int folder, const char *path, const char *name, int flags, struct buffer *fault)
{
    struct stat info;

    log_assert(strchr(name, '/') == NULL);
    /* Not to wait for the other end of a pipe. */
    int fd = openat(folder, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    const int error = errno;

    if (fd < 0)
        return fail(fault, error, "%s/%s can't be opened: %s", path, name,
                    error == ELOOP ? "it is a link, and gait follows none there" : strerror(error));
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && file_is_ours(&info))
        return fd;
    close(fd);
    return fail(fault, EPERM, "%s/%s is not a file that belongs to user %u or to root; move it away", path, name,
                (unsigned)geteuid());
}

/* dir and below as one name. */
static void
add_path(struct buffer *path, const char *dir, const char *below)
{
    buffer_printf(path, "%s%s%s", dir, *below == '\0' ? "" : "/", below);
    buffer_text(path);
}

int
folder_file(const char *dir, const char *below, const char *name, int flags, struct buffer *fault)
{
    struct buffer path = {NULL, 0, 0};
    int folder = folder_open(dir, below, fault);

    if (folder < 0)
        return -1;
    add_path(&path, dir, below);
    int fd = folder_file_at(folder, path.data, name, flags, fault);
    const int error = errno;
    close(folder);
    buffer_free(&path);
    errno = error;
    return fd;
}

/* Write text to the new file made in the open folder, and give it the name. What is left of one who was killed here is in
 * the way of nobody. 0, or −1 with errno. */
static int
replace_at(int folder, const char *made, const char *name, const char *text)
{
    log_assert(strchr(made, '/') == NULL && strchr(name, '/') == NULL);
    if (unlinkat(folder, made, 0) != 0 && errno != ENOENT)
        return -1;
    const int fd = openat(folder, made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int rc = file_write_at(fd, text, strlen(text), 0) != 0 || fsync(fd) != 0 ? -1 : 0;
    int error = errno;
    close(fd);
    if (rc == 0 && (rc = renameat(folder, made, folder, name)) != 0)
        error = errno;
    if (rc != 0)
        unlinkat(folder, made, 0);
    errno = error;
    return rc;
}

/* folder_look, to which absence is a fault. */
static int
open_existing(const char *dir, const char *below, struct buffer *fault)
{
    const size_t before = fault->len;
    const int folder = folder_look(dir, below, fault);

    if (folder < 0 && fault->len == before)
        return fail(fault, ENOENT, "%s/%s: %s", dir, below, strerror(ENOENT));
    return folder;
}

int
folder_replace(const char *dir, const char *below, const char *name, const char *text, struct buffer *fault)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer made = {NULL, 0, 0};
    const int folder = open_existing(dir, below, fault);

    if (folder < 0)
        return -1;
    add_path(&path, dir, below);
    buffer_printf(&made, "%s.new", name);
    int rc = replace_at(folder, buffer_text(&made), name, text);
    if (rc != 0)
        rc = fail(fault, errno, "%s/%s can't be written: %s", path.data, name, strerror(errno));
    const int error = errno;
    close(folder);
    buffer_free(&path);
    buffer_free(&made);
    errno = error;
    return rc;
}

int
folder_remove(const char *dir, const char *below, const char *name, struct buffer *fault)
{
    struct buffer path = {NULL, 0, 0};
    const size_t before = fault->len;
    const int folder = folder_look(dir, below, fault);

    log_assert(strchr(name, '/') == NULL);
    if (folder < 0)
        return fault->len == before ? 0 : -1;
    add_path(&path, dir, below);
    int rc = unlinkat(folder, name, 0) == 0 || errno == ENOENT ? 0 : -1;
    if (rc != 0)
        rc = fail(fault, errno, "%s/%s can't be removed: %s", path.data, name, strerror(errno));
    const int error = errno;
    close(folder);
    buffer_free(&path);
    errno = error;
    return rc;
}

/* Whether the open file is a regular one that belongs to us, and has no other name by which it is somebody else's. */
static bool
is_ours_alone(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() && info.st_nlink == 1;
}

int
folder_output(const char *dir, const char *name, struct buffer *fault)
{
    struct buffer other = {NULL, 0, 0}; /* what is wrong with a folder of ours, which this need not be */
    const int folder = open(dir, OPEN_FLAGS);

    if (folder < 0)
        return fail(fault, errno, "%s: %s", dir, strerror(errno));
    const bool shared = check_folder(folder, dir, &other) != 0;
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | (shared ? O_NOFOLLOW | O_NONBLOCK : O_TRUNC), 0666);
    int error = errno;
    close(folder);
    buffer_free(&other);
    if (fd >= 0 && shared && !is_ours_alone(fd)) {
        close(fd);
        fd = -1;
        error = ELOOP;
    }
    if (fd >= 0 && shared && ftruncate(fd, 0) != 0) {
        error = errno;
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        fail(fault, error, "%s/%s: %s", dir, name, error == ELOOP && shared
             ? "others may write in this folder, and this is no plain file of yours alone: move it away, or name another "
               "folder" : strerror(error));
    return fd;
}
