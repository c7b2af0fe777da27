/*
 * scratch_dir: a folder of a test's own that goes away with everything in it.
 */
#ifndef TESTS_SCRATCH_DIR_H
#define TESTS_SCRATCH_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCRATCH_DIR_SIZE 64

/* Make it, in memory where there is such a place: tests that commit thousands of times need not wait for a disk. Aborts
 * if it can't be done. */
static inline void
scratch_dir_make(char *dir)
{
    snprintf(dir, SCRATCH_DIR_SIZE, "%s/gait-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(dir) == NULL)
        abort();
}

static inline int
scratch_dir_remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void
scratch_dir_remove(const char *dir)
{
    if (nftw(dir, scratch_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        abort();
}

#endif
