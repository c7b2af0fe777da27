#include "input.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buffer.h"
#include "base/log.h"

#define CHUNK_BYTES (128 * 1024) /* read and unpacked at a time */
#define SILENCE_MS 100           /* how long a silent pipe is waited for before the caller gets its turn */
#define COLUMNS_MAX 64           /* of a CSV file; the records have 10 fields at most */
#define NO_FIELD UINT_MAX        /* a column that is no field of the record */

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

/* The state of reading CSV: rows become lines of JSON. */
struct table {
    bool used;
    bool header_seen;
    struct csv_parser parser;
    const struct record_field *fields;
    unsigned field_count;
    unsigned columns[COLUMNS_MAX]; /* the field that stands in it, or NO_FIELD */
    unsigned column_count;
    unsigned column;    /* of the next cell */
    struct buffer rows; /* lines of JSON */
    size_t rows_at;     /* where the next one begins */
    size_t row_start;   /* where the one begins that is being made */
};

struct input {
    const char *name;
    int fd;
    bool regular; /* a file: never silent, and its size is known */
    bool silent;  /* INPUT_NOTHING_YET was the last answer */
    bool file_ended;
    bool text_ended;
    bool began; /* the byte order mark, if any, is behind us */
    uint64_t bytes_read;
    uint64_t bytes_total;

    enum packing packing;
    char *chunk; /* as it came from the file */
    size_t chunk_at;
    size_t chunk_len;
    bool unpacking; /* in the middle of a packed stream: the file must not end here */
    z_stream gzip;
    ZSTD_DStream *zstd;

    struct buffer text; /* unpacked */
    size_t text_at;     /* what lies before was handed out */
    struct table table;
};

static enum input_result
fault(const struct input *input, const char *what)
{
    fprintf(stderr, "gait: %s: %s\n", input->name, what);
    return INPUT_FAULT;
}

/*
 * From the file to text.
 */

/* Read more of the file behind what is left in the chunk. INPUT_RECORD: there is more in the chunk. */
static enum input_result
read_chunk(struct input *input)
{
    struct pollfd ready = {.fd = input->fd, .events = POLLIN};
    if (!input->regular && poll(&ready, 1, input->silent ? SILENCE_MS : 0) <= 0) {
        input->silent = true;
        return INPUT_NOTHING_YET;
    }
    input->silent = false;
    memmove(input->chunk, input->chunk + input->chunk_at, input->chunk_len - input->chunk_at);
    input->chunk_len -= input->chunk_at;
    input->chunk_at = 0;
    ssize_t got = read(input->fd, input->chunk + input->chunk_len, CHUNK_BYTES - input->chunk_len);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? INPUT_NOTHING_YET : fault(input, strerror(errno));
    if (got == 0) {
        input->file_ended = true;
        return INPUT_END;
    }
    input->chunk_len += (size_t)got;
    input->bytes_read += (uint64_t)got;
    return INPUT_RECORD;
}

/* By the first bytes, not by the name: that holds for standard input, too. */
static void
find_packing(struct input *input)
{
    struct span start = {input->chunk, input->chunk_len};
    if (start.len >= 2 && memcmp(start.at, "\x1f\x8b", 2) == 0)
        input->packing = PACKING_GZIP;
    else if (start.len >= 4 && memcmp(start.at, "\x28\xb5\x2f\xfd", 4) == 0)
        input->packing = PACKING_ZSTD;
    else
        input->packing = PACKING_NONE;
    /* 16: gzip only. */
    if (input->packing == PACKING_GZIP && inflateInit2(&input->gzip, MAX_WBITS + 16) != Z_OK)
        log_fatal("out of memory");
    if (input->packing == PACKING_ZSTD && (input->zstd = ZSTD_createDStream()) == NULL)
        log_fatal("out of memory");
}

static enum input_result
unpack_gzip(struct input *input)
{
    z_stream *gzip = &input->gzip;
    gzip->next_in = (unsigned char *)input->chunk + input->chunk_at;
    gzip->avail_in = (unsigned)(input->chunk_len - input->chunk_at);
    gzip->next_out = (unsigned char *)buffer_reserve(&input->text, CHUNK_BYTES);
    gzip->avail_out = CHUNK_BYTES;
    int rc = inflate(gzip, Z_NO_FLUSH);
    input->chunk_at = input->chunk_len - gzip->avail_in;
    input->text.len += CHUNK_BYTES - gzip->avail_out;
    input->unpacking = rc != Z_STREAM_END;
    if (rc == Z_STREAM_END)
        inflateReset(gzip); /* members may follow each other */
    else if (rc == Z_MEM_ERROR)
        log_fatal("out of memory");
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        return fault(input, gzip->msg != NULL ? gzip->msg : "not gzip");
    return INPUT_RECORD;
}

