#include "recording.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../simulator/dice.h"
#include "../simulator/lines.h"
#include "../simulator/sets.h"
#include "../unit/inside.h"
#include "base/buffer.h"
#include "base/config.h"
#include "base/file.h"
#include "streams/catalog.h"

struct world recording_world;

static struct config *config;
static struct recording *recorded; /* whose tape runs */

static struct recording *
of_pipeline(struct pipeline *pipeline)
{
    return (struct recording *)((char *)pipeline - offsetof(struct recording, pipeline));
}

/* Marks and entries. */

static void
mark(struct recording *recording, enum mark_kind kind, unsigned process, unsigned number, uint64_t value, uint64_t epoch)
{
    const struct mark mark = {kind, process, number, value, epoch};

    tape_mark(recording->tape, &mark, sizeof mark);
}

uint64_t
recording_add_to_sum(uint64_t sum, struct span bytes)
{
    uint64_t word = bytes.len;

    for (size_t i = 0;; i += sizeof word) {
        sum = tape_mix(sum, word);
        if (i >= bytes.len)
            return sum;
        word = 0;
        memcpy(&word, bytes.at + i, bytes.len - i < sizeof word ? bytes.len - i : sizeof word);
    }
}

/* A process asks on its landing topics whether anything comes: of that there is no receipt, nor does it keep the answer, or,
 * if that is to an earlier connection, no correlation of it. */
#define OF_A_PROCESS UINT_MAX

static unsigned
number_in(struct span correlation)
{
    unsigned number;

    if (correlation.len == 0 || correlation.len == INSIDE_PROBE_BYTES)
        return OF_A_PROCESS;
    assert_int_equal(correlation.len, sizeof number);
    memcpy(&number, correlation.at, sizeof number);
    return number;
}

uint64_t
recording_sum(struct span response_topic, struct span correlation, struct span payload)
{
    return recording_add_to_sum(recording_add_to_sum(recording_add_to_sum(0, response_topic), correlation), payload);
}

static void
add_entry(struct recording *recording, unsigned process, struct entry entry)
{
    struct entries *list = &recording->entries[process];

    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->list = realloc(list->list, list->capacity * sizeof list->list[0]);
        assert_non_null(list->list);
    }
    list->list[list->count++] = entry;
}

const struct entry *
recording_entry(const struct recording *recording, unsigned process, uint64_t begin)
{
    const struct entries *entries = &recording->entries[process];

    for (unsigned i = 0; i < entries->count; i++) {
        if (entries->list[i].begin == begin)
            return &entries->list[i];
    }
    return NULL;
}

/* What waits in the inbox when a life begins. */
static void
note_entries(struct recording *recording, unsigned number)
{
    struct process *process = recording->pipeline.processes[number];
    struct inbox_entry found;
    struct inbox_gap gap;
    uint64_t position = inside_inbox_position(process);

    if (inside_inbox(process) == NULL || recording->entries[number].count > 0)
        return;
    while (inbox_read(inside_inbox(process), &position, &found, &gap) == 1) {
        const struct entry entry = {.begin = position - recording_entry_bytes(&found),
                                    .end = position,
                                    .sum = recording_sum(found.response_topic, found.correlation, found.payload),
                                    .number = number_in(found.correlation)};
        add_entry(recording, number, entry);
    }
}

/* The wire. */

static bool
begins_with(struct span topic, const char *text)
{
    return topic.len >= strlen(text) && memcmp(topic.at, text, strlen(text)) == 0;
}

static void
note_report(struct recording *recording, unsigned number, const struct wire_message *message)
{
    const struct process *process = recording->pipeline.processes[number];
    struct link_position position;
    bool rewind;

    for (unsigned i = 0; i < catalog_streams[number]->input_count; i++) {
        const char *topic = inside_report_topic(process, i);
        if (topic != NULL && span_is(message->topic, topic) &&
            link_read_report(message->payload, &position, &rewind) == 0)
            mark(recording, MARK_APPLIED, number, i, position.applied, position.epoch);
    }
}

/* Of the copies of a payload the oldest is surely worked when there is a receipt. */
static void
note_receipt(struct recording *recording, unsigned number, unsigned payload)
{
    const struct entries *entries = &recording->entries[number];
    uint64_t end = UINT64_MAX;

    for (unsigned i = 0; i < entries->count; i++) {
        if (entries->list[i].number == payload && entries->list[i].end < end)
            end = entries->list[i].end;
    }
    assert_true(end != UINT64_MAX);
    mark(recording, MARK_RECEIPT, number, payload, end, 0);
}

