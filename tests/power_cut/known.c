#include "power_cut.h"

#include <stdio.h>

#include "base/log.h"

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
struct known_told known_told;

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
    const struct event *event = &power_cut.tape.events[number];
    const struct mark *what = event->mark;
    const char *path = power_cut.tape.nodes[event->node].path;

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

void
known_fail(unsigned number, const char *format, ...)
{
    const enum cut_way way = power_cut.ways[number];
    va_list args;

    print_error("%s: ", catalog_streams[number]->name);
    va_start(args, format);
    vprint_error(format, args);
    va_end(args);
    print_error("\n  in state %" PRIu64 " of seed %" PRIu64 ", life %" PRIu64 ", the power cut behind event %u; of what was "
                "not synced is left\n  in its folder: %s",
                power_cut_seen.states, power_cut.seed, power_cut_seen.lives, power_cut.instant, way_words[way]);
    if (way == CUT_DROP || way == CUT_KEEP)
        print_error(" %u", power_cut.one);
    print_error("\n  above that: %s\n", way_words[power_cut.ways[GROUP_SHARED]]);
    for (unsigned i = power_cut.instant > 12 ? power_cut.instant - 12 : 0; i <= power_cut.instant; i++)
        describe_event(i);
    findings_open_with_log(number);
    fail_msg("to repeat it: GAIT_SEED=%" PRIu64 " power_cut", power_cut.seed);
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
            known_fail(number, "input %u is applied up to %" PRIu64 ", and %" PRIu64 " was reported", i,
                       found->links[i].applied, told.applied);
    }
}

void
known_check(unsigned number, bool *is_new)
{
    const struct known *process = &known[number];
    const struct finding *found = findings_of(number, is_new);

    if (found->wrong != NULL)
        known_fail(number, "%s", found->wrong);
    if (!process->opened)
        return;
    if (found->inbox_position < process->inbox_position)
        known_fail(number, "the inbox is worked up to %" PRIu64 ", and a receipt was sent for what ends at %" PRIu64,
                   found->inbox_position, process->inbox_position);
    if (found->output < process->output || found->rejected < process->rejected)
        known_fail(number, "the outboxes end at %" PRIu64 " and %" PRIu64 ", sent was up to %" PRIu64 " and %" PRIu64,
                   found->output, found->rejected, process->output, process->rejected);
    check_links(number, found);
    const int commit = commit_of(process, found->digest);
    if (commit < 0)
        known_fail(number, "it holds what no commit left");
    if ((unsigned)commit < process->said)
        known_fail(number, "it holds commit %d, and commit %u was there when it last spoke", commit, process->said);
    if (power_cut.ways[number] == CUT_ALL && power_cut.ways[GROUP_SHARED] == CUT_ALL &&
        found->inbox_end < process->inbox_end)
        known_fail(number, "its inbox ends at %" PRIu64 ", though all is there up to %" PRIu64, found->inbox_end,
                   process->inbox_end);
}

/* Learning what is known at the instant. */

/* What process `number` has committed by now is what a cut may leave from now on. */
static void
learn_commit(unsigned number)
{
    struct known *process = &known[number];
    bool is_new = false;

    power_cut_all_ways(CUT_ALL);
    cut_choose(power_cut.cut, power_cut.ways, 0);
    const struct finding *found = findings_of(number, &is_new);
    if (found->wrong != NULL)
        known_fail(number, "%s", found->wrong);
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
        known_told.receipted[what->number] = true;
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
        known_told.heard[what->number] = true;
        break;
    default:
        known_told.payload_count = (unsigned)what->value;
        known_told.phase = what->number;
    }
}

/* Whether the event is LMDB's last word on a commit: one of the two meta pages is another. */
static bool
is_commit(const struct event *event)
{
    const char *path = power_cut.tape.nodes[event->node].path;
    const size_t len = strlen(path);

    /* A path is that of the beginning, and a store gets its name later. */
    if (event->kind != EVENT_CHANGE || len < 9 ||
        (strcmp(path + len - 9, "/data.new") != 0 && strcmp(path + len - 9, "/data.mdb") != 0))
        return false;
    for (unsigned i = 0; i < event->page_count; i++) {
        if (power_cut.tape.page_changes[event->first_page + i].number < 2)
            return true;
    }
    return false;
}

void
known_learn_beginning(void)
{
    power_cut.instant = power_cut.tape.begin - 1;
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (known[i].opened)
            learn_commit(i);
    }
}

void
known_learn(void)
{
    const struct event *event = &power_cut.tape.events[power_cut.instant];

    cut_go(power_cut.cut, power_cut.instant);
    if (event->kind == EVENT_MARK)
        learn_mark(event->mark);
    else if (is_commit(event) && known[power_cut.tape.nodes[event->node].group].opened)
        learn_commit(power_cut.tape.nodes[event->node].group);
    power_cut_seen.commits += is_commit(event);
    power_cut_seen.writes += event->kind == EVENT_CHANGE;
    power_cut_seen.syncs += event->kind == EVENT_SYNC;
    power_cut_seen.names += event->kind == EVENT_NAMES;
}

/* Beginning and end. */

void
known_begin_anew(void)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        struct known *process = &known[i];
        process->commit_count = process->said = 0;
        process->inbox_end = 0;
    }
}

void
known_clear(void)
{
    memset(known, 0, sizeof known);
    known_told = (struct known_told){0};
}

void
known_free(void)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        free(known[i].commits);
}
