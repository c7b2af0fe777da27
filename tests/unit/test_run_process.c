/* process: the core alone, over a transport in memory and an operator of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "memory_transport.h"
#include "panics.h"
#include "scratch_dir.h"

/* The stream: readings and rows of two others, and what lands. The table comes second, so that it is no number that puts it
 * first. */
enum { STEPS, ROWS, LANDED };

static const struct stream steps_from = {.name = "steps-from", .topic = "trusted/steps", .kind = STREAM_LOG};
static const struct stream rows_from = {.name = "rows-from", .topic = "trusted/rows", .kind = STREAM_TABLE};

#define STEP(serial) "{\"sensorReadingTime\":1600000000000,\"serialNumber\":\"" serial "\",\"distanceFromObject\":1}"

/*
 * The operator: a register of serial numbers. It knows one again that it has taken, so that a record which is worked twice
 * is a duplicate; those that begin with "refuse" it refuses, those with "wait" wait until released_ms, those with "large"
 * put out a MiB. Tables: "register", key = serial number; "waiting", likewise.
 */
#define LARGE_BYTES (1u << 20)
#define SEEN_MAX 40000

static struct {
    struct store *store;
    int table, waiting;
    int64_t waits;       /* in the latter; read by load */
    int64_t released_ms; /* when what waits is due */
    const char *why_full;
    enum store_fault load_fault, committed_fault; /* of the next call; STORE_FINE: none */
    unsigned loads;
} reg;

/* What it was given, in order, whatever became of the transaction: as a sink outside of the store would see it. */
static struct {
    struct buffer events; /* serial numbers, and what else it did, each with a space behind it */
    struct arrival last;
    char row[32], sender[32];
    struct {
        struct position position;
        size_t at;
    } seen[SEEN_MAX];
    unsigned count;
} outside;

static bool
has_prefix(struct span text, const char *prefix)
{
    return span_begins(text, span_of(prefix));
}

static void
note(const char *what, struct span of)
{
    buffer_add_text(&outside.events, what);
    buffer_add_span(&outside.events, of);
    buffer_add_byte(&outside.events, ' ');
}

static int
reg_open(const void *parameters, struct store *store, void **state)
{
    (void)parameters;
    reg.store = store;
    reg.table = store_table(store, "register");
    reg.waiting = store_table(store, "waiting");
    *state = &reg;
    return reg.table < 0 || reg.waiting < 0 ? -1 : 0;
}

static void
reg_close(void *state)
{
    (void)state;
}

static int
reg_fails(enum store_fault *fault)
{
    const enum store_fault now = *fault;

    *fault = STORE_FINE;
    if (now == STORE_FINE)
        return 0;
    store_found(reg.store, now);
    return -1;
}

static int
reg_load(void *state)
{
    (void)state;
    reg.loads++;
    if (reg_fails(&reg.load_fault) != 0)
        return -1;
    reg.waits = store_count(reg.store, reg.waiting);
    return reg.waits < 0 ? -1 : 0;
}

static void
see(const struct arrival *arrival)
{
    note("", arrival->record->serial_number);
    assert_true(outside.count < SEEN_MAX);
    outside.seen[outside.count].position = arrival->position;
    outside.seen[outside.count++].at = arrival->at;
    outside.last = *arrival;
    snprintf(outside.row, sizeof outside.row, "%.*s", (int)arrival->row.len, arrival->row.at);
    snprintf(outside.sender, sizeof outside.sender, "%.*s", (int)arrival->sender.len, arrival->sender.at);
}

static void
emit_large(struct output *output, struct span serial)
{
    struct buffer body = {0};

    buffer_printf(&body, "\"%.*s\":\"", (int)serial.len, serial.at);
    memset(buffer_reserve(&body, LARGE_BYTES), 'x', LARGE_BYTES);
    body.len += LARGE_BYTES;
    buffer_add_byte(&body, '"');
    output->emit(output, buffer_span(&body));
    buffer_free(&body);
}

static enum verdict
reg_take(void *state, const struct arrival *arrival)
{
    struct output *output = arrival->output;
    const struct span serial = arrival->record->serial_number;

    (void)state;
    see(arrival);
    const int rc = store_put_new(reg.store, reg.table, serial, span_of("1"));
    if (rc != 1)
        return rc == 0 ? VERDICT_DUPLICATE : VERDICT_ERROR;
    if (has_prefix(serial, "refuse")) {
        output->refuse(output, arrival->input, REASON_NO_CONSENT, arrival->record->body);
        return VERDICT_REFUSED;
    }
    if (has_prefix(serial, "wait")) {
        reg.waits++;
        return store_put(reg.store, reg.waiting, serial, span_of("1")) == 0 ? VERDICT_WAITING : VERDICT_ERROR;
    }
    if (has_prefix(serial, "large"))
        emit_large(output, serial);
    else
        output->emit(output, arrival->record->body);
    return VERDICT_PASSED;
}

static int
reg_work(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    struct store_item item;
    unsigned done = 0;

    (void)state;
    (void)wall_ms;
    for (; done < budget && now_ms >= reg.released_ms && !output->full(output); done++) {
        const int rc = store_seek(reg.store, reg.waiting, (struct span){0}, &item);
        if (rc != 1)
            return rc < 0 ? -1 : (int)done;
        note("due:", item.key);
        output->move(output, LANDED, VERDICT_WAITING, VERDICT_PASSED);
        if (has_prefix(item.key, "waitlarge"))
            emit_large(output, item.key);
        if (store_delete_here(reg.store, reg.waiting) != 0)
            return -1;
        reg.waits--;
    }
    return (int)done;
}

static int
reg_committed(void *state)
{
    (void)state;
    return reg_fails(&reg.committed_fault);
}

static int64_t
reg_due_ms(void *state)
{
    (void)state;
    return reg.waits > 0 ? reg.released_ms : INT64_MAX;
}

static unsigned
reg_gauges(void *state, struct gauge *gauges)
{
    (void)state;
    gauges[0] = (struct gauge){"waits", reg.waits};
    return 1;
}

static const char *
reg_why_full(void *state)
{
    (void)state;
    return reg.why_full;
}

static int
reg_recall(void *state, struct span row, int64_t withdrawn_ms, int64_t now_ms, int64_t wall_ms, struct output *output)
{
    (void)state;
    (void)now_ms;
    (void)wall_ms;
    assert_int_equal(withdrawn_ms, 1);
    note("recalled:", row);
    output->emit_row(output, row, span_of("\"withdrawn\":1"));
    return 1;
}

