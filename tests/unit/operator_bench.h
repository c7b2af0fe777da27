/*
 * operator_bench: an operator on a bench. Its store lies in a folder of its own, records come from JSON text through
 * the real decoder, the clock is a number, and what goes out is gathered as lines of text:
 *
 *     emit {…}            a record of the output stream
 *     row NAME {…}        a row of the output table
 *     refuse KIND REASON  a refusal, KIND of the input it came from
 *
 * After every call the counts must balance: taken = the sum of the verdicts, none of them below zero.
 *
 * What is begun stays in one transaction until bench_commit or bench_abort. With `rehearse` every step is done,
 * aborted, loaded and done again before it is committed, and both must tell the same: nothing that an abort should undo
 * may live on in an operator's memory.
 */
#ifndef TESTS_OPERATOR_BENCH_H
#define TESTS_OPERATOR_BENCH_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "operator/consent.h"
#include "operator/filter.h"
#include "operator/gate.h"
#include "operator/join.h"
#include "operator/presence.h"
#include "store/store.h"

#define BENCH_START_MS INT64_C(1700000000000)
#define BENCH_SECOND_MS INT64_C(1000)
#define BENCH_MINUTE_MS (60 * BENCH_SECOND_MS)
#define BENCH_HOUR_MS (60 * BENCH_MINUTE_MS)
#define BENCH_MAP_BYTES (UINT64_C(1) << 30)
#define BENCH_INPUTS_MAX 3
#define BENCH_WORK_ALL 1000000

struct bench_input {
    enum record_kind kind;
    enum record_source source;
};

/* What is tried. */
struct bench_setup {
    const struct operator *operator;
    const void *parameters;
    struct bench_input inputs[BENCH_INPUTS_MAX];
    unsigned input_count;
};

struct bench_counts {
    int64_t taken;
    int64_t verdicts[VERDICT_COUNT];
};

/* What an abort takes back. */
struct bench_told {
    size_t lines_len;
    struct bench_counts counts[BENCH_INPUTS_MAX];
};

struct bench {
    struct output output; /* first: what the operator is given is the bench */
    const struct bench_setup *setup;
    char dir[64];
    struct store *store;
    void *state;
    struct record_decoder *decoders[BENCH_INPUTS_MAX];
    int64_t now_ms;
    int64_t wall_apart_ms; /* by how much the clock on the wall is ahead of it */
    const char *sender; /* of what comes; NULL: without a level of its own */
    bool rehearse;
    bool begun;
    struct buffer lines;
    struct bench_counts counts[BENCH_INPUTS_MAX];
    struct bench_told committed;
    size_t room;      /* for output, in bytes, of one step; 0: as much as there is */
    size_t full_from; /* where the step's output begins */
    unsigned seed; /* shown when a check fails, if not 0 */
    /* Names for rows whose own are hashes: "HASH NAME\n" each. */
    struct buffer names;
};

static inline void
bench_fail(const struct bench *bench, const char *what)
{
    if (bench->seed != 0)
        print_error("seed %u: ", bench->seed);
    fail_msg("%s", what);
}

static inline void
bench_check(const struct bench *bench, bool ok, const char *what)
{
    if (!ok)
        bench_fail(bench, what);
}

static inline void
bench_check_balance(const struct bench *bench)
{
    for (unsigned i = 0; i < bench->setup->input_count; i++) {
        int64_t sum = 0;
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            bench_check(bench, bench->counts[i].verdicts[v] >= 0, "fewer than none are counted");
            sum += bench->counts[i].verdicts[v];
        }
        bench_check(bench, sum == bench->counts[i].taken, "the counts do not balance");
    }
}

/* What the operator calls. */

static inline void
bench_emit(struct output *output, struct span body)
{
    struct bench *bench = (struct bench *)output;

    buffer_add_text(&bench->lines, "emit {");
    buffer_add_span(&bench->lines, body);
    buffer_add_text(&bench->lines, "}\n");
}

/* The name a reader knows the row by. */
static inline struct span
bench_row_name(struct bench *bench, struct span row)
{
    if (bench->names.len == 0)
        return row;
    const char *text = buffer_text(&bench->names);
    while (*text != '\0') {
        const char *space = strchr(text, ' ');
        const char *end = strchr(space, '\n');
        if (span_equal(span_at(text, (size_t)(space - text)), row))
            return span_at(space + 1, (size_t)(end - space - 1));
        text = end + 1;
    }
    return row;
}

