/* config: each value is right, or an error says where and what is allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "base/name.h"

static const char *const colours[] = {"red", "green", "blue", NULL};
static const struct config_key keys[] = {
    {"net", "host", CONFIG_TEXT, "localhost", NULL, NULL, NULL, "Where."},
    {"net", "port", CONFIG_INTEGER, "1883", "1", "65535", NULL, "Which."},
    {"net", "password", CONFIG_SECRET, NULL, NULL, NULL, NULL, "Secret."},
    {"net", "key", CONFIG_SECRET_FILE, NULL, NULL, NULL, NULL, "In it is one."},
    {"net", "offset", CONFIG_INTEGER, "-5", "-10", NULL, NULL, "May be negative."},
    {"net", "root", CONFIG_TOPIC, "top", NULL, NULL, NULL, "Above all."},
    {"*", "hold", CONFIG_DURATION, "24h", "0", "365d", NULL, "How long."},
    {"*", "since", CONFIG_DATE, "2000-01-01", "1970-01-01", "2100-12-31", NULL, "From when."},
    {"*", "room", CONFIG_SIZE, "1MiB", "1KiB", "1024GiB", NULL, "How much."},
    {"*", "friends", CONFIG_NAMES, NULL, NULL, NULL, NULL, "Who."},
    {"two", "colour", CONFIG_CHOICE, "green", NULL, NULL, colours, "What it looks like."},
    {"two", "loud", CONFIG_SWITCH, "off", NULL, NULL, NULL, "Whether it can be heard."},
};

static const struct config_key *
find_key(unsigned row)
{
    return row < sizeof keys / sizeof keys[0] ? &keys[row] : NULL;
}

static const char *
find_process(unsigned number)
{
    static const char *const processes[] = {"one", "two"};

    return number < sizeof processes / sizeof processes[0] ? processes[number] : NULL;
}

static const struct config_table table = {find_key, find_process};

static char path[] = "/tmp/gait-config-XXXXXX";
static struct config *config;
static struct buffer errors;

static int
set_up(void **state)
{
    (void)state;
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    config = config_new(&table);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    config_free(config);
    config = NULL;
    buffer_free(&errors);
    return unlink(path);
}

static int
read_bytes(struct span bytes)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, bytes.at, bytes.len, 0), 0);
    close(fd);
    buffer_clear(&errors);
    return config_read(config, path, &errors);
}

static void
accept(const char *text)
{
    int result = read_bytes(span_of(text));

    if (result != 0)
        print_error("%s", buffer_text(&errors));
    assert_int_equal(result, 0);
    assert_int_equal(errors.len, 0);
}

/* Reading text fails with exactly these lines, each of which has the path before it. */
static void
refuse(const char *text, const char *expected)
{
    struct buffer lines = {NULL, 0, 0};

    while (*expected != '\0') {
        size_t len = strcspn(expected, "\n") + 1;
        buffer_printf(&lines, "%s:%.*s", path, (int)len, expected);
        expected += len;
    }
    assert_int_equal(read_bytes(span_of(text)), -1);
    assert_string_equal(buffer_text(&errors), buffer_text(&lines));
    buffer_free(&lines);
}

static void
everything_has_its_default(void **state)
{
    (void)state;
    accept("");
    assert_string_equal(config_text(config, "net", "host"), "localhost");
    assert_string_equal(config_text(config, "net", "password"), "");
    assert_int_equal(config_int(config, "net", "port"), 1883);
    assert_int_equal(config_int(config, "net", "offset"), -5);
    assert_int_equal(config_int(config, "one", "hold"), 86400000);
    assert_int_equal(config_int(config, "two", "room"), 1048576);
    assert_int_equal(config_int(config, "two", "colour"), 1);
    assert_int_equal(config_int(config, "two", "loud"), 0);
}

