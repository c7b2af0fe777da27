/*
 * paho: what the linker puts in the place of two parts of Paho, where that is linked statically (--wrap in CMakeLists.txt).
 *
 * As it is built for distributions it notes each call of each of its functions, for a stack trace that nobody asks for, and
 * keeps all its memory in a tree, to print what was not freed. That was a tenth of the processor time of a batch load.
 * Its own switch for leaving both out (HIGH_PERFORMANCE) works only when it is compiled.
 */
#include <stddef.h>
#include <stdlib.h>

/* As in Paho's StackTrace.h and Heap.h, which are not installed. */
void __wrap_StackTrace_entry(const char *name, int line, int trace_level);
void __wrap_StackTrace_exit(const char *name, int line, void *rc, int trace_level);
void *__wrap_mymalloc(char *file, int line, size_t size);
void *__wrap_myrealloc(char *file, int line, void *at, size_t size);
void __wrap_myfree(char *file, int line, void *at);

#pragma GCC diagnostic ignored "-Wunused-parameter"

void
__wrap_StackTrace_entry(const char *name, int line, int trace_level)
{
}

void
__wrap_StackTrace_exit(const char *name, int line, void *rc, int trace_level)
{
}

void *
__wrap_mymalloc(char *file, int line, size_t size)
{
    return malloc(size);
}

void *
__wrap_myrealloc(char *file, int line, void *at, size_t size)
{
    return realloc(at, size);
}

void
__wrap_myfree(char *file, int line, void *at)
{
    free(at);
}