static inline void
bench_emit_row(struct output *output, struct span row, struct span body)
{
    struct bench *bench = (struct bench *)output;

    buffer_add_text(&bench->lines, "row ");
    buffer_add_span(&bench->lines, bench_row_name(bench, row));
    buffer_add_text(&bench->lines, " {");
    buffer_add_span(&bench->lines, body);
    buffer_add_text(&bench->lines, "}\n");
}

static inline void
bench_refuse(struct output *output, unsigned input, enum reason reason, struct span body)
{
    struct bench *bench = (struct bench *)output;

    (void)body;
    buffer_printf(&bench->lines, "refuse %s %s\n", record_kind_name(bench->setup->inputs[input].kind),
                  reason_word(reason));
}

static inline void
bench_move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    struct bench *bench = (struct bench *)output;

    bench->counts[input].verdicts[from]--;
    bench->counts[input].verdicts[to]++;
}

static inline bool
bench_full(struct output *output)
{
    const struct bench *bench = (const struct bench *)output;

    return bench->room > 0 && bench->lines.len - bench->full_from > bench->room;
}

/* Nobody dies here. */
static inline bool
bench_deadly(struct output *output, unsigned input, struct span place, struct span body)
{
    (void)output;
    (void)input;
    (void)place;
    (void)body;
    return false;
}