static int
tell(struct wire *base, const struct wire_message *message, uint64_t token)
{
    struct memory_broker *broker = ((struct memory_wire *)base)->broker;
    struct recording *recording = of_pipeline((struct pipeline *)((char *)broker - offsetof(struct pipeline, broker)));
    const unsigned number = (unsigned)number_of_client(((struct memory_wire *)base)->name);

    if (memory_publish(base, message, token) != 0)
        return -1;
    mark(recording, MARK_SAID, number, 0, 0, 0);
    if (message->sequence != 0)
        mark(recording, begins_with(message->topic, "gait/rejected/") ? MARK_REJECTED : MARK_OUTPUT, number, 0,
             message->sequence, 0);
    else if (begins_with(message->topic, "gait/link/"))
        note_report(recording, number, message);
    else if (begins_with(message->topic, "gait/receipt/"))
        note_receipt(recording, number, number_in(message->correlation));
    return 0;
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    static const struct wire_calls telling = {memory_connect, memory_subscribe, tell,
                                             memory_waiting, memory_disconnect, memory_free};
    struct recording *recording = context;
    struct wire *wire = memory_wire(&recording->pipeline.broker, options, events);

    if (recording->tape != NULL)
        wire->calls = &telling;
    return wire;
}

/* Let the owner of wire hear the next event, and note what that is for the recorded pipeline. */
static bool
hear(struct pipeline *pipeline, struct memory_wire *wire)
{
    struct recording *recording = of_pipeline(pipeline);
    const int number = number_of_client(wire->name);
    const bool listens = wire->owned && wire->down == NULL && wire->state == MEMORY_ONLINE;
    const struct memory_item *item = listens ? wire->in.first : NULL;
    const bool message = recording->tape != NULL && item != NULL && item->kind == MEMORY_MESSAGE;
    const bool landing = message && number != NOBODY && begins_with(item->message->wire.topic, "gait/landing/");
    const bool receipt = message && number == NOBODY;
    struct entry entry = {0};

    if (landing) {
        const struct wire_message *in = &item->message->wire;
        const struct span correlation = in->response_topic.len > 0 ? in->correlation : (struct span){0};
        entry = (struct entry){.begin = inside_inbox_end(recording->pipeline.processes[number]),
                               .sum = recording_sum(in->response_topic, correlation, in->payload)};
    }
    if (landing || receipt)
        entry.number = number_in(item->message->wire.correlation);
    if (!memory_wire_hear(wire))
        return false;
    if (landing) {
        entry.end = inside_inbox_end(recording->pipeline.processes[number]);
        assert_true(entry.end > entry.begin || entry.number == OF_A_PROCESS);
    }
    if (landing && entry.end > entry.begin) {
        add_entry(recording, (unsigned)number, entry);
        mark(recording, MARK_APPENDED, (unsigned)number, entry.number, entry.end, 0);
    } else if (receipt) {
        mark(recording, MARK_HEARD, 0, entry.number, 0, 0);
    }
    return true;
}

/* Processes. */

bool
recording_start(struct recording *recording, unsigned number)
{
    recording->pipeline.processes[number] = process_open(&recording->pipeline.options[number]);
    if (recording->pipeline.processes[number] == NULL)
        return false;
    if (recording->tape != NULL) {
        note_entries(recording, number);
        mark(recording, MARK_OPENED, number, 0, 0, 0);
    }
    return true;
}

bool
recording_start_all(struct recording *recording)
{
    const unsigned begin = dice_roll(PROCESSES);

    for (unsigned i = 0; i < PROCESSES; i++) {
        if (!recording_start(recording, (begin + i) % PROCESSES))
            return false;
    }
    return true;
}

void
recording_kill(struct recording *recording, unsigned number)
{
    pipeline_cut_off(&recording->pipeline, number);
    process_close(recording->pipeline.processes[number]);
    recording->pipeline.processes[number] = NULL;
}

static bool
step(struct pipeline *pipeline, unsigned number)
{
    return pipeline->processes[number] != NULL && process_step(pipeline->processes[number]) == 0;
}

/* While a process waits for its disk, landing messages arrive. (Not while it holds its inbox.) */
static void
arrive_meanwhile(const struct node *node)
{
    static bool busy;

    if (busy || strstr(node->path, "/store/") == NULL || node->group >= PROCESSES || !dice_chance(30) ||
        recorded->pipeline.processes[node->group] == NULL)
        return;
    busy = true;
    pipeline_arrive(&recorded->pipeline, node->group, hear);
    busy = false;
}

static const struct pipeline_moves moves = {.step = step, .hear = hear};

/* Beginning and end. */

void
recording_make_world(void)
{
    world_make(&recording_world, 1 + dice_roll(2), false);
    config = pipeline_configure(&recording_world);
    pipeline_set(config, "accelerometer-trusted", "hold", "2h");
    pipeline_set(config, "step-trainer-trusted", "hold", "2h");
}

void
recording_free_world(void)
{
    config_free(config);
    world_free(&recording_world);
}

unsigned
recording_group_of(const char *path)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        char state[128];
        snprintf(state, sizeof state, "gait/state/%s", catalog_streams[i]->name);
        if (strncmp(path, state, strlen(state)) == 0 && strchr("/", path[strlen(state)]) != NULL)
            return i;
    }
    return strncmp(path, "gait/lake", 9) == 0 ? NUMBER_LAKE : GROUP_SHARED;
}