static void
every_type_is_read(void **state)
{
    (void)state;
    accept("\xEF\xBB\xBF# comment\r\n"
           "[net]\n"
           "host = a;b#c=d:e\n"
           "  port=65535\r\n"
           "\toffset : -10\n"
           "; another\n"
           "\n"
           "[two]\n"
           "hold = 1500ms\n"
           "room = 2GiB\n"
           "colour = blue\n"
           "loud = on\n"
           "friends = a, B-2 ,c_3\n"
           "[one]\n"
           "hold = 0\n"
           "since = 1970-01-02\n"
           "room = 1024B");
    assert_int_equal(config_int(config, "one", "since"), 86400000);
    assert_int_equal(config_int(config, "two", "since"), INT64_C(946684800000));
    assert_string_equal(config_text(config, "net", "host"), "a;b#c=d:e");
    assert_int_equal(config_int(config, "net", "port"), 65535);
    assert_int_equal(config_int(config, "net", "offset"), -10);
    assert_int_equal(config_int(config, "two", "hold"), 1500);
    assert_int_equal(config_int(config, "two", "room"), INT64_C(2) << 30);
    assert_int_equal(config_int(config, "two", "colour"), 2);
    assert_string_equal(config_text(config, "two", "colour"), "blue");
    assert_int_equal(config_int(config, "two", "loud"), 1);
    assert_int_equal(config_int(config, "one", "hold"), 0);
    assert_int_equal(config_int(config, "one", "room"), 1024);
    assert_string_equal(config_text(config, "two", "friends"), "a, B-2 ,c_3");
}