/* A new folder: in memory if it can be, for there are thousands of synced commits, and what is tested is no disk. */
static inline void
bench_make_dir(char dir[64])
{
    snprintf(dir, 64, "%s/gait-bench-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static inline void
bench_remove_dir(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[128];

    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* Its life. */

static inline void
bench_tell(const struct bench *bench, struct bench_told *told)
{
    told->lines_len = bench->lines.len;
    memcpy(told->counts, bench->counts, sizeof told->counts);
}

static inline void
bench_untell(struct bench *bench, const struct bench_told *told)
{
    bench->lines.len = told->lines_len;
    memcpy(bench->counts, told->counts, sizeof told->counts);
}

static inline void
bench_begin(struct bench *bench)
{
    if (bench->begun)
        return;
    bench_check(bench, store_begin(bench->store) == 0, "begin");
    bench->begun = true;
}

static inline void
bench_load(struct bench *bench)
{
    bench_begin(bench);
    if (bench->setup->operator->load != NULL)
        bench_check(bench, bench->setup->operator->load(bench->state) == 0, "load");
}

static inline void
bench_flush(struct bench *bench)
{
    const struct operator *operator = bench->setup->operator;

    if (bench->begun && operator->flush != NULL)
        bench_check(bench, operator->flush(bench->state, bench->now_ms, bench->now_ms) == 0, "flush");
}

static inline void
bench_commit(struct bench *bench)
{
    if (!bench->begun)
        return;
    bench_flush(bench);
    bench_check(bench, store_commit(bench->store) == 0, "commit");
    bench->begun = false;
    bench_tell(bench, &bench->committed);
}

/* Undo everything since the last commit. */
static inline void
bench_abort(struct bench *bench)
{
    store_abort(bench->store);
    bench->begun = false;
    bench_untell(bench, &bench->committed);
    bench_load(bench);
}

static inline void
bench_open_store(struct bench *bench, uint64_t map_bytes)
{
    bench->store = store_open(bench->dir, map_bytes);
    bench_check(bench, bench->store != NULL, "store_open");
    int rc = bench->setup->operator->open(bench->setup->parameters, bench->store, &bench->state);
    bench_check(bench, rc == 0, "open");
    bench_load(bench);
    bench_commit(bench);
}

static inline void
bench_close_store(struct bench *bench)
{
    bench->setup->operator->close(bench->state);
    store_close(bench->store);
}

/* A process that ends and starts again. */
static inline void
bench_reopen(struct bench *bench)
{
    bench_commit(bench);
    bench_close_store(bench);
    bench_open_store(bench, BENCH_MAP_BYTES);
}

/* setup must outlive the bench. End with bench_close. */
static inline struct bench *
bench_open(const struct bench_setup *setup)
{
    static const struct record_limits limits = {.json = {.depth_max = 16, .string_bytes_max = 1024},
                                                .payload_bytes_max = 1 << 20,
                                                .ahead_ms = 24 * BENCH_HOUR_MS};
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    hash_init();
    *bench = (struct bench){
        .output = {bench_emit, bench_emit_row, bench_refuse, bench_move, bench_full, bench_deadly},
        .setup = setup,
        .now_ms = BENCH_START_MS,
    };
    for (unsigned i = 0; i < setup->input_count; i++)
        bench->decoders[i] = record_decoder_new(setup->inputs[i].kind, &limits);
    bench_make_dir(bench->dir);
    bench_open_store(bench, BENCH_MAP_BYTES);
    return bench;
}

static inline void
bench_close(struct bench *bench)
{
    bench_close_store(bench);
    bench_remove_dir(bench->dir);
    for (unsigned i = 0; i < bench->setup->input_count; i++)
        record_decoder_free(bench->decoders[i]);
    buffer_free(&bench->lines);
    buffer_free(&bench->names);
    free(bench);
}

/* Steps. */

struct bench_step {
    bool is_work;
    unsigned budget;
    unsigned input;
    const char *row;
    const char *json;
};

/* Do the step; a verdict, or how many steps work did. */
static inline int
bench_do(struct bench *bench, const struct bench_step *step)
{
    const struct operator *operator = bench->setup->operator;
    struct record record;

    bench_begin(bench);
    bench->full_from = bench->lines.len;
    if (step->is_work)
        return operator->work(bench->state, bench->now_ms, bench->now_ms + bench->wall_apart_ms, step->budget,
                              &bench->output);
    const struct bench_input *input = &bench->setup->inputs[step->input];
    enum verdict verdict = VERDICT_INVALID;
    const enum reason reason = record_decode(bench->decoders[step->input], span_of(step->json), input->source,
                                             bench->now_ms, &record).reason;
    if (reason == REASON_NONE) {
        const struct span sender = bench->sender != NULL ? span_of(bench->sender) : (struct span){0};
        const struct arrival arrival = {.input = step->input,
                                        .record = &record,
                                        .row = span_of(step->row),
                                        .sender = sender,
                                        .now_ms = bench->now_ms,
                                        .wall_ms = bench->now_ms + bench->wall_apart_ms,
                                        .output = &bench->output};
        verdict = operator->take(bench->state, &arrival);
        if (verdict == VERDICT_ERROR)
            return VERDICT_ERROR;
        bench_check(bench, verdict >= 0 && verdict < VERDICT_COUNT && verdict != VERDICT_INVALID, "not a verdict");
    } else {
        bench_refuse(&bench->output, step->input, reason, span_of(step->json));
    }
    bench->counts[step->input].taken++;
    bench->counts[step->input].verdicts[verdict]++;
    return verdict;
}

static inline int
bench_rehearse(struct bench *bench, const struct bench_step *step)
{
    struct bench_told told;
    struct buffer lines = {0};

    bench_commit(bench);
    int rc = bench_do(bench, step);
    bench_flush(bench);
    bench_tell(bench, &told);
    buffer_add(&lines, bench->lines.data, bench->lines.len);
    bench_abort(bench);
    bench_check(bench, bench_do(bench, step) == rc, "after an abort another verdict");
    bench_check(bench, span_equal(buffer_span(&lines), buffer_span(&bench->lines)), "after an abort another output");
    bench_check(bench, memcmp(told.counts, bench->counts, sizeof told.counts) == 0, "after an abort other counts");
    buffer_free(&lines);
    bench_commit(bench);
    return rc;
}

static inline int
bench_step(struct bench *bench, const struct bench_step *step)
{
    int rc = bench->rehearse ? bench_rehearse(bench, step) : bench_do(bench, step);

    bench_check(bench, rc >= 0, "a step failed");
    bench_check_balance(bench);
    return rc;
}

/* Give one record to input; row "" where the input is no table. */
static inline enum verdict
bench_take(struct bench *bench, unsigned input, const char *row, const char *json)
{
    const struct bench_step step = {.input = input, .row = row, .json = json};

    return (enum verdict)bench_step(bench, &step);
}

/* The same fails, since what the store holds can't be; so does the transaction. */
static inline void
bench_take_damaged(struct bench *bench, unsigned input, const char *row, const char *json)
{
    const struct bench_step step = {.input = input, .row = row, .json = json};

    bench_check(bench, !store_is_damaged(bench->store), "damage was found before");
    bench_check(bench, bench_do(bench, &step) == VERDICT_ERROR, "a step on a damaged store did not fail");
    bench_check(bench, store_is_damaged(bench->store), "a step failed without a word of damage");
}

/* The number that the operator's table has in its store, in the transaction at hand. */
static inline int
bench_table_called(struct bench *bench, const char *name)
{
    bench_begin(bench);
    return store_table(bench->store, name);
}

/* One call of work; how many steps were done. */
static inline int
bench_work(struct bench *bench, unsigned budget)
{
    const struct bench_step step = {.is_work = true, .budget = budget};

    if (bench->setup->operator->work == NULL)
        return 0;
    bench_flush(bench); /* as a process does between two batches */
    return bench_step(bench, &step);
}

/* Work until nothing is due any more, budget steps a call; due_ms must agree with it. */
static inline void
bench_settle(struct bench *bench, unsigned budget)
{
    const struct operator *operator = bench->setup->operator;
    unsigned calls = 0;

    while (bench_work(bench, budget) >= (int)budget || bench_full(&bench->output))
        bench_check(bench, ++calls < BENCH_WORK_ALL, "work never ends");
    bench_flush(bench);
    if (operator->due_ms != NULL)
        bench_check(bench, operator->due_ms(bench->state) > bench->now_ms, "all is worked and yet something is due");
}

/* Time goes by, and what is due is worked. */
static inline void
bench_advance(struct bench *bench, int64_t ms)
{
    bench_flush(bench);
    bench->now_ms += ms;
    bench_settle(bench, 10);
}

/* Lines. */

/* How many lines begin with start. */
static inline unsigned
bench_count_lines(struct bench *bench, const char *start)
{
    unsigned count = 0;
    const char *text = buffer_text(&bench->lines);

    while (*text != '\0') {
        count += strncmp(text, start, strlen(start)) == 0;
        text = strchr(text, '\n') + 1;
    }
    return count;
}

static inline void
bench_forget_lines(struct bench *bench)
{
    bench_commit(bench);
    buffer_clear(&bench->lines);
    bench_tell(bench, &bench->committed);
}

static inline int
bench_compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of text that begin with start, sorted, each with its line end; to be freed. Changes text. */
static inline char *
bench_sorted(char *text, const char *start)
{
    char **list = calloc(strlen(text) + 1, sizeof *list);
    char *sorted = malloc(strlen(text) + 2);
    char *at = sorted;
    unsigned count = 0;

    assert_true(list != NULL && sorted != NULL);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, start, strlen(start)) == 0)
            list[count++] = line;
    }
    if (count > 0)
        qsort(list, count, sizeof *list, bench_compare_lines);
    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "%s\n", list[i]);
    *at = '\0';
    free(list);
    return sorted;
}

