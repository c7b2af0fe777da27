#include "cut.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../simulator/dice.h"

#define SECTOR_BYTES 512

/* Something that a file's next sync makes durable: a page, or with page NULL a size. */
struct pending {
    unsigned event;
    uint32_t number;
    const struct page *page;
    uint64_t size;
};

struct content {
    const struct page **pages;
    unsigned page_count, page_capacity;
    uint64_t size;
};

struct name {
    const char *text;
    unsigned node;
};

struct names {
    struct name *list;
    unsigned count, capacity;
};

/* A node as it may be found after the cut. */
struct remains {
    struct content durable; /* of a file */
    struct names names;     /* of a folder: the durable ones */
    struct pending *pending; /* since then, in order; of a folder only the events */
    unsigned pending_count, pending_capacity;

    uint64_t chosen_for; /* what follows is of this state */
    struct content chosen;
    struct names chosen_names;
    uint64_t key;

    /* The file that is linked to where the state has it, so that only what differs from the last state is written. */
    int fd; /* −1 there is none yet */
    ino_t inode;
    uint64_t *sums; /* of its pages; 0 not known */
    unsigned sum_count, sum_capacity;
    uint64_t built_size;
};

struct cut {
    const struct tape *tape;
    char root[300];  /* what is built */
    char files[300]; /* and the files that are linked to there */
    struct remains *nodes;
    unsigned instant; /* events before this one have happened */
    uint64_t state;
    enum cut_way ways[GROUPS_MAX];
    unsigned one;
    struct page *torn; /* pages of the state at hand that nobody wrote like that */
    unsigned torn_count, torn_capacity;
};

static struct cut *watched;

/* Contents and names. */

static void
set_page(struct content *content, unsigned number, const struct page *page)
{
    while (content->page_count <= number) {
        content->pages = tape_grow(content->pages, content->page_count, &content->page_capacity, sizeof content->pages[0]);
        content->pages[content->page_count++] = &page_of_zeros;
    }
    content->pages[number] = page;
}

static const struct page *
page_at(const struct content *content, unsigned number)
{
    return number < content->page_count ? content->pages[number] : &page_of_zeros;
}

static void
copy_content(struct content *to, const struct content *from)
{
    to->pages = tape_grow(to->pages, from->page_count, &to->page_capacity, sizeof to->pages[0]);
    to->page_count = from->page_count;
    to->size = from->size;
    if (from->page_count > 0)
        memcpy(to->pages, from->pages, from->page_count * sizeof from->pages[0]);
}

static int
find_name(const struct names *names, const char *text)
{
    for (unsigned i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].text, text) == 0)
            return (int)i;
    }
    return -1;
}

static void
apply_names(struct names *names, const struct event *event)
{
    const int from = event->from != NULL ? find_name(names, event->from) : -1;

    if (from >= 0)
        names->list[from] = names->list[--names->count];
    if (event->to == NULL)
        return;
    int to = find_name(names, event->to);
    if (to < 0) {
        names->list = tape_grow(names->list, names->count, &names->capacity, sizeof names->list[0]);
        to = (int)names->count++;
    }
    names->list[to] = (struct name){event->to, event->child};
}

static void
copy_names(struct names *to, const struct names *from)
{
    to->list = tape_grow(to->list, from->count, &to->capacity, sizeof to->list[0]);
    to->count = from->count;
    if (from->count > 0)
        memcpy(to->list, from->list, from->count * sizeof from->list[0]);
}

/* Time. */

static void
add_pending(struct remains *node, struct pending pending)
{
    node->pending = tape_grow(node->pending, node->pending_count, &node->pending_capacity, sizeof node->pending[0]);
    node->pending[node->pending_count++] = pending;
}

static void
change(struct cut *cut, const struct event *event, unsigned number)
{
    struct remains *node = &cut->nodes[event->node];
    const struct page_change *changes = &cut->tape->page_changes[event->first_page];

    for (unsigned i = 0; i < event->page_count; i++)
        add_pending(node, (struct pending){number, changes[i].number, changes[i].page, 0});
    add_pending(node, (struct pending){number, 0, NULL, event->size});
}

static bool
has_page(const struct cut *cut, const struct event *event, const struct pending *pending)
{
    const struct page_change *changes = &cut->tape->page_changes[event->first_page];

    for (unsigned i = 0; i < event->page_count; i++) {
        if (changes[i].number == pending->number)
            return true;
    }
    return false;
}

/* All of a file, or the pages that event names: those with the size that it took to write them. */
static void
sync_file(struct cut *cut, const struct event *event)
{
    struct remains *node = &cut->nodes[event->node];
    unsigned left = 0;

    for (unsigned i = 0; i < node->pending_count; i++) {
        const struct pending *pending = &node->pending[i];
        if (pending->page == NULL && (event->page_count == 0 || pending->size > node->durable.size))
            node->durable.size = pending->size;
        else if (pending->page != NULL && (event->page_count == 0 || has_page(cut, event, pending)))
            set_page(&node->durable, pending->number, pending->page);
        else
            node->pending[left++] = *pending;
    }
    node->pending_count = left;
}

