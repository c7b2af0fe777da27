/*
 * hold: whoever copies a pipeline at work asks its processes to remove nothing for a moment: neither messages from an
 * outbox nor what is worked from an inbox. It is a lock (flock) on the folder DIR/state, so it ends with whoever holds
 * it, however that one ends.
 *
 * A process looks before it removes, and after it knows up to where: what it then still removes although somebody has
 * asked meanwhile was committed, or reported by who has committed it, before it was asked. So it is in no snapshot's
 * future.
 */
#ifndef STATE_HOLD_H
#define STATE_HOLD_H

#include <stdbool.h>

/* Open the folder, which must be there: a descriptor for hold_taken and hold_take, or −1 with errno. To close it ends the
 * hold. */
int hold_open(const char *dir);

/* Whether somebody has asked. */
bool hold_taken(int fd);

/* Ask; waits while somebody else does. 0, or −1 with errno (EINTR: a signal came). */
int hold_take(int fd);

/* The file that gait restore leaves in the folder of each state, until its process has asked who left meanwhile (recall.c).
 */
#define HOLD_RESTORED "restored"

/* Whether it is in the folder of this state; and done with what it asks for: if it can't be removed all is asked once more
 * after the next start. */
bool hold_is_restored(const char *state_dir);
void hold_forget_restored(const char *state_dir);

/* The folder that gait restore fills below DIR. It goes when the states have their place; one that was killed leaves it. */
#define HOLD_RESTORE "restore.partial"

/* Whether it is there; then says so in the log, and nobody may begin: whoever did would begin without state, and with a new
 * key. */
bool hold_restores(const char *dir);

#endif
