#include "streams/parameters.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

void *
parameters_new(size_t size)
{
    return hash_secret_new(size); /* some have a key */
}

int
parameters_pseudonym_key(const struct config *config, const char *section, const char *dir, struct hash_key *key)
{
    const char *path = config_text(config, section, "pseudonym_key");
    struct buffer preset = {0};

    if (*path == '\0') {
        if (file_make_dirs(dir) != 0) {
            log_error("can't make folder %s: %s", dir, strerror(errno));
            return -1;
        }
        buffer_printf(&preset, "%s/pseudonym.key", dir);
        path = buffer_text(&preset);
    }
    int rc = hash_key_file(path, key);
    buffer_free(&preset);
    return rc;
}
