/*
 * The whole pipeline in one thread: the six processes over a broker in memory, with a clock of its own. A seed says
 * what data comes in which order and what breaks when; in the end the lake must hold what the rules of the five jobs
 * say, worked out here by brute force, and the broker's copy of the tables with it.
 *
 * GAIT_SEED=N runs that seed alone, GAIT_SEEDS=N as many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "disk.h"
#include "memory_wire.h"
#include "record/json.h"
#include "run/process.h"
#include "scratch_dir.h"
#include "streams/catalog.h"

/* Time and chance. */

#define START_WALL_MS INT64_C(1700000000000)
static int64_t now_ms;
static uint64_t dice;

static int64_t
wall_ms(void)
{
    return START_WALL_MS + now_ms;
}

static int64_t
steady_ms(void)
{
    return 1000000 + now_ms;
}

/* 0 to sides - 1 (splitmix64). */
static unsigned
roll(unsigned sides)
{
    uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ z >> 31) % sides);
}

static bool
chance(unsigned percent)
{
    return roll(100) < percent;
}

/* Lists of lines. */

#define LINES_MAX 4000

struct lines {
    char *list[LINES_MAX];
    unsigned count;
};

static void
add_line(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add_line(struct lines *lines, const char *format, ...)
{
    va_list args;
    assert_true(lines->count < LINES_MAX);
    va_start(args, format);
    assert_true(vasprintf(&lines->list[lines->count++], format, args) >= 0);
    va_end(args);
}

static void
free_lines(struct lines *lines)
{
    while (lines->count > 0)
        free(lines->list[--lines->count]);
}

static int
compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether both hold the same lines as often, in any order. */
static bool
same_lines(struct lines *a, struct lines *b)
{
    if (a->count != b->count)
        return false;
    qsort(a->list, a->count, sizeof a->list[0], compare_lines);
    qsort(b->list, b->count, sizeof b->list[0], compare_lines);
    for (unsigned i = 0; i < a->count; i++) {
        if (strcmp(a->list[i], b->list[i]) != 0)
            return false;
    }
    return true;
}

/* The data, and what is to come of it. */

enum landing { CUSTOMER, ACCELEROMETER, STEP_TRAINER, LANDINGS };
static const char *const landing_names[LANDINGS] = {"customer", "accelerometer", "step_trainer"};

enum set { TRUSTED_CUSTOMER, TRUSTED_ACCELEROMETER, CURATED_CUSTOMER, TRUSTED_STEP_TRAINER, MACHINE_LEARNING, SETS };
static const char *const set_paths[SETS] = {"trusted/customer", "trusted/accelerometer", "curated/customer",
                                            "trusted/step_trainer", "curated/machine_learning"};

static bool
is_table(enum set set)
{
    return set == TRUSTED_CUSTOMER || set == CURATED_CUSTOMER;
}

/* A customer by the end of the day: person 0 has two trainers, persons 1 and 2 claim the same, person 3 does not
 * consent, person 4 does and has no phone, person 5 has withdrawn and has no phone. Persons above have never
 * registered. */
struct customer {
    unsigned person, trainer;
    unsigned consent_s; /* 0: none */
    bool withdrawn;     /* an older record consents */
};
static const struct customer customers[] = {{0, 0, 3, false}, {0, 1, 6, false}, {1, 2, 4, false}, {2, 2, 1, false},
                                            {3, 3, 0, false}, {4, 4, 2, false}, {5, 5, 0, true}};
#define CUSTOMERS (sizeof customers / sizeof customers[0])
#define PERSONS_WITH_PHONE 4
#define STRANGER 9
#define TRAINERS 6
#define READINGS_MAX 120
#define TIMES_S 12 /* of readings: few, so that many pair */

struct reading {
    unsigned owner; /* person, or trainer */
    unsigned time_s;
    char *body;
};

struct world {
    bool as_of;
    bool by_customer;
    unsigned window_s;
    struct lines landing[LANDINGS];
    struct reading phones[READINGS_MAX], trainers[READINGS_MAX];
    unsigned phone_count, trainer_count;
    struct lines expected[SETS];
};

static int64_t
at_ms(unsigned time_s)
{
    return INT64_C(1600000000000) + time_s * INT64_C(1000);
}

/* A customer's record of a version: a later one has a later date. */
static void
add_customer(struct lines *lines, const struct customer *customer, unsigned version, bool consents)
{
    struct buffer consent = {0};
    if (consents)
        buffer_printf(&consent, ",\"shareWithResearchAsOfDate\":%" PRId64, at_ms(customer->consent_s));
    add_line(lines,
             "{\"customerName\":\"N%u v%u\",\"email\":\"p%u@x\",\"phone\":\"1\",\"birthDay\":\"1970-01-01\","
             "\"serialNumber\":\"s%u\",\"registrationDate\":1500000000000,\"lastUpdateDate\":%" PRId64 "%s}",
             customer->person, version, customer->person, customer->trainer, at_ms(version), buffer_text(&consent));
    buffer_free(&consent);
}

static void
make_customers(struct world *world)
{
    for (unsigned i = 0; i < CUSTOMERS; i++) {
        const struct customer *customer = &customers[i];
        unsigned version = 0;
        for (unsigned older = roll(3); older > 0; older--) /* of no consequence, whenever they come */
            add_customer(&world->landing[CUSTOMER], customer, version++, customer->consent_s > 0);
        if (customer->consent_s > 0 && chance(30))
            add_customer(&world->landing[CUSTOMER], customer, version++, true);
        if (customer->withdrawn)
            add_customer(&world->landing[CUSTOMER], customer, version++, true);
        add_customer(&world->landing[CUSTOMER], customer, version, customer->consent_s > 0);
        if (customer->consent_s > 0)
            add_customer(&world->expected[TRUSTED_CUSTOMER], customer, version, true);
    }
}

static void
make_readings(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct reading *phone = &world->phones[world->phone_count++];
        phone->owner = chance(10) ? STRANGER : roll(PERSONS_WITH_PHONE);
        phone->time_s = roll(TIMES_S);
        assert_true(asprintf(&phone->body, "\"user\":\"p%u@x\",\"timestamp\":%" PRId64
                             ",\"x\":%u.5,\"y\":-1e-3,\"z\":0", phone->owner, at_ms(phone->time_s), i) > 0);
        add_line(&world->landing[ACCELEROMETER], "{%s}", phone->body);
        struct reading *trainer = &world->trainers[world->trainer_count++];
        trainer->owner = chance(10) ? STRANGER : roll(TRAINERS);
        trainer->time_s = roll(TIMES_S);
        assert_true(asprintf(&trainer->body, "\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"s%u\","
                             "\"distanceFromObject\":%u", at_ms(trainer->time_s), trainer->owner, i) > 0);
        add_line(&world->landing[STEP_TRAINER], "{%s}", trainer->body);
    }
}

