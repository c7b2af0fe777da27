#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "links/inbox_state.h"

/* What to do about an inbox that is another state's. */
#define MEND                                                                                                              \
    ". Nothing is changed before this is mended: bring back the state that belongs to the inbox; or move the inbox's "    \
    "folder away, with the messages in it that are not worked"

/* Whether the store of position goes with what was said, else a line in the log. */
static bool
goes_with(const struct inbox *inbox, const struct said *said, uint64_t position)
{
    const bool ours = said->epoch == inbox->epoch;

    if (ours && said->position <= position)
        return true;
    log_error("inbox: %s: it was worked up to %" PRIu64 " by %s, and the state ends at %" PRIu64 ": what came later would "
              "be lost" MEND, inbox->dir, said->position, ours ? "a newer copy of the state" : "another state", position);
    return false;
}

/* How often the file name says that the store goes with it; −1 with a line in the log: it says that it does not, or can't be
 * read. */
static int
file_goes_with(const struct inbox *inbox, const char *name, uint64_t position)
{
    struct buffer fault = {0};
    struct said said[2];
    struct stat status;
    int count = -1;
    const int fd = folder_file_at(inbox->dir_fd, inbox->dir, name, O_RDONLY, &fault);

    if (fd < 0)
        log_error("inbox: %s", buffer_text(&fault));
    else if (fstat(fd, &status) != 0 || (count = inbox_said_read_trailer(fd, (uint64_t)status.st_size, said)) < 0)
        log_error("inbox: can't read %s/%s: %s", inbox->dir, name, strerror(errno));
    if (fd >= 0)
        close(fd);
    buffer_free(&fault);
    bool fine = count >= 0;
    for (int i = 0; i < count && fine; i++)
        fine = goes_with(inbox, &said[i], position);
    return fine ? count : -1;
}

bool
inbox_belongs_to_store(const struct inbox *inbox, uint64_t position)
{
    char name[FILE_NAME_SIZE];
    bool said = false;

    for (unsigned i = 0; i < inbox->file_count; i++) {
        inbox_files_name(inbox->files[i], name);
        const int count = file_goes_with(inbox, name, position);
        if (count < 0)
            return false;
        said = said || count > 0;
    }
    const bool none = inbox->file_count == 0 && inbox->strangers > 0;
    if (none || (inbox->file_count > 0 && inbox->files[0] > position && !said)) {
        log_error("inbox: %s: nothing is left from %" PRIu64 " on, where the state ends: do they belong together?" MEND,
                  inbox->dir, position);
        return false;
    }
    return faccessat(inbox->dir_fd, RELEASED, F_OK, AT_SYMLINK_NOFOLLOW) != 0 ||
           file_goes_with(inbox, RELEASED, position) >= 0;
}

/* Whether the file that begins at begin, size bytes long, is an inbox's: by its end, or by what is in it. */
static bool
is_proven(struct inbox *inbox, uint64_t begin, uint64_t size)
{
    struct said said[2];
    struct span entry = {0};
    uint64_t found = UINT64_MAX;
    const uint64_t end = begin + (size < inbox->file_bytes ? size : inbox->file_bytes);
    const int fd = inbox_reader_file(inbox, begin);

    if (fd < 0 || inbox_said_read_trailer(fd, size, said) > 0)
        return fd >= 0;
    buffer_clear(&inbox->ahead);
    return (inbox_reader_entry(inbox, begin, begin, end - begin, &entry) == 0 && entry.len > 0) ||
           (inbox_reader_find(inbox, begin, begin, end, end, &found) == 0 && found < end);
}

/* Whether an entry of the file before, looking from position on, ends behind begin: then no file of ours begins there. */
static bool
is_run_over(struct inbox *inbox, uint64_t before, uint64_t begin, uint64_t position)
{
    struct span entry;
    uint64_t end = before < position ? position : before;

    buffer_clear(&inbox->ahead);
    do {
        if (inbox_reader_entry(inbox, before, end, inbox->file_bytes, &entry) != 0)
            return false;
        end += entry.len;
    } while (entry.len > 0 && end <= begin);
    return entry.len > 0;
}

void
inbox_belongs_leave_strangers(struct inbox *inbox, uint64_t position, uint64_t reach)
{
    unsigned count = 0;
    struct stat status;
    char name[FILE_NAME_SIZE];

    for (unsigned i = 0; i < inbox->file_count; i++) {
        const uint64_t begin = inbox->files[i];
        inbox_files_name(begin, name);
        const bool file = fstatat(inbox->dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
        const uint64_t size = file && (uint64_t)status.st_size < INBOX_POSITION_MAX ? (uint64_t)status.st_size : 0;
        bool strange = begin > INBOX_POSITION_MAX;
        if (!strange && !(file && is_proven(inbox, begin, size)))
            strange = begin > reach || (file && count > 0 && is_run_over(inbox, inbox->files[count - 1], begin, position));
        if (strange) {
            log_error("inbox: %s/%s is left alone: no message can begin at %" PRIu64 ", as it is called, and nothing in it "
                      "says that it is of this inbox. Move it away", inbox->dir, name, begin);
            continue;
        }
        inbox->files[count++] = begin;
        const uint64_t end = begin + (size > inbox->file_bytes ? size : inbox->file_bytes);
        reach = end > reach ? end : reach;
    }
    inbox->strangers = inbox->file_count - count;
    inbox->file_count = count;
    buffer_clear(&inbox->ahead);
}
