/*
 * gait check: what is wrong with a configuration, before a process has to say so.
 */
#include <stdbool.h>
#include <stdio.h>

#include "base/config.h"
#include "base/options.h"
#include "base/printable.h"
#include "streams/catalog.h"

#include "commands.h"
#include "memory.h"
#include "say.h"
#include "settings.h"

static const char help[] =
    "usage: gait check FILE\n"
    "       gait check --keys [--markdown]\n\n"
    "Say what is wrong with the configuration in FILE, each fault with its line, on standard error; and of `payload` if\n"
    "a packet of that size can cost more than half of this machine's memory, which is no fault.\n"
    "Exit status 78 if there is one, 0 if there is none.\n\n"
    "  -c, --config FILE  the same as FILE\n"
    "      --keys         print every key there is, with default, bounds and what it does\n"
    "      --markdown     with --keys: as rows of a Markdown table\n"
    "      --help         print this\n"
    "      --version      print the version\n";

struct request {
    const char *path;
    bool keys;
    bool markdown;
};

static void
print_no_faults(const char *path)
{
    struct buffer line = {NULL, 0, 0};
    buffer_printf(&line, "%s: no faults", path);
    line.len = printable_clean(line.data, line.len);
    puts(buffer_text(&line));
    buffer_free(&line);
}

static int
check_file(const char *path)
{
    struct buffer faults = {NULL, 0, 0};
    struct config *config = settings_read(path);
    if (config == NULL)
        return COMMAND_CONFIGURATION;
    int rc = config_find_exposed(config, path, &faults);
    memory_warn(config, path, memory_of_machine(""), &faults);
    say_lines(buffer_text(&faults));
    buffer_free(&faults);
    config_free(config);
    if (rc != 0)
        return COMMAND_CONFIGURATION;
    print_no_faults(path);
    return COMMAND_DONE;
}

/* What is wrong with the command line, or NULL. */
static const char *
find_fault(const struct request *request, int files)
{
    if (files > 1)
        return "one FILE at a time";
    if (request->keys && files > 0)
        return "--keys takes no FILE";
    if (request->markdown && !request->keys)
        return "--markdown goes with --keys";
    return !request->keys && files == 0 ? "no FILE to check" : NULL;
}

/* 0 and *request; -1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_KEYS = 256, OPTION_MARKDOWN };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"keys", no_argument, NULL, OPTION_KEYS},
        {"markdown", no_argument, NULL, OPTION_MARKDOWN},
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {"c:", longs, help};
    int files = 0;
    int option;
    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTIONS_BAD)
            return -1;
        if (option == 'c') {
            request->path = optarg;
            files++;
        }
        request->keys |= option == OPTION_KEYS;
        request->markdown |= option == OPTION_MARKDOWN;
    }
    if (optind < argc)
        request->path = argv[optind];
    const char *fault = find_fault(request, files + argc - optind);
    if (fault != NULL)
        options_refuse("%s", fault);
    return fault == NULL ? 0 : -1;
}

int
command_check(int argc, char **argv)
{
    struct request request = {NULL, false, false};
    if (read_options(argc, argv, &request) != 0)
        return COMMAND_USAGE;
    if (!request.keys)
        return check_file(request.path);
    config_print_keys(&catalog_config, stdout, request.markdown);
    return COMMAND_DONE;
}
