#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

/*
 * The file is pages of one size. Each begins with struct head, but for those behind the first of a long value. Pages 0 and 1
 * are meta pages, head and struct meta: the one with the higher transaction counts, the other is the one before. Trees of
 * branch and leaf pages have pointers behind the head, u16 each, to where a struct node stands in the page:
 *   in a branch     the number of a page below (size and flags), then a key
 *   in a leaf       the length of a value, then key and value; with NODE_LONG the number of the first of its own pages; with
 *                   NODE_TREE a struct tree, which is a table
 * The tree of free pages has transactions (a word) as keys, and as values a count and so many page numbers (words), the
 * highest first.
 */
struct head {
    size_t number;
    uint16_t pad;
    uint16_t flags;
    union {
        struct {
            uint16_t lower, upper; /* where pointers end, and nodes begin */
        } bounds;
        uint32_t pages; /* of a long value */
    } room;
};

struct tree {
    uint32_t pad; /* in the first one of a meta page: bytes of a page */
    uint16_t flags, depth;
    size_t branches, leaves, longs, entries, root;
};

struct meta {
    uint32_t magic, version;
    size_t address, map_bytes;
    struct tree free, main;
    size_t last; /* page */
    size_t transaction;
};

struct node {
    uint32_t size;
    uint16_t flags, key_bytes;
};

_Static_assert(sizeof(struct head) == sizeof(size_t) + 8 && sizeof(struct tree) == 8 + 5 * sizeof(size_t), "LMDB's layout");

#define MAGIC 0xBEEFC0DEu
#define VERSION 1
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 32768
#define DEPTH_MAX 32 /* LMDB's own */
#define NO_PAGE SIZE_MAX

enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_LONG = 0x04, PAGE_META = 0x08 };
enum { NODE_LONG = 0x01, NODE_TREE = 0x02, NODE_SORTED = 0x04 };
enum { TREE_OF_WORDS = 0x08, TREE_ORDERS = 0x7e }; /* how keys and values of a key are ordered */

/* So many leaves of a table are read, 16 MiB; small tables are read whole. All of 1 GiB takes 0.3 to 0.8 s from memory and
 * 3 s from a disk, and of 30 GiB who starts us would not wait for the end; this takes 0.05 s and 2 s. */
#define LEAVES_READ_MAX 4096

/* So often it is looked at anew because it was written meanwhile. */
#define LOOKS_MAX 8

#define NAME_SHOWN_MAX 60

struct look {
    int fd;
    struct buffer *fault;
    uint64_t pages; /* whole ones of the file */
    size_t page_bytes;
    struct meta meta; /* the newest */
    unsigned char *known; /* a bit for each page of the file: it is in a tree, or free */
    uint64_t behind; /* free pages behind the end of the file: they were given out, and taken back unwritten */
    bool is_short;   /* some were, so all leaves are read */
};

enum tree_kind { TREE_FREE, TREE_MAIN, TREE_TABLE };

/* A tree that is being looked at. */
struct walk {
    struct look *look;
    enum tree_kind kind;
    char name[NAME_SHOWN_MAX + 1];
    uint64_t leaves, entries; /* that were read */
    bool whole;               /* those are all */
};

static int
read_at(struct look *look, void *bytes, size_t len, uint64_t at)
{
    const ssize_t got = file_read_at(look->fd, bytes, len, at);

    if (got == (ssize_t)len)
        return 0;
    if (got < 0)
        buffer_printf(look->fault, "can't be read at byte %" PRIu64 ": %s", at, strerror(errno));
    else
        buffer_printf(look->fault, "ends within page %" PRIu64, at / look->page_bytes);
    return -1;
}

/* Always −1. */
static int
wrong(const struct walk *walk, uint64_t page, const char *what)
{
    static const char *const of[] = {"the list of free pages", "the list of tables", "table "};

    buffer_printf(walk->look->fault, "page %" PRIu64 " of %s%s %s", page, of[walk->kind], walk->name, what);
    return -1;
}

/* The page is in this tree, or free by it, and nowhere else. 0 or −1. */
static int
claim(struct walk *walk, uint64_t page)
{
    struct look *look = walk->look;

    if (page < 2 || page > look->meta.last)
        return wrong(walk, page, "is none that was ever given out");
    if (page >= look->pages)
        return wrong(walk, page, "stands behind the end of the file");
    if ((look->known[page / 8] >> page % 8 & 1) != 0)
        return wrong(walk, page, "has another use as well");
    look->known[page / 8] |= (unsigned char)(1u << page % 8);
    return 0;
}

/* Long values. */

