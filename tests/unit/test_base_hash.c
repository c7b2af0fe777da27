/* hash: values that other programs can compute too, and one key for all processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"

static char dir[32];
static char path[64];

static int
make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gait-hash-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/key", dir);
    return 0;
}

static int
remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

/* The key 00 01 02 … 1f. */
static struct hash_key
test_key(void)
{
    struct hash_key key;

    for (unsigned i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (unsigned char)i;
    return key;
}

static void
an_id_is_keyed_blake2b_of_lengths_and_parts(void **state)
{
    /* From Python's hashlib.blake2b(b"\0\0\0\0\0\0\0\3abc" + b"\0\0\0\0\0\0\0\1d", key=bytes(range(32)),
     * digest_size=16). */
    struct hash_key key = test_key();
    const struct span parts[] = {span_of("abc"), span_of("d")};
    struct hash_id id = hash_id(&key, parts, 2);
    char hex[HASH_ID_HEX_SIZE];

    (void)state;
    hash_hex(&id, hex);
    assert_string_equal(hex, "2eba066c0764de0bec08eb5c960445bf");
}

/* The first and the sixteenth vector of the SipHash-2-4 paper's reference, as big-endian numbers: key 00 01 … 0f, input
 * empty and 00 01 … 0e. */
static void
a_fingerprint_is_siphash_under_half_the_key(void **state)
{
    struct hash_key key = test_key();

    (void)state;
    assert_true(hash_64(&key, span_of("")) == UINT64_C(0x310e0edd47db6f72));
    assert_true(hash_64(&key, span_at(key.bytes, 15)) == UINT64_C(0xe545be4961ca29a1));
}

static void
no_two_lists_of_parts_collide(void **state)
{
    struct hash_key key = test_key();
    const struct span lists[][3] = {
        {span_of("ab"), span_of("c"), span_of("")}, {span_of("a"), span_of("bc"), span_of("")},
        {span_of("abc"), span_of(""), span_of("")}, {span_of(""), span_of(""), span_of("abc")},
        {span_of(""), span_of("abc"), {NULL, 0}},
    };
    struct hash_id ids[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        ids[i] = hash_id(&key, lists[i], 3);
        for (unsigned j = 0; j < i; j++)
            assert_memory_not_equal(ids[i].bytes, ids[j].bytes, HASH_ID_BYTES);
    }
    struct hash_id two = hash_id(&key, lists[0], 2);
    assert_memory_not_equal(two.bytes, ids[0].bytes, HASH_ID_BYTES);
}

static void
another_key_gives_another_id(void **state)
{
    struct hash_key key = test_key();
    struct span part = span_of("abc");
    struct hash_id one = hash_id(&key, &part, 1);

    (void)state;
    key.bytes[31] ^= 1;
    struct hash_id other = hash_id(&key, &part, 1);
    assert_memory_not_equal(one.bytes, other.bytes, HASH_ID_BYTES);
}

static void
the_checksum_is_siphash_and_stays_what_it_is(void **state)
{
    (void)state;
    /* SipHash-2-4 under the key "gait's checksum\0", from an implementation of the paper; as files hold it. */
    assert_true(hash_checksum(span_of("")) == UINT64_C(0x92f57d8f4ac5991e));
    assert_true(hash_checksum(span_of("inbox entry")) == UINT64_C(0x0544dd47224dbdfa));
}

static void
read_key(const char *file, struct hash_key *key)
{
    struct buffer fault = {NULL, 0, 0};

    assert_int_equal(hash_key_file(file, key, &fault), 0);
    assert_int_equal(fault.len, 0);
}

/* Who reads the key and who only looks at it say the same, and that has these words in it. */
static void
refuse_key(const char *file, int error, const char *words)
{
    struct hash_key key;
    struct buffer read = {NULL, 0, 0};
    struct buffer looked = {NULL, 0, 0};

    errno = 0;
    assert_int_equal(hash_key_file(file, &key, &read), -1);
    assert_int_equal(errno, error);
    errno = 0;
    assert_int_equal(hash_key_look(file, &looked), -1);
    assert_int_equal(errno, error);
    assert_string_equal(buffer_text(&read), buffer_text(&looked));
    assert_non_null(strstr(buffer_text(&read), file));
    assert_non_null(strstr(buffer_text(&read), words));
    buffer_free(&read);
    buffer_free(&looked);
}

static void
a_missing_key_file_is_made_and_read_again(void **state)
{
    struct hash_key first;
    struct hash_key second;
    struct stat info;
    struct buffer fault = {NULL, 0, 0};

    (void)state;
    assert_int_equal(hash_key_look(path, &fault), 0);
    assert_int_equal(access(path, F_OK), -1);
    read_key(path, &first);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0400);
    assert_int_equal(info.st_size, HASH_KEY_BYTES);
    assert_int_equal(info.st_nlink, 1);
    assert_int_equal(hash_key_look(path, &fault), 1);
    assert_int_equal(fault.len, 0);
    read_key(path, &second);
    assert_memory_equal(first.bytes, second.bytes, HASH_KEY_BYTES);
}

static void *
read_key_in_thread(void *key)
{
    struct buffer fault = {NULL, 0, 0};

    return hash_key_file(path, key, &fault) == 0 ? key : NULL;
}

