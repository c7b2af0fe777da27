/*
 * bench-costs: what each process costs a record that it takes in. All six run in this one thread over the tests'
 * broker in memory, with a clock that stands still while they work: no sockets and no Paho, and equal batches in every
 * run, so that counted instructions repeat.
 *
 * usage: bench-costs CUSTOMERS READINGS [PROCESS]     readings of each customer's phone, and as many of the trainer
 *
 * Prints microseconds a record, of the processor and elapsed (the rest is waiting for the disk). With PROCESS it prints
 * how many records that one took in, and does all its work below the function work_measured, for
 * `valgrind --tool=callgrind --toggle-collect=work_measured`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/memory_wire.h"
#include "base/hash.h"
#include "base/log.h"
#include "bench.h"
#include "links/links.h"
#include "run/process.h"
#include "streams/catalog.h"

#define PROCESSES 6
#define MESSAGE_RECORDS 64
#define TURN_MESSAGES 8 /* under way at a time: a batch has up to 512 records */
#define SAMPLES 3
#define CLIENTS_MAX 2 /* connections of a process */

struct runner {
    struct process_options options;
    struct process *process;
    struct memory_wire *wires[CLIENTS_MAX];
    unsigned wire_count;
    bool measured;
    bool more;         /* it said that there is more to do at once */
    int64_t wall_ns, cpu_ns;
    uint64_t records;  /* that it takes in, when all is done */
};

struct bench {
    char dir[BENCH_DIR_SIZE];
    struct memory_broker broker;
    struct config *config;
    struct runner runners[PROCESSES];
    struct runner *opening;
    struct memory_wire *outside; /* publisher of everything, subscriber of the machine learning records */
    bool heard;                  /* something moved in this turn */
    uint64_t results;
    struct buffer message;
    unsigned message_records, turn_messages;
    const char *topic; /* of message */
};

static struct bench bench;
static int64_t clock_ms = INT64_C(1700000000000);

static int64_t
now_ms(void)
{
    return clock_ms;
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    struct runner *runner = bench.opening;
    struct wire *wire = memory_wire(context, options, events);

    if (runner->wire_count == CLIENTS_MAX)
        log_panic("a process with more connections than there were");
    runner->wires[runner->wire_count++] = (struct memory_wire *)wire;
    return wire;
}

/* A process's turn: hear what has come, work it, say what is to be said. */
static __attribute__((noinline)) void
work(struct runner *runner)
{
    bool heard = runner->more;

    for (unsigned i = 0; i < runner->wire_count; i++) {
        while (memory_wire_hear(runner->wires[i]))
            heard = true;
    }
    if (!heard)
        return;
    runner->more = process_step(runner->process) == 0;
    bench.heard = true;
}

static __attribute__((noinline)) void
work_measured(struct runner *runner)
{
    work(runner);
    __asm__ volatile("" ::: "memory"); /* no tail call: the function's end is where counting ends */
}

static int64_t
cpu_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
turn(struct runner *runner)
{
    const int64_t wall_ns = bench_now_ns(), cpu_ns = cpu_now_ns();

    if (runner->measured)
        work_measured(runner);
    else
        work(runner);
    runner->wall_ns += bench_now_ns() - wall_ns;
    runner->cpu_ns += cpu_now_ns() - cpu_ns;
}

/* Until nothing moves any more. */
static void
settle(void)
{
    do {
        bench.heard = false;
        for (unsigned i = 0; i < bench.broker.wire_count; i++) {
            while (memory_wire_send(bench.broker.wires[i]))
                bench.heard = true;
        }
        for (unsigned i = 0; i < PROCESSES; i++)
            turn(&bench.runners[i]);
        while (bench.outside != NULL && memory_wire_hear(bench.outside))
            bench.heard = true;
    } while (bench.heard);
    clock_ms += 20;
}

/* Outside. */

static void
on_up(void *context, bool session_kept, const struct wire_limits *limits)
{
    (void)context;
    (void)session_kept;
    (void)limits;
}

static void
on_subscribed(void *context, bool ok, const char *reason)
{
    (void)context;
    (void)ok;
    (void)reason;
}

static void
on_down(void *context, const char *reason)
{
    (void)context;
    log_fatal("%s", reason);
}

static void
on_message(void *context, const struct wire_message *message)
{
    (void)context;
    for (const char *at = message->payload.at, *end = at + message->payload.len; at < end; at++)
        bench.results += *at == '{';
}

static void
on_delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

static void
open_outside(void)
{
    static const struct wire_options options = {.client_name = "outside"};
    static const char *const filter = "gait/curated/machine_learning";
    const struct wire_events events = {NULL, on_up, on_subscribed, on_down, on_message, on_delivered, NULL};

    bench.outside = (struct memory_wire *)memory_wire(&bench.broker, &options, &events);
    struct wire *wire = &bench.outside->wire;
    if (wire->calls->connect(wire) != 0)
        log_fatal("can't connect");
    settle();
    wire->calls->subscribe(wire, &filter, 1, 0, WIRE_AT_LEAST_ONCE);
    settle();
}

static void
send_message(void)
{
    const struct wire_message message = {
        .topic = span_of(bench.topic), .payload = buffer_span(&bench.message), .delivery = WIRE_AT_LEAST_ONCE};

    if (bench.message_records == 0)
        return;
    bench.outside->wire.calls->publish(&bench.outside->wire, &message, 0);
    buffer_clear(&bench.message);
    bench.message_records = 0;
    if (++bench.turn_messages % TURN_MESSAGES == 0)
        settle();
}

