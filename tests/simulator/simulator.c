/*
 * simulator: the whole pipeline in one thread. The six processes, with the real operators, links, inbox and store, over a
 * broker in memory and with a clock of their own. A seed says what data comes in which order and what breaks when: in the
 * end the lake, the broker's copy of the tables and every counter must be what the rules of the five jobs say.
 *
 * What may break: messages get lost and come twice; connections break, at a publish or a message half heard; the broker
 * dies and forgets its sessions, what it retains, or all, or comes back with what it retained once; a registered consumer
 * from outside is away for long; a process is stopped,
 * killed, or dies at any of the deeds by which it acts on the world: a write, a sync, a rename, a publish; a write fails;
 * the disk is full for a while; somebody sets the clock of a host. While a process waits for its disk, messages arrive.
 *
 * A process that dies does no more deeds: the calls it still makes until it can be buried fail without effect. So no
 * stack has to be left in the middle.
 *
 * GAIT_SEED=N runs that seed alone, with its log; GAIT_SEEDS=N as many, from GAIT_FIRST=N on. GAIT_WORLD=DIR runs
 * nothing, but writes down the world of GAIT_SEED and what is expected of it, to be compared with the SQL.
 * GAIT_ONE_FAILURE=1 ends it all at the first failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../unit/disk.h"
#include "../unit/inside.h"
#include "../unit/memory_wire.h"
#include "../unit/scratch_dir.h"
#include "asker.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/config.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "dice.h"
#include "loader.h"
#include "numbers.h"
#include "operator/gate.h"
#include "pipeline.h"
#include "run/process.h"
#include "run/hold.h"
#include "sets.h"
#include "store/keyset.h"
#include "streams/catalog.h"
#include "study.h"
#include "world.h"

#define PATH_BYTES 400
#define DAY_MS INT64_C(86400000)

/* The simulation. */

struct simulation {
    uint64_t seed;
    struct pipeline pipeline;
    struct world world;
    struct study study;
    bool lake_off;                        /* for the first phase */
    unsigned since;                       /* the phase from which on what is decided must come out */
    bool join_lost;                       /* what it knew before that; what comes out may come twice */
    int restored;                         /* this process came back from an older copy: likewise, of everything; or NOBODY */
    uint64_t outbox_bytes_max;            /* of every process; 0: as configured, which is never reached */
    uint64_t rejected_bytes_max;          /* 0 likewise: what is refused is then told in sum, when there is room */
    uint64_t payload_faults_max;          /* 0 likewise; else in sum, when a payload ends */
    uint64_t window_bytes;                /* of every publisher; 0 likewise */
    unsigned batch_records_max;           /* of a transaction; 0 likewise */
    uint64_t batch_output_bytes_max;
    struct rejections {
        uint64_t epoch, sequence; /* the newest message that was whole */
        uint64_t count;           /* of refusals in all of them */
        uint64_t gathered;        /* and in the parts of the next one */
        unsigned part, parts;     /* up to which of how many */
    } rejections[PROCESSES];
    unsigned study_sent;                  /* messages to study */
    uint64_t main_sequence;               /* the newest that went to everybody, of what study gets */
    unsigned main_repeats;

    unsigned faults, broker_faults;       /* those of something_breaks and broker_breaks that may happen, as bits */
    unsigned loss_percent, twice_percent; /* of messages on links */
    unsigned slow_percent;                /* how often nothing is heard when it is a landing connection's turn */
    unsigned meanwhile_percent;           /* of syncs during which messages arrive */
    const char *lose_once;                /* a message whose topic ends like this is lost; NULL none */
    unsigned lose_skip;                   /* but the first of them get through */
    bool disk_full;
    bool copy_on_write;                   /* on a full disk nothing can be written, not even in place */
    uint64_t join_room;                   /* how large the store of the join can become; 0: as large as it wants */

    int64_t apart_ms[PROCESSES]; /* its host's clock was set by this */
    int acting;                 /* whose deeds these are */
    bool stepping;              /* in process_step, not in an event */
    bool meanwhile;             /* messages arrive while it waits for the disk: nobody dies of those */
    bool dead[PROCESSES];       /* no more deeds of it */
    unsigned dies_in[PROCESSES];  /* at this deed from now; 0 never */
    unsigned fails_in[PROCESSES]; /* a deed on the disk */
    unsigned failures_of_two;     /* left of two failures in a row: of a write that took place, and one that did not */
    jmp_buf last_words;         /* where _exit leads to */
};

static struct simulation simulation;

/* The clocks of the host whose process acts. */
static int64_t
wall_ms(void)
{
    return pipeline_wall_ms() + (simulation.acting != NOBODY ? simulation.apart_ms[simulation.acting] : 0);
}

/* What a whole run has seen. */
static struct {
    uint64_t seeds, phases, steps, messages, syncs, meanwhile, deaths, kills, stops, failed_writes, full_disks, forgets;
    uint64_t no_room, leaps;
} seen;

static bool
faultless(unsigned number)
{
    return !simulation.dead[number] && simulation.dies_in[number] == 0 && simulation.fails_in[number] == 0 &&
           !simulation.disk_full;
}

static void
say_how_to_repeat(void)
{
    print_error("to repeat it: GAIT_SEED=%" PRIu64 " simulator\n", simulation.seed);
    if (getenv("GAIT_ONE_FAILURE") != NULL) {
        scratch_dir_remove(simulation.pipeline.dir);
        fflush(NULL);
        syscall(SYS_exit_group, EXIT_FAILURE);
    }
}

/* A panic ends everything: it must not hide the seed. */
static void
on_abort(int number)
{
    (void)number;
    say_how_to_repeat();
}

/* Deeds. */

static void arrive_meanwhile(unsigned number);

/* Count down to a process's death, which is before this deed; the deed before it is done. */
static bool
is_dead(int number)
{
    if (number == NOBODY)
        return false;
    if (!simulation.dead[number] && !simulation.meanwhile && simulation.dies_in[number] > 0 &&
        --simulation.dies_in[number] == 0) {
        simulation.dead[number] = true;
        seen.deaths++;
    }
    return simulation.dead[number];
}

static bool
needs_room(const struct disk_call *call)
{
    char path[512];
    struct stat status;

    disk_path(call->fd >= 0 ? call->fd : call->dir_fd, call->path, path, sizeof path);
    if (simulation.join_room > 0)
        return call->deed == DISK_WRITE && strstr(path, "/machine-learning-curated/store/data.mdb") != NULL &&
               call->offset + call->len > simulation.join_room;
    switch (call->deed) {
    case DISK_WRITE:
        if (strstr(path, "/inbox/") != NULL) /* it is allocated */
            return false;
        return simulation.copy_on_write || fstat(call->fd, &status) != 0 ||
               call->offset + call->len > (uint64_t)status.st_size;
    case DISK_CREATE:
        return stat(path, &status) != 0;
    case DISK_ALLOCATE:
    case DISK_MAKE_DIR:
        return true;
    default:
        return false;
    }
}

static int
before_deed(const struct disk_call *call)
{
    const int number = simulation.acting;

    if (number == NOBODY || (call->fd >= 0 && call->fd <= STDERR_FILENO))
        return 0;
    if (is_dead(number))
        return EIO;
    if (!simulation.meanwhile && simulation.fails_in[number] > 0 && --simulation.fails_in[number] == 0) {
        seen.failed_writes++;
        const unsigned of_two = simulation.failures_of_two;
        const bool took_place = of_two > 0 ? of_two == 2 : dice_chance(50);
        /* The next one too: LMDB takes a failed write back by another one. */
        simulation.fails_in[number] = of_two > 0 ? --simulation.failures_of_two > 0 : dice_chance(30);
        if (call->deed == DISK_WRITE && took_place)
            syscall(SYS_pwritev, call->fd, call->bytes, call->byte_count, (off_t)call->offset, 0);
        return EIO;
    }
    if ((simulation.disk_full || simulation.join_room > 0) && needs_room(call)) {
        seen.no_room++;
        return ENOSPC;
    }
    if (call->deed == DISK_SYNC) {
        seen.syncs++;
        if (simulation.stepping && !simulation.disk_full)
            arrive_meanwhile((unsigned)number);
    }
    return 0;
}

