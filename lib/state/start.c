#include "state/start.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "store/store.h"
#include "state/format.h"

int
start_check_folders(const struct stream *stream, const char *dir, struct buffer *fault)
{
    static const struct {
        const char *above, *behind;
        bool ours_alone;
    } folders[] = {{"state/", "", true}, {"state/", "/store", true}, {"state/", "/inbox", true}, {"lake", NULL, false}};
    const size_t before = fault->len;
    struct buffer below = {0};
    struct buffer path = {0};
    int error = 0;

    for (unsigned i = 0; i < sizeof folders / sizeof folders[0] && fault->len == before; i++) {
        buffer_clear(&below);
        buffer_clear(&path);
        buffer_add_text(&below, folders[i].above);
        if (folders[i].behind != NULL)
            buffer_printf(&below, "%s%s", stream->name, folders[i].behind);
        buffer_printf(&path, "%s/%s", dir, buffer_text(&below));
        int folder = folder_look(dir, buffer_text(&below), fault);
        if (folder >= 0 && folders[i].ours_alone)
            folder_is_clean(folder, buffer_text(&path), fault);
        error = errno;
        if (folder >= 0)
            close(folder);
    }
    buffer_free(&below);
    buffer_free(&path);
    errno = error;
    return fault->len == before ? 0 : -1;
}

/* Whether a process holds the lock of this folder. Not kept from it while we read: that would fail its start. */
static bool
is_at_work(const char *dir)
{
    struct buffer path = {0};

    buffer_printf(&path, "%s/lock", dir);
    const int fd = open(buffer_text(&path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const bool taken = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    buffer_free(&path);
    return taken;
}

static int
check_store(struct store *store, const struct stream *stream, const struct config *config, const void *parameters,
            struct buffer *fault)
{
    const struct operator *operator = stream->operator;
    const bool fold_email = config_int(config, "limits", "email_case") != 0;

    if (store_snapshot(store) != 0)
        return -1;
    const int64_t bytes = store_size(store);
    const int meta = bytes > 0 ? store_table(store, "meta") : -1;
    int rc = bytes == 0 ? 1 : -1; /* nothing was ever committed: it is made by whatever the next start says */
    if (meta >= 0)
        rc = format_fits_email_case(store, meta, fold_email, fault);
    if (meta >= 0 && rc == 1 && parameters != NULL && operator->fits != NULL)
        rc = operator->fits(parameters, store, fault);
    store_snapshot_end(store);
    return rc;
}

int
start_check_state(const struct stream *stream, const struct config *config, const char *dir, const void *parameters,
                  struct buffer *fault)
{
    struct buffer state = {0};
    struct buffer path = {0};
    struct buffer found = {0};
    struct stat info;
    int rc = 1;

    buffer_printf(&state, "%s/state/%s", dir, stream->name);
    buffer_printf(&path, "%s/store", buffer_text(&state));
    const size_t folder = path.len;
    buffer_add_text(&path, "/data.mdb");
    if (lstat(buffer_text(&path), &info) == 0) {
        path.len = folder;
        struct store *store = store_open_to_read(buffer_text(&path), is_at_work(buffer_text(&state)));
        rc = store == NULL ? -1 : check_store(store, stream, config, parameters, &found);
        store_close(store);
    }
    if (rc == 0)
        buffer_printf(fault, "the state in %s %s", buffer_text(&state), buffer_text(&found));
    buffer_free(&state);
    buffer_free(&path);
    buffer_free(&found);
    return rc;
}
