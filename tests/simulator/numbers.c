#include "numbers.h"

#include <stdio.h>
#include <string.h>

#include "streams/catalog.h"

int
number_of_stream(const struct stream *stream)
{
    for (int i = 0; i < PROCESSES; i++) {
        if (catalog_streams[i] == stream)
            return i;
    }
    return NOBODY;
}

int
number_of_client(const char *name)
{
    for (int i = 0; i < PROCESSES; i++) {
        char links[128];
        snprintf(links, sizeof links, "gait-%s", catalog_streams[i]->name);
        const size_t len = strlen(links);
        if (strncmp(name, links, len) == 0 && (name[len] == '\0' || strcmp(name + len, "-landing") == 0))
            return i;
    }
    return NOBODY;
}
