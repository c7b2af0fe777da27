/*
 * The inbox: any bytes as its files. Opening it fails if one of them says that it has been worked beyond where reading is to
 * begin, and changes nothing then; else it succeeds, and what is read are entries as they stand in the files, each with the
 * right checksum, in order; and after one more was appended and the inbox opened again, the same ones and that one. What is
 * passed over has no whole entry in it that nobody can have forged; and behind it, in the same file, stands one of these.
 *
 * The first line of the input is five numbers: where the second file begins (0: there is none), where to begin to read,
 * how many bytes are cut off the first file, which files have a trailer (1 the first, 2 the second, 3 both), and up to where
 * that says that they have been worked. The rest is the content of the files. An entry whose checksum is 0 is given the
 * right one of entries of before, if it begins where the one before it ends, and one whose checksum is 1, wherever it is,
 * the right marks: else no input would ever get beyond the first checksum.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/scratch_dir.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/name.h"
#include "links/inbox.h"

#define BEGIN 0x1000
#define PREFIX_BYTES 12
#define HEAD_BYTES 5
#define CONTENT_BYTES_MAX (1 << 20)
#define FILE_BYTES (4 << 20)
#define STATEMENT_BYTES 24
#define TRAILER_BYTES (2 * STATEMENT_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Files with holes in the place of files with room: making room takes ten times as long as all the rest. */
int
posix_fallocate(int fd, off_t offset, off_t len)
{
    return ftruncate(fd, offset + len) == 0 ? 0 : errno;
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
    (void)fd, (void)mode, (void)offset, (void)len;
    errno = EOPNOTSUPP;
    return -1;
}

static char dir[SCRATCH_DIR_SIZE];

/* What the inbox says of itself beside its folder. */
static void
remove_note(void)
{
    char path[2 * SCRATCH_DIR_SIZE];

    snprintf(path, sizeof path, "%s.end", dir);
    unlink(path);
}

static void
remove_dir(void)
{
    scratch_dir_remove(dir);
    remove_note();
}

static void
make_dir(void)
{
    if (dir[0] != '\0')
        return;
    hash_init();
    log_open("fuzz_inbox", LOG_ERROR);
    scratch_dir_make(dir);
    atexit(remove_dir);
}

/* What the input asks for. */
struct plan {
    size_t split;     /* where the second file begins; the length of content if there is none */
    size_t first_end; /* where the first one ends */
    uint64_t position;
    unsigned told_by;
    uint64_t told;
    struct buffer content;
};

static void
read_plan(struct span input, struct plan *plan)
{
    char line[64];
    unsigned long long split = 0, skip = 0, lost = 0, told_by = 0, told = 0;
    const char *end = memchr(input.at, '\n', input.len < sizeof line ? input.len : sizeof line);
    size_t len = end != NULL ? (size_t)(end - input.at) : 0;

    memcpy(line, input.at, len);
    line[len] = '\0';
    sscanf(line, "%llu %llu %llu %llu %llu", &split, &skip, &lost, &told_by, &told);
    len += end != NULL;
    buffer_add(&plan->content, input.at + len, input.len - len);
    plan->split = split > 0 && split < plan->content.len ? (size_t)split : plan->content.len;
    plan->first_end = lost < plan->split ? plan->split - (size_t)lost : 0;
    plan->position = BEGIN + (skip < CONTENT_BYTES_MAX ? skip : CONTENT_BYTES_MAX);
    plan->told_by = plan->split < plan->content.len ? told_by & 3 : told_by & 1;
    plan->told = told <= UINT64_MAX - BEGIN ? BEGIN + told : UINT64_MAX;
}

/* Length of the entry at at by its own account, if that is possible before end; else 0. */
static size_t
entry_length(const char *at, size_t left)
{
    size_t length = left >= PREFIX_BYTES ? bytes_get_u32(at) : 0;

    return length >= HEAD_BYTES && length <= left - PREFIX_BYTES ? PREFIX_BYTES + length : 0;
}

