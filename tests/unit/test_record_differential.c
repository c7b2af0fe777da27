/*
 * Thousands of generated objects, read by our scan and by cJSON: both must see the same. Then the same objects with
 * random damage: what our scan lets pass, cJSON must be able to read. A failure prints the seed's number and the text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "record/record.h"

#define ROUNDS 4000
#define DAMAGES_A_ROUND 8

static const struct json_limits json_limits = {.depth_max = 16, .string_bytes_max = 256};

/* The text at hand, for failures; generated data only, no record of anybody. */
static unsigned current_round;
static struct buffer current_text;

#define check(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("round %u: not %s: %s", current_round, #condition, buffer_text(&current_text));                   \
    } while (0)

/*
 * Random texts. xorshift64*, so that every machine makes the same ones.
 */

static uint64_t random_state;

static unsigned
pick(unsigned count)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % count;
}

static void
seed(unsigned round)
{
    current_round = round;
    random_state = UINT64_C(0x9e3779b97f4a7c15) * (round + 1);
}

static void
write_blanks(struct buffer *text)
{
    while (pick(6) == 0)
        buffer_add_byte(text, " \t\r\n"[pick(4)]);
}

static void
write_characters(struct buffer *text, unsigned least)
{
    static const char *const pieces[] = {
        "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0041", "\\u00e9", "\\u20AC", "\\ud83d\\ude00",
        "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "{", "}", "[", "]", ",", ":", "\x7f", "@example.org",
    };
    unsigned count = least + pick(12);

    for (unsigned i = 0; i < count; i++) {
        if (pick(4) == 0)
            buffer_add_text(text, pieces[pick(sizeof pieces / sizeof pieces[0])]);
        else
            buffer_add_byte(text, (char)('a' + pick(26)));
    }
}

static void
write_string(struct buffer *text, unsigned least)
{
    buffer_add_byte(text, '"');
    write_characters(text, least);
    buffer_add_byte(text, '"');
}

static void
write_digits(struct buffer *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        buffer_add_byte(text, (char)('0' + pick(10)));
}

static void
write_integer(struct buffer *text, bool signs)
{
    if (signs && pick(2) == 0)
        buffer_add_byte(text, '-');
    if (pick(6) == 0) {
        buffer_add_byte(text, '0');
        return;
    }
    buffer_add_byte(text, (char)('1' + pick(9)));
    write_digits(text, pick(12));
}

static void
write_number(struct buffer *text)
{
    write_integer(text, true);
    if (pick(2) == 0) {
        buffer_add_byte(text, '.');
        write_digits(text, 1 + pick(18));
    }
    if (pick(4) == 0) {
        buffer_add_text(text, (const char *const[]){"e", "E", "e+", "E-", "e-"}[pick(5)]);
        write_digits(text, 1 + pick(2));
    }
}

/* A time as exporters write it: of at most 15 digits, so that what cJSON makes of it is on the right side of an integer. */
static void
write_time(struct buffer *text)
{
    write_integer(text, false);
    if (pick(2) == 0)
        return;
    if (pick(2) == 0) {
        buffer_add_byte(text, '.');
        write_digits(text, 1 + pick(2));
    }
    if (pick(3) == 0)
        buffer_add_text(text, (const char *const[]){"e0", "E1", "e+2", "E-1", "e-12"}[pick(5)]);
}

static void
write_value(struct buffer *text)
{
    switch (pick(8)) {
    case 0:
        buffer_add_text(text, "null");
        break;
    case 1:
        buffer_add_text(text, pick(2) == 0 ? "true" : "false");
        break;
    case 2:
        buffer_add_text(text, pick(2) == 0 ? "[1,{\"a\":[]},\"]\"]" : "{\"a\":{\"b\":[{}]},\"c\":\"}\"}");
        break;
    case 3:
    case 4:
        write_string(text, 0);
        break;
    case 5:
        write_integer(text, true);
        break;
    default:
        write_number(text);
        break;
    }
}

/* An object of up to 12 members with names of their own. */
static void
write_object(struct buffer *text)
{
    unsigned count = pick(13);

    buffer_clear(text);
    buffer_add_byte(text, '{');
    write_blanks(text);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buffer_add_byte(text, ',');
        write_blanks(text);
        buffer_printf(text, "\"%u", i);
        write_characters(text, 0);
        buffer_add_byte(text, '"');
        write_blanks(text);
        buffer_add_byte(text, ':');
        write_blanks(text);
        write_value(text);
        write_blanks(text);
    }
    buffer_add_byte(text, '}');
}

