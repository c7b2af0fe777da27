#include "tape.h"

#include <dirent.h>
#include <stdlib.h>

#include "../unit/disk.h"

#define BLOCK_BYTES (1u << 20)

struct page page_of_zeros;

static struct tape *recording;
static void (*watcher)(ino_t inode, uint64_t offset, uint64_t len, bool zeros);

/* Memory. */

void *
tape_grow(void *list, unsigned count, unsigned *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    *capacity = count * 2 + 16;
    list = realloc(list, *capacity * size);
    if (list == NULL)
        abort();
    return list;
}

static void *
keep(struct tape *tape, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size > BLOCK_BYTES)
        abort();
    if (tape->block_count == 0 || tape->block_used + size > BLOCK_BYTES) {
        tape->memory = tape_grow(tape->memory, tape->block_count, &tape->block_capacity, sizeof tape->memory[0]);
        if ((tape->memory[tape->block_count++] = malloc(BLOCK_BYTES)) == NULL)
            abort();
        tape->block_used = 0;
    }
    tape->block_used += size;
    return (char *)tape->memory[tape->block_count - 1] + tape->block_used - size;
}

static const char *
keep_text(struct tape *tape, const char *text)
{
    return text == NULL ? NULL : memcpy(keep(tape, strlen(text) + 1), text, strlen(text) + 1);
}

uint64_t
tape_mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

void
page_seal(struct page *page)
{
    uint64_t sum = 0;
    uint64_t word;

    for (size_t i = 0; i < PAGE_BYTES; i += sizeof word) {
        memcpy(&word, page->bytes + i, sizeof word);
        sum = tape_mix(sum, word);
    }
    page->sum = sum | 1;
}

/* Events. */

static struct event *
add_event(struct tape *tape, enum event_kind kind, unsigned node)
{
    tape->events = tape_grow(tape->events, tape->event_count, &tape->event_capacity, sizeof tape->events[0]);
    struct event *event = &tape->events[tape->event_count++];
    *event = (struct event){.kind = kind, .node = node, .time_ms = *tape->clock_ms, .first_page = tape->change_count};
    return event;
}

static const struct page *
page_at(const struct node *node, unsigned number)
{
    return number < node->page_count ? node->pages[number] : &page_of_zeros;
}

static void
set_page(struct tape *tape, struct node *node, unsigned number, const struct page *page)
{
    if (page_at(node, number) == page)
        return;
    while (node->page_count <= number) {
        node->pages = tape_grow(node->pages, node->page_count, &node->page_capacity, sizeof node->pages[0]);
        node->pages[node->page_count++] = &page_of_zeros;
    }
    node->pages[number] = page;
    tape->page_changes =
        tape_grow(tape->page_changes, tape->change_count, &tape->change_capacity, sizeof tape->page_changes[0]);
    tape->page_changes[tape->change_count++] = (struct page_change){number, page};
}

/* Put len bytes, zeros if bytes is NULL, at offset. */
static void
patch(struct tape *tape, struct node *node, uint64_t offset, const unsigned char *bytes, uint64_t len)
{
    while (len > 0) {
        const unsigned number = (unsigned)(offset / PAGE_BYTES);
        const size_t at = offset % PAGE_BYTES;
        const size_t part = len < PAGE_BYTES - at ? (size_t)len : PAGE_BYTES - at;
        const struct page *old = page_at(node, number);
        if (bytes == NULL && (part == PAGE_BYTES || old == &page_of_zeros)) {
            set_page(tape, node, number, &page_of_zeros);
        } else {
            struct page *page = keep(tape, sizeof *page);
            memcpy(page->bytes, old->bytes, PAGE_BYTES);
            if (bytes != NULL)
                memcpy(page->bytes + at, bytes, part);
            else
                memset(page->bytes + at, 0, part);
            page_seal(page);
            set_page(tape, node, number, page);
        }
        offset += part;
        len -= part;
        bytes = bytes != NULL ? bytes + part : NULL;
    }
}

/* Begin a change of node, and end it. */
static unsigned
begin_change(struct tape *tape, unsigned node)
{
    add_event(tape, EVENT_CHANGE, node);
    return tape->event_count - 1;
}

static void
end_change(struct tape *tape, unsigned event, uint64_t size)
{
    tape->events[event].page_count = tape->change_count - tape->events[event].first_page;
    tape->events[event].size = size;
    tape->nodes[tape->events[event].node].size = size;
}

static void
resize(struct tape *tape, unsigned number, uint64_t size)
{
    struct node *node = &tape->nodes[number];
    const unsigned event = begin_change(tape, number);
    const uint64_t end = (uint64_t)node->page_count * PAGE_BYTES;

    if (size < end)
        patch(tape, node, size, NULL, end - size);
    end_change(tape, event, size);
}

/* Nodes and names. */

static int
node_of_inode(const struct tape *tape, ino_t inode)
{
    for (unsigned i = tape->node_count; i-- > 0;) {
        if (tape->nodes[i].inode == inode)
            return (int)i;
    }
    return -1;
}

static int
node_of_fd(const struct tape *tape, int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? node_of_inode(tape, status.st_ino) : -1;
}