static uint64_t
checksum_of(const char *at, size_t entry)
{
    size_t length = entry - PREFIX_BYTES;

    return hash_checksum(span_at(at + PREFIX_BYTES, length)) ^ length;
}

static const struct hash_key key = {"the inbox's"};

/* The two marks of the entry of this many bytes at at, which is at position. */
static uint64_t
marks_of(const char *at, size_t entry, uint64_t position)
{
    char place[12];
    const size_t length = entry - PREFIX_BYTES;

    bytes_put_u64(place, position);
    bytes_put_u32(place + 8, (uint32_t)length);
    const uint64_t mark = hash_64(&key, span_at(place, sizeof place));
    const uint64_t body = (hash_64(&key, span_at(at + PREFIX_BYTES, length)) ^ mark >> 32) & UINT32_MAX;
    return mark << 32 | body;
}

/* Give entries of the content from at to end their marks; those within others first. */
static void
mark(const struct buffer *content, size_t at, size_t end)
{
    for (size_t i = end; i-- > at;) {
        char *bytes = content->data + i;
        const size_t entry = entry_length(bytes, end - i);
        if (entry > 0 && bytes_get_u64(bytes + 4) == 1)
            bytes_put_u64(bytes + 4, marks_of(bytes, entry, BEGIN + i));
    }
}

/* Give entries from at to end their checksums. */
static void
seal(char *at, const char *end)
{
    size_t entry;

    while ((entry = entry_length(at, (size_t)(end - at))) > 0) {
        if (bytes_get_u64(at + 4) == 0)
            bytes_put_u64(at + 4, checksum_of(at, entry));
        at += entry;
    }
}

static void
path_of(uint64_t begin, char *path)
{
    snprintf(path, 2 * SCRATCH_DIR_SIZE, "%s/%016" PRIx64, dir, begin);
}

