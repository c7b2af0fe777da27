#include "backup/copying.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/say.h"
#include "base/way.h"
#include "common/interrupt.h"

#define BLOCK_BYTES (1u << 20)

/* What else may be needed: folders, the manifest, the file system's own. */
#define ROOM_MORE_BYTES (4u << 20)

void
copying_begin(struct copying *copying)
{
    *copying = (struct copying){.done = 0};
    interrupt_catch();
    progress_start(&copying->progress);
}

void
copying_end(struct copying *copying)
{
    progress_clear(&copying->progress);
    buffer_free(&copying->block);
}

bool
copying_step(void *context, uint64_t bytes)
{
    struct copying *copying = context;

    copying->done += bytes;
    const struct progress_state state = {copying->done, copying->total, copying->done >> 20, "MiB"};
    progress_show(&copying->progress, &state);
    return interrupt_signal() == 0;
}

/* Say what could not be done with path. Always −1. */
static int
failed(struct copying *copying, const char *path)
{
    const int error = errno;

    progress_clear(&copying->progress);
    if (interrupt_signal() == 0)
        say("%s: %s", path, strerror(error));
    return -1;
}

/* Open the file at path, which must be one, to read. −1 with errno. */
static int
open_file(const char *path, uint64_t *bytes)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        *bytes = (uint64_t)status.st_size;
        return fd;
    }
    if (fd >= 0) {
        close(fd);
        errno = EINVAL;
    }
    return -1;
}

const char *
copying_path(const char *dir, const char *name, struct buffer *path)
{
    buffer_clear(path);
    buffer_printf(path, "%s/%s", dir, name);
    return buffer_text(path);
}

/* Make the folder that the file at path is to be in. */
static int
make_dir_of(const char *path)
{
    struct buffer dir = {NULL, 0, 0};

    buffer_add(&dir, path, (size_t)(strrchr(path, '/') - path));
    const int rc = file_make_dirs(buffer_text(&dir));
    buffer_free(&dir);
    return rc;
}

/* Read from fd up to most bytes, write them to to unless that is −1, and say in file what they were. 0; −1 with errno. */
static int
pass(struct copying *copying, int fd, uint64_t most, int to, struct manifest_file *file)
{
    struct hash_sum *sum = hash_sum_begin();
    ssize_t got = 0;

    buffer_reserve(&copying->block, BLOCK_BYTES);
    for (file->bytes = 0; file->bytes < most; file->bytes += (uint64_t)got) {
        const uint64_t want = most - file->bytes < BLOCK_BYTES ? most - file->bytes : BLOCK_BYTES;
        got = file_read_at(fd, copying->block.data, (size_t)want, file->bytes);
        if (got <= 0)
            break;
        hash_sum_add(sum, span_at(copying->block.data, (size_t)got));
        if ((to >= 0 && file_write_at(to, copying->block.data, (size_t)got, file->bytes) != 0) ||
            !copying_step(copying, (uint64_t)got))
            got = -1;
        if (got < 0)
            break;
    }
    const bool whole = file->bytes == most || got == 0;
    hash_sum_end(sum, &file->hash);
    file->hashed = true;
    return whole ? 0 : -1;
}

int
copying_file(struct copying *copying, const char *from, uint64_t most, const char *to, struct manifest_file *file)
{
    uint64_t bytes;
    const int in = open_file(from, &bytes);

    if (in < 0)
        return errno == ENOENT ? 0 : failed(copying, from);
    int out = make_dir_of(to) == 0 ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    int rc = out < 0 ? -1 : pass(copying, in, most, out, file);
    if (rc != 0)
        failed(copying, to);
    close(in);
    if (out >= 0 && close(out) != 0 && rc == 0)
        rc = failed(copying, to);
    return rc == 0 ? 1 : -1;
}

