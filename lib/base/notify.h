/*
 * notify: tell a supervisor that this program is ready, by systemd's protocol (READY=1 as a datagram to the socket that
 * the environment names in NOTIFY_SOCKET). `gait up` speaks it, and so does systemd (Type=notify).
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/* Send READY=1, if there is anybody to tell. Failure is not an error: the supervisor may be gone. */
void notify_ready(void);

#endif
