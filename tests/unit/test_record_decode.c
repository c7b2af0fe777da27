/*
 * What the three kinds of record must hold, what goes out of them, and how payloads of several records are taken apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "record/record.h"

#define NOW_MS INT64_C(1700000000000)
#define AHEAD_MS INT64_C(1000)
#define PAYLOAD_MAX 4096

static const struct record_limits limits = {
    .json = {.depth_max = 4, .string_bytes_max = 64}, .payload_bytes_max = PAYLOAD_MAX, .ahead_ms = AHEAD_MS};

#define CUSTOMER                                                                                                       \
    "\"customerName\":\"Ann\",\"email\":\"ann@example.org\",\"phone\":\"1\","                                        \
    "\"birthDay\":\"1990-01-01\",\"serialNumber\":\"s-1\",\"registrationDate\":5,\"lastUpdateDate\":7"
#define ACCELEROMETER "\"user\":\"ann@example.org\",\"timestamp\":7,\"x\":1.0,\"y\":-0.5,\"z\":2e1"
#define STEP_TRAINER "\"sensorReadingTime\":7,\"serialNumber\":\"s-1\",\"distanceFromObject\":218"

static const char *const bodies[] = {CUSTOMER, ACCELEROMETER, STEP_TRAINER};

/*
 * One record.
 */

/* A decoder of kind and its last record. */
struct decoded {
    struct record_decoder *decoder;
    struct record record;
    enum reason reason;
    struct fault fault;
    char *text;
};

/* Decode a copy of text that has nothing behind it. End with decoded_free. */
static struct decoded
decode_from(enum record_kind kind, const char *text, enum record_source source)
{
    struct decoded decoded = {.decoder = record_decoder_new(kind, &limits)};
    size_t len = strlen(text);

    decoded.text = malloc(len > 0 ? len : 1);
    assert_non_null(decoded.text);
    memcpy(decoded.text, text, len);
    decoded.fault = record_decode(decoded.decoder, span_at(decoded.text, len), source, NOW_MS, &decoded.record);
    decoded.reason = decoded.fault.reason;
    return decoded;
}

static void
decoded_free(struct decoded *decoded)
{
    record_decoder_free(decoded->decoder);
    free(decoded->text);
}

static void
assert_span(struct span span, const char *expected)
{
    if (!span_is(span, expected))
        fail_msg("'%.*s' is not '%s'", (int)span.len, span.at, expected);
}

static void
test_customer(void **state)
{
    struct decoded d = decode_from(RECORD_CUSTOMER, "{" CUSTOMER ",\"shareWithResearchAsOfDate\":6}",
                                   RECORD_FROM_LANDING);

    (void)state;
    assert_int_equal(d.reason, REASON_NONE);
    assert_span(d.record.email, "ann@example.org");
    assert_span(d.record.serial_number, "s-1");
    assert_int_equal(d.record.time_ms, 7);
    assert_int_equal(d.record.research_as_of_ms, 6);
    assert_int_equal(d.record.withdrawn_ms, 0);
    assert_span(d.record.body, CUSTOMER ",\"shareWithResearchAsOfDate\":6");
    decoded_free(&d);
}

static void
test_accelerometer(void **state)
{
    struct decoded d = decode_from(RECORD_ACCELEROMETER, "{" ACCELEROMETER "}", RECORD_FROM_LANDING);

    (void)state;
    assert_int_equal(d.reason, REASON_NONE);
    assert_int_equal(d.record.kind, RECORD_ACCELEROMETER);
    assert_span(d.record.email, "ann@example.org");
    assert_int_equal(d.record.serial_number.len, 0);
    assert_int_equal(d.record.time_ms, 7);
    assert_span(d.record.body, ACCELEROMETER);
    decoded_free(&d);
}

static void
test_step_trainer(void **state)
{
    struct decoded d = decode_from(RECORD_STEP_TRAINER, " {" STEP_TRAINER "}\r\n", RECORD_FROM_LANDING);

    (void)state;
    assert_int_equal(d.reason, REASON_NONE);
    assert_int_equal(d.record.email.len, 0);
    assert_span(d.record.serial_number, "s-1");
    assert_int_equal(d.record.time_ms, 7);
    assert_span(d.record.body, STEP_TRAINER);
    decoded_free(&d);
}

/* What goes out is in a fixed order, without what is unknown, as it came in. */
static const struct {
    enum record_kind kind;
    const char *text;
    const char *body;
} out[] = {
    {RECORD_ACCELEROMETER,
     "{ \"z\" : 2e1 , \"more\":{\"user\":[\"}\"]}, \"y\":-0.5,\"x\":1.0, \"timestamp\":7,\"user\":\"ann@example.org\"}",
     ACCELEROMETER},
    {RECORD_ACCELEROMETER,
     "{\"user\":\"a\\u0040b\\n\",\"timeStamp\":7,\"x\":-0.10,\"y\":1E+2,\"z\":12345678901234567890}",
     "\"user\":\"a\\u0040b\\n\",\"timestamp\":7,\"x\":-0.10,\"y\":1E+2,\"z\":12345678901234567890"},
    {RECORD_ACCELEROMETER, "{\"\\u0075ser\":\"a\",\"time\\u0053tamp\":7,\"x\":1,\"y\":2,\"\\u007a\":3}",
     "\"user\":\"a\",\"timestamp\":7,\"x\":1,\"y\":2,\"z\":3"},
    {RECORD_ACCELEROMETER, "{" ACCELEROMETER ",\"Timestamp\":8,\"TIMESTAMP\":9,\"User\":\"b\"}", ACCELEROMETER},
    {RECORD_CUSTOMER,
     "{\"shareWithFriendsAsOfDate\":3,\"shareWithPublicAsOfDate\":null,\"shareWithResearchAsOfDate\":0," CUSTOMER "}",
     CUSTOMER ",\"shareWithResearchAsOfDate\":0,\"shareWithFriendsAsOfDate\":3"},
    {RECORD_CUSTOMER, "{" CUSTOMER ",\"withdrawn\":3}", CUSTOMER},
    {RECORD_STEP_TRAINER, "{" STEP_TRAINER ",\"serialnumber\":1}", STEP_TRAINER},
    {RECORD_LINE, " {\"any\" : [1, {\"row\":2}]}\r\n", "{\"any\" : [1, {\"row\":2}]}"},
};

static void
test_bodies_go_out_as_they_came(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        struct decoded d = decode_from(out[i].kind, out[i].text, RECORD_FROM_LANDING);
        assert_int_equal(d.reason, REASON_NONE);
        assert_span(d.record.body, out[i].body);
        decoded_free(&d);
    }
}

