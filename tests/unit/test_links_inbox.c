/* inbox: what is acknowledged is kept, whatever is torn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/name.h"
#include "disk.h"
#include "links/inbox.h"
#include "scratch_dir.h"

#define EPOCH UINT64_C(77)
#define PAYLOAD_MAX 4096
#define ROOM (UINT64_C(1) << 40)
#define FILE_BYTES (4u << 20) /* the smallest there is, which small payloads get */

static char dir[SCRATCH_DIR_SIZE];
static uint64_t boot;        /* when the machine came up; 0: nobody knows */
static struct inbox_gap gap; /* what the last read passed over */

static int
make_dir(void **state)
{
    (void)state;
    boot = 0;
    scratch_dir_make(dir);
    return 0;
}

/* The note beside the folder. */
static const char *
note(void)
{
    static char path[128];

    snprintf(path, sizeof path, "%s.end", dir);
    return path;
}

static int
remove_dir(void **state)
{
    (void)state;
    umount2(dir, MNT_DETACH); /* of a test that failed before it could */
    scratch_dir_remove(dir);
    unlink(note());
    return 0;
}

static struct inbox_options
options_of(const char *folder, uint64_t epoch, uint64_t bytes_max, uint64_t payload_bytes_max)
{
    return (struct inbox_options){.dir = folder,
                                  .epoch = epoch,
                                  .key = {"only we know it"},
                                  .boot = boot,
                                  .bytes_max = bytes_max,
                                  .payload_bytes_max = payload_bytes_max};
}

static struct inbox *
open_inbox(const char *folder, uint64_t epoch, uint64_t position, uint64_t bytes_max, uint64_t payload_bytes_max)
{
    const struct inbox_options options = options_of(folder, epoch, bytes_max, payload_bytes_max);

    return inbox_open(&options, position);
}

static int
copy_inbox(uint64_t position, const char *to, bool (*step)(void *context, uint64_t bytes), void *context, uint64_t *end)
{
    const struct inbox_options options = options_of(dir, EPOCH, ROOM, PAYLOAD_MAX);

    return inbox_copy(&options, position, to, step, context, end);
}

static int
read_entry(struct inbox *inbox, uint64_t *position, struct inbox_entry *entry)
{
    return inbox_read(inbox, position, entry, &gap);
}

/* The file that begins at begin. */
static const char *
file_at(uint64_t begin)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%016" PRIx64, dir, begin);
    return path;
}

static bool
there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void
append(struct inbox *inbox, unsigned input, const char *payload)
{
    const struct inbox_entry entry = {.input = input, .payload = span_of(payload)};

    assert_int_equal(inbox_append(inbox, &entry), 0);
}

/* The next entry is this one. */
static void
expect(struct inbox *inbox, uint64_t *position, unsigned input, const char *payload)
{
    struct inbox_entry entry;

    assert_int_equal(read_entry(inbox, position, &entry), 1);
    assert_int_equal(entry.input, input);
    assert_int_equal(entry.payload.len, strlen(payload));
    assert_memory_equal(entry.payload.at, payload, entry.payload.len);
}

static void
expect_end(struct inbox *inbox, uint64_t position)
{
    struct inbox_entry entry;

    assert_int_equal(read_entry(inbox, &position, &entry), 0);
    assert_int_equal(position, inbox_end(inbox));
}

/* Entries of one size: of these, how many fit into a file does not have to be guessed. */
static void
numbered(unsigned number, size_t size, struct buffer *payload)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
    const size_t letters = sizeof alphabet - 1;

    buffer_clear(payload);
    buffer_printf(payload, "%u:", number);
    /* In runs: byte by byte this took most of the test's time under ThreadSanitizer, beyond its limit on a busy machine. */
    while (payload->len < size) {
        const size_t from = (number + payload->len) % letters;
        const size_t run = letters - from < size - payload->len ? letters - from : size - payload->len;
        buffer_add(payload, alphabet + from, run);
    }
    buffer_text(payload);
}

static void
append_numbered(struct inbox *inbox, unsigned number, size_t size)
{
    struct buffer payload = {0};

    numbered(number, size, &payload);
    append(inbox, number % 128, payload.data);
    buffer_free(&payload);
}

static void
expect_numbered(struct inbox *inbox, uint64_t *position, unsigned number, size_t size)
{
    struct buffer payload = {0};

    numbered(number, size, &payload);
    expect(inbox, position, number % 128, payload.data);
    buffer_free(&payload);
}

/* Overwrite len bytes of the file that begins at begin. */
static void
scribble(uint64_t begin, uint64_t at, const void *bytes, size_t len)
{
    int fd = open(file_at(begin), O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, bytes, len, at), 0);
    close(fd);
}

/* Standard error goes to a file from here until log_holds, which says whether text was in it. */
static int log_kept = -1;

static void
keep_log(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s.log", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    log_kept = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static bool
log_holds(const char *text)
{
    char path[128];
    struct buffer content = {0};

    snprintf(path, sizeof path, "%s.log", dir);
    dup2(log_kept, STDERR_FILENO);
    close(log_kept);
    assert_int_equal(file_read(path, &content), 0);
    unlink(path);
    bool holds = strstr(buffer_text(&content), text) != NULL;
    buffer_free(&content);
    return holds;
}

static void
entries_come_back_whole_and_in_order(void **state)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    const struct inbox_entry first = {.input = 127,
                                      .levels = span_of("site/phone-17"),
                                      .response_topic = span_of("answer/here"),
                                      .correlation = span_at("\0\1\2", 3),
                                      .payload = span_of("{}")};
    struct inbox_entry entry;
    uint64_t position = 0;

    (void)state;
    assert_non_null(inbox);
    expect_end(inbox, 0);
    assert_int_equal(inbox_append(inbox, &first), 0);
    append(inbox, 0, "");
    append(inbox, 1, "third");
    assert_int_equal(read_entry(inbox, &position, &entry), 1);
    assert_int_equal(entry.input, 127);
    assert_true(span_is(entry.levels, "site/phone-17"));
    assert_true(span_is(entry.response_topic, "answer/here"));
    assert_true(span_equal(entry.correlation, first.correlation));
    assert_true(span_is(entry.payload, "{}"));
    expect(inbox, &position, 0, "");
    expect(inbox, &position, 1, "third");
    expect_end(inbox, position);
    append(inbox, 2, "later");
    expect(inbox, &position, 2, "later");
    inbox_close(inbox);
}

/* Write an entry of these bytes, input first, to the start of the file, with its prefix. */
static void
write_entry(const char *bytes, size_t len)
{
    char entry[256] = {0};

    assert_true(12 + len <= sizeof entry);
    memcpy(entry + 12, bytes, len);
    bytes_put_u32(entry, (uint32_t)len);
    bytes_put_u64(entry + 4, hash_checksum(span_at(bytes, len)) ^ len);
    scribble(0, 0, entry, sizeof entry);
}

/* Whether the inbox holds an entry of these bytes, and then *entry. */
static bool
is_entry(const char *bytes, size_t len, struct buffer *payload, unsigned *input, size_t *levels)
{
    struct inbox_entry entry;
    uint64_t position = 0;

    write_entry(bytes, len);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    const bool is = read_entry(inbox, &position, &entry) == 1;
    buffer_clear(payload);
    if (is) {
        buffer_add_span(payload, entry.payload);
        *input = entry.input;
        *levels = entry.levels.len;
    }
    inbox_close(inbox);
    return is;
}

static void
bug_272_entries_without_levels_are_as_they_were(void **state)
{
    struct buffer payload = {0};
    unsigned input = 0;
    size_t levels = 1;

    (void)state;
    inbox_close(open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX));
    /* As versions wrote it that knew no levels. */
    assert_true(is_entry("\3\0\1\0\2tid{}", 10, &payload, &input, &levels));
    assert_int_equal(input, 3);
    assert_int_equal(levels, 0);
    assert_true(span_is(buffer_span(&payload), "{}"));
    assert_true(is_entry("\203\0\1\0\2\3onetid{}", 14, &payload, &input, &levels));
    assert_int_equal(input, 3);
    assert_int_equal(levels, 3);
    assert_true(span_is(buffer_span(&payload), "{}"));
    /* What says it has levels, and has none, no room for them, or more than there can be. */
    assert_false(is_entry("\203\0\0\0\0", 5, &payload, &input, &levels));
    assert_false(is_entry("\203\0\0\0\0\0", 6, &payload, &input, &levels));
    assert_false(is_entry("\203\0\0\0\0\2a", 7, &payload, &input, &levels));
    char many[200] = "\203\0\0\0\0\201";
    assert_false(is_entry(many, sizeof many, &payload, &input, &levels));
    many[5] = (char)LEVELS_BYTES_MAX;
    assert_true(is_entry(many, sizeof many, &payload, &input, &levels));
    buffer_free(&payload);
}

static void
fields_and_payloads_may_have_their_full_size(void **state)
{
    const size_t payload_bytes = 3u << 20;
    char *bytes = malloc(payload_bytes);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, payload_bytes);
    struct inbox_entry entry;
    uint64_t position = 0;

    (void)state;
    memset(bytes, 'x', payload_bytes);
    const struct inbox_entry large = {.levels = {bytes, LEVELS_BYTES_MAX},
                                      .response_topic = {bytes, INBOX_FIELD_BYTES_MAX},
                                      .correlation = {bytes, INBOX_FIELD_BYTES_MAX},
                                      .payload = {bytes, payload_bytes}};
    for (int i = 0; i < 5; i++)
        assert_int_equal(inbox_append(inbox, &large), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(read_entry(inbox, &position, &entry), 1);
        assert_true(span_equal(entry.levels, large.levels));
        assert_true(span_equal(entry.response_topic, large.response_topic));
        assert_true(span_equal(entry.correlation, large.correlation));
        assert_true(span_equal(entry.payload, large.payload));
    }
    expect_end(inbox, position);
    inbox_close(inbox);
    free(bytes);
}

