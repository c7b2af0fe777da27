#include "loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"
#include "record/record.h"

#define UNDER_WAY_MAX 6
#define RESEND_MS 3000

static void
up(void *context, bool session_kept, const struct wire_limits *limits)
{
    (void)session_kept;
    (void)limits;
    ((struct loader *)context)->up = true;
}

static void
subscribed(void *context, bool ok, const char *reason)
{
    (void)reason;
    ((struct loader *)context)->subscribed = ok;
}

static void
down(void *context, const char *reason)
{
    (void)reason;
    ((struct loader *)context)->down = true;
}

static void
finish(struct loader *loader, unsigned number)
{
    if (number >= loader->count)
        abort();
    loader->done += !loader->payloads[number].done;
    loader->payloads[number].done = true;
}

static void
message(void *context, const struct wire_message *message)
{
    struct loader *loader = context;
    unsigned number, taken;

    if (message->correlation.len != sizeof number)
        abort();
    memcpy(&number, message->correlation.at, sizeof number);
    finish(loader, number);
    if (sscanf(message->payload.at, "{\"taken\":%u,", &taken) != 1 || taken != loader->payloads[number].records)
        loader->wrong = true;
}

static void
delivered(void *context, uint64_t token)
{
    struct loader *loader = context;

    if (loader->trusting)
        finish(loader, (unsigned)token - 1);
}

struct wire_events
loader_events(struct loader *loader)
{
    return (struct wire_events){loader, up, subscribed, down, message, delivered, NULL};
}

static void
send_payload(struct loader *loader, unsigned number, int64_t now_ms)
{
    const char *name = landing_names[loader->payloads[number].landing];
    char topic[64], receipts[64];

    snprintf(topic, sizeof topic, "gait/landing/%s/device%u", name, number % 3);
    snprintf(receipts, sizeof receipts, LOADER_RECEIPTS "%u", number % 3);
    struct wire_message out = {.topic = span_of(topic),
                               .payload = buffer_span(&loader->payloads[number].text),
                               .delivery = WIRE_AT_LEAST_ONCE};
    if (!loader->trusting) {
        out.response_topic = span_of(receipts);
        out.correlation = span_at((const char *)&number, sizeof number);
    }
    loader->wire->calls->publish(loader->wire, &out, number + 1);
    loader->payloads[number].sent_ms = now_ms;
}

static void
send_some(struct loader *loader, int64_t now_ms)
{
    unsigned under_way = 0;

    for (unsigned i = 0; i < loader->count && under_way < UNDER_WAY_MAX; i++) {
        struct payload *payload = &loader->payloads[i];
        if (payload->done)
            continue;
        under_way++;
        if (payload->sent_ms < 0 || (!loader->trusting && now_ms - payload->sent_ms >= RESEND_MS))
            send_payload(loader, i, now_ms);
    }
}

void
loader_step(struct loader *loader, int64_t now_ms)
{
    static const char *const filter = "gait/receipt/+";

    if (loader->down) {
        loader->up = loader->subscribed = loader->down = false;
        loader->state = LOADER_DOWN;
        for (unsigned i = 0; i < loader->count; i++)
            loader->payloads[i].sent_ms = -1;
    }
    if (loader->state == LOADER_DOWN && loader->wire->calls->connect(loader->wire) == 0)
        loader->state = LOADER_CONNECTING;
    if (loader->state == LOADER_CONNECTING && loader->up) {
        loader->wire->calls->subscribe(loader->wire, &filter, 1, 1, WIRE_AT_LEAST_ONCE);
        loader->state = LOADER_SUBSCRIBING;
    }
    if (loader->state == LOADER_SUBSCRIBING && loader->subscribed)
        loader->state = LOADER_READY;
    if (loader->state == LOADER_READY)
        send_some(loader, now_ms);
}

static unsigned
count_records(const struct buffer *text)
{
    const struct record_limits limits = {.json = {16, 1024}, .payload_bytes_max = UINT32_MAX};
    struct record_decoder *decoder = record_decoder_new(RECORD_CUSTOMER, &limits);
    struct record_cursor cursor = record_cursor(buffer_span(text));
    struct record record;
    struct fault fault;
    unsigned count = 0;

    while (record_next(decoder, &cursor, RECORD_FROM_LANDING, 0, &record, &fault) == 1)
        count++;
    record_decoder_free(decoder);
    return count;
}

void
loader_add(struct loader *loader, enum landing landing, const struct lines *lines)
{
    static const char *const bad[] = {"{",   "{}", "\xff", "{\"email\":\"p0@x\",\"email\":\"p0@x\"}",
                                      "[1]", "{\"user\":1e999}"};

    const unsigned most = dice_chance(80) ? 4 : 60;

    for (unsigned i = 0; i < lines->count;) {
        if (loader->count == LOADER_PAYLOADS_MAX)
            abort();
        struct payload *payload = &loader->payloads[loader->count++];
        *payload = (struct payload){.landing = landing, .sent_ms = -1};
        for (unsigned left = 1 + dice_roll(most); left > 0 && i < lines->count; left--, i++) {
            if (dice_chance(3)) {
                buffer_add_text(&payload->text, bad[dice_roll(sizeof bad / sizeof bad[0])]);
                buffer_add_byte(&payload->text, '\n');
            }
            buffer_add_text(&payload->text, lines->list[i]);
            buffer_add_byte(&payload->text, '\n');
        }
        payload->records = count_records(&payload->text);
        if (dice_chance(10))
            i--;
    }
}

/* Receipts name payloads by number, so those under way must stay where they are: only payloads that were never sent are
 * moved. */
void
loader_shuffle(struct loader *loader)
{
    unsigned first = 0;

    while (first < loader->count && (loader->payloads[first].done || loader->payloads[first].sent_ms >= 0))
        first++;
    for (unsigned i = loader->count; i > first + 1; i--) {
        const unsigned j = first + dice_roll(i - first);
        struct payload swap = loader->payloads[i - 1];
        loader->payloads[i - 1] = loader->payloads[j];
        loader->payloads[j] = swap;
    }
}

bool
loader_is_done(const struct loader *loader)
{
    return loader->done == loader->count;
}

void
loader_free(struct loader *loader)
{
    for (unsigned i = 0; i < loader->count; i++)
        buffer_free(&loader->payloads[i].text);
}
