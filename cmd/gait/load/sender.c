#include "load/sender.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/say.h"
#include "wire/port.h"
#include "wire/topic.h"
#include "wire/wire.h"
#include "streams/catalog.h"
#include "common/client.h"
#include "common/interrupt.h"
#include "load/places.h"
#include "load/receipt.h"
#include "load/taker.h"

#define KINDS RECORD_LANDING_KINDS
#define LETTERS_MAX 512                 /* without receipt: enough that the process's batches can grow */
#define LETTERS_BYTES_MAX (8 * 1024 * 1024) /* what a dead broker makes us hold */
#define LETTER_BYTES_MAX (512 * 1024)   /* of one message: half of what a process takes by default */
#define TICK_MS 100                     /* the longest wait between two looks at signals and the progress bar */
#define SILENCE_MS_MIN 1000             /* without a receipt before the process is asked for one, doubled up to */
#define SILENCE_MS_MAX 300000           /* so that one that is away for long does not find a queue full of questions */
#define SILENCE_TOLD_MS 10000           /* before somebody is told */
#define RATE_CATCH_UP_MS 1000           /* after an outage the rate limit forgives no more than this */

/* What a message brings back with its receipt: 8 bytes number of the letter, 0 for a question; 8 bytes number of the
 * sending, which only grows; 1 byte kind. */
#define CORRELATION_BYTES 17

/* An array without elements is no record, so whoever gets it has only the receipt to write. */
#define QUESTION "[]"

/* A message that has no receipt yet. */
struct letter {
    enum record_kind kind;
    unsigned records;
    struct buffer payload; /* for our own thread only */
    struct places places;  /* of its records */
    bool unsent;
    uint64_t sending; /* number of the last one */
    bool receipted;
};

/* A message in the making. */
struct draft {
    struct buffer payload;
    struct places places;
    unsigned records;
};

struct topics {
    char *landing;
    char *status;  /* of the process that takes the records, */
    char *metrics; /* and what it says of itself */
};

struct sender {
    struct sender_options options;
    struct client *client;
    char *receipt_topic;
    struct topics topics[KINDS];

    struct draft drafts[KINDS];
    uint64_t records;
    uint64_t messages;
    size_t letters_bytes; /* in all letters */
    int64_t tick_ms;      /* when the next one is due */
    int64_t rate_start_ms;
    uint64_t rate_records; /* sent since then */
    struct wire_limits limits; /* of the broker; packet_bytes_max is 0 until it has said so */
    bool outage_told;
    enum { TOLD_NOTHING, TOLD_SILENT, TOLD_STOPPED } told; /* of the wait for receipts */
    char given_up[ANSWER_NAME_SIZE + ANSWER_WHY_SIZE + 16]; /* see sender_given_up */

    /* For what follows, and the letters' last three members, the client's lock is held. */

    /* Letters first … next − 1, each at its number modulo LETTERS_MAX. Numbers begin with 1. */
    struct letter letters[LETTERS_MAX];
    uint64_t first;
    uint64_t next;
    uint64_t sending;  /* number of the last one, of letters and questions alike */
    int64_t heard_ms;  /* when the last receipt came, or the wait for one began */
    struct backoff silence; /* when one is asked for, unless it has come before */
    struct sender_totals totals; /* all but records and messages */
    struct sender_fault faults[SENDER_FAULTS_MAX];
    unsigned fault_count;
    struct taker takers[KINDS];
};

static struct letter *
letter_at(struct sender *sender, uint64_t number)
{
    return &sender->letters[number % LETTERS_MAX];
}

/*
 * What comes from the broker, in threads of the wire's, with the lock held.
 */

static void
on_up(void *context)
{
    struct sender *sender = context;

    memset(sender->takers, 0, sizeof sender->takers); /* what the broker knows of them comes anew */
}

/* With the lock held: everything of kinds [from, to) goes out again. */
static void
mark_unsent(struct sender *sender, unsigned from, unsigned to)
{
    for (uint64_t number = sender->first; number < sender->next; number++) {
        struct letter *letter = letter_at(sender, number);
        if (letter->kind >= from && letter->kind < to)
            letter->unsent = true;
    }
}

/* With the lock held: something was heard, or the wait for it begins. */
static void
hear(struct sender *sender)
{
    sender->heard_ms = clock_steady_ms();
    backoff_reset(&sender->silence);
    backoff_put_off(&sender->silence, SILENCE_MS_MIN, SILENCE_MS_MAX, sender->heard_ms);
}

