#include "state/ledger.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"

#define INPUT_NUMBERS (1 + VERDICT_COUNT)
#define VALUE_BYTES_MAX (1 + 8 * (OPERATOR_INPUTS_MAX * INPUT_NUMBERS + REASON_COUNT))

static const struct span ledger_key = {"ledger", 6};

int
ledger_open(struct ledger *ledger, struct store *store, const char *name, unsigned input_count)
{
    log_assert(input_count > 0 && input_count <= OPERATOR_INPUTS_MAX);
    *ledger = (struct ledger){.store = store, .input_count = input_count};
    ledger->table = store_table(store, name);
    return ledger->table < 0 ? -1 : 0;
}

/* The number at index of the value; 0 behind its end. */
static uint64_t
number_at(struct span value, unsigned index)
{
    size_t at = 1 + 8 * (size_t)index;

    return at + 8 <= value.len ? bytes_get_u64(value.at + at) : 0;
}

int
ledger_load(struct ledger *ledger)
{
    struct span value;
    unsigned index = 0;
    int rc = store_get(ledger->store, ledger->table, ledger_key, &value);

    if (rc < 0)
        return -1;
    const unsigned counted = rc == 1 && value.len > 0 ? (unsigned char)value.at[0] : 0;
    if (rc == 0)
        value.len = 0;
    else if (value.len < 1 + 8 * (size_t)counted * INPUT_NUMBERS || value.len > VALUE_BYTES_MAX || value.len % 8 != 1 ||
             counted == 0 || counted > ledger->input_count)
        return store_damaged_at(ledger->store, ledger->table, ledger_key, "counters of other inputs");
    memset(ledger->inputs, 0, sizeof ledger->inputs);
    for (unsigned i = 0; i < counted; i++) {
        ledger->inputs[i].taken = number_at(value, index++);
        for (unsigned v = 0; v < VERDICT_COUNT; v++)
            ledger->inputs[i].verdicts[v] = number_at(value, index++);
    }
    for (unsigned r = 0; r < REASON_COUNT; r++)
        ledger->reasons[r] = number_at(value, index++);
    ledger->changed = ledger->overdrawn = false;
    if (!ledger_balanced(ledger))
        return store_damaged_at(ledger->store, ledger->table, ledger_key, "counters that do not balance");
    return 0;
}

void
ledger_count(struct ledger *ledger, unsigned input, enum verdict verdict)
{
    log_assert(input < ledger->input_count && verdict >= 0 && verdict < VERDICT_COUNT);
    ledger->inputs[input].taken++;
    ledger->inputs[input].verdicts[verdict]++;
    ledger->changed = true;
}

void
ledger_move(struct ledger *ledger, unsigned input, enum verdict from, enum verdict to)
{
    log_assert(input < ledger->input_count && from < VERDICT_COUNT && to < VERDICT_COUNT && from != to);
    ledger->overdrawn = ledger->overdrawn || ledger->inputs[input].verdicts[from] == 0;
    ledger->inputs[input].verdicts[from]--;
    ledger->inputs[input].verdicts[to]++;
    ledger->changed = true;
}

void
ledger_reason(struct ledger *ledger, enum reason reason)
{
    log_assert(reason > REASON_NONE && reason < REASON_COUNT);
    ledger->reasons[reason]++;
    ledger->changed = true;
}

bool
ledger_balanced(const struct ledger *ledger)
{
    for (unsigned i = 0; i < ledger->input_count; i++) {
        uint64_t sum = 0;
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            if (ledger->inputs[i].verdicts[v] > ledger->inputs[i].taken)
                return false; /* fewer than none of another */
            sum += ledger->inputs[i].verdicts[v];
        }
        if (sum != ledger->inputs[i].taken)
            return false;
    }
    return true;
}

uint64_t
ledger_checksum(const struct ledger *ledger)
{
    return hash_checksum(span_at(ledger->inputs, sizeof ledger->inputs)) ^
           hash_checksum(span_at(ledger->reasons, sizeof ledger->reasons));
}

int
ledger_flush(struct ledger *ledger)
{
    char value[VALUE_BYTES_MAX];
    char *at = value;

    if (!ledger->changed)
        return 0;
    if (ledger->overdrawn)
        return store_damaged_at(ledger->store, ledger->table, ledger_key, "more records stop waiting than are counted as "
                                "such: these counters, or a table of what waits");
    if (!ledger_balanced(ledger))
        log_panic("the counters do not balance");
    *at++ = (char)ledger->input_count;
    for (unsigned i = 0; i < ledger->input_count; i++) {
        bytes_put_u64(at, ledger->inputs[i].taken);
        at += 8;
        for (unsigned v = 0; v < VERDICT_COUNT; v++, at += 8)
            bytes_put_u64(at, ledger->inputs[i].verdicts[v]);
    }
    for (unsigned r = 0; r < REASON_COUNT; r++, at += 8)
        bytes_put_u64(at, ledger->reasons[r]);
    log_assert((size_t)(at - value) == 1 + 8 * (ledger->input_count * INPUT_NUMBERS + REASON_COUNT));
    ledger->changed = false;
    return store_put(ledger->store, ledger->table, ledger_key, span_at(value, (size_t)(at - value)));
}

const char *
ledger_word(enum verdict verdict)
{
    static const char *const words[] = {"passed", "waiting", "refused", "duplicate", "stale", "invalid"};

    _Static_assert(sizeof words / sizeof words[0] == VERDICT_COUNT, "a word for each");
    return verdict >= 0 && verdict < VERDICT_COUNT ? words[verdict] : "error";
}
