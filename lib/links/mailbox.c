#include "links/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

void
mailbox_open(struct mailbox *mailbox)
{
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_cond_init(&mailbox->changed, NULL);
}

void
mailbox_wake(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->woken = true;
    pthread_cond_broadcast(&mailbox->changed);
    pthread_mutex_unlock(&mailbox->lock);
}

void
mailbox_wait(struct mailbox *mailbox, int64_t timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->woken && timeout_ms > 0 &&
           pthread_cond_clockwait(&mailbox->changed, &mailbox->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
    mailbox->woken = false;
    pthread_mutex_unlock(&mailbox->lock);
}

void
mailbox_free_asks(struct ask *asks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(asks[i].topic);
        buffer_free(&asks[i].correlation);
    }
}

void
mailbox_close(struct mailbox *mailbox)
{
    mailbox_free_asks(mailbox->asks, mailbox->ask_count);
    buffer_free(&mailbox->recalled);
    pthread_cond_destroy(&mailbox->changed);
    pthread_mutex_destroy(&mailbox->lock);
}
