/*
 * What json_scan lets pass and what it refuses, and what it says about the members; then the door to cJSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "record/json.h"

static const struct json_limits limits = {.depth_max = 4, .string_bytes_max = 32};

/* A copy of exactly len bytes, so that a sanitizer sees any look beyond it. Free with free. */
static char *
exact_copy(struct span text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);

    assert_non_null(copy);
    memcpy(copy, text.at, text.len);
    return copy;
}

static enum reason
scan(struct span text, size_t *length)
{
    static struct json_object object;
    char *copy = exact_copy(text);
    enum reason reason = json_scan(span_at(copy, text.len), &limits, &object);

    *length = object.length;
    free(copy);
    return reason;
}

/* String literals with their length, because some hold a NUL. */
#define TEXT(literal) literal, sizeof(literal) - 1

struct scan_case {
    const char *name;
    const char *text;
    size_t len;
};

static const struct scan_case accepted[] = {
    {"empty object", TEXT("{}")},
    {"blanks everywhere", TEXT("{ \t\r\n\"a\" : 1 , \"b\" : [ 1 , 2 ] , \"c\" : { } }")},
    {"all words", TEXT("{\"a\":null,\"b\":true,\"c\":false}")},
    {"numbers", TEXT("{\"a\":0,\"b\":-0,\"c\":10,\"d\":1.50,\"e\":-0.1e+10,\"f\":1E-7,\"g\":0e0}")},
    {"a number that is no double", TEXT("{\"a\":1e999}")},
    {"escapes", TEXT("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"}")},
    {"a pair of surrogates", TEXT("{\"a\":\"\\ud83d\\uDE00\"}")},
    {"DEL is no control character to JSON", TEXT("{\"a\":\"\x7f\"}")},
    {"least and greatest of two bytes", TEXT("{\"a\":\"\xc2\x80\xdf\xbf\"}")},
    {"least and greatest of three bytes", TEXT("{\"a\":\"\xe0\xa0\x80\xef\xbf\xbf\"}")},
    {"around the surrogates", TEXT("{\"a\":\"\xed\x9f\xbf\xee\x80\x80\"}")},
    {"least and greatest of four bytes", TEXT("{\"a\":\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}")},
    {"names that differ in case", TEXT("{\"a\":1,\"A\":2}")},
    {"one name in two objects", TEXT("{\"a\":{\"b\":1},\"b\":{\"b\":1}}")},
    {"one name in two elements", TEXT("{\"a\":[{\"b\":1},{\"b\":1}]}")},
    {"an empty name", TEXT("{\"\":1}")},
    {"deepest nesting", TEXT("{\"a\":[{\"b\":[1]}]}")},
    {"much on one level", TEXT("{\"a\":[[],[],[],[],[]],\"b\":[{},{},{},{},{}]}")},
    {"longest string", TEXT("{\"a\":\"01234567890123456789012345678901\"}")},
    {"longest name", TEXT("{\"01234567890123456789012345678901\":1}")},
};

static void
test_scan_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        size_t length;
        if (scan(span_at(accepted[i].text, accepted[i].len), &length) != REASON_NONE)
            fail_msg("%s: refused at %zu", accepted[i].name, length);
        if (length != accepted[i].len)
            fail_msg("%s: took %zu of %zu bytes", accepted[i].name, length, accepted[i].len);
    }
}