static bool
phone_passes(const struct world *world, const struct reading *phone)
{
    for (unsigned i = 0; i < CUSTOMERS; i++) {
        if (customers[i].person == phone->owner && customers[i].consent_s > 0 &&
            (!world->as_of || phone->time_s >= customers[i].consent_s))
            return true;
    }
    return false;
}

static bool
is_curated(const struct world *world, const struct customer *customer)
{
    if (customer->consent_s == 0)
        return false;
    for (unsigned i = 0; i < world->phone_count; i++) {
        if (world->phones[i].owner == customer->person && phone_passes(world, &world->phones[i]))
            return true;
    }
    return false;
}

/* Whether a curated customer has this trainer, and this person if it is not STRANGER. */
static bool
curated_has(const struct world *world, unsigned trainer, unsigned person)
{
    for (unsigned i = 0; i < CUSTOMERS; i++) {
        if (customers[i].trainer == trainer && (person == STRANGER || customers[i].person == person) &&
            is_curated(world, &customers[i]))
            return true;
    }
    return false;
}

static bool
pairs(const struct world *world, const struct reading *trainer, const struct reading *phone)
{
    const unsigned apart_s = trainer->time_s > phone->time_s ? trainer->time_s - phone->time_s
                                                             : phone->time_s - trainer->time_s;
    return apart_s <= world->window_s && curated_has(world, trainer->owner, STRANGER) && phone_passes(world, phone) &&
           (!world->by_customer || curated_has(world, trainer->owner, phone->owner));
}

