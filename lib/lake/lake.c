#include "lake/lake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "record/record.h"
#include "operator/secret.h"

#define DATE_SIZE 11 /* YYYY-MM-DD and NUL */
#define PATH_SIZE 4400

/* Lines that the store keeps for a part are synced in the part, and let go, once they are this many bytes: a sync a
 * transaction and table would be the most of what a small transaction costs, and under load there is one all the same. */
#define SYNC_BYTES (1u << 20)

/* And after this time: then a part is exactly what the state says, without lines of which one can't know whether they were
 * written, and who has moved it away does not find it made again. */
#define SYNC_MS 1000

/* Bytes of one entry of "lines": with LMDB's own 16 these are whole pages. */
#define LINES_BYTES ((32u << 10) - 16)

/*
 * The file that a table's records go to now.
 *
 * Table layout "parts": key = the table's path; value = date (10 bytes, zeros if there was no part yet), number u32 BE,
 * bytes u64 BE: the part, and how long it is with all that is committed.
 *
 * Table layout "lines": key = the table's path, NUL, offset u64 BE; value = the part's bytes from there on, at most
 * LINES_BYTES. They go to the file after the commit, and leave the store when they are synced there. Together they are the
 * end of the part; without any the whole part is synced.
 */
struct part {
    char date[DATE_SIZE]; /* "": there was none yet */
    uint32_t number;
    uint64_t bytes;
};

#define PART_BYTES 22

struct lake_table {
    const char *path;
    bool rows;
    struct part part;
    int fd; /* of the part; −1 not open */
    bool closed;           /* the part is not written to any more */
    bool unnamed;          /* the part's name may not be synced */
    uint64_t unsynced;     /* bytes of the part that the store still keeps */
    struct buffer waiting; /* lines of this transaction; after the commit they go to the file */
};

/*
 * What a row's newest record in the lake was, so that one that is given out again (links/newcomer.c) is not written twice.
 *
 * Table layout "rows": key = the table's path, '/', row name; value = hash_64 of the record, u64 BE.
 */
struct lake {
    struct store *store;
    int parts;
    int lines;
    int rows;
    struct hash_key key;
    struct buffer store_key;
    struct buffer there; /* what a file holds, to be compared */
    struct lake_parameters parameters;
    struct lake_table tables[OPERATOR_INPUTS_MAX];
    int64_t sync_ms;         /* when parts are to be synced; INT64_MAX: all are */
    bool behind;             /* the files may not hold yet what is committed */
    struct buffer complaint; /* the failure that is in the log already; empty since something worked */
};

static int check_open(struct lake *lake, struct lake_table *table);
static int sync_part(struct lake *lake, struct lake_table *table);

/* Sync all parts as far as they are written. How many were not, −1. */
static int
sync_parts(struct lake *lake)
{
    int count = 0;

    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        struct lake_table *table = &lake->tables[i];
        if (table->unsynced == 0)
            continue;
        if (check_open(lake, table) != 0 || sync_part(lake, table) != 0)
            return -1;
        count++;
    }
    lake->sync_ms = INT64_MAX;
    return count;
}

/* So that the parts are exactly what the state says when nobody works on them. */
static void
sync_at_the_end(struct lake *lake)
{
    if (lake->behind || lake->sync_ms == INT64_MAX || store_begin(lake->store) != 0)
        return;
    if (sync_parts(lake) < 0 || store_commit(lake->store) != 0)
        store_abort(lake->store);
}

static void
lake_close(void *state)
{
    struct lake *lake = state;

    if (lake == NULL)
        return;
    sync_at_the_end(lake);
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        if (lake->tables[i].fd >= 0)
            close(lake->tables[i].fd);
        buffer_free(&lake->tables[i].waiting);
    }
    buffer_free(&lake->store_key);
    buffer_free(&lake->there);
    buffer_free(&lake->complaint);
    hash_secret_free(lake);
}

