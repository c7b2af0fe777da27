#include "base/suggest.h"

#include <string.h>

/* Longer ones are no words of ours; the arrays below are of this size. */
#define WORD_BYTES_MAX 64

/* With more changes than these one word is not a misspelt other. */
#define DISTANCE_MAX 2

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Damerau and Levenshtein's, in the form that changes no letter twice: row[i][j] is the distance of the first i letters
 * of the one and the first j of the other, and only three rows of it are needed. */
unsigned
suggest_distance(const char *one, const char *other)
{
    size_t one_len = strlen(one);
    size_t other_len = strlen(other);
    unsigned rows[3][WORD_BYTES_MAX + 1];

    if (one_len > WORD_BYTES_MAX || other_len > WORD_BYTES_MAX)
        return (unsigned)(one_len + other_len);
    for (size_t j = 0; j <= other_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= one_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= other_len; j++) {
            unsigned replaced = above[j - 1] + (one[i - 1] != other[j - 1]);
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[one_len % 3][other_len];
}

const char *
suggest_nearest(const char *typed, const char *const *words, size_t stride, unsigned count)
{
    const char *nearest = NULL;

    /* Of a short word half must be right, else everything is near to it. */
    unsigned best = least(DISTANCE_MAX, (unsigned)strlen(typed) / 2) + 1;
    for (unsigned i = 0; i < count; i++) {
        const char *word = *(const char *const *)(const void *)((const char *)words + i * stride);
        unsigned distance = suggest_distance(typed, word);
        if (distance < best) {
            best = distance;
            nearest = word;
        }
    }
    return nearest;
}
