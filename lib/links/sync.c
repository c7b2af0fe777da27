/*
 * sync: hearing who is where, after each connection and always, saying where we are, and publishing what somebody lacks.
 */
#include <string.h>

#include "base/log.h"
#include "links/links_state.h"

/* How long to wait, after a start, for consumers whose last report the broker has forgotten. */
#define HEAR_MS 3000

void
sync_report(struct links *links, int64_t steady_ms)
{
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        struct link *link = &links->links[i];
        bool wanted = false;
        pthread_mutex_lock(&links->mailbox.lock);
        link_remind(link, steady_ms);
        if (links->topics.report_to[i] != NULL && (wanted = link->report))
            link_report(link, steady_ms, &links->scratch);
        pthread_mutex_unlock(&links->mailbox.lock);
        if (wanted)
            links_publish(links, links->topics.report_to[i], buffer_span(&links->scratch), true);
    }
}

/* Tell the broker, in a retained message behind them, up to which message of the output it has everything. If it forgets
 * some of a table's rows it forgets this too, or goes back to an older one. */
static void
send_kept(struct links *links)
{
    const struct link_position copied = {links->epoch, links->output_publisher.broker.next - 1};

    struct lives has = links->earlier;

    lives_settle(&has, copied);
    link_write_report(copied, false, &links->scratch);
    lives_write(&has, true, &links->scratch);
    links_publish(links, links->topics.kept, buffer_span(&links->scratch), true);
}

enum links_why
sync_what_broker_lacks(const struct links *links)
{
    if (!links->limits.acknowledges)
        return LINKS_NO_ACKNOWLEDGEMENT;
    return links->limits.retains ? LINKS_TAKE : LINKS_NO_RETAIN;
}

/* Give a broker that lacks rows all of them, once it is clear that this state is no older copy, whose rows may be older than
 * what it has, or an operator has seen that. */
static void
pay_refill(struct links *links)
{
    if (links->refill.owed && links->heard && !links->back.told && !links->output_publisher.older.seen)
        refill_begin(links);
}

/* Before a refill is done the broker's copy is not whole, whatever was sent. */
static bool
broker_is_whole(const struct links *links)
{
    return !links->refill.active && !links->refill.owed;
}

void
sync_pump(struct links *links, int64_t steady_ms)
{
    struct publisher *output = &links->output_publisher;
    struct publisher *rejected = &links->rejected_publisher;

    if (!links->synced || links->link_port.state != PORT_READY || sync_what_broker_lacks(links) != LINKS_TAKE)
        return;
    if (publisher_ready(output, steady_ms) || publisher_ready(rejected, steady_ms)) {
        if (store_snapshot(links->store) != 0)
            return;
        int sent = publisher_pump(output, links->link_port.wire, steady_ms);
        publisher_pump(rejected, links->link_port.wire, steady_ms);
        store_snapshot_end(links->store);
        if (sent > 0 && broker_is_whole(links))
            send_kept(links);
    }
    pay_refill(links);
    refill_step(links, steady_ms);
    if (links->refill.done)
        send_kept(links);
    links->refill.done = false;
}

/* Fill messages only up to what the broker takes. */
static void
keep_to_limits(struct links *links)
{
    struct buffer why = {0};

    links->limits = port_limits(&links->link_port);
    links->output_publisher.limits = links->rejected_publisher.limits = links->limits;
    process_bound(links->host->process, links_room(links));
    links->why = sync_what_broker_lacks(links);
    if (links->why == LINKS_TAKE)
        return;
    show_why(&links->transport, &why);
    log_error("nothing is taken in: %s", buffer_text(&why));
    buffer_free(&why);
}

void
sync_connected(struct links *links)
{
    keep_to_limits(links);
    pthread_mutex_lock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->stream->input_count; i++)
        link_hello(&links->links[i]);
    pthread_mutex_unlock(&links->mailbox.lock);
    links->synced = links->sync_told = false;
    links->sync_late_ms = links->host->steady_ms() + SYNC_LATE_MS;
    recall_ask(links);
    buffer_clear(&links->metrics_sent);
    links_publish(links, links->topics.status, span_of("online"), true);
    links->sync_ms = links->receipt_tried_ms = 0;
}

