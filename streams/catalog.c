#include "streams/catalog.h"

#include <string.h>

#include "base/name.h"
#include "streams/parameters.h"

_Static_assert(STREAMS_COUNT <= CONSUMERS_MAX - NAMES_MAX, "all jobs may consume one output, besides those that are named");

#define ADDRESS(job, ...) &job,
const struct stream *const catalog_streams[] = {STREAMS(ADDRESS, ADDRESS) NULL};

static const char *const email_case_words[] = {"keep", "fold", NULL};
static const char *const log_words[] = {"error", "warning", "info", "debug", NULL};

#define TEXT_BYTES_MAX "65535" /* MQTT takes no longer ones */
#define HOST_BYTES_MAX "253"   /* nor does the DNS */

static const struct config_key keys[] = {
    /* section, name, type, preset, least, most, choices, prose */
    {"gait", "dir", CONFIG_DIR, "/var/lib/gait", NULL, PARAMETERS_PATH_MAX, NULL,
     "Folder for state, lake and logs; --dir says otherwise."},
    {"gait", "clock_check", CONFIG_SWITCH, "on", NULL, NULL, NULL,
     "Take nothing in while the clock is before this program was made, or behind the newest commit by more than `ahead`."},
    {"gait", "log", CONFIG_CHOICE, "info", NULL, NULL, log_words, "Least important lines that are logged."},

    {"mqtt", "host", CONFIG_HOST, "127.0.0.1", NULL, HOST_BYTES_MAX, NULL, "The broker's host."},
    {"mqtt", "port", CONFIG_INTEGER, "0", "0", "65535", NULL, "The broker's port; 0 is 1883, or 8883 with cafile."},
    {"mqtt", "prefix", CONFIG_TOPIC, "gait", NULL, NULL, NULL, "First level or levels of every topic."},
    {"mqtt", "username", CONFIG_TEXT, NULL, NULL, TEXT_BYTES_MAX, NULL, "User name for the broker."},
    {"mqtt", "password", CONFIG_SECRET, NULL, NULL, TEXT_BYTES_MAX, NULL, "Password for the broker."},
    {"mqtt", "cafile", CONFIG_FILE, NULL, NULL, PARAMETERS_PATH_MAX, NULL,
     "Speak TLS and trust the certificates in this file."},
    {"mqtt", "cert", CONFIG_FILE, NULL, NULL, PARAMETERS_PATH_MAX, NULL, "Our certificate, for brokers that ask for one."},
    {"mqtt", "key", CONFIG_SECRET_FILE, NULL, NULL, PARAMETERS_PATH_MAX, NULL, "The private key of cert."},
    {"mqtt", "session", CONFIG_DURATION, "7d", "1m", "365d", NULL,
     "How long the broker keeps landing messages for a process that is away."},

    {"limits", "payload", CONFIG_SIZE, "1MiB", "1KiB", "16MiB", NULL,
     "Largest payload that is taken in. Reading a packet of that size can take 150 times as much memory."},
    {"limits", "depth", CONFIG_INTEGER, "16", "1", "64", NULL, "Deepest nesting of a JSON record."},
    {"limits", "string", CONFIG_SIZE, "1KiB", "16B", "64KiB", NULL, "Longest string in a record."},
    {"limits", "earliest", CONFIG_DATE, "2000-01-01", "1970-01-01", NULL, NULL,
     "A reading's time before this day is refused: seconds in place of milliseconds lie in January 1970."},
    {"limits", "ahead", CONFIG_DURATION, "24h", "0", "3650d", NULL, "How far in the future a record's time may lie."},
    {"limits", "email_case", CONFIG_CHOICE, "keep", NULL, NULL, email_case_words,
     "keep: addresses that differ in capitals are two persons, as in the batch job; fold: one (a to z only)."},

    {"*", "enabled", CONFIG_SWITCH, "on", NULL, NULL, NULL,
     "Whether there is this process: off means that `gait up` does not start it and nobody waits for it."},
    {"*", "outbox_bytes", CONFIG_SIZE, "1GiB", "1MiB", "1024GiB", NULL,
     "What may wait for a registered consumer; intake stops when it is full. Messages about refusals may have an eighth of "
     "it besides; then they are counted only."},
    {"*", "inbox_bytes", CONFIG_SIZE, "256MiB", "16MiB", "1024GiB", NULL,
     "What may wait to be worked; intake stops when it is full."},
    {"*", "link_bytes", CONFIG_SIZE, "1MiB", "64KiB", "64MiB", NULL,
     "How far a process publishes ahead of each of its registered consumers."},
    {"*", "message_bytes", CONFIG_SIZE, "32KiB", "1KiB", "1MiB", NULL, "Output messages are filled up to this size."},
    {"*", "map", CONFIG_SIZE, "64GiB", "16MiB", "8192GiB", NULL,
     "Address space kept for the state file; grows by itself, takes no disk."},
    {"*", "consumers", CONFIG_NAMES, NULL, NULL, NULL, NULL,
     "More registered consumers of the output, besides gait's own; each holds the outbox until it reports progress."},
    {"*", "rejected_payload", CONFIG_SWITCH, "off", NULL, NULL, NULL,
     "Put the refused record itself, or what there is room for, into the rejected topic (personal data)."},
};

/* Those above come first, then each stream's own. */
static const struct config_key *
find_key(unsigned row)
{
    if (row < sizeof keys / sizeof keys[0])
        return &keys[row];
    row -= sizeof keys / sizeof keys[0];
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (row < catalog_streams[i]->key_count)
            return &catalog_streams[i]->keys[row];
        row -= catalog_streams[i]->key_count;
    }
    return NULL;
}

static const char *
find_process(unsigned number)
{
    return number < STREAMS_COUNT ? catalog_streams[number]->name : NULL;
}

const struct config_table catalog_config = {find_key, find_process};

const struct stream *
catalog_find(const char *name)
{
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (strcmp(catalog_streams[i]->name, name) == 0)
            return catalog_streams[i];
    }
    return NULL;
}

const struct stream *
catalog_landing(enum record_kind kind)
{
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        const struct stream_input *inputs = catalog_streams[i]->inputs;
        for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
            if (inputs[j].landing != NULL && inputs[j].record == kind)
                return catalog_streams[i];
        }
    }
    return NULL;
}