/* A record of kind, its fields in one of several orders, with others between them. */
static void
write_record(enum record_kind kind, struct buffer *text)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);
    unsigned start = pick(count);
    unsigned stride = pick(2) == 0 ? 1 : count - 1; /* both meet every field once */

    buffer_clear(text);
    buffer_add_byte(text, '{');
    for (unsigned i = 0; i < count; i++) {
        const struct record_field *field = &fields[(start + i * stride) % count];
        bool alias = field->alias != NULL && pick(2) == 0;
        buffer_printf(text, "%s\"%s\"", i > 0 ? "," : "", alias ? field->alias : field->name);
        write_blanks(text);
        buffer_add_byte(text, ':');
        write_blanks(text);
        if (!field->required && pick(3) == 0)
            buffer_add_text(text, "null");
        else if (field->type == RECORD_FIELD_TEXT)
            write_string(text, 1);
        else if (field->type == RECORD_FIELD_TIME_MS)
            write_time(text);
        else if (field->type == RECORD_FIELD_FLAG)
            buffer_add_text(text, "false"); /* true is none beside a consent */
        else
            write_number(text);
        if (pick(4) == 0) {
            buffer_printf(text, ",\"other%u\":", i);
            write_value(text);
        }
    }
    buffer_add_byte(text, '}');
}

/*
 * Comparison.
 */

/* Whether the string member reads as expected once its escapes are resolved. */
static bool
same_text(const struct json_member *member, const char *expected)
{
    struct buffer text = {0};

    json_unescape(member, &text);
    bool same = span_is(buffer_span(&text), expected);
    buffer_free(&text);
    return same;
}

static double
number_of(struct span text)
{
    struct buffer copy = {0};

    buffer_add_span(&copy, text);
    double value = strtod(buffer_text(&copy), NULL);
    buffer_free(&copy);
    return value;
}

static void
compare_member(const struct json_member *member, const cJSON *item)
{
    static const int types[] = {[JSON_NULL] = cJSON_NULL,     [JSON_FALSE] = cJSON_False,   [JSON_TRUE] = cJSON_True,
                                [JSON_NUMBER] = cJSON_Number, [JSON_STRING] = cJSON_String, [JSON_ARRAY] = cJSON_Array,
                                [JSON_OBJECT] = cJSON_Object};
    int64_t integer;

    check(json_name_is(member, span_of(item->string)));
    check((item->type & 0xff) == types[member->type]);
    if (member->type == JSON_STRING)
        check(same_text(member, item->valuestring));
    if (member->type == JSON_NUMBER)
        check(number_of(member->value) == item->valuedouble);
    if (json_int64(member, &integer) && integer > -(INT64_C(1) << 53) && integer < INT64_C(1) << 53)
        check((double)integer == item->valuedouble);
}

static void
compare_object(const struct json_object *object, const cJSON *tree)
{
    const cJSON *item = tree->child;

    for (unsigned i = 0; i < object->count; i++) {
        check(item != NULL);
        compare_member(&object->members[i], item);
        item = item->next;
    }
    check(item == NULL);
}

static void
test_scan_and_cjson_see_the_same(void **state)
{
    static struct json_object object;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed(round);
        write_object(&current_text);
        check(json_scan(buffer_span(&current_text), &json_limits, &object) == REASON_NONE);
        check(object.length == current_text.len);
        cJSON *tree = cJSON_ParseWithLength(current_text.data, current_text.len);
        check(tree != NULL);
        compare_object(&object, tree);
        cJSON_Delete(tree);
    }
    buffer_free(&current_text);
}

static const cJSON *
field_of(const cJSON *tree, const struct record_field *field)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(tree, field->name);

    return item == NULL && field->alias != NULL ? cJSON_GetObjectItemCaseSensitive(tree, field->alias) : item;
}

/* Whether the member of the body is digits and nothing else. */
static bool
is_integer_in(struct span body, const char *name)
{
    struct buffer start = {0};

    buffer_printf(&start, "\"%s\":", name);
    const char *at = memmem(body.at, body.len, start.data, start.len);
    const char *end = body.at + body.len;
    check(at != NULL);
    for (at += start.len; at < end && *at >= '0' && *at <= '9'; at++)
        ;
    buffer_free(&start);
    return at == end || *at == ',';
}

