#include "links/inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/name.h"
#include "links/inbox_state.h"

/* Small, because two of them are always allocated; large enough for two of the largest entries. */
#define FILE_BYTES_MIN (4u << 20)

/* What is worked is wiped once it is this much, or all of it: personal data must not lie about in a file that happens not
 * to be full yet, and a system call a message is too many under load. */
#define WIPE_BYTES (64u << 10)

struct inbox *
inbox_new(const struct inbox_options *options)
{
    const uint64_t largest = PREFIX_BYTES + HEAD_BYTES + 1 + LEVELS_BYTES_MAX + 2 * (uint64_t)INBOX_FIELD_BYTES_MAX +
                             options->payload_bytes_max;
    struct inbox *inbox = calloc(1, sizeof *inbox);

    if (inbox == NULL)
        log_fatal("out of memory");
    pthread_mutex_init(&inbox->lock, NULL);
    inbox->dir_fd = inbox->append_fd = inbox->read_fd = inbox->note_fd = -1;
    inbox->epoch = options->epoch;
    inbox->key = options->key;
    inbox->boot = options->boot;
    inbox->named = 1; /* those that are there: who named them may have been killed before the sync */
    inbox->file_bytes = 2 * largest + TRAILER_BYTES > FILE_BYTES_MIN ? 2 * largest + TRAILER_BYTES : FILE_BYTES_MIN;
    inbox->bytes_max = options->bytes_max;
    if ((inbox->dir = strdup(options->dir)) == NULL)
        log_fatal("out of memory");
    return inbox;
}

int
inbox_append(struct inbox *inbox, const struct inbox_entry *entry)
{
    int rc = -1;

    if (entry->response_topic.len > INBOX_FIELD_BYTES_MAX || entry->correlation.len > INBOX_FIELD_BYTES_MAX)
        log_panic("inbox: a field of more than %d bytes", INBOX_FIELD_BYTES_MAX);
    if (entry->levels.len > LEVELS_BYTES_MAX || entry->input >= HAS_LEVELS)
        log_panic("inbox: %zu bytes of levels, input %u", entry->levels.len, entry->input);
    pthread_mutex_lock(&inbox->lock);
    inbox_entry_encode(entry, &inbox->entry);
    log_assert(inbox->file_count > 0 && inbox->files[inbox->file_count - 1] <= inbox->end);
    uint64_t begin = inbox->files[inbox->file_count - 1];
    const uint64_t most = inbox->file_bytes - TRAILER_BYTES;
    if (inbox->end + inbox->entry.len > begin + most) {
        if (inbox->entry.len > most || inbox_files_begin(inbox, inbox->end) != 0)
            goto done;
        begin = inbox->end;
    }
    inbox_entry_mark(inbox, inbox->end, &inbox->entry);
    if (file_write_at(inbox->append_fd, inbox->entry.data, inbox->entry.len, inbox->end - begin) != 0)
        goto done;
    inbox->end += inbox->entry.len;
    inbox_said_write_note(inbox);
    rc = 0;
done:
    pthread_mutex_unlock(&inbox->lock);
    return rc;
}

static struct place
place_of(struct inbox *inbox, uint64_t position)
{
    unsigned i = inbox->file_count - 1;

    while (i > 0 && inbox->files[i] > position)
        i--;
    const bool last = i + 1 == inbox->file_count;
    return (struct place){inbox->files[i], last ? inbox->end : inbox->files[i + 1], last};
}

int
inbox_read(struct inbox *inbox, uint64_t *position, struct inbox_entry *entry, struct inbox_gap *gap)
{
    struct span bytes = {0};

    *gap = (struct inbox_gap){0};
    for (;;) {
        pthread_mutex_lock(&inbox->lock);
        const uint64_t end = inbox->end;
        const struct place place = place_of(inbox, *position);
        pthread_mutex_unlock(&inbox->lock);
        if (*position >= end)
            return 0;
        if (place.file <= *position && inbox_reader_entry(inbox, place.file, *position, place.next - *position, &bytes) != 0)
            return -1;
        if (bytes.len > 0)
            break;
        if (inbox_gap_pass_over(inbox, &place, position, gap) != 0)
            return -1;
    }
    *entry = inbox_entry_decode(bytes.at, bytes.len);
    *position += bytes.len;
    return 1;
}

