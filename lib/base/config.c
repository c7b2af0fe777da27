#include "base/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/name.h"
#include "base/span.h"

/* Largest file: every key with a long value and a page of comments each is a tenth of it. */
#define FILE_BYTES_MAX (1024 * 1024)

/* Longest section, with its brackets, or key. None of ours has so many; what is longer is not repeated in a message. */
#define HEAD_BYTES_MAX 197

/* What is shown of a value that is refused. */
#define SHOWN_BYTES_MAX 128

/* A key in one section: the rows of "*" are here once for each process. */
struct value {
    const struct config_key *key;
    const char *section;
    char *text;     /* as it was written */
    int64_t number; /* what it means; 0 for texts and names */
    unsigned line;  /* of the file being read, where it was set; 0 not yet */
};

struct config {
    struct value *values;
    unsigned count;
    char *path; /* of the file that was read last; NULL: none was */
};

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};

static bool
is_text(enum config_type type)
{
    return type >= CONFIG_TEXT;
}

/* What a value means: these return NULL, or what is wrong with it. */

/* The digits that text begins with, and a sign before them; *end is what follows. */
static const char *
parse_digits(const char *text, int64_t *number, const char **end)
{
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return "is not a number";
    char *rest;
    errno = 0;
    long long parsed = strtoll(text, &rest, 10);
    if (rest == text)
        return "is not a number";
    if (errno == ERANGE)
        return "is out of all bounds";
    *number = parsed;
    *end = rest;
    return NULL;
}

static const char *
parse_integer(const char *text, int64_t *number)
{
    const char *rest;
    const char *wrong = parse_digits(text, number, &rest);

    if (wrong == NULL && *rest != '\0')
        wrong = "is not a number";
    return wrong;
}

static const char *
parse_with_unit(const char *text, const struct unit *units, int64_t *number)
{
    const char *rest;
    const char *wrong = parse_digits(text, number, &rest);

    if (wrong != NULL)
        return wrong;
    if (*rest == '\0')
        return *number == 0 ? NULL : "has no unit";
    for (; units->name != NULL; units++) {
        if (strcmp(rest, units->name) == 0)
            return __builtin_mul_overflow(*number, units->factor, number) ? "is out of all bounds" : NULL;
    }
    return "has an unknown unit";
}

static const char *
parse_word(const char *text, const char *const *words, int64_t *number)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *number = i;
            return NULL;
        }
    }
    return "is none of the words";
}

/* An IPv6 address has more than one colon; with one, it is what belongs into another key. */
static const char *
parse_host(const char *text)
{
    const char *colon = strchr(text, ':');

    if (strstr(text, "://") != NULL)
        return "is a URL";
    if (text[0] == '\0')
        return "is empty";
    if (text[0] == '[' || (colon != NULL && strchr(colon + 1, ':') == NULL))
        return "has a port, or brackets";
    return strpbrk(text, " \t/?#@") != NULL ? "is no name of a host" : NULL;
}

/* Cut the next name off list, without the blanks around it. false when list is used up. */
static bool
next_name(const char **list, char separator, struct span *name)
{
    if (*list == NULL)
        return false;
    const char *start = *list + strspn(*list, " \t");
    const char *comma = strchr(start, separator);
    size_t len = comma == NULL ? strlen(start) : (size_t)(comma - start);
    while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
        len--;
    *name = span_at(start, len);
    *list = comma == NULL ? NULL : comma + 1;
    return true;
}

/* Names with separator between them, at most so many. */
static const char *
parse_names(const char *text, char separator, unsigned most)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    struct span name;

    for (unsigned count = 1; next_name(&text, separator, &name); count++) {
        if (count > most)
            return "has too many names";
        if (name.len == 0)
            return "has an empty name";
        if (name.len > NAME_BYTES_MAX)
            return "has a name that is too long";
        if (strspn(name.at, allowed) < name.len)
            return "has a name with a character that is not allowed";
    }
    return NULL;
}

