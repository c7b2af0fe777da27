#include <stdlib.h>

#include "base/log.h"
#include "store/keyset_state.h"

struct sorting {
    const struct keyset *set;
    const struct buffer *keys;
};

static int
compare_places(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;
    const struct place *x = a, *y = b;
    const size_t len = sorting->set->rules.key_bytes;

    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return memcmp(sorting->keys->data + x->index * len, sorting->keys->data + y->index * len, len);
}

/* Fewer places than that are sorted by comparing. */
#define RADIX_MIN 64

/* Bring count places in the order of their heads; those of one head stay as they are. Radix sort from the last byte on
 * (Knuth, The Art of Computer Programming 3, 5.2.5), which passes over bytes that are the same in all. Gives places or what
 * took their place, which is freed then. */
static struct place *
sort_heads(struct place *places, uint32_t count)
{
    struct place *other = malloc((count + 1) * sizeof *other);
    uint64_t differ = 0;

    if (other == NULL)
        log_fatal("out of memory");
    for (uint32_t i = 1; i < count; i++)
        differ |= places[i].head ^ places[0].head;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint32_t starts[256] = {0}, sum = 0;
        if ((differ >> shift & 255) == 0)
            continue;
        for (uint32_t i = 0; i < count; i++)
            starts[places[i].head >> shift & 255]++;
        for (unsigned byte = 0; byte < 256; byte++) {
            const uint32_t here = starts[byte];
            starts[byte] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++)
            other[starts[places[i].head >> shift & 255]++] = places[i];
        struct place *const sorted = other;
        other = places;
        places = sorted;
    }
    free(other);
    return places;
}

/* Bring places that are in the order of their heads in that of their keys. Mostly they are: keys that came in the order of
 * their ages. */
static void
sort_ties(struct place *places, uint32_t count, struct sorting *sorting)
{
    for (uint32_t i = 0, end; i < count; i = end) {
        bool in_order = true;
        for (end = i + 1; end < count && places[end].head == places[i].head; end++)
            in_order = in_order && compare_places(&places[end - 1], &places[end], sorting) < 0;
        if (!in_order)
            qsort_r(places + i, end - i, sizeof *places, compare_places, sorting);
    }
}

struct place *
keyset_sort(const struct keyset *set, const struct buffer *keys, uint32_t *count)
{
    struct sorting sorting = {set, keys};
    bool in_order = true;

    *count = (uint32_t)(keys->len / set->rules.key_bytes);
    struct place *places = malloc((*count + 1) * sizeof *places);
    if (places == NULL)
        log_fatal("out of memory");
    for (uint32_t i = 0; i < *count; i++) {
        places[i] = (struct place){bytes_get_u64(keys->data + i * set->rules.key_bytes), i};
        in_order = in_order && (i == 0 || compare_places(&places[i - 1], &places[i], &sorting) < 0);
    }
    if (in_order)
        return places;
    if (*count < RADIX_MIN) {
        qsort_r(places, *count, sizeof *places, compare_places, &sorting);
        return places;
    }
    places = sort_heads(places, *count);
    sort_ties(places, *count, &sorting);
    return places;
}
