#include "run/link.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/name.h"
#include "record/json.h"

/* What was in flight when we asked for a rewind keeps coming for a while; asking again for each would be answered. */
#define REWIND_AGAIN_MS 200

/* How long a producer that was never heard of may have nothing to say. */
#define REMIND_MS 5000

void
link_free(struct link *link)
{
    while (link->first != NULL) {
        struct link_message *message = link->first;
        link->first = message->next;
        free(message);
    }
    link->last = NULL;
    link->part = link->parts = 0;
    buffer_free(&link->whole);
}

void
link_begin(struct link *link, struct link_position committed)
{
    *link = (struct link){.committed = committed, .queued = committed};
    link_hello(link);
}

void
link_remember(struct link *link, const struct lives *left)
{
    link->left = link->queued_left = *left;
}

void
link_hello(struct link *link)
{
    link->part = link->parts = 0;
    link->rewind = link->report = true;
}

void
link_remind(struct link *link, int64_t steady_ms)
{
    if (link->committed.epoch == 0 && link->first == NULL && steady_ms - link->asked_ms >= REMIND_MS)
        link->rewind = link->report = true;
}

static void
push(struct link *link, struct link_position position, struct span row, struct span payload, bool oldest)
{
    size_t len = row.len + payload.len;
    struct link_message *new = malloc(sizeof *new + len);

    if (new == NULL)
        log_fatal("out of memory");
    if (row.len > 0)
        memcpy(new->bytes, row.at, row.len);
    if (payload.len > 0)
        memcpy(new->bytes + row.len, payload.at, payload.len);
    new->next = NULL;
    new->position = position;
    new->row = span_at(new->bytes, row.len);
    new->payload = span_at(new->bytes + row.len, payload.len);
    new->oldest = oldest;
    if (link->last != NULL)
        link->last->next = new;
    else
        link->first = new;
    link->last = new;
    link->message_count++;
    link->bytes += len;
    link->queued = position;
}

/* A part of the message at `at`: they come in order, or the message is asked for again. 1 the message is whole, in
 * link->whole; 0 not yet; −1 a part is missing. */
static int
gather(struct link *link, struct link_position at, const struct wire_message *message)
{
    const bool follows = at.epoch == link->gathering.epoch && at.applied == link->gathering.applied &&
                         message->parts == link->parts && message->part == link->part + 1;

    if (message->part == 1)
        buffer_clear(&link->whole);
    else if (!follows || link->whole.len > LINK_BYTES_MAX)
        return -1;
    else
        buffer_add_byte(&link->whole, '\n');
    link->gathering = at;
    link->part = message->part;
    link->parts = message->parts;
    buffer_add_span(&link->whole, message->payload);
    return message->part == message->parts;
}

void
link_receive(struct link *link, const struct wire_message *message, struct span row, int64_t steady_ms)
{
    struct link_position at = link->queued;

    if (message->epoch == 0 || message->sequence == 0 || row.len > NAME_BYTES_MAX)
        return; /* a table row that refills the broker, or a stranger */
    if (message->epoch == at.epoch && message->sequence <= at.applied) {
        link->report = true; /* it does not know that we have it */
        return;
    }
    const bool follows = message->epoch == at.epoch || at.epoch == 0; /* in another life only its producer knows what does */
    const bool next = follows && message->sequence == at.applied + 1 && link->message_count < LINK_MESSAGES_MAX &&
                      link->bytes <= LINK_BYTES_MAX;
    at = (struct link_position){message->epoch, message->sequence};
    const int whole = !next ? -1 : message->parts > 0 ? gather(link, at, message) : 1;
    if (whole < 0 && steady_ms - link->asked_ms >= REWIND_AGAIN_MS)
        link->rewind = link->report = true;
    if (whole != 1)
        return;
    link->lost = 0;
    push(link, at, row, message->parts > 0 ? buffer_span(&link->whole) : message->payload, false);
}