static void
an_entry_that_fits_in_no_file_is_not_kept(void **state)
{
    char *bytes = calloc(1, FILE_BYTES);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    const struct inbox_entry large = {.payload = {bytes, FILE_BYTES}};
    uint64_t position = 0;

    (void)state;
    assert_int_equal(inbox_append(inbox, &large), -1);
    append(inbox, 1, "small");
    expect(inbox, &position, 1, "small");
    expect_end(inbox, position);
    inbox_close(inbox);
    free(bytes);
}

static void
reading_goes_over_file_boundaries_and_release_gives_files_up(void **state)
{
    const size_t size = 100000; /* does not divide a file, nor what is read at once */
    const unsigned count = 200;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    uint64_t position = 0;
    uint64_t middle = 0;

    (void)state;
    for (unsigned i = 0; i < count; i++)
        append_numbered(inbox, i, size);
    for (unsigned i = 0; i < count; i++) {
        expect_numbered(inbox, &position, i, size);
        if (i == count / 2)
            middle = position;
    }
    expect_end(inbox, position);
    assert_true(there(file_at(0)));
    inbox_release(inbox, middle);
    assert_false(there(file_at(0)));
    position = middle;
    for (unsigned i = count / 2 + 1; i < count; i++)
        expect_numbered(inbox, &position, i, size);
    inbox_close(inbox);

    inbox = open_inbox(dir, EPOCH, middle, ROOM, size);
    position = middle;
    for (unsigned i = count / 2 + 1; i < count; i++)
        expect_numbered(inbox, &position, i, size);
    append_numbered(inbox, count, size);
    expect_numbered(inbox, &position, count, size);
    inbox_release(inbox, position);
    inbox_close(inbox);

    unsigned files = 0;
    DIR *listing = opendir(dir);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        files += strlen(entry->d_name) == 16;
    closedir(listing);
    assert_int_equal(files, 1); /* the one that is appended to */
}

/* Whether the file that begins at 0 holds text. */
static bool
file_holds(const char *text)
{
    struct buffer content = {0};

    assert_int_equal(file_read(file_at(0), &content), 0);
    bool holds = memmem(content.data, content.len, text, strlen(text)) != NULL;
    buffer_free(&content);
    return holds;
}

static void
what_is_worked_leaves_nothing_in_the_file_and_what_waits_stays(void **state)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    uint64_t position = 0;

    (void)state;
    append(inbox, 0, "somebody@example.org");
    append(inbox, 0, "anybody@example.org");
    assert_true(file_holds("somebody"));
    for (unsigned i = 0; i < 2; i++) { /* one, and then the last: nothing is to come that would wipe it */
        struct inbox_entry entry;
        assert_int_equal(read_entry(inbox, &position, &entry), 1);
        inbox_release(inbox, position);
        if (i == 0)
            assert_true(file_holds("anybody"));
    }
    assert_false(file_holds("body"));
    append(inbox, 1, "nobody");
    inbox_close(inbox);
    inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
    expect(inbox, &position, 1, "nobody");
    expect_end(inbox, position);
    inbox_close(inbox);
}

/* Tearing. */

#define TORN_COUNT 3
static const char *const torn_payloads[TORN_COUNT] = {"{\"first\":1}", "{\"secnd\":2}", "{\"third\":3}"};

/* Before the entries that are torn there are others that must stay. */
static uint64_t
write_torn(uint64_t *ends, struct buffer *content)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    append(inbox, 9, "a safe one");
    const uint64_t begin = inbox_end(inbox);
    for (unsigned i = 0; i < TORN_COUNT; i++) {
        append(inbox, i, torn_payloads[i]);
        ends[i] = inbox_end(inbox);
    }
    inbox_close(inbox);
    assert_int_equal(file_read(file_at(0), content), 0);
    return begin;
}

static void
empty_dir(void)
{
    scratch_dir_remove(dir);
    unlink(note());
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* The file holds what content says; whole of the entries are good. Recover, go on, recover again. */
static void
recover(const struct buffer *content, size_t file_bytes, unsigned whole)
{
    empty_dir();
    int fd = open(file_at(0), O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(file_write_at(fd, content->data, file_bytes, 0), 0);
    close(fd);
    for (int time = 0; time < 2; time++) {
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        uint64_t position = 0;
        assert_non_null(inbox);
        expect(inbox, &position, 9, "a safe one");
        for (unsigned i = 0; i < whole; i++)
            expect(inbox, &position, i, torn_payloads[i]);
        if (time == 0) {
            expect_end(inbox, position);
            /* As long as the torn one: what stood behind that must not look like the next. */
            append(inbox, 7, "{\"again\":4}");
        }
        expect(inbox, &position, 7, "{\"again\":4}");
        expect_end(inbox, position);
        inbox_close(inbox);
    }
}

static unsigned
whole_before(const uint64_t *ends, uint64_t at)
{
    unsigned whole = 0;

    while (whole < TORN_COUNT && ends[whole] <= at)
        whole++;
    return whole;
}

static void
a_tail_cut_at_any_byte_is_cut_back_to_whole_entries(void **state)
{
    uint64_t ends[TORN_COUNT];
    struct buffer content = {0};
    const uint64_t begin = write_torn(ends, &content);

    (void)state;
    for (uint64_t at = begin; at <= ends[TORN_COUNT - 1]; at++)
        recover(&content, at, whole_before(ends, at));
    buffer_free(&content);
}

static void
a_tail_that_is_zero_from_any_byte_is_cut_back_to_whole_entries(void **state)
{
    uint64_t ends[TORN_COUNT];
    struct buffer content = {0};
    const uint64_t begin = write_torn(ends, &content);

    (void)state;
    for (uint64_t at = ends[TORN_COUNT - 1]; at > begin; at--) {
        recover(&content, content.len, whole_before(ends, at));
        content.data[at - 1] = 0;
    }
    buffer_free(&content);
}

/* Damage. */

/* The file that the bytes are kept in that can't be read from position on. */
static const char *
kept_at(uint64_t position)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%016" PRIx64 ".damaged", dir, position);
    return path;
}

/* These bytes are kept as they stood at position. */
static void
expect_kept(uint64_t position, const char *bytes, size_t len)
{
    struct buffer content = {0};

    assert_int_equal(file_read(kept_at(position), &content), 0);
    assert_int_equal(content.len, len);
    assert_memory_equal(content.data, bytes, len);
    buffer_free(&content);
}

/* The last read passed over this, and an operator has to know. */
static void
expect_damage(uint64_t from, uint64_t to)
{
    assert_int_equal(gap.from, from);
    assert_int_equal(gap.to, to);
    assert_true(gap.damage);
}

static void
expect_no_gap(void)
{
    assert_int_equal(gap.from, gap.to);
    assert_false(gap.damage);
}

static void
write_whole(const char *path, const struct buffer *content);

/* The file holds what content says, and the entry `hit` of those that were torn is damaged; all others are read, now and
 * when it is opened again. */
static void
expect_all_but(const struct buffer *content, const struct buffer *noted, const uint64_t *ends, uint64_t begin, unsigned hit)
{
    const uint64_t from = hit == 0 ? begin : ends[hit - 1];

    empty_dir();
    write_whole(file_at(0), content);
    write_whole(note(), noted);
    for (int time = 0; time < 2; time++) {
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        struct inbox_entry entry;
        uint64_t position = 0;
        assert_non_null(inbox);
        assert_int_equal(inbox_end(inbox), time == 0 ? ends[TORN_COUNT - 1] : ends[TORN_COUNT - 1] + 28);
        expect(inbox, &position, 9, "a safe one");
        for (unsigned i = 0; i < TORN_COUNT; i++) {
            if (i == hit)
                continue;
            expect(inbox, &position, i, torn_payloads[i]);
            if (i == hit + 1)
                expect_damage(from, ends[hit]);
            else
                expect_no_gap();
        }
        if (time == 0 && hit == TORN_COUNT - 1) {
            assert_int_equal(read_entry(inbox, &position, &entry), 0);
            expect_damage(from, ends[hit]);
        }
        if (time == 0)
            append(inbox, 7, "{\"again\":4}");
        expect(inbox, &position, 7, "{\"again\":4}");
        expect_kept(from, content->data + from, (size_t)(ends[hit] - from));
        expect_end(inbox, position);
        inbox_close(inbox);
        assert_int_equal(unlink(kept_at(from)), 0);
    }
}

static void
bug_680_one_wrong_bit_takes_its_entry_and_none_behind_it(void **state)
{
    uint64_t ends[TORN_COUNT];
    struct buffer content = {0};
    struct buffer noted = {0};

    (void)state;
    boot = 1;
    const uint64_t begin = write_torn(ends, &content);

    log_set_level(LOG_NOTHING);
    assert_int_equal(file_read(note(), &noted), 0);
    for (uint64_t at = begin; at < ends[TORN_COUNT - 1]; at++) {
        const char bit = (char)(1 << at % 8);
        content.data[at] ^= bit;
        expect_all_but(&content, &noted, ends, begin, whole_before(ends, at));
        content.data[at] ^= bit;
    }
    log_set_level(LOG_WARNING);
    buffer_free(&content);
    buffer_free(&noted);
}

/* Also where nobody knows when it was written; but a wrong length of the last entry could be a crash's. */
static void
bug_680_garbage_is_kept_and_told_whoever_wrote_it(void **state)
{
    uint64_t ends[TORN_COUNT];
    struct buffer content = {0};
    const uint64_t begin = write_torn(ends, &content);

    (void)state;
    log_set_level(LOG_NOTHING);
    for (uint64_t at = begin; at < ends[TORN_COUNT - 1]; at++) {
        struct inbox_entry entry;
        uint64_t position = 0;
        int rc;
        const unsigned whole = whole_before(ends, at);
        const uint64_t from = whole == 0 ? begin : ends[whole - 1];
        struct buffer broken = {0};
        buffer_add_span(&broken, buffer_span(&content));
        for (uint64_t i = at; i < ends[TORN_COUNT - 1]; i++)
            broken.data[i] = (char)(broken.data[i] ^ (1 + i * 37 % 255));
        empty_dir();
        write_whole(file_at(0), &broken);
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        assert_non_null(inbox);
        while ((rc = read_entry(inbox, &position, &entry)) == 1)
            expect_no_gap();
        assert_int_equal(rc, 0);
        if (at >= from + 4 || gap.to != gap.from) {
            expect_damage(from, ends[TORN_COUNT - 1]);
            expect_kept(from, broken.data + from, (size_t)(ends[TORN_COUNT - 1] - from));
        }
        append(inbox, 7, "goes on");
        expect(inbox, &position, 7, "goes on");
        inbox_close(inbox);
        buffer_free(&broken);
    }
    log_set_level(LOG_WARNING);
    buffer_free(&content);
}

/* A payload may hold anything: what looks like an entry in it, with the checksum that those of before had, is none. */
static void
bug_680_what_a_payload_pretends_to_be_is_not_read_behind_damage(void **state)
{
    char forged[200] = "{";
    struct inbox_entry entry = {.payload = {forged, sizeof forged}};
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    for (size_t at = 20; at + 17 + 8 < sizeof forged; at += 17 + 8) {
        forged[at + 12] = 5;
        memcpy(forged + at + 17, "{forged}", 8);
        bytes_put_u32(forged + at, 5 + 8);
        bytes_put_u64(forged + at + 4, hash_checksum(span_at(forged + at + 12, 13)) ^ 13);
    }
    append(inbox, 0, "one");
    const uint64_t from = inbox_end(inbox);
    assert_int_equal(inbox_append(inbox, &entry), 0);
    const uint64_t to = inbox_end(inbox);
    append(inbox, 1, "three");
    inbox_close(inbox);
    scribble(0, from + 13, "x", 1);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    expect(inbox, &position, 0, "one");
    expect(inbox, &position, 1, "three");
    expect_damage(from, to);
    expect_end(inbox, position);
    inbox_close(inbox);
}

/* An entry of ours somewhere else, which a file system may bring back, is none either. */
static void
an_entry_in_another_place_is_none(void **state)
{
    struct buffer content = {0};
    uint64_t position = 0;
    struct inbox_entry entry;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    inbox_close(inbox);
    assert_int_equal(file_read(file_at(0), &content), 0);
    scribble(0, 40, content.data, 20);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    expect(inbox, &position, 0, "one");
    expect(inbox, &position, 0, "two");
    assert_int_equal(read_entry(inbox, &position, &entry), 0);
    expect_damage(40, 60);
    inbox_close(inbox);
    buffer_free(&content);
}

static void
a_tear_in_the_first_entry_of_a_second_file_leaves_the_first_file_whole(void **state)
{
    const size_t size = 1u << 20;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    uint64_t ends[5];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        append_numbered(inbox, i, size);
        ends[i] = inbox_end(inbox);
    }
    inbox_close(inbox);
    assert_true(there(file_at(ends[2]))); /* three fit into one */
    scribble(ends[2], 100, "torn", 4);
    for (int time = 0; time < 2; time++) {
        uint64_t position = 0;
        inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
        for (unsigned i = 0; i < 3; i++)
            expect_numbered(inbox, &position, i, size);
        if (time == 0) {
            expect_end(inbox, position);
            append(inbox, 1, "again");
        }
        expect(inbox, &position, 1, "again");
        expect_end(inbox, position);
        inbox_close(inbox);
    }
}

