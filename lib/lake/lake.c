#include "lake/lake.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "operator/secret.h"

#define DATE_SIZE 11 /* YYYY-MM-DD and NUL */
#define PATH_SIZE 4400

/*
 * The file that a table's records go to now.
 *
 * Table layout "parts": key = the table's path; value = date (10 bytes, zeros if there was no part yet), number u32 BE,
 * bytes u64 BE: the part up to where it is committed.
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
    struct buffer waiting; /* lines of this transaction */
};

/*
 * What a row's newest record in the lake was, so that one that is given out again (run/newcomer.c) is not written twice.
 *
 * Table layout "rows": key = the table's path, '/', row name; value = hash_64 of the record, u64 BE.
 */
struct lake {
    struct store *store;
    int parts;
    int rows;
    struct hash_key key;
    struct buffer row_key;
    struct lake_parameters parameters;
    struct lake_table tables[OPERATOR_INPUTS_MAX];
    int complained; /* errno of the failure that is in the log already; 0 since something worked */
};

static void
lake_close(void *state)
{
    struct lake *lake = state;

    if (lake == NULL)
        return;
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        if (lake->tables[i].fd >= 0)
            close(lake->tables[i].fd);
        buffer_free(&lake->tables[i].waiting);
    }
    buffer_free(&lake->row_key);
    free(lake);
}

static int
lake_open(const void *parameters, struct store *store, void **state)
{
    struct lake *lake = calloc(1, sizeof *lake);

    if (lake == NULL)
        log_fatal("out of memory");
    lake->store = store;
    lake->parameters = *(const struct lake_parameters *)parameters;
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        lake->tables[i].path = lake->parameters.tables[i].path;
        lake->tables[i].rows = lake->parameters.tables[i].rows;
        lake->tables[i].fd = -1;
    }
    lake->parts = store_table(store, "parts");
    lake->rows = store_table(store, "rows");
    if (lake->parts < 0 || lake->rows < 0 || secret_open(store, &lake->key) != 0) {
        lake_close(lake);
        return -1;
    }
    *state = lake;
    return 0;
}

/* Parts in the store. */

/* 1 if there is one, 0 if this store knows nothing of the table, −1. */
static int
get_part(struct lake *lake, struct lake_table *table)
{
    struct span value;
    int rc = store_get(lake->store, lake->parts, span_of(table->path), &value);

    table->part = (struct part){0};
    if (rc != 1)
        return rc; /* a new store */
    if (value.len != PART_BYTES)
        log_panic("lake: a part of %zu bytes", value.len);
    memcpy(table->part.date, value.at, DATE_SIZE - 1);
    table->part.number = bytes_get_u32(value.at + 10);
    table->part.bytes = bytes_get_u64(value.at + 14);
    return 1;
}

static int
put_part(struct lake *lake, const struct lake_table *table)
{
    char value[PART_BYTES];

    memcpy(value, table->part.date, DATE_SIZE - 1);
    bytes_put_u32(value + 10, table->part.number);
    bytes_put_u64(value + 14, table->part.bytes);
    return store_put(lake->store, lake->parts, span_of(table->path), span_at(value, sizeof value));
}

/* Parts on the disk. */

static int
failed(struct lake *lake, const char *what, const char *path)
{
    const int error = errno;

    if (error != lake->complained) /* it is tried again and again */
        log_error("lake: can't %s %s: %s", what, path, strerror(error));
    lake->complained = error;
    if (error == ENOSPC || error == EDQUOT)
        store_found_full(lake->store);
    return -1;
}

static void
dir_of(const struct lake *lake, const struct lake_table *table, const char *date, char *path)
{
    snprintf(path, PATH_SIZE, "%s/%s/date=%s", lake->parameters.dir, table->path, date);
}

static void
path_of(const struct lake *lake, const struct lake_table *table, char *path)
{
    dir_of(lake, table, table->part.date, path);
    size_t len = strlen(path);
    snprintf(path + len, PATH_SIZE - len, "/part-%08" PRIu32 ".ndjson", table->part.number);
}

