/* private_broker: the configuration that gait up writes for its own mosquitto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "../../cmd/gait/private_broker.h" /* not the tests' header of that name */
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
    int rc = private_broker_configure(dir, port, &path);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_103_gait_up_starts_on_a_full_disk_if_nothing_changed),
    };
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
