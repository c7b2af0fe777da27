#include "state/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/log.h"

int
hold_open(const char *dir)
{
    struct buffer path = {0};

    buffer_printf(&path, "%s/state", dir);
    const int fd = open(buffer_text(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int saved = errno;
    buffer_free(&path);
    errno = saved;
    return fd;
}

bool
hold_taken(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        return errno == EWOULDBLOCK; /* where there are no locks nobody can hold one */
    flock(fd, LOCK_UN);
    return false;
}

int
hold_take(int fd)
{
    return flock(fd, LOCK_EX);
}

bool
hold_restores(const char *dir)
{
    struct buffer path = {0};
    struct stat status;

    buffer_printf(&path, "%s/" HOLD_RESTORE, dir);
    const bool there = lstat(buffer_text(&path), &status) == 0;
    if (there)
        log_error("gait restore is at work in %s, or was killed: wait for it, or remove %s, and state and lake beside it if "
                  "they are there, and restore again", dir, buffer_text(&path));
    buffer_free(&path);
    return there;
}

static void
mark_path(const char *state_dir, struct buffer *path)
{
    buffer_printf(path, "%s/" HOLD_RESTORED, state_dir);
}

bool
hold_is_restored(const char *state_dir)
{
    struct buffer path = {0};
    struct stat status;

    mark_path(state_dir, &path);
    const bool there = lstat(buffer_text(&path), &status) == 0;
    buffer_free(&path);
    return there;
}

void
hold_forget_restored(const char *state_dir)
{
    struct buffer path = {0};

    mark_path(state_dir, &path);
    if (unlink(buffer_text(&path)) != 0 && errno != ENOENT)
        log_warning("%s: %s", buffer_text(&path), strerror(errno));
    buffer_free(&path);
}