static enum input_result
unpack_zstd(struct input *input)
{
    ZSTD_inBuffer in = {input->chunk, input->chunk_len, input->chunk_at};
    ZSTD_outBuffer out = {buffer_reserve(&input->text, CHUNK_BYTES), CHUNK_BYTES, 0};
    size_t rc = ZSTD_decompressStream(input->zstd, &out, &in);
    if (ZSTD_isError(rc))
        return fault(input, ZSTD_getErrorName(rc));
    input->chunk_at = in.pos;
    input->text.len += out.pos;
    input->unpacking = rc != 0;
    return INPUT_RECORD;
}

static enum input_result
unpack(struct input *input)
{
    switch (input->packing) {
    case PACKING_GZIP:
        return unpack_gzip(input);
    case PACKING_ZSTD:
        return unpack_zstd(input);
    default:
        buffer_add(&input->text, input->chunk + input->chunk_at, input->chunk_len - input->chunk_at);
        input->chunk_at = input->chunk_len;
        return INPUT_RECORD;
    }
}

static void
drop_consumed_text(struct input *input)
{
    if (input->text_at == 0)
        return;
    memmove(input->text.data, input->text.data + input->text_at, input->text.len - input->text_at);
    input->text.len -= input->text_at;
    input->text_at = 0;
}

/* Get more text, or learn that there is none. INPUT_RECORD: look again. */
static enum input_result
read_text(struct input *input)
{
    drop_consumed_text(input);
    /* Four bytes tell the packing; a pipe may bring them one by one. */
    bool need_more = input->chunk_at == input->chunk_len || (input->packing == PACKING_UNKNOWN && input->chunk_len < 4);
    if (need_more && !input->file_ended) {
        enum input_result result = read_chunk(input);
        if (result != INPUT_END)
            return result;
    }
    if (input->packing == PACKING_UNKNOWN)
        find_packing(input);
    if (input->chunk_at < input->chunk_len)
        return unpack(input);
    /* The unpackers may hold text back that did not fit in what they were given. */
    size_t before = input->text.len;
    if (input->unpacking) {
        if (unpack(input) == INPUT_FAULT)
            return INPUT_FAULT;
        if (input->text.len > before)
            return INPUT_RECORD;
        return fault(input, "ends in the middle of its packed data");
    }
    input->text_ended = true;
    return INPUT_END;
}

/* Step over a byte order mark at the very start, once there is enough text to see it. */
static void
skip_byte_order_mark(struct input *input)
{
    if (input->text.len < 3 && !input->text_ended)
        return;
    if (input->text.len >= 3 && memcmp(input->text.data, "\xef\xbb\xbf", 3) == 0)
        input->text_at = 3;
    input->began = true;
}

/*
 * JSON. A record is an object at the top level: on a line of its own, several on a line, spread over many lines, or in
 * an array: one rule holds for all of them. White space, commas and brackets between objects are skipped. A broken
 * object must not swallow its neighbours: it ends at a line end inside a string, or before a line that begins with '{'
 * (records are flat: an object never holds one). Anything else at the top level is handed on to the end of its line.
 */

static bool
is_between(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == '[' || c == ']';
}

/* Where the first non-space at or behind at is. */
static size_t
skip_space(struct span text, size_t at)
{
    while (at < text.len && (text.at[at] == ' ' || text.at[at] == '\t' || text.at[at] == '\r' || text.at[at] == '\n'))
        at++;
    return at;
}

/* The end of the object that starts at text; 0 if it lies behind the text. */
static size_t
object_end(struct span text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            else if (c == '\n')
                return i;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}') {
            if (--depth == 0)
                return i + 1;
        } else if (c == '\n') {
            size_t next = skip_space(text, i);
            if (next < text.len && text.at[next] == '{')
                return i;
            i = next - 1;
        }
    }
    return 0;
}

/* Where the record at the start of text ends; 0 if that can't be told yet. */
static size_t
record_end(struct span text, bool text_ended)
{
    size_t end = 0;
    if (text.at[0] == '{') {
        end = object_end(text);
    } else {
        const char *line_end = memchr(text.at, '\n', text.len);
        end = line_end != NULL ? (size_t)(line_end - text.at) : 0;
    }
    return end == 0 && text_ended ? text.len : end;
}