static void
expect_sets(struct world *world)
{
    const struct lines *trusted = &world->expected[TRUSTED_CUSTOMER];
    for (unsigned i = 0, line = 0; i < CUSTOMERS; i++) {
        if (customers[i].consent_s == 0)
            continue;
        if (is_curated(world, &customers[i]))
            add_line(&world->expected[CURATED_CUSTOMER], "%s", trusted->list[line]);
        line++;
    }
    for (unsigned i = 0; i < world->phone_count; i++) {
        if (phone_passes(world, &world->phones[i]))
            add_line(&world->expected[TRUSTED_ACCELEROMETER], "{%s}", world->phones[i].body);
    }
    for (unsigned i = 0; i < world->trainer_count; i++) {
        if (!curated_has(world, world->trainers[i].owner, STRANGER))
            continue;
        add_line(&world->expected[TRUSTED_STEP_TRAINER], "{%s}", world->trainers[i].body);
        for (unsigned j = 0; j < world->phone_count; j++) {
            if (pairs(world, &world->trainers[i], &world->phones[j]))
                add_line(&world->expected[MACHINE_LEARNING], "{%s,%s}", world->trainers[i].body, world->phones[j].body);
        }
    }
}

static void
make_world(struct world *world)
{
    *world = (struct world){.as_of = chance(50), .by_customer = chance(50), .window_s = roll(3)};
    make_customers(world);
    make_readings(world, 10 + roll(40));
    expect_sets(world);
}

static void
free_world(struct world *world)
{
    for (unsigned i = 0; i < world->phone_count; i++)
        free(world->phones[i].body);
    for (unsigned i = 0; i < world->trainer_count; i++)
        free(world->trainers[i].body);
    for (unsigned i = 0; i < LANDINGS; i++)
        free_lines(&world->landing[i]);
    for (unsigned i = 0; i < SETS; i++)
        free_lines(&world->expected[i]);
}

/* The publisher outside: it sends a payload until it has a receipt for it, as `gait load` does. */

#define PAYLOADS_MAX 400
#define UNDER_WAY_MAX 6
#define RESEND_MS 3000

struct payload {
    enum landing landing;
    struct buffer text;
    bool done;
    int64_t sent_ms; /* −1: not on this connection */
};

struct loader {
    struct wire *wire;
    struct wire_options options;
    bool up, subscribed, down;
    enum { LOADER_DOWN, LOADER_CONNECTING, LOADER_SUBSCRIBING, LOADER_READY } state;
    struct payload payloads[PAYLOADS_MAX];
    unsigned count, done;
};

static void
loader_up(void *context, bool session_kept)
{
    (void)session_kept;
    ((struct loader *)context)->up = true;
}

static void
loader_subscribed(void *context, bool ok, const char *reason)
{
    (void)reason;
    ((struct loader *)context)->subscribed = ok;
}

static void
loader_down(void *context, const char *reason)
{
    (void)reason;
    ((struct loader *)context)->down = true;
}

static void
loader_message(void *context, const struct wire_message *message)
{
    struct loader *loader = context;
    unsigned number;
    assert_int_equal(message->correlation.len, sizeof number);
    memcpy(&number, message->correlation.at, sizeof number);
    assert_true(number < loader->count);
    loader->done += !loader->payloads[number].done;
    loader->payloads[number].done = true;
}

static void
loader_delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