/* A process may end itself where it can't keep a message: it is dead, and comes back to where it was stepped from. */
void
_exit(int status)
{
    if (simulation.acting == NOBODY || simulation.stepping)
        syscall(SYS_exit_group, status);
    simulation.dead[simulation.acting] = true;
    longjmp(simulation.last_words, 1);
}

/* Processes. */

static void
complain_and_fail(const char *what, unsigned number)
{
    say_how_to_repeat();
    fail_msg("%s %s", catalog_streams[number]->name, what);
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    return memory_wire(context, options, events);
}

static bool
allows(void *context, const struct memory_wire *from)
{
    (void)context;
    return !is_dead(number_of_client(from->name));
}

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
        complain_and_fail("sends a receipt before the commit", number);
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
        complain_and_fail("tells who somebody is", number);
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

/* What processes say to the outside. */
static void
takes(void *context, const struct memory_wire *from, const struct wire_message *message)
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

/* kill -9: nobody hears a good-bye, and what it had not committed is gone. */
static void
kill_process(unsigned number)
{
    pipeline_cut_off(&simulation.pipeline, number);
    simulation.dead[number] = true;
    simulation.acting = (int)number;
    process_close(simulation.pipeline.processes[number]);
    simulation.acting = NOBODY;
    simulation.pipeline.processes[number] = NULL;
    simulation.dead[number] = false;
    simulation.dies_in[number] = simulation.fails_in[number] = 0;
    seen.kills++;
}

static void
stop_process(unsigned number)
{
    simulation.acting = (int)number;
    process_close(simulation.pipeline.processes[number]);
    simulation.acting = NOBODY;
    simulation.pipeline.processes[number] = NULL;
    if (simulation.dead[number])
        kill_process(number);
    seen.stops++;
}

/* Bury it if it has died. */
static void
bury(int number)
{
    if (number != NOBODY && simulation.dead[number])
        kill_process((unsigned)number);
}

static bool
is_off(unsigned number)
{
    return simulation.lake_off && number == NUMBER_LAKE;
}

/* The configuration takes only limits that are worth having. */
static void
set_limits(struct process *process)
{
    const struct inside_limits limits = inside_limits(process);

    if (simulation.outbox_bytes_max > 0)
        *limits.outbox_bytes = simulation.outbox_bytes_max;
    if (simulation.rejected_bytes_max > 0)
        *limits.rejected_bytes = simulation.rejected_bytes_max;
    if (simulation.payload_faults_max > 0)
        *limits.payload_faults = simulation.payload_faults_max;
    if (simulation.window_bytes > 0)
        *limits.output_window_bytes = *limits.rejected_window_bytes = simulation.window_bytes;
    if (simulation.batch_records_max > 0)
        *limits.batch_records = simulation.batch_records_max;
    if (simulation.batch_output_bytes_max > 0)
        *limits.batch_output_bytes = simulation.batch_output_bytes_max;
}

static void
start_process(unsigned number)
{
    const bool fine = faultless(number);

    if (is_off(number))
        return;
    simulation.acting = (int)number;
    simulation.stepping = true;
    simulation.pipeline.processes[number] = process_open(&simulation.pipeline.options[number]);
    simulation.stepping = false;
    simulation.acting = NOBODY;
    if (simulation.pipeline.processes[number] == NULL) {
        if (fine)
            complain_and_fail("does not start", number);
        simulation.dead[number] = false;
        simulation.dies_in[number] = simulation.fails_in[number] = 0;
    } else {
        set_limits(simulation.pipeline.processes[number]);
    }
    bury((int)number);
}

static void
start_the_dead(unsigned percent)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (simulation.pipeline.processes[i] == NULL && dice_chance(percent))
            start_process(i);
    }
}

/* Bytes that it has decided to send. */
static uint64_t
put_out_by(const struct process *process)
{
    return inside_output(process)->last.end + inside_rejected(process)->last.end;
}

/* Records that it has taken in. */
static uint64_t
taken_by(const struct process *process)
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
    uint64_t sum = taken_by(process);

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
        complain_and_fail("takes in more records than a transaction may", number);
    if (!inside_serves_newcomer(process) &&
        put_out_by(process) > put_out + *inside_limits(process).batch_output_bytes + slack)
        complain_and_fail("puts out more than a transaction may", number);
}

static int64_t
step(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];

    if (process == NULL)
        return 1;
    const bool full =
        inside_is_loaded(process) && outbox_bytes(inside_output(process)) >= *inside_limits(process).outbox_bytes;
    const uint64_t taken = taken_by(process), good = good_of(process), put_out = put_out_by(process);
    const bool loaded = inside_is_loaded(process);
    simulation.acting = (int)number;
    simulation.stepping = true;
    const int64_t wait = process_step(process);
    simulation.stepping = false;
    simulation.acting = NOBODY;
    if (full && taken_by(process) != taken)
        complain_and_fail("takes records in although its outbox is full", number);
    /* Else a commit that failed may have turned out to have taken place. */
    const bool all_along = loaded && inside_is_loaded(process);
    if (all_along)
        check_bounds(number, good, put_out);
    if (all_along && inside_timekeeper(process)->fault != TIMEKEEPER_RIGHT && taken_by(process) != taken)
        complain_and_fail("takes records in although its clock is wrong", number);
    bury((int)number);
    seen.steps++;
    return wait;
}

/* Let the owner of wire hear the next event; with cut, it is not acknowledged. */
static bool
hear(struct memory_wire *wire, bool cut)
{
    volatile bool heard = false;

    simulation.acting = number_of_client(wire->name);
    if (setjmp(simulation.last_words) == 0) {
        if (cut)
            memory_wire_hear_and_cut(wire);
        else
            heard = memory_wire_hear(wire);
    }
    const int number = simulation.acting;
    simulation.acting = NOBODY;
    bury(number);
    seen.messages += heard;
    return heard;
}

static bool
hear_meanwhile(struct pipeline *pipeline, struct memory_wire *wire)
{
    (void)pipeline;
    return memory_wire_hear(wire);
}

/* What comes in while a process waits for its disk. */
static void
arrive_meanwhile(unsigned number)
{
    if (!dice_chance(simulation.meanwhile_percent))
        return;
    simulation.meanwhile = true;
    seen.meanwhile += pipeline_arrive(&simulation.pipeline, number, hear_meanwhile);
    simulation.meanwhile = false;
}

static enum memory_fate
fate(void *context, const struct memory_wire *to, const struct wire_message *message)
{
    struct simulation *self = context;
    const size_t len = self->lose_once != NULL ? strlen(self->lose_once) : 0;
    (void)to;
    if (len > 0 && message->topic.len >= len &&
        strcmp(message->topic.at + message->topic.len - len, self->lose_once) == 0 && self->lose_skip-- == 0) {
        self->lose_once = NULL;
        return MEMORY_LOST;
    }
    if (dice_chance(self->loss_percent))
        return MEMORY_LOST;
    return dice_chance(self->twice_percent) ? MEMORY_TWICE : MEMORY_ONCE;
}

static bool
step_in_turn(struct pipeline *pipeline, unsigned number)
{
    (void)pipeline;
    return step(number) == 0;
}

static bool
hear_in_turn(struct pipeline *pipeline, struct memory_wire *wire)
{
    (void)pipeline;
    return hear(wire, false);
}

static void
act_outside(struct pipeline *pipeline)
{
    (void)pipeline;
    study_step(&simulation.study);
}

static bool
is_slow(const struct memory_wire *wire)
{
    return simulation.slow_percent > 0 && strstr(wire->name, "-landing") != NULL && dice_chance(simulation.slow_percent);
}

