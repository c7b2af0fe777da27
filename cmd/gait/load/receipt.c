#include "load/receipt.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>

#include "record/json.h"
#include "record/reason.h"

/* A copy of text into size bytes, if it is such a word as names and reasons are. Else "". */
static void
copy_word(const char *text, char *word, size_t size)
{
    size_t len = strlen(text);
    bool good = len < size;

    for (size_t i = 0; i < len && good; i++)
        good = isalnum((unsigned char)text[i]) || text[i] == '_';
    snprintf(word, size, "%s", good ? text : "");
}

static void
read_fault(void *context, const char *name, const struct json *value)
{
    struct receipt *receipt = context;
    int64_t record = json_int_at(value, "record", -1);

    (void)name;
    if (receipt->fault_count == RECEIPT_FAULTS_MAX || record < 0)
        return;
    struct receipt_fault *fault = &receipt->faults[receipt->fault_count++];
    fault->record = (uint64_t)record;
    copy_word(json_text_at(value, "reason", ""), fault->reason, sizeof fault->reason);
    copy_word(json_text_at(value, "field", ""), fault->field, sizeof fault->field);
}

static uint64_t
count_at(const struct json *json, const char *path)
{
    const int64_t count = json_int_at(json, path, 0);

    return count > 0 ? (uint64_t)count : 0;
}

int
receipt_read(struct span payload, struct receipt *receipt)
{
    static const struct json_limits limits = {.depth_max = 4, .string_bytes_max = 256};

    *receipt = (struct receipt){0};
    struct json *json = json_parse(payload, &limits);
    if (json == NULL)
        return -1;
    int64_t taken = json_int_at(json, "taken", -1);
    int64_t duplicate = json_int_at(json, "duplicate", -1);
    int64_t invalid = json_int_at(json, "invalid", -1);
    receipt->taken = (uint64_t)taken;
    receipt->duplicate = (uint64_t)duplicate;
    receipt->invalid = (uint64_t)invalid;
    receipt->refused = count_at(json, "refused");
    receipt->stale = count_at(json, "stale");
    receipt->ahead = count_at(json, "ahead");
    json_each(json, "faults", read_fault, receipt);
    json_free(json);
    return taken < 0 || duplicate < 0 || invalid < 0 ? -1 : 0;
}

void
receipt_describe(const struct receipt_fault *fault, char *text)
{
    static const struct {
        enum reason reason;
        const char *with_field; /* what is wrong with it */
        const char *without;
        const char *field; /* only with this one; behind what is said of any */
    } words[] = {
        {REASON_BAD_JSON, "stands there twice or is no JSON", "no JSON object", NULL},
        {REASON_MISSING_FIELD, "is missing", "a field is missing", NULL},
        {REASON_BAD_TYPE, "has another type than it must", "a field has another type than it must", NULL},
        {REASON_BAD_TYPE, "must be true or false", "", "withdrawAll"},
        {REASON_OUT_OF_RANGE, "is out of range", "a field is out of range", NULL},
        {REASON_OUT_OF_RANGE, "stands beside shareWithResearchAsOfDate: leave one of them out", "", "withdrawAll"},
        {REASON_TOO_LARGE, "is too long", "too long, or more than the process takes", NULL},
    };
    const char *without = "refused";
    const char *with_field = "is refused";

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(fault->reason, reason_word(words[i].reason)) == 0 &&
            (words[i].field == NULL || strcmp(fault->field, words[i].field) == 0)) {
            without = words[i].without;
            with_field = words[i].with_field;
        }
    }
    const char *reason = fault->reason[0] != '\0' ? fault->reason : "invalid";
    if (fault->field[0] != '\0')
        snprintf(text, RECEIPT_TEXT_BYTES, "%s: %s %s", reason, fault->field, with_field);
    else
        snprintf(text, RECEIPT_TEXT_BYTES, "%s: %s", reason, without);
}
