/* intercept: one library calls us, and nobody else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <MQTTAsync.h>

#include "base/broker.h"
#include "mqtt/intercept.h"
#include "mqtt/mqtt.h"

static struct wire *wire; /* so that Paho has begun, and ours has */
static unsigned mallocs;

static void *
count_malloc(size_t size)
{
    mallocs++;
    return malloc(size);
}

static const void *
paho(void)
{
    return (const void *)(uintptr_t)MQTTAsync_malloc;
}

static const char *
intercept(const void *inside, const char *name, void (*instead)(void))
{
    const struct intercept call = {name, instead};
    return intercept_calls(inside, &call, 1);
}

static void
one_library_calls_us_and_nobody_else_does(void **state)
{
    (void)state;
    assert_null(intercept(paho(), "malloc", (void (*)(void))count_malloc));
    mallocs = 0;
    MQTTAsync_free(MQTTAsync_malloc(10));
    const unsigned of_paho = mallocs;
    assert_true(of_paho > 0);
    free(strdup("another library's call"));
    void *volatile ours = malloc(10);
    free(ours);
    assert_int_equal(mallocs, of_paho);
    assert_null(intercept(paho(), "malloc", (void (*)(void))malloc));
    MQTTAsync_free(MQTTAsync_malloc(10));
    assert_int_equal(mallocs, of_paho);
}

static void
what_is_not_called_is_named(void **state)
{
    static int nowhere;
    (void)state;
    assert_string_equal(intercept(paho(), "mallocs", (void (*)(void))count_malloc), "mallocs");
    assert_string_equal(intercept(paho(), "", (void (*)(void))count_malloc), "");
    assert_string_equal(intercept(&nowhere, "malloc", (void (*)(void))count_malloc), "malloc"); /* the program itself */
    assert_string_equal(intercept(NULL, "malloc", (void (*)(void))count_malloc), "malloc");
    mallocs = 0;
    MQTTAsync_free(MQTTAsync_malloc(10));
    assert_int_equal(mallocs, 0);
}

/* Whatever is answered for Paho is the C library's for all others: nothing of it is found by its name. */
static void
a_program_with_paho_in_it_takes_nobodys_place(void **state)
{
    static const char *const names[] = {"usleep", "pthread_cond_signal", "pthread_cond_timedwait",
                                        "connect", "getsockopt", "poll"};
    Dl_info here, found;
    (void)state;
    assert_int_not_equal(dladdr((const void *)&names, &here), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *function = dlsym(RTLD_DEFAULT, names[i]);
        assert_non_null(function);
        assert_int_not_equal(dladdr(function, &found), 0);
        if (found.dli_fbase == here.dli_fbase)
            fail_msg("%s is the program's", names[i]);
    }
}

static int
set_up(void **state)
{
    static const struct wire_options options = {.client_name = "nobody"};
    static const struct wire_events events = {0};
    const struct broker broker = {.host = "127.0.0.1", .port = 1};
    (void)state;
    wire = mqtt_wire(&broker, &options, &events);
    return wire != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    wire->calls->free(wire);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_library_calls_us_and_nobody_else_does),
        cmocka_unit_test(what_is_not_called_is_named),
        cmocka_unit_test(a_program_with_paho_in_it_takes_nobodys_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
