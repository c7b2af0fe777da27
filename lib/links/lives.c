#include "links/lives.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "record/json.h"

#define LIFE_BYTES 24

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

const struct life *
lives_find(const struct lives *lives, uint64_t epoch)
{
    for (unsigned i = 0; i < lives->count; i++) {
        if (lives->list[i].epoch == epoch)
            return &lives->list[i];
    }
    return NULL;
}

void
lives_push(struct lives *lives, struct life life)
{
    const struct life *known = lives_find(lives, life.epoch);
    unsigned behind = known != NULL ? (unsigned)(known - lives->list) : lives->count;

    if (known == NULL && lives->count < LIVES_MAX)
        lives->count++;
    if (behind == LIVES_MAX)
        behind--;
    memmove(lives->list + 1, lives->list, behind * sizeof lives->list[0]);
    lives->list[0] = life;
}

void
lives_settle(struct lives *lives, struct link_position at)
{
    for (unsigned i = 0; i < lives->count; i++) {
        struct life *life = &lives->list[i];
        life->applied = most(life->applied, least(at.applied, life->last));
    }
}

void
lives_leave(struct lives *lives, struct link_position from, const struct lives *told)
{
    lives_settle(lives, from);
    for (unsigned i = 0; i < lives->count; i++)
        lives->list[i].last = 0;
    if (from.epoch != 0)
        lives_push(lives, (struct life){from.epoch, from.applied, 0});
    for (unsigned i = told->count; i-- > 0;) {
        const struct life *known = lives_find(lives, told->list[i].epoch);
        lives_push(lives, (struct life){told->list[i].epoch, known != NULL ? known->applied : 0, told->list[i].last});
    }
}

bool
lives_meet(struct link_position at, const struct lives *consumer, struct link_position last, const struct lives *earlier,
           uint64_t *has)
{
    bool met = false;

    *has = 0;
    for (unsigned i = 0; i <= earlier->count; i++) {
        const struct life life =
            i < earlier->count ? earlier->list[i] : (struct life){.epoch = last.epoch, .last = last.applied};
        const struct life *known = lives_find(consumer, life.epoch);
        if (i < earlier->count && life.last == 0)
            continue; /* nothing of it is in the present one */
        if (at.epoch != life.epoch && known == NULL)
            continue;
        met = true;
        *has = most(*has, least(at.epoch == life.epoch ? at.applied : known->applied, life.last));
    }
    return met;
}

bool
lives_prove(struct link_position at, bool met, struct link_position last, const struct lives *earlier)
{
    const bool ahead = at.epoch == last.epoch && at.applied > last.applied;
    const bool later = met && at.epoch != last.epoch && lives_find(earlier, at.epoch) == NULL;

    return ahead || later;
}

void
lives_write(const struct lives *lives, bool applied, struct buffer *report)
{
    const char *between = ",\"earlier\":[";

    if (lives->count == 0)
        return;
    report->len--; /* the brace */
    for (unsigned i = 0; i < lives->count; i++, between = ",")
        buffer_printf(report, "%s\"%016" PRIx64 "\",%" PRIu64, between, lives->list[i].epoch,
                      applied ? lives->list[i].applied : lives->list[i].last);
    buffer_add_text(report, "]}");
}

/* What json_each fills in: an epoch, then its number. */
struct reading {
    struct lives *lives;
    bool applied;
    uint64_t epoch;
};

static void
read_one(void *context, const char *name, const struct json *value)
{
    struct reading *reading = context;
    struct lives *lives = reading->lives;
    const char *epoch = json_text(value, "");
    const int64_t number = json_int(value, -1);

    (void)name;
    if (strlen(epoch) == 16 && strspn(epoch, "0123456789abcdef") == 16)
        reading->epoch = strtoull(epoch, NULL, 16);
    if (number < 0 || reading->epoch == 0 || lives->count == LIVES_MAX)
        return;
    struct life *life = &lives->list[lives->count++];
    *life = (struct life){.epoch = reading->epoch};
    *(reading->applied ? &life->applied : &life->last) = (uint64_t)number;
    reading->epoch = 0;
}

void
lives_read(struct span report, bool applied, struct lives *lives)
{
    static const char mark[] = "\"earlier\"";
    const struct json_limits limits = {.depth_max = 2, .string_bytes_max = 64};
    struct reading reading = {lives, applied, 0};

    lives->count = 0;
    if (report.len == 0 || memmem(report.at, report.len, mark, sizeof mark - 1) == NULL)
        return; /* which is so for nearly all */
    struct json *json = json_parse(report, &limits);
    if (json == NULL)
        return;
    json_each(json, "earlier", read_one, &reading);
    json_free(json);
}

struct span
lives_encode(const struct lives *lives, char bytes[LIVES_BYTES_MAX])
{
    log_assert(lives->count <= LIVES_MAX);
    for (unsigned i = 0; i < lives->count; i++) {
        log_assert(lives->list[i].epoch != 0); /* what lives_decode does not take */
        bytes_put_u64(bytes + i * LIFE_BYTES, lives->list[i].epoch);
        bytes_put_u64(bytes + i * LIFE_BYTES + 8, lives->list[i].applied);
        bytes_put_u64(bytes + i * LIFE_BYTES + 16, lives->list[i].last);
    }
    return span_at(bytes, lives->count * LIFE_BYTES);
}

int
lives_decode(struct span bytes, struct lives *lives)
{
    lives->count = 0;
    if (bytes.len % LIFE_BYTES != 0 || bytes.len > LIVES_BYTES_MAX)
        return -1;
    for (size_t at = 0; at < bytes.len; at += LIFE_BYTES) {
        const struct life life = {
            bytes_get_u64(bytes.at + at), bytes_get_u64(bytes.at + at + 8), bytes_get_u64(bytes.at + at + 16)};
        if (life.epoch == 0)
            return -1;
        lives->list[lives->count++] = life;
    }
    return 0;
}
