#include "common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

#define INTERVAL_MS 100    /* faster than one can read, slow enough to cost nothing */
#define BAR_COLUMNS_MAX 40
#define BAR_COLUMNS_MIN 12 /* a shorter one says nothing */
#define COLUMNS_DEFAULT 80 /* of a terminal that does not say how wide it is */
#define CLEAR_LINE "\r\033[K"

void
progress_start(struct progress *progress)
{
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO) == 1, .start_ms = clock_steady_ms()};
}

int64_t
progress_elapsed_ms(const struct progress *progress)
{
    return clock_steady_ms() - progress->start_ms;
}

const char *
progress_number(uint64_t number, char *text)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *to = text;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

uint64_t
progress_rate(uint64_t records, int64_t elapsed_ms)
{
    return elapsed_ms > 0 ? (uint64_t)((double)records * 1000 / (double)elapsed_ms) : 0;
}

/* A line that is no longer than width. */
struct line {
    char *text;
    size_t len;
    size_t width;
};

/* Append text if it fits; nothing else does then. */
static void
add(struct line *line, const char *text)
{
    size_t len = strlen(text);

    if (line->len + len > line->width) {
        line->width = line->len;
        return;
    }
    memcpy(line->text + line->len, text, len + 1);
    line->len += len;
}

/* "  1:05 left", as if it went on as it did so far; or "". */
static void
format_time_left(const struct progress_state *state, int64_t elapsed_ms, char *text, size_t size)
{
    text[0] = '\0';
    if (state->done == 0 || state->done > state->total)
        return;
    double left_s = (double)elapsed_ms / 1000 * (double)(state->total - state->done) / (double)state->done;
    int64_t seconds = left_s < 100 * 3600 ? (int64_t)left_s : 100 * 3600;
    if (seconds >= 3600)
        snprintf(text, size, "  %" PRId64 ":%02d:%02d left", seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60));
    else
        snprintf(text, size, "  %d:%02d left", (int)(seconds / 60), (int)(seconds % 60));
}

/* Put "[=====>    ] " before what is in line, if there is room. */
static void
add_bar(struct line *line, double part)
{
    char bar[BAR_COLUMNS_MAX];
    size_t room = line->width - line->len;
    size_t columns = room < BAR_COLUMNS_MAX ? room : BAR_COLUMNS_MAX;

    if (columns < BAR_COLUMNS_MIN)
        return;
    size_t inside = columns - 3; /* beside two brackets and a blank */
    size_t filled = (size_t)(part * (double)inside);
    memset(bar, ' ', columns);
    memset(bar + 1, '=', filled);
    if (filled < inside)
        bar[1 + filled] = '>';
    bar[0] = '[';
    bar[1 + inside] = ']';
    memmove(line->text + columns, line->text, line->len + 1);
    memcpy(line->text, bar, columns);
    line->len += columns;
}

const char *
progress_line(const struct progress_state *state, int64_t elapsed_ms, unsigned width, char *text)
{
    char number[PROGRESS_NUMBER_BYTES];
    char piece[PROGRESS_NUMBER_BYTES + 16];
    size_t most = width < PROGRESS_LINE_BYTES ? width : PROGRESS_LINE_BYTES - 1;
    struct line line = {text, 0, most};
    double part = state->total == 0 ? 0 : (double)state->done / (double)state->total;

    if (part > 1)
        part = 1; /* the file has grown since */
    text[0] = '\0';
    if (state->total != 0) {
        snprintf(piece, sizeof piece, "%3d%%  ", (int)(part * 100));
        add(&line, piece);
    }
    snprintf(piece, sizeof piece, "%s %s", progress_number(state->records, number),
             state->unit != NULL ? state->unit : "records");
    add(&line, piece);
    snprintf(piece, sizeof piece, "  %s/s", progress_number(progress_rate(state->records, elapsed_ms), number));
    add(&line, piece);
    if (state->total == 0)
        return text;
    format_time_left(state, elapsed_ms, piece, sizeof piece);
    add(&line, piece);
    line.width = most;
    add_bar(&line, part);
    return text;
}

/* Of the terminal, as it is now: it may be drawn larger or smaller at any time. */
static unsigned
terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

void
progress_show(struct progress *progress, const struct progress_state *state)
{
    char line[PROGRESS_LINE_BYTES];

    if (!progress->terminal)
        return;
    int64_t now_ms = clock_steady_ms();
    if (now_ms < progress->due_ms)
        return;
    progress->due_ms = now_ms + INTERVAL_MS;
    unsigned columns = terminal_columns() - 1; /* in the last one some terminals begin the next line */
    fprintf(stderr, "\r%s\033[K", progress_line(state, now_ms - progress->start_ms, columns, line));
    fflush(stderr);
    progress->shown = true;
}

void
progress_clear(struct progress *progress)
{
    if (!progress->shown)
        return;
    fputs(CLEAR_LINE, stderr);
    fflush(stderr);
    progress->shown = false;
}
