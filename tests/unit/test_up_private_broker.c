/* private_broker: the configuration that gait up writes for its own mosquitto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "wire/wire.h"
#include "up/private_broker.h"
#include "disk.h"
#include "scratch_dir.h"

static int
refuse_writes(const struct disk_call *call)
{
    return call->deed == DISK_WRITE ? ENOSPC : 0;
}

static int
configure(const char *dir, int port)
{
    struct buffer path = {0};
    int rc = private_broker_configure(dir, port, 1u << 20, &path);

    buffer_free(&path);
    return rc;
}

static void
bug_103_gait_up_starts_on_a_full_disk_if_nothing_changed(void **state)
{
    char dir[SCRATCH_DIR_SIZE];
    char path[128];
    struct buffer content = {0};

    (void)state;

    scratch_dir_make(dir);
    snprintf(path, sizeof path, "%s/broker", dir);
    assert_int_equal(file_make_dirs(path), 0);
    assert_int_equal(configure(dir, 1884), 0);
    disk_before = refuse_writes;
    assert_int_equal(configure(dir, 1884), 0);
    assert_int_equal(configure(dir, 1885), -1);
    disk_before = NULL;
    assert_int_equal(configure(dir, 1885), 0);
    snprintf(path, sizeof path, "%s/broker/mosquitto.conf", dir);
    assert_int_equal(file_read(path, &content), 0);
    assert_non_null(strstr(buffer_text(&content), "listener 1885 127.0.0.1\n"));
    buffer_free(&content);
    scratch_dir_remove(dir);
}

/* Whether the file at path has this line. */
static bool
has_line(const char *path, const char *line)
{
    struct buffer content = {0};
    char wanted[80];

    assert_int_equal(file_read(path, &content), 0);
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    const bool found = strstr(buffer_text(&content), wanted) != NULL;
    buffer_free(&content);
    return found;
}

/* A packet of 40 MB of empty properties took 5 GB of a process; one who stays away with a session could fill the memory. */
static void
bug_341_every_broker_of_ours_has_a_limit_of_packets_and_of_what_waits(void **state)
{
    static const char *const files[] = {TESTS_DIR "/../conf/mosquitto.conf", TESTS_DIR "/../conf/compose/mosquitto.conf"};
    char dir[SCRATCH_DIR_SIZE];
    char path[128], lines[3][80];
    struct buffer written = {0};

    (void)state;

    scratch_dir_make(dir);
    snprintf(path, sizeof path, "%s/broker", dir);
    assert_int_equal(file_make_dirs(path), 0);
    snprintf(lines[0], sizeof lines[0], "max_packet_size %zu", wire_packet_bytes(1u << 20));
    snprintf(lines[1], sizeof lines[1], "max_queued_messages %u", PRIVATE_BROKER_QUEUED_MESSAGES_MAX);
    snprintf(lines[2], sizeof lines[2], "max_queued_bytes %u", PRIVATE_BROKER_QUEUED_BYTES_MAX);
    assert_int_equal(private_broker_configure(dir, 1884, 1u << 20, &written), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(has_line(buffer_text(&written), lines[i]));
        for (unsigned f = 0; f < 2; f++)
            assert_true(has_line(files[f], lines[i]));
    }
    buffer_clear(&written);
    assert_int_equal(private_broker_configure(dir, 1884, 16u << 20, &written), 0);
    snprintf(lines[0], sizeof lines[0], "max_packet_size %u", (16u << 20) + (64u << 10));
    assert_true(has_line(buffer_text(&written), lines[0]));
    buffer_free(&written);
    scratch_dir_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_103_gait_up_starts_on_a_full_disk_if_nothing_changed),
        cmocka_unit_test(bug_341_every_broker_of_ours_has_a_limit_of_packets_and_of_what_waits),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
