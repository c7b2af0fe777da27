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
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../simulator/dice.h"
#include "../unit/inside.h"
#include "../unit/scratch_dir.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bugs.h"
#include "cut.h"
#include "recording.h"
#include "streams/catalog.h"
#include "tape.h"

#define LIVES 3
#define STATES_A_LIFE 300
#define GO_ON_PERMILLE 20 /* of the states are gone on from */

/* In one of so many seeds every instant is looked at with each single unsynced event there and not there. */
#define EVERYTHING_EACH 8

static char scratch[SCRATCH_DIR_SIZE];
static struct recording first;  /* is recorded */
static struct recording second; /* goes on in a state */
static struct tape tape;
static unsigned last_thing; /* the event at which the last thing that happened began */
static uint64_t seed;

/* The state at hand. */
static struct cut *cut;
static unsigned instant; /* the newest event before the cut */
static enum cut_way ways[GROUPS_MAX];
static unsigned one;

static struct {
    uint64_t seeds, lives, writes, syncs, names, commits, instants, states, opened, gone_on;
} seen;

static void
all_ways(enum cut_way way)
{
    for (unsigned i = 0; i < GROUPS_MAX; i++)
        ways[i] = way;
}

/* A life. */

/* Live so many things long, or until there is nothing more to come. */
static void
live(unsigned things)
{
    for (; things > 0; things--) {
        last_thing = tape.event_count;
        pipeline_happen(&first.pipeline);
        if (dice_chance(1))
            recording_break(&first);
        if (!loader_is_done(&first.pipeline.loader))
            continue;
        if (!recording_comes_right(&first))
            fail_msg("seed %" PRIu64 ": the sets are wrong before any state was looked at", seed);
        last_thing = tape.event_count;
        if (first.pipeline.phase + 1 == recording_world.phases)
            break;
        recording_load(&first, first.pipeline.phase + 1);
    }
    if (things == 0)
        return;
    pipeline_now_ms += RECORDING_HOLD_MS + 60000; /* whoever waits is refused, whoever was recognised is forgotten */
    recording_settle(&first);
    assert_true(recording_is_right(&first, true));
}

/* Opening a state. */

/* What a process was found to be in a state. */
struct finding {
    uint64_t key;
    uint64_t life;
    const char *wrong; /* NULL: nothing */
    uint64_t digest;   /* of all that is in its tables, and of the files it keeps beside them */
    uint64_t inbox_position, inbox_end;
    uint64_t output, rejected; /* last sequence numbers */
    struct link_position links[OPERATOR_INPUTS_MAX];
};

#define FINDINGS (1u << 16)
static struct finding *findings; /* PROCESSES * FINDINGS: of the states that were opened already */
static struct recording third; /* its processes are opened and closed */

static int
tables_of(unsigned number, struct store *store)
{
    static int counts[PROCESSES];

    if (counts[number] == 0)
        counts[number] = store_table(store, "one more");
    return counts[number];
}

static uint64_t
digest_of_store(struct store *store, int tables)
{
    uint64_t digest = 0;
    struct store_item item;

    assert_int_equal(store_snapshot(store), 0);
    for (int table = 0; table < tables; table++) {
        digest = recording_add_to_sum(digest, span_of("table"));
        for (int rc = store_seek(store, table, (struct span){0}, &item); rc == 1; rc = store_next(store, table, &item))
            digest = recording_add_to_sum(recording_add_to_sum(digest, item.key), item.value);
    }
    store_snapshot_end(store);
    return digest;
}

/* Whether it works with the file of the pseudonyms' key. */
static bool
has_key(unsigned number)
{
    return number == NUMBER_FILTER || number == NUMBER_JOIN;
}

static uint64_t files_digest;
static bool lines_are_whole;

static int
digest_file(const char *path, const struct stat *status, int type, struct FTW *place)
{
    struct buffer content = {0};

    (void)status;
    (void)place;
    if (type != FTW_F)
        return 0;
    assert_int_equal(file_read(path, &content), 0);
    lines_are_whole = lines_are_whole && (content.len == 0 || content.data[content.len - 1] == '\n');
    /* Folders give out names in no order. */
    files_digest += recording_add_to_sum(recording_add_to_sum(1, span_of(path)), buffer_span(&content));
    buffer_free(&content);
    return 0;
}

