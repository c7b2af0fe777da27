#include "pipeline.h"

#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../simulator/dice.h"
#include "../simulator/lines.h"
#include "../unit/inside.h"
#include "base/buffer.h"
#include "base/config.h"
#include "base/file.h"
#include "streams/catalog.h"


struct world pipeline_world;
int64_t pipeline_now_ms;

static struct config *config;
static struct pipeline *recorded; /* whose tape runs */

/* Time. */

#define START_WALL_MS WORLD_START_MS

static int64_t
wall_ms(void)
{
    return START_WALL_MS + pipeline_now_ms;
}

static int64_t
steady_ms(void)
{
    return 1000000 + pipeline_now_ms;
}

/* Marks and entries. */

static void
mark(struct pipeline *pipeline, enum mark_kind kind, unsigned process, unsigned number, uint64_t value, uint64_t epoch)
{
    const struct mark mark = {kind, process, number, value, epoch};
    tape_mark(pipeline->tape, &mark, sizeof mark);
}

uint64_t
pipeline_add_to_sum(uint64_t sum, struct span bytes)
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
pipeline_sum(struct span response_topic, struct span correlation, struct span payload)
{
    return pipeline_add_to_sum(pipeline_add_to_sum(pipeline_add_to_sum(0, response_topic), correlation), payload);
}

static void
add_entry(struct pipeline *pipeline, unsigned process, struct entry entry)
{
    struct entries *list = &pipeline->entries[process];

    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->list = realloc(list->list, list->capacity * sizeof list->list[0]);
        assert_non_null(list->list);
    }
    list->list[list->count++] = entry;
}

const struct entry *
pipeline_entry(const struct pipeline *pipeline, unsigned process, uint64_t begin)
{
    const struct entries *entries = &pipeline->entries[process];

    for (unsigned i = 0; i < entries->count; i++) {
        if (entries->list[i].begin == begin)
            return &entries->list[i];
    }
    return NULL;
}

/* What waits in the inbox when a life begins. */
static void
note_entries(struct pipeline *pipeline, unsigned number)
{
    struct process *process = pipeline->processes[number];
    struct inbox_entry found;
    struct inbox_gap gap;
    uint64_t position = inside_inbox_position(process);

    if (inside_inbox(process) == NULL || pipeline->entries[number].count > 0)
        return;
    while (inbox_read(inside_inbox(process), &position, &found, &gap) == 1) {
        const struct entry entry = {.begin = position - pipeline_entry_bytes(&found),
                                    .end = position,
                                    .sum = pipeline_sum(found.response_topic, found.correlation, found.payload),
                                    .number = number_in(found.correlation)};
        add_entry(pipeline, number, entry);
    }
}

/* The wire. */

static bool
begins_with(struct span topic, const char *text)
{
    return topic.len >= strlen(text) && memcmp(topic.at, text, strlen(text)) == 0;
}

static void
note_report(struct pipeline *pipeline, unsigned number, const struct wire_message *message)
{
    const struct process *process = pipeline->processes[number];
    struct link_position position;
    bool rewind;

    for (unsigned i = 0; i < catalog_streams[number]->input_count; i++) {
        const char *topic = inside_report_topic(process, i);
        if (topic != NULL && span_is(message->topic, topic) &&
            link_read_report(message->payload, &position, &rewind) == 0)
            mark(pipeline, MARK_APPLIED, number, i, position.applied, position.epoch);
    }
}

/* Of the copies of a payload the oldest is surely worked when there is a receipt. */
static void
note_receipt(struct pipeline *pipeline, unsigned number, unsigned payload)
{
    const struct entries *entries = &pipeline->entries[number];
    uint64_t end = UINT64_MAX;

    for (unsigned i = 0; i < entries->count; i++) {
        if (entries->list[i].number == payload && entries->list[i].end < end)
            end = entries->list[i].end;
    }
    assert_true(end != UINT64_MAX);
    mark(pipeline, MARK_RECEIPT, number, payload, end, 0);
}

static int
tell(struct wire *base, const struct wire_message *message, uint64_t token)
{
    struct memory_broker *broker = ((struct memory_wire *)base)->broker;
    struct pipeline *pipeline = (struct pipeline *)((char *)broker - offsetof(struct pipeline, broker));
    const unsigned number = (unsigned)number_of_client(((struct memory_wire *)base)->name);

    if (memory_publish(base, message, token) != 0)
        return -1;
    mark(pipeline, MARK_SAID, number, 0, 0, 0);
    if (message->sequence != 0)
        mark(pipeline, begins_with(message->topic, "gait/rejected/") ? MARK_REJECTED : MARK_OUTPUT, number, 0,
             message->sequence, 0);
    else if (begins_with(message->topic, "gait/link/"))
        note_report(pipeline, number, message);
    else if (begins_with(message->topic, "gait/receipt/"))
        note_receipt(pipeline, number, number_in(message->correlation));
    return 0;
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    static const struct wire_calls telling = {memory_connect, memory_subscribe, tell,
                                             memory_waiting, memory_disconnect, memory_free};
    struct pipeline *pipeline = context;
    struct wire *wire = memory_wire(&pipeline->broker, options, events);

    if (pipeline->tape != NULL)
        wire->calls = &telling;
    return wire;
}

