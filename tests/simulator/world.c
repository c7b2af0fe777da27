#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "dice.h"

const char *const landing_names[LANDINGS] = {"customer", "accelerometer", "step_trainer"};
const char *const set_paths[SETS] = {"trusted/customer", "trusted/accelerometer", "curated/customer",
                                     "trusted/step_trainer", "curated/machine_learning"};

bool
is_table(enum set set)
{
    return set == TRUSTED_CUSTOMER || set == CURATED_CUSTOMER;
}

#define ALL_WITHDRAWN 20 /* the version of a record that withdraws all rows; older than none of theirs */
#define STARTS_S ((WORLD_START_MS - INT64_C(1600000000000)) / 1000)
#define AHEAD_MS (INT64_C(23) * 3600 * 1000)

/* Person 0 has two trainers, persons 1 and 2 claim the same, person 3 does not consent, person 4 does and has no phone,
 * person 5 has withdrawn long ago and has no phone, 6 and 7 leave, and 7 shares a trainer with 0. Person 8 leaves, and
 * consented by a clock that is ahead. Person 10 leaves with both trainers at once; 11 did so long ago, without a
 * phone, and has consented with a third trainer since. The consent of person 12 has a date that is still to come. Other
 * persons have never registered. */
static const struct customer people[] = {
    {.person = 0, .trainer = 0, .consent_s = 3}, {.person = 0, .trainer = 1, .consent_s = 6},
    {.person = 1, .trainer = 2, .consent_s = 4}, {.person = 2, .trainer = 2, .consent_s = 1},
    {.person = 3, .trainer = 3},                 {.person = 4, .trainer = 4, .consent_s = 2},
    {.person = 5, .trainer = 5, .withdrawn = true},
    {.person = 6, .trainer = 6, .consent_s = 2, .leaves = true},
    {.person = 7, .trainer = 1, .consent_s = 1, .leaves = true},
    {.person = 8, .trainer = 7, .consent_s = 2, .leaves = true, .ahead = true},
    {.person = 10, .trainer = 8, .consent_s = 2, .leaves = true, .gone = true, .all = true},
    {.person = 10, .trainer = 9, .consent_s = 3, .leaves = true, .gone = true},
    {.person = 11, .trainer = 20, .gone = true, .all = true},
    {.person = 11, .trainer = 21, .gone = true},
    {.person = 11, .trainer = 10, .consent_s = 2, .version = ALL_WITHDRAWN + 1},
    {.person = 12, .trainer = 11, .consent_s = STARTS_S + 20},
};
#define PEOPLE (sizeof people / sizeof people[0])
static const unsigned phone_owners[] = {0, 1, 2, 3, 6, 7, 8, 10, 12};
#define STRANGER 9
#define CROWD_FIRST 100 /* person and trainer; more than refill and newcomer rows at a time */
#define CROWD 230
#define TRAINERS 12
#define TIMES_S 12

static int64_t
at_ms(unsigned time_s)
{
    return INT64_C(1600000000000) + time_s * INT64_C(1000);
}

/* What the person's e-mail address begins with, in a record of this number. */
static char
letter(const struct world *world, unsigned number)
{
    return world->fold && number % 2 == 1 ? 'P' : 'p';
}

/* When a record of a customer who dates consents by a clock ahead is dated. */
static int64_t
date_ms(const struct customer *customer, unsigned version, bool consents)
{
    if (!customer->ahead)
        return at_ms(version);
    return WORLD_START_MS + (consents ? AHEAD_MS : 0) + version;
}

/* A customer's record of a version: a later one has a later date. more: members that stand at its end. */
static char *
customer_text(const struct world *world, const struct customer *customer, unsigned version, bool consents,
              const char *more)
{
    struct buffer text = {0};

    buffer_printf(&text,
                  "{\"customerName\":\"N%u v%u\",\"email\":\"%c%u@x\",\"phone\":\"1\",\"birthDay\":\"1970-01-01\","
                  "\"serialNumber\":\"s%u\",\"registrationDate\":1500000000000,\"lastUpdateDate\":%" PRId64,
                  customer->person, version, letter(world, version), customer->person, customer->trainer,
                  date_ms(customer, version, consents));
    if (consents)
        buffer_printf(&text, ",\"shareWithResearchAsOfDate\":%" PRId64, at_ms(customer->consent_s));
    buffer_add_text(&text, more);
    buffer_add_byte(&text, '}');
    buffer_text(&text);
    return text.data;
}

