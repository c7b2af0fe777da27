#include "store/bloom.h"

#include <stdlib.h>

#include "base/log.h"

uint64_t
bloom_lines(uint64_t keys)
{
    return keys * BLOOM_BITS_PER_KEY / BLOOM_LINE_BITS + 1;
}

void
bloom_make(struct bloom *bloom, uint64_t lines)
{
    log_assert(bloom->memory == NULL && lines > 0 && lines <= UINT32_MAX);
    bloom->lines = lines;
    bloom->memory = calloc(bloom->lines + 1, BLOOM_LINE_BYTES);
    if (bloom->memory == NULL)
        log_fatal("out of memory");
    bloom->words =
        (uint64_t *)(((uintptr_t)bloom->memory + BLOOM_LINE_BYTES - 1) & ~(uintptr_t)(BLOOM_LINE_BYTES - 1));
}

void
bloom_free(struct bloom *bloom)
{
    free(bloom->memory);
    bloom->memory = NULL;
    bloom->words = NULL;
}