/* Append path for glob: a folder may be called what looks like a pattern. */
static void
add_quoted(struct buffer *pattern, const char *path)
{
    for (; *path != '\0'; path++) {
        if (strchr("*?[\\", *path) != NULL)
            buffer_add_byte(pattern, '\\');
        buffer_add_byte(pattern, *path);
    }
}

/* All parts of table, in name order. What glob returns; to be freed with globfree if 0. */
static int
find_parts(const struct lake *lake, const struct lake_table *table, glob_t *found)
{
    struct buffer pattern = {0};

    add_quoted(&pattern, lake->parameters.dir);
    buffer_add_byte(&pattern, '/');
    add_quoted(&pattern, table->path);
    buffer_add_text(&pattern, "/date=*/part-*.ndjson");
    int rc = glob(buffer_text(&pattern), 0, NULL, found);
    buffer_free(&pattern);
    return rc;
}

/* Remove what a transaction that never committed had begun: parts behind the committed one, in name order. */
static int
remove_newer(struct lake *lake, const struct lake_table *table)
{
    char committed[PATH_SIZE] = "";
    glob_t found;
    int rc = 0;

    if (table->part.date[0] != '\0')
        path_of(lake, table, committed);
    if (find_parts(lake, table, &found) != 0)
        return 0; /* there is none */
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++) {
        if (strcmp(found.gl_pathv[i], committed) > 0 && unlink(found.gl_pathv[i]) != 0)
            rc = failed(lake, "remove", found.gl_pathv[i]);
    }
    globfree(&found);
    return rc;
}

/* A new store in front of an old lake (its state was removed): what is there stays, and goes on behind the newest part. */
static int
adopt_newest(struct lake *lake, struct lake_table *table)
{
    const size_t head_len = strlen(lake->parameters.dir) + 1 + strlen(table->path) + 1;
    glob_t found;

    if (find_parts(lake, table, &found) != 0)
        return put_part(lake, table);
    for (size_t i = found.gl_pathc; i > 0 && table->part.number == 0; i--) {
        struct stat status;
        unsigned number;
        char date[DATE_SIZE];
        const char *path = found.gl_pathv[i - 1];
        if (sscanf(path + head_len, "date=%10[0-9-]/part-%8u.ndjson", date, &number) == 2 && stat(path, &status) == 0) {
            memcpy(table->part.date, date, DATE_SIZE);
            table->part.number = number;
            table->part.bytes = (uint64_t)status.st_size;
        }
    }
    globfree(&found);
    return put_part(lake, table);
}

/* Open the committed part and cut it back to what is committed of it. */
static int
recover_part(struct lake *lake, struct lake_table *table)
{
    char path[PATH_SIZE];

    if (table->fd >= 0)
        close(table->fd);
    table->fd = -1;
    buffer_clear(&table->waiting);
    int rc = get_part(lake, table);
    if (rc < 0 || (rc == 1 && remove_newer(lake, table) != 0) || (rc == 0 && adopt_newest(lake, table) != 0))
        return -1;
    if (table->part.date[0] == '\0')
        return 0;
    path_of(lake, table, path);
    if ((table->fd = open(path, O_WRONLY | O_CLOEXEC)) < 0) {
        if (errno != ENOENT)
            return failed(lake, "open", path);
        /* Its reader has moved it away, which is his right: go on with the next one. */
        table->part.bytes = (uint64_t)lake->parameters.part_bytes;
        return 0;
    }
    return ftruncate(table->fd, (off_t)table->part.bytes) == 0 ? 0 : failed(lake, "cut back", path);
}

static int
lake_load(void *state)
{
    struct lake *lake = state;

    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        if (recover_part(lake, &lake->tables[i]) != 0)
            return -1;
    }
    return 0;
}

static void
date_of(int64_t wall_ms, char *date)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(date, DATE_SIZE, "%Y-%m-%d", &utc);
}

