/* stored: what was forged, damaged or deadly before it was stored, or there: no process dies of it at every start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/name.h"
#include "gathered.h"
#include "memory_process.h"
#include "operator/join.h"
#include "store/keyset.h"

#define FEED(producer) "gait/link/" producer "/machine-learning-curated/feed"
#define STEP(time) "{\"sensorReadingTime\":" time ",\"serialNumber\":\"s\",\"distanceFromObject\":1}"
#define CUSTOMER                                                                                                       \
    "{\"customerName\":\"A\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\","                     \
    "\"serialNumber\":\"s\",\"registrationDate\":5,\"lastUpdateDate\":1234567,\"shareWithResearchAsOfDate\":1234567}"

/* As from a producer, or whoever may publish there. */
static void
feed(const char *topic, uint64_t sequence, const char *payload)
{
    const struct wire_message message = {
        .topic = span_of(topic), .payload = span_of(payload), .epoch = 7, .sequence = sequence};

    memory_route(&bench.broker, &message);
    bench_settle();
}

static uint64_t
counted(unsigned input, enum verdict verdict)
{
    return inside_ledger(bench.process)->inputs[input].verdicts[verdict];
}

static void
bug_361_a_forged_reading_is_invalid_and_its_link_goes_on(void **state)
{
    static const char *const times[] = {"9223372036854775807", "-1", "-9223372036854775808", "253402300800000"};

    (void)state;
    bench_open_process(&machine_learning_curated, NULL);
    for (unsigned i = 0; i < 4; i++) {
        char payload[256];
        snprintf(payload, sizeof payload, STEP("%s"), times[i]);
        feed(FEED("step-trainer-trusted"), 2 * i + 1, payload);
        assert_int_equal(counted(JOIN_STEP_TRAINER, VERDICT_INVALID), i + 1);
        assert_non_null(strstr(bench_heard("gait/rejected/machine-learning-curated", 0)->payload,
                               "\"out_of_range\",\"field\":\"sensorReadingTime\""));
        feed(FEED("step-trainer-trusted"), 2 * i + 2, STEP("1600000000000"));
        assert_int_equal(counted(JOIN_STEP_TRAINER, VERDICT_WAITING), i + 1);
        assert_int_equal(inside_link(bench.process, JOIN_STEP_TRAINER)->committed.applied, 2 * i + 2);
    }
    feed(FEED("customer-curated") "/r1", 1, CUSTOMER);
    assert_int_equal(counted(JOIN_TABLE, VERDICT_PASSED), 1);
}

static void
bug_362_a_row_that_has_no_name_is_a_strangers(void **state)
{
    static const char *const rests[] = {"", "/", "/a/b", "/a b", "/\xc3\xa9",
                                        "/0123456789012345678901234567890123456789012345678901234567890123x"};

    (void)state;
    bench_open_process(&machine_learning_curated, NULL);
    for (unsigned i = 0; i < sizeof rests / sizeof rests[0]; i++) {
        char topic[256];
        snprintf(topic, sizeof topic, FEED("customer-curated") "%s", rests[i]);
        feed(topic, 1, CUSTOMER);
        assert_int_equal(inside_ledger(bench.process)->inputs[JOIN_TABLE].taken, 0);
    }
    feed(FEED("step-trainer-trusted") "/r1", 1, STEP("1600000000000"));
    assert_int_equal(inside_ledger(bench.process)->inputs[JOIN_STEP_TRAINER].taken, 0);
    feed(FEED("customer-curated") "/r_1-A", 1, CUSTOMER);
    assert_int_equal(counted(JOIN_TABLE, VERDICT_PASSED), 1);
}

/* A record that kills: the operator of the process dies of it, as of a fault of ours that nobody knows yet. */

#define LANDING "gait/landing/accelerometer"
#define READING(user, time) "{\"user\":\"" user "\",\"timestamp\":" time ",\"x\":1.0,\"y\":-0.5,\"z\":0}\n"
#define STARTS_MAX 40

static struct stream deadly;
static struct operator deadly_operator;
static unsigned taken_before_death; /* UINT_MAX: nothing kills but the record */

static enum verdict
take_or_die(void *state, const struct arrival *arrival)
{
    if (span_is(arrival->record->email, "poison") || taken_before_death-- == 0)
        _exit(9); /* no last words: the way of kill -9 and of a segmentation fault */
    return accelerometer_trusted.operator->take(state, arrival);
}

static void
make_deadly(void)
{
    deadly_operator = *accelerometer_trusted.operator;
    deadly_operator.take = take_or_die;
    deadly = accelerometer_trusted;
    deadly.operator = &deadly_operator;
    taken_before_death = UINT_MAX;
}

/* One life of the process, in a process of its own: opened, given what `send` sends, worked, closed. Whether it lived. */
static bool
live_with(const struct setting *settings, void (*send)(void))
{
    const pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        bench_open_process(&deadly, settings);
        if (send != NULL)
            send();
        bench_settle();
        bench_close_process();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
live(void (*send)(void))
{
    return live_with(NULL, send);
}

/* Start it again and again until it lives. How often it died. */
static unsigned
live_on(void)
{
    unsigned deaths = 0;

    while (!live(NULL))
        assert_true(++deaths < STARTS_MAX);
    return deaths;
}

static void
send_poison(void)
{
    struct buffer payload = {0};

    for (unsigned i = 0; i < 5; i++)
        buffer_add_text(&payload, READING("ann", "1600000000001"));
    buffer_add_text(&payload, READING("poison", "1600000000000"));
    for (unsigned i = 0; i < 5; i++)
        buffer_add_text(&payload, READING("bob", "1600000000001"));
    bench_send(LANDING, READING("eve", "1600000000000"), NULL, NULL);
    bench_send(LANDING "/phone", buffer_text(&payload), "somebody/else", "7");
    bench_send(LANDING, READING("dan", "1600000000000"), NULL, NULL);
    buffer_free(&payload);
}

/* One record is set aside, which has this in it. */
static void
assert_one_aside(const char *part)
{
    struct span value;
    char key[8];
    struct store *store = inside_store(bench.process);
    const int aside = inside_aside(bench.process);

    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_count(store, aside), 1);
    bytes_put_u64(key, 1);
    assert_int_equal(store_get(store, aside, span_at(key, sizeof key), &value), 1);
    assert_true(value.len > 1 && memmem(value.at + 1, value.len - 1, part, strlen(part)) != NULL);
    store_abort(store);
}