static void
sync_names(struct cut *cut, struct remains *node)
{
    for (unsigned i = 0; i < node->pending_count; i++)
        apply_names(&node->names, &cut->tape->events[node->pending[i].event]);
    node->pending_count = 0;
}

void
cut_go(struct cut *cut, unsigned event_number)
{
    for (; cut->instant <= event_number; cut->instant++) {
        const struct event *event = &cut->tape->events[cut->instant];
        if (event->kind == EVENT_CHANGE)
            change(cut, event, cut->instant);
        else if (event->kind == EVENT_NAMES)
            add_pending(&cut->nodes[event->node], (struct pending){.event = cut->instant});
        else if (event->kind == EVENT_SYNC && cut->tape->nodes[event->node].folder)
            sync_names(cut, &cut->nodes[event->node]);
        else if (event->kind == EVENT_SYNC)
            sync_file(cut, event);
    }
}

static int
newer_first(const void *a, const void *b)
{
    const unsigned x = *(const unsigned *)a;
    const unsigned y = *(const unsigned *)b;

    return (x < y) - (x > y);
}

unsigned
cut_pending(struct cut *cut, unsigned group, unsigned *events, unsigned count_max)
{
    static unsigned *found;
    static unsigned capacity;
    unsigned count = 0;

    for (unsigned n = 0; n < cut->tape->node_count; n++) {
        const struct remains *node = &cut->nodes[n];
        if (cut->tape->nodes[n].group != group)
            continue;
        for (unsigned i = 0; i < node->pending_count; i++) {
            if (i > 0 && node->pending[i].event == node->pending[i - 1].event)
                continue;
            found = tape_grow(found, count, &capacity, sizeof found[0]);
            found[count++] = node->pending[i].event;
        }
    }
    if (count > 0)
        qsort(found, count, sizeof found[0], newer_first);
    for (unsigned i = 0; i < count && i < count_max; i++)
        events[i] = found[i];
    return count;
}

/* Choosing. */

/* How the dice fall for one node. */
struct fall {
    enum cut_way way;
    unsigned one;
    unsigned percent;  /* of what may be there */
    bool by_event;     /* what one call wrote is there or not; else each page by itself */
    bool prefix;       /* what comes behind the first that is not there is not there either */
    bool torn;
    unsigned event;    /* that was decided on last, and how */
    bool kept;
    bool over;
};

static struct fall
roll(const struct cut *cut, unsigned group)
{
    static const unsigned percents[] = {0, 10, 50, 90, 100};
    struct fall fall = {.way = cut->ways[group], .one = cut->one, .event = UINT32_MAX};

    if (fall.way != CUT_ANY)
        return fall;
    fall.percent = percents[dice_roll(sizeof percents / sizeof percents[0])];
    fall.by_event = dice_chance(50);
    fall.prefix = dice_chance(25);
    fall.torn = dice_chance(25);
    return fall;
}

static bool
is_kept(struct fall *fall, const struct pending *pending)
{
    switch (fall->way) {
    case CUT_NONE:
        return false;
    case CUT_ALL:
        return true;
    case CUT_DROP:
        return pending->event != fall->one;
    case CUT_KEEP:
        return pending->event == fall->one;
    default:
        if (!fall->by_event || pending->event != fall->event)
            fall->kept = !fall->over && dice_chance(fall->percent);
        fall->event = pending->event;
        fall->over = fall->prefix && !fall->kept;
        return fall->kept;
    }
}

/* A page whose sectors are of what stood in it before or after. */
static const struct page *
tear(struct cut *cut, const struct page *before, const struct page *after)
{
    if (before == after || cut->torn_count == cut->torn_capacity)
        return after;
    struct page *page = &cut->torn[cut->torn_count++];
    for (unsigned at = 0; at < PAGE_BYTES; at += SECTOR_BYTES)
        memcpy(page->bytes + at, (dice_chance(50) ? before : after)->bytes + at, SECTOR_BYTES);
    page_seal(page);
    return page;
}

static uint64_t
choose_size(const struct fall *fall, const struct content *durable, uint64_t kept, uint64_t least, uint64_t most)
{
    if (fall->way != CUT_ANY || durable->size == kept || dice_chance(75))
        return kept;
    return least + (uint64_t)dice_roll((unsigned)(most - least) + 1);
}

