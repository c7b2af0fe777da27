/*
 * clock: what time it is. Only programs and the skeleton's main loop ask; operators are told.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);

/* Milliseconds of a clock that never goes back; its zero means nothing. */
int64_t clock_steady_ms(void);

#endif