static void
bug_363_a_record_that_kills_is_set_aside(void **state)
{
    (void)state;
    make_deadly();
    assert_false(live(send_poison));
    assert_int_equal(live_on(), ATTEMPT_SUSPECTED + ATTEMPT_DEATHS - 1);
    bench_open_process(&deadly, NULL);
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 13);
    assert_int_equal(counted(0, VERDICT_INVALID), 1);
    assert_int_equal(counted(0, VERDICT_WAITING), 4); /* repeats are duplicates */
    assert_int_equal(inside_ledger(bench.process)->reasons[REASON_POISON], 1);
    assert_int_equal(inside_inbox_end(bench.process), inside_inbox_position(bench.process));
    assert_one_aside("poison");
}

/* Three kills at one and the same record would be taken for its doing; but one that moves is nobody's. */
static void
kills_at_random_set_nothing_aside(void **state)
{
    (void)state;
    make_deadly();
    taken_before_death = 3;
    assert_false(live(send_poison));
    deadly_operator.take = accelerometer_trusted.operator->take;
    for (unsigned i = 0; i < 2; i++)
        assert_true(live(NULL));
    bench_open_process(&deadly, NULL);
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 13);
    assert_int_equal(inside_ledger(bench.process)->reasons[REASON_POISON], 0);
    assert_false(attempt_is_careful(inside_attempt(bench.process)));
}

/* Something stored that kills when its time has come: the process dies of whatever goes out of it. */

#define FEED_TO(producer, consumer) "gait/link/" producer "/" consumer "/feed"
#define PHONE(user, time) "{\"user\":\"" user "\",\"timestamp\":" time ",\"x\":1.0,\"y\":-0.5,\"z\":0}"
#define CUSTOMER_SINCE(user, serial, since)                                                                            \
    "{\"customerName\":\"A\",\"email\":\"" user "\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\",\"serialNumber\":\""   \
    serial "\",\"registrationDate\":5,\"lastUpdateDate\":1600000000000,\"shareWithResearchAsOfDate\":" since "}"
#define CUSTOMER_LEAVES(user, serial, updated, more)                                                                   \
    "{\"customerName\":\"A\",\"email\":\"" user "\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\",\"serialNumber\":\""   \
    serial "\",\"registrationDate\":5,\"lastUpdateDate\":160000000000" updated more "}"
#define CUSTOMER_OUT(user, serial, updated) CUSTOMER_LEAVES(user, serial, updated, "")
#define CUSTOMER_ALL_OUT(user, serial) CUSTOMER_LEAVES(user, serial, "2", ",\"withdrawAll\":true")
#define CUSTOMER_OF(user, serial) CUSTOMER_SINCE(user, serial, "1600000000000")
#define STEP_OF(serial)                                                                                                \
    "{\"sensorReadingTime\":1600000000000,\"serialNumber\":\"" serial "\",\"distanceFromObject\":1}"
#define HOUR_MS (INT64_C(3600) * 1000)

static const struct operator *real_operator;
static struct output *real_output;

static void
die_of_poison(struct span body)
{
    if (body.len > 0 && memmem(body.at, body.len, "poison", 6) != NULL)
        _exit(9);
}

static void
emit_or_die(struct output *output, struct span body)
{
    (void)output;
    die_of_poison(body);
    real_output->emit(real_output, body);
}

static void
emit_row_or_die(struct output *output, struct span row, struct span body)
{
    (void)output;
    die_of_poison(body);
    real_output->emit_row(real_output, row, body);
}

static void
refuse_or_die(struct output *output, unsigned input, enum reason reason, struct span body)
{
    (void)output;
    die_of_poison(body);
    real_output->refuse(real_output, input, reason, body);
}

static void
move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    (void)output;
    real_output->move(real_output, input, from, to);
}

static bool
full(struct output *output)
{
    (void)output;
    return real_output->full(real_output);
}

static bool
is_deadly(struct output *output, unsigned input, struct span place, struct span body)
{
    (void)output;
    return real_output->deadly(real_output, input, place, body);
}

static struct output deadly_output = {emit_or_die, emit_row_or_die, refuse_or_die, move, full, is_deadly};

static int
work_or_die(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    real_output = output;
    return real_operator->work(state, now_ms, wall_ms, budget, &deadly_output);
}

static enum verdict
take_and_put_out_or_die(void *state, const struct arrival *arrival)
{
    struct arrival ours = *arrival;

    real_output = arrival->output;
    ours.output = &deadly_output;
    return real_operator->take(state, &ours);
}

static int
work_nothing(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    (void)state;
    (void)now_ms;
    (void)wall_ms;
    (void)budget;
    (void)output;
    return 0;
}

/* One step, so that what is due stays so. */
static void
feed_only(const char *topic, uint64_t sequence, const char *payload)
{
    const struct wire_message message = {
        .topic = span_of(topic), .payload = span_of(payload), .epoch = 7, .sequence = sequence};

    memory_route(&bench.broker, &message);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    process_step(bench.process);
}

static void
readings_without_a_row(void)
{
    bench_send(LANDING, READING("ann", "1600000000000") READING("poison", "1600000000000"), NULL, NULL);
    bench_send(LANDING, READING("bob", "1600000000000"), NULL, NULL);
    bench_settle();
}

static void
readings_and_then_rows(void)
{
    readings_without_a_row();
    feed_only(FEED_TO("customer-trusted", "accelerometer-trusted") "/r1", 1, CUSTOMER_OF("ann", "s1"));
    feed_only(FEED_TO("customer-trusted", "accelerometer-trusted") "/r2", 2, CUSTOMER_OF("poison", "s2"));
    feed_only(FEED_TO("customer-trusted", "accelerometer-trusted") "/r3", 3, CUSTOMER_OF("bob", "s3"));
}