/* Power cuts. */

static void
a_spare_file_that_is_short_is_made_again(void **state)
{
    char spare[128];
    struct stat status;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
    snprintf(spare, sizeof spare, "%s/spare", dir);
    assert_int_equal(stat(spare, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    assert_int_equal(truncate(spare, 4096), 0);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_true(inbox_has_room(inbox));
    assert_int_equal(stat(spare, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    assert_true(status.st_blocks * 512 >= (off_t)FILE_BYTES); /* allocated, not only long */
    assert_int_equal(status.st_mode & 07777, 0600);
    inbox_close(inbox);
}

/* Two entries are worked, and a power cut has left nothing of their file but cut_to bytes, all of them zero. */
static void
lose_what_is_worked(off_t cut_to)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    append(inbox, 0, "one");
    append(inbox, 0, "two");
    const uint64_t end = inbox_end(inbox);
    inbox_close(inbox);
    assert_int_equal(truncate(file_at(0), 0), 0);
    assert_int_equal(truncate(file_at(0), cut_to), 0);
    for (int time = 0; time < 2; time++) {
        uint64_t position = end;
        inbox = open_inbox(dir, EPOCH, end, ROOM, PAYLOAD_MAX);
        assert_non_null(inbox);
        if (time == 0) {
            expect_end(inbox, position);
            append(inbox, 1, "three");
        }
        expect(inbox, &position, 1, "three");
        expect_end(inbox, position);
        inbox_close(inbox);
    }
}

static void
a_position_behind_what_a_power_cut_left_is_where_it_goes_on(void **state)
{
    (void)state;
    lose_what_is_worked(0);
}

static void
a_position_within_zeros_that_a_power_cut_left_is_where_it_goes_on(void **state)
{
    (void)state;
    lose_what_is_worked(FILE_BYTES);
}

/* What is worked is gone from the file, and a state that does not know it would take that for the end: what came later must
 * not be wiped as if a crash had left it. */
static void
bug_204_a_state_older_than_the_hole_is_refused_and_nothing_is_lost(void **state)
{
    uint64_t position = 0, older;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    expect(inbox, &position, 0, "one");
    older = position;
    append(inbox, 0, "two");
    expect(inbox, &position, 0, "two");
    inbox_release(inbox, position);
    append(inbox, 0, "three");
    inbox_close(inbox);
    const uint64_t wrong[] = {0, older, position - 1};
    for (unsigned i = 0; i < 3; i++) {
        keep_log();
        inbox = open_inbox(dir, EPOCH, wrong[i], ROOM, PAYLOAD_MAX);
        assert_true(log_holds("a newer copy of the state"));
        assert_null(inbox);
    }
    inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    expect(inbox, &position, 0, "three");
    inbox_close(inbox);
}

/* Its positions mean other messages. */
static void
bug_204_another_store_is_refused_and_nothing_is_lost(void **state)
{
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    expect(inbox, &position, 0, "one");
    inbox_release(inbox, position);
    append(inbox, 0, "two");
    inbox_close(inbox);
    for (uint64_t other = 0; other < 2 * FILE_BYTES; other += FILE_BYTES / 2) {
        keep_log();
        inbox = open_inbox(dir, EPOCH + 1, other, ROOM, PAYLOAD_MAX);
        assert_true(log_holds("by another state"));
        assert_null(inbox);
    }
    inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    expect(inbox, &position, 0, "two");
    inbox_close(inbox);
}

/* What a crash left of a message that was not acknowledged goes, and the log says so. */
static void
bug_205_what_is_wiped_behind_the_end_is_said(void **state)
{
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    const uint64_t end = inbox_end(inbox);
    inbox_close(inbox);
    scribble(0, end + 5, "torn", 4);
    scribble(0, end + 1000000, "too", 3);
    keep_log();
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_true(log_holds("7 bytes of no whole message are wiped"));
    expect(inbox, &position, 0, "one");
    expect_end(inbox, position);
    inbox_close(inbox);
    keep_log();
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_false(log_holds("wiped"));
    inbox_close(inbox);
}

/* What is gone is said at the end of the file that it is gone from. */

#define TRAILER_BYTES 48
#define STATEMENT_BYTES 24

/* The folder that copies go to; below the inbox's, where it is removed with it. */
static const char *
copy_dir(void)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/copy", dir);
    mkdir(path, 0700);
    return path;
}

/* The copy of the file that begins at begin. */
static const char *
copy_at(uint64_t begin)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%016" PRIx64, copy_dir(), begin);
    return path;
}

static void
read_whole(const char *path, struct buffer *content)
{
    buffer_clear(content);
    assert_int_equal(file_read(path, content), 0);
}

static void
write_whole(const char *path, const struct buffer *content)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, content->data, content->len, 0), 0);
    close(fd);
}

/* Of the names and contents of all files in folder. */
static uint64_t
sum_of(const char *folder)
{
    struct buffer content = {0};
    char path[512];
    uint64_t sum = 0;
    DIR *listing = opendir(folder);

    assert_non_null(listing);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        if (entry->d_type != DT_REG)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        read_whole(path, &content);
        buffer_add_text(&content, entry->d_name);
        sum += hash_checksum(buffer_span(&content));
    }
    closedir(listing);
    buffer_free(&content);
    return sum;
}

/* The state of epoch that ends at position does not go with the inbox in folder: that is said, and nothing is changed. */
static void
expect_refused(const char *folder, uint64_t epoch, uint64_t position, const char *why)
{
    const uint64_t before = sum_of(folder);

    keep_log();
    struct inbox *inbox = open_inbox(folder, epoch, position, ROOM, PAYLOAD_MAX);
    assert_true(log_holds(why));
    assert_null(inbox);
    assert_true(sum_of(folder) == before);
}

/* What stands at the end of the file: nothing any more. */
static void
lose_trailer(uint64_t begin)
{
    static const char zeros[TRAILER_BYTES];
    struct stat status;

    assert_int_equal(stat(file_at(begin), &status), 0);
    scribble(begin, (uint64_t)status.st_size - TRAILER_BYTES, zeros, sizeof zeros);
}

static void
a_state_older_than_the_inbox_is_refused(void **state)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 1000, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    inbox_close(inbox);
    expect_refused(dir, EPOCH, 999, "a newer copy of the state");
    lose_trailer(1000);
    expect_refused(dir, EPOCH, 999, "nothing is left from 999 on");
}

/* Two entries are worked and gone, two more are acknowledged. Where the first and the third begin. */
static struct inbox *
work_two_of_four(uint64_t *older, uint64_t *position)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, *older, ROOM, PAYLOAD_MAX);

    *position = *older;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    expect(inbox, position, 0, "one");
    expect(inbox, position, 0, "two");
    inbox_release(inbox, *position);
    append(inbox, 0, "three");
    append(inbox, 0, "four");
    return inbox;
}