/* Compare the record with the tree of the text that it came from, and its body with both. */
static void
compare_record(const struct record *record, const cJSON *tree)
{
    unsigned count;
    const struct record_field *fields = record_fields(record->kind, &count);
    struct buffer text = {0};

    buffer_printf(&text, "{%.*s}", (int)record->body.len, record->body.at);
    cJSON *body = cJSON_ParseWithLength(text.data, text.len);
    check(body != NULL);
    for (unsigned i = 0; i < count; i++) {
        const cJSON *came = field_of(tree, &fields[i]);
        const cJSON *goes = cJSON_GetObjectItemCaseSensitive(body, fields[i].name);
        if (fields[i].type == RECORD_FIELD_FLAG) {
            check(goes == NULL && record->withdraws_all == (came != NULL && cJSON_IsTrue(came)));
            continue;
        }
        check((came == NULL || cJSON_IsNull(came)) == (goes == NULL));
        if (goes == NULL)
            continue;
        if (fields[i].type == RECORD_FIELD_TIME_MS) {
            check(goes->valuedouble == floor(came->valuedouble));
            check(is_integer_in(record->body, fields[i].name));
        } else {
            check(cJSON_Compare(came, goes, true));
        }
        if (fields[i].role == RECORD_ROLE_EMAIL)
            check(span_is(record->email, came->valuestring));
        if (fields[i].role == RECORD_ROLE_SERIAL_NUMBER)
            check(span_is(record->serial_number, came->valuestring));
        if (fields[i].role == RECORD_ROLE_TIME)
            check((double)record->time_ms == goes->valuedouble);
        if (fields[i].role == RECORD_ROLE_RESEARCH_AS_OF)
            check((double)record->research_as_of_ms == goes->valuedouble);
    }
    cJSON_Delete(body);
    buffer_free(&text);
}

static void
test_decode_and_cjson_see_the_same(void **state)
{
    struct record_limits limits = {.json = json_limits, .payload_bytes_max = 1 << 20, .ahead_ms = 0};

    (void)state;
    for (int kind = RECORD_CUSTOMER; kind < RECORD_LANDING_KINDS; kind++) {
        struct record_decoder *decoder = record_decoder_new((enum record_kind)kind, &limits);
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct record record;
            seed(round);
            write_record((enum record_kind)kind, &current_text);
            check(record_decode(decoder, buffer_span(&current_text), RECORD_FROM_LANDING, INT64_MAX, &record)
                      .reason == REASON_NONE);
            cJSON *tree = cJSON_ParseWithLength(current_text.data, current_text.len);
            check(tree != NULL);
            compare_record(&record, tree);
            cJSON_Delete(tree);
        }
        record_decoder_free(decoder);
    }
    buffer_free(&current_text);
}

/*
 * Damage.
 */

static void
damage(struct buffer *text)
{
    static const char bytes[] = "{}[]\",:\\u0019.eE+-tfn \n\x01\x80\xc3\xed\xf4";
    unsigned at = pick((unsigned)text->len);
    char byte = bytes[pick(sizeof bytes)]; /* its NUL too */

    switch (pick(3)) {
    case 0:
        text->data[at] = byte;
        break;
    case 1:
        buffer_add_byte(text, '\0');
        memmove(text->data + at + 1, text->data + at, text->len - 1 - at);
        text->data[at] = byte;
        break;
    default:
        memmove(text->data + at, text->data + at + 1, text->len - 1 - at);
        text->len--;
        break;
    }
}

static void
test_cjson_reads_what_the_scan_lets_pass(void **state)
{
    static struct json_object object;
    unsigned passed = 0;
    unsigned refused = 0;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed(round);
        write_object(&current_text);
        for (unsigned i = 0; i < DAMAGES_A_ROUND && current_text.len > 1; i++) {
            damage(&current_text);
            if (json_scan(buffer_span(&current_text), &json_limits, &object) != REASON_NONE) {
                check(object.length <= current_text.len);
                refused++;
                continue;
            }
            cJSON *tree = cJSON_ParseWithLength(current_text.data, object.length);
            check(tree != NULL);
            compare_object(&object, tree);
            cJSON_Delete(tree);
            passed++;
        }
    }
    /* Else the damage is of a kind that proves nothing. */
    assert_in_range(passed, ROUNDS / 2, ROUNDS * DAMAGES_A_ROUND);
    assert_in_range(refused, ROUNDS / 2, ROUNDS * DAMAGES_A_ROUND);
    buffer_free(&current_text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_and_cjson_see_the_same),
        cmocka_unit_test(test_decode_and_cjson_see_the_same),
        cmocka_unit_test(test_cjson_reads_what_the_scan_lets_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