static const struct pipeline_moves moves = {
    .step = step_in_turn, .hear = hear_in_turn, .act_outside = act_outside, .is_slow = is_slow};

/* Beginning and end. */

static void
configure(void)
{
    const struct process_options options = {
        .make_wire = make_wire,
        .context = &simulation.pipeline.broker,
        .wall_ms = wall_ms,
        .built_ms = WORLD_START_MS - DAY_MS,
        .boot = 1, /* it is never cut off its power */
    };

    simulation.pipeline.config = pipeline_configure(&simulation.world);
    pipeline_set(simulation.pipeline.config, "lake", "enabled", simulation.lake_off ? "off" : "on");
    pipeline_set_options(&simulation.pipeline, &options);
}

static void
simulation_open(uint64_t seed, unsigned phases, bool crowd)
{
    pipeline_now_ms = 0;
    simulation = (struct simulation){.seed = seed, .acting = NOBODY, .restored = NOBODY};
    simulation.pipeline.world = &simulation.world;
    simulation.pipeline.moves = &moves;
    scratch_dir_make(simulation.pipeline.dir);
    world_make(&simulation.world, phases, crowd);
    simulation.pipeline.broker.fate = fate;
    simulation.pipeline.broker.allows = allows;
    simulation.pipeline.broker.takes = takes;
    simulation.pipeline.broker.context = &simulation;
    simulation.pipeline.broker.retained_first = dice_chance(50);
    pipeline_connect_loader(&simulation.pipeline);
    configure();
    disk_before = before_deed;
}

/* A consumer from outside registers for the training set. */
static void
register_study(void)
{
    struct study *study = &simulation.study;
    const struct wire_events events = study_events(study);

    study->options = (struct wire_options){.client_name = "study"};
    study->wire = memory_wire(&simulation.pipeline.broker, &study->options, &events);
    pipeline_set(simulation.pipeline.config, "machine-learning-curated", "consumers", "study");
}

static void
simulation_close(void)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        process_close(simulation.pipeline.processes[i]);
    disk_before = NULL;
    simulation.pipeline.loader.wire->calls->free(simulation.pipeline.loader.wire);
    loader_free(&simulation.pipeline.loader);
    study_free(&simulation.study);
    memory_broker_free(&simulation.pipeline.broker);
    config_free(simulation.pipeline.config);
    world_free(&simulation.world);
    scratch_dir_remove(simulation.pipeline.dir);
}

/* What happens. */

/* A broker that forgets sessions forgets messages that it has acknowledged: not with a loader that trusts it. */
#define BROKER_FAULTS 5
#define BROKER_KEEPS_SESSIONS (1u << 1 | 1u << 3)

/* What a broker takes at most: all that comes, or less than what messages are filled up to, but more than any record. */
static size_t
packet_bytes_max(void)
{
    return dice_chance(50) ? 0 : 800 + dice_roll(600);
}

static void
broker_breaks(void)
{
    struct memory_broker *broker = &simulation.pipeline.broker;

    seen.forgets++;
    broker->packet_bytes_max = packet_bytes_max();
    switch (dice_roll_among(BROKER_FAULTS, simulation.broker_faults)) {
    case 0:
        memory_broker_forget(broker, true, false);
        break;
    case 1:
        memory_broker_forget(broker, false, true);
        break;
    case 2:
        memory_broker_go_back(broker);
        break;
    case 3:
        memory_broker_save(broker);
        break;
    default:
        memory_broker_forget(broker, true, true);
    }
}

/* The clock of a process's host leaps, by up to a year ahead or ten back, or back to what is right. That a leap ahead is no
 * time that passed can be known only to who lives when it is made, and has said so in its store. */
static void
clock_leaps(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];

    seen.leaps++;
    if (simulation.apart_ms[number] != 0) {
        simulation.apart_ms[number] = 0;
    } else if (dice_chance(50)) {
        simulation.apart_ms[number] = -(2 + (int64_t)dice_roll(3650)) * DAY_MS;
    } else if (process != NULL && faultless(number) && timekeeper_knows(inside_timekeeper(process))) {
        simulation.apart_ms[number] = (1 + (int64_t)dice_roll(365)) * DAY_MS;
        step(number);
        if (inside_timekeeper(process)->set)
            simulation.apart_ms[number] = 0;
    }
}

#define FAULTS 16

static void
something_breaks(void)
{
    const unsigned number = dice_roll(PROCESSES);
    const bool lives = simulation.pipeline.processes[number] != NULL;
    struct memory_wire *wire = simulation.pipeline.broker.wires[dice_roll(simulation.pipeline.broker.wire_count)];
    switch (dice_roll_among(FAULTS, simulation.faults)) {
    case 0:
    case 1:
        broker_breaks();
        break;
    case 2:
        hear(wire, true);
        break;
    case 3:
        simulation.pipeline.broker.cut_in = 1 + dice_roll(20);
        break;
    case 4:
        simulation.pipeline.broker.refuses = !simulation.pipeline.broker.refuses;
        break;
    case 5:
        if (lives)
            kill_process(number);
        break;
    case 6:
        if (lives)
            stop_process(number);
        break;
    case 7:
        seen.full_disks += !simulation.disk_full;
        simulation.disk_full = !simulation.disk_full;
        break;
    case 8:
        simulation.fails_in[number] = 1 + dice_roll(30);
        break;
    case 9:
        simulation.study.away = !simulation.study.away;
        break;
    case 10:
    case 11:
    case 12:
    case 13:
        simulation.dies_in[number] = 1 + dice_roll(50);
        break;
    case 14:
        clock_leaps(number);
        break;
    default:
        memory_wire_cut(wire);
    }
}

/* Everything moves until nothing does any more. */
static void
settle(void)
{
    if (!pipeline_settle(&simulation.pipeline)) {
        say_how_to_repeat();
        fail_msg("it never comes to rest");
    }
}

/* The same for so long. */
static void
settle_for(int64_t time_ms)
{
    const int64_t end_ms = pipeline_now_ms + time_ms;

    for (settle(); pipeline_now_ms < end_ms; settle())
        pipeline_now_ms += 2000;
}

/* What came of it. */

/* The broker's copy of a table. */
static void
read_retained(enum set set, struct lines *lines)
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

static bool
set_is_right(enum set set)
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
        read_retained(set, &retained);
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