/* Whether name, of list, stands there before that, too. */
static bool
is_repeated(const char *list, struct span name)
{
    struct span other;

    while (next_name(&list, ',', &other) && other.at != name.at) {
        if (span_equal(other, name))
            return true;
    }
    return false;
}

/* A list of names, each of which stands for somebody. */
static const char *
parse_list(const char *list)
{
    const char *rest = list;
    struct span name;

    if (list[strspn(list, " \t")] == '\0')
        return NULL;
    const char *wrong = parse_names(list, ',', NAMES_MAX);
    while (wrong == NULL && next_name(&rest, ',', &name))
        wrong = is_repeated(list, name) ? "has a name twice" : NULL;
    return wrong;
}

static const char *
parse_value(const struct config_key *key, const char *text, int64_t *number)
{
    static const char *const switch_words[] = {"off", "on", NULL};

    *number = 0;
    switch (key->type) {
    case CONFIG_INTEGER:
        return parse_integer(text, number);
    case CONFIG_DURATION:
        return parse_with_unit(text, duration_units, number);
    case CONFIG_DATE:
        return clock_date(text, number) == 0 ? NULL : "is not a date";
    case CONFIG_SIZE:
        return parse_with_unit(text, size_units, number);
    case CONFIG_CHOICE:
        return parse_word(text, key->choices, number);
    case CONFIG_SWITCH:
        return parse_word(text, switch_words, number);
    case CONFIG_TEXT:
    case CONFIG_SECRET:
    case CONFIG_DIR:
    case CONFIG_FILE:
    case CONFIG_SECRET_FILE:
    case CONFIG_KEY_FILE:
        return NULL;
    case CONFIG_HOST:
        return parse_host(text);
    case CONFIG_TOPIC:
        return strlen(text) > PREFIX_BYTES_MAX ? "is too long" : parse_names(text, '/', PREFIX_LEVELS_MAX);
    case CONFIG_NAMES:
        return parse_list(text);
    }
    log_panic("configuration key %s has no type", key->name);
}

/* What bound says as a number. */
static int64_t
parse_bound(const struct config_key *key, const char *bound)
{
    int64_t number;

    if ((is_text(key->type) ? parse_integer(bound, &number) : parse_value(key, bound, &number)) != NULL)
        log_panic("configuration key %s: its own bound %s can't be read", key->name, bound);
    return number;
}

static const char *
parse_within_bounds(const struct config_key *key, const char *text, int64_t *number)
{
    const char *wrong = parse_value(key, text, number);

    if (wrong != NULL)
        return wrong;
    if (is_text(key->type))
        return key->most != NULL && (int64_t)strlen(text) > parse_bound(key, key->most) ? "is too long" : NULL;
    if (key->least != NULL && *number < parse_bound(key, key->least))
        return "is too small";
    if (key->most != NULL && *number > parse_bound(key, key->most))
        return "is too large";
    return NULL;
}

/* What is allowed, in words. */

static void
add_bounds(struct buffer *out, const struct config_key *key)
{
    if (key->least != NULL && key->most != NULL)
        buffer_printf(out, " from %s to %s", key->least, key->most);
    else if (key->least != NULL)
        buffer_printf(out, " of at least %s", key->least);
    else if (key->most != NULL)
        buffer_printf(out, " of at most %s", key->most);
}

/* Of a text, or of a path. */
static void
add_length(struct buffer *out, const struct config_key *key)
{
    const bool is_prose = key->type == CONFIG_TEXT || key->type == CONFIG_SECRET || key->type == CONFIG_HOST;

    if (key->most != NULL)
        buffer_printf(out, is_prose ? " of at most %s bytes" : "; a path of at most %s bytes", key->most);
}

static void
add_words(struct buffer *out, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (i > 0)
            buffer_add_text(out, words[i + 1] == NULL ? " or " : ", ");
        buffer_add_text(out, words[i]);
    }
}