static void
add_text(struct world *world, unsigned phase, const struct customer *customer, unsigned version, bool consents,
         const char *more)
{
    char *text = customer_text(world, customer, version, consents, more);

    lines_add(&world->landing[phase][CUSTOMER], "%s", text);
    free(text);
}

static void
add_record(struct world *world, unsigned phase, const struct customer *customer, unsigned version, bool consents)
{
    add_text(world, phase, customer, version, consents, "");
}

/* The customer goes in the second phase. */
static void
add_leave(struct world *world, struct customer *customer)
{
    if (customer->all)
        add_text(world, 1, customer, ALL_WITHDRAWN, false, ",\"withdrawAll\":true");
    else if (!customer->gone)
        add_record(world, 1, customer, ++customer->version, false);
    /* What was said before is of no consequence any more, whenever it comes: no repeat that is recognised as one. */
    if (customer->ahead || customer->gone) {
        for (unsigned phase = 1; phase < world->phases; phase++)
            add_text(world, phase, customer, customer->version - !customer->gone, true,
                     phase == 1 ? ",\"shareWithFriendsAsOfDate\":1" : ",\"shareWithFriendsAsOfDate\":2");
    }
}

/* Records of who withdrew all rows, in no order with those that consent. */
static void
add_gone(struct world *world, struct customer *customer)
{
    add_record(world, 0, customer, customer->version, true);
    add_record(world, 0, customer, ALL_WITHDRAWN, true);
    if (customer->all)
        add_text(world, 0, customer, ALL_WITHDRAWN, false, ",\"withdrawAll\":true");
    customer->row = customer_text(world, customer, customer->version, true, "");
}

static void
add_customer(struct world *world, const struct customer *template)
{
    struct customer *customer = &world->customers[world->customer_count++];
    const bool consents = template->consent_s > 0;

    *customer = *template;
    customer->leaves = template->leaves && world->phases > 1;
    if (customer->gone && !consents) {
        add_gone(world, customer);
        return;
    }
    for (unsigned older = dice_roll(3); older > 0; older--) /* of no consequence, whenever they come */
        add_record(world, 0, customer, customer->version++, consents);
    if (consents && dice_chance(30))
        add_record(world, 0, customer, customer->version++, true);
    if (customer->withdrawn)
        add_record(world, 0, customer, customer->version++, true);
    add_record(world, 0, customer, customer->version, consents);
    customer->row = customer_text(world, customer, customer->version, true, "");
    if (customer->leaves)
        add_leave(world, customer);
}

static char *
phone_text(const struct world *world, const struct reading *phone, unsigned number)
{
    /* An address with a capital is a stranger's where capitals tell persons apart. */
    const bool other = !world->fold && phone->owner == STRANGER;
    char *text;

    if (asprintf(&text, "\"user\":\"%c%u@x\",\"timestamp\":%" PRId64 ",\"x\":%u.5,\"y\":-1e-3,\"z\":0",
                 other ? 'P' : letter(world, number), other ? 0 : phone->owner, at_ms(phone->time_s), number) < 0)
        abort();
    return text;
}

static char *
trainer_text(const struct reading *trainer, unsigned number)
{
    char *text;

    if (asprintf(&text, "\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"s%u\",\"distanceFromObject\":%u",
                 at_ms(trainer->time_s), trainer->owner, number) < 0)
        abort();
    return text;
}

static void
add_phone(struct world *world, unsigned phase, unsigned owner)
{
    struct reading *phone = &world->phones[world->phone_count];

    *phone = (struct reading){.owner = owner, .time_s = dice_roll(world->times_s), .phase = phase};
    phone->body = phone_text(world, phone, world->phone_count++);
    lines_add(&world->landing[phase][ACCELEROMETER], "{%s}", phone->body);
}

static void
add_trainer(struct world *world, unsigned phase, unsigned owner)
{
    struct reading *trainer = &world->trainers[world->trainer_count];

    *trainer = (struct reading){.owner = owner, .time_s = dice_roll(world->times_s), .phase = phase};
    trainer->body = trainer_text(trainer, world->trainer_count++);
    lines_add(&world->landing[phase][STEP_TRAINER], "{%s}", trainer->body);
}

static bool
phone_opens(const struct world *world, const struct reading *phone, const struct customer *customer)
{
    return customer->person == phone->owner && customer->consent_s > 0 &&
           (!world->as_of || phone->time_s >= customer->consent_s);
}

