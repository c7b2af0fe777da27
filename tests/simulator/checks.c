#include "simulation.h"

#include "asker.h"
#include "base/bytes.h"

/* At every message. */

/* A receipt speaks of what is committed. */
static void
check_receipt(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];
    struct span position;

    if (store_snapshot(inside_store(process)) != 0) /* a panic if a transaction is under way */
        return;
    if (store_get(inside_store(process), inside_meta(process), span_of("inbox"), &position) != 1 ||
        bytes_get_u64(position.at) != inside_inbox_position(process))
        simulation_fail("sends a receipt before the commit", number);
    store_snapshot_end(inside_store(process));
}

/* How many refusals the lines of payload tell of: one each, or as many as they say. */
static uint64_t
refusals_in(struct span payload)
{
    static const char count[] = ",\"count\":";
    uint64_t sum = 0;

    while (payload.len > 0) {
        const char *end = memchr(payload.at, '\n', payload.len);
        const size_t bytes = end != NULL ? (size_t)(end - payload.at) : payload.len;
        const char *said = memmem(payload.at, bytes, count, sizeof count - 1);
        sum += said != NULL ? strtoull(said + sizeof count - 1, NULL, 10) : 1;
        payload = span_at(payload.at + bytes + (end != NULL), payload.len - bytes - (end != NULL));
    }
    return sum;
}

/* The messages of a rejected topic come in order, some of them more than once, and cut in other parts then: the next
 * connection may be to a broker that takes more, or less. */
static void
count_rejections(struct rejections *seen_ones, const struct wire_message *message)
{
    if (message->epoch != seen_ones->epoch)
        *seen_ones = (struct rejections){.epoch = message->epoch};
    if (message->sequence != seen_ones->sequence + 1)
        return;
    if (message->part <= 1) {
        seen_ones->gathered = seen_ones->part = 0;
        seen_ones->parts = message->parts;
    }
    if (message->parts > 0 && (message->parts != seen_ones->parts || message->part != seen_ones->part + 1))
        return;
    seen_ones->part = message->part;
    seen_ones->gathered += refusals_in(message->payload);
    if (message->part < message->parts)
        return;
    seen_ones->sequence = message->sequence;
    seen_ones->count += seen_ones->gathered;
}

/* Persons stand in records and nowhere else. */
static void
check_personal_data(unsigned number, const struct wire_message *message)
{
    const struct span topic = message->topic, payload = message->payload;
    const bool record = strstr(topic.at, "/trusted/") != NULL || strstr(topic.at, "/curated/") != NULL ||
                        strstr(topic.at, "/feed") != NULL;
    const bool named = payload.len > 0 && memchr(payload.at, '@', payload.len) != NULL;

    if (strchr(topic.at, '@') != NULL || (!record && named))
        simulation_fail("tells who somebody is", number);
}

/* What the join says to everybody, and to study. */
static void
count_sent(const struct wire_message *message)
{
    if (span_is(message->topic, STUDY_LINK "/feed"))
        simulation.study_sent++;
    if (!span_is(message->topic, "gait/curated/machine_learning"))
        return;
    simulation.main_repeats += message->sequence <= simulation.main_sequence && message->part <= 1;
    simulation.main_sequence = message->sequence;
}

void
checks_take(void *context, const struct memory_wire *from, const struct wire_message *message)
{
    const int number = number_of_client(from->name);

    (void)context;
    if (number == NOBODY)
        return;
    check_personal_data((unsigned)number, message);
    count_sent(message);
    if (message->topic.len > strlen(LOADER_RECEIPTS) &&
        memcmp(message->topic.at, LOADER_RECEIPTS, strlen(LOADER_RECEIPTS)) == 0)
        check_receipt((unsigned)number);
    if (span_is(message->topic, inside_rejected_topic(simulation.pipeline.processes[number])))
        count_rejections(&simulation.rejections[number], message);
}

/* At every step. */

/* Bytes that it has decided to send. */
static uint64_t
put_out_by(const struct process *process)
{
    return inside_output(process)->last.end + inside_rejected(process)->last.end;
}

uint64_t
checks_taken(const struct process *process)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < inside_ledger(process)->input_count; i++)
        sum += inside_ledger(process)->inputs[i].taken;
    return sum;
}