static void
a_date_is_one_of_the_calendar(void **state)
{
    (void)state;
    accept("[one]\nsince = 2024-02-29\n");
    assert_int_equal(config_int(config, "one", "since"), INT64_C(1709164800000));
    static const struct {
        const char *value, *wrong;
    } cases[] = {
        {"2023-02-29", "is not a date"},
        {"2023-13-01", "is not a date"},
        {"2023-00-01", "is not a date"},
        {"2023-01-00", "is not a date"},
        {"2023-1-1", "is not a date"},
        {"2023-01-01T00", "is not a date"},
        {"23-01-2001", "is not a date"},
        {"2023/01/01", "is not a date"},
        {"2023-0x-01", "is not a date"},
        {"0", "is not a date"},
        {"1969-12-31", "is too small"},
        {"2101-01-01", "is too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text = {0}, line = {0};
        buffer_printf(&text, "[one]\nsince = %s\n", cases[i].value);
        buffer_printf(&line, "2: [one] since: '%s' %s; allowed is a date from 1970-01-01 to 2100-12-31, as YYYY-MM-DD\n",
                      cases[i].value, cases[i].wrong);
        refuse(buffer_text(&text), buffer_text(&line));
        buffer_free(&text);
        buffer_free(&line);
    }
}

static void
every_unit_has_its_factor(void **state)
{
    const struct {
        const char *key;
        const char *value;
        int64_t number;
    } cases[] = {
        {"hold", "7ms", 7},           {"hold", "7s", 7000},         {"hold", "7m", 420000},
        {"hold", "7h", 25200000},     {"hold", "365d", 31536000000}, {"hold", "0d", 0},
        {"room", "5000B", 5000},      {"room", "7KiB", 7168},       {"room", "7MiB", 7340032},
        {"room", "1024GiB", INT64_C(1) << 40},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(config_set(config, "one", cases[i].key, cases[i].value, "test", &errors), 0);
        assert_true(config_int(config, "one", cases[i].key) == cases[i].number);
    }
}

static void
what_is_no_value_is_refused_with_what_is_allowed(void **state)
{
    (void)state;
    refuse("[net]\nport = 0\n", "2: [net] port: '0' is too small; allowed is an integer from 1 to 65535\n");
    refuse("[net]\nport = 65536\n", "2: [net] port: '65536' is too large; allowed is an integer from 1 to 65535\n");
    refuse("[net]\nport =\n", "2: [net] port: '' is not a number; allowed is an integer from 1 to 65535\n");
    refuse("[net]\nport = 0x10\n", "2: [net] port: '0x10' is not a number; allowed is an integer from 1 to 65535\n");
    refuse("[net]\nport = 18 83\n", "2: [net] port: '18 83' is not a number; allowed is an integer from 1 to 65535\n");
    refuse("[net]\noffset = -11\n", "2: [net] offset: '-11' is too small; allowed is an integer of at least -10\n");
    refuse("[net]\noffset = +1\n", "2: [net] offset: '+1' is not a number; allowed is an integer of at least -10\n");
    refuse("[net]\noffset = 9223372036854775808\n",
           "2: [net] offset: '9223372036854775808' is out of all bounds; allowed is an integer of at least -10\n");
    refuse("[two]\ncolour = Red\n", "2: [two] colour: 'Red' is none of the words; allowed is red, green or blue\n");
    refuse("[two]\nloud = yes\n", "2: [two] loud: 'yes' is none of the words; allowed is on or off\n");
}

static void
quantities_need_a_unit_that_exists(void **state)
{
    (void)state;
#define DURATION "; allowed is a duration from 0 to 365d, with ms, s, m, h or d behind the number\n"
#define SIZE "; allowed is a size from 1KiB to 1024GiB, with B, KiB, MiB or GiB behind the number\n"
    refuse("[one]\nhold = 24\n", "2: [one] hold: '24' has no unit" DURATION);
    refuse("[one]\nhold = 24H\n", "2: [one] hold: '24H' has an unknown unit" DURATION);
    refuse("[one]\nhold = 1.5h\n", "2: [one] hold: '1.5h' has an unknown unit" DURATION);
    refuse("[one]\nhold = h\n", "2: [one] hold: 'h' is not a number" DURATION);
    refuse("[one]\nhold = -1s\n", "2: [one] hold: '-1s' is too small" DURATION);
    refuse("[one]\nhold = 366d\n", "2: [one] hold: '366d' is too large" DURATION);
    refuse("[one]\nhold = 9223372036854775807d\n",
           "2: [one] hold: '9223372036854775807d' is out of all bounds" DURATION);
    refuse("[one]\nroom = 0\n", "2: [one] room: '0' is too small" SIZE);
    refuse("[one]\nroom = 1MB\n", "2: [one] room: '1MB' has an unknown unit" SIZE);
    refuse("[one]\nroom = 1024\n", "2: [one] room: '1024' has no unit" SIZE);
}

static void
names_are_checked(void **state)
{
    (void)state;
#define NAMES "; allowed is at most 32 names of A-Z, a-z, 0-9, _ and -, each once and of at most 64 characters, with " \
              "commas between them\n"
    struct buffer text = {NULL, 0, 0};
    refuse("[one]\nfriends = a,,b\n", "2: [one] friends: 'a,,b' has an empty name" NAMES);
    refuse("[one]\nfriends = a,\n", "2: [one] friends: 'a,' has an empty name" NAMES);
    refuse("[one]\nfriends = a b\n",
           "2: [one] friends: 'a b' has a name with a character that is not allowed" NAMES);
    refuse("[one]\nfriends = a/#\n", "2: [one] friends: 'a/#' has a name with a character that is not allowed" NAMES);
    buffer_printf(&text, "[one]\nfriends = %064d\n", 1);
    accept(buffer_text(&text));
    buffer_clear(&text);
    buffer_printf(&text, "[one]\nfriends = %065d\n", 1);
    assert_int_equal(read_bytes(buffer_span(&text)), -1);
    assert_non_null(strstr(buffer_text(&errors), "has a name that is too long"));
    accept("[one]\nfriends =\n");
    buffer_clear(&text);
    buffer_add_text(&text, "[one]\nfriends = a");
    for (unsigned i = 1; i < NAMES_MAX; i++)
        buffer_printf(&text, ", a%u", i);
    accept(buffer_text(&text));
    buffer_add_text(&text, ", b");
    assert_int_equal(read_bytes(buffer_span(&text)), -1);
    assert_non_null(strstr(buffer_text(&errors), "has too many names"));
    buffer_free(&text);
}

static void
a_name_stands_once_in_a_list(void **state)
{
    (void)state;
    refuse("[one]\nfriends = a,a\n", "2: [one] friends: 'a,a' has a name twice" NAMES);
    refuse("[one]\nfriends = b, a ,c,\ta\n", "2: [one] friends: 'b, a ,c,\ta' has a name twice" NAMES);
    accept("[one]\nfriends = a, aa, A, a_\n[two]\nfriends = a\n");
    accept("[net]\nroot = a/a\n"); /* levels of a topic may be the same */
}

/* Whatever is allowed can be written down. */
static void
bug_400_the_longest_values_can_be_read(void **state)
{
    struct buffer text = {NULL, 0, 0};
    struct buffer names = {NULL, 0, 0};

    (void)state;
    for (unsigned i = 0; i < NAMES_MAX; i++)
        buffer_printf(&names, "%s%0*u", i > 0 ? ", " : "", NAME_BYTES_MAX, i);
    buffer_printf(&text, "[one]\nfriends \t = %s \t\r\n[net]\npassword=%060000d\n", buffer_text(&names), 7);
    buffer_printf(&text, "host:;%0400d;#\nroot = %064d/%063d\nport = 7", 1, 1, 1);
    accept(buffer_text(&text));
    assert_string_equal(config_text(config, "one", "friends"), buffer_text(&names));
    assert_int_equal(strlen(config_text(config, "net", "password")), 60000);
    assert_int_equal(strlen(config_text(config, "net", "host")), 403);
    assert_string_equal(config_text(config, "net", "host") + 400, "1;#");
    assert_int_equal(config_int(config, "net", "port"), 7);
    buffer_free(&text);
    buffer_free(&names);
}

static const struct config_key text_keys[] = {
        {"net", "user", CONFIG_TEXT, NULL, NULL, "300", NULL, "Who."},
        {"net", "password", CONFIG_SECRET, NULL, NULL, "300", NULL, "Secret."},
        {"net", "dir", CONFIG_DIR, "/", NULL, "300", NULL, "Where."},
        {"net", "file", CONFIG_FILE, NULL, NULL, "300", NULL, "What."},
        {"net", "key", CONFIG_SECRET_FILE, NULL, NULL, "300", NULL, "In it is a secret."},
        {"net", "pseudonym", CONFIG_KEY_FILE, NULL, NULL, "300", NULL, "In it is a key."},
        {"net", "host", CONFIG_HOST, "h", NULL, "300", NULL, "At whose."},
};

static const struct config_key *
find_text_key(unsigned row)
{
    return row < sizeof text_keys / sizeof text_keys[0] ? &text_keys[row] : NULL;
}

static const struct config_table text_table = {find_text_key, find_process};

static void
a_text_has_a_longest_one(void **state)
{
    struct config *texts = config_new(&text_table);
    struct buffer text = {NULL, 0, 0};

    (void)state;
    for (size_t i = 0; i < sizeof text_keys / sizeof text_keys[0]; i++) {
        buffer_clear(&text);
        buffer_printf(&text, "%0300d", 1);
        buffer_clear(&errors);
        assert_int_equal(config_set(texts, "net", text_keys[i].name, buffer_text(&text), "here", &errors), 0);
        buffer_add_byte(&text, '2');
        assert_int_equal(config_set(texts, "net", text_keys[i].name, buffer_text(&text), "here", &errors), -1);
        assert_non_null(strstr(buffer_text(&errors), "is too long; allowed is "));
        assert_non_null(strstr(buffer_text(&errors), "of at most 300 bytes"));
        assert_true(errors.len < 400); /* its beginning is enough */
        assert_int_equal(strlen(config_text(texts, "net", text_keys[i].name)), 300);
        assert_int_equal(strstr(buffer_text(&errors), "'000") == NULL, text_keys[i].type == CONFIG_SECRET);
    }
    buffer_free(&text);
    config_free(texts);
}

/* What is taken here is the prefix of topics that the tools are answered on. */
static void
bug_222_a_prefix_is_no_longer_than_topics_may_be(void **state)
{
    struct buffer text = {NULL, 0, 0};

    (void)state;
    accept("[net]\nroot = a/b/c/d/e/f/g/h\n");
    assert_int_equal(read_bytes(span_of("[net]\nroot = a/b/c/d/e/f/g/h/i\n")), -1);
    assert_non_null(strstr(buffer_text(&errors), "has too many names; allowed is at most 8 topic levels"));
    buffer_printf(&text, "[net]\nroot = %064d/%063d\n", 1, 1);
    accept(buffer_text(&text));
    buffer_clear(&text);
    buffer_printf(&text, "[net]\nroot = %064d/%064d\n", 1, 1);
    assert_int_equal(read_bytes(buffer_span(&text)), -1);
    assert_non_null(strstr(buffer_text(&errors), "is too long"));
    buffer_free(&text);
}

static void
a_host_has_nothing_around_it(void **state)
{
    static const char *const right[] = {"localhost", "example.org", "10.0.0.1", "::1", "fe80::1%eth0", "::", "a_b"};
    static const struct {
        const char *text;
        const char *wrong;
    } wrong[] = {
        {"", "'' is empty"},
        {"mqtt://h", "'mqtt://h' is a URL"},
        {"mqtts://ada:secret@h:1", "'h:1' is a URL"}, /* no password is shown */
        {"h:1883", "'h:1883' has a port"},
        {"[::1]", "'[::1]' has a port, or brackets"},
        {"h/x", "'h/x' is no name"},
        {"two words", "'two words' is no name"},
        {"ada@h", "'h' is no name"},
    };
    struct config *hosts = config_new(&text_table);

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_int_equal(config_set(hosts, "net", "host", right[i], "here", &errors), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        buffer_clear(&errors);
        assert_int_equal(config_set(hosts, "net", "host", wrong[i].text, "here", &errors), -1);
        assert_non_null(strstr(buffer_text(&errors), wrong[i].wrong));
        assert_non_null(strstr(buffer_text(&errors), "; allowed is a host name or an IP address"));
    }
    assert_string_equal(config_text(hosts, "net", "host"), "a_b");
    config_free(hosts);
}

static void
unknown_keys_and_sections_are_refused_with_the_known_ones(void **state)
{
    (void)state;
    refuse("[net]\nhots = a\n[one]\ncolour = red\n",
           "2: [net] hots: unknown key; allowed are host, port, password, key, offset, root\n"
           "4: [one] colour: unknown key; allowed are hold, since, room, friends\n");
    refuse("[nat]\nhost = a\nport = 1\n[two]\nloud = 1\n",
           "1: [nat]: unknown section; allowed are [net], [one], [two]\n"
           "5: [two] loud: '1' is none of the words; allowed is on or off\n");
    refuse("[*]\nhold = 1s\n", "1: [*]: unknown section; allowed are [net], [one], [two]\n");
    refuse("[]\n[ net ]\n", "1: []: unknown section; allowed are [net], [one], [two]\n"
                            "2: [ net ]: unknown section; allowed are [net], [one], [two]\n");
    refuse("host = a\n[net]\n", "1: key before the first section; allowed is [section] above it\n");
    assert_string_equal(config_text(config, "net", "host"), "localhost");
}

static void
a_key_may_stand_once(void **state)
{
    (void)state;
    refuse("[net]\nport = 1\nport = 2\n[two]\n[net]\nport = 1\n",
           "3: [net] port: already set by line 2; allowed is once\n"
           "6: [net] port: already set by line 2; allowed is once\n");
    assert_int_equal(config_int(config, "net", "port"), 1);
    /* The next file sets it again, and each process has its own. */
    accept("[net]\nport = 3\n[one]\nhold = 1s\n[two]\nhold = 2s\n[net]\nhost = a\n");
    assert_int_equal(config_int(config, "net", "port"), 3);
    assert_int_equal(config_int(config, "one", "hold"), 1000);
    assert_int_equal(config_int(config, "two", "hold"), 2000);
}

static void
broken_lines_are_refused_each_and_not_shown(void **state)
{
    (void)state;
#define BROKEN                                                                                                         \
    "not understood; allowed are [section], key = value and comments (# or ;); a value ends with its line\n"
#define SECTION "broken section; allowed is [section] and nothing else on the line\n"
    refuse("[net]\nsecret\n[net\nport = 0\n[net] port = 1\nport = 0\n",
           "2: " BROKEN "3: " SECTION "5: " SECTION);
    assert_int_equal(config_int(config, "net", "port"), 1883);
}

static void
an_indented_line_does_not_continue_a_value(void **state)
{
    (void)state;
    /* others who read INI files would make host "b" */
    refuse("[net]\nhost = a\n  b\n", "3: " BROKEN);
    refuse("[net]\nhost = a\n  b = c\n", "3: [net] b: unknown key; allowed are host, port, password, key, offset, root\n");
    assert_string_equal(config_text(config, "net", "host"), "a");
}

static void
a_comment_behind_a_value_is_refused(void **state)
{
    (void)state;
#define COMMENT                                                                                                        \
    "comment or value?; allowed are comments on lines of their own, and ; or # in a value only without a blank before "   \
    "it\n"
    /* others would cut the first and keep all of the second */
    refuse("[net]\nhost = a ; local\nhost = a # local\npassword = \t;x\n[two] ; second\n",
           "2: " COMMENT "3: " COMMENT "4: " COMMENT "5: " COMMENT);
    accept("[net]\nhost=;x\n");
    assert_string_equal(config_text(config, "net", "host"), ";x");
}

static void
a_section_or_key_is_taken_whole_or_refused(void **state)
{
    struct buffer text = {NULL, 0, 0};

    (void)state;
    buffer_printf(&text, "[net]\n# %0500d\n%0197d = 1\n%0198d = 1\nport = 0\n[%0195d]\n[%0196d]\nport = 9\n", 1, 1, 1, 1, 1);
    assert_int_equal(read_bytes(buffer_span(&text)), -1);
    assert_non_null(strstr(buffer_text(&errors), ":3: [net] 0000"));
    assert_non_null(strstr(buffer_text(&errors), ":4: section or key of 198 bytes; allowed are 197\n"));
    assert_non_null(strstr(buffer_text(&errors), ":5: [net] port: '0' is too small"));
    assert_non_null(strstr(buffer_text(&errors), ":6: [0000"));
    assert_non_null(strstr(buffer_text(&errors), ":7: section or key of 198 bytes; allowed are 197\n"));
    assert_int_equal(config_int(config, "net", "port"), 1883);
    buffer_free(&text);
}

static void
control_characters_are_refused(void **state)
{
    const char nul[] = "[net]\nhost = a\0b\nport = 7\n";

    (void)state;
    assert_int_equal(read_bytes(span_at(nul, sizeof nul - 1)), -1);
    assert_non_null(strstr(buffer_text(&errors), ":2: control character; allowed are"));
    refuse("[net]\nhost = a\x1b[2J\n", "2: control character; allowed are printable ones and tabs\n");
    refuse("[net]\rhost = a\r", "1: control character; allowed are printable ones and tabs\n");
    assert_string_equal(config_text(config, "net", "host"), "localhost");
}

static void
a_password_is_never_shown(void **state)
{
    (void)state;
    assert_int_equal(read_bytes(span_of("[net]\npassword = hunter2\npassword = hunter2\npasword = hunter2\n"
                                        "password = hunter2 #\n hunter2\n[nat]\npassword = hunter2\n")),
                     -1);
    assert_null(strstr(buffer_text(&errors), "hunter2"));
    assert_string_equal(config_text(config, "net", "password"), "hunter2");
}

static void
a_file_that_can_not_be_read_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(config_read(config, "/nonexistent/gait.conf", &errors), -1);
    assert_string_equal(buffer_text(&errors), "/nonexistent/gait.conf: can't be read: No such file or directory\n");
    buffer_clear(&errors);
    char *big = malloc(1024 * 1024 + 1);
    assert_non_null(big);
    memset(big, '\n', 1024 * 1024 + 1);
    assert_int_equal(read_bytes(span_at(big, 1024 * 1024)), 0);
    assert_int_equal(read_bytes(span_at(big, 1024 * 1024 + 1)), -1);
    assert_non_null(strstr(buffer_text(&errors), "has 1048577 bytes; allowed are 1048576"));
    free(big);
}