static void
customers_of_later(void)
{
    char payload[1024];

    snprintf(payload, sizeof payload,
             CUSTOMER_SINCE("a", "s1", "%" PRId64) CUSTOMER_SINCE("poison", "s2", "%" PRId64)
             CUSTOMER_SINCE("b", "s3", "%" PRId64),
             bench.wall_ms + HOUR_MS, bench.wall_ms + HOUR_MS + 1, bench.wall_ms + HOUR_MS + 2);
    bench_send("gait/landing/customer", payload, NULL, NULL);
    bench_settle();
}

static void
rows_of_one_person(void)
{
    feed(FEED_TO("customer-trusted", "customer-curated") "/r1", 1, CUSTOMER_OF("a", "s1"));
    feed(FEED_TO("customer-trusted", "customer-curated") "/r2", 2, CUSTOMER_OF("a", "poison"));
    feed(FEED_TO("customer-trusted", "customer-curated") "/r3", 3, CUSTOMER_OF("a", "s3"));
}

static void
reading_of_that_person(void)
{
    feed(FEED_TO("accelerometer-trusted", "customer-curated"), 1, PHONE("a", "1600000000000"));
}

static void
rows_to_be_released(void)
{
    rows_of_one_person();
    *inside_limits(bench.process).batch_output_bytes = 1;
    feed_only(FEED_TO("accelerometer-trusted", "customer-curated"), 1, PHONE("a", "1600000000000"));
}

static void
phones(void)
{
    feed(FEED("customer-curated") "/r1", 1, CUSTOMER_OF("a", "s1"));
    for (unsigned i = 1; i <= 3; i++)
        feed(FEED("accelerometer-trusted"), i, PHONE("a", "1600000000000"));
}

static void
phones_and_a_step_and_then_its_row(void)
{
    phones();
    feed(FEED("step-trainer-trusted"), 1, STEP_OF("poison"));
    feed_only(FEED("customer-curated") "/r2", 2, CUSTOMER_OF("b", "poison"));
}

static void
steps_without_a_row(void)
{
    feed(FEED("step-trainer-trusted"), 1, STEP_OF("s1"));
    feed(FEED("step-trainer-trusted"), 2, STEP_OF("poison"));
    feed(FEED("step-trainer-trusted"), 3, STEP_OF("s2"));
}

static void
steps_without_a_partner(void)
{
    feed(FEED("customer-curated") "/r1", 1, CUSTOMER_OF("a", "s1"));
    feed(FEED("customer-curated") "/r2", 2, CUSTOMER_OF("b", "poison"));
    feed(FEED("customer-curated") "/r3", 3, CUSTOMER_OF("b", "s2"));
    steps_without_a_row();
}

static void
a_step_with_too_many_partners(void)
{
    phones();
    feed(FEED("customer-curated") "/r2", 2, CUSTOMER_OF("b", "poison"));
    *inside_limits(bench.process).batch_output_bytes = 1;
    *inside_limits(bench.process).message_bytes = 1; /* a message for each pair */
    feed_only(FEED("step-trainer-trusted"), 1, STEP_OF("poison"));
}

static const struct setting by_customer[] = {{"machine-learning-curated", "match", "customer"}, {0}};

static void
phones_and_a_step_and_then_a_row_of_both(void)
{
    phones();
    feed(FEED("customer-curated") "/r2", 2, CUSTOMER_OF("b", "poison"));
    feed(FEED("step-trainer-trusted"), 1, STEP_OF("poison"));
    feed_only(FEED("customer-curated") "/r3", 3, CUSTOMER_OF("a", "poison"));
}

/* What is stored, and what has become of the input's records when the deadly one is set aside. */
static const struct due_case {
    const struct stream *stream;
    const struct setting *settings;
    void (*fill)(void);
    void (*send)(void); /* in each life after that */
    unsigned hours;     /* so much later */
    unsigned input;
    unsigned passed, refused, invalid; /* none waits */
} due_cases[] = {
    {&accelerometer_trusted, NULL, readings_and_then_rows, NULL, 0, 0, 2, 0, 1},
    {&accelerometer_trusted, NULL, readings_without_a_row, NULL, 25, 0, 0, 2, 1},
    {&customer_trusted, NULL, customers_of_later, NULL, 2, 0, 2, 0, 1},
    {&customer_curated, NULL, rows_to_be_released, NULL, 0, 0, 2, 0, 1},
    {&customer_curated, NULL, rows_of_one_person, reading_of_that_person, 0, 0, 2, 0, 1},
    {&machine_learning_curated, NULL, phones_and_a_step_and_then_its_row, NULL, 0, JOIN_STEP_TRAINER, 0, 0, 1},
    {&machine_learning_curated, NULL, steps_without_a_row, NULL, 25, JOIN_STEP_TRAINER, 0, 2, 1},
    {&machine_learning_curated, NULL, steps_without_a_partner, NULL, 25, JOIN_STEP_TRAINER, 0, 2, 1},
    {&machine_learning_curated, NULL, a_step_with_too_many_partners, NULL, 0, JOIN_STEP_TRAINER, 1, 0, 0},
    {&machine_learning_curated, by_customer, phones_and_a_step_and_then_a_row_of_both, NULL, 0, JOIN_STEP_TRAINER, 0, 0, 1},
};