/* Those of them that were good. */
static uint64_t
good_of(const struct process *process)
{
    uint64_t sum = checks_taken(process);

    for (unsigned i = 0; i < inside_ledger(process)->input_count; i++)
        sum -= inside_ledger(process)->inputs[i].verdicts[VERDICT_INVALID];
    return sum;
}

/* A transaction is bounded, by records and by what it puts out, whatever one payload or one record brings about; then so is
 * the outbox. A record or two more come out before it is noticed. */
static void
check_bounds(unsigned number, uint64_t good, uint64_t put_out)
{
    struct process *process = simulation.pipeline.processes[number];
    const uint64_t slack = 4096;

    if (good_of(process) > good + *inside_limits(process).batch_records)
        simulation_fail("takes in more records than a transaction may", number);
    if (!inside_serves_newcomer(process) &&
        put_out_by(process) > put_out + *inside_limits(process).batch_output_bytes + slack)
        simulation_fail("puts out more than a transaction may", number);
}

struct checks_step
checks_before_step(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];
    const bool loaded = inside_is_loaded(process);

    return (struct checks_step){
        .loaded = loaded,
        .full = loaded && outbox_bytes(inside_output(process)) >= *inside_limits(process).outbox_bytes,
        .taken = checks_taken(process),
        .good = good_of(process),
        .put_out = put_out_by(process),
    };
}

void
checks_after_step(unsigned number, const struct checks_step *before)
{
    const struct process *process = simulation.pipeline.processes[number];
    const bool took = checks_taken(process) != before->taken;
    /* Else a commit that failed may have turned out to have taken place. */
    const bool all_along = before->loaded && inside_is_loaded(process);

    if (before->full && took)
        simulation_fail("takes records in although its outbox is full", number);
    if (all_along)
        check_bounds(number, before->good, before->put_out);
    if (all_along && inside_timekeeper(process)->fault != TIMEKEEPER_RIGHT && took)
        simulation_fail("takes records in although its clock is wrong", number);
}

/* At rest. */

void
checks_read_retained(enum set set, struct lines *lines)
{
    char filter[64];

    snprintf(filter, sizeof filter, "gait/%s/+", set_paths[set]);
    for (const struct memory_message *kept = simulation.pipeline.broker.retained; kept != NULL; kept = kept->next) {
        if (memory_matches(kept->wire.topic.at, filter) && strstr(kept->wire.payload.at, "\"withdrawn\":") == NULL)
            lines_add(lines, "%s", kept->wire.payload.at);
    }
}

static bool
study_is_there(void)
{
    return simulation.study.wire != NULL && !simulation.study.away;
}

bool
checks_set_is_right(enum set set)
{
    const bool any_more = set == MACHINE_LEARNING && simulation.join_lost;
    struct lines must = {0}, may = {0}, lines = {0}, retained = {0};
    bool right = true;

    world_expect(&simulation.world, set, simulation.since, simulation.pipeline.phase, &must, &may);
    sets_read_lake(simulation.pipeline.dir, set, &lines);
    if (simulation.restored != NOBODY && !is_table(set)) {
        lines_once(&lines);
        lines_once(&simulation.study.records);
        lines_once(&must);
    }
    if (is_table(set)) {
        right = sets_last_of_rows(&lines, simulation.restored == NOBODY);
        checks_read_retained(set, &retained);
        right = right && sets_is_between("the retained rows", &retained, &must, &may);
    }
    if (!simulation.lake_off)
        right = sets_is_between("the lake", &lines, &must, any_more ? NULL : &may) && right;
    if (set == MACHINE_LEARNING && study_is_there())
        right = sets_is_between("study", &simulation.study.records, &must, any_more ? NULL : &may) && right;
    if (!right)
        sets_complain("  %s: %u must be there, %u may; %u in the lake, %u retained\n", set_paths[set], must.count, may.count,
                      lines.count, retained.count);
    lines_free(&must);
    lines_free(&may);
    lines_free(&lines);
    lines_free(&retained);
    return right;
}

bool
checks_sets_are_right(void)
{
    bool right = true;

    for (unsigned i = 0; i < SETS && (right || sets_complaining); i++)
        right = checks_set_is_right((enum set)i) && right;
    return right;
}