/* What it reads from its inbox is what came, in its place; it may pass over what was lost, which is for no operator to look
 * at. Returns where that ends. */
static uint64_t
read_inbox(unsigned number, struct inbox *inbox, uint64_t position, bool probed, const char **wrong)
{
    static const struct span probe = {"probe", 5};
    struct inbox_entry found;
    struct inbox_gap gap;
    int rc;

    while ((rc = inbox_read(inbox, &position, &found, &gap)) == 1) {
        if (gap.damage)
            *wrong = "its inbox calls damage what a power cut took";
        const uint64_t begin = position - recording_entry_bytes(&found);
        if (probed && span_equal(found.payload, probe))
            return begin;
        const struct entry *entry = recording_entry(&first, number, begin);
        if (entry == NULL || entry->end != position ||
            entry->sum != recording_sum(found.response_topic, found.correlation, found.payload))
            *wrong = "its inbox gives what never came";
    }
    if (rc < 0)
        *wrong = "its inbox can't be read";
    else if (gap.damage)
        *wrong = "its inbox calls damage what a power cut took";
    else if (probed)
        *wrong = "its inbox lost what was appended since";
    return position;
}

/* Take in one more message, and come back once more, as after a kill. */
static void
check_inbox(unsigned number, const char *dir, struct process **process, struct finding *finding)
{
    const struct inbox_entry probe = {.payload = {"probe", 5}};
    const uint64_t position = inside_inbox_position(*process);
    char path[600];
    const struct inbox_options options = {.dir = path,
                                          .epoch = inside_epoch(*process),
                                          .key = inside_inbox_key(*process),
                                          .boot = third.pipeline.options[number].boot,
                                          .bytes_max = UINT64_C(1) << 30,
                                          .payload_bytes_max = (1u << 20) + 1};

    finding->inbox_end = read_inbox(number, inside_inbox(*process), position, false, &finding->wrong);
    if (finding->inbox_end != inside_inbox_end(*process))
        finding->wrong = "it does not read up to the end of its inbox";
    if (!inbox_has_room(inside_inbox(*process)) || inbox_append(inside_inbox(*process), &probe) != 0)
        finding->wrong = "its inbox takes nothing in";
    process_close(*process);
    *process = NULL;
    snprintf(path, sizeof path, "%s/state/%s/inbox", dir, catalog_streams[number]->name);
    struct inbox *inbox = inbox_open(&options, position);
    if (inbox == NULL)
        finding->wrong = "its inbox does not open again";
    else if (read_inbox(number, inbox, position, true, &finding->wrong) != finding->inbox_end)
        finding->wrong = "its inbox is another when opened again";
    inbox_close(inbox);
}

static void
look_at(unsigned number, struct process **opened, struct finding *finding)
{
    struct process *process = *opened;
    char path[600];

    finding->inbox_position = inside_inbox_position(process);
    finding->output = inside_output(process)->last.sequence;
    finding->rejected = inside_rejected(process)->last.sequence;
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++)
        finding->links[i] = inside_link(process, i)->committed;
    finding->digest = digest_of_store(inside_store(process), tables_of(number, inside_store(process)));
    files_digest = 0;
    lines_are_whole = true;
    snprintf(path, sizeof path, "%s/%s", third.pipeline.dir, number == NUMBER_LAKE ? "lake" : "pseudonym.key");
    if (number == NUMBER_LAKE || has_key(number))
        nftw(path, digest_file, 16, FTW_PHYS); /* there may be none yet */
    finding->digest ^= files_digest;
    if (number == NUMBER_LAKE && !lines_are_whole)
        finding->wrong = "the lake has half a line";
    if (inside_inbox(process) != NULL)
        check_inbox(number, third.pipeline.dir, opened, finding);
}

static void
build_process(unsigned number, const char *state)
{
    cut_clear(cut);
    cut_build(cut, state);
    if (has_key(number))
        cut_build(cut, "gait/pseudonym.key");
    if (number == NUMBER_LAKE)
        cut_build(cut, "gait/lake");
    recording_in(&third, cut_root(cut));
}

