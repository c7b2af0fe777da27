/* pages: every store that was committed can be mapped; what was cut or written over is named, and kills nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "scratch_dir.h"
#include "splitmix.h"
#include "store/pages.h"
#include "store/store.h"

#define MAP_BYTES (UINT64_C(1) << 28)
#define PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define TABLES 4

static char dir[SCRATCH_DIR_SIZE];
static char path[SCRATCH_DIR_SIZE + 16];
static struct buffer good; /* the file before it is damaged */

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_dir_remove(dir);
    buffer_free(&good);
    return 0;
}

static const char *const names[TABLES] = {"meta", "small", "large", "mixed"};

static struct store *
open_all(int *tables)
{
    struct store *store = store_open(dir, MAP_BYTES);

    for (int i = 0; i < TABLES && store != NULL; i++) {
        tables[i] = store_table(store, names[i]);
        if (tables[i] < 0) {
            store_close(store);
            return NULL;
        }
    }
    return store;
}

/* One transaction of puts and deletes. Values are up to several pages long in two of the tables. */
static void
change(struct store *store, const int *tables, uint64_t *random)
{
    static char value[30000];
    const unsigned count = splitmix_roll(random, 60);
    char key[8];

    assert_int_equal(store_begin(store), 0);
    for (unsigned i = 0; i < count; i++) {
        const unsigned t = splitmix_roll(random, TABLES);
        const size_t max = t < 2 ? 60 : t == 2 ? sizeof value : 6000;
        memset(value, (int)i, max);
        bytes_put_u64(key, splitmix_roll(random, 400));
        if (splitmix_roll(random, 5) < 2)
            assert_true(store_delete(store, tables[t], span_at(key, 8)) >= 0);
        else
            assert_int_equal(store_put(store, tables[t], span_at(key, 8),
                                       span_at(value, splitmix_roll(random, (unsigned)max))), 0);
    }
    assert_int_equal(store_commit(store), 0);
}

static enum pages
look(void)
{
    struct buffer fault = {0};
    const enum pages pages = pages_look(path, &fault);

    assert_int_equal(pages == PAGES_DAMAGED, fault.len > 0);
    if (pages == PAGES_DAMAGED)
        print_message("%s\n", buffer_text(&fault));
    buffer_free(&fault);
    return pages;
}

static void
whatever_was_committed_is_sound(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        uint64_t random = seed;
        int tables[TABLES];
        tear_down(NULL);
        set_up(NULL);
        struct store *store = open_all(tables);
        assert_non_null(store);
        assert_int_equal(look(), PAGES_SOUND);
        for (unsigned i = 0; i < 100; i++) {
            change(store, tables, &random);
            assert_int_equal(look(), PAGES_SOUND);
        }
        store_close(store);
    }
}

/* What a process makes of the file as it is now: opens it, reads everything, and commits. */

enum fate { REFUSED, WORKS };

static int
read_all(struct store *store, int table)
{
    struct store_item item;
    volatile char byte = 0;
    int rc = store_seek(store, table, (struct span){0}, &item);

    for (; rc == 1; rc = store_next(store, table, &item)) {
        for (size_t i = 0; i < item.value.len; i++)
            byte ^= item.value.at[i];
    }
    (void)byte; /* it has been read, and that is all */
    return rc;
}

static void
live(void)
{
    int tables[TABLES];

    alarm(60);
    struct store *store = open_all(tables);
    if (store == NULL)
        _exit(REFUSED);
    if (store_begin(store) != 0)
        _exit(10);
    for (int i = 0; i < TABLES; i++) {
        if (read_all(store, tables[i]) != 0 || store_put(store, tables[i], span_of("another"), span_of("value")) != 0)
            _exit(11);
    }
    if (store_commit(store) != 0)
        _exit(12);
    _exit(WORKS);
}

static void
put_file(const char *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, bytes, len, 0), 0);
    close(fd);
}

static void
assert_file_is(const char *bytes, size_t len)
{
    struct buffer now = {0};

    assert_int_equal(file_read(path, &now), 0);
    assert_int_equal(now.len, len);
    if (len > 0)
        assert_memory_equal(now.data, bytes, len);
    buffer_free(&now);
}

/* The fate of whoever opens these bytes. If it is to be refused nothing is written, nor does who only looks die of it. */
static enum fate
fate_of(const char *bytes, size_t len)
{
    int status;

    put_file(bytes, len);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        live();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > WORKS)
        fail_msg("status 0x%x", (unsigned)status);
    if (WEXITSTATUS(status) == REFUSED) {
        assert_file_is(bytes, len);
        assert_null(store_open_to_read(dir, false));
        assert_null(store_open_to_read(dir, true));
    }
    return (enum fate)WEXITSTATUS(status);
}