/* Begin a new part of date. */
static int
begin_part(struct lake *lake, struct lake_table *table, const char *date)
{
    char path[PATH_SIZE];

    dir_of(lake, table, date, path);
    if (file_make_dirs(path) != 0)
        return failed(lake, "make", path);
    table->part.number = strcmp(table->part.date, date) == 0 ? table->part.number + 1 : 1;
    memcpy(table->part.date, date, DATE_SIZE);
    table->part.bytes = 0;
    if (table->fd >= 0)
        close(table->fd);
    char file[PATH_SIZE];
    path_of(lake, table, file);
    table->fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (table->fd < 0)
        return failed(lake, "make", file);
    return file_sync_dir(path) == 0 ? 0 : failed(lake, "sync", path);
}

/* Write and sync what the transaction has for table. */
static int
flush_table(struct lake *lake, struct lake_table *table, const char *date)
{
    char path[PATH_SIZE];

    if (table->waiting.len == 0)
        return 0;
    /* A clock that went back must not make an older part the newest. */
    bool new_day = strcmp(table->part.date, date) < 0;
    if ((new_day || table->part.bytes >= (uint64_t)lake->parameters.part_bytes) &&
        begin_part(lake, table, new_day ? date : table->part.date) != 0)
        return -1;
    if (file_write_at(table->fd, table->waiting.data, table->waiting.len, table->part.bytes) != 0 ||
        fdatasync(table->fd) != 0) {
        path_of(lake, table, path);
        return failed(lake, "write", path);
    }
    table->part.bytes += table->waiting.len;
    buffer_clear(&table->waiting);
    return put_part(lake, table);
}

static int
lake_flush(void *state, int64_t now_ms, int64_t wall_ms)
{
    struct lake *lake = state;
    char date[DATE_SIZE];

    (void)now_ms;
    date_of(wall_ms, date);
    for (unsigned i = 0; i < lake->parameters.table_count; i++) {
        if (flush_table(lake, &lake->tables[i], date) != 0)
            return -1;
    }
    lake->complained = 0;
    return 0;
}

/* Remember the record as its row's newest: 1, 0 it is that already, −1. */
static int
note_row(struct lake *lake, const struct lake_table *table, const struct arrival *arrival)
{
    char value[8];
    struct span known;

    buffer_clear(&lake->row_key);
    buffer_add_text(&lake->row_key, table->path);
    buffer_add_byte(&lake->row_key, '/');
    buffer_add_span(&lake->row_key, arrival->row);
    bytes_put_u64(value, hash_64(&lake->key, arrival->record->body));
    int rc = store_get(lake->store, lake->rows, buffer_span(&lake->row_key), &known);
    if (rc < 0 || (rc == 1 && span_equal(known, span_at(value, sizeof value))))
        return rc < 0 ? -1 : 0;
    return store_put(lake->store, lake->rows, buffer_span(&lake->row_key), span_at(value, sizeof value)) == 0 ? 1 : -1;
}

static enum verdict
lake_take(void *state, const struct arrival *arrival)
{
    struct lake *lake = state;
    struct lake_table *table = &lake->tables[arrival->input];
    struct span line = arrival->record->body;

    if (table->rows) {
        int rc = note_row(lake, table, arrival);
        if (rc != 1)
            return rc == 0 ? VERDICT_DUPLICATE : VERDICT_ERROR;
        buffer_add_text(&table->waiting, "{\"row\":");
        buffer_add_json_string(&table->waiting, arrival->row);
        buffer_add_byte(&table->waiting, ',');
        line = span_at(line.at + 1, line.len - 1); /* its '{' is written already; no row is without members */
    }
    buffer_add_span(&table->waiting, line);
    buffer_add_byte(&table->waiting, '\n');
    return VERDICT_PASSED;
}

const struct operator lake_operator = {
    .name = "lake",
    .open = lake_open,
    .close = lake_close,
    .load = lake_load,
    .take = lake_take,
    .flush = lake_flush,
};
