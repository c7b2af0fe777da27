/*
 * asker: whoever waits for the pipeline to come to rest, as `gait status --wait-idle` does: by what all processes answer in
 * one round of questions.
 */
#ifndef SIMULATOR_ASKER_H
#define SIMULATOR_ASKER_H

#include <stdbool.h>

#include "common/answer.h"
#include "wire/wire.h"
#include "numbers.h"


/* Where it wants answers. */
#define ASKER_ANSWERS "gait/answer/simulation"

struct asker {
    struct wire *wire; /* the caller makes it with options and subscribes it to ASKER_ANSWERS */
    struct wire_options options;
    struct answer answers[PROCESSES]; /* in the order of the catalog; without a name: none in this round */
};

struct wire_events asker_events(struct asker *asker);

/* Begin a round. */
void asker_ask(struct asker *asker);

/* Whether all have answered in this round. */
bool asker_has_all(const struct asker *asker);

/* Whether the answers say that everything which came before the round is worked everywhere. */
bool asker_hears_rest(const struct asker *asker);

#endif