static int
lake_open(const void *parameters, struct store *store, void **state)
{
    struct lake *lake = hash_secret_new(sizeof *lake); /* keys are in it */

    lake->store = store;
    lake->behind = true;
    lake->parameters = *(const struct lake_parameters *)parameters;
    log_assert(lake->parameters.table_count <= OPERATOR_INPUTS_MAX);
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        lake->tables[i].path = lake->parameters.tables[i].path;
        lake->tables[i].rows = lake->parameters.tables[i].rows;
        lake->tables[i].fd = -1;
    }
    lake->parts = store_table(store, "parts");
    lake->rows = store_table(store, "rows");
    lake->lines = store_table(store, "lines");
    if (lake->parts < 0 || lake->rows < 0 || lake->lines < 0 || secret_open(store) != 0) {
        lake_close(lake);
        return -1;
    }
    *state = lake;
    return 0;
}

/* Parts in the store. */

/* Whether name is form, in which a '0' stands for any digit. */
static bool
has_form(const char *name, const char *form)
{
    for (; *form != '\0'; form++, name++) {
        if (*form == '0' ? *name < '0' || *name > '9' : *name != *form)
            return false;
    }
    return *name == '\0';
}

/* 1 if there is one, 0 if this store knows nothing of the table, −1. */
static int
get_part(struct lake *lake, struct lake_table *table)
{
    struct span value;
    int rc = store_get_exact(lake->store, lake->parts, span_of(table->path), PART_BYTES, &value);

    table->part = (struct part){0};
    if (rc != 1)
        return rc; /* a new store */
    memcpy(table->part.date, value.at, DATE_SIZE - 1);
    table->part.number = bytes_get_u32(value.at + 10);
    table->part.bytes = bytes_get_u64(value.at + 14);
    /* It becomes a path. */
    if (table->part.number > 0 ? !has_form(table->part.date, "0000-00-00") : table->part.date[0] != '\0')
        return store_damaged(lake->store, lake->parts, "a day that is none");
    return 1;
}

static int
put_part(struct lake *lake, const struct lake_table *table)
{
    char value[PART_BYTES];

    log_assert(table->part.number > 0 ? has_form(table->part.date, "0000-00-00") : table->part.date[0] == '\0');
    memcpy(value, table->part.date, DATE_SIZE - 1);
    bytes_put_u32(value + 10, table->part.number);
    bytes_put_u64(value + 14, table->part.bytes);
    return store_put(lake->store, lake->parts, span_of(table->path), span_at(value, sizeof value));
}

/* The key of the table's lines from offset on; valid until the next key is made. */
static struct span
lines_key(struct lake *lake, const struct lake_table *table, uint64_t offset)
{
    char end[8];

    bytes_put_u64(end, offset);
    buffer_clear(&lake->store_key);
    buffer_add_text(&lake->store_key, table->path);
    buffer_add_byte(&lake->store_key, '\0');
    buffer_add(&lake->store_key, end, sizeof end);
    return buffer_span(&lake->store_key);
}

/* Whether rc, of a look for lines, found some of the table. */
static bool
are_lines_of(const struct lake_table *table, int rc, const struct store_item *item, uint64_t *offset)
{
    const size_t len = strlen(table->path) + 1;

    if (rc != 1 || item->key.len != len + 8 || memcmp(item->key.at, table->path, len) != 0)
        return false;
    *offset = bytes_get_u64(item->key.at + len);
    return true;
}

/* Keep the transaction's lines, which go behind the part's bytes. */
static int
put_lines(struct lake *lake, struct lake_table *table)
{
    for (size_t at = 0; at < table->waiting.len; at += LINES_BYTES) {
        const size_t left = table->waiting.len - at;
        if (store_put(lake->store, lake->lines, lines_key(lake, table, table->part.bytes + at),
                      span_at(table->waiting.data + at, left < LINES_BYTES ? left : LINES_BYTES)) != 0)
            return -1;
    }
    table->part.bytes += table->waiting.len;
    table->unsynced += table->waiting.len;
    log_assert(table->unsynced <= table->part.bytes);
    return 0;
}

