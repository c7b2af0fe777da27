#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "links/inbox_state.h"

static int
open_files(struct inbox *inbox)
{
    struct buffer fault = {0};

    inbox->dir_fd = folder_open(inbox->dir, "", &fault);
    if (inbox->dir_fd < 0)
        log_error("inbox: %s", buffer_text(&fault));
    buffer_free(&fault);
    if (inbox->dir_fd < 0)
        return -1;
    if (inbox_files_list(inbox) == 0)
        return 0;
    log_error("inbox: %s: %s", inbox->dir, strerror(errno));
    return -1;
}

/* Zero what stands in the last file, the open fd, behind its last whole entry, up to end, and say so. */
static int
zero_remains(struct inbox *inbox, int fd, uint64_t begin, uint64_t end)
{
    uint64_t behind;

    if (inbox->end >= end)
        return inbox_zeros_write(fd, end - begin, end - begin);
    const uint64_t remains = inbox_zeros_remains(fd, inbox->end - begin, end - begin, &behind);
    if (remains > 0)
        log_warning("inbox: %s: from %" PRIu64 " on %" PRIu64 " bytes of no whole message are wiped: whoever wrote them "
                    "died before it acknowledged them, or they had no receipt", inbox->dir, inbox->end, remains);
    return inbox_zeros_write(fd, inbox->end - begin, end - begin);
}

/* Whether what stands in the last file, the open fd, behind its last whole entry up to end was there whole once: neither has
 * a crash torn it nor a power cut taken some of it. Then *behind is where it ends. −1 with errno. */
static int
was_whole(const struct inbox *inbox, int fd, uint64_t begin, uint64_t end, uint64_t *behind)
{
    char length[4] = {0};
    const uint64_t at = inbox->end - begin;

    if (inbox->end >= end || inbox_zeros_remains(fd, at, end - begin, behind) == 0)
        return 0;
    if (file_read_at(fd, length, sizeof length, at) < 0)
        return -1;
    const uint64_t whole = at + PREFIX_BYTES + bytes_get_u32(length);
    if (whole > *behind && (whole <= end - begin || whole <= inbox->file_bytes)) /* the file may be cut short, too */
        return 0; /* its last byte never came */
    const int lacks = inbox_zeros_have_sector(fd, at, *behind, false);
    *behind += begin;
    return lacks < 0 ? -1 : lacks == 0;
}

/* Let inbox->end be behind the last whole entry of the last file, the open fd, which has them from there up to end, and
 * nothing but zeros or a trailer from trailer on. −1 with errno. */
static int
find_last(struct inbox *inbox, int fd, uint64_t begin, uint64_t end, uint64_t trailer)
{
    struct span entry;
    uint64_t behind, next = 0;

    while (next < end) {
        do {
            if (inbox_reader_entry(inbox, begin, inbox->end, end - inbox->end, &entry) != 0)
                return -1;
            inbox->end += entry.len;
        } while (entry.len > 0);
        if (inbox->end >= trailer || inbox_zeros_remains(fd, inbox->end - begin, trailer - begin, &behind) == 0)
            break;
        if (inbox_reader_find(inbox, begin, inbox->end + 1, begin + behind, end, &next) != 0)
            return -1;
        inbox->end = next < end ? next : inbox->end;
    }
    return 0;
}

/* Find the end of the last file, the open fd: behind its last whole entry, looking from position on (what is before it may
 * be wiped); or behind what was whole once, known: messages are acknowledged up to there. What stands behind is zeroed; the
 * trailer stays. Whether it can be gone on in: that can't a file that is not as long as ours, nor one of the program before
 * that has entries where the trailer would be, nor one that ends before position. −1 with errno. */