static const struct scan_case bad_json[] = {
    {"nothing", TEXT("")},
    {"a blank first", TEXT(" {}")},
    {"an array", TEXT("[]")},
    {"only a brace", TEXT("{")},
    {"the other brace", TEXT("}")},
    {"a comma and no member", TEXT("{,}")},
    {"a comma at the end", TEXT("{\"a\":1,}")},
    {"two commas", TEXT("{\"a\":1,,\"b\":2}")},
    {"no comma", TEXT("{\"a\":1 \"b\":2}")},
    {"no colon", TEXT("{\"a\" 1}")},
    {"no value", TEXT("{\"a\":}")},
    {"no quotes", TEXT("{a:1}")},
    {"single quotes", TEXT("{'a':1}")},
    {"a comment", TEXT("{/**/\"a\":1}")},
    {"the wrong bracket", TEXT("{\"a\":[1}}")},
    {"a comma at the end of an array", TEXT("{\"a\":[1,]}")},
    {"an open array", TEXT("{\"a\":[1")},
    {"a NUL between", TEXT("{\"a\":1,\0\"b\":2}")},
    {"a form feed between", TEXT("{\f\"a\":1}")},
    {"cut in a name", TEXT("{\"a")},
    {"cut behind a name", TEXT("{\"a\"")},
    {"cut behind the colon", TEXT("{\"a\":")},
    {"cut in a string", TEXT("{\"a\":\"b")},
    {"cut in an escape", TEXT("{\"a\":\"\\")},
    {"cut in a unicode escape", TEXT("{\"a\":\"\\u00")},
    {"cut in a pair", TEXT("{\"a\":\"\\ud83d\\u")},
    {"cut in a character", TEXT("{\"a\":\"\xe2\x82")},
    {"cut in a word", TEXT("{\"a\":tru")},
    {"cut in a number", TEXT("{\"a\":1.")},
    {"a word in capitals", TEXT("{\"a\":True}")},
    {"a word that goes on", TEXT("{\"a\":nulls}")},
    {"NaN", TEXT("{\"a\":NaN}")},
    {"Infinity", TEXT("{\"a\":-Infinity}")},
    {"a plus sign", TEXT("{\"a\":+1}")},
    {"a leading zero", TEXT("{\"a\":01}")},
    {"two leading zeros", TEXT("{\"a\":-00}")},
    {"no digit before the point", TEXT("{\"a\":.5}")},
    {"no digit behind the point", TEXT("{\"a\":1.}")},
    {"no digit in the exponent", TEXT("{\"a\":1e}")},
    {"only a sign in the exponent", TEXT("{\"a\":1e+}")},
    {"only a sign", TEXT("{\"a\":-}")},
    {"hexadecimal", TEXT("{\"a\":0x10}")},
    {"a raw line feed in a string", TEXT("{\"a\":\"\n\"}")},
    {"a raw tab in a string", TEXT("{\"a\":\"\t\"}")},
    {"a raw NUL in a string", TEXT("{\"a\":\"\0\"}")},
    {"a raw control character behind eight bytes", TEXT("{\"a\":\"01234567\x1f\"}")},
    {"a raw control character within eight bytes", TEXT("{\"a\":\"012\x01""4567\"}")},
    {"a NUL escape", TEXT("{\"a\":\"x\\u0000y\"}")},
    {"a NUL escape in a name", TEXT("{\"a\\u0000\":1}")},
    {"an unknown escape", TEXT("{\"a\":\"\\x\"}")},
    {"an escaped NUL", TEXT("{\"a\":\"\\\0\"}")},
    {"an escape with a sign", TEXT("{\"a\":\"\\u+123\"}")},
    {"a lone high surrogate", TEXT("{\"a\":\"\\ud83d\"}")},
    {"a lone low surrogate", TEXT("{\"a\":\"\\ude00\"}")},
    {"two high surrogates", TEXT("{\"a\":\"\\ud83d\\ud83d\"}")},
    {"a high surrogate and a letter", TEXT("{\"a\":\"\\ud83d\\u0041\"}")},
    {"a lone continuation byte", TEXT("{\"a\":\"\x80\"}")},
    {"an overlong slash of two bytes", TEXT("{\"a\":\"\xc0\xaf\"}")},
    {"an overlong character of two bytes", TEXT("{\"a\":\"\xc1\xbf\"}")},
    {"an overlong character of three bytes", TEXT("{\"a\":\"\xe0\x9f\xbf\"}")},
    {"an overlong character of four bytes", TEXT("{\"a\":\"\xf0\x8f\xbf\xbf\"}")},
    {"the first surrogate in UTF-8", TEXT("{\"a\":\"\xed\xa0\x80\"}")},
    {"the last surrogate in UTF-8", TEXT("{\"a\":\"\xed\xbf\xbf\"}")},
    {"beyond U+10FFFF", TEXT("{\"a\":\"\xf4\x90\x80\x80\"}")},
    {"five bytes", TEXT("{\"a\":\"\xf8\x88\x80\x80\x80\"}")},
    {"a byte that is never in UTF-8", TEXT("{\"a\":\"\xff\"}")},
    {"a character without its end", TEXT("{\"a\":\"\xe2\x82\"}")},
    {"Latin-1", TEXT("{\"a\":\"caf\xe9\"}")},
    {"a duplicate name", TEXT("{\"a\":1,\"b\":2,\"a\":3}")},
    {"a duplicate name with an escape", TEXT("{\"user\":1,\"\\u0075ser\":2}")},
    {"a duplicate name, both with escapes", TEXT("{\"\\u0075ser\":1,\"us\\u0065r\":2}")},
    {"a duplicate name beyond ASCII", TEXT("{\"\xc3\xa9\":1,\"\\u00e9\":2}")},
    {"a duplicate name beyond 16 bits", TEXT("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}")},
    {"a duplicate name in an inner object", TEXT("{\"a\":{\"b\":1,\"b\":2}}")},
    {"a duplicate name in an element", TEXT("{\"a\":[1,{\"b\":1,\"\\u0062\":2}]}")},
    {"an array too deep", TEXT("{\"a\":[[[[]]]]}")},
    {"an object too deep", TEXT("{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}")},
};

