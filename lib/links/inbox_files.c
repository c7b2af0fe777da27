#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "links/inbox_state.h"

#define SPARE "spare"

void
inbox_files_name(uint64_t begin, char *name)
{
    snprintf(name, FILE_NAME_SIZE, "%016" PRIx64, begin);
}

int
inbox_files_open(const struct inbox *inbox, const char *name, int flags)
{
    struct buffer fault = {0};
    const int fd = folder_file_at(inbox->dir_fd, inbox->dir, name, flags, &fault);
    const int error = errno;

    buffer_free(&fault);
    errno = error;
    return fd;
}

/* Why there is no spare file is said once, unless that is a full disk, which others say. */
static int
say_no_spare(struct inbox *inbox, int error)
{
    if (!inbox_is_full(error) && inbox->spare_error != error)
        log_error("inbox: can't make %s/" SPARE ": %s. Nothing is taken in without it%s", inbox->dir, strerror(error),
                  error == EEXIST ? ": what is there by that name is no file of ours, move it away" : "");
    inbox->spare_error = inbox_is_full(error) ? 0 : error;
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

int
inbox_files_make_spare(struct inbox *inbox)
{
    if (inbox->spare_useless && !remove_spare(inbox))
        return say_no_spare(inbox, errno);
    int fd = inbox_files_open(inbox, SPARE, O_RDWR | O_CREAT | O_EXCL);
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

void
inbox_files_check_spare(struct inbox *inbox)
{
    struct stat status;

    if (!inbox->spare)
        return;
    int fd = inbox_files_open(inbox, SPARE, O_RDWR);
    inbox->spare = fd >= 0 && fstat(fd, &status) == 0 && (uint64_t)status.st_size == inbox->file_bytes &&
                   inbox_zeros_write(fd, 0, inbox->file_bytes) == 0;
    if (fd >= 0)
        close(fd);
    if (!inbox->spare)
        remove_spare(inbox);
}

bool
inbox_files_sync_names(struct inbox *inbox)
{
    if (inbox->named_synced != inbox->named && fsync(inbox->dir_fd) != 0)
        return false;
    inbox->named_synced = inbox->named;
    return true;
}

int
inbox_files_begin(struct inbox *inbox, uint64_t begin)
{
    char name[FILE_NAME_SIZE];
    const bool in_place = inbox->file_count > 0 && inbox->files[inbox->file_count - 1] == begin;

    if (!in_place && inbox->file_count == FILES_MAX) {
        errno = EMFILE;
        return -1;
    }
    if (!inbox->spare && inbox_files_make_spare(inbox) != 0)
        return -1;
    /* If a power cut left this file its name and the one before it none, what is not worked of that would seem to have
     * been removed, which is refused. Mostly inbox_has_room has done it. */
    if (!inbox_files_sync_names(inbox))
        return -1;
    inbox_files_name(begin, name);
    /* Whoever copies it may first look where data is, and read it later: its trailer is there before its first entry. */
    int fd = inbox_files_open(inbox, SPARE, O_RDWR);
    if (fd < 0 || inbox_said_write_trailer(inbox, fd, inbox->released) != 0 ||
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
    log_assert(inbox->file_count == 0 || begin >= inbox->files[inbox->file_count - 1]);
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

int
inbox_files_list(struct inbox *inbox)
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
        inbox_files_name(begin, name);
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