/* The lines are where they belong. */
static int
drop_lines(struct lake *lake, struct lake_table *table)
{
    struct store_item item;
    uint64_t offset;
    int rc = store_seek(lake->store, lake->lines, lines_key(lake, table, 0), &item);

    for (; are_lines_of(table, rc, &item, &offset); rc = store_next(lake->store, lake->lines, &item)) {
        if (store_delete_here(lake->store, lake->lines) != 0)
            return -1;
    }
    table->unsynced = 0;
    return rc < 0 ? -1 : 0;
}

/* Complaints. */

static int complain(struct lake *lake, enum store_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One line in the log, and never the same twice: it is tried again and again. Always −1. */
static int
complain(struct lake *lake, enum store_fault fault, const char *format, ...)
{
    char text[2 * PATH_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!span_is(buffer_span(&lake->complaint), text))
        log_error("lake: %s", text);
    buffer_clear(&lake->complaint);
    buffer_add_text(&lake->complaint, text);
    store_found(lake->store, fault);
    return -1;
}

static enum store_fault
fault_of(int error)
{
    return error == ENOSPC || error == EDQUOT ? STORE_FULL : STORE_BESIDE;
}

static int
failed(struct lake *lake, const char *what, const char *path)
{
    const int error = errno;

    return complain(lake, fault_of(error), "can't %s %s: %s", what, path, strerror(error));
}

/* What to do about a file that is not what the store says: always the same. */
#define MEND                                                                                                              \
    ". Nothing is changed, and nothing is written to the lake, until this is mended; then it goes on by itself. Bring "   \
    "back what belongs together, files or state; or move %s out of the lake, which then goes on in its next part; or "    \
    "stop gait and remove the state of the lake (state/lake in gait's folder): it then goes on behind what is there"

/* Parts on the disk. */

#define PART_NAME "part-%08" PRIu32 ".ndjson"

static void
dir_of(const struct lake *lake, const struct lake_table *table, const char *date, char *path)
{
    snprintf(path, PATH_SIZE, "%s/%s/date=%s", lake->parameters.dir, table->path, date);
}

static void
path_of(const struct lake *lake, const struct lake_table *table, const struct part *part, char *path)
{
    dir_of(lake, table, part->date, path);
    size_t len = strlen(path);
    snprintf(path + len, PATH_SIZE - len, "/" PART_NAME, part->number);
}

/* Look at the parts of one day: *newest becomes the newest that is newer, and *count how many are. Files that are not
 * called as ours are somebody else's, and no concern of the lake. */
static int
look_at_day(struct lake *lake, const struct lake_table *table, const char *date, const struct part *from,
            struct part *newest, unsigned *count)
{
    char path[PATH_SIZE];
    struct dirent *entry;

    dir_of(lake, table, date, path);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT || errno == ENOTDIR ? 0 : failed(lake, "read", path);
    while ((entry = readdir(dir)) != NULL) {
        struct part part = {.number = 0};
        if (!has_form(entry->d_name, "part-00000000.ndjson"))
            continue;
        memcpy(part.date, date, DATE_SIZE);
        part.number = (uint32_t)strtoul(entry->d_name + 5, NULL, 10);
        if (part.number == 0 || (strcmp(date, from->date) == 0 && part.number <= from->number)) /* ours begin with 1 */
            continue;
        ++*count;
        int later = strcmp(date, newest->date);
        if (later > 0 || (later == 0 && part.number > newest->number))
            *newest = part;
    }
    closedir(dir);
    return 0;
}

/* How many parts there are that are newer than from, and the newest of them. −1. */
static int
look_for_newer(struct lake *lake, const struct lake_table *table, const struct part *from, struct part *newest)
{
    char path[PATH_SIZE];
    struct dirent *entry;
    unsigned count = 0;
    int rc = 0;

    *newest = *from;
    snprintf(path, sizeof path, "%s/%s", lake->parameters.dir, table->path);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT || errno == ENOTDIR ? 0 : failed(lake, "read", path);
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (has_form(entry->d_name, "date=0000-00-00") && strcmp(entry->d_name + 5, from->date) >= 0)
            rc = look_at_day(lake, table, entry->d_name + 5, from, newest, &count);
    }
    closedir(dir);
    return rc == 0 ? (int)count : -1;
}

