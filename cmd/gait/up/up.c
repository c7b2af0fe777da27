/*
 * gait up: the whole pipeline in the foreground. This file says what is run, with which arguments and in which folder;
 * supervise.c keeps it running.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/exit.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/options.h"
#include "base/say.h"
#include "state/hold.h"
#include "streams/catalog.h"
#include "common/commands.h"
#include "common/settings.h"
#include "up/folders.h"
#include "up/private_broker.h"
#include "up/supervise.h"

/* Path, -c, --dir, --broker, -u, --cafile, --cert, --key with their values, and the NULL. */
#define ARGUMENTS_MAX 20

/* How long the processes of a killed `gait up` may take to stop before the next one gives up. */
#define REMAINS_MS 10000
#define REMAINS_POLL_MS 10

static const char help[] =
    "usage: gait up [-c FILE] [--dir DIR] [--port PORT | --broker ADDRESS]\n\n"
    "Run all processes in the foreground, on a broker of their own on 127.0.0.1 unless --broker names one, and start\n"
    "those again that end. Prints \"ready\" on a line of its own when all take records. SIGTERM and SIGINT stop; SIGHUP\n"
    "makes the processes read [gait] log again and open their log files anew.\n\n"
    "  --dir DIR            keep everything below DIR: state/, lake/, log/, pid/, broker/ (default: [gait] dir)\n"
    BROKER_OPTIONS_HELP
    "  --help               print this\n"
    "  --version            print the version\n\n"
    "Without --broker, --port is the port of the broker that is started (default: [mqtt] port, or 1883).\n"
    "Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage, 78 wrong configuration.\n";

struct up {
    const char *dir_option;
    struct broker broker;
    bool own_broker;
    struct buffer address; /* of the broker of others */
    struct config *config;
    char dir[PATH_MAX];     /* absolute */
    char bin_dir[PATH_MAX]; /* where this program lies, and the processes beside it */
    int lock;
    int remains_lock;
    char *arguments[SUPERVISE_PROGRAMS_MAX][ARGUMENTS_MAX]; /* copies */
    struct supervise_program programs[SUPERVISE_PROGRAMS_MAX];
    unsigned count;
};

_Static_assert(STREAMS_COUNT + 1 <= SUPERVISE_PROGRAMS_MAX, "all processes and a broker");

/* Options and configuration. */

/* What is wrong with the options together, or NULL. */
static const char *
find_fault(const struct up *up)
{
    const struct broker *broker = &up->broker;

    if (up->own_broker && (broker->username || broker->password || broker->cafile || broker->cert || broker->key))
        return "who we are to the broker matters only with --broker";
    return NULL;
}

/* −1 to go on, or the exit code. */
static int
take_options(struct up *up, int argc, char **argv)
{
    enum { OPTION_DIR = BROKER_OPTION_END };
    static const struct option longs[] = {
        {"dir", required_argument, NULL, OPTION_DIR},
        BROKER_LONG_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    static const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTION_DIR)
            up->dir_option = optarg;
        else if (option == OPTIONS_BAD || broker_argument(&up->broker, option, optarg) != 1)
            return EXIT_USAGE;
    }
    up->own_broker = up->broker.host == NULL;
    const char *fault = find_fault(up);
    if (optind != argc)
        options_refuse("it takes no arguments, but got '%s'", argv[optind]);
    else if (fault != NULL)
        options_refuse("%s", fault);
    return optind == argc && fault == NULL ? -1 : EXIT_USAGE;
}

/* What holds only for a broker of our own. −1 to go on, or the exit code. */
static int
settle_own_broker(struct up *up)
{
    if (config_text(up->config, "mqtt", "cafile")[0] != '\0') {
        say("%s: [mqtt] cafile: a broker of our own speaks no TLS; leave it out, or name one with --broker",
            up->broker.config_path);
        return EXIT_CONFIG;
    }
    if (strcmp(config_text(up->config, "mqtt", "host"), "127.0.0.1") != 0)
        log_warning("[mqtt] host is not used: without --broker the processes use a broker of our own");
    up->broker.password = NULL; /* of the environment: our own broker asks for none */
    if (up->broker.port == 0)
        up->broker.port = (int)config_int(up->config, "mqtt", "port");
    broker_defaults(&up->broker);
    return -1;
}