/* The value whose own pages begin with this one. 0 or −1. */
static int
look_at_long(struct walk *walk, uint64_t page, uint64_t value_bytes)
{
    const size_t page_bytes = walk->look->page_bytes;
    struct head head;

    if (claim(walk, page) != 0 || read_at(walk->look, &head, sizeof head, page * page_bytes) != 0)
        return -1;
    if (head.number != page || head.flags != PAGE_LONG ||
        (value_bytes + sizeof head + page_bytes - 1) / page_bytes > head.room.pages)
        return wrong(walk, page, "does not begin a long value");
    for (uint64_t i = 1; i < head.room.pages; i++) {
        if (claim(walk, page + i) != 0)
            return -1;
    }
    return 0;
}

/* Free pages. */

/* The numbers at `numbers`, whose count is said there too. 0 or −1. */
static int
look_at_free(struct walk *walk, uint64_t page, const size_t *numbers, uint64_t value_bytes)
{
    const size_t count = value_bytes >= sizeof *numbers ? numbers[0] : SIZE_MAX;

    if (count > value_bytes / sizeof *numbers - 1)
        return wrong(walk, page, "does not list what it says");
    for (size_t i = 1; i <= count; i++) {
        const bool behind = numbers[i] >= walk->look->pages && numbers[i] <= walk->look->meta.last;
        if (i > 1 && numbers[i] >= numbers[i - 1])
            return wrong(walk, page, "lists pages in no order");
        if (behind)
            walk->look->behind++;
        else if (claim(walk, numbers[i]) != 0)
            return -1;
    }
    return 0;
}

/* Those that value lists: the value itself, or the number of its first page. 0 or −1. */
static int
look_at_free_value(struct walk *walk, uint64_t page, const struct node *node, const char *value)
{
    struct look *look = walk->look;
    size_t *numbers = malloc(node->size + sizeof *numbers);
    size_t first;
    int rc = 0;

    if (numbers == NULL)
        log_fatal("out of memory");
    if ((node->flags & NODE_LONG) == 0) {
        memcpy(numbers, value, node->size);
    } else {
        memcpy(&first, value, sizeof first);
        rc = read_at(look, numbers, node->size, first * look->page_bytes + sizeof(struct head));
    }
    if (rc == 0)
        rc = look_at_free(walk, page, numbers, node->size);
    free(numbers);
    return rc;
}

/* Trees. */

static int look_at_tree(struct look *look, enum tree_kind kind, struct span name, const struct tree *tree);

static int
look_at_value(struct walk *walk, uint64_t page, const struct node *node, struct span key)
{
    const char *value = key.at + key.len;
    struct tree tree;
    size_t first;

    if ((node->flags & NODE_LONG) != 0) {
        memcpy(&first, value, sizeof first);
        if (look_at_long(walk, first, node->size) != 0)
            return -1;
    }
    if ((node->flags & NODE_SORTED) != 0)
        return wrong(walk, page, "has several values of one key, as no store of this program: it is another one's");
    if (walk->kind == TREE_FREE)
        return look_at_free_value(walk, page, node, value);
    if ((node->flags & NODE_TREE) == 0)
        return 0;
    if (walk->kind != TREE_MAIN || node->size != sizeof tree)
        return wrong(walk, page, "has a table where none can be");
    memcpy(&tree, value, sizeof tree);
    return look_at_tree(walk->look, TREE_TABLE, key, &tree);
}

/* Whether the bytes that a node says it has end within the page. */
static bool
fits(const struct look *look, const struct node *node, size_t at, bool leaf)
{
    const uint64_t value_bytes = !leaf ? 0 : (node->flags & NODE_LONG) != 0 ? sizeof(size_t) : node->size;

    return at + sizeof *node + node->key_bytes + value_bytes <= look->page_bytes;
}

static uint64_t
child_of(const struct node *node)
{
    const uint64_t high = sizeof(size_t) > sizeof node->size ? node->flags : 0;

    return high << 32 | node->size;
}

static int look_at_page(struct walk *walk, uint64_t page, unsigned depth);

/* What the page, whose bytes these are, leads to. 0 or −1. */
static int
look_at_nodes(struct walk *walk, uint64_t page, const char *bytes, unsigned depth)
{
    struct head head;
    struct node node;
    uint16_t at;

    memcpy(&head, bytes, sizeof head);
    const unsigned count = (head.room.bounds.lower - (unsigned)sizeof head) / 2;
    for (unsigned i = 0; i < count; i++) {
        memcpy(&at, bytes + sizeof head + 2 * (size_t)i, sizeof at);
        if (at < head.room.bounds.upper || at + sizeof node > walk->look->page_bytes)
            return wrong(walk, page, "has an entry outside of itself");
        memcpy(&node, bytes + at, sizeof node);
        if (!fits(walk->look, &node, at, depth == 1))
            return wrong(walk, page, "has an entry outside of itself");
        const struct span key = span_at(bytes + at + sizeof node, node.key_bytes);
        if ((depth > 1 ? look_at_page(walk, child_of(&node), depth - 1) : look_at_value(walk, page, &node, key)) != 0)
            return -1;
    }
    walk->entries += depth == 1 ? count : 0;
    return 0;
}