/* With the lock held. */
static void
add_fault(struct sender *sender, const struct place *place, const char *text)
{
    if (sender->fault_count == SENDER_FAULTS_MAX)
        return;
    struct sender_fault *fault = &sender->faults[sender->fault_count++];
    fault->file = place->file;
    fault->line = place->line;
    snprintf(fault->text, sizeof fault->text, "%s", text);
}

/* With the lock held: the receipt of this letter. */
static void
take_receipt(struct sender *sender, struct letter *letter, const struct receipt *receipt)
{
    char text[RECEIPT_TEXT_BYTES];
    struct place place;

    letter->receipted = true;
    sender->totals.receipted += letter->records;
    sender->totals.duplicate += receipt->duplicate;
    sender->totals.invalid += receipt->invalid;
    sender->totals.refused += receipt->refused;
    sender->totals.stale += receipt->stale;
    sender->totals.ahead += receipt->ahead;
    if (receipt->taken < letter->records) /* it was refused as one thing: larger than the process takes */
        sender->totals.invalid += letter->records - receipt->taken;
    for (unsigned i = 0; i < receipt->fault_count; i++) {
        if (places_find(&letter->places, receipt->faults[i].record, &place) == 1 && !place.told) {
            receipt_describe(&receipt->faults[i], text);
            add_fault(sender, &place, text);
        }
    }
}

/* With the lock held: messages of a kind, and their receipts, keep their order. So what was sent before the one that this is
 * the receipt of, and has none, has lost it, or was lost itself. Among the letters up to end. */
static void
find_lost(struct sender *sender, enum record_kind kind, uint64_t sending, uint64_t end)
{
    for (uint64_t number = sender->first; number < end; number++) {
        struct letter *letter = letter_at(sender, number);
        if (letter->kind == kind && letter->sending < sending && !letter->receipted)
            letter->unsent = true;
    }
}

static void
on_receipt(struct sender *sender, const struct wire_message *message)
{
    struct receipt receipt;

    if (message->correlation.len != CORRELATION_BYTES || receipt_read(message->payload, &receipt) != 0)
        return;
    uint64_t number = bytes_get_u64(message->correlation.at);
    uint64_t sending = bytes_get_u64(message->correlation.at + 8);
    enum record_kind kind = (enum record_kind)message->correlation.at[16];
    if (number >= sender->first && number < sender->next && !letter_at(sender, number)->receipted)
        take_receipt(sender, letter_at(sender, number), &receipt);
    if (number < sender->next) /* a letter's tells of those before it, nearly always none; the answer to a question of all */
        find_lost(sender, kind, sending, number == 0 ? sender->next : number);
    hear(sender);
}

static void
on_status(struct sender *sender, unsigned kind, const struct wire_message *message)
{
    taker_status(&sender->takers[kind], message->payload, !message->retained);
    /* A process that has just started may have died between its commit and its receipts. */
    if (!message->retained && span_is(message->payload, "online"))
        mark_unsent(sender, kind, kind + 1);
}

/* The process that takes records of this kind. */
static const char *
taker_name(unsigned kind)
{
    const struct stream *stream = catalog_landing((enum record_kind)kind);

    if (stream == NULL)
        log_panic("no process takes %s records", record_kind_name((enum record_kind)kind));
    return stream->name;
}

static void
on_metrics(struct sender *sender, unsigned kind, struct span payload)
{
    struct answer answer;

    if (answer_decode(payload, &answer) != 0 || strcmp(answer.process, taker_name(kind)) != 0)
        return;
    taker_metrics(&sender->takers[kind], &answer, clock_steady_ms());
}

static void
on_message(void *context, const struct wire_message *message)
{
    struct sender *sender = context;

    if (span_is(message->topic, sender->receipt_topic)) {
        on_receipt(sender, message);
        return;
    }
    for (unsigned i = 0; i < KINDS; i++) {
        if (span_is(message->topic, sender->topics[i].status))
            on_status(sender, i, message);
        else if (span_is(message->topic, sender->topics[i].metrics))
            on_metrics(sender, i, message->payload);
    }
}

/*
 * The work, in the caller's thread. Calls of the client but for those of the lock are made without it.
 */

