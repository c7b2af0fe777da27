#include "operator/person.h"

#include "base/log.h"

struct hash_id
person_id(struct person *person, struct span text)
{
    if (text.len == 0)
        log_panic("person: nobody has an empty name");
    if (!span_equal(text, buffer_span(&person->text))) {
        person->id = hash_id(person->key, &text, 1);
        buffer_clear(&person->text);
        buffer_add_span(&person->text, text);
    }
    return person->id;
}

void
person_free(struct person *person)
{
    buffer_free(&person->text);
}
