/*
 * Every tests/golden/OPERATOR/CASE.in is played to the operator; CASE.out must come of it. tests/golden/README.md says
 * what stands in them. GOLDEN_WRITE=1 in the environment writes the .out files instead: read the difference before it
 * is committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>

#include "operator_bench.h"

#define CASES_MAX 100

static const struct hash_key key = {"a key for tests"};

/* One case at work. */
struct golden {
    char operator_name[32];
    struct filter_parameters filter;
    struct gate_parameters gate;
    struct join_parameters join;
    struct bench_setup setup;
    struct bench *bench; /* from the first line that is no setting on */
    bool rehearse;
    struct buffer transcript;
    size_t shown; /* of the bench's lines */
};

static void
bad_line(const char *line, const char *why)
{
    fail_msg("%s: %s", why, line);
}

static int64_t
duration_ms(const char *text)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1},
                 {"s", BENCH_SECOND_MS},
                 {"m", BENCH_MINUTE_MS},
                 {"h", BENCH_HOUR_MS},
                 {"d", 24 * BENCH_HOUR_MS},
                 {"", 1}};
    char *end;
    const int64_t number = strtoll(text, &end, 10);

    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0)
            return number * units[i].ms;
    }
    bad_line(text, "no duration");
    return 0;
}

/* Lines. */

static bool
set_choice(const char *value, const char *first, const char *second, unsigned *choice)
{
    *choice = strcmp(value, second) == 0;
    return *choice == 1 || strcmp(value, first) == 0;
}

static void
set(struct golden *golden, const char *line)
{
    char name[32], value[32];
    unsigned choice = 0;
    bool ok = sscanf(line, "set %31s %31s", name, value) == 2 && golden->bench == NULL;

    if (ok && strcmp(name, "hold") == 0) {
        golden->filter.hold_ms = golden->gate.hold_ms = duration_ms(value);
    } else if (ok && strcmp(name, "hold_bytes") == 0) {
        golden->gate.hold_bytes = golden->gate.hold_sender_bytes = atoll(value);
    } else if (ok && strcmp(name, "key") == 0) {
        ok = set_choice(value, "email", "serialNumber", &choice);
        golden->gate.key = choice ? GATE_BY_SERIAL_NUMBER : GATE_BY_EMAIL;
    } else if (ok && strcmp(name, "consent") == 0) {
        ok = set_choice(value, "any", "as_of", &choice);
        golden->gate.as_of = choice;
    } else if (ok && strcmp(name, "match") == 0) {
        ok = set_choice(value, "time", "customer", &choice);
        golden->join.match = choice ? JOIN_BY_CUSTOMER : JOIN_BY_TIME;
    } else if (ok && strcmp(name, "subject") == 0) {
        ok = set_choice(value, "pseudonym", "none", &choice);
        golden->join.subject = choice ? JOIN_SUBJECT_NONE : JOIN_SUBJECT_PSEUDONYM;
    } else if (ok && strcmp(name, "window") == 0) {
        golden->join.window_ms = duration_ms(value);
    } else if (ok && strcmp(name, "retain") == 0) {
        golden->join.retain_ms = duration_ms(value);
    } else {
        ok = false;
    }
    if (!ok)
        bad_line(line, "no setting");
}

/* Open the bench with the settings so far. */
static void
begin(struct golden *golden)
{
    if (golden->bench != NULL)
        return;
    if (strcmp(golden->operator_name, "filter") == 0)
        golden->setup = bench_filter(&golden->filter);
    else if (strcmp(golden->operator_name, "gate") == 0)
        golden->setup = bench_gate(&golden->gate);
    else if (strcmp(golden->operator_name, "presence") == 0)
        golden->setup = bench_presence();
    else if (strcmp(golden->operator_name, "join") == 0)
        golden->setup = bench_join(&golden->join);
    else
        bad_line(golden->operator_name, "no operator");
    golden->bench = bench_open(&golden->setup);
    golden->bench->rehearse = golden->rehearse;
}

/* Have a filter's row called by what stands in the record. */
static void
call_row(struct golden *golden, unsigned input, const char *json)
{
    struct record record;

    if (record_decode(golden->bench->decoders[input], span_of(json), RECORD_FROM_LANDING, golden->bench->now_ms,
                      &record).reason == REASON_NONE)
        bench_call_row(golden->bench, &key, record.email, record.serial_number);
}