static void
options_are_checked_like_the_file(void **state)
{
    (void)state;
    accept("[net]\nport = 5\n");
    assert_int_equal(config_set(config, "net", "port", "6", "--port", &errors), 0);
    assert_int_equal(config_int(config, "net", "port"), 6);
    assert_int_equal(config_set(config, "net", "port", "x", "--port", &errors), -1);
    assert_int_equal(config_set(config, "net", "prt", "1", "--port", &errors), -1);
    assert_int_equal(config_set(config, "nat", "port", "1", "--port", &errors), -1);
    assert_string_equal(buffer_text(&errors),
                        "--port: [net] port: 'x' is not a number; allowed is an integer from 1 to 65535\n"
                        "--port: [net] prt: unknown key; allowed are host, port, password, key, offset, root\n"
                        "--port: [nat] port: unknown section; allowed are [net], [one], [two]\n");
    assert_int_equal(config_int(config, "net", "port"), 6);
}

/* What others can read, with the file at path at mode, is want (nothing if NULL). */
static void
expect_exposed(const char *text, const char *file, mode_t mode, const char *want)
{
    struct buffer faults = {NULL, 0, 0};

    assert_int_equal(file_replace(path, text), 0);
    assert_int_equal(chmod(file, mode), 0);
    assert_int_equal(config_read(config, path, &errors), 0);
    assert_int_equal(config_find_exposed(config, &faults), want == NULL ? 0 : -1);
    if (want != NULL)
        assert_non_null(strstr(buffer_text(&faults), want));
    assert_null(strstr(buffer_text(&faults), "hush"));
    buffer_free(&faults);
}