static void
expect_two_of_four(struct inbox *inbox, uint64_t position)
{
    assert_non_null(inbox);
    expect(inbox, &position, 0, "three");
    expect(inbox, &position, 0, "four");
    expect_end(inbox, position);
    inbox_close(inbox);
}

/* A folder was copied while the process ran: the state, and whatever else is small, before it wiped, the messages after
 * that. The zeros were taken for the end, and what is behind them was zeroed without a line. */
static void
bug_390_a_copy_whose_state_is_older_than_its_hole_is_refused(void **state)
{
    struct buffer content = {0};
    uint64_t older = 0, position;
    struct inbox *inbox = work_two_of_four(&older, &position);

    (void)state;
    read_whole(file_at(0), &content);
    write_whole(copy_at(0), &content);
    for (uint64_t wrong = 0; wrong < position; wrong += position / 4)
        expect_refused(copy_dir(), EPOCH, wrong, "a newer copy of the state");
    expect_refused(copy_dir(), EPOCH + 1, position, "another state");
    expect_two_of_four(open_inbox(copy_dir(), EPOCH, position, ROOM, PAYLOAD_MAX), position);
    inbox_close(inbox);
    buffer_free(&content);
}

/* Who copies reads a file from its beginning to its end. Wherever it has come to when the hole is made: the copy has all
 * that its state needs, or is refused. */
static void
a_copy_that_is_overtaken_by_the_hole_is_whole_or_refused(void **state)
{
    static const uint64_t cuts[] = {0, 1, 11, 20, 21, 40, 41, 70, 80, 4096, FILE_BYTES - TRAILER_BYTES - 1,
                                    FILE_BYTES - TRAILER_BYTES, FILE_BYTES - 30, FILE_BYTES - STATEMENT_BYTES,
                                    FILE_BYTES - 12, FILE_BYTES - 4, FILE_BYTES - 1, FILE_BYTES};
    struct buffer before = {0};
    struct buffer after = {0};
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    uint64_t position = 0;
    unsigned whole = 0;

    (void)state;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    append(inbox, 0, "three");
    read_whole(file_at(0), &before);
    expect(inbox, &position, 0, "one");
    expect(inbox, &position, 0, "two");
    expect(inbox, &position, 0, "three");
    inbox_release(inbox, position);
    append(inbox, 0, "four");
    read_whole(file_at(0), &after);
    inbox_close(inbox);
    for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        const size_t cut = (size_t)cuts[i];
        memcpy(after.data, before.data, cut); /* cuts ascend */
        write_whole(copy_at(0), &after);
        keep_log();
        inbox = open_inbox(copy_dir(), EPOCH, 0, ROOM, PAYLOAD_MAX);
        if (log_holds("a newer copy of the state")) {
            assert_null(inbox);
            continue;
        }
        assert_non_null(inbox);
        position = 0;
        expect(inbox, &position, 0, "one");
        expect(inbox, &position, 0, "two");
        expect(inbox, &position, 0, "three");
        inbox_close(inbox);
        whole++;
    }
    assert_int_equal(whole, 3); /* those whose trailer was read before, or in the middle of the write */
    buffer_free(&before);
    buffer_free(&after);
}

/* Or first asks where there is data (tar -S), and takes the rest for zeros. */
static void
a_copy_of_what_was_data_before_the_hole_is_refused(void **state)
{
    struct buffer content = {0};
    bool data[FILE_BYTES / 4096] = {false};
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    uint64_t position = 0;

    (void)state;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    int fd = open(file_at(0), O_RDONLY);
    for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
        const off_t end = lseek(fd, at, SEEK_HOLE);
        for (; at < end; at += 4096)
            data[at / 4096] = true;
    }
    close(fd);
    expect(inbox, &position, 0, "one");
    expect(inbox, &position, 0, "two");
    inbox_release(inbox, position);
    inbox_close(inbox);
    read_whole(file_at(0), &content);
    assert_int_equal(content.len, FILE_BYTES);
    for (unsigned i = 0; i < FILE_BYTES / 4096; i++) {
        if (!data[i])
            memset(content.data + i * 4096, 0, 4096);
    }
    write_whole(copy_at(0), &content);
    expect_refused(copy_dir(), EPOCH, 0, "a newer copy of the state");
    buffer_free(&content);
}

/* A power cut may leave anything of what was never synced; and who copies may get one of both in part. */
static void
a_torn_statement_says_nothing_and_the_other_one_does(void **state)
{
    struct buffer content = {0};
    uint64_t older = 0, position;

    (void)state;
    inbox_close(work_two_of_four(&older, &position));
    read_whole(file_at(0), &content);
    for (unsigned byte = 0; byte < STATEMENT_BYTES; byte += 5) { /* of each of the three numbers */
        char *const first = content.data + FILE_BYTES - TRAILER_BYTES + byte;
        char *const second = first + STATEMENT_BYTES;
        *first ^= 1;
        write_whole(file_at(0), &content);
        expect_refused(dir, EPOCH + 1, position, "another state");
        *second ^= 1;
        write_whole(file_at(0), &content);
        keep_log();
        struct inbox *inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
        assert_false(log_holds("wiped"));
        expect_two_of_four(inbox, position);
        expect_refused(dir, EPOCH, 0, "a newer copy of the state"); /* it is said again */
        *first ^= 1;
        write_whole(file_at(0), &content);
        expect_refused(dir, EPOCH + 1, position, "another state");
        *second ^= 1;
    }
    buffer_free(&content);
}

/* Each file tells of the holes in it, and the one that is appended to of what is gone in all, from its first entry on. */
static void
each_file_says_what_is_gone(void **state)
{
    const size_t size = 1u << 20;
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);

    (void)state;
    append_numbered(inbox, 0, size);
    expect_numbered(inbox, &position, 0, size);
    inbox_release(inbox, position);
    append_numbered(inbox, 1, size);
    append_numbered(inbox, 2, size);
    const uint64_t second = inbox_end(inbox);
    append_numbered(inbox, 3, size);
    inbox_close(inbox);
    assert_true(there(file_at(second)));
    struct buffer first_file = {0};
    struct buffer second_file = {0};
    read_whole(file_at(0), &first_file);
    read_whole(file_at(second), &second_file);
    lose_trailer(second);
    expect_refused(dir, EPOCH, 0, "a newer copy of the state");
    write_whole(file_at(second), &second_file);
    lose_trailer(0);
    expect_refused(dir, EPOCH, 0, "a newer copy of the state");
    write_whole(file_at(0), &first_file);
    inbox = open_inbox(dir, EPOCH, position, ROOM, size);
    for (unsigned i = 1; i < 4; i++)
        expect_numbered(inbox, &position, i, size);
    expect_end(inbox, position);
    inbox_close(inbox);
    buffer_free(&first_file);
    buffer_free(&second_file);
}

/* No entry comes where the trailer is. */
static void
a_file_is_filled_up_to_its_trailer(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 3; over++) {
        const size_t first = PAYLOAD_MAX - 17;
        const size_t room = FILE_BYTES - TRAILER_BYTES;
        const size_t last = room % PAYLOAD_MAX - 17 + over;
        const unsigned count = (unsigned)(room / PAYLOAD_MAX);
        uint64_t position = 0;
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        for (unsigned i = 0; i < count; i++)
            append_numbered(inbox, i, first);
        expect_numbered(inbox, &position, 0, first);
        append_numbered(inbox, count, last);
        append(inbox, 1, "x");
        const uint64_t second = over == 0 ? room : (uint64_t)count * PAYLOAD_MAX;
        assert_true(there(file_at(second)));
        inbox_close(inbox);
        inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
        assert_non_null(inbox);
        inbox_close(inbox);
        expect_refused(dir, EPOCH, position - 1, "a newer copy of the state");
        inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
        for (unsigned i = 1; i < count; i++)
            expect_numbered(inbox, &position, i, first);
        expect_numbered(inbox, &position, count, last);
        expect(inbox, &position, 1, "x");
        expect_end(inbox, position);
        inbox_close(inbox);
        empty_dir();
    }
}

/* Add an entry with this payload. */
static void
add_entry(struct buffer *content, const char *payload, size_t len)
{
    const size_t at = content->len;
    const size_t length = 5 + len;
    char head[17] = {0};

    buffer_add(content, head, sizeof head);
    buffer_add(content, payload, len);
    bytes_put_u32(content->data + at, (uint32_t)length);
    bytes_put_u64(content->data + at + 4, hash_checksum(span_at(content->data + at + 12, length)) ^ length);
}

static void
make_statement(uint64_t epoch, uint64_t position, char *statement)
{
    bytes_put_u64(statement, epoch);
    bytes_put_u64(statement + 8, position);
    bytes_put_u64(statement + 16, hash_checksum(span_at(statement, 16)));
}

/* It filled its files up to the last byte, and said in a file of its own what is gone. left is how much the last file has no
 * entry in. */