void
recording_in(struct recording *recording, const char *root)
{
    static uint64_t boot;

    boot++;
    snprintf(recording->pipeline.dir, sizeof recording->pipeline.dir, "%s/gait", root);
    const struct process_options options = {.wall_ms = pipeline_wall_ms, .boot = boot};
    recording->pipeline.links = (struct links_options){.make_wire = make_wire, .context = recording};
    recording->pipeline.world = &recording_world;
    recording->pipeline.config = config;
    recording->pipeline.moves = &moves;
    pipeline_set_options(&recording->pipeline, &options);
}

void
recording_begin(struct recording *recording, struct tape *tape, const char *root)
{
    recording->tape = tape;
    for (unsigned i = 0; i < PROCESSES; i++)
        recording->entries[i].count = 0;
    recorded = recording;
    tape_begin(tape, root, recording_group_of, &pipeline_now_ms);
    tape->while_syncing = arrive_meanwhile;
}

void
recording_close(struct recording *recording)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        process_close(recording->pipeline.processes[i]);
        recording->pipeline.processes[i] = NULL;
    }
    recording->pipeline.loader.wire->calls->free(recording->pipeline.loader.wire);
    memory_broker_free(&recording->pipeline.broker);
    for (unsigned i = 0; i < PROCESSES; i++)
        free(recording->entries[i].list);
}

/* A dozen such entries fill an inbox file. */
#define LARGE_BYTES (600u << 10)

void
recording_load(struct recording *recording, unsigned phase)
{
    const unsigned before = recording->pipeline.loader.count;

    pipeline_load(&recording->pipeline, phase);
    if (dice_chance(80))
        loader_shuffle(&recording->pipeline.loader);
    for (unsigned i = before; i < recording->pipeline.loader.count; i++) {
        struct buffer *text = &recording->pipeline.loader.payloads[i].text;
        const size_t blanks = dice_chance(40) ? dice_roll(LARGE_BYTES) : dice_roll(2) * dice_roll(2 * PAGE_BYTES);
        memset(buffer_reserve(text, blanks), ' ', blanks);
        text->len += blanks;
    }
    mark(recording, MARK_PHASE, 0, phase, recording->pipeline.loader.count, 0);
}

/* What happens. */

void
recording_break(struct recording *recording)
{
    const unsigned number = dice_roll(PROCESSES);

    switch (dice_roll(5)) {
    case 0:
        memory_broker_forget(&recording->pipeline.broker, true, true);
        break;
    case 1:
        memory_wire_cut(recording->pipeline.broker.wires[dice_roll(recording->pipeline.broker.wire_count)]);
        break;
    case 2:
        process_close(recording->pipeline.processes[number]); /* a clean stop */
        recording->pipeline.processes[number] = NULL;
        break;
    default:
        recording_kill(recording, number);
    }
    if (recording->pipeline.processes[number] == NULL)
        assert_true(recording_start(recording, number));
}

void
recording_settle(struct recording *recording)
{
    assert_true(pipeline_settle(&recording->pipeline));
}

/* What came of it. */

static bool
set_is_right(const struct pipeline *pipeline, enum set set)
{
    struct lines must = {0}, may = {0}, lines = {0};

    world_expect(&recording_world, set, 0, pipeline->phase, &must, &may);
    sets_read_lake(pipeline->dir, set, &lines);
    if (is_table(set))
        sets_last_of_rows(&lines, false);
    const bool right = sets_is_between(set_paths[set], &lines, &must, &may);
    lines_free(&must);
    lines_free(&may);
    lines_free(&lines);
    return right;
}

bool
recording_is_right(const struct recording *recording, bool complain)
{
    sets_complaining = complain;
    bool right = loader_is_done(&recording->pipeline.loader) &&
                 sets_are_counted(&recording->pipeline, 1, ACCELEROMETER, TRUSTED_ACCELEROMETER) &&
                 sets_are_counted(&recording->pipeline, 3, STEP_TRAINER, TRUSTED_STEP_TRAINER);

    for (unsigned i = 0; i < SETS && (right || complain); i++)
        right = set_is_right(&recording->pipeline, (enum set)i) && right;
    sets_complaining = false;
    return right;
}

#define PATIENCE_MS 120000 /* the longest waits are those between probes, 30 s */

bool
recording_comes_right(struct recording *recording)
{
    const int64_t end_ms = pipeline_now_ms + PATIENCE_MS;

    recording_settle(recording);
    while (pipeline_now_ms < end_ms && !recording_is_right(recording, false)) {
        pipeline_now_ms += 500;
        recording_settle(recording);
    }
    pipeline_now_ms += 3000;
    recording_settle(recording);
    return recording_is_right(recording, true);
}
