/* catalog: what the list of jobs says and what each job declares of itself go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/config.h"
#include "streams/catalog.h"

/* name, with to in place of from. */
static const char *
translate(const char *name, char from, char to)
{
    static char text[128];

    assert_true(strlen(name) < sizeof text);
    strcpy(text, name);
    for (char *at = text; *at != '\0'; at++)
        *at = *at == from ? to : *at;
    return text;
}

/* CMake makes the programs' names of the list; `gait up` and the topics take them from the streams. */
static void
a_process_is_called_as_it_is_listed(void **state)
{
    (void)state;
#define CHECK(job, ...) assert_string_equal(job.name, translate(#job, '_', '-'));
    STREAMS(CHECK, CHECK)
#undef CHECK
}

static void
a_set_is_called_after_its_topic(void **state)
{
    (void)state;
#define CHECK(job, set) assert_string_equal(#set, translate(job.topic, '/', '_'));
#define CHECK_NONE(job) assert_null(job.topic);
    STREAMS(CHECK, CHECK_NONE)
#undef CHECK
#undef CHECK_NONE
}

static void
producers_come_before_their_consumers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STREAMS_COUNT; i++) {
        for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
            const struct stream *from = catalog_streams[i]->inputs[j].from;
            unsigned producer = 0;
            assert_true((from == NULL) != (catalog_streams[i]->inputs[j].landing == NULL));
            while (from != NULL && catalog_streams[producer] != from)
                assert_true(++producer < i);
        }
    }
    assert_null(catalog_streams[STREAMS_COUNT]);
}

/* gait load, gait simulate and the receipts of both stand on it. */
static void
every_kind_that_lands_is_taken_by_one_process(void **state)
{
    struct buffer topic = {0};

    (void)state;
    for (unsigned kind = 0; kind < RECORD_LANDING_KINDS; kind++) {
        unsigned takers = 0;
        buffer_clear(&topic);
        buffer_printf(&topic, "landing/%s", record_kind_name((enum record_kind)kind));
        for (unsigned i = 0; i < STREAMS_COUNT; i++) {
            for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
                const struct stream_input *input = &catalog_streams[i]->inputs[j];
                if (input->landing == NULL || input->record != kind)
                    continue;
                takers++;
                assert_string_equal(input->landing, buffer_text(&topic));
                assert_ptr_equal(catalog_landing((enum record_kind)kind), catalog_streams[i]);
            }
        }
        assert_int_equal(takers, 1);
    }
    assert_null(catalog_landing(RECORD_LINE));
    buffer_free(&topic);
}

static void
the_lake_takes_every_output(void **state)
{
    unsigned input = 0;

    (void)state;
    for (unsigned i = 0; i < STREAMS_COUNT; i++) {
        if (catalog_streams[i]->topic != NULL)
            assert_ptr_equal(lake.inputs[input++].from, catalog_streams[i]);
    }
    assert_int_equal(input, lake.input_count);
}

static void
keys_of_a_stream_are_of_its_section(void **state)
{
    struct config *config = config_new(&catalog_config);

    (void)state;
    for (unsigned i = 0; i < STREAMS_COUNT; i++) {
        const struct stream *stream = catalog_streams[i];
        assert_non_null(stream->summary);
        assert_int_equal(config_int(config, stream->name, "enabled"), 1);
        for (unsigned j = 0; j < stream->key_count; j++) {
            assert_string_equal(stream->keys[j].section, stream->name);
            (void)config_text(config, stream->name, stream->keys[j].name); /* it panics where the key is not in the table */
        }
    }
    config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_called_as_it_is_listed),
        cmocka_unit_test(a_set_is_called_after_its_topic),
        cmocka_unit_test(producers_come_before_their_consumers),
        cmocka_unit_test(every_kind_that_lands_is_taken_by_one_process),
        cmocka_unit_test(the_lake_takes_every_output),
        cmocka_unit_test(keys_of_a_stream_are_of_its_section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
