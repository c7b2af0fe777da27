/*
 * clock: what time it is. Only programs and the loop of a process ask; operators are told.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);

/* Milliseconds of a clock that never goes back; its zero means nothing. */
int64_t clock_steady_ms(void);

/* A number that is another one each time that the machine comes up; 0: there is none here. */
uint64_t clock_boot(void);

/* Midnight UTC of a day since the year 0 that is written as YYYY-MM-DD, in ms since 1970. 0, or −1 if it is none. */
int clock_date(const char *text, int64_t *wall_ms);

/* Write wall_ms as 2026-11-24T08:15:02Z. */
#define CLOCK_TEXT_SIZE (sizeof "YYYY-MM-DDThh:mm:ssZ")
void clock_write(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

#endif