/* Open process `number` in the chosen state, if that was not done before. */
static const struct finding *
open_process(unsigned number, bool *is_new)
{
    char state[128];

    snprintf(state, sizeof state, "gait/state/%s", catalog_streams[number]->name);
    uint64_t key = cut_key(cut, state);
    if (has_key(number))
        key += cut_key(cut, "gait/pseudonym.key") * 5;
    if (number == NUMBER_LAKE)
        key += cut_key(cut, "gait/lake") * 7;
    struct finding *finding = &findings[number * FINDINGS + (key >> 20) % FINDINGS];
    if (finding->life == seen.lives && finding->key == key)
        return finding;
    *is_new = true;
    seen.opened++;
    *finding = (struct finding){.life = seen.lives, .key = key};
    build_process(number, state);
    tape_watch(cut_touched);
    struct process *process = process_open(&third.pipeline.options[number]);
    if (process == NULL)
        finding->wrong = "it does not open";
    else
        look_at(number, &process, finding);
    process_close(process);
    tape_watch(NULL);
    return finding;
}

/* What a state must hold. */

/* What is known of a process at an instant. */
struct known {
    bool opened; /* at some time before; until then nothing depends on its state, if only it opens */
    uint64_t *commits; /* digests of what may be found: first what the life began with, or the first opening left */
    unsigned commit_count, commit_capacity;
    unsigned said; /* the newest commit when it last said anything */
    uint64_t inbox_position, inbox_end;
    uint64_t output, rejected;
    struct link_position links[OPERATOR_INPUTS_MAX];
};

static struct known known[PROCESSES];
static bool receipted[LOADER_PAYLOADS_MAX]; /* a receipt was sent */
static bool heard[LOADER_PAYLOADS_MAX];     /* and came */
static unsigned payload_count, phase;       /* of the instant */

/* Complaining. */

static const char *const mark_words[] = {
    [MARK_OPENED] = "it is open",
    [MARK_SAID] = "it publishes something",
    [MARK_RECEIPT] = "a receipt, for payload",
    [MARK_OUTPUT] = "a message of its output",
    [MARK_REJECTED] = "a rejected message",
    [MARK_APPLIED] = "a report, on input",
    [MARK_APPENDED] = "acknowledges payload",
    [MARK_HEARD] = "the publisher has the receipt for payload",
    [MARK_PHASE] = "the publisher has payloads of phase",
};
static const char *const way_words[] = {
    [CUT_NONE] = "nothing",
    [CUT_ALL] = "everything",
    [CUT_DROP] = "everything but event",
    [CUT_KEEP] = "nothing but event",
    [CUT_ANY] = "something, by the dice",
};

static const char *
name_or_none(const char *name)
{
    return name != NULL ? name : "(nothing)";
}

static void
describe_event(unsigned number)
{
    const struct event *event = &tape.events[number];
    const struct mark *what = event->mark;
    const char *path = tape.nodes[event->node].path;

    print_error("  event %u: ", number);
    if (event->kind == EVENT_MARK)
        print_error("%s: %s %u, %" PRIu64 "\n", catalog_streams[what->process]->name, mark_words[what->kind], what->number,
                    what->value);
    else if (event->kind == EVENT_CHANGE)
        print_error("%s: %u pages change, it ends at %" PRIu64 "\n", path, event->page_count, event->size);
    else if (event->kind == EVENT_NAMES)
        print_error("%s: %s becomes %s\n", path, name_or_none(event->from), name_or_none(event->to));
    else
        print_error("%s: sync\n", path);
}

static void build_process(unsigned number, const char *state);

/* The process's log of coming back, in case it says why. */
static void
open_with_log(unsigned number)
{
    char state[128];

    log_open(catalog_streams[number]->name, LOG_INFO);
    snprintf(state, sizeof state, "gait/state/%s", catalog_streams[number]->name);
    build_process(number, state);
    process_close(process_open(&third.pipeline.options[number]));
}