static int
reg_rows(void *state, struct span after, bool (*visit)(void *context, struct span row, struct span body), void *context)
{
    (void)state;
    visit(context, after, span_of("\"of\":1"));
    return 0;
}

static const struct operator reg_operator = {
    .name = "register",
    .open = reg_open,
    .close = reg_close,
    .load = reg_load,
    .take = reg_take,
    .work = reg_work,
    .committed = reg_committed,
    .due_ms = reg_due_ms,
    .gauges = reg_gauges,
    .why_full = reg_why_full,
    .recall = reg_recall,
    .rows = reg_rows,
};

static void *
no_parameters(const struct config *config, const char *dir)
{
    (void)config;
    (void)dir;
    return hash_secret_new(1);
}

static const struct stream core = {
    .name = "core",
    .topic = "trusted/core",
    .kind = STREAM_LOG,
    .inputs = {[STEPS] = {.name = "steps", .from = &steps_from, .record = RECORD_STEP_TRAINER},
               [ROWS] = {.name = "rows", .from = &rows_from, .record = RECORD_STEP_TRAINER},
               [LANDED] = {.name = "landed", .landing = "landing/core", .record = RECORD_STEP_TRAINER}},
    .input_count = 3,
    .operator = &reg_operator,
    .parameters = no_parameters,
};

/* All keys that the core reads. */
static const char *const cases[] = {"keep", "fold", NULL};
static const struct config_key keys[] = {
    {"gait", "clock_check", CONFIG_SWITCH, "on", NULL, NULL, NULL, ""},
    {"limits", "payload", CONFIG_SIZE, "8MiB", NULL, NULL, NULL, ""},
    {"limits", "depth", CONFIG_INTEGER, "16", NULL, NULL, NULL, ""},
    {"limits", "string", CONFIG_SIZE, "1KiB", NULL, NULL, NULL, ""},
    {"limits", "earliest", CONFIG_DATE, "2000-01-01", NULL, NULL, NULL, ""},
    {"limits", "ahead", CONFIG_DURATION, "24h", NULL, NULL, NULL, ""},
    {"limits", "email_case", CONFIG_CHOICE, "keep", NULL, NULL, cases, ""},
    {"*", "map", CONFIG_SIZE, "64MiB", NULL, NULL, NULL, ""},
    {"*", "outbox_bytes", CONFIG_SIZE, "1GiB", NULL, NULL, NULL, ""},
    {"*", "message_bytes", CONFIG_SIZE, "64KiB", NULL, NULL, NULL, ""},
    {"*", "rejected_payload", CONFIG_SWITCH, "off", NULL, NULL, NULL, ""},
};

static const struct config_key *
key_at(unsigned row)
{
    return row < sizeof keys / sizeof keys[0] ? &keys[row] : NULL;
}

static const char *
section_at(unsigned number)
{
    return number == 0 ? "core" : NULL;
}

static const struct config_table table = {key_at, section_at};

/* The bench. */

static char dir[SCRATCH_DIR_SIZE];
static struct memory_transport memory;
static struct process *process;
static struct process_options options;
static struct config *config;
static int64_t wall_ms;
static struct buffer long_text; /* for payloads and metrics */

static int64_t
wall_now(void)
{
    return wall_ms;
}

static int64_t
steady_now(void)
{
    return memory.steady_ms;
}

static bool
opens(void)
{
    static const struct stream *const catalog[] = {&core, NULL};

    options = (struct process_options){
        .stream = &core,
        .catalog = catalog,
        .config = config,
        .dir = dir,
        .open_transport = memory_open,
        .context = &memory,
        .wall_ms = wall_now,
        .steady_ms = steady_now,
        .built_ms = options.built_ms,
    };
    process = process_open(&options);
    return process != NULL;
}

static void
close_process(void)
{
    process_close(process);
    process = NULL;
}

static void
reopen(void)
{
    close_process();
    assert_true(opens());
}

static void
pass(int64_t ms)
{
    wall_ms += ms;
    memory.steady_ms += ms;
}

/* Step until nothing is to be done at once. */
static void
settle(void)
{
    for (unsigned i = 0; process_step(process) == 0; i++)
        assert_true(i < 1000);
}

static uint64_t
taken(unsigned input)
{
    return batch_ledger(process_batch(process))->inputs[input].taken;
}

static uint64_t
counted(unsigned input, enum verdict verdict)
{
    return batch_ledger(process_batch(process))->inputs[input].verdicts[verdict];
}

static uint64_t
taken_in_all(void)
{
    return taken(STEPS) + taken(ROWS) + taken(LANDED);
}

static uint64_t
duplicates(void)
{
    return counted(STEPS, VERDICT_DUPLICATE) + counted(ROWS, VERDICT_DUPLICATE) + counted(LANDED, VERDICT_DUPLICATE);
}

/* What the operator did since the last time, in order. */
static void
assert_events(const char *expected)
{
    assert_string_equal(buffer_text(&outside.events), expected);
    buffer_clear(&outside.events);
}

static const char *
metrics(void)
{
    buffer_clear(&long_text);
    process_write_metrics(process, 0, &long_text);
    return buffer_text(&long_text);
}

static void
assert_shows(const char *part)
{
    const char *text = metrics();

    if (strstr(text, part) == NULL)
        fail_msg("%s is not in %s", part, text);
}

static void
assert_sent(enum sink sink, unsigned number, const char *payload)
{
    const struct memory_sent *sent = memory_sent(&memory, sink, number);

    if (sent == NULL)
        fail_msg("there is no such message");
    assert_string_equal(sent->payload, payload);
}

/* A payload of so many readings, "PREFIX1" … "PREFIXn". Stays until it is freed. */
static char *
many(const char *prefix, unsigned count)
{
    struct buffer text = {0};

    for (unsigned i = 1; i <= count; i++)
        buffer_printf(&text, STEP("%s%u") "\n", prefix, i);
    buffer_text(&text);
    return text.data;
}

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    memory_reset(&memory);
    memset(&reg, 0, sizeof reg);
    reg.released_ms = INT64_MAX;
    buffer_clear(&outside.events);
    outside.count = 0;
    wall_ms = INT64_C(1700000000000);
    memset(&options, 0, sizeof options);
    config = config_new(&table);
    assert_true(opens());
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    close_process();
    config_free(config);
    scratch_dir_remove(dir);
    memory_reset(&memory);
    buffer_free(&outside.events);
    buffer_free(&long_text);
    return 0;
}

/* What becomes of records. */

