#include "backup/backup_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/say.h"
#include "streams/catalog.h"
#include "streams/parameters.h"

/* Whether the process called name has a key. */
static bool
has_key(const char *name)
{
    const struct stream *stream = catalog_find(name);

    for (unsigned i = 0; stream != NULL && i < stream->key_count; i++) {
        if (strcmp(stream->keys[i].name, PARAMETERS_KEY) == 0)
            return true;
    }
    return false;
}

int
backup_keys_save(const struct config *config, const struct set *set, const char *partial, struct copying *copying,
                 struct manifest *manifest)
{
    struct buffer from = {NULL, 0, 0};
    struct buffer to = {NULL, 0, 0};
    int rc = 0;

    for (unsigned i = 0; i < set->count && rc == 0; i++) {
        const char *name = set->members[i].stream->name;
        if (!has_key(name))
            continue;
        buffer_clear(&to);
        buffer_printf(&to, "keys/%s.key", name);
        struct manifest_file *file = manifest_add(manifest, buffer_text(&to));
        buffer_clear(&to);
        buffer_printf(&to, "%s/%s", partial, file->path);
        parameters_key_path(config, name, set->dir, &from);
        const int copied = copying_file(copying, buffer_text(&from), UINT64_MAX, buffer_text(&to), file);
        if (copied == 0)
            say("%s: the key of %s is not there; if it lies elsewhere, name the configuration with -c", buffer_text(&from),
                name);
        rc = copied == 1 && chmod(buffer_text(&to), 0400) == 0 ? 0 : -1;
    }
    buffer_free(&from);
    buffer_free(&to);
    return rc;
}

/* Make the file at path hold key, mode 0400, unless one is there. 0, or −1, said. */
static int
put_key(const char *path, struct span key)
{
    struct buffer temporary = {NULL, 0, 0};

    buffer_printf(&temporary, "%s" COPYING_PARTIAL, path);
    buffer_text(&temporary);
    const int fd = open(temporary.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    int rc = -1;
    if (fd >= 0 && file_write_at(fd, key.at, key.len, 0) == 0 && fsync(fd) == 0 && link(temporary.data, path) == 0)
        rc = file_sync_name(path);
    const int error = errno;
    if (fd < 0)
        say("%s: %s%s", temporary.data, strerror(error), error == EEXIST ? ": a restore was killed; remove it" : "");
    else if (rc != 0)
        say("%s: %s", path, strerror(error));
    if (fd >= 0) {
        close(fd);
        unlink(temporary.data);
    }
    buffer_free(&temporary);
    return rc;
}

/* One key, from the file at from to path. */
static int
restore(const char *from, const char *path, bool check)
{
    struct buffer key = {NULL, 0, 0};
    struct buffer there = {NULL, 0, 0};
    int rc = -1;

    if (file_read(from, &key) != 0)
        say("%s: %s", from, strerror(errno));
    else if (file_read(path, &there) == 0)
        rc = span_equal(buffer_span(&key), buffer_span(&there)) ? 0 : 1;
    else if (errno != ENOENT)
        say("%s: %s", path, strerror(errno));
    else
        rc = check ? 0 : put_key(path, buffer_span(&key));
    if (rc == 1)
        say("%s is another key than that of the backup: move it away, or every person gets another pseudonym", path);
    buffer_free(&key);
    buffer_free(&there);
    return rc == 0 ? 0 : -1;
}

int
backup_keys_restore(const struct config *config, const char *dir, const char *source, const struct manifest *manifest,
                    bool check)
{
    struct buffer from = {NULL, 0, 0};
    struct buffer name = {NULL, 0, 0};
    struct buffer path = {NULL, 0, 0};
    int rc = 0;

    for (unsigned i = 0; i < manifest->count && rc == 0; i++) {
        const char *file = manifest->files[i].path;
        const size_t len = strlen(file);
        if (strncmp(file, "keys/", 5) != 0 || len < 10 || strcmp(file + len - 4, ".key") != 0)
            continue;
        buffer_clear(&name);
        buffer_add(&name, file + 5, len - 9);
        if (!has_key(buffer_text(&name)))
            continue;
        buffer_clear(&from);
        buffer_printf(&from, "%s/%s", source, file);
        rc = restore(buffer_text(&from), parameters_key_path(config, buffer_text(&name), dir, &path), check);
    }
    buffer_free(&from);
    buffer_free(&name);
    buffer_free(&path);
    return rc;
}