static void fail_state(unsigned number, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* The state at hand is wrong, as seen at a process: say all that helps, and end. */
static void
fail_state(unsigned number, const char *format, ...)
{
    va_list args;

    print_error("%s: ", catalog_streams[number]->name);
    va_start(args, format);
    vprint_error(format, args);
    va_end(args);
    print_error("\n  in state %" PRIu64 " of seed %" PRIu64 ", life %" PRIu64 ", the power cut behind event %u; of what was "
                "not synced is left\n  in its folder: %s",
                seen.states, seed, seen.lives, instant, way_words[ways[number]]);
    if (ways[number] == CUT_DROP || ways[number] == CUT_KEEP)
        print_error(" %u", one);
    print_error("\n  above that: %s\n", way_words[ways[GROUP_SHARED]]);
    for (unsigned i = instant > 12 ? instant - 12 : 0; i <= instant; i++)
        describe_event(i);
    open_with_log(number);
    fail_msg("to repeat it: GAIT_SEED=%" PRIu64 " power_cut", seed);
    abort();
}

/* The newest commit by this instant that left what was found, or −1. */
static int
commit_of(const struct known *process, uint64_t digest)
{
    for (unsigned i = process->commit_count; i-- > 0;) {
        if (process->commits[i] == digest)
            return (int)i;
    }
    return -1;
}

static void
check_links(unsigned number, const struct finding *found)
{
    const struct known *process = &known[number];

    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++) {
        const struct link_position told = process->links[i];
        if (told.epoch != 0 && (found->links[i].epoch != told.epoch || found->links[i].applied < told.applied))
            fail_state(number, "input %u is applied up to %" PRIu64 ", and %" PRIu64 " was reported", i,
                       found->links[i].applied, told.applied);
    }
}

static void
check_process(unsigned number, bool *is_new)
{
    const struct known *process = &known[number];
    const struct finding *found = open_process(number, is_new);

    if (found->wrong != NULL)
        fail_state(number, "%s", found->wrong);
    if (!process->opened)
        return;
    if (found->inbox_position < process->inbox_position)
        fail_state(number, "the inbox is worked up to %" PRIu64 ", and a receipt was sent for what ends at %" PRIu64,
                   found->inbox_position, process->inbox_position);
    if (found->output < process->output || found->rejected < process->rejected)
        fail_state(number, "the outboxes end at %" PRIu64 " and %" PRIu64 ", sent was up to %" PRIu64 " and %" PRIu64,
                   found->output, found->rejected, process->output, process->rejected);
    check_links(number, found);
    const int commit = commit_of(process, found->digest);
    if (commit < 0)
        fail_state(number, "it holds what no commit left");
    if ((unsigned)commit < process->said)
        fail_state(number, "it holds commit %d, and commit %u was there when it last spoke", commit, process->said);
    if (ways[number] == CUT_ALL && ways[GROUP_SHARED] == CUT_ALL && found->inbox_end < process->inbox_end)
        fail_state(number, "its inbox ends at %" PRIu64 ", though all is there up to %" PRIu64, found->inbox_end,
                   process->inbox_end);
}

/* Learning what is known at the instant. */

/* What process `number` has committed by now is what a cut may leave from now on. */
static void
learn_commit(unsigned number)
{
    struct known *process = &known[number];
    bool is_new = false;

    all_ways(CUT_ALL);
    cut_choose(cut, ways, 0);
    const struct finding *found = open_process(number, &is_new);
    if (found->wrong != NULL)
        fail_state(number, "%s", found->wrong);
    if (process->commit_count == process->commit_capacity) {
        process->commit_capacity = process->commit_capacity * 2 + 64;
        process->commits = realloc(process->commits, process->commit_capacity * sizeof process->commits[0]);
        assert_non_null(process->commits);
    }
    process->commits[process->commit_count++] = found->digest;
    process->inbox_end = found->inbox_end > process->inbox_end ? found->inbox_end : process->inbox_end;
}

static void
at_least(uint64_t *value, uint64_t to)
{
    if (to > *value)
        *value = to;
}

