#include "record/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

/*
 * The fields of each kind, in body order. What holds for all of them, those of a new kind too, is in check_fields.
 *
 * A new field of a kind that exists meets records without it: rows and what waits in stores, what is in outboxes and on its
 * way on links, what is sent again by who got no receipt. So
 *
 *   - it stands behind the others: body order is what goes out, and what stands in stores and lake;
 *   - it is not required: what comes over a link or out of a store is still a record;
 *   - where it is absent it adds nothing to `identity`, as a flag does, so that the fingerprint of a record of before stays.
 *     An optional time adds a byte, which changes those of all records of its kind: what came within `hold` before the
 *     change is counted again when it comes again, and rows of one date that were told apart by fingerprints are told apart
 *     by others. If that must be, FORMAT_VERSION in state/format.c goes up, since programs of before must not go on with
 *     such a state, and the release notes say what is counted twice.
 *
 * The test records_of_before (tests/unit/test_record_decode.c) has records of each kind with their identities, and fails
 * where one of these is broken.
 */
static const struct record_field customer_fields[] = {
    {"customerName", RECORD_FIELD_TEXT, true, RECORD_ROLE_NONE, NULL},
    {"email", RECORD_FIELD_TEXT, true, RECORD_ROLE_EMAIL, NULL},
    {"phone", RECORD_FIELD_TEXT, true, RECORD_ROLE_NONE, NULL},
    {"birthDay", RECORD_FIELD_TEXT, true, RECORD_ROLE_NONE, NULL},
    {"serialNumber", RECORD_FIELD_TEXT, true, RECORD_ROLE_SERIAL_NUMBER, NULL},
    {"registrationDate", RECORD_FIELD_TIME_MS, true, RECORD_ROLE_NONE, NULL},
    {"lastUpdateDate", RECORD_FIELD_TIME_MS, true, RECORD_ROLE_TIME, NULL},
    {"shareWithResearchAsOfDate", RECORD_FIELD_TIME_MS, false, RECORD_ROLE_RESEARCH_AS_OF, NULL},
    {"shareWithPublicAsOfDate", RECORD_FIELD_TIME_MS, false, RECORD_ROLE_NONE, NULL},
    {"shareWithFriendsAsOfDate", RECORD_FIELD_TIME_MS, false, RECORD_ROLE_NONE, NULL},
    {"withdrawAll", RECORD_FIELD_FLAG, false, RECORD_ROLE_WITHDRAW_ALL, NULL},
};

static const struct record_field accelerometer_fields[] = {
    {"user", RECORD_FIELD_TEXT, true, RECORD_ROLE_EMAIL, NULL},
    {"timestamp", RECORD_FIELD_TIME_MS, true, RECORD_ROLE_TIME, "timeStamp"},
    {"x", RECORD_FIELD_NUMBER, true, RECORD_ROLE_NONE, NULL},
    {"y", RECORD_FIELD_NUMBER, true, RECORD_ROLE_NONE, NULL},
    {"z", RECORD_FIELD_NUMBER, true, RECORD_ROLE_NONE, NULL},
};

static const struct record_field step_trainer_fields[] = {
    {"sensorReadingTime", RECORD_FIELD_TIME_MS, true, RECORD_ROLE_TIME, NULL},
    {"serialNumber", RECORD_FIELD_TEXT, true, RECORD_ROLE_SERIAL_NUMBER, NULL},
    {"distanceFromObject", RECORD_FIELD_NUMBER, true, RECORD_ROLE_NONE, NULL},
};

static const struct {
    const char *name;
    const struct record_field *fields;
    unsigned field_count;
} kinds[] = {
    [RECORD_CUSTOMER] = {"customer", customer_fields, sizeof customer_fields / sizeof customer_fields[0]},
    [RECORD_ACCELEROMETER] = {"accelerometer", accelerometer_fields,
                              sizeof accelerometer_fields / sizeof accelerometer_fields[0]},
    [RECORD_STEP_TRAINER] = {"step_trainer", step_trainer_fields,
                             sizeof step_trainer_fields / sizeof step_trainer_fields[0]},
    [RECORD_LINE] = {"line", NULL, 0},
};

