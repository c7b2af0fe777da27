/*
 * gait backup: one consistent set of all processes' states, of the lake and of the keys, while the pipeline runs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/exit.h"
#include "base/file.h"
#include "base/log.h"
#include "base/options.h"
#include "base/say.h"
#include "store/store.h"
#include "state/hold.h"
#include "links/inbox.h"
#include "lake/lake.h"
#include "streams/catalog.h"
#include "common/commands.h"
#include "common/settings.h"
#include "backup/backup_keys.h"
#include "backup/copying.h"
#include "backup/manifest.h"
#include "backup/set.h"

static const char help[] =
    "usage: gait backup [-c FILE] [--dir DIR] [--incomplete] TARGET\n\n"
    "Copy the states of all processes, the lake and the keys in DIR to the new folder TARGET, as one set that a pipeline\n"
    "can go on from. The pipeline may run meanwhile, or not. gait restore brings the set back.\n\n"
    "  -c, --config FILE  the pipeline's configuration\n"
    "      --dir DIR      the pipeline's folder (default: [gait] dir)\n"
    "      --incomplete   also if processes that are enabled have no state in DIR: say which, and go on\n"
    "      --help         print this\n"
    "      --version      print the version\n";

struct backup {
    const char *config_path;
    const char *dir_option;
    const char *target;
    bool incomplete;
    struct config *config;
    const char *dir;
    char partial[4096]; /* what TARGET is called until it is whole */
    struct buffer missing;
    struct set set;
    uint64_t inbox_end[STREAMS_COUNT];
    struct manifest manifest;
    struct copying copying;
};

/* 0, or −1: wrong usage, said. */
static int
read_options(struct backup *backup, int argc, char **argv)
{
    enum { OPTION_DIR = 256, OPTION_INCOMPLETE };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, OPTION_DIR},
        {"incomplete", no_argument, NULL, OPTION_INCOMPLETE},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {"c:", longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTIONS_BAD)
            return -1;
        if (option == 'c')
            backup->config_path = optarg;
        if (option == OPTION_DIR)
            backup->dir_option = optarg;
        backup->incomplete |= option == OPTION_INCOMPLETE;
    }
    if (argc - optind != 1) {
        options_refuse("it takes one argument, the new folder TARGET");
        return -1;
    }
    backup->target = argv[optind];
    return 0;
}

/* What there is. */

static int
find_set(struct backup *backup)
{
    if (!copying_is_ours(backup->dir, false) || set_find(&backup->set, backup->config, backup->dir, &backup->missing) != 0)
        return -1;
    if (backup->missing.len == 0)
        return 0;
    say("%s/state has no state of%s%s", backup->dir, buffer_text(&backup->missing),
        backup->incomplete ? ""
                           : ": run it where all are, or set enabled = off for those that are not part of the pipeline, or "
                             "say --incomplete");
    return backup->incomplete ? 0 : -1;
}

/* Make the folder to be filled. 0, or −1, said. */
static int
make_target(struct backup *backup)
{
    size_t len = strlen(backup->target);

    while (len > 1 && backup->target[len - 1] == '/')
        len--;
    const int printed = snprintf(backup->partial, sizeof backup->partial, "%.*s" COPYING_PARTIAL, (int)len, backup->target);
    if (printed >= (int)sizeof backup->partial) {
        say("%s: %s", backup->target, strerror(ENAMETOOLONG));
        return -1;
    }
    if (!copying_is_free(backup->target)) {
        say("%s is there already, and no empty folder: name a new one", backup->target);
        return -1;
    }
    if (!copying_is_safe(backup->partial))
        return -1;
    if (mkdir(backup->partial, 0700) == 0)
        return 0;
    say("%s: %s%s", backup->partial, strerror(errno),
        errno == EEXIST ? ": another backup works there, or was killed; then remove it" : "");
    return -1;
}

/* The cut. */

/* The entries behind the snapshot's position: they are acknowledged, and nowhere else. */
static int
copy_inbox(struct backup *backup, unsigned i)
{
    struct buffer from = {NULL, 0, 0};
    struct buffer to = {NULL, 0, 0};
    const struct cut_member *member = &backup->set.members[i];
    int rc = 0;

    if (stream_has_landing(member->stream)) {
        buffer_printf(&to, "%s/state/%s/inbox", backup->partial, member->stream->name);
        rc = file_make_dirs(buffer_text(&to));
        if (rc != 0)
            say("%s: %s", buffer_text(&to), strerror(errno));
        const struct inbox_options options = {
            .dir = set_path(&backup->set, i, "/inbox", &from),
            .epoch = member->positions.inbox_epoch,
            .key = member->positions.inbox_key,
            .payload_bytes_max = (uint64_t)config_int(backup->config, "limits", "payload") + 1,
        };
        if (rc == 0)
            rc = inbox_copy(&options, member->positions.inbox, buffer_text(&to), copying_step, &backup->copying,
                            &backup->inbox_end[i]);
    }
    buffer_free(&from);
    buffer_free(&to);
    return rc;
}

