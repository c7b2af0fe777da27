#include "pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/buffer.h"
#include "dice.h"
#include "streams/catalog.h"

int64_t pipeline_now_ms;

int64_t
pipeline_wall_ms(void)
{
    return WORLD_START_MS + pipeline_now_ms;
}

int64_t
pipeline_steady_ms(void)
{
    return 1000000 + pipeline_now_ms;
}

/* Beginning. */

void
pipeline_set(struct config *config, const char *section, const char *key, const char *value)
{
    struct buffer errors = {0};

    if (config_set(config, section, key, value, "test", &errors) != 0)
        fail_msg("%s", buffer_text(&errors));
    buffer_free(&errors);
}

struct config *
pipeline_configure(const struct world *world)
{
    struct config *config = config_new(&catalog_config);
    char window[16];

    snprintf(window, sizeof window, "%us", world->window_s);
    pipeline_set(config, "accelerometer-trusted", "consent", world->as_of ? "as_of" : "any");
    pipeline_set(config, "machine-learning-curated", "match", world->by_customer ? "customer" : "time");
    pipeline_set(config, "machine-learning-curated", "window", window);
    pipeline_set(config, "machine-learning-curated", "subject", "email");
    pipeline_set(config, "limits", "email_case", world->fold ? "fold" : "keep");
    pipeline_set(config, "lake", "part_bytes", "4KiB");
    for (unsigned i = 0; i < PROCESSES; i++) {
        pipeline_set(config, catalog_streams[i]->name, "message_bytes", "1KiB");
        pipeline_set(config, catalog_streams[i]->name, "link_bytes", "64KiB");
        pipeline_set(config, catalog_streams[i]->name, "map", "16MiB");
    }
    return config;
}

void
pipeline_set_options(struct pipeline *pipeline, const struct process_options *same)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        struct process_options *options = &pipeline->options[i];
        *options = *same;
        options->stream = catalog_streams[i];
        options->catalog = catalog_streams;
        options->config = pipeline->config;
        options->dir = pipeline->dir;
        options->steady_ms = pipeline_steady_ms;
        options->open_transport = links_open;
        options->context = &pipeline->links;
    }
}

void
pipeline_connect_loader(struct pipeline *pipeline)
{
    const struct wire_events events = loader_events(&pipeline->loader);

    pipeline->loader.options = (struct wire_options){.client_name = "loader"};
    pipeline->loader.wire = memory_wire(&pipeline->broker, &pipeline->loader.options, &events);
}

void
pipeline_load(struct pipeline *pipeline, unsigned phase)
{
    pipeline->phase = phase;
    for (unsigned i = 0; i < LANDINGS; i++)
        loader_add(&pipeline->loader, (enum landing)i, &pipeline->world->landing[phase][i]);
}

/* What happens. */

void
pipeline_cut_off(struct pipeline *pipeline, unsigned number)
{
    for (unsigned i = 0; i < pipeline->broker.wire_count; i++) {
        if (number_of_client(pipeline->broker.wires[i]->name) == (int)number)
            memory_wire_cut(pipeline->broker.wires[i]);
    }
}

uint64_t
pipeline_arrive(struct pipeline *pipeline, unsigned number,
                bool (*hear)(struct pipeline *pipeline, struct memory_wire *wire))
{
    struct memory_broker *broker = &pipeline->broker;
    uint64_t heard = 0;

    for (unsigned i = 0; i < broker->wire_count; i++) {
        for (unsigned times = dice_roll(4); times > 0; times--)
            memory_wire_send(broker->wires[i]);
        const bool own = number_of_client(broker->wires[i]->name) == (int)number;
        for (unsigned times = dice_roll(4); own && times > 0; times--)
            heard += hear(pipeline, broker->wires[i]);
    }
    return heard;
}

static void
act_outside(struct pipeline *pipeline)
{
    loader_step(&pipeline->loader, pipeline_now_ms);
    if (pipeline->moves->act_outside != NULL)
        pipeline->moves->act_outside(pipeline);
}

void
pipeline_happen(struct pipeline *pipeline)
{
    const struct pipeline_moves *moves = pipeline->moves;
    const unsigned number = dice_roll(PROCESSES + 1);
    struct memory_wire *wire = pipeline->broker.wires[dice_roll(pipeline->broker.wire_count)];

    switch (dice_roll(4)) {
    case 0:
        if (number == PROCESSES)
            act_outside(pipeline);
        else
            moves->step(pipeline, number);
        break;
    case 1:
        for (unsigned times = 1 + dice_roll(6); times > 0 && memory_wire_send(wire); times--)
            ;
        break;
    case 2:
        if (moves->is_slow != NULL && moves->is_slow(wire))
            break;
        for (unsigned times = 1 + dice_roll(6); times > 0 && moves->hear(pipeline, wire); times--)
            ;
        break;
    default:
        pipeline_now_ms += dice_chance(5) ? dice_roll(3000) : dice_roll(10);
    }
}

bool
pipeline_move(struct pipeline *pipeline)
{
    bool moved = false;

    for (unsigned i = 0; i < pipeline->broker.wire_count; i++) {
        while (memory_wire_send(pipeline->broker.wires[i]))
            moved = true;
        while (pipeline->moves->hear(pipeline, pipeline->broker.wires[i]))
            moved = true;
    }
    return moved;
}

bool
pipeline_settle(struct pipeline *pipeline)
{
    bool moved = true;

    for (unsigned rounds = 0; moved; rounds++) {
        if (rounds == 100000)
            return false;
        moved = false;
        act_outside(pipeline);
        for (unsigned i = 0; i < PROCESSES; i++)
            moved |= pipeline->moves->step(pipeline, i);
        moved |= pipeline_move(pipeline);
    }
    return true;
}