static void
go_on_behind_the_program_before(size_t left)
{
    const size_t size = 4096 - 17;
    struct buffer content = {0};
    struct buffer payload = {0};
    unsigned count = 0;
    char statement[STATEMENT_BYTES];
    char released[128];

    while (content.len + 2 * 4096 <= FILE_BYTES - left) {
        numbered(count++, size, &payload);
        add_entry(&content, payload.data, payload.len);
    }
    const size_t last = FILE_BYTES - left - content.len - 17;
    numbered(count++, last, &payload);
    add_entry(&content, payload.data, payload.len);
    while (content.len < FILE_BYTES)
        buffer_add_byte(&content, '\0');
    const uint64_t older = 10 * 4096, position = 20 * 4096;
    memset(content.data, 0, position);
    write_whole(file_at(0), &content);
    make_statement(EPOCH, position, statement);
    snprintf(released, sizeof released, "%s/released", dir);
    int fd = open(released, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(file_write_at(fd, statement, sizeof statement, 0), 0);
    close(fd);

    expect_refused(dir, EPOCH, older, "a newer copy of the state");
    expect_refused(dir, EPOCH + 1, position, "another state");
    for (unsigned time = 0; time < 2; time++) {
        uint64_t at = position;
        struct inbox *inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
        assert_non_null(inbox);
        for (unsigned i = 20; i < count; i++) {
            numbered(i, i + 1 < count ? size : last, &payload);
            expect(inbox, &at, 0, payload.data);
        }
        assert_int_equal(at, FILE_BYTES - left);
        if (time == 0)
            append(inbox, 1, "x");
        expect(inbox, &at, 1, "x");
        expect_end(inbox, at);
        assert_int_equal(there(file_at(FILE_BYTES - left)), left < TRAILER_BYTES + 18);
        inbox_close(inbox);
        assert_false(there(released));
        expect_refused(dir, EPOCH, older, "a newer copy of the state");
    }
    buffer_free(&content);
    buffer_free(&payload);
    empty_dir();
}

static void
a_folder_of_the_program_before_is_read_and_gone_on_with(void **state)
{
    static const size_t left[] = {0, 1, 23, 24, 47, 48, 65, 66, 100, 1 << 20};

    (void)state;
    for (unsigned i = 0; i < sizeof left / sizeof left[0]; i++)
        go_on_behind_the_program_before(left[i]);
}

/* Another limit of payloads makes files of another size. */
static void
a_file_of_another_size_is_left_as_it_is(void **state)
{
    static const size_t limits[][2] = {{PAYLOAD_MAX, 8u << 20}, {8u << 20, PAYLOAD_MAX}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct buffer before = {0};
        struct buffer after = {0};
        uint64_t position = 0;
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, limits[i][0]);
        append(inbox, 0, "one");
        expect(inbox, &position, 0, "one");
        inbox_release(inbox, position);
        append(inbox, 0, "two");
        const uint64_t second = inbox_end(inbox);
        inbox_close(inbox);
        read_whole(file_at(0), &before);
        inbox = open_inbox(dir, EPOCH, position, ROOM, limits[i][1]);
        append(inbox, 0, "three");
        inbox_close(inbox);
        read_whole(file_at(0), &after);
        assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
        lose_trailer(second);
        expect_refused(dir, EPOCH, 0, "a newer copy of the state");
        inbox = open_inbox(dir, EPOCH, position, ROOM, limits[i][1]);
        expect(inbox, &position, 0, "two");
        expect(inbox, &position, 0, "three");
        expect_end(inbox, position);
        inbox_close(inbox);
        buffer_free(&before);
        buffer_free(&after);
        empty_dir();
    }
}

/* An empty file that can't be gone on in makes room for one that can, at the same place. */
static void
an_empty_file_that_is_short_is_replaced(void **state)
{
    struct stat status;

    (void)state;
    for (unsigned bytes = 0; bytes <= 4096; bytes += 4096) {
        uint64_t position = 0;
        inbox_close(open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX));
        assert_int_equal(truncate(file_at(0), bytes), 0);
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        append(inbox, 0, "one");
        expect(inbox, &position, 0, "one");
        assert_int_equal(stat(file_at(0), &status), 0);
        assert_int_equal(status.st_size, FILE_BYTES);
        inbox_release(inbox, position);
        inbox_close(inbox);
        expect_refused(dir, EPOCH, 0, "a newer copy of the state");
        empty_dir();
    }
}

/* A power cut can leave a file its old name. */
static void
a_spare_that_was_in_use_says_nothing(void **state)
{
    struct buffer content = {0};
    char spare[128];
    uint64_t older = 0, position;

    (void)state;
    inbox_close(work_two_of_four(&older, &position));
    snprintf(spare, sizeof spare, "%s/spare", dir);
    assert_int_equal(rename(file_at(0), spare), 0);
    assert_int_equal(unlink(note()), 0);
    struct inbox *inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX); /* uses it */
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
    assert_int_equal(rename(file_at(position), spare), 0);
    inbox = open_inbox(dir, EPOCH + 1, 0, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    expect_end(inbox, 0);
    inbox_close(inbox);
    expect_refused(dir, EPOCH, position, "another state");
    assert_int_equal(rename(file_at(0), spare), 0);
    inbox_close(open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX));
    read_whole(file_at(0), &content);
    for (size_t i = 0; i < FILE_BYTES - TRAILER_BYTES; i++)
        assert_int_equal(content.data[i], 0);
    buffer_free(&content);
}

/* A disk on which what is gone can't be said. */
static int
refuse_trailer(const struct disk_call *call)
{
    return call->deed == DISK_WRITE && call->offset >= FILE_BYTES - TRAILER_BYTES ? EIO : 0;
}

static void
no_hole_is_made_that_nothing_tells_of(void **state)
{
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "somebody@example.org");
    expect(inbox, &position, 0, "somebody@example.org");
    disk_before = refuse_trailer;
    inbox_release(inbox, position);
    disk_before = NULL;
    assert_true(file_holds("somebody"));
    inbox_release(inbox, position);
    assert_false(file_holds("somebody"));
    inbox_close(inbox);
}

/* What is called as ours and is not. */
static void
bug_391_no_link_in_the_inbox_is_followed(void **state)
{
    char outside[SCRATCH_DIR_SIZE];
    char target[128];
    char spare[128];
    char released[128];
    struct buffer content = {0};
    struct stat status;

    (void)state;
    scratch_dir_make(outside);
    snprintf(target, sizeof target, "%s/target", outside);
    snprintf(spare, sizeof spare, "%s/spare", dir);
    snprintf(released, sizeof released, "%s/released", dir);
    assert_int_equal(file_replace(target, "theirs"), 0);

    assert_int_equal(symlink(target, spare), 0);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    append(inbox, 0, "one");
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
    assert_int_equal(lstat(spare, &status), 0);
    assert_true(S_ISREG(status.st_mode));

    const char *const names[] = {file_at(4096), released};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            if (kind == 0)
                assert_int_equal(symlink(target, names[i]), 0);
            else if (kind == 1)
                assert_int_equal(mkfifo(names[i], 0600), 0);
            else if (geteuid() == 0)
                assert_true(file_replace(names[i], "") == 0 && chown(names[i], 65534, (gid_t)-1) == 0);
            else
                continue;
            expect_refused(dir, EPOCH, 0, kind == 0 ? "it is a link" : "is not a file that belongs to user");
            assert_int_equal(unlink(names[i]), 0);
        }
    }
    read_whole(target, &content);
    assert_true(span_is(buffer_span(&content), "theirs"));
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    uint64_t position = 0;
    expect(inbox, &position, 0, "one");
    inbox_close(inbox);
    assert_int_equal(chmod(dir, 0777), 0);
    expect_refused(dir, EPOCH, 0, "nobody except its owner");
    buffer_free(&content);
    scratch_dir_remove(outside);
}

/* Files that are called otherwise are somebody else's, whatever a number they may seem to be. */
static void
files_of_other_names_are_left_alone(void **state)
{
    static const char *const names[] = {"0x00000000000001", "               1", "00000000000000AB", "+000000000000001"};
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    inbox_close(inbox);
    for (unsigned i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(file_replace(path, "theirs"), 0);
    }
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    expect(inbox, &position, 0, "one");
    inbox_release(inbox, position + FILE_BYTES);
    inbox_close(inbox);
    expect_refused(dir, EPOCH, 0, "a newer copy of the state"); /* there is a trailer still */
    for (unsigned i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
    }
}

/* Three files of three entries each; the one in the middle begins at *second and ends at *third. */
static void
write_three_files(size_t size, uint64_t *second, uint64_t *third)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);

    for (unsigned i = 0; i < 9; i++) {
        if (i == 3)
            *second = inbox_end(inbox);
        if (i == 6)
            *third = inbox_end(inbox);
        append_numbered(inbox, i, size);
    }
    inbox_close(inbox);
    assert_true(there(file_at(*second)));
    assert_true(there(file_at(*third)));
}

static void
bug_680_what_stands_behind_damage_in_its_file_is_read(void **state)
{
    const size_t size = 1u << 20;
    uint64_t second;
    uint64_t third;
    uint64_t position = 0;
    char lost[256];

    (void)state;
    write_three_files(size, &second, &third);
    const uint64_t fifth = second + (third - second) / 3;
    const uint64_t sixth = fifth + (third - second) / 3;
    scribble(second, fifth - second + 20, "rot", 3);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    for (unsigned i = 0; i < 4; i++)
        expect_numbered(inbox, &position, i, size);
    keep_log();
    expect_numbered(inbox, &position, 5, size);
    snprintf(lost, sizeof lost, "lost from %" PRIu64 " to %" PRIu64 ", in file %016" PRIx64 ": it is damaged", fifth, sixth,
             second);
    assert_true(log_holds(lost));
    expect_damage(fifth, sixth);
    for (unsigned i = 6; i < 9; i++)
        expect_numbered(inbox, &position, i, size);
    expect_end(inbox, position);
    inbox_release(inbox, position);
    inbox_close(inbox);
    assert_true(there(kept_at(fifth))); /* though its file is gone */
    assert_false(there(file_at(second)));
}

/* The same is said once, however often it is read; and is there, however often it is opened. */
static void
damage_is_said_once(void **state)
{
    struct inbox_entry entry;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    append(inbox, 0, "three");
    inbox_close(inbox);
    scribble(0, 14, "rot", 3);
    scribble(0, 34, "rot", 3);
    for (unsigned time = 0; time < 2; time++) {
        inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        keep_log();
        uint64_t position = 0;
        expect(inbox, &position, 0, "three");
        assert_true(log_holds("lost from 0 to 40"));
        assert_int_equal(unlink(kept_at(0)), 0);
        keep_log();
        position = 0;
        assert_int_equal(read_entry(inbox, &position, &entry), 1);
        assert_false(log_holds("lost"));
        expect_damage(0, 40);
        assert_false(there(kept_at(0)));
        inbox_close(inbox);
    }
}

/* A file is gone, the first or a later one; this is what is left of the three files. */
static void
expect_without(unsigned first, unsigned end, uint64_t from, uint64_t to)
{
    const size_t size = 1u << 20;
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);

    assert_non_null(inbox);
    for (unsigned i = 0; i < 9; i++) {
        if (i >= first && i < end)
            continue;
        expect_numbered(inbox, &position, i, size);
        if (i == end)
            expect_damage(from, to);
        else
            expect_no_gap();
    }
    if (end == 9) {
        struct inbox_entry entry;
        assert_int_equal(read_entry(inbox, &position, &entry), 0);
        expect_damage(from, to);
    }
    assert_false(there(kept_at(from)));
    append(inbox, 1, "goes on");
    expect(inbox, &position, 1, "goes on");
    expect_no_gap();
    expect_end(inbox, position);
    inbox_close(inbox);
}

