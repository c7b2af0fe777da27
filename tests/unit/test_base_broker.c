/* broker: options mean what mosquitto_pub's mean; URLs; and what the configuration adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/broker.h"

static void
addresses_are_taken_apart(void **state)
{
    const struct {
        const char *text;
        const char *host;
        int port;
    } cases[] = {
        {"example.org", "example.org", 0}, {"example.org:1", "example.org", 1}, {"10.0.0.1:65535", "10.0.0.1", 65535},
        {"::1", "::1", 0},                 {"[::1]", "::1", 0},                 {"[::1]:1884", "::1", 1884},
    };

    (void)state;
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
    static char endless[1000];

    (void)state;
    memset(endless, 'x', sizeof endless - 1);
    const char *const cases[] = {"", ":1883", "host:", "host:0", "host:65536", "host:18x", "host:-1", "host: 1", "[::1",
                                 "[::1]x", "[]:1", endless};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker broker = {.port = 0};
        assert_int_equal(broker_option(&broker, BROKER_OPTION_BROKER, cases[i]), -1);
    }
}

static void
assert_same(const char *got, const char *want)
{
    assert_string_equal(got != NULL ? got : "none", want != NULL ? want : "none");
}

static void
urls_are_taken_apart(void **state)
{
    const struct {
        const char *text;
        const char *host;
        int port; /* once the default is filled in */
        bool tls;
        const char *username;
        const char *password;
    } cases[] = {
        {"mqtt://example.org", "example.org", 1883, false, NULL, NULL},
        {"mqtts://example.org", "example.org", 8883, true, NULL, NULL},
        {"MQTTS://example.org/", "example.org", 8883, true, NULL, NULL},
        {"mqtt://example.org:1884/", "example.org", 1884, false, NULL, NULL},
        {"mqtts://[::1]:8884", "::1", 8884, true, NULL, NULL},
        {"mqtt://[fe80::1]", "fe80::1", 1883, false, NULL, NULL},
        {"mqtt://ada@h", "h", 1883, false, "ada", NULL},
        {"mqtt://ada:secret@h:7", "h", 7, false, "ada", "secret"},
        {"mqtt://ada:@h", "h", 1883, false, "ada", ""},
        {"mqtt://a%40b:p%3aq%2F%25@[::1]:7", "::1", 7, false, "a@b", "p:q/%"},
        {"mqtt://ada:p@q:r@h", "h", 1883, false, "ada", "p@q:r"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker broker = {.port = 0};
        assert_int_equal(broker_option(&broker, i % 2 == 0 ? BROKER_OPTION_BROKER : 'h', cases[i].text), 1);
        broker_defaults(&broker);
        assert_string_equal(broker.host, cases[i].host);
        assert_int_equal(broker.port, cases[i].port);
        assert_int_equal(broker_speaks_tls(&broker), cases[i].tls);
        assert_same(broker.username, cases[i].username);
        assert_same(broker.password, cases[i].password);
    }
}

/* What is said on standard error while broker_option takes text, into said. */
static int
take_and_listen(const char *text, char *said, size_t size)
{
    struct broker broker = {.port = 0};
    int kept = dup(STDERR_FILENO);
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    int rc = broker_option(&broker, BROKER_OPTION_BROKER, text);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(ends[1]);
    ssize_t len = read(ends[0], said, size - 1);
    close(ends[0]);
    said[len > 0 ? len : 0] = '\0';
    return rc;
}