/* The output so far, sorted: "emit" lines, or "row" or "refuse" ones. To be freed. */
static inline char *
bench_output(struct bench *bench, const char *start)
{
    char *copy = strdup(buffer_text(&bench->lines));

    assert_non_null(copy);
    char *sorted = bench_sorted(copy, start);
    free(copy);
    return sorted;
}

/* Such outputs for bench_every_order. */
static inline char *
bench_output_emitted(struct bench *bench)
{
    return bench_output(bench, "emit ");
}

static inline char *
bench_output_rows(struct bench *bench)
{
    return bench_output(bench, "row ");
}

/* The output table as it stands: of each row the last line, withdrawn ones left out; sorted, to be freed. */
static inline char *
bench_table(struct bench *bench)
{
    struct buffer table = {0};
    const char *text = buffer_text(&bench->lines);

    for (const char *end; *text != '\0'; text = end + 1) {
        end = strchr(text, '\n');
        const size_t name_len = (size_t)(strchr(text + 4, ' ') + 1 - text); /* "row NAME " */
        bool last = strncmp(text, "row ", 4) == 0 && strncmp(text + name_len, "{\"withdrawn\":", 13) != 0;
        for (const char *later = end + 1; last && *later != '\0'; later = strchr(later, '\n') + 1)
            last = strncmp(later, text, name_len) != 0;
        if (last)
            buffer_add(&table, text, (size_t)(end + 1 - text));
    }
    char *copy = strdup(buffer_text(&table));
    char *sorted = bench_sorted(copy, "row ");
    free(copy);
    buffer_free(&table);
    return sorted;
}

