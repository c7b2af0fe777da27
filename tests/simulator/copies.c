#include "simulation.h"

#include <stdio.h>

#include "operator/gate.h"
#include "state/hold.h"

/* The folder of the process's state, and that of its copy. */
static void
name_folders(unsigned number, char dir[PATH_BYTES], char copy[PATH_BYTES])
{
    processes_name_state(number, dir);
    snprintf(copy, PATH_BYTES, "%s/copy-%u", simulation.pipeline.dir, number);
}

static void
copy_folder(const char *from, const char *to)
{
    char command[2 * PATH_BYTES + 16];

    snprintf(command, sizeof command, "cp -a '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* A copy of it while it is down. */
static void
copy_state(unsigned number)
{
    char dir[PATH_BYTES], copy[PATH_BYTES];

    name_folders(number, dir, copy);
    processes_stop(number);
    copy_folder(dir, copy);
    processes_start(number);
}

/* As gait restore does. */
static void
mark_restored(const char *dir)
{
    char path[PATH_BYTES + 32];

    snprintf(path, sizeof path, "%s/" HOLD_RESTORED, dir);
    FILE *file = fopen(path, "w");
    if (file == NULL || fclose(file) != 0)
        fail_msg("can't make %s", path);
}

/* Its state is replaced by the copy, by hand or by gait restore. */
static void
put_copy_back(unsigned number, bool by_restore)
{
    char dir[PATH_BYTES], copy[PATH_BYTES];

    name_folders(number, dir, copy);
    if (simulation.pipeline.processes[number] != NULL)
        processes_kill(number);
    scratch_dir_remove(dir);
    copy_folder(copy, dir);
    if (by_restore)
        mark_restored(dir);
    processes_start(number);
}

static void
acknowledge(unsigned number)
{
    char topic[128];

    snprintf(topic, sizeof topic, "gait/acknowledge/%s", catalog_streams[number]->name);
    const struct wire_message message = {.topic = span_of(topic), .delivery = WIRE_AT_LEAST_ONCE};
    memory_route(&simulation.pipeline.broker, &message);
}

/* What was decided before the copy was made is in it, and so comes out once, whatever is loaded again. */
static void
check_once(enum set set, struct lines *before)
{
    struct lines now = {0}, distinct = {0};

    sets_read_lake(simulation.pipeline.dir, set, &now);
    for (unsigned i = 0; i < now.count; i++) {
        for (unsigned j = 0; j < before->count; j++) {
            if (strcmp(now.list[i], before->list[j]) != 0)
                continue;
            lines_add(&distinct, "%s", now.list[i]);
            break;
        }
    }
    const char *extra = lines_missing(&distinct, before);
    if (extra != NULL) {
        simulation_say_how_to_repeat();
        fail_msg("again in the lake: %s", extra);
    }
    lines_free(&now);
    lines_free(&distinct);
}

/* All of a landing set once more, as an operator does who was told to. */
static void
load_again(enum landing landing, unsigned phases)
{
    for (unsigned phase = 0; phase < phases; phase++)
        loader_add(&simulation.pipeline.loader, landing, &simulation.world.landing[phase][landing]);
}

/* Older copies take its place, while everything breaks that may; if that is news to somebody (older), it notices. */
static void
put_copies_back(unsigned number, bool older)
{
    for (unsigned times = 1 + dice_roll(2); times > 0; times--) {
        put_copy_back(number, dice_chance(50));
        faults_break_things();
        faults_calm_down(40000);
        if (!older)
            continue;
        if (!inside_is_back(simulation.pipeline.processes[number]))
            simulation_fail("does not notice that it went back in time", number);
        if (checks_hear_rest())
            simulation_fail("is said to be at rest, an older copy", number);
    }
    simulation.restored = (int)number;
}

/* Acknowledged, it is taken for what it is, and all comes to rest. */
static void
acknowledge_and_rest(unsigned number)
{
    acknowledge(number);
    faults_calm_down(40000);
    if (checks_is_taken_for_old(number))
        simulation_fail("is not acknowledged", number);
    if (!checks_hear_rest()) {
        sets_complaining = true;
        checks_links_are_whole();
        simulation_fail("does not come to rest when it is acknowledged", number);
    }
}

/* The state of a process that has a landing set is replaced by an older copy of itself, while everything breaks that may. It
 * notices, and nobody is told that all is at rest. Acknowledged, and its landing set loaded again, all comes right, and what
 * was decided before the copy was made comes out once. */
static void
run_restored_seed(uint64_t seed)
{
    static const struct {
        unsigned number;
        enum landing landing;
        enum set set;
    } choices[] = {{NUMBER_FILTER, CUSTOMER, TRUSTED_CUSTOMER},
                   {1, ACCELEROMETER, TRUSTED_ACCELEROMETER},
                   {3, STEP_TRAINER, TRUSTED_STEP_TRAINER}};
    struct lines before = {0};

    dice_seed(seed);
    const unsigned choice = dice_roll(3);
    const unsigned number = choices[choice].number;
    simulation_open(seed, PHASES, false);
    if (dice_chance(40))
        simulation_register_study();
    faults_choose();
    if (dice_chance(30))
        simulation.window_bytes = 1 + dice_roll(2000);
    pipeline_load(&simulation.pipeline, 0);
    processes_start_all();
    faults_break_things();
    checks_come_right();
    copy_state(number);
    processes_settle();
    if (!is_table(choices[choice].set))
        sets_read_lake(simulation.pipeline.dir, choices[choice].set, &before);
    const uint64_t known = inside_output(simulation.pipeline.processes[number])->last.sequence;
    pipeline_load(&simulation.pipeline, 1);
    faults_break_things();
    checks_come_right();
    const bool older = inside_output(simulation.pipeline.processes[number])->last.sequence > known;
    put_copies_back(number, older);
    if (number == NUMBER_FILTER)
        world_forget(&simulation.world);
    acknowledge_and_rest(number);
    load_again(choices[choice].landing, 2);
    pipeline_load(&simulation.pipeline, 2);
    faults_break_things();
    checks_come_right();
    check_once(choices[choice].set, &before);
    lines_free(&before);
    simulation_close();
}

static void
a_state_that_comes_back_from_an_older_copy_is_noticed_and_loses_what_nobody_has(void **state)
{
    (void)state;
    seeds_each(run_restored_seed, 4, NULL);
}

/* A consumer's state is replaced by an older copy, and what it then says to its producer gets lost. That one has heard
 * before that everything was applied, and has nothing to send that would show the gap; it still has it all, for the sake of
 * another one that is away. */
static void
bug_487_a_consumer_that_went_back_says_so_until_it_is_heard(void **state)
{
    (void)state;
    simulation_open_at_rest(487, 2);
    copy_state(1);
    processes_stop(NUMBER_LAKE);
    loader_add(&simulation.pipeline.loader, CUSTOMER, &simulation.world.landing[1][CUSTOMER]);
    processes_settle_for(10000);
    const struct process *process = simulation.pipeline.processes[1];
    const uint64_t applied = inside_link(process, GATE_TABLE)->committed.applied;
    simulation.lose_once = "/link/customer-trusted/accelerometer-trusted";
    simulation.lose_skip = 0;
    put_copy_back(1, false);
    process = simulation.pipeline.processes[1];
    assert_true(inside_link(process, GATE_TABLE)->committed.applied < applied);
    processes_settle_for(40000);
    assert_null(simulation.lose_once);
    assert_int_equal(inside_link(process, GATE_TABLE)->committed.applied, applied);
    simulation_close();
}

/* The broker's rows are newer than those of a copy, which has none of the withdrawals of the second phase: they stay as they
 * are, and if it forgets them it is given none before somebody has seen that. */
static void
an_older_table_does_not_replace_the_rows_that_the_broker_has(void **state)
{
    (void)state;
    for (unsigned forgets = 0; forgets < 2; forgets++) {
        struct lines before = {0}, after = {0}, acknowledged = {0};
        simulation_open_at_rest(3, 2);
        copy_state(NUMBER_FILTER);
        processes_settle();
        pipeline_load(&simulation.pipeline, 1);
        checks_come_right();
        put_copy_back(NUMBER_FILTER, false);
        if (forgets != 0)
            memory_broker_forget(&simulation.pipeline.broker, true, true);
        else
            checks_read_retained(TRUSTED_CUSTOMER, &before);
        faults_calm_down(20000);
        assert_true(inside_is_back(simulation.pipeline.processes[NUMBER_FILTER]));
        checks_read_retained(TRUSTED_CUSTOMER, &after);
        assert_int_equal(after.count, before.count);
        assert_null(lines_missing(&after, &before));
        acknowledge(NUMBER_FILTER);
        faults_calm_down(20000);
        checks_read_retained(TRUSTED_CUSTOMER, &acknowledged);
        assert_true(forgets != 0 ? acknowledged.count > 0 : acknowledged.count == before.count);
        lines_free(&before);
        lines_free(&after);
        lines_free(&acknowledged);
        simulation_close();
    }
}

/* gait restore brings back all states but the lake's, of a time before people left. The broker's rows say who they are, so
 * nothing of theirs that was waiting at the broker meanwhile comes out. (Without its mark a gate that nobody contradicts may
 * decide a moment before it hears of it.) */
static void
run_left_seed(uint64_t seed)
{
    static const enum set sets[] = {TRUSTED_ACCELEROMETER, TRUSTED_STEP_TRAINER, MACHINE_LEARNING};

    simulation_open_at_rest(seed, PHASES);
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        copy_state(i);
    processes_settle();
    pipeline_load(&simulation.pipeline, 1);
    checks_come_right();
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        processes_kill(i);
    simulation.pipeline.phase = 2;
    loader_add(&simulation.pipeline.loader, ACCELEROMETER, &simulation.world.landing[2][ACCELEROMETER]);
    loader_add(&simulation.pipeline.loader, STEP_TRAINER, &simulation.world.landing[2][STEP_TRAINER]);
    processes_settle();
    const unsigned first = dice_roll(NUMBER_LAKE);
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        put_copy_back((first + i) % NUMBER_LAKE, true);
    faults_calm_down(60000);
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        acknowledge(i);
    faults_calm_down(60000);
    for (unsigned i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct lines must = {0}, may = {0}, lines = {0};
        world_expect(&simulation.world, sets[i], 0, 2, &must, &may);
        sets_read_lake(simulation.pipeline.dir, sets[i], &lines);
        lines_once(&lines);
        const char *extra = lines_missing(&lines, &may);
        if (extra != NULL) {
            simulation_say_how_to_repeat();
            fail_msg("of who has left: %s", extra);
        }
        lines_free(&must);
        lines_free(&may);
        lines_free(&lines);
    }
    simulation_close();
}

static void
who_left_stays_out_when_older_states_are_put_back(void **state)
{
    (void)state;
    seeds_each(run_left_seed, 4, NULL);
}

/* By the committed states: whether the consumer has what its producer has not given out, or lacks what that one keeps no
 * more. */
static bool
contradicts(const struct process *consumer, unsigned input, const struct process *producer)
{
    const struct link_position position = inside_link(consumer, input)->committed;
    const struct outbox *output = inside_output(producer);

    return position.epoch == inside_epoch(producer) &&
           (position.applied > output->last.sequence || position.applied < output->trimmed.sequence);
}

/* All states are replaced by copies of different times, as somebody makes them with cp. Whatever they contradict each other
 * in is told, until it is acknowledged; and a stream that lacks something stays so. */
static void
run_naive_seed(uint64_t seed)
{
    bool contradiction[PROCESSES] = {false};
    bool any = false;

    simulation_open_at_rest(seed, 2);
    pipeline_load(&simulation.pipeline, 1);
    for (unsigned i = 0; i < PROCESSES; i++) {
        for (unsigned things = dice_roll(2000); things > 0; things--)
            pipeline_happen(&simulation.pipeline);
        copy_state(i);
    }
    checks_come_right();
    for (unsigned i = 0; i < PROCESSES; i++)
        processes_kill(i);
    for (unsigned i = 0; i < PROCESSES; i++)
        put_copy_back(i, dice_chance(50));
    if (dice_chance(50))
        memory_broker_forget(&simulation.pipeline.broker, true, true);
    for (unsigned i = 0; i < PROCESSES; i++) {
        const struct process *process = simulation.pipeline.processes[i];
        for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
            const int from = number_of_stream(catalog_streams[i]->inputs[j].from);
            if (from == NOBODY || !contradicts(process, j, simulation.pipeline.processes[from]))
                continue;
            const uint64_t last = inside_output(simulation.pipeline.processes[from])->last.sequence;
            contradiction[inside_link(process, j)->committed.applied > last ? (unsigned)from : i] = any = true;
        }
    }
    faults_calm_down(40000);
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (contradiction[i] && !checks_is_taken_for_old(i))
            simulation_fail("does not say that its state is an older copy", i);
    }
    if (any && checks_hear_rest())
        simulation_fail("is said to be at rest, with older copies", 0);
    simulation_close();
}

static void
copies_of_different_times_are_noticed(void **state)
{
    (void)state;
    seeds_each(run_naive_seed, 4, NULL);
}

int
copies_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_that_comes_back_from_an_older_copy_is_noticed_and_loses_what_nobody_has),
        cmocka_unit_test(bug_487_a_consumer_that_went_back_says_so_until_it_is_heard),
        cmocka_unit_test(an_older_table_does_not_replace_the_rows_that_the_broker_has),
        cmocka_unit_test(copies_of_different_times_are_noticed),
        cmocka_unit_test(who_left_stays_out_when_older_states_are_put_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