/* What a value of each type is, and what is said of it behind its bounds. */
#define IN_TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number
static const struct {
    const char *is, *behind;
} type_words[] = {
    [CONFIG_INTEGER] = {"an integer", ""},
    [CONFIG_DURATION] = {"a duration", ", with ms, s, m, h or d behind the number"},
    [CONFIG_DATE] = {"a date", ", as YYYY-MM-DD"},
    [CONFIG_SIZE] = {"a size", ", with B, KiB, MiB or GiB behind the number"},
    [CONFIG_CHOICE] = {"", ""},
    [CONFIG_SWITCH] = {"on or off", ""},
    [CONFIG_TEXT] = {"any text", ""},
    [CONFIG_SECRET] = {"any text", ", in a file that only owner and group may read"},
    [CONFIG_DIR] = {"a folder that belongs to whoever runs this or to root, in which nobody else may write", ""},
    [CONFIG_FILE] = {"a file that whoever runs this may read", ""},
    [CONFIG_SECRET_FILE] = {"a file that only owner and group may read", ""},
    [CONFIG_KEY_FILE] = {"a file of " IN_TEXT(HASH_KEY_BYTES) " bytes that belongs to whoever runs this or to root, which "
                         "nobody else may read", ""},
    [CONFIG_HOST] = {"a host name or an IP address", "; port and TLS have keys of their own"},
    [CONFIG_TOPIC] = {"at most " IN_TEXT(PREFIX_LEVELS_MAX) " topic levels of A-Z, a-z, 0-9, _ and -, at most "
                      IN_TEXT(NAME_BYTES_MAX) " characters each and " IN_TEXT(PREFIX_BYTES_MAX) " in all, with / between "
                      "them", ""},
    [CONFIG_NAMES] = {"at most " IN_TEXT(NAMES_MAX) " names of A-Z, a-z, 0-9, _ and -, each once and of at most "
                      IN_TEXT(NAME_BYTES_MAX) " characters, with commas between them", ""},
};

static void
add_allowed(struct buffer *out, const struct config_key *key)
{
    buffer_add_text(out, type_words[key->type].is);
    if (key->type == CONFIG_CHOICE)
        add_words(out, key->choices);
    else if (is_text(key->type))
        add_length(out, key);
    else
        add_bounds(out, key);
    buffer_add_text(out, type_words[key->type].behind);
}

/* The names of the sections that exist, each once. */
static void
add_sections(struct buffer *out, const struct config *config)
{
    const char *last = "";

    for (unsigned i = 0; i < config->count; i++) {
        const char *section = config->values[i].section;
        bool seen = false;
        for (unsigned j = 0; j < i && !seen; j++)
            seen = strcmp(config->values[j].section, section) == 0;
        if (!seen)
            buffer_printf(out, "%s[%s]", last, section);
        last = ", ";
    }
}

static void
add_keys(struct buffer *out, const struct config *config, const char *section)
{
    const char *between = "";

    for (unsigned i = 0; i < config->count; i++) {
        if (strcmp(config->values[i].section, section) != 0)
            continue;
        buffer_printf(out, "%s%s", between, config->values[i].key->name);
        between = ", ";
    }
}

/* The values. */

/* The section called name as the table has it; NULL: there is none. */
static const char *
find_section(const struct config *config, struct span name)
{
    for (unsigned i = 0; i < config->count; i++) {
        if (span_is(name, config->values[i].section))
            return config->values[i].section;
    }
    return NULL;
}

static struct value *
find_value(const struct config *config, const char *section, const char *key)
{
    for (unsigned i = 0; i < config->count; i++) {
        struct value *value = &config->values[i];
        if (strcmp(value->section, section) == 0 && strcmp(value->key->name, key) == 0)
            return value;
    }
    return NULL;
}

/* The value for our own code, which names only keys that exist. */
static const struct value *
know_value(const struct config *config, const char *section, const char *key)
{
    const struct value *value = find_value(config, section, key);

    if (value == NULL)
        log_panic("no configuration key [%s] %s", section, key);
    return value;
}

static void
forget_text(struct value *value)
{
    if (value->key->type == CONFIG_SECRET)
        hash_secret_free(value->text);
    else
        free(value->text);
    value->text = NULL;
}