static void
loader_send(struct loader *loader, unsigned number)
{
    const char *name = landing_names[loader->payloads[number].landing];
    char topic[64];
    snprintf(topic, sizeof topic, "gait/landing/%s/device%u", name, number % 3);
    const struct wire_message message = {.topic = span_of(topic),
                                         .payload = buffer_span(&loader->payloads[number].text),
                                         .response_topic = span_of("gait/receipt/simulation"),
                                         .correlation = span_at(&number, sizeof number),
                                         .delivery = WIRE_AT_LEAST_ONCE};
    loader->wire->calls->publish(loader->wire, &message, 0);
    loader->payloads[number].sent_ms = now_ms;
}

static void
loader_send_some(struct loader *loader)
{
    unsigned under_way = 0;
    for (unsigned i = 0; i < loader->count && under_way < UNDER_WAY_MAX; i++) {
        struct payload *payload = &loader->payloads[i];
        if (payload->done)
            continue;
        under_way++;
        if (payload->sent_ms < 0 || now_ms - payload->sent_ms >= RESEND_MS)
            loader_send(loader, i);
    }
}

static void
loader_step(struct loader *loader)
{
    static const char *const filter = "gait/receipt/simulation";
    if (loader->down) {
        loader->up = loader->subscribed = loader->down = false;
        loader->state = LOADER_DOWN;
        for (unsigned i = 0; i < loader->count; i++)
            loader->payloads[i].sent_ms = -1;
    }
    if (loader->state == LOADER_DOWN && loader->wire->calls->connect(loader->wire) == 0)
        loader->state = LOADER_CONNECTING;
    if (loader->state == LOADER_CONNECTING && loader->up) {
        loader->wire->calls->subscribe(loader->wire, &filter, 1, 1, WIRE_AT_LEAST_ONCE);
        loader->state = LOADER_SUBSCRIBING;
    }
    if (loader->state == LOADER_SUBSCRIBING && loader->subscribed)
        loader->state = LOADER_READY;
    if (loader->state == LOADER_READY)
        loader_send_some(loader);
}

static void
loader_open(struct loader *loader, struct memory_broker *broker)
{
    const struct wire_events events = {loader,      loader_up,      loader_subscribed,
                                       loader_down, loader_message, loader_delivered};
    loader->options = (struct wire_options){.client_name = "loader"};
    loader->wire = memory_wire(broker, &loader->options, &events);
}

/* Payloads of one to four records of one landing topic, in order; some come twice. */
static void
loader_add(struct loader *loader, enum landing landing, const struct lines *lines)
{
    for (unsigned i = 0; i < lines->count;) {
        assert_true(loader->count < PAYLOADS_MAX);
        struct payload *payload = &loader->payloads[loader->count++];
        *payload = (struct payload){.landing = landing, .sent_ms = -1};
        for (unsigned left = 1 + roll(4); left > 0 && i < lines->count; left--, i++) {
            buffer_add_text(&payload->text, lines->list[i]);
            buffer_add_byte(&payload->text, '\n');
        }
        if (chance(10))
            i--;
    }
}

static void
loader_shuffle(struct loader *loader)
{
    for (unsigned i = loader->count; i > 1; i--) {
        const unsigned j = roll(i);
        struct payload swap = loader->payloads[i - 1];
        loader->payloads[i - 1] = loader->payloads[j];
        loader->payloads[j] = swap;
    }
}

static void
loader_free(struct loader *loader)
{
    for (unsigned i = 0; i < loader->count; i++)
        buffer_free(&loader->payloads[i].text);
}

/* The simulation. */

#define PROCESSES 6

struct simulation {
    char dir[SCRATCH_DIR_SIZE];
    struct memory_broker broker;
    struct config *config;
    struct process_options options[PROCESSES];
    struct process *processes[PROCESSES]; /* NULL: it is dead */
    struct world world;
    struct loader loader;
    unsigned loss_percent, twice_percent; /* of messages on links */
    const char *lose_once;                /* a message whose topic ends like this is lost; NULL none */
    unsigned lose_skip;                   /* but the first of them get through */
};

static struct simulation simulation;

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    return memory_wire(context, options, events);
}

