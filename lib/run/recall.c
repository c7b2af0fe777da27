/*
 * recall: what a state that is known to be an older copy learns of who has left meanwhile, before it decides anything. It is
 * one that gait restore has put here, or whose process was told so (struct back).
 *
 * A table that decides for itself who shares (its operator has `recall`) asks the broker for its own retained rows: those
 * withdrawn there that it does not know as such are withdrawn. They come before our own message behind the question. Who
 * gives out by the rows of such a table begins there as a newcomer: it is sent all rows, which its producer appends when it
 * has done the same, and works nothing before. The broker's other rows are not taken: who consents anew waits until that is
 * loaded again. What a broker that has forgotten its rows could have said nobody knows.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "run/hold.h"
#include "run/process_state.h"

struct recalled {
    int64_t withdrawn_ms;
    uint8_t row_len;
    char row[NAME_BYTES_MAX];
};

static void
mark_path(const struct process *process, struct buffer *path)
{
    buffer_printf(path, "%s/" HOLD_RESTORED, process->dir);
}

void
recall_look(struct process *process)
{
    struct buffer path = {0};
    struct stat status;

    mark_path(process, &path);
    process->recall.restored = lstat(buffer_text(&path), &status) == 0;
    buffer_free(&path);
}

/* Done with what gait restore has put here. If the mark stays, all is asked once more after the next start. */
static void
forget_restore(const struct process *process)
{
    struct buffer path = {0};

    mark_path(process, &path);
    if (unlink(buffer_text(&path)) != 0 && errno != ENOENT)
        log_warning("%s: %s", buffer_text(&path), strerror(errno));
    buffer_free(&path);
}

void
recall_loaded(struct process *process)
{
    process->recall.due = process->stream->operator->recall != NULL && (process->recall.restored || process->back.told);
}

void
recall_tables_forgotten(struct process *process)
{
    process->recall.restored = false;
    if (!process->recall.due)
        forget_restore(process);
}

void
recall_told(struct process *process)
{
    if (process->stream->operator->recall == NULL || process->recall.due)
        return;
    process->recall.due = true;
    recall_ask(process);
}

void
recall_ask(struct process *process)
{
    struct recall *recall = &process->recall;
    struct wire *wire = process->link_port.wire;
    const char *const filters[] = {process->topics.rows};

    recall->asked = recall->come = false;
    recall->done = 0;
    buffer_clear(&recall->rows);
    if (!recall->due || process->link_port.state != PORT_READY)
        return;
    pthread_mutex_lock(&process->lock);
    buffer_clear(&process->arrived.recalled);
    process->arrived.recalled_of = 0;
    process->arrived.recalled_come = false;
    pthread_mutex_unlock(&process->lock);
    /* A failure to send is followed by `down`. */
    recall->asked = wire->calls->subscribe(wire, filters, 1, 1, WIRE_AT_MOST_ONCE) == 0;
    process->sync_ms = 0;
}

void
recall_keep(struct process *process, struct span row, const struct wire_message *message)
{
    struct span body = message->payload;
    struct recalled one = {.row_len = (uint8_t)row.len};

    if (!message->retained || row.len == 0 || row.len > NAME_BYTES_MAX || body.len < 2)
        return;
    pthread_mutex_lock(&process->lock);
    process->arrived.recalled_of++;
    pthread_mutex_unlock(&process->lock);
    body = span_at(body.at + 1, body.len - 2); /* without the braces */
    one.withdrawn_ms = record_withdrawn_ms(body);
    if (!record_time_is_right(one.withdrawn_ms) || one.withdrawn_ms == 0)
        return;
    memcpy(one.row, row.at, row.len);
    pthread_mutex_lock(&process->lock);
    buffer_add(&process->arrived.recalled, &one, sizeof one);
    pthread_mutex_unlock(&process->lock);
}

static bool
count_row(void *context, struct span row, struct span body)
{
    uint64_t *count = context;

    (void)row;
    (void)body;
    ++*count;
    return true;
}

/* All rows that the broker sent have come, `of` them. It has more than this state, unless it has lost some: a broker throws
 * away what it can't send at once beyond a limit, and says nothing. (Where it has none it has been begun anew.) */
static void
see_whether_all(struct process *process, uint64_t of)
{
    uint64_t given = 0;

    if (of == 0 || store_snapshot(process->store) != 0)
        return;
    const int rc = process->stream->operator->rows(process->operator_state, (struct span){0}, count_row, &given);
    store_snapshot_end(process->store);
    if (rc == 0 && of < given)
        log_error("%s: of the %" PRIu64 " rows that this state, an older one, has given out, the broker sent only %" PRIu64
                  ": of the others nobody has said whether they are withdrawn. Load all withdrawals again; if the broker "
                  "throws away what waits for a client (max_queued_messages), allow it more",
                  process->stream->name, given, of);
}

/* All is worked, and committed. */
static void
finish(struct process *process)
{
    struct recall *recall = &process->recall;

    if (recall->withdrawn > 0)
        log_warning("%s: %u rows are withdrawn, of which this state, an older one, did not know: the broker keeps them so",
                    process->stream->name, recall->withdrawn);
    forget_restore(process);
    buffer_free(&recall->rows);
    *recall = (struct recall){0};
}

void
recall_hear(struct process *process)
{
    struct recall *recall = &process->recall;

    if (!recall->asked)
        return;
    pthread_mutex_lock(&process->lock);
    recall->come = process->arrived.recalled_come;
    const uint64_t of = process->arrived.recalled_of;
    if (recall->come) {
        buffer_free(&recall->rows);
        recall->rows = process->arrived.recalled;
        process->arrived.recalled = (struct buffer){0};
    }
    pthread_mutex_unlock(&process->lock);
    recall->asked = !recall->come;
    if (recall->come)
        see_whether_all(process, of);
    if (recall->come && recall->rows.len == 0)
        finish(process);
}

int
recall_work(struct process *process, struct output *output)
{
    const struct operator *operator = process->stream->operator;
    struct recall *recall = &process->recall;
    struct recalled one;
    unsigned steps = 0;

    recall->worked = recall->done;
    recall->withdrawn_now = 0;
    while (recall->worked < recall->rows.len && steps < BATCH_WORK_MAX && !output->full(output)) {
        memcpy(&one, recall->rows.data + recall->worked, sizeof one);
        const int rc = operator->recall(process->operator_state, span_at(one.row, one.row_len), one.withdrawn_ms,
                                        process->now_ms, process->timekeeper.wall_ms, output);
        if (rc < 0)
            return -1;
        recall->worked += sizeof one;
        recall->withdrawn_now += (unsigned)rc;
        steps++;
    }
    return (int)steps;
}

void
recall_committed(struct process *process)
{
    struct recall *recall = &process->recall;

    recall->withdrawn += recall->withdrawn_now;
    recall->done = recall->worked;
    if (recall->done == recall->rows.len)
        finish(process);
}

void
recall_free(struct process *process)
{
    buffer_free(&process->recall.rows);
    buffer_free(&process->arrived.recalled);
}