/* −1 to go on, or the exit code. */
static int
take_configuration(struct up *up)
{
    up->config = settings_read(up->broker.config_path);
    if (up->config == NULL)
        return EXIT_CONFIG;
    log_open("up", (enum log_level)config_int(up->config, "gait", "log"));
    config_warn_exposed(up->config);
    if (broker_take_environment(&up->broker) != 0)
        return EXIT_USAGE;
    if (!settings_run_anything(up->config)) {
        say("%s", settings_nothing_runs);
        return EXIT_CONFIG;
    }
    if (up->own_broker)
        return settle_own_broker(up);
    /* A copy, to find what contradicts itself: the processes are told what we were told, and complete it themselves. */
    struct broker broker = up->broker;
    if (broker_complete(&broker, up->config) != 0)
        return EXIT_USAGE;
    broker_address(&broker, &up->address);
    struct buffer faults = {NULL, 0, 0};
    const int rc = broker_check_files(&broker, up->config, &faults);
    say_lines(buffer_text(&faults));
    buffer_free(&faults);
    return rc == 0 ? -1 : EXIT_CONFIG;
}

/* The folder. */

/* Say what is wrong with a folder, or with what lies in it, of which errno is; the exit code. */
static int
refuse_folder(struct buffer *fault)
{
    const int code = config_is_to_blame(errno) ? EXIT_CONFIG : EXIT_FAILED;

    log_error("%s", buffer_text(fault));
    return code;
}

/* Make the folder and those in it. −1 to go on, or the exit code. */
static int
make_dirs(struct up *up)
{
    const char *dir = up->dir_option != NULL ? up->dir_option : config_text(up->config, "gait", "dir");
    struct buffer fault = {NULL, 0, 0};
    int code = -1;
    const int fd = folder_open(dir, "", &fault); /* before it has another name: who leads there is judged */

    if (fd >= 0)
        close(fd);
    bool made = fd >= 0;
    if (made && realpath(dir, up->dir) == NULL) {
        const int error = errno;
        buffer_printf(&fault, "folder %s can't be made: %s", dir, strerror(error));
        errno = error;
        made = false;
    }
    if (!made || folders_make(up->dir, &fault) != 0)
        code = refuse_folder(&fault);
    buffer_free(&fault);
    return code;
}

/* Open the lock file name in the folder; inherited: by what we start. −1 to go on, or the exit code. */
static int
open_lock(const struct up *up, const char *name, bool inherited, int *lock)
{
    struct buffer fault = {NULL, 0, 0};

    *lock = folder_file(up->dir, "", name, O_RDWR | O_CREAT, &fault);
    if (*lock >= 0 && inherited && fcntl(*lock, F_SETFD, 0) != 0)
        log_fatal("%s/%s: %s", up->dir, name, strerror(errno));
    const int code = *lock < 0 ? refuse_folder(&fault) : -1;
    buffer_free(&fault);
    return code;
}

/* Wait until nobody holds remains_lock. −1 to go on, or the exit code. */
static int
wait_for_remains(struct up *up)
{
    int64_t end_ms = clock_steady_ms() + REMAINS_MS;
    bool told = false;

    while (flock(up->remains_lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_steady_ms() >= end_ms) {
            log_error("processes of a killed `gait up` are still working in %s: %s/pid says which", up->dir, up->dir);
            return EXIT_FAILED;
        }
        if (!told)
            log_info("waiting for the processes of a killed `gait up` to stop");
        told = true;
        poll(NULL, 0, REMAINS_POLL_MS);
    }
    return -1;
}

/* One `gait up` a folder. Two locks, because a killed one leaves processes that stop a moment later: the first is ours
 * alone, the second is inherited by all we start and is free when the last of them is gone. −1 to go on, or the exit
 * code. */
static int
lock_dir(struct up *up)
{
    int code = open_lock(up, FOLDERS_LOCK, false, &up->lock);

    if (code >= 0)
        return code;
    if (flock(up->lock, LOCK_EX | LOCK_NB) != 0) {
        log_error("another `gait up` works in %s; stop it, or use another folder with --dir", up->dir);
        return EXIT_FAILED;
    }
    code = open_lock(up, FOLDERS_LOCK_PROCESSES, true, &up->remains_lock);
    return code < 0 ? wait_for_remains(up) : code;
}

/* What is run. */

/* Append a copy of text to the arguments. */
static void
add_argument(char **arguments, const char *text)
{
    unsigned count = 0;

    while (arguments[count] != NULL)
        count++;
    if (count + 1 >= ARGUMENTS_MAX)
        log_panic("no room for the argument %s", text);
    arguments[count] = strdup(text);
    if (arguments[count] == NULL)
        log_fatal("out of memory");
}

/* Append option and value to the arguments, if there is a value. */
static void
add_option(char **arguments, const char *option, const char *value)
{
    if (value == NULL)
        return;
    add_argument(arguments, option);
    add_argument(arguments, value);
}