/* What is removed nowhere while we look: see state/hold.h. */
static int
look(struct backup *backup, int hold)
{
    if (hold < 0 || hold_take(hold) != 0) {
        if (errno != EINTR)
            say("%s/state: %s", backup->dir, strerror(errno));
        return -1;
    }
    if (set_look(&backup->set) != 0)
        return -1;
    for (unsigned i = 0; i < backup->set.count; i++) {
        if (copy_inbox(backup, i) != 0)
            return -1;
    }
    return 0;
}

static int
take_cut(struct backup *backup)
{
    char taken[CLOCK_TEXT_SIZE];

    if (set_open(&backup->set, true) != 0)
        return -1;
    const int hold = hold_open(backup->dir);
    const int rc = look(backup, hold);
    if (hold >= 0)
        close(hold);
    clock_write(clock_wall_ms(), taken);
    buffer_printf(&backup->manifest.notes, "taken %s\nversion " GAIT_VERSION "\n", taken);
    if (rc != 0)
        return -1;
    if (set_is_cut(&backup->set))
        return 0;
    say("these states do not belong together: one of them went back in time, or is another pipeline's; gait status says "
        "more");
    return -1;
}

/* Of each process, and of each link that it consumes, for people. */
static void
note_positions(struct backup *backup)
{
    struct buffer *notes = &backup->manifest.notes;

    for (unsigned i = 0; i < backup->set.count; i++) {
        cut_write(&backup->set.members[i], notes);
        if (stream_has_landing(backup->set.members[i].stream))
            buffer_printf(notes, "inbox %s up to %" PRIu64 "\n", backup->set.members[i].stream->name, backup->inbox_end[i]);
    }
    for (const char *name = buffer_text(&backup->missing); *name != '\0'; name += strcspn(name, " ")) {
        name += strspn(name, " ");
        buffer_printf(notes, "missing %.*s\n", (int)strcspn(name, " "), name);
    }
}

/* Files. */

static int
copy_store(struct backup *backup, unsigned i)
{
    struct buffer path = {NULL, 0, 0};

    buffer_printf(&path, "%s/state/%s/store", backup->partial, backup->set.members[i].stream->name);
    int rc = file_make_dirs(buffer_text(&path));
    if (rc != 0)
        say("%s: %s", buffer_text(&path), strerror(errno));
    else
        rc = store_copy(backup->set.stores[i], buffer_text(&path), copying_step, &backup->copying);
    buffer_free(&path);
    return rc;
}

/* One part of the lake, for lake_visit. The lake itself never cuts or removes one, so what the snapshot says is there stays
 * there; but who reads them may move a part away at any time. */
static int
copy_part(void *context, const char *part, uint64_t least, uint64_t most)
{
    struct backup *backup = context;
    struct buffer from = {NULL, 0, 0};
    struct buffer name = {NULL, 0, 0};
    struct buffer to = {NULL, 0, 0};

    buffer_printf(&from, "%s/lake/%s", backup->dir, part);
    buffer_printf(&name, "lake/%s", part);
    struct manifest_file *file = manifest_add(&backup->manifest, buffer_text(&name));
    int rc = copying_file(&backup->copying, buffer_text(&from), most, copying_path(backup->partial, file->path, &to), file);
    if (rc == 0)
        manifest_drop(&backup->manifest);
    if (rc == 1 && file->bytes < least) {
        say("%s has %" PRIu64 " bytes, and the state of the lake knows of %" PRIu64 " at least: somebody has cut it",
            buffer_text(&from), file->bytes, least);
        rc = -1;
    }
    buffer_free(&from);
    buffer_free(&name);
    buffer_free(&to);
    return rc < 0 ? -1 : 0;
}

/* Count what a part will take, for lake_visit. */
static int
count_part(void *context, const char *part, uint64_t least, uint64_t most)
{
    struct backup *backup = context;
    struct buffer path = {NULL, 0, 0};
    struct stat status;

    (void)least;
    buffer_printf(&path, "%s/lake/%s", backup->dir, part);
    if (lstat(buffer_text(&path), &status) == 0)
        backup->copying.total += (uint64_t)status.st_size < most ? (uint64_t)status.st_size : most;
    buffer_free(&path);
    return 0;
}

/* Visit all parts of the lake whose state is member i, if it is one. */
static int
visit_lake(struct backup *backup, unsigned i, int (*visit)(void *, const char *, uint64_t, uint64_t))
{
    const struct stream *stream = backup->set.members[i].stream;
    struct buffer dir = {NULL, 0, 0};
    struct lake_extent extent;
    int rc = 0;

    if (stream->operator != &lake_operator)
        return 0;
    buffer_printf(&dir, "%s/lake", backup->dir);
    for (unsigned j = 0; j < stream->input_count && rc == 0; j++) {
        const char *table = stream->inputs[j].from->topic;
        rc = lake_extent(backup->set.stores[i], table, &extent);
        if (rc == 0)
            rc = lake_visit(buffer_text(&dir), table, &extent, visit, backup);
    }
    buffer_free(&dir);
    return rc;
}