/* Open the table's part, in folders that are ours alone and through no link. 1, 0 it is not there, −1. */
static int
open_file(struct lake *lake, struct lake_table *table, int flags)
{
    char below[PATH_SIZE];
    char path[PATH_SIZE];
    char name[sizeof "part-0000000000.ndjson"];
    struct buffer fault = {0};

    log_assert(table->fd < 0 && table->part.number > 0);
    snprintf(below, sizeof below, "%s/date=%s", table->path, table->part.date);
    snprintf(name, sizeof name, PART_NAME, table->part.number);
    dir_of(lake, table, table->part.date, path);
    int folder = folder_look(lake->parameters.dir, below, &fault);
    table->fd = folder < 0 ? -1 : folder_file_at(folder, path, name, flags, &fault);
    int rc = table->fd >= 0 ? 1 : errno == ENOENT ? 0 : -1;
    if (rc < 0)
        complain(lake, fault_of(errno),
                 "can't open a part: %s. Nothing is written to the lake until this is mended; then it goes on by itself",
                 buffer_text(&fault));
    if (folder >= 0)
        close(folder);
    buffer_free(&fault);
    return rc;
}

/* Open the table's part, and see how long it is. 1, 0 it is not there, −1. */
static int
open_part(struct lake *lake, struct lake_table *table, const char *path, uint64_t *bytes)
{
    struct stat status;
    int rc = open_file(lake, table, O_RDWR);

    if (rc != 1)
        return rc;
    if (fstat(table->fd, &status) != 0)
        return failed(lake, "look at", path);
    *bytes = (uint64_t)status.st_size;
    return 1;
}

/* A new store in front of an old lake (its state was removed): what is there stays, and goes on behind the newest part. */
static int
adopt_newest(struct lake *lake, struct lake_table *table)
{
    const struct part none = {0};
    char path[PATH_SIZE];
    char last = '\n';
    int count = look_for_newer(lake, table, &none, &table->part);

    if (count <= 0)
        return count < 0 ? -1 : put_part(lake, table);
    path_of(lake, table, &table->part, path);
    if (open_part(lake, table, path, &table->part.bytes) < 0)
        return -1;
    if (table->part.bytes > 0 && file_read_at(table->fd, &last, 1, table->part.bytes - 1) < 0)
        return failed(lake, "read", path);
    if (last != '\n')
        return complain(lake, STORE_BESIDE, "%s is the newest part, and its last line is not whole" MEND, path, "it");
    return put_part(lake, table);
}

/* Whether what stands in the part at offset is what a process that died can have left there of lines: the same bytes, and
 * zeros where a power cut took them. There are none in JSON. 1, 0, −1. */
static int
is_begun(struct lake *lake, struct lake_table *table, struct span lines, uint64_t offset)
{
    buffer_clear(&lake->there);
    ssize_t got = file_read_at(table->fd, buffer_reserve(&lake->there, lines.len), lines.len, offset);

    if (got < 0)
        return -1;
    for (size_t i = 0; i < (size_t)got; i++) {
        if (lake->there.data[i] != lines.at[i] && lake->there.data[i] != '\0')
            return 0;
    }
    lake->there.len = (size_t)got;
    return 1;
}

