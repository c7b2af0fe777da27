#include "up/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "streams/catalog.h"

#define LOG_FOLDER "log"

static const struct {
    const char *below;
    bool clean; /* mosquitto opens by name what it keeps there */
} folders[] = {{"", false}, {"state", false}, {"lake", false}, {LOG_FOLDER, false}, {"pid", false}, {"broker", true}};

/* Close the folder, if it is open, and leave errno. */
static void
close_folder(int fd)
{
    const int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
}

static int
check_clean(const char *dir, const char *below, int fd, struct buffer *fault)
{
    struct buffer path = {NULL, 0, 0};

    buffer_printf(&path, "%s/%s", dir, below);
    const int rc = folder_is_clean(fd, buffer_text(&path), fault);
    const int error = errno;
    buffer_free(&path);
    errno = error;
    return rc;
}

/* One of the folders, made or, if it is there, looked at. */
static int
take_folder(const char *dir, unsigned i, bool make, struct buffer *fault)
{
    const size_t before = fault->len;
    const int fd = make ? folder_open(dir, folders[i].below, fault) : folder_look(dir, folders[i].below, fault);

    if (fd >= 0 && folders[i].clean)
        check_clean(dir, folders[i].below, fd, fault);
    close_folder(fd);
    return fault->len == before ? 0 : -1;
}

static int
take_folders(const char *dir, bool make, struct buffer *fault)
{
    int rc = 0;

    for (unsigned i = 0; i < sizeof folders / sizeof folders[0] && rc == 0; i++)
        rc = take_folder(dir, i, make, fault);
    return rc;
}

/* Open the file in the open folder as it will be opened, if it is there. */
static int
look_at_file(int folder, const char *path, const char *name, int flags, struct buffer *fault)
{
    struct buffer found = {NULL, 0, 0};
    const int fd = folder_file_at(folder, path, name, flags, &found);
    const int rc = fd < 0 && errno != ENOENT ? -1 : 0;

    close_folder(fd);
    const int error = errno;
    if (rc != 0)
        buffer_add_span(fault, buffer_span(&found));
    buffer_free(&found);
    errno = error;
    return rc;
}

static int
look_at_locks(const char *dir, struct buffer *fault)
{
    const int folder = folder_look(dir, "", fault);
    int rc = 0;

    if (folder >= 0) {
        rc = look_at_file(folder, dir, FOLDERS_LOCK, O_RDWR, fault);
        if (rc == 0)
            rc = look_at_file(folder, dir, FOLDERS_LOCK_PROCESSES, O_RDWR, fault);
    }
    close_folder(folder);
    return rc;
}

static int
look_at_logs(const char *dir, struct buffer *fault)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer name = {NULL, 0, 0};
    const int folder = folder_look(dir, LOG_FOLDER, fault);
    int rc = 0;

    buffer_printf(&path, "%s/" LOG_FOLDER, dir);
    if (folder >= 0)
        rc = look_at_file(folder, buffer_text(&path), "broker.log", O_WRONLY, fault);
    for (unsigned i = 0; folder >= 0 && rc == 0 && catalog_streams[i] != NULL; i++) {
        buffer_clear(&name);
        buffer_printf(&name, "%s.log", catalog_streams[i]->name);
        rc = look_at_file(folder, buffer_text(&path), buffer_text(&name), O_WRONLY, fault);
    }
    close_folder(folder);
    const int error = errno;
    buffer_free(&path);
    buffer_free(&name);
    errno = error;
    return rc;
}

int
folders_make(const char *dir, struct buffer *fault)
{
    return take_folders(dir, true, fault);
}

int
folders_look(const char *dir, struct buffer *fault)
{
    if (take_folders(dir, false, fault) != 0 || look_at_locks(dir, fault) != 0)
        return -1;
    return look_at_logs(dir, fault);
}
