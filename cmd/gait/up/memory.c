#include "up/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "wire/wire.h"

/* Measured: see WIRE_PROPERTIES_BYTES_MAX. */
#define COST_OF_A_BYTE 150u

#define MIB (1u << 20)

/* The number in the file at path, or UINT64_MAX: there is none, or none in it ("max"). */
static uint64_t
read_limit(struct buffer *path)
{
    struct buffer content = {NULL, 0, 0};
    uint64_t limit = UINT64_MAX;

    if (file_read(buffer_text(path), &content) == 0) {
        const char *text = buffer_text(&content);
        if (text[0] >= '0' && text[0] <= '9')
            limit = strtoull(text, NULL, 10);
    }
    buffer_free(&content);
    return limit;
}

/* The least limit of the group and of all above it. They lie below mount; in a container, which sees another part of that
 * tree than group says, some or all of them are not there. */
static uint64_t
least_limit(const char *root, const char *mount, struct span group, const char *file)
{
    struct buffer path = {NULL, 0, 0};
    uint64_t least = UINT64_MAX;

    for (;;) {
        while (group.len > 0 && group.at[group.len - 1] == '/')
            group.len--;
        buffer_clear(&path);
        buffer_printf(&path, "%s%s%.*s/%s", root, mount, (int)group.len, group.at, file);
        const uint64_t limit = read_limit(&path);
        if (limit < least)
            least = limit;
        if (group.len == 0)
            break;
        const char *slash = memrchr(group.at, '/', group.len);
        group.len = slash == NULL ? 0 : (size_t)(slash - group.at);
    }
    buffer_free(&path);
    return least;
}

/* Whether the word is one of those in list, with commas between them. */
static bool
has_word(struct span list, const char *word)
{
    const size_t len = strlen(word);

    for (size_t at = 0; at + len <= list.len; at++) {
        const bool begins = at == 0 || list.at[at - 1] == ',';
        const bool ends = at + len == list.len || list.at[at + len] == ',';
        if (begins && ends && memcmp(list.at + at, word, len) == 0)
            return true;
    }
    return false;
}

/* The limit that a line of /proc/self/cgroup leads to, "NUMBER:CONTROLLERS:GROUP" (cgroups(7)): in version 2 it has no
 * controllers. */
static uint64_t
limit_of_line(const char *root, struct span line)
{
    const char *first = memchr(line.at, ':', line.len);
    const char *second = first == NULL ? NULL : memchr(first + 1, ':', (size_t)(line.at + line.len - first - 1));

    if (second == NULL)
        return UINT64_MAX;
    const struct span controllers = span_at(first + 1, (size_t)(second - first - 1));
    const struct span group = span_at(second + 1, (size_t)(line.at + line.len - second - 1));
    if (controllers.len == 0)
        return least_limit(root, "/sys/fs/cgroup", group, "memory.max");
    if (has_word(controllers, "memory"))
        return least_limit(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    return UINT64_MAX;
}

uint64_t
memory_of_machine(const char *root)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer groups = {NULL, 0, 0};
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_MAX;

    buffer_printf(&path, "%s/proc/self/cgroup", root);
    if (file_read(buffer_text(&path), &groups) == 0) {
        for (const char *line = buffer_text(&groups); *line != '\0'; line += strspn(line, "\n")) {
            const size_t len = strcspn(line, "\n");
            const uint64_t limit = limit_of_line(root, span_at(line, len));
            memory = limit < memory ? limit : memory;
            line += len;
        }
    }
    buffer_free(&path);
    buffer_free(&groups);
    return memory;
}

void
memory_warn(const struct config *config, const char *path, uint64_t memory_bytes, struct buffer *warnings)
{
    const uint64_t payload = (uint64_t)config_int(config, "limits", "payload");
    const uint64_t cost = COST_OF_A_BYTE * (payload + WIRE_PROPERTIES_BYTES_MAX);

    if (cost <= memory_bytes / 2)
        return;
    buffer_printf(warnings,
                  "%s: [limits] payload: with %s a packet that is all properties takes %" PRIu64 " MiB of a process's "
                  "memory, and this machine has %" PRIu64 " MiB: who may publish one can end the process with it, each time "
                  "it is started. Allow less, there and in max_packet_size of the broker, or give it the memory\n",
                  path, config_text(config, "limits", "payload"), cost / MIB, memory_bytes / MIB);
}