static void
set(struct config *config, const char *section, const char *key, const char *value)
{
    struct buffer errors = {0};
    if (config_set(config, section, key, value, "test", &errors) != 0)
        fail_msg("%s", buffer_text(&errors));
    buffer_free(&errors);
}

static struct config *
make_config(const struct world *world)
{
    struct config *config = config_new(&catalog_config);
    char window[16];
    snprintf(window, sizeof window, "%us", world->window_s);
    set(config, "accelerometer-trusted", "consent", world->as_of ? "as_of" : "any");
    set(config, "machine-learning-curated", "match", world->by_customer ? "customer" : "time");
    set(config, "machine-learning-curated", "window", window);
    set(config, "machine-learning-curated", "subject", "email");
    set(config, "lake", "part_bytes", "4KiB");
    for (unsigned i = 0; i < PROCESSES; i++) {
        set(config, catalog_streams[i]->name, "message_bytes", "1KiB");
        set(config, catalog_streams[i]->name, "link_bytes", "64KiB");
        set(config, catalog_streams[i]->name, "map", "16MiB");
    }
    return config;
}

static void
start_process(unsigned number)
{
    simulation.processes[number] = process_open(&simulation.options[number]);
    assert_non_null(simulation.processes[number]);
}

/* Its connections, by the names that it gives them. */
static bool
is_wire_of(const struct memory_wire *wire, unsigned number)
{
    char name[128];
    snprintf(name, sizeof name, "gait-%s", catalog_streams[number]->name);
    const size_t len = strlen(name);
    return strncmp(wire->name, name, len) == 0 &&
           (wire->name[len] == '\0' || strcmp(wire->name + len, "-landing") == 0);
}

/* kill -9: nobody hears a good-bye, and what it had not committed is gone. */
static void
kill_process(unsigned number)
{
    for (unsigned i = 0; i < simulation.broker.wire_count; i++) {
        if (is_wire_of(simulation.broker.wires[i], number))
            memory_wire_cut(simulation.broker.wires[i]);
    }
    process_close(simulation.processes[number]);
    simulation.processes[number] = NULL;
}

static enum memory_fate
fate(void *context, const struct memory_wire *to, const struct wire_message *message)
{
    struct simulation *self = context;
    const size_t len = self->lose_once != NULL ? strlen(self->lose_once) : 0;
    (void)to;
    if (len > 0 && message->topic.len >= len &&
        strcmp(message->topic.at + message->topic.len - len, self->lose_once) == 0 && self->lose_skip-- == 0) {
        self->lose_once = NULL;
        return MEMORY_LOST;
    }
    if (chance(self->loss_percent))
        return MEMORY_LOST;
    return chance(self->twice_percent) ? MEMORY_TWICE : MEMORY_ONCE;
}

static void
simulation_open(uint64_t seed)
{
    dice = seed;
    now_ms = 0;
    simulation = (struct simulation){0};
    scratch_dir_make(simulation.dir);
    make_world(&simulation.world);
    simulation.config = make_config(&simulation.world);
    simulation.broker.fate = fate;
    simulation.broker.context = &simulation;
    simulation.broker.retained_first = chance(50);
    for (unsigned i = 0; i < PROCESSES; i++)
        simulation.options[i] = (struct process_options){
            .stream = catalog_streams[i],
            .catalog = catalog_streams,
            .config = simulation.config,
            .dir = simulation.dir,
            .make_wire = make_wire,
            .context = &simulation.broker,
            .wall_ms = wall_ms,
            .steady_ms = steady_ms,
        };
    loader_open(&simulation.loader, &simulation.broker);
}

static void
simulation_close(void)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        process_close(simulation.processes[i]);
    simulation.loader.wire->calls->free(simulation.loader.wire);
    loader_free(&simulation.loader);
    memory_broker_free(&simulation.broker);
    config_free(simulation.config);
    free_world(&simulation.world);
    scratch_dir_remove(simulation.dir);
}

