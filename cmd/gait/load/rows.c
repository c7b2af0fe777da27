#include "load/rows.h"

#include <csv.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/say.h"
#include "load/objects.h"

#define COLUMNS_MAX 256   /* as many as are looked at; the records have 11 fields at most */
#define NO_FIELD UINT_MAX /* a column that is no field of the record */
#define HEADER_BYTES_MAX (64 * 1024)

/* A row that was read. */
struct row {
    size_t end; /* of its JSON in text */
    uint64_t line;
    unsigned cells;
};

struct rows {
    const char *where;
    struct names *names;
    const struct record_field *fields;
    unsigned field_count;
    struct csv_parser parser;
    char separator; /* 0: not known yet */
    bool header_seen;
    unsigned columns[COLUMNS_MAX]; /* the field that stands in it, or NO_FIELD */
    unsigned column_count;
    struct buffer slip; /* the name of a column that looks like field slip_field, if slip.len != 0 */
    unsigned slip_field;
    bool twice; /* two columns are the same field, */
    unsigned twice_field;

    struct buffer first; /* the first line, until it is whole */
    uint64_t line;       /* of the next piece of text */
    bool carriage;       /* a carriage return ended the last piece: a line feed belongs to it */
    bool open;           /* in the middle of a row: a cell goes over line ends */
    uint64_t row_line;   /* where that began */
    unsigned column;     /* of the next cell */

    struct buffer text; /* lines of JSON */
    size_t row_start;   /* where the one begins that is being made */
    struct row *list;
    size_t count;
    size_t capacity;
    size_t next; /* the one that rows_next gives out */
    size_t next_at;
    struct buffer problem;
    struct buffer wrapped; /* the row with that */
};

static enum input_result
refuse(const struct rows *rows, const char *what)
{
    say("%s:%" PRIu64 ": %s", rows->where, rows->open ? rows->row_line : rows->line, what);
    return INPUT_REFUSED;
}

/*
 * Which separator.
 */

static struct span
trim(struct span cell)
{
    while (cell.len > 0 && strchr(" \r\n\"", cell.at[0]) != NULL)
        cell = span_at(cell.at + 1, cell.len - 1);
    while (cell.len > 0 && strchr(" \r\n\"", cell.at[cell.len - 1]) != NULL)
        cell.len--;
    return cell;
}

/* How many of the cells of line are names of fields, if separator stands between them. */
static unsigned
count_names(const struct names *names, struct span line, char separator)
{
    unsigned count = 0;
    unsigned field;

    while (line.len > 0) {
        const char *end = memchr(line.at, separator, line.len);
        size_t len = end != NULL ? (size_t)(end - line.at) : line.len;
        enum name_meaning meaning = names_find(names, trim(span_at(line.at, len)), &field);
        count += meaning == NAME_FIELD || meaning == NAME_SIMILAR;
        len += end != NULL;
        line = span_at(line.at + len, line.len - len);
    }
    return count;
}

/* The separator that makes most names of line; *best says how many. */
static char
find_separator(const struct names *names, struct span line, unsigned *best)
{
    static const char separators[] = {',', ';', '\t', '|'};
    char found = ',';

    *best = 0;
    for (size_t i = 0; i < sizeof separators; i++) {
        unsigned count = count_names(names, line, separators[i]);
        if (count > *best) {
            *best = count;
            found = separators[i];
        }
    }
    return found;
}

/* "sep=;", which spreadsheets write and read: the separator, or 0. */
static char
read_separator_line(struct span line)
{
    struct span text = trim(line);

    return text.len == 5 && strncasecmp(text.at, "sep=", 4) == 0 ? text.at[4] : 0;
}

bool
rows_is_header(const struct names *names, struct span line)
{
    unsigned count;

    if (read_separator_line(line) != 0)
        return true;
    find_separator(names, line, &count);
    return count > 0;
}

/*
 * The first line.
 */

static void
take_header_cell(struct rows *rows, struct span cell)
{
    unsigned field;

    if (rows->column >= COLUMNS_MAX)
        return;
    rows->column_count = rows->column + 1;
    rows->columns[rows->column] = NO_FIELD;
    if (cell.len == 0)
        return;
    enum name_meaning meaning = names_find(rows->names, cell, &field);
    if (meaning == NAME_SLIP) {
        buffer_clear(&rows->slip);
        names_add(&rows->slip, cell);
        rows->slip_field = field;
    } else if (meaning != NAME_FIELD) {
        names_note(rows->names, cell);
    }
    if (meaning != NAME_FIELD && meaning != NAME_SIMILAR)
        return;
    for (unsigned i = 0; i < rows->column; i++) {
        if (rows->columns[i] == field) {
            rows->twice = true;
            rows->twice_field = field;
        }
    }
    rows->columns[rows->column] = field;
}

static bool
has_column(const struct rows *rows, unsigned field)
{
    for (unsigned i = 0; i < rows->column_count; i++) {
        if (rows->columns[i] == field)
            return true;
    }
    return false;
}