/* Of the broker, and again if the answer got lost: whether everything retained has come. */
void
sync_ask(struct links *links, int64_t steady_ms)
{
    struct buffer silence = {0};
    const bool wanted = !links->synced || links->recall.asked;

    if (!wanted || links->link_port.state != PORT_READY || steady_ms < links->sync_ms)
        return;
    if (!links->synced && steady_ms >= links->sync_late_ms && !links->sync_told) {
        show_silence(links, &silence);
        log_warning("links: %s", buffer_text(&silence));
        buffer_free(&silence);
        links->sync_told = true;
    }
    links_publish(links, links->topics.sync, span_of(links->recall.asked ? SYNC_RECALL : ""), false);
    links->sync_ms = steady_ms + TICK_MS;
}

/* Everything retained has come: begin to publish where the consumers and the broker say that they are; kept: up to where the
 * broker has what is kept of the output, by what it says itself, or NULL. */
static void
become_synced(struct links *links, const struct report *kept)
{
    struct publisher *publisher = &links->output_publisher;
    uint64_t has = 0;
    const bool known = kept != NULL && publisher_kept(publisher, &kept->said.position, &kept->said.earlier, &has) &&
                       has >= links->output.trimmed.sequence;
    uint64_t copied = publisher->broker.applied;
    const int64_t steady_ms = links->host->steady_ms();
    const bool wary = reconnect_unsteady(&links->link_port.reconnect, steady_ms);

    links->synced = true;
    if (links->synced_ms == 0)
        links->synced_ms = steady_ms;
    refill_restart(links, wary, steady_ms);
    if (known && (publisher->table || has > copied)) {
        copied = has;
    } else if (publisher->table) {
        /* Some of what it lacks is not in the outbox any more. It is given the rows as they are now, and that is all. */
        copied = links->output.last.sequence;
        links->refill.owed = true;
    }
    publisher_restart(&links->output_publisher, copied, wary, steady_ms);
    publisher_restart(&links->rejected_publisher, links->rejected_publisher.broker.applied, wary, steady_ms);
}

void
sync_hear(struct links *links, int64_t steady_ms)
{
    struct mailbox *mailbox = &links->mailbox;

    pthread_mutex_lock(&links->mailbox.lock);
    for (unsigned i = 0; i < links->output_publisher.consumer_count; i++) {
        struct report *report = &mailbox->reports[i];
        if (report->heard)
            publisher_report(&links->output_publisher, span_of(links->output_publisher.consumers[i].name),
                             &report->said, report->rewind, steady_ms);
        report->heard = false;
    }
    const bool synced = mailbox->synced && links->link_port.state == PORT_READY;
    const bool kept_heard = mailbox->kept_heard;
    const struct report kept = mailbox->kept;
    links->acknowledged = links->acknowledged || mailbox->acknowledged;
    mailbox->acknowledged = false;
    const uint64_t delivered_output = mailbox->delivered_output;
    const uint64_t delivered_rejected = mailbox->delivered_rejected;
    const uint64_t refused_output = mailbox->refused_output;
    const uint64_t refused_rejected = mailbox->refused_rejected;
    mailbox->delivered_output = mailbox->delivered_rejected = mailbox->refused_output = mailbox->refused_rejected = 0;
    if (synced)
        mailbox->synced = mailbox->kept_heard = false;
    pthread_mutex_unlock(&links->mailbox.lock);

    /* What was acknowledged behind a refused one does not count. */
    publisher_refused(&links->output_publisher, refused_output, steady_ms);
    publisher_refused(&links->rejected_publisher, refused_rejected, steady_ms);
    if (refused_output != 0 && links->synced && broker_is_whole(links))
        send_kept(links); /* it has less than that said */
    publisher_delivered(&links->output_publisher, delivered_output);
    publisher_delivered(&links->rejected_publisher, delivered_rejected);
    if (synced && !links->synced)
        become_synced(links, kept_heard ? &kept : NULL);
    recall_hear(links);
    newcomer_look(links);
}

/* Those who have what earlier runs gave out must have had the time to
 * say so, or, if this state is an older copy, its next numbers would be those of messages that they have already. The broker
 * keeps what they said last; where it has forgotten it they come back with it. */
bool
sync_has_heard(struct links *links, int64_t steady_ms)
{
    const struct publisher *publisher = &links->output_publisher;

    if (links->recall.due && !links->recall.come)
        return false;
    if (links->heard || links->synced_ms == 0)
        return links->heard;
    bool all = true;
    for (unsigned i = 0; i < publisher->consumer_count; i++)
        all = all && publisher->consumers[i].heard;
    links->heard = all || links->output.last.sequence == 0 || steady_ms - links->synced_ms >= HEAR_MS;
    return links->heard;
}

/* That is not put off until there is room: those who would make some may be told where to begin only when it is known. */
bool
sync_has_to_learn(const struct links *links)
{
    return links->recall.due || links_awaits_rows(links);
}