static int
check_head(struct walk *walk, uint64_t page, const struct head *head, unsigned depth)
{
    const unsigned lower = head->room.bounds.lower, upper = head->room.bounds.upper;
    const unsigned least = depth > 1 && walk->kind != TREE_FREE ? 2 : 1; /* LMDB asks no more of a free list's branch */

    if (head->number != page || head->flags != (depth > 1 ? PAGE_BRANCH : PAGE_LEAF))
        return wrong(walk, page, "is another one, or none");
    if (lower < sizeof *head + 2 * (size_t)least || lower > upper || upper > walk->look->page_bytes)
        return wrong(walk, page, "has its entries nowhere");
    return 0;
}

/* Whether a leaf of this tree is read; those that lead to other pages are. */
static bool
reads_leaf(struct walk *walk)
{
    if (walk->kind == TREE_TABLE && !walk->look->is_short && walk->leaves == LEAVES_READ_MAX) {
        walk->whole = false;
        return false;
    }
    walk->leaves++;
    return true;
}

static int
look_at_page(struct walk *walk, uint64_t page, unsigned depth)
{
    const size_t page_bytes = walk->look->page_bytes;
    struct head head;

    log_assert(depth > 0 && depth <= DEPTH_MAX);
    if (claim(walk, page) != 0)
        return -1;
    if (depth == 1 && !reads_leaf(walk))
        return 0;
    char *bytes = malloc(page_bytes);
    if (bytes == NULL)
        log_fatal("out of memory");
    int rc = read_at(walk->look, bytes, page_bytes, page * page_bytes);
    if (rc == 0) {
        memcpy(&head, bytes, sizeof head);
        rc = check_head(walk, page, &head, depth);
    }
    if (rc == 0)
        rc = look_at_nodes(walk, page, bytes, depth);
    free(bytes);
    return rc;
}

static int
look_at_tree(struct look *look, enum tree_kind kind, struct span name, const struct tree *tree)
{
    struct walk walk = {.look = look, .kind = kind, .whole = true};

    for (size_t i = 0; i < name.len && i < NAME_SHOWN_MAX; i++)
        walk.name[i] = name.at[i] > ' ' && name.at[i] <= '~' ? name.at[i] : '?';
    if ((tree->flags & TREE_ORDERS) != (kind == TREE_FREE ? TREE_OF_WORDS : 0))
        return wrong(&walk, tree->root, "begins a tree of a kind that no store of this program has");
    if (tree->depth > DEPTH_MAX || (tree->depth == 0) != (tree->root == NO_PAGE))
        return wrong(&walk, tree->root, "is no beginning");
    if (tree->depth > 0 && look_at_page(&walk, tree->root, tree->depth) != 0)
        return -1;
    if (walk.whole && walk.entries != tree->entries)
        return wrong(&walk, tree->root, "leads to another number of entries than are counted");
    return 0;
}

/* Meta pages. */

static bool
is_page_size(size_t bytes)
{
    return bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX && (bytes & (bytes - 1)) == 0;
}

static int
read_meta(struct look *look, unsigned number, struct meta *meta)
{
    char bytes[sizeof(struct head) + sizeof *meta];
    struct head head;

    if (read_at(look, bytes, sizeof bytes, number * look->page_bytes) != 0)
        return -1;
    memcpy(&head, bytes, sizeof head);
    memcpy(meta, bytes + sizeof head, sizeof *meta);
    if (head.flags != PAGE_META || meta->magic != MAGIC)
        buffer_printf(look->fault, "meta page %u is none: this is no LMDB file, or what stood there is overwritten", number);
    else if (meta->version != VERSION)
        buffer_printf(look->fault, "meta page %u says version %" PRIu32 " of LMDB's files, and this program reads %d",
                      number, meta->version, VERSION);
    else if (!is_page_size(meta->free.pad) || (number > 0 && meta->free.pad != look->page_bytes))
        buffer_printf(look->fault, "meta page %u says pages of %" PRIu32 " bytes", number, meta->free.pad);
    else
        return 0;
    return -1;
}

/* Read both, and which one counts. 0 or −1. */
static int
read_metas(struct look *look)
{
    struct meta other;

    look->page_bytes = sizeof(struct head) + sizeof(struct meta); /* of a file that is shorter than that no page is whole */
    if (read_meta(look, 0, &look->meta) != 0)
        return -1;
    look->page_bytes = look->meta.free.pad;
    if (read_meta(look, 1, &other) != 0)
        return -1;
    if (other.transaction > look->meta.transaction)
        look->meta = other;
    return 0;
}