static void
keep_text(struct value *value, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = value->key->type == CONFIG_SECRET ? hash_secret_new(size) : malloc(size);

    if (copy == NULL)
        log_fatal("out of memory");
    memcpy(copy, text, size);
    forget_text(value);
    value->text = copy;
}

static void
add_value(struct config *config, const struct config_key *key, const char *section)
{
    struct value *value = &config->values[config->count];
    const char *preset = key->preset == NULL ? "" : key->preset;

    if (find_value(config, section, key->name) != NULL)
        log_panic("configuration key [%s] %s is in the table twice", section, key->name);
    if (parse_within_bounds(key, preset, &value->number) != NULL)
        log_panic("configuration key [%s] %s: its own default can't be read", section, key->name);
    value->key = key;
    value->section = section;
    keep_text(value, preset);
    config->count++;
}

/* Room for every key in every section. */
static size_t
count_values(const struct config_table *table)
{
    unsigned keys = 0;
    unsigned processes = 0;

    while (table->key(keys) != NULL)
        keys++;
    while (table->process(processes) != NULL)
        processes++;
    return (size_t)keys * (processes + 1);
}

struct config *
config_new(const struct config_table *table)
{
    const struct config_key *key;
    const char *process;
    const size_t count = count_values(table);
    struct config *config = calloc(1, sizeof *config);

    if (count == 0)
        log_panic("a configuration without a key");
    if (config == NULL || (config->values = calloc(count, sizeof *config->values)) == NULL)
        log_fatal("out of memory");
    for (unsigned i = 0; (key = table->key(i)) != NULL; i++) {
        if (strcmp(key->section, "*") != 0)
            add_value(config, key, key->section);
        for (unsigned j = 0; strcmp(key->section, "*") == 0 && (process = table->process(j)) != NULL; j++)
            add_value(config, key, process);
    }
    return config;
}

void
config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (unsigned i = 0; i < config->count; i++)
        forget_text(&config->values[i]);
    free(config->values);
    free(config->path);
    free(config);
}

/* A value that is refused, as far as it may be shown, and a blank. A text may be a password, and a URL for a host hold one;
 * of what is long its beginning tells enough. */
static void
add_shown(struct buffer *out, enum config_type type, const char *text)
{
    const char *user_end = type == CONFIG_HOST ? strrchr(text, '@') : NULL;

    if (user_end != NULL)
        text = user_end + 1;
    if (type == CONFIG_SECRET)
        return;
    buffer_printf(out, "'%.*s%s' ", SHOWN_BYTES_MAX, text, strlen(text) > SHOWN_BYTES_MAX ? "..." : "");
}

static int
set_value(struct value *value, const char *text, const char *where, struct buffer *errors)
{
    int64_t number;
    const char *wrong = parse_within_bounds(value->key, text, &number);

    if (wrong != NULL) {
        buffer_printf(errors, "%s: [%s] %s: ", where, value->section, value->key->name);
        add_shown(errors, value->key->type, text);
        buffer_printf(errors, "%s; allowed is ", wrong);
        add_allowed(errors, value->key);
        buffer_add_byte(errors, '\n');
        return -1;
    }
    keep_text(value, text);
    value->number = number;
    return 0;
}

int
config_set(struct config *config, const char *section, const char *key, const char *value, const char *where,
           struct buffer *errors)
{
    struct value *found = find_value(config, section, key);

    if (found != NULL)
        return set_value(found, value, where, errors);

    buffer_printf(errors, "%s: [%s] %s: ", where, section, key);
    if (find_section(config, span_of(section)) != NULL) {
        buffer_add_text(errors, "unknown key; allowed are ");
        add_keys(errors, config, section);
    } else {
        buffer_add_text(errors, "unknown section; allowed are ");
        add_sections(errors, config);
    }
    buffer_add_byte(errors, '\n');
    return -1;
}