/* Let the owner of wire hear the next event, and note what that is for the recorded pipeline. */
static bool
hear(struct pipeline *pipeline, struct memory_wire *wire)
{
    const int number = number_of_client(wire->name);
    const bool listens = wire->owned && wire->down == NULL && wire->state == MEMORY_ONLINE;
    const struct memory_item *item = listens ? wire->in.first : NULL;
    const bool message = pipeline->tape != NULL && item != NULL && item->kind == MEMORY_MESSAGE;
    const bool landing = message && number != NOBODY && begins_with(item->message->wire.topic, "gait/landing/");
    const bool receipt = message && number == NOBODY;
    struct entry entry = {0};

    if (landing) {
        const struct wire_message *in = &item->message->wire;
        const struct span correlation = in->response_topic.len > 0 ? in->correlation : (struct span){0};
        entry = (struct entry){.begin = inside_inbox_end(pipeline->processes[number]),
                               .sum = pipeline_sum(in->response_topic, correlation, in->payload)};
    }
    if (landing || receipt)
        entry.number = number_in(item->message->wire.correlation);
    if (!memory_wire_hear(wire))
        return false;
    if (landing) {
        entry.end = inside_inbox_end(pipeline->processes[number]);
        assert_true(entry.end > entry.begin || entry.number == OF_A_PROCESS);
    }
    if (landing && entry.end > entry.begin) {
        add_entry(pipeline, (unsigned)number, entry);
        mark(pipeline, MARK_APPENDED, (unsigned)number, entry.number, entry.end, 0);
    } else if (receipt) {
        mark(pipeline, MARK_HEARD, 0, entry.number, 0, 0);
    }
    return true;
}

/* Processes. */

bool
pipeline_start(struct pipeline *pipeline, unsigned number)
{
    pipeline->processes[number] = process_open(&pipeline->options[number]);
    if (pipeline->processes[number] == NULL)
        return false;
    if (pipeline->tape != NULL) {
        note_entries(pipeline, number);
        mark(pipeline, MARK_OPENED, number, 0, 0, 0);
    }
    return true;
}

bool
pipeline_start_all(struct pipeline *pipeline)
{
    const unsigned begin = dice_roll(PROCESSES);

    for (unsigned i = 0; i < PROCESSES; i++) {
        if (!pipeline_start(pipeline, (begin + i) % PROCESSES))
            return false;
    }
    return true;
}

void
pipeline_kill(struct pipeline *pipeline, unsigned number)
{
    for (unsigned i = 0; i < pipeline->broker.wire_count; i++) {
        if (number_of_client(pipeline->broker.wires[i]->name) == (int)number)
            memory_wire_cut(pipeline->broker.wires[i]);
    }
    process_close(pipeline->processes[number]);
    pipeline->processes[number] = NULL;
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
    struct memory_broker *broker = &recorded->broker;

    if (busy || strstr(node->path, "/store/") == NULL || node->group >= PROCESSES || !dice_chance(30) ||
        recorded->processes[node->group] == NULL)
        return;
    busy = true;
    for (unsigned i = 0; i < broker->wire_count; i++) {
        for (unsigned times = dice_roll(4); times > 0; times--)
            memory_wire_send(broker->wires[i]);
        const bool own = number_of_client(broker->wires[i]->name) == (int)node->group;
        for (unsigned times = dice_roll(4); own && times > 0; times--)
            hear(recorded, broker->wires[i]);
    }
    busy = false;
}

/* Beginning and end. */

static void
set(const char *section, const char *key, const char *value)
{
    struct buffer errors = {0};
    if (config_set(config, section, key, value, "test", &errors) != 0)
        fail_msg("%s", buffer_text(&errors));
    buffer_free(&errors);
}

static void
configure(void)
{
    char window[16];

    config = config_new(&catalog_config);
    snprintf(window, sizeof window, "%us", pipeline_world.window_s);
    set("accelerometer-trusted", "consent", pipeline_world.as_of ? "as_of" : "any");
    set("machine-learning-curated", "match", pipeline_world.by_customer ? "customer" : "time");
    set("machine-learning-curated", "window", window);
    set("machine-learning-curated", "subject", "email");
    set("limits", "email_case", pipeline_world.fold ? "fold" : "keep");
    set("lake", "part_bytes", "4KiB");
    set("accelerometer-trusted", "hold", "2h");
    set("step-trainer-trusted", "hold", "2h");
    for (unsigned i = 0; i < PROCESSES; i++) {
        set(catalog_streams[i]->name, "message_bytes", "1KiB");
        set(catalog_streams[i]->name, "link_bytes", "64KiB");
        set(catalog_streams[i]->name, "map", "16MiB");
    }
}