/* Store what is to be due, in a process of its own which works nothing that is. */
static void
fill_due(const struct due_case *test)
{
    const pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        deadly_operator.work = work_nothing;
        bench_open_process(&deadly, test->settings);
        test->fill();
        bench_close_process();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
assert_set_aside_and_gone(const struct due_case *test)
{
    bench_open_process(&deadly, test->settings);
    assert_int_equal(counted(test->input, VERDICT_PASSED), test->passed);
    assert_int_equal(counted(test->input, VERDICT_WAITING), 0);
    assert_int_equal(counted(test->input, VERDICT_REFUSED), test->refused);
    assert_int_equal(counted(test->input, VERDICT_INVALID), test->invalid);
    assert_int_equal(inside_ledger(bench.process)->reasons[REASON_POISON], 1);
    assert_true(inside_rejected(bench.process)->last.sequence > 0);
    assert_one_aside("poison");
    assert_true(deadly_operator.due_ms(inside_operator_state(bench.process)) > inside_timekeeper(bench.process)->now_ms);
}

static void
something_stored_that_kills_when_it_is_due_is_set_aside(void **state)
{
    for (size_t i = 0; i < sizeof due_cases / sizeof due_cases[0]; i++) {
        const struct due_case *test = &due_cases[i];
        unsigned deaths = 0;
        bench_end(state);
        bench_begin(state);
        real_operator = test->stream->operator;
        deadly_operator = *real_operator;
        deadly = *test->stream;
        deadly.operator = &deadly_operator;
        fill_due(test);
        bench.wall_ms += test->hours * HOUR_MS;
        deadly_operator.work = work_or_die;
        deadly_operator.take = take_and_put_out_or_die;
        while (!live_with(test->settings, test->send))
            assert_true(++deaths < STARTS_MAX);
        assert_int_equal(deaths, ATTEMPT_SUSPECTED + ATTEMPT_DEATHS);
        assert_set_aside_and_gone(test);
    }
}

/* A store that kills whoever opens it. */

static char said[512];

static void
note_said(const char *text)
{
    if (strstr(text, "while it opened") != NULL)
        snprintf(said, sizeof said, "%s", text);
}

static int
load_and_die(void *state)
{
    (void)state;
    _exit(9);
}

static void
who_dies_of_a_store_says_which(void **state)
{
    char line[3 * SCRATCH_DIR_SIZE];

    (void)state;
    make_deadly();
    assert_true(live(NULL));
    deadly_operator.load = load_and_die;
    for (unsigned i = 0; i < 3; i++)
        assert_false(live(NULL));
    deadly_operator.load = accelerometer_trusted.operator->load;
    log_follow(note_said);
    bench_open_process(&deadly, NULL);
    snprintf(line, sizeof line, "died 3 times in a row while it opened %s/state/accelerometer-trusted/store:", bench.dir);
    assert_non_null(strstr(said, line));
    said[0] = '\0';
    bench_close_process();
    bench_open_process(&deadly, NULL);
    log_follow(NULL);
    assert_string_equal(said, "");
}

/* A damaged inbox. */

static unsigned lines_said;

static void
count_said(const char *text)
{
    lines_said++;
    snprintf(said, sizeof said, "%s", text);
}

/* An entry in the inbox that nobody has worked. */
static void
take_in_only(void)
{
    bench_send(LANDING, READING("ann", "1600000000001"), NULL, NULL);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_hear(bench.broker.wires[i]))
            ;
    }
    assert_true(inside_inbox_end(bench.process) > inside_inbox_position(bench.process));
}

static void
spoil_byte(uint64_t at)
{
    char path[3 * SCRATCH_DIR_SIZE];

    snprintf(path, sizeof path, "%s/state/accelerometer-trusted/inbox/%016d", bench.dir, 0);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xff", 1, (off_t)at), 1);
    close(fd);
}

/* For a minute, then what was said of it is in lines_said and said. */
static void
step_for_a_minute(void)
{
    lines_said = 0;
    log_follow(count_said);
    for (unsigned i = 0; i < 6000; i++, bench.steady_ms += 10)
        process_step(bench.process);
    log_follow(NULL);
}

/* Five lines a second, for ever: a process that can't go on in its inbox stands, and says why once. */
static void
an_entry_that_can_not_be_worked_is_one_line(void **state)
{
    const struct inbox_entry entry = {.input = 7, .payload = span_of("{}")};

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    assert_int_equal(inbox_append(inside_inbox(bench.process), &entry), 0);
    take_in_only();
    step_for_a_minute();
    assert_int_equal(lines_said, 1);
    assert_non_null(strstr(said, "inbox: "));
    assert_non_null(strstr(said, " is for an input that this process does not have"));
    assert_non_null(strstr(inside_why(bench.process), "damaged"));
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 0);
}

/* Whether the metrics say this. */
static bool
metrics_say(const char *what)
{
    struct buffer text = {0};

    inside_metrics(bench.process, &text);
    const bool say = strstr(buffer_text(&text), what) != NULL;
    buffer_free(&text);
    return say;
}

static bool
lost_is_told(uint64_t from, uint64_t to)
{
    char why[256];

    snprintf(why, sizeof why,
             "its inbox lost messages that were acknowledged: %" PRIu64 " bytes in 1 place from %" PRIu64 " to %" PRIu64
             ": see its log, then gait status --acknowledge", to - from, from, to);
    return metrics_say(why) && !metrics_say("\"inbox_lost\":0,") && metrics_say("\"state\":\"running\"");
}

/* What stands behind damage is worked, and what is lost is told until somebody has seen it, whatever comes. */
static void
bug_680_a_damaged_inbox_is_worked_and_told_until_that_is_acknowledged(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const uint64_t from = inside_inbox_end(bench.process);
    take_in_only();
    const uint64_t to = inside_inbox_end(bench.process);
    take_in_only();
    spoil_byte(from + 20);
    step_for_a_minute();
    assert_int_equal(lines_said, 1);
    assert_non_null(strstr(said, "inbox: "));
    assert_non_null(strstr(said, "lost from "));
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 1);
    assert_int_equal(inside_inbox_position(bench.process), inside_inbox_end(bench.process));
    assert_true(lost_is_told(from, to));
    bench_close_process();
    bench_open_process(&accelerometer_trusted, NULL);
    assert_true(lost_is_told(from, to));
    bench_send("gait/acknowledge/accelerometer-trusted", "", NULL, NULL);
    bench_settle();
    assert_true(metrics_say("\"why\":\"\""));
    assert_true(metrics_say("\"inbox_lost\":0,"));
    bench_close_process();
    bench_open_process(&accelerometer_trusted, NULL);
    assert_true(metrics_say("\"inbox_lost\":0,"));
    /* And the last entry, behind which nothing comes. */
    const uint64_t last = inside_inbox_end(bench.process);
    take_in_only();
    spoil_byte(last + 20);
    step_for_a_minute();
    assert_int_equal(lines_said, 1);
    assert_true(lost_is_told(last, inside_inbox_end(bench.process)));
    assert_int_equal(inside_inbox_position(bench.process), inside_inbox_end(bench.process));
}