/* A line "KIND {…}" or, for an input over a link that is a table, "customer ROW {…}". */
static void
give_record(struct golden *golden, const char *line)
{
    const struct bench_setup *setup = &golden->setup;
    const char *json = strchr(line, '{');
    char kind[32] = "", row[NAME_BYTES_MAX] = "";

    if (json == NULL)
        bad_line(line, "no record");
    const int words = sscanf(line, "%31s %63s", kind, row);
    for (unsigned i = 0; i < setup->input_count; i++) {
        const bool table = setup->inputs[i].kind == RECORD_CUSTOMER && setup->inputs[i].source == RECORD_FROM_LINK;
        if (strcmp(kind, record_kind_name(setup->inputs[i].kind)) != 0)
            continue;
        if (table != (words == 2 && row[0] != '{'))
            bad_line(line, "a row's name is missing or too much");
        if (setup->operator == &filter_operator)
            call_row(golden, i, json);
        bench_take(golden->bench, i, table ? row : "", json);
        return;
    }
    bad_line(line, "no input of this kind");
}

static void
show_counts(struct golden *golden)
{
    static const char *const words[VERDICT_COUNT] = {"passed", "waiting", "refused", "duplicate", "stale", "invalid"};

    for (unsigned i = 0; i < golden->setup.input_count; i++) {
        const struct bench_counts *counts = &golden->bench->counts[i];
        buffer_printf(&golden->transcript, "    counts %s: taken %" PRId64,
                      record_kind_name(golden->setup.inputs[i].kind), counts->taken);
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            if (counts->verdicts[v] != 0)
                buffer_printf(&golden->transcript, " %s %" PRId64, words[v], counts->verdicts[v]);
        }
        buffer_add_text(&golden->transcript, "\n");
    }
}

/* What went out since the last line, indented; in any order, so sorted. */
static void
show_output(struct golden *golden)
{
    char *fresh = strdup(buffer_text(&golden->bench->lines) + golden->shown);
    char *sorted = bench_sorted(fresh, "");

    for (char *line = strtok(sorted, "\n"); line != NULL; line = strtok(NULL, "\n"))
        buffer_printf(&golden->transcript, "    %s\n", line);
    free(sorted);
    free(fresh);
    golden->shown = golden->bench->lines.len;
}

static void
play_line(struct golden *golden, const char *line)
{
    buffer_printf(&golden->transcript, "%s\n", line);
    if (line[0] == '\0' || line[0] == '#')
        return;
    if (strncmp(line, "set ", 4) == 0) {
        set(golden, line);
        return;
    }
    begin(golden);
    if (strncmp(line, "at ", 3) == 0) {
        bench_flush(golden->bench);
        golden->bench->now_ms = BENCH_START_MS + duration_ms(line + 3);
    } else if (strcmp(line, "work") == 0) {
        bench_settle(golden->bench, 2);
    } else if (strcmp(line, "reopen") == 0) {
        bench_reopen(golden->bench);
    } else if (strcmp(line, "counts") == 0) {
        show_counts(golden);
    } else {
        give_record(golden, line);
    }
    show_output(golden);
}

/* Files. */

/* The file's content with a NUL behind it, or NULL if there is none. To be freed. */
static char *
content_of(const char *path)
{
    struct buffer content = {0};
    char *text = NULL;

    if (file_read(path, &content) == 0)
        text = strdup(buffer_text(&content));
    else
        assert_int_equal(errno, ENOENT);
    buffer_free(&content);
    return text;
}