/* How much there is to do: everything is written once and read once. */
static int
count_bytes(struct backup *backup)
{
    for (unsigned i = 0; i < backup->set.count; i++) {
        const int64_t bytes = store_size(backup->set.stores[i]);
        if (bytes < 0 || visit_lake(backup, i, count_part) != 0)
            return -1;
        backup->copying.total += (uint64_t)bytes;
    }
    const bool room = copying_has_room(backup->partial, backup->copying.total);
    backup->copying.total += backup->copying.total + 2 * backup->copying.done;
    return room ? 0 : -1;
}

static int
copy_all(struct backup *backup)
{
    if (count_bytes(backup) != 0)
        return -1;
    for (unsigned i = 0; i < backup->set.count; i++) {
        if (copy_store(backup, i) != 0 || visit_lake(backup, i, copy_part) != 0)
            return -1;
    }
    return 0;
}

/* The proof. */

/* What is in the folder that is being filled can be gone on from, and says what the snapshots said. */
static int
check_states(struct backup *backup)
{
    struct set copies = {.dir = backup->partial, .count = backup->set.count};
    struct buffer copied = {NULL, 0, 0};
    struct buffer wanted = {NULL, 0, 0};

    for (unsigned i = 0; i < copies.count; i++)
        copies.members[i].stream = backup->set.members[i].stream;
    int rc = set_open(&copies, false) == 0 && set_look(&copies) == 0 && set_is_cut(&copies) ? 0 : -1;
    for (unsigned i = 0; i < copies.count && rc == 0; i++) {
        buffer_clear(&copied);
        buffer_clear(&wanted);
        cut_write(&copies.members[i], &copied);
        cut_write(&backup->set.members[i], &wanted);
        if (!span_equal(buffer_span(&copied), buffer_span(&wanted))) {
            say("the copy of %s's state is not what was copied", copies.members[i].stream->name);
            rc = -1;
        }
    }
    set_close(&copies);
    buffer_free(&copied);
    buffer_free(&wanted);
    return rc;
}

/* Read every file again: what is in the manifest is what can be read. */
static int
check_files(struct backup *backup)
{
    struct buffer path = {NULL, 0, 0};
    int rc = copying_note_all(&backup->manifest, backup->partial, "state");

    for (unsigned i = 0; i < backup->manifest.count && rc == 0; i++) {
        struct manifest_file *file = &backup->manifest.files[i];
        rc = copying_check(&backup->copying, copying_path(backup->partial, file->path, &path), file);
    }
    buffer_free(&path);
    return rc;
}

/* The command. */

static int
fill(struct backup *backup)
{
    if (take_cut(backup) != 0)
        return -1;
    note_positions(backup);
    if (copy_all(backup) != 0 ||
        backup_keys_save(backup->config, &backup->set, backup->partial, &backup->copying, &backup->manifest) != 0 ||
        copying_sync(backup->partial) != 0 || check_states(backup) != 0 || check_files(backup) != 0)
        return -1;
    if (manifest_write(&backup->manifest, backup->partial) != 0)
        return -1;
    if (!copying_step(&backup->copying, 0))
        return -1;
    if (rename(backup->partial, backup->target) == 0 && file_sync_name(backup->partial) == 0)
        return 0;
    say("%s: %s", backup->target, strerror(errno));
    return -1;
}

static void
say_done(const struct backup *backup)
{
    char number[PROGRESS_NUMBER_BYTES];
    uint64_t bytes = 0;

    for (unsigned i = 0; i < backup->manifest.count; i++)
        bytes += backup->manifest.files[i].bytes;
    say("%s: %u processes, %u files, %s MiB, %.2f s", backup->target, backup->set.count, backup->manifest.count,
        progress_number((bytes + (1u << 20) - 1) >> 20, number),
        (double)progress_elapsed_ms(&backup->copying.progress) / 1000);
}

static int
run(struct backup *backup)
{
    backup->dir = backup->dir_option != NULL ? backup->dir_option : config_text(backup->config, "gait", "dir");
    if (find_set(backup) != 0 || make_target(backup) != 0)
        return EXIT_FAILED;
    copying_begin(&backup->copying);
    const int rc = fill(backup);
    copying_end(&backup->copying);
    if (rc == 0) {
        set_say_back(&backup->set);
        say_done(backup);
    } else if (file_remove_dir(backup->partial) != 0 && errno != ENOENT) {
        say("%s can't be removed, and is no backup: %s", backup->partial, strerror(errno));
    }
    return copying_status(rc);
}

int
command_backup(int argc, char **argv)
{
    struct backup backup = {.target = NULL};

    if (read_options(&backup, argc, argv) != 0)
        return EXIT_USAGE;
    backup.config = settings_read(backup.config_path);
    if (backup.config == NULL)
        return EXIT_CONFIG;
    log_open("gait backup", LOG_WARNING);
    hash_init();
    const int rc = run(&backup);
    set_close(&backup.set);
    manifest_free(&backup.manifest);
    buffer_free(&backup.missing);
    config_free(backup.config);
    return rc;
}
