#include "wire/topic.h"

#include <string.h>

#include "base/log.h"

#define LEVELS_MAX 5

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
    [TOPIC_FEEDS] = {"link", "+", name_here, TOPIC_FEED_LEVEL, "#"},
    [TOPIC_OLDEST] = {"link", name_here, peer_here, TOPIC_OLDEST_LEVEL},
    [TOPIC_OLDESTS] = {"link", "+", name_here, TOPIC_OLDEST_LEVEL},
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

void
topic_add_row(struct buffer *topic, struct span row)
{
    buffer_add_byte(topic, '/');
    buffer_add_span(topic, row);
}

void
topic_add_feed(struct buffer *topic, const char *consumer)
{
    buffer_add_byte(topic, '/');
    buffer_add_text(topic, consumer);
    buffer_add_text(topic, "/" TOPIC_FEED_LEVEL);
}

bool
topic_matches(struct span topic, const char *filter, struct span *level)
{
    const size_t len = strlen(filter);

    *level = (struct span){0};
    if (len < 2 || filter[len - 2] != '/' || strchr("+#", filter[len - 1]) == NULL)
        return span_is(topic, filter);
    if (filter[len - 1] == '#' && span_equal(topic, span_at(filter, len - 2)))
        return true;
    if (!span_begins(topic, span_at(filter, len - 1)))
        return false;
    *level = span_at(topic.at + len - 1, topic.len - (len - 1));
    return filter[len - 1] == '#' || (level->len > 0 && memchr(level->at, '/', level->len) == NULL);
}

/* What follows "<above>/<level>" in topic, if it begins with that. */
static bool
begins_with(struct span topic, const char *above, const char *level, struct span *rest)
{
    const size_t above_len = strlen(above), level_len = strlen(level), len = above_len + 1 + level_len;

    if (topic.len < len || memcmp(topic.at, above, above_len) != 0 || topic.at[above_len] != '/' ||
        memcmp(topic.at + above_len + 1, level, level_len) != 0)
        return false;
    *rest = span_at(topic.at + len, topic.len - len);
    return true;
}

bool
topic_is(struct span topic, const char *above, const char *level)
{
    struct span rest;

    return begins_with(topic, above, level, &rest) && rest.len == 0;
}

bool
topic_is_below(struct span topic, const char *above, const char *level, struct span *rest)
{
    if (!begins_with(topic, above, level, rest) || rest->len == 0 || rest->at[0] != '/')
        return false;
    *rest = span_at(rest->at + 1, rest->len - 1);
    return true;
}