/* Whether the columns are what the records need; −1 with a line on standard error. */
static int
check_header(const struct rows *rows)
{
    for (unsigned i = 0; i < rows->field_count; i++) {
        if (rows->fields[i].required && !has_column(rows, i)) {
            say("%s: no column is called %s in the first line: it must name the fields of the records, as in JSON",
                rows->where, rows->fields[i].name);
            return -1;
        }
    }
    if (rows->slip.len > 0 && !has_column(rows, rows->slip_field)) {
        say("%s: no field is called %.*s: did you mean %s? Correct the first line, or take the column away", rows->where,
            (int)rows->slip.len, rows->slip.data, rows->fields[rows->slip_field].name);
        return -1;
    }
    if (rows->twice) {
        say("%s: two columns are called %s in the first line", rows->where, rows->fields[rows->twice_field].name);
        return -1;
    }
    return 0;
}

/*
 * The rows.
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

/* How exports write that there is nothing. A person may be called Null. */
static bool
is_absent(const struct record_field *field, struct span cell)
{
    if (cell.len == 0 || span_is(cell, "\\N"))
        return true;
    return field->type != RECORD_FIELD_TEXT && cell.len == 4 && strncasecmp(cell.at, "null", 4) == 0;
}

/* A flag in JSON. Spreadsheets write it in capitals. */
static struct span
read_flag(struct span cell)
{
    static const char *const words[] = {"true", "false"};

    for (unsigned i = 0; i < 2; i++) {
        if (cell.len == strlen(words[i]) && strncasecmp(cell.at, words[i], cell.len) == 0)
            return span_of(words[i]);
    }
    return (struct span){0};
}

/* A number, or flag, that is none becomes a string: the process that takes it says what is wrong. */
static void
take_cell(struct rows *rows, struct span cell)
{
    unsigned index = rows->column < rows->column_count ? rows->columns[rows->column] : NO_FIELD;

    if (index == NO_FIELD)
        return;
    const struct record_field *field = &rows->fields[index];
    if (is_absent(field, cell))
        return;
    buffer_add_byte(&rows->text, rows->text.len == rows->row_start ? '{' : ',');
    buffer_add_json_string(&rows->text, span_of(field->name));
    buffer_add_byte(&rows->text, ':');
    const struct span flag = field->type == RECORD_FIELD_FLAG ? read_flag(cell) : (struct span){0};
    if (flag.len > 0)
        buffer_add_span(&rows->text, flag);
    else if (field->type != RECORD_FIELD_TEXT && is_number(cell))
        buffer_add_span(&rows->text, cell);
    else
        buffer_add_json_string(&rows->text, cell);
}

static void
on_cell(void *bytes, size_t len, void *context)
{
    struct rows *rows = context;
    struct span cell = {bytes, len};

    if (rows->header_seen)
        take_cell(rows, cell);
    else
        take_header_cell(rows, cell);
    rows->column++;
}

static void
add_row(struct rows *rows)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity * 2 + 64;
        rows->list = realloc(rows->list, rows->capacity * sizeof *rows->list);
        if (rows->list == NULL)
            log_fatal("out of memory");
    }
    if (rows->text.len == rows->row_start)
        buffer_add_byte(&rows->text, '{'); /* a row of empty cells: a record without fields, to be refused */
    buffer_add_byte(&rows->text, '}');
    rows->list[rows->count++] = (struct row){rows->text.len, rows->row_line, rows->column};
}

static void
on_row(int end, void *context)
{
    struct rows *rows = context;

    (void)end;
    if (rows->header_seen)
        add_row(rows);
    rows->header_seen = true;
    rows->open = false;
    rows->column = 0;
    rows->row_start = rows->text.len;
}

/* Where the line ends that begins at text: behind its line feed, or its carriage return if none follows. */
static size_t
line_len(struct span text)
{
    const char *feed = memchr(text.at, '\n', text.len);
    size_t len = feed != NULL ? (size_t)(feed - text.at) + 1 : text.len;
    const char *carriage = memchr(text.at, '\r', len);
    size_t at = carriage != NULL ? (size_t)(carriage - text.at) + 1 : len;

    return at < len && text.at[at] == '\n' ? at + 1 : at;
}

static bool
is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (strchr(" \t\r\n", line.at[i]) == NULL)
            return false;
    }
    return true;
}

/* Line by line, so that it is known where each row begins. */
static enum input_result
parse(struct rows *rows, struct span text)
{
    while (text.len > 0) {
        struct span line = {text.at, line_len(text)};
        char last = line.at[line.len - 1];
        if (!rows->open) {
            rows->row_line = rows->line;
            rows->open = !is_blank(line);
        }
        if (csv_parse(&rows->parser, line.at, line.len, on_cell, on_row, rows) != line.len)
            return refuse(rows, csv_strerror(csv_error(&rows->parser)));
        rows->line += (last == '\n' || last == '\r') && !(rows->carriage && line.len == 1 && last == '\n');
        rows->carriage = last == '\r';
        text = span_at(text.at + line.len, text.len - line.len);
    }
    return INPUT_RECORD;
}

