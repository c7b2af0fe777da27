/*
 * libFuzzer's entry to the decoder: any bytes as a payload of every kind and from both sources. Every step must
 * advance, and a record that is accepted must be the same record when it is decoded again from what goes out of it.
 * Built with -DFUZZ=ON, see tests/CMakeLists.txt.
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
    if (record_decode(decoder, buffer_span(&text), RECORD_FROM_LINK, NOW_MS, &again) != REASON_NONE)
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

static void
check_payload(enum record_kind kind, enum record_source source, struct span payload)
{
    struct record_decoder *decoder = record_decoder_new(kind, &limits);
    struct record_cursor cursor = record_cursor(payload);
    struct record_cursor before = cursor;
    struct record record;
    enum reason reason;
    while (record_next(decoder, &cursor, source, NOW_MS, &record, &reason)) {
        bool advanced = cursor.at > before.at || (cursor.at == before.at && cursor.place > before.place);
        if (!advanced || cursor.at > payload.len)
            log_panic("a step from %zu to %zu", before.at, cursor.at);
        if (reason == REASON_NONE && kind != RECORD_LINE)
            check_again(&record);
        before = cursor;
    }
    record_decoder_free(decoder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = RECORD_CUSTOMER; kind <= RECORD_LINE; kind++) {
        check_payload((enum record_kind)kind, RECORD_FROM_LANDING, span_at(data, size));
        check_payload((enum record_kind)kind, RECORD_FROM_LINK, span_at(data, size));
    }
    return 0;
}