#define READING(user, timestamp, x) "{\"user\":" user ",\"timestamp\":" timestamp ",\"x\":" x ",\"y\":1,\"z\":1}"
#define LONG_64 "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *text;
    enum reason landing;
    enum reason link;
} readings[] = {
    {READING("\"a\"", "0", "1"), REASON_NONE, REASON_NONE},
    {READING("\"a\"", "1700000001000", "1"), REASON_NONE, REASON_NONE},
    {READING("\"a\"", "1700000001001", "1"), REASON_OUT_OF_RANGE, REASON_NONE},
    {READING("\"a\"", "-1", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "253402300799999", "1"), REASON_OUT_OF_RANGE, REASON_NONE}, /* the last of the year 9999 */
    {READING("\"a\"", "253402300800000", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "9007199254740993", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "9223372036854775807", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "9223372036854775808", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "-9223372036854775808", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "-9223372036854775809", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "1.5", "1"), REASON_NONE, REASON_NONE},
    {READING("\"a\"", "1e3", "1"), REASON_NONE, REASON_NONE},
    {READING("\"a\"", "-0.5", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "1700000001000.9", "1"), REASON_NONE, REASON_NONE},
    {READING("\"a\"", "1700000001001.0", "1"), REASON_OUT_OF_RANGE, REASON_NONE},
    {READING("\"a\"", "1e30", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "\"1\"", "1"), REASON_BAD_TYPE, REASON_BAD_TYPE},
    {READING("\"a\"", "true", "1"), REASON_BAD_TYPE, REASON_BAD_TYPE},
    {READING("\"a\"", "null", "1"), REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {READING("\"\"", "1", "1"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("null", "1", "1"), REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {READING("1", "1", "1"), REASON_BAD_TYPE, REASON_BAD_TYPE},
    {READING("[\"a\"]", "1", "1"), REASON_BAD_TYPE, REASON_BAD_TYPE},
    {READING("\"" LONG_64 "\"", "1", "1"), REASON_NONE, REASON_NONE},
    {READING("\"" LONG_64 "4\"", "1", "1"), REASON_TOO_LARGE, REASON_TOO_LARGE},
    {READING("\"a\\u0000b\"", "1", "1"), REASON_BAD_JSON, REASON_BAD_JSON},
    {READING("\"\xc0\x80\"", "1", "1"), REASON_BAD_JSON, REASON_BAD_JSON},
    {READING("\"a\"", "1", "1e308"), REASON_NONE, REASON_NONE},
    {READING("\"a\"", "1", "1e999"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "1", "-1e999"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "1", "1" LONG_64), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "1", "0." LONG_64), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {READING("\"a\"", "1", "\"1\""), REASON_BAD_TYPE, REASON_BAD_TYPE},
    {READING("\"a\"", "1", "{}"), REASON_BAD_TYPE, REASON_BAD_TYPE},
    {READING("\"a\"", "1", "null"), REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {READING("\"a\"", "1", "1e999999999999999999"), REASON_OUT_OF_RANGE, REASON_OUT_OF_RANGE},
    {"{\"User\":\"a\",\"timestamp\":1,\"x\":1,\"y\":1,\"z\":1}", REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {"{\"user\":\"a\",\"TimeStamp\":1,\"x\":1,\"y\":1,\"z\":1}", REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {"{\"user\":\"a\",\"timestamp\":1,\"x\":1,\"y\":1}", REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {"{\"user\":\"a\",\"timestamp\":1,\"timeStamp\":1,\"x\":1,\"y\":1,\"z\":1}", REASON_BAD_JSON, REASON_BAD_JSON},
    {"{\"user\":\"a\",\"timeStamp\":null,\"x\":1,\"timestamp\":1,\"y\":1,\"z\":1}", REASON_BAD_JSON, REASON_BAD_JSON},
    {"{\"user\":\"a\",\"user\":\"b\",\"timestamp\":1,\"x\":1,\"y\":1,\"z\":1}", REASON_BAD_JSON, REASON_BAD_JSON},
    {"{\"user\":\"a\",\"timestamp\":1,\"x\":1,\"y\":1,\"z\":1,\"m\":{\"n\":1,\"n\":1}}", REASON_BAD_JSON,
     REASON_BAD_JSON},
    {"{\"user\":\"a\",\"timestamp\":1,\"x\":1,\"y\":1,\"z\":1,\"m\":[[[[]]]]}", REASON_BAD_JSON, REASON_BAD_JSON},
    {READING("\"a\"", "1", "1") "x", REASON_BAD_JSON, REASON_BAD_JSON},
    {READING("\"a\"", "1", "1") READING("\"a\"", "1", "1"), REASON_BAD_JSON, REASON_BAD_JSON},
    {"{\"withdrawn\":1}", REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {"{}", REASON_MISSING_FIELD, REASON_MISSING_FIELD},
    {"[]", REASON_BAD_JSON, REASON_BAD_JSON},
    {" ", REASON_BAD_JSON, REASON_BAD_JSON},
    {"", REASON_BAD_JSON, REASON_BAD_JSON},
};

static void
test_readings_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        struct decoded landing = decode_from(RECORD_ACCELEROMETER, readings[i].text, RECORD_FROM_LANDING);
        struct decoded link = decode_from(RECORD_ACCELEROMETER, readings[i].text, RECORD_FROM_LINK);
        if (landing.reason != readings[i].landing || link.reason != readings[i].link)
            fail_msg("%s: %s, over a link %s", readings[i].text, reason_word(landing.reason),
                     reason_word(link.reason));
        decoded_free(&landing);
        decoded_free(&link);
    }
}

/* Write the body of kind with the field at index left out, or its value replaced. */
static void
write_without(enum record_kind kind, unsigned index, const char *value, struct buffer *text)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);

    buffer_clear(text);
    buffer_add_byte(text, '{');
    for (unsigned i = 0; i < count; i++) {
        if (i == index && value == NULL)
            continue;
        const bool flag = fields[i].type == RECORD_FIELD_FLAG;
        const char *preset = fields[i].type == RECORD_FIELD_TEXT ? "\"t\"" : flag ? "false" : "1";
        buffer_printf(text, "%s\"%s\":%s", text->len > 1 ? "," : "", fields[i].name, i == index ? value : preset);
    }
    buffer_add_byte(text, '}');
}

static void
test_every_field_of_every_kind_is_checked(void **state)
{
    struct buffer text = {0};

    (void)state;
    for (int kind = RECORD_CUSTOMER; kind < RECORD_LANDING_KINDS; kind++) {
        unsigned count;
        const struct record_field *fields = record_fields((enum record_kind)kind, &count);
        for (unsigned i = 0; i < count; i++) {
            bool is_text = fields[i].type == RECORD_FIELD_TEXT;
            if (fields[i].type == RECORD_FIELD_FLAG) /* the_flag_withdraw_all */
                continue;
            bool key = fields[i].role == RECORD_ROLE_EMAIL || fields[i].role == RECORD_ROLE_SERIAL_NUMBER;
            enum reason absent = fields[i].required ? REASON_MISSING_FIELD : REASON_NONE;
            const struct {
                const char *value;
                enum reason reason;
            } cases[] = {
                {"1", is_text ? REASON_BAD_TYPE : REASON_NONE},
                {"\"t\"", is_text ? REASON_NONE : REASON_BAD_TYPE},
                {"\"\"", !is_text ? REASON_BAD_TYPE : key ? REASON_OUT_OF_RANGE : REASON_NONE},
                {"1e999", is_text ? REASON_BAD_TYPE : REASON_OUT_OF_RANGE},
                {"1.5", is_text ? REASON_BAD_TYPE : REASON_NONE},
                {"{}", REASON_BAD_TYPE},
                {"null", absent},
                {NULL, absent},
            };
            for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
                write_without((enum record_kind)kind, i, cases[j].value, &text);
                struct decoded d = decode_from((enum record_kind)kind, buffer_text(&text), RECORD_FROM_LANDING);
                if (d.reason != cases[j].reason)
                    fail_msg("%s: %s", buffer_text(&text), reason_word(d.reason));
                /* The name out of the table itself: nothing that came in is pointed to. */
                if (d.fault.field != (d.reason == REASON_NONE ? NULL : fields[i].name))
                    fail_msg("%s: the fault is said to be in %s", buffer_text(&text), d.fault.field);
                decoded_free(&d);
            }
        }
    }
    buffer_free(&text);
}

/* withdrawAll is a boolean, says nothing beside a consent, and is told apart from records without it; it never goes out. */
static void
the_flag_withdraw_all(void **state)
{
    static const struct {
        const char *members;
        enum reason reason;
        bool withdraws_all;
    } cases[] = {
        {"", REASON_NONE, false},
        {",\"withdrawAll\":null", REASON_NONE, false},
        {",\"withdrawAll\":false", REASON_NONE, false},
        {",\"withdrawAll\":true", REASON_NONE, true},
        {",\"withdrawAll\":true,\"shareWithResearchAsOfDate\":0", REASON_NONE, true},
        {",\"withdrawAll\":true,\"shareWithResearchAsOfDate\":null", REASON_NONE, true},
        {",\"withdrawAll\":false,\"shareWithResearchAsOfDate\":6", REASON_NONE, false},
        {",\"withdrawAll\":true,\"shareWithResearchAsOfDate\":6", REASON_OUT_OF_RANGE, false},
        {",\"withdrawAll\":1", REASON_BAD_TYPE, false},
        {",\"withdrawAll\":\"true\"", REASON_BAD_TYPE, false},
        {",\"withdrawAll\":[true]", REASON_BAD_TYPE, false},
    };
    struct decoded plain = decode_from(RECORD_CUSTOMER, "{" CUSTOMER "}", RECORD_FROM_LANDING);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text = {0};
        buffer_printf(&text, "{" CUSTOMER "%s}", cases[i].members);
        struct decoded d = decode_from(RECORD_CUSTOMER, buffer_text(&text), RECORD_FROM_LANDING);
        assert_int_equal(d.reason, cases[i].reason);
        if (d.reason != REASON_NONE) {
            assert_string_equal(d.fault.field, "withdrawAll");
        } else {
            assert_int_equal(d.record.withdraws_all, cases[i].withdraws_all);
            assert_null(memmem(d.record.body.at, d.record.body.len, "withdrawAll", 11));
            if (i < 3)
                assert_true(span_equal(d.record.identity, plain.record.identity));
            if (cases[i].withdraws_all)
                assert_false(span_equal(d.record.identity, plain.record.identity));
        }
        decoded_free(&d);
        buffer_free(&text);
    }
    decoded_free(&plain);
}

/* Folded, an e-mail address tells persons apart without its capitals; what goes out, and what is a duplicate, stays. */
static void
a_folded_address_is_that_of_the_person_only(void **state)
{
    static const char text[] =
        "{\"user\":\"A\\u005a.z\xc3\x84@EXAMPLE.org\",\"timestamp\":7,\"x\":1.0,\"y\":-0.5,\"z\":2e1}";
    struct record_limits folding = limits;

    (void)state;
    folding.fold_email = true;
    struct record_decoder *decoder = record_decoder_new(RECORD_ACCELEROMETER, &folding);
    struct record record;
    assert_int_equal(record_decode(decoder, span_of(text), RECORD_FROM_LANDING, NOW_MS, &record).reason, REASON_NONE);
    assert_span(record.email, "az.z\xc3\x84@example.org");
    struct decoded d = decode_from(RECORD_ACCELEROMETER, text, RECORD_FROM_LANDING);
    assert_span(d.record.email, "AZ.z\xc3\x84@EXAMPLE.org");
    assert_true(span_equal(d.record.identity, record.identity));
    assert_true(span_equal(d.record.body, record.body));
    decoded_free(&d);
    record_decoder_free(decoder);
}

#define LONG_NUMBER                                                                                                    \
    "11111111112222222222333333333344444444445555555555666666666677777777778888888888999999999900000000001111111111"

static void
test_bug_270_a_fault_names_its_field(void **state)
{
    static const struct {
        const char *text;
        enum reason reason;
        const char *field;
    } cases[] = {
        {"{}", REASON_MISSING_FIELD, "user"},
        {"{\"z\":1,\"user\":\"a\"}", REASON_MISSING_FIELD, "timestamp"},
        {"{\"user\":7,\"timestamp\":\"x\"}", REASON_BAD_TYPE, "user"},
        {"{\"user\":\"a\",\"timeStamp\":true,\"x\":1,\"y\":1,\"z\":1}", REASON_BAD_TYPE, "timestamp"},
        {"{\"user\":\"a\",\"timestamp\":1,\"timeStamp\":1,\"x\":1,\"y\":1,\"z\":1}", REASON_BAD_JSON, "timestamp"},
        {"{\"user\":\"a\",\"timestamp\":-1,\"x\":1,\"y\":1,\"z\":1}", REASON_OUT_OF_RANGE, "timestamp"},
        {"{\"user\":\"a\",\"timestamp\":1,\"x\":1,\"y\":" LONG_NUMBER ",\"z\":1}", REASON_OUT_OF_RANGE, "y"},
        /* Found before there is an object: what is no JSON, comes twice, is too long. */
        {"{\"user\":\"a\",\"timestamp\":1,\"x\":NaN,\"y\":1,\"z\":1}", REASON_BAD_JSON, "x"},
        {"{\"user\":\"a\",\"time\\u0053tamp\":'1'}", REASON_BAD_JSON, "timestamp"},
        {"{\"user\":\"a\",\"\\u0075ser\":\"b\"}", REASON_BAD_JSON, "user"},
        {"{\"x\":1,\"user\":\"" LONG_NUMBER "\"}", REASON_TOO_LARGE, "user"},
        {"{\"x\":[1,{\"user\":\"" LONG_NUMBER "\"}]}", REASON_TOO_LARGE, "x"},
        /* In no field of ours. */
        {"{\"more\":\"" LONG_NUMBER "\"}", REASON_TOO_LARGE, NULL},
        {"{\"user\":\"a\",\"" LONG_NUMBER "\":1}", REASON_TOO_LARGE, NULL},
        {"{\"user\":\"a\",,}", REASON_BAD_JSON, NULL},
        {"{\"user\":\"a\"} x", REASON_BAD_JSON, NULL},
        {" ", REASON_BAD_JSON, NULL},
    };
    struct record_limits narrow = limits;

    (void)state;
    narrow.json.string_bytes_max = 100;
    struct record_decoder *decoder = record_decoder_new(RECORD_ACCELEROMETER, &narrow);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record record;
        struct fault fault = record_decode(decoder, span_of(cases[i].text), RECORD_FROM_LANDING, NOW_MS, &record);
        const char *field = fault.field != NULL ? fault.field : "none";
        const char *expected = cases[i].field != NULL ? cases[i].field : "none";
        if (fault.reason != cases[i].reason || strcmp(field, expected) != 0)
            fail_msg("%s: %s in %s", cases[i].text, reason_word(fault.reason), field);
        /* The decoder remembers nothing of it. */
        fault = record_decode(decoder, span_of("{" ACCELEROMETER "}"), RECORD_FROM_LANDING, NOW_MS, &record);
        assert_int_equal(fault.reason, REASON_NONE);
        assert_null(fault.field);
    }
    record_decoder_free(decoder);
}

/* Whatever spelling of a whole number of milliseconds came: one record, one body, one identity. */
static void
bug_241_times_go_out_as_integers(void **state)
{
    static const char *const spellings[] = {"1655564376361.0", "1.655564376361E12", "1655564376361000e-3",
                                            "1655564376361.4568", "1655564376361.999999999999999999"};
    const struct decoded plain = decode_from(RECORD_ACCELEROMETER, READING("\"a\"", "1655564376361", "1.0"),
                                             RECORD_FROM_LANDING);

    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct buffer text = {0};
        buffer_printf(&text, "{\"x\":1.0,\"y\":1,\"z\":1,\"timeStamp\":%s,\"user\":\"a\"}", spellings[i]);
        struct decoded d = decode_from(RECORD_ACCELEROMETER, buffer_text(&text), RECORD_FROM_LANDING);
        assert_int_equal(d.reason, REASON_NONE);
        assert_true(d.record.time_ms == INT64_C(1655564376361));
        assert_true(span_equal(d.record.body, plain.record.body));
        assert_true(span_equal(d.record.identity, plain.record.identity));
        decoded_free(&d);
        buffer_free(&text);
    }
    decoded_free(&(struct decoded){.decoder = plain.decoder, .text = plain.text});
    struct decoded longer = decode_from(RECORD_CUSTOMER,
                                        "{\"customerName\":\"\",\"email\":\"a\",\"phone\":\"\",\"birthDay\":\"\","
                                        "\"serialNumber\":\"s\",\"registrationDate\":1e12,\"lastUpdateDate\":1e12,"
                                        "\"shareWithResearchAsOfDate\":0.9,\"shareWithPublicAsOfDate\":-0,"
                                        "\"shareWithFriendsAsOfDate\":1e12}", RECORD_FROM_LANDING);
    assert_int_equal(longer.reason, REASON_NONE);
    assert_int_equal(longer.record.research_as_of_ms, 0);
    assert_span(longer.record.body,
                "\"customerName\":\"\",\"email\":\"a\",\"phone\":\"\",\"birthDay\":\"\",\"serialNumber\":\"s\","
                "\"registrationDate\":1000000000000,\"lastUpdateDate\":1000000000000,\"shareWithResearchAsOfDate\":0,"
                "\"shareWithPublicAsOfDate\":0,\"shareWithFriendsAsOfDate\":1000000000000");
    decoded_free(&longer);
}