/* What comes of the case in the file at path, to be freed. */
static char *
play(const char *operator_name, const char *path, bool rehearse)
{
    struct golden golden = {
        .filter = {.pseudonym_key = key, .hold_ms = 24 * BENCH_HOUR_MS},
        .gate = {.key = GATE_BY_EMAIL, .hold_ms = 24 * BENCH_HOUR_MS, .hold_bytes = INT64_C(1) << 32,
                 .hold_sender_bytes = INT64_C(1) << 32},
        .join = {.match = JOIN_BY_TIME, .retain_ms = 24 * BENCH_HOUR_MS, .subject = JOIN_SUBJECT_EMAIL,
                 .pseudonym_key = key},
        .rehearse = rehearse,
    };
    char *text = content_of(path);
    char *rest = text, *line;

    assert_non_null(text);
    snprintf(golden.operator_name, sizeof golden.operator_name, "%s", operator_name);
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (rest != NULL) /* behind the last line end is no line */
            play_line(&golden, line);
    }
    assert_non_null(golden.bench);
    buffer_add_text(&golden.transcript, "\nend\n");
    show_counts(&golden);
    bench_close(golden.bench);
    char *transcript = strdup(buffer_text(&golden.transcript));
    buffer_free(&golden.transcript);
    free(text);
    return transcript;
}

/* How many lines at the beginning of a and b are equal; *a and *b move behind them. */
static unsigned
skip_equal(const char **a, const char **b)
{
    unsigned lines = 0;

    for (;;) {
        const size_t a_len = strcspn(*a, "\n"), b_len = strcspn(*b, "\n");
        if (**a == '\0' || **b == '\0' || a_len != b_len || memcmp(*a, *b, a_len) != 0)
            return lines;
        *a += a_len + ((*a)[a_len] == '\n');
        *b += b_len + ((*b)[b_len] == '\n');
        lines++;
    }
}

static void
print_lines(const char *from, const char *to, char mark)
{
    while (from < to) {
        const int len = (int)strcspn(from, "\n");
        print_error("%c %.*s\n", mark, len, from);
        from += len + (from[len] == '\n');
    }
}

/* Show what lies between what is equal at both ends. */
static void
show_difference(const char *name, const char *expected, const char *got)
{
    const char *e = expected, *g = got;
    const unsigned equal = skip_equal(&e, &g);
    const char *e_end = e + strlen(e), *g_end = g + strlen(g);

    while (e_end > e && g_end > g && e_end[-1] == g_end[-1]) {
        e_end--;
        g_end--;
    }
    e_end += strcspn(e_end, "\n");
    g_end += strcspn(g_end, "\n");
    print_error("%s.out, from line %u on: - is expected, + came of it\n", name, equal + 1);
    print_lines(e, e_end, '-');
    print_lines(g, g_end, '+');
}

static void
check(const char *operator_name, const char *name)
{
    struct buffer in_path = {0}, out_path = {0};

    buffer_printf(&in_path, "%s/golden/%s/%s.in", TESTS_DIR, operator_name, name);
    buffer_printf(&out_path, "%s/golden/%s/%s.out", TESTS_DIR, operator_name, name);
    const char *in = buffer_text(&in_path), *out = buffer_text(&out_path);
    for (unsigned rehearse = 0; rehearse < 2; rehearse++) { /* the second time every step is aborted once */
        char *got = play(operator_name, in, rehearse);
        if (getenv("GOLDEN_WRITE") != NULL)
            assert_int_equal(file_replace(out, got), 0);
        char *expected = content_of(out);
        if (expected == NULL)
            fail_msg("%s is missing", out);
        if (strcmp(expected, got) != 0) {
            show_difference(name, expected, got);
            fail();
        }
        free(expected);
        free(got);
    }
    buffer_free(&in_path);
    buffer_free(&out_path);
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* All cases of an operator, in order of their names. */
static void
play_folder(const char *operator_name)
{
    static char names[CASES_MAX][64];
    char path[512];
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/golden/%s", TESTS_DIR, operator_name);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".in") != 0)
            continue;
        assert_true(count < CASES_MAX && dot - entry->d_name < 64);
        snprintf(names[count++], sizeof names[0], "%.*s", (int)(dot - entry->d_name), entry->d_name);
    }
    closedir(folder);
    assert_true(count > 0);
    qsort(names, count, sizeof names[0], compare_names);
    for (unsigned i = 0; i < count; i++)
        check(operator_name, names[i]);
}

static void
filter(void **state)
{
    (void)state;
    play_folder("filter");
}

static void
gate(void **state)
{
    (void)state;
    play_folder("gate");
}

static void
presence(void **state)
{
    (void)state;
    play_folder("presence");
}

static void
join(void **state)
{
    (void)state;
    play_folder("join");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter),
        cmocka_unit_test(gate),
        cmocka_unit_test(presence),
        cmocka_unit_test(join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
