#include "run/gather.h"

#include "base/log.h"

void
gather_begin(struct gather *gather)
{
    buffer_clear(&gather->message);
    gather->failed = false;
}

static void
append(struct gather *gather, struct span row)
{
    const struct transport_calls *calls = gather->transport->calls;
    const uint64_t before = calls->appended(gather->transport);

    if (calls->append(gather->transport, gather->sink, row, buffer_span(&gather->message), gather->retained) != 0)
        gather->failed = true;
    else if (calls->appended(gather->transport) < before + gather->message.len)
        log_panic("a sink took a message of %zu bytes, and has not so many more", gather->message.len);
    buffer_clear(&gather->message);
}

void
gather_close(struct gather *gather)
{
    if (gather->message.len > 0)
        append(gather, (struct span){0});
}

void
gather_record(struct gather *gather, struct span body)
{
    if (gather->message.len > 0 && gather->message.len + body.len + 3 > *gather->bytes_max)
        gather_close(gather);
    if (gather->message.len > 0)
        buffer_add_byte(&gather->message, '\n');
    buffer_add_byte(&gather->message, '{');
    buffer_add_span(&gather->message, body);
    buffer_add_byte(&gather->message, '}');
}

void
gather_row(struct gather *gather, struct span row, struct span body)
{
    log_assert(gather->message.len == 0); /* records that wait here would be lost */
    buffer_add_byte(&gather->message, '{');
    buffer_add_span(&gather->message, body);
    buffer_add_byte(&gather->message, '}');
    append(gather, row);
}

void
gather_free(struct gather *gather)
{
    buffer_free(&gather->message);
}