/* Seconds in place of milliseconds. What one of our own processes took in is not looked at again: it may have been
 * before there was a limit. */
static void
bug_242_a_reading_from_before_the_earliest_day_is_refused_and_a_customer_is_not(void **state)
{
    struct record_limits strict = limits;

    (void)state;
    strict.earliest_ms = INT64_C(946684800000);
    static const struct {
        enum record_kind kind;
        const char *text;
        enum record_source source;
        enum reason reason;
    } cases[] = {
        {RECORD_ACCELEROMETER, READING("\"a\"", "1655564376", "1"), RECORD_FROM_LANDING, REASON_OUT_OF_RANGE},
        {RECORD_ACCELEROMETER, READING("\"a\"", "946684799999.9", "1"), RECORD_FROM_LANDING, REASON_OUT_OF_RANGE},
        {RECORD_ACCELEROMETER, READING("\"a\"", "946684800000", "1"), RECORD_FROM_LANDING, REASON_NONE},
        {RECORD_ACCELEROMETER, READING("\"a\"", "1655564376", "1"), RECORD_FROM_LINK, REASON_NONE},
        {RECORD_STEP_TRAINER, "{" STEP_TRAINER "}", RECORD_FROM_LANDING, REASON_OUT_OF_RANGE},
        {RECORD_STEP_TRAINER, "{" STEP_TRAINER "}", RECORD_FROM_LINK, REASON_NONE},
        {RECORD_CUSTOMER, "{" CUSTOMER "}", RECORD_FROM_LANDING, REASON_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record_decoder *decoder = record_decoder_new(cases[i].kind, &strict);
        struct record record;
        const struct fault fault = record_decode(decoder, span_of(cases[i].text), cases[i].source, NOW_MS, &record);
        if (fault.reason != cases[i].reason)
            fail_msg("%s: %s", cases[i].text, reason_word(fault.reason));
        record_decoder_free(decoder);
    }
}

static void
test_escapes_are_resolved_in_keys(void **state)
{
    struct decoded d = decode_from(RECORD_ACCELEROMETER, READING("\"\\u0061\\/\\ud83d\\ude00\"", "1", "1"),
                                   RECORD_FROM_LANDING);

    (void)state;
    assert_int_equal(d.reason, REASON_NONE);
    assert_span(d.record.email, "a/\xf0\x9f\x98\x80");
    decoded_free(&d);
}

/* Where a record says whose it is, and what goes out instead of that. */
static void
the_person_of_a_body_is_known_by_its_place(void **state)
{
    static const struct {
        enum record_kind kind;
        const char *came, *renamed, *without;
    } cases[] = {
        {RECORD_ACCELEROMETER, READING("\"ann\"", "7", "1"), READING("\"0f\"", "7", "1"),
         "{\"timestamp\":7,\"x\":1,\"y\":1,\"z\":1}"},
        {RECORD_ACCELEROMETER, READING("\"a\\\"b\\\\\\u0041\"", "7", "1"), READING("\"0f\"", "7", "1"),
         "{\"timestamp\":7,\"x\":1,\"y\":1,\"z\":1}"},
        {RECORD_ACCELEROMETER, "{\"z\":1, \"y\":1,\"x\":1,\"timeStamp\" : 7, \"user\" : \"ann\"}",
         READING("\"0f\"", "7", "1"),
         "{\"timestamp\":7,\"x\":1,\"y\":1,\"z\":1}"},
        {RECORD_CUSTOMER, "{" CUSTOMER "}",
         "{\"customerName\":\"Ann\",\"email\":\"0f\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\",\"serialNumber\":\"s-1\","
         "\"registrationDate\":5,\"lastUpdateDate\":7}",
         "{\"customerName\":\"Ann\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\",\"serialNumber\":\"s-1\","
         "\"registrationDate\":5,\"lastUpdateDate\":7}"},
    };
    /* None of ours has it at the end. */
    const struct record last = {.body = span_of("\"x\":1,\"user\":\"ann\""), .person = {6, 14, 17}};
    const struct record alone = {.body = span_of("\"user\":\"ann\""), .person = {0, 8, 11}};
    struct buffer text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decoded d = decode_from(cases[i].kind, cases[i].came, RECORD_FROM_LANDING);
        assert_int_equal(d.reason, REASON_NONE);
        buffer_clear(&text);
        buffer_add_byte(&text, '{');
        record_rename_person(&d.record, span_of("0f"), &text);
        buffer_add_byte(&text, '}');
        assert_string_equal(buffer_text(&text), cases[i].renamed);
        buffer_clear(&text);
        buffer_add_byte(&text, '{');
        record_leave_out_person(&d.record, &text);
        buffer_add_byte(&text, '}');
        assert_string_equal(buffer_text(&text), cases[i].without);
        decoded_free(&d);
    }
    buffer_clear(&text);
    record_leave_out_person(&last, &text);
    assert_string_equal(buffer_text(&text), "\"x\":1");
    buffer_clear(&text);
    record_leave_out_person(&alone, &text);
    assert_string_equal(buffer_text(&text), "");
    buffer_free(&text);
    struct decoded d = decode_from(RECORD_STEP_TRAINER, "{" STEP_TRAINER "}", RECORD_FROM_LANDING);
    assert_int_equal(d.record.person.end, 0);
    decoded_free(&d);
}