_Static_assert(sizeof kinds / sizeof kinds[0] == RECORD_LINE + 1, "all kinds, the last one last");

#define WITHDRAWN "withdrawn"

/* The longest int64, its sign too. */
#define INT64_DIGITS_MAX (sizeof "-9223372036854775808" - 1)

struct record_decoder {
    enum record_kind kind;
    struct record_limits limits;
    const struct record_field *fields;
    unsigned field_count;

    /* The record at hand. */
    struct json_object object;
    unsigned expected;    /* index in object.members where the next field stands if the sender keeps our order */
    int64_t earliest_ms;  /* bounds of its times */
    int64_t latest_ms;
    struct json_member whole; /* a time that did not come as an integer, as one */
    char whole_digits[INT64_DIGITS_MAX];
    struct buffer body;
    struct buffer identity;
    struct buffer folded; /* the e-mail address, if it is to be folded */

    struct span names[]; /* of the fields */
};

const struct record_field *
record_fields(enum record_kind kind, unsigned *count)
{
    log_assert(kind <= RECORD_LINE && kinds[kind].name != NULL);
    *count = kinds[kind].field_count;
    return kinds[kind].fields;
}

const char *
record_kind_name(enum record_kind kind)
{
    log_assert(kind <= RECORD_LINE);
    return kinds[kind].name;
}

/* What decoding relies on. */
static void
check_fields(const struct record_field *fields, unsigned count)
{
    unsigned roles = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct record_field *field = &fields[i];
        const bool key = field->role == RECORD_ROLE_EMAIL || field->role == RECORD_ROLE_SERIAL_NUMBER;
        if (field->role != RECORD_ROLE_NONE && (roles & 1u << field->role) != 0)
            log_panic("field %s: another one has its role", field->name);
        if (key != (field->type == RECORD_FIELD_TEXT && field->role != RECORD_ROLE_NONE) ||
            (field->role == RECORD_ROLE_WITHDRAW_ALL) != (field->type == RECORD_FIELD_FLAG))
            log_panic("field %s: its type is not that of its role", field->name);
        if ((key || field->role == RECORD_ROLE_TIME) && !field->required)
            log_panic("field %s: without it nobody knows whose the record is, or of when", field->name);
        if (field->alias != NULL && strlen(field->alias) < strlen(field->name))
            log_panic("field %s: it goes out longer than it may come in", field->name);
        roles |= 1u << field->role;
    }
}

struct record_decoder *
record_decoder_new(enum record_kind kind, const struct record_limits *limits)
{
    unsigned field_count;
    const struct record_field *fields = record_fields(kind, &field_count);
    struct record_decoder *decoder = calloc(1, sizeof *decoder + field_count * sizeof decoder->names[0]);

    if (decoder == NULL)
        log_fatal("out of memory for a decoder");
    check_fields(fields, field_count);
    log_assert(limits->earliest_ms >= 0 && limits->ahead_ms >= 0);
    decoder->kind = kind;
    decoder->limits = *limits;
    decoder->fields = fields;
    decoder->field_count = field_count;
    for (unsigned i = 0; i < decoder->field_count; i++)
        decoder->names[i] = span_of(decoder->fields[i].name);
    return decoder;
}

void
record_decoder_free(struct record_decoder *decoder)
{
    if (decoder == NULL)
        return;
    buffer_free(&decoder->body);
    buffer_free(&decoder->identity);
    buffer_free(&decoder->folded);
    free(decoder);
}

/*
 * Fields. identity, one after the other in body order:
 *   text     the characters in UTF-8, which has no NUL as the scan refuses it, 1 byte 0
 *   time     8 bytes; in front of an optional one 1 byte: 1, or 0 and no time
 *   number   its canonical spelling, 1 byte 0
 *   flag     1 byte 1 if it is true, else nothing: records of before there were flags are told apart as they were
 * It goes into the index of duplicates, and into rows that tie, as a fingerprint: the rule for new fields stands above
 * them.
 * email and serial_number point into it: room for all of it is made before, so it never moves while it grows.
 */

