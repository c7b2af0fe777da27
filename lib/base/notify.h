/*
 * notify: tell a supervisor how this program is, by systemd's protocol: lines as a datagram to the socket that the
 * environment names in NOTIFY_SOCKET. `gait up` speaks it, and so does systemd (Type=notify).
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/* Longest message, with a NUL: room for the longest line of the log. What is longer is cut. */
#define NOTIFY_BYTES_MAX 2304

/* Each sends, if there is anybody to tell. Failure is not an error: the supervisor may be gone. */

/* Ready: READY=1, and an empty STATUS, since what hindered it does not any more. */
void notify_ready(void);

/* What it is at, or what hinders it, on one line: STATUS=text. */
void notify_status(const char *text);

/* The same, and that it will not get further unless a person mends it: ERRNO=13, "permission denied". */
void notify_refused(const char *text);

#endif