/* A folder in the place of the spare file: "inbox full, or no disk for it", and no line. */
static void
bug_681_what_hinders_the_spare_file_is_said(void **state)
{
    char path[3 * SCRATCH_DIR_SIZE];

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_close_process();
    snprintf(path, sizeof path, "%s/state/accelerometer-trusted/inbox/spare", bench.dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    bench.process = process_open(&bench.options);
    assert_non_null(bench.process);
    lines_said = 0;
    log_follow(count_said);
    for (unsigned i = 0; i < 100; i++)
        bench_settle();
    log_follow(NULL);
    assert_int_equal(lines_said, 1);
    assert_non_null(strstr(said, "spare: File exists"));
    assert_non_null(strstr(inside_why(bench.process), "its log says which"));
    assert_int_equal(rmdir(path), 0);
    bench_settle();
    assert_string_equal(inside_why(bench.process), "");
}

/* Damaged stores: of each value of each table of each process something is missing, or too much; none dies of it. */

#define TABLES_MAX 34

struct damage_case {
    const struct stream *stream;
    void (*fill)(void); /* what is in the store */
    void (*more)(void); /* what comes when it is damaged */
    const char *tables[TABLES_MAX];
};

static void
fill_customer_trusted(void)
{
    char ahead[24];
    struct buffer payload = {0};

    snprintf(ahead, sizeof ahead, "%" PRId64, bench.wall_ms + HOUR_MS);
    buffer_add_text(&payload, CUSTOMER_OF("a", "s1") CUSTOMER_OF("b", "s2") CUSTOMER_OUT("c", "s3", "1") "{}");
    buffer_printf(&payload, CUSTOMER_SINCE("d", "s4", "%s"), ahead);
    bench_send("gait/landing/customer/web", buffer_text(&payload), NULL, NULL);
    bench_settle();
    buffer_free(&payload);
}

/* All come again, two leave, one with all rows, one comes, and the date of another has come. */
static void
more_customer_trusted(void)
{
    fill_customer_trusted();
    bench_send("gait/landing/customer/web",
               CUSTOMER_OUT("a", "s1", "2") CUSTOMER_ALL_OUT("b", "s2") CUSTOMER_SINCE("c", "s3", "1600000000001"),
               NULL, NULL);
    bench_settle();
    bench.steady_ms += 2 * HOUR_MS;
    bench.wall_ms += 2 * HOUR_MS;
    bench_settle();
}

static void
fill_accelerometer(void)
{
    char text[512];

    feed(FEED_TO("customer-trusted", "accelerometer-trusted") "/r1", 1, CUSTOMER_OF("a", "s1"));
    for (unsigned i = 0; i < 40; i++) {
        snprintf(text, sizeof text,
                 "{\"user\":\"%c\",\"timestamp\":16000000000%02u,\"x\":1,\"y\":1,\"z\":1}", "ax"[i % 2], i);
        bench_send(LANDING, text, NULL, NULL);
        bench_settle();
    }
    bench_send(LANDING, "{}", NULL, NULL);
    bench_settle();
}

static void
more_accelerometer(void)
{
    feed(FEED_TO("customer-trusted", "accelerometer-trusted") "/r2", 2, CUSTOMER_OF("x", "s9"));
    feed(FEED_TO("customer-trusted", "accelerometer-trusted") "/r1", 3, "{\"withdrawn\":1600000000001}");
    bench_send(LANDING, READING("a", "1600000000011") READING("x", "1600000000012") READING("y", "1600000000012"),
               NULL, NULL);
    bench_settle();
}

static void
fill_presence(void)
{
    feed(FEED_TO("customer-trusted", "customer-curated") "/r1", 1, CUSTOMER_OF("a", "s1"));
    feed(FEED_TO("customer-trusted", "customer-curated") "/r2", 2, CUSTOMER_OF("b", "s2"));
    feed(FEED_TO("accelerometer-trusted", "customer-curated"), 1, PHONE("a", "1600000000000"));
    *inside_limits(bench.process).batch_output_bytes = 1; /* the second row of c is published later: a release */
    feed(FEED_TO("customer-trusted", "customer-curated") "/r3", 3, CUSTOMER_OF("c", "s3"));
    feed(FEED_TO("customer-trusted", "customer-curated") "/r4", 4, CUSTOMER_OF("c", "s4"));
    feed(FEED_TO("accelerometer-trusted", "customer-curated"), 2, PHONE("c", "1600000000000"));
}

static void
more_presence(void)
{
    feed(FEED_TO("accelerometer-trusted", "customer-curated"), 3, PHONE("b", "1600000000001"));
    feed(FEED_TO("customer-trusted", "customer-curated") "/r1", 5, "{\"withdrawn\":1600000000001}");
    feed(FEED_TO("customer-trusted", "customer-curated") "/r2", 6, "{\"withdrawn\":1600000000001}");
}

static void
fill_join(void)
{
    char text[256];

    feed(FEED("customer-curated") "/r1", 1, CUSTOMER_OF("a", "s1"));
    feed(FEED("customer-curated") "/r2", 2, CUSTOMER_OF("b", "s2"));
    for (unsigned i = 1; i <= 30; i++) {
        snprintf(text, sizeof text,
                 "{\"sensorReadingTime\":1600000000000,\"serialNumber\":\"s%u\",\"distanceFromObject\":%u}",
                 i % 3 + 1, i);
        feed(FEED("step-trainer-trusted"), i, text);
        snprintf(text, sizeof text,
                 "{\"user\":\"%c\",\"timestamp\":16000000000%02u,\"x\":1,\"y\":1,\"z\":1}", "abx"[i % 3], i / 9);
        feed(FEED("accelerometer-trusted"), i, text);
    }
    *inside_limits(bench.process).batch_output_bytes = 1;
    feed_only(FEED("accelerometer-trusted"), 31, PHONE("a", "1600000000000"));
    feed_only(FEED("customer-curated") "/r3", 3, CUSTOMER_OF("b", "s1"));
    feed_only(FEED("customer-curated") "/r4", 4, CUSTOMER_OF("x", "s3"));
}

static void
more_join(void)
{
    feed(FEED("customer-curated") "/r5", 5, CUSTOMER_OF("a", "s2"));
    feed(FEED("accelerometer-trusted"), 32, PHONE("a", "1600000000000"));
    feed(FEED("step-trainer-trusted"), 31, STEP("1600000000000"));
    feed(FEED("customer-curated") "/r1", 6, "{\"withdrawn\":1600000000001}");
    bench.steady_ms += 25 * 3600 * 1000;
    bench.wall_ms += 25 * 3600 * 1000;
    bench_settle();
}

static void
fill_lake(void)
{
    feed(FEED_TO("customer-trusted", "lake") "/r1", 1, CUSTOMER_OF("a", "s1"));
    feed(FEED_TO("accelerometer-trusted", "lake"), 1, PHONE("a", "1600000000000"));
}

static void
more_lake(void)
{
    feed(FEED_TO("customer-trusted", "lake") "/r1", 2, "{\"withdrawn\":1600000000001}");
    feed(FEED_TO("accelerometer-trusted", "lake"), 2, PHONE("a", "1600000000001"));
    bench.steady_ms += 5000;
    bench_settle();
}

static const struct damage_case damage_cases[] = {
    {&customer_trusted, fill_customer_trusted, more_customer_trusted,
     {"rows", "seen", "openings", "persons", "person_rows", "closings", "row_counts"}},
    {&accelerometer_trusted, fill_accelerometer, more_accelerometer,
     {"seen", "consent_rows", "consent_persons", "waiting", "waiting_settled", "waiting_index", "waiting_wakes",
      "waiting_size"}},
    {&customer_curated, fill_presence, more_presence, {"rows", "waiting", "seen", "releases"}},
    {&machine_learning_curated, fill_join, more_join,
     {"steps", "steps_settled", "steps_index", "step_partners", "step_rows", "step_persons", "steps_waiting",
      "steps_waiting_settled", "steps_waiting_index", "steps_wakes", "steps_waiting_size", "accelerations",
      "accelerations_settled", "accelerations_index", "acceleration_partners", "acceleration_rows",
      "acceleration_persons", "accelerations_waiting", "accelerations_waiting_settled", "accelerations_waiting_index",
      "accelerations_wakes", "accelerations_waiting_size", "pairings", "rests", "rules"}},
    {&lake, fill_lake, more_lake, {"parts", "lines", "rows"}},
};

static char damaged_dir[SCRATCH_DIR_SIZE];

static void
copy_state(void)
{
    char command[4 * SCRATCH_DIR_SIZE];

    snprintf(command, sizeof command, "rm -rf %s && cp -a %s %s", damaged_dir, bench.dir, damaged_dir);
    assert_int_equal(system(command), 0);
}

/* What a process makes of the damaged copy: 0, it is up; 1, it could not be opened. */
static void
live_damaged(void (*more)(void))
{
    alarm(60); /* nor does it turn in circles */
    memcpy(bench.dir, damaged_dir, sizeof bench.dir);
    bench.process = process_open(&bench.options);
    if (bench.process == NULL)
        _exit(1);
    bench_settle();
    if (more != NULL)
        more();
    bench.withheld = NULL;
    bench_settle();
    const bool stands = strstr(inside_why(bench.process), "damaged") != NULL;
    const bool told = stands == store_is_damaged(inside_store(bench.process));
    process_close(bench.process);
    _exit(told ? 0 : 2);
}

static void
assert_survived(const struct damage_case *test, const char *table, unsigned entry, size_t len, size_t was)
{
    const pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        live_damaged(test->more);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        fail_msg("%s, table %s: entry %u with %zu bytes in place of %zu: status 0x%x", test->stream->name, table, entry, len,
                 was, (unsigned)status);
}

/* In the place of len: the value is zeros, or as much as can be, or one bit of it is another (the last one, the first one),
 * or there is no entry. */
#define ZEROS SIZE_MAX
#define NO_ENTRY (SIZE_MAX - 1)
#define ONES (SIZE_MAX - 2)
#define LAST_BIT (SIZE_MAX - 3)
#define FIRST_BIT (SIZE_MAX - 4)

static int
put_damaged(struct store *store, int table, struct span key, struct buffer *value, size_t len)
{
    if (len == NO_ENTRY)
        return store_delete(store, table, key) == 1 ? 0 : -1;
    while (len < FIRST_BIT && value->len < len)
        buffer_add_byte(value, 'x');
    if (len >= FIRST_BIT && value->len > 0) {
        if (len == ZEROS || len == ONES)
            memset(value->data, len == ZEROS ? 0 : 0xff, value->len);
        value->data[value->len - 1] ^= len == LAST_BIT;
        value->data[0] ^= len == FIRST_BIT ? '\x80' : 0;
    }
    return store_put(store, table, key, span_at(value->data, len >= FIRST_BIT ? value->len : len));
}

/* Give the entry of this number in the copy's table a value of len bytes; how many it had, or −1: there is no such entry. */
static ssize_t
damage(const struct damage_case *test, const char *table, unsigned entry, size_t len)
{
    char path[2 * SCRATCH_DIR_SIZE];
    struct store_item item;
    struct buffer key = {0}, value = {0};
    ssize_t was = -1;

    copy_state();
    snprintf(path, sizeof path, "%s/state/%s/store", damaged_dir, test->stream->name);
    struct store *store = store_open(path, 16u << 20);
    const int number = store_table(store, table);
    assert_int_equal(store_begin(store), 0);
    int rc = store_seek(store, number, (struct span){0}, &item);
    while (rc == 1 && entry-- > 0)
        rc = store_next(store, number, &item);
    if (rc == 1) {
        was = (ssize_t)item.value.len;
        buffer_add_span(&key, item.key);
        buffer_add_span(&value, item.value);
        assert_int_equal(put_damaged(store, number, buffer_span(&key), &value, len), 0);
    }
    assert_int_equal(store_commit(store), 0);
    store_close(store);
    buffer_free(&key);
    buffer_free(&value);
    return was;
}

static void
damage_table(const struct damage_case *test, const char *table)
{
    unsigned entry = 0;

    for (ssize_t was; entry < 4 && (was = damage(test, table, entry, 0)) >= 0; entry++) {
        const size_t lens[] = {0, 1, 8, 16, (size_t)was / 2, was > 0 ? (size_t)was - 1 : 0, (size_t)was + 1,
                               ZEROS, ONES, LAST_BIT, FIRST_BIT, NO_ENTRY};
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            if (lens[i] < FIRST_BIT && (lens[i] > (size_t)was + 1 || lens[i] == (size_t)was))
                continue;
            damage(test, table, entry, lens[i]);
            assert_survived(test, table, entry, lens[i], (size_t)was);
        }
    }
}

