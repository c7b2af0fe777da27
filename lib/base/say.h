/*
 * say: what a program has to tell a person: lines on standard error, and whether standard output took what was printed.
 */
#ifndef BASE_SAY_H
#define BASE_SAY_H

/* The first call of a main program: hold the numbers of standard streams that are closed, and leave nothing of our memory,
 * or of that of programs that we start, to a core dump. A file of ours that got number 2 would have log lines written into
 * it; a dump would hold records and keys. What is printed to a stream that was closed fails. */
void say_begin(void);

/* Begin every line with "NAME: " from now on, the program's name and its command's; until then it is "gait: ". name must
 * stay valid. */
void say_as(const char *name);

/* The name that lines begin with. */
const char *say_name(void);

/* Write one line. The line end is added, and what would speak to a terminal is shown as '?' (base/printable.h): names of
 * files and words of a broker are in it. Never values of records: see STYLE.md, personal data. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Say each line of text by itself; an empty text is nothing. */
void say_lines(const char *text);

/* The last call of a main program: write out and close standard output. status, or 1 with a line when it is 0 and what
 * was printed did not all go out. A reader that had enough (head) is no fault. */
int say_end(int status);

#endif
