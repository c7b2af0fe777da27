#include "links/kept.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "state/format.h"
#include "links/links_state.h"

static const struct span epoch_key = {"epoch", 5};

/* Value: position u64 BE, and a place (run/place.h). Of links: key "link <producer>", value = epoch u64 BE, applied u64 BE,
 * and a place; "left <producer>", value as lives_encode has it; "awaits <producer>", value = u64 BE (struct link). */
static const struct span inbox_key = {"inbox", 5};

/* The key of the marks in the inbox (inbox.h), INBOX_KEY_BYTES of it; made when it is first wanted. */
static const struct span inbox_mark_key = {"inbox_key", 9};
#define INBOX_KEY_BYTES 16

/* Value: u64 BE each gaps, bytes, from and to (struct inbox_lost). Absent when nothing is to be acknowledged. */
static const struct span inbox_lost_key = {"inbox_lost", 10};

/* The first life's epoch, for the inbox; absent as long as there was no other. */
static const struct span first_key = {"first", 5};

/* Value: struct lives as lives_encode has it. Absent likewise. */
static const struct span earlier_key = {"earlier", 7};

/* Value: wall_ms i64 BE, knew u64 BE, last u64 BE, witness (struct back). Absent when nothing is to be acknowledged. */
static const struct span back_key = {"back", 4};
#define BACK_HEAD_BYTES 24

#define POSITION_BYTES_MAX 16

/* Positions in the store. */

static bool
same_position(struct link_position a, struct link_position b)
{
    return a.epoch == b.epoch && a.applied == b.applied;
}

static struct span
link_key_of(const struct stream *stream, const char *what, unsigned input, struct buffer *text)
{
    buffer_clear(text);
    buffer_add_text(text, what);
    buffer_add_text(text, stream->inputs[input].from->name);
    return buffer_span(text);
}

static struct span
link_key(struct links *links, const char *what, unsigned input)
{
    return link_key_of(links->stream, what, input, &links->scratch);
}

static int
put_number(struct links *links, struct span key, uint64_t number)
{
    char value[8];

    bytes_put_u64(value, number);
    return store_put(links->store, links->meta, key, span_at(value, sizeof value));
}

/* The value of position_bytes at key in "meta", and the place behind it, if there is one. 1, 0, −1. */
static int
get_position(struct links *links, struct span key, size_t position_bytes, struct span *value, struct payload_place *place)
{
    int rc = store_get(links->store, links->meta, key, value);

    *place = (struct payload_place){0};
    if (rc != 1)
        return rc;
    if (value->len < position_bytes ||
        place_decode(span_at(value->at + position_bytes, value->len - position_bytes), place) != 0)
        return store_damaged_at(links->store, links->meta, key, "a position that is none");
    return 1;
}

static int
put_inbox_position(struct links *links, const struct payload_place *place)
{
    char value[POSITION_BYTES_MAX + PLACE_BYTES];

    log_assert(links->now.inbox_position >= links->inbox_position);
    bytes_put_u64(value, links->now.inbox_position);
    const size_t len = 8 + place_encode(place, value + 8);
    return store_put(links->store, links->meta, inbox_key, span_at(value, len));
}

static int
put_link_position(struct links *links, unsigned input, const struct payload_place *place)
{
    const struct link_position before = links->links[input].committed;
    const struct progress *now = &links->now;
    char value[POSITION_BYTES_MAX + PLACE_BYTES];

    log_assert(now->forgotten[input] || now->links[input].epoch != before.epoch ||
               now->links[input].applied >= before.applied);
    bytes_put_u64(value, now->links[input].epoch);
    bytes_put_u64(value + 8, now->links[input].applied);
    const size_t len = 16 + place_encode(place, value + 16);
    if (store_put(links->store, links->meta, link_key(links, "link ", input), span_at(value, len)) != 0)
        return -1;
    if (now->awaits[input] != links->links[input].awaits &&
        put_number(links, link_key(links, "awaits ", input), now->awaits[input]) != 0)
        return -1;
    if (!now->moved[input])
        return 0;
    char lives[LIVES_BYTES_MAX];
    const struct span left = lives_encode(&now->left[input], lives);
    return store_put(links->store, links->meta, link_key(links, "left ", input), left);
}

