/*
 * log: one line an event on standard error: time, level, program, text. No personal data ever goes in: callers name
 * processes, topics, keys of the configuration, positions and reason codes, never values of records. What would speak to
 * a terminal is shown as '?' (base/printable.h): a log is read on one.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_NOTHING = -1, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Name the program in every line from now on and drop lines above level; what ends the program is said at any level. name
 * must stay valid. */
void log_open(const char *name, enum log_level level);

/* Another level, from any thread. */
void log_set_level(enum log_level level);

struct buffer;

/* Go on with the file at path, in a folder of ours, made if need be: standard error and output are that from now on. The
 * folder is no link, at whose end that file would be anybody's; what it is in may be reached through one. 0, or −1 with
 * errno, and what is wrong appended to fault. */
int log_to_file(const char *path, struct buffer *fault);

/* Give the text of each error and warning that is logged to follower, too; NULL for nobody any more. It is called from
 * whichever thread has something to log, and must not log. */
void log_follow(void (*follower)(const char *text));

/* What went wrong, and somebody has to look at: a line in format, as of printf. The follower is given it. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, of what only whoever wrote the configuration, or keeps the files that it names, can mend: a program whose start
 * failed over it ends as one with a wrong configuration does, and is not to be started again. */
void log_config_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether that has happened. */
bool log_had_config_error(void);

/* As log_error, of what goes on all the same, but not as it should. */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As log_error, of what one wants to know of a program at work; the follower is not given it. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As log_info, of what only one who looks for a fault wants to know. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The operator's problem (no memory, no permission): log and exit with status 1. */
_Noreturn void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Our own bug: log and abort. */
_Noreturn void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What holds unless we are wrong: else log_panic says where, and what. On in every build: going on with a broken state would
 * keep the damage. For what is cheap to look at, and without a call that does something. */
#define log_assert(holds) ((holds) ? (void)0 : log_panic("%s:%d: not so: %s", __FILE_NAME__, __LINE__, #holds))

/* The environment names here the file that standard error is appended to, if the program is to open it anew at SIGHUP. */
#define LOG_FILE_VARIABLE "GAIT_LOG_FILE"

#endif
