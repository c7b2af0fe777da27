/* broker: options mean what mosquitto_pub's mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/broker.h"

static void
addresses_are_taken_apart(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *host;
        int port;
    } cases[] = {
        {"example.org", "example.org", 0}, {"example.org:1", "example.org", 1}, {"10.0.0.1:65535", "10.0.0.1", 65535},
        {"::1", "::1", 0},                 {"[::1]", "::1", 0},                 {"[::1]:1884", "::1", 1884},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker broker = {.port = 0};
        assert_int_equal(broker_option(&broker, BROKER_OPTION_BROKER, cases[i].text), 1);
        assert_string_equal(broker.host, cases[i].host);
        assert_int_equal(broker.port, cases[i].port);
    }
}

static void
what_is_no_address_is_refused(void **state)
{
    (void)state;
    static char endless[1000];
    memset(endless, 'x', sizeof endless - 1);
    const char *const cases[] = {"", ":1883", "host:", "host:0", "host:65536", "host:18x", "host:-1", "host: 1", "[::1",
                                 "[::1]x", "[]:1", endless};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker broker = {.port = 0};
        assert_int_equal(broker_option(&broker, BROKER_OPTION_BROKER, cases[i]), -1);
    }
}

static void
the_options_of_mosquitto_pub_are_taken_and_no_others(void **state)
{
    (void)state;
    struct broker broker = {.port = 0};
    assert_int_equal(broker_option(&broker, 'h', "host"), 1);
    assert_int_equal(broker_option(&broker, 'p', "1900"), 1);
    assert_int_equal(broker_option(&broker, 'u', "name"), 1);
    assert_int_equal(broker_option(&broker, 'P', "secret"), 1);
    assert_int_equal(broker_option(&broker, BROKER_OPTION_CAFILE, "ca"), 1);
    assert_int_equal(broker_option(&broker, BROKER_OPTION_CERT, "cert"), 1);
    assert_int_equal(broker_option(&broker, BROKER_OPTION_KEY, "key"), 1);
    assert_int_equal(broker_option(&broker, 'x', "x"), 0);
    assert_int_equal(broker_option(&broker, '?', NULL), 0);
    assert_int_equal(broker_option(&broker, 'p', "0"), -1);
    assert_string_equal(broker.host, "host");
    assert_int_equal(broker.port, 1900);
    assert_string_equal(broker.username, "name");
    assert_string_equal(broker.password, "secret");
    assert_string_equal(broker.cafile, "ca");
    assert_string_equal(broker.cert, "cert");
    assert_string_equal(broker.key, "key");
}

static void
the_default_port_depends_on_tls(void **state)
{
    (void)state;
    struct broker plain = {.port = 0};
    broker_defaults(&plain);
    assert_string_equal(plain.host, "127.0.0.1");
    assert_int_equal(plain.port, 1883);
    struct broker tls = {.host = "h", .cafile = "ca"};
    broker_defaults(&tls);
    assert_string_equal(tls.host, "h");
    assert_int_equal(tls.port, 8883);
    struct broker given = {.port = 7, .cafile = "ca"};
    broker_defaults(&given);
    assert_int_equal(given.port, 7);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(the_options_of_mosquitto_pub_are_taken_and_no_others),
        cmocka_unit_test(the_default_port_depends_on_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