/* Every link has applied what its producer has decided, all of it is trimmed, and nothing has a hole. */
static bool
links_are_whole(void)
{
    bool whole = true;

    for (unsigned i = 0; i < PROCESSES; i++) {
        const struct process *process = simulation.pipeline.processes[i];
        if (is_off(i))
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

/* Whether a process says that its state is an older copy. */
static bool
is_taken_for_old(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];
    bool old = inside_is_back(process);

    for (unsigned i = 0; i < catalog_streams[number]->input_count; i++)
        old = old || inside_link(process, i)->lost > 0;
    if (old)
        sets_complain("  %s is said to be an older copy\n", catalog_streams[number]->name);
    return old;
}

static bool
sets_are_right(void)
{
    bool right = true;

    for (unsigned i = 0; i < SETS && (right || sets_complaining); i++)
        right = set_is_right((enum set)i) && right;
    return right;
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
    bool right = loader_is_done(loader) && !loader->wrong && !simulation.study.lost && links_are_whole() &&
                 sets_are_counted(&simulation.pipeline, 1, ACCELEROMETER, TRUSTED_ACCELEROMETER) &&
                 sets_are_counted(&simulation.pipeline, 3, STEP_TRAINER, TRUSTED_STEP_TRAINER) &&
                 senders_are_counted(1) && senders_are_counted(3);

    if (loader->wrong)
        sets_complain("  a receipt spoke of more or fewer records than were sent\n");
    for (unsigned i = 0; i < PROCESSES; i++)
        right = right && (is_off(i) || (int)i == simulation.restored || reasons_are_given(i)) &&
                (is_off(i) || newest_refusals_are_known(i));
    for (unsigned i = 0; i < PROCESSES; i++)
        right = right && (is_off(i) || !is_taken_for_old(i));
    if (right || sets_complaining)
        right = sets_are_right() && right;
    return right;
}

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

/* Nothing breaks any more: everything must come right by itself, and stay so. */
static void
come_right(void)
{
    simulation.loss_percent = simulation.twice_percent = 0;
    simulation.pipeline.broker.refuses = simulation.disk_full = false;
    simulation.pipeline.broker.cut_in = 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        simulation.dies_in[i] = simulation.fails_in[i] = simulation.apart_ms[i] = 0;
    start_the_dead(100);
    const int64_t begun_ms = pipeline_now_ms;
    int64_t moved_ms = pipeline_now_ms;
    settle();
    while (pipeline_now_ms - moved_ms < PATIENCE_MS && pipeline_now_ms - begun_ms < LONGEST_MS && !all_is_right()) {
        const uint64_t before = all_put_out();
        pipeline_now_ms += 500;
        settle();
        if (all_put_out() != before)
            moved_ms = pipeline_now_ms;
    }
    settle_for(10000);
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
    say_how_to_repeat();
    fail();
}

/* All but study come right while it is away; unless that fills the outbox. */
static void
come_right_without_study(void)
{
    if (simulation.study.wire != NULL && simulation.outbox_bytes_max == 0 && dice_chance(50)) {
        simulation.study.away = true;
        come_right();
    }
    simulation.study.away = false;
}

static void
start_all(void)
{
    start_the_dead(100);
}

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
        start_all();
        come_right();
        simulation_close();
    }
}

static void
open_one(void)
{
    dice_seed(1);
    simulation_open(1, 1, false);
    pipeline_load(&simulation.pipeline, 0);
}

static void
a_broker_that_forgets_while_all_live_gets_the_tables_again(void **state)
{
    (void)state;
    open_one();
    start_all();
    come_right();
    for (unsigned i = 0; i < 2; i++) {
        memory_broker_forget(&simulation.pipeline.broker, true, true);
        come_right();
    }
    simulation_close();
}

/* Two persons withdraw, and before the producer of the rows has trimmed its outbox it dies, and the broker comes back with
 * what it retained before. Only the consumers know how old that is, and say so when one row has been sent again. */
static void
a_broker_that_comes_back_with_an_older_copy_gets_the_newer_one(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 10; i++) {
        dice_seed(i);
        simulation_open(i, 2, false);
        simulation.window_bytes = 1;
        pipeline_load(&simulation.pipeline, 0);
        start_all();
        come_right();
        memory_broker_save(&simulation.pipeline.broker);
        pipeline_load(&simulation.pipeline, 1);
        settle();
        kill_process(NUMBER_FILTER);
        memory_broker_go_back(&simulation.pipeline.broker);
        start_process(NUMBER_FILTER);
        for (unsigned rounds = 0; rounds < 10; rounds++) {
            step(NUMBER_FILTER);
            pipeline_move(&simulation.pipeline);
        }
        come_right();
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
        dice_seed(i);
        simulation_open(i, 2, false);
        simulation.window_bytes = 1;
        pipeline_load(&simulation.pipeline, 0);
        start_all();
        come_right();
        memory_broker_save(&simulation.pipeline.broker);
        kill_process(NUMBER_LAKE);
        pipeline_load(&simulation.pipeline, 1);
        settle_for(4000);
        memory_broker_go_back(&simulation.pipeline.broker);
        settle_for(4000);
        come_right();
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
        pipeline_set(simulation.pipeline.config, catalog_streams[i]->name, "enabled", "off");
    simulation.lake_off = true;
    start_process(NUMBER_FILTER);
    for (unsigned phase = 0; phase < 2; phase++) {
        simulation.pipeline.phase = phase;
        loader_add(&simulation.pipeline.loader, CUSTOMER, &simulation.world.landing[phase][CUSTOMER]);
        settle_for(30000); /* the date of everybody's consent has come then */
        assert_true(set_is_right(TRUSTED_CUSTOMER));
        if (phase == 0)
            memory_broker_save(&simulation.pipeline.broker);
    }
    for (unsigned times = 0; times < 2; times++) {
        if (times == 0)
            memory_broker_go_back(&simulation.pipeline.broker);
        else
            memory_broker_forget(&simulation.pipeline.broker, true, true);
        settle_for(10000);
        assert_true(set_is_right(TRUSTED_CUSTOMER));
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
        start_all();
        settle_for(30000); /* the date of everybody's consent has come then: else it would be right to rest */
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
        assert_true(sets_are_right());
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
        open_one();
        snprintf(topic, sizeof topic, "/link/%s/.sync", catalog_streams[i]->name);
        simulation.lose_once = topic;
        start_all();
        come_right();
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
            open_one();
            simulation.lose_once = topics[i];
            simulation.lose_skip = skip;
            start_all();
            come_right();
            lost = simulation.lose_once == NULL;
            assert_true(lost || skip > 0);
            simulation_close();
        }
    }
}

static struct memory_wire *
wire_called(const char *name)
{
    for (unsigned i = 0; i < simulation.pipeline.broker.wire_count; i++) {
        if (strcmp(simulation.pipeline.broker.wires[i]->name, name) == 0)
            return simulation.pipeline.broker.wires[i];
    }
    fail_msg("no connection is called %s", name);
    return NULL;
}

/* While a step of the process fails to commit, again and again, large messages come in: once the spare file of the inbox is
 * in use nothing more may come, or there is no way but to die. */
static void
bug_100_a_process_that_waits_for_a_full_disk_closes_its_landing_connection_in_time(void **state)
{
    const unsigned number = 1; /* accelerometer-trusted */
    const size_t size = 512 * 1024;
    unsigned heard = 0;
    (void)state;
    dice_seed(1);
    simulation_open(1, 1, false);
    struct loader *loader = &simulation.pipeline.loader;
    start_process(number);
    for (unsigned i = 0; i < 20; i++) {
        loader_step(loader, pipeline_now_ms);
        step(number);
        pipeline_move(&simulation.pipeline);
    }
    struct memory_wire *landing = wire_called("gait-accelerometer-trusted-landing");
    assert_int_equal(landing->state, MEMORY_ONLINE);
    for (; loader->count < 12; loader->count++) {
        struct payload *payload = &loader->payloads[loader->count];
        *payload = (struct payload){.landing = ACCELEROMETER, .sent_ms = -1};
        memset(buffer_reserve(&payload->text, size), 'x', size);
        payload->text.len = size;
        loader->trusting = true;
    }
    for (unsigned i = 0; i < 2; i++) { /* six under way at a time */
        loader_step(loader, pipeline_now_ms);
        while (memory_wire_send(wire_called("loader")) || hear(wire_called("loader"), false))
            ;
    }
    simulation.disk_full = simulation.copy_on_write = true;
    while (heard < loader->count && hear(landing, false)) {
        heard++;
        step(number);
        assert_non_null(simulation.pipeline.processes[number]);
    }
    assert_int_not_equal(landing->state, MEMORY_ONLINE);
    assert_true(heard > 8); /* more than the first file holds */
    simulation_close();
}

static void
remove_state(unsigned number)
{
    char dir[PATH_BYTES];

    snprintf(dir, sizeof dir, "%s/state/%s", simulation.pipeline.dir, catalog_streams[number]->name);
    scratch_dir_remove(dir);
}

/* All stop, and begin again with the lake switched on, or with the join's state gone: each then knows nothing of producers
 * whose first messages are gone. */
