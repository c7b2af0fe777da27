#include "wire/topic.h"

#include <string.h>

#include "base/buffer.h"
#include "base/log.h"

#define LEVELS_MAX 4

/* In the place of a level. */
static const char name_here[] = "name", peer_here[] = "peer";

static const char *const topics[TOPIC_COUNT][LEVELS_MAX] = {
    [TOPIC_LANDING] = {"landing", name_here},
    [TOPIC_LANDING_ALL] = {name_here, "#"},
    [TOPIC_PROBE] = {name_here, ".probe"},
    [TOPIC_RECEIPT] = {TOPIC_RECEIPT_LEVEL, name_here},
    [TOPIC_ANSWER] = {TOPIC_ANSWER_LEVEL, name_here},
    [TOPIC_OUTPUT] = {name_here},
    [TOPIC_ROWS] = {name_here, "+"},
    [TOPIC_REJECTED] = {"rejected", name_here},
    [TOPIC_STATUS] = {"status", name_here},
    [TOPIC_METRICS] = {"metrics", name_here},
    [TOPIC_ASK] = {"ask"},
    [TOPIC_ACKNOWLEDGE] = {"acknowledge", name_here},
    [TOPIC_LINK] = {"link", name_here},
    [TOPIC_REPORT] = {"link", name_here, peer_here},
    [TOPIC_REPORTS] = {"link", name_here, "+"},
    [TOPIC_FEEDS] = {"link", "+", name_here, "feed/#"},
    [TOPIC_OLDEST] = {"link", name_here, peer_here, "oldest"},
    [TOPIC_OLDESTS] = {"link", "+", name_here, "oldest"},
    [TOPIC_SYNC] = {"link", name_here, TOPIC_SYNC_LEVEL},
    [TOPIC_KEPT] = {"link", name_here, TOPIC_KEPT_LEVEL},
};

char *
topic_name(enum topic topic, const char *prefix, const char *name, const char *peer)
{
    struct buffer text = {0};

    log_assert(topic < TOPIC_COUNT && topics[topic][0] != NULL);
    buffer_add_text(&text, prefix);
    for (unsigned i = 0; i < LEVELS_MAX && topics[topic][i] != NULL; i++) {
        const char *level = topics[topic][i];
        log_assert((level != name_here || name != NULL) && (level != peer_here || peer != NULL));
        buffer_add_byte(&text, '/');
        buffer_add_text(&text, level == name_here ? name : level == peer_here ? peer : level);
    }
    buffer_text(&text);
    return text.data;
}

bool
topic_is_below(struct span topic, const char *prefix, const char *level, struct span *rest)
{
    const size_t prefix_len = strlen(prefix), level_len = strlen(level), len = prefix_len + level_len + 2;

    if (topic.len < len || memcmp(topic.at, prefix, prefix_len) != 0 || topic.at[prefix_len] != '/' ||
        memcmp(topic.at + prefix_len + 1, level, level_len) != 0 || topic.at[len - 1] != '/')
        return false;
    *rest = span_at(topic.at + len, topic.len - len);
    return true;
}