static void
make_room_to_say(struct sender *sender)
{
    if (sender->options.clear != NULL)
        sender->options.clear(sender->options.context);
}

/* There is no connection: say so once, when it is time to. */
static void
tell_outage(struct sender *sender)
{
    char reason[512];

    if (sender->outage_told || !client_is_missed(sender->client))
        return;
    client_reason(sender->client, reason, sizeof reason);
    /* One that has let us in before may be on its way up, and not know its accounts yet. */
    if (sender->limits.packet_bytes_max == 0 && broker_refuses(reason)) {
        snprintf(sender->given_up, sizeof sender->given_up, "%s", reason);
        return;
    }
    make_room_to_say(sender);
    say("waiting for the broker (%s)", reason);
    sender->outage_told = true;
}

/* There is a new connection. */
static void
begin_anew(struct sender *sender)
{
    const char *metrics[KINDS];

    for (unsigned i = 0; i < KINDS; i++)
        metrics[i] = sender->topics[i].metrics;
    sender->limits = client_limits(sender->client);
    client_lock(sender->client);
    mark_unsent(sender, 0, KINDS);
    hear(sender); /* nothing could be, while the connection was lost */
    client_unlock(sender->client);
    /* By itself, and behind what we can't do without: an account that only loads may not be allowed to, and who may not read
     * them waits without a limit. */
    (void)client_subscribe(sender->client, metrics, KINDS);
}

/* Keep the connection up; whether it is. */
static bool
stay_connected(struct sender *sender)
{
    char reason[512];
    const int rc = client_step(sender->client);

    if (rc < 0) {
        client_reason(sender->client, reason, sizeof reason);
        log_fatal("the broker refuses to let us read receipts: %s", reason);
    }
    if (rc > 0)
        begin_anew(sender);
    client_lock(sender->client);
    const bool up = client_is_up(sender->client);
    client_unlock(sender->client);
    if (up)
        sender->outage_told = sender->outage_told && client_unsteady(sender->client);
    else
        tell_outage(sender);
    return up;
}

/* Forget the letters that have their receipt, from the oldest on. */
static void
drop_receipted(struct sender *sender)
{
    client_lock(sender->client);
    while (sender->first < sender->next && letter_at(sender, sender->first)->receipted) {
        struct letter *letter = letter_at(sender, sender->first);
        sender->letters_bytes -= letter->payload.len;
        buffer_clear(&letter->payload);
        places_clear(&letter->places);
        sender->first++;
    }
    client_unlock(sender->client);
}

/* −1 when the connection is gone. */
static int
publish(struct sender *sender, enum record_kind kind, uint64_t number, uint64_t sending, struct span payload)
{
    char correlation[CORRELATION_BYTES];

    bytes_put_u64(correlation, number);
    bytes_put_u64(correlation + 8, sending);
    correlation[16] = (char)kind;
    struct wire_message message = {
        .topic = span_of(sender->topics[kind].landing),
        .payload = payload,
        .response_topic = span_of(sender->receipt_topic),
        .correlation = {correlation, sizeof correlation},
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    return client_publish(sender->client, &message);
}

/* With the lock held: mark the kinds of which receipts are to come. */
static void
find_owed(struct sender *sender, bool *owed)
{
    for (uint64_t number = sender->first; number < sender->next; number++)
        owed[letter_at(sender, number)->kind] |= !letter_at(sender, number)->receipted;
}

/* Ask the processes that owe us receipts for one, since those may be lost: they go at most once. */
static void
ask(struct sender *sender)
{
    bool owed[KINDS] = {false};

    client_lock(sender->client);
    find_owed(sender, owed);
    client_unlock(sender->client);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        client_lock(sender->client);
        uint64_t sending = ++sender->sending;
        client_unlock(sender->client);
        if (owed[kind] && publish(sender, (enum record_kind)kind, 0, sending, span_of(QUESTION)) != 0)
            return;
    }
}

static void
check_silence(struct sender *sender)
{
    int64_t now_ms = clock_steady_ms();

    client_lock(sender->client);
    bool waiting = sender->first < sender->next;
    bool silent = waiting && backoff_is_due(&sender->silence, now_ms);
    if (silent)
        backoff_put_off(&sender->silence, SILENCE_MS_MIN, SILENCE_MS_MAX, now_ms);
    client_unlock(sender->client);
    if (silent)
        ask(sender);
}

