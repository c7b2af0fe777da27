#include "simulation.h"

#include "asker.h"

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
        dice_seed(i);
        simulation_open(i, 1, false);
        for (unsigned j = 0; j < LANDINGS; j++)
            loader_add(&simulation.pipeline.loader, orders[i % 6][j], &simulation.world.landing[0][orders[i % 6][j]]);
        processes_start_all();
        checks_come_right();
        simulation_close();
    }
}

static void
a_broker_that_forgets_while_all_live_gets_the_tables_again(void **state)
{
    (void)state;
    simulation_open_at_rest(1, 1);
    for (unsigned i = 0; i < 2; i++) {
        memory_broker_forget(&simulation.pipeline.broker, true, true);
        checks_come_right();
    }
    simulation_close();
}

/* The first phase has come to rest, a message at a time, and of what the broker retains then there is a copy. */
static void
open_with_copy_of_broker(uint64_t seed)
{
    dice_seed(seed);
    simulation_open(seed, 2, false);
    simulation.window_bytes = 1;
    pipeline_load(&simulation.pipeline, 0);
    processes_start_all();
    checks_come_right();
    memory_broker_save(&simulation.pipeline.broker);
}

/* Two persons withdraw, and before the producer of the rows has trimmed its outbox it dies, and the broker comes back with
 * what it retained before. Only the consumers know how old that is, and say so when one row has been sent again. */
static void
a_broker_that_comes_back_with_an_older_copy_gets_the_newer_one(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 10; i++) {
        open_with_copy_of_broker(i);
        pipeline_load(&simulation.pipeline, 1);
        processes_settle();
        processes_kill(NUMBER_FILTER);
        memory_broker_go_back(&simulation.pipeline.broker);
        processes_start(NUMBER_FILTER);
        for (unsigned rounds = 0; rounds < 10; rounds++) {
            processes_step(NUMBER_FILTER);
            pipeline_move(&simulation.pipeline);
        }
        checks_come_right();
        simulation_close();
    }
}

/* The producers live on, and keep what the lake, which is away, has not applied: from that the broker gets what it lacks,
 * whatever it acknowledged before it went back. */
static void
a_broker_that_goes_back_while_a_consumer_is_away_gets_what_it_lacks(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 10; i++) {
        open_with_copy_of_broker(i);
        processes_kill(NUMBER_LAKE);
        pipeline_load(&simulation.pipeline, 1);
        processes_settle_for(4000);
        memory_broker_go_back(&simulation.pipeline.broker);
        processes_settle_for(4000);
        checks_come_right();
        simulation_close();
    }
}

/* customer-trusted alone, with no other process registered for its table: the broker's word is all it has. */
static void
a_table_that_nobody_is_registered_for_is_given_again_too(void **state)
{
    (void)state;
    dice_seed(1);
    simulation_open(1, 2, false);
    for (unsigned i = 1; i < PROCESSES; i++)
        simulation_set(catalog_streams[i]->name, "enabled", "off");
    simulation.lake_off = true;
    processes_start(NUMBER_FILTER);
    for (unsigned phase = 0; phase < 2; phase++) {
        simulation.pipeline.phase = phase;
        loader_add(&simulation.pipeline.loader, CUSTOMER, &simulation.world.landing[phase][CUSTOMER]);
        processes_settle_for(30000); /* the date of everybody's consent has come then */
        assert_true(checks_set_is_right(TRUSTED_CUSTOMER));
        if (phase == 0)
            memory_broker_save(&simulation.pipeline.broker);
    }
    for (unsigned times = 0; times < 2; times++) {
        if (times == 0)
            memory_broker_go_back(&simulation.pipeline.broker);
        else
            memory_broker_forget(&simulation.pipeline.broker, true, true);
        processes_settle_for(10000);
        assert_true(checks_set_is_right(TRUSTED_CUSTOMER));
    }
    simulation_close();
}

