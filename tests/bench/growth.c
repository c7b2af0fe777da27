/*
 * bench-growth: how fast readings are taken in by a store that holds ever more of them.
 *
 * usage: bench-growth READINGS SECONDS     sizes 10^4, 10^5, … up to READINGS, or those reached in SECONDS by each of
 *                                          the two operators with each of the two orders of arrival
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench.h"
#include "tank.h"

#define FIRST_READINGS 10000
#define BATCH_READINGS 1000 /* a synced commit each */
#define BATCHES 10          /* a sample */
#define SAMPLES 7

static double
sample(struct tank *tank)
{
    int64_t ns = 0;

    for (unsigned i = 0; i < BATCHES; i++)
        ns += tank_take(tank, BATCH_READINGS);
    return BATCHES * BATCH_READINGS * 1e9 / (double)ns;
}

/* Fill the tank up to size, and say how fast that went: in it is what comes now and then, like merging, which a sample may
 * miss. Whether size was reached by until_ns. */
static bool
fill(struct tank *tank, const char *name, uint64_t size, int64_t until_ns)
{
    const uint64_t readings = tank->readings;
    const int64_t ns = tank->ns;

    if (!tank_fill(tank, size, until_ns))
        return false;
    const double rate = (double)(tank->readings - readings) * 1e9 / (double)(tank->ns - ns);
    bench_result(name, "records/s", &rate, 1);
    return true;
}

static double
bytes_on_disk(const char *dir)
{
    char path[BENCH_DIR_SIZE + 16];
    struct stat status;

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    return stat(path, &status) == 0 ? (double)status.st_blocks * 512 : 0;
}

static int
ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median(const double *samples)
{
    double sorted[SAMPLES];

    memcpy(sorted, samples, sizeof sorted);
    qsort(sorted, SAMPLES, sizeof sorted[0], ascending);
    return sorted[SAMPLES / 2];
}

static int
measure(const char *operator, const char *arrival_word, enum tank_kind kind, enum tank_arrival arrival, uint64_t last,
        int64_t limit_ns)
{
    const int64_t until_ns = bench_now_ns() + limit_ns;
    char dir[BENCH_DIR_SIZE], name[96];
    double rates[SAMPLES] = {0}, first = 0;
    struct tank tank;

    bench_dir_make(dir);
    tank_open(&tank, dir, kind, arrival);
    for (uint64_t size = last < FIRST_READINGS ? last : FIRST_READINGS; size <= last; size *= 10) {
        snprintf(name, sizeof name, "growth/%s/%s/fill/%llu", operator, arrival_word, (unsigned long long)size);
        if (!fill(&tank, name, size, until_ns)) {
            printf("growth/%s/%s: %llu readings were not reached in time, so the last size is the one before\n",
                   operator, arrival_word, (unsigned long long)size);
            break;
        }
        for (unsigned i = 0; i < SAMPLES; i++)
            rates[i] = sample(&tank);
        snprintf(name, sizeof name, "growth/%s/%s/%llu", operator, arrival_word, (unsigned long long)size);
        bench_result(name, "records/s", rates, SAMPLES);
        first = first == 0 ? median(rates) : first;
    }
    const double ratio = median(rates) / first;
    const double bytes = bytes_on_disk(dir) / (double)(kind == TANK_GATE ? tank.readings : tank.emitted);
    snprintf(name, sizeof name, "growth/%s/%s/last_over_first", operator, arrival_word);
    bench_result(name, "ratio", &ratio, 1);
    snprintf(name, sizeof name, "growth/%s/%s/disk", operator, arrival_word);
    bench_result(name, kind == TANK_GATE ? "B/waiting" : "B/joined", &bytes, 1);
    const bool right = tank_is_right(&tank) && first > 0;
    tank_close(&tank);
    bench_dir_remove(dir);
    if (!right)
        fprintf(stderr, "bench-growth: the %s lost readings, made some up, or is too slow for any\n", operator);
    return right ? 0 : -1;
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bench-growth READINGS SECONDS\n");
        return 2;
    }
    const uint64_t last = bench_count(argv[1]);
    const int64_t limit_ns = (int64_t)bench_count(argv[2]) * 1000000000;
    if (measure("gate", "live", TANK_GATE, TANK_LIVE, last, limit_ns) != 0 ||
        measure("gate", "replayed", TANK_GATE, TANK_REPLAYED, last, limit_ns) != 0 ||
        measure("join", "live", TANK_JOIN, TANK_LIVE, last, limit_ns) != 0 ||
        measure("join", "replayed", TANK_JOIN, TANK_REPLAYED, last, limit_ns) != 0)
        return 1;
    return 0;
}