static void
begin_with_a_newcomer(void)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (simulation.pipeline.processes[i] != NULL)
            stop_process(i);
    }
    simulation.lake_off = false;
    pipeline_set(simulation.pipeline.config, "lake", "enabled", "on");
    if (simulation.join_lost)
        remove_state(NUMBER_JOIN);
    simulation.since = 1;
    start_all();
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
        pipeline_set(simulation.pipeline.config, "lake", "enabled", "off");
        pipeline_load(&simulation.pipeline, 0);
        start_all();
        come_right();
        begin_with_a_newcomer();
        come_right();
        pipeline_load(&simulation.pipeline, 1);
        memory_broker_forget(&simulation.pipeline.broker, true, true);
        for (unsigned things = 200 + dice_roll(1000); things > 0; things--)
            pipeline_happen(&simulation.pipeline);
        memory_broker_forget(&simulation.pipeline.broker, true, false);
        come_right();
        simulation_close();
    }
}

/* Whether somebody who shares a trainer with one who is curated may be curated in the second phase, before leaving. */
static bool
comes_and_leaves(const struct world *world)
{
    const struct customer *customers = world->customers;

    for (unsigned i = 0; i < world->customer_count; i++) {
        for (unsigned j = 0; j < world->customer_count; j++) {
            if (customers[i].leaves && customers[i].curated[false] == 1 && !customers[j].leaves &&
                customers[j].curated[true] == 0 && customers[j].trainer == customers[i].trainer)
                return true;
        }
    }
    return false;
}

/* Somebody shares a trainer, is curated and withdraws, all while the join is away, its state removed. If it heard of that
 * before the other owner's row it would refuse the trainer's readings: of all rows that it knew none would be left. */
static void
bug_160_a_consumer_without_state_begins_with_the_rows_not_with_what_became_of_some(void **state)
{
    static const enum landing order[LANDINGS] = {ACCELEROMETER, CUSTOMER, STEP_TRAINER};
    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        dice_seed(i);
        simulation_open(i, 2, false);
        simulation.window_bytes = i % 2; /* 1: a message at a time; else all may be there before a reading is worked */
        if (comes_and_leaves(&simulation.world)) {
            pipeline_load(&simulation.pipeline, 0);
            start_all();
            come_right();
            stop_process(NUMBER_JOIN);
            remove_state(NUMBER_JOIN);
            simulation.pipeline.phase = simulation.since = 1;
            simulation.join_lost = true;
            for (unsigned j = 0; j < LANDINGS; j++) {
                loader_add(&simulation.pipeline.loader, order[j], &simulation.world.landing[1][order[j]]);
                settle();
            }
            start_process(NUMBER_JOIN);
            for (unsigned things = 1000; things > 0; things--)
                pipeline_happen(&simulation.pipeline);
            come_right();
        }
        simulation_close();
    }
}

/* Issue 9: what study, which is registered and away, does not apply kept everybody from getting more than a window of it. */
static void
bug_224_one_that_is_away_for_long_keeps_nobody_waiting_and_gets_everything_when_it_comes(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 10; i++) {
        dice_seed(i);
        simulation_open(i, 2, false);
        simulation.window_bytes = 1;
        register_study();
        simulation.study.away = true;
        for (unsigned phase = 0; phase < 2; phase++) {
            pipeline_load(&simulation.pipeline, phase);
            start_all();
            come_right();
        }
        assert_in_range(simulation.study_sent, 0, 20); /* one, and probes */
        const unsigned repeats = simulation.main_repeats;
        simulation.study.away = false;
        come_right();
        assert_int_equal(simulation.study.applied, simulation.main_sequence);
        assert_int_equal(simulation.main_repeats, repeats);
        assert_int_equal(repeats, 0);
        simulation_close();
    }
}

static void
load_readings(unsigned from, unsigned count)
{
    struct loader *loader = &simulation.pipeline.loader;
    struct payload *payload = &loader->payloads[loader->count++];

    *payload = (struct payload){.landing = ACCELEROMETER, .sent_ms = -1};
    for (unsigned i = from; i < from + count; i++)
        buffer_printf(&payload->text, "{\"user\":\"u\",\"timestamp\":16000000%05u,\"x\":1,\"y\":2,\"z\":3}\n", i);
    settle();
}

/* A transaction that finds nothing to do is aborted, and its operator is not told. It must not have been asked to write what
 * it has in memory: it went on with a merge, whose first keys were in no store then. */
static void
bug_161_a_transaction_with_nothing_to_do_changes_nothing(void **state)
{
    const unsigned number = 1, runs = 8, in_a_run = 110, more = 60, times = 20; /* accelerometer-trusted */
    struct loader *loader = &simulation.pipeline.loader;
    unsigned readings = 0;
    (void)state;
    dice_seed(1);
    simulation_open(1, 1, false);
    keyset_gathered_max = 100;
    loader->trusting = true;
    start_process(0);
    start_process(number);
    settle(); /* the broker keeps messages for those that it has seen once */
    struct process *process = simulation.pipeline.processes[number];
    for (unsigned i = 0; i < runs; i++, readings += in_a_run)
        load_readings(readings, in_a_run);
    for (unsigned i = 0; i < times; i++, readings += more) {
        load_readings(readings, more);
        if (i == 0)
            inside_unload(process); /* as after a transaction that failed */
        step(number);
    }
    assert_int_equal(inside_ledger(process)->inputs[0].verdicts[VERDICT_WAITING], readings);
    struct payload *payload = &loader->payloads[loader->count++];
    *payload = (struct payload){.landing = CUSTOMER, .sent_ms = -1};
    buffer_add_text(&payload->text, "{\"customerName\":\"U\",\"email\":\"u\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\","
                                    "\"serialNumber\":\"s\",\"registrationDate\":1,\"lastUpdateDate\":2,"
                                    "\"shareWithResearchAsOfDate\":3}");
    settle();
    assert_int_equal(inside_ledger(process)->inputs[0].verdicts[VERDICT_PASSED], readings);
    keyset_gathered_max = 8192;
    simulation_close();
}

