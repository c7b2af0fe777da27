/*
 * gait restore: bring back what gait backup has copied, to a folder without a pipeline.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/exit.h"
#include "base/file.h"
#include "base/log.h"
#include "base/options.h"
#include "base/say.h"
#include "state/hold.h"
#include "streams/catalog.h"
#include "common/commands.h"
#include "common/settings.h"
#include "backup/backup_keys.h"
#include "backup/copying.h"
#include "backup/manifest.h"
#include "backup/set.h"

static const char help[] =
    "usage: gait restore [-c FILE] [--dir DIR] SOURCE\n\n"
    "Bring the backup in the folder SOURCE back to DIR, which must not have state or lake. All of it is checked before\n"
    "anything is touched. gait up then goes on from where the backup was taken.\n\n"
    "  -c, --config FILE  the pipeline's configuration\n"
    "      --dir DIR      the pipeline's folder (default: [gait] dir)\n"
    "      --help         print this\n"
    "      --version      print the version\n";

struct restore {
    const char *config_path;
    const char *dir_option;
    const char *source;
    struct config *config;
    const char *dir;
    struct buffer partial; /* where everything is until it is whole */
    int lock;
    struct manifest manifest;
    struct copying copying;
};

/* 0, or −1: wrong usage, said. */
static int
read_options(struct restore *restore, int argc, char **argv)
{
    enum { OPTION_DIR = 256 };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, OPTION_DIR},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {"c:", longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTIONS_BAD)
            return -1;
        if (option == 'c')
            restore->config_path = optarg;
        else
            restore->dir_option = optarg;
    }
    if (argc - optind != 1) {
        options_refuse("it takes one argument, the folder SOURCE of a backup");
        return -1;
    }
    restore->source = argv[optind];
    return 0;
}

/* What comes. */

/* How much there is to do: all is read, then copied, then read again. */
static int
read_manifest(struct restore *restore)
{
    if (manifest_read(&restore->manifest, restore->source) != 0)
        return -1;
    for (unsigned i = 0; i < restore->manifest.count; i++)
        restore->copying.total += 3 * restore->manifest.files[i].bytes;
    return 0;
}

static int
check_files(struct restore *restore, const char *dir)
{
    struct buffer path = {NULL, 0, 0};
    int rc = 0;

    for (unsigned i = 0; i < restore->manifest.count && rc == 0; i++) {
        struct manifest_file *file = &restore->manifest.files[i];
        if (dir == restore->source || strncmp(file->path, "keys/", 5) != 0)
            rc = copying_check(&restore->copying, copying_path(dir, file->path, &path), file);
    }
    buffer_free(&path);
    return rc;
}

static bool
set_has(const struct set *set, const struct stream *stream)
{
    bool has = false;

    for (unsigned i = 0; i < set->count; i++)
        has = has || set->members[i].stream == stream;
    return has;
}

/* Whether the states that are there are those that the manifest knows: others would be looked at, and not brought. */
static int
check_members(const struct restore *restore, const struct set *set)
{
    struct buffer path = {NULL, 0, 0};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && catalog_streams[i] != NULL; i++) {
        const char *name = catalog_streams[i]->name;
        buffer_clear(&path);
        buffer_printf(&path, "state/%s/store/data.mdb", name);
        const bool there = set_has(set, catalog_streams[i]);
        const bool named = manifest_names(&restore->manifest, "process", name);
        if (there == named && there == manifest_has(&restore->manifest, buffer_text(&path)))
            continue;
        say("%s/%s and the manifest do not go together: somebody has changed this backup", restore->source,
            buffer_text(&path));
        rc = -1;
    }
    buffer_free(&path);
    return rc;
}