/* Write again what the store still keeps of the part and the file at path does not have. The file ends at bytes. */
static int
write_again(struct lake *lake, struct lake_table *table, const char *path, uint64_t bytes)
{
    struct store_item item;
    uint64_t offset;
    uint64_t missing = 0;

    log_assert(table->fd >= 0 && bytes <= table->part.bytes);
    int rc = store_seek(lake->store, lake->lines, lines_key(lake, table, 0), &item);

    for (; are_lines_of(table, rc, &item, &offset); rc = store_next(lake->store, lake->lines, &item)) {
        if (offset > table->part.bytes || item.value.len > table->part.bytes - offset)
            return store_damaged(lake->store, lake->lines, "lines behind the end of a part");
        int begun = is_begun(lake, table, item.value, offset);
        if (begun < 0)
            return failed(lake, "read", path);
        if (begun == 0)
            return complain(lake, STORE_BESIDE, "%s does not hold from %" PRIu64 " on what was written there: somebody else "
                            "has changed it" MEND, path, offset, "it");
        if (span_equal(buffer_span(&lake->there), item.value))
            continue;
        if (file_write_at(table->fd, item.value.at, item.value.len, offset) != 0)
            return failed(lake, "write", path);
        missing += item.value.len;
    }
    if (missing > 0)
        log_info("lake: %s, of %" PRIu64 " bytes: %" PRIu64 " that are committed are written again", path, bytes, missing);
    return rc < 0 ? -1 : 0;
}

/* Where the store's lines of the part begin; where the part ends if there are none. */
static int
find_synced(struct lake *lake, struct lake_table *table, uint64_t *synced)
{
    struct store_item item;
    int rc = store_seek(lake->store, lake->lines, lines_key(lake, table, 0), &item);

    if (!are_lines_of(table, rc, &item, synced))
        *synced = table->part.bytes;
    if (*synced > table->part.bytes)
        return store_damaged(lake->store, lake->lines, "lines behind the end of a part");
    table->unsynced = table->part.bytes - *synced;
    return rc < 0 ? -1 : 0;
}

/* Make the folder of the table's part. */
static int
make_day(struct lake *lake, const struct lake_table *table)
{
    char below[PATH_SIZE];
    struct buffer fault = {0};
    int rc = 0;

    snprintf(below, sizeof below, "%s/date=%s", table->path, table->part.date);
    int fd = folder_open(lake->parameters.dir, below, &fault);
    if (fd < 0)
        rc = complain(lake, fault_of(errno), "can't make a folder: %s", buffer_text(&fault));
    else
        close(fd);
    buffer_free(&fault);
    return rc;
}

/* Make the new part at path. */
static int
make_part(struct lake *lake, struct lake_table *table, const char *path)
{
    /* Nobody else's file, which may have come there meanwhile. */
    int rc = open_file(lake, table, O_RDWR | O_CREAT | O_EXCL);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    errno = ENOENT; /* its folder is gone */
    return failed(lake, "make", path);
}

/* The part that is committed must be there, as far as it is known to be synced, and not be longer than it can be. */
static int
check_part(struct lake *lake, struct lake_table *table, const char *path)
{
    uint64_t synced;
    uint64_t bytes = 0;

    if (find_synced(lake, table, &synced) != 0)
        return -1;
    table->unnamed = synced == 0;
    int rc = open_part(lake, table, path, &bytes);
    if (rc == 0 && synced == 0 && table->unsynced > 0)
        rc = make_day(lake, table) == 0 && make_part(lake, table, path) == 0 ? 1 : -1;
    if (rc < 0)
        return -1;
    if (rc == 0) {
        /* Its reader has moved it away, which is his right: go on with the next one. */
        if (!table->closed)
            log_warning("lake: %s, of %" PRIu64 " bytes, is not there any more: going on in the next part. If nobody has "
                        "moved it away, these files are older than the state", path, table->part.bytes);
        table->closed = true;
        return 0;
    }
    table->closed = false;
    if (bytes > table->part.bytes)
        return complain(lake, STORE_BESIDE, "%s has %" PRIu64 " bytes, and the state knows of %" PRIu64 ": the state is "
                        "older than the lake, or somebody else has written there" MEND,
                        path, bytes, table->part.bytes, "it");
    if (bytes < synced)
        return complain(lake, STORE_BESIDE, "%s has %" PRIu64 " bytes, and the state knows of %" PRIu64 ": the lake is "
                        "older than the state, or somebody has cut it" MEND, path, bytes, table->part.bytes, "it");
    return write_again(lake, table, path, bytes);
}

