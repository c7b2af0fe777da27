/*
 * way: how one gets to a folder that the user names. Whoever may change a folder or link on it decides where it ends, and
 * for root that is anywhere; so each is looked at on the way, by descriptor, from / on.
 *
 * Each link and each folder that is gone through must belong to us or to root, and in such a folder others may not write,
 * unless it has the sticky bit. The group may: users have folders of mode 0775 by their umask, in groups of their own.
 */
#ifndef BASE_WAY_H
#define BASE_WAY_H

#include <stdbool.h>

#include "base/buffer.h"

/* Go to the folder dir and open it; it is not judged itself, what leads there is. make: what is missing at its end is made,
 * mode 0700, with a durable name; but nothing where a link points: what is to be mounted there may not be yet. A descriptor,
 * or −1 with errno, and with what is wrong and what to do about it appended to fault: nothing if dir is missing and not to
 * be made. */
int way_open(const char *dir, bool make, struct buffer *fault);

/* Whether what we make in the folder dir stays there, since dir too is such a folder as may be on a way. 0, or −1 as above;
 * that it is missing is a fault. */
int way_is_safe(const char *dir, struct buffer *fault);

#endif
