#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "links/inbox_state.h"

#define DAMAGED ".damaged"
#define DAMAGED_SIZE (FILE_NAME_SIZE + sizeof DAMAGED - 1)

/* Whether a power cut can have taken what can't be read from `from` to `to`; −1 with errno. */
static int
may_be_a_power_cuts(struct inbox *inbox, const struct place *place, uint64_t from, uint64_t to)
{
    struct stat status;

    if (from >= inbox->since || place->file > from)
        return 0;
    const int fd = inbox_reader_file(inbox, place->file);
    if (fd < 0 || fstat(fd, &status) != 0)
        return -1;
    const uint64_t size = (uint64_t)status.st_size > inbox->file_bytes ? (uint64_t)status.st_size : inbox->file_bytes;
    if (to - place->file > size)
        return 0; /* a file is missing */
    return inbox_zeros_have_sector(fd, from - place->file, to - place->file, to != place->next);
}

/* Where the entries of the open file, which begins at begin, end at the latest. −1 with errno. */
static int
entries_end(int fd, uint64_t begin, uint64_t *end)
{
    struct stat status;
    struct said said[2];

    const int count = fstat(fd, &status) != 0 ? -1 : inbox_said_read_trailer(fd, (uint64_t)status.st_size, said);
    *end = begin + (uint64_t)status.st_size - (count > 0 ? TRAILER_BYTES : 0);
    return count < 0 ? -1 : 0;
}

/* Keep the bytes of the file from `from` to `to` in one by name, DAMAGED; unless there are none, or only zeros: then name is
 * "". −1 with errno. */
static int
keep_damaged(struct inbox *inbox, const struct place *place, uint64_t from, uint64_t to, char name[DAMAGED_SIZE])
{
    uint64_t behind, end;
    const int file = place->file > from ? -1 : inbox_reader_file(inbox, place->file);

    name[0] = '\0';
    if (place->file > from)
        return 0;
    if (file < 0 || entries_end(file, place->file, &end) != 0)
        return -1;
    end = to < end ? to : end;
    if (end <= from || inbox_zeros_remains(file, from - place->file, end - place->file, &behind) == 0)
        return 0;
    inbox_files_name(from, name);
    memcpy(name + FILE_NAME_SIZE - 1, DAMAGED, sizeof DAMAGED);
    const int fd = inbox_files_open(inbox, name, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return -1;
    const bool kept =
        inbox_reader_copy(inbox, place->file, from, end, fd, 0) == 0 && fdatasync(fd) == 0 && fsync(inbox->dir_fd) == 0;
    const int error = errno;
    close(fd);
    errno = error;
    return kept ? 0 : -1;
}

static void
say_lost(const struct inbox *inbox, const struct place *place, uint64_t from, uint64_t to, bool damage, const char *kept)
{
    char name[FILE_NAME_SIZE];

    inbox_files_name(place->file, name);
    if (!damage)
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ", in file %s: a power cut has taken some of it, and it "
                  "had no receipt", inbox->dir, from, to, name);
    else if (place->file > from)
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ": the file is gone, and messages in it were acknowledged. "
                  "What follows is worked, from file %s on", inbox->dir, from, to, name);
    else if (kept[0] == '\0')
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ", in file %s: nothing is there, and messages in it were "
                  "acknowledged. What follows is worked", inbox->dir, from, to, name);
    else
        log_error("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ", in file %s: it is damaged, and messages in it were "
                  "acknowledged. Its bytes are kept in %s/%s, which nobody removes but you. What follows is worked",
                  inbox->dir, from, to, name, inbox->dir, kept);
}

int
inbox_gap_pass_over(struct inbox *inbox, const struct place *place, uint64_t *position, struct inbox_gap *gap)
{
    char kept[DAMAGED_SIZE] = "";
    const uint64_t from = *position;
    uint64_t to = place->file;

    if (place->file <= from && inbox_reader_find(inbox, place->file, from + 1, place->next, place->next, &to) != 0)
        return -1;
    const int cut = may_be_a_power_cuts(inbox, place, from, to);
    if (cut < 0)
        return inbox_reader_failed(inbox, from);
    if (from >= inbox->passed_over) {
        if (cut == 0 && keep_damaged(inbox, place, from, to, kept) != 0)
            return inbox_is_full(errno) ? -1 : inbox_reader_failed(inbox, from);
        say_lost(inbox, place, from, to, cut == 0, kept);
        inbox->passed_over = to;
    }
    gap->from = gap->from == gap->to ? from : gap->from;
    gap->to = to;
    gap->damage = gap->damage || cut == 0;
    *position = to;
    return 0;
}