/* The member for field index, or NULL. Most senders keep one order, so the place behind the last one is tried first. */
static const struct json_member *
find_member(struct record_decoder *decoder, unsigned index)
{
    const struct json_object *object = &decoder->object;
    struct span name = decoder->names[index];
    const struct json_member *member = NULL;

    if (decoder->expected < object->count && json_name_is(&object->members[decoder->expected], name))
        member = &object->members[decoder->expected];
    else
        member = json_find(object, name);
    if (member != NULL)
        decoder->expected = (unsigned)(member - object->members) + 1;
    return member;
}

/* email as it tells persons apart. ASCII only, as SQL's lower(): what else is a capital letter is a question of language. */
static struct span
fold(struct record_decoder *decoder, struct span email)
{
    if (!decoder->limits.fold_email)
        return email;
    buffer_clear(&decoder->folded);
    buffer_add_span(&decoder->folded, email);
    for (size_t i = 0; i < email.len; i++) {
        char *letter = &decoder->folded.data[i];
        if (*letter >= 'A' && *letter <= 'Z')
            *letter = (char)(*letter - 'A' + 'a');
    }
    return buffer_span(&decoder->folded);
}

static enum reason
decode_text(struct record_decoder *decoder, const struct record_field *field, const struct json_member *member,
            struct record *record)
{
    if (member->type != JSON_STRING)
        return REASON_BAD_TYPE;
    struct buffer *identity = &decoder->identity;
    size_t start = identity->len;
    json_unescape(member, identity);
    struct span text = span_at(identity->data + start, identity->len - start);
    buffer_add_byte(identity, 0);
    if (field->role == RECORD_ROLE_NONE)
        return REASON_NONE;
    if (text.len == 0)
        return REASON_OUT_OF_RANGE;
    if (field->role == RECORD_ROLE_EMAIL)
        record->email = fold(decoder, text);
    else
        record->serial_number = text;
    return REASON_NONE;
}

/* time_ms as a member of its own, valid until the next. */
static const struct json_member *
write_whole(struct record_decoder *decoder, int64_t time_ms)
{
    char digits[INT64_DIGITS_MAX + 1];
    int len = snprintf(digits, sizeof digits, "%" PRId64, time_ms);

    memcpy(decoder->whole_digits, digits, (size_t)len);
    decoder->whole = (struct json_member){.type = JSON_NUMBER, .value = span_at(decoder->whole_digits, (size_t)len)};
    return &decoder->whole;
}

/* The time in *member to *time_ms, within the bounds for this record; *member becomes what goes out of it. */
static inline enum reason
read_time(struct record_decoder *decoder, const struct json_member **member, int64_t *time_ms)
{
    const bool integer = json_int64(*member, time_ms) && (*time_ms != 0 || (*member)->value.len == 1); /* not -0 */

    if (!integer) {
        if ((*member)->type != JSON_NUMBER)
            return REASON_BAD_TYPE;
        if (!json_floor(*member, time_ms))
            return REASON_OUT_OF_RANGE;
        *member = write_whole(decoder, *time_ms);
    }
    if (*time_ms < decoder->earliest_ms || *time_ms > decoder->latest_ms)
        return REASON_OUT_OF_RANGE;
    return REASON_NONE;
}

/* *member becomes what goes out of it. */
static enum reason
decode_time(struct record_decoder *decoder, const struct record_field *field, const struct json_member **member,
            struct record *record)
{
    int64_t time_ms;
    enum reason reason = read_time(decoder, member, &time_ms);

    if (reason != REASON_NONE)
        return reason;
    struct buffer *identity = &decoder->identity;
    if (!field->required)
        buffer_add_byte(identity, 1);
    bytes_put_u64(buffer_reserve(identity, 8), (uint64_t)time_ms);
    identity->len += 8;
    if (field->role == RECORD_ROLE_TIME)
        record->time_ms = time_ms;
    else if (field->role == RECORD_ROLE_RESEARCH_AS_OF)
        record->research_as_of_ms = time_ms > 0 ? time_ms : 0;
    return REASON_NONE;
}

static enum reason
decode_number(struct record_decoder *decoder, const struct json_member *member)
{
    if (member->type != JSON_NUMBER)
        return REASON_BAD_TYPE;
    if (!json_is_finite(member))
        return REASON_OUT_OF_RANGE;
    json_canonical_number(member->value, &decoder->identity);
    buffer_add_byte(&decoder->identity, 0);
    return REASON_NONE;
}