static void add_text(enum landing landing, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add_text(enum landing landing, const char *format, ...)
{
    struct loader *loader = &simulation.pipeline.loader;
    struct payload *payload = &loader->payloads[loader->count++];
    va_list args;
    char text[512];

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *payload = (struct payload){.landing = landing, .sent_ms = -1, .records = 1};
    buffer_add_text(&payload->text, text);
}

/* Readings of one time, whose pairs take four times the room there is on the join's disk: the transaction that was to hold
 * them all could never be committed, and what had been sent could not be trimmed, since nothing else was tried. */
static void
bug_213_pairs_come_out_in_turn_where_the_disk_is_small(void **state)
{
    const unsigned each = 200, room = 1500000;
    const uint64_t before = seen.no_room;
    struct lines lines = {0};
    (void)state;
    dice_seed(1);
    simulation_open(1, 1, false);
    simulation.batch_output_bytes_max = 64 << 10;
    add_text(CUSTOMER, "{\"customerName\":\"U\",\"email\":\"u\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\","
             "\"serialNumber\":\"s\",\"registrationDate\":1,\"lastUpdateDate\":2,\"shareWithResearchAsOfDate\":3}");
    for (unsigned i = 0; i < each; i++)
        add_text(ACCELEROMETER, "{\"user\":\"u\",\"timestamp\":1600000000005,\"x\":%u,\"y\":2,\"z\":3}", i);
    start_all();
    settle_for(4000);
    stop_process(NUMBER_LAKE);
    simulation.join_room = room;
    for (unsigned i = 0; i < each; i++)
        add_text(STEP_TRAINER, "{\"sensorReadingTime\":1600000000005,\"serialNumber\":\"s\",\"distanceFromObject\":%u}", i);
    settle_for(4000);
    assert_true(seen.no_room > before); /* it is full */
    start_process(NUMBER_LAKE);
    settle_for(60000);
    sets_read_lake(simulation.pipeline.dir, MACHINE_LEARNING, &lines);
    assert_int_equal(lines.count, each * each);
    lines_free(&lines);
    simulation_close();
}

/* A process with more to take in than it can, for longer than readings may wait: it must turn out as many as it takes in. It
 * turned out a thousand a transaction, and took in eight thousand. */
static void
bug_007_a_process_under_full_load_forgets_as_fast_as_it_takes_in(void **state)
{
    const unsigned number = 1, rounds = 12, records = 8000; /* accelerometer-trusted */
    struct loader *loader = &simulation.pipeline.loader;
    (void)state;
    dice_seed(1);
    simulation_open(1, 1, false);
    pipeline_set(simulation.pipeline.config, "accelerometer-trusted", "hold", "1s");
    loader->trusting = true;
    start_process(number);
    struct process *process = simulation.pipeline.processes[number];
    for (unsigned steps = 0; inside_ledger(process)->inputs[0].taken < rounds * records; steps++) {
        assert_true(steps < 100);
        if (loader->state == LOADER_READY && inside_is_connected(process, true) && loader->count < rounds) {
            struct payload *payload = &loader->payloads[loader->count];
            *payload = (struct payload){.landing = ACCELEROMETER, .sent_ms = -1};
            for (unsigned i = 0; i < records; i++)
                buffer_printf(&payload->text, "{\"user\":\"u\",\"timestamp\":16000000%05u,\"x\":1,\"y\":2,\"z\":3}\n",
                              loader->count * records + i);
            loader->count++;
            pipeline_now_ms += 150000; /* ten minutes, for which a repeated record is recognised, are four of these */
        }
        loader_step(loader, pipeline_now_ms);
        for (unsigned j = 0; j < simulation.pipeline.broker.wire_count; j++) {
            while (memory_wire_send(simulation.pipeline.broker.wires[j]) || hear(simulation.pipeline.broker.wires[j], false))
                ;
        }
        step(number);
    }
    struct store *store = inside_store(process);
    assert_int_equal(store_snapshot(store), 0);
    assert_in_range(store_count(store, store_table(store, "waiting")), 0, 2 * records);
    /* A value holds 82 fingerprints. */
    assert_in_range(store_count(store, store_table(store, "seen")), 4 * records / 82, 8 * records / 82);
    store_snapshot_end(store);
    simulation_close();
}

/* A write of the lake, each one in turn, fails and has taken place all the same, and the next one fails too. If that was a
 * meta page and LMDB's taking it back, the commit took place that seemed to have failed: what it had applied must not be
 * applied again. */
static void
bug_004_a_commit_that_took_place_although_it_failed_is_not_done_again(void **state)
{
    (void)state;
    bool failed = true;
    unsigned deed = 0;
    for (; failed; deed++) {
        open_one();
        start_all();
        simulation.failures_of_two = 2;
        simulation.fails_in[NUMBER_LAKE] = deed + 1;
        settle_for(60000);
        failed = simulation.failures_of_two == 0;
        come_right();
        simulation_close();
    }
    assert_true(deed > 5); /* a sync, data, a meta page */
}

static uint64_t
count_of(const struct process *process, enum verdict verdict)
{
    return inside_ledger(process)->inputs[0].verdicts[verdict];
}

/* A host that starts in 1970 until it is told the time: what comes in meanwhile is neither refused nor lost, the process
 * says why nothing is taken in, and then it goes on by itself. */
static void
bug_243_what_arrives_while_the_clock_is_wrong_is_kept(void **state)
{
    const unsigned number = 1; /* accelerometer-trusted */
    (void)state;
    dice_seed(1);
    simulation_open(1, 1, false);
    simulation.apart_ms[number] = 60000 - WORLD_START_MS;
    start_process(number);
    struct process *process = simulation.pipeline.processes[number];
    settle(); /* the broker keeps messages for those that it has seen once */
    load_readings(0, 10);
    assert_int_equal(taken_by(process), 0);
    assert_int_equal(simulation.pipeline.loader.done, 0); /* no receipt */
    assert_true(inside_inbox_end(process) > inside_inbox_position(process));
    assert_string_equal(inside_why(process), inside_timekeeper(process)->why);
    assert_true(inside_timekeeper(process)->why[0] != '\0');
    simulation.apart_ms[number] = 0;
    settle_for(60000); /* the loader asks again */
    assert_int_equal(count_of(process, VERDICT_WAITING), 10);
    assert_string_equal(inside_why(process), "");
    simulation_close();
}

/* A year ahead and back: readings that wait are still there, during it and after it, though the process has committed in the
 * meantime and died; only time that passes ends their wait. */
static void
bug_244_nothing_expires_because_of_a_leap_that_is_taken_back(void **state)
{
    const unsigned number = 1; /* accelerometer-trusted, which holds them for a day */
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        dice_seed(1);
        simulation_open(1, 1, false);
        start_process(number);
        load_readings(0, 10);
        simulation.apart_ms[number] = 365 * DAY_MS;
        settle_for(5000);
        load_readings(10, 10);
        if (dies != 0) {
            kill_process(number);
            start_process(number);
            settle_for(5000);
        }
        assert_int_equal(count_of(simulation.pipeline.processes[number], VERDICT_WAITING), 20);
        simulation.apart_ms[number] = 0;
        settle_for(5000);
        assert_int_equal(count_of(simulation.pipeline.processes[number], VERDICT_WAITING), 20);
        assert_string_equal(inside_why(simulation.pipeline.processes[number]), "");
        pipeline_now_ms += DAY_MS;
        settle_for(5000);
        assert_int_equal(count_of(simulation.pipeline.processes[number], VERDICT_REFUSED), 20);
        simulation_close();
    }
}

/* Seeds. */

/* Half of the seeds know only some kinds of faults: what takes several of a kind, or two kinds one after the other, is
 * likely then. */
static void
choose_faults(void)
{
    const unsigned all = (1u << FAULTS) - 1, all_of_broker = (1u << BROKER_FAULTS) - 1;

    simulation.faults = dice_chance(50) ? all : dice_roll(all) + 1;
    simulation.broker_faults = dice_chance(50) ? all_of_broker : dice_roll(all_of_broker) + 1;
    if (simulation.pipeline.loader.trusting)
        simulation.broker_faults = BROKER_KEEPS_SESSIONS;
}

static void
break_things(void)
{
    simulation.loss_percent = dice_chance(50) ? dice_roll(40) : 0;
    simulation.twice_percent = dice_chance(50) ? dice_roll(40) : 0;
    simulation.meanwhile_percent = dice_chance(50) ? dice_roll(100) : 0;
    simulation.copy_on_write = dice_chance(50);
    for (unsigned faults = dice_roll(12); faults > 0; faults--) {
        for (unsigned things = dice_roll(600); things > 0; things--)
            pipeline_happen(&simulation.pipeline);
        something_breaks();
        start_the_dead(60);
    }
}

/* Where a lake that is switched on later is told to begin, and its own question: each lost once, with producers that have
 * nothing more to send behind which it would show. */
static void
bug_006_a_newcomer_is_told_again_where_to_begin(void **state)
{
    static const char *const topics[] = {"/lake/oldest", "/link/machine-learning-curated/lake"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        dice_seed(2);
        simulation_open(2, 2, false);
        simulation.lake_off = true;
        pipeline_set(simulation.pipeline.config, "lake", "enabled", "off");
        pipeline_load(&simulation.pipeline, 0);
        start_all();
        come_right();
        begin_with_a_newcomer();
        simulation.lose_once = topics[i];
        come_right();
        assert_null(simulation.lose_once);
        simulation_close();
    }
}