/* Records as they went out when each kind had its first fields, and what told them apart then. A field that came later
 * changes neither: the rule is above the table of fields in record.c. */
static void
records_of_before(void **state)
{
    static const struct {
        enum record_kind kind;
        const char *body, *identity;
    } records[] = {
        {RECORD_CUSTOMER, CUSTOMER,
         "416e6e00616e6e406578616d706c652e6f7267003100313939302d30312d303100732d31000000000000000005000000"
         "0000000007000000"},
        {RECORD_CUSTOMER,
         CUSTOMER ",\"shareWithResearchAsOfDate\":6,\"shareWithPublicAsOfDate\":8,\"shareWithFriendsAsOfDate\":9",
         "416e6e00616e6e406578616d706c652e6f7267003100313939302d30312d303100732d31000000000000000005000000"
         "0000000007010000000000000006010000000000000008010000000000000009"},
        {RECORD_ACCELEROMETER, ACCELEROMETER,
         "616e6e406578616d706c652e6f726700000000000000000731002d35652d310032653100"},
        {RECORD_STEP_TRAINER, STEP_TRAINER, "0000000000000007732d310032313800"},
    };
    struct buffer text = {0};
    struct buffer hex = {0};

    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        buffer_clear(&text);
        buffer_printf(&text, "{%s}", records[i].body);
        struct decoded d = decode_from(records[i].kind, buffer_text(&text), RECORD_FROM_LINK);
        assert_int_equal(d.reason, REASON_NONE);
        assert_span(d.record.body, records[i].body);
        buffer_clear(&hex);
        for (size_t j = 0; j < d.record.identity.len; j++)
            buffer_printf(&hex, "%02x", (unsigned char)d.record.identity.at[j]);
        assert_string_equal(buffer_text(&hex), records[i].identity);
        decoded_free(&d);
    }
    buffer_free(&text);
    buffer_free(&hex);
}