static void
bug_364_no_process_dies_of_a_damaged_store(void **state)
{
    static const char *const own[] = {"meta", "outbox", "rejected", "secret", NULL};

    (void)state;
    keyset_gathered_max = 4;
    log_open("test", LOG_ERROR);
    for (size_t i = 0; i < sizeof damage_cases / sizeof damage_cases[0]; i++) {
        const struct damage_case *test = &damage_cases[i];
        bench_end(NULL);
        bench_begin(NULL);
        scratch_dir_make(damaged_dir);
        bench_open_process(test->stream, test->stream == &machine_learning_curated ? by_customer : NULL);
        test->fill();
        process_close(bench.process);
        bench.process = NULL;
        for (unsigned t = 0; own[t] != NULL; t++)
            damage_table(test, own[t]);
        for (unsigned t = 0; test->tables[t] != NULL; t++)
            damage_table(test, test->tables[t]);
        scratch_dir_remove(damaged_dir);
    }
}

/* Give the copy's "meta" this entry. */
static void
damage_meta(const struct damage_case *test, const char *key, size_t len)
{
    char path[2 * SCRATCH_DIR_SIZE];
    char value[512];

    copy_state();
    snprintf(path, sizeof path, "%s/state/%s/store", damaged_dir, test->stream->name);
    struct store *store = store_open(path, 16u << 20);
    const int number = store_table(store, "meta");
    memset(value, '\xff', sizeof value);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, number, span_of(key), span_at(value, len)), 0);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
}

