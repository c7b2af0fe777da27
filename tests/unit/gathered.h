/*
 * gathered: how many keys a keyset gathers before they become a run, for tests, which have little data.
 */
#ifndef TESTS_GATHERED_H
#define TESTS_GATHERED_H

#include <stdint.h>

extern uint32_t keyset_gathered_max; /* of store/keyset.c, which lets nobody else see it */

#endif