/* One thing happens, to whomever it falls to. */
static void
something_happens(void)
{
    const unsigned number = roll(PROCESSES + 1);
    struct memory_wire *wire = simulation.broker.wires[roll(simulation.broker.wire_count)];
    switch (roll(4)) {
    case 0:
        if (number == PROCESSES)
            loader_step(&simulation.loader);
        else if (simulation.processes[number] != NULL)
            process_step(simulation.processes[number]);
        break;
    case 1:
        for (unsigned times = 1 + roll(6); times > 0 && memory_wire_send(wire); times--)
            ;
        break;
    case 2:
        for (unsigned times = 1 + roll(6); times > 0 && memory_wire_hear(wire); times--)
            ;
        break;
    default:
        now_ms += chance(5) ? roll(3000) : roll(10);
    }
}

static void
something_breaks(void)
{
    const unsigned number = roll(PROCESSES);
    struct memory_wire *wire = simulation.broker.wires[roll(simulation.broker.wire_count)];
    switch (roll(8)) {
    case 0:
        memory_broker_forget(&simulation.broker);
        break;
    case 1:
        memory_wire_hear_and_cut(wire);
        break;
    case 2:
        simulation.broker.cut_in = 1 + roll(20);
        break;
    case 3:
        simulation.broker.refuses = !simulation.broker.refuses;
        break;
    case 4:
    case 5:
        if (simulation.processes[number] != NULL)
            kill_process(number);
        break;
    case 6:
        process_close(simulation.processes[number]); /* a clean stop */
        simulation.processes[number] = NULL;
        break;
    default:
        memory_wire_cut(wire);
    }
}

/* Everything moves until nothing does any more. */
static void
settle(void)
{
    bool moved = true;
    for (unsigned rounds = 0; moved; rounds++) {
        assert_true(rounds < 100000);
        moved = false;
        loader_step(&simulation.loader);
        for (unsigned i = 0; i < PROCESSES; i++)
            moved |= process_step(simulation.processes[i]) == 0;
        for (unsigned i = 0; i < simulation.broker.wire_count; i++) {
            while (memory_wire_send(simulation.broker.wires[i]))
                moved = true;
            while (memory_wire_hear(simulation.broker.wires[i]))
                moved = true;
        }
    }
}

/* What came of it. */

/* The lake's files of a set, as lines; of a table what stands in the end. */
static void
read_lake(enum set set, struct lines *lines)
{
    struct buffer content = {0};
    char pattern[192];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/lake/%s/date=*/part-*.ndjson", simulation.dir, set_paths[set]);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            assert_int_equal(file_read(found.gl_pathv[i], &content), 0);
        globfree(&found);
    }
    buffer_text(&content);
    char *rest = content.data;
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        add_line(lines, "%s", line);
    buffer_free(&content);
}

#define ROW_PREFIX_BYTES 41 /* {"row":" and 32 digits, and the quote */

/* Of a table's lines leave the last of each row, without its name, unless it is a withdrawal. */
static void
last_of_rows(struct lines *lines)
{
    struct lines kept = {.count = 0};
    for (unsigned i = lines->count; i-- > 0;) {
        bool newest = true;
        for (unsigned j = i + 1; j < lines->count; j++)
            newest = newest && strncmp(lines->list[i], lines->list[j], ROW_PREFIX_BYTES) != 0;
        if (newest && strstr(lines->list[i], "\"withdrawn\":") == NULL)
            add_line(&kept, "{%s", lines->list[i] + ROW_PREFIX_BYTES + 1);
    }
    free_lines(lines);
    *lines = kept;
}

/* The broker's copy of a table. */
static void
read_retained(enum set set, struct lines *lines)
{
    char filter[64];
    snprintf(filter, sizeof filter, "gait/%s/+", set_paths[set]);
    for (const struct memory_message *kept = simulation.broker.retained; kept != NULL; kept = kept->next) {
        if (memory_matches(kept->wire.topic.at, filter) && strstr(kept->wire.payload.at, "\"withdrawn\":") == NULL)
            add_line(lines, "%s", kept->wire.payload.at);
    }
}

