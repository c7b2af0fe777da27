#include "load/objects.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/say.h"
#include "record/json.h"

#define KNOWN_BYTES_MAX 64 /* of a name that is remembered from record to record */
#define WRAP_BYTES_MAX 512 /* of what is no record: enough to recognise it by */

/* What the name at one place in a record was last time: most files keep one order. */
struct place {
    bool known;
    char name[KNOWN_BYTES_MAX];
    size_t len;
    enum name_meaning meaning;
    unsigned field;
};

struct objects {
    struct names *names;
    uint64_t line;
    unsigned arrays;     /* how many are open */
    uint64_t array_line; /* where the outermost of them begins */
    struct span keys[JSON_MEMBERS_MAX]; /* of the object at hand */
    unsigned key_count;
    struct place places[JSON_MEMBERS_MAX];
    struct buffer changed; /* the record, where it is not handed on as it stands */
    struct buffer problem;
};

struct objects *
objects_new(struct names *names)
{
    struct objects *objects = calloc(1, sizeof *objects);

    if (objects == NULL)
        log_fatal("out of memory");
    objects->names = names;
    objects->line = 1;
    return objects;
}

/*
 * Where a record ends.
 */

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_between(char c)
{
    return is_space(c) || c == ',' || c == '[' || c == ']' || c == '\x1e';
}

/* Where the first non-space at or behind at is. */
static size_t
skip_space(struct span text, size_t at)
{
    while (at < text.len && is_space(text.at[at]))
        at++;
    return at;
}

/* Where the string ends whose opening quote stands before at: at its closing quote, its line's end, or the text's. */
static size_t
string_end(struct span text, size_t at)
{
    while (at < text.len && text.at[at] != '"' && text.at[at] != '\n') {
        if (text.at[at] == '\\' && at + 1 < text.len && text.at[at + 1] != '\n')
            at++;
        at++;
    }
    return at;
}

