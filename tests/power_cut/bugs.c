#include "bugs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/scratch_dir.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "cut.h"
#include "links/inbox.h"
#include "store/store.h"
#include "tape.h"

/* What the module at hand does below scratch/run is recorded; states are built below scratch/cut. */

static char scratch[SCRATCH_DIR_SIZE];
static char run[100];
static struct tape tape;
static struct cut *cut;
static int64_t clock_ms;

static unsigned
one_group(const char *path)
{
    (void)path;
    return 0;
}

static int
begin(void **state)
{
    (void)state;
    scratch_dir_make(scratch);
    snprintf(run, sizeof run, "%s/run", scratch);
    return mkdir(run, 0700);
}

static int
end(void **state)
{
    (void)state;
    tape_end();
    tape_watch(NULL);
    cut_free(cut);
    cut = NULL;
    tape_free(&tape);
    scratch_dir_remove(scratch);
    return 0;
}

static const char *
below(const char *folder, const char *name)
{
    static char path[500];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void
start_tape(void)
{
    tape_begin(&tape, run, one_group, &clock_ms);
}

/* From here on the power is cut, in what is on the tape. */
static void
stop_tape(void)
{
    char dir[100];

    tape_end();
    snprintf(dir, sizeof dir, "%s/cut", scratch);
    assert_int_equal(mkdir(dir, 0700), 0);
    cut = cut_new(&tape, dir);
}

static void
leave(enum cut_way way, unsigned one)
{
    enum cut_way ways[GROUPS_MAX];

    for (unsigned i = 0; i < GROUPS_MAX; i++)
        ways[i] = way;
    tape_watch(NULL);
    cut_choose(cut, ways, one);
    cut_clear(cut);
    cut_build(cut, "");
    tape_watch(cut_touched);
}

/* The power is cut at each instant of the tape, with this left of what was not synced, some of it by the dice; then look. */
static void
cut_everywhere(void (*look)(void))
{
    for (unsigned instant = tape.begin; instant < tape.event_count; instant++) {
        cut_go(cut, instant);
        leave(CUT_NONE, 0);
        look();
        leave(CUT_ALL, 0);
        look();
        for (unsigned one = tape.begin; one <= instant; one++) {
            leave(CUT_KEEP, one);
            look();
        }
        for (unsigned times = 20; times > 0; times--) {
            leave(CUT_ANY, 0);
            look();
        }
    }
}

static bool
is_left(const char *name)
{
    return access(below(cut_root(cut), name), F_OK) == 0;
}

/* Nobody synced the folders that a process makes: with them went the state of whoever had sent receipts already. Here the
 * first folder was made by one who was killed before it could sync its name. */
static void
bug_140_folders_have_their_names_for_good(void **state)
{
    (void)state;
    start_tape();
    assert_int_equal(mkdir(below(run, "a"), 0700), 0);
    assert_int_equal(file_make_dirs(below(run, "a/b/c")), 0);
    stop_tape();
    cut_go(cut, tape.event_count - 1);
    leave(CUT_NONE, 0);
    assert_true(is_left("a/b/c"));
}

/* Neither did anybody sync the name of the file that LMDB makes. */
static void
bug_140_a_store_has_its_name_for_good(void **state)
{
    (void)state;
    start_tape();
    struct store *store = store_open(below(run, "store"), 1 << 20);
    assert_true(store_table(store, "t") >= 0);
    store_close(store);
    stop_tape();
    cut_go(cut, tape.event_count - 1);
    leave(CUT_NONE, 0);
    assert_true(is_left("store/data.mdb"));
}

static void
store_opens(void)
{
    struct store *store = store_open(below(cut_root(cut), "store"), 1 << 20);

    assert_non_null(store);
    assert_true(store_table(store, "t") >= 0);
    store_close(store);
}

/* LMDB does not sync the pages that a new store begins with: torn, they were "not an LMDB file" until somebody came. */
static void
bug_141_a_store_opens_that_was_just_being_made(void **state)
{
    (void)state;
    start_tape();
    struct store *store = store_open(below(run, "store"), 1 << 20);
    assert_true(store_table(store, "t") >= 0);
    store_close(store);
    stop_tape();
    cut_everywhere(store_opens);
}

#define PAYLOAD_BYTES (1u << 20)

static void
append(struct inbox *inbox, char letter, size_t len)
{
    static char payload[PAYLOAD_BYTES];
    const struct inbox_entry entry = {.payload = span_at(payload, len)};

    memset(payload, letter, len);
    assert_int_equal(inbox_append(inbox, &entry), 0);
}

/* After a cut the machine has come up anew. */
static struct inbox *
open_without_spare(const char *folder, uint64_t position)
{
    const struct inbox_options options = {.dir = below(folder, "inbox"),
                                          .epoch = 1,
                                          .boot = folder == run ? 1 : 2,
                                          .bytes_max = UINT64_C(1) << 30,
                                          .payload_bytes_max = PAYLOAD_BYTES};
    struct inbox *inbox = inbox_open(&options, position);

    assert_non_null(inbox);
    return inbox;
}

static struct inbox *
open_inbox(const char *folder, uint64_t position)
{
    struct inbox *inbox = open_without_spare(folder, position);

    assert_true(inbox_has_room(inbox));
    return inbox;
}

static void
inbox_opens(void)
{
    inbox_close(open_inbox(cut_root(cut), 0));
}

/* The name of a file could be lost and that of the next one kept: then the inbox looked as if somebody had removed what was
 * not worked yet, and was refused. */
static void
bug_142_an_inbox_opens_whichever_names_are_lost(void **state)
{
    (void)state;
    start_tape();
    struct inbox *inbox = open_inbox(run, 0);
    for (unsigned i = 0; i < 9; i++) { /* three or so fill a file */
        append(inbox, 'a', PAYLOAD_BYTES);
        assert_true(i % 2 == 0 || inbox_has_room(inbox));
    }
    inbox_close(inbox);
    stop_tape();
    cut_everywhere(inbox_opens);
}

/* A file could keep its old name, "spare", with what was written to it under its new one: when it was used again, and the
 * process was killed then, it took in once more what it had taken in before, perhaps long ago. */
static void
bug_143_a_spare_that_was_in_use_is_empty(void **state)
{
    struct inbox_entry entry;
    struct inbox_gap gap;

    (void)state;
    start_tape();
    struct inbox *inbox = open_without_spare(run, 0);
    append(inbox, 'a', 100);
    uint64_t end_at = inbox_end(inbox);
    inbox_close(inbox);
    stop_tape();
    unsigned renamed = tape.begin;
    while (tape.events[renamed].kind != EVENT_NAMES || tape.events[renamed].from == NULL)
        renamed++;
    cut_go(cut, tape.event_count - 1);
    leave(CUT_DROP, renamed);
    assert_true(is_left("inbox/spare"));
    for (unsigned times = 2; times > 0; times--) { /* what came is worked, and nothing comes any more */
        inbox = open_inbox(cut_root(cut), end_at);
        assert_int_equal(inbox_read(inbox, &end_at, &entry, &gap), 0);
        inbox_close(inbox);
    }
}

/* What had been cut off behind a torn entry could come back, in its place behind what was appended since. (An entry of the
 * program before, whose mark does not say where it belongs: those of ours are not cut off.) */
static void
bug_144_what_was_cut_off_does_not_come_back(void **state)
{
    const size_t page = PAGE_BYTES - 17; /* with its head, an entry of one page */
    const char zeros[PAGE_BYTES] = {0};
    char before[PAGE_BYTES] = {0}, checksum[8];
    struct inbox *inbox = open_inbox(run, 0);

    (void)state;
    append(inbox, 'a', page);
    append(inbox, 'b', page);
    append(inbox, 'c', page);
    inbox_close(inbox);
    const int fd = open(below(run, "inbox/0000000000000000"), O_WRONLY);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, PAGE_BYTES), sizeof zeros);
    memset(before + 5, 'c', page);
    bytes_put_u64(checksum, hash_checksum(span_at(before, 5 + page)) ^ (5 + page));
    assert_int_equal(pwrite(fd, checksum, sizeof checksum, 2 * PAGE_BYTES + 4), sizeof checksum);
    close(fd);
    assert_int_equal(unlink(below(run, "inbox.end")), 0);

    start_tape();
    inbox = open_inbox(run, 0);
    assert_int_equal(inbox_end(inbox), PAGE_BYTES);
    append(inbox, 'd', page);
    inbox_close(inbox);
    stop_tape();
    cut_go(cut, tape.event_count - 1);
    for (unsigned one = tape.begin; one < tape.event_count; one++) {
        leave(CUT_DROP, one);
        inbox = open_inbox(cut_root(cut), 0);
        assert_true(inbox_end(inbox) <= 2 * PAGE_BYTES);
        inbox_close(inbox);
    }
}

/* A process could work with a key that another one had just made, and not yet synced the name of: after a power cut there
 * was another key, and every row another name. */
static void
bug_145_a_key_has_its_name_for_good_before_it_is_used(void **state)
{
    const char bytes[HASH_KEY_BYTES] = "somebody else's";
    struct hash_key key;
    struct buffer fault = {0};

    (void)state;
    start_tape();
    const int fd = open(below(run, "key"), O_WRONLY | O_CREAT, 0400);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    assert_int_equal(hash_key_file(below(run, "key"), &key, &fault), 0);
    stop_tape();
    cut_go(cut, tape.event_count - 1);
    leave(CUT_NONE, 0);
    assert_true(is_left("key"));
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
bugs_run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(bug_140_folders_have_their_names_for_good),
        EACH(bug_140_a_store_has_its_name_for_good),
        EACH(bug_141_a_store_opens_that_was_just_being_made),
        EACH(bug_142_an_inbox_opens_whichever_names_are_lost),
        EACH(bug_143_a_spare_that_was_in_use_is_empty),
        EACH(bug_144_what_was_cut_off_does_not_come_back),
        EACH(bug_145_a_key_has_its_name_for_good_before_it_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
