#include "backup/set.h"

#include <sys/stat.h>

#include "base/say.h"
#include "store/store.h"
#include "streams/catalog.h"

const char *
set_path(const struct set *set, unsigned i, const char *behind, struct buffer *path)
{
    buffer_clear(path);
    buffer_printf(path, "%s/state/%s%s", set->dir, set->members[i].stream->name, behind);
    return buffer_text(path);
}

int
set_find(struct set *set, const struct config *config, const char *dir, struct buffer *missing)
{
    struct buffer path = {NULL, 0, 0};
    struct stat status;

    *set = (struct set){.dir = dir};
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (config_int(config, catalog_streams[i]->name, "enabled") == 0)
            continue;
        set->members[set->count] = (struct cut_member){.stream = catalog_streams[i]};
        if (lstat(set_path(set, set->count, "/store/data.mdb", &path), &status) == 0)
            set->count++;
        else
            buffer_printf(missing, " %s", catalog_streams[i]->name);
    }
    buffer_free(&path);
    if (set->count == 0)
        say("%s/state holds no state of any process", dir);
    return set->count > 0 ? 0 : -1;
}

int
set_open(struct set *set, bool live)
{
    struct buffer path = {NULL, 0, 0};
    int rc = 0;

    for (unsigned i = 0; i < set->count && rc == 0; i++) {
        set->stores[i] = store_open_to_read(set_path(set, i, "/store", &path), live);
        rc = set->stores[i] == NULL ? -1 : 0;
    }
    buffer_free(&path);
    return rc;
}

int
set_look(struct set *set)
{
    int rc = 0;

    for (unsigned i = set->count; i > 0 && rc == 0; i--)
        rc = store_snapshot(set->stores[i - 1]);
    for (unsigned i = 0; i < set->count && rc == 0; i++)
        rc = cut_read(set->stores[i], set->members[i].stream, &set->members[i].positions);
    return rc;
}

bool
set_is_cut(const struct set *set)
{
    struct buffer faults = {NULL, 0, 0};
    const int rc = cut_check(set->members, set->count, &faults);

    say_lines(buffer_text(&faults));
    buffer_free(&faults);
    return rc == 0;
}

void
set_say_back(const struct set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        if (set->members[i].positions.back)
            say("%s went back in time, and nobody has acknowledged that: what its state lacks is not in this backup either; "
                "gait status and its log say more", set->members[i].stream->name);
    }
}

void
set_close(struct set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        store_close(set->stores[i]);
    *set = (struct set){.count = 0};
}
