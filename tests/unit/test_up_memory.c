/* memory: what this machine has, also in a control group; and what is said where a packet can cost too much of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "up/memory.h"
#include "scratch_dir.h"
#include "streams/catalog.h"

#define MIB (UINT64_C(1) << 20)

static char root[SCRATCH_DIR_SIZE];

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(root);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_dir_remove(root);
    return 0;
}

/* A file below root, with its folders. */
static void
put(const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s", root, name);
    *strrchr(path, '/') = '\0';
    assert_int_equal(file_make_dirs(path), 0);
    snprintf(path, sizeof path, "%s%s", root, name);
    assert_int_equal(file_replace(path, text), 0);
}

static uint64_t
physical(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
the_least_limit_of_all_groups_above_is_what_there_is(void **state)
{
    (void)state;
    assert_true(memory_of_machine(root) == physical()); /* no groups */
    put("/proc/self/cgroup", "0::/system.slice/gait.service\n");
    assert_true(memory_of_machine(root) == physical());
    put("/sys/fs/cgroup/system.slice/gait.service/memory.max", "max\n");
    put("/sys/fs/cgroup/system.slice/memory.max", "33554432\n");
    assert_true(memory_of_machine(root) == 32 * MIB);
    put("/sys/fs/cgroup/system.slice/gait.service/memory.max", "16777216\n");
    assert_true(memory_of_machine(root) == 16 * MIB);
    put("/sys/fs/cgroup/system.slice/gait.service/memory.max", "99999999999999999999\n");
    put("/sys/fs/cgroup/memory.max", "8388608\n"); /* a container's */
    assert_true(memory_of_machine(root) == 8 * MIB);
    put("/proc/self/cgroup", "nonsense\n\n12\n1:\n0::");
    assert_true(memory_of_machine(root) == 8 * MIB);
}

static void
so_it_is_in_the_first_version_of_groups(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory,x:/a/b\n3:nomemory,memorya:/c\n0::/\n");
    put("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1048576\n");
    put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(memory_of_machine(root) == physical());
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4194304\n");
    assert_true(memory_of_machine(root) == 4 * MIB);
}

/* What is said of payload on a machine with so much memory. */
static const char *
warning(const char *payload, uint64_t memory_bytes)
{
    static struct buffer said;
    struct buffer errors = {0};
    struct config *config = config_new(&catalog_config);

    assert_int_equal(config_set(config, "limits", "payload", payload, "test", &errors), 0);
    buffer_clear(&said);
    memory_warn(config, "gait.conf", memory_bytes, &said);
    config_free(config);
    buffer_free(&errors);
    return buffer_text(&said);
}

/* bug_453: payload = 16MiB let a packet of one device cost 2.5 GB, on any machine, and nothing said so. */
static void
bug_453_a_packet_that_costs_half_the_memory_is_told(void **state)
{
    const uint64_t default_cost = 150 * (MIB + 64 * 1024);

    (void)state;
    assert_string_equal(warning("1MiB", 2 * default_cost), "");
    const char *said = warning("1MiB", 2 * default_cost - 2);
    assert_non_null(strstr(said, "gait.conf: [limits] payload: with 1MiB "));
    assert_non_null(strstr(said, " 159 MiB of a process's memory"));
    assert_non_null(strstr(said, "this machine has 318 MiB"));
    assert_non_null(strstr(said, "max_packet_size"));
    assert_string_equal(warning("16MiB", 8192 * MIB), "");
    assert_non_null(strstr(warning("16MiB", 4096 * MIB), "with 16MiB a packet that is all properties takes 2409 MiB"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_least_limit_of_all_groups_above_is_what_there_is),
        TEST(so_it_is_in_the_first_version_of_groups),
        TEST(bug_453_a_packet_that_costs_half_the_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
