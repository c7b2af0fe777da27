/*
 * The consuming end of a link: any sequence of messages with any epochs and sequence numbers, of commits, of the
 * producer's words about its oldest message, of reports. What is worked follows without a hole, each message once, as it
 * was sent; and whatever came before, a producer that does what the reports say gets everything through.
 *
 * The input is a text of steps:
 *   A12   a message with sequence number 12 of epoch A; epochs are @ (none) and A to Z
 *   a12   the producer says that 12 of epoch A is where to go on; behind it, behind colons, the lives before: a12:b7:c5;
 *         and + at the end: what is before is gone
 *   !3    work and commit three messages (or what there is); without a number: all
 *   ?     send the report
 *   ~     the connection is new
 *   .     time goes by
 *   {…    up to the line end: a report that is read
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/name.h"
#include "links/link.h"

/* What a report can say: more is no number that every JSON reader knows exactly, and takes a million years. */
#define APPLIED_MAX ((UINT64_C(1) << 53) - LINK_MESSAGES_MAX - 1)

/* Messages of the producer that ends each input. */
#define LAST_MESSAGES 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct consumer {
    struct link link;
    struct link_position worked;
    uint64_t left; /* the epoch that it was in before */
    int64_t steady_ms;
    struct buffer text;
};

/* The text at hand. */
struct steps {
    const char *at;
    const char *end;
};

static uint64_t
take_number(struct steps *steps, uint64_t preset)
{
    uint64_t number = 0;
    const char *start = steps->at;

    for (; steps->at < steps->end && *steps->at >= '0' && *steps->at <= '9'; steps->at++)
        number = number * 10 + (uint64_t)(*steps->at - '0'); /* too large ones are others */
    return steps->at > start ? number : preset;
}

static bool
same(struct link_position a, struct link_position b)
{
    return a.epoch == b.epoch && a.applied == b.applied;
}

/* Payload, or row, of a message. */
static struct span
write_content(struct consumer *consumer, const char *what, struct link_position position)
{
    buffer_clear(&consumer->text);
    buffer_printf(&consumer->text, "%s %" PRIu64 " %" PRIu64, what, position.epoch, position.applied);
    return buffer_span(&consumer->text);
}

static void
receive(struct consumer *consumer, struct link_position position)
{
    struct wire_message message = {.epoch = position.epoch, .sequence = position.applied};
    char row[NAME_BYTES_MAX];
    struct span content = write_content(consumer, "row", position);

    memcpy(row, content.at, content.len);
    content = span_at(row, content.len);
    message.payload = write_content(consumer, "payload", position);
    link_receive(&consumer->link, &message, content, consumer->steady_ms);
}

/* Look at a message as it is worked: it must be the one that follows. */
static void
check_next(struct consumer *consumer, const struct link_message *message)
{
    const struct link_position before = consumer->worked;
    const struct link_position position = message->position;

    if (message->oldest) {
        if (position.epoch == before.epoch)
            log_panic("told to begin where we are already");
        if (before.epoch != 0 && position.epoch == consumer->left)
            log_panic("back in a life that was left");
        consumer->left = before.epoch;
    } else {
        if (position.epoch == 0 || position.applied != before.applied + 1 ||
            (position.epoch != before.epoch && before.epoch != 0))
            log_panic("a hole before message %" PRIu64, position.applied);
        if (!span_equal(message->payload, write_content(consumer, "payload", position)) ||
            !span_equal(message->row, write_content(consumer, "row", position)))
            log_panic("message %" PRIu64 " is not what was sent", position.applied);
    }
    consumer->worked = position;
}

/* Work and commit at most count messages, as a process does. */
static void
commit(struct consumer *consumer, uint64_t count)
{
    struct link *link = &consumer->link;
    const struct link_message *message = link->first;
    unsigned left = link->message_count;
    unsigned worked = 0;

    for (; worked < count && message != NULL; worked++) {
        check_next(consumer, message);
        message = message->next;
    }
    left -= worked;
    if (worked == 0)
        return;
    link_commit(link, worked);
    if (link->first != message || link->message_count != left)
        log_panic("what was worked is in the queue, or what was not is gone");
    if (!same(link->committed, consumer->worked) || (message == NULL && link->bytes != 0))
        log_panic("not what was worked is committed");
}