static void
records_are_decoded_decided_counted_and_appended(void **state)
{
    char rejected[512];

    (void)state;
    memory_land(&memory, LANDED, "site/phone", "[" STEP("a") "," STEP("refuse") ",{}," STEP("b") "," STEP("a") "]");
    settle();
    assert_events("a refuse b a ");
    assert_int_equal(taken(LANDED), 5);
    assert_int_equal(counted(LANDED, VERDICT_PASSED), 2);
    assert_int_equal(counted(LANDED, VERDICT_REFUSED), 1);
    assert_int_equal(counted(LANDED, VERDICT_INVALID), 1);
    assert_int_equal(counted(LANDED, VERDICT_DUPLICATE), 1);
    assert_int_equal(taken_in_all(), 5);
    assert_int_equal(batch_ledger(process_batch(process))->reasons[REASON_NO_CONSENT], 1);
    assert_int_equal(memory_sent_count(&memory, SINK_OUTPUT), 1);
    assert_sent(SINK_OUTPUT, 0, STEP("a") "\n" STEP("b"));
    assert_false(memory_sent(&memory, SINK_OUTPUT, 0)->retained);
    snprintf(rejected, sizeof rejected,
             "{\"process\":\"core\",\"reason\":\"no_consent\",\"topic\":\"landing/core/site/phone\",\"time\":%" PRId64 "}\n"
             "{\"process\":\"core\",\"reason\":\"missing_field\",\"field\":\"sensorReadingTime\","
             "\"topic\":\"landing/core/site/phone\",\"time\":%" PRId64 "}", wall_ms, wall_ms);
    assert_int_equal(memory_sent_count(&memory, SINK_REJECTED), 1);
    assert_sent(SINK_REJECTED, 0, rejected);
    assert_true(memory_sent(&memory, SINK_REJECTED, 0)->retained);
    /* All of it in one transaction; and nothing more is left to do. */
    assert_int_equal(memory.commits, 1);
    process_step(process);
    assert_int_equal(memory.begins, 2); /* the first one looked where all stands, when it was opened */
}

static void
operators_are_told_where_a_record_stands(void **state)
{
    (void)state;
    memory_give(&memory, STEPS, NULL, STEP("s1"));
    memory_give(&memory, STEPS, NULL, STEP("s2") "\n\n" STEP("s3"));
    settle();
    assert_int_equal(outside.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(outside.seen[i].position.epoch, MEMORY_EPOCH);
        assert_int_equal(outside.seen[i].position.sequence, i == 0 ? 1 : 2);
    }
    assert_int_equal(outside.seen[0].at, 0);
    assert_int_equal(outside.seen[1].at, 0);
    assert_int_equal(outside.seen[2].at, sizeof STEP("s2") - 1); /* where the one before it ended */
    assert_int_equal(outside.last.input, STEPS);
    assert_string_equal(outside.row, "");
    assert_string_equal(outside.sender, "");
    assert_int_equal(outside.last.wall_ms, wall_ms);
    memory_give(&memory, ROWS, "row-1", STEP("r1"));
    settle();
    assert_int_equal(outside.last.input, ROWS);
    assert_int_equal(outside.last.position.sequence, 1);
    assert_string_equal(outside.row, "row-1");
    memory_land(&memory, LANDED, "phone-1/left", "[" STEP("l1") "]");
    settle();
    assert_int_equal(outside.last.input, LANDED);
    assert_int_equal(outside.last.position.sequence, 1);
    assert_int_equal(outside.last.at, 0); /* with what is before it */
    assert_string_equal(outside.sender, "phone-1");
    assert_string_equal(outside.row, "");
}

/* Payloads that are worked in parts. */

#define ALL (2 * BATCH_RECORDS_MAX + 5)

/* No position was given out twice, and each is behind the one before. */
static void
assert_seen_once(void)
{
    for (unsigned i = 1; i < outside.count; i++) {
        if (outside.seen[i].position.sequence == outside.seen[i - 1].position.sequence)
            assert_true(outside.seen[i].at > outside.seen[i - 1].at);
        else
            assert_true(outside.seen[i].position.sequence > outside.seen[i - 1].position.sequence);
    }
}

static void
a_payload_goes_on_at_its_place_also_after_a_restart(void **state)
{
    char *payload = many("s", ALL);

    (void)state;
    for (unsigned restarts = 0; restarts < 2; restarts++) {
        const unsigned source = restarts == 0 ? STEPS : SOURCE_LANDING;
        const unsigned input = restarts == 0 ? STEPS : LANDED;
        outside.count = memory.told_count = memory.told_committed = 0;
        memory_give_span(&memory, source, (struct memory_message){.input = input, .payload = span_of(payload)});
        memory_give_span(&memory, source, (struct memory_message){.input = input, .payload = span_of(STEP("x"))});
        for (unsigned i = 1; i <= 2; i++) {
            assert_int_equal(process_step(process), 0);
            assert_int_equal(taken(input), i * BATCH_RECORDS_MAX);
            assert_int_equal(memory.sources[source].worked, 0);
            assert_int_equal(memory.told_count, 0);
            if (restarts > 0)
                reopen();
        }
        settle();
        assert_int_equal(taken(input), ALL + 1);
        assert_int_equal(outside.count, ALL + 1);
        assert_seen_once();
        /* What is told at its end is of all of it. */
        assert_int_equal(memory.told_count, 2);
        assert_int_equal(memory.told[0].source, source);
        assert_int_equal(tally_taken(&memory.told[0].tally), ALL);
        assert_int_equal(memory.told[0].tally.verdicts[restarts == 0 ? VERDICT_PASSED : VERDICT_DUPLICATE], ALL);
        assert_int_equal(tally_taken(&memory.told[1].tally), 1);
    }
    assert_int_equal(counted(STEPS, VERDICT_PASSED), ALL + 1);
    free(payload);
}

/* What stands where a payload was begun: each case has another payload, or life, in its place, or none. */
static void
a_payload_is_gone_on_with_only_if_it_is_the_same(void **state)
{
    char *payload = many("s", BATCH_RECORDS_MAX + 1);
    char *other = many("t", BATCH_RECORDS_MAX + 1);
    static const char shorter[] = STEP("x");
    const struct {
        const char *text;
        uint64_t life;
        unsigned worked; /* records of it */
    } cases_of[] = {
        {payload, 3, 1},
        {other, 3, BATCH_RECORDS_MAX + 1},
        {payload, 4, BATCH_RECORDS_MAX + 1},
        {shorter, 3, 1},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases_of / sizeof cases_of[0]; i++) {
        struct memory_source *source = &memory.sources[STEPS];
        memory_give_span(&memory, STEPS,
                         (struct memory_message){.input = STEPS, .payload = span_of(payload), .life = 3});
        assert_int_equal(process_step(process), 0);
        close_process();
        source->list[source->count - 1].payload = span_of(cases_of[i].text);
        source->list[source->count - 1].life = cases_of[i].life;
        outside.count = memory.told_count = memory.told_committed = 0;
        assert_true(opens());
        settle();
        assert_int_equal(outside.count, cases_of[i].worked);
        assert_int_equal(memory.told_count, 1);
        assert_int_equal(tally_taken(&memory.told[0].tally), cases_of[i].worked == 1 && i == 0 ? BATCH_RECORDS_MAX + 1 :
                                                                                                 cases_of[i].worked);
    }
    free(payload);
    free(other);
}