static void
test_scan_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_json / sizeof bad_json[0]; i++) {
        size_t length;
        enum reason reason = scan(span_at(bad_json[i].text, bad_json[i].len), &length);
        if (reason != REASON_BAD_JSON)
            fail_msg("%s: %s", bad_json[i].name, reason_word(reason));
        if (length > bad_json[i].len)
            fail_msg("%s: a fault beyond the text", bad_json[i].name);
    }
}

static void
test_scan_says_where_the_fault_is(void **state)
{
    static const struct {
        const char *text;
        size_t fault;
    } cases[] = {
        {"{\"a\":1 x", 7}, {"{\"a\":\"b\nc\"}", 7}, {"{\"a\":1.x}", 7}, {"{\"a\":1", 6}, {"x", 0}, {"{\"a\":[1,}", 8},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t length;
        assert_int_equal(scan(span_of(cases[i].text), &length), REASON_BAD_JSON);
        assert_int_equal(length, cases[i].fault);
    }
}

static void
test_scan_stops_behind_the_object(void **state)
{
    size_t length;

    (void)state;
    assert_int_equal(scan(span_of("{\"a\":\"}\"}{\"b\":1}"), &length), REASON_NONE);
    assert_int_equal(length, 9);
}

static void
test_scan_limits_strings(void **state)
{
    static const char *const texts[] = {
        "{\"a\":\"012345678901234567890123456789012\"}",
        "{\"012345678901234567890123456789012\":1}",
        "{\"a\":[{\"b\":\"012345678901234567890123456789012\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t length;
        assert_int_equal(scan(span_of(texts[i]), &length), REASON_TOO_LARGE);
    }
}

static void
test_scan_takes_a_string_of_a_mebibyte_if_allowed(void **state)
{
    enum { SIZE = 1 << 20 };
    static struct json_object object;
    struct json_limits wide = {.depth_max = 1, .string_bytes_max = SIZE};
    struct buffer text = {0};

    (void)state;
    buffer_add_text(&text, "{\"a\":\"");
    for (unsigned i = 0; i < SIZE; i++)
        buffer_add_byte(&text, 'x');
    buffer_add_text(&text, "\"}");
    assert_int_equal(json_scan(buffer_span(&text), &wide, &object), REASON_NONE);
    assert_int_equal(object.members[0].value.len, SIZE);
    wide.string_bytes_max--;
    assert_int_equal(json_scan(buffer_span(&text), &wide, &object), REASON_TOO_LARGE);
    buffer_free(&text);
}

/* An object of count members, inside another if inner. */
static void
write_members(struct buffer *text, unsigned count, bool inner)
{
    buffer_clear(text);
    buffer_add_text(text, inner ? "{\"inner\":{" : "{");
    for (unsigned i = 0; i < count; i++)
        buffer_printf(text, "%s\"m%u\":%u", i > 0 ? "," : "", i, i);
    buffer_add_text(text, inner ? "}}" : "}");
}