int64_t
config_int(const struct config *config, const char *section, const char *key)
{
    const struct value *value = know_value(config, section, key);

    if (is_text(value->key->type))
        log_panic("configuration key [%s] %s is no number", section, key);
    return value->number;
}

const char *
config_text(const struct config *config, const char *section, const char *key)
{
    return know_value(config, section, key)->text;
}

/* The file: nothing in it is guessed at. A line is blank, a comment, [section] or key = value, or it is a fault. */

struct reading {
    struct config *config;
    const char *path;
    struct buffer *errors;
    char *at; /* the next line */
    char *end;
    unsigned line; /* number of the one at hand */
    bool failed;
    const char *section; /* that the line stands in; NULL: one that there is not, or none */
    bool in_section;
};

/* A fault of the line as such. It never shows the line: that may hold a password. */
static void
refuse_line(struct reading *reading, const char *wrong)
{
    buffer_printf(reading->errors, "%s:%u: %s\n", reading->path, reading->line, wrong);
    reading->failed = true;
}

static bool
is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* What could be read in more than one way, and is by others who read INI files. */
static const char *
find_doubt(struct span line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char byte = (unsigned char)line.at[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return "control character; allowed are printable ones and tabs";
        if (i > 0 && is_blank(line.at[i - 1]) && (byte == ';' || byte == '#'))
            return "comment or value?; allowed are comments on lines of their own, and ; or # in a value only without "
                   "a blank before it";
    }
    return NULL;
}

/* Whether line, whose first len bytes are section or key, may be read. */
static bool
check_line(struct reading *reading, struct span line, size_t len)
{
    const char *doubt = find_doubt(line);

    if (len <= HEAD_BYTES_MAX && doubt == NULL)
        return true;
    if (len <= HEAD_BYTES_MAX) {
        refuse_line(reading, doubt);
        return false;
    }
    buffer_printf(reading->errors, "%s:%u: section or key of %zu bytes; allowed are %d\n", reading->path, reading->line,
                  len, HEAD_BYTES_MAX);
    reading->failed = true;
    return false;
}

static void
take_section(struct reading *reading, struct span line)
{
    reading->in_section = true;
    reading->section = NULL; /* the keys below it must not count to the section before */
    if (!check_line(reading, line, line.len))
        return;
    const char *end = memchr(line.at, ']', line.len);
    if (end != line.at + line.len - 1) {
        refuse_line(reading, "broken section; allowed is [section] and nothing else on the line");
        return;
    }
    reading->section = find_section(reading->config, span_at(line.at + 1, line.len - 2));
    if (reading->section != NULL)
        return;
    buffer_printf(reading->errors, "%s:%u: %.*s: unknown section; allowed are ", reading->path, reading->line,
                  (int)line.len, line.at);
    add_sections(reading->errors, reading->config);
    buffer_add_byte(reading->errors, '\n');
    reading->failed = true;
}

/* Set key of the section at hand. */
static void
take_value(struct reading *reading, const char *key, const char *text)
{
    struct value *value = find_value(reading->config, reading->section, key);
    struct buffer where = {NULL, 0, 0};

    buffer_printf(&where, "%s:%u", reading->path, reading->line);
    if (value != NULL && value->line != 0) {
        buffer_printf(reading->errors, "%s: [%s] %s: already set by line %u; allowed is once\n", buffer_text(&where),
                      reading->section, key, value->line);
        reading->failed = true;
    } else if (config_set(reading->config, reading->section, key, text, buffer_text(&where), reading->errors) != 0) {
        reading->failed = true;
    }
    if (value != NULL && value->line == 0)
        value->line = reading->line;
    buffer_free(&where);
}