static char said[1024];

static void
note_said(const char *text)
{
    snprintf(said, sizeof said, "%s", text);
}

static void
assert_refused(const char *bytes, size_t len, const char *why)
{
    assert_int_equal(fate_of(bytes, len), REFUSED);
    log_follow(note_said);
    said[0] = '\0';
    assert_null(store_open(dir, MAP_BYTES));
    log_follow(NULL);
    if (strstr(said, path) == NULL || strstr(said, why) == NULL || strstr(said, "gait restore") == NULL)
        fail_msg("not said: %s, but: %s", why, said);
}

static void
make_good(unsigned transactions)
{
    uint64_t random = 7;
    int tables[TABLES];
    struct store *store = open_all(tables);

    assert_non_null(store);
    for (unsigned i = 0; i < transactions; i++)
        change(store, tables, &random);
    store_close(store);
    assert_int_equal(file_read(path, &good), 0);
    assert_true(good.len > 40 * PAGE);
}

static void
bug_410_what_was_cut_short_is_named(void **state)
{
    (void)state;
    make_good(12);
    char bytes[40];
    unsigned works = 0;
    for (size_t pages = 0; pages < good.len / PAGE; pages++) {
        for (size_t more = 0; more <= PAGE / 2; more += PAGE / 2)
            works += fate_of(good.data, pages * PAGE + more) == WORKS;
    }
    assert_int_equal(works, 0);
    assert_refused(good.data, 0, "is empty");
    assert_refused(good.data, PAGE / 2, "ends within page 1");
    assert_refused(good.data, PAGE, "ends within page 1");
    assert_refused(good.data, 7, "ends within page 0");
    snprintf(bytes, sizeof bytes, "it has %zu bytes", good.len - PAGE);
    assert_refused(good.data, good.len - PAGE, bytes);
    assert_refused(good.data, 2 * PAGE, "behind the end of the file");
    assert_int_equal(fate_of(good.data, good.len), WORKS);
}

/* Fill the page with what is not its own. */
static void
spoil(char *page, unsigned how)
{
    uint64_t random = how;

    for (size_t i = 0; i < PAGE; i++) {
        const char random_byte = (char)splitmix_roll(&random, 256);
        page[i] = how == 0 ? '\0' : how == 1 ? '\xff' : how == 2 ? "a line of text\n"[i % 15] : random_byte;
    }
}

static void
bug_410_what_was_written_over_is_named(void **state)
{
    (void)state;
    make_good(12);
    unsigned refused = 0;
    char *kept = malloc(PAGE);
    assert_non_null(kept);
    for (size_t page = 0; page < good.len / PAGE; page++) {
        char *at = good.data + page * PAGE;
        memcpy(kept, at, PAGE);
        for (unsigned how = 0; how < 4; how++) {
            spoil(at, how);
            const enum fate fate = fate_of(good.data, good.len);
            refused += fate == REFUSED;
            assert_true(page >= 2 || fate == REFUSED);
        }
        memcpy(at, kept, PAGE);
    }
    free(kept);
    assert_true(refused > good.len / PAGE); /* the rest are free pages, and those inside long values */
}

/* Only a byte here and there of what LMDB goes by. */
static void
bug_410_a_wrong_byte_kills_nobody(void **state)
{
    uint64_t random = 3;

    (void)state;
    make_good(12);
    for (unsigned i = 0; i < 1200; i++) {
        const size_t page = splitmix_roll(&random, (unsigned)(good.len / PAGE));
        const unsigned within = i % 2 == 0 ? (unsigned)PAGE : page < 2 ? 152 : 64; /* there are most of those that matter */
        char *at = good.data + page * PAGE + splitmix_roll(&random, within);
        const char kept = *at;
        *at = (char)splitmix_roll(&random, 256);
        fate_of(good.data, good.len);
        *at = kept;
    }
}

static size_t
word_at(size_t at)
{
    size_t word;

    memcpy(&word, good.data + at, sizeof word);
    return word;
}