/* A wait for receipts. */
struct silence {
    int64_t ms;         /* since the last one; −1: none is to come */
    unsigned kind;      /* of one that is; if there is such a one, one whose process says that it is stopped, */
    int64_t stopped_ms; /* for how long that has said so, or −1, */
    char why[ANSWER_WHY_SIZE]; /* and why it is */
};

static struct silence
find_silence(struct sender *sender)
{
    const int64_t now_ms = clock_steady_ms();
    struct silence silence = {.ms = -1, .stopped_ms = -1};
    bool owed[KINDS] = {false};

    client_lock(sender->client);
    const int64_t silence_ms = now_ms - sender->heard_ms;
    if (silence_ms >= TICK_MS) /* nearly always it is not, and the letters are many */
        find_owed(sender, owed);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const int64_t stopped_ms = taker_stopped_for_ms(&sender->takers[kind], now_ms);
        if (!owed[kind] || (silence.ms != -1 && stopped_ms <= silence.stopped_ms))
            continue;
        silence.ms = silence_ms;
        silence.kind = kind;
        silence.stopped_ms = stopped_ms;
        memcpy(silence.why, sender->takers[kind].why, sizeof silence.why);
    }
    client_unlock(sender->client);
    return silence;
}

/* Once that there are no receipts, and once why, as far as the process knows it itself. */
static void
tell_silence(struct sender *sender, const struct silence *silence)
{
    const bool stopped = silence->stopped_ms != -1;

    if (silence->ms < SILENCE_TOLD_MS) {
        sender->told = TOLD_NOTHING;
    } else if (stopped && sender->told != TOLD_STOPPED) {
        make_room_to_say(sender);
        say("%s takes nothing in: %s", taker_name(silence->kind), silence->why);
        sender->told = TOLD_STOPPED;
    } else if (!stopped && sender->told == TOLD_NOTHING) {
        make_room_to_say(sender);
        say("no receipts for %d s: does %s run?", SILENCE_TOLD_MS / 1000, taker_name(silence->kind));
        sender->told = TOLD_SILENT;
    }
}

static void
look_at_takers(struct sender *sender)
{
    const struct silence silence = find_silence(sender);
    const int64_t max_ms = sender->options.stopped_ms_max;

    tell_silence(sender, &silence);
    if (silence.ms >= max_ms && silence.stopped_ms >= max_ms)
        snprintf(sender->given_up, sizeof sender->given_up, "%s is stopped: %s", taker_name(silence.kind), silence.why);
}

static void
send_unsent(struct sender *sender)
{
    for (uint64_t number = sender->first; number < sender->next; number++) {
        struct letter *letter = letter_at(sender, number);
        client_lock(sender->client);
        bool send = client_is_up(sender->client) && letter->unsent && !letter->receipted;
        letter->unsent = letter->unsent && !send;
        uint64_t sending = send ? letter->sending = ++sender->sending : 0;
        client_unlock(sender->client);
        /* If it fails, everything is marked again after the next connect. */
        if (send && publish(sender, letter->kind, number, sending, buffer_span(&letter->payload)) != 0)
            return;
    }
}

/* Do whatever can be done now without waiting. */
static void
work(struct sender *sender)
{
    drop_receipted(sender);
    if (stay_connected(sender)) {
        check_silence(sender);
        look_at_takers(sender);
        send_unsent(sender);
    }
    int64_t now_ms = clock_steady_ms();
    if (now_ms >= sender->tick_ms && sender->options.tick != NULL) {
        sender->tick_ms = now_ms + TICK_MS;
        sender->options.tick(sender->options.context);
    }
}

/* What has happened so far, for wait_for_event. */
static uint64_t
seen_events(struct sender *sender)
{
    client_lock(sender->client);
    const uint64_t events = client_events(sender->client);
    client_unlock(sender->client);
    return events;
}

/* Wait until something has happened since `events` was seen, or until_ms, a tick at most. */
static void
wait_for_event(struct sender *sender, uint64_t events, int64_t until_ms)
{
    int64_t limit_ms = clock_steady_ms() + TICK_MS;

    if (until_ms > limit_ms)
        until_ms = limit_ms;
    client_lock(sender->client);
    while (client_events(sender->client) == events && client_wait(sender->client, until_ms))
        continue;
    client_unlock(sender->client);
}

/* Whether there is a reason not to wait any longer. */
static bool
must_end(const struct sender *sender)
{
    return interrupt_signal() != 0 || sender->given_up[0] != '\0';
}

