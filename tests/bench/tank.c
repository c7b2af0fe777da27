#include "tank.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench.h"
#include "operator/gate.h"
#include "operator/join.h"

#define MAP_BYTES (UINT64_C(64) << 30)
#define FILL_READINGS 8192 /* a transaction: as many as a process takes at most */
#define HOLD_MS INT64_C(86400000)
#define HOLD_BYTES (INT64_C(1) << 40)

static const struct record_limits limits = {
    .json = {.depth_max = 16, .string_bytes_max = 1024}, .payload_bytes_max = 16 << 20, .ahead_ms = 86400000};

_Noreturn static void
fail(const char *what)
{
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

static void
emit(struct output *output, struct span body)
{
    struct tank *tank = (struct tank *)output;

    (void)body;
    tank->emitted++;
}

static void
emit_row(struct output *output, struct span row, struct span body)
{
    (void)row;
    emit(output, body);
}

static void
refuse(struct output *output, unsigned input, enum reason reason, struct span body)
{
    (void)output;
    (void)input;
    (void)reason;
    (void)body;
    fail("a reading was refused: this");
}

static void
move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    (void)output;
    (void)input;
    (void)from;
    (void)to;
}

static bool
full(struct output *output)
{
    (void)output;
    return false;
}

static bool
deadly(struct output *output, unsigned input, struct span place, struct span body)
{
    (void)output;
    (void)input;
    (void)place;
    (void)body;
    return false;
}

/* Take in all records of text. row: the name of the row, for tables. */
static void
take_text(struct tank *tank, unsigned input, const struct buffer *text, struct span row, int64_t now_ms)
{
    struct record_cursor cursor = record_cursor(buffer_span(text));
    struct record record;
    struct fault fault;
    const enum record_source source = tank->kind == TANK_GATE ? RECORD_FROM_LANDING : RECORD_FROM_LINK;

    while (record_next(tank->decoders[input], &cursor, source, now_ms, &record, &fault) == 1) {
        const struct arrival arrival = {
            .input = input, .record = &record, .row = row, .now_ms = now_ms, .wall_ms = now_ms, .output = &tank->output};
        if (fault.reason != REASON_NONE || tank->operator->take(tank->state, &arrival) == VERDICT_ERROR)
            fail("taking a record");
    }
}

static void
commit(struct tank *tank, int64_t now_ms)
{
    if (tank->operator->work(tank->state, now_ms, now_ms, 1000, &tank->output) < 0 ||
        tank->operator->flush(tank->state, now_ms, now_ms) != 0 || store_commit(tank->store) != 0)
        fail("a commit");
}

/* Everybody's row, so that the join knows whose readings are whose. */
static void
take_rows(struct tank *tank, int64_t now_ms)
{
    struct buffer *text = &tank->texts[0];
    char row[HASH_ID_HEX_SIZE];

    for (unsigned i = 0; i < BENCH_PERSONS; i++) {
        snprintf(row, sizeof row, "%032x", i);
        buffer_clear(text);
        bench_add_customer(text, i);
        take_text(tank, JOIN_TABLE, text, span_of(row), now_ms);
    }
}

static void
open_operator(struct tank *tank)
{
    static const struct gate_parameters gate = {
        .key = GATE_BY_EMAIL, .hold_ms = HOLD_MS, .hold_bytes = HOLD_BYTES, .hold_sender_bytes = HOLD_BYTES};
    static const struct join_parameters join = {.match = JOIN_BY_TIME, .retain_ms = HOLD_MS};
    const void *parameters = tank->kind == TANK_GATE ? (const void *)&gate : (const void *)&join;

    tank->operator = tank->kind == TANK_GATE ? &gate_operator : &join_operator;
    if (tank->operator->open(parameters, tank->store, &tank->state) != 0 || store_begin(tank->store) != 0 ||
        tank->operator->load(tank->state) != 0)
        fail("opening an operator");
}

void
tank_open(struct tank *tank, const char *dir, enum tank_kind kind, enum tank_arrival arrival)
{
    static const enum record_kind kinds[2][OPERATOR_INPUTS_MAX] = {
        [TANK_GATE] = {[GATE_STREAM] = RECORD_ACCELEROMETER, [GATE_TABLE] = RECORD_CUSTOMER},
        [TANK_JOIN] = {[JOIN_STEP_TRAINER] = RECORD_STEP_TRAINER,
                       [JOIN_ACCELEROMETER] = RECORD_ACCELEROMETER,
                       [JOIN_TABLE] = RECORD_CUSTOMER},
    };
    const unsigned inputs = kind == TANK_GATE ? 2 : 3;
    const int64_t now_ms = clock_wall_ms();

    *tank = (struct tank){.output = {emit, emit_row, refuse, move, full, deadly}, .kind = kind, .arrival = arrival};
    for (unsigned i = 0; i < inputs; i++)
        tank->decoders[i] = record_decoder_new(kinds[kind][i], &limits);
    hash_init();
    tank->store = store_open(dir, MAP_BYTES);
    if (tank->store == NULL)
        fail("opening a store");
    open_operator(tank);
    if (kind == TANK_JOIN)
        take_rows(tank, now_ms);
    commit(tank, now_ms);
}

/* Text of the next count readings: of both kinds for a join. A person's readings are a second apart. */
static void
make_texts(struct tank *tank, unsigned count)
{
    const unsigned kinds = tank->kind == TANK_JOIN ? 2 : 1;

    buffer_clear(&tank->texts[0]);
    buffer_clear(&tank->texts[1]);
    for (unsigned i = 0; i < count / kinds; i++) {
        const uint64_t place = tank->readings / kinds + i;
        const uint64_t number = tank->arrival == TANK_LIVE ? place : bench_shuffled(place);
        const unsigned person = (unsigned)(number % BENCH_PERSONS);
        const int64_t time_ms = BENCH_START_MS + (int64_t)number;
        bench_add_accelerometer(&tank->texts[0], person, time_ms);
        if (kinds == 2)
            bench_add_step_trainer(&tank->texts[1], person, time_ms);
    }
}

int64_t
tank_take(struct tank *tank, unsigned count)
{
    const struct span no_row = {0};
    const int64_t now_ms = clock_wall_ms();

    make_texts(tank, count);
    const int64_t start_ns = bench_now_ns();
    if (store_begin(tank->store) != 0)
        fail("a transaction");
    if (tank->kind == TANK_JOIN)
        take_text(tank, JOIN_STEP_TRAINER, &tank->texts[1], no_row, now_ms);
    take_text(tank, tank->kind == TANK_JOIN ? JOIN_ACCELEROMETER : GATE_STREAM, &tank->texts[0], no_row, now_ms);
    commit(tank, now_ms);
    const int64_t ns = bench_now_ns() - start_ns;
    tank->readings += count;
    tank->ns += ns;
    return ns;
}

bool
tank_fill(struct tank *tank, uint64_t readings, int64_t until_ns)
{
    while (tank->readings < readings && bench_now_ns() < until_ns) {
        const uint64_t left = readings - tank->readings;
        tank_take(tank, left < FILL_READINGS ? (unsigned)left : FILL_READINGS);
    }
    return tank->readings >= readings;
}

bool
tank_is_right(const struct tank *tank)
{
    return tank->emitted == (tank->kind == TANK_JOIN ? tank->readings / 2 : 0);
}

void
tank_close(struct tank *tank)
{
    tank->operator->close(tank->state);
    store_close(tank->store);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++)
        record_decoder_free(tank->decoders[i]);
    buffer_free(&tank->texts[0]);
    buffer_free(&tank->texts[1]);
}