static void
bug_680_a_file_that_is_gone_is_told_and_the_others_are_read(void **state)
{
    const size_t size = 1u << 20;
    uint64_t second, third;

    (void)state;
    boot = 1;

    for (unsigned when = 1; when < 3; when++) { /* in the same run of the machine, and in a later one */
        for (unsigned gone = 0; gone < 2 + (when == 1); gone++) {
            boot = 1;
            write_three_files(size, &second, &third);
            const uint64_t end = third + third - second;
            const uint64_t begins[] = {0, second, third, end};
            assert_int_equal(unlink(file_at(begins[gone])), 0);
            boot = when;
            expect_without(3 * gone, 3 * gone + 3, begins[gone], begins[gone + 1]);
            empty_dir();
        }
    }
    /* A cut may take the last one's name. */
    write_three_files(size, &second, &third);
    assert_int_equal(unlink(file_at(third)), 0);
    boot = 3;
    uint64_t position = 0;
    keep_log();
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    assert_true(log_holds("the machine went down before this was on its disk"));
    for (unsigned i = 0; i < 6; i++)
        expect_numbered(inbox, &position, i, size);
    expect_end(inbox, position);
    expect_no_gap();
    inbox_close(inbox);
}

/* What is left of the inbox: an empty file, or none, or no folder. All that it had was worked up to `position`. */
static void
empty_inbox(unsigned how)
{
    if (how == 0)
        assert_int_equal(truncate(file_at(0), 0), 0);
    if (how <= 1)
        assert_int_equal(truncate(file_at(0), FILE_BYTES), 0);
    if (how == 1) {
        struct buffer zeros = {0};
        memset(buffer_reserve(&zeros, FILE_BYTES), 0, FILE_BYTES);
        zeros.len = FILE_BYTES;
        write_whole(file_at(0), &zeros);
        buffer_free(&zeros);
    }
    if (how == 2)
        assert_int_equal(unlink(file_at(0)), 0);
    if (how == 3)
        scratch_dir_remove(dir);
}

static void
bug_680_an_inbox_that_was_emptied_is_told(void **state)
{
    (void)state;
    for (unsigned variant = 0; variant < 16; variant++) {
        const unsigned how = variant % 4;
        const bool waits = variant / 4 % 2 == 1, same = variant / 8 == 1;
        const bool told = waits && (same || how >= 2); /* a cut takes what was written, and no names */
        uint64_t position = 0;
        struct inbox_entry entry;
        boot = 1;
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        append(inbox, 0, "one");
        expect(inbox, &position, 0, "one");
        if (waits)
            append(inbox, 0, "two");
        const uint64_t end = inbox_end(inbox), begin = position;
        inbox_close(inbox);
        empty_inbox(how);
        boot = same ? 1 : 2;
        inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
        assert_non_null(inbox);
        assert_int_equal(read_entry(inbox, &position, &entry), 0);
        if (told)
            expect_damage(begin, end);
        else
            expect_no_gap();
        append(inbox, 0, "goes on");
        expect(inbox, &position, 0, "goes on");
        expect_end(inbox, position);
        inbox_close(inbox);
        empty_dir();
    }
}

/* A cut takes pages; what stands behind them is read all the same, and no operator has to look. In a machine that has been
 * up all the time something else took them. */
static void
what_a_power_cut_took_is_passed_over_and_only_said(void **state)
{
    static const char zeros[4096];

    (void)state;
    for (unsigned same = 0; same < 2; same++) {
        const size_t size = 2000;
        uint64_t position = 0;
        char lost[128];
        boot = 1;
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        for (unsigned i = 0; i < 20; i++)
            append_numbered(inbox, i, size);
        inbox_close(inbox);
        scribble(0, 8192, zeros, sizeof zeros); /* from within 4 to within 6, each 2017 bytes */
        const uint64_t from = 4 * UINT64_C(2017), to = 7 * UINT64_C(2017);
        boot = same ? 1 : 2;
        for (unsigned time = 0; time < 2; time++) { /* in a later start it is no other */
            inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
            position = 0;
            for (unsigned i = 0; i < 4; i++)
                expect_numbered(inbox, &position, i, size);
            keep_log();
            expect_numbered(inbox, &position, 7, size);
            snprintf(lost, sizeof lost, "lost from %" PRIu64 " to %" PRIu64, from, to);
            assert_true(log_holds(lost));
            assert_int_equal(gap.from, from);
            assert_int_equal(gap.to, to);
            assert_int_equal(gap.damage, same);
            assert_int_equal(there(kept_at(from)), same);
            for (unsigned i = 8; i < 20; i++)
                expect_numbered(inbox, &position, i, size);
            expect_end(inbox, position);
            inbox_close(inbox);
        }
        empty_dir();
    }
}

/* What is damaged is kept before it is passed over: without room for that it waits. */
static int
refuse_keeping(const struct disk_call *call)
{
    char path[512];

    disk_path(call->path != NULL ? call->dir_fd : call->fd, call->path, path, sizeof path);
    return call->deed == DISK_WRITE && strstr(path, ".damaged") != NULL ? ENOSPC : 0;
}

static void
damage_that_can_not_be_kept_is_not_passed_over(void **state)
{
    struct inbox_entry entry;
    uint64_t position = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    scribble(0, 14, "rot", 3);
    disk_before = refuse_keeping;
    assert_int_equal(read_entry(inbox, &position, &entry), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(position, 0);
    disk_before = NULL;
    expect(inbox, &position, 0, "two");
    expect_damage(0, 20);
    inbox_close(inbox);
}

/* Files that are called as ours are, and begin where no message can. */
static void
bug_681_names_that_can_not_be_are_left_alone(void **state)
{
    static const uint64_t begins[] = {INT64_MAX, UINT64_MAX, UINT64_C(1) << 40, FILE_BYTES * UINT64_C(5), 1, 41, 4096};

    (void)state;
    for (unsigned i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        uint64_t position = 0;
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, 5000);
        append_numbered(inbox, 0, 50);
        append_numbered(inbox, 1, 5000);
        append_numbered(inbox, 2, 10);
        inbox_close(inbox);
        assert_int_equal(file_replace(file_at(begins[i]), i % 2 == 0 ? "" : "theirs"), 0);
        keep_log();
        inbox = open_inbox(dir, EPOCH, 0, ROOM, 5000);
        assert_true(log_holds("is left alone: no message can begin at"));
        keep_log();
        assert_non_null(inbox);
        expect_numbered(inbox, &position, 0, 50);
        expect_numbered(inbox, &position, 1, 5000);
        expect_numbered(inbox, &position, 2, 10);
        expect_no_gap();
        expect_end(inbox, position);
        append(inbox, 1, "goes on");
        expect(inbox, &position, 1, "goes on");
        inbox_release(inbox, position);
        inbox_close(inbox);
        assert_false(log_holds("inbox"));
        assert_true(there(file_at(begins[i])));
        empty_dir();
    }
    /* And if there is nothing else it is not known what belongs together. */
    assert_int_equal(file_replace(file_at(INT64_MAX), ""), 0);
    expect_refused(dir, EPOCH, 0, "do they belong together");
}

/* A spare file can't be made, nor what there is of it be removed. */
static int
refuse_spare(const struct disk_call *call)
{
    return call->deed == DISK_ALLOCATE || call->deed == DISK_REMOVE ? ENOSPC : 0;
}

static void
bug_712_a_spare_file_that_could_not_be_removed_is_still_ours(void **state)
{
    char spare[128];
    struct stat status;

    (void)state;
    snprintf(spare, sizeof spare, "%s/spare", dir);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    append(inbox, 0, "one");
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
    for (unsigned at_start = 0; at_start < 2; at_start++) {
        if (at_start == 0)
            assert_int_equal(unlink(spare), 0);
        else
            assert_int_equal(truncate(spare, 4096), 0);
        disk_before = refuse_spare;
        inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        assert_false(inbox_has_room(inbox));
        assert_int_equal(stat(spare, &status), 0);
        disk_before = NULL;
        assert_true(inbox_has_room(inbox));
        inbox_close(inbox);
        assert_int_equal(stat(spare, &status), 0);
    }
}

static void
bug_681_a_folder_in_the_place_of_the_spare_file_is_said(void **state)
{
    char spare[128];
    uint64_t position = 0;

    (void)state;
    snprintf(spare, sizeof spare, "%s/spare", dir);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    append(inbox, 0, "one");
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
    assert_int_equal(unlink(spare), 0);
    assert_int_equal(mkdir(spare, 0700), 0);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    keep_log();
    assert_false(inbox_has_room(inbox));
    assert_true(log_holds("/spare: File exists"));
    assert_true(inbox_is_hindered(inbox));
    keep_log();
    assert_false(inbox_has_room(inbox));
    assert_false(log_holds("spare"));
    expect(inbox, &position, 0, "one");
    assert_int_equal(rmdir(spare), 0);
    assert_true(inbox_has_room(inbox));
    assert_false(inbox_is_hindered(inbox));
    inbox_close(inbox);
}

static void
what_is_whole_in_a_file_that_was_cut_short_is_read(void **state)
{
    const size_t size = 1u << 20;
    uint64_t second;
    uint64_t third;
    uint64_t position = 0;

    (void)state;
    write_three_files(size, &second, &third);
    const off_t entry_bytes = (off_t)((third - second) / 3);
    assert_int_equal(truncate(file_at(second), entry_bytes + entry_bytes / 2), 0);
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    for (unsigned i = 0; i < 4; i++)
        expect_numbered(inbox, &position, i, size);
    keep_log();
    expect_numbered(inbox, &position, 6, size);
    assert_true(log_holds("lost from"));
    inbox_close(inbox);
}