/* Bring the table's part to what is committed of it; nothing else in the lake is touched, and nothing is ever cut. */
static int
load_table(struct lake *lake, struct lake_table *table)
{
    char path[PATH_SIZE];
    struct part newest;

    if (table->fd >= 0)
        close(table->fd);
    table->fd = -1;
    table->unsynced = 0;
    buffer_clear(&table->waiting);
    int rc = get_part(lake, table);
    if (rc != 1)
        return rc < 0 ? -1 : adopt_newest(lake, table);
    int newer = look_for_newer(lake, table, &table->part, &newest);
    if (newer < 0)
        return -1;
    if (newer > 0) {
        path_of(lake, table, &newest, path);
        return complain(lake, STORE_BESIDE, "there are parts that the state knows nothing of, %d in all, the newest is %s, "
                        "and the newest it knows is part %" PRIu32 " of %s: the state is older than the lake, or somebody "
                        "else has put them there" MEND, newer, path, table->part.number,
                        table->part.number > 0 ? table->part.date : "no day", "them");
    }
    if (table->part.number == 0)
        return 0;
    path_of(lake, table, &table->part, path);
    return check_part(lake, table, path);
}

static int
lake_load(void *state)
{
    struct lake *lake = state;

    lake->behind = true;
    lake->sync_ms = INT64_MAX;
    if (secret_load(lake->store, &lake->key) != 0)
        return -1;
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        if (load_table(lake, &lake->tables[i]) != 0)
            return -1;
        if (lake->tables[i].unsynced > 0)
            lake->sync_ms = 1; /* long ago */
    }
    lake->behind = false;
    return 0;
}

static void
date_of(int64_t wall_ms, char *date)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    const size_t len = strftime(date, DATE_SIZE, "%Y-%m-%d", &utc);
    log_assert(len == DATE_SIZE - 1); /* it becomes a path */
}

/* Whether the part is as the lake left it: who edits a file puts another one in its place, and what was written to the old
 * one would be nowhere. The store has the lines since the last sync, so nothing is lost yet. */
static int
check_open(struct lake *lake, struct lake_table *table)
{
    char path[PATH_SIZE];
    struct stat ours;
    struct stat there;

    if (table->fd < 0)
        return 0;
    path_of(lake, table, &table->part, path);
    if (fstat(table->fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
        ours.st_ino == there.st_ino && (uint64_t)there.st_size == table->part.bytes)
        return 0;
    return complain(lake, STORE_BESIDE, "%s is not as the lake left it: somebody has moved, replaced or changed it", path);
}

/* Sync the part as far as it is written, so that the store need not keep its lines. */
static int
sync_part(struct lake *lake, struct lake_table *table)
{
    char path[PATH_SIZE];

    if (table->unsynced == 0)
        return 0;
    if (!table->closed) {
        log_assert(table->fd >= 0);
        path_of(lake, table, &table->part, path);
        if (fdatasync(table->fd) != 0 || (table->unnamed && file_sync_name(path) != 0))
            return failed(lake, "sync", path);
        table->unnamed = false;
    }
    return drop_lines(lake, table);
}

/* Begin a new part of date. Its file is made after the commit. */
static int
begin_part(struct lake *lake, struct lake_table *table, const char *date)
{
    char path[PATH_SIZE];
    struct stat status;
    struct part part = {.number = strcmp(table->part.date, date) == 0 ? table->part.number + 1 : 1};

    log_assert(strcmp(date, table->part.date) >= 0 && part.number > 0); /* the new one is the newest */
    memcpy(part.date, date, DATE_SIZE);
    if (sync_part(lake, table) != 0)
        return -1;
    if (table->fd >= 0)
        close(table->fd);
    table->fd = -1;
    table->part = part;
    table->closed = false;
    table->unnamed = true;
    if (make_day(lake, table) != 0)
        return -1;
    path_of(lake, table, &table->part, path);
    if (lstat(path, &status) == 0)
        return complain(lake, STORE_BESIDE, "%s is there already, and the lake has not made it" MEND, path, "it");
    return errno == ENOENT ? 0 : failed(lake, "look for", path);
}

/* Keep what the transaction has for table. */
static int
flush_table(struct lake *lake, struct lake_table *table, const char *date)
{
    if (table->waiting.len == 0)
        return 0;
    if (check_open(lake, table) != 0)
        return -1;
    /* A clock that went back must not make an older part the newest. */
    bool new_day = strcmp(table->part.date, date) < 0;
    if (new_day || table->closed || table->part.bytes >= (uint64_t)lake->parameters.part_bytes) {
        if (begin_part(lake, table, new_day ? date : table->part.date) != 0)
            return -1;
    } else if (table->unsynced >= SYNC_BYTES && sync_part(lake, table) != 0) {
        return -1;
    }
    return put_lines(lake, table) == 0 ? put_part(lake, table) : -1;
}

static int
lake_flush(void *state, int64_t now_ms, int64_t wall_ms)
{
    struct lake *lake = state;
    char date[DATE_SIZE];

    log_assert(!lake->behind); /* what was committed before is in the files, or read again */
    lake->behind = true; /* until it is committed, and written */
    date_of(wall_ms, date);
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        if (flush_table(lake, &lake->tables[i], date) != 0)
            return -1;
        if (lake->tables[i].unsynced > 0 && lake->sync_ms == INT64_MAX)
            lake->sync_ms = now_ms + SYNC_MS;
    }
    return 0;
}