/* Lives. */

static uint64_t
new_epoch(void)
{
    uint64_t epoch;

    do
        hash_random(&epoch, sizeof epoch);
    while (epoch == 0);
    return epoch;
}

/* Whether what this process gives out follows a table of this input, whose rows must not be old. */
static bool
follows_rows(const struct links *links, unsigned input)
{
    const struct stream *from = links->stream->inputs[input].from;

    return from != NULL && from->kind == STREAM_TABLE && links->stream->topic != NULL;
}

/* The same for all tables, before anything is read of them: of a state that was restored. 0 or −1. */
static int
forget_tables(struct links *links)
{
    static const char nowhere[POSITION_BYTES_MAX];
    int rc = 0;

    for (unsigned i = 0; i < links->stream->input_count && rc >= 0; i++) {
        if (!follows_rows(links, i))
            continue;
        rc = store_put(links->store, links->meta, link_key(links, "link ", i), span_at(nowhere, sizeof nowhere));
        if (rc == 0)
            rc = put_number(links, link_key(links, "awaits ", i), LINK_NO_END);
        if (rc == 0)
            rc = store_delete(links->store, links->meta, link_key(links, "left ", i));
    }
    return rc < 0 ? -1 : 0;
}

/* This store is an older copy of itself: its numbers go on in another life. What is in the outbox stays, under the numbers
 * that it has, and is sent in the new one. */
int
kept_begin_life(struct links *links)
{
    const struct publisher *publisher = &links->output_publisher;
    char lives[LIVES_BYTES_MAX], value[BACK_HEAD_BYTES + NAME_SIZE];
    const size_t name_len = strlen(publisher->older.witness);

    links->now.epoch = new_epoch();
    links->now.earlier = publisher_end_life(publisher);
    links->now.last = links->output.last.sequence;
    bytes_put_u64(value, (uint64_t)process_wall_ms(links->host->process));
    bytes_put_u64(value + 8, publisher->older.knew);
    bytes_put_u64(value + 16, links->output.last.sequence);
    memcpy(value + BACK_HEAD_BYTES, publisher->older.witness, name_len);
    links->now.steps++;
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (follows_rows(links, i))
            transaction_forget_table(links, i);
    }
    const struct span earlier = lives_encode(&links->now.earlier, lives);
    if (put_number(links, first_key, links->first_epoch) != 0 || put_number(links, epoch_key, links->now.epoch) != 0 ||
        store_put(links->store, links->meta, earlier_key, earlier) != 0)
        return -1;
    return store_put(links->store, links->meta, back_key, span_at(value, BACK_HEAD_BYTES + name_len));
}

/* An operator has seen what was told. A table whose producer no longer has what this state lacks is sent again as a whole,
 * to one who knows nothing of it; of a stream nobody can say what is missing. */
int
kept_acknowledge(struct links *links)
{
    links->now.acknowledged = true;
    links->now.steps++;
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        const struct stream *from = links->stream->inputs[i].from;
        pthread_mutex_lock(&links->mailbox.lock);
        const bool lost = links->links[i].lost > 0;
        pthread_mutex_unlock(&links->mailbox.lock);
        if (from == NULL || from->kind != STREAM_TABLE || !lost)
            continue;
        transaction_forget_table(links, i);
    }
    links->now.lost = (struct inbox_lost){0};
    if (store_delete(links->store, links->meta, back_key) < 0)
        return -1;
    return store_delete(links->store, links->meta, inbox_lost_key) < 0 ? -1 : 0;
}