/* As above with entries of which many are read at once: the bytes ahead are those of the last whole read. */
static void
small_entries_of_a_file_that_was_cut_short_are_read_up_to_the_cut(void **state)
{
    const size_t size = 1000;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    uint64_t position = 0;
    unsigned count = 1;

    (void)state;
    append_numbered(inbox, 0, size);
    const uint64_t entry_bytes = inbox_end(inbox);
    while (inbox_end(inbox) < FILE_BYTES + entry_bytes)
        append_numbered(inbox, count++, size);
    inbox_close(inbox);
    const unsigned left = 1700;
    assert_int_equal(truncate(file_at(0), (off_t)(left * entry_bytes + entry_bytes / 2)), 0);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    for (unsigned i = 0; i < left; i++)
        expect_numbered(inbox, &position, i, size);
    inbox_close(inbox);
}

static void
a_damaged_file_is_skipped_though_the_one_behind_it_lost_everything(void **state)
{
    const size_t size = 1u << 20;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    uint64_t position = 0;
    uint64_t third;
    uint64_t fourth;

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        append_numbered(inbox, i, size);
    third = inbox_end(inbox);
    append_numbered(inbox, 2, size);
    fourth = inbox_end(inbox);
    append_numbered(inbox, 3, size);
    inbox_close(inbox);
    scribble(0, third + 100, "rot", 3);
    scribble(fourth, 100, "rot", 3);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, size);
    for (unsigned i = 0; i < 2; i++)
        expect_numbered(inbox, &position, i, size);
    keep_log();
    struct inbox_entry entry;
    int rc = read_entry(inbox, &position, &entry);
    assert_true(log_holds("lost from"));
    assert_int_equal(rc, 0);
    append(inbox, 1, "goes on");
    expect(inbox, &position, 1, "goes on");
    inbox_close(inbox);
}

/* What is read of a file that is appended to was there whole. */
static void
rot_in_the_file_that_is_appended_to_is_passed_over(void **state)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    struct inbox_entry entry;
    uint64_t position = 0;

    (void)state;
    append(inbox, 0, "one");
    append(inbox, 0, "two");
    scribble(0, 14, "rot", 3);
    expect(inbox, &position, 0, "two");
    expect_damage(0, 20);
    append(inbox, 0, "three");
    scribble(0, 54, "rot", 3);
    assert_int_equal(read_entry(inbox, &position, &entry), 0);
    expect_damage(40, inbox_end(inbox));
    append(inbox, 0, "four");
    expect(inbox, &position, 0, "four");
    expect_no_gap();
    inbox_close(inbox);
}

/* A payload of nearly 2^64 bytes went to whoever was to work the entry. */
static void
bug_120_an_entry_shorter_than_its_fields_is_damaged(void **state)
{
    char entry[12 + 5 + 3] = {[13] = 0, [14] = 2, [15] = 0, [16] = 2}; /* two fields of two bytes, and three for both */
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    inbox_close(inbox);
    bytes_put_u32(entry, sizeof entry - 12);
    bytes_put_u64(entry + 4, hash_checksum(span_at(entry + 12, sizeof entry - 12)) ^ (sizeof entry - 12));
    scribble(0, 0, entry, sizeof entry);
    inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    assert_int_equal(inbox_end(inbox), 0);
    expect_end(inbox, 0);
    inbox_close(inbox);
}

/* Room. */

static void
there_is_no_room_beyond_bytes_max_until_something_is_released(void **state)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, 100, PAYLOAD_MAX);
    uint64_t position = 0;

    (void)state;
    assert_true(inbox_has_room(inbox));
    append(inbox, 0, "a first payload of some forty bytes.....");
    assert_true(inbox_has_room(inbox));
    append(inbox, 0, "a second payload of some forty bytes....");
    assert_false(inbox_has_room(inbox));
    append(inbox, 0, "under way"); /* what is under way is taken all the same */
    expect(inbox, &position, 0, "a first payload of some forty bytes.....");
    inbox_release(inbox, position);
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
    inbox = open_inbox(dir, EPOCH, position, 10, PAYLOAD_MAX);
    assert_false(inbox_has_room(inbox)); /* what waited before counts */
    inbox_close(inbox);
}

static void
there_is_no_room_when_there_are_too_many_files(void **state)
{
    const unsigned count = 4094; /* two below the limit, for what is under way and for the next opening */

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        int fd = open(file_at((uint64_t)i * FILE_BYTES), O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_false(inbox_has_room(inbox));
    inbox_release(inbox, FILE_BYTES);
    assert_true(inbox_has_room(inbox));
    inbox_close(inbox);
}

static void
on_a_full_disk_there_is_no_room_and_what_was_promised_room_is_kept(void **state)
{
    (void)state;
    if (mount("tmpfs", dir, "tmpfs", 0, "size=9m") != 0) {
        print_message("SKIPPED: can't mount a small tmpfs: %s\n", strerror(errno));
        skip();
    }
    const size_t size = 1u << 20;
    char inbox_dir[128];
    snprintf(inbox_dir, sizeof inbox_dir, "%s/inbox", dir);
    struct inbox *inbox = open_inbox(inbox_dir, EPOCH, 0, ROOM, size);
    unsigned kept = 0;
    uint64_t position = 0;

    while (inbox_has_room(inbox))
        append_numbered(inbox, kept++, size);
    for (unsigned i = 0; i < 2; i++) /* what is under way: there is room for it in the file at hand */
        append_numbered(inbox, kept++, size);
    const struct inbox_entry entry = {.payload = span_of("x")};
    for (unsigned i = 0; i < kept; i++)
        expect_numbered(inbox, &position, i, size);
    assert_false(inbox_has_room(inbox));
    inbox_release(inbox, position);
    assert_true(inbox_has_room(inbox));
    assert_int_equal(inbox_append(inbox, &entry), 0);
    inbox_close(inbox);

    inbox = open_inbox(inbox_dir, EPOCH, position, ROOM, size);
    expect(inbox, &position, 0, "x");
    expect_end(inbox, position);
    inbox_close(inbox);
    assert_int_equal(umount(dir), 0);
}

/* A full file system that can't make a hole of zeros, as tmpfs: whatever is given back is lost to somebody else. */
static int no_room; /* ENOSPC, or EDQUOT */

static int
refuse_room(const struct disk_call *call)
{
    return call->deed == DISK_ALLOCATE ? no_room : call->deed == DISK_ZERO ? EOPNOTSUPP : 0;
}

static void
bug_104_on_a_full_disk_it_opens_and_goes_on(void **state)
{
    char spare[128];

    (void)state;
    snprintf(spare, sizeof spare, "%s/spare", dir);
    for (unsigned variant = 0; variant < 8; variant++) {
        const unsigned count = variant % 2 == 0 ? 3 : 0; /* 0: the file at hand is empty */
        const bool has_spare = variant / 2 % 2 == 1;
        no_room = variant / 4 == 1 ? EDQUOT : ENOSPC;
        uint64_t position = 0;
        struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        for (unsigned i = 0; i < count; i++)
            append_numbered(inbox, i, 100);
        assert_true(inbox_has_room(inbox));
        inbox_close(inbox);
        if (!has_spare)
            assert_int_equal(unlink(spare), 0);

        disk_before = refuse_room;
        inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);
        assert_non_null(inbox);
        for (unsigned i = 0; i < count; i++)
            expect_numbered(inbox, &position, i, 100);
        expect_end(inbox, position);
        assert_int_equal(inbox_has_room(inbox), has_spare);
        if (!has_spare)
            disk_before = NULL;
        assert_true(inbox_has_room(inbox));
        append_numbered(inbox, count, 100);
        assert_true(inbox_has_room(inbox));
        disk_before = NULL;
        append_numbered(inbox, count + 1, 100);
        inbox_close(inbox);

        inbox = open_inbox(dir, EPOCH, position, ROOM, PAYLOAD_MAX);
        for (unsigned i = count; i < count + 2; i++) {
            expect_numbered(inbox, &position, i, 100);
            inbox_release(inbox, position);
        }
        append_numbered(inbox, count + 2, 100);
        expect_numbered(inbox, &position, count + 2, 100);
        expect_end(inbox, position);
        inbox_close(inbox);
        empty_dir();
    }
}

/* Two threads. */

struct writer {
    struct inbox *inbox;
    unsigned count;
    atomic_bool failed;
};

static size_t
size_of(unsigned number)
{
    return number % 97 == 0 ? 300000 : 10 + number % 1000;
}

static void *
write_all(void *context)
{
    struct writer *writer = context;
    struct buffer payload = {0};

    for (unsigned i = 0; i < writer->count; i++) {
        numbered(i, size_of(i), &payload);
        const struct inbox_entry entry = {.input = i % 128, .payload = buffer_span(&payload)};
        if (inbox_append(writer->inbox, &entry) != 0)
            atomic_store(&writer->failed, true);
    }
    buffer_free(&payload);
    return NULL;
}

static void
one_thread_appends_while_another_reads_and_releases(void **state)
{
    struct writer writer = {.inbox = open_inbox(dir, EPOCH, 0, ROOM, 400000), .count = 4000};
    pthread_t thread;
    struct buffer payload = {0};
    struct inbox_entry entry;
    uint64_t position = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, write_all, &writer), 0);
    for (unsigned i = 0; i < writer.count;) {
        int rc = read_entry(writer.inbox, &position, &entry);
        assert_int_not_equal(rc, -1);
        assert_false(atomic_load(&writer.failed));
        if (rc == 0) {
            sched_yield();
            continue;
        }
        numbered(i, size_of(i), &payload);
        assert_int_equal(entry.input, i % 128);
        assert_true(span_equal(entry.payload, buffer_span(&payload)));
        assert_true(inbox_end(writer.inbox) >= position);
        if (++i % 50 == 0) {
            inbox_has_room(writer.inbox);
            inbox_release(writer.inbox, position);
        }
    }
    pthread_join(thread, NULL);
    expect_end(writer.inbox, position);
    inbox_close(writer.inbox);
    buffer_free(&payload);
}

/* Copies, made while somebody appends. */

