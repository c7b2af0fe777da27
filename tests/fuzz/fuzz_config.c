/*
 * The configuration: any bytes as the file. Either every complaint is a line that says where, within the file; or there
 * is none, and the values, written down again, are accepted and mean the same.
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

/* Where the line that begins with "PATH:" and a number ends that is one of a line of the file. */
static const char *
check_error(const char *at, const char *path, unsigned lines)
{
    size_t len = strlen(path);
    char *behind;
    if (strncmp(at, path, len) != 0 || at[len] != ':')
        log_panic("a complaint does not name the file");
    unsigned long line = strtoul(at + len + 1, &behind, 10);
    if (line < 1 || line > lines || behind[0] != ':' || behind[1] != ' ' || behind[2] == '\n')
        log_panic("a complaint names line %lu of %u", line, lines);
    const char *end = strchr(at, '\n');
    if (end == NULL)
        log_panic("a complaint has no end");
    return end + 1;
}

static void
check_errors(struct buffer *errors, const char *path, struct span content)
{
    const char *at = buffer_text(errors);
    unsigned lines = 1;
    for (size_t i = 0; i < content.len; i++)
        lines += content.at[i] == '\n';
    if (errors->len == 0)
        log_panic("refused without a word");
    while (*at != '\0')
        at = check_error(at, path, lines);
    if (at != errors->data + errors->len)
        log_panic("a NUL in a complaint");
}

static bool
is_number(const struct config_key *key)
{
    return key->type != CONFIG_TEXT && key->type != CONFIG_TOPIC && key->type != CONFIG_NAMES;
}

/* Call each for every key of every section. */
static void
for_each(void (*each)(void *context, const char *section, const struct config_key *key), void *context)
{
    for (unsigned i = 0; i < catalog_config.count; i++) {
        const struct config_key *key = &catalog_config.keys[i];
        if (strcmp(key->section, "*") != 0)
            each(context, key->section, key);
        for (const char *const *process = catalog_config.processes; *process != NULL && key->section[0] == '*'; process++)
            each(context, *process, key);
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = config_new(&catalog_config);
    struct buffer errors = {0};
    struct span content = span_at(data, size);
    char path[32];
    if (size > 1 << 20)
        size = content.len = 1 << 20;
    if (read_content(config, content, path, &errors) != 0)
        check_errors(&errors, path, content);
    else if (errors.len > 0)
        log_panic("accepted with a complaint");
    else
        check_again(config);
    buffer_free(&errors);
    config_free(config);
    return 0;
}
