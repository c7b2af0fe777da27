/*
 * suggest: which word somebody may have meant who made a typing error.
 */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stddef.h>

/* How many single changes make one word of the other: a letter more, less or another, or two exchanged. */
unsigned suggest_distance(const char *one, const char *other);

/* The nearest to typed of the words at words[0], words[stride bytes further] and so on, count of them, if it is near
 * enough that it may have been meant; else NULL. */
const char *suggest_nearest(const char *typed, const char *const *words, size_t stride, unsigned count);

#endif