static void
test_scan_limits_members(void **state)
{
    struct buffer text = {0};

    (void)state;
    for (int inner = 0; inner <= 1; inner++) {
        size_t length;
        write_members(&text, JSON_MEMBERS_MAX, inner != 0);
        assert_int_equal(scan(buffer_span(&text), &length), REASON_NONE);
        write_members(&text, JSON_MEMBERS_MAX + 1, inner != 0);
        assert_int_equal(scan(buffer_span(&text), &length), REASON_TOO_LARGE);
    }
    buffer_free(&text);
}

static void
test_members_are_given_as_they_stand(void **state)
{
    struct span text = span_of("{\"a\":\"x\\ny\", \"\\u0062\" : [1, 2] ,\"c\":-1.50,\"d\":{\"e\":null},\"f\":true}");
    static struct json_object object;

    (void)state;
    assert_int_equal(json_scan(text, &limits, &object), REASON_NONE);
    static const struct {
        const char *name;
        const char *value;
        enum json_type type;
        bool escaped;
    } expected[] = {
        {"a", "x\\ny", JSON_STRING, true},
        {"b", "[1, 2]", JSON_ARRAY, false},
        {"c", "-1.50", JSON_NUMBER, false},
        {"d", "{\"e\":null}", JSON_OBJECT, false},
        {"f", "true", JSON_TRUE, false},
    };
    assert_int_equal(object.count, 5);
    for (unsigned i = 0; i < object.count; i++) {
        const struct json_member *member = json_find(&object, span_of(expected[i].name));
        assert_ptr_equal(member, &object.members[i]);
        assert_true(span_is(member->value, expected[i].value));
        assert_int_equal(member->type, expected[i].type);
        assert_int_equal(member->escaped, expected[i].escaped);
    }
    assert_null(json_find(&object, span_of("A")));
    assert_null(json_find(&object, span_of("e")));
    assert_null(json_find(&object, span_of("")));
    assert_null(json_find(&object, span_of("bb")));
}

/* The member "a" of text, which is scanned into memory of its own. */
static const struct json_member *
member_of(const char *text)
{
    static struct json_object object;

    assert_int_equal(json_scan(span_of(text), &limits, &object), REASON_NONE);
    return &object.members[0];
}

static void
test_unescape(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"{\"a\":\"\"}", ""},
        {"{\"a\":\"plain\"}", "plain"},
        {"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t"},
        {"{\"a\":\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00!\"}", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!"},
        {"{\"a\":\"\xc3\xa9\\n\"}", "\xc3\xa9\n"},
        {"{\"a\":\"\\u0001\\uffff\"}", "\x01\xef\xbf\xbf"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text = {0};
        json_unescape(member_of(cases[i].text), &text);
        assert_string_equal(buffer_text(&text), cases[i].expected);
        buffer_free(&text);
    }
}

