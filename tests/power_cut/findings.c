#include "power_cut.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../unit/inside.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"

#define FINDINGS (1u << 16)
static struct finding *findings; /* PROCESSES * FINDINGS: of the states that were opened already */
static struct recording reopened; /* its processes are opened and closed */

void
findings_begin(void)
{
    findings = calloc(PROCESSES * FINDINGS, sizeof findings[0]);
    assert_non_null(findings);
}

void
findings_end(void)
{
    memory_broker_free(&reopened.pipeline.broker);
    free(findings);
}

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
        const struct entry *entry = recording_entry(&power_cut.first, number, begin);
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
                                          .boot = reopened.pipeline.options[number].boot,
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
    snprintf(path, sizeof path, "%s/%s", reopened.pipeline.dir, number == NUMBER_LAKE ? "lake" : "pseudonym.key");
    if (number == NUMBER_LAKE || has_key(number))
        nftw(path, digest_file, 16, FTW_PHYS); /* there may be none yet */
    finding->digest ^= files_digest;
    if (number == NUMBER_LAKE && !lines_are_whole)
        finding->wrong = "the lake has half a line";
    if (inside_inbox(process) != NULL)
        check_inbox(number, reopened.pipeline.dir, opened, finding);
}

static void
build_process(unsigned number, const char *state)
{
    cut_clear(power_cut.cut);
    cut_build(power_cut.cut, state);
    if (has_key(number))
        cut_build(power_cut.cut, "gait/pseudonym.key");
    if (number == NUMBER_LAKE)
        cut_build(power_cut.cut, "gait/lake");
    recording_in(&reopened, cut_root(power_cut.cut));
}

const struct finding *
findings_of(unsigned number, bool *is_new)
{
    char state[128];

    snprintf(state, sizeof state, "gait/state/%s", catalog_streams[number]->name);
    uint64_t key = cut_key(power_cut.cut, state);
    if (has_key(number))
        key += cut_key(power_cut.cut, "gait/pseudonym.key") * 5;
    if (number == NUMBER_LAKE)
        key += cut_key(power_cut.cut, "gait/lake") * 7;
    struct finding *finding = &findings[number * FINDINGS + (key >> 20) % FINDINGS];
    if (finding->life == power_cut_seen.lives && finding->key == key)
        return finding;
    *is_new = true;
    power_cut_seen.opened++;
    *finding = (struct finding){.life = power_cut_seen.lives, .key = key};
    build_process(number, state);
    tape_watch(cut_touched);
    struct process *process = process_open(&reopened.pipeline.options[number]);
    if (process == NULL)
        finding->wrong = "it does not open";
    else
        look_at(number, &process, finding);
    process_close(process);
    tape_watch(NULL);
    return finding;
}

void
findings_open_with_log(unsigned number)
{
    char state[128];

    log_open(catalog_streams[number]->name, LOG_INFO);
    snprintf(state, sizeof state, "gait/state/%s", catalog_streams[number]->name);
    build_process(number, state);
    process_close(process_open(&reopened.pipeline.options[number]));
}
