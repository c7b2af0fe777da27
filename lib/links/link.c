#include "links/link.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/name.h"
#include "record/json.h"

/* What was in flight when we asked for a rewind keeps coming for a while; asking again for each would be answered. */
#define REWIND_AGAIN_MS 200

/* How long after a report it is said again, to a producer that was never heard of and to one that was. */
#define REMIND_NEW_MS 5000
#define REMIND_MS 30000

void
link_free(struct link *link)
{
    while (link->first != NULL) {
        struct link_message *message = link->first;
        link->first = message->next;
        free(message);
    }
    link->last = NULL;
    link->next.part = link->repeated.part = 0;
    buffer_free(&link->next.whole);
    buffer_free(&link->repeated.whole);
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
    link->next.part = link->repeated.part = 0;
    link->rewind = link->report = true;
}

void
link_remind(struct link *link, int64_t steady_ms)
{
    const int64_t remind_ms = link->committed.epoch == 0 ? REMIND_NEW_MS : REMIND_MS;

    if (link->first == NULL && steady_ms - link->reported_ms >= remind_ms)
        link->rewind = link->report = true;
}

static void
push(struct link *link, struct link_position position, struct span row, struct span payload, bool oldest)
{
    if (payload.len > LINK_PAYLOAD_BYTES_MAX)
        payload.len = LINK_PAYLOAD_BYTES_MAX + 1;
    size_t len = row.len + payload.len;
    log_assert(oldest || (position.applied == link->queued.applied + 1 &&
                          (position.epoch == link->queued.epoch || link->queued.epoch == 0)));
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

/* A message of the one at `at`, which may be a part of it: they come in order, or the message is asked for again. 1 it is
 * whole, in *payload; 0 not yet; −1 a part is missing. */
static int
gather(struct link_parts *parts, struct link_position at, const struct wire_message *message, struct span *payload)
{
    const bool follows = at.epoch == parts->of.epoch && at.applied == parts->of.applied && parts->part > 0 &&
                         message->parts == parts->parts && message->part == parts->part + 1;

    *payload = message->payload;
    if (message->parts == 0)
        return 1;
    if (message->part == 1)
        buffer_clear(&parts->whole);
    else if (!follows)
        return -1;
    else
        buffer_add_byte(&parts->whole, '\n');
    parts->of = at;
    parts->part = message->part;
    parts->parts = message->parts;
    if (parts->whole.len <= LINK_PAYLOAD_BYTES_MAX) /* else it is too large already */
        buffer_add_span(&parts->whole, message->payload);
    *payload = buffer_span(&parts->whole);
    return message->part == message->parts;
}

/* Never 0. */
static uint64_t
checksum(struct span row, struct span payload)
{
    const uint64_t sum = hash_checksum(payload) ^ (hash_checksum(row) * 3);

    return sum != 0 ? sum : 1;
}

static uint64_t *
remembered(struct link *link, uint64_t sequence)
{
    return &link->checksums[sequence % LINK_REMEMBERED];
}

/* It was there before. Whether it is another one now. */
static bool
receive_again(struct link *link, struct link_position at, const struct wire_message *message, struct span row)
{
    struct span payload;

    link->report = true; /* its producer does not know that we have it */
    if (at.applied + LINK_REMEMBERED <= link->queued.applied || gather(&link->repeated, at, message, &payload) != 1)
        return false;
    const uint64_t before = *remembered(link, at.applied);
    if (before == 0 || before == checksum(row, payload))
        return false;
    link->twofold = at.applied;
    return true;
}

/* What is remembered is of another life. */
static void
forget(struct link *link)
{
    memset(link->checksums, 0, sizeof link->checksums);
}

bool
link_receive(struct link *link, const struct wire_message *message, struct span row, int64_t steady_ms)
{
    struct link_position at = {message->epoch, message->sequence};
    struct span payload;

    if (message->epoch == 0 || message->sequence == 0 || row.len > NAME_BYTES_MAX || link->twofold != 0)
        return false; /* a table row that refills the broker, or a stranger */
    if (message->epoch == link->queued.epoch && at.applied <= link->queued.applied)
        return receive_again(link, at, message, row);
    /* In another life only its producer knows what follows; who awaits rows is told first where they end. */
    const bool follows = message->epoch == link->queued.epoch || (link->queued.epoch == 0 && link->awaits == 0);
    const bool next = follows && at.applied == link->queued.applied + 1 && link->message_count < LINK_MESSAGES_MAX &&
                      link->bytes <= LINK_BYTES_MAX;
    const int whole = next ? gather(&link->next, at, message, &payload) : -1;
    if (whole < 0 && steady_ms - link->asked_ms >= REWIND_AGAIN_MS)
        link->rewind = link->report = true;
    if (whole != 1)
        return false;
    link->lost = 0;
    *remembered(link, at.applied) = checksum(row, payload);
    push(link, at, row, payload, false);
    return false;
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

    if (to.epoch == 0 || link->twofold != 0 || lives_find(&left, to.epoch) != NULL)
        return false;
    if (link->queued.epoch == 0 && (told->rewind || (link->awaits != 0 && told->until == LINK_NO_END)))
        return false; /* it speaks to what we were before we began anew */
    if (to.epoch == link->queued.epoch)
        return to.applied > link->queued.applied && told->rewind && lose(link, to.applied); /* else we have begun already */
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
    forget(link);
    push(link, to, (struct span){0}, span_at((const char *)&change, sizeof change), true);
    link->queued_left = left;
    return true;
}

struct link_change
link_change(const struct link_message *message)
{
    struct link_change change;

    log_assert(message->oldest && message->payload.len == sizeof change);
    memcpy(&change, message->payload.at, sizeof change); /* it need not be aligned there */
    return change;
}

void
link_read_told(struct span text, struct link_told *told)
{
    const struct json_limits limits = {.depth_max = 2, .string_bytes_max = 64};
    struct json *json = json_parse(text, &limits);

    lives_read(text, false, &told->earlier);
    const int64_t until = json != NULL ? json_int_at(json, "until", -1) : -1;
    told->until = until >= 0 ? (uint64_t)until : LINK_NO_END;
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
        log_assert(link->bytes >= message->row.len + message->payload.len);
        link->bytes -= message->row.len + message->payload.len;
        free(message);
    }
    if (link->first == NULL)
        link->last = NULL;
    log_assert((link->first == NULL) == (link->message_count == 0));
    link->report = true;
}

void
link_report(struct link *link, int64_t steady_ms, struct buffer *text)
{
    struct lives left = link->left;

    lives_settle(&left, link->committed);
    link_write_report(link->committed, link->rewind, text);
    lives_write(&left, true, text);
    if (link->committed.epoch == 0 && link->awaits != 0) {
        text->len--; /* the brace */
        buffer_add_text(text, ",\"anew\":1}");
    }
    link->reported_ms = steady_ms;
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

bool
link_reads_anew(struct span text)
{
    const struct json_limits limits = {.depth_max = 2, .string_bytes_max = 64};
    struct json *json = json_parse(text, &limits);
    const bool anew = json != NULL && json_int_at(json, "anew", 0) == 1;

    json_free(json);
    return anew;
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
