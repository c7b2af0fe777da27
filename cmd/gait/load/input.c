#include "load/input.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/say.h"
#include "load/binary.h"
#include "load/objects.h"
#include "load/rows.h"

#define BEGIN_BYTES_MAX (64 * 1024) /* looked at for what it is; enough for a first line that names columns */

struct input {
    struct unpack *unpack;
    enum record_kind kind;
    struct names *names;
    bool csv;
    bool began;         /* it was looked at, and is text */
    bool ended;         /* there is no more text than what is here */
    struct buffer text;    /* unpacked */
    size_t text_at;        /* what lies before was handed out */
    uint64_t bytes_before; /* of the file, read before what was read last */
    struct objects *objects;
    struct rows *rows; /* of CSV */
};

static struct span
text_left(const struct input *input)
{
    return (struct span){input->text.data + input->text_at, input->text.len - input->text_at};
}

/* Get more text, or learn that there is none: INPUT_RECORD, in both cases. */
static enum input_result
read_text(struct input *input)
{
    size_t left = input->text.len - input->text_at;

    if (input->text_at > 0)
        memmove(input->text.data, input->text.data + input->text_at, left);
    input->text.len = left;
    input->text_at = 0;
    if (input->began)
        input->bytes_before = unpack_bytes_read(input->unpack);
    enum input_result result = unpack_read(input->unpack, &input->text);
    input->ended = result == INPUT_END;
    return input->ended ? INPUT_RECORD : result;
}

/*
 * The beginning.
 */

/* Refuse what is no text. */
static enum input_result
refuse_binary(const struct input *input, const struct binary *binary)
{
    const char *table = record_kind_name(input->kind);
    const char *name = input_name(input);
    const char *packing = unpack_packing(input->unpack);
    const char *path = input_is_file(input) ? name : "FILE";
    struct buffer what = {0};

    buffer_printf(&what, "%s%s%s", binary->what, packing != NULL ? ", packed with " : "", packing != NULL ? packing : "");
    if (binary->command == NULL || packing != NULL)
        say("%s: this is %s, and no text: write the records as NDJSON or CSV first", name, buffer_text(&what));
    else
        say("%s: this is %s: make it plain text first: %s '%s' | gait load %s%s -", name, buffer_text(&what),
            binary->command, path, input->csv ? "--csv " : "", table);
    buffer_free(&what);
    return INPUT_REFUSED;
}

/* The first line that is not empty, as far as it is there. */
static struct span
first_line(struct span text)
{
    while (text.len > 0 && (*text.at == '\n' || *text.at == '\r' || *text.at == ' '))
        text = span_at(text.at + 1, text.len - 1);
    const char *end = text.len > 0 ? memchr(text.at, '\n', text.len) : NULL;
    return span_at(text.at, end != NULL ? (size_t)(end - text.at) : text.len);
}

/* Whether there is enough text to tell what it is. */
static bool
begins_whole(const struct input *input)
{
    struct span text = text_left(input);
    struct span line = first_line(text);

    return input->ended || text.len >= BEGIN_BYTES_MAX || line.at + line.len < text.at + text.len;
}

/* Turn the text at hand into rows. */
static enum input_result
take_rows(struct input *input)
{
    struct span text = text_left(input);

    input->text_at = input->text.len;
    return rows_add(input->rows, text, input->ended);
}

enum input_result
input_begin(struct input *input)
{
    struct binary binary;

    if (input->began)
        return INPUT_RECORD;
    while (!begins_whole(input)) {
        enum input_result result = read_text(input);
        if (result != INPUT_RECORD)
            return result;
    }
    if (binary_find(text_left(input), &binary))
        return refuse_binary(input, &binary);
    input->began = true;
    if (input->text.len >= 3 && memcmp(input->text.data, "\xef\xbb\xbf", 3) == 0)
        input->text_at = 3;
    struct span line = first_line(text_left(input));
    bool json = line.len > 0 && strchr("{[\x1e", line.at[0]) != NULL;
    input->csv = input->csv || (!json && rows_is_header(input->names, line));
    if (!input->csv)
        return INPUT_RECORD;
    input->rows = rows_new(input->names, input->kind, input_name(input));
    return take_rows(input);
}

/*
 * Records.
 */

static enum input_result
next_json(struct input *input, struct input_record *record)
{
    for (;;) {
        struct span text = text_left(input);
        size_t done = objects_next(input->objects, input->text.data + input->text_at, text.len, input->ended, record);
        input->text_at += done;
        if (record->text.at != NULL)
            return INPUT_RECORD;
        if (text.len - done > INPUT_RECORD_BYTES_MAX) {
            say("%s:%" PRIu64 ": a record is larger than 1 MiB", input_name(input), objects_line(input->objects));
            return INPUT_REFUSED;
        }
        if (input->ended)
            return objects_end(input->objects, input_name(input));
        enum input_result result = read_text(input);
        if (result != INPUT_RECORD)
            return result;
    }
}

static enum input_result
next_row(struct input *input, struct input_record *record)
{
    for (;;) {
        if (rows_next(input->rows, record) == 1)
            return INPUT_RECORD;
        if (input->ended)
            return rows_end(input->rows);
        enum input_result result = read_text(input);
        if (result == INPUT_RECORD)
            result = take_rows(input);
        if (result != INPUT_RECORD)
            return result;
    }
}

enum input_result
input_next(struct input *input, struct input_record *record)
{
    enum input_result result = input_begin(input);

    if (result != INPUT_RECORD)
        return result;
    return input->csv ? next_row(input, record) : next_json(input, record);
}

/*
 * The interface.
 */

static bool
is_csv_name(const char *path)
{
    static const char *const endings[] = {".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".tsv.zst"};
    size_t len = strlen(path);

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);
        if (len >= ending && strcasecmp(path + len - ending, endings[i]) == 0)
            return true;
    }
    return false;
}

struct input *
input_open(const char *path, enum record_kind kind, bool csv, struct names *names)
{
    struct unpack *unpack = unpack_open(path);

    if (unpack == NULL)
        return NULL;
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        log_fatal("out of memory");
    input->unpack = unpack;
    input->kind = kind;
    input->names = names;
    input->csv = csv || is_csv_name(path);
    input->objects = objects_new(names);
    buffer_reserve(&input->text, 1); /* never a null pointer */
    return input;
}

const char *
input_name(const struct input *input)
{
    return unpack_name(input->unpack);
}

const char *
input_separator(const struct input *input)
{
    return input->rows != NULL ? rows_separator(input->rows) : NULL;
}

bool
input_is_file(const struct input *input)
{
    return unpack_is_file(input->unpack);
}

uint64_t
input_bytes_done(const struct input *input)
{
    uint64_t read = unpack_bytes_read(input->unpack);
    size_t total = input->rows != NULL ? rows_count(input->rows) : input->text.len;
    size_t left = input->rows != NULL ? rows_left(input->rows) : input->text.len - input->text_at;

    if (!input->began || total == 0)
        return input->began ? read : 0;
    return read - (uint64_t)((double)(read - input->bytes_before) * (double)left / (double)total);
}

uint64_t
input_bytes_total(const struct input *input)
{
    return unpack_bytes_total(input->unpack);
}

void
input_free(struct input *input)
{
    if (input == NULL)
        return;
    unpack_free(input->unpack);
    objects_free(input->objects);
    rows_free(input->rows);
    buffer_free(&input->text);
    free(input);
}