static void
a_refused_url_names_what_is_spoken_and_no_password(void **state)
{
    const struct {
        const char *text;
        const char *word; /* in what is said */
    } cases[] = {
        {"ws://h:80", "'ws://' is not spoken"}, {"tcp://h", "mqtts://"},
        {"://h", "mqtt://"},                    {"mqtt://", "no address"},
        {"mqtt://ada:secret@", "no address"},   {"mqtt://ada:secret@h:0", "the port is"},
        {"mqtt://h/topic", "no address"},       {"mqtt://h:1883/topic", "port"},
        {"mqtt://ada:secret%@h", "%25"},        {"mqtt://ada:secret%0@h", "%25"},
        {"mqtt://ada:secret%00@h", "%25"},      {"ada:secret@h:1883", "no address"},
        {"ada:secret@h", "no address"},         {"mqtt://ada:secret@h?x", "no address"},
        {"--json", "no address"},               {"h h", "no address"},
        {"mqtt://ada:secret", "the port is"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char said[512];
        assert_int_equal(take_and_listen(cases[i].text, said, sizeof said), -1);
        assert_non_null(strstr(said, cases[i].word));
        assert_null(strstr(said, "secret"));
    }
}

static void
an_address_is_written_as_it_is_taken(void **state)
{
    const char *const cases[] = {"h", "h:1", "[::1]:1884", "mqtt://h:7", "mqtts://[::1]:7", "mqtts://h"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker broker = {.port = 0};
        struct buffer text = {NULL, 0, 0};
        assert_int_equal(broker_option(&broker, BROKER_OPTION_BROKER, cases[i]), 1);
        broker_address(&broker, &text);
        assert_string_equal(buffer_text(&text), cases[i]);
        buffer_free(&text);
    }
}

#define MQTT_TEXT(name) {"mqtt", name, CONFIG_TEXT, NULL, NULL, NULL, NULL, ""}

static const struct config_key keys[] = {
    {"mqtt", "host", CONFIG_HOST, "127.0.0.1", NULL, NULL, NULL, ""},
    {"mqtt", "port", CONFIG_INTEGER, "0", "0", "65535", NULL, ""},
    MQTT_TEXT("username"), MQTT_TEXT("password"), MQTT_TEXT("cafile"), MQTT_TEXT("cert"), MQTT_TEXT("key"),
};

static const struct config_key *
find_key(unsigned row)
{
    return row < sizeof keys / sizeof keys[0] ? &keys[row] : NULL;
}

static const char *
find_process(unsigned number)
{
    (void)number;
    return NULL;
}

static const struct config_table table = {find_key, find_process};

/* A configuration with everything, over TLS. */
static struct config *
full_config(void)
{
    static const char *const values[][2] = {
        {"host", "there"}, {"port", "9"},     {"username", "gait"}, {"password", "secret"},
        {"cafile", "ca"},  {"cert", "cert"}, {"key", "key"},
    };
    struct buffer errors = {NULL, 0, 0};
    struct config *config = config_new(&table);

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(config_set(config, "mqtt", values[i][0], values[i][1], "here", &errors), 0);
    buffer_free(&errors);
    return config;
}

static void
the_command_line_wins_over_the_configuration(void **state)
{
    struct config *config = full_config();
    struct broker all = {.port = 0};

    (void)state;
    assert_int_equal(broker_complete(&all, config), 0);
    assert_string_equal(all.host, "there");
    assert_int_equal(all.port, 9);
    assert_string_equal(all.username, "gait");
    assert_string_equal(all.password, "secret");
    assert_string_equal(all.cafile, "ca");
    assert_true(broker_speaks_tls(&all));

    struct broker some = {.host = "here", .port = 7, .username = "other", .cafile = "mine"};
    assert_int_equal(broker_complete(&some, config), 0);
    assert_string_equal(some.host, "here");
    assert_int_equal(some.port, 7);
    assert_string_equal(some.username, "other");
    assert_null(some.password); /* that is another user's */
    assert_string_equal(some.cafile, "mine");
    config_free(config);
}

static void
a_url_without_tls_takes_no_certificates(void **state)
{
    struct config *config = full_config();
    struct broker plain = {.port = 0};

    (void)state;
    assert_int_equal(broker_option(&plain, BROKER_OPTION_BROKER, "mqtt://h"), 1);
    assert_int_equal(broker_complete(&plain, config), 0);
    assert_null(plain.cafile);
    assert_false(broker_speaks_tls(&plain));
    struct broker contradictory = {.cafile = "ca"};
    assert_int_equal(broker_option(&contradictory, BROKER_OPTION_BROKER, "mqtt://h"), 1);
    assert_int_equal(broker_complete(&contradictory, config), -1);
    config_free(config);
}

static void
a_certificate_is_not_left_unused(void **state)
{
    struct config *config = config_new(&table);
    struct broker plain = {.cert = "cert"};

    (void)state;
    assert_int_equal(broker_complete(&plain, config), -1);
    struct broker tls = {.cert = "cert", .cafile = "ca"};
    assert_int_equal(broker_complete(&tls, config), 0);
    struct broker url = {.cert = "cert", .tls = BROKER_TLS_ALWAYS};
    assert_int_equal(broker_complete(&url, config), 0);
    assert_int_equal(url.port, 8883);
    config_free(config);
}

static void
the_options_of_mosquitto_pub_are_taken_and_no_others(void **state)
{
    struct broker broker = {.port = 0};

    (void)state;
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
    struct broker plain = {.port = 0};

    (void)state;
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

static void
bug_291_no_password_stays_in_the_command_line(void **state)
{
    const struct {
        int option;
        const char *text;
        const char *left;
        const char *password;
    } cases[] = {
        {'P', "secret", "******", "secret"},
        {'P', "", "", ""},
        {'h', "mqtt://u:secret@h:1", "mqtt://u:******@h:1", "secret"},
        {BROKER_OPTION_BROKER, "mqtts://u:a@:b@h", "mqtts://u:****@h", "a@:b"},
        {BROKER_OPTION_BROKER, "mqtt://u@[::1]:7", "mqtt://u@[::1]:7", NULL},
        {BROKER_OPTION_BROKER, "[::1]:7", "[::1]:7", NULL},
        {'u', "mqtt://u:x@h", "mqtt://u:x@h", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker broker = {.port = 0};
        char arg[64];
        snprintf(arg, sizeof arg, "%s", cases[i].text);
        assert_int_equal(broker_argument(&broker, cases[i].option, arg), 1);
        assert_string_equal(arg, cases[i].left);
        if (cases[i].password == NULL)
            assert_null(broker.password);
        else
            assert_string_equal(broker.password, cases[i].password);
    }
}

/* Its own user can read the environment; what we start must not, and nothing that is there later. */
static void
the_environment_says_the_password_once(void **state)
{
    struct config *config = full_config();
    struct broker broker = {.username = "other"};
    struct broker second = {.username = "other"};
    struct broker with = {.username = "other"};

    (void)state;
    setenv(BROKER_PASSWORD, "of the environment", 1);
    const char *kept = getenv(BROKER_PASSWORD);
    assert_int_equal(broker_complete(&broker, config), 0);
    assert_string_equal(broker.password, "of the environment");
    assert_string_equal(kept, "");
    assert_null(getenv(BROKER_PASSWORD));
    assert_int_equal(broker_complete(&second, config), 0);
    assert_null(second.password);

    setenv(BROKER_PASSWORD, "of the environment", 1);
    assert_int_equal(broker_option(&with, 'P', "of the option"), 1);
    assert_int_equal(broker_complete(&with, config), 0);
    assert_string_equal(with.password, "of the option");
    assert_null(getenv(BROKER_PASSWORD));
    config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(a_refused_url_names_what_is_spoken_and_no_password),
        cmocka_unit_test(an_address_is_written_as_it_is_taken),
        cmocka_unit_test(the_command_line_wins_over_the_configuration),
        cmocka_unit_test(a_url_without_tls_takes_no_certificates),
        cmocka_unit_test(a_certificate_is_not_left_unused),
        cmocka_unit_test(the_options_of_mosquitto_pub_are_taken_and_no_others),
        cmocka_unit_test(the_default_port_depends_on_tls),
        cmocka_unit_test(bug_291_no_password_stays_in_the_command_line),
        cmocka_unit_test(the_environment_says_the_password_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