static void
say_back(const struct links *links)
{
    struct buffer text = {0};

    show_back(&links->back, &text);
    log_error("%s: %s. What came in after the copy was made has had its receipts, and this state does not know it: what "
              "came out of it stays with the consumers, what waited here is gone. Load it again, and what had come out "
              "comes out a second time. If no copy was put in its place, somebody else publishes in the name of one of the "
              "two: look at who may write to link/. Go on with: gait status --acknowledge %s",
              links->stream->name, buffer_text(&text), links->stream->name);
    buffer_free(&text);
}

static int
load_back(struct links *links)
{
    struct back *back = &links->back;
    struct span value;
    const int rc = store_get(links->store, links->meta, back_key, &value);

    *back = (struct back){0};
    if (rc != 1)
        return rc;
    if (value.len < BACK_HEAD_BYTES)
        return store_damaged_at(links->store, links->meta, back_key, "a note that is too short");
    const struct span witness = span_at(value.at + BACK_HEAD_BYTES, value.len - BACK_HEAD_BYTES);
    if (!format_is_name(witness))
        return store_damaged_at(links->store, links->meta, back_key, "a note that is none");
    back->told = true;
    back->wall_ms = (int64_t)bytes_get_u64(value.at);
    back->knew = bytes_get_u64(value.at + 8);
    back->last = bytes_get_u64(value.at + 16);
    memcpy(back->witness, witness.at, witness.len);
    return 0;
}

static int
put_lost(struct links *links, const struct inbox_lost *lost)
{
    const uint64_t numbers[] = {lost->gaps, lost->bytes, lost->from, lost->to};
    char value[sizeof numbers];

    for (unsigned i = 0; i < 4; i++)
        bytes_put_u64(value + 8 * i, numbers[i]);
    return store_put(links->store, links->meta, inbox_lost_key, span_at(value, sizeof value));
}

static int
load_lost(struct links *links)
{
    struct span value;
    const int rc = store_get_exact(links->store, links->meta, inbox_lost_key, 32, &value);

    links->lost = (struct inbox_lost){0};
    if (rc == 1)
        links->lost = (struct inbox_lost){bytes_get_u64(value.at), bytes_get_u64(value.at + 8),
                                            bytes_get_u64(value.at + 16), bytes_get_u64(value.at + 24)};
    return rc < 0 ? -1 : 0;
}

void
kept_tell_publishers(struct links *links)
{
    if (links->output_publisher.outbox == NULL || links->output_publisher.epoch == links->epoch)
        return;
    publisher_begin_life(&links->output_publisher, links->epoch, &links->earlier);
    links->rejected_publisher.epoch = links->epoch;
    if (links->back.told)
        say_back(links);
}

/* The key of the inbox's marks, if there is one. 1, 0, −1. */
static int
get_inbox_key(struct store *store, int meta, struct hash_key *key)
{
    struct span value;
    const int rc = store_get_exact(store, meta, inbox_mark_key, INBOX_KEY_BYTES, &value);

    if (rc == 1)
        memcpy(key->bytes, value.at, INBOX_KEY_BYTES);
    return rc;
}

/* What comes in while nothing can be written is marked by a key that must outlive us. */
int
kept_is_founded(struct links *links)
{
    struct hash_key key;

    return stream_has_landing(links->stream) ? get_inbox_key(links->store, links->meta, &key) : 1;
}

/* Of stores that have no inbox too: what is the same for all needs no reason. */
static int
load_inbox_key(struct links *links)
{
    struct hash_key *key = &links->inbox_key;
    const int rc = get_inbox_key(links->store, links->meta, key);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    hash_random(key->bytes, INBOX_KEY_BYTES);
    return store_put(links->store, links->meta, inbox_mark_key, span_at((const char *)key->bytes, INBOX_KEY_BYTES));
}

static int
load_epoch(struct links *links)
{
    struct span value;
    int rc = store_get_exact(links->store, links->meta, epoch_key, 8, &value);

    if (rc < 0)
        return -1;
    if (rc == 0 && !store_is_new(links->store))
        return store_damaged_at(links->store, links->meta, epoch_key, "it is missing");
    if (rc == 1) {
        links->epoch = bytes_get_u64(value.at);
        return links->epoch != 0 ? 0 : store_damaged_at(links->store, links->meta, epoch_key, "it is none");
    }
    links->epoch = new_epoch();
    return put_number(links, epoch_key, links->epoch);
}