/* Whether the customer's row is there to the end, for all that is known downstream. */
static bool
stays(const struct world *world, const struct customer *customer, bool surely)
{
    return !customer->leaves || (!surely && world->forgets && customer->ahead);
}

/* What a reading needs a customer's row for, when the phase has come to rest, at best or surely: a leaver's row is there
 * for readings of the first phase, and perhaps for those of the second. */
static bool
row_is_there(const struct world *world, const struct customer *customer, unsigned phase, bool surely)
{
    return stays(world, customer, surely) || phase < (surely ? 1 : 2);
}

static bool
phone_passes(const struct world *world, const struct reading *phone, bool surely)
{
    for (unsigned i = 0; i < world->customer_count; i++) {
        if (phone_opens(world, phone, &world->customers[i]) &&
            row_is_there(world, &world->customers[i], phone->phase, surely))
            return true;
    }
    return false;
}

static void
find_curated(struct world *world, struct customer *customer, bool surely)
{
    customer->curated[surely] = PHASES;
    if (customer->consent_s == 0)
        return;
    for (unsigned i = 0; i < world->phone_count; i++) {
        const struct reading *phone = &world->phones[i];
        if (phone->owner == customer->person && (int)phone->phase < customer->curated[surely] &&
            row_is_there(world, customer, phone->phase, surely) && phone_passes(world, phone, surely))
            customer->curated[surely] = (int)phone->phase;
    }
}

static void
find_all_curated(struct world *world)
{
    for (unsigned i = 0; i < world->customer_count; i++) {
        find_curated(world, &world->customers[i], false);
        find_curated(world, &world->customers[i], true);
    }
}

void
world_make(struct world *world, unsigned phases, bool crowd)
{
    *world = (struct world){
        .as_of = dice_chance(50), .by_customer = dice_chance(50), .window_s = dice_roll(3), .phases = phases};
    world->fold = dice_chance(50);
    world->times_s = dice_chance(15) ? 1 : TIMES_S;
    for (unsigned i = 0; i < PEOPLE; i++)
        add_customer(world, &people[i]);
    for (unsigned i = 0; i < (crowd ? CROWD : 0); i++) {
        const struct customer one = {.person = CROWD_FIRST + i, .trainer = CROWD_FIRST + i, .consent_s = 1};
        add_customer(world, &one);
        add_phone(world, 0, one.person);
    }
    for (unsigned phase = 0; phase < phases; phase++) {
        for (unsigned count = (phases > 1 ? 5 : 10) + dice_roll(phases > 1 ? 20 : 40); count > 0; count--) {
            add_phone(world, phase,
                      dice_chance(10) ? STRANGER : phone_owners[dice_roll(sizeof phone_owners / sizeof phone_owners[0])]);
            add_trainer(world, phase, dice_chance(10) ? STRANGER : dice_roll(TRAINERS));
        }
    }
    find_all_curated(world);
}

void
world_forget(struct world *world)
{
    world->forgets = true;
    find_all_curated(world);
}

static bool
has_a_leaver(const struct world *world, unsigned trainer)
{
    for (unsigned i = 0; i < world->customer_count; i++) {
        if (world->customers[i].trainer == trainer && world->customers[i].leaves)
            return true;
    }
    return false;
}

/* Whether the trainer's reading is let through by this customer's row by the end of phase. */
static bool
row_opens(const struct world *world, const struct customer *customer, const struct reading *trainer, unsigned phase,
          bool surely)
{
    const int since = customer->curated[surely];

    if (customer->trainer != trainer->owner || since > (int)phase)
        return false;
    /* Who shares a trainer and comes after the other has left finds what was waiting refused: then all rows that were
     * known had been withdrawn. */
    if (surely && since > 0 && has_a_leaver(world, customer->trainer))
        return false;
    /* It is let through when the row and the reading are both there. */
    return row_is_there(world, customer, trainer->phase > (unsigned)since ? trainer->phase : (unsigned)since, surely);
}

static bool
trainer_passes(const struct world *world, const struct reading *trainer, unsigned phase, bool surely)
{
    for (unsigned i = 0; i < world->customer_count; i++) {
        if (row_opens(world, &world->customers[i], trainer, phase, surely))
            return true;
    }
    return false;
}