/* The end of the object that starts at text, whose keys are noted; 0 if it lies behind the text. */
static size_t
object_end(struct objects *objects, struct span text)
{
    unsigned depth = 0;
    struct span string = {0};

    objects->key_count = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '"') {
            size_t end = string_end(text, i + 1);
            if (end >= text.len)
                return 0;
            if (text.at[end] == '\n')
                return end;
            string = span_at(text.at + i + 1, end - i - 1);
            i = end;
        } else if (c == ':') {
            if (depth == 1 && string.at != NULL && objects->key_count < JSON_MEMBERS_MAX)
                objects->keys[objects->key_count++] = string;
            string.at = NULL;
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
record_end(struct objects *objects, struct span text, bool ended)
{
    size_t end = 0;

    if (text.at[0] == '{') {
        end = object_end(objects, text);
    } else {
        const char *line_end = memchr(text.at, '\n', text.len);
        end = line_end != NULL ? (size_t)(line_end - text.at) : 0;
    }
    return end == 0 && ended ? text.len : end;
}

/* A record takes one line of a message: line ends in it are white space, or it is broken anyway. */
static struct span
make_line(struct objects *objects, char *at, size_t len)
{
    for (char *end = memchr(at, '\n', len); end != NULL; end = memchr(end, '\n', len - (size_t)(end - at))) {
        *end = ' ';
        objects->line++;
    }
    while (len > 0 && is_space(at[len - 1]))
        len--;
    return (struct span){at, len};
}

/*
 * What it is made of.
 */

/* What key, number index of its record, is. */
static const struct place *
find_place(struct objects *objects, unsigned index)
{
    struct place *place = &objects->places[index];
    struct span key = objects->keys[index];

    if (place->known && place->len == key.len && memcmp(place->name, key.at, key.len) == 0)
        return place;
    place->field = 0;
    if (memchr(key.at, '\\', key.len) != NULL)
        place->meaning = NAME_UNKNOWN; /* with escapes, which nobody writes in these: that is left to the process */
    else
        place->meaning = names_find(objects->names, key, &place->field);
    if (place->meaning == NAME_SIMILAR || place->meaning == NAME_UNKNOWN)
        names_note(objects->names, key);
    place->known = key.len <= KNOWN_BYTES_MAX;
    place->len = place->known ? key.len : 0;
    memcpy(place->name, key.at, place->len);
    return place;
}

/* The record with its fields' names as in the contract. */
static struct span
rename_keys(struct objects *objects, struct span line)
{
    const char *from = line.at;

    buffer_clear(&objects->changed);
    for (unsigned i = 0; i < objects->key_count; i++) {
        struct span key = objects->keys[i];
        const struct place *place = find_place(objects, i);
        if (place->meaning != NAME_SIMILAR)
            continue;
        buffer_add(&objects->changed, from, (size_t)(key.at - from));
        buffer_add_text(&objects->changed, names_field(objects->names, place->field));
        from = key.at + key.len;
    }
    buffer_add(&objects->changed, from, (size_t)(line.at + line.len - from));
    return buffer_span(&objects->changed);
}

void
objects_wrap(struct span text, struct buffer *object)
{
    if (text.len > WRAP_BYTES_MAX)
        text.len = WRAP_BYTES_MAX;
    buffer_add_byte(object, '{');
    buffer_add_json_string(object, text);
    buffer_add_byte(object, '}');
}

static struct span
wrap(struct objects *objects, struct span line)
{
    buffer_clear(&objects->changed);
    objects_wrap(line, &objects->changed);
    return buffer_span(&objects->changed);
}

/* The problem with a record that has slip in place of the field. */
static const char *
describe_slip(struct objects *objects, struct span slip, unsigned field)
{
    buffer_clear(&objects->problem);
    buffer_add_text(&objects->problem, "the name ");
    names_add(&objects->problem, slip);
    buffer_printf(&objects->problem, " is no field's: did you mean %s?", names_field(objects->names, field));
    return buffer_text(&objects->problem);
}

/* Look at the names in the object at hand, which stands in line. */
static void
judge(struct objects *objects, struct span line, struct input_record *record)
{
    unsigned fields = 0; /* a bit each that is there */
    bool similar = false;
    bool slip = false;

    record->text = line;
    for (unsigned i = 0; i < objects->key_count; i++) {
        const struct place *place = find_place(objects, i);
        similar = similar || place->meaning == NAME_SIMILAR;
        slip = slip || place->meaning == NAME_SLIP;
        if (place->meaning == NAME_FIELD || place->meaning == NAME_SIMILAR)
            fields |= 1u << place->field;
    }
    for (unsigned i = 0; i < objects->key_count && slip; i++) {
        const struct place *place = find_place(objects, i);
        if (place->meaning == NAME_SLIP && (fields & 1u << place->field) == 0) {
            record->problem = describe_slip(objects, objects->keys[i], place->field);
            record->text = wrap(objects, line);
            return;
        }
    }
    if (similar)
        record->text = rename_keys(objects, line);
}

/* Note what stands between records. */
static void
pass(struct objects *objects, char c)
{
    if (c == '[' && objects->arrays++ == 0)
        objects->array_line = objects->line;
    if (c == ']' && objects->arrays > 0)
        objects->arrays--;
    objects->line += c == '\n';
}

size_t
objects_next(struct objects *objects, char *text, size_t len, bool ended, struct input_record *record)
{
    size_t at = 0;

    *record = (struct input_record){0};
    for (; at < len && is_between(text[at]); at++)
        pass(objects, text[at]);
    size_t record_len = at < len ? record_end(objects, span_at(text + at, len - at), ended) : 0;
    if (record_len == 0)
        return at;
    record->line = objects->line;
    bool object = text[at] == '{';
    struct span line = make_line(objects, text + at, record_len);
    if (object)
        judge(objects, line, record);
    else
        record->text = wrap(objects, line);
    return at + record_len;
}

enum input_result
objects_end(const struct objects *objects, const char *where)
{
    if (objects->arrays == 0)
        return INPUT_END;
    say("%s:%" PRIu64 ": an array that begins here is not closed to the end of the file: is the rest missing?", where,
        objects->array_line);
    return INPUT_REFUSED;
}

uint64_t
objects_line(const struct objects *objects)
{
    return objects->line;
}

void
objects_free(struct objects *objects)
{
    if (objects == NULL)
        return;
    buffer_free(&objects->changed);
    buffer_free(&objects->problem);
    free(objects);
}
