/*
 * say: what a command has to tell a person, on standard error, one line at a time: "gait COMMAND: TEXT".
 */
#ifndef GAIT_SAY_H
#define GAIT_SAY_H

/* Begin every line with "gait COMMAND: " from now on; until then it is "gait: ". command must stay valid. */
void say_as(const char *command);

/* Write one line. The line end is added. Never values of records: see STYLE.md, personal data. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