void
pipeline_make_world(void)
{
    world_make(&pipeline_world, 1 + dice_roll(2), false);
    configure();
}

void
pipeline_free_world(void)
{
    config_free(config);
    world_free(&pipeline_world);
}

unsigned
pipeline_group_of(const char *path)
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
pipeline_in(struct pipeline *pipeline, const char *root)
{
    static uint64_t boot;

    snprintf(pipeline->dir, sizeof pipeline->dir, "%s/gait", root);
    boot++;
    pipeline->links = (struct links_options){.make_wire = make_wire, .context = pipeline};
    for (unsigned i = 0; i < PROCESSES; i++)
        pipeline->options[i] = (struct process_options){
            .stream = catalog_streams[i],
            .catalog = catalog_streams,
            .config = config,
            .dir = pipeline->dir,
            .open_transport = links_open,
            .context = &pipeline->links,
            .wall_ms = wall_ms,
            .steady_ms = steady_ms,
            .boot = boot,
        };
}

void
pipeline_record(struct pipeline *pipeline, struct tape *tape, const char *root)
{
    pipeline->tape = tape;
    for (unsigned i = 0; i < PROCESSES; i++)
        pipeline->entries[i].count = 0;
    recorded = pipeline;
    tape_begin(tape, root, pipeline_group_of, &pipeline_now_ms);
    tape->while_syncing = arrive_meanwhile;
}

void
pipeline_connect_loader(struct pipeline *pipeline)
{
    const struct wire_events events = loader_events(&pipeline->loader);

    pipeline->loader.options = (struct wire_options){.client_name = "loader"};
    pipeline->loader.wire = memory_wire(&pipeline->broker, &pipeline->loader.options, &events);
}

void
pipeline_close(struct pipeline *pipeline)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        process_close(pipeline->processes[i]);
        pipeline->processes[i] = NULL;
    }
    pipeline->loader.wire->calls->free(pipeline->loader.wire);
    memory_broker_free(&pipeline->broker);
    for (unsigned i = 0; i < PROCESSES; i++)
        free(pipeline->entries[i].list);
}

/* A dozen such entries fill an inbox file. */
#define LARGE_BYTES (600u << 10)

void
pipeline_load(struct pipeline *pipeline, unsigned phase)
{
    const unsigned before = pipeline->loader.count;

    pipeline->phase = phase;
    for (unsigned i = 0; i < LANDINGS; i++)
        loader_add(&pipeline->loader, (enum landing)i, &pipeline_world.landing[phase][i]);
    if (dice_chance(80))
        loader_shuffle(&pipeline->loader);
    for (unsigned i = before; i < pipeline->loader.count; i++) {
        struct buffer *text = &pipeline->loader.payloads[i].text;
        const size_t blanks = dice_chance(40) ? dice_roll(LARGE_BYTES) : dice_roll(2) * dice_roll(2 * PAGE_BYTES);
        memset(buffer_reserve(text, blanks), ' ', blanks);
        text->len += blanks;
    }
    mark(pipeline, MARK_PHASE, 0, phase, pipeline->loader.count, 0);
}

/* What happens. */

void
pipeline_happen(struct pipeline *pipeline)
{
    const unsigned number = dice_roll(PROCESSES + 1);
    struct memory_wire *wire = pipeline->broker.wires[dice_roll(pipeline->broker.wire_count)];

    switch (dice_roll(4)) {
    case 0:
        if (number == PROCESSES)
            loader_step(&pipeline->loader, pipeline_now_ms);
        else
            step(pipeline, number);
        break;
    case 1:
        for (unsigned times = 1 + dice_roll(6); times > 0 && memory_wire_send(wire); times--)
            ;
        break;
    case 2:
        for (unsigned times = 1 + dice_roll(6); times > 0 && hear(pipeline, wire); times--)
            ;
        break;
    default:
        pipeline_now_ms += dice_chance(5) ? dice_roll(3000) : dice_roll(10);
    }
}

void
pipeline_break(struct pipeline *pipeline)
{
    const unsigned number = dice_roll(PROCESSES);

    switch (dice_roll(5)) {
    case 0:
        memory_broker_forget(&pipeline->broker, true, true);
        break;
    case 1:
        memory_wire_cut(pipeline->broker.wires[dice_roll(pipeline->broker.wire_count)]);
        break;
    case 2:
        process_close(pipeline->processes[number]); /* a clean stop */
        pipeline->processes[number] = NULL;
        break;
    default:
        pipeline_kill(pipeline, number);
    }
    if (pipeline->processes[number] == NULL)
        assert_true(pipeline_start(pipeline, number));
}