/* Records. The strings stay until some more have been made. */

static inline const char *bench_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline const char *
bench_text(const char *format, ...)
{
    static char texts[64][512];
    static unsigned next;
    char *text = texts[next++ % 64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof texts[0], format, arguments);
    va_end(arguments);
    return text;
}

/* as_of_ms 0: does not share. */
static inline const char *
bench_customer(const char *email, const char *serial, int64_t updated_ms, int64_t as_of_ms)
{
    const char *shares = as_of_ms > 0 ? bench_text(",\"shareWithResearchAsOfDate\":%" PRId64, as_of_ms) : "";

    return bench_text("{\"customerName\":\"N\",\"email\":\"%s\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\","
                      "\"serialNumber\":\"%s\",\"registrationDate\":1,\"lastUpdateDate\":%" PRId64 "%s}",
                      email, serial, updated_ms, shares);
}

static inline const char *
bench_withdrawn(int64_t withdrawn_ms)
{
    return bench_text("{\"withdrawn\":%" PRId64 "}", withdrawn_ms);
}

static inline const char *
bench_phone(const char *email, int64_t time_ms, int x)
{
    return bench_text("{\"user\":\"%s\",\"timestamp\":%" PRId64 ",\"x\":%d,\"y\":0,\"z\":0}", email, time_ms, x);
}

static inline const char *
bench_step_trainer(const char *serial, int64_t time_ms, int distance)
{
    return bench_text("{\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"%s\",\"distanceFromObject\":%d}", time_ms,
                      serial, distance);
}

/* Have the row of a customer, whose name is a hash, called EMAIL/SERIAL in the lines. */
static inline void
bench_call_row(struct bench *bench, const struct hash_key *key, struct span email, struct span serial)
{
    const struct span parts[] = {email, serial};
    const struct hash_id id = hash_id(key, parts, 2);
    char hex[HASH_ID_HEX_SIZE];

    hash_hex(&id, hex);
    if (bench_row_name(bench, span_of(hex)).len == HASH_ID_HEX_SIZE - 1)
        buffer_printf(&bench->names, "%s %.*s/%.*s\n", hex, (int)email.len, email.at, (int)serial.len, serial.at);
}

/* Whether the state's file holds text anywhere, in pages that are free again too. */
static inline bool
bench_file_holds(struct bench *bench, const char *text)
{
    char path[128];
    struct buffer content = {0};

    bench_commit(bench);
    snprintf(path, sizeof path, "%s/data.mdb", bench->dir);
    assert_int_equal(file_read(path, &content), 0);
    bool holds = memmem(content.data, content.len, text, strlen(text)) != NULL;
    buffer_free(&content);
    return holds;
}

/* What operator->rows gives out, `page` rows a snapshot, in lines like those of bench_table. To be freed. */
struct bench_page {
    struct bench *bench;
    struct buffer lines;
    char last[NAME_BYTES_MAX];
    size_t last_len;
    unsigned left;
};

static inline bool
bench_visit_row(void *context, struct span row, struct span body)
{
    struct bench_page *page = context;
    struct span name = bench_row_name(page->bench, row);

    if (page->left == 0)
        return false;
    page->left--;
    memcpy(page->last, row.at, row.len);
    page->last_len = row.len;
    buffer_printf(&page->lines, "row %.*s {%.*s}\n", (int)name.len, name.at, (int)body.len, body.at);
    return true;
}

static inline char *
bench_rows(struct bench *bench, unsigned rows_a_page)
{
    struct bench_page page = {.bench = bench};
    size_t before;

    bench_commit(bench);
    do {
        before = page.lines.len;
        page.left = rows_a_page;
        assert_int_equal(store_snapshot(bench->store), 0);
        assert_int_equal(bench->setup->operator->rows(bench->state, span_at(page.last, page.last_len), bench_visit_row,
                                                      &page), 0);
        store_snapshot_end(bench->store);
    } while (page.lines.len > before);
    char *copy = strdup(buffer_text(&page.lines));
    char *sorted = bench_sorted(copy, "row ");
    free(copy);
    buffer_free(&page.lines);
    return sorted;
}

