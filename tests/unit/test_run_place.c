/* place: how far a payload is worked comes back as it was, also from stores of before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "run/place.h"

/* Every number of it is another one. */
static const struct payload_place whole = {
    .at = 0x0102030405060708,
    .record = RECORD_AFTER_ELEMENT,
    .identity = 0x1112131415161718,
    .tally = {.verdicts = {[VERDICT_PASSED] = 0x21,
                           [VERDICT_WAITING] = 0x22,
                           [VERDICT_REFUSED] = 0x23,
                           [VERDICT_DUPLICATE] = 0x24,
                           [VERDICT_STALE] = 0x25,
                           [VERDICT_INVALID] = 0x26},
              .ahead = 0x27,
              .faults = {{0x31323334, 1, 2}, {0x41424344, 3, TALLY_NO_FIELD}, [7] = {0x51525354, REASON_COUNT - 1, 4}}},
};

static struct span
encode(const struct payload_place *place)
{
    static char value[PLACE_BYTES];

    memset(value, 0x77, sizeof value);
    return span_at(value, place_encode(place, value));
}

static void
assert_same(const struct payload_place *a, const struct payload_place *b)
{
    assert_int_equal(a->at, b->at);
    assert_int_equal(a->record, b->record);
    assert_int_equal(a->identity, b->identity);
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        assert_int_equal(a->tally.verdicts[i], b->tally.verdicts[i]);
    assert_int_equal(a->tally.ahead, b->tally.ahead);
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++) {
        assert_int_equal(a->tally.faults[i].record, b->tally.faults[i].record);
        assert_int_equal(a->tally.faults[i].reason, b->tally.faults[i].reason);
        assert_int_equal(a->tally.faults[i].field, b->tally.faults[i].field);
    }
}

static void
a_place_comes_back_as_it_was(void **state)
{
    struct payload_place place = {.at = 1};
    const struct span value = encode(&whole);

    (void)state;
    assert_int_equal(value.len, PLACE_BYTES);
    assert_int_equal(place_decode(value, &place), 0);
    assert_same(&place, &whole);
}

/* Nothing is written where none is begun, and nothing is what is read there. */
static void
no_place_is_no_bytes(void **state)
{
    static const struct payload_place none;
    const struct payload_place unnamed = {.at = 5, .record = RECORD_BETWEEN};
    struct payload_place place = whole;

    (void)state;
    assert_int_equal(encode(&unnamed).len, 0);
    assert_int_equal(place_decode((struct span){0}, &place), 0);
    assert_same(&place, &none);
}

/* The bytes themselves: other versions of this program read them. */
static void
the_layout_is_as_it_is_said(void **state)
{
    static const unsigned char head[] = {1, 2, 3, 4, 5, 6, 7, 8, RECORD_AFTER_ELEMENT, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
                                         0x17, 0x18, 0, 0, 0, 0, 0, 0, 0, 0x21 + 0x22 + 0x23 + 0x24 + 0x25 + 0x26,
                                         0, 0, 0, 0, 0, 0, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0x26,
                                         0x31, 0x32, 0x33, 0x34, 1, 2, 0x41, 0x42, 0x43, 0x44, 3, 0xff};
    static const unsigned char tail[] = {0x51, 0x52, 0x53, 0x54, REASON_COUNT - 1, 4,
                                         0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0x23,
                                         0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0x27};
    const struct span value = encode(&whole);

    (void)state;
    assert_memory_equal(value.at, head, sizeof head);
    assert_memory_equal(value.at + value.len - sizeof tail, tail, sizeof tail);
    assert_int_equal(PLACE_BYTES, 129); /* so long in stores of this format, */
    assert_int_equal(PLACE_BYTES_OF_BEFORE, 89); /* and of that before */
}

/* A store of before does not say what became of the rest: it passed. */
static void
a_place_of_before_counts_the_rest_as_passed(void **state)
{
    struct payload_place expected = whole, place;

    (void)state;
    expected.tally.verdicts[VERDICT_PASSED] = 0x21 + 0x22 + 0x23 + 0x25;
    expected.tally.verdicts[VERDICT_WAITING] = expected.tally.verdicts[VERDICT_REFUSED] = 0;
    expected.tally.verdicts[VERDICT_STALE] = expected.tally.ahead = 0;
    const struct span value = encode(&whole);
    assert_int_equal(place_decode(span_at(value.at, PLACE_BYTES_OF_BEFORE), &place), 0);
    assert_same(&place, &expected);
    assert_int_equal(tally_taken(&place.tally), tally_taken(&whole.tally));
}

static void
what_is_no_place_is_refused(void **state)
{
    char value[PLACE_BYTES + 1] = {0};
    struct payload_place place;

    (void)state;
    for (size_t len = 1; len <= sizeof value; len++) {
        const bool right = len == PLACE_BYTES || len == PLACE_BYTES_OF_BEFORE;
        assert_int_equal(place_encode(&whole, value), PLACE_BYTES);
        assert_int_equal(place_decode(span_at(value, len), &place), right ? 0 : -1);
    }
    value[8] = RECORD_AT_END;
    assert_int_equal(place_decode(span_at(value, PLACE_BYTES), &place), 0);
    value[8] = RECORD_AT_END + 1;
    assert_int_equal(place_decode(span_at(value, PLACE_BYTES), &place), -1);
    value[8] = (char)0xff; /* of whatever sign the type is */
    assert_int_equal(place_decode(span_at(value, PLACE_BYTES), &place), -1);
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++) {
        place_encode(&whole, value);
        value[41 + 6 * i + 4] = REASON_COUNT;
        assert_int_equal(place_decode(span_at(value, PLACE_BYTES), &place), -1);
        assert_int_equal(place_decode(span_at(value, PLACE_BYTES_OF_BEFORE), &place), -1);
    }
}

static void
faults_are_noted_up_to_as_many_as_are_told(void **state)
{
    struct tally tally = {.verdicts = {[VERDICT_PASSED] = 4}};
    unsigned count;
    const struct record_field *fields = record_fields(RECORD_STEP_TRAINER, &count);
    const struct fault faults[] = {{REASON_MISSING_FIELD, fields[1].name}, {REASON_BAD_JSON, NULL}};

    (void)state;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX + 3; i++) {
        tally_add_fault(&tally, RECORD_STEP_TRAINER, &faults[i % 2]);
        tally.verdicts[VERDICT_INVALID]++;
    }
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++) {
        assert_int_equal(tally.faults[i].record, 4 + i);
        assert_int_equal(tally.faults[i].reason, faults[i % 2].reason);
        assert_int_equal(tally.faults[i].field, i % 2 == 0 ? 1 : TALLY_NO_FIELD);
    }
    assert_int_equal(tally_taken(&tally), 4 + TALLY_FAULTS_MAX + 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_comes_back_as_it_was),
        cmocka_unit_test(no_place_is_no_bytes),
        cmocka_unit_test(the_layout_is_as_it_is_said),
        cmocka_unit_test(a_place_of_before_counts_the_rest_as_passed),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(faults_are_noted_up_to_as_many_as_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