/* The file. */

/* Follow what the newest meta page says. 0 or −1. */
static int
look_at_trees(struct look *look)
{
    const struct span nothing = {0};

    look->behind = 0;
    look->is_short = look->pages <= look->meta.last;
    look->known = calloc(look->pages / 8 + 1, 1);
    if (look->known == NULL)
        log_fatal("out of memory");
    int rc = look_at_tree(look, TREE_FREE, nothing, &look->meta.free);
    if (rc == 0)
        rc = look_at_tree(look, TREE_MAIN, nothing, &look->meta.main);
    free(look->known);
    if (rc == 0 && look->meta.last >= look->pages && look->meta.last - look->pages + 1 != look->behind) {
        buffer_printf(look->fault, "page %zu, the last that was given out, stands behind the end of the file",
                      look->meta.last);
        rc = -1;
    }
    if (rc != 0)
        buffer_printf(look->fault, "; pages of %zu bytes, 0 to %zu, belong to it", look->page_bytes, look->meta.last);
    return rc;
}

static enum pages
look_at_all(struct look *look)
{
    struct stat status;

    if (fstat(look->fd, &status) != 0) {
        buffer_printf(look->fault, "can't be looked at: %s", strerror(errno));
        return PAGES_DAMAGED;
    }
    int rc = read_metas(look);
    look->pages = (uint64_t)status.st_size / look->page_bytes;
    if (rc == 0)
        rc = look_at_trees(look);
    if (rc != 0)
        buffer_printf(look->fault, " (it has %" PRIu64 " bytes)", (uint64_t)status.st_size);
    return rc == 0 ? PAGES_SOUND : PAGES_DAMAGED;
}

/* Whether something was committed since it was looked at. */
static bool
has_changed(struct look *look)
{
    struct look again = {.fd = look->fd, .fault = &(struct buffer){0}};
    const bool changed = read_metas(&again) == 0 && again.meta.transaction != look->meta.transaction;

    buffer_free(again.fault);
    return changed;
}

/* Whether the file is the two pages that LMDB begins with, or was to become that. */
static bool
is_unborn(struct look *look)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t meta_bytes = sizeof(struct head) + sizeof(struct meta);
    char *bytes = calloc(2, page_bytes);
    struct stat status;
    bool unborn = fstat(look->fd, &status) == 0 && (size_t)status.st_size == 2 * page_bytes;

    if (bytes == NULL)
        log_fatal("out of memory");
    unborn = unborn && file_read_at(look->fd, bytes, 2 * page_bytes, 0) == (ssize_t)(2 * page_bytes);
    for (size_t page = 0; page < 2 && unborn; page++) {
        char *at = bytes + page * page_bytes;
        struct meta meta;
        memcpy(&meta, at + sizeof(struct head), sizeof meta);
        if (meta.magic == MAGIC && meta.transaction == 0)
            memset(at, 0, meta_bytes);
        for (size_t i = 0; i < page_bytes && unborn; i++)
            unborn = at[i] == 0;
    }
    free(bytes);
    return unborn;
}

/* 0, or −1 if there is nothing to look at. */
static int
check_file(struct look *look)
{
    struct stat status = {0};

    if (look->fd < 0 || fstat(look->fd, &status) != 0)
        buffer_printf(look->fault, "can't be opened: %s", strerror(errno));
    else if (!S_ISREG(status.st_mode))
        buffer_add_text(look->fault, "is no regular file");
    else if (status.st_size == 0)
        buffer_add_text(look->fault, "is empty");
    else
        return 0;
    return -1;
}

enum pages
pages_look(const char *path, struct buffer *fault)
{
    const size_t before = fault->len;
    struct look look = {.fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), .fault = fault};
    enum pages pages = PAGES_DAMAGED;

    if (look.fd < 0 && errno == ENOENT)
        return PAGES_ABSENT;
    if (check_file(&look) == 0) {
        unsigned looks = 1;
        /* Whoever commits all the time has it open, and lives. */
        while ((pages = look_at_all(&look)) == PAGES_DAMAGED && has_changed(&look) && looks++ < LOOKS_MAX)
            fault->len = before;
        if (looks > LOOKS_MAX)
            pages = PAGES_SOUND;
        else if (pages == PAGES_DAMAGED && is_unborn(&look))
            pages = PAGES_UNBORN;
    }
    if (pages != PAGES_DAMAGED)
        fault->len = before;
    if (look.fd >= 0)
        close(look.fd);
    return pages;
}
