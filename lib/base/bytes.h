/*
 * bytes: integers as they stand in keys and files. Keys are big-endian, so that byte order is number order.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>

static inline void
bytes_put_u32(void *at, uint32_t value)
{
    unsigned char *p = at;

    p[0] = (unsigned char)(value >> 24);
    p[1] = (unsigned char)(value >> 16);
    p[2] = (unsigned char)(value >> 8);
    p[3] = (unsigned char)value;
}

static inline uint32_t
bytes_get_u32(const void *at)
{
    const unsigned char *p = at;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
bytes_put_u64(void *at, uint64_t value)
{
    bytes_put_u32(at, (uint32_t)(value >> 32));
    bytes_put_u32((unsigned char *)at + 4, (uint32_t)value);
}

static inline uint64_t
bytes_get_u64(const void *at)
{
    return (uint64_t)bytes_get_u32(at) << 32 | bytes_get_u32((const unsigned char *)at + 4);
}

#endif