/* Send the report; the producer must be able to read it, and read what is committed. */
static struct link_position
report(struct consumer *consumer)
{
    struct link_position position;
    bool rewind;

    link_report(&consumer->link, consumer->steady_ms, &consumer->text);
    if (link_read_report(buffer_span(&consumer->text), &position, &rewind) != 0)
        log_panic("a report that can't be read");
    if (!same(position, consumer->link.committed))
        log_panic("a report of what is not committed");
    return position;
}

/* What is read as a report, written down, is read as the same. */
static void
read_report(struct consumer *consumer, struct span text)
{
    struct link_position position, again;
    bool rewind, rewind_again;

    if (link_read_report(text, &position, &rewind) != 0)
        return;
    link_write_report(position, rewind, &consumer->text);
    if (link_read_report(buffer_span(&consumer->text), &again, &rewind_again) != 0 || !same(position, again) ||
        rewind != rewind_again)
        log_panic("a report is read as another one");
}

/* The word of a producer; the rest of it stands in steps. */
static void
tell(struct consumer *consumer, struct link_position position, struct steps *steps)
{
    struct link_told told = {.position = position, .until = LINK_NO_END};

    while (steps->end - steps->at >= 2 && steps->at[0] == ':' && steps->at[1] >= 'a' && steps->at[1] <= 'z') {
        const uint64_t epoch = (uint64_t)(steps->at[1] - 'a' + 1);
        steps->at += 2;
        const uint64_t last = take_number(steps, 0);
        if (told.earlier.count < LIVES_MAX / 2) /* or it forgets what it has just left */
            told.earlier.list[told.earlier.count++] = (struct life){.epoch = epoch, .last = last};
    }
    if (steps->at < steps->end && *steps->at == '+') {
        told.rewind = true;
        steps->at++;
    }
    link_adopt(&consumer->link, &told);
}

static void
step(struct consumer *consumer, struct steps *steps)
{
    const char *start = steps->at;
    char what = *steps->at++;

    if (what >= '@' && what <= 'Z') {
        receive(consumer, (struct link_position){(uint64_t)(what - '@'), take_number(steps, 0)});
    } else if (what >= 'a' && what <= 'z') {
        uint64_t oldest = take_number(steps, 0);
        if (oldest <= APPLIED_MAX)
            tell(consumer, (struct link_position){(uint64_t)(what - 'a' + 1), oldest}, steps);
    } else if (what == '!') {
        commit(consumer, take_number(steps, UINT64_MAX));
    } else if (what == '?') {
        report(consumer);
    } else if (what == '~') {
        link_hello(&consumer->link);
    } else if (what == '.') {
        consumer->steady_ms += 100;
    } else if (what == '{') {
        while (steps->at < steps->end && *steps->at != '\n')
            steps->at++;
        read_report(consumer, span_at(start, (size_t)(steps->at - start)));
    }
}

/* A producer that has always been there, with a few more messages than it was told of, sends what the report asks for. */
static void
check_end(struct consumer *consumer)
{
    commit(consumer, UINT64_MAX);
    link_hello(&consumer->link);
    struct link_position position = report(consumer);
    if (position.epoch == 0)
        position.epoch = 1;
    uint64_t last = position.applied + LAST_MESSAGES;
    while (position.applied < last) {
        position.applied++;
        receive(consumer, position);
    }
    commit(consumer, UINT64_MAX);
    if (!same(consumer->link.committed, position))
        log_panic("what was asked for is not taken");
    if (consumer->link.lost != 0)
        log_panic("a link that goes on says that it can't");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct consumer consumer = {.steady_ms = 1000000};
    struct steps steps = {(const char *)data, (const char *)data + size};

    link_begin(&consumer.link, (struct link_position){0});
    while (steps.at < steps.end)
        step(&consumer, &steps);
    check_end(&consumer);
    link_free(&consumer.link);
    buffer_free(&consumer.text);
    return 0;
}
