/*
 * tape: what this program did to the files below a folder, in order: what it wrote, what it synced, how long files were,
 * which names it made and took away; and between these, marks of the test's own.
 */
#ifndef POWER_CUT_TAPE_H
#define POWER_CUT_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE_BYTES 4096
#define NODES_MAX 4096

/* What stands in a page of a file, and a hash of it that is never 0. */
struct page {
    uint64_t sum;
    unsigned char bytes[PAGE_BYTES];
};

extern struct page page_of_zeros;

/* Set page->sum. */
void page_seal(struct page *page);

struct page_change {
    uint32_t number;
    const struct page *page;
};

/* A file or folder, whatever it was called. Node 0 is the folder that the tape is of. */
struct node {
    bool folder;
    unsigned group;  /* as the test sorts files */
    char *path;      /* when it was made, below node 0 */
    ino_t inode;     /* 0: it is gone */
    unsigned names;
    const struct page **pages; /* as they are now; zeros behind page_count */
    unsigned page_count, page_capacity;
    uint64_t size;
};

enum event_kind {
    EVENT_CHANGE, /* node has other pages, and this size */
    EVENT_SYNC,   /* node is durable: these pages of it if there are any, else all of it; a folder with its names */
    EVENT_NAMES,  /* in the folder node, from is no name any more, and to is the name of child */
    EVENT_MARK
};

struct event {
    enum event_kind kind;
    int64_t time_ms;
    unsigned node;
    unsigned first_page, page_count; /* of tape.page_changes */
    uint64_t size;
    bool synced; /* EVENT_CHANGE: the next event is the sync that this call was to bring about */
    unsigned child;
    const char *from, *to; /* NULL if there is none */
    const void *mark;      /* the test's */
};

struct tape {
    char root[256];
    unsigned (*group_of)(const char *path);
    const int64_t *clock_ms;
    void (*while_syncing)(const struct node *node); /* called before each sync; NULL nothing */
    struct node nodes[NODES_MAX];
    unsigned node_count;
    struct event *events;
    unsigned event_count, event_capacity;
    struct page_change *page_changes;
    unsigned change_count, change_capacity;
    unsigned begin; /* the events before this one are what was there already, all of it synced */
    void **memory;  /* pages and marks */
    unsigned block_count, block_capacity;
    size_t block_used;
};

/* Record what happens below the folder root from now on; group_of sorts paths below it. What is in it already is durable. */
void tape_begin(struct tape *tape, const char *root, unsigned (*group_of)(const char *path),
                  const int64_t *clock_ms);

/* Put a mark behind what has happened: size bytes, copied. Returns the copy. */
void *tape_mark(struct tape *tape, const void *mark, size_t size);

/* No more. */
void tape_end(void);

void tape_free(struct tape *tape);

/* list with room for one more than count things of size bytes; *capacity says for how many there is. Free with free. */
void *tape_grow(void *list, unsigned count, unsigned *capacity, size_t size);

/* sum with one more word in it: for telling states apart. */
uint64_t tape_mix(uint64_t sum, uint64_t word);

/* Have touched called for every change of a file, until it is called with NULL: len bytes at offset are zeros or something
 * else, and the size may be another. Not while recording. */
void tape_watch(void (*touched)(ino_t inode, uint64_t offset, uint64_t len, bool zeros));

#endif