/* A record takes one line of a message: line ends in it are white space, or it is broken anyway. */
static struct span
make_line(char *at, size_t len)
{
    while (len > 0 && (at[len - 1] == '\r' || at[len - 1] == ' ' || at[len - 1] == '\t' || at[len - 1] == '\n'))
        len--;
    for (char *end = memchr(at, '\n', len); end != NULL; end = memchr(end, '\n', len - (size_t)(end - at)))
        *end = ' ';
    return (struct span){at, len};
}

static enum input_result
next_json(struct input *input, struct span *record)
{
    for (;;) {
        while (input->text_at < input->text.len && is_between(input->text.data[input->text_at]))
            input->text_at++;
        struct span rest = {input->text.data + input->text_at, input->text.len - input->text_at};
        size_t len = rest.len > 0 ? record_end(rest, input->text_ended) : 0;
        if (len > 0) {
            *record = make_line(input->text.data + input->text_at, len);
            input->text_at += len;
            return INPUT_RECORD;
        }
        if (rest.len > INPUT_RECORD_BYTES_MAX)
            return fault(input, "a record is larger than 1 MiB");
        if (input->text_ended)
            return INPUT_END;
        enum input_result result = read_text(input);
        if (result != INPUT_RECORD && result != INPUT_END)
            return result;
    }
}

/*
 * CSV: the first line names the columns, by the names the fields have in JSON.
 */

static size_t
count_digits(struct span text, size_t at)
{
    size_t start = at;
    while (at < text.len && text.at[at] >= '0' && text.at[at] <= '9')
        at++;
    return at - start;
}

/* Whether text is a number as JSON writes it. */
static bool
is_number(struct span text)
{
    size_t at = text.len > 0 && text.at[0] == '-' ? 1 : 0;
    size_t whole = count_digits(text, at);
    if (whole == 0 || (whole > 1 && text.at[at] == '0'))
        return false;
    at += whole;
    if (at < text.len && text.at[at] == '.') {
        size_t fraction = count_digits(text, at + 1);
        if (fraction == 0)
            return false;
        at += 1 + fraction;
    }
    if (at < text.len && (text.at[at] == 'e' || text.at[at] == 'E')) {
        at++;
        if (at < text.len && (text.at[at] == '+' || text.at[at] == '-'))
            at++;
        size_t exponent = count_digits(text, at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == text.len;
}

static void
take_header_cell(struct table *table, struct span cell)
{
    if (table->column >= COLUMNS_MAX)
        return;
    unsigned field = NO_FIELD;
    for (unsigned i = 0; i < table->field_count; i++) {
        bool alias = span_is(cell, "timeStamp") && strcmp(table->fields[i].name, "timestamp") == 0;
        if (alias || span_is(cell, table->fields[i].name))
            field = i;
    }
    table->columns[table->column] = field;
    table->column_count = table->column + 1;
}

/* An empty cell is an absent field. A number that is none becomes a string: the process that takes it says what is
 * wrong. */
static void
take_cell(struct table *table, struct span cell)
{
    unsigned index = table->column < table->column_count ? table->columns[table->column] : NO_FIELD;
    if (index == NO_FIELD || cell.len == 0)
        return;
    const struct record_field *field = &table->fields[index];
    buffer_add_byte(&table->rows, table->rows.len == table->row_start ? '{' : ',');
    buffer_add_json_string(&table->rows, span_of(field->name));
    buffer_add_byte(&table->rows, ':');
    if (field->type != RECORD_FIELD_TEXT && is_number(cell))
        buffer_add_span(&table->rows, cell);
    else
        buffer_add_json_string(&table->rows, cell);
}

static void
on_cell(void *bytes, size_t len, void *context)
{
    struct table *table = context;
    struct span cell = {bytes, len};
    if (table->header_seen)
        take_cell(table, cell);
    else
        take_header_cell(table, cell);
    table->column++;
}

static void
on_row(int end, void *context)
{
    (void)end;
    struct table *table = context;
    if (table->header_seen) {
        if (table->rows.len == table->row_start)
            buffer_add_byte(&table->rows, '{'); /* a row of empty cells: a record without fields, to be refused */
        buffer_add_text(&table->rows, "}\n");
    }
    table->header_seen = true;
    table->column = 0;
    table->row_start = table->rows.len;
}

/* The name of a required field that no column has, or NULL. */
static const char *
missing_column(const struct table *table)
{
    for (unsigned i = 0; i < table->field_count; i++) {
        bool found = !table->fields[i].required;
        for (unsigned j = 0; j < table->column_count && !found; j++)
            found = table->columns[j] == i;
        if (!found)
            return table->fields[i].name;
    }
    return NULL;
}

/* Turn the text at hand into rows. */
static enum input_result
parse_csv(struct input *input)
{
    struct table *table = &input->table;
    size_t len = input->text.len - input->text_at;
    size_t parsed = csv_parse(&table->parser, input->text.data + input->text_at, len, on_cell, on_row, table);
    input->text_at = input->text.len;
    if (parsed != len || (input->text_ended && csv_fini(&table->parser, on_cell, on_row, table) != 0))
        return fault(input, csv_strerror(csv_error(&table->parser)));
    if (csv_get_buffer_size(&table->parser) > INPUT_RECORD_BYTES_MAX)
        return fault(input, "a cell is larger than 1 MiB: is a quote missing?");
    if (table->header_seen && missing_column(table) != NULL) {
        fprintf(stderr, "gait: %s: no column is called %s in the first line\n", input->name, missing_column(table));
        return INPUT_FAULT;
    }
    return INPUT_RECORD;
}

static enum input_result
next_row(struct input *input, struct span *record)
{
    struct table *table = &input->table;
    for (;;) {
        if (table->rows_at < table->row_start) { /* whole rows end at row_start */
            const char *row = table->rows.data + table->rows_at;
            const char *end = memchr(row, '\n', table->row_start - table->rows_at);
            *record = (struct span){row, (size_t)(end - row)};
            table->rows_at += record->len + 1;
            return INPUT_RECORD;
        }
        if (input->text_ended)
            return INPUT_END;
        memmove(table->rows.data, table->rows.data + table->row_start, table->rows.len - table->row_start);
        table->rows.len -= table->row_start;
        table->rows_at = table->row_start = 0;
        enum input_result result = read_text(input);
        if (result == INPUT_RECORD || result == INPUT_END)
            result = parse_csv(input);
        if (result != INPUT_RECORD)
            return result;
    }
}

/*
 * The interface.
 */

static bool
is_csv_name(const char *path)
{
    static const char *const endings[] = {".csv", ".csv.gz", ".csv.zst"};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);
        if (len >= ending && strcmp(path + len - ending, endings[i]) == 0)
            return true;
    }
    return false;
}