/* What is committed goes to the files. */
static int
lake_committed(void *state)
{
    struct lake *lake = state;
    char path[PATH_SIZE];

    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        struct lake_table *table = &lake->tables[i];
        if (table->waiting.len == 0)
            continue;
        log_assert(lake->behind && table->waiting.len <= table->unsynced && table->unsynced <= table->part.bytes);
        path_of(lake, table, &table->part, path);
        if (table->fd < 0 && make_part(lake, table, path) != 0)
            return -1;
        if (file_write_at(table->fd, table->waiting.data, table->waiting.len, table->part.bytes - table->waiting.len) != 0)
            return failed(lake, "write", path);
        buffer_clear(&table->waiting);
    }
    lake->behind = false;
    buffer_clear(&lake->complaint);
    return 0;
}

static int64_t
lake_due_ms(void *state)
{
    const struct lake *lake = state;

    return lake->behind ? 0 : lake->sync_ms;
}

static int
lake_work(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    struct lake *lake = state;

    (void)wall_ms;
    (void)budget; /* a table is no more than SYNC_BYTES and one transaction */
    (void)output;
    return now_ms < lake->sync_ms ? 0 : sync_parts(lake);
}

/* Remember the record as its row's newest: 1, 0 it is that already, −1. */
static int
note_row(struct lake *lake, const struct lake_table *table, const struct arrival *arrival)
{
    char value[8];
    struct span known;

    buffer_clear(&lake->store_key);
    buffer_add_text(&lake->store_key, table->path);
    buffer_add_byte(&lake->store_key, '/');
    buffer_add_span(&lake->store_key, arrival->row);
    bytes_put_u64(value, hash_64(&lake->key, arrival->record->body));
    int rc = store_get(lake->store, lake->rows, buffer_span(&lake->store_key), &known);
    if (rc < 0 || (rc == 1 && span_equal(known, span_at(value, sizeof value))))
        return rc < 0 ? -1 : 0;
    return store_put(lake->store, lake->rows, buffer_span(&lake->store_key), span_at(value, sizeof value)) == 0 ? 1 : -1;
}

