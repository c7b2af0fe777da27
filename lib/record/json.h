/*
 * json: a strict reader for flat JSON objects, and a lax-proof door to cJSON for everything else.
 *
 * cJSON 1.7.15 accepts trailing bytes, duplicate keys and invalid UTF-8, cuts strings at a NUL escape and turns 1e999
 * into null; so every text first passes json_scan, which checks RFC 8259 (grammar, UTF-8, depth), refuses duplicate
 * keys and NUL escapes in every object at every depth, and gives out the top-level members as they stand in the text.
 * The only user of cJSON is json.c.
 */
#ifndef RECORD_JSON_H
#define RECORD_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"
#include "record/reason.h"

/* Members of one object, at any depth: every name is compared with every other, so this bounds the work per byte. */
#define JSON_MEMBERS_MAX 64

/* A double's shortest spelling has at most 25 bytes; this leaves room for zeros that printers add. */
#define JSON_NUMBER_BYTES_MAX 64

/* Far beyond any double (1e308, 5e-324), and sums of it with a number's length stay exact. */
#define JSON_EXPONENT_MAX 999999999

/* Limits and the reason for each: depth bounds our stack, string bytes bound keys and memory. */
struct json_limits {
    unsigned depth_max;        /* nesting of arrays and objects; the outermost object is 1; costs 3 KiB of stack each */
    unsigned string_bytes_max; /* of one string or name as it stands in the text, without quotes */
};

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* One member of the outermost object. Spans point into the scanned text. */
struct json_member {
    struct span name;  /* without quotes, escapes not resolved */
    struct span value; /* string: without quotes, escapes not resolved; others: as they stand */
    enum json_type type;
    bool name_escaped; /* name has at least one backslash */
    bool escaped;      /* string value: has at least one backslash */
};

struct json_object {
    struct json_member members[JSON_MEMBERS_MAX]; /* more members than that are REASON_TOO_LARGE */
    unsigned count;
    size_t length; /* bytes of text that the object took, from its '{' to its '}' */
    bool in_member; /* a fault is in members[count], of which name and name_escaped are set */
};

/* Scan one object at the start of text ('{' first; what follows its '}' is not looked at). REASON_NONE, or why not:
 * REASON_BAD_JSON or REASON_TOO_LARGE; then object->length is where the fault was found. */
enum reason json_scan(struct span text, const struct json_limits *limits, struct json_object *object);

/* Whether the member is called name (escapes in its name are resolved for the comparison; case counts). */
bool json_name_is(const struct json_member *member, struct span name);

/* The member with this name, or NULL. */
const struct json_member *json_find(const struct json_object *object, struct span name);

/* Append the string's bytes with escapes resolved (UTF-8), never more than member->value.len. member->type must be
 * JSON_STRING. */
void json_unescape(const struct json_member *member, struct buffer *text);

/* Append text, which may be any bytes, as a JSON string with quotes: what is no UTF-8 in it becomes U+FFFD, a byte each. */
void json_add_any_text(struct buffer *out, struct span text);

/* The same, but what would take more than bytes_max (3 or more), with its quotes, ends behind its last whole character that
 * has room. Whether all of it had. */
bool json_add_text_up_to(struct buffer *out, struct span text, size_t bytes_max);

/* An integer literal (a number without fraction and exponent) that fits int64: 1 and *value, else 0. */
int json_int64(const struct json_member *member, int64_t *value);

/* A number that fits int64 when it is rounded down: 1 and *value, else 0. Exact, however it is written: works on digits. */
int json_floor(const struct json_member *member, int64_t *value);

/* Whether the value is a number that is a finite double, in at most JSON_NUMBER_BYTES_MAX bytes and with an exponent of
 * at most JSON_EXPONENT_MAX either way. */
bool json_is_finite(const struct json_member *member);

/* What json_canonical_number appends to a number of len bytes at most: a sign, the digits, 'e' and an exponent. */
#define JSON_CANONICAL_BYTES_MAX(len) ((len) + 24)

/* Append the number's one spelling: equal decimal values (1, 1.0, 10e-1, and -0 and 0) give equal bytes. Exact for
 * exponents up to JSON_EXPONENT_MAX either way (greater ones are taken for it): works on digits, never rounds. */
void json_canonical_number(struct span number, struct buffer *text);

/*
 * Documents of our own (metrics, progress, receipts): scanned strictly, then read by cJSON.
 */
struct json;

/* Parse one object that fills text but for white space. NULL if it is not that, or breaks limits. Free with
 * json_free. */
struct json *json_parse(struct span text, const struct json_limits *limits);

/* The text or integer at a path such as "output.last" (members only, names without a dot), or preset if there is none
 * of that type. Integers are exact; what no int64 holds, and from 2^53 on what is not written as an integer, is none. */
const char *json_text_at(const struct json *json, const char *path, const char *preset);
int64_t json_int_at(const struct json *json, const char *path, int64_t preset);

/* Call each for every member of the object at path ("" is the root) or element of the array there, with its name
 * (NULL in arrays); the struct json given is valid during the call only and must not be freed. Returns how many. */
unsigned json_each(const struct json *json, const char *path,
                   void (*each)(void *context, const char *name, const struct json *value), void *context);

/* This value itself as text or integer; preset if it is of another type. */
const char *json_text(const struct json *json, const char *preset);
int64_t json_int(const struct json *json, int64_t preset);

/* Free what json_parse gave, and with it every text that was read from it. NULL is fine. */
void json_free(struct json *json);

#endif