/* Work and wait until done says true, with `bytes` for it to look at. 0, or −1 when a signal came or a
 * process is given up. */
static int
work_until(struct sender *sender, bool (*done)(const struct sender *sender, size_t bytes), size_t bytes)
{
    for (;;) {
        const uint64_t events = seen_events(sender);
        work(sender);
        if (done(sender, bytes))
            return 0;
        if (must_end(sender))
            return -1;
        wait_for_event(sender, events, client_due_ms(sender->client));
    }
}

static bool
has_room(const struct sender *sender, size_t bytes)
{
    return sender->next == sender->first ||
           (sender->next - sender->first < LETTERS_MAX && sender->letters_bytes + bytes <= LETTERS_BYTES_MAX);
}

static bool
has_all_receipts(const struct sender *sender, size_t bytes)
{
    (void)bytes;
    return sender->next == sender->first;
}

/* When the next message may go. */
static int64_t
rate_due_ms(const struct sender *sender)
{
    if (sender->options.records_per_s == 0)
        return 0;
    return sender->rate_start_ms + (int64_t)sender->rate_records * 1000 / sender->options.records_per_s;
}

/* 0, or −1 as above. */
static int
keep_rate(struct sender *sender, unsigned records)
{
    if (sender->options.records_per_s == 0)
        return 0;
    int64_t due_ms = rate_due_ms(sender);
    for (int64_t now_ms = clock_steady_ms(); now_ms < due_ms; now_ms = clock_steady_ms()) {
        const uint64_t events = seen_events(sender);
        work(sender);
        if (must_end(sender))
            return -1;
        wait_for_event(sender, events, due_ms);
    }
    if (clock_steady_ms() - due_ms > RATE_CATCH_UP_MS) { /* the first message, or one after an outage */
        sender->rate_start_ms = clock_steady_ms();
        sender->rate_records = 0;
    }
    sender->rate_records += records;
    return 0;
}

/* Make a letter of the draft and send it. 0, or −1 as above. */
static int
post(struct sender *sender, enum record_kind kind)
{
    struct draft *draft = &sender->drafts[kind];

    if (draft->records == 0)
        return 0;
    if (must_end(sender) || keep_rate(sender, draft->records) != 0 || work_until(sender, has_room, draft->payload.len) != 0)
        return -1;
    client_lock(sender->client);
    if (sender->first == sender->next)
        hear(sender);
    struct letter *letter = letter_at(sender, sender->next);
    struct draft empty = {letter->payload, letter->places, 0}; /* its memory serves the next draft */
    letter->kind = kind;
    letter->records = draft->records;
    letter->payload = draft->payload;
    letter->places = draft->places;
    letter->unsent = true;
    letter->receipted = false;
    sender->next++;
    client_unlock(sender->client);
    sender->letters_bytes += letter->payload.len;
    sender->messages++;
    *draft = empty;
    work(sender);
    return 0;
}

/*
 * The interface.
 */

static void
make_topics(struct sender *sender)
{
    const char *prefix = sender->options.prefix;

    sender->receipt_topic = topic_name(TOPIC_RECEIPT, prefix, client_name(sender->client), NULL);
    for (unsigned i = 0; i < KINDS; i++) {
        const char *kind = record_kind_name((enum record_kind)i);
        sender->topics[i].landing = topic_name(TOPIC_LANDING, prefix, kind, NULL);
        sender->topics[i].status = topic_name(TOPIC_STATUS, prefix, taker_name(i), NULL);
        sender->topics[i].metrics = topic_name(TOPIC_METRICS, prefix, taker_name(i), NULL);
    }
}

/* What we can't do without. */
static void
name_filters(struct sender *sender)
{
    const char *filters[1 + KINDS] = {sender->receipt_topic};

    _Static_assert(1 + KINDS <= PORT_FILTERS_MAX, "all have room");
    for (unsigned i = 0; i < KINDS; i++)
        filters[1 + i] = sender->topics[i].status;
    client_filters(sender->client, filters, 1 + KINDS);
}

static struct client *
make_client(struct sender *sender)
{
    struct buffer name = {NULL, 0, 0};

    buffer_printf(&name, "gait-%s", sender->options.command);
    const struct client_options options = {.broker = sender->options.broker,
                                           .name = buffer_text(&name),
                                           .context = sender,
                                           .message = on_message,
                                           .up = on_up};
    struct client *client = client_new(&options);
    buffer_free(&name);
    return client;
}

