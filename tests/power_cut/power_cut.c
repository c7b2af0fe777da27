/*
 * power_cut: what a power cut leaves of a running pipeline.
 *
 * The six processes run in one thread over a broker in memory, and every write, sync and change of a name below their
 * folder is recorded, along with what they tell the world meanwhile: receipts, messages, reports. Then the states are built
 * that a power cut at any instant could leave (cut.h), and each process is opened in them. It must open; its store must
 * hold what some commit left, and none older than anything that was told before the cut; what had a receipt must be worked;
 * its inbox must give entries that came, whole and in their places; the lake must hold whole lines, and those that its store
 * says. In some of the states all processes are started, everything without a receipt is sent again, and the sets must come
 * out as if nothing had happened.
 *
 * A seed lives several lives: each but the last ends in a power cut, and the next one begins, and is recorded, in what that
 * left, with the broker as it was or with one that forgot everything.
 *
 * GAIT_SEED=N runs that seed alone; GAIT_STATES=N goes on with seeds, from GAIT_FIRST=N on, until so many different states
 * were opened.
 */
#include "power_cut.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../simulator/dice.h"
#include "../unit/scratch_dir.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bugs.h"

#define LIVES 3
#define STATES_A_LIFE 300
#define GO_ON_PERMILLE 20 /* of the states are gone on from */

/* In one of so many seeds every instant is looked at with each single unsynced event there and not there. */
#define EVERYTHING_EACH 8

struct power_cut power_cut;
struct power_cut_seen power_cut_seen;

static char scratch[SCRATCH_DIR_SIZE];
static struct recording second; /* goes on in a state */
static unsigned last_thing;     /* the event at which the last thing that happened began */

void
power_cut_all_ways(enum cut_way way)
{
    for (unsigned i = 0; i < GROUPS_MAX; i++)
        power_cut.ways[i] = way;
}

/* A life. */

/* Live so many things long, or until there is nothing more to come. */
static void
live(unsigned things)
{
    for (; things > 0; things--) {
        last_thing = power_cut.tape.event_count;
        pipeline_happen(&power_cut.first.pipeline);
        if (dice_chance(1))
            recording_break(&power_cut.first);
        if (!loader_is_done(&power_cut.first.pipeline.loader))
            continue;
        if (!recording_comes_right(&power_cut.first))
            fail_msg("seed %" PRIu64 ": the sets are wrong before any state was looked at", power_cut.seed);
        last_thing = power_cut.tape.event_count;
        if (power_cut.first.pipeline.phase + 1 == recording_world.phases)
            break;
        recording_load(&power_cut.first, power_cut.first.pipeline.phase + 1);
    }
    if (things == 0)
        return;
    pipeline_now_ms += RECORDING_HOLD_MS + 60000; /* whoever waits is refused, whoever was recognised is forgotten */
    recording_settle(&power_cut.first);
    assert_true(recording_is_right(&power_cut.first, true));
}

/* Going on. */

/* Start everything in the chosen state, with a broker that knows nothing and a publisher who sends again what he heard of
 * no receipt for, or if that was enough, what none was sent for. */
static void
go_on(void)
{
    const int64_t kept_ms = pipeline_now_ms;
    const bool *done = dice_chance(50) ? known_told.heard : known_told.receipted;

    second = (struct recording){.pipeline.phase = known_told.phase};
    second.pipeline.broker.retained_first = dice_chance(50);
    second.pipeline.loader.count = known_told.payload_count;
    for (unsigned i = 0; i < known_told.payload_count; i++) {
        struct payload *payload = &second.pipeline.loader.payloads[i];
        *payload = power_cut.first.pipeline.loader.payloads[i]; /* their texts are the first one's */
        payload->done = done[i];
        payload->sent_ms = -1;
        second.pipeline.loader.done += done[i];
    }
    pipeline_connect_loader(&second.pipeline);
    cut_clear(power_cut.cut);
    cut_build(power_cut.cut, "");
    recording_in(&second, cut_root(power_cut.cut));
    pipeline_now_ms = power_cut.tape.events[power_cut.instant].time_ms;
    tape_watch(cut_touched);
    if (!recording_start_all(&second) || !recording_comes_right(&second))
        known_fail(NUMBER_LAKE, "going on from here, the sets come out wrong; %u of %u payloads had a receipt",
                   second.pipeline.loader.done, known_told.payload_count);
    recording_close(&second);
    tape_watch(NULL);
    pipeline_now_ms = kept_ms;
    power_cut_seen.gone_on++;
}

/* States. */