void
inbox_damaged(struct inbox *inbox, uint64_t position, const char *what)
{
    inbox_reader_damaged(inbox, position, what);
}

/* Make a hole of what is worked in the file that is appended to; older files are removed as a whole. Where the file
 * system can't, it stays until its file is removed. */
static void
wipe(struct inbox *inbox)
{
    const uint64_t begin = inbox->files[inbox->file_count - 1];
    const uint64_t from = inbox->wiped > begin ? inbox->wiped : begin;
    const uint64_t to = inbox->released < inbox->end ? inbox->released : inbox->end;

    if (to <= from || (to < inbox->end && to - from < WIPE_BYTES))
        return;
    if (inbox_said_write_trailer(inbox, inbox->append_fd, to) != 0) /* no hole that nobody tells of */
        return;
    if (fallocate(inbox->append_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(from - begin),
                  (off_t)(to - from)) != 0)
        log_debug("inbox: can't wipe what is worked: %s", strerror(errno));
    log_assert(to >= inbox->wiped);
    inbox->wiped = to;
}

void
inbox_release(struct inbox *inbox, uint64_t position)
{
    char name[FILE_NAME_SIZE];
    unsigned gone = 0;

    pthread_mutex_lock(&inbox->lock);
    log_assert(position >= inbox->released);
    inbox->released = position;
    /* None goes before the next one has its name for good: no power cut may leave none at all. */
    if (inbox->file_count > 1 && inbox->files[1] <= position && !inbox_files_sync_names(inbox)) {
        pthread_mutex_unlock(&inbox->lock);
        return;
    }
    /* If it can't be said they go all the same: on a full disk that makes room, and a state that is older than this finds
     * that they are not there. */
    if (inbox->file_count > 1 && inbox->files[1] <= position)
        inbox_said_write_trailer(inbox, inbox->append_fd, position);
    /* The last one stays: it is appended to. */
    while (gone + 1 < inbox->file_count && inbox->files[gone + 1] <= position) {
        inbox_files_name(inbox->files[gone++], name);
        if (unlinkat(inbox->dir_fd, name, 0) != 0)
            log_warning("inbox: can't remove %s/%s: %s", inbox->dir, name, strerror(errno));
    }
    inbox->file_count -= gone;
    memmove(inbox->files, inbox->files + gone, inbox->file_count * sizeof inbox->files[0]);
    wipe(inbox);
    pthread_mutex_unlock(&inbox->lock);
}

bool
inbox_has_room(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    bool room = (inbox->spare || inbox_files_make_spare(inbox) == 0) && inbox->end - inbox->released < inbox->bytes_max &&
                inbox->file_count + 2 < FILES_MAX; /* what is under way, and if the last one can't be gone on in */
    const unsigned named = inbox->named;
    const bool synced = inbox->named_synced == named;
    pthread_mutex_unlock(&inbox->lock);
    if (synced || fsync(inbox->dir_fd) != 0) /* not with the lock: what arrives need not wait for it */
        return room;
    pthread_mutex_lock(&inbox->lock);
    inbox->named_synced = named;
    pthread_mutex_unlock(&inbox->lock);
    return room;
}

bool
inbox_is_hindered(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    const bool hindered = !inbox->spare && inbox->spare_error != 0;
    pthread_mutex_unlock(&inbox->lock);
    return hindered;
}

uint64_t
inbox_end(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    uint64_t end = inbox->end;
    pthread_mutex_unlock(&inbox->lock);
    return end;
}

void
inbox_close(struct inbox *inbox)
{
    if (inbox == NULL)
        return;
    const int fds[] = {inbox->dir_fd, inbox->append_fd, inbox->read_fd, inbox->note_fd};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    pthread_mutex_destroy(&inbox->lock);
    buffer_free(&inbox->entry);
    buffer_free(&inbox->ahead);
    free(inbox->dir);
    free(inbox);
}