static void
test_withdrawn_markers(void **state)
{
    static const struct {
        enum record_kind kind;
        const char *text;
        enum reason reason;
    } cases[] = {
        {RECORD_CUSTOMER, "{\"withdrawn\":123}", REASON_NONE},
        {RECORD_CUSTOMER, "{ \"withdra\\u0077n\" : 123 }", REASON_NONE},
        {RECORD_CUSTOMER, "{\"withdrawn\":0}", REASON_OUT_OF_RANGE},
        {RECORD_CUSTOMER, "{\"withdrawn\":123.5}", REASON_NONE},
        {RECORD_CUSTOMER, "{\"withdrawn\":0.5}", REASON_OUT_OF_RANGE},
        {RECORD_CUSTOMER, "{\"withdrawn\":null}", REASON_MISSING_FIELD},
        {RECORD_CUSTOMER, "{\"withdrawn\":123,\"more\":1}", REASON_MISSING_FIELD},
        {RECORD_STEP_TRAINER, "{\"withdrawn\":123}", REASON_MISSING_FIELD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decoded d = decode_from(cases[i].kind, cases[i].text, RECORD_FROM_LINK);
        assert_int_equal(d.reason, cases[i].reason);
        if (d.reason == REASON_NONE) {
            assert_int_equal(d.record.withdrawn_ms, 123);
            assert_span(d.record.body, "\"withdrawn\":123");
            assert_int_equal(d.record.identity.len, 0);
        }
        decoded_free(&d);
    }
    struct decoded landing = decode_from(RECORD_CUSTOMER, "{\"withdrawn\":123}", RECORD_FROM_LANDING);
    assert_int_equal(landing.reason, REASON_MISSING_FIELD);
    decoded_free(&landing);
}

static void
test_encoded_withdrawn_markers_decode(void **state)
{
    static const int64_t times[][2] = {{1700000000000, 1700000000000}, {1, 1}, {0, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct buffer text = {0};
        buffer_add_byte(&text, '{');
        record_encode_withdrawn(times[i][0], &text);
        buffer_add_byte(&text, '}');
        struct decoded d = decode_from(RECORD_CUSTOMER, buffer_text(&text), RECORD_FROM_LINK);
        assert_int_equal(d.reason, REASON_NONE);
        assert_true(d.record.withdrawn_ms == times[i][1]);
        decoded_free(&d);
        buffer_free(&text);
    }
}

/*
 * Identity.
 */

static const struct {
    enum record_kind kind;
    bool equal;
    const char *a;
    const char *b;
} pairs[] = {
    {RECORD_ACCELEROMETER, true, READING("\"a\"", "1", "1"), READING("\"a\"", "1", "1")},
    {RECORD_ACCELEROMETER, true, READING("\"a\"", "1", "1"), READING("\"\\u0061\"", "1", "1.0")},
    {RECORD_ACCELEROMETER, true, READING("\"a\"", "0", "0"), READING("\"a\"", "-0", "-0.0")},
    {RECORD_ACCELEROMETER, true, READING("\"a\"", "1", "100"), READING("\"a\"", "1", "1e2")},
    {RECORD_ACCELEROMETER, true, READING("\"a\"", "1", "1"),
     "{\"y\":1,\"z\":1,\"x\":1,\"timeStamp\":1,\"user\":\"a\",\"w\":2}"},
    {RECORD_ACCELEROMETER, false, READING("\"a\"", "1", "1"), READING("\"b\"", "1", "1")},
    {RECORD_ACCELEROMETER, false, READING("\"a\"", "1", "1"), READING("\"A\"", "1", "1")},
    {RECORD_ACCELEROMETER, false, READING("\"a\"", "1", "1"), READING("\"a\"", "2", "1")},
    {RECORD_ACCELEROMETER, false, READING("\"a\"", "1", "1"), READING("\"a\"", "1", "-1")},
    {RECORD_ACCELEROMETER, false, READING("\"a\"", "1", "9007199254740992"), READING("\"a\"", "1", "9007199254740993")},
    {RECORD_ACCELEROMETER, false, "{\"user\":\"a\",\"timestamp\":1,\"x\":11,\"y\":1,\"z\":1}",
     "{\"user\":\"a\",\"timestamp\":1,\"x\":1,\"y\":11,\"z\":1}"},
    {RECORD_CUSTOMER, true, "{" CUSTOMER "}", "{" CUSTOMER ",\"shareWithPublicAsOfDate\":null}"},
    {RECORD_CUSTOMER, false, "{" CUSTOMER "}", "{" CUSTOMER ",\"shareWithPublicAsOfDate\":0}"},
    {RECORD_CUSTOMER, false, "{" CUSTOMER ",\"shareWithFriendsAsOfDate\":1}",
     "{" CUSTOMER ",\"shareWithPublicAsOfDate\":1}"},
    {RECORD_CUSTOMER, false,
     "{\"customerName\":\"ab\",\"email\":\"c\",\"phone\":\"\",\"birthDay\":\"\",\"serialNumber\":\"s\","
     "\"registrationDate\":1,\"lastUpdateDate\":1}",
     "{\"customerName\":\"a\",\"email\":\"bc\",\"phone\":\"\",\"birthDay\":\"\",\"serialNumber\":\"s\","
     "\"registrationDate\":1,\"lastUpdateDate\":1}"},
};

static void
test_equal_records_have_equal_identity(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct decoded a = decode_from(pairs[i].kind, pairs[i].a, RECORD_FROM_LANDING);
        struct decoded b = decode_from(pairs[i].kind, pairs[i].b, RECORD_FROM_LANDING);
        assert_int_equal(a.reason, REASON_NONE);
        assert_int_equal(b.reason, REASON_NONE);
        assert_true(a.record.identity.len > 0);
        if (span_equal(a.record.identity, b.record.identity) != pairs[i].equal)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
        decoded_free(&a);
        decoded_free(&b);
    }
}

/*
 * Payloads of step trainer records. What comes out is written as words: the time of a record, or why it is refused.
 */

#define S(time) "{\"sensorReadingTime\":" time ",\"serialNumber\":\"s\",\"distanceFromObject\":1}"
#define TEXT(literal) literal, sizeof(literal) - 1

struct payload_case {
    const char *name;
    const char *payload;
    size_t len;
    const char *expected;
};

static const struct payload_case payloads[] = {
    {"nothing", TEXT(""), "bad_json"},
    {"white space", TEXT(" \r\n\t"), "bad_json"},
    {"a BOM alone", TEXT("\xef\xbb\xbf"), "bad_json"},
    {"half a BOM", TEXT("\xef\xbb" S("1")), "bad_json 1"},
    {"a BOM in the middle", TEXT(S("1") "\n\xef\xbb\xbf" S("2")), "1 bad_json 2"},
    {"one object", TEXT(S("1")), "1"},
    {"one object and a line end", TEXT(S("1") "\n"), "1"},
    {"a BOM", TEXT("\xef\xbb\xbf" S("1") "\n" S("2")), "1 2"},
    {"a BOM and an array", TEXT("\xef\xbb\xbf[" S("1") "]"), "1"},
    {"lines", TEXT(S("1") "\n" S("2") "\n" S("3") "\n"), "1 2 3"},
    {"lines with CRLF", TEXT(S("1") "\r\n" S("2") "\r\n\r\n" S("3")), "1 2 3"},
    {"objects without separator", TEXT(S("1") S("2") S("3")), "1 2 3"},
    {"objects with blanks", TEXT(S("1") " \t" S("2")), "1 2"},
    {"an object over several lines", TEXT("{\"sensorReadingTime\":1,\n\"serialNumber\":\"s\",\n"
                                          "\"distanceFromObject\":1\n}\n" S("2")), "1 2"},

    {"a record that lacks a field", TEXT(S("1") "\n{\"serialNumber\":\"s\"}\n" S("2")), "1 missing_field 2"},
    {"a record of bad type on one line", TEXT(S("1") S("\"x\"") S("2")), "1 bad_type 2"},
    {"a broken record between lines", TEXT(S("1") "\n{\"a\":}\n" S("2")), "1 bad_json 2"},
    {"a broken record on one line with others", TEXT(S("1") "{\"a\":,\"b\":\"}{\"}" S("2")), "1 bad_json 2"},
    {"a broken record with inner braces", TEXT("{\"a\":{\"b\":1,},\"c\":{}}" S("2")), "bad_json 2"},
    {"a broken record that never balances", TEXT("{\"a\":{,}" S("1") "\n" S("2")), "bad_json 2"},
    {"an odd quote", TEXT("{\"a\":\"b\"c\"}" S("1") "\n" S("2")), "bad_json 2"},
    {"an escaped quote in a broken record", TEXT("{\"a\":01,\"b\":\"\\\"}\"}" S("2")), "bad_json 2"},
    {"invalid UTF-8 in a string", TEXT("{\"a\":\"\xff\"}" S("2")), "bad_json 2"},
    {"a NUL escape", TEXT("{\"a\":\"\\u0000\"}" S("2")), "bad_json 2"},
    {"a raw NUL", TEXT("{\"a\":\"\0\"}" S("2")), "bad_json 2"},
    {"too deep", TEXT("{\"a\":[[[[]]]]}" S("2")), "bad_json 2"},
    {"a long string", TEXT("{\"a\":\"" LONG_64 "x\"}" S("2")), "too_large 2"},

    {"cut in a string", TEXT("{\"sensorRead\n" S("2")), "bad_json 2"},
    {"cut in a string, CRLF", TEXT("{\"sensorRead\r\n" S("2") "\r\n"), "bad_json 2"},
    {"cut behind an escape", TEXT("{\"a\":\"\\\n" S("2")), "bad_json 2"},
    {"cut behind an escape, then the end of a string", TEXT("{\"a\":\"\\\n\"}" S("2")), "bad_json bad_json 2"},
    {"cut behind the brace", TEXT("{\n" S("2")), "bad_json 2"},
    {"cut behind a name", TEXT("{\"a\"\n" S("2")), "bad_json 2"},
    {"cut behind a colon", TEXT("{\"a\":\n" S("2")), "bad_json 2"},
    {"cut behind a colon, with more lines", TEXT("{\"a\":\n" S("2") "\n" S("3") "\n"), "bad_json 2 3"},
    {"cut behind a value", TEXT("{\"a\":1\n" S("2") "\n" S("3")), "bad_json 2 3"},
    {"cut behind a comma", TEXT("{\"a\":1,\n" S("2")), "bad_json 2"},
    {"cut in an array", TEXT("{\"a\":[1,\n" S("2") "\n" S("3") "\n"), "bad_json 2 3"},
    {"cut in an array, then an indented line", TEXT("{\"a\":1,\n  " S("2") "\n"), "bad_json 2"},
    {"cut twice", TEXT("{\"a\":\n{\"a\":\n" S("2") "\n"), "bad_json bad_json 2"},
    {"cut at the end", TEXT(S("1") "\n{\"sensor"), "1 bad_json"},
    {"cut at the end behind a line end", TEXT(S("1") "\n{\"a\":1\n  "), "1 bad_json"},
    {"the rest of a cut line", TEXT("Time\":1,\"serialNumber\":\"s\"}\n" S("2")), "bad_json 2"},
    {"a fault on a later line, before inner braces",
     TEXT("{\n  \"a\": 1,\n  \"b\": x,\n  \"c\": [\n    {}\n  ]\n}\n" S("2")), "bad_json missing_field bad_json 2"},
    {"a fault on a later line, behind inner braces", TEXT("{\n  \"a\": [\n    {}\n  ],\n  \"b\": x\n}\n" S("2")),
     "bad_json 2"},
    {"a fault on a later line without inner braces", TEXT("{\n  \"a\": x,\n  \"b\": 1\n}\n" S("2")), "bad_json 2"},

    {"text between", TEXT(S("1") " garbage, 1 2 3\n" S("2")), "1 bad_json 2"},
    {"text at the end", TEXT(S("1") "}]\n"), "1 bad_json"},
    {"text alone", TEXT("hello"), "bad_json"},
    {"a number alone", TEXT("1"), "bad_json"},
    {"a comma between objects", TEXT(S("1") "," S("2")), "1 bad_json 2"},
    {"a line that is an array", TEXT(S("1") "\n[" S("2") "]"), "1 bad_json 2 bad_json"},

    {"an empty array", TEXT(" [ ] \n"), ""},
    {"an array", TEXT("[" S("1") "," S("2") "]"), "1 2"},
    {"an array over several lines", TEXT("[\r\n" S("1") " ,\r\n" S("2") "\r\n]\r\n"), "1 2"},
    {"an array without commas", TEXT("[" S("1") "\n" S("2") S("3") "]"), "1 2 3"},
    {"an array with bad neighbours", TEXT("[{\"a\":}," S("1") ",{},{\"a\":[1,}," S("2") ",{\"a\" 1}]"),
     "bad_json 1 missing_field bad_json 2 bad_json"},
    {"an array with elements of other types", TEXT("[1," S("1") ",\"],{\",null, [{},[1]] ," S("2") ",true]"),
     "bad_json 1 bad_json bad_json bad_json 2 bad_json"},
    {"an array with elements that are not there", TEXT("[," S("1") ",," S("2") ",]"), "bad_json 1 bad_json 2 bad_json"},
    {"an array with a cut line", TEXT("[\n" S("1") ",\n{\"a\":\"\n" S("2") ",\n" S("3") "\n]"), "1 bad_json 2 3"},
    {"an array cut behind a colon", TEXT("[\n" S("1") ",\n{\"a\":\n" S("2") ",\n" S("3") "\n]"), "1 bad_json 2 3"},
    {"an indented array cut behind a colon",
     TEXT("[\n  {\"a\":\n  " S("2") ",\n  " S("3") "\n]"), "bad_json 2 3"},
    {"an array with its bracket missing", TEXT("[" S("1") "\n"), "1 bad_json"},
    {"an array with its bracket missing behind a comma", TEXT("[" S("1") ","), "1 bad_json"},
    {"a bracket alone", TEXT("["), "bad_json"},
    {"an array cut in an escape", TEXT("[\"\\"), "bad_json bad_json"},
    {"an array cut in a record", TEXT("[" S("1") ",{\"a\":1"), "1 bad_json bad_json"},
    {"something behind an array", TEXT("[" S("1") "] x " S("2")), "1 bad_json 2"},
    {"another array behind an array", TEXT("[" S("1") "]\n[" S("2") "]"), "1 bad_json 2 bad_json"},
    {"bug 2: good lines behind one that is an array", TEXT("[1]\n" S("1") "\n" S("2") "\n"), "bad_json 1 2"},
    {"a brace too many in an array", TEXT("[" S("1") "}," S("2") "]"), "1 bad_json 2"},
    {"an array in an array", TEXT("[[" S("1") "]]"), "bad_json"},
    {"an open string in an array", TEXT("[\"a," S("1") "\n," S("2") "]"), "bad_json 2"},
};

static void
add_word(struct buffer *words, const char *word)
{
    if (words->len > 0)
        buffer_add_byte(words, ' ');
    buffer_add_text(words, word);
}

/* Everything that comes out of payload, as words. Each step must advance. */
static void
read_payload(enum record_kind kind, struct span payload, struct buffer *words)
{
    struct record_decoder *decoder = record_decoder_new(kind, &limits);
    struct record_cursor cursor = record_cursor(payload);
    struct record_cursor before = cursor;
    struct record record;
    struct fault fault;

    buffer_clear(words);
    while (record_next(decoder, &cursor, RECORD_FROM_LANDING, NOW_MS, &record, &fault)) {
        assert_true(cursor.at > before.at || cursor.place != before.place);
        assert_true(cursor.at <= payload.len);
        before = cursor;
        struct buffer word = {0};
        if (fault.reason != REASON_NONE)
            buffer_add_text(&word, reason_word(fault.reason));
        else if (kind == RECORD_LINE)
            buffer_printf(&word, "<%.*s>", (int)record.body.len, record.body.at);
        else
            buffer_add_int(&word, record.time_ms);
        add_word(words, buffer_text(&word));
        buffer_free(&word);
    }
    assert_int_equal(record_next(decoder, &cursor, RECORD_FROM_LANDING, NOW_MS, &record, &fault), 0);
    record_decoder_free(decoder);
}

static void
check_payload(enum record_kind kind, const struct payload_case *test)
{
    struct buffer words = {0};
    char *copy = malloc(test->len > 0 ? test->len : 1);

    assert_non_null(copy);
    memcpy(copy, test->payload, test->len);
    read_payload(kind, span_at(copy, test->len), &words);
    if (strcmp(buffer_text(&words), test->expected) != 0)
        fail_msg("%s: '%s' instead of '%s'", test->name, buffer_text(&words), test->expected);
    free(copy);
    buffer_free(&words);
}

static void
test_payloads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++)
        check_payload(RECORD_STEP_TRAINER, &payloads[i]);
}

