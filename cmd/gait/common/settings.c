#include "common/settings.h"

#include <stdlib.h>

#include "base/exit.h"
#include "base/say.h"
#include "streams/catalog.h"

struct config *
settings_read(const char *path)
{
    struct buffer errors = {NULL, 0, 0};
    struct config *config = config_new(&catalog_config);

    if (path != NULL && config_read(config, path, &errors) != 0) {
        say_lines(buffer_text(&errors));
        config_free(config);
        config = NULL;
    }
    buffer_free(&errors);
    return config;
}

const char settings_nothing_runs[] =
    "enabled is off in the section of every process; allowed is that one is on, or `gait up` has nothing to run";

bool
settings_run_anything(const struct config *config)
{
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (config_int(config, catalog_streams[i]->name, "enabled") != 0)
            return true;
    }
    return false;
}

/* A prefix is checked by the rule that the configuration has for it. */
static int
take_prefix(struct config *config, const char *prefix)
{
    struct buffer errors = {NULL, 0, 0};
    int rc = prefix == NULL ? 0 : config_set(config, "mqtt", "prefix", prefix, "--prefix", &errors);

    say_lines(buffer_text(&errors));
    buffer_free(&errors);
    return rc;
}

int
settings_complete(struct broker *broker, const char **prefix)
{
    static struct config *config; /* lives as long as the broker's strings, which is as long as the program */

    config_free(config);
    config = settings_read(broker->config_path);
    if (config == NULL)
        return EXIT_CONFIG;
    if (take_prefix(config, *prefix) != 0 || broker_complete(broker, config) != 0)
        return EXIT_USAGE;
    *prefix = config_text(config, "mqtt", "prefix");
    return -1;
}