static void
choose_content(struct cut *cut, struct remains *node, struct fall *fall)
{
    uint64_t kept = node->durable.size, least = kept, most = kept;

    copy_content(&node->chosen, &node->durable);
    for (unsigned i = 0; i < node->pending_count; i++) {
        const struct pending *pending = &node->pending[i];
        const bool is_there = is_kept(fall, pending);
        if (pending->page == NULL) {
            kept = is_there ? pending->size : kept;
            least = pending->size < least ? pending->size : least;
            most = pending->size > most ? pending->size : most;
        } else if (is_there) {
            const struct page *page = pending->page;
            if (fall->torn && dice_chance(25))
                page = tear(cut, page_at(&node->chosen, pending->number), page);
            set_page(&node->chosen, pending->number, page);
        }
    }
    node->chosen.size = choose_size(fall, &node->durable, kept, least, most);
}

static void
choose_names(struct cut *cut, struct remains *node, struct fall *fall)
{
    copy_names(&node->chosen_names, &node->names);
    for (unsigned i = 0; i < node->pending_count; i++) {
        if (is_kept(fall, &node->pending[i]))
            apply_names(&node->chosen_names, &cut->tape->events[node->pending[i].event]);
    }
}

static uint64_t
key_of_content(const struct content *content)
{
    const uint64_t pages = (content->size + PAGE_BYTES - 1) / PAGE_BYTES;
    uint64_t key = tape_mix(1, content->size);

    for (unsigned i = 0; i < content->page_count && i < pages; i++) {
        if (content->pages[i] != &page_of_zeros)
            key = tape_mix(tape_mix(key, i), content->pages[i]->sum);
    }
    return key;
}

/* What node is in the chosen state, decided when somebody first looks. */
static struct remains *
look(struct cut *cut, unsigned number)
{
    struct remains *node = &cut->nodes[number];

    if (node->chosen_for == cut->state)
        return node;
    struct fall fall = roll(cut, cut->tape->nodes[number].group);
    node->chosen_for = cut->state;
    if (cut->tape->nodes[number].folder) {
        choose_names(cut, node, &fall);
    } else {
        choose_content(cut, node, &fall);
        node->key = key_of_content(&node->chosen);
    }
    return node;
}

void
cut_choose(struct cut *cut, const enum cut_way *ways, unsigned one)
{
    cut->state++;
    cut->torn_count = 0;
    cut->one = one;
    memcpy(cut->ways, ways, sizeof cut->ways);
}

/* The node at path in the chosen state, or −1. */
static int
find(struct cut *cut, const char *path)
{
    char name[256];
    unsigned node = 0;

    while (*path != '\0') {
        const size_t len = strcspn(path, "/");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        const struct names *names = &look(cut, node)->chosen_names;
        const int at = find_name(names, name);
        if (at < 0)
            return -1;
        node = names->list[at].node;
        path += len + (path[len] == '/');
    }
    return (int)node;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static uint64_t
key_of(struct cut *cut, unsigned number)
{
    struct remains *node = look(cut, number);
    uint64_t key = 2;

    if (!cut->tape->nodes[number].folder)
        return node->key;
    if (node->chosen_names.count > 0)
        qsort(node->chosen_names.list, node->chosen_names.count, sizeof node->chosen_names.list[0], by_name);
    for (unsigned i = 0; i < node->chosen_names.count; i++) {
        for (const char *at = node->chosen_names.list[i].text; *at != '\0'; at++)
            key = tape_mix(key, (unsigned char)*at);
        key = tape_mix(key, key_of(cut, node->chosen_names.list[i].node));
    }
    return key;
}

uint64_t
cut_key(struct cut *cut, const char *path)
{
    const int node = find(cut, path);

    return node < 0 ? 0 : key_of(cut, (unsigned)node) | 1;
}

/* Building. */

static void
set_sum(struct remains *node, unsigned number, uint64_t sum)
{
    while (node->sum_count <= number) {
        node->sums = tape_grow(node->sums, node->sum_count, &node->sum_capacity, sizeof node->sums[0]);
        node->sums[node->sum_count++] = page_of_zeros.sum;
    }
    node->sums[number] = sum;
}

static void
make_file(struct cut *cut, struct remains *node)
{
    char path[512];
    struct stat status;

    snprintf(path, sizeof path, "%s/%u", cut->files, (unsigned)(node - cut->nodes));
    node->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (node->fd < 0 || fstat(node->fd, &status) != 0)
        abort();
    node->inode = status.st_ino;
    node->built_size = 0;
}

static void
set_size(struct remains *node, uint64_t size)
{
    if (node->built_size == size)
        return;
    if (ftruncate(node->fd, (off_t)size) != 0)
        abort();
    for (unsigned i = (unsigned)(size / PAGE_BYTES); i < node->sum_count; i++)
        node->sums[i] = i * (uint64_t)PAGE_BYTES < size ? 0 : page_of_zeros.sum;
    node->built_size = size;
}

static void
write_file(struct cut *cut, struct remains *node)
{
    const struct content *content = &node->chosen;
    const unsigned pages = (unsigned)((content->size + PAGE_BYTES - 1) / PAGE_BYTES);

    if (node->fd < 0)
        make_file(cut, node);
    set_size(node, content->size);
    for (unsigned i = 0; i < pages && (i < content->page_count || i < node->sum_count); i++) {
        const struct page *page = page_at(content, i);
        const uint64_t there = i < node->sum_count ? node->sums[i] : page_of_zeros.sum;
        const uint64_t left = content->size - i * (uint64_t)PAGE_BYTES;
        const size_t len = left < PAGE_BYTES ? (size_t)left : PAGE_BYTES;
        if (there == page->sum)
            continue;
        if (pwrite(node->fd, page->bytes, len, (off_t)i * PAGE_BYTES) != (ssize_t)len)
            abort();
        set_sum(node, i, len == PAGE_BYTES ? page->sum : 0);
    }
}

static void
build(struct cut *cut, unsigned number, const char *path)
{
    struct remains *node = look(cut, number);
    char below[1024];

    if (!cut->tape->nodes[number].folder) {
        write_file(cut, node);
        snprintf(below, sizeof below, "%s/%u", cut->files, number);
        if (link(below, path) != 0)
            abort();
        return;
    }
    if (mkdir(path, 0700) != 0)
        abort();
    for (unsigned i = 0; i < node->chosen_names.count; i++) {
        snprintf(below, sizeof below, "%s/%s", path, node->chosen_names.list[i].text);
        build(cut, node->chosen_names.list[i].node, below);
    }
}

/* Make the folders that path is in. */
static void
make_parents(const char *path)
{
    char part[1024];

    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(part, 0700);
        *slash = '/';
    }
}

