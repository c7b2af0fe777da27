#include "record/reason.h"

#include <stddef.h>

#include "base/log.h"

static const char *const words[] = {
    [REASON_NONE] = "none",
    [REASON_BAD_JSON] = "bad_json",
    [REASON_MISSING_FIELD] = "missing_field",
    [REASON_BAD_TYPE] = "bad_type",
    [REASON_OUT_OF_RANGE] = "out_of_range",
    [REASON_TOO_LARGE] = "too_large",
    [REASON_NO_CONSENT] = "no_consent",
    [REASON_EXPIRED] = "expired",
    [REASON_HOLD_FULL] = "hold_full",
    [REASON_POISON] = "poison",
};

_Static_assert(sizeof words / sizeof words[0] == REASON_COUNT, "a word for the last one, too");

const char *
reason_word(enum reason reason)
{
    if (reason >= REASON_COUNT || words[reason] == NULL)
        log_panic("reason %u has no word", (unsigned)reason);
    return words[reason];
}
