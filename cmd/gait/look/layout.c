#include "look/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "9.22E" or "-922P": the widest rounded number. */
#define ROUNDED_WIDTH 5
#define NUMBER_BYTES 24

static int
larger(int a, int b)
{
    return a > b ? a : b;
}

/* Three digits and a unit: 999, 1.23k, 45.6M, 789G. Rounded down, so that it never says more than there is. */
static int
write_rounded(int64_t number, char *text)
{
    static const char units[] = "kMGTPE";
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    const char *sign = number < 0 ? "-" : "";
    uint64_t unit = 1;
    int steps = 0;

    for (; size / unit >= 1000; unit *= 1000)
        steps++;
    if (steps == 0)
        return snprintf(text, NUMBER_BYTES, "%s%" PRIu64, sign, size);
    unsigned whole = (unsigned)(size / unit);
    unsigned thousandths = (unsigned)(size % unit / (unit / 1000));
    int places = number < 0 || whole >= 100 ? 0 : whole >= 10 ? 1 : 2; /* the sign takes the room of the point */
    if (places == 0)
        return snprintf(text, NUMBER_BYTES, "%s%u%c", sign, whole, units[steps - 1]);
    unsigned part = places == 1 ? thousandths / 100 : thousandths / 10;
    return snprintf(text, NUMBER_BYTES, "%s%u.%0*u%c", sign, whole, places, part, units[steps - 1]);
}

static int
write_number(const struct layout *layout, int64_t number, char *text)
{
    if (number == 0)
        return snprintf(text, NUMBER_BYTES, "-");
    if (layout->rounded)
        return write_rounded(number, text);
    return snprintf(text, NUMBER_BYTES, "%" PRId64, number);
}

void
layout_measure(struct layout *layout, const char *name, const int64_t *numbers)
{
    char text[NUMBER_BYTES];

    layout->name_width = larger(layout->name_width, larger((int)strlen(layout->title), (int)strlen(name)));
    for (unsigned i = 0; i < layout->columns; i++) {
        if (numbers[i] == 0 && i >= layout->kept)
            continue;
        int width = larger(write_number(layout, numbers[i], text), (int)strlen(layout->headers[i]));
        layout->widths[i] = larger(layout->widths[i], width);
    }
}

static int
total_width(const struct layout *layout)
{
    int width = layout->name_width;

    for (unsigned i = 0; i < layout->columns; i++)
        width += layout->widths[i] > 0 ? 1 + layout->widths[i] : 0;
    return width;
}

void
layout_settle(struct layout *layout)
{
    if (total_width(layout) <= LAYOUT_WIDTH)
        return;
    layout->rounded = true;
    for (unsigned i = 0; i < layout->columns; i++) {
        if (layout->widths[i] > 0)
            layout->widths[i] = larger(ROUNDED_WIDTH, (int)strlen(layout->headers[i]));
    }
}

void
layout_add_headers(const struct layout *layout, struct buffer *text)
{
    buffer_printf(text, "%-*s", layout->name_width, layout->title);
    for (unsigned i = 0; i < layout->columns; i++) {
        if (layout->widths[i] > 0)
            buffer_printf(text, " %*s", layout->widths[i], layout->headers[i]);
    }
    buffer_add_byte(text, '\n');
}

void
layout_add_row(const struct layout *layout, const char *name, const int64_t *numbers, struct buffer *text)
{
    char number[NUMBER_BYTES];

    buffer_printf(text, "%-*s", layout->name_width, name);
    for (unsigned i = 0; i < layout->columns; i++) {
        if (layout->widths[i] == 0)
            continue;
        write_number(layout, numbers[i], number);
        buffer_printf(text, " %*s", layout->widths[i], number);
    }
    buffer_add_byte(text, '\n');
}

void
layout_add_paragraph(const char *paragraph, int indent, struct buffer *text)
{
    size_t column = strspn(paragraph, " ");

    buffer_add(text, paragraph, column);
    bool first = true; /* of the line */
    for (const char *word = paragraph + column; *word != '\0'; word += strspn(word, " ")) {
        size_t len = strcspn(word, " ");
        if (!first && column + 1 + len > LAYOUT_WIDTH) {
            buffer_printf(text, "\n%*s", indent, "");
            column = (size_t)indent;
            first = true;
        }
        if (len > LAYOUT_WIDTH - column - !first)
            len = LAYOUT_WIDTH - column - !first;
        if (!first)
            buffer_add_byte(text, ' ');
        buffer_add(text, word, len);
        column += len + !first;
        first = false;
        word += len;
    }
    buffer_add_byte(text, '\n');
}