/* What the checksums say is what was written is also what can be gone on from, by this program. */
static int
check_states(const struct restore *restore)
{
    struct config *all = config_new(&catalog_config); /* whatever is enabled here: it is whole or not */
    struct buffer missing = {NULL, 0, 0};
    struct set set;
    int rc = set_find(&set, all, restore->source, &missing);

    if (rc == 0)
        rc = check_members(restore, &set);
    if (rc == 0)
        rc = set_open(&set, false) == 0 && set_look(&set) == 0 && set_is_cut(&set) ? 0 : -1;
    if (rc == 0)
        set_say_back(&set);
    set_close(&set);
    for (unsigned i = 0; rc == 0 && catalog_streams[i] != NULL; i++) {
        const char *name = catalog_streams[i]->name;
        if (config_int(restore->config, name, "enabled") != 0 && !manifest_names(&restore->manifest, "process", name))
            say("%s is not in this backup: it will begin without state", name);
    }
    buffer_free(&missing);
    config_free(all);
    return rc;
}

/* Where it goes. */

/* Keep `gait up` out, as another one does. */
static int
lock_dir(struct restore *restore)
{
    struct buffer path = {NULL, 0, 0};

    restore->lock = open(copying_path(restore->dir, "lock", &path), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = restore->lock < 0 ? -1 : flock(restore->lock, LOCK_EX | LOCK_NB);
    if (rc != 0 && errno == EWOULDBLOCK)
        say("a pipeline works in %s: stop it first", restore->dir);
    else if (rc != 0)
        say("%s: %s", buffer_text(&path), strerror(errno));
    buffer_free(&path);
    return rc;
}

/* Whether name is free in the pipeline's folder. */
static int
check_free(const struct restore *restore, const char *name)
{
    struct buffer path = {NULL, 0, 0};
    const bool is_free = copying_is_free(copying_path(restore->dir, name, &path));

    if (!is_free)
        say("%s is there already: nothing is written over it. Stop the pipeline, and move it away", buffer_text(&path));
    buffer_free(&path);
    return is_free ? 0 : -1;
}

static int
check_place(struct restore *restore)
{
    if (!copying_is_ours(restore->dir, true) || lock_dir(restore) != 0 || hold_restores(restore->dir) ||
        check_free(restore, "state") != 0 || check_free(restore, "lake") != 0 ||
        backup_keys_restore(restore->config, restore->dir, restore->source, &restore->manifest, true) != 0)
        return -1;
    return copying_has_room(restore->dir, restore->copying.total / 3) ? 0 : -1;
}

/* Bringing it there. */

static int
copy_files(struct restore *restore)
{
    struct buffer from = {NULL, 0, 0};
    struct buffer to = {NULL, 0, 0};
    struct manifest_file copied;
    int rc = 0;

    for (unsigned i = 0; i < restore->manifest.count && rc == 0; i++) {
        const struct manifest_file *file = &restore->manifest.files[i];
        if (strncmp(file->path, "keys/", 5) == 0)
            continue;
        copying_path(restore->source, file->path, &from);
        copying_path(buffer_text(&restore->partial), file->path, &to);
        rc = copying_file(&restore->copying, buffer_text(&from), UINT64_MAX, buffer_text(&to), &copied) == 1 ? 0 : -1;
    }
    buffer_free(&from);
    buffer_free(&to);
    return rc;
}

/* Mark each state as one that was restored: its process asks who left meanwhile before it decides anything. */
static int
mark_states(struct restore *restore)
{
    struct buffer name = {NULL, 0, 0};
    struct buffer path = {NULL, 0, 0};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && catalog_streams[i] != NULL; i++) {
        if (!manifest_names(&restore->manifest, "process", catalog_streams[i]->name))
            continue;
        buffer_clear(&name);
        buffer_printf(&name, "state/%s/" HOLD_RESTORED, catalog_streams[i]->name);
        const int fd = open(copying_path(buffer_text(&restore->partial), buffer_text(&name), &path),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        rc = fd < 0 ? -1 : 0;
        if (fd < 0)
            say("%s: %s", buffer_text(&path), strerror(errno));
        else
            close(fd);
    }
    buffer_free(&name);
    buffer_free(&path);
    return rc;
}

/* Move the folder name from dir from to dir to. */
static int
move(const char *from, const char *to, const char *name)
{
    struct buffer old = {NULL, 0, 0};
    struct buffer new = {NULL, 0, 0};
    const int rc = rename(copying_path(from, name, &old), copying_path(to, name, &new));
    const int error = errno;

    if (rc != 0)
        say("%s: %s", buffer_text(&new), strerror(error));
    buffer_free(&old);
    buffer_free(&new);
    return rc;
}

/* The states come last: before that nothing here is a pipeline's. Without them the lake goes back. */
static int
place_folders(struct restore *restore)
{
    const char *partial = buffer_text(&restore->partial);
    const bool has_lake = manifest_has(&restore->manifest, "lake/");

    if (has_lake && move(partial, restore->dir, "lake") != 0)
        return -1;
    if (move(partial, restore->dir, "state") == 0)
        return 0;
    if (has_lake)
        move(restore->dir, partial, "lake");
    return -1;
}

static int
place_all(struct restore *restore)
{
    if (!copying_step(&restore->copying, 0) ||
        backup_keys_restore(restore->config, restore->dir, restore->source, &restore->manifest, false) != 0 ||
        place_folders(restore) != 0)
        return -1;
    if (file_sync_dir(restore->dir) == 0)
        return 0;
    say("%s: %s", restore->dir, strerror(errno));
    return -1;
}

static int
fill(struct restore *restore)
{
    const char *partial = buffer_text(&restore->partial);

    if (copy_files(restore) != 0 || mark_states(restore) != 0 || copying_sync(partial) != 0 ||
        check_files(restore, partial) != 0)
        return -1;
    return place_all(restore);
}

/* Fill a folder, which goes away whatever becomes of it. */
static int
bring(struct restore *restore)
{
    buffer_printf(&restore->partial, "%s/" HOLD_RESTORE, restore->dir);
    const char *partial = buffer_text(&restore->partial);
    if (mkdir(partial, 0700) != 0) {
        say("%s: %s", partial, strerror(errno));
        return -1;
    }
    int rc = fill(restore);
    if (file_remove_dir(partial) != 0)
        say("%s can't be removed: %s", partial, strerror(errno));
    return rc;
}

/* The command. */

static void
say_done(const struct restore *restore)
{
    char number[PROGRESS_NUMBER_BYTES];
    struct span taken = span_of("?");

    manifest_note(&restore->manifest, "taken", &taken);
    say("%s: the pipeline of %.*s, %u files, %s MiB, %.2f s", restore->dir, (int)taken.len, taken.at,
        restore->manifest.count, progress_number((restore->copying.total / 3 + (1u << 20) - 1) >> 20, number),
        (double)progress_elapsed_ms(&restore->copying.progress) / 1000);
}

static int
run(struct restore *restore)
{
    restore->dir = restore->dir_option != NULL ? restore->dir_option : config_text(restore->config, "gait", "dir");
    copying_begin(&restore->copying);
    int rc = read_manifest(restore);
    if (rc == 0)
        rc = check_files(restore, restore->source);
    if (rc == 0)
        rc = check_states(restore);
    if (rc == 0)
        rc = check_place(restore);
    if (rc == 0)
        rc = bring(restore);
    copying_end(&restore->copying);
    if (rc == 0)
        say_done(restore);
    return copying_status(rc);
}

int
command_restore(int argc, char **argv)
{
    struct restore restore = {.lock = -1};

    if (read_options(&restore, argc, argv) != 0)
        return EXIT_USAGE;
    restore.config = settings_read(restore.config_path);
    if (restore.config == NULL)
        return EXIT_CONFIG;
    log_open("gait restore", LOG_WARNING);
    hash_init();
    const int rc = run(&restore);
    if (restore.lock >= 0)
        close(restore.lock);
    manifest_free(&restore.manifest);
    buffer_free(&restore.partial);
    config_free(restore.config);
    return rc;
}