/* LMDB would not notice: it would write over what is stored there. The list of free pages is a leaf of few entries here. */
static void
bug_410_a_page_in_use_that_is_listed_as_free_is_named(void **state)
{
    (void)state;
    make_good(12);
    const size_t meta = word_at(144) > word_at(PAGE + 144) ? 0 : PAGE;
    const size_t leaf = word_at(meta + 80) * PAGE;
    size_t list, count = 0;
    for (unsigned i = 0; count == 0; i++) {
        uint16_t node;
        assert_true(i < word_at(meta + 72));
        memcpy(&node, good.data + leaf + 16 + 2 * i, sizeof node);
        list = leaf + node + 16; /* behind the head of the entry and its key */
        count = word_at(list);
    }
    const size_t one_of_tables[] = {1, word_at(meta + 128)};
    memcpy(good.data + list, one_of_tables, sizeof one_of_tables);
    assert_refused(good.data, good.len, "has another use as well");
}

static void
bug_411_what_is_no_store_stays_as_it_is(void **state)
{
    static char text[64 << 10];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "{\"user\":\"a\"}\n"[i % 13];
    const size_t lens[] = {1, 7, 151, 152, PAGE - 1, PAGE, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1, sizeof text};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
        assert_refused(text, lens[i], lens[i] < 152 ? "ends within page 0" : "no LMDB file");
    assert_refused("", 0, "is empty");
    memset(text, 0, sizeof text);
    assert_refused(text, PAGE, "no LMDB file");
    assert_refused(text, 3 * PAGE, "no LMDB file");
}

/* As versions before left it that were cut off while they made it. */
static void
two_pages_without_a_commit_are_begun_anew(void **state)
{
    (void)state;
    store_close(store_open(dir, MAP_BYTES));
    assert_int_equal(file_read(path, &good), 0);
    assert_int_equal(good.len, 2 * PAGE);
    assert_int_equal(fate_of(good.data, good.len), WORKS);
    for (unsigned i = 1; i < 4; i++) {
        struct buffer half = {0};
        buffer_add_span(&half, buffer_span(&good));
        for (unsigned page = 0; page < 2; page++) {
            if ((i >> page & 1) != 0)
                memset(half.data + page * PAGE, 0, PAGE);
        }
        put_file(half.data, half.len);
        assert_int_equal(look(), PAGES_UNBORN);
        assert_int_equal(fate_of(half.data, half.len), WORKS);
        half.data[PAGE - 1] = 'x';
        assert_int_equal(fate_of(half.data, half.len), REFUSED);
        buffer_free(&half);
    }
}

/* Of one who was killed while he made a store. */
static void
a_store_has_its_name_when_it_is_whole(void **state)
{
    char new_path[SCRATCH_DIR_SIZE + 16];
    struct stat status;

    (void)state;
    snprintf(new_path, sizeof new_path, "%s/data.new", dir);
    const int fd = open(new_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(file_write_at(fd, "half", 4, 0), 0);
    close(fd);
    struct store *store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(stat(new_path, &status), -1);
    assert_int_equal(look(), PAGES_SOUND);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    store_close(store);
}

/* Its last pages were given out and taken back in one transaction: LMDB does not write them. */
static void
a_file_may_be_shorter_than_its_last_page(void **state)
{
    unsigned shorter = 0;

    (void)state;
    for (uint64_t seed = 0; shorter == 0; seed++) {
        uint64_t random = seed;
        int tables[TABLES];
        size_t last = 0;
        assert_true(seed < 1000);
        tear_down(NULL);
        set_up(NULL);
        struct store *store = open_all(tables);
        assert_non_null(store);
        for (unsigned i = 0; i < 100 && shorter == 0; i++) {
            size_t metas[2];
            change(store, tables, &random);
            buffer_clear(&good);
            assert_int_equal(file_read(path, &good), 0);
            for (unsigned page = 0; page < 2; page++)
                memcpy(&metas[page], good.data + page * PAGE + 136, sizeof metas[page]);
            last = metas[0] > metas[1] ? metas[0] : metas[1];
            shorter += good.len < (last + 1) * PAGE;
        }
        store_close(store);
    }
    assert_int_equal(fate_of(good.data, good.len), WORKS);
    assert_int_equal(fate_of(good.data, good.len - PAGE), REFUSED);
}

int
main(void)
{
    log_open("test", LOG_NOTHING);
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(whatever_was_committed_is_sound),
        EACH(a_file_may_be_shorter_than_its_last_page),
        EACH(bug_410_what_was_cut_short_is_named),
        EACH(bug_410_what_was_written_over_is_named),
        EACH(bug_410_a_wrong_byte_kills_nobody),
        EACH(bug_410_a_page_in_use_that_is_listed_as_free_is_named),
        EACH(bug_411_what_is_no_store_stays_as_it_is),
        EACH(two_pages_without_a_commit_are_begun_anew),
        EACH(a_store_has_its_name_when_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