/* What was refused went into a rejection as it was: one that is no UTF-8 made it a text that no JSON reader takes. */
static void
bug_122_any_bytes_become_a_json_string(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *expected;
    } cases[] = {
        {TEXT(""), "\"\""},
        {TEXT("a\"\\\0\x7f"), "\"a\\\"\\\\\\u0000\x7f\""},
        {TEXT("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {TEXT("\xff" "a\xe9" "b"), "\"\xef\xbf\xbd" "a\xef\xbf\xbd" "b\""},
        {TEXT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {TEXT("\xf0\x9f\x98"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        char *copy = exact_copy(span_at(cases[i].text, cases[i].len));
        json_add_any_text(&out, span_at(copy, cases[i].len));
        assert_string_equal(buffer_text(&out), cases[i].expected);
        buffer_free(&out);
        free(copy);
    }
}

static void
a_text_is_cut_behind_a_whole_character(void **state)
{
    static const struct {
        const char *text;
        size_t bytes_max;
        const char *expected;
        bool whole;
    } cases[] = {
        {"", 3, "\"\"", true},           {"abc", 5, "\"abc\"", true},       {"abcd", 5, "\"abc\"", false},
        {"a\1b", 9, "\"a\\u0001\"", false}, {"a\1b", 8, "\"a\"", false},      {"\xc3\xa9\xc3\xa9", 5, "\"\xc3\xa9\"", false},
        {"\xff\xff", 5, "\"\xef\xbf\xbd\"", false}, {"\"\"", 5, "\"\\\"\"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        assert_int_equal(json_add_text_up_to(&out, span_of(cases[i].text), cases[i].bytes_max), cases[i].whole);
        assert_string_equal(buffer_text(&out), cases[i].expected);
        assert_true(out.len <= cases[i].bytes_max);
        buffer_free(&out);
    }
}

static void
test_int64(void **state)
{
    static const struct {
        const char *text;
        int found;
        int64_t value;
    } cases[] = {
        {"{\"a\":0}", 1, 0},
        {"{\"a\":-0}", 1, 0},
        {"{\"a\":-1}", 1, -1},
        {"{\"a\":9007199254740991}", 1, INT64_C(9007199254740991)},
        {"{\"a\":9007199254740993}", 1, INT64_C(9007199254740993)},
        {"{\"a\":9223372036854775807}", 1, INT64_MAX},
        {"{\"a\":-9223372036854775808}", 1, INT64_MIN},
        {"{\"a\":9223372036854775808}", 0, 0},
        {"{\"a\":-9223372036854775809}", 0, 0},
        {"{\"a\":18446744073709551616}", 0, 0},
        {"{\"a\":99999999999999999999999}", 0, 0},
        {"{\"a\":1.0}", 0, 0},
        {"{\"a\":1e3}", 0, 0},
        {"{\"a\":\"1\"}", 0, 0},
        {"{\"a\":null}", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        assert_int_equal(json_int64(member_of(cases[i].text), &value), cases[i].found);
        assert_true(value == cases[i].value);
    }
}

/* Rounded down, to the last digit, where a double would be wrong or at an end; and however long the number is written. */
static void
bug_240_a_number_with_a_fraction_or_an_exponent_is_rounded_down_exactly(void **state)
{
    static const struct {
        const char *text;
        int found;
        int64_t value;
    } cases[] = {
        {"{\"a\":17}", 1, 17},
        {"{\"a\":-17}", 1, -17},
        {"{\"a\":1655564376361.0}", 1, INT64_C(1655564376361)},
        {"{\"a\":1.655564376361E12}", 1, INT64_C(1655564376361)},
        {"{\"a\":1655564376361000e-3}", 1, INT64_C(1655564376361)},
        {"{\"a\":1655564376361.9999999999999999999999}", 1, INT64_C(1655564376361)},
        {"{\"a\":0.0000000000001655564376361e25}", 1, INT64_C(1655564376361)},
        {"{\"a\":9007199254740993.0}", 1, INT64_C(9007199254740993)},
        {"{\"a\":900719925474099.3e1}", 1, INT64_C(9007199254740993)},
        {"{\"a\":9223372036854775807.99}", 1, INT64_MAX},
        {"{\"a\":92233720368547758.07e2}", 1, INT64_MAX},
        {"{\"a\":9223372036854775808.0}", 0, 0},
        {"{\"a\":922337203685477581e1}", 0, 0},
        {"{\"a\":-9223372036854775808.0}", 1, INT64_MIN},
        {"{\"a\":-9223372036854775807.5}", 1, INT64_MIN},
        {"{\"a\":-9223372036854775808.0000000000000000001}", 0, 0},
        {"{\"a\":9223372036854775807}", 1, INT64_MAX},
        {"{\"a\":9223372036854775808}", 0, 0},
        {"{\"a\":1e18}", 1, INT64_C(1000000000000000000)},
        {"{\"a\":1e19}", 0, 0},
        {"{\"a\":1e999999999999999999999}", 0, 0},
        {"{\"a\":0e999999999999999999999}", 1, 0},
        {"{\"a\":-0.0}", 1, 0},
        {"{\"a\":1e-999999999999999999999}", 1, 0},
        {"{\"a\":-1e-999999999999999999999}", 1, -1},
        {"{\"a\":-0.5}", 1, -1},
        {"{\"a\":-1.5}", 1, -2},
        {"{\"a\":-2.0}", 1, -2},
        {"{\"a\":-25e-1}", 1, -3},
        {"{\"a\":12345e-5}", 1, 0},
        {"{\"a\":12345e-4}", 1, 1},
        {"{\"a\":\"1\"}", 0, 0},
        {"{\"a\":null}", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        if (json_floor(member_of(cases[i].text), &value) != cases[i].found || (cases[i].found && value != cases[i].value))
            fail_msg("%s: %lld", cases[i].text, (long long)value);
    }
}

static void
test_finite(void **state)
{
    static const struct {
        const char *text;
        bool finite;
    } cases[] = {
        {"{\"a\":0}", true},
        {"{\"a\":-1.5}", true},
        {"{\"a\":1.7976931348623157e308}", true},
        {"{\"a\":1.7976931348623159e308}", false},
        {"{\"a\":1e999}", false},
        {"{\"a\":-1E+999}", false},
        {"{\"a\":0e999}", true},
        {"{\"a\":1e-999}", true},
        {"{\"a\":0.00000000000000000001e320}", true},
        {"{\"a\":1e-999999999}", true},
        {"{\"a\":1e-1000000000}", false},
        {"{\"a\":1e-99999999999999999999999999}", false},
        {"{\"a\":1e0000000000000000000000000001}", true},
        {"{\"a\":1234567890123456789012345678901234567890123456789012345678901234}", true},
        {"{\"a\":12345678901234567890123456789012345678901234567890123456789012345}", false},
        {"{\"a\":\"1\"}", false},
        {"{\"a\":true}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (json_is_finite(member_of(cases[i].text)) != cases[i].finite)
            fail_msg("%s", cases[i].text);
    }
}

static void
test_canonical_number(void **state)
{
    static const struct {
        const char *number;
        const char *canonical;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"0.000", "0"},
        {"-0e7", "0"},
        {"1", "1"},
        {"1.0", "1"},
        {"10e-1", "1"},
        {"0.1E1", "1"},
        {"100e-2", "1"},
        {"-1.0", "-1"},
        {"218", "218"},
        {"100", "1e2"},
        {"1e2", "1e2"},
        {"1E+02", "1e2"},
        {"0.5", "5e-1"},
        {"0.050", "5e-2"},
        {"-12.50e1", "-125"},
        {"9007199254740993", "9007199254740993"},
        {"9007199254740992", "9007199254740992"},
        {"0.1000000000000000055511151231257827", "1000000000000000055511151231257827e-34"},
        {"1e-999999999", "1e-999999999"},
        {"1e99999999999999999999999999", "1e1000000000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text = {0};
        json_canonical_number(span_of(cases[i].number), &text);
        assert_string_equal(buffer_text(&text), cases[i].canonical);
        assert_true(text.len <= JSON_CANONICAL_BYTES_MAX(strlen(cases[i].number)));
        buffer_free(&text);
    }
}

/*
 * Documents.
 */

static void
test_parse_refuses_what_the_scan_refuses(void **state)
{
    static const char *const texts[] = {
        "", " ", "[]", "1", "{} x", "{}{}", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{\"a\":[[[[1]]]]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_null(json_parse(span_of(texts[i]), &limits));
    assert_null(json_parse((struct span){NULL, 0}, &limits));
    json_free(NULL);
}

static void
test_paths(void **state)
{
    struct span text = span_of(" {\"name\":\"gate\",\"output\":{\"last\":9007199254740991,\"far\":9007199254740993,"
                               "\"half\":1.5,\"huge\":1e999,\"beyond\":9223372036854775808},\"list\":[1]}\r\n");
    struct json *json = json_parse(text, &limits);

    (void)state;
    assert_non_null(json);
    assert_string_equal(json_text_at(json, "name", "none"), "gate");
    assert_string_equal(json_text_at(json, "Name", "none"), "none");
    assert_string_equal(json_text_at(json, "nam", "none"), "none");
    assert_string_equal(json_text_at(json, "output", "none"), "none");
    assert_string_equal(json_text_at(json, "name.last", "none"), "none");
    assert_true(json_int_at(json, "output.last", -1) == INT64_C(9007199254740991));
    assert_true(json_int_at(json, "output.far", -1) == INT64_C(9007199254740993));
    assert_true(json_int_at(json, "output.beyond", -1) == -1);
    assert_true(json_int_at(json, "output.half", -1) == -1);
    assert_true(json_int_at(json, "output.huge", -1) == -1);
    assert_true(json_int_at(json, "output.none", -1) == -1);
    assert_true(json_int_at(json, "output.last.more", -1) == -1);
    assert_true(json_int_at(json, "name", -1) == -1);
    json_free(json);
}

struct seen {
    char text[128];
};

static void
see(void *context, const char *name, const struct json *value)
{
    struct seen *seen = context;
    size_t len = strlen(seen->text);

    snprintf(seen->text + len, sizeof seen->text - len, "%s=%lld%s;", name != NULL ? name : "",
             (long long)json_int(value, -1), json_text(value, ""));
}

/* A double holds no integer from 2^53 on: which is whose must not depend on what stands between them. */
static void
integers_beyond_a_double_are_exact(void **state)
{
    struct span text =
        span_of("{\"a 9\":[-9223372036854775808,\"9007199254740993\",0,{\"b\":{}, \"c\":9223372036854775807}],\"\\\"1\":-1,"
                "\"d\":[],\"e\":[[9007199254740995 ,true,null,1.0e16]],\"f\":10000000000000000.0,\"g\":9007199254740997}");
    struct json *json = json_parse(text, &limits);
    struct seen seen = {{0}};

    (void)state;
    assert_non_null(json);
    json_each(json, "a 9", see, &seen);
    assert_string_equal(seen.text, "=-9223372036854775808;=-19007199254740993;=0;=-1;");
    assert_true(json_int_at(json, "\"1", 0) == -1);
    assert_true(json_int_at(json, "f", -1) == -1); /* no integer of ours is written so */
    assert_true(json_int_at(json, "g", -1) == INT64_C(9007199254740997));
    json_free(json);
}

static void
test_each(void **state)
{
    struct json *json = json_parse(span_of("{\"a\":1,\"b\":\"x\",\"c\":[5,6],\"d\":{}}"), &limits);

    (void)state;
    assert_non_null(json);
    static const struct {
        const char *path;
        unsigned count;
        const char *seen;
    } cases[] = {
        {"", 4, "a=1;b=-1x;c=-1;d=-1;"}, {"c", 2, "=5;=6;"}, {"d", 0, ""}, {"a", 0, ""}, {"none", 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen = {""};
        assert_int_equal(json_each(json, cases[i].path, see, &seen), cases[i].count);
        assert_string_equal(seen.text, cases[i].seen);
    }
    json_free(json);
}

static void
test_words_of_reasons_are_stable(void **state)
{
    static const char *const words[] = {"none",      "bad_json",   "missing_field", "bad_type", "out_of_range",
                                        "too_large", "no_consent", "expired",       "hold_full",
                                        "poison"};

    (void)state;
    assert_int_equal(sizeof words / sizeof words[0], REASON_COUNT);
    for (int i = 0; i < REASON_COUNT; i++)
        assert_string_equal(reason_word((enum reason)i), words[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_accepts),
        cmocka_unit_test(test_scan_refuses),
        cmocka_unit_test(test_scan_says_where_the_fault_is),
        cmocka_unit_test(test_scan_stops_behind_the_object),
        cmocka_unit_test(test_scan_limits_strings),
        cmocka_unit_test(test_scan_takes_a_string_of_a_mebibyte_if_allowed),
        cmocka_unit_test(test_scan_limits_members),
        cmocka_unit_test(test_members_are_given_as_they_stand),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(bug_122_any_bytes_become_a_json_string),
        cmocka_unit_test(a_text_is_cut_behind_a_whole_character),
        cmocka_unit_test(test_int64),
        cmocka_unit_test(bug_240_a_number_with_a_fraction_or_an_exponent_is_rounded_down_exactly),
        cmocka_unit_test(test_finite),
        cmocka_unit_test(test_canonical_number),
        cmocka_unit_test(test_parse_refuses_what_the_scan_refuses),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(integers_beyond_a_double_are_exact),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_words_of_reasons_are_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
