#include "run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "state/hold.h"
#include "state/start.h"
#include "run/metrics.h"
#include "run/process_state.h"

/* Longest wait of the loop: clocks are looked at that often. */
#define TICK_MS 1000

/* How long to wait before trying again when the disk is full, or files are not as they should be; and the longest wait where
 * something is broken, which is tried ever more rarely: nobody mends it soon. */
#define STALL_MS 200
#define STALL_BROKEN_MS 30000

static const struct transport_calls *
calls_of(const struct process *process)
{
    return process->transport->calls;
}

/* Opening. */

/* Say what is wrong with a folder, of which errno is. */
static void
log_folder(struct buffer *fault)
{
    (config_is_to_blame(errno) ? log_config_error : log_error)("%s", buffer_text(fault));
}

/* One process a state folder: LMDB would let two in, and both would answer for the same records. */
static int
lock_state(struct process *process)
{
    struct buffer below = {0};
    struct buffer fault = {0};

    buffer_printf(&below, "state/%s", process->stream->name);
    process->lock_fd = folder_file(process->options.dir, buffer_text(&below), "lock", O_RDWR | O_CREAT, &fault);
    if (process->lock_fd < 0) {
        log_folder(&fault);
    } else if (flock(process->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        log_error("another process works in %s already", process->dir);
        close(process->lock_fd);
        process->lock_fd = -1;
    }
    buffer_free(&fault);
    buffer_free(&below);
    return process->lock_fd < 0 ? -1 : 0;
}

static int
check_folders(const struct process *process)
{
    struct buffer fault = {0};
    const int rc = start_check_folders(process->stream, process->options.dir, &fault);

    if (rc != 0)
        log_folder(&fault);
    buffer_free(&fault);
    return rc;
}

/* Read what is kept in memory, and commit what that writes. 0 or −1. */
static int
load_and_keep(struct process *process)
{
    if (store_begin(process->store) != 0)
        return -1;
    if (batch_load(process->batch) != 0) {
        store_abort(process->store);
        return -1;
    }
    if (store_commit(process->store) != 0)
        return -1;
    batch_kept(process->batch);
    calls_of(process)->kept(process->transport);
    return 0;
}

/* Read what is kept in memory. All that opening writes is in one transaction, so a store that is refused, whatever for,
 * stays as it was. (What had no room in the map has it in the next one.) If the operator can't go on because of what is
 * stored or files beside it, the process works without it, and writes nothing: it says why, where everybody can see it, and
 * tries again until it can. A new store's operator finds nothing wrong in it. */
static int
load_state(struct process *process)
{
    if (load_and_keep(process) == 0 || (store_fault(process->store) == STORE_FULL && load_and_keep(process) == 0))
        return 0;
    const enum store_fault fault = store_fault(process->store);
    if (batch_is_loaded(process->batch) || fault == STORE_FINE || (store_is_new(process->store) && fault != STORE_BESIDE) ||
        store_begin(process->store) != 0)
        return -1;
    int rc = calls_of(process)->is_founded(process->transport);
    rc = rc == 1 ? batch_load_own(process->batch) : -1;
    store_abort(process->store);
    return rc;
}

/* Open the store and what works on it, and read what is kept in memory. */
static int
open_state(struct process *process)
{
    const struct process_options *options = &process->options;
    struct buffer dir = {0};

    attempt_open(&process->attempt, process->dir);
    attempt_opens(&process->attempt, ATTEMPT_OPENS_STORE);
    buffer_printf(&dir, "%s/store", process->dir);
    process->store =
        store_open(buffer_text(&dir), (uint64_t)config_int(options->config, process->stream->name, "map"));
    buffer_free(&dir);
    const int meta = process->store != NULL ? store_table(process->store, "meta") : -1;
    if (meta < 0)
        return -1;
    const struct batch_options batch_options = {
        .stream = process->stream,
        .config = options->config,
        .dir = options->dir,
        .state_dir = process->dir,
        .store = process->store,
        .meta = meta,
        .time = &process->time,
        .attempt = &process->attempt,
    };
    process->batch = batch_open(&batch_options);
    if (process->batch == NULL)
        return -1;
    process->host = (struct host){
        .process = process,
        .stream = process->stream,
        .catalog = options->catalog,
        .config = options->config,
        .dir = options->dir,
        .state_dir = process->dir,
        .store = process->store,
        .meta = meta,
        .steady_ms = options->steady_ms,
        .boot = options->boot,
    };
    process->transport = options->open_transport(options->context, &process->host);
    if (process->transport == NULL)
        return -1;
    batch_use(process->batch, process->transport);
    return load_state(process);
}

static char *
state_dir(const struct process_options *options)
{
    struct buffer dir = {0};

    buffer_printf(&dir, "%s/state/%s", options->dir, options->stream->name);
    buffer_text(&dir);
    return dir.data;
}

struct process *
process_open(const struct process_options *options)
{
    struct process *process = calloc(1, sizeof *process);

    if (process == NULL)
        log_fatal("out of memory");
    process->options = *options;
    process->stream = options->stream;
    process->lock_fd = process->attempt.fd = -1;
    process->dir = state_dir(options);
    process->time = (struct timekeeper){
        .built_ms = options->built_ms,
        .behind_ms = config_int(options->config, "limits", "ahead") + TIMEKEEPER_STEP_MS,
        .trusting = config_int(options->config, "gait", "clock_check") == 0,
    };
    if (hold_restores(options->dir) || lock_state(process) != 0 || check_folders(process) != 0 ||
        open_state(process) != 0 || calls_of(process)->start(process->transport) != 0) {
        process_close(process);
        return NULL;
    }
    batch_opened(process->batch);
    return process;
}

/* The step. */

/* Whether records may be taken in and worked; else process->why says why not. */
static bool
may_take(struct process *process, int64_t steady_ms)
{
    struct intake intake = calls_of(process)->look(process->transport, steady_ms);

    process->open = false;
    process->learns = intake.learns;
    process->why = intake.stopped ? WHY_TRANSPORT : WHY_NOT_STOPPED;
    if (process->time.fault != TIMEKEEPER_RIGHT) {
        process->why = WHY_CLOCK_WRONG;
        intake.decides = false;
    }
    if (store_is_damaged(process->store)) {
        process->why = WHY_STORE_BROKEN;
        intake.decides = false;
    }
    if (!intake.decides)
        return false;
    if (batch_why_full(process->batch) != NULL)
        process->why = WHY_OPERATOR_FULL;
    else if (calls_of(process)->is_full(process->transport))
        process->why = WHY_OUTPUT_FULL;
    else
        process->open = true;
    return process->open || intake.learns;
}

static enum why_stopped
why_of_fault(enum store_fault fault)
{
    switch (fault) {
    case STORE_FULL:
        return WHY_DISK_FULL;
    case STORE_NO_ADDRESS_SPACE:
        return WHY_NO_ADDRESS_SPACE;
    case STORE_BESIDE:
        return WHY_FILES_WRONG;
    default:
        return WHY_STORE_BROKEN;
    }
}

static int64_t
stall_most_ms(enum why_stopped why)
{
    return why == WHY_STORE_BROKEN ? STALL_BROKEN_MS : STALL_MS;
}

/* Work what waits. 1 worked, 0 nothing was there, −1 stalled. */
static int
work(struct process *process, int64_t steady_ms)
{
    /* Even if nothing can be worked at present: what comes in meanwhile may use up the transport's room. */
    const bool intake = may_take(process, steady_ms);

    if (!backoff_is_due(&process->stall, steady_ms)) {
        process->why = process->why_stalled;
        return -1;
    }
    if (batch_is_loaded(process->batch) && !batch_waits(process->batch, intake, steady_ms))
        return 0;
    int rc = batch_work(process->batch, intake);
    if (rc < 0) {
        const enum store_fault fault = batch_fault(process->batch);
        process->why = process->why_stalled = why_of_fault(fault);
        /* What is in the way may be our own output, which has been taken long since. */
        if (fault == STORE_FULL || fault == STORE_NO_ADDRESS_SPACE)
            batch_make_room(process->batch);
        backoff_put_off(&process->stall, STALL_MS, stall_most_ms(process->why), steady_ms);
        return -1;
    }
    backoff_reset(&process->stall);
    return rc;
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long until there is something to do that nobody will wake us for. */
static int64_t
idle_ms(struct process *process, int64_t steady_ms)
{
    int64_t wait_ms = least(TICK_MS, calls_of(process)->idle_ms(process->transport, steady_ms));

    if (process->open && !process->learns)
        wait_ms = least(wait_ms, batch_due_ms(process->batch) - process->time.now_ms);
    if (!backoff_is_due(&process->stall, steady_ms))
        wait_ms = process->stall.at_ms - steady_ms;
    return wait_ms > 0 ? wait_ms : 0;
}

int64_t
process_step(struct process *process)
{
    const int64_t steady_ms = process->options.steady_ms();

    timekeeper_look(&process->time, process->options.wall_ms(), steady_ms);
    calls_of(process)->hear(process->transport, steady_ms);
    const int worked = work(process, steady_ms);
    calls_of(process)->speak(process->transport, steady_ms);
    return worked == 1 ? 0 : idle_ms(process, steady_ms);
}

bool
process_ready(const struct process *process)
{
    return calls_of(process)->is_ready(process->transport);
}

void
process_wait(struct process *process, int64_t timeout_ms)
{
    calls_of(process)->wait(process->transport, timeout_ms);
}

void
process_wake(struct process *process)
{
    calls_of(process)->wake(process->transport);
}

void
process_close(struct process *process)
{
    if (process == NULL)
        return;
    if (process->transport != NULL)
        calls_of(process)->close(process->transport);
    batch_close(process->batch);
    store_close(process->store);
    attempt_close(&process->attempt);
    if (process->lock_fd >= 0)
        close(process->lock_fd);
    buffer_free(&process->why_text);
    free(process->dir);
    free(process);
}

/* For transports. */

void
process_opens(struct process *process, unsigned place)
{
    attempt_opens(&process->attempt, place);
}

bool
process_is_stopped(const struct process *process)
{
    return process->why != WHY_NOT_STOPPED;
}

int64_t
process_wall_ms(const struct process *process)
{
    return process->time.wall_ms;
}

void
process_bound(struct process *process, size_t message_bytes_max)
{
    batch_bound(process->batch, message_bytes_max);
}

struct batch *
process_batch(struct process *process)
{
    return process->batch;
}

/* What is not well although records are taken in. */
static void
write_unsteady(struct process *process, struct buffer *why)
{
    calls_of(process)->write_unsteady(process->transport, why);
    if (why->len == 0 && batch_set_aside(process->batch) > 0)
        buffer_printf(why, "%u records were set aside, which the process died of: its log says which",
                      batch_set_aside(process->batch));
}

void
process_write_why(struct process *process, struct buffer *why)
{
    static const char *const words[] = {
        [WHY_DISK_FULL] = "disk full",
        [WHY_NO_ADDRESS_SPACE] = "state file full, and no address space for a larger `map` (ulimit -v?)",
        [WHY_STORE_BROKEN] = "state damaged or unreadable, see the log",
        [WHY_FILES_WRONG] = TRANSPORT_FILES_WRONG,
    };
    const char *full;

    switch (process->why) {
    case WHY_NOT_STOPPED:
        write_unsteady(process, why);
        break;
    case WHY_TRANSPORT:
    case WHY_OUTPUT_FULL:
        calls_of(process)->write_why(process->transport, why);
        break;
    case WHY_CLOCK_WRONG:
        buffer_add_text(why, process->time.why);
        break;
    case WHY_OPERATOR_FULL:
        full = batch_why_full(process->batch);
        buffer_add_text(why, full != NULL ? full : "");
        break;
    default:
        buffer_add_text(why, words[process->why]);
    }
}

bool
process_is_shown(const struct process *process)
{
    return batch_is_shown(process->batch);
}

void
process_write_metrics(struct process *process, size_t room, struct buffer *text)
{
    buffer_clear(&process->why_text);
    process_write_why(process, &process->why_text);
    calls_of(process)->write_more(process->transport, process_is_stopped(process), &process->why_text);
    const struct metrics metrics = {
        .stream = process->stream,
        .transport = process->transport,
        .batch = process->batch,
        .stopped = process_is_stopped(process),
        .why = buffer_text(&process->why_text),
    };
    metrics_write(&metrics, room, text);
}
