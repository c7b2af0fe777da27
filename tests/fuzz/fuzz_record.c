/*
 * The decoder: any bytes as a payload of every kind and from both sources. Every step must advance, a record that is
 * accepted must be the same record when it is decoded again from what goes out of it, and good records on the lines
 * before and behind the bytes must come out whatever these are.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "record/record.h"

#define NOW_MS INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct record_limits limits = {
    .json = {.depth_max = 16, .string_bytes_max = 1024}, .payload_bytes_max = 1 << 20, .ahead_ms = 86400000};

/* The person stands where the record says: another one in that place comes in as that, and nobody is missed. */
static void
check_person(const struct record *record)
{
    struct record_decoder *decoder = record_decoder_new(record->kind, &limits);
    struct buffer text = {0};
    struct record again;

    buffer_add_byte(&text, '{');
    record_rename_person(record, span_of("0f"), &text);
    buffer_add_byte(&text, '}');
    if (record_decode(decoder, buffer_span(&text), RECORD_FROM_LINK, NOW_MS, &again).reason != REASON_NONE ||
        !span_is(again.email, "0f") || again.time_ms != record->time_ms)
        log_panic("a renamed person is not read");
    buffer_clear(&text);
    buffer_add_byte(&text, '{');
    record_leave_out_person(record, &text);
    buffer_add_byte(&text, '}');
    const struct fault fault = record_decode(decoder, buffer_span(&text), RECORD_FROM_LINK, NOW_MS, &again);
    if (fault.reason != REASON_MISSING_FIELD)
        log_panic("a person that was left out is not missing");
    buffer_free(&text);
    record_decoder_free(decoder);
}

/* Decode what goes out of record, and compare. */
static void
check_again(const struct record *record)
{
    struct record_decoder *decoder = record_decoder_new(record->kind, &limits);
    struct buffer text = {0};
    struct record again;

    buffer_add_byte(&text, '{');
    buffer_add_span(&text, record->body);
    buffer_add_byte(&text, '}');
    if (record_decode(decoder, buffer_span(&text), RECORD_FROM_LINK, NOW_MS, &again).reason != REASON_NONE)
        log_panic("what went out does not come in");
    if (!span_equal(again.identity, record->identity) || !span_equal(again.body, record->body))
        log_panic("what went out comes in as another record");
    if (!span_equal(again.email, record->email) || !span_equal(again.serial_number, record->serial_number) ||
        again.time_ms != record->time_ms || again.research_as_of_ms != record->research_as_of_ms ||
        again.withdrawn_ms != record->withdrawn_ms)
        log_panic("what went out comes in with other keys");
    buffer_free(&text);
    record_decoder_free(decoder);
}

/* Only names out of the table are said, and only of what is refused. */
static void
check_fault(enum record_kind kind, enum record_source source, const struct fault *fault)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);

    if (fault->field == NULL)
        return;
    for (unsigned i = 0; i < count; i++) {
        if (fields[i].name == fault->field && fault->reason != REASON_NONE)
            return;
    }
    if (source == RECORD_FROM_LANDING || strcmp(fault->field, "withdrawn") != 0)
        log_panic("%s in a field that is none", reason_word(fault->reason));
}

static void
check_payload(enum record_kind kind, enum record_source source, struct span payload)
{
    struct record_decoder *decoder = record_decoder_new(kind, &limits);
    struct record_cursor cursor = record_cursor(payload);
    struct record_cursor before = cursor;
    struct record record;
    struct fault fault;

    while (record_next(decoder, &cursor, source, NOW_MS, &record, &fault)) {
        bool advanced = cursor.at > before.at || (cursor.at == before.at && cursor.place > before.place);
        if (!advanced || cursor.at > payload.len)
            log_panic("a step from %zu to %zu", before.at, cursor.at);
        check_fault(kind, source, &fault);
        if (fault.reason == REASON_NONE && kind != RECORD_LINE)
            check_again(&record);
        if (fault.reason == REASON_NONE && record.email.len > 0)
            check_person(&record);
        before = cursor;
    }
    record_decoder_free(decoder);
}

/* A record of the kind, as it goes out. */
static void
write_good(enum record_kind kind, struct buffer *text)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);

    buffer_add_byte(text, '{');
    for (unsigned i = 0; i < count; i++) {
        if (fields[i].required)
            buffer_printf(text, "%s\"%s\":%s", i > 0 ? "," : "", fields[i].name,
                          fields[i].type == RECORD_FIELD_TEXT ? "\"a@example.org\"" : "1234567");
    }
    buffer_add_text(text, kind == RECORD_LINE ? "\"a\":1234567}" : "}");
}

/* The record that step says must be the good one. */
static void
check_neighbour(enum record_kind kind, enum reason reason, const struct record *record, struct span good, const char *where)
{
    if (reason != REASON_NONE || !span_equal(record->body, kind == RECORD_LINE ? good : span_at(good.at + 1, good.len - 2)))
        log_panic("a good %s on the line %s what came is not given out", record_kind_name(kind), where);
}

/* The bytes between two good records, on lines of their own. */
static void
check_neighbours(enum record_kind kind, struct span bytes)
{
    struct record_decoder *decoder = record_decoder_new(kind, &limits);
    struct buffer payload = {0};
    struct buffer good = {0};
    struct record record, last = {0};
    struct fault fault, last_fault = {REASON_BAD_JSON, NULL};
    unsigned count = 0;

    write_good(kind, &good);
    buffer_add_span(&payload, buffer_span(&good));
    buffer_add_byte(&payload, '\n');
    buffer_add_span(&payload, bytes);
    buffer_add_byte(&payload, '\n');
    buffer_add_span(&payload, buffer_span(&good));
    struct record_cursor cursor = record_cursor(buffer_span(&payload));
    while (record_next(decoder, &cursor, RECORD_FROM_LANDING, NOW_MS, &record, &fault)) {
        if (count++ == 0)
            check_neighbour(kind, fault.reason, &record, buffer_span(&good), "before");
        last = record;
        last_fault = fault;
    }
    if (count < 2)
        log_panic("two records and what is between them are %u", count);
    check_neighbour(kind, last_fault.reason, &last, buffer_span(&good), "behind");
    buffer_free(&payload);
    buffer_free(&good);
    record_decoder_free(decoder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > limits.payload_bytes_max / 2)
        return 0;
    for (int kind = RECORD_CUSTOMER; kind <= RECORD_LINE; kind++) {
        check_payload((enum record_kind)kind, RECORD_FROM_LANDING, span_at(data, size));
        check_payload((enum record_kind)kind, RECORD_FROM_LINK, span_at(data, size));
        check_neighbours((enum record_kind)kind, span_at(data, size));
    }
    return 0;
}