static bool
set_is_right(enum set set)
{
    static struct lines lines;
    struct lines *expected = &simulation.world.expected[set];
    read_lake(set, &lines);
    if (is_table(set))
        last_of_rows(&lines);
    bool right = same_lines(&lines, expected);
    free_lines(&lines);
    if (is_table(set)) {
        read_retained(set, &lines);
        right = right && same_lines(&lines, expected);
        free_lines(&lines);
    }
    return right;
}

/* What is in the outboxes by the processes' own metrics; −1 if one has not told. */
static int64_t
outbox_bytes(void)
{
    const struct json_limits limits = {.depth_max = 8, .string_bytes_max = 256};
    int64_t sum = 0;
    unsigned heard = 0;
    for (const struct memory_message *kept = simulation.broker.retained; kept != NULL; kept = kept->next) {
        if (!memory_matches(kept->wire.topic.at, "gait/metrics/+"))
            continue;
        struct json *json = json_parse(kept->wire.payload, &limits);
        assert_non_null(json);
        sum += json_int_at(json, "output.bytes", 0);
        heard++;
        json_free(json);
    }
    return heard == PROCESSES ? sum : -1;
}

static bool
all_is_right(void)
{
    for (unsigned i = 0; i < SETS; i++) {
        if (!set_is_right((enum set)i))
            return false;
    }
    return simulation.loader.done == simulation.loader.count && outbox_bytes() == 0;
}

static void
print_what_is_wrong(uint64_t seed)
{
    print_error("seed %" PRIu64 ": consent %s, match %s, window %us; %u of %u payloads have a receipt; "
                "outbox bytes %" PRId64 "\n",
                seed, simulation.world.as_of ? "as_of" : "any", simulation.world.by_customer ? "customer" : "time",
                simulation.world.window_s, simulation.loader.done, simulation.loader.count, outbox_bytes());
    for (unsigned i = 0; i < SETS; i++) {
        struct lines *lines = memory_zeroed(sizeof *lines);
        struct lines *retained = memory_zeroed(sizeof *retained);
        read_lake((enum set)i, lines);
        if (is_table((enum set)i)) {
            last_of_rows(lines);
            read_retained((enum set)i, retained);
        }
        print_error("  %s: %u expected, %u in the lake, %u retained, %s\n", set_paths[i],
                    simulation.world.expected[i].count, lines->count, retained->count,
                    set_is_right((enum set)i) ? "right" : "WRONG");
        free_lines(lines);
        free_lines(retained);
        free(lines);
        free(retained);
    }
}

#define PATIENCE_MS 120000 /* the longest waits are those between probes, 30 s */

/* Nothing breaks any more: everything must come right by itself, and stay so. */
static void
come_right(uint64_t seed)
{
    simulation.loss_percent = simulation.twice_percent = 0;
    simulation.broker.refuses = false;
    simulation.broker.cut_in = 0;
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (simulation.processes[i] == NULL)
            start_process(i);
    }
    const int64_t end_ms = now_ms + PATIENCE_MS;
    settle();
    while (now_ms < end_ms && !(simulation.loader.done == simulation.loader.count && all_is_right())) {
        now_ms += 500;
        settle();
    }
    for (unsigned i = 0; i < 5; i++) {
        now_ms += 2000;
        settle();
    }
    if (!all_is_right()) {
        print_what_is_wrong(seed);
        fail_msg("seed %" PRIu64, seed);
    }
}

static void
start_all(void)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        start_process(i);
}