static int
open_file(struct input *input, const char *path)
{
    struct stat stat;
    input->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0 || fstat(input->fd, &stat) != 0) {
        fault(input, strerror(errno));
        return -1;
    }
    if (S_ISDIR(stat.st_mode)) {
        fault(input, strerror(EISDIR));
        return -1;
    }
    input->regular = S_ISREG(stat.st_mode);
    input->bytes_total = input->regular ? (uint64_t)stat.st_size : 0;
    return 0;
}

struct input *
input_open(const char *path, enum record_kind kind, bool csv)
{
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        log_fatal("out of memory");
    input->name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (open_file(input, path) != 0) {
        input_free(input);
        return NULL;
    }
    if (csv || is_csv_name(path)) {
        input->table.used = true;
        input->table.fields = record_fields(kind, &input->table.field_count);
        if (csv_init(&input->table.parser, 0) != 0)
            log_fatal("out of memory");
    }
    return input;
}

/* With the first record, so that many open files are cheap. Never null pointers then, not even for an empty file. */
static void
make_buffers(struct input *input)
{
    input->chunk = malloc(CHUNK_BYTES);
    if (input->chunk == NULL)
        log_fatal("out of memory");
    buffer_reserve(&input->text, CHUNK_BYTES);
    buffer_reserve(&input->table.rows, CHUNK_BYTES);
}

enum input_result
input_next(struct input *input, struct span *record)
{
    if (input->chunk == NULL)
        make_buffers(input);
    while (!input->began) {
        enum input_result result = read_text(input);
        if (result != INPUT_RECORD && result != INPUT_END)
            return result;
        skip_byte_order_mark(input);
    }
    return input->table.used ? next_row(input, record) : next_json(input, record);
}

uint64_t
input_bytes_read(const struct input *input)
{
    return input->bytes_read;
}

uint64_t
input_bytes_total(const struct input *input)
{
    return input->bytes_total;
}

void
input_free(struct input *input)
{
    if (input == NULL)
        return;
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    if (input->packing == PACKING_GZIP)
        inflateEnd(&input->gzip);
    ZSTD_freeDStream(input->zstd);
    if (input->table.used)
        csv_free(&input->table.parser);
    buffer_free(&input->table.rows);
    buffer_free(&input->text);
    free(input->chunk);
    free(input);
}
