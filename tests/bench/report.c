/*
 * bench-report: results on standard input, a table on standard output, and a JSON file on request.
 *
 * A line "NAME UNIT SAMPLE…" is a result; any other line is shown as it is (a benchmark that was skipped says why, one
 * that failed what went wrong).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "bench.h"

struct result {
    char *name;
    char *unit;
    double samples[BENCH_SAMPLES_MAX]; /* in ascending order */
    unsigned count;
};

static int
compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median(const struct result *result)
{
    const double *middle = &result->samples[result->count / 2];

    return result->count % 2 == 1 ? *middle : (middle[-1] + middle[0]) / 2;
}

/* Whether line is a result; cuts it to pieces. */
static bool
read_result(char *line, struct result *result)
{
    char *rest, *end;

    *result = (struct result){.name = strtok_r(line, " \n", &rest), .unit = strtok_r(NULL, " \n", &rest)};
    for (char *word = strtok_r(NULL, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
        double sample = strtod(word, &end);
        if (end == word || *end != '\0' || result->count == BENCH_SAMPLES_MAX)
            return false;
        result->samples[result->count++] = sample;
    }
    qsort(result->samples, result->count, sizeof result->samples[0], compare);
    return result->count > 0;
}

/* Four digits tell what a benchmark can tell. */
static const char *
shown(double number, char text[32])
{
    const double size = number < 0 ? -number : number;

    snprintf(text, 32, "%.*f", size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3, number);
    return text;
}

static void
show_head(void)
{
    printf("%-44s %12s %-12s %12s %12s %5s\n", "Benchmark", "Median", "Unit", "Min", "Max", "Runs");
    for (unsigned i = 0; i < 102; i++)
        putchar('-');
    putchar('\n');
    fflush(stdout);
}

static void
show(const struct result *result)
{
    char middle[32], least[32] = "", most[32] = "";

    shown(median(result), middle);
    if (result->count > 1) {
        shown(result->samples[0], least);
        shown(result->samples[result->count - 1], most);
    }
    printf("%-44s %12s %-12s %12s %12s %5u\n", result->name, middle, result->unit, least, most, result->count);
}

static void
add_context(struct buffer *json)
{
    char date[32];
    const time_t now = time(NULL);
    struct tm utc;

    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    buffer_printf(json,
                  "{\n  \"context\": {\"date\": \"%s\", \"version\": \"%s\", \"num_cpus\": %ld},\n"
                  "  \"benchmarks\": [",
                  date, GAIT_VERSION, sysconf(_SC_NPROCESSORS_ONLN));
}

static void
add_result(struct buffer *json, const struct result *result, bool first)
{
    buffer_add_text(json, first ? "\n    {\"name\": " : ",\n    {\"name\": ");
    buffer_add_json_string(json, span_of(result->name));
    buffer_add_text(json, ", \"unit\": ");
    buffer_add_json_string(json, span_of(result->unit));
    buffer_printf(json, ", \"median\": %.6g, \"samples\": [", median(result));
    for (unsigned i = 0; i < result->count; i++)
        buffer_printf(json, "%s%.6g", i > 0 ? ", " : "", result->samples[i]);
    buffer_add_text(json, "]}");
}

static int
usage(void)
{
    fprintf(stderr, "usage: bench-report [--json FILE]\n");
    return 2;
}

int
main(int argc, char **argv)
{
    struct buffer json = {0}, copy = {0};
    struct result result;
    char *line = NULL;
    size_t size = 0;
    bool first = true;

    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--json") != 0))
        return usage();
    show_head();
    add_context(&json);
    while (getline(&line, &size, stdin) > 0) {
        buffer_clear(&copy);
        buffer_add_text(&copy, line);
        if (read_result(line, &result)) {
            show(&result);
            add_result(&json, &result, first);
            first = false;
        } else {
            fputs(buffer_text(&copy), stdout);
        }
        fflush(stdout);
    }
    buffer_add_text(&json, "\n  ]\n}\n");
    int rc = argc == 3 ? file_replace(argv[2], buffer_text(&json)) : 0;
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
    buffer_free(&json);
    buffer_free(&copy);
    free(line);
    return rc == 0 ? 0 : 1;
}