/* What only a state has that came back from an older copy, or whose producer's did. */
static void
bug_364_nor_of_damaged_lives(void **state)
{
    static const char *const keys[] = {"first", "earlier", "back", "inbox_key", "inbox_lost", "left customer-trusted",
                                       "awaits customer-trusted"};
    static const size_t lens[] = {0, 1, 7, 9, 23, 24, 25, 23 + NAME_SIZE, 24 + NAME_SIZE, 9 * 24, 500};
    const struct damage_case *test = &damage_cases[1];

    (void)state;
    log_open("test", LOG_ERROR);
    scratch_dir_make(damaged_dir);
    bench_open_process(test->stream, NULL);
    test->fill();
    process_close(bench.process);
    bench.process = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t j = 0; j < sizeof lens / sizeof lens[0]; j++) {
            damage_meta(test, keys[i], lens[j]);
            assert_survived(test, keys[i], 0, lens[j], 0);
        }
    }
    scratch_dir_remove(damaged_dir);
}

/* A store that is not this process's is refused before anything is written to it. */

static char last_error[1024];

static void
note_error(const char *text)
{
    snprintf(last_error, sizeof last_error, "%s", text);
}

static void
read_store(const char *dir, const struct stream *stream, struct buffer *bytes)
{
    char path[3 * SCRATCH_DIR_SIZE];

    snprintf(path, sizeof path, "%s/state/%s/store/data.mdb", dir, stream->name);
    buffer_clear(bytes);
    assert_int_equal(file_read(path, bytes), 0);
}

/* The process does not start on what lies in the place of its store, says why, and leaves it as it is. */
static void
assert_refused(const struct stream *stream, const struct setting *settings, const char *why)
{
    struct buffer before = {0}, after = {0}, errors = {0};

    read_store(bench.dir, stream, &before);
    config_free(bench.config);
    bench.config = config_new(&catalog_config);
    for (; settings != NULL && settings->section != NULL; settings++)
        assert_int_equal(config_set(bench.config, settings->section, settings->key, settings->value, "test", &errors), 0);
    bench.options.config = bench.config;
    bench.options.stream = stream;
    last_error[0] = '\0';
    log_follow(note_error);
    struct process *process = process_open(&bench.options);
    log_follow(NULL);
    process_close(process);
    if (process != NULL)
        fail_msg("%s starts, and is to say: %s", stream->name, why);
    if (strstr(last_error, why) == NULL)
        fail_msg("%s: not said: %s, but: %s", stream->name, why, last_error);
    read_store(bench.dir, stream, &after);
    assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
    buffer_free(&before);
    buffer_free(&after);
}

/* Put what is at `from` below the test's folder in the place of the stream's store. */
static void
move_store(const char *from, const struct stream *stream)
{
    char command[8 * SCRATCH_DIR_SIZE];

    snprintf(command, sizeof command,
             "cd %s && mkdir -p -m 0700 state/%s && rm -rf state/%s/store && cp -a %s state/%s/store", bench.dir,
             stream->name, stream->name, from, stream->name);
    assert_int_equal(system(command), 0);
}

static void
bug_411_the_state_of_another_process_stays_as_it_is(void **state)
{
    char from[SCRATCH_DIR_SIZE], why[128];

    (void)state;
    for (size_t i = 0; i < sizeof damage_cases / sizeof damage_cases[0]; i++) {
        const struct damage_case *test = &damage_cases[i];
        bench_end(NULL);
        bench_begin(NULL);
        bench_open_process(test->stream, test->stream == &machine_learning_curated ? by_customer : NULL);
        test->fill();
        bench_close_process();
        snprintf(from, sizeof from, "state/%s/store", test->stream->name);
        snprintf(why, sizeof why, "is that of %s", test->stream->name);
        for (const struct stream *const *other = catalog_streams; *other != NULL; other++) {
            if (*other == test->stream)
                continue;
            move_store(from, *other);
            assert_refused(*other, NULL, why);
        }
    }
}

/* Put an entry into the store below the test's folder, which is made if need be. */
static void
put_entry(const char *below, const char *table, struct span key, struct span value)
{
    char path[3 * SCRATCH_DIR_SIZE];

    snprintf(path, sizeof path, "%s/%s", bench.dir, below);
    struct store *store = store_open(path, 16u << 20);
    assert_non_null(store);
    const int number = store_table(store, table);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(value.at == NULL ? store_delete(store, number, key) - 1 : store_put(store, number, key, value), 0);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
}

