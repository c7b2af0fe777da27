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
#include "state/hold.h"
#include "links/links_state.h"

struct recalled {
    int64_t withdrawn_ms;
    uint8_t row_len;
    char row[NAME_BYTES_MAX];
};

void
recall_look(struct links *links)
{
    links->recall.restored = hold_is_restored(links->host->state_dir);
}

void
recall_loaded(struct links *links)
{
    links->recall.due = links->stream->operator->recall != NULL && (links->recall.restored || links->back.told);
}

void
recall_tables_forgotten(struct links *links)
{
    links->recall.restored = false;
    if (!links->recall.due)
        hold_forget_restored(links->host->state_dir);
}

void
recall_told(struct links *links)
{
    if (links->stream->operator->recall == NULL || links->recall.due)
        return;
    links->recall.due = true;
    recall_ask(links);
}

void
recall_ask(struct links *links)
{
    struct recall *recall = &links->recall;
    struct wire *wire = links->link_port.wire;
    const char *const filters[] = {links->topics.rows};

    recall->asked = recall->come = false;
    recall->done = 0;
    buffer_clear(&recall->rows);
    if (!recall->due || links->link_port.state != PORT_READY)
        return;
    pthread_mutex_lock(&links->mailbox.lock);
    buffer_clear(&links->mailbox.recalled);
    links->mailbox.recalled_of = 0;
    links->mailbox.recalled_come = false;
    pthread_mutex_unlock(&links->mailbox.lock);
    /* A failure to send is followed by `down`. */
    recall->asked = wire->calls->subscribe(wire, filters, 1, 1, WIRE_AT_MOST_ONCE) == 0;
    links->sync_ms = 0;
}

void
recall_keep(struct links *links, struct span row, const struct wire_message *message)
{
    struct span body = message->payload;
    struct recalled one = {.row_len = (uint8_t)row.len};

    if (!message->retained || row.len == 0 || row.len > NAME_BYTES_MAX || body.len < 2)
        return;
    pthread_mutex_lock(&links->mailbox.lock);
    links->mailbox.recalled_of++;
    pthread_mutex_unlock(&links->mailbox.lock);
    body = span_at(body.at + 1, body.len - 2); /* without the braces */
    one.withdrawn_ms = record_withdrawn_ms(body);
    if (!record_time_is_right(one.withdrawn_ms) || one.withdrawn_ms == 0)
        return;
    memcpy(one.row, row.at, row.len);
    pthread_mutex_lock(&links->mailbox.lock);
    buffer_add(&links->mailbox.recalled, &one, sizeof one);
    pthread_mutex_unlock(&links->mailbox.lock);
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
see_whether_all(struct links *links, uint64_t of)
{
    uint64_t given = 0;

    if (of == 0 || store_snapshot(links->store) != 0)
        return;
    const int rc = batch_rows(process_batch(links->host->process), (struct span){0}, count_row, &given);
    store_snapshot_end(links->store);
    if (rc == 0 && of < given)
        log_error("%s: of the %" PRIu64 " rows that this state, an older one, has given out, the broker sent only %" PRIu64
                  ": of the others nobody has said whether they are withdrawn. Load all withdrawals again; if the broker "
                  "throws away what waits for a client (max_queued_messages), allow it more",
                  links->stream->name, given, of);
}

/* All is worked, and committed. */
static void
finish(struct links *links)
{
    struct recall *recall = &links->recall;

    if (recall->withdrawn > 0)
        log_warning("%s: %u rows are withdrawn, of which this state, an older one, did not know: the broker keeps them so",
                    links->stream->name, recall->withdrawn);
    hold_forget_restored(links->host->state_dir);
    buffer_free(&recall->rows);
    *recall = (struct recall){0};
}

void
recall_hear(struct links *links)
{
    struct recall *recall = &links->recall;

    if (!recall->asked)
        return;
    pthread_mutex_lock(&links->mailbox.lock);
    recall->come = links->mailbox.recalled_come;
    const uint64_t of = links->mailbox.recalled_of;
    if (recall->come) {
        buffer_free(&recall->rows);
        recall->rows = links->mailbox.recalled;
        links->mailbox.recalled = (struct buffer){0};
    }
    pthread_mutex_unlock(&links->mailbox.lock);
    recall->asked = !recall->come;
    if (recall->come)
        see_whether_all(links, of);
    if (recall->come && recall->rows.len == 0)
        finish(links);
}

int
recall_work(struct links *links, struct output *output)
{
    struct recall *recall = &links->recall;
    struct recalled one;
    unsigned steps = 0;

    recall->worked = recall->done;
    recall->withdrawn_now = 0;
    while (recall->worked < recall->rows.len && steps < BATCH_WORK_MAX && !output->full(output)) {
        memcpy(&one, recall->rows.data + recall->worked, sizeof one);
        const int rc = batch_recall(process_batch(links->host->process), span_at(one.row, one.row_len), one.withdrawn_ms);
        if (rc < 0)
            return -1;
        recall->worked += sizeof one;
        recall->withdrawn_now += (unsigned)rc;
        steps++;
    }
    return (int)steps;
}

void
recall_committed(struct links *links)
{
    struct recall *recall = &links->recall;

    recall->withdrawn += recall->withdrawn_now;
    log_assert(recall->worked <= recall->rows.len);
    recall->done = recall->worked;
    if (recall->done == recall->rows.len)
        finish(links);
}

void
recall_free(struct links *links)
{
    buffer_free(&links->recall.rows);
    buffer_free(&links->mailbox.recalled);
}