/* Whether a person is one who leaves: pairs of their readings need both of them in time. */
static bool
leaves(const struct world *world, unsigned person, bool surely)
{
    for (unsigned i = 0; i < world->customer_count; i++) {
        if (world->customers[i].person == person)
            return !stays(world, &world->customers[i], surely);
    }
    return false;
}

static bool
pairs(const struct world *world, const struct reading *trainer, const struct reading *phone, unsigned phase, bool surely)
{
    const unsigned apart_s =
        trainer->time_s > phone->time_s ? trainer->time_s - phone->time_s : phone->time_s - trainer->time_s;
    const bool phone_leaves = leaves(world, phone->owner, surely);

    if (apart_s > world->window_s || !phone_passes(world, phone, surely))
        return false;
    for (unsigned i = 0; i < world->customer_count; i++) {
        const struct customer *customer = &world->customers[i];
        if ((world->by_customer && customer->person != phone->owner) ||
            !row_opens(world, customer, trainer, phase, surely))
            continue;
        unsigned when = trainer->phase > phone->phase ? trainer->phase : phone->phase;
        if (customer->curated[surely] > (int)when)
            when = (unsigned)customer->curated[surely];
        if (row_is_there(world, customer, when, surely) && (!phone_leaves || when < (surely ? 1u : 2u)))
            return true;
    }
    return false;
}

/* The phase in which the trainer's reading was let through, at the earliest. */
static unsigned
decided(const struct world *world, const struct reading *trainer)
{
    unsigned earliest = PHASES;

    for (unsigned i = 0; i < world->customer_count; i++) {
        const struct customer *customer = &world->customers[i];
        if (customer->trainer == trainer->owner && customer->curated[false] < (int)earliest)
            earliest = (unsigned)customer->curated[false];
    }
    return trainer->phase > earliest ? trainer->phase : earliest;
}

static void
expect(const struct world *world, enum set set, unsigned since, unsigned phase, bool surely, struct lines *lines)
{
    for (unsigned i = 0; is_table(set) && i < world->customer_count; i++) {
        const struct customer *customer = &world->customers[i];
        if (customer->consent_s > 0 && !(customer->leaves && phase > 0) &&
            (set == TRUSTED_CUSTOMER || customer->curated[surely] <= (int)phase))
            lines_add(lines, "%s", customer->row);
    }
    for (unsigned i = 0; set == TRUSTED_ACCELEROMETER && i < world->phone_count; i++) {
        const struct reading *phone = &world->phones[i];
        if (phone->phase >= since && phone->phase <= phase && phone_passes(world, phone, surely))
            lines_add(lines, "{%s}", phone->body);
    }
    for (unsigned i = 0; i < world->trainer_count; i++) {
        const struct reading *trainer = &world->trainers[i];
        if (trainer->phase > phase || decided(world, trainer) < since)
            continue;
        if (set == TRUSTED_STEP_TRAINER && trainer_passes(world, trainer, phase, surely))
            lines_add(lines, "{%s}", trainer->body);
        for (unsigned j = 0; set == MACHINE_LEARNING && j < world->phone_count; j++) {
            const struct reading *phone = &world->phones[j];
            if (phone->phase >= since && phone->phase <= phase && pairs(world, trainer, phone, phase, surely))
                lines_add(lines, "{%s,%s}", trainer->body, phone->body);
        }
    }
}

void
world_expect(const struct world *world, enum set set, unsigned since, unsigned phase, struct lines *must,
             struct lines *may)
{
    expect(world, set, since, phase, true, must);
    expect(world, set, 0, phase, false, may);
}

unsigned
world_readings(const struct world *world, enum landing landing, unsigned phase)
{
    const struct reading *readings = landing == ACCELEROMETER ? world->phones : world->trainers;
    const unsigned all = landing == ACCELEROMETER ? world->phone_count : world->trainer_count;
    unsigned count = 0;

    for (unsigned i = 0; i < all; i++)
        count += readings[i].phase <= phase;
    return count;
}

void
world_free(struct world *world)
{
    for (unsigned i = 0; i < world->customer_count; i++)
        free(world->customers[i].row);
    for (unsigned i = 0; i < world->phone_count; i++)
        free(world->phones[i].body);
    for (unsigned i = 0; i < world->trainer_count; i++)
        free(world->trainers[i].body);
    for (unsigned phase = 0; phase < PHASES; phase++) {
        for (unsigned i = 0; i < LANDINGS; i++)
            lines_free(&world->landing[phase][i]);
    }
}