static void
run_seed(uint64_t seed)
{
    dice_seed(seed);
    const unsigned phases = dice_chance(50) ? 1 : 2 + dice_roll(PHASES - 1);
    const unsigned newcomer = phases > 1 ? dice_roll(4) : 0; /* 1 the lake, 2 the join */
    simulation_open(seed, phases, dice_chance(3));
    simulation.lake_off = newcomer == 1;
    pipeline_set(simulation.pipeline.config, "lake", "enabled", simulation.lake_off ? "off" : "on");
    if (dice_chance(40))
        register_study();
    simulation.pipeline.loader.trusting = dice_chance(30);
    if (simulation.pipeline.loader.trusting) { /* the broker keeps messages for those that it has seen once */
        start_all();
        settle();
    }
    choose_faults();
    if (dice_chance(30))
        simulation.outbox_bytes_max = 1000 + dice_roll(5000);
    if (dice_chance(30))
        simulation.rejected_bytes_max = 1 + dice_roll(1000);
    if (dice_chance(30))
        simulation.payload_faults_max = 1 + dice_roll(3);
    if (dice_chance(30))
        simulation.window_bytes = 1 + dice_roll(2000);
    if (dice_chance(50)) { /* transactions end inside payloads, and inside what one record brings about */
        simulation.batch_records_max = 1 + dice_roll(6);
        simulation.batch_output_bytes_max = 1 + dice_roll(2000);
    }
    keyset_gathered_max = 1 + (dice_chance(50) ? dice_roll(40) : 8191); /* runs and merges, or none */
    for (unsigned phase = 0; phase < phases; phase++) {
        pipeline_load(&simulation.pipeline, phase);
        if (dice_chance(80))
            loader_shuffle(&simulation.pipeline.loader);
        if (phase == 1 && newcomer > 0) {
            simulation.join_lost = newcomer == 2;
            begin_with_a_newcomer();
        }
        start_all();
        break_things();
        come_right_without_study();
        come_right();
        seen.phases++;
    }
    simulation_close();
    seen.seeds++;
}

/* Copies of states. */

/* The folder of the process's state, and that of its copy. */
static void
name_state(unsigned number, char dir[PATH_BYTES], char copy[PATH_BYTES])
{
    snprintf(dir, PATH_BYTES, "%s/state/%s", simulation.pipeline.dir, catalog_streams[number]->name);
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

    name_state(number, dir, copy);
    stop_process(number);
    copy_folder(dir, copy);
    start_process(number);
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

    name_state(number, dir, copy);
    if (simulation.pipeline.processes[number] != NULL)
        kill_process(number);
    scratch_dir_remove(dir);
    copy_folder(copy, dir);
    if (by_restore)
        mark_restored(dir);
    start_process(number);
}

/* Nothing breaks any more, for so long. */
static void
calm_down(int64_t time_ms)
{
    simulation.loss_percent = simulation.twice_percent = 0;
    simulation.pipeline.broker.refuses = simulation.disk_full = false;
    simulation.pipeline.broker.cut_in = 0;
    simulation.study.away = false;
    for (unsigned i = 0; i < PROCESSES; i++)
        simulation.dies_in[i] = simulation.fails_in[i] = simulation.apart_ms[i] = 0;
    start_the_dead(100);
    settle_for(time_ms);
}

/* Whether whoever asks now is told that all is at rest. */
static bool
hears_rest(void)
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
    settle();
    const bool rest = asker_has_all(&asker) && asker_hears_rest(&asker);
    asker.wire->calls->free(asker.wire);
    return rest;
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
        say_how_to_repeat();
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
        register_study();
    choose_faults();
    if (dice_chance(30))
        simulation.window_bytes = 1 + dice_roll(2000);
    pipeline_load(&simulation.pipeline, 0);
    start_all();
    break_things();
    come_right();
    copy_state(number);
    settle();
    if (!is_table(choices[choice].set))
        sets_read_lake(simulation.pipeline.dir, choices[choice].set, &before);
    const uint64_t known = inside_output(simulation.pipeline.processes[number])->last.sequence;
    pipeline_load(&simulation.pipeline, 1);
    break_things();
    come_right();
    const bool older = inside_output(simulation.pipeline.processes[number])->last.sequence > known;
    for (unsigned times = 1 + dice_roll(2); times > 0; times--) {
        put_copy_back(number, dice_chance(50));
        break_things();
        calm_down(40000);
        if (!older)
            continue;
        if (!inside_is_back(simulation.pipeline.processes[number]))
            complain_and_fail("does not notice that it went back in time", number);
        if (hears_rest())
            complain_and_fail("is said to be at rest, an older copy", number);
    }
    simulation.restored = (int)number;
    if (number == NUMBER_FILTER)
        world_forget(&simulation.world);
    acknowledge(number);
    calm_down(40000);
    if (is_taken_for_old(number))
        complain_and_fail("is not acknowledged", number);
    if (!hears_rest()) {
        sets_complaining = true;
        links_are_whole();
        complain_and_fail("does not come to rest when it is acknowledged", number);
    }
    load_again(choices[choice].landing, 2);
    pipeline_load(&simulation.pipeline, 2);
    break_things();
    come_right();
    check_once(choices[choice].set, &before);
    lines_free(&before);
    simulation_close();
}

/* A consumer's state is replaced by an older copy, and what it then says to its producer gets lost. That one has heard
 * before that everything was applied, and has nothing to send that would show the gap; it still has it all, for the sake of
 * another one that is away. */
static void
bug_487_a_consumer_that_went_back_says_so_until_it_is_heard(void **state)
{
    (void)state;
    dice_seed(487);
    simulation_open(487, 2, false);
    pipeline_load(&simulation.pipeline, 0);
    start_all();
    come_right();
    copy_state(1);
    stop_process(NUMBER_LAKE);
    loader_add(&simulation.pipeline.loader, CUSTOMER, &simulation.world.landing[1][CUSTOMER]);
    settle_for(10000);
    const struct process *process = simulation.pipeline.processes[1];
    const uint64_t applied = inside_link(process, GATE_TABLE)->committed.applied;
    simulation.lose_once = "/link/customer-trusted/accelerometer-trusted";
    simulation.lose_skip = 0;
    put_copy_back(1, false);
    process = simulation.pipeline.processes[1];
    assert_true(inside_link(process, GATE_TABLE)->committed.applied < applied);
    settle_for(40000);
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
        dice_seed(3);
        simulation_open(3, 2, false);
        pipeline_load(&simulation.pipeline, 0);
        start_all();
        come_right();
        copy_state(NUMBER_FILTER);
        settle();
        pipeline_load(&simulation.pipeline, 1);
        come_right();
        put_copy_back(NUMBER_FILTER, false);
        if (forgets != 0)
            memory_broker_forget(&simulation.pipeline.broker, true, true);
        else
            read_retained(TRUSTED_CUSTOMER, &before);
        calm_down(20000);
        assert_true(inside_is_back(simulation.pipeline.processes[NUMBER_FILTER]));
        read_retained(TRUSTED_CUSTOMER, &after);
        assert_int_equal(after.count, before.count);
        assert_null(lines_missing(&after, &before));
        acknowledge(NUMBER_FILTER);
        calm_down(20000);
        read_retained(TRUSTED_CUSTOMER, &acknowledged);
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

    dice_seed(seed);
    simulation_open(seed, PHASES, false);
    pipeline_load(&simulation.pipeline, 0);
    start_all();
    come_right();
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        copy_state(i);
    settle();
    pipeline_load(&simulation.pipeline, 1);
    come_right();
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        kill_process(i);
    simulation.pipeline.phase = 2;
    loader_add(&simulation.pipeline.loader, ACCELEROMETER, &simulation.world.landing[2][ACCELEROMETER]);
    loader_add(&simulation.pipeline.loader, STEP_TRAINER, &simulation.world.landing[2][STEP_TRAINER]);
    settle();
    const unsigned first = dice_roll(NUMBER_LAKE);
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        put_copy_back((first + i) % NUMBER_LAKE, true);
    calm_down(60000);
    for (unsigned i = 0; i < NUMBER_LAKE; i++)
        acknowledge(i);
    calm_down(60000);
    for (unsigned i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct lines must = {0}, may = {0}, lines = {0};
        world_expect(&simulation.world, sets[i], 0, 2, &must, &may);
        sets_read_lake(simulation.pipeline.dir, sets[i], &lines);
        lines_once(&lines);
        const char *extra = lines_missing(&lines, &may);
        if (extra != NULL) {
            say_how_to_repeat();
            fail_msg("of who has left: %s", extra);
        }
        lines_free(&must);
        lines_free(&may);
        lines_free(&lines);
    }
    simulation_close();
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

    dice_seed(seed);
    simulation_open(seed, 2, false);
    pipeline_load(&simulation.pipeline, 0);
    start_all();
    come_right();
    pipeline_load(&simulation.pipeline, 1);
    for (unsigned i = 0; i < PROCESSES; i++) {
        for (unsigned things = dice_roll(2000); things > 0; things--)
            pipeline_happen(&simulation.pipeline);
        copy_state(i);
    }
    come_right();
    for (unsigned i = 0; i < PROCESSES; i++)
        kill_process(i);
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
    calm_down(40000);
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (contradiction[i] && !is_taken_for_old(i))
            complain_and_fail("does not say that its state is an older copy", i);
    }
    if (any && hears_rest())
        complain_and_fail("is said to be at rest, with older copies", 0);
    simulation_close();
}