static int
find_end(struct inbox *inbox, int fd, uint64_t position, uint64_t known)
{
    const uint64_t begin = inbox->files[inbox->file_count - 1];
    struct said said[2];
    struct stat status;
    uint64_t behind;

    const int told = fstat(fd, &status) != 0 ? -1 : inbox_said_read_trailer(fd, (uint64_t)status.st_size, said);
    if (told < 0)
        return -1;
    const bool ours = (uint64_t)status.st_size == inbox->file_bytes;
    const uint64_t end = begin + (uint64_t)status.st_size;
    const uint64_t trailer = ours || (told > 0 && end - begin > TRAILER_BYTES) ? end - TRAILER_BYTES : end;
    inbox->end = position < begin ? begin : position < end ? position : end;
    if (find_last(inbox, fd, begin, end, trailer) != 0)
        return -1;
    const int damaged = was_whole(inbox, fd, begin, trailer, &behind);
    if (damaged < 0)
        return -1;
    if (damaged > 0)
        inbox->end = behind;
    if (inbox->end < known)
        inbox->end = known;
    buffer_clear(&inbox->ahead); /* not what stands there from now on */
    if (zero_remains(inbox, fd, begin, trailer) != 0)
        return -1;
    return ours && inbox->end <= trailer;
}

/* Where the next entry goes: behind the last whole one, in its file if that can be gone on in. After a power cut the files
 * may have lost what was worked and committed: then at position. And not before known: messages are acknowledged up to
 * there. */
static int
go_on(struct inbox *inbox, uint64_t position, uint64_t known)
{
    char name[FILE_NAME_SIZE];
    int goes_on = 0;

    inbox->end = position > known ? position : known;
    if (inbox->file_count > 0) {
        inbox_files_name(inbox->files[inbox->file_count - 1], name);
        inbox->append_fd = inbox_files_open(inbox, name, O_RDWR);
        goes_on = inbox->append_fd < 0 ? -1 : find_end(inbox, inbox->append_fd, position, known);
    }
    if (goes_on != 0)
        return goes_on < 0 ? -1 : inbox_said_write_trailer(inbox, inbox->append_fd, position);
    /* It may take the place of an empty one, that has just been read. */
    if (inbox->read_fd >= 0)
        close(inbox->read_fd);
    inbox->read_fd = -1;
    return inbox_files_begin(inbox, inbox->end < position ? position : inbox->end);
}

/* Up to where messages are acknowledged that no power cut can have taken, by the note; 0: it does not say. The names of
 * files are never taken all: that there is none is somebody's doing. */
static uint64_t
acknowledged_to(const struct inbox *inbox, const struct note *note, uint64_t position)
{
    if (inbox->file_count == 0 && note->end == 0 && position > 0)
        log_warning("inbox: %s has no file, though messages up to %" PRIu64 " were worked: if others waited behind them, "
                    "they are lost", inbox->dir, position);
    return inbox->file_count == 0 || (note->boot == inbox->boot && inbox->boot != 0) ? note->end : 0;
}

/* What was written before the machine came up may be lost to that. */
static void
say_since(struct inbox *inbox, const struct note *note)
{
    const bool same = note->boot == inbox->boot && inbox->boot != 0 && note->end > 0;

    inbox->since = same ? note->since : inbox->end;
    if (note->end > inbox->end)
        log_warning("inbox: %s: lost from %" PRIu64 " to %" PRIu64 ": the machine went down before this was on its disk; it "
                    "had no receipt", inbox->dir, inbox->end, note->end);
    inbox->note_fd = inbox_said_open_note(inbox->dir, O_RDWR | O_CREAT);
    inbox_said_write_note(inbox);
}

struct inbox *
inbox_open(const struct inbox_options *options, uint64_t position)
{
    struct inbox *inbox = inbox_new(options);

    if (open_files(inbox) != 0)
        goto fail;
    const struct note note = inbox_said_read_note(inbox);
    inbox_belongs_leave_strangers(inbox, position, position > note.end ? position : note.end);
    if (!inbox_belongs_to_store(inbox, position))
        goto fail;
    inbox_files_check_spare(inbox);
    inbox->released = position;
    if (go_on(inbox, position, acknowledged_to(inbox, &note, position)) != 0) {
        log_error("inbox: %s: %s", inbox->dir, strerror(errno));
        goto fail;
    }
    say_since(inbox, &note);
    unlinkat(inbox->dir_fd, RELEASED, 0); /* the trailer says it from now on */
    return inbox;
fail:
    inbox_close(inbox);
    return NULL;
}
