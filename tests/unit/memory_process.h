/*
 * memory_process: one process stepped over a broker in memory, and everything it publishes, for the tests of what is between
 * a message that arrives and the commit. Settings are those of the catalog; clocks stand still until the test moves them.
 *
 * Included by one file of a test program.
 */
#ifndef TESTS_MEMORY_PROCESS_H
#define TESTS_MEMORY_PROCESS_H

#include <inttypes.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "inside.h"
#include "links/links.h"
#include "memory_wire.h"
#include "scratch_dir.h"
#include "streams/catalog.h"
#include "streams/streams.h"

#define HEARD_MAX 4096

/* What the process published, in order, since bench_forget. */
struct heard {
    char *topic;
    char *payload;
    char *correlation;
    bool retained;
    enum wire_delivery delivery;
};

/* A setting; a list of them ends with one without a section. */
struct setting {
    const char *section, *key, *value;
};

static struct {
    char dir[SCRATCH_DIR_SIZE];
    struct memory_broker broker;
    struct config *config;
    struct process_options options;
    struct links_options links;
    struct process *process;
    struct heard heard[HEARD_MAX];
    unsigned heard_count;
    const char *withheld; /* what is published to topics that begin so is refused by the wire; NULL: nothing */
    int64_t wall_ms, steady_ms;
} bench;

static int64_t
bench_wall_ms(void)
{
    return bench.wall_ms;
}

static int64_t
bench_steady_ms(void)
{
    return bench.steady_ms;
}

static void
bench_forget(void)
{
    for (unsigned i = 0; i < bench.heard_count; i++) {
        free(bench.heard[i].topic);
        free(bench.heard[i].payload);
        free(bench.heard[i].correlation);
    }
    bench.heard_count = 0;
}

static void
bench_take(void *context, const struct memory_wire *from, const struct wire_message *message)
{
    (void)context;
    (void)from;
    assert_true(bench.heard_count < HEARD_MAX);
    /* Whatever it was asked to: these are the broker's own, and other clients' subscriptions. */
    assert_true(message->topic.len > 0 && message->topic.at[0] != '$');
    bench.heard[bench.heard_count++] = (struct heard){
        .topic = strndup(message->topic.at, message->topic.len),
        .payload = strndup(message->payload.len > 0 ? message->payload.at : "", message->payload.len),
        .correlation = strndup(message->correlation.len > 0 ? message->correlation.at : "", message->correlation.len),
        .retained = message->retained,
        .delivery = message->delivery,
    };
}

static int
bench_publish(struct wire *wire, const struct wire_message *message, uint64_t token)
{
    if (bench.withheld != NULL && message->topic.len >= strlen(bench.withheld) &&
        memcmp(message->topic.at, bench.withheld, strlen(bench.withheld)) == 0)
        return -1;
    return memory_publish(wire, message, token);
}

static struct wire *
bench_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    static struct wire_calls calls;
    struct wire *wire = memory_wire(context, options, events);

    calls = *wire->calls;
    calls.publish = bench_publish;
    wire->calls = &calls;
    return wire;
}

/* Step the process once, and move all that is on its wires. Whether there was anything. */
static bool
bench_move(void)
{
    bool moved = process_step(bench.process) == 0;

    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        while (memory_wire_send(bench.broker.wires[i]) || memory_wire_hear(bench.broker.wires[i]))
            moved = true;
    }
    bench.steady_ms += 10;
    return moved;
}

/* The same, until nothing moves any more. */
static void
bench_settle(void)
{
    for (unsigned still = 0; still < 3;)
        still = bench_move() ? 0 : still + 1;
}

/* Go on with the state there is, or begin. NULL: all settings at their defaults. */
static void
bench_open_process(const struct stream *stream, const struct setting *settings)
{
    static const struct stream *catalog[2];
    struct buffer errors = {0};

    catalog[0] = stream; /* nobody registers for its output */
    config_free(bench.config);
    bench.config = config_new(&catalog_config);
    assert_int_equal(config_set(bench.config, stream->name, "map", "16MiB", "test", &errors), 0);
    for (; settings != NULL && settings->section != NULL; settings++)
        assert_int_equal(config_set(bench.config, settings->section, settings->key, settings->value, "test", &errors), 0);
    bench.links = (struct links_options){.make_wire = bench_wire, .context = &bench.broker};
    bench.options = (struct process_options){
        .stream = stream,
        .catalog = catalog,
        .config = bench.config,
        .dir = bench.dir,
        .open_transport = links_open,
        .context = &bench.links,
        .wall_ms = bench_wall_ms,
        .steady_ms = bench_steady_ms,
        .boot = 1,
    };
    bench.process = process_open(&bench.options);
    assert_non_null(bench.process);
    bench_settle();
    assert_true(process_ready(bench.process));
    buffer_free(&errors);
}

static void
bench_close_process(void)
{
    process_close(bench.process);
    bench.process = NULL;
}

/* A message for the process from somebody outside. Absent parts are NULL. */
static void
bench_send_bytes(const char *topic, struct span payload, struct span response, const char *correlation)
{
    const struct wire_message message = {
        .topic = span_of(topic),
        .payload = payload,
        .response_topic = response,
        .correlation = correlation != NULL ? span_of(correlation) : (struct span){0},
        .delivery = WIRE_AT_LEAST_ONCE,
    };

    memory_route(&bench.broker, &message);
}

static void
bench_send(const char *topic, const char *payload, const char *response, const char *correlation)
{
    bench_send_bytes(topic, span_of(payload), response != NULL ? span_of(response) : (struct span){0}, correlation);
}

/* The message to topic that is `back` before its newest, or NULL. */
static const struct heard *
bench_heard(const char *topic, unsigned back)
{
    for (unsigned i = bench.heard_count; i-- > 0;) {
        if (strcmp(bench.heard[i].topic, topic) == 0 && back-- == 0)
            return &bench.heard[i];
    }
    return NULL;
}

/* Setup and teardown of each test. */

static int
bench_begin(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof bench);
    scratch_dir_make(bench.dir);
    bench.broker.takes = bench_take;
    bench.wall_ms = clock_wall_ms();
    bench.steady_ms = 1000;
    return 0;
}

static int
bench_end(void **state)
{
    (void)state;
    bench_close_process();
    memory_broker_free(&bench.broker);
    bench_forget();
    config_free(bench.config);
    scratch_dir_remove(bench.dir);
    return 0;
}

#endif