/* Look at the state that the ways choose: at one process, or at all of them. */
static void
look_at_state(unsigned group)
{
    bool is_new = false;

    cut_choose(power_cut.cut, power_cut.ways, power_cut.one);
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (group == i || group == GROUP_SHARED)
            known_check(i, &is_new);
    }
    power_cut_seen.states += is_new;
    if (is_new && dice_roll(1000) < GO_ON_PERMILLE)
        go_on();
}

/* The group that the newest event is about. */
static unsigned
group_of_instant(void)
{
    const struct event *event = &power_cut.tape.events[power_cut.instant];

    return event->kind == EVENT_MARK ? ((const struct mark *)event->mark)->process : power_cut.tape.nodes[event->node].group;
}

/* None and all of what was not synced. */
static void
look_at_both_ends(void)
{
    const unsigned group = group_of_instant();

    power_cut_all_ways(CUT_NONE);
    look_at_state(group);
    power_cut_all_ways(CUT_ALL);
    look_at_state(group);
}

#define SINGLES_MAX 40

/* When a row of changes has ended: everything but one of what is not synced, and nothing but that. */
static void
look_at_singles(void)
{
    const struct event *event = &power_cut.tape.events[power_cut.instant];
    const bool last = power_cut.instant + 1 == power_cut.tape.event_count;
    const unsigned group = group_of_instant();
    unsigned events[SINGLES_MAX];

    if ((event->kind != EVENT_CHANGE && event->kind != EVENT_NAMES) || (!last && event[1].kind == EVENT_CHANGE))
        return;
    unsigned count = cut_pending(power_cut.cut, group, events, SINGLES_MAX);
    for (unsigned i = 0; i < count && i < SINGLES_MAX; i++) {
        power_cut_all_ways(CUT_ALL);
        power_cut.one = events[i];
        power_cut.ways[group] = CUT_DROP;
        look_at_state(group);
        power_cut.ways[group] = CUT_KEEP;
        look_at_state(group);
    }
}

static void
look_at_any(void)
{
    unsigned group = group_of_instant();

    if (dice_chance(20))
        group = GROUP_SHARED;
    power_cut_all_ways(group == GROUP_SHARED ? CUT_ANY : CUT_ALL);
    power_cut.ways[group] = CUT_ANY;
    look_at_state(group);
}

/* The tape must tell of everything, or what is built here is not what was there. */

static unsigned files_compared;

static int
compare_file(const char *path, const struct stat *status, int type, struct FTW *place)
{
    struct buffer content = {0}, built = {0};
    char other[600];

    (void)status;
    if (type != FTW_F || strcmp(path + place->base, "lock.mdb") == 0 || strcmp(path + place->base, "lock") == 0)
        return 0;
    snprintf(other, sizeof other, "%s%s", cut_root(power_cut.cut), path + strlen(power_cut.tape.root));
    assert_int_equal(file_read(path, &content), 0);
    if (file_read(other, &built) != 0 || !span_equal(buffer_span(&content), buffer_span(&built)))
        fail_msg("seed %" PRIu64 ", life %" PRIu64 ": %s is not what the tape makes of it", power_cut.seed,
                 power_cut_seen.lives, path);
    buffer_free(&content);
    buffer_free(&built);
    files_compared++;
    return 0;
}

static int
count_file(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)path;
    (void)status;
    (void)place;
    files_compared -= type == FTW_F;
    return 0;
}

static void
compare_with_what_is_there(void)
{

    power_cut_all_ways(CUT_ALL);
    cut_choose(power_cut.cut, power_cut.ways, 0);
    cut_clear(power_cut.cut);
    cut_build(power_cut.cut, "");
    files_compared = 0;
    assert_int_equal(nftw(power_cut.tape.root, compare_file, 16, FTW_PHYS), 0);
    assert_int_equal(nftw(cut_root(power_cut.cut), count_file, 16, FTW_PHYS), 0);
    assert_int_equal(files_compared, 0);
}

/* Look at states of the recorded life, some at instants that the dice choose; at the instant `last` build the one that the
 * next life begins in, in the folder next, unless that is NULL. */
static void
look_at_life(unsigned singles_percent, unsigned last, const char *next)
{
    unsigned *quota = calloc(power_cut.tape.event_count, sizeof quota[0]);
    char dir[300];

    assert_non_null(quota);
    for (unsigned i = 0; i < STATES_A_LIFE; i++)
        quota[power_cut.tape.begin + dice_roll(power_cut.tape.event_count - power_cut.tape.begin)]++;
    snprintf(dir, sizeof dir, "%s/cut", scratch);
    assert_int_equal(mkdir(dir, 0700), 0);
    power_cut.cut = cut_new(&power_cut.tape, dir);
    known_learn_beginning();
    for (power_cut.instant = power_cut.tape.begin; power_cut.instant < power_cut.tape.event_count; power_cut.instant++) {
        known_learn();
        look_at_both_ends();
        if (dice_chance(singles_percent))
            look_at_singles();
        for (; quota[power_cut.instant] > 0; quota[power_cut.instant]--)
            look_at_any();
        if (power_cut.instant == last && next != NULL) {
            power_cut_all_ways(CUT_ANY);
            look_at_state(GROUP_SHARED);
            cut_clear(power_cut.cut);
            cut_build(power_cut.cut, "");
            assert_int_equal(rename(cut_root(power_cut.cut), next), 0);
            break;
        }
    }
    power_cut_seen.instants += power_cut.instant - power_cut.tape.begin;
    if (power_cut.instant == power_cut.tape.event_count)
        compare_with_what_is_there();
    cut_free(power_cut.cut);
    scratch_dir_remove(dir);
    free(quota);
}