static void
take_key(struct reading *reading, struct span line)
{
    char key[HEAD_BYTES_MAX + 1] = "";
    size_t separator = 0;

    while (separator < line.len && line.at[separator] != '=' && line.at[separator] != ':')
        separator++;
    size_t len = separator;
    while (len > 0 && is_blank(line.at[len - 1]))
        len--;
    if (!check_line(reading, line, len))
        return;
    if (separator == line.len) {
        refuse_line(reading, "not understood; allowed are [section], key = value and comments (# or ;); a value ends with "
                             "its line");
    } else if (!reading->in_section) {
        refuse_line(reading, "key before the first section; allowed is [section] above it");
    } else if (reading->section != NULL) {
        const char *text = line.at + separator + 1;
        memcpy(key, line.at, len);
        take_value(reading, key, text + strspn(text, " \t"));
    }
}

/* Cut the next line off, without its end and without the blanks around it. */
static struct span
take_line(struct reading *reading)
{
    char *start = reading->at;
    char *end = memchr(start, '\n', (size_t)(reading->end - start));

    if (end == NULL)
        end = reading->end;
    reading->at = end == reading->end ? end : end + 1;
    reading->line++;
    if (end > start && end[-1] == '\r')
        end--;
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    *end = '\0'; /* what stood there is looked at no more */
    return span_at(start, (size_t)(end - start));
}

static int
parse_content(struct config *config, const char *path, struct buffer *content, struct buffer *errors)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    struct reading reading = {.config = config, .path = path, .errors = errors};

    buffer_text(content); /* a NUL behind it, as take_line wants it */
    reading.at = content->data;
    reading.end = content->data + content->len;
    if (content->len >= 3 && memcmp(content->data, byte_order_mark, 3) == 0)
        reading.at += 3;
    for (unsigned i = 0; i < config->count; i++)
        config->values[i].line = 0;
    free(config->path);
    if ((config->path = strdup(path)) == NULL)
        log_fatal("out of memory");
    while (reading.at < reading.end) {
        const struct span line = take_line(&reading);
        if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
            continue;
        (line.at[0] == '[' ? take_section : take_key)(&reading, line);
    }
    return reading.failed ? -1 : 0;
}

int
config_read(struct config *config, const char *path, struct buffer *errors)
{
    struct buffer content = {NULL, 0, 0};
    int result = -1;

    buffer_reserve(&content, FILE_BYTES_MAX); /* so that it need not grow, which leaves copies in memory */
    if (file_read(path, &content) != 0)
        buffer_printf(errors, "%s: can't be read: %s\n", path, strerror(errno));
    else if (content.len > FILE_BYTES_MAX)
        buffer_printf(errors, "%s: has %zu bytes; allowed are %d\n", path, content.len, FILE_BYTES_MAX);
    else
        result = parse_content(config, path, &content, errors);
    if (content.len > 0)
        hash_wipe(content.data, content.len); /* there may be a password in it */
    buffer_free(&content);
    return result;
}

/* The files that it names. */

void
config_where(const struct config *config, const char *section, const char *key, struct buffer *out)
{
    const struct value *value = know_value(config, section, key);

    if (config->path != NULL)
        buffer_add_text(out, config->path);
    if (config->path != NULL && value->line != 0)
        buffer_printf(out, ":%u", value->line);
    buffer_printf(out, "%s[%s] %s: ", config->path != NULL ? ": " : "", section, key);
}

/* What everybody may do with a file of this mode: the words, or NULL if nothing. */
static const char *
find_exposure(mode_t mode)
{
    if ((mode & (S_IROTH | S_IWOTH)) == 0)
        return NULL;
    return (mode & S_IROTH) != 0 ? "read" : "change";
}

/* A pipe has nobody else at its end, and what is not there or not ours to look at is found when it is used. */
static bool
look_at(const char *path, struct stat *info)
{
    return stat(path, info) == 0 && S_ISREG(info->st_mode);
}

/* Whether the file, which the fault begins with as name, is somebody else's. */
static bool
find_owner(const char *where, const char *name, const char *file, const struct stat *info, struct buffer *faults)
{
    if (file_is_ours(info))
        return false;
    buffer_printf(faults, "%s%s belongs to user %u, who may change it; allowed are root and user %u, as whom this runs: "
                  "chown %u %s\n", where, name, (unsigned)info->st_uid, (unsigned)geteuid(), (unsigned)geteuid(), file);
    return true;
}