/* Nothing is left of the last input. */
static void
empty_dir(void)
{
    char path[SCRATCH_DIR_SIZE + 300];
    struct dirent *entry;
    DIR *open_dir = opendir(dir);

    if (open_dir == NULL)
        log_fatal("%s: %s", dir, strerror(errno));
    while ((entry = readdir(open_dir)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(open_dir);
    remove_note();
}

static void
make_trailer(uint64_t told, char *trailer)
{
    bytes_put_u64(trailer, 1);
    bytes_put_u64(trailer + 8, told);
    bytes_put_u64(trailer + 16, hash_checksum(span_at(trailer, 16)));
    memcpy(trailer + STATEMENT_BYTES, trailer, STATEMENT_BYTES);
}

static void
write_file(uint64_t begin, const char *bytes, size_t len, bool has_trailer, uint64_t told)
{
    char path[2 * SCRATCH_DIR_SIZE];
    char trailer[TRAILER_BYTES];

    path_of(begin, path);
    make_trailer(told, trailer);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || file_write_at(fd, bytes, len, 0) != 0 ||
        (has_trailer && file_write_at(fd, trailer, sizeof trailer, FILE_BYTES - TRAILER_BYTES) != 0))
        log_fatal("%s: %s", path, strerror(errno));
    close(fd);
}

/* The file is as it was written. */
static void
check_file(uint64_t begin, const char *bytes, size_t len, bool has_trailer, uint64_t told)
{
    char path[2 * SCRATCH_DIR_SIZE];
    char trailer[TRAILER_BYTES];
    struct buffer there = {0};

    path_of(begin, path);
    make_trailer(told, trailer);
    if (file_read(path, &there) != 0)
        log_fatal("%s: %s", path, strerror(errno));
    if (there.len != (has_trailer ? FILE_BYTES : len) || (len > 0 && memcmp(there.data, bytes, len) != 0) ||
        (has_trailer && memcmp(there.data + FILE_BYTES - TRAILER_BYTES, trailer, TRAILER_BYTES) != 0))
        log_panic("what was refused is changed");
    buffer_free(&there);
}

/* Do with both files of the plan, or with the one that there is. */
static void
each_file(const struct plan *plan,
          void (*act)(uint64_t begin, const char *bytes, size_t len, bool has_trailer, uint64_t told))
{
    act(BEGIN, plan->content.data, plan->first_end, (plan->told_by & 1) != 0, plan->told);
    if (plan->split < plan->content.len)
        act(BEGIN + plan->split, plan->content.data + plan->split, plan->content.len - plan->split,
            (plan->told_by & 2) != 0, plan->told);
}

/* Whether a whole entry that nobody can have forged stands at at of the content, in one file and before end. */
static bool
is_marked(const struct plan *plan, size_t at, size_t end)
{
    const size_t file_end = at < plan->split ? plan->first_end : plan->content.len;

    if (at >= plan->content.len || at >= file_end)
        return false;
    const char *bytes = plan->content.data + at;
    const size_t len = entry_length(bytes, (end < file_end ? end : file_end) - at);
    if (len == 0 || bytes_get_u64(bytes + 4) != marks_of(bytes, len, BEGIN + at))
        return false;
    /* Its parts, too. */
    const bool has_levels = ((uint8_t)bytes[12] & 128) != 0;
    if (has_levels && (len == PREFIX_BYTES + HEAD_BYTES || bytes[17] == 0 || (uint8_t)bytes[17] > LEVELS_BYTES_MAX))
        return false;
    const size_t parts = (uint8_t)bytes[13] * 256u + (uint8_t)bytes[14] + (uint8_t)bytes[15] * 256u + (uint8_t)bytes[16] +
                         (has_levels ? 1u + (uint8_t)bytes[17] : 0);
    return PREFIX_BYTES + HEAD_BYTES + parts <= len;
}

/* What was passed over, and the entry that was read behind it, if one was. */
static void
check_gap(const struct plan *plan, const struct inbox_gap *gap, bool entry, uint64_t planned_end)
{
    const size_t from = (size_t)(gap->from - BEGIN);
    const size_t to = (size_t)(gap->to - BEGIN);

    if (gap->from < plan->position || gap->to < gap->from)
        log_panic("a gap outside");
    for (size_t at = from; at < to && at < plan->content.len; at++) {
        if (is_marked(plan, at, to))
            log_panic("a whole entry is passed over");
    }
    if (entry && gap->to < planned_end && to != plan->split && !is_marked(plan, to, SIZE_MAX))
        log_panic("an entry behind a gap that may be forged");
}

/* The entry that was read from position must stand there, in one file. */
static void
check_entry(const struct plan *plan, uint64_t position, const struct inbox_entry *entry)
{
    const size_t at = (size_t)(position - BEGIN);

    if (at >= plan->content.len || (at >= plan->first_end && at < plan->split))
        log_panic("an entry where nothing was");
    const char *bytes = plan->content.data + at;
    size_t len = entry_length(bytes, (at < plan->split ? plan->first_end : plan->content.len) - at);
    if (len == 0 || (bytes_get_u64(bytes + 4) != checksum_of(bytes, len) &&
                     bytes_get_u64(bytes + 4) != marks_of(bytes, len, position)))
        log_panic("an entry that is not whole");
    size_t response = (uint8_t)bytes[13] * 256u + (uint8_t)bytes[14];
    size_t correlation = (uint8_t)bytes[15] * 256u + (uint8_t)bytes[16];
    bool has_levels = ((uint8_t)bytes[12] & 128) != 0;
    size_t levels = has_levels ? (uint8_t)bytes[17] : 0;
    if (has_levels != (levels > 0) || levels > LEVELS_BYTES_MAX || entry->input != ((uint8_t)bytes[12] & 127) ||
        entry->response_topic.len != response || entry->correlation.len != correlation || entry->levels.len != levels ||
        levels + response + correlation + entry->payload.len != len - PREFIX_BYTES - HEAD_BYTES - has_levels)
        log_panic("an entry that is none");
}

/* Read everything; what was read goes to found, one after the other. What stands behind planned_end is our own. Returns
 * where reading ended. */
static uint64_t
read_all(struct inbox *inbox, const struct plan *plan, uint64_t planned_end, struct buffer *found)
{
    uint64_t position = plan->position;
    struct inbox_entry entry;
    struct inbox_gap gap;
    int rc;

    while ((rc = inbox_read(inbox, &position, &entry, &gap)) == 1) {
        size_t bytes = PREFIX_BYTES + HEAD_BYTES + (entry.levels.len > 0) + entry.levels.len + entry.response_topic.len +
                       entry.correlation.len + entry.payload.len;
        uint64_t from = position - bytes;
        if (from < plan->position || position > inbox_end(inbox))
            log_panic("an entry outside");
        if (gap.from != gap.to)
            check_gap(plan, &gap, true, planned_end);
        if (from < planned_end)
            check_entry(plan, from, &entry);
        buffer_printf(found, "%" PRIu64 " %u ", from, entry.input);
        buffer_add_span(found, entry.levels);
        buffer_add_byte(found, ' ');
        buffer_add_span(found, entry.response_topic);
        buffer_add_byte(found, ' ');
        buffer_add_span(found, entry.correlation);
        buffer_add_byte(found, ' ');
        buffer_add_span(found, entry.payload);
        buffer_add_byte(found, '\n');
    }
    if (rc != 0)
        log_panic("the inbox opens, and can't be read");
    if (gap.from != gap.to)
        check_gap(plan, &gap, false, planned_end);
    return position;
}

static struct inbox *
open_inbox(const struct plan *plan)
{
    const struct inbox_options options = {
        .dir = dir, .epoch = 1, .key = key, .bytes_max = 1 << 30, .payload_bytes_max = CONTENT_BYTES_MAX};

    return inbox_open(&options, plan->position);
}

static void
check_inbox(struct plan *plan)
{
    static const struct inbox_entry more = {.input = 1,
                                            .levels = {"phone-17", 8},
                                            .response_topic = {"topic", 5},
                                            .correlation = {"id", 2},
                                            .payload = {"payload", 7}};
    struct buffer found = {0};
    struct buffer again = {0};
    struct inbox *inbox = open_inbox(plan);

    if ((inbox == NULL) != (plan->told_by != 0 && plan->told > plan->position))
        log_panic(inbox == NULL ? "the inbox does not open" : "the inbox opens, and is worked beyond its position");
    if (inbox == NULL) {
        each_file(plan, check_file);
        return;
    }
    uint64_t end = read_all(inbox, plan, UINT64_MAX, &found);
    if (end != inbox_end(inbox))
        log_panic("the end is at %" PRIu64 ", reading comes to %" PRIu64, inbox_end(inbox), end);
    if (inbox_append(inbox, &more) != 0)
        log_panic("nothing can be appended");
    buffer_printf(&found, "%" PRIu64 " 1 phone-17 topic id payload\n", end);
    inbox_close(inbox);
    if ((inbox = open_inbox(plan)) == NULL)
        log_panic("the inbox does not open again");
    read_all(inbox, plan, end, &again);
    if (!span_equal(buffer_span(&found), buffer_span(&again)))
        log_panic("the inbox holds something else when it is opened again");
    inbox_close(inbox);
    buffer_free(&found);
    buffer_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan = {0};

    if (size > CONTENT_BYTES_MAX)
        return 0;
    make_dir();
    empty_dir();
    read_plan(span_at(data, size), &plan);
    if (plan.content.len > 0) {
        mark(&plan.content, 0, plan.split);
        mark(&plan.content, plan.split, plan.content.len);
        seal(plan.content.data, plan.content.data + plan.split);
        seal(plan.content.data + plan.split, plan.content.data + plan.content.len);
    }
    if ((plan.told_by & 1) != 0 && plan.first_end < plan.split) { /* zeros lead to the trailer */
        memset(plan.content.data + plan.first_end, 0, plan.split - plan.first_end);
        plan.first_end = plan.split;
    }
    each_file(&plan, write_file);
    check_inbox(&plan);
    buffer_free(&plan.content);
    return 0;
}
