/*
 * bytes: integers as they stand in keys and files. Keys are big-endian, so that byte order is number order.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>

/* Write value as 4 bytes at at, which need not be aligned. */
static inline void
bytes_put_u32(void *at, uint32_t value)
{
    unsigned char *p = at;

    p[0] = (unsigned char)(value >> 24);
    p[1] = (unsigned char)(value >> 16);
    p[2] = (unsigned char)(value >> 8);
    p[3] = (unsigned char)value;
}

/* The value of the 4 bytes at at. */
static inline uint32_t
bytes_get_u32(const void *at)
{
    const unsigned char *p = at;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The same with 8 bytes. */
static inline void
bytes_put_u64(void *at, uint64_t value)
{
    bytes_put_u32(at, (uint32_t)(value >> 32));
    bytes_put_u32((unsigned char *)at + 4, (uint32_t)value);
}

/* The value of the 8 bytes at at. */
static inline uint64_t
bytes_get_u64(const void *at)
{
    return (uint64_t)bytes_get_u32(at) << 32 | bytes_get_u32((const unsigned char *)at + 4);
}

#endif