/* A new file or folder called name in the folder parent. */
static unsigned
add_node(struct tape *tape, unsigned parent, const char *name, const struct stat *status)
{
    if (tape->node_count == NODES_MAX)
        abort();
    struct node *node = &tape->nodes[tape->node_count++];
    *node = (struct node){.folder = S_ISDIR(status->st_mode), .inode = status->st_ino};
    const char *above = tape->node_count > 1 ? tape->nodes[parent].path : "";
    if (asprintf(&node->path, "%s%s%s", above, *above != '\0' ? "/" : "", name) < 0)
        abort();
    node->group = tape->group_of(node->path);
    return tape->node_count - 1;
}

/* What is called so in the folder; −1: nothing, or nothing of ours. */
static int
node_called(const struct tape *tape, unsigned folder, const char *name)
{
    for (unsigned i = tape->event_count; i-- > 0;) {
        const struct event *event = &tape->events[i];
        if (event->kind != EVENT_NAMES || event->node != folder)
            continue;
        if (event->to != NULL && strcmp(event->to, name) == 0)
            return (int)event->child;
        if (event->from != NULL && strcmp(event->from, name) == 0)
            return -1;
    }
    return -1;
}

/* A name less for what is called so. Without any it is gone, and the file system may give its inode to another. */
static void
take_name(struct tape *tape, unsigned folder, const char *name)
{
    const int number = node_called(tape, folder, name);

    if (number >= 0 && --tape->nodes[number].names == 0)
        tape->nodes[number].inode = 0;
}

static void
add_names(struct tape *tape, unsigned folder, const char *from, const char *to, unsigned child)
{
    if (to != NULL) {
        take_name(tape, folder, to);
        tape->nodes[child].names++;
    }
    if (from != NULL)
        take_name(tape, folder, from);
    struct event *event = add_event(tape, EVENT_NAMES, folder);

    event->child = child;
    event->from = keep_text(tape, from);
    event->to = keep_text(tape, to);
}

/* The folder that path is in, by its node, and the name in it. −1 if it is none of ours. */
static int
folder_of(const struct tape *tape, int dir_fd, const char *path, const char **name)
{
    char folder[512];
    struct stat status;
    const char *slash = strrchr(path, '/');

    *name = slash != NULL ? slash + 1 : path;
    if (slash == NULL)
        return dir_fd != AT_FDCWD ? node_of_fd(tape, dir_fd) : -1;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return stat(folder, &status) == 0 ? node_of_inode(tape, status.st_ino) : -1;
}

/* Nothing that a power cut leaves of these counts: LMDB and flock begin anew with them. */
static bool
is_lock(const char *name)
{
    return strcmp(name, "lock.mdb") == 0 || strcmp(name, "lock") == 0;
}

static void
created(struct tape *tape, const struct disk_call *call)
{
    const char *name;
    struct stat status;
    const int folder = folder_of(tape, call->dir_fd, call->path, &name);

    if (folder < 0 || is_lock(name) || fstatat(call->dir_fd, call->path, &status, 0) != 0)
        return;
    const int known = node_of_inode(tape, status.st_ino);
    if (known < 0)
        add_names(tape, (unsigned)folder, NULL, name, add_node(tape, (unsigned)folder, name, &status));
    else if (call->emptied && tape->nodes[known].size > 0)
        resize(tape, (unsigned)known, 0);
}

/* path has become to, or is called so too. */
static void
named(struct tape *tape, const struct disk_call *call)
{
    const char *from, *to;
    struct stat status;
    const int folder = folder_of(tape, call->dir_fd, call->path, &from);
    const int target = folder_of(tape, call->dir_fd, call->to, &to);

    if (target < 0 || fstatat(call->dir_fd, call->to, &status, 0) != 0)
        return;
    const int child = node_of_inode(tape, status.st_ino);
    if (folder != target || child < 0)
        abort(); /* nobody moves anything from one folder to another */
    add_names(tape, (unsigned)folder, call->deed == DISK_RENAME ? from : NULL, to, (unsigned)child);
}

static void
removed(struct tape *tape, const struct disk_call *call)
{
    const char *name;
    const int folder = folder_of(tape, call->dir_fd, call->path, &name);

    if (folder >= 0 && !is_lock(name))
        add_names(tape, (unsigned)folder, name, NULL, 0);
}

/* Content. */

static void
synced(struct tape *tape, unsigned node, unsigned first_page, unsigned page_count)
{
    struct event *event = add_event(tape, EVENT_SYNC, node);

    event->first_page = first_page;
    event->page_count = page_count;
}

static void
changed(struct tape *tape, unsigned number, const struct disk_call *call)
{
    struct node *node = &tape->nodes[number];
    const unsigned event = begin_change(tape, number);
    uint64_t offset = call->offset;
    struct stat status;

    if (call->deed == DISK_ZERO)
        patch(tape, node, offset, NULL, call->len);
    for (int i = 0; call->deed == DISK_WRITE && i < call->byte_count; offset += call->bytes[i++].iov_len)
        patch(tape, node, offset, call->bytes[i].iov_base, call->bytes[i].iov_len);
    if (fstat(call->fd, &status) != 0)
        abort();
    end_change(tape, event, (uint64_t)status.st_size);
    tape->events[event].synced = call->synced;
    if (call->synced)
        synced(tape, number, tape->events[event].first_page, tape->events[event].page_count);
}