static uint64_t
number_from_environment(const char *name, uint64_t preset)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : preset;
}

/* The seeds that the environment names, or `share` of them; after each, `after`. */
static void
run_seeds(void (*run)(uint64_t seed), unsigned share, void (*after)(uint64_t count))
{
    const uint64_t only = number_from_environment("GAIT_SEED", 0);
    const uint64_t first = only != 0 ? only : number_from_environment("GAIT_FIRST", 1);
    const uint64_t count = only != 0 ? 1 : number_from_environment("GAIT_SEEDS", 200) / share;

    if (only != 0)
        log_open("simulator", LOG_INFO);
    for (uint64_t seed = first; seed < first + count; seed++) {
        run(seed);
        if (after != NULL)
            after(count);
    }
}

static void
copies_of_different_times_are_noticed(void **state)
{
    (void)state;
    run_seeds(run_naive_seed, 4, NULL);
}

static void
who_left_stays_out_when_older_states_are_put_back(void **state)
{
    (void)state;
    run_seeds(run_left_seed, 4, NULL);
}

static void
a_state_that_comes_back_from_an_older_copy_is_noticed_and_loses_what_nobody_has(void **state)
{
    (void)state;
    run_seeds(run_restored_seed, 4, NULL);
}

static void
say_progress(uint64_t count)
{
    if (seen.seeds % 100 != 0)
        return;
    print_message("seed %" PRIu64 " of %" PRIu64 "\n", seen.seeds, count);
    fflush(stdout);
}

static void
whatever_breaks_the_answer_is_the_same(void **state)
{
    (void)state;
    run_seeds(run_seed, 1, say_progress);
    print_message("seeds %" PRIu64 ", phases %" PRIu64 ", steps %" PRIu64 ", events %" PRIu64 ", syncs %" PRIu64
                  ", events during a sync %" PRIu64 ", killed %" PRIu64 ", of these at a deed %" PRIu64 ", stopped %" PRIu64
                  ", failed writes %" PRIu64 ", full disks %" PRIu64 ", broker losses %" PRIu64 ", clocks set %" PRIu64
                  "\n",
                  seen.seeds, seen.phases, seen.steps, seen.messages, seen.syncs, seen.meanwhile, seen.kills, seen.deaths,
                  seen.stops, seen.failed_writes, seen.full_disks, seen.forgets, seen.leaps);
}

/* Lines as the file DIR/name; those of a table get a row, as they have in the lake. */
static void
write_lines(const char *dir, const char *name, const struct lines *lines, bool table)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    *strrchr(path, '/') = '\0';
    if (file_make_dirs(path) != 0)
        abort();
    path[strlen(path)] = '/';
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    for (unsigned i = 0; i < lines->count; i++) {
        if (table)
            fprintf(file, "{\"row\":\"%032u\",%s\n", i, lines->list[i] + 1);
        else
            fprintf(file, "%s\n", lines->list[i]);
    }
    fclose(file);
}

/* The landing files below dir/data, what must come of them as the files of a lake below dir/run/lake; and the rules on
 * standard output: consent, match, window_ms, email_case. */
static void
write_world(const char *dir, uint64_t seed)
{
    static struct world world;
    char name[128];

    dice_seed(seed);
    world_make(&world, 1, false);
    for (unsigned i = 0; i < LANDINGS; i++) {
        snprintf(name, sizeof name, "data/%s.ndjson", landing_names[i]);
        write_lines(dir, name, &world.landing[0][i], false);
    }
    for (unsigned i = 0; i < SETS; i++) {
        struct lines must = {0}, may = {0};
        world_expect(&world, (enum set)i, 0, 0, &must, &may);
        snprintf(name, sizeof name, "run/lake/%s/date=2026-01-01/part-00000001.ndjson", set_paths[i]);
        write_lines(dir, name, &must, is_table((enum set)i));
        lines_free(&must);
        lines_free(&may);
    }
    printf("%s %s %u %s\n", world.as_of ? "as_of" : "any", world.by_customer ? "customer" : "time", world.window_s * 1000,
           world.fold ? "fold" : "keep");
    world_free(&world);
}

int
main(void)
{
    if (getenv("GAIT_WORLD") != NULL) {
        write_world(getenv("GAIT_WORLD"), number_from_environment("GAIT_SEED", 1));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_the_same_for_every_order_of_arrival),
        cmocka_unit_test(a_broker_that_forgets_while_all_live_gets_the_tables_again),
        cmocka_unit_test(a_broker_that_comes_back_with_an_older_copy_gets_the_newer_one),
        cmocka_unit_test(a_broker_that_goes_back_while_a_consumer_is_away_gets_what_it_lacks),
        cmocka_unit_test(a_table_that_nobody_is_registered_for_is_given_again_too),
        cmocka_unit_test(what_is_said_to_be_at_rest_is_at_rest),
        cmocka_unit_test(a_process_whose_own_question_got_lost_asks_again),
        cmocka_unit_test(one_message_lost_is_noticed_whichever_it_is),
        cmocka_unit_test(bug_100_a_process_that_waits_for_a_full_disk_closes_its_landing_connection_in_time),
        cmocka_unit_test(bug_006_a_newcomer_is_told_again_where_to_begin),
        cmocka_unit_test(a_crowd_of_rows_is_given_out_again_whole),
        cmocka_unit_test(bug_160_a_consumer_without_state_begins_with_the_rows_not_with_what_became_of_some),
        cmocka_unit_test(bug_224_one_that_is_away_for_long_keeps_nobody_waiting_and_gets_everything_when_it_comes),
        cmocka_unit_test(bug_161_a_transaction_with_nothing_to_do_changes_nothing),
        cmocka_unit_test(bug_213_pairs_come_out_in_turn_where_the_disk_is_small),
        cmocka_unit_test(bug_007_a_process_under_full_load_forgets_as_fast_as_it_takes_in),
        cmocka_unit_test(bug_243_what_arrives_while_the_clock_is_wrong_is_kept),
        cmocka_unit_test(bug_244_nothing_expires_because_of_a_leap_that_is_taken_back),
        cmocka_unit_test(bug_004_a_commit_that_took_place_although_it_failed_is_not_done_again),
        cmocka_unit_test(whatever_breaks_the_answer_is_the_same),
        cmocka_unit_test(a_state_that_comes_back_from_an_older_copy_is_noticed_and_loses_what_nobody_has),
        cmocka_unit_test(bug_487_a_consumer_that_went_back_says_so_until_it_is_heard),
        cmocka_unit_test(an_older_table_does_not_replace_the_rows_that_the_broker_has),
        cmocka_unit_test(copies_of_different_times_are_noticed),
        cmocka_unit_test(who_left_stays_out_when_older_states_are_put_back),
    };
    hash_init();
    log_open("simulator", LOG_NOTHING);
    signal(SIGABRT, on_abort);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