/* A record that consents and withdraws says nothing that could be done. */
static enum reason
decode_flag(struct record_decoder *decoder, const struct json_member *member, struct record *record)
{
    if (member->type != JSON_TRUE && member->type != JSON_FALSE)
        return REASON_BAD_TYPE;
    record->withdraws_all = member->type == JSON_TRUE;
    if (record->withdraws_all)
        buffer_add_byte(&decoder->identity, 1);
    return record->withdraws_all && record->research_as_of_ms != 0 ? REASON_OUT_OF_RANGE : REASON_NONE;
}

/* Append the field as it came to the body, which has room for it. */
static void
add_to_body(struct buffer *body, struct span name, const struct json_member *member)
{
    if (body->cap - body->len < name.len + member->value.len + sizeof ",\"\":\"\"" - 1)
        log_panic("a record's body outgrows its room");
    char *at = body->data + body->len;
    if (body->len > 0)
        *at++ = ',';
    *at++ = '"';
    memcpy(at, name.at, name.len);
    at += name.len;
    *at++ = '"';
    *at++ = ':';
    if (member->type == JSON_STRING)
        *at++ = '"';
    memcpy(at, member->value.at, member->value.len);
    at += member->value.len;
    if (member->type == JSON_STRING)
        *at++ = '"';
    body->len = (size_t)(at - body->data);
}

/* The e-mail address, this member, is the last of body, which ended at begin before. */
static void
note_person(const struct buffer *body, size_t begin, const struct json_member *member, struct record *record)
{
    record->person.end = (unsigned)body->len - 1;
    record->person.value = record->person.end - (unsigned)member->value.len;
    record->person.member = (unsigned)begin + (begin > 0); /* behind the comma */
    log_assert(body->data[record->person.member] == '"' && body->data[record->person.end] == '"');
    log_assert(record->person.member < record->person.value && record->person.value <= record->person.end);
}

/* Decode field index of the object at hand into record, body and identity. */
static enum reason
decode_field(struct record_decoder *decoder, unsigned index, struct record *record)
{
    const struct record_field *field = &decoder->fields[index];
    const struct json_member *member = find_member(decoder, index);

    if (field->alias != NULL) {
        const struct json_member *other = json_find(&decoder->object, span_of(field->alias));
        if (member != NULL && other != NULL)
            return REASON_BAD_JSON;
        member = member != NULL ? member : other;
    }
    if (member == NULL || member->type == JSON_NULL) {
        if (!field->required && field->type != RECORD_FIELD_FLAG)
            buffer_add_byte(&decoder->identity, 0);
        return field->required ? REASON_MISSING_FIELD : REASON_NONE;
    }
    enum reason reason;
    const size_t begin = decoder->body.len;
    if (field->type == RECORD_FIELD_TEXT)
        reason = decode_text(decoder, field, member, record);
    else if (field->type == RECORD_FIELD_TIME_MS)
        reason = decode_time(decoder, field, &member, record);
    else if (field->type == RECORD_FIELD_FLAG)
        reason = decode_flag(decoder, member, record);
    else
        reason = decode_number(decoder, member);
    if (reason == REASON_NONE && field->type != RECORD_FIELD_FLAG)
        add_to_body(&decoder->body, decoder->names[index], member);
    if (reason == REASON_NONE && field->role == RECORD_ROLE_EMAIL)
        note_person(&decoder->body, begin, member, record);
    return reason;
}

/*
 * Objects.
 */

/* Make room for body and identity, so that neither moves while the record is decoded. */
static void
reserve(struct record_decoder *decoder)
{
    /* A field stands in the body as its member came, without white space and with a name that is never longer: escapes
     * shorten, and no alias is shorter than the name. The comma takes the place of a brace. A time may be longer than it
     * came (1e12). */
    buffer_clear(&decoder->body);
    buffer_reserve(&decoder->body, decoder->object.length + decoder->field_count * INT64_DIGITS_MAX);
    /* Text is never longer than with its escapes. Beside it and digits, a field has an end, an exponent, a time. */
    buffer_clear(&decoder->identity);
    buffer_reserve(&decoder->identity,
                   decoder->object.length + decoder->field_count * (8 + JSON_CANONICAL_BYTES_MAX(0)));
}