static void
a_secret_that_everybody_can_read_is_told(void **state)
{
    char key[] = "/tmp/gait-key-XXXXXX";
    char text[128];
    int fd = mkstemp(key);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    expect_exposed("[net]\npassword = hush\n", path, 0644, ":2: [net] password: this file has mode 0644");
    expect_exposed("[net]\npassword = hush\n", path, 0604, "may read it; allowed are owner and group: chmod o-rwx /tmp/");
    expect_exposed("[net]\npassword = hush\n", path, 0602, "may change it; allowed are owner and group: chmod o-rwx ");
    expect_exposed("[net]\npassword = hush\n", path, 0640, NULL);
    expect_exposed("[net]\npassword =\n", path, 0644, NULL);
    expect_exposed("[net]\nhost = everybody\n", path, 0644, NULL);
    snprintf(text, sizeof text, "[net]\nkey = %s\n", key);
    expect_exposed(text, key, 0644, ":2: [net] key: /tmp/gait-key-");
    expect_exposed(text, key, 0640, NULL);
    unlink(key);
    assert_int_equal(config_find_exposed(config, &errors), 0);
}

/* Whoever owns it may change it: where we write, or whom we are to the broker. */
static void
a_file_of_somebody_else_is_told(void **state)
{
    char key[] = "/tmp/gait-key-XXXXXX";
    char text[128];

    (void)state;
    if (geteuid() != 0)
        skip(); /* nobody else can make one */
    int fd = mkstemp(key);
    assert_true(fd >= 0);
    close(fd);
    snprintf(text, sizeof text, "[net]\nkey = %s\n", key);
    expect_exposed(text, path, 0644, NULL);
    assert_int_equal(chown(key, 12345, 0), 0);
    snprintf(text, sizeof text, "%s:2: [net] key: %s belongs to user 12345, who may change it; allowed are root and ",
             path, key);
    assert_int_equal(config_find_exposed(config, &errors), -1);
    assert_non_null(strstr(buffer_text(&errors), text));
    unlink(key);
    buffer_clear(&errors);
    assert_int_equal(chown(path, 12345, 0), 0);
    snprintf(text, sizeof text, "%s: this file belongs to user 12345, who may change it; allowed are root and ", path);
    assert_int_equal(config_find_exposed(config, &errors), -1);
    assert_non_null(strstr(buffer_text(&errors), text));
}