/* What lies before this message is gone, and we lack some of it. Whether that is news. */
static bool
lose(struct link *link, uint64_t oldest)
{
    const bool news = link->lost == 0;

    if (news)
        link->lost = oldest;
    return news;
}

bool
link_adopt(struct link *link, const struct link_told *told)
{
    struct link_position to = told->position;
    struct lives left = link->queued_left;
    uint64_t has;

    if (to.epoch == 0 || lives_find(&left, to.epoch) != NULL)
        return false;
    if (to.epoch == link->queued.epoch)
        return to.applied > link->queued.applied && lose(link, to.applied);
    lives_settle(&left, link->queued);
    const struct link_position nothing = {to.epoch, 0};
    if (lives_meet(link->queued, &left, nothing, &told->earlier, &has)) {
        if (has < to.applied && told->rewind)
            return lose(link, to.applied);
        if (has < to.applied) { /* it speaks of a report that is older than what we are now, or newer: tell it again */
            link->rewind = link->report = true;
            return false;
        }
        to.applied = has;
    }
    lives_leave(&left, link->queued, &told->earlier);
    const struct link_change change = {left, told->until};
    link->lost = 0;
    push(link, to, (struct span){0}, span_at((const char *)&change, sizeof change), true);
    link->queued_left = left;
    return true;
}

struct link_change
link_change(const struct link_message *message)
{
    struct link_change change;

    memcpy(&change, message->payload.at, sizeof change); /* it need not be aligned there */
    return change;
}

void
link_read_told(struct span text, struct link_told *told)
{
    const struct json_limits limits = {.depth_max = 2, .string_bytes_max = 64};
    struct json *json = json_parse(text, &limits);

    lives_read(text, false, &told->earlier);
    told->until = json != NULL ? (uint64_t)json_int_at(json, "until", 0) : 0;
    json_free(json);
}

void
link_commit(struct link *link, unsigned count)
{
    if (count > link->message_count)
        log_panic("link: %u messages were committed, of %u in the queue", count, link->message_count);
    for (; count > 0; count--) {
        struct link_message *message = link->first;
        link->committed = message->position;
        link->rewind = link->rewind || message->oldest;
        if (message->oldest)
            link->left = link_change(message).left;
        link->first = message->next;
        link->message_count--;
        link->bytes -= message->row.len + message->payload.len;
        free(message);
    }
    if (link->first == NULL)
        link->last = NULL;
    link->report = true;
}

void
link_report(struct link *link, int64_t steady_ms, struct buffer *text)
{
    struct lives left = link->left;

    lives_settle(&left, link->committed);
    link_write_report(link->committed, link->rewind, text);
    lives_write(&left, true, text);
    if (link->rewind)
        link->asked_ms = steady_ms;
    link->rewind = link->report = false;
}

void
link_write_report(struct link_position position, bool rewind, struct buffer *text)
{
    buffer_clear(text);
    buffer_printf(text, "{\"epoch\":\"%016" PRIx64 "\",\"applied\":%" PRIu64 ",\"rewind\":%d}", position.epoch,
                  position.applied, rewind);
}

int
link_read_report(struct span text, struct link_position *position, bool *rewind)
{
    const struct json_limits limits = {.depth_max = 2, .string_bytes_max = 64};
    struct json *json = json_parse(text, &limits);
    int rc = -1;

    if (json == NULL)
        return -1;
    const char *epoch = json_text_at(json, "epoch", "");
    int64_t applied = json_int_at(json, "applied", -1);
    int64_t wants = json_int_at(json, "rewind", -1);
    if (strlen(epoch) == 16 && strspn(epoch, "0123456789abcdef") == 16 && applied >= 0 && wants >= 0) {
        position->epoch = strtoull(epoch, NULL, 16);
        position->applied = (uint64_t)applied;
        *rewind = wants != 0;
        rc = 0;
    }
    json_free(json);
    return rc;
}
