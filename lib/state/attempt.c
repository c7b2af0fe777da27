#include "state/attempt.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

#define NAME "attempt"
#define OPENS (1u << ATTEMPT_OPENS_STORE | 1u << ATTEMPT_OPENS_LANDING)
#define PLACE_BYTES 19
#define CHECKED_BYTES (2 + ATTEMPT_PLACES * PLACE_BYTES)
#define NOTE_BYTES (CHECKED_BYTES + 8)

_Static_assert(ATTEMPT_PLACES <= 16, "a bit for each place, in two bytes");

static void
write_note(const struct attempt *attempt)
{
    char note[NOTE_BYTES];
    char *at = note + 2;

    note[0] = (char)(attempt->tried >> 8);
    note[1] = (char)attempt->tried;
    for (unsigned i = 0; i < ATTEMPT_PLACES; i++, at += PLACE_BYTES) {
        bytes_put_u64(at, attempt->places[i].front.position);
        bytes_put_u64(at + 8, attempt->places[i].front.at);
        at[16] = (char)(attempt->places[i].careful >> 8);
        at[17] = (char)attempt->places[i].careful;
        at[18] = (char)attempt->places[i].deaths;
    }
    log_assert(at == note + CHECKED_BYTES);
    bytes_put_u64(at, hash_checksum(span_at(note, CHECKED_BYTES)));
    if (attempt->fd >= 0 && file_write_at(attempt->fd, note, sizeof note, 0) != 0)
        log_debug("attempt: can't be noted");
}

static unsigned
u16_at(const char *at)
{
    return (unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

static void
read_note(struct attempt *attempt)
{
    char note[NOTE_BYTES];
    const char *at = note + 2;

    if (attempt->fd < 0 || file_read_at(attempt->fd, note, sizeof note, 0) != (ssize_t)sizeof note ||
        hash_checksum(span_at(note, CHECKED_BYTES)) != bytes_get_u64(note + CHECKED_BYTES))
        return;
    attempt->tried = u16_at(note);
    for (unsigned i = 0; i < ATTEMPT_PLACES; i++, at += PLACE_BYTES) {
        attempt->places[i].front = (struct attempt_front){bytes_get_u64(at), bytes_get_u64(at + 8)};
        attempt->places[i].careful = u16_at(at + 16);
        attempt->places[i].deaths = (unsigned char)at[18];
    }
}

static bool
same_front(struct attempt_front a, struct attempt_front b)
{
    return a.position == b.position && a.at == b.at;
}

/* The process died at this place. */
static void
count_death(struct attempt *attempt, unsigned place)
{
    if (attempt->places[place].deaths < UINT8_MAX)
        attempt->places[place].deaths++;
}

static bool
was_tried(const struct attempt *attempt, unsigned place)
{
    return (attempt->tried >> place & 1) != 0;
}

/* The process died at this place once more: more than that is anybody's doing no longer. */
static void
suspect(struct attempt *attempt, unsigned place)
{
    count_death(attempt, place);
    if (attempt->places[place].careful > 0 || attempt->places[place].deaths < ATTEMPT_SUSPECTED)
        return;
    log_warning("died %d times in a row at the same place: the next %d records are worked one by one, and one that it dies "
                "of %d times more is set aside", ATTEMPT_SUSPECTED, ATTEMPT_CAREFUL, ATTEMPT_DEATHS);
    attempt->places[place].careful = ATTEMPT_CAREFUL;
    attempt->places[place].deaths = 0;
}

static void
look_at_opening(struct attempt *attempt, unsigned place, const char *dir, const char *folder)
{
    if (!was_tried(attempt, place))
        return;
    count_death(attempt, place);
    if (attempt->places[place].deaths >= ATTEMPT_SUSPECTED)
        log_error("died %u times in a row while it opened %s/%s: nothing of that can be set aside. Unless a line before "
                  "this one says why, it is damaged: put a backup in its place, or move %s away and load again",
                  attempt->places[place].deaths, dir, folder, dir);
}

void
attempt_open(struct attempt *attempt, const char *dir)
{
    struct buffer path = {0};

    *attempt = (struct attempt){0};
    buffer_printf(&path, "%s/" NAME, dir);
    attempt->fd = open(buffer_text(&path), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    buffer_free(&path);
    read_note(attempt);
    look_at_opening(attempt, ATTEMPT_OPENS_STORE, dir, "store");
    look_at_opening(attempt, ATTEMPT_OPENS_LANDING, dir, "inbox");
}

/* What was at work before stays noted until all is open. */
void
attempt_opens(struct attempt *attempt, unsigned place)
{
    log_assert((1u << place & OPENS) != 0);
    attempt->tried = (attempt->tried & ~OPENS) | 1u << place;
    write_note(attempt);
}

/* Opening is over. */
static void
end_opening(struct attempt *attempt)
{
    attempt->tried &= ~OPENS;
    attempt->places[ATTEMPT_OPENS_STORE].deaths = attempt->places[ATTEMPT_OPENS_LANDING].deaths = 0;
}

void
attempt_opened(struct attempt *attempt, const struct attempt_front *fronts)
{
    end_opening(attempt);
    for (unsigned i = 0; i <= ATTEMPT_DUE; i++) {
        if (was_tried(attempt, i) && same_front(attempt->places[i].front, fronts[i]))
            suspect(attempt, i);
    }
    if (was_tried(attempt, ATTEMPT_STORED)) /* it would have been ended if it were committed */
        count_death(attempt, ATTEMPT_STORED);
    attempt->tried = 0;
    write_note(attempt);
}

bool
attempt_is_careful(const struct attempt *attempt)
{
    bool careful = false;

    for (unsigned i = 0; i < ATTEMPT_PLACES; i++)
        careful = careful || attempt->places[i].careful > 0;
    return careful;
}

static void
move_front(struct attempt *attempt, unsigned place, struct attempt_front front)
{
    if (same_front(attempt->places[place].front, front))
        return;
    attempt->places[place].front = front;
    attempt->places[place].deaths = 0;
}

void
attempt_begin(struct attempt *attempt, unsigned tried, const struct attempt_front *fronts)
{
    log_assert(tried >> ATTEMPT_PLACES == 0);
    attempt->tried = tried;
    for (unsigned i = 0; i < ATTEMPT_PLACES; i++) {
        if ((tried >> i & 1) != 0)
            move_front(attempt, i, fronts[i]);
    }
    write_note(attempt);
}

unsigned
attempt_begin_one(struct attempt *attempt, unsigned place, struct attempt_front front)
{
    log_assert(place < ATTEMPT_PLACES);
    attempt->tried = 1u << place;
    move_front(attempt, place, front);
    if (attempt->places[place].deaths == 0 && attempt->places[place].careful > 0)
        attempt->places[place].careful--;
    write_note(attempt);
    return attempt->places[place].deaths;
}

void
attempt_end_one(struct attempt *attempt)
{
    for (unsigned i = 0; i < ATTEMPT_PLACES; i++)
        attempt->places[i].deaths = was_tried(attempt, i) ? 0 : attempt->places[i].deaths;
    attempt_forget(attempt);
}

void
attempt_forget(struct attempt *attempt)
{
    if (attempt->tried == 0)
        return;
    attempt->tried = 0;
    write_note(attempt);
}

void
attempt_close(struct attempt *attempt)
{
    if ((attempt->tried & OPENS) != 0) {
        end_opening(attempt);
        write_note(attempt);
    }
    if (attempt->fd >= 0)
        close(attempt->fd);
    attempt->fd = -1;
}