bool
checks_links_are_whole(void)
{
    bool whole = true;

    for (unsigned i = 0; i < PROCESSES; i++) {
        const struct process *process = simulation.pipeline.processes[i];
        if (processes_is_off(i))
            continue;
        for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
            const int from = number_of_stream(catalog_streams[i]->inputs[j].from);
            if (from == NOBODY)
                continue;
            const struct link_position *position = &inside_link(process, j)->committed;
            const struct process *producer = simulation.pipeline.processes[from];
            const uint64_t applied = position->epoch == inside_epoch(producer) ? position->applied : 0;
            if (applied == inside_output(producer)->last.sequence)
                continue;
            sets_complain("  %s has applied %" PRIu64 " of %" PRIu64 " of %s\n", catalog_streams[i]->name, applied,
                          inside_output(producer)->last.sequence, catalog_streams[from]->name);
            whole = false;
        }
        for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
            if (inside_link(process, j)->lost == 0)
                continue;
            sets_complain("  %s is said to have lost messages\n", catalog_streams[i]->name);
            whole = false;
        }
        if (i == NUMBER_JOIN && simulation.study.away)
            continue; /* it waits for study, and nobody else does */
        if (outbox_bytes(inside_output(process)) != 0 || outbox_bytes(inside_rejected(process)) != 0) {
            sets_complain("  %s: the outbox has %" PRIu64 " bytes\n", catalog_streams[i]->name,
                          outbox_bytes(inside_output(process)));
            whole = false;
        }
    }
    return whole;
}

/* The newest refusals stand in the store, in the transactions that counted them. */
static bool
newest_refusals_are_known(unsigned number)
{
    const struct process *process = simulation.pipeline.processes[number];
    bool known = true;

    for (unsigned i = 0; i < REASON_COUNT; i++) {
        const uint64_t all = inside_ledger(process)->reasons[i], kept = all < RECENT_MAX ? all : RECENT_MAX;
        if (inside_recent(process)->reasons[i].count == kept)
            continue;
        sets_complain("  %s: %u of the newest %" PRIu64 " refusals for %s are known\n", catalog_streams[number]->name,
                      inside_recent(process)->reasons[i].count, kept, reason_word((enum reason)i));
        known = false;
    }
    return known;
}

/* Whatever was refused or invalid has a reason, and was published with it. */
static bool
reasons_are_given(unsigned number)
{
    const struct process *process = simulation.pipeline.processes[number];
    const struct ledger *ledger = inside_ledger(process);
    const struct rejections *rejections = &simulation.rejections[number];
    uint64_t refused = 0, reasons = 0;

    for (unsigned i = 0; i < catalog_streams[number]->input_count; i++)
        refused += ledger->inputs[i].verdicts[VERDICT_REFUSED] + ledger->inputs[i].verdicts[VERDICT_INVALID];
    for (unsigned i = 0; i < REASON_COUNT; i++)
        reasons += ledger->reasons[i];
    if (refused == reasons && (reasons == 0 || rejections->epoch == inside_epoch(process)) && rejections->count == reasons)
        return true;
    sets_complain("  %s: %" PRIu64 " records were refused or invalid, %" PRIu64 " reasons counted, %" PRIu64 " published\n",
                  catalog_streams[number]->name, refused, reasons, rejections->count);
    return false;
}

bool
checks_is_taken_for_old(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];
    bool old = inside_is_back(process);

    for (unsigned i = 0; i < catalog_streams[number]->input_count; i++)
        old = old || inside_link(process, i)->lost > 0;
    if (old)
        sets_complain("  %s is said to be an older copy\n", catalog_streams[number]->name);
    return old;
}

/* The gates know of each sender what of it waits: the sums of all are the sum, and nobody has none. */
static bool
senders_are_counted(unsigned number)
{
    struct store *store = inside_store(simulation.pipeline.processes[number]);
    const int senders = store_table(store, "waiting_senders"), size = store_table(store, "waiting_size");
    struct span bytes, with_sender;
    struct store_item item;
    uint64_t sum = 0;
    bool right = true;

    if (senders < 0 || size < 0 || store_snapshot(store) != 0)
        return false;
    for (int rc = store_seek(store, senders, (struct span){0}, &item); rc == 1; rc = store_next(store, senders, &item)) {
        sum += bytes_get_u64(item.value.at);
        right = right && bytes_get_u64(item.value.at) > 0;
    }
    if (store_get(store, size, span_of("senders"), &with_sender) == 1 &&
        store_get(store, size, span_of("bytes"), &bytes) == 1)
        right = right && sum == bytes_get_u64(with_sender.at) && sum == bytes_get_u64(bytes.at); /* all have one */
    else
        right = right && sum == 0;
    store_snapshot_end(store);
    if (!right)
        sets_complain("  %s: its senders have %" PRIu64 " bytes in the waiting room\n",
                      catalog_streams[number]->name, sum);
    return right;
}

