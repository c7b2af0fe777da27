#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define INTERVAL_MS 100 /* faster than one can read, slow enough to cost nothing */
#define BAR_WIDTH 30    /* the whole line stays below 80 columns */
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

/* "[=======>      ]  45%  " */
static void
print_bar(const struct progress_state *state)
{
    char bar[BAR_WIDTH + 1];
    double part = (double)state->done / (double)state->total;
    if (part > 1)
        part = 1; /* the file has grown since */
    int filled = (int)(part * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)filled);
    if (filled < BAR_WIDTH)
        bar[filled] = '>';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "[%s] %3d%%  ", bar, (int)(part * 100));
}

/* "  1:05 left", as if it went on as it did so far. */
static void
print_time_left(const struct progress_state *state, int64_t elapsed_ms)
{
    if (state->done == 0 || state->done > state->total)
        return;
    double left_s = (double)elapsed_ms / 1000 * (double)(state->total - state->done) / (double)state->done;
    int64_t seconds = left_s < 100 * 3600 ? (int64_t)left_s : 100 * 3600;
    if (seconds >= 3600)
        fprintf(stderr, "  %" PRId64 ":%02d:%02d left", seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60));
    else
        fprintf(stderr, "  %d:%02d left", (int)(seconds / 60), (int)(seconds % 60));
}

void
progress_show(struct progress *progress, const struct progress_state *state)
{
    char records[PROGRESS_NUMBER_BYTES];
    char rate[PROGRESS_NUMBER_BYTES];
    if (!progress->terminal)
        return;
    int64_t now_ms = clock_steady_ms();
    if (now_ms < progress->due_ms)
        return;
    progress->due_ms = now_ms + INTERVAL_MS;
    int64_t elapsed_ms = now_ms - progress->start_ms;
    fputs("\r", stderr);
    if (state->total != 0)
        print_bar(state);
    fprintf(stderr, "%s records  %s/s", progress_number(state->records, records),
            progress_number(progress_rate(state->records, elapsed_ms), rate));
    if (state->total != 0)
        print_time_left(state, elapsed_ms);
    fputs("\033[K", stderr);
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