int
copying_check(struct copying *copying, const char *path, struct manifest_file *file)
{
    struct manifest_file there = {.path = file->path};
    uint64_t bytes;
    const int fd = open_file(path, &bytes);

    if (fd < 0)
        return failed(copying, path);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* what is not in memory any more is read from where it is to be */
    const int rc = pass(copying, fd, UINT64_MAX, -1, &there);
    close(fd);
    if (rc != 0)
        return failed(copying, path);
    const bool same = !file->hashed || (there.bytes == file->bytes &&
                                        memcmp(&there.hash, &file->hash, sizeof there.hash) == 0);
    if (!same) {
        progress_clear(&copying->progress);
        say("%s is damaged: it has %" PRIu64 " bytes, and should have %" PRIu64 "%s", path, there.bytes, file->bytes,
            there.bytes == file->bytes ? " with another checksum" : "");
    }
    *file = there;
    return same ? 0 : -1;
}

int
copying_note_all(struct manifest *manifest, const char *dir, const char *name)
{
    struct buffer path = {NULL, 0, 0};

    FTSENT *entry;
    buffer_printf(&path, "%s/%s", dir, name);
    buffer_text(&path);
    char *const roots[] = {path.data, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    errno = 0;
    while (tree != NULL && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_info == FTS_F)
            manifest_add(manifest, entry->fts_path + strlen(dir) + 1);
    }
    const int error = errno;
    if (error != 0)
        say("%s: %s", path.data, strerror(error));
    if (tree != NULL)
        fts_close(tree);
    buffer_free(&path);
    return error == 0 ? 0 : -1;
}

bool
copying_has_room(const char *path, uint64_t bytes)
{
    struct statvfs status;

    if (statvfs(path, &status) != 0)
        return true; /* writing says so */
    const uint64_t room = (uint64_t)status.f_bavail * status.f_frsize;
    if (room >= bytes + ROOM_MORE_BYTES)
        return true;
    say("%s: %" PRIu64 " MiB are needed, and %" PRIu64 " MiB are free on that disk: make room, or name another place", path,
        ((bytes + ROOM_MORE_BYTES) >> 20) + 1, room >> 20);
    return false;
}

bool
copying_is_free(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool empty = true;

    if (dir == NULL) {
        const bool absent = fd < 0 && errno == ENOENT;
        if (fd >= 0)
            close(fd);
        return absent;
    }
    /* cppcheck-suppress readdirCalled ; there is one thread */
    while (empty && (entry = readdir(dir)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return empty;
}

bool
copying_is_ours(const char *path, bool make)
{
    struct buffer fault = {NULL, 0, 0};
    struct stat status;

    if (stat(path, &status) == 0 && status.st_uid != geteuid()) {
        say("%s belongs to user %lu: run this as that user, or the processes can't read what it makes there", path,
            (unsigned long)status.st_uid);
        return false;
    }
    const int fd = make ? folder_open(path, "", &fault) : folder_look(path, "", &fault);
    if (fd >= 0)
        close(fd);
    else if (fault.len > 0)
        say("%s", buffer_text(&fault));
    else
        say("%s: %s", path, strerror(errno));
    buffer_free(&fault);
    return fd >= 0;
}

bool
copying_is_safe(const char *path)
{
    struct buffer above = {NULL, 0, 0};
    struct buffer fault = {NULL, 0, 0};
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        buffer_add_text(&above, ".");
    else
        buffer_add(&above, path, slash == path ? 1 : (size_t)(slash - path));
    const bool safe = way_is_safe(buffer_text(&above), &fault) == 0;
    if (!safe)
        say("%s", buffer_text(&fault));
    buffer_free(&above);
    buffer_free(&fault);
    return safe;
}

int
copying_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = fd < 0 ? -1 : syncfs(fd);

    if (rc != 0)
        say("%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

int
copying_status(int rc)
{
    if (rc == 0)
        return EXIT_DONE;
    if (interrupt_signal() == 0)
        return EXIT_FAILED;
    say("interrupted: nothing is left of it");
    return 128 + interrupt_signal();
}
