/* places: of every record of a message, where it stood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/places.h"

static void
expect(const struct places *places, uint64_t index, unsigned file, uint64_t line, bool told)
{
    struct place place;

    assert_int_equal(places_find(places, index, &place), 1);
    assert_int_equal(place.file, file);
    assert_int_equal(place.line, line);
    assert_int_equal(place.told, told);
}

static void
every_place_comes_back(void **state)
{
    static const struct place list[] = {
        {0, 1, false},       {0, 1, true},  {0, 2, false}, {0, 100, false}, {0, 5000000000, true}, {1, 3, false},
        {1, 3, false},       {7, 1, true},  {300, 129, false}, {300, 130, true}, {301, 1, false},
    };
    const size_t count = sizeof list / sizeof list[0];
    struct places places = {0};
    struct place place;

    (void)state;
    for (unsigned round = 0; round < 2; round++) { /* what was cleared is as new */
        for (size_t i = 0; i < count; i++)
            places_add(&places, &list[i]);
        for (size_t i = 0; i < count; i++)
            expect(&places, i, list[i].file, list[i].line, list[i].told);
        assert_int_equal(places_find(&places, count, &place), 0);
        assert_int_equal(places_find(&places, UINT64_MAX, &place), 0);
        places_clear(&places);
        assert_int_equal(places_find(&places, 0, &place), 0);
    }
    places_free(&places);
}

static void
a_line_a_record_takes_a_byte_each(void **state)
{
    struct places places = {0};

    (void)state;
    for (uint64_t line = 1; line <= 10000; line++)
        places_add(&places, &(struct place){0, line, false});
    assert_int_equal(places.bytes.len, 10000);
    expect(&places, 9999, 0, 10000, false);
    places_free(&places);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_comes_back),
        cmocka_unit_test(a_line_a_record_takes_a_byte_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