/* Decode the withdrawn marker whose one member this is. */
static enum reason
decode_withdrawn(struct record_decoder *decoder, const struct json_member *member, struct record *record)
{
    if (member->type == JSON_NULL)
        return REASON_MISSING_FIELD;
    enum reason reason = read_time(decoder, &member, &record->withdrawn_ms);
    if (reason != REASON_NONE)
        return reason;
    if (record->withdrawn_ms <= 0)
        return REASON_OUT_OF_RANGE;
    record_encode_withdrawn(record->withdrawn_ms, &decoder->body);
    record->body = buffer_span(&decoder->body);
    return REASON_NONE;
}

/* Decode all fields of the object at hand. */
static struct fault
decode_fields(struct record_decoder *decoder, struct record *record)
{
    const char *identity = decoder->identity.data;

    for (unsigned i = 0; i < decoder->field_count; i++) {
        enum reason reason = decode_field(decoder, i, record);
        if (reason != REASON_NONE)
            return (struct fault){reason, decoder->fields[i].name};
    }
    if (decoder->identity.data != identity)
        log_panic("a record's identity outgrows its room");
    log_assert(decoder->body.len > 0 && decoder->identity.len > 0);
    record->body = buffer_span(&decoder->body);
    record->identity = buffer_span(&decoder->identity);
    return (struct fault){REASON_NONE, NULL};
}

/* Decode the object that has been scanned. */
static struct fault
decode_object(struct record_decoder *decoder, enum record_source source, int64_t now_ms, struct record *record)
{
    const struct json_object *object = &decoder->object;
    bool landing = source == RECORD_FROM_LANDING;

    decoder->expected = 0;
    decoder->earliest_ms = landing && decoder->kind != RECORD_CUSTOMER ? decoder->limits.earliest_ms : 0;
    decoder->latest_ms = RECORD_TIME_MS_MAX;
    if (landing && now_ms < RECORD_TIME_MS_MAX - decoder->limits.ahead_ms)
        decoder->latest_ms = now_ms + decoder->limits.ahead_ms;
    reserve(decoder);
    if (!landing && decoder->kind == RECORD_CUSTOMER && object->count == 1 &&
        json_name_is(&object->members[0], span_of(WITHDRAWN))) {
        enum reason reason = decode_withdrawn(decoder, &object->members[0], record);
        return (struct fault){reason, reason != REASON_NONE ? WITHDRAWN : NULL};
    }
    return decode_fields(decoder, record);
}

/* The fault that the scan ended at. Strangers choose what a member is called, so only names that we know are said. */
static struct fault
scan_fault(const struct record_decoder *decoder, enum reason reason)
{
    const struct json_object *object = &decoder->object;
    struct fault fault = {reason, NULL};

    for (unsigned i = 0; object->in_member && fault.field == NULL && i < decoder->field_count; i++) {
        const struct record_field *field = &decoder->fields[i];
        const struct json_member *member = &object->members[object->count];
        if (json_name_is(member, decoder->names[i]) ||
            (field->alias != NULL && json_name_is(member, span_of(field->alias))))
            fault.field = field->name;
    }
    return fault;
}

void
record_encode_withdrawn(int64_t withdrawn_ms, struct buffer *body)
{
    buffer_add_text(body, "\"" WITHDRAWN "\":");
    buffer_add_int(body, withdrawn_ms > 0 ? withdrawn_ms : 1);
}

int64_t
record_withdrawn_ms(struct span body)
{
    static const char name[] = "\"" WITHDRAWN "\":";
    char digits[INT64_DIGITS_MAX + 1] = "";

    if (body.len < sizeof name || body.len - (sizeof name - 1) >= sizeof digits ||
        memcmp(body.at, name, sizeof name - 1) != 0)
        return 0;
    memcpy(digits, body.at + sizeof name - 1, body.len - (sizeof name - 1));
    return strtoll(digits, NULL, 10);
}

/*
 * Payloads.
 */

/* Where the white space of JSON that begins at at ends. */
static size_t
skip_blanks(struct span text, size_t at)
{
    while (at < text.len && (text.at[at] == ' ' || text.at[at] == '\t' || text.at[at] == '\r' || text.at[at] == '\n'))
        at++;
    return at;
}