static int
before(const struct disk_call *call)
{
    if (call->deed == DISK_SYNC && recording->while_syncing != NULL) {
        const int node = node_of_fd(recording, call->fd);
        if (node >= 0)
            recording->while_syncing(&recording->nodes[node]);
    }
    return 0;
}

static void
after(const struct disk_call *call)
{
    const int node = call->fd >= 0 ? node_of_fd(recording, call->fd) : -1;

    if (call->deed == DISK_CREATE || call->deed == DISK_MAKE_DIR)
        created(recording, call);
    else if (call->deed == DISK_RENAME || call->deed == DISK_LINK)
        named(recording, call);
    else if (call->deed == DISK_REMOVE)
        removed(recording, call);
    else if (node >= 0 && call->deed == DISK_SYNC)
        synced(recording, (unsigned)node, 0, 0);
    else if (node >= 0 && call->deed == DISK_RESIZE)
        resize(recording, (unsigned)node, call->offset);
    else if (node >= 0)
        changed(recording, (unsigned)node, call);
}

/* What was there. */

static void
add_file(struct tape *tape, unsigned number, const char *path, uint64_t size)
{
    const unsigned event = begin_change(tape, number);
    unsigned char bytes[PAGE_BYTES];
    uint64_t offset = 0;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    while ((got = pread(fd, bytes, sizeof bytes, (off_t)offset)) > 0) {
        if (memcmp(bytes, page_of_zeros.bytes, (size_t)got) != 0)
            patch(tape, &tape->nodes[number], offset, bytes, (uint64_t)got);
        offset += (uint64_t)got;
    }
    if (got < 0 || offset != size)
        abort();
    close(fd);
    end_change(tape, event, size);
    synced(tape, number, 0, 0);
}

static void
add_folder(struct tape *tape, unsigned number, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char below[512];
    struct stat status;

    if (dir == NULL)
        abort();
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || is_lock(entry->d_name))
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &status) != 0 || node_of_inode(tape, status.st_ino) >= 0)
            abort();
        const unsigned child = add_node(tape, number, entry->d_name, &status);
        add_names(tape, number, NULL, entry->d_name, child);
        if (tape->nodes[child].folder)
            add_folder(tape, child, below);
        else
            add_file(tape, child, below, (uint64_t)status.st_size);
    }
    closedir(dir);
    synced(tape, number, 0, 0);
}

void
tape_begin(struct tape *tape, const char *root, unsigned (*group_of)(const char *path), const int64_t *clock_ms)
{
    struct stat status;

    page_seal(&page_of_zeros);
    *tape = (struct tape){.group_of = group_of, .clock_ms = clock_ms};
    snprintf(tape->root, sizeof tape->root, "%s", root);
    if (stat(root, &status) != 0)
        abort();
    add_node(tape, 0, "", &status);
    add_folder(tape, 0, root);
    tape->begin = tape->event_count;
    recording = tape;
    disk_before = before;
    disk_after = after;
    disk_is_sparse = true;
}

void *
tape_mark(struct tape *tape, const void *mark, size_t size)
{
    void *copy = memcpy(keep(tape, size), mark, size);

    add_event(tape, EVENT_MARK, 0)->mark = copy;
    return copy;
}

void
tape_end(void)
{
    recording = NULL;
    disk_before = NULL;
    disk_after = NULL;
    disk_is_sparse = false;
}

void
tape_free(struct tape *tape)
{
    for (unsigned i = 0; i < tape->node_count; i++) {
        free(tape->nodes[i].path);
        free(tape->nodes[i].pages);
    }
    for (unsigned i = 0; i < tape->block_count; i++)
        free(tape->memory[i]);
    free(tape->memory);
    free(tape->events);
    free(tape->page_changes);
}

/* Watching. */

static int
let(const struct disk_call *call)
{
    (void)call;
    return 0; /* with a hook here, nothing waits for a disk */
}

static void
watch(const struct disk_call *call)
{
    struct stat status;

    if (call->fd < 0 ? !call->emptied : call->deed == DISK_SYNC)
        return;
    if ((call->fd < 0 ? fstatat(call->dir_fd, call->path, &status, 0) : fstat(call->fd, &status)) != 0)
        return;
    if (call->deed == DISK_WRITE || call->deed == DISK_ZERO)
        watcher(status.st_ino, call->offset, call->len, call->deed == DISK_ZERO);
    else if (call->deed == DISK_ALLOCATE)
        watcher(status.st_ino, 0, 0, true);
    else
        watcher(status.st_ino, (uint64_t)status.st_size, UINT64_MAX, true);
}

void
tape_watch(void (*touched)(ino_t inode, uint64_t offset, uint64_t len, bool zeros))
{
    watcher = touched;
    disk_before = touched != NULL ? let : NULL;
    disk_after = touched != NULL ? watch : NULL;
    disk_is_sparse = touched != NULL;
}