/* Each order of the three landing sets, without faults. */
static void
the_answer_is_the_same_for_every_order_of_arrival(void **state)
{
    static const enum landing orders[6][LANDINGS] = {
        {CUSTOMER, ACCELEROMETER, STEP_TRAINER}, {CUSTOMER, STEP_TRAINER, ACCELEROMETER},
        {ACCELEROMETER, CUSTOMER, STEP_TRAINER}, {ACCELEROMETER, STEP_TRAINER, CUSTOMER},
        {STEP_TRAINER, CUSTOMER, ACCELEROMETER}, {STEP_TRAINER, ACCELEROMETER, CUSTOMER}};
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        simulation_open(i);
        for (unsigned j = 0; j < LANDINGS; j++)
            loader_add(&simulation.loader, orders[i % 6][j], &simulation.world.landing[orders[i % 6][j]]);
        start_all();
        come_right(i);
        simulation_close();
    }
}

/* Everything of a world, in no particular order. */
static void
load_everything(void)
{
    for (unsigned i = 0; i < LANDINGS; i++)
        loader_add(&simulation.loader, (enum landing)i, &simulation.world.landing[i]);
}

static void
a_broker_that_forgets_while_all_live_gets_the_tables_again(void **state)
{
    (void)state;
    simulation_open(1);
    load_everything();
    start_all();
    come_right(1);
    assert_true(simulation.world.expected[CURATED_CUSTOMER].count > 0);
    for (unsigned i = 0; i < 2; i++) {
        memory_broker_forget(&simulation.broker);
        come_right(1);
    }
    simulation_close();
}

/* Each process asks itself through the broker whether everything retained has come. */
static void
a_process_whose_own_question_got_lost_asks_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROCESSES; i++) {
        char topic[128];
        simulation_open(1);
        load_everything();
        snprintf(topic, sizeof topic, "/link/%s/.sync", catalog_streams[i]->name);
        simulation.lose_once = topic;
        start_all();
        come_right(1);
        assert_null(simulation.lose_once);
        simulation_close();
    }
}

/* Each message of a link, and each report about one, is lost once: the last as well, behind which nothing would show
 * it. */
static void
one_message_lost_is_noticed_whichever_it_is(void **state)
{
    static const char *const topics[] = {"/curated/machine_learning", "/link/machine-learning-curated/lake",
                                         "/trusted/accelerometer", "/link/accelerometer-trusted/customer-curated"};
    (void)state;
    for (unsigned i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        bool lost = true;
        for (unsigned skip = 0; lost; skip++) {
            assert_true(skip < 100);
            simulation_open(1);
            load_everything();
            simulation.lose_once = topics[i];
            simulation.lose_skip = skip;
            start_all();
            come_right(1);
            lost = simulation.lose_once == NULL;
            assert_true(lost || skip > 0);
            simulation_close();
        }
    }
}

static void
run_seed(uint64_t seed)
{
    simulation_open(seed);
    load_everything();
    if (chance(80))
        loader_shuffle(&simulation.loader);
    start_all();
    simulation.loss_percent = chance(50) ? roll(40) : 0;
    simulation.twice_percent = chance(50) ? roll(40) : 0;
    const unsigned faults = roll(12);
    for (unsigned i = 0; i < faults; i++) {
        for (unsigned things = roll(600); things > 0; things--)
            something_happens();
        something_breaks();
        for (unsigned j = 0; j < PROCESSES; j++) {
            if (simulation.processes[j] == NULL && chance(60))
                start_process(j);
        }
    }
    come_right(seed);
    simulation_close();
}

static uint64_t
number_from_environment(const char *name, uint64_t preset)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : preset;
}

static void
whatever_breaks_the_answer_is_the_same(void **state)
{
    const uint64_t only = number_from_environment("GAIT_SEED", 0);
    const uint64_t count = number_from_environment("GAIT_SEEDS", 200);
    (void)state;
    for (uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : count); seed++)
        run_seed(seed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_the_same_for_every_order_of_arrival),
        cmocka_unit_test(a_broker_that_forgets_while_all_live_gets_the_tables_again),
        cmocka_unit_test(a_process_whose_own_question_got_lost_asks_again),
        cmocka_unit_test(one_message_lost_is_noticed_whichever_it_is),
        cmocka_unit_test(whatever_breaks_the_answer_is_the_same),
    };
    hash_init();
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