static void
test_bug_360_a_line_is_one_object(void **state)
{
    static const struct payload_case lines[] = {
        {"nothing", TEXT(""), "bad_json"},
        {"lines", TEXT("{\"a\":1}\n\n \r\n  {\"b\":[]} \r\n{\"c\":{}}\n"), "<{\"a\":1}> <{\"b\":[]}> <{\"c\":{}}>"},
        {"no line end", TEXT("\xef\xbb\xbf{\"a\":1}"), "<{\"a\":1}>"},
        {"no objects", TEXT("a\n[{\"a\":1}]\n{\"a\"\n:1}\n{\"b\":1}"), "bad_json bad_json bad_json bad_json <{\"b\":1}>"},
        {"two", TEXT("{\"a\":1}{\"b\":1}\n{\"b\":1}"), "bad_json <{\"b\":1}>"},
        {"a NUL", TEXT("{\"a\":1,\0\"b\":1}\n{\"b\":\"\0\"}\n{\"b\":1}"), "bad_json bad_json <{\"b\":1}>"},
        {"no members", TEXT("{}\n{ }\n{\"b\":1}"), "missing_field missing_field <{\"b\":1}>"},
        {"the lake's own member", TEXT("{\"row\":1}\n{\"r\\u006fw\":1}\n{\"b\":1}"), "bad_json bad_json <{\"b\":1}>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        check_payload(RECORD_LINE, &lines[i]);
}

static void
test_none_is_an_empty_payload(void **state)
{
    struct buffer words = {0};

    (void)state;
    read_payload(RECORD_CUSTOMER, (struct span){NULL, 0}, &words);
    assert_string_equal(buffer_text(&words), "bad_json");
    buffer_free(&words);
}

/* What was taken in under other limits stays good; what no record can have does not come in by that door. */
static void
test_bug_361_links_refuse_what_no_record_has(void **state)
{
    static const struct {
        enum record_kind kind;
        const char *text;
        const char *field;
    } cases[] = {
        {RECORD_STEP_TRAINER, "{\"sensorReadingTime\":9223372036854775807,\"serialNumber\":\"s\",\"distanceFromObject\":1}",
         "sensorReadingTime"},
        {RECORD_STEP_TRAINER, "{\"sensorReadingTime\":-1,\"serialNumber\":\"s\",\"distanceFromObject\":1}",
         "sensorReadingTime"},
        {RECORD_CUSTOMER, "{\"withdrawn\":253402300800000}", "withdrawn"},
        {RECORD_CUSTOMER, "{" CUSTOMER ",\"shareWithResearchAsOfDate\":-1}", "shareWithResearchAsOfDate"},
        {RECORD_CUSTOMER, "{" CUSTOMER ",\"shareWithResearchAsOfDate\":253402300800000}", "shareWithResearchAsOfDate"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decoded d = decode_from(cases[i].kind, cases[i].text, RECORD_FROM_LINK);
        assert_int_equal(d.reason, REASON_OUT_OF_RANGE);
        assert_string_equal(d.fault.field, cases[i].field);
        decoded_free(&d);
    }
}

/* However far ahead a clock is, and whatever `ahead` says. */
static void
test_no_time_is_behind_the_year_9999(void **state)
{
    struct record_limits wide = limits;

    (void)state;
    wide.ahead_ms = 3650 * INT64_C(86400000);
    struct record_decoder *decoder = record_decoder_new(RECORD_ACCELEROMETER, &wide);
    struct record record;
    const int64_t clocks[] = {RECORD_TIME_MS_MAX, INT64_MAX};
    for (unsigned i = 0; i < 2; i++) {
        const char *good = READING("\"a\"", "253402300799999", "1"), *late = READING("\"a\"", "253402300800000", "1");
        assert_int_equal(record_decode(decoder, span_of(good), RECORD_FROM_LANDING, clocks[i], &record).reason, REASON_NONE);
        assert_int_equal(record_decode(decoder, span_of(late), RECORD_FROM_LANDING, clocks[i], &record).reason,
                         REASON_OUT_OF_RANGE);
    }
    record_decoder_free(decoder);
}

static void
test_a_large_payload_is_one_refused_record(void **state)
{
    struct buffer payload = {0};
    struct buffer words = {0};

    (void)state;
    buffer_add_text(&payload, S("1"));
    while (payload.len < PAYLOAD_MAX)
        buffer_add_byte(&payload, ' ');
    for (int kind = RECORD_CUSTOMER; kind <= RECORD_LINE; kind++) {
        read_payload((enum record_kind)kind, buffer_span(&payload), &words);
        assert_string_not_equal(buffer_text(&words), "too_large");
    }
    buffer_add_byte(&payload, ' ');
    for (int kind = RECORD_CUSTOMER; kind <= RECORD_LINE; kind++) {
        read_payload((enum record_kind)kind, buffer_span(&payload), &words);
        assert_string_equal(buffer_text(&words), "too_large");
    }
    buffer_free(&payload);
    buffer_free(&words);
}

/* Cut a record at every byte: it must cost one refusal and none of its neighbours. */
static void
test_a_cut_record_harms_no_neighbour(void **state)
{
    static const char record[] = "{\"sensorReadingTime\":2,\"serialNumber\":\"\\u0041 \\\"b\","
                                 "\"more\":{\"a\":[1,{\"b\":null}]},\"distanceFromObject\":-1.5e0}";
    struct buffer payload = {0};
    struct buffer words = {0};

    (void)state;
    for (size_t cut = 1; cut < sizeof record - 1; cut++) {
        for (int crlf = 0; crlf <= 1; crlf++) {
            const char *line_end = crlf ? "\r\n" : "\n";
            buffer_clear(&payload);
            buffer_add_text(&payload, S("1"));
            buffer_add_text(&payload, line_end);
            buffer_add(&payload, record, cut);
            buffer_add_text(&payload, line_end);
            buffer_add_text(&payload, S("3"));
            buffer_add_text(&payload, line_end);
            buffer_add_text(&payload, S("4"));
            read_payload(RECORD_STEP_TRAINER, buffer_span(&payload), &words);
            if (strcmp(buffer_text(&words), "1 bad_json 3 4") != 0)
                fail_msg("cut at %zu: %s", cut, buffer_text(&words));
        }
    }
    buffer_free(&payload);
    buffer_free(&words);
}

/* Not a time limit: the work of a mebibyte of faults is far beyond any test's patience if it grows with the square. */
static void
test_many_faults_cost_no_more_than_their_bytes(void **state)
{
    static const char *const faults[] = {"{", "{}", "{x}", "{\"a\":\n", "[", ",", "{\"a\":[\n{}\n", "{\"", "\"", "x\n"};
    enum { SIZE = 1 << 20 };
    struct record_limits wide = limits;

    (void)state;
    wide.payload_bytes_max = 2 * SIZE;
    struct record_decoder *decoder = record_decoder_new(RECORD_STEP_TRAINER, &wide);
    for (size_t i = 0; i < 2 * (sizeof faults / sizeof faults[0]); i++) {
        struct buffer payload = {0};
        struct record record;
        struct fault fault;
        if (i % 2 == 1)
            buffer_add_byte(&payload, '[');
        while (payload.len < SIZE)
            buffer_add_text(&payload, faults[i / 2]);
        struct record_cursor cursor = record_cursor(buffer_span(&payload));
        unsigned count = 0;
        while (record_next(decoder, &cursor, RECORD_FROM_LANDING, NOW_MS, &record, &fault)) {
            assert_int_not_equal(fault.reason, REASON_NONE);
            count++;
        }
        assert_in_range(count, 1, SIZE);
        buffer_free(&payload);
    }
    record_decoder_free(decoder);
}

static void
test_names_of_kinds(void **state)
{
    (void)state;
    assert_string_equal(record_kind_name(RECORD_CUSTOMER), "customer");
    assert_string_equal(record_kind_name(RECORD_ACCELEROMETER), "accelerometer");
    assert_string_equal(record_kind_name(RECORD_STEP_TRAINER), "step_trainer");
    for (int kind = RECORD_CUSTOMER; kind <= RECORD_STEP_TRAINER; kind++) {
        struct buffer text = {0};
        buffer_printf(&text, "{%s}", bodies[kind]);
        struct decoded d = decode_from((enum record_kind)kind, buffer_text(&text), RECORD_FROM_LANDING);
        assert_int_equal(d.reason, REASON_NONE);
        decoded_free(&d);
        buffer_free(&text);
    }
    record_decoder_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_customer),
        cmocka_unit_test(test_accelerometer),
        cmocka_unit_test(test_step_trainer),
        cmocka_unit_test(test_bodies_go_out_as_they_came),
        cmocka_unit_test(test_readings_are_checked),
        cmocka_unit_test(test_every_field_of_every_kind_is_checked),
        cmocka_unit_test(the_flag_withdraw_all),
        cmocka_unit_test(a_folded_address_is_that_of_the_person_only),
        cmocka_unit_test(test_bug_270_a_fault_names_its_field),
        cmocka_unit_test(bug_241_times_go_out_as_integers),
        cmocka_unit_test(bug_242_a_reading_from_before_the_earliest_day_is_refused_and_a_customer_is_not),
        cmocka_unit_test(test_escapes_are_resolved_in_keys),
        cmocka_unit_test(the_person_of_a_body_is_known_by_its_place),
        cmocka_unit_test(records_of_before),
        cmocka_unit_test(test_withdrawn_markers),
        cmocka_unit_test(test_encoded_withdrawn_markers_decode),
        cmocka_unit_test(test_equal_records_have_equal_identity),
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_bug_360_a_line_is_one_object),
        cmocka_unit_test(test_bug_361_links_refuse_what_no_record_has),
        cmocka_unit_test(test_no_time_is_behind_the_year_9999),
        cmocka_unit_test(test_none_is_an_empty_payload),
        cmocka_unit_test(test_a_large_payload_is_one_refused_record),
        cmocka_unit_test(test_a_cut_record_harms_no_neighbour),
        cmocka_unit_test(test_many_faults_cost_no_more_than_their_bytes),
        cmocka_unit_test(test_names_of_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