/* Whoever asks when all input is with the broker is not told that all is at rest before it is. */
static void
what_is_said_to_be_at_rest_is_at_rest(void **state)
{
    static const char *const filter = ASKER_ANSWERS;

    (void)state;
    for (unsigned i = 1; i <= 20; i++) {
        struct asker asker = {.options = {.client_name = "asker"}};
        const struct wire_events events = asker_events(&asker);
        dice_seed(i);
        simulation_open(i, 1, false);
        simulation.pipeline.loader.trusting = true;
        asker.wire = memory_wire(&simulation.pipeline.broker, &asker.options, &events);
        asker.wire->calls->connect(asker.wire);
        pipeline_move(&simulation.pipeline);
        asker.wire->calls->subscribe(asker.wire, &filter, 1, 0, WIRE_AT_LEAST_ONCE);
        processes_start_all();
        processes_settle_for(30000); /* the date of everybody's consent has come then: else it would be right to rest */
        pipeline_load(&simulation.pipeline, 0);
        simulation.slow_percent = dice_roll(100);
        while (!loader_is_done(&simulation.pipeline.loader))
            pipeline_happen(&simulation.pipeline);
        while (!asker_hears_rest(&asker)) {
            asker_ask(&asker);
            for (unsigned things = 0; !asker_has_all(&asker); things++) {
                assert_true(things < 1000000);
                pipeline_happen(&simulation.pipeline);
            }
        }
        assert_true(checks_sets_are_right());
        asker.wire->calls->free(asker.wire);
        simulation_close();
    }
}

/* Each process asks itself through the broker whether everything retained has come. */
static void
a_process_whose_own_question_got_lost_asks_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROCESSES; i++) {
        char topic[128];
        simulation_open_loaded(1, 1);
        snprintf(topic, sizeof topic, "/link/%s/.sync", catalog_streams[i]->name);
        simulation.lose_once = topic;
        processes_start_all();
        checks_come_right();
        assert_null(simulation.lose_once);
        simulation_close();
    }
}

/* Each message of a link, and each report about one, is lost once: the last as well, behind which nothing would show
 * it. */
static void
one_message_lost_is_noticed_whichever_it_is(void **state)
{
    static const char *const topics[] = {"/link/machine-learning-curated/lake/feed", "/link/machine-learning-curated/lake",
                                         "/link/accelerometer-trusted/customer-curated/feed",
                                         "/link/accelerometer-trusted/customer-curated"};

    (void)state;
    for (unsigned i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        bool lost = true;
        for (unsigned skip = 0; lost; skip++) {
            assert_true(skip < 100);
            simulation_open_loaded(1, 1);
            simulation.lose_once = topics[i];
            simulation.lose_skip = skip;
            processes_start_all();
            checks_come_right();
            lost = simulation.lose_once == NULL;
            assert_true(lost || skip > 0);
            simulation_close();
        }
    }
}

/* A table of more rows than are given out at a time: for a lake that is switched on later, and for a broker that forgot them
 * and then, while it is given them again, breaks once more. */
static void
a_crowd_of_rows_is_given_out_again_whole(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 10; i++) {
        dice_seed(i);
        simulation_open(i, 2, true);
        simulation.lake_off = true;
        simulation_set("lake", "enabled", "off");
        pipeline_load(&simulation.pipeline, 0);
        processes_start_all();
        checks_come_right();
        processes_begin_with_a_newcomer();
        checks_come_right();
        pipeline_load(&simulation.pipeline, 1);
        memory_broker_forget(&simulation.pipeline.broker, true, true);
        for (unsigned things = 200 + dice_roll(1000); things > 0; things--)
            pipeline_happen(&simulation.pipeline);
        memory_broker_forget(&simulation.pipeline.broker, true, false);
        checks_come_right();
        simulation_close();
    }
}

int
scenarios_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_the_same_for_every_order_of_arrival),
        cmocka_unit_test(a_broker_that_forgets_while_all_live_gets_the_tables_again),
        cmocka_unit_test(a_broker_that_comes_back_with_an_older_copy_gets_the_newer_one),
        cmocka_unit_test(a_broker_that_goes_back_while_a_consumer_is_away_gets_what_it_lacks),
        cmocka_unit_test(a_table_that_nobody_is_registered_for_is_given_again_too),
        cmocka_unit_test(what_is_said_to_be_at_rest_is_at_rest),
        cmocka_unit_test(a_process_whose_own_question_got_lost_asks_again),
        cmocka_unit_test(one_message_lost_is_noticed_whichever_it_is),
        cmocka_unit_test(a_crowd_of_rows_is_given_out_again_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
