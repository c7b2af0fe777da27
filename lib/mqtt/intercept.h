/*
 * intercept: what one shared library calls in others, answered by us, for that library alone.
 *
 * A function of the program that is called like one of the C library's takes its place for everybody in the process: for
 * our own code, for OpenSSL, for whoever looks up names. The linker's --wrap does not reach into a shared library, and a
 * hidden symbol is not found by one. So the table is changed by which the library finds what it calls (its global offset
 * table): the loader has filled it in, and made it read only, before the program begins.
 */
#ifndef MQTT_INTERCEPT_H
#define MQTT_INTERCEPT_H

struct intercept {
    const char *name;      /* of the function that is called */
    void (*instead)(void); /* what is called instead, which has the same type in truth */
};

/* From now on the shared library in which the address inside lies calls these instead. Before threads of it run. NULL; or
 * the name of one that it does not call, or whose place can't be written: then some of the others may be in force. */
const char *intercept_calls(const void *inside, const struct intercept *calls, unsigned count);

#endif