/* The payload behind is the same, so that its place would do for it. */
static void
a_source_that_moved_begins_its_payload_anew(void **state)
{
    char *payload = many("s", BATCH_RECORDS_MAX + 1);
    const struct memory_message message = {.input = STEPS, .payload = span_of(payload)};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        outside.count = memory.told_count = memory.told_committed = 0;
        memory_give_span(&memory, STEPS, message);
        memory_give_span(&memory, STEPS, message);
        assert_int_equal(process_step(process), 0);
        assert_int_equal(outside.count, BATCH_RECORDS_MAX);
        if (i == 0)
            memory.sources[STEPS].list[0].moved = true; /* next says so, */
        else
            memory.moves = 1u << STEPS; /* or prepare, which does no more then */
        memory.alone = i == 1;
        assert_int_equal(process_step(process), 0);
        if (i == 1)
            assert_int_equal(outside.count, BATCH_RECORDS_MAX);
        reopen(); /* it stands so in the store, too */
        settle();
        assert_int_equal(outside.count, 2 * BATCH_RECORDS_MAX + 1);
        assert_int_equal(memory.told_count, 1);
        assert_int_equal(tally_taken(&memory.told[0].tally), BATCH_RECORDS_MAX + 1);
        assert_int_equal(memory.sources[STEPS].worked, memory.sources[STEPS].count);
    }
    free(payload);
}

static void
take_a_step(void)
{
    process_step(process);
}

/* Or a sink that knows again what it has by where it stood would pass over it. */
static void
a_source_whose_messages_stand_nowhere_is_our_fault(void **state)
{
    (void)state;
    memory_give(&memory, STEPS, NULL, STEP("a"));
    memory_give(&memory, STEPS, NULL, STEP("b"));
    memory.stands_still = true;
    assert_panics(take_a_step);
    memory.stands_still = false;
    settle();
    assert_int_equal(outside.count, 2);
}

static void
worked_is_told_what_became_of_a_message(void **state)
{
    (void)state;
    memory_land(&memory, LANDED, NULL, STEP("a") STEP("wait") "\n" STEP("refuse") "{\"serialNumber\":1}" STEP("a"));
    memory_land(&memory, LANDED, NULL, "[]");
    settle();
    assert_int_equal(memory.told_count, 2);
    const struct tally *tally = &memory.told[0].tally;
    assert_int_equal(memory.told[0].source, SOURCE_LANDING);
    assert_int_equal(tally_taken(tally), 5);
    assert_int_equal(tally->verdicts[VERDICT_PASSED], 1);
    assert_int_equal(tally->verdicts[VERDICT_WAITING], 1);
    assert_int_equal(tally->verdicts[VERDICT_REFUSED], 1);
    assert_int_equal(tally->verdicts[VERDICT_DUPLICATE], 1);
    assert_int_equal(tally->verdicts[VERDICT_INVALID], 1);
    assert_int_equal(tally->faults[0].record, 3);
    assert_int_equal(tally->faults[0].reason, REASON_MISSING_FIELD);
    assert_int_equal(tally->faults[0].field, 0); /* sensorReadingTime */
    assert_int_equal(tally_taken(&memory.told[1].tally), 0);
}

/* Transactions that fail. */

static void
what_failed_is_as_if_nothing_was_done(void **state)
{
    static const struct {
        enum memory_call call;
        unsigned after;
    } failures[] = {
        {MEMORY_PREPARE, 0}, {MEMORY_NEXT, 0},   {MEMORY_NEXT, 1},   {MEMORY_NEXT, 3},   {MEMORY_APPEND, 0},
        {MEMORY_APPEND, 2},  {MEMORY_APPEND, 3}, {MEMORY_FINISH, 0}, {MEMORY_FLUSH, 0},  {MEMORY_COMMIT, 0},
    };
    static char payloads[sizeof failures / sizeof failures[0]][3][512];
    char events[128];

    (void)state;
    process_bound(process, 1); /* each record is a message */
    for (unsigned i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        const unsigned sent = memory.committed_count, commits = memory.commits, rooms = memory.rooms;
        const uint64_t before = taken_in_all();
        snprintf(payloads[i][0], sizeof payloads[i][0], STEP("r%u"), i);
        snprintf(payloads[i][1], sizeof payloads[i][1], STEP("s%u") STEP("refuse%u"), i, i);
        snprintf(payloads[i][2], sizeof payloads[i][2], STEP("l%u") "{}", i);
        memory_give(&memory, ROWS, "row", payloads[i][0]);
        memory_give(&memory, STEPS, NULL, payloads[i][1]);
        memory_land(&memory, LANDED, NULL, payloads[i][2]);
        memory.fails = failures[i].call;
        memory.fails_after = failures[i].after;
        memory.fault = STORE_FULL;
        assert_int_equal(process_step(process), 200);
        assert_int_equal(memory.fails, MEMORY_NO_CALL);
        assert_int_equal(memory.committed_count, sent);
        assert_int_equal(taken_in_all(), before);
        assert_int_equal(memory.sources[STEPS].worked, i);
        assert_int_equal(memory.told_committed, 3 * i);
        assert_int_equal(memory.aborts, i + 1);
        assert_true(batch_is_loaded(process_batch(process)));
        assert_shows("\"state\":\"stopped\",\"why\":\"disk full\"");
        assert_int_equal(memory.rooms, rooms + 1); /* what is in the way may be its own output */
        /* It waits for a while, whatever there is. */
        process_step(process);
        assert_int_equal(memory.commits, commits + 1); /* that which made room */
        pass(200);
        buffer_clear(&outside.events);
        settle();
        snprintf(events, sizeof events, "r%u s%u refuse%u l%u ", i, i, i, i);
        assert_events(events);
        assert_int_equal(taken_in_all(), before + 5);
        assert_int_equal(duplicates(), 0);
        assert_int_equal(memory.committed_count, sent + 5);
        assert_int_equal(memory.told_committed, 3 * i + 3);
        assert_shows("\"state\":\"running\",\"why\":\"\"");
        reopen();
        process_bound(process, 1);
        assert_int_equal(taken_in_all(), before + 5);
    }
}

