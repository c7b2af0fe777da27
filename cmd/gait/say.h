/*
 * say: what a command has to tell a person, on standard error, one line at a time: "gait COMMAND: TEXT". main.c has set
 * the name.
 */
#ifndef GAIT_SAY_H
#define GAIT_SAY_H

#include "base/say.h"

#endif