/* The first line of text is whole: find out what separates the columns. The bytes that are done with. */
static size_t
begin(struct rows *rows, struct span text)
{
    struct span line = {text.at, text.len > 0 ? line_len(text) : 0};
    char separator = read_separator_line(line);
    unsigned count;

    rows->separator = separator != 0 ? separator : find_separator(rows->names, line, &count);
    csv_set_delim(&rows->parser, (unsigned char)rows->separator);
    rows->line += separator != 0;
    return separator != 0 ? line.len : 0;
}

/* The text so far, if its first line is whole. */
static enum input_result
add_first(struct rows *rows, bool ended)
{
    struct span text = buffer_span(&rows->first);

    if (text.len == 0 || (memchr(text.at, '\n', text.len) == NULL && !ended))
        return text.len > HEADER_BYTES_MAX ? refuse(rows, "the first line is longer than 64 KiB") : INPUT_RECORD;
    size_t done = begin(rows, text);
    return parse(rows, span_at(text.at + done, text.len - done));
}

/* What has been taken out makes room. */
static void
drop_taken(struct rows *rows)
{
    size_t done = rows->count > 0 ? rows->list[rows->count - 1].end : 0;

    memmove(rows->text.data, rows->text.data + done, rows->text.len - done);
    rows->text.len -= done;
    rows->row_start -= done;
    rows->count = rows->next = 0;
    rows->next_at = 0;
}

enum input_result
rows_add(struct rows *rows, struct span text, bool ended)
{
    enum input_result result;
    bool header_seen = rows->header_seen;

    if (rows->next < rows->count)
        log_panic("rows: text is added before what was there is taken");
    drop_taken(rows);
    if (rows->separator == 0) {
        buffer_add_span(&rows->first, text);
        result = add_first(rows, ended);
    } else {
        result = parse(rows, text);
    }
    if (result == INPUT_RECORD && ended && rows->separator != 0)
        result = parse(rows, span_of("\n")); /* a last line without an end counts */
    if (result == INPUT_RECORD && csv_get_buffer_size(&rows->parser) > INPUT_RECORD_BYTES_MAX)
        result = refuse(rows, "a cell is larger than 1 MiB: is a quote missing?");
    if (result == INPUT_RECORD && !header_seen && rows->header_seen && check_header(rows) != 0)
        result = INPUT_REFUSED;
    return result;
}

enum input_result
rows_end(const struct rows *rows)
{
    return rows->open ? refuse(rows, "a quote that begins here is not closed to the end of the file") : INPUT_END;
}

/* What there is to say of a row that has not as many cells as there are columns. */
static const char *
describe_row(struct rows *rows, unsigned cells)
{
    buffer_clear(&rows->problem);
    buffer_printf(&rows->problem, "the row has %u cells, and the first line %u", cells, rows->column_count);
    return buffer_text(&rows->problem);
}

int
rows_next(struct rows *rows, struct input_record *record)
{
    if (rows->next == rows->count)
        return 0;
    const struct row *row = &rows->list[rows->next++];
    struct span text = {rows->text.data + rows->next_at, row->end - rows->next_at};
    rows->next_at = row->end;
    *record = (struct input_record){.text = text, .line = row->line};
    if (row->cells != rows->column_count) {
        record->problem = describe_row(rows, row->cells);
        buffer_clear(&rows->wrapped);
        objects_wrap(text, &rows->wrapped);
        record->text = buffer_span(&rows->wrapped);
    }
    return 1;
}

size_t
rows_count(const struct rows *rows)
{
    return rows->count;
}

size_t
rows_left(const struct rows *rows)
{
    return rows->count - rows->next;
}

const char *
rows_separator(const struct rows *rows)
{
    switch (rows->separator) {
    case '\0':
    case ',':
        return NULL;
    case ';':
        return "semicolons";
    case '\t':
        return "tabs";
    default:
        return "something else than commas";
    }
}

struct rows *
rows_new(struct names *names, enum record_kind kind, const char *where)
{
    struct rows *rows = calloc(1, sizeof *rows);

    if (rows == NULL || csv_init(&rows->parser, 0) != 0)
        log_fatal("out of memory");
    rows->where = where;
    rows->names = names;
    rows->fields = record_fields(kind, &rows->field_count);
    rows->line = 1;
    buffer_reserve(&rows->text, 1); /* never a null pointer */
    return rows;
}

void
rows_free(struct rows *rows)
{
    if (rows == NULL)
        return;
    csv_free(&rows->parser);
    buffer_free(&rows->slip);
    buffer_free(&rows->first);
    buffer_free(&rows->text);
    buffer_free(&rows->problem);
    buffer_free(&rows->wrapped);
    free(rows->list);
    free(rows);
}