/* The next program, with its path as the only argument so far; add_option goes on with what is returned. */
static char **
add_program(struct up *up, const char *name, const char *path, int port)
{
    if (up->count == SUPERVISE_PROGRAMS_MAX)
        log_panic("too many programs");
    char **arguments = up->arguments[up->count];
    add_argument(arguments, path);
    up->programs[up->count] = (struct supervise_program){.name = name, .argv = arguments, .port = port};
    up->count++;
    return arguments;
}

static int
add_own_broker(struct up *up)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer conf = {NULL, 0, 0};
    int result = -1;

    if (private_broker_find(&path) == 0 && private_broker_check_port(up->broker.port) == 0 &&
        private_broker_configure(up->dir, up->broker.port, (size_t)config_int(up->config, "limits", "payload"),
                                 &conf) == 0) {
        char **arguments = add_program(up, "broker", buffer_text(&path), up->broker.port);
        add_option(arguments, "-c", buffer_text(&conf));
        up->programs[up->count - 1].spent_file = PRIVATE_BROKER_SAVED;
        result = 0;
    }
    buffer_free(&path);
    buffer_free(&conf);
    return result;
}

static void
add_process_options(const struct up *up, char **arguments)
{
    const struct broker *broker = &up->broker;
    struct buffer address = {NULL, 0, 0};

    broker_address(broker, &address); /* without a port the configuration says it */
    add_option(arguments, "-c", broker->config_path);
    add_option(arguments, "--dir", up->dir);
    add_option(arguments, "--broker", buffer_text(&address));
    add_option(arguments, "-u", broker->username);
    add_option(arguments, "--cafile", broker->cafile);
    add_option(arguments, "--cert", broker->cert);
    add_option(arguments, "--key", broker->key);
    buffer_free(&address);
}

static int
add_process(struct up *up, const char *name)
{
    struct buffer path = {NULL, 0, 0};

    buffer_printf(&path, "%s/%s", up->bin_dir, name);
    int result = access(buffer_text(&path), X_OK);
    if (result != 0) {
        log_error("%s can't be run: %s", buffer_text(&path), strerror(errno));
    } else {
        add_process_options(up, add_program(up, name, buffer_text(&path), 0));
        up->programs[up->count - 1].password = up->broker.password;
    }
    buffer_free(&path);
    return result;
}

static int
find_bin_dir(struct up *up)
{
    ssize_t len = readlink("/proc/self/exe", up->bin_dir, sizeof up->bin_dir - 1);

    if (len < 0) {
        log_error("/proc/self/exe can't be read: %s", strerror(errno));
        return -1;
    }
    up->bin_dir[len] = '\0';
    *strrchr(up->bin_dir, '/') = '\0';
    return 0;
}

static int
add_programs(struct up *up)
{
    if (find_bin_dir(up) != 0 || (up->own_broker && add_own_broker(up) != 0))
        return -1;
    for (unsigned i = 0; catalog_streams[i] != NULL; i++) {
        const char *name = catalog_streams[i]->name;
        bool wanted = config_int(up->config, name, "enabled") != 0;
        if (wanted && add_process(up, name) != 0)
            return -1;
    }
    return 0;
}

/* The command. */

static int
run(struct up *up)
{
    int code = make_dirs(up);

    if (code < 0)
        code = lock_dir(up);
    if (code >= 0)
        return code;
    if (hold_restores(up->dir) || add_programs(up) != 0)
        return EXIT_FAILED;
    if (up->own_broker)
        log_info("folder %s, own broker on port %d of 127.0.0.1", up->dir, up->broker.port);
    else
        log_info("folder %s, broker of others on %s", up->dir, buffer_text(&up->address));
    return supervise_run(up->programs, up->count, up->dir);
}

static void
release(struct up *up)
{
    for (unsigned i = 0; i < up->count; i++) {
        for (unsigned j = 0; up->arguments[i][j] != NULL; j++)
            free(up->arguments[i][j]);
    }
    buffer_free(&up->address);
    config_free(up->config);
    if (up->lock >= 0)
        close(up->lock);
    if (up->remains_lock >= 0)
        close(up->remains_lock);
}

int
command_up(int argc, char **argv)
{
    struct up up = {.lock = -1, .remains_lock = -1};

    log_open("up", LOG_INFO);
    int code = take_options(&up, argc, argv);
    if (code < 0)
        code = take_configuration(&up);
    if (code < 0)
        code = run(&up);
    release(&up);
    return code;
}