/* The numbers at key, if there are any: 1, 0, −1. */
static int
get_numbers(struct store *store, int meta, struct span key, uint64_t *numbers, unsigned count)
{
    struct span value;
    const int rc = store_get(store, meta, key, &value);

    if (rc == 1 && value.len < count * sizeof *numbers)
        return -1;
    for (unsigned i = 0; rc == 1 && i < count; i++)
        numbers[i] = bytes_get_u64(value.at + i * sizeof *numbers);
    return rc;
}

/* The lives at key in "meta", none if there are none. 0 or −1. */
static int
get_lives(struct store *store, int meta, struct span key, struct lives *lives)
{
    struct span value;
    const int rc = store_get(store, meta, key, &value);

    lives->count = 0;
    if (rc == 1 && lives_decode(value, lives) != 0)
        return store_damaged_at(store, meta, key, "lives that are none");
    return rc < 0 ? -1 : 0;
}

int
kept_read(struct store *store, int meta, const struct stream *stream, struct kept_positions *positions)
{
    struct buffer key = {0};
    struct span value;

    *positions = (struct kept_positions){0};
    int rc = format_look(store, meta, stream->name);
    if (rc < 0)
        return -1;
    rc = rc == 1 ? get_numbers(store, meta, epoch_key, &positions->epoch, 1) : -1;
    rc = rc == 1 ? get_numbers(store, meta, inbox_key, &positions->inbox, 1) : -1;
    rc = rc >= 0 ? get_numbers(store, meta, first_key, &positions->inbox_epoch, 1) : -1;
    positions->inbox_epoch = rc == 1 ? positions->inbox_epoch : positions->epoch;
    rc = rc >= 0 ? get_inbox_key(store, meta, &positions->inbox_key) : -1;
    rc = rc >= 0 ? get_lives(store, meta, earlier_key, &positions->earlier) : -1;
    for (unsigned i = 0; i < stream->input_count && rc >= 0; i++) {
        uint64_t link[2] = {0};
        if (stream->inputs[i].from != NULL)
            rc = get_numbers(store, meta, link_key_of(stream, "link ", i, &key), link, 2);
        if (stream->inputs[i].from != NULL && rc >= 0)
            rc = get_lives(store, meta, link_key_of(stream, "left ", i, &key), &positions->left[i]);
        positions->links[i] = (struct link_position){link[0], link[1]};
    }
    rc = rc >= 0 ? store_get(store, meta, back_key, &value) : -1;
    positions->back = rc == 1;
    buffer_free(&key);
    if (rc < 0)
        log_error("the state of %s: what it says of its positions is damaged, or not of this program", stream->name);
    return rc < 0 ? -1 : 0;
}

/* The number at key in "meta", 0 if there is none. 0 or −1. */
static int
get_number(struct links *links, struct span key, uint64_t *number)
{
    struct span value;
    const int rc = store_get_exact(links->store, links->meta, key, 8, &value);

    *number = rc == 1 ? bytes_get_u64(value.at) : 0;
    return rc < 0 ? -1 : 0;
}

static int
load_lives(struct links *links)
{
    if (get_number(links, first_key, &links->first_epoch) != 0 ||
        get_lives(links->store, links->meta, earlier_key, &links->earlier) != 0)
        return -1;
    if (links->first_epoch == 0)
        links->first_epoch = links->epoch;
    return load_back(links);
}

