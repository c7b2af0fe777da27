/* buffer: what is appended is what is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/bytes.h"

static void
expect(struct buffer *buffer, const char *text)
{
    assert_int_equal(buffer->len, strlen(text));
    assert_string_equal(buffer_text(buffer), text);
    buffer_clear(buffer);
}

static void
an_empty_buffer_is_empty_text(void **state)
{
    struct buffer buffer = {NULL, 0, 0};

    (void)state;
    expect(&buffer, "");
    buffer_add(&buffer, NULL, 0);
    buffer_add_span(&buffer, (struct span){NULL, 0});
    expect(&buffer, "");
    buffer_free(&buffer);
    assert_null(buffer.data);
    buffer_free(&buffer);
}

static void
text_does_not_count_its_nul(void **state)
{
    struct buffer buffer = {NULL, 0, 0};

    (void)state;
    for (size_t len = 1; len < 2000; len++) {
        buffer_add_byte(&buffer, 'x');
        assert_int_equal(strlen(buffer_text(&buffer)), len);
    }
    assert_int_equal(buffer.len, 1999);
    buffer_free(&buffer);
}

static void
it_grows_across_every_size_and_keeps_its_content(void **state)
{
    struct buffer buffer = {NULL, 0, 0};

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        char four[4];
        bytes_put_u32(four, i);
        buffer_add(&buffer, four, sizeof four);
    }
    assert_int_equal(buffer.len, 400000);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(bytes_get_u32(buffer.data + 4 * i), i);
    buffer_free(&buffer);
}

static void
reserve_does_not_change_the_length(void **state)
{
    struct buffer buffer = {NULL, 0, 0};

    (void)state;
    buffer_add_text(&buffer, "abc");
    char *room = buffer_reserve(&buffer, 5000);
    assert_ptr_equal(room, buffer.data + 3);
    memset(room, 'z', 5000);
    expect(&buffer, "abc");
    buffer_free(&buffer);
}

static void
integers_of_both_ends(void **state)
{
    struct buffer buffer = {NULL, 0, 0};
    const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0, "0"}, {7, "7"}, {-1, "-1"}, {10, "10"}, {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_add_int(&buffer, cases[i].value);
        expect(&buffer, cases[i].text);
    }
    buffer_free(&buffer);
}

static void
printf_appends_whatever_its_length(void **state)
{
    struct buffer buffer = {NULL, 0, 0};

    (void)state;
    buffer_add_text(&buffer, "a");
    buffer_printf(&buffer, "%s%d", "b", 3);
    buffer_printf(&buffer, "%s", "");
    expect(&buffer, "ab3");
    buffer_printf(&buffer, "%01000d", 1);
    assert_int_equal(buffer.len, 1000);
    buffer_free(&buffer);
}

static void
json_strings_are_escaped(void **state)
{
    struct buffer buffer = {NULL, 0, 0};

    (void)state;
    buffer_add_json_string(&buffer, (struct span){NULL, 0});
    expect(&buffer, "\"\"");
    buffer_add_json_string(&buffer, span_of("plain ü/"));
    expect(&buffer, "\"plain ü/\"");
    buffer_add_json_string(&buffer, span_of("\"a\\b\"\n\t\r\b\f\x01\x1f"));
    expect(&buffer, "\"\\\"a\\\\b\\\"\\n\\t\\r\\b\\f\\u0001\\u001f\"");
    buffer_add_json_string(&buffer, span_at("a\0b", 3));
    expect(&buffer, "\"a\\u0000b\"");
    buffer_free(&buffer);
}

static void
big_endian_integers_sort_as_their_bytes(void **state)
{
    const uint64_t values[] = {0, 1, 255, 256, 0xFFFFFFFF, 0x100000000, UINT64_MAX};
    unsigned char last[8];

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        unsigned char here[8];
        bytes_put_u64(here, values[i]);
        assert_true(bytes_get_u64(here) == values[i]);
        if (i > 0)
            assert_true(memcmp(last, here, 8) < 0);
        memcpy(last, here, 8);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_empty_text),
        cmocka_unit_test(text_does_not_count_its_nul),
        cmocka_unit_test(it_grows_across_every_size_and_keeps_its_content),
        cmocka_unit_test(reserve_does_not_change_the_length),
        cmocka_unit_test(integers_of_both_ends),
        cmocka_unit_test(printf_appends_whatever_its_length),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(big_endian_integers_sort_as_their_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
