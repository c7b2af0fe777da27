/*
 * options: getopt_long with messages that say what was meant, and --help and --version, which every program has.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <getopt.h>

/* What options_next returns for an option that is none, or lacks its value, or has one too many. */
enum { OPTIONS_BAD = '?' };

struct options {
    const char *shorts;         /* as getopt_long takes them, which all that it says holds for */
    const struct option *longs; /* without help and version; at most OPTIONS_MAX */
    const char *help;
};

#define OPTIONS_MAX 30

/* The next option: what getopt_long returns, with optarg and optind; −1 when there is none any more. OPTIONS_BAD after it
 * was said what is wrong. --help and --version print and end the program, and so does a -h
 * that is no option or has no value behind it. */
int options_next(const struct options *options, int argc, char **argv);

/* Say what is wrong with the command line, and where help is. The format makes the first part, without an end. */
void options_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
