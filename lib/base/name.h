/*
 * name: how long a name may be, and how many of them. Names of processes, consumers and rows become levels of topics, keys
 * of the store and fields of messages; whoever keeps one or lets one in goes by these, so that what passes one gate is not
 * dropped at the next.
 */
#ifndef BASE_NAME_H
#define BASE_NAME_H

/* Bytes of one name, of A-Z, a-z, 0-9, _ and -. */
#define NAME_BYTES_MAX 64

/* Room for a name with a NUL behind it. */
#define NAME_SIZE (NAME_BYTES_MAX + 1)

/* Names in one list of the configuration: of consumers, besides gait's own. */
#define NAMES_MAX 32

/* Consumers of one output: those of a list, and gait's own, of which none has more than a few. */
#define CONSUMERS_MAX (NAMES_MAX + 8)

/* What a sender's topic may have behind the landing topic, of what is kept of it: it is there to be shown to a person, with
 * each refusal. */
#define LEVELS_BYTES_MAX 128

/* The prefix of all topics: what is allowed of topics that others name (arrive.c) leaves room for it. */
#define PREFIX_BYTES_MAX 128
#define PREFIX_LEVELS_MAX 8

#endif