static void
learn_mark(const struct mark *what)
{
    struct known *process = &known[what->process];

    switch (what->kind) {
    case MARK_OPENED:
        process->opened = true;
        learn_commit(what->process);
        break;
    case MARK_SAID:
        process->said = process->commit_count - 1;
        break;
    case MARK_RECEIPT:
        at_least(&process->inbox_position, what->value);
        receipted[what->number] = true;
        break;
    case MARK_OUTPUT:
        at_least(&process->output, what->value);
        break;
    case MARK_REJECTED:
        at_least(&process->rejected, what->value);
        break;
    case MARK_APPLIED:
        if (what->epoch != 0)
            process->links[what->number] = (struct link_position){what->epoch, what->value};
        break;
    case MARK_APPENDED:
        at_least(&process->inbox_end, what->value);
        break;
    case MARK_HEARD:
        heard[what->number] = true;
        break;
    default:
        payload_count = (unsigned)what->value;
        phase = what->number;
    }
}

/* Whether the event is LMDB's last word on a commit: one of the two meta pages is another. */
static bool
is_commit(const struct event *event)
{
    const char *path = tape.nodes[event->node].path;
    const size_t len = strlen(path);

    /* A path is that of the beginning, and a store gets its name later. */
    if (event->kind != EVENT_CHANGE || len < 9 ||
        (strcmp(path + len - 9, "/data.new") != 0 && strcmp(path + len - 9, "/data.mdb") != 0))
        return false;
    for (unsigned i = 0; i < event->page_count; i++) {
        if (tape.page_changes[event->first_page + i].number < 2)
            return true;
    }
    return false;
}

static void
learn(void)
{
    const struct event *event = &tape.events[instant];

    cut_go(cut, instant);
    if (event->kind == EVENT_MARK)
        learn_mark(event->mark);
    else if (is_commit(event) && known[tape.nodes[event->node].group].opened)
        learn_commit(tape.nodes[event->node].group);
    seen.commits += is_commit(event);
    seen.writes += event->kind == EVENT_CHANGE;
    seen.syncs += event->kind == EVENT_SYNC;
    seen.names += event->kind == EVENT_NAMES;
}

/* Going on. */

/* Start everything in the chosen state, with a broker that knows nothing and a publisher who sends again what he heard of
 * no receipt for, or if that was enough, what none was sent for. */
static void
go_on(void)
{
    const int64_t kept_ms = pipeline_now_ms;
    const bool *done = dice_chance(50) ? heard : receipted;

    second = (struct recording){.pipeline.phase = phase};
    second.pipeline.broker.retained_first = dice_chance(50);
    second.pipeline.loader.count = payload_count;
    for (unsigned i = 0; i < payload_count; i++) {
        second.pipeline.loader.payloads[i] = first.pipeline.loader.payloads[i]; /* their texts are the first one's */
        second.pipeline.loader.payloads[i].done = done[i];
        second.pipeline.loader.payloads[i].sent_ms = -1;
        second.pipeline.loader.done += done[i];
    }
    pipeline_connect_loader(&second.pipeline);
    cut_clear(cut);
    cut_build(cut, "");
    recording_in(&second, cut_root(cut));
    pipeline_now_ms = tape.events[instant].time_ms;
    tape_watch(cut_touched);
    if (!recording_start_all(&second) || !recording_comes_right(&second))
        fail_state(NUMBER_LAKE, "going on from here, the sets come out wrong; %u of %u payloads had a receipt",
                   second.pipeline.loader.done, payload_count);
    recording_close(&second);
    tape_watch(NULL);
    pipeline_now_ms = kept_ms;
    seen.gone_on++;
}

/* States. */

/* Look at the state that the ways choose: at one process, or at all of them. */
static void
look_at_state(unsigned group)
{
    bool is_new = false;

    cut_choose(cut, ways, one);
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (group == i || group == GROUP_SHARED)
            check_process(i, &is_new);
    }
    seen.states += is_new;
    if (is_new && dice_roll(1000) < GO_ON_PERMILLE)
        go_on();
}

/* The group that the newest event is about. */
static unsigned
group_of_instant(void)
{
    const struct event *event = &tape.events[instant];
    return event->kind == EVENT_MARK ? ((const struct mark *)event->mark)->process : tape.nodes[event->node].group;
}