/* What is wrong with the file that holds the secret. */
static bool
find_value_exposed(const struct config *config, const struct value *value, struct buffer *faults)
{
    const bool is_file = value->key->type == CONFIG_SECRET_FILE;
    const char *file = is_file ? value->text : config->path;
    struct buffer where = {NULL, 0, 0};
    struct stat info;
    bool found = false;

    if (value->line == 0 || value->text[0] == '\0' || (!is_file && value->key->type != CONFIG_SECRET) ||
        !look_at(file, &info))
        return false;
    config_where(config, value->section, value->key->name, &where);
    const char *exposure = find_exposure(info.st_mode);
    if (exposure != NULL)
        buffer_printf(faults, "%s%s has mode %04o, so that everybody on this machine may %s it; allowed are owner and "
                      "group: chmod o-rwx %s\n", buffer_text(&where), is_file ? file : "this file",
                      (unsigned)(info.st_mode & 07777), exposure, file);
    found = (is_file && find_owner(buffer_text(&where), file, file, &info, faults)) || exposure != NULL;
    buffer_free(&where);
    return found;
}

int
config_find_exposed(const struct config *config, struct buffer *faults)
{
    struct stat info;
    bool found = false;

    if (config->path == NULL)
        return 0;
    for (unsigned i = 0; i < config->count; i++)
        found |= find_value_exposed(config, &config->values[i], faults);
    /* Whoever may change it says where we write. */
    if (look_at(config->path, &info))
        found |= find_owner(config->path, ": this file", config->path, &info, faults);
    return found ? -1 : 0;
}

void
config_warn_exposed(const struct config *config)
{
    struct buffer faults = {NULL, 0, 0};

    if (config_find_exposed(config, &faults) != 0) {
        for (const char *line = buffer_text(&faults); *line != '\0'; line += strcspn(line, "\n") + 1)
            log_warning("%.*s", (int)strcspn(line, "\n"), line);
    }
    buffer_free(&faults);
}

bool
config_is_to_blame(int error)
{
    static const int errors[] = {EPERM, EACCES, ENOENT, ENOTDIR, EISDIR, ELOOP, ENAMETOOLONG, EROFS, EINVAL, ENXIO};

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i] == error)
            return true;
    }
    return false;
}

/* The table, for people. */

static void
print_markdown(const struct config_key *key, const char *allowed, FILE *out)
{
    const char *preset = key->preset == NULL ? "" : key->preset;
    const char *mark = preset[0] == '\0' ? "" : "`";

    fprintf(out, "| `[%s]` | `%s` | %s%s%s | %s | %s |\n", key->section, key->name, mark, preset, mark, allowed,
            key->prose);
}

static void
print_text(const struct config_key *key, const struct config_key *before, const char *allowed, FILE *out)
{
    if (before == NULL || strcmp(before->section, key->section) != 0) {
        fprintf(out, "%s[%s]", before == NULL ? "" : "\n", key->section);
        fputs(strcmp(key->section, "*") == 0 ? " (the section of every process)\n" : "\n", out);
    }
    fprintf(out, "  %s =%s%s\n      %s\n      Allowed: %s.\n", key->name, key->preset == NULL ? "" : " ",
            key->preset == NULL ? "" : key->preset, key->prose, allowed);
}

void
config_print_keys(const struct config_table *table, FILE *out, bool markdown)
{
    struct buffer allowed = {NULL, 0, 0};
    const struct config_key *before = NULL;
    const struct config_key *key;

    if (markdown)
        fputs("| section | key | default | allowed | what it does |\n| --- | --- | --- | --- | --- |\n", out);
    for (unsigned i = 0; (key = table->key(i)) != NULL; i++) {
        buffer_clear(&allowed);
        add_allowed(&allowed, key);
        if (markdown)
            print_markdown(key, buffer_text(&allowed), out);
        else
            print_text(key, before, buffer_text(&allowed), out);
        before = key;
    }
    buffer_free(&allowed);
}
