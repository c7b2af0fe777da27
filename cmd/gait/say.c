#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static const char *as; /* the command; NULL: none yet */

void
say_as(const char *command)
{
    as = command;
}

void
say(const char *format, ...)
{
    va_list args;

    flockfile(stderr); /* one event is one line, whichever threads speak */
    fputs(as != NULL ? "gait " : "gait", stderr);
    fprintf(stderr, "%s: ", as != NULL ? as : "");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    funlockfile(stderr);
}