/* Seeds. */

static void
run_life(unsigned number)
{
    const bool last = number + 1 == LIVES;
    char root[300], next[300];

    snprintf(root, sizeof root, "%s/%u", scratch, number);
    snprintf(next, sizeof next, "%s/%u", scratch, number + 1);
    power_cut_seen.lives++;
    known_begin_anew();
    recording_in(&power_cut.first, root);
    recording_begin(&power_cut.first, &power_cut.tape, root);
    if (number == 0)
        recording_load(&power_cut.first, 0);
    last_thing = power_cut.tape.event_count;
    if (!recording_start_all(&power_cut.first))
        fail_msg("a process does not open");
    live(last ? UINT32_MAX : dice_roll(1500));
    tape_end();
    const unsigned things = power_cut.tape.event_count - last_thing;
    look_at_life(power_cut.seed % EVERYTHING_EACH == 0 ? 100 : 3,
                 things > 0 ? last_thing + dice_roll(things) : power_cut.tape.event_count - 1, last ? NULL : next);
    for (unsigned i = 0; i < PROCESSES; i++)
        recording_kill(&power_cut.first, i);
    if (dice_chance(50))
        memory_broker_forget(&power_cut.first.pipeline.broker, true, true);
    tape_free(&power_cut.tape);
    scratch_dir_remove(root);
}

static void
run_seed(void)
{
    char root[300];

    dice_seed(power_cut.seed);
    pipeline_now_ms = 0;
    scratch_dir_make(scratch);
    snprintf(root, sizeof root, "%s/0", scratch);
    assert_int_equal(mkdir(root, 0700), 0);
    recording_make_world();
    power_cut.first = (struct recording){0};
    known_clear();
    pipeline_connect_loader(&power_cut.first.pipeline);
    for (unsigned life = 0; life < LIVES; life++)
        run_life(life);
    recording_close(&power_cut.first);
    loader_free(&power_cut.first.pipeline.loader);
    known_free();
    recording_free_world();
    scratch_dir_remove(scratch);
    scratch[0] = '\0';
    power_cut_seen.seeds++;
}

static int
remove_what_is_left(void **state)
{
    (void)state;
    if (scratch[0] != '\0')
        scratch_dir_remove(scratch);
    return 0;
}

/* A process that finds itself wrong ends all of this. */
static void
say_seed(int signal_number)
{
    (void)signal_number;
    print_error("to repeat it: GAIT_SEED=%" PRIu64 " power_cut\n", power_cut.seed);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void
whatever_a_power_cut_leaves_opens_and_holds_what_was_told(void **state)
{
    const struct power_cut_seen *seen = &power_cut_seen;
    const uint64_t only = dice_from_environment("GAIT_SEED", 0);
    const uint64_t states = only != 0 ? 1 : dice_from_environment("GAIT_STATES", 2000);

    (void)state;
    findings_begin();
    signal(SIGABRT, say_seed);
    power_cut.seed = only != 0 ? only : dice_from_environment("GAIT_FIRST", 1);
    for (; seen->states < states; power_cut.seed++) {
        print_message("seed %" PRIu64 ", behind %" PRIu64 " states\n", power_cut.seed, seen->states);
        fflush(stdout);
        run_seed();
    }
    findings_end();
    print_message("states %" PRIu64 ", instants %" PRIu64 ", seeds %" PRIu64 ", lives %" PRIu64 ", writes recorded %" PRIu64
                  ", syncs %" PRIu64 ", names %" PRIu64 ", commits %" PRIu64 ", processes opened %" PRIu64
                  ", gone on from %" PRIu64 "\n",
                  seen->states, seen->instants, seen->seeds, seen->lives, seen->writes, seen->syncs, seen->names,
                  seen->commits, seen->opened, seen->gone_on);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whatever_a_power_cut_leaves_opens_and_holds_what_was_told, remove_what_is_left),
    };

    dice_make_keys(false);
    hash_init();
    log_open("power_cut", LOG_NOTHING);
    const int failed = bugs_run();
    return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
