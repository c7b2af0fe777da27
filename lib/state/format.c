#include "state/format.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/name.h"
#include "record/record.h"

/*
 * The version of everything in a store: keys, values, what they mean. A store of another version is refused.
 *
 * To change a layout: give it the next number here, let format_load read stores of the version before and rewrite them in
 * steps of at most BATCH_WORK_MAX entries a transaction (a note in "meta" says how far it is), and keep that code until no
 * store of the old version can be left; or, where the state can be made again by loading once more, refuse it and say so
 * in the release notes.
 *
 * What 3 has more than 2 is told apart where it stands (flags of a customer's row, the sign of a consent's date, the length
 * of a place, keys that are absent), so a store of 2 becomes one of 3 with its first transaction; and one of 3 one of 4,
 * which says that entries of the inbox may have marks: programs of before would take them for damaged.
 */
#define FORMAT_VERSION 4
#define FORMAT_OLDEST 2

static const struct span format_key = {"format", 6};
static const struct span process_key = {"process", 7};
static const struct span email_case_key = {"email_case", 10};
static const struct span clock_key = {"clock", 5};

static bool
is_read(uint64_t format)
{
    return format >= FORMAT_OLDEST && format <= FORMAT_VERSION;
}

bool
format_is_name(struct span text)
{
    bool right = text.len > 0 && text.len < NAME_SIZE;

    for (size_t i = 0; right && i < text.len; i++)
        right = text.at[i] >= ' ' && text.at[i] <= '~';
    return right;
}

int
format_touch(struct store *store, int meta)
{
    char value[8];

    bytes_put_u64(value, FORMAT_VERSION);
    return store_put(store, meta, format_key, span_at(value, sizeof value));
}

/* Rows and persons are kept by hashes of the addresses, which can't be made again in the other way. */
int
format_fits_email_case(struct store *store, int meta, bool fold_email, struct buffer *fault)
{
    struct span value;
    int rc = store_get(store, meta, email_case_key, &value);

    if (rc < 0)
        return -1;
    const bool folded = rc == 1 && value.len == 1 && value.at[0] == 1;
    if (folded == fold_email)
        return 1;
    buffer_printf(fault, "was made with [limits] email_case = %s, and the configuration says %s: set it back, or, to begin "
                  "anew with the other, stop all processes, remove the state folders and the lake, and load again",
                  folded ? "fold" : "keep", folded ? "keep" : "fold");
    return 0;
}

static int
check_email_case(struct store *store, int meta, bool fold_email, const char *dir)
{
    struct buffer fault = {0};
    const int rc = format_fits_email_case(store, meta, fold_email, &fault);

    if (rc == 0)
        log_config_error("the state in %s %s", dir, buffer_text(&fault));
    buffer_free(&fault);
    return rc == 1 ? 0 : -1;
}

/* Whose state it is: 1 that process's, 0 the store does not say it, −1 another's, with a line in the log, or an error. */
static int
check_process(struct store *store, int meta, const char *process)
{
    struct span value;
    const int rc = store_get(store, meta, process_key, &value);

    if (rc != 1 || span_is(value, process))
        return rc;
    if (!format_is_name(value))
        return store_damaged_at(store, meta, process_key, "a name that is none");
    log_error("what lies in the place of %s's state is that of %.*s: put each state folder back in its place", process,
              (int)value.len, value.at);
    return -1;
}

/* A store in which nothing was ever committed becomes that of this process. */
static int
begin(struct store *store, int meta, const char *process, bool fold_email)
{
    if (!store_is_new(store))
        return store_damaged_at(store, meta, format_key, "it is missing");
    if (format_touch(store, meta) != 0 || store_put(store, meta, process_key, span_of(process)) != 0)
        return -1;
    return fold_email ? store_put(store, meta, email_case_key, span_at("\1", 1)) : 0;
}

int
format_load(struct store *store, int meta, const char *process, bool fold_email, const char *dir)
{
    struct span value;
    int rc = store_get_exact(store, meta, format_key, 8, &value);

    if (rc != 1)
        return rc < 0 ? -1 : begin(store, meta, process, fold_email);
    const uint64_t format = bytes_get_u64(value.at);
    if (!is_read(format)) {
        log_error("the state in %s has format %" PRIu64 ", and this program reads %d to %d: go on with the version that "
                  "made it, or remove the folder and load again", dir, format, FORMAT_OLDEST, FORMAT_VERSION);
        return -1;
    }
    if ((rc = check_process(store, meta, process)) < 0)
        return -1;
    if (rc == 0 && store_put(store, meta, process_key, span_of(process)) != 0)
        return -1;
    if (format != FORMAT_VERSION && format_touch(store, meta) != 0)
        return -1;
    return check_email_case(store, meta, fold_email, dir);
}

int
format_look(struct store *store, int meta, const char *process)
{
    struct span value;
    const int rc = store_get(store, meta, format_key, &value);

    if (rc != 1 || value.len < 8)
        return 0;
    const uint64_t format = bytes_get_u64(value.at);
    if (!is_read(format)) {
        log_error("the state of %s has format %" PRIu64 ", and this program reads %d to %d", process, format, FORMAT_OLDEST,
                  FORMAT_VERSION);
        return -1;
    }
    return check_process(store, meta, process) < 0 ? -1 : 1;
}

int
format_put_time(struct store *store, int meta, struct timekeeper_mark mark)
{
    char value[16];

    log_assert(record_time_is_right(mark.now_ms) && record_time_is_right(mark.wall_ms)); /* else it is not read again */
    bytes_put_u64(value, (uint64_t)mark.now_ms);
    bytes_put_u64(value + 8, (uint64_t)mark.wall_ms);
    return store_put(store, meta, clock_key, span_at(value, sizeof value));
}

int
format_load_time(struct store *store, int meta, struct timekeeper_mark *mark)
{
    struct span value;
    int rc = store_get_exact(store, meta, clock_key, 16, &value);

    *mark = (struct timekeeper_mark){0};
    if (rc == 1)
        *mark = (struct timekeeper_mark){(int64_t)bytes_get_u64(value.at), (int64_t)bytes_get_u64(value.at + 8)};
    if (!record_time_is_right(mark->now_ms) || !record_time_is_right(mark->wall_ms))
        return store_damaged_at(store, meta, clock_key, "a time that is none");
    return rc < 0 ? -1 : 0;
}
