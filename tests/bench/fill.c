/*
 * bench-fill: give a process the state of many readings, without sending it any.
 *
 * usage: bench-fill DIR gate|join READINGS     DIR is the folder of its store, which must not be there yet
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "bench.h"
#include "tank.h"

int
main(int argc, char **argv)
{
    struct tank tank;

    if (argc != 4 || (strcmp(argv[2], "gate") != 0 && strcmp(argv[2], "join") != 0)) {
        fprintf(stderr, "usage: bench-fill DIR gate|join READINGS\n");
        return 2;
    }
    if (file_make_dirs(argv[1]) != 0) {
        fprintf(stderr, "bench-fill: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    tank_open(&tank, argv[1], argv[2][0] == 'g' ? TANK_GATE : TANK_JOIN, TANK_LIVE);
    tank_fill(&tank, bench_count(argv[3]), INT64_MAX);
    tank_close(&tank);
    return 0;
}
