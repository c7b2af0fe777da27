#include "load/names.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/say.h"

#define SHOWN_BYTES_MAX 64 /* of a name that is looked at and shown; the longest field's has 25 */
#define NOTES_MAX 32       /* names that are remembered; the ones beyond are not said */
#define SLIP_LETTERS 6     /* a field's name has at least so many before another one counts as a slip of it */
#define SLIPS_MAX 2        /* letters that are wrong, missing or too many; of a long name */
#define SLIPS_PART 5       /* one in so many */

/* A name without what may differ: lower case, no '_', '-', blanks. */
struct plain {
    char text[SHOWN_BYTES_MAX];
    size_t len;
};

struct note {
    char *name;
    unsigned field; /* it was taken as; FIELD_NONE: none */
    bool said;
};

#define FIELD_NONE UINT_MAX

struct names {
    enum record_kind kind;
    const struct record_field *fields;
    unsigned field_count;
    struct note notes[NOTES_MAX];
    unsigned note_count;
};

struct names *
names_new(enum record_kind kind)
{
    struct names *names = calloc(1, sizeof *names);

    if (names == NULL)
        log_fatal("out of memory");
    names->kind = kind;
    names->fields = record_fields(kind, &names->field_count);
    return names;
}

/* 0, or −1 where name is longer than any field's in whatever spelling. */
static int
make_plain(struct span name, struct plain *plain)
{
    plain->len = 0;
    if (name.len > SHOWN_BYTES_MAX)
        return -1;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (c != '_' && c != '-' && c != ' ')
            plain->text[plain->len++] = (char)tolower((unsigned char)c);
    }
    return 0;
}

static struct plain
plain_of_field(const char *name)
{
    struct plain plain;

    if (make_plain(span_of(name), &plain) != 0)
        log_panic("a field has a name of more than %d bytes", SHOWN_BYTES_MAX);
    return plain;
}

/* How many letters must be changed, taken away or put in to make b of a (Levenshtein). */
static unsigned
distance(const struct plain *a, const struct plain *b)
{
    unsigned row[SHOWN_BYTES_MAX + 1];

    for (unsigned j = 0; j <= b->len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a->len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b->len; j++) {
            unsigned best = diagonal + (a->text[i - 1] != b->text[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b->len];
}

/* Whether plain is field's name, or so close to it that it may have been meant. */
static bool
resembles(const struct plain *plain, const struct record_field *field)
{
    struct plain own = plain_of_field(field->name);
    size_t slips = own.len / SLIPS_PART > SLIPS_MAX ? own.len / SLIPS_PART : SLIPS_MAX;

    return own.len >= SLIP_LETTERS && distance(plain, &own) <= slips;
}

enum name_meaning
names_find(const struct names *names, struct span name, unsigned *field)
{
    struct plain plain;

    for (unsigned i = 0; i < names->field_count; i++) {
        const struct record_field *candidate = &names->fields[i];
        *field = i;
        if (span_is(name, candidate->name) || (candidate->alias != NULL && span_is(name, candidate->alias)))
            return NAME_FIELD;
    }
    if (make_plain(name, &plain) != 0)
        return NAME_UNKNOWN;
    for (unsigned i = 0; i < names->field_count; i++) {
        struct plain own = plain_of_field(names->fields[i].name);
        *field = i;
        if (own.len == plain.len && memcmp(own.text, plain.text, own.len) == 0)
            return NAME_SIMILAR;
    }
    for (unsigned i = 0; i < names->field_count; i++) {
        *field = i;
        if (!names->fields[i].required && resembles(&plain, &names->fields[i]))
            return NAME_SLIP;
    }
    return NAME_UNKNOWN;
}

const char *
names_field(const struct names *names, unsigned field)
{
    return names->fields[field].name;
}

static bool
looks_like_a_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (!isalnum(c) && strchr("_-. ", c) == NULL)
            return false;
    }
    return name.len > 0 && name.len <= SHOWN_BYTES_MAX;
}

void
names_add(struct buffer *text, struct span name)
{
    if (looks_like_a_name(name))
        buffer_add_span(text, name);
    else
        buffer_add_text(text, "a name that is none");
}

void
names_note(struct names *names, struct span name)
{
    struct buffer shown = {0};
    unsigned field = FIELD_NONE;

    names_add(&shown, name);
    bool known = names->note_count == NOTES_MAX;
    for (unsigned i = 0; i < names->note_count && !known; i++)
        known = span_is(buffer_span(&shown), names->notes[i].name);
    if (!known) {
        if (names_find(names, name, &field) != NAME_SIMILAR)
            field = FIELD_NONE;
        names->notes[names->note_count++] = (struct note){strdup(buffer_text(&shown)), field, false};
        if (names->notes[names->note_count - 1].name == NULL)
            log_fatal("out of memory");
    }
    buffer_free(&shown);
}

/* Append to line what is to be said of the notes that were (taken), or were not, taken as a field. Whether there is any. */
static bool
add_notes(struct names *names, bool taken, struct buffer *line)
{
    bool any = false;

    for (unsigned i = 0; i < names->note_count; i++) {
        struct note *note = &names->notes[i];
        if (note->said || (note->field != FIELD_NONE) != taken)
            continue;
        buffer_add_text(line, any ? ", " : "");
        buffer_add_text(line, note->name);
        if (taken) {
            buffer_add_text(line, " as ");
            buffer_add_text(line, names->fields[note->field].name);
        }
        note->said = any = true;
    }
    return any;
}

void
names_say(struct names *names, const char *where)
{
    struct buffer line = {0};

    if (add_notes(names, true, &line))
        say("%s: names that differ from the fields' are taken: %s", where, buffer_text(&line));
    buffer_clear(&line);
    if (add_notes(names, false, &line))
        say("%s: no fields of %s records, so not loaded: %s", where, record_kind_name(names->kind), buffer_text(&line));
    buffer_free(&line);
}

void
names_free(struct names *names)
{
    if (names == NULL)
        return;
    for (unsigned i = 0; i < names->note_count; i++)
        free(names->notes[i].name);
    free(names);
}
