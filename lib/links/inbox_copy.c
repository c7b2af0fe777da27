#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "links/inbox_state.h"

/* Where the whole entries of the file that begins at begin are written to. */
struct copy {
    int dir_fd;
    const char *dir; /* for the log */
    bool (*step)(void *context, uint64_t bytes);
    void *context;
};

/* Copy what stands at *position of the file that begins at begin, up to end: an entry, or what is damaged before the next
 * one; of the last file, to which somebody may append, not what stands behind all of them. *bytes is how much it was. 0, or
 * −1 with errno. */
static int
copy_next(struct inbox *inbox, uint64_t begin, uint64_t end, bool last, int fd, uint64_t *position, uint64_t *bytes)
{
    struct span entry;
    uint64_t next;

    *bytes = 0;
    if (inbox_reader_entry(inbox, begin, *position, end - *position, &entry) != 0)
        return -1;
    *bytes = entry.len;
    if (entry.len > 0)
        return file_write_at(fd, entry.at, entry.len, *position - begin);
    if (*position >= end)
        return 0;
    if (inbox_reader_find(inbox, begin, *position + 1, end, end, &next) != 0)
        return -1;
    *bytes = next < end || !last ? next - *position : 0;
    return inbox_reader_copy(inbox, begin, *position, *position + *bytes, fd, *position - begin);
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

    inbox_files_name(begin, name);
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
    if (copy.dir_fd < 0 || inbox->dir_fd < 0 || inbox_files_list(inbox) != 0) {
        log_error("inbox: can't copy %s to %s: %s", inbox->dir, to, strerror(errno));
    } else {
        inbox_belongs_leave_strangers(inbox, position, position);
        rc = copy_files(inbox, &copy, end);
    }
    if (copy.dir_fd >= 0)
        close(copy.dir_fd);
    inbox_close(inbox);
    return rc;
}
