/*
 * supervise: keep a set of programs running until a signal says stop.
 *
 * A program that ends is started again: at once when it had become ready, else after a delay that doubles. Every one
 * has DIR/pid/NAME.pid and appends what it says to DIR/log/NAME.log. If the supervisor is killed, the kernel stops them.
 */
#ifndef UP_SUPERVISE_H
#define UP_SUPERVISE_H

/* All processes and a broker; up.c holds the catalog against it. */
#define SUPERVISE_PROGRAMS_MAX 16

struct supervise_program {
    const char *name;
    char *const *argv; /* argv[0] is the path; ended by NULL */
    /* 0: the program says by the notify protocol (base/notify.h) that it is ready. Else it is ready when it takes
     * connections on this port of 127.0.0.1; the others need it, so it is started before and stopped after them. */
    int port;
    /* A file in DIR/NAME/ to remove whenever the program has become ready, or NULL: what it saved at its last end, and must
     * not find again if it is killed before it can save anew. */
    const char *spent_file;
    /* For its environment, as BROKER_PASSWORD, or NULL. */
    const char *password;
};

/* Run the count programs in the folder dir, which has pid/ and log/. Prints "ready" on standard output when all have
 * been ready once. Returns the exit code, when nothing runs any more: 0 after SIGTERM or SIGINT, 78 when a program said
 * at its start that its configuration is wrong. Fatal if signals or notifications can't be taken. */
int supervise_run(const struct supervise_program *programs, unsigned count, const char *dir);

#endif