static void
bug_411_a_foreign_store_stays_as_it_is(void **state)
{
    static const char of_99[8] = {0, 0, 0, 0, 0, 0, 0, 99};
    static const struct setting fold[] = {{"limits", "email_case", "fold"}, {0}};
    const struct stream *const stream = &accelerometer_trusted;

    (void)state;
    bench_open_process(stream, NULL);
    fill_accelerometer();
    bench_close_process();
    char command[4 * SCRATCH_DIR_SIZE];
    snprintf(command, sizeof command, "cp -a %s/state/%s/store %s/good", bench.dir, stream->name, bench.dir);
    assert_int_equal(system(command), 0);

    put_entry("foreign", "songs", span_of("key"), span_of("value"));
    move_store("foreign", stream);
    assert_refused(stream, NULL, "table meta: format: it is missing");
    put_entry("meant", "meta", span_of("key"), span_of("value"));
    move_store("meant", stream);
    assert_refused(stream, NULL, "table meta: format: it is missing");
    move_store("good", stream);
    put_entry("state/accelerometer-trusted/store", "meta", span_of("format"), span_at(of_99, sizeof of_99));
    assert_refused(stream, NULL, "has format 99");
    move_store("good", stream);
    assert_refused(stream, fold, "was made with [limits] email_case = keep");
    move_store("good", stream);
    bench_open_process(stream, NULL); /* and good it is */
}

/* What is absent while others are there has been lost. */
static void
bug_412_what_is_missing_is_named(void **state)
{
    static const struct {
        const char *table, *key, *why;
    } cases[] = {{"meta", "epoch", "table meta: epoch: it is missing"},
                 {"meta", "format", "table meta: format: it is missing"},
                 {"meta", "inbox", "table meta: inbox: a position is missing"},
                 {"meta", "link customer-trusted", "table meta: link customer-trusted: a position is missing"},
                 {"meta", "ledger", "table meta: ledger: it counts no records"},
                 {"outbox", "\0\0\0\0\0\0\0\0", "table outbox: more or fewer messages"}};
    const struct stream *const stream = &accelerometer_trusted;
    char output[64];

    (void)state;
    bench_open_process(stream, NULL);
    snprintf(output, sizeof output, "gait/%s", stream->topic);
    bench.withheld = output; /* else nothing is left in the outbox */
    fill_accelerometer();
    bench.withheld = NULL;
    bench_close_process();
    char command[4 * SCRATCH_DIR_SIZE];
    snprintf(command, sizeof command, "cp -a %s/state/%s/store %s/good", bench.dir, stream->name, bench.dir);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t len = cases[i].key[0] != '\0' ? strlen(cases[i].key) : 8;
        move_store("good", stream);
        put_entry("state/accelerometer-trusted/store", cases[i].table, span_at(cases[i].key, len), (struct span){0});
        assert_refused(stream, NULL, cases[i].why);
    }
}

/* The operator's are named while the process is up, stopped, and says why. */
static void
assert_stands(const char *why)
{
    bench_settle();
    for (unsigned i = 0; i < 3; i++, bench.steady_ms += HOUR_MS * 9, bench.wall_ms += HOUR_MS * 9)
        bench_settle();
    assert_true(store_is_damaged(inside_store(bench.process)));
    assert_non_null(strstr(inside_why(bench.process), "damaged"));
    if (strstr(last_error, why) == NULL)
        fail_msg("not said: %s, but: %s", why, last_error);
}

/* It panicked over its counters at every start. */
static void
bug_412_a_damaged_backlog_is_named(void **state)
{
    static const char zeros[64], zero_bits[1024];
    static const struct {
        const char *table, *why;
        struct span value;
        bool lost_key;
    } cases[] = {
        {"steps", "table steps: a record that is none", {zeros, sizeof zeros}, false},
        {"accelerations", "table accelerations: a record that is none", {zeros, sizeof zeros}, false},
        {"accelerations_settled", "table meta: ledger: more records stop waiting than are counted",
         {zero_bits, 1024}, false},
        {"secret", "table secret: key: it is missing", {NULL, 0}, true},
    };

    (void)state;
    bench_open_process(&machine_learning_curated, by_customer);
    feed(FEED("customer-curated") "/r1", 1, CUSTOMER_OF("a", "s1"));
    for (unsigned i = 1; i <= 6; i++) {
        feed(FEED("accelerometer-trusted"), i, PHONE("a", "1600000000000"));
        feed(FEED("step-trainer-trusted"), i, STEP_OF("s1"));
    }
    bench_close_process();
    char command[4 * SCRATCH_DIR_SIZE];
    snprintf(command, sizeof command, "cp -a %s/state/machine-learning-curated/store %s/good", bench.dir, bench.dir);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const below = "state/machine-learning-curated/store";
        char key[8];
        move_store("good", &machine_learning_curated);
        for (uint64_t number = 1; number <= 6; number++) {
            bytes_put_u64(key, cases[i].value.len > 64 ? 0 : number); /* blocks of bits begin with 0 */
            put_entry(below, cases[i].table, cases[i].lost_key ? span_of("key") : span_at(key, 8), cases[i].value);
            if (cases[i].lost_key)
                break;
        }
        last_error[0] = '\0';
        log_follow(note_error);
        bench.process = process_open(&bench.options);
        assert_non_null(bench.process);
        assert_stands(cases[i].why);
        log_follow(NULL);
        bench_close_process();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bug_361_a_forged_reading_is_invalid_and_its_link_goes_on, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_362_a_row_that_has_no_name_is_a_strangers, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_363_a_record_that_kills_is_set_aside, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(kills_at_random_set_nothing_aside, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(something_stored_that_kills_when_it_is_due_is_set_aside, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(who_dies_of_a_store_says_which, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(an_entry_that_can_not_be_worked_is_one_line, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_680_a_damaged_inbox_is_worked_and_told_until_that_is_acknowledged, bench_begin,
                                        bench_end),
        cmocka_unit_test_setup_teardown(bug_681_what_hinders_the_spare_file_is_said, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_364_no_process_dies_of_a_damaged_store, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_364_nor_of_damaged_lives, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_411_the_state_of_another_process_stays_as_it_is, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_411_a_foreign_store_stays_as_it_is, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_412_what_is_missing_is_named, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_412_a_damaged_backlog_is_named, bench_begin, bench_end),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