static inline void
bench_assert_text(const struct bench *bench, char *got, const char *expected)
{
    if (strcmp(got, expected) != 0) {
        print_error("got\n%sinstead of\n%s", got, expected);
        bench_fail(bench, "other text than expected");
    }
    free(got);
}

/* Setups. */

static inline struct bench_setup
bench_filter(const struct filter_parameters *parameters)
{
    return (struct bench_setup){&filter_operator, parameters, {{RECORD_CUSTOMER, RECORD_FROM_LANDING}}, 1};
}

static inline struct bench_setup
bench_gate(const struct gate_parameters *parameters)
{
    const enum record_kind kind = parameters->key == GATE_BY_EMAIL ? RECORD_ACCELEROMETER : RECORD_STEP_TRAINER;

    return (struct bench_setup){&gate_operator,
                                parameters,
                                {[GATE_STREAM] = {kind, RECORD_FROM_LANDING},
                                 [GATE_TABLE] = {RECORD_CUSTOMER, RECORD_FROM_LINK}},
                                2};
}

static inline struct bench_setup
bench_presence(void)
{
    return (struct bench_setup){&presence_operator,
                                NULL,
                                {[PRESENCE_TABLE] = {RECORD_CUSTOMER, RECORD_FROM_LINK},
                                 [PRESENCE_STREAM] = {RECORD_ACCELEROMETER, RECORD_FROM_LINK}},
                                2};
}

static inline struct bench_setup
bench_join(const struct join_parameters *parameters)
{
    return (struct bench_setup){&join_operator,
                                parameters,
                                {[JOIN_STEP_TRAINER] = {RECORD_STEP_TRAINER, RECORD_FROM_LINK},
                                 [JOIN_ACCELEROMETER] = {RECORD_ACCELEROMETER, RECORD_FROM_LINK},
                                 [JOIN_TABLE] = {RECORD_CUSTOMER, RECORD_FROM_LINK}},
                                3};
}

/* Orders and chance. */

/* The next order of count numbers, from 0 1 2 … on; false after the last. */
static inline bool
bench_next_order(unsigned *order, unsigned count)
{
    unsigned i = count - 1;

    while (i > 0 && order[i - 1] > order[i])
        i--;
    if (i == 0)
        return false;
    unsigned j = count - 1;
    while (order[j] < order[i - 1])
        j--;
    unsigned swap = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swap;
    for (j = count - 1; i < j; i++, j--) {
        swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return true;
}

/* A number below `below`, from a generator that is the same everywhere (xorshift). *chance must not be 0. */
static inline unsigned
bench_chance(uint64_t *chance, unsigned below)
{
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    return (unsigned)((*chance >> 11) % below);
}

/* One record of a set whose orders are tried. */
struct bench_record {
    unsigned input;
    const char *row;
    const char *json;
};

#define BENCH_ORDER_MAX 8

/* Give the count records in every order, settling after each record (steadily) or only at the end, each order in a
 * transaction that is aborted; the final output, told by `output`, must be `expected` for all of them. */
static inline void
bench_every_order(struct bench *bench, const struct bench_record *records, unsigned count, bool steadily,
                  char *(*output)(struct bench *bench), const char *expected)
{
    unsigned order[BENCH_ORDER_MAX];

    assert_true(count <= BENCH_ORDER_MAX);
    for (unsigned i = 0; i < count; i++)
        order[i] = i;
    do {
        for (unsigned i = 0; i < count; i++) {
            const struct bench_record *record = &records[order[i]];
            bench_take(bench, record->input, record->row, record->json);
            if (steadily)
                bench_settle(bench, 1);
        }
        bench_settle(bench, 2);
        char *got = output(bench);
        if (strcmp(got, expected) != 0) {
            for (unsigned i = 0; i < count; i++)
                print_error("%s %s\n", records[order[i]].row, records[order[i]].json);
            print_error("gives\n%sinstead of\n%s", got, expected);
            fail();
        }
        free(got);
        bench_abort(bench);
    } while (bench_next_order(order, count));
}

#endif
