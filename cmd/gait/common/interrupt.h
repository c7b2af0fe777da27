/*
 * interrupt: SIGINT and SIGTERM for commands that want to say how far they came before they end.
 */
#ifndef COMMON_INTERRUPT_H
#define COMMON_INTERRUPT_H

/* From now on the two signals are only noted (a second one ends the process as usual). */
void interrupt_catch(void);

/* The signal that came, or 0. */
int interrupt_signal(void);

#endif
