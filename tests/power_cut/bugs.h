/*
 * bugs: what power cuts once did to single modules.
 */
#ifndef POWER_CUT_BUGS_H
#define POWER_CUT_BUGS_H

/* Run the tests. How many failed. */
int bugs_run(void);

#endif