/* Count the record that was just added to bench.message. */
static void
record_added(void)
{
    if (++bench.message_records == MESSAGE_RECORDS)
        send_message();
}

static void
send_everything(unsigned customers, unsigned readings)
{
    bench.topic = "gait/landing/customer";
    for (unsigned i = 0; i < customers; i++, record_added())
        bench_add_customer(&bench.message, i);
    send_message();
    bench.topic = "gait/landing/accelerometer";
    for (unsigned i = 0; i < customers * readings; i++, record_added())
        bench_add_accelerometer(&bench.message, i % customers, BENCH_START_MS + i);
    send_message();
    bench.topic = "gait/landing/step_trainer";
    for (unsigned i = 0; i < customers * readings; i++, record_added())
        bench_add_step_trainer(&bench.message, i % customers, BENCH_START_MS + i);
    send_message();
    settle();
}

/* All together. */

static void
open_processes(const char *measured)
{
    static struct links_options links = {.make_wire = make_wire};
    static const struct process_options same = {
        .catalog = catalog_streams, .open_transport = links_open, .wall_ms = now_ms, .steady_ms = now_ms};

    links.context = &bench.broker;
    for (unsigned i = 0; i < PROCESSES; i++) {
        struct process_options *options = &bench.runners[i].options;
        *options = same;
        options->stream = catalog_streams[i];
        options->config = bench.config;
        options->dir = bench.dir;
        options->context = &links;
        bench.opening = &bench.runners[i];
        bench.runners[i].process = process_open(options);
        if (bench.runners[i].process == NULL)
            log_fatal("can't open %s", catalog_streams[i]->name);
        bench.runners[i].more = true; /* nobody else begins */
        bench.runners[i].measured = measured != NULL && strcmp(measured, catalog_streams[i]->name) == 0;
    }
}

/* What each takes in: everybody consents, and every reading finds its partner. */
static void
know_records(uint64_t customers, uint64_t readings)
{
    const uint64_t all = customers * readings;
    const uint64_t records[PROCESSES] = {customers,           all + customers,     all + customers,
                                         all + customers, 2 * all + customers, 3 * all + 2 * customers};

    for (unsigned i = 0; i < PROCESSES; i++)
        bench.runners[i].records = records[i];
}

static void
set(const char *section, const char *key, const char *value)
{
    struct buffer errors = {0};

    if (config_set(bench.config, section, key, value, "bench", &errors) != 0)
        log_fatal("%s", buffer_text(&errors));
    buffer_free(&errors);
}

/* Run the whole of it once. */
static void
run(unsigned customers, unsigned readings, const char *measured)
{
    bench = (struct bench){0};
    bench_dir_make(bench.dir);
    bench.config = config_new(&catalog_config);
    for (unsigned i = 0; i < PROCESSES; i++) /* valgrind refuses the address space of the default */
        set(catalog_streams[i]->name, "map", "256MiB");
    open_processes(measured);
    settle();
    open_outside();
    for (unsigned i = 0; i < PROCESSES; i++)
        bench.runners[i].wall_ns = bench.runners[i].cpu_ns = 0;
    know_records(customers, readings);
    send_everything(customers, readings);
}

static void
close_all(void)
{
    bench.outside->wire.calls->free(&bench.outside->wire);
    for (unsigned i = 0; i < PROCESSES; i++)
        process_close(bench.runners[i].process);
    memory_broker_free(&bench.broker);
    config_free(bench.config);
    buffer_free(&bench.message);
    bench_dir_remove(bench.dir);
}

static int
usage(void)
{
    fprintf(stderr, "usage: bench-costs CUSTOMERS READINGS [PROCESS]     at most %d customers\n", BENCH_PERSONS);
    return 2;
}

int
main(int argc, char **argv)
{
    double cpu_us[PROCESSES][SAMPLES], wall_us[PROCESSES][SAMPLES];
    char name[96];

    if ((argc != 3 && argc != 4) || bench_count(argv[1]) > BENCH_PERSONS || bench_count(argv[2]) > 1000000)
        return usage();
    const unsigned customers = (unsigned)bench_count(argv[1]), readings = (unsigned)bench_count(argv[2]);
    const char *measured = argc == 4 ? argv[3] : NULL;
    if (measured != NULL && catalog_find(measured) == NULL)
        return usage();
    log_open("bench-costs", LOG_WARNING);
    hash_init();
    for (unsigned i = 0; i < (measured != NULL ? 1 : SAMPLES); i++) {
        run(customers, readings, measured);
        for (unsigned p = 0; p < PROCESSES; p++) {
            cpu_us[p][i] = (double)bench.runners[p].cpu_ns / 1000 / (double)bench.runners[p].records;
            wall_us[p][i] = (double)bench.runners[p].wall_ns / 1000 / (double)bench.runners[p].records;
            if (bench.runners[p].measured)
                printf("%llu\n", (unsigned long long)bench.runners[p].records);
        }
        const uint64_t results = bench.results;
        close_all();
        if (results != (uint64_t)customers * readings)
            log_fatal("%llu machine learning records came out of %u pairs", (unsigned long long)results,
                      customers * readings);
    }
    for (unsigned p = 0; p < PROCESSES && measured == NULL; p++) {
        snprintf(name, sizeof name, "costs/%s/cpu", catalog_streams[p]->name);
        bench_result(name, "us/record", cpu_us[p], SAMPLES);
        snprintf(name, sizeof name, "costs/%s/elapsed", catalog_streams[p]->name);
        bench_result(name, "us/record", wall_us[p], SAMPLES);
    }
    return 0;
}
