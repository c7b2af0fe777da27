/*
 * exit: the exit codes of every program; 65 and 78 are EX_DATAERR and EX_CONFIG of sysexits.h. Supervisors, scripts and
 * manual pages know them by their numbers.
 */
#ifndef BASE_EXIT_H
#define BASE_EXIT_H

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* it may go well another time */
    EXIT_USAGE = 2,  /* of options and arguments */
    EXIT_DATA = 65,  /* records were refused */
    EXIT_CONFIG = 78 /* no start helps: somebody has to mend the configuration, or what it names */
};

#endif