static bool
all_is_right(void)
{
    const struct loader *loader = &simulation.pipeline.loader;
    bool right = loader_is_done(loader) && !loader->wrong && !simulation.study.lost && checks_links_are_whole() &&
                 sets_are_counted(&simulation.pipeline, 1, ACCELEROMETER, TRUSTED_ACCELEROMETER) &&
                 sets_are_counted(&simulation.pipeline, 3, STEP_TRAINER, TRUSTED_STEP_TRAINER) &&
                 senders_are_counted(1) && senders_are_counted(3);

    if (loader->wrong)
        sets_complain("  a receipt spoke of more or fewer records than were sent\n");
    for (unsigned i = 0; i < PROCESSES; i++)
        right = right && (processes_is_off(i) || (int)i == simulation.restored || reasons_are_given(i)) &&
                (processes_is_off(i) || newest_refusals_are_known(i));
    for (unsigned i = 0; i < PROCESSES; i++)
        right = right && (processes_is_off(i) || !checks_is_taken_for_old(i));
    if (right || sets_complaining)
        right = checks_sets_are_right() && right;
    return right;
}

bool
checks_hear_rest(void)
{
    static const char *const filter = ASKER_ANSWERS;
    struct asker asker = {.options = {.client_name = "asker"}};
    const struct wire_events events = asker_events(&asker);

    asker.wire = memory_wire(&simulation.pipeline.broker, &asker.options, &events);
    asker.wire->calls->connect(asker.wire);
    pipeline_move(&simulation.pipeline);
    asker.wire->calls->subscribe(asker.wire, &filter, 1, 0, WIRE_AT_LEAST_ONCE);
    pipeline_move(&simulation.pipeline);
    asker_ask(&asker);
    processes_settle();
    const bool rest = asker_has_all(&asker) && asker_hears_rest(&asker);
    asker.wire->calls->free(asker.wire);
    return rest;
}

/* Coming to rest. */

#define PATIENCE_MS 120000 /* the longest waits are those between probes, 30 s */
#define LONGEST_MS (10 * PATIENCE_MS) /* with a tiny outbox, which is trimmed once a second, and thousands of pairs */

/* What has been decided so far. */
static uint64_t
all_put_out(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < PROCESSES; i++)
        sum += simulation.pipeline.processes[i] != NULL ? put_out_by(simulation.pipeline.processes[i]) : 0;
    return sum;
}

void
checks_come_right(void)
{
    faults_end();
    const int64_t begun_ms = pipeline_now_ms;
    int64_t moved_ms = pipeline_now_ms;
    processes_settle();
    while (pipeline_now_ms - moved_ms < PATIENCE_MS && pipeline_now_ms - begun_ms < LONGEST_MS && !all_is_right()) {
        const uint64_t before = all_put_out();
        pipeline_now_ms += 500;
        processes_settle();
        if (all_put_out() != before)
            moved_ms = pipeline_now_ms;
    }
    processes_settle_for(10000);
    if (all_is_right())
        return;
    sets_complaining = true;
    if (simulation.study.lost)
        print_error("  study is said to have lost messages\n");
    print_error("seed %" PRIu64 ", phase %u: consent %s, match %s, window %us%s%s; %u of %u payloads have their %s\n",
                simulation.seed, simulation.pipeline.phase, simulation.world.as_of ? "as_of" : "any",
                simulation.world.by_customer ? "customer" : "time", simulation.world.window_s,
                simulation.since > 0 ? ", lake or join new in phase 1" : "", simulation.join_lost ? " (join)" : "",
                simulation.pipeline.loader.done, simulation.pipeline.loader.count,
                simulation.pipeline.loader.trusting ? "acknowledgement" : "receipt");
    all_is_right();
    sets_complaining = false;
    simulation_say_how_to_repeat();
    fail();
}

void
checks_come_right_without_study(void)
{
    if (simulation.study.wire != NULL && simulation.outbox_bytes_max == 0 && dice_chance(50)) {
        simulation.study.away = true;
        checks_come_right();
    }
    simulation.study.away = false;
}