/* None and all of what was not synced. */
static void
look_at_both_ends(void)
{
    const unsigned group = group_of_instant();

    all_ways(CUT_NONE);
    look_at_state(group);
    all_ways(CUT_ALL);
    look_at_state(group);
}

#define SINGLES_MAX 40

/* When a row of changes has ended: everything but one of what is not synced, and nothing but that. */
static void
look_at_singles(void)
{
    const enum event_kind kind = tape.events[instant].kind;
    const unsigned group = group_of_instant();
    unsigned events[SINGLES_MAX];

    if ((kind != EVENT_CHANGE && kind != EVENT_NAMES) ||
        (instant + 1 < tape.event_count && tape.events[instant + 1].kind == EVENT_CHANGE))
        return;
    unsigned count = cut_pending(cut, group, events, SINGLES_MAX);
    for (unsigned i = 0; i < count && i < SINGLES_MAX; i++) {
        all_ways(CUT_ALL);
        one = events[i];
        ways[group] = CUT_DROP;
        look_at_state(group);
        ways[group] = CUT_KEEP;
        look_at_state(group);
    }
}

static void
look_at_any(void)
{
    unsigned group = group_of_instant();

    if (dice_chance(20))
        group = GROUP_SHARED;
    all_ways(group == GROUP_SHARED ? CUT_ANY : CUT_ALL);
    ways[group] = CUT_ANY;
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
    snprintf(other, sizeof other, "%s%s", cut_root(cut), path + strlen(tape.root));
    assert_int_equal(file_read(path, &content), 0);
    if (file_read(other, &built) != 0 || !span_equal(buffer_span(&content), buffer_span(&built)))
        fail_msg("seed %" PRIu64 ", life %" PRIu64 ": %s is not what the tape makes of it", seed, seen.lives, path);
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

    all_ways(CUT_ALL);
    cut_choose(cut, ways, 0);
    cut_clear(cut);
    cut_build(cut, "");
    files_compared = 0;
    assert_int_equal(nftw(tape.root, compare_file, 16, FTW_PHYS), 0);
    assert_int_equal(nftw(cut_root(cut), count_file, 16, FTW_PHYS), 0);
    assert_int_equal(files_compared, 0);
}

/* Look at states of the recorded life, some at instants that the dice choose; at the instant `last` build the one that the
 * next life begins in, in the folder next, unless that is NULL. */
static void
look_at_life(unsigned singles_percent, unsigned last, const char *next)
{
    unsigned *quota = calloc(tape.event_count, sizeof quota[0]);
    char dir[300];

    assert_non_null(quota);
    for (unsigned i = 0; i < STATES_A_LIFE; i++)
        quota[tape.begin + dice_roll(tape.event_count - tape.begin)]++;
    snprintf(dir, sizeof dir, "%s/cut", scratch);
    assert_int_equal(mkdir(dir, 0700), 0);
    cut = cut_new(&tape, dir);
    instant = tape.begin - 1;
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (known[i].opened)
            learn_commit(i);
    }
    for (instant = tape.begin; instant < tape.event_count; instant++) {
        learn();
        look_at_both_ends();
        if (dice_chance(singles_percent))
            look_at_singles();
        for (; quota[instant] > 0; quota[instant]--)
            look_at_any();
        if (instant == last && next != NULL) {
            all_ways(CUT_ANY);
            look_at_state(GROUP_SHARED);
            cut_clear(cut);
            cut_build(cut, "");
            assert_int_equal(rename(cut_root(cut), next), 0);
            break;
        }
    }
    seen.instants += instant - tape.begin;
    if (instant == tape.event_count)
        compare_with_what_is_there();
    cut_free(cut);
    scratch_dir_remove(dir);
    free(quota);
}

/* What is known of a life that begins in the state at hand. */
static void
begin_anew(void)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        struct known *process = &known[i];
        process->commit_count = process->said = 0;
        process->inbox_end = 0;
    }
}

/* Seeds. */