/* A transport need not blame the store; then it is as if that were broken. */
static void
what_fails_without_a_reason_fails_all_the_same(void **state)
{
    static const enum memory_call calls[] = {MEMORY_PREPARE, MEMORY_NEXT,  MEMORY_APPEND,
                                             MEMORY_FINISH,  MEMORY_FLUSH, MEMORY_COMMIT};
    static char payloads[sizeof calls / sizeof calls[0]][256];
    const unsigned count = sizeof calls / sizeof calls[0];

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        snprintf(payloads[i], sizeof payloads[i], STEP("s%u"), i);
        memory_give(&memory, STEPS, NULL, payloads[i]);
        memory.fails = calls[i];
        process_bound(process, i % 2); /* the message goes with the record, or at the end */
        assert_int_equal(process_step(process), 200);
        assert_int_equal(memory.fails, MEMORY_NO_CALL);
        assert_int_equal(memory.committed_count, i);
        assert_int_equal(memory.commits, i);
        assert_shows("\"why\":\"state damaged or unreadable");
        pass(200);
        settle();
        assert_int_equal(memory.committed_count, i + 1);
        assert_int_equal(taken(STEPS), i + 1);
        assert_int_equal(duplicates(), 0);
    }
    assert_int_equal(memory.rooms, 0);
    /* Also where the operator goes on with what follows. */
    memory_give(&memory, STEPS, NULL, STEP("a") STEP("b") STEP("c"));
    process_bound(process, 1);
    buffer_clear(&outside.events);
    memory.fails = MEMORY_APPEND;
    process_step(process);
    assert_events("a b ");
    assert_int_equal(memory.committed_count, count);
}

/* The counts that were committed stand, but what is beside the store has to be brought to them before more is taken. */
static void
who_can_not_follow_a_commit_is_loaded_again(void **state)
{
    (void)state;
    memory_give(&memory, STEPS, NULL, STEP("a"));
    reg.committed_fault = STORE_BESIDE;
    const unsigned loads = reg.loads;
    assert_int_equal(process_step(process), 200);
    assert_int_equal(memory.commits, 1);
    assert_int_equal(memory.aborts, 0);
    assert_sent(SINK_OUTPUT, 0, STEP("a"));
    assert_false(batch_is_loaded(process_batch(process)));
    assert_shows("\"why\":\"its files are not what its state says");
    memory_give(&memory, STEPS, NULL, STEP("b"));
    pass(200);
    settle();
    assert_int_equal(reg.loads, loads + 1);
    assert_int_equal(taken(STEPS), 2);
    assert_events("a b ");
}

