/*
 * gait check: what is wrong with a configuration, before a process has to say so.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/config.h"
#include "streams/catalog.h"

#include "commands.h"

static const char help[] =
    "usage: gait check -c FILE\n"
    "       gait check --keys [--markdown]\n\n"
    "Say what is wrong with the configuration in FILE, each fault with its line, on standard error.\n"
    "Exit status 78 if there is one, 0 if there is none.\n\n"
    "  -c, --config FILE  the configuration to check\n"
    "      --keys         print every key there is, with default, bounds and what it does\n"
    "      --markdown     with --keys: as rows of a Markdown table\n"
    "      --help         print this\n";

struct config *
command_config(const char *path)
{
    struct buffer errors = {NULL, 0, 0};
    struct config *config = config_new(&catalog_config);
    if (path != NULL && config_read(config, path, &errors) != 0) {
        fputs(buffer_text(&errors), stderr);
        config_free(config);
        config = NULL;
    }
    buffer_free(&errors);
    return config;
}

static int
check_file(const char *path)
{
    struct config *config = command_config(path);
    if (config == NULL)
        return COMMAND_CONFIGURATION;
    config_free(config);
    printf("%s: no faults\n", path);
    return COMMAND_DONE;
}

int
command_check(int argc, char **argv)
{
    enum { OPTION_KEYS = 256, OPTION_MARKDOWN, OPTION_HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},       {"keys", no_argument, NULL, OPTION_KEYS},
        {"markdown", no_argument, NULL, OPTION_MARKDOWN}, {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    bool keys = false;
    bool markdown = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case OPTION_KEYS:
            keys = true;
            break;
        case OPTION_MARKDOWN:
            markdown = true;
            break;
        case OPTION_HELP:
            fputs(help, stdout);
            return COMMAND_DONE;
        default:
            fputs(help, stderr);
            return COMMAND_USAGE;
        }
    }
    if (optind != argc || keys == (path != NULL) || (markdown && !keys)) {
        fputs(help, stderr);
        return COMMAND_USAGE;
    }
    if (!keys)
        return check_file(path);
    config_print_keys(&catalog_config, stdout, markdown);
    return COMMAND_DONE;
}