void
pipeline_settle(struct pipeline *pipeline)
{
    bool moved = true;

    for (unsigned rounds = 0; moved; rounds++) {
        assert_true(rounds < 100000);
        moved = false;
        loader_step(&pipeline->loader, pipeline_now_ms);
        for (unsigned i = 0; i < PROCESSES; i++)
            moved |= step(pipeline, i);
        for (unsigned i = 0; i < pipeline->broker.wire_count; i++) {
            while (memory_wire_send(pipeline->broker.wires[i]))
                moved = true;
            while (hear(pipeline, pipeline->broker.wires[i]))
                moved = true;
        }
    }
}

/* What came of it. */

/* The lake's files of a set, as lines. */
static void
read_lake(const struct pipeline *pipeline, enum set set, struct lines *lines)
{
    struct buffer content = {0};
    char pattern[512];
    glob_t found;

    snprintf(pattern, sizeof pattern, "%s/lake/%s/date=*/part-*.ndjson", pipeline->dir, set_paths[set]);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            assert_int_equal(file_read(found.gl_pathv[i], &content), 0);
        globfree(&found);
    }
    buffer_text(&content);
    char *rest = content.data;
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        lines_add(lines, "%s", line);
    buffer_free(&content);
}

#define ROW_PREFIX_BYTES 41 /* {"row":" and 32 digits, and the quote */

/* Of a table's lines leave the last of each row, without its name, unless it is a withdrawal. */
static void
last_of_rows(struct lines *lines)
{
    struct lines kept = {0};

    for (unsigned i = lines->count; i-- > 0;) {
        bool newest = true;
        for (unsigned j = i + 1; newest && j < lines->count; j++)
            newest = strncmp(lines->list[i], lines->list[j], ROW_PREFIX_BYTES) != 0;
        if (newest && strstr(lines->list[i], "\"withdrawn\":") == NULL)
            lines_add(&kept, "{%s", lines->list[i] + ROW_PREFIX_BYTES + 1);
    }
    lines_free(lines);
    *lines = kept;
}

static bool
set_is_right(const struct pipeline *pipeline, enum set set, bool complain)
{
    struct lines must = {0}, may = {0}, lines = {0};

    world_expect(&pipeline_world, set, 0, pipeline->phase, &must, &may);
    read_lake(pipeline, set, &lines);
    if (is_table(set))
        last_of_rows(&lines);
    const char *lost = lines_missing(&must, &lines);
    const char *extra = lines_missing(&lines, &may);
    if (lost != NULL && complain)
        print_error("  not in %s: %s\n", set_paths[set], lost);
    if (extra != NULL && complain)
        print_error("  too often in %s: %s\n", set_paths[set], extra);
    lines_free(&must);
    lines_free(&may);
    lines_free(&lines);
    return lost == NULL && extra == NULL;
}

/* Each reading has come once, however often it was sent. (The ledger itself panics at a commit that does not balance.) */
static bool
readings_are_counted(const struct pipeline *pipeline, unsigned number, enum landing landing, bool complain)
{
    const struct process *process = pipeline->processes[number];
    const uint64_t *verdicts = inside_ledger(process)->inputs[0].verdicts;
    const uint64_t once = inside_ledger(process)->inputs[0].taken - verdicts[VERDICT_DUPLICATE] - verdicts[VERDICT_INVALID];
    const unsigned expected = world_readings(&pipeline_world, landing, pipeline->phase);

    if (once != expected && complain)
        print_error("  %s: %" PRIu64 " readings were counted, of %u\n", catalog_streams[number]->name, once, expected);
    return once == expected;
}

bool
pipeline_is_right(const struct pipeline *pipeline, bool complain)
{
    bool right = loader_is_done(&pipeline->loader) && readings_are_counted(pipeline, 1, ACCELEROMETER, complain) &&
                 readings_are_counted(pipeline, 3, STEP_TRAINER, complain);

    for (unsigned i = 0; i < SETS && (right || complain); i++)
        right = set_is_right(pipeline, (enum set)i, complain) && right;
    return right;
}

#define PATIENCE_MS 120000 /* the longest waits are those between probes, 30 s */

bool
pipeline_comes_right(struct pipeline *pipeline)
{
    const int64_t end_ms = pipeline_now_ms + PATIENCE_MS;

    pipeline_settle(pipeline);
    while (pipeline_now_ms < end_ms && !pipeline_is_right(pipeline, false)) {
        pipeline_now_ms += 500;
        pipeline_settle(pipeline);
    }
    pipeline_now_ms += 3000;
    pipeline_settle(pipeline);
    return pipeline_is_right(pipeline, true);
}
