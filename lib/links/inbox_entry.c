#include "base/bytes.h"
#include "base/log.h"
#include "base/name.h"
#include "links/inbox_state.h"

/* Of an entry of before version 4 at at; length is what stands in its first four bytes. */
static uint64_t
checksum_of(const char *at, size_t length)
{
    return hash_checksum(span_at(at + PREFIX_BYTES, length)) ^ length;
}

/* Of an entry of this length at position: its head is the lower half. */
static uint64_t
place_mark(const struct inbox *inbox, uint64_t position, size_t length)
{
    char place[12];

    bytes_put_u64(place, position);
    bytes_put_u32(place + 8, (uint32_t)length);
    return hash_64(&inbox->key, span_at(place, sizeof place));
}

static uint32_t
body_mark(const struct inbox *inbox, uint64_t place, const char *at, size_t length)
{
    return (uint32_t)hash_64(&inbox->key, span_at(at + PREFIX_BYTES, length)) ^ (uint32_t)(place >> 32);
}

static bool
has_levels(const unsigned char *head)
{
    return (head[0] & HAS_LEVELS) != 0;
}

/* Whether the length bytes at head are of an entry: its parts are as long as they may be, and fit. */
static bool
parts_fit(const unsigned char *head, size_t length)
{
    size_t bytes = HEAD_BYTES;

    if (length < HEAD_BYTES + (has_levels(head) ? 1 : 0))
        return false;
    if (has_levels(head)) {
        if (head[HEAD_BYTES] == 0 || head[HEAD_BYTES] > LEVELS_BYTES_MAX)
            return false;
        bytes += 1 + (size_t)head[HEAD_BYTES];
    }
    return bytes + ((size_t)head[1] << 8 | head[2]) + ((size_t)head[3] << 8 | head[4]) <= length;
}

bool
inbox_entry_has_head(const struct inbox *inbox, uint64_t position, const char *at, size_t length)
{
    return (uint32_t)place_mark(inbox, position, length) == bytes_get_u32(at + 4);
}

bool
inbox_entry_has_marks(const struct inbox *inbox, uint64_t position, const char *at, size_t length)
{
    return inbox_entry_has_head(inbox, position, at, length) &&
           body_mark(inbox, place_mark(inbox, position, length), at, length) == bytes_get_u32(at + 8);
}

size_t
inbox_entry_whole(const struct inbox *inbox, uint64_t position, struct span bytes)
{
    if (bytes.len < PREFIX_BYTES)
        return 0;
    size_t length = bytes_get_u32(bytes.at);
    if (length < HEAD_BYTES || length > bytes.len - PREFIX_BYTES ||
        !parts_fit((const unsigned char *)bytes.at + PREFIX_BYTES, length))
        return 0;
    if (!inbox_entry_has_marks(inbox, position, bytes.at, length) &&
        checksum_of(bytes.at, length) != bytes_get_u64(bytes.at + 4))
        return 0;
    return PREFIX_BYTES + length;
}

void
inbox_entry_encode(const struct inbox_entry *entry, struct buffer *bytes)
{
    char head[HEAD_BYTES + 1];
    const size_t head_bytes = entry->levels.len > 0 ? HEAD_BYTES + 1 : HEAD_BYTES;
    const size_t length =
        head_bytes + entry->levels.len + entry->response_topic.len + entry->correlation.len + entry->payload.len;

    head[0] = (char)(entry->input | (entry->levels.len > 0 ? HAS_LEVELS : 0));
    head[1] = (char)(entry->response_topic.len >> 8);
    head[2] = (char)entry->response_topic.len;
    head[3] = (char)(entry->correlation.len >> 8);
    head[4] = (char)entry->correlation.len;
    head[HEAD_BYTES] = (char)entry->levels.len;
    buffer_clear(bytes);
    buffer_reserve(bytes, PREFIX_BYTES + length);
    bytes->len = PREFIX_BYTES;
    buffer_add(bytes, head, head_bytes);
    buffer_add_span(bytes, entry->levels);
    buffer_add_span(bytes, entry->response_topic);
    buffer_add_span(bytes, entry->correlation);
    buffer_add_span(bytes, entry->payload);
    bytes_put_u32(bytes->data, (uint32_t)length);
    log_assert(bytes->len == PREFIX_BYTES + length && parts_fit((const unsigned char *)bytes->data + PREFIX_BYTES, length));
}

void
inbox_entry_mark(const struct inbox *inbox, uint64_t position, struct buffer *bytes)
{
    const size_t length = bytes->len - PREFIX_BYTES;
    const uint64_t place = place_mark(inbox, position, length);

    bytes_put_u32(bytes->data + 4, (uint32_t)place);
    bytes_put_u32(bytes->data + 8, body_mark(inbox, place, bytes->data, length));
}

struct inbox_entry
inbox_entry_decode(const char *at, size_t whole)
{
    const unsigned char *head = (const unsigned char *)at + PREFIX_BYTES;
    const size_t levels_bytes = has_levels(head) ? head[HEAD_BYTES] : 0;
    const char *levels = at + PREFIX_BYTES + HEAD_BYTES + (levels_bytes > 0 ? 1 : 0);
    const char *rest = levels + levels_bytes;
    size_t response_bytes = (size_t)head[1] << 8 | head[2];
    size_t correlation_bytes = (size_t)head[3] << 8 | head[4];
    size_t payload_bytes = whole - (size_t)(rest - at) - response_bytes - correlation_bytes;

    log_assert(payload_bytes <= whole);
    return (struct inbox_entry){
        .input = head[0] & ~(unsigned)HAS_LEVELS,
        .levels = span_at(levels, levels_bytes),
        .response_topic = span_at(rest, response_bytes),
        .correlation = span_at(rest + response_bytes, correlation_bytes),
        .payload = span_at(rest + response_bytes + correlation_bytes, payload_bytes),
    };
}
