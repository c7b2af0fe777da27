#include "sets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../unit/inside.h"
#include "base/buffer.h"
#include "base/file.h"
#include "streams/catalog.h"

bool sets_complaining;

void
sets_complain(const char *format, ...)
{
    va_list args;

    if (!sets_complaining)
        return;
    va_start(args, format);
    vprint_error(format, args);
    va_end(args);
}

void
sets_read_lake(const char *dir, enum set set, struct lines *lines)
{
    struct buffer content = {0};
    char pattern[512];
    glob_t found;

    snprintf(pattern, sizeof pattern, "%s/lake/%s/date=*/part-*.ndjson", dir, set_paths[set]);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            assert_int_equal(file_read(found.gl_pathv[i], &content), 0);
        globfree(&found);
    }
    buffer_text(&content);
    char *rest = content.data;
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        lines_add(lines, "%s", line);
    buffer_free(&content);
}

#define ROW_PREFIX_BYTES 41 /* {"row":" and 32 digits, and the quote */

bool
sets_last_of_rows(struct lines *lines, bool once)
{
    struct lines kept = {0};
    bool right = true;

    for (unsigned i = lines->count; i-- > 0;) {
        unsigned next = i + 1;
        while (next < lines->count && strncmp(lines->list[i], lines->list[next], ROW_PREFIX_BYTES) != 0)
            next++;
        if (once && next < lines->count && strcmp(lines->list[i], lines->list[next]) == 0) {
            sets_complain("  twice in the lake: %s\n", lines->list[i]);
            right = false;
        }
        if (next == lines->count && strstr(lines->list[i], "\"withdrawn\":") == NULL)
            lines_add(&kept, "{%s", lines->list[i] + ROW_PREFIX_BYTES + 1);
    }
    lines_free(lines);
    *lines = kept;
    return right;
}

bool
sets_is_between(const char *where, struct lines *lines, struct lines *must, struct lines *may)
{
    const char *lost = lines_missing(must, lines);
    const char *extra = may != NULL ? lines_missing(lines, may) : NULL;

    if (lost != NULL)
        sets_complain("  not in %s: %s\n", where, lost);
    if (extra != NULL)
        sets_complain("  too often in %s: %s\n", where, extra);
    return lost == NULL && extra == NULL;
}

bool
sets_are_counted(const struct pipeline *pipeline, unsigned number, enum landing landing, enum set set)
{
    const struct ledger *ledger = inside_ledger(pipeline->processes[number]);
    const uint64_t *verdicts = ledger->inputs[0].verdicts;
    const uint64_t once = ledger->inputs[0].taken - verdicts[VERDICT_DUPLICATE] - verdicts[VERDICT_INVALID];
    const unsigned all = world_readings(pipeline->world, landing, pipeline->phase);
    struct lines must = {0}, may = {0};

    world_expect(pipeline->world, set, 0, pipeline->phase, &must, &may);
    const unsigned least = must.count, most = may.count;
    lines_free(&must);
    lines_free(&may);
    if (once == all && verdicts[VERDICT_PASSED] >= least && verdicts[VERDICT_PASSED] <= most)
        return true;
    sets_complain("  %s: %" PRIu64 " readings were counted, of %u; %" PRIu64 " as passed, which were %u to %u\n",
                  catalog_streams[number]->name, once, all, verdicts[VERDICT_PASSED], least, most);
    return false;
}
