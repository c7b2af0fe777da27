/*
 * The configuration: any bytes as the file. Every complaint names a line in which something stands; without the lines
 * that were complained about, again and again, the file is accepted in the end; then each value is what stands behind the
 * first = or : of its line; and the values, written down again, are accepted and mean the same.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "streams/catalog.h"

/* More takes too many rounds of complaints. */
#define CONTENT_BYTES_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read content, which is a file for as long as that takes. Its name goes to path. */
static int
read_content(struct config *config, struct span content, char path[32], struct buffer *errors)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);

    snprintf(path, 32, "/proc/self/fd/%d", fd);
    if (fd < 0 || file_write_at(fd, content.at, content.len, 0) != 0)
        log_fatal("no file in memory");
    int rc = config_read(config, path, errors);
    close(fd);
    return rc;
}

/* Where line number begins in content. */
static char *
find_line(const struct buffer *content, unsigned long number)
{
    char *at = content->data, *end = at + content->len;

    while (--number > 0 && at < end) {
        char *line_feed = memchr(at, '\n', (size_t)(end - at));
        at = line_feed != NULL ? line_feed + 1 : end;
    }
    return at;
}

/* Make a line blank; something must have stood in it. */
static void
blank_line(struct buffer *content, unsigned long number)
{
    const char *end = content->data + content->len;
    char *at = number > 0 ? find_line(content, number) : content->data + content->len;
    bool blank = true;

    for (; at < end && *at != '\n'; at++) {
        bool line_end = *at == '\r' && (at + 1 == end || at[1] == '\n');
        blank = blank && (*at == ' ' || *at == '\t' || line_end);
        *at = ' ';
    }
    if (blank)
        log_panic("a complaint about line %lu, in which nothing stands", number);
}

/* The number of the line that the complaint at at is about; *end is where it ends. */
static unsigned long
read_complaint(const char *at, const char *path, const char **end)
{
    size_t len = strlen(path);
    char *behind;

    if (strncmp(at, path, len) != 0 || at[len] != ':')
        log_panic("a complaint does not name the file");
    unsigned long line = strtoul(at + len + 1, &behind, 10);
    *end = strchr(at, '\n');
    if (behind[0] != ':' || behind[1] != ' ' || *end == NULL || behind + 2 == *end)
        log_panic("a complaint without a line or without words");
    return line;
}

/* Blank all lines that the errors are about. A line can have more than one only if they stand one behind the other. */
static void
blank_lines(struct buffer *content, struct buffer *errors, const char *path)
{
    const char *at = buffer_text(errors);
    const char *end;
    unsigned long before = 0;

    if (errors->len == 0)
        log_panic("refused without a word");
    for (; *at != '\0'; at = end + 1) {
        unsigned long line = read_complaint(at, path, &end);
        if (line != before)
            blank_line(content, line);
        before = line;
    }
    if (at != errors->data + errors->len)
        log_panic("a NUL in a complaint");
}

static bool
is_number(const struct config_key *key)
{
    return key->type < CONFIG_TEXT; /* texts come behind numbers */
}

/* Call each for every key of every section. */
static void
for_each(void (*each)(void *context, const char *section, const struct config_key *key), void *context)
{
    const struct config_key *key;
    const char *process;

    for (unsigned i = 0; (key = catalog_config.key(i)) != NULL; i++) {
        if (strcmp(key->section, "*") != 0)
            each(context, key->section, key);
        for (unsigned j = 0; key->section[0] == '*' && (process = catalog_config.process(j)) != NULL; j++)
            each(context, process, key);
    }
}

struct copy {
    const struct config *config;
    const struct config *again;
    struct buffer text;
};

static void
write_key(void *context, const char *section, const struct config_key *key)
{
    struct copy *copy = context;

    buffer_printf(&copy->text, "[%s]\n%s=%s\n", section, key->name, config_text(copy->config, section, key->name));
}

static void
compare_key(void *context, const char *section, const struct config_key *key)
{
    const struct copy *copy = context;

    if (strcmp(config_text(copy->config, section, key->name), config_text(copy->again, section, key->name)) != 0)
        log_panic("[%s] %s is not what was written", section, key->name);
    if (is_number(key) && config_int(copy->config, section, key->name) != config_int(copy->again, section, key->name))
        log_panic("[%s] %s does not mean what was written", section, key->name);
}

static void
check_again(const struct config *config)
{
    struct config *again = config_new(&catalog_config);
    struct copy copy = {config, again, {0}};
    struct buffer errors = {0};
    char path[32];

    for_each(write_key, &copy);
    if (read_content(again, buffer_span(&copy.text), path, &errors) != 0)
        log_panic("what was accepted is refused: %s", buffer_text(&errors));
    for_each(compare_key, &copy);
    buffer_free(&copy.text);
    config_free(again);
}

static char *
trim(char *from, char *end)
{
    while (end > from && strchr(" \t\r", end[-1]) != NULL)
        end--;
    *end = '\0';
    return from + strspn(from, " \t");
}

/* Every line of a file that was accepted means what it says. */
static void
check_meaning(const struct config *config, struct span content)
{
    struct buffer copy = {0};
    const char *section = "";
    size_t mark = content.len >= 3 && memcmp(content.at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    buffer_add_span(&copy, content);
    buffer_add_byte(&copy, '\n');
    for (char *at = copy.data + mark, *end; at < copy.data + copy.len; at = end + 1) {
        end = memchr(at, '\n', (size_t)(copy.data + copy.len - at));
        char *line = trim(at, end);
        char *value = line + strcspn(line, "=:");
        if (*line == '[') {
            section = trim(line + 1, strchr(line, ']'));
        } else if (*line != '\0' && *line != '#' && *line != ';') {
            char *behind = trim(value + 1, value + strlen(value));
            if (strcmp(config_text(config, section, trim(line, value)), behind) != 0)
                log_panic("[%s] %s is not what its line says", section, line);
        }
    }
    buffer_free(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer content = {0};
    bool accepted = false;

    buffer_add(&content, data, size < CONTENT_BYTES_MAX ? size : CONTENT_BYTES_MAX);
    while (!accepted) {
        struct config *config = config_new(&catalog_config);
        struct buffer errors = {0};
        char path[32];
        accepted = read_content(config, buffer_span(&content), path, &errors) == 0;
        if (!accepted) {
            blank_lines(&content, &errors, path);
        } else if (errors.len > 0) {
            log_panic("accepted with a complaint");
        } else {
            check_meaning(config, buffer_span(&content));
            check_again(config);
        }
        buffer_free(&errors);
        config_free(config);
    }
    buffer_free(&content);
    return 0;
}