static bool
step_by(void *context, uint64_t bytes)
{
    *(uint64_t *)context += bytes;
    return true;
}

static bool
stop_at_once(void *context, uint64_t bytes)
{
    (void)context;
    (void)bytes;
    return false;
}

/* Three files, of which the first is released. Positions behind each entry. */
static struct inbox *
fill_three_files(unsigned count, size_t size, uint64_t *behind)
{
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, size);

    for (unsigned i = 0; i < count; i++) {
        append_numbered(inbox, i, size);
        behind[i] = inbox_end(inbox);
    }
    return inbox;
}

static void
a_copy_holds_what_is_not_worked_and_is_an_inbox(void **state)
{
    enum { COUNT = 24 };
    const size_t size = 500000;
    uint64_t behind[COUNT];
    uint64_t end;
    uint64_t bytes = 0;
    struct inbox *inbox = fill_three_files(COUNT, size, behind);
    const uint64_t from = behind[9]; /* in the middle of the second file */

    (void)state;
    inbox_release(inbox, from);
    assert_int_equal(copy_inbox(from, copy_dir(), step_by, &bytes, &end), 0);
    assert_int_equal(end, behind[COUNT - 1]);
    assert_int_equal(bytes, end - from);
    append_numbered(inbox, COUNT, size); /* is not in it */
    inbox_close(inbox);

    inbox = open_inbox(copy_dir(), EPOCH, from, ROOM, size);
    assert_non_null(inbox);
    assert_int_equal(inbox_end(inbox), end);
    uint64_t position = from;
    for (unsigned i = 10; i < COUNT; i++)
        expect_numbered(inbox, &position, i, size);
    expect_end(inbox, position);
    append_numbered(inbox, 77, size); /* and goes on */
    expect_numbered(inbox, &position, 77, size);
    inbox_close(inbox);
}

/* What is being appended is not acknowledged yet. */
static void
a_copy_ends_with_the_last_whole_entry(void **state)
{
    uint64_t end;
    uint64_t bytes = 0;
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    append(inbox, 1, "whole");
    const uint64_t whole = inbox_end(inbox);
    append(inbox, 2, "torn");
    inbox_close(inbox);
    scribble(0, whole + 14, "x", 1);
    assert_int_equal(copy_inbox(0, copy_dir(), step_by, &bytes, &end), 0);
    assert_int_equal(end, whole);
    inbox = open_inbox(copy_dir(), EPOCH, 0, ROOM, PAYLOAD_MAX);
    uint64_t position = 0;
    expect(inbox, &position, 1, "whole");
    expect_end(inbox, position);
    inbox_close(inbox);
}

/* What stands behind damage is not left out; the copy is as damaged as what it is of. */
static void
bug_680_a_copy_goes_on_behind_damage(void **state)
{
    enum { COUNT = 24 };
    const size_t size = 500000;
    uint64_t behind[COUNT];
    uint64_t end;
    uint64_t bytes = 0;
    uint64_t position = 0;

    (void)state;
    inbox_close(fill_three_files(COUNT, size, behind));
    scribble(0, behind[2] + 100, "rot", 3);
    scribble(0, behind[6] + 100, "rot", 3); /* the last one of its file */
    assert_true(there(file_at(behind[7])));
    assert_int_equal(copy_inbox(0, copy_dir(), step_by, &bytes, &end), 0);
    assert_int_equal(end, behind[COUNT - 1]);
    struct inbox *inbox = open_inbox(copy_dir(), EPOCH, 0, ROOM, size);
    assert_non_null(inbox);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i == 3 || i == 7)
            continue;
        expect_numbered(inbox, &position, i, size);
        if (i == 4 || i == 8)
            expect_damage(behind[i - 2], behind[i - 1]);
        else
            expect_no_gap();
    }
    expect_end(inbox, position);
    inbox_close(inbox);
}

static void
a_copy_that_can_not_be_whole_is_none(void **state)
{
    enum { COUNT = 24 };
    const size_t size = 500000;
    uint64_t behind[COUNT];
    uint64_t end;
    uint64_t bytes = 0;
    struct inbox *inbox = fill_three_files(COUNT, size, behind);

    (void)state;
    inbox_release(inbox, behind[COUNT - 1]);
    assert_int_equal(copy_inbox(behind[0], copy_dir(), step_by, &bytes, &end), -1); /* that is gone */
    append_numbered(inbox, 0, size);
    assert_int_equal(copy_inbox(behind[COUNT - 1], copy_dir(), stop_at_once, NULL, &end), -1);
    inbox_close(inbox);
}

/* A copied file ends with what a sender has chosen: that is no statement of ours. */
static void
a_payload_in_a_copy_says_nothing_of_what_is_gone(void **state)
{
    char payload[2 * STATEMENT_BYTES];
    uint64_t end;
    uint64_t bytes = 0;
    uint64_t position = 0;
    struct inbox_entry entry = {.input = 1, .payload = {payload, sizeof payload}};
    struct inbox *inbox = open_inbox(dir, EPOCH, 0, ROOM, PAYLOAD_MAX);

    (void)state;
    make_statement(EPOCH + 1, 0, payload);
    make_statement(EPOCH, 1 << 20, payload + STATEMENT_BYTES);
    assert_int_equal(inbox_append(inbox, &entry), 0);
    inbox_close(inbox);
    assert_int_equal(copy_inbox(0, copy_dir(), step_by, &bytes, &end), 0);
    inbox = open_inbox(copy_dir(), EPOCH, 0, ROOM, PAYLOAD_MAX);
    assert_non_null(inbox);
    assert_int_equal(read_entry(inbox, &position, &entry), 1);
    assert_int_equal(entry.payload.len, sizeof payload);
    expect_end(inbox, position);
    assert_int_equal(position, end);
    inbox_close(inbox);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_come_back_whole_and_in_order),
        TEST(bug_272_entries_without_levels_are_as_they_were),
        TEST(fields_and_payloads_may_have_their_full_size),
        TEST(an_entry_that_fits_in_no_file_is_not_kept),
        TEST(reading_goes_over_file_boundaries_and_release_gives_files_up),
        TEST(a_tail_cut_at_any_byte_is_cut_back_to_whole_entries),
        TEST(a_tail_that_is_zero_from_any_byte_is_cut_back_to_whole_entries),
        TEST(bug_680_one_wrong_bit_takes_its_entry_and_none_behind_it),
        TEST(bug_680_garbage_is_kept_and_told_whoever_wrote_it),
        TEST(bug_680_what_a_payload_pretends_to_be_is_not_read_behind_damage),
        TEST(an_entry_in_another_place_is_none),
        TEST(a_tear_in_the_first_entry_of_a_second_file_leaves_the_first_file_whole),
        TEST(a_spare_file_that_is_short_is_made_again),
        TEST(a_position_behind_what_a_power_cut_left_is_where_it_goes_on),
        TEST(a_position_within_zeros_that_a_power_cut_left_is_where_it_goes_on),
        TEST(what_is_worked_leaves_nothing_in_the_file_and_what_waits_stays),
        TEST(a_state_older_than_the_inbox_is_refused),
        TEST(bug_204_a_state_older_than_the_hole_is_refused_and_nothing_is_lost),
        TEST(bug_204_another_store_is_refused_and_nothing_is_lost),
        TEST(bug_390_a_copy_whose_state_is_older_than_its_hole_is_refused),
        TEST(a_copy_that_is_overtaken_by_the_hole_is_whole_or_refused),
        TEST(a_copy_of_what_was_data_before_the_hole_is_refused),
        TEST(a_torn_statement_says_nothing_and_the_other_one_does),
        TEST(each_file_says_what_is_gone),
        TEST(a_file_is_filled_up_to_its_trailer),
        TEST(a_folder_of_the_program_before_is_read_and_gone_on_with),
        TEST(a_file_of_another_size_is_left_as_it_is),
        TEST(an_empty_file_that_is_short_is_replaced),
        TEST(a_spare_that_was_in_use_says_nothing),
        TEST(no_hole_is_made_that_nothing_tells_of),
        TEST(bug_391_no_link_in_the_inbox_is_followed),
        TEST(bug_205_what_is_wiped_behind_the_end_is_said),
        TEST(files_of_other_names_are_left_alone),
        TEST(bug_680_what_stands_behind_damage_in_its_file_is_read),
        TEST(damage_is_said_once),
        TEST(bug_680_a_file_that_is_gone_is_told_and_the_others_are_read),
        TEST(bug_680_an_inbox_that_was_emptied_is_told),
        TEST(what_a_power_cut_took_is_passed_over_and_only_said),
        TEST(damage_that_can_not_be_kept_is_not_passed_over),
        TEST(bug_681_names_that_can_not_be_are_left_alone),
        TEST(bug_681_a_folder_in_the_place_of_the_spare_file_is_said),
        TEST(bug_712_a_spare_file_that_could_not_be_removed_is_still_ours),
        TEST(what_is_whole_in_a_file_that_was_cut_short_is_read),
        TEST(small_entries_of_a_file_that_was_cut_short_are_read_up_to_the_cut),
        TEST(a_damaged_file_is_skipped_though_the_one_behind_it_lost_everything),
        TEST(rot_in_the_file_that_is_appended_to_is_passed_over),
        TEST(bug_120_an_entry_shorter_than_its_fields_is_damaged),
        TEST(there_is_no_room_beyond_bytes_max_until_something_is_released),
        TEST(there_is_no_room_when_there_are_too_many_files),
        TEST(on_a_full_disk_there_is_no_room_and_what_was_promised_room_is_kept),
        TEST(bug_104_on_a_full_disk_it_opens_and_goes_on),
        TEST(one_thread_appends_while_another_reads_and_releases),
        TEST(a_copy_holds_what_is_not_worked_and_is_an_inbox),
        TEST(a_copy_ends_with_the_last_whole_entry),
        TEST(bug_680_a_copy_goes_on_behind_damage),
        TEST(a_copy_that_can_not_be_whole_is_none),
        TEST(a_payload_in_a_copy_says_nothing_of_what_is_gone),
    };

    hash_init();
    log_open("test", LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
