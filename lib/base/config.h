/*
 * config: one INI file for all programs, checked against one table of keys.
 *
 * Nothing in the file is guessed at: an unknown section or key, a value out of bounds or a missing unit is an error with
 * file, line, key and what is allowed.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"

enum config_type {
    CONFIG_INTEGER,  /* decimal */
    CONFIG_DURATION, /* with a unit: ms, s, m, h, d; held in ms. "0" needs none */
    CONFIG_DATE,     /* YYYY-MM-DD, midnight UTC; held in ms since 1970 */
    CONFIG_SIZE,     /* with a unit: B, KiB, MiB, GiB; held in bytes. "0" needs none */
    CONFIG_CHOICE,   /* one of the words in choices; held as its index */
    CONFIG_SWITCH,   /* on or off; held as 1 or 0 */
    CONFIG_TEXT,     /* any text; of it and all that follow but the last two, most says how many bytes they may have */
    CONFIG_SECRET,   /* any text, which is shown to nobody; see config_find_exposed */
    CONFIG_DIR,      /* the name of a folder that is worked in; see base/folder.h */
    CONFIG_FILE,     /* the name of a file that is read */
    CONFIG_SECRET_FILE, /* of one that holds a secret; see config_find_exposed */
    CONFIG_KEY_FILE, /* of one that holds a key; see hash_key_file */
    CONFIG_HOST,     /* a host name or address, nothing around it */
    CONFIG_TOPIC,    /* topic levels of [A-Za-z0-9_-]{1,64}, separated by / */
    CONFIG_NAMES     /* names of [A-Za-z0-9_-]{1,64}, each once, separated by commas; may be empty */
};

/* One key: a row of the table. section may be "*": the key exists in the section of every process. */
struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    const char *preset;         /* the default, as one would write it in the file; NULL: empty text */
    const char *least;          /* bounds, as one would write them in the file; NULL: none */
    const char *most;
    const char *const *choices; /* CONFIG_CHOICE: words, ended by NULL */
    const char *prose;          /* what it does, one sentence */
};

/* All keys, by calls: whoever is configured declares its keys itself, and the table is put together of them. */
struct config_table {
    const struct config_key *(*key)(unsigned row); /* rows from 0 on; NULL behind the last one */
    const char *(*process)(unsigned number);       /* sections that "*" stands for, likewise */
};

struct config;

/* Everything at its default. table must outlive it. Free with config_free. */
struct config *config_new(const struct config_table *table);

/* Read the file at path over what config holds. Every fault is one line in errors: "FILE:LINE: [section] key: what is
 * wrong; what is allowed". 0, or −1 when there was one (or the file can't be read). */
int config_read(struct config *config, const char *path, struct buffer *errors);

/* Append where the key is set, "FILE:LINE: [section] key: " of the file that was read last, without the line if it does not
 * say so, without FILE if none was read: what a fault of what the key names begins with. */
void config_where(const struct config *config, const char *section, const char *key, struct buffer *out);

/* What others on this machine can read, or change, though the file that was read last says that it is secret: the file
 * itself if a CONFIG_SECRET stands in it, and what each CONFIG_SECRET_FILE names; and whether somebody else than us and root
 * owns one of these, or the file itself. Each is a line in faults, like those of config_read. 0, or −1 when there is one. */
int config_find_exposed(const struct config *config, struct buffer *faults);

/* Say these as warnings in the log: a program that runs can't take back what was read, and does not stop over it. */
void config_warn_exposed(const struct config *config);

/* Whether error, an errno, of a file or folder that the configuration names, is for whoever wrote that to mend: where it
 * lies, whose it is, what it is. Not what passes, like a disk that is full. */
bool config_is_to_blame(int error);

/* Set one key as if the file had said so; where names the origin for the message (an option). 0, or −1 with errors. */
int config_set(struct config *config, const char *section, const char *key, const char *value, const char *where,
               struct buffer *errors);

/* The value of a key that must be in the table (else it is our bug: panic). Numbers, ms, bytes, choice index, switch. */
int64_t config_int(const struct config *config, const char *section, const char *key);

/* The value as text; "" when not set. Valid as long as config lives and the key is not set again. */
const char *config_text(const struct config *config, const char *section, const char *key);

/* Print the table as text, or as rows of a Markdown table. */
void config_print_keys(const struct config_table *table, FILE *out, bool markdown);

/* Forget all values, and where they stand. NULL is fine. */
void config_free(struct config *config);

#endif