void
cut_build(struct cut *cut, const char *path)
{
    char whole[512];
    const int node = find(cut, path);

    if (node < 0)
        return;
    snprintf(whole, sizeof whole, "%s%s%s", cut->root, *path != '\0' ? "/" : "", path);
    make_parents(whole);
    build(cut, (unsigned)node, whole);
}

const char *
cut_root(const struct cut *cut)
{
    return cut->root;
}

static void
clear(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char below[1024];

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            clear(below);
        else
            unlink(below);
    }
    closedir(dir);
    rmdir(path);
}

void
cut_clear(struct cut *cut)
{
    clear(cut->root);
}

/* len bytes at offset of what is built have changed. */
static void
touch(struct remains *node, uint64_t offset, uint64_t len, bool zeros)
{
    const uint64_t end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;

    for (uint64_t i = offset / PAGE_BYTES; i * PAGE_BYTES < end && (i < node->sum_count || !zeros); i++) {
        const bool whole = i * PAGE_BYTES >= offset && end - i * PAGE_BYTES >= PAGE_BYTES;
        set_sum(node, (unsigned)i, zeros && whole ? page_of_zeros.sum : 0);
    }
}

void
cut_touched(ino_t inode, uint64_t offset, uint64_t len, bool zeros)
{
    struct stat status;

    for (unsigned n = watched->tape->node_count; n-- > 0;) {
        struct remains *node = &watched->nodes[n];
        if (node->fd < 0 || node->inode != inode)
            continue;
        touch(node, offset, len, zeros);
        if (fstat(node->fd, &status) != 0)
            abort();
        node->built_size = (uint64_t)status.st_size;
        return;
    }
}

/* Beginning and end. */

struct cut *
cut_new(const struct tape *tape, const char *dir)
{
    struct cut *cut = calloc(1, sizeof *cut);

    if (cut == NULL)
        abort();
    cut->tape = tape;
    snprintf(cut->root, sizeof cut->root, "%s/state", dir);
    snprintf(cut->files, sizeof cut->files, "%s/files", dir);
    cut->nodes = calloc(tape->node_count, sizeof cut->nodes[0]);
    cut->torn_capacity = 4096;
    cut->torn = malloc(cut->torn_capacity * sizeof cut->torn[0]);
    if (cut->nodes == NULL || cut->torn == NULL || mkdir(cut->files, 0700) != 0)
        abort();
    for (unsigned i = 0; i < tape->node_count; i++)
        cut->nodes[i].fd = -1;
    cut_go(cut, tape->begin > 0 ? tape->begin - 1 : 0);
    watched = cut;
    return cut;
}

void
cut_free(struct cut *cut)
{
    cut_clear(cut);
    clear(cut->files);
    for (unsigned i = 0; i < cut->tape->node_count; i++) {
        struct remains *node = &cut->nodes[i];
        if (node->fd >= 0)
            close(node->fd);
        free(node->durable.pages);
        free(node->chosen.pages);
        free(node->names.list);
        free(node->chosen_names.list);
        free(node->pending);
        free(node->sums);
    }
    free(cut->nodes);
    free(cut->torn);
    free(cut);
}
