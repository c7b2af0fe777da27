/*
 * replay: libFuzzer's place is taken by this main where there is no clang. It runs a target over a corpus and then over
 * mutations of it. One input is one number: whatever ends the program is named by it, and can be run alone.
 *
 * usage: fuzz_TARGET [-n MUTATIONS] [-s SEED] [-i INDEX] FOLDER        a corpus; INDEX: that mutation alone
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "mutate.h"

#define FILES_MAX 256
#define MUTATIONS_MAX 6  /* of one input */
#define INPUT_S_MAX 60   /* an input that takes longer hangs, on a busy machine too */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct corpus {
    const char *dir;
    char *names[FILES_MAX];
    struct buffer files[FILES_MAX];
    unsigned count;
};

/* What the parent says of a child that ended: the input at work. */
struct at_work {
    uint64_t index; /* of a mutation; below zero, counted from the end of uint64_t: of a file */
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of names, so that a seed means the same everywhere. */
static void
read_corpus(struct corpus *corpus, const char *path)
{
    struct dirent *entry;
    DIR *dir = opendir(path);

    corpus->dir = path;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (corpus->count == FILES_MAX)
            log_fatal("%s: more than %d files", path, FILES_MAX);
        if (asprintf(&corpus->names[corpus->count++], "%s/%s", path, entry->d_name) < 0)
            log_fatal("out of memory");
    }
    if (dir != NULL)
        closedir(dir);
    if (corpus->count == 0)
        log_fatal("%s: no corpus", path);
    qsort(corpus->names, corpus->count, sizeof corpus->names[0], by_name);
    for (unsigned i = 0; i < corpus->count; i++) {
        if (file_read(corpus->names[i], &corpus->files[i]) != 0)
            log_fatal("%s: %s", corpus->names[i], strerror(errno));
    }
}

/* Give the target a copy that has nothing behind it, so that a sanitizer sees any look beyond. */
static void
run(struct span input)
{
    uint8_t *copy = malloc(input.len > 0 ? input.len : 1);

    if (copy == NULL)
        log_fatal("out of memory");
    if (input.len > 0)
        memcpy(copy, input.at, input.len);
    alarm(INPUT_S_MAX);
    LLVMFuzzerTestOneInput(copy, input.len);
    free(copy);
}

static struct span
choose(struct dice *dice, const struct corpus *corpus)
{
    return buffer_span(&corpus->files[dice_roll(dice, corpus->count)]);
}

static void
run_mutation(const struct corpus *corpus, uint64_t seed, uint64_t index)
{
    struct dice dice = dice_for(seed, index);
    struct buffer input = {0};

    buffer_add_span(&input, choose(&dice, corpus));
    for (unsigned count = 1 + dice_roll(&dice, MUTATIONS_MAX); count > 0; count--)
        mutate(&dice, &input, choose(&dice, corpus));
    run(buffer_span(&input));
    buffer_free(&input);
}

/* In the child. */
static void
run_all(const struct corpus *corpus, uint64_t seed, uint64_t count, volatile struct at_work *at_work)
{
    for (unsigned i = 0; i < corpus->count; i++) {
        at_work->index = UINT64_MAX - i;
        run(buffer_span(&corpus->files[i]));
    }
    for (uint64_t i = 0; i < count; i++) {
        at_work->index = i;
        run_mutation(corpus, seed, i);
    }
    at_work->index = count; /* a leak is nobody's */
}

static int
complain(const char *program, const struct corpus *corpus, uint64_t seed, uint64_t count, uint64_t index, int status)
{
    fprintf(stderr, "%s: ended by %s %d", program, WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (UINT64_MAX - index < corpus->count)
        fprintf(stderr, " at %s\n", corpus->names[UINT64_MAX - index]);
    else if (index < count)
        fprintf(stderr, "; that input again: %s -s %" PRIu64 " -i %" PRIu64 " %s\n", program, seed, index, corpus->dir);
    else
        fprintf(stderr, " behind the last input\n");
    return EXIT_FAILURE;
}

/* Run everything in a child, so that there is somebody to say which input it was. */
static int
supervise(const char *program, const struct corpus *corpus, uint64_t seed, uint64_t count)
{
    struct at_work *at_work =
        mmap(NULL, sizeof *at_work, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    if (at_work == MAP_FAILED)
        log_fatal("out of memory");
    pid_t pid = fork();
    if (pid < 0)
        log_fatal("can't fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_all(corpus, seed, count, at_work);
        return EXIT_SUCCESS;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status != 0)
        return complain(program, corpus, seed, count, at_work->index, status);
    printf("%" PRIu64 " inputs\n", corpus->count + count);
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    static struct corpus corpus;
    uint64_t seed = 1;
    uint64_t count = 0;
    const char *index = NULL;
    int option;
    int status = EXIT_SUCCESS;

    while ((option = getopt(argc, argv, "n:s:i:")) != -1) {
        if (option == 'n')
            count = strtoull(optarg, NULL, 10);
        else if (option == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (option == 'i')
            index = optarg;
        else
            return 2;
    }
    if (optind + 1 != argc)
        return 2;
    read_corpus(&corpus, argv[optind]);
    if (index != NULL)
        run_mutation(&corpus, seed, strtoull(index, NULL, 10));
    else
        status = supervise(argv[0], &corpus, seed, count);
    for (unsigned i = 0; i < corpus.count; i++) {
        free(corpus.names[i]);
        buffer_free(&corpus.files[i]);
    }
    return status;
}