/* Where the next c at or behind at stands; text.len if there is none. */
static size_t
find_byte(struct span text, size_t at, char c)
{
    const char *found = at < text.len ? memchr(text.at + at, c, text.len - at) : NULL;

    return found != NULL ? (size_t)(found - text.at) : text.len;
}

/* Where the line behind the one at at begins; text.len if there is none. */
static size_t
next_line(struct span text, size_t at)
{
    size_t line_feed = find_byte(text, at, '\n');

    return line_feed < text.len ? line_feed + 1 : text.len;
}

/* Where the string ends whose opening quote stands at at: behind its closing quote, or at the end of the line (a string
 * has no bare line feed), or at end. */
static size_t
skip_string(struct span text, size_t at)
{
    for (at++; at < text.len && text.at[at] != '\n'; at++) {
        if (text.at[at] == '"')
            return at + 1;
        if (text.at[at] == '\\' && at + 1 < text.len && text.at[at + 1] != '\n')
            at++;
    }
    return at;
}

/* Where the object ends whose '{' stands at at, if its braces balance on its line: behind its '}'. Else 0. */
static size_t
match_braces(struct span text, size_t at)
{
    unsigned depth = 0;

    while (at < text.len && text.at[at] != '\n') {
        if (text.at[at] == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (text.at[at] == '{')
            depth++;
        if (text.at[at] == '}' && --depth == 0)
            return at + 1;
        at++;
    }
    return 0;
}

/* Blanks at the beginning of the line that begins at line. */
static size_t
indentation(struct span text, size_t line)
{
    size_t at = line;

    while (at < text.len && (text.at[at] == ' ' || text.at[at] == '\t'))
        at++;
    return at - line;
}

/* Where the line of at begins. */
static size_t
line_start(struct span text, size_t at)
{
    const char *line_feed = at > 0 ? memrchr(text.at, '\n', at) : NULL;

    return line_feed != NULL ? (size_t)(line_feed - text.at) + 1 : 0;
}

/*
 * Where to look for the next record when the one at start has a fault at fault. Always behind start.
 *
 * On the record's first line the fault is in the record: its braces say where it ends, or else its line end does. On a
 * later line either the record was cut off and what follows are others, or it was written over several lines. Both end
 * before a line that begins with a brace. Lines before the fault were fit to be part of the record, so a brace counts
 * there only if it is not indented deeper than the record: whoever indents does so with inner objects, and whoever
 * writes a record a line begins all lines alike. From the fault on every brace counts: rather a refusal more than a
 * good neighbour lost.
 */
static size_t
resync(struct span text, size_t start, size_t fault)
{
    if (memchr(text.at + start, '\n', fault - start) == NULL) {
        size_t behind = match_braces(text, start);
        return behind > 0 ? behind : next_line(text, start);
    }
    size_t own = indentation(text, line_start(text, start));
    size_t line = next_line(text, start);
    while (line < text.len) {
        size_t line_end = find_byte(text, line, '\n');
        size_t blanks = indentation(text, line);
        bool brace = line + blanks < text.len && text.at[line + blanks] == '{';
        if (brace && (blanks <= own || line_end >= fault))
            return line + blanks;
        line = line_end + 1;
    }
    return text.len;
}

/* Where the array element ends that begins at at and is no object: before a comma, a closing bracket, or an object. */
static size_t
skip_element(struct span text, size_t at)
{
    unsigned depth = 0;

    while (at < text.len) {
        char c = text.at[at];
        if (depth == 0 && (c == ',' || c == ']' || c == '{'))
            break;
        if (c == '[' || c == '{')
            depth++;
        if (depth > 0 && (c == ']' || c == '}'))
            depth--;
        at = c == '"' ? skip_string(text, at) : at + 1;
    }
    return at;
}

/* Decode the record that begins at cursor, and move behind it. */
static struct fault
take_object(struct record_decoder *decoder, struct record_cursor *cursor, enum record_source source, int64_t now_ms,
            struct record *record)
{
    struct span rest = span_at(cursor->payload.at + cursor->at, cursor->payload.len - cursor->at);
    enum reason reason = json_scan(rest, &decoder->limits.json, &decoder->object);

    if (reason != REASON_NONE) {
        cursor->at = resync(cursor->payload, cursor->at, cursor->at + decoder->object.length);
        return scan_fault(decoder, reason);
    }
    cursor->at += decoder->object.length;
    return decode_object(decoder, source, now_ms, record);
}

/* Decode the text, without blanks before it, as a line. */
static struct fault
decode_line(struct record_decoder *decoder, struct span text, struct record *record)
{
    enum reason reason = json_scan(text, &decoder->limits.json, &decoder->object);

    if (reason != REASON_NONE)
        return (struct fault){reason, NULL};
    if (skip_blanks(text, decoder->object.length) < text.len || json_find(&decoder->object, span_of(RECORD_ROW)) != NULL)
        return (struct fault){REASON_BAD_JSON, NULL};
    record->body = span_at(text.at, decoder->object.length);
    return (struct fault){decoder->object.count > 0 ? REASON_NONE : REASON_MISSING_FIELD, NULL};
}

/* Decode the line at cursor, and move behind it. */
static struct fault
take_line(struct record_decoder *decoder, struct record_cursor *cursor, struct record *record)
{
    const size_t begin = cursor->at;

    cursor->at = find_byte(cursor->payload, begin, '\n');
    return decode_line(decoder, span_at(cursor->payload.at + begin, cursor->at - begin), record);
}

/* What stands at the cursor. */
enum found { FOUND_END, FOUND_RECORD, FOUND_JUNK };

/* Find the next of objects that follow each other; text between them is junk. */
static enum found
find_object(struct record_cursor *cursor)
{
    cursor->at = skip_blanks(cursor->payload, cursor->at);
    if (cursor->at == cursor->payload.len)
        return FOUND_END;
    if (cursor->payload.at[cursor->at] == '{')
        return FOUND_RECORD;
    cursor->at = find_byte(cursor->payload, cursor->at, '{');
    return FOUND_JUNK;
}

/* Find the next element of the array; junk is one that is no object, one that is not there, or a missing ']'. */
static enum found
find_element(struct record_cursor *cursor)
{
    struct span payload = cursor->payload;

    cursor->at = skip_blanks(payload, cursor->at);
    if (cursor->place == RECORD_AFTER_ELEMENT && cursor->at < payload.len && payload.at[cursor->at] == ',') {
        cursor->at = skip_blanks(payload, cursor->at + 1);
        cursor->place = RECORD_AFTER_COMMA;
    }
    if (cursor->at == payload.len) {
        cursor->place = RECORD_AT_END;
        return FOUND_JUNK;
    }
    bool after_comma = cursor->place == RECORD_AFTER_COMMA;
    switch (payload.at[cursor->at]) {
    case ']':
        cursor->at++;
        cursor->place = RECORD_BETWEEN; /* whatever follows must not suffer from standing behind an array */
        return after_comma ? FOUND_JUNK : find_object(cursor);
    case ',':
        cursor->at++;
        cursor->place = RECORD_AFTER_COMMA;
        return FOUND_JUNK;
    case '{':
        cursor->place = RECORD_AFTER_ELEMENT;
        return FOUND_RECORD;
    default:
        cursor->at = skip_element(payload, cursor->at);
        cursor->place = RECORD_AFTER_ELEMENT;
        return FOUND_JUNK;
    }
}

static enum found
find_line(struct record_cursor *cursor)
{
    cursor->at = skip_blanks(cursor->payload, cursor->at);
    return cursor->at == cursor->payload.len ? FOUND_END : FOUND_RECORD;
}

static enum found
find_next(enum record_kind kind, struct record_cursor *cursor)
{
    if (cursor->place == RECORD_AT_END)
        return FOUND_END;
    if (kind == RECORD_LINE)
        return find_line(cursor);
    if (cursor->place == RECORD_BETWEEN)
        return find_object(cursor);
    return find_element(cursor);
}

/* Look at the payload as a whole: REASON_NONE and the cursor at what may be its first record, or why it has none. */
static enum reason
begin(const struct record_decoder *decoder, struct record_cursor *cursor)
{
    static const char byte_order_mark[] = {'\xef', '\xbb', '\xbf'};
    struct span payload = cursor->payload;

    cursor->place = RECORD_AT_END;
    if (payload.len > decoder->limits.payload_bytes_max)
        return REASON_TOO_LARGE;
    size_t mark = sizeof byte_order_mark;
    if (payload.len >= mark && memcmp(payload.at, byte_order_mark, mark) == 0)
        cursor->at = mark;
    cursor->at = skip_blanks(payload, cursor->at);
    if (cursor->at == payload.len)
        return REASON_BAD_JSON;
    bool array = payload.at[cursor->at] == '[' && decoder->kind != RECORD_LINE;
    cursor->place = array ? RECORD_FIRST_ELEMENT : RECORD_BETWEEN;
    cursor->at += array;
    return REASON_NONE;
}

struct record_cursor
record_cursor(struct span payload)
{
    return (struct record_cursor){.payload = payload, .place = RECORD_AT_START};
}

/* As record_next, which looks at what this does to cursor. */
static int
next(struct record_decoder *decoder, struct record_cursor *cursor, enum record_source source, int64_t now_ms,
     struct record *record, struct fault *fault)
{
    *record = (struct record){.kind = decoder->kind};
    *fault = (struct fault){REASON_NONE, NULL};
    if (cursor->place == RECORD_AT_START) {
        fault->reason = begin(decoder, cursor);
        if (fault->reason != REASON_NONE)
            return 1;
    }
    switch (find_next(decoder->kind, cursor)) {
    case FOUND_END:
        return 0;
    case FOUND_JUNK:
        fault->reason = REASON_BAD_JSON;
        return 1;
    case FOUND_RECORD:
        break;
    }
    if (decoder->kind == RECORD_LINE)
        *fault = take_line(decoder, cursor, record);
    else
        *fault = take_object(decoder, cursor, source, now_ms, record);
    return 1;
}

int
record_next(struct record_decoder *decoder, struct record_cursor *cursor, enum record_source source, int64_t now_ms,
            struct record *record, struct fault *fault)
{
    const struct record_cursor before = *cursor;

    log_assert(cursor->at <= cursor->payload.len);
    const int rc = next(decoder, cursor, source, now_ms, record, fault);
    log_assert(cursor->at <= cursor->payload.len);
    log_assert(rc == 0 || cursor->at > before.at || cursor->place != before.place); /* or it would never end */
    return rc;
}

struct fault
record_decode(struct record_decoder *decoder, struct span text, enum record_source source, int64_t now_ms,
              struct record *record)
{
    *record = (struct record){.kind = decoder->kind};
    size_t start = skip_blanks(text, 0);
    if (start == text.len)
        return (struct fault){REASON_BAD_JSON, NULL};
    struct span rest = span_at(text.at + start, text.len - start);
    if (decoder->kind == RECORD_LINE)
        return decode_line(decoder, rest, record);
    enum reason reason = json_scan(rest, &decoder->limits.json, &decoder->object);
    if (reason != REASON_NONE)
        return scan_fault(decoder, reason);
    if (skip_blanks(rest, decoder->object.length) < rest.len)
        return (struct fault){REASON_BAD_JSON, NULL};
    return decode_object(decoder, source, now_ms, record);
}

void
record_rename_person(const struct record *record, struct span name, struct buffer *out)
{
    const struct span body = record->body;

    if (record->person.end == 0)
        log_panic("a record without an e-mail address has nobody to rename");
    log_assert(record->person.value <= record->person.end && record->person.end < body.len);
    buffer_add(out, body.at, record->person.value);
    buffer_add_span(out, name);
    buffer_add(out, body.at + record->person.end, body.len - record->person.end);
}

void
record_leave_out_person(const struct record *record, struct buffer *out)
{
    const struct span body = record->body;
    size_t begin = record->person.member;
    size_t end = record->person.end + 1; /* behind the quote */

    if (record->person.end == 0)
        log_panic("a record without an e-mail address has nobody to leave out");
    log_assert(begin < end && end <= body.len);
    if (end < body.len)
        end++; /* with the comma behind it, */
    else if (begin > 0)
        begin--; /* or that before it */
    buffer_add(out, body.at, begin);
    buffer_add(out, body.at + end, body.len - end);
}
