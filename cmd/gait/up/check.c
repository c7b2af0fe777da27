/*
 * gait check: what is wrong with a configuration, and with what it names, before a process has to say so. It asks the same
 * functions as a start does.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/config.h"
#include "base/exit.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/printable.h"
#include "base/say.h"
#include "state/start.h"
#include "streams/catalog.h"
#include "streams/parameters.h"
#include "common/commands.h"
#include "common/settings.h"
#include "up/folders.h"
#include "up/memory.h"

static const char help[] =
    "usage: gait check [--dir DIR] FILE\n"
    "       gait check --keys [--markdown]\n\n"
    "Say what is wrong with the configuration in FILE, and with the files, folders and states that it names, each fault\n"
    "with its line, on standard error; as the user who runs gait would find it, so run it as that. And say of `payload`\n"
    "if a packet of that size can cost more than half of this machine's memory, which is no fault.\n"
    "Exit status 78 if there is one, 1 if a state can't be read, else 0.\n\n"
    "  -c, --config FILE  the same as FILE\n"
    "      --dir DIR      the folder for everything (default: [gait] dir)\n"
    "      --keys         print every key there is, with default, bounds and what it does\n"
    "      --markdown     with --keys: as rows of a Markdown table\n"
    "      --help         print this\n"
    "      --version      print the version\n";

struct request {
    const char *path;
    const char *dir; /* NULL: that of the configuration */
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

/* What is looked at, and what is found. */
struct check {
    const char *path;
    const struct config *config;
    const char *dir;
    bool dir_is_option;
    bool folders_are_ours;
    bool unread;          /* a state can't be read, as the log says: that is no fault of the configuration */
    struct buffer faults; /* a line each */
};

/* The folders. */

/* Take over the fault of a folder, if there is one; what processes and `gait up` share is found by all. */
static void
take_folder_fault(struct check *check, struct buffer *fault)
{
    struct buffer line = {NULL, 0, 0};

    if (fault->len == 0)
        return;
    check->folders_are_ours = false;
    if (check->dir_is_option)
        buffer_add_text(&line, "--dir: ");
    else
        config_where(check->config, "gait", "dir", &line);
    buffer_printf(&line, "%s\n", buffer_text(fault));
    if (strstr(buffer_text(&check->faults), buffer_text(&line)) == NULL)
        buffer_add_span(&check->faults, buffer_span(&line));
    buffer_free(&line);
    buffer_clear(fault);
}

static bool
is_enabled(const struct check *check, const struct stream *stream)
{
    return config_int(check->config, stream->name, "enabled") != 0;
}

static void
check_folders(struct check *check)
{
    struct buffer fault = {NULL, 0, 0};

    check->folders_are_ours = true;
    folders_look(check->dir, &fault);
    take_folder_fault(check, &fault);
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (is_enabled(check, catalog_streams[i]))
            start_check_folders(catalog_streams[i], check->dir, &fault);
        take_folder_fault(check, &fault);
    }
    buffer_free(&fault);
}

/* What an owner may do depends on who we are, and root is rarely who runs the processes. */
static void
say_who_judged(const struct check *check)
{
    struct stat info;

    if (geteuid() == 0 && stat(check->dir, &info) == 0 && info.st_uid != 0)
        say("files and folders were judged for root, as whom this ran, and %s is user %u's; if gait runs as that: "
            "runuser -u USER -- gait check %s", check->dir, (unsigned)info.st_uid, check->path);
}

/* Other files, and states. */

/* The files for TLS, if the configuration alone says that it is spoken. */
static void
check_broker_files(struct check *check)
{
    struct broker broker = {.port = 0};

    if (broker_complete(&broker, check->config) == 0)
        broker_check_files(&broker, check->config, &check->faults);
}

/* Whether the parameters of the stream can be made without making a key: it has one, or needs none. */
static bool
check_key(struct check *check, const struct stream *stream)
{
    for (unsigned i = 0; i < stream->key_count; i++) {
        if (stream->keys[i].type == CONFIG_KEY_FILE)
            return parameters_look_for_key(check->config, stream->name, check->dir, &check->faults) == 1;
    }
    return true;
}

static void
check_stream(struct check *check, const struct stream *stream)
{
    struct buffer fault = {NULL, 0, 0};
    void *parameters = check_key(check, stream) ? stream->parameters(check->config, check->dir) : NULL;

    /* What is not ours is not looked into. */
    const int fits =
        check->folders_are_ours ? start_check_state(stream, check->config, check->dir, parameters, &fault) : 1;
    if (fits == 0)
        buffer_printf(&check->faults, "%s: %s\n", check->path, buffer_text(&fault));
    check->unread = check->unread || fits < 0;
    hash_secret_free(parameters);
    buffer_free(&fault);
}

static void
find_faults(struct check *check)
{
    if (!settings_run_anything(check->config))
        buffer_printf(&check->faults, "%s: %s\n", check->path, settings_nothing_runs);
    config_find_exposed(check->config, &check->faults);
    check_broker_files(check);
    check_folders(check);
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        if (is_enabled(check, catalog_streams[i]))
            check_stream(check, catalog_streams[i]);
    }
}

static int
check_file(const struct request *request)
{
    struct config *config = settings_read(request->path);

    if (config == NULL)
        return EXIT_CONFIG;
    struct check check = {.path = request->path, .config = config, .dir = request->dir};
    check.dir_is_option = check.dir != NULL;
    if (check.dir == NULL)
        check.dir = config_text(config, "gait", "dir");
    hash_init();
    find_faults(&check);
    const bool found = check.faults.len > 0;
    memory_warn(config, request->path, memory_of_machine(""), &check.faults);
    say_lines(buffer_text(&check.faults));
    if (found)
        say_who_judged(&check);
    else if (!check.unread)
        print_no_faults(request->path);
    buffer_free(&check.faults);
    config_free(config);
    return found ? EXIT_CONFIG : check.unread ? EXIT_FAILED : EXIT_DONE;
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
    if (request->keys && request->dir != NULL)
        return "--keys takes no --dir";
    return !request->keys && files == 0 ? "no FILE to check" : NULL;
}

/* 0 and *request; −1: wrong usage, said. */
static int
read_options(int argc, char **argv, struct request *request)
{
    enum { OPTION_KEYS = 256, OPTION_MARKDOWN, OPTION_DIR };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, OPTION_DIR},
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
        if (option == OPTION_DIR)
            request->dir = optarg;
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
    struct request request = {.path = NULL};

    if (read_options(argc, argv, &request) != 0)
        return EXIT_USAGE;
    if (!request.keys)
        return check_file(&request);
    config_print_keys(&catalog_config, stdout, request.markdown);
    return EXIT_DONE;
}