static int
load_link_position(struct links *links, unsigned input, struct payload_place *place)
{
    struct link_position position = {0};
    struct lives left;
    struct span value;
    uint64_t awaits;
    int rc = get_position(links, link_key(links, "link ", input), 16, &value, place);

    if (rc < 0)
        return -1;
    if (rc == 1)
        position = (struct link_position){bytes_get_u64(value.at), bytes_get_u64(value.at + 8)};
    if (get_lives(links->store, links->meta, link_key(links, "left ", input), &left) != 0 ||
        get_number(links, link_key(links, "awaits ", input), &awaits) != 0)
        return -1;
    pthread_mutex_lock(&links->mailbox.lock);
    if (!same_position(position, links->links[input].committed)) {
        /* At the start; and when a commit took place although it failed: what is queued may be applied then. */
        link_free(&links->links[input]);
        link_begin(&links->links[input], position);
        link_remember(&links->links[input], &left);
    }
    links->links[input].awaits = awaits; /* with the lock: who awaits rows takes none before it is told of them */
    pthread_mutex_unlock(&links->mailbox.lock);
    return 0;
}

static int
load_positions(struct links *links, struct payload_place *places)
{
    struct span value;
    int rc = get_position(links, inbox_key, 8, &value, &places[SOURCE_LANDING]);

    if (rc < 0)
        return -1;
    links->inbox_position = rc == 1 ? bytes_get_u64(value.at) : 0;
    if (links->inbox_position > INBOX_POSITION_MAX)
        return store_damaged_at(links->store, links->meta, inbox_key, "a position that no inbox gets to");
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (links->stream->inputs[i].from != NULL && load_link_position(links, i, &places[i]) != 0)
            return -1;
    }
    return 0;
}

/* Whether the input has come from where it begins: to a message or payload behind it, or into its first. A link goes back to
 * there when its rows are awaited anew. */
static bool
has_moved(const struct links *links, const struct payload_place *places, unsigned input)
{
    const struct link *link = &links->links[input];

    if (links->stream->inputs[input].from == NULL)
        return links->inbox_position > 0 || places[SOURCE_LANDING].identity != 0;
    return link->committed.epoch != 0 || places[input].identity != 0 || link->awaits != 0;
}

/* Whether what was taken in came from somewhere: positions are committed with the counts. 0 or −1. */
static int
check_positions(struct links *links, const struct payload_place *places, const struct ledger *ledger)
{
    const struct stream *stream = links->stream;
    uint64_t taken = 0;

    for (unsigned i = 0; i < stream->input_count; i++) {
        const struct span key = stream->inputs[i].from != NULL ? link_key(links, "link ", i) : inbox_key;
        if (ledger->inputs[i].taken > 0 && !has_moved(links, places, i))
            return store_damaged_at(links->store, links->meta, key, "a position is missing whose records are counted");
        taken += ledger->inputs[i].taken;
    }
    if (taken == 0 && links->output.last.sequence > 0 && links->stream->operator->recall == NULL)
        return store_damaged_at(links->store, links->meta, span_of("ledger"),
                                "it counts no records, and there is output");
    return 0;
}

int
kept_load(struct links *links, struct payload_place *places, const struct ledger *ledger)
{
    if (load_epoch(links) != 0 || load_lives(links) != 0 || load_inbox_key(links) != 0 || load_lost(links) != 0 ||
        (links->recall.restored && forget_tables(links) != 0) || load_positions(links, places) != 0 ||
        outbox_load(&links->rejected) != 0 || outbox_load(&links->output) != 0 ||
        check_positions(links, places, ledger) != 0)
        return -1;
    kept_tell_publishers(links);
    return 0;
}

int
kept_flush(struct links *links, const struct payload_place *places, const bool *worked)
{
    const struct inbox_lost *lost = &links->now.lost;

    if (worked[SOURCE_LANDING] && put_inbox_position(links, &places[SOURCE_LANDING]) != 0)
        return -1;
    if (lost->gaps != links->lost.gaps && lost->gaps > 0 && put_lost(links, lost) != 0)
        return -1;
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (worked[i] && put_link_position(links, i, &places[i]) != 0)
            return -1;
    }
    return outbox_flush(&links->output) != 0 || outbox_flush(&links->rejected) != 0 ? -1 : 0;
}
