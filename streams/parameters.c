#include "streams/parameters.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

void *
parameters_new(size_t size)
{
    return hash_secret_new(size); /* some have a key */
}

/* What PARAMETERS_GATE_KEYS says of a sender. */
_Static_assert(GATE_SENDER_SHARE == 4, "a sender's part is a quarter");

struct gate_parameters *
parameters_gate(const struct config *config, const char *section, enum gate_key key)
{
    struct gate_parameters *gate = parameters_new(sizeof *gate);

    gate->key = key;
    gate->hold_ms = config_int(config, section, "hold");
    gate->hold_bytes = config_int(config, section, "hold_bytes");
    gate->hold_sender_bytes = gate->hold_bytes / GATE_SENDER_SHARE;
    return gate;
}

const char *
parameters_key_path(const struct config *config, const char *section, const char *dir, struct buffer *path)
{
    const char *said = config_text(config, section, PARAMETERS_KEY);

    buffer_clear(path);
    if (*said != '\0')
        buffer_add_text(path, said);
    else
        buffer_printf(path, "%s/pseudonym.key", dir);
    return buffer_text(path);
}

int
parameters_pseudonym_key(const struct config *config, const char *section, const char *dir, struct hash_key *key)
{
    struct buffer path = {0};
    struct buffer fault = {0};

    config_where(config, section, PARAMETERS_KEY, &fault);
    int rc = hash_key_file(parameters_key_path(config, section, dir, &path), key, &fault);
    if (rc != 0)
        (config_is_to_blame(errno) ? log_config_error : log_error)("%s", buffer_text(&fault));
    buffer_free(&path);
    buffer_free(&fault);
    return rc;
}

/* Whether path is a file right in dir, which a start makes if it is missing. */
static bool
is_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    return strncmp(path, dir, len) == 0 && path[len] == '/' && strchr(path + len + 1, '/') == NULL;
}

int
parameters_look_for_key(const struct config *config, const char *section, const char *dir, struct buffer *faults)
{
    struct buffer path = {0};
    struct buffer fault = {0};
    int rc = 0;

    parameters_key_path(config, section, dir, &path);
    config_where(config, section, PARAMETERS_KEY, &fault);
    if (!is_in(buffer_text(&path), dir) || access(dir, F_OK) == 0)
        rc = hash_key_look(buffer_text(&path), &fault);
    if (rc < 0)
        buffer_printf(faults, "%s\n", buffer_text(&fault));
    buffer_free(&path);
    buffer_free(&fault);
    return rc;
}