static void
a_fault_says_where_its_key_is_set(void **state)
{
    struct buffer where = {NULL, 0, 0}, expected = {NULL, 0, 0};

    (void)state;
    config_where(config, "net", "host", &where);
    assert_string_equal(buffer_text(&where), "[net] host: ");
    buffer_clear(&where);
    accept("\n[net]\nport = 1\n");
    config_where(config, "net", "port", &where);
    config_where(config, "two", "room", &where);
    buffer_printf(&expected, "%s:3: [net] port: %s: [two] room: ", path, path);
    assert_string_equal(buffer_text(&where), buffer_text(&expected));
    buffer_free(&where);
    buffer_free(&expected);
}

/* Read what is printed into a string to be freed. */
static char *
print_keys(bool markdown)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_print_keys(&table, out, markdown);
    fclose(out);
    return text;
}

static void
the_table_is_printed_for_people(void **state)
{
    char *text = print_keys(false);

    (void)state;
    assert_non_null(strstr(text, "[net]\n  host = localhost\n      Where.\n      Allowed: any text.\n"));
    assert_non_null(strstr(text, "\n[*] (the section of every process)\n  hold = 24h\n"));
    assert_non_null(strstr(text, "\n[two]\n  colour = green\n      What it looks like.\n"
                                 "      Allowed: red, green or blue.\n"));
    free(text);
    text = print_keys(true);
    assert_non_null(strstr(text, "\n| `[net]` | `password` |  | any text, in a file that only owner and group may read | "
                                 "Secret. |\n"));
    assert_non_null(strstr(text, "\n| `[net]` | `port` | `1883` | an integer from 1 to 65535 | Which. |\n"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_has_its_default),
        TEST(every_type_is_read),
        TEST(a_date_is_one_of_the_calendar),
        TEST(every_unit_has_its_factor),
        TEST(what_is_no_value_is_refused_with_what_is_allowed),
        TEST(quantities_need_a_unit_that_exists),
        TEST(names_are_checked),
        TEST(a_name_stands_once_in_a_list),
        TEST(bug_400_the_longest_values_can_be_read),
        TEST(a_text_has_a_longest_one),
        TEST(bug_222_a_prefix_is_no_longer_than_topics_may_be),
        TEST(a_host_has_nothing_around_it),
        TEST(unknown_keys_and_sections_are_refused_with_the_known_ones),
        TEST(a_key_may_stand_once),
        TEST(broken_lines_are_refused_each_and_not_shown),
        TEST(an_indented_line_does_not_continue_a_value),
        TEST(a_comment_behind_a_value_is_refused),
        TEST(a_section_or_key_is_taken_whole_or_refused),
        TEST(control_characters_are_refused),
        TEST(a_password_is_never_shown),
        TEST(a_secret_that_everybody_can_read_is_told),
        TEST(a_file_of_somebody_else_is_told),
        TEST(a_fault_says_where_its_key_is_set),
        TEST(a_file_that_can_not_be_read_is_an_error),
        TEST(options_are_checked_like_the_file),
        TEST(the_table_is_printed_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