static void
run_life(unsigned number)
{
    const bool last = number + 1 == LIVES;
    char root[300], next[300];

    snprintf(root, sizeof root, "%s/%u", scratch, number);
    snprintf(next, sizeof next, "%s/%u", scratch, number + 1);
    seen.lives++;
    begin_anew();
    recording_in(&first, root);
    recording_begin(&first, &tape, root);
    if (number == 0)
        recording_load(&first, 0);
    last_thing = tape.event_count;
    if (!recording_start_all(&first))
        fail_msg("a process does not open");
    live(last ? UINT32_MAX : dice_roll(1500));
    tape_end();
    const unsigned things = tape.event_count - last_thing;
    look_at_life(seed % EVERYTHING_EACH == 0 ? 100 : 3,
                 things > 0 ? last_thing + dice_roll(things) : tape.event_count - 1, last ? NULL : next);
    for (unsigned i = 0; i < PROCESSES; i++)
        recording_kill(&first, i);
    if (dice_chance(50))
        memory_broker_forget(&first.pipeline.broker, true, true);
    tape_free(&tape);
    scratch_dir_remove(root);
}

static void
run_seed(void)
{
    char root[300];

    dice_seed(seed);
    pipeline_now_ms = 0;
    scratch_dir_make(scratch);
    snprintf(root, sizeof root, "%s/0", scratch);
    assert_int_equal(mkdir(root, 0700), 0);
    recording_make_world();
    first = (struct recording){0};
    memset(known, 0, sizeof known);
    memset(receipted, 0, sizeof receipted);
    memset(heard, 0, sizeof heard);
    pipeline_connect_loader(&first.pipeline);
    for (unsigned life = 0; life < LIVES; life++)
        run_life(life);
    recording_close(&first);
    loader_free(&first.pipeline.loader);
    for (unsigned i = 0; i < PROCESSES; i++)
        free(known[i].commits);
    recording_free_world();
    scratch_dir_remove(scratch);
    scratch[0] = '\0';
    seen.seeds++;
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
    print_error("to repeat it: GAIT_SEED=%" PRIu64 " power_cut\n", seed);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void
whatever_a_power_cut_leaves_opens_and_holds_what_was_told(void **state)
{
    const uint64_t only = dice_from_environment("GAIT_SEED", 0);
    const uint64_t states = only != 0 ? 1 : dice_from_environment("GAIT_STATES", 2000);

    (void)state;
    findings = calloc(PROCESSES * FINDINGS, sizeof findings[0]);
    assert_non_null(findings);
    signal(SIGABRT, say_seed);
    for (seed = only != 0 ? only : dice_from_environment("GAIT_FIRST", 1); seen.states < states; seed++) {
        print_message("seed %" PRIu64 ", behind %" PRIu64 " states\n", seed, seen.states);
        fflush(stdout);
        run_seed();
    }
    memory_broker_free(&third.pipeline.broker);
    free(findings);
    print_message("states %" PRIu64 ", instants %" PRIu64 ", seeds %" PRIu64 ", lives %" PRIu64 ", writes recorded %" PRIu64
                  ", syncs %" PRIu64 ", names %" PRIu64 ", commits %" PRIu64 ", processes opened %" PRIu64
                  ", gone on from %" PRIu64 "\n",
                  seen.states, seen.instants, seen.seeds, seen.lives, seen.writes, seen.syncs, seen.names, seen.commits,
                  seen.opened, seen.gone_on);
}

/* Keys and epochs come from the dice too, or a seed would not repeat itself. */
static const char *
name_of_dice(void)
{
    return "dice";
}

static uint32_t
random_from_dice(void)
{
    return dice_roll(UINT32_MAX);
}

static void
fill_from_dice(void *const bytes, const size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)dice_roll(256);
}

int
main(void)
{
    static struct randombytes_implementation dice = {
        .implementation_name = name_of_dice, .random = random_from_dice, .buf = fill_from_dice};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whatever_a_power_cut_leaves_opens_and_holds_what_was_told, remove_what_is_left),
    };

    randombytes_set_implementation(&dice);
    hash_init();
    log_open("power_cut", LOG_NOTHING);
    const int failed = bugs_run();
    return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
