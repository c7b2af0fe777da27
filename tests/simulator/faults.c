#include "simulation.h"

#include <sys/stat.h>

#include "../unit/disk.h"

bool
faults_spare(unsigned number)
{
    return !simulation.dead[number] && simulation.dies_in[number] == 0 && simulation.fails_in[number] == 0 &&
           !simulation.disk_full;
}

/* Deeds. */

bool
faults_is_dead(int number)
{
    if (number == NOBODY)
        return false;
    if (!simulation.dead[number] && !simulation.meanwhile && simulation.dies_in[number] > 0 &&
        --simulation.dies_in[number] == 0) {
        simulation.dead[number] = true;
        simulation_seen.deaths++;
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
    if (faults_is_dead(number))
        return EIO;
    if (!simulation.meanwhile && simulation.fails_in[number] > 0 && --simulation.fails_in[number] == 0) {
        simulation_seen.failed_writes++;
        const unsigned of_two = simulation.failures_of_two;
        const bool took_place = of_two > 0 ? of_two == 2 : dice_chance(50);
        /* The next one too: LMDB takes a failed write back by another one. */
        simulation.fails_in[number] = of_two > 0 ? --simulation.failures_of_two > 0 : dice_chance(30);
        if (call->deed == DISK_WRITE && took_place)
            syscall(SYS_pwritev, call->fd, call->bytes, call->byte_count, (off_t)call->offset, 0);
        return EIO;
    }
    if ((simulation.disk_full || simulation.join_room > 0) && needs_room(call)) {
        simulation_seen.no_room++;
        return ENOSPC;
    }
    if (call->deed == DISK_SYNC) {
        simulation_seen.syncs++;
        if (simulation.stepping && !simulation.disk_full)
            processes_arrive_meanwhile((unsigned)number);
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

/* The broker. */

static bool
allows(void *context, const struct memory_wire *from)
{
    (void)context;
    return !faults_is_dead(number_of_client(from->name));
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

void
faults_open(void)
{
    simulation.pipeline.broker.fate = fate;
    simulation.pipeline.broker.allows = allows;
    disk_before = before_deed;
}

void
faults_close(void)
{
    disk_before = NULL;
}

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

    simulation_seen.forgets++;
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

/* Clocks. */

/* The clock of a process's host leaps, by up to a year ahead or ten back, or back to what is right. That a leap ahead is no
 * time that passed can be known only to who lives when it is made, and has said so in its store. */
static void
clock_leaps(unsigned number)
{
    struct process *process = simulation.pipeline.processes[number];

    simulation_seen.leaps++;
    if (simulation.apart_ms[number] != 0) {
        simulation.apart_ms[number] = 0;
    } else if (dice_chance(50)) {
        simulation.apart_ms[number] = -(2 + (int64_t)dice_roll(3650)) * DAY_MS;
    } else if (process != NULL && faults_spare(number) && timekeeper_knows(inside_timekeeper(process))) {
        simulation.apart_ms[number] = (1 + (int64_t)dice_roll(365)) * DAY_MS;
        processes_step(number);
        if (inside_timekeeper(process)->set)
            simulation.apart_ms[number] = 0;
    }
}

/* All of them. */

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
        processes_hear(wire, true);
        break;
    case 3:
        simulation.pipeline.broker.cut_in = 1 + dice_roll(20);
        break;
    case 4:
        simulation.pipeline.broker.refuses = !simulation.pipeline.broker.refuses;
        break;
    case 5:
        if (lives)
            processes_kill(number);
        break;
    case 6:
        if (lives)
            processes_stop(number);
        break;
    case 7:
        simulation_seen.full_disks += !simulation.disk_full;
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

void
faults_choose(void)
{
    const unsigned all = (1u << FAULTS) - 1, all_of_broker = (1u << BROKER_FAULTS) - 1;

    simulation.faults = dice_chance(50) ? all : dice_roll(all) + 1;
    simulation.broker_faults = dice_chance(50) ? all_of_broker : dice_roll(all_of_broker) + 1;
    if (simulation.pipeline.loader.trusting)
        simulation.broker_faults = BROKER_KEEPS_SESSIONS;
}

void
faults_break_things(void)
{
    simulation.loss_percent = dice_chance(50) ? dice_roll(40) : 0;
    simulation.twice_percent = dice_chance(50) ? dice_roll(40) : 0;
    simulation.meanwhile_percent = dice_chance(50) ? dice_roll(100) : 0;
    simulation.copy_on_write = dice_chance(50);
    for (unsigned faults = dice_roll(12); faults > 0; faults--) {
        for (unsigned things = dice_roll(600); things > 0; things--)
            pipeline_happen(&simulation.pipeline);
        something_breaks();
        processes_start_the_dead(60);
    }
}

void
faults_end(void)
{
    simulation.loss_percent = simulation.twice_percent = 0;
    simulation.pipeline.broker.refuses = simulation.disk_full = false;
    simulation.pipeline.broker.cut_in = 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        simulation.dies_in[i] = simulation.fails_in[i] = simulation.apart_ms[i] = 0;
    processes_start_the_dead(100);
}

void
faults_calm_down(int64_t time_ms)
{
    simulation.study.away = false;
    faults_end();
    processes_settle_for(time_ms);
}