static void
all_who_make_a_key_file_at_once_get_the_same_key(void **state)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    struct hash_key keys[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_key_in_thread, &keys[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
        assert_memory_equal(keys[i].bytes, keys[0].bytes, HASH_KEY_BYTES);
    }
}

static void
write_file(const char *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, bytes, len, 0), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void
a_key_file_of_another_size_is_refused(void **state)
{
    const char bytes[HASH_KEY_BYTES + 1] = "x";
    const size_t sizes[] = {0, HASH_KEY_BYTES - 1, HASH_KEY_BYTES + 1};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        write_file(bytes, sizes[i], 0600);
        refuse_key(path, EINVAL, "bytes; allowed is a file of 32");
        unlink(path);
    }
}

static void
a_key_file_that_others_may_read_is_refused(void **state)
{
    struct hash_key key;
    const char bytes[HASH_KEY_BYTES] = "x";
    const mode_t modes[] = {0440, 0604, 0644, 0620, 0640, 0660, 0401, 0666};

    (void)state;
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_file(bytes, sizeof bytes, modes[i]);
        refuse_key(path, EPERM, "; allowed is that only its owner may read it: chmod 0400 ");
        unlink(path);
    }
    write_file(bytes, sizeof bytes, 0600);
    read_key(path, &key);
    assert_memory_equal(key.bytes, bytes, sizeof bytes);
}

static void
a_key_file_of_somebody_else_is_refused(void **state)
{
    const char bytes[HASH_KEY_BYTES] = "x";

    (void)state;
    if (geteuid() != 0)
        skip(); /* nobody else can make one */
    write_file(bytes, sizeof bytes, 0400);
    assert_int_equal(chown(path, 12345, 0), 0);
    refuse_key(path, EPERM, "belongs to user 12345, who could read and change it; allowed are root and user 0");
}

static void
a_link_as_key_file_is_refused(void **state)
{
    const char bytes[HASH_KEY_BYTES] = "x";
    char link[96];

    (void)state;
    write_file(bytes, sizeof bytes, 0400);
    snprintf(link, sizeof link, "%s/link", dir);
    assert_int_equal(symlink(path, link), 0);
    refuse_key(link, ELOOP, "is a symbolic link; allowed is the file itself");
    unlink(link);
}

static void
a_fifo_or_folder_as_key_file_is_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_key(path, EINVAL, "is a folder, a pipe or a device; allowed is a file of 32 bytes");
    refuse_key(dir, EINVAL, "is a folder, a pipe or a device; allowed is a file of 32 bytes");
}

static void
a_key_file_in_a_missing_folder_is_refused(void **state)
{
    char missing[96];

    (void)state;
    snprintf(missing, sizeof missing, "%s/none/key", dir);
    refuse_key(missing, ENOENT, "; the folder that it is in has to be there: make it");
}

/* Sanitizers do not let mlock through. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOCK_WORKS false
#else
#define MLOCK_WORKS true
#endif

static long
locked_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmLck: %ld", &kib);
    fclose(file);
    return kib;
}

static void
memory_for_secrets_is_locked_and_empty(void **state)
{
    static unsigned char here[20000];
    struct rlimit limit;
    const long before = locked_kib();
    unsigned char *secret = hash_secret_new(9000);

    (void)state;
    assert_int_equal((uintptr_t)secret % 16, 0);
    for (unsigned i = 0; i < 9000; i++)
        assert_int_equal(secret[i], 0);
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    hash_secret_keep(here, sizeof here);
    if (MLOCK_WORKS && limit.rlim_cur >= 1 << 20)
        assert_true(locked_kib() >= before + 9 + 16);
    hash_secret_free(secret);
    hash_secret_free(NULL);
    memset(here, 'x', sizeof here);
    hash_wipe(here, sizeof here);
    for (unsigned i = 0; i < sizeof here; i++)
        assert_int_equal(here[i], 0);
}

/* To go without is better than not to go. */
static void
memory_that_cant_be_locked_is_used_all_the_same(void **state)
{
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    const struct rlimit none = {0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    char *secret = hash_secret_new(100);
    memset(secret, 'x', 100);
    hash_secret_keep(path, sizeof path);
    hash_secret_free(secret);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

static int
start(void **state)
{
    (void)state;
    hash_init();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_keyed_blake2b_of_lengths_and_parts),
        cmocka_unit_test(a_fingerprint_is_siphash_under_half_the_key),
        cmocka_unit_test(no_two_lists_of_parts_collide),
        cmocka_unit_test(another_key_gives_another_id),
        cmocka_unit_test(the_checksum_is_siphash_and_stays_what_it_is),
        cmocka_unit_test(memory_for_secrets_is_locked_and_empty),
        cmocka_unit_test(memory_that_cant_be_locked_is_used_all_the_same),
        cmocka_unit_test_setup_teardown(a_missing_key_file_is_made_and_read_again, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(all_who_make_a_key_file_at_once_get_the_same_key, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_key_file_of_another_size_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_key_file_that_others_may_read_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_key_file_of_somebody_else_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_link_as_key_file_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_fifo_or_folder_as_key_file_is_refused_at_once, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_key_file_in_a_missing_folder_is_refused, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
