/*
 * power_cut: what a power cut leaves.
 */
#include "base/hash.h"
#include "base/log.h"
#include "bugs.h"

int
main(void)
{
    hash_init();
    log_open("power_cut", LOG_NOTHING);
    return bugs_run();
}