struct sender *
sender_new(const struct sender_options *options)
{
    struct sender *sender = calloc(1, sizeof *sender);

    if (sender == NULL)
        log_fatal("out of memory");
    sender->options = *options;
    sender->first = sender->next = 1;
    sender->rate_start_ms = INT64_MIN / 2; /* long ago: the first message starts the clock */
    sender->client = make_client(sender);
    if (sender->client == NULL) {
        sender_free(sender);
        return NULL;
    }
    make_topics(sender);
    name_filters(sender);
    return sender;
}

static bool
knows_limits(const struct sender *sender, size_t bytes)
{
    (void)bytes;
    return sender->limits.packet_bytes_max != 0;
}

/* How large a message to kind's topic may be; the broker must have been met. */
static size_t
letter_bytes_max(const struct sender *sender, enum record_kind kind)
{
    const size_t topics = strlen(sender->topics[kind].landing) + strlen(sender->receipt_topic) + CORRELATION_BYTES;
    const size_t room = wire_room(&sender->limits, topics);

    return room < LETTER_BYTES_MAX ? room : LETTER_BYTES_MAX;
}

int
sender_add(struct sender *sender, enum record_kind kind, struct span record, const struct sender_origin *origin)
{
    if (kind >= KINDS)
        log_panic("a record of kind %u does not land", (unsigned)kind);
    struct draft *draft = &sender->drafts[kind];
    struct place place = {0};
    if (origin != NULL)
        place = (struct place){origin->file, origin->line, origin->problem != NULL};
    if (place.told) {
        client_lock(sender->client);
        add_fault(sender, &place, origin->problem);
        client_unlock(sender->client);
    }
    if (sender->limits.packet_bytes_max == 0 && work_until(sender, knows_limits, 0) != 0)
        return -1;
    const size_t bytes_max = letter_bytes_max(sender, kind);
    if (bytes_max < LETTER_BYTES_MAX && record.len > bytes_max) {
        say("record %" PRIu64 " has %zu bytes, and the broker's maximum packet size leaves room for %zu: raise that, or "
            "leave the record out", sender->records + 1, record.len, bytes_max);
        return -1;
    }
    if (draft->payload.len != 0 && draft->payload.len + 1 + record.len > bytes_max && post(sender, kind) != 0)
        return -1;
    if (draft->payload.len != 0)
        buffer_add_byte(&draft->payload, '\n');
    buffer_add_span(&draft->payload, record);
    places_add(&draft->places, &place);
    draft->records++;
    sender->records++;
    return draft->records >= sender->options.batch_records ? post(sender, kind) : 0;
}

int
sender_flush(struct sender *sender)
{
    for (unsigned i = 0; i < KINDS; i++) {
        if (post(sender, (enum record_kind)i) != 0)
            return -1;
    }
    work(sender);
    return must_end(sender) ? -1 : 0;
}

int
sender_finish(struct sender *sender)
{
    return sender_flush(sender) == 0 ? work_until(sender, has_all_receipts, 0) : -1;
}

struct sender_totals
sender_totals(struct sender *sender)
{
    client_lock(sender->client);
    struct sender_totals totals = sender->totals;
    client_unlock(sender->client);
    totals.records = sender->records;
    totals.messages = sender->messages;
    return totals;
}

const char *
sender_given_up(const struct sender *sender)
{
    return sender->given_up;
}

int
sender_fault(struct sender *sender, unsigned index, struct sender_fault *fault)
{
    client_lock(sender->client);
    int found = index < sender->fault_count;
    if (found)
        *fault = sender->faults[index];
    client_unlock(sender->client);
    return found;
}

void
sender_free(struct sender *sender)
{
    if (sender == NULL)
        return;
    client_free(sender->client);
    for (unsigned i = 0; i < LETTERS_MAX; i++) {
        buffer_free(&sender->letters[i].payload);
        places_free(&sender->letters[i].places);
    }
    for (unsigned i = 0; i < KINDS; i++) {
        buffer_free(&sender->drafts[i].payload);
        places_free(&sender->drafts[i].places);
        free(sender->topics[i].landing);
        free(sender->topics[i].status);
        free(sender->topics[i].metrics);
    }
    free(sender->receipt_topic);
    free(sender);
}