static enum verdict
lake_take(void *state, const struct arrival *arrival)
{
    struct lake *lake = state;
    struct lake_table *table = &lake->tables[arrival->input];
    struct span line = arrival->record->body;

    log_assert(arrival->input < lake->parameters.table_count);
    log_assert(line.len > 2 && line.at[0] == '{' && line.at[line.len - 1] == '}');
    if (table->rows) {
        int rc = note_row(lake, table, arrival);
        if (rc != 1)
            return rc == 0 ? VERDICT_DUPLICATE : VERDICT_ERROR;
        buffer_add_text(&table->waiting, "{\"" RECORD_ROW "\":");
        buffer_add_json_string(&table->waiting, arrival->row);
        buffer_add_byte(&table->waiting, ',');
        line = span_at(line.at + 1, line.len - 1); /* its '{' is written already; no row is without members */
    }
    buffer_add_span(&table->waiting, line);
    buffer_add_byte(&table->waiting, '\n');
    return VERDICT_PASSED;
}

/* For whoever copies state and files. */

int
lake_extent(struct store *store, const char *path, struct lake_extent *extent)
{
    struct lake lake = {.store = store, .parts = store_table(store, "parts"), .lines = store_table(store, "lines")};
    struct lake_table table = {.path = path, .fd = -1};

    *extent = (struct lake_extent){.number = 0};
    if (lake.parts < 0 || lake.lines < 0)
        return -1;
    int rc = get_part(&lake, &table);
    if (rc == 1 && (rc = find_synced(&lake, &table, &extent->synced)) == 0) {
        memcpy(extent->date, table.part.date, DATE_SIZE);
        extent->number = table.part.number;
        extent->bytes = table.part.bytes;
    }
    buffer_free(&lake.store_key);
    return rc < 0 ? -1 : 0;
}

_Static_assert(sizeof((struct lake_extent *)NULL)->date == DATE_SIZE, "both hold a date");

/* A visit of the parts of one day. */
static int
visit_day(const char *dir, const char *day, bool newest, const struct lake_extent *extent,
          int (*visit)(void *context, const char *part, uint64_t least, uint64_t most), void *context)
{
    char path[2 * PATH_SIZE];
    struct dirent *entry;
    int rc = 0;

    snprintf(path, sizeof path, "%s/%s", dir, day);
    DIR *parts = opendir(path);
    if (parts == NULL) {
        log_error("lake: can't read %s: %s", path, strerror(errno));
        return -1;
    }
    while (rc == 0 && (entry = readdir(parts)) != NULL) {
        if (!has_form(entry->d_name, "part-00000000.ndjson"))
            continue;
        const uint32_t number = (uint32_t)strtoul(entry->d_name + 5, NULL, 10);
        const bool last = newest && number == extent->number;
        snprintf(path, sizeof path, "%s/%s", day, entry->d_name);
        if (!newest || number <= extent->number)
            rc = visit(context, path, last ? extent->synced : 0, last ? extent->bytes : UINT64_MAX);
    }
    closedir(parts);
    return rc;
}

int
lake_visit(const char *dir, const char *path, const struct lake_extent *extent,
           int (*visit)(void *context, const char *part, uint64_t least, uint64_t most), void *context)
{
    char day[PATH_SIZE];
    struct dirent *entry;
    int rc = 0;

    snprintf(day, sizeof day, "%s/%s", dir, path);
    DIR *days = opendir(day);
    if (days == NULL && errno == ENOENT)
        return 0;
    if (days == NULL) {
        log_error("lake: can't read %s: %s", day, strerror(errno));
        return -1;
    }
    while (rc == 0 && (entry = readdir(days)) != NULL) {
        const int later = has_form(entry->d_name, "date=0000-00-00") ? strcmp(entry->d_name + 5, extent->date) : 1;
        snprintf(day, sizeof day, "%s/%s", path, entry->d_name);
        if (later <= 0)
            rc = visit_day(dir, day, later == 0, extent, visit, context);
    }
    closedir(days);
    return rc;
}

const struct operator lake_operator = {
    .name = "lake",
    .open = lake_open,
    .close = lake_close,
    .load = lake_load,
    .take = lake_take,
    .work = lake_work,
    .flush = lake_flush,
    .committed = lake_committed,
    .due_ms = lake_due_ms,
};