/* A commit that is not done at its first failure: how long it waits, and what it says. */
static void
what_is_broken_is_tried_ever_more_rarely(void **state)
{
    static const struct {
        enum store_fault fault;
        const char *why;
        int64_t waits_ms[10];
    } faults[] = {
        {STORE_NO_ADDRESS_SPACE, "state file full", {200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
        {STORE_BESIDE, "its files are not", {200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
        {STORE_BROKEN, "state damaged", {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000}},
        {STORE_FULL, "disk full", {200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char why[64];
        memory_give(&memory, STEPS, NULL, STEP("a"));
        snprintf(why, sizeof why, "\"why\":\"%s", faults[i].why);
        for (unsigned j = 0; j < 10; j++) {
            memory.fails = MEMORY_COMMIT;
            memory.fails_after = 0;
            memory.fault = faults[i].fault;
            assert_int_equal(process_step(process), faults[i].waits_ms[j]);
            assert_shows(why);
            pass(faults[i].waits_ms[j] - 1);
            assert_int_equal(process_step(process), 1);
            assert_shows(why);
            pass(1);
        }
        assert_int_equal(taken(STEPS), i);
        settle();
        assert_int_equal(taken(STEPS), i + 1);
        assert_shows("\"why\":\"\"");
    }
    assert_true(memory.rooms > 0);
}

/* The order. */

static void
rows_come_first_then_what_is_due(void **state)
{
    (void)state;
    memory_land(&memory, LANDED, NULL, STEP("wait1"));
    settle();
    assert_events("wait1 ");
    assert_shows("\"gauges\":{\"waits\":1}");
    reg.released_ms = 0;
    memory_land(&memory, LANDED, NULL, STEP("l1") STEP("wait2"));
    memory_give(&memory, STEPS, NULL, STEP("s1"));
    memory_give(&memory, ROWS, "row", STEP("r1"));
    assert_int_equal(process_step(process), 0);
    assert_int_equal(memory.commits, 2);
    assert_events("r1 due:wait1 s1 l1 wait2 due:wait2 ");
    assert_int_equal(counted(LANDED, VERDICT_WAITING), 0);
    assert_int_equal(counted(LANDED, VERDICT_PASSED), 3);
}

/* As many steps at the beginning as a transaction is to have, and at its end two for each record. */
static void
what_is_due_has_a_share_of_each_transaction(void **state)
{
    char *payload = many("wait", 3 * BATCH_WORK_MAX);

    (void)state;
    memory_land(&memory, LANDED, NULL, payload);
    settle();
    assert_int_equal(reg.waits, 3 * BATCH_WORK_MAX);
    reg.released_ms = 0;
    char *records = many("s", BATCH_WORK_STEP);
    memory_give(&memory, STEPS, NULL, records);
    assert_int_equal(process_step(process), 0);
    assert_int_equal(reg.waits, 2 * BATCH_WORK_MAX - 2 * BATCH_WORK_STEP);
    assert_int_equal(process_step(process), 0);
    assert_int_equal(reg.waits, BATCH_WORK_MAX - 2 * BATCH_WORK_STEP);
    settle();
    assert_int_equal(reg.waits, 0);
    free(payload);
    free(records);
}

static void
nothing_else_is_decided_before_awaited_rows_have_come(void **state)
{
    (void)state;
    memory_land(&memory, LANDED, NULL, STEP("wait"));
    settle();
    reg.released_ms = 0;
    memory.sources[ROWS].awaits = 2;
    memory_give(&memory, ROWS, "row", STEP("r1"));
    memory_give(&memory, STEPS, NULL, STEP("s1"));
    memory_land(&memory, LANDED, NULL, STEP("l1"));
    settle();
    assert_events("wait r1 ");
    /* There is nothing to commit then, and that is no abort. */
    const unsigned begins = memory.begins, flushes = memory.flushes;
    process_step(process);
    assert_true(memory.begins > begins);
    assert_int_equal(memory.flushes, flushes);
    assert_int_equal(memory.aborts, 0);
    memory_give(&memory, ROWS, "row", STEP("r2"));
    settle();
    assert_events("r2 due:wait s1 l1 ");
}

/* Whether records may be worked. */

static void
give_to_all(void)
{
    memory_land(&memory, LANDED, NULL, STEP("wait"));
    settle();
    assert_events("wait ");
    reg.released_ms = 0;
    memory_give(&memory, ROWS, "row", STEP("r"));
    memory_give(&memory, STEPS, NULL, STEP("s"));
    memory_land(&memory, LANDED, NULL, STEP("l"));
}

static void
who_may_not_decide_does_only_what_has_to_be_done(void **state)
{
    (void)state;
    give_to_all();
    memory.intake.decides = false;
    const unsigned nexts = memory.nexts, commits = memory.commits, begins = memory.begins;
    assert_true(process_step(process) > 0);
    assert_int_equal(memory.begins, begins); /* not even to see that there is nothing that may be done */
    memory.chores = 1;
    assert_int_equal(process_step(process), 0);
    assert_int_equal(memory.commits, commits + 1);
    memory.steps = 1;
    assert_int_equal(process_step(process), 0);
    assert_int_equal(memory.commits, commits + 2);
    assert_false(memory.may_decide);
    assert_int_equal(memory.nexts, nexts);
    assert_events("");
    memory.intake.decides = true;
    settle();
    assert_events("r due:wait s l ");
}

static void
what_prepare_does_alone_is_a_transaction_of_its_own(void **state)
{
    (void)state;
    give_to_all();
    memory.steps = 1;
    memory.alone = true;
    assert_int_equal(process_step(process), 0);
    assert_events("");
    settle();
    assert_events("r due:wait s l ");
}

/* What the transport asks of the operator. */
static bool
visit_one(void *context, struct span row, struct span body)
{
    buffer_printf(context, "%.*s {%.*s}", (int)row.len, row.at, (int)body.len, body.at);
    return true;
}

static void
a_transport_can_withdraw_rows_and_ask_for_them(void **state)
{
    struct buffer rows = {0};

    (void)state;
    give_to_all();
    memory.recalled = "row-7";
    assert_int_equal(process_step(process), 0);
    assert_events("recalled:row-7 ");
    assert_sent(SINK_OUTPUT, 0, "{\"withdrawn\":1}");
    assert_string_equal(memory_sent(&memory, SINK_OUTPUT, 0)->row, "row-7");
    settle();
    assert_events("r due:wait s l ");
    assert_int_equal(store_snapshot(memory.host->store), 0);
    assert_int_equal(batch_rows(process_batch(process), span_of("row-1"), visit_one, &rows), 0);
    store_snapshot_end(memory.host->store);
    assert_string_equal(buffer_text(&rows), "row-1 {\"of\":1}");
    buffer_free(&rows);
}

/* Bounds of one transaction. */

static void
a_transaction_takes_so_many_records_of_all_sources(void **state)
{
    char *payload = many("s", BATCH_RECORDS_MAX - 1);

    (void)state;
    memory_give(&memory, STEPS, NULL, payload);
    memory_land(&memory, LANDED, NULL, STEP("l1"));
    memory_land(&memory, LANDED, NULL, STEP("l2"));
    memory_give(&memory, ROWS, "row", "[]"); /* one without records is one, too */
    assert_int_equal(process_step(process), 0);
    assert_int_equal(taken(STEPS), BATCH_RECORDS_MAX - 1);
    assert_int_equal(taken(LANDED), 0);
    assert_int_equal(process_step(process), 0);
    assert_int_equal(taken(LANDED), 2);
    free(payload);
}

static void
a_transaction_takes_so_many_bytes_of_each_source(void **state)
{
    struct buffer text = {0};

    (void)state;
    buffer_add_text(&text, "{}");
    memset(buffer_reserve(&text, BATCH_PAYLOAD_BYTES_MAX / 2), ' ', BATCH_PAYLOAD_BYTES_MAX / 2);
    text.len += BATCH_PAYLOAD_BYTES_MAX / 2 - 2;
    for (unsigned i = 0; i < 3; i++) {
        memory_give(&memory, STEPS, NULL, buffer_text(&text));
        memory_land(&memory, LANDED, NULL, buffer_text(&text));
    }
    assert_int_equal(process_step(process), 0);
    assert_int_equal(memory.sources[STEPS].worked, 2);
    assert_int_equal(memory.sources[SOURCE_LANDING].worked, 2);
    settle();
    assert_int_equal(memory.sources[STEPS].worked, 3);
    assert_int_equal(memory.sources[SOURCE_LANDING].worked, 3);
    buffer_free(&text);
}

/* A message goes to the sink when the next one does not fit to it, so the ninth MiB is seen with the tenth. */
#define LARGE_MAX (BATCH_OUTPUT_BYTES_MAX / LARGE_BYTES + 1)

static void
a_transaction_puts_out_so_many_bytes(void **state)
{
    char *payload = many("large", LARGE_MAX + 3);

    (void)state;
    memory_give(&memory, STEPS, NULL, payload);
    memory_land(&memory, LANDED, NULL, STEP("l"));
    assert_int_equal(process_step(process), 0);
    assert_int_equal(taken(STEPS), LARGE_MAX);
    assert_int_equal(memory_sent_count(&memory, SINK_OUTPUT), LARGE_MAX);
    settle();
    assert_int_equal(taken_in_all(), LARGE_MAX + 4);
    free(payload);
    /* The same of what is due. */
    payload = many("waitlarge", LARGE_MAX + 3);
    memory_land(&memory, LANDED, NULL, payload);
    settle();
    reg.released_ms = 0;
    memory_give(&memory, STEPS, NULL, STEP("s"));
    assert_int_equal(process_step(process), 0);
    assert_int_equal(reg.waits, 3);
    assert_int_equal(taken(STEPS), LARGE_MAX + 3);
    settle();
    assert_int_equal(reg.waits, 0);
    assert_int_equal(taken(STEPS), LARGE_MAX + 4);
    free(payload);
}

static void
messages_have_as_many_bytes_as_somebody_takes(void **state)
{
    char *payload = many("s", 10);
    const size_t one = sizeof STEP("s1") - 1;

    (void)state;
    process_bound(process, 3 * one + 2); /* with two line ends */
    memory_give(&memory, STEPS, NULL, payload);
    settle();
    assert_int_equal(memory_sent_count(&memory, SINK_OUTPUT), 4);
    assert_sent(SINK_OUTPUT, 0, STEP("s1") "\n" STEP("s2") "\n" STEP("s3"));
    assert_int_equal(memory.sent[3].payload[0], '{');
    /* But no more than the configuration says. */
    char *larger = many("t", 1000);
    process_bound(process, SIZE_MAX);
    memory_give(&memory, STEPS, NULL, larger);
    settle();
    for (unsigned i = 4; i < memory.committed_count; i++)
        assert_true(strlen(memory.sent[i].payload) <= 64 << 10);
    assert_int_equal(memory_sent_count(&memory, SINK_OUTPUT), 6);
    free(payload);
    free(larger);
}

/* Why nothing is taken in. */

static void
with_a_wrong_clock_nothing_is_decided(void **state)
{
    (void)state;
    options.built_ms = wall_ms + 1;
    reopen();
    memory_land(&memory, LANDED, NULL, STEP("l"));
    process_step(process);
    assert_int_equal(memory.nexts, 0);
    assert_shows("\"state\":\"stopped\",\"why\":\"the clock");
    assert_true(memory.was_stopped);
    pass(1);
    settle();
    assert_events("l ");
    assert_shows("\"state\":\"running\",\"why\":\"\"");
}

static void
what_is_stopped_says_why(void **state)
{
    (void)state;
    give_to_all();
    memory.intake.stopped = true;
    memory.why = "nobody there";
    settle();
    assert_events("r due:wait s l "); /* not all comes in; what is there is worked */
    assert_shows("\"state\":\"stopped\",\"why\":\"nobody there\"");
    assert_true(memory.was_stopped);
    memory.intake = (struct intake){.stopped = true};
    memory.more = "and late";
    memory_give(&memory, STEPS, NULL, STEP("t"));
    settle();
    assert_events("");
    assert_shows("\"state\":\"stopped\",\"why\":\"nobody there; and late, stopped\"");
    memory.intake = (struct intake){.decides = true};
    settle();
    assert_events("t ");
    assert_shows("\"state\":\"running\",\"why\":\"and late, running\"");
    memory.unsteady = "it shakes";
    assert_shows("\"state\":\"running\",\"why\":\"it shakes; and late, running\"");
    assert_false(memory.was_stopped);
}

static void
a_full_operator_takes_nothing_in(void **state)
{
    (void)state;
    give_to_all();
    reg.why_full = "the register is full";
    assert_true(process_step(process) > 0);
    assert_events("");
    assert_shows("\"state\":\"stopped\",\"why\":\"the register is full\"");
    memory.intake.learns = true; /* that is not put off */
    settle();
    assert_events("r due:wait s l ");
    assert_shows("\"state\":\"stopped\",\"why\":\"the register is full\"");
    memory.intake.learns = false;
    memory_give(&memory, STEPS, NULL, STEP("t"));
    settle();
    assert_events("");
    reg.why_full = NULL;
    settle();
    assert_events("t ");
    assert_shows("\"state\":\"running\",\"why\":\"\"");
}

static void
a_full_output_takes_nothing_in_until_some_is_taken(void **state)
{
    (void)state;
    memory_give(&memory, STEPS, NULL, STEP("a"));
    settle();
    assert_events("a ");
    give_to_all();
    memory.output_bytes_max = 1;
    assert_true(process_step(process) > 0);
    assert_events("");
    assert_shows("\"state\":\"stopped\",\"why\":\"nobody takes it\"");
    memory.intake.learns = true;
    assert_int_equal(process_step(process), 0);
    assert_events("r due:wait s l ");
    memory.intake.learns = false;
    memory_give(&memory, STEPS, NULL, STEP("t"));
    assert_true(process_step(process) > 0);
    assert_events("");
    memory.is_taken[SINK_OUTPUT] = true; /* that is let go first, and then there is room */
    settle();
    assert_events("t ");
    assert_sent(SINK_OUTPUT, 2, STEP("t"));
}

/* The loop. */

static void
waiting_and_waking_are_the_transports(void **state)
{
    (void)state;
    process_wait(process, 500);
    assert_int_equal(memory.waits, 1);
    assert_int_equal(memory.waited_ms, 500);
    process_wake(process);
    process_wait(process, 500);
    assert_int_equal(memory.waits, 2);
    assert_int_equal(memory.waited_ms, 0);
    assert_false(process_ready(process));
    process_step(process);
    assert_true(process_ready(process));
    assert_int_equal(memory.hears, 1);
    assert_int_equal(memory.looks, 1);
}

/* A step says when there may be more to do: by the transport, by what is due, and after a second at the latest. */
static void
a_step_says_how_long_nothing_is_to_be_done(void **state)
{
    (void)state;
    settle();
    assert_int_equal(process_step(process), 1000);
    memory.idle_ms = 300;
    assert_int_equal(process_step(process), 300);
    memory.idle_ms = -5;
    assert_int_equal(process_step(process), 0);
    memory.idle_ms = 300;
    memory_land(&memory, LANDED, NULL, STEP("wait"));
    settle();
    reg.released_ms = wall_ms + 40; /* it goes by the steady clock, which began with the one on the wall */
    assert_int_equal(process_step(process), 40);
    pass(15);
    assert_int_equal(process_step(process), 25);
    /* What may not be worked is nothing to wake up for. */
    memory.intake = (struct intake){.stopped = true};
    assert_int_equal(process_step(process), 300);
    pass(100);
    assert_int_equal(process_step(process), 300);
    memory.intake = (struct intake){.decides = true, .learns = true};
    reg.why_full = "full";
    reg.released_ms += 200;
    assert_int_equal(process_step(process), 300);
    memory.intake.learns = false;
    reg.why_full = NULL;
    assert_int_equal(process_step(process), 125);
}

/* Opening. */

static void
a_new_state_is_kept_before_anything_comes(void **state)
{
    (void)state;
    assert_true(memory.kept);
    assert_true(memory.started);
    assert_int_equal(memory.loads, 1);
    close_process();
    assert_int_equal(memory.closes, 1);
    assert_true(opens());
    assert_false(store_is_new(memory.host->store));
    process_close(NULL);
    assert_int_equal(memory.closes, 1);
}

static struct transport *
open_nothing(void *context, const struct host *host)
{
    (void)context;
    assert_string_equal(host->stream->name, "core");
    return NULL;
}

static void
who_can_not_begin_leaves_nothing_behind(void **state)
{
    (void)state;
    close_process();
    scratch_dir_remove(dir);
    scratch_dir_make(dir);
    log_open("test", LOG_NOTHING);
    options.open_transport = open_nothing;
    assert_null(process_open(&options));
    assert_int_equal(memory.closes, 1);
    memory.fails = MEMORY_LOAD; /* for a reason of its own */
    assert_false(opens());
    assert_int_equal(memory.fails, MEMORY_NO_CALL);
    assert_int_equal(memory.closes, 2);
    assert_false(memory.started);
    memory.fails = MEMORY_START;
    assert_false(opens());
    assert_int_equal(memory.closes, 3);
    assert_int_equal(memory.begins, 1);
    log_open("test", LOG_INFO);
    assert_true(opens());
}

/* Nothing is written while the operator can't go on, and what the transport has must be founded already. */
static void
who_has_files_that_are_wrong_begins_and_says_so(void **state)
{
    (void)state;
    memory_give(&memory, STEPS, NULL, STEP("a"));
    settle();
    close_process();
    log_open("test", LOG_NOTHING);
    memory.is_unfounded = true;
    reg.load_fault = STORE_BESIDE;
    assert_false(opens());
    memory.is_unfounded = false;
    reg.load_fault = STORE_BESIDE;
    assert_true(opens());
    assert_false(memory.kept);
    assert_true(memory.started);
    assert_int_equal(taken(STEPS), 1);
    assert_true(process_is_shown(process));
    reg.load_fault = STORE_BESIDE;
    memory_give(&memory, STEPS, NULL, STEP("b"));
    assert_int_equal(process_step(process), 200);
    assert_shows("\"why\":\"its files are not what its state says");
    log_open("test", LOG_INFO);
    pass(200);
    settle();
    assert_int_equal(taken(STEPS), 2);
    assert_events("a b ");
    /* A new store has nothing wrong in it; but what lies beside it may be of before. */
    close_process();
    scratch_dir_remove(dir);
    scratch_dir_make(dir);
    memory.sources[STEPS].count = 0;
    log_open("test", LOG_NOTHING);
    reg.load_fault = STORE_BROKEN;
    assert_false(opens());
    reg.load_fault = STORE_BESIDE;
    assert_true(opens());
    assert_false(memory.kept);
    log_open("test", LOG_INFO);
    settle();
    assert_int_equal(memory.sources[STEPS].worked, 0);
    assert_int_equal(taken(STEPS), 0);
}

/* A store whose counts come from nowhere is damaged: the transport is asked, since only it knows where records come from. */
static void
counts_are_held_against_positions(void **state)
{
    char key[32];

    (void)state;
    memory_give(&memory, STEPS, NULL, STEP("a"));
    settle();
    struct store *store = memory.host->store;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_delete(store, memory.host->meta, memory_key(STEPS, key, sizeof key)), 1);
    assert_int_equal(store_commit(store), 0);
    close_process();
    log_open("test", LOG_NOTHING);
    assert_false(opens());
    log_open("test", LOG_INFO);
}

/* Metrics. */

static void
metrics_are_of_core_and_transport(void **state)
{
    (void)state;
    memory_land(&memory, LANDED, NULL, STEP("a") STEP("refuse"));
    settle();
    const char *text = metrics();
    assert_non_null(strstr(text, "{\"process\":\"core\",\"version\":\"" GAIT_VERSION "\",\"pid\":"));
    assert_shows(",\"inputs\":[{\"name\":\"steps\",\"from\":\"steps-from\",\"at\":0,\"taken\":0,\"passed\":0,");
    assert_shows("{\"name\":\"landed\",\"from\":\"landing\",\"at\":0,\"taken\":2,\"passed\":1,\"waiting\":0,\"refused\":1,");
    assert_shows("],\"sent\":2,\"reasons\":{\"no_consent\":1},\"recent\":{\"no_consent\":[{");
    assert_shows("\"gauges\":{\"waits\":0},\"untold\":0,\"due\":0,\"aborts\":0}");
    /* Without the newest refusals where there is no room for them; and behind what stands there. */
    const size_t whole = strlen(metrics());
    struct buffer shorter = {0};
    buffer_add_text(&shorter, "before");
    process_write_metrics(process, whole, &shorter);
    assert_int_equal(shorter.len, whole + 6);
    shorter.len = 6;
    process_write_metrics(process, whole - 1, &shorter);
    assert_true(shorter.len < whole);
    assert_non_null(strstr(buffer_text(&shorter), "before{\"process\""));
    assert_non_null(strstr(buffer_text(&shorter), "\"recent\":{},\"gauges\""));
    buffer_free(&shorter);
    reopen();
    assert_shows("\"reasons\":{\"no_consent\":1},\"recent\":{\"no_consent\":[{\"topic\":\"landing/core\",\"time\":");
    reg.released_ms = 0;
    memory.intake.decides = false;
    reg.waits = 1;
    assert_shows("\"due\":1");
    reg.waits = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_are_decoded_decided_counted_and_appended),
        TEST(operators_are_told_where_a_record_stands),
        TEST(a_payload_goes_on_at_its_place_also_after_a_restart),
        TEST(a_payload_is_gone_on_with_only_if_it_is_the_same),
        TEST(a_source_that_moved_begins_its_payload_anew),
        TEST(a_source_whose_messages_stand_nowhere_is_our_fault),
        TEST(worked_is_told_what_became_of_a_message),
        TEST(what_failed_is_as_if_nothing_was_done),
        TEST(what_fails_without_a_reason_fails_all_the_same),
        TEST(who_can_not_follow_a_commit_is_loaded_again),
        TEST(what_is_broken_is_tried_ever_more_rarely),
        TEST(rows_come_first_then_what_is_due),
        TEST(what_is_due_has_a_share_of_each_transaction),
        TEST(nothing_else_is_decided_before_awaited_rows_have_come),
        TEST(who_may_not_decide_does_only_what_has_to_be_done),
        TEST(what_prepare_does_alone_is_a_transaction_of_its_own),
        TEST(a_transport_can_withdraw_rows_and_ask_for_them),
        TEST(a_transaction_takes_so_many_records_of_all_sources),
        TEST(a_transaction_takes_so_many_bytes_of_each_source),
        TEST(a_transaction_puts_out_so_many_bytes),
        TEST(messages_have_as_many_bytes_as_somebody_takes),
        TEST(with_a_wrong_clock_nothing_is_decided),
        TEST(what_is_stopped_says_why),
        TEST(a_full_operator_takes_nothing_in),
        TEST(a_full_output_takes_nothing_in_until_some_is_taken),
        TEST(waiting_and_waking_are_the_transports),
        TEST(a_step_says_how_long_nothing_is_to_be_done),
        TEST(a_new_state_is_kept_before_anything_comes),
        TEST(who_can_not_begin_leaves_nothing_behind),
        TEST(who_has_files_that_are_wrong_begins_and_says_so),
        TEST(counts_are_held_against_positions),
        TEST(metrics_are_of_core_and_transport),
    };

    log_open("test", LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
