#include "daemon/daemon.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/broker.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/say.h"
#include "run/process.h"
#include "links/links.h"
#include "mqtt/mqtt.h"

struct program {
    const struct stream *stream;
    const struct config_table *table;
    const char *dir;
    struct broker broker;
    struct config *config;
    struct process *process;
    sigset_t signals;
    atomic_bool stop;
};

static void
make_help(const struct program *program, struct buffer *help)
{
    buffer_printf(help,
                  "%s: %s\n\n"
                  "usage: %s [-c FILE] [--dir DIR] [broker options]\n\n"
                  "  --dir DIR            keep state below DIR (default: dir of [gait], /var/lib/gait)\n" BROKER_OPTIONS_HELP
                  "  --help               this text\n"
                  "  --version            the version\n\n"
                  "gait check FILE says what is wrong with a configuration.\n"
                  "Runs in the foreground until SIGTERM or SIGINT, and tells systemd when it is ready. May be killed\n"
                  "at any time: what it acknowledged is kept. At SIGHUP it reads log of [gait] again. Exit status:\n"
                  "0 stopped, 1 failed, 2 usage, 78 configuration.\n",
                  program->stream->name, program->stream->summary, program->stream->name);
}

/* −1 to go on, else the exit status. */
static int
take_options(struct program *program, int argc, char **argv, const char *help)
{
    enum { OPTION_DIR = BROKER_OPTION_END };
    static const struct option longs[] = {
        {"dir", required_argument, NULL, OPTION_DIR},
        BROKER_LONG_OPTIONS,
        {0},
    };
    const struct options options = {BROKER_SHORT_OPTIONS, longs, help};
    int option;

    while ((option = options_next(&options, argc, argv)) != -1) {
        if (option == OPTION_DIR)
            program->dir = optarg;
        else if (option == OPTIONS_BAD || broker_argument(&program->broker, option, optarg) != 1)
            return EXIT_USAGE;
    }
    if (optind < argc)
        options_refuse("it takes no arguments, but got '%s'", argv[optind]);
    return optind == argc ? -1 : EXIT_USAGE;
}

static int
read_options(struct program *program, int argc, char **argv)
{
    struct buffer help = {0};

    make_help(program, &help);
    int status = take_options(program, argc, argv, buffer_text(&help));
    buffer_free(&help);
    return status;
}

/* Until we are ready, whoever started us is told what hinders us. */
static void
tell_supervisor(const char *text)
{
    if (broker_refuses(text))
        notify_refused(text);
    else
        notify_status(text);
}

/* Files that we would try in vain for ever. −1 to go on, else the exit status. */
static int
check_files(const struct program *program)
{
    struct buffer fault = {0};
    const int rc = broker_check_files(&program->broker, program->config, &fault);

    if (rc != 0)
        log_config_error("%.*s", (int)strcspn(buffer_text(&fault), "\n"), buffer_text(&fault));
    buffer_free(&fault);
    return rc == 0 ? -1 : EXIT_CONFIG;
}

/* −1 to go on, else the exit status. */
static int
read_config(struct program *program)
{
    struct buffer errors = {0};

    program->config = config_new(program->table);
    const char *path = program->broker.config_path;
    int rc = path != NULL ? config_read(program->config, path, &errors) : 0;
    say_lines(buffer_text(&errors));
    buffer_free(&errors);
    if (rc != 0)
        return EXIT_CONFIG;
    if (program->dir == NULL)
        program->dir = config_text(program->config, "gait", "dir");
    if (broker_complete(&program->broker, program->config) != 0)
        return EXIT_USAGE;
    log_open(program->stream->name, (enum log_level)config_int(program->config, "gait", "log"));
    config_warn_exposed(program->config);
    log_follow(tell_supervisor);
    return check_files(program);
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    struct program *program = context;

    return mqtt_wire(&program->broker, options, events);
}

static void
log_lines(const char *text)
{
    for (; *text != '\0'; text += text[strcspn(text, "\n")] == '\n') {
        int len = (int)strcspn(text, "\n");
        log_error("SIGHUP: %.*s", len, text);
        text += len;
    }
}

/* The configuration's file is read whole and checked; but only the log's level can be taken over while we run. */
static void
read_config_again(const struct program *program)
{
    struct buffer errors = {0};
    struct config *config = config_new(program->table);

    if (program->broker.config_path == NULL) {
        log_info("SIGHUP: there is no configuration to read again, since none was named with -c");
    } else if (config_read(config, program->broker.config_path, &errors) != 0) {
        log_lines(buffer_text(&errors));
        log_error("SIGHUP: the configuration is wrong; everything stays as it was");
    } else {
        log_set_level((enum log_level)config_int(config, "gait", "log"));
        log_info("SIGHUP: [gait] log is %s now; all other keys are read again at the next start",
                 config_text(config, "gait", "log"));
    }
    buffer_free(&errors);
    config_free(config);
}

static void
take_hangup(const struct program *program)
{
    const char *path = getenv(LOG_FILE_VARIABLE);
    struct buffer fault = {0};

    if (path != NULL && log_to_file(path, &fault) != 0)
        log_error("SIGHUP: the log stays where it is: %s", buffer_text(&fault));
    buffer_free(&fault);
    read_config_again(program);
}

/* Signals come to this thread alone, so that nothing has to be safe inside a handler. */
static void *
wait_for_signal(void *context)
{
    struct program *program = context;
    int signal_number;

    while (sigwait(&program->signals, &signal_number) != 0 || signal_number == SIGHUP)
        take_hangup(program);
    atomic_store(&program->stop, true);
    process_wake(program->process);
    return NULL;
}

static void
block_signals(struct program *program)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&program->signals);
    sigaddset(&program->signals, SIGTERM);
    sigaddset(&program->signals, SIGINT);
    sigaddset(&program->signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &program->signals, NULL);
    signal(SIGHUP, SIG_DFL); /* `gait up` starts us with SIG_IGN, so that it does no harm before we can take it */
}

static void
loop(struct program *program)
{
    bool told = false;

    while (!atomic_load(&program->stop)) {
        int64_t wait_ms = process_step(program->process);
        if (!told && process_ready(program->process)) {
            log_info("ready");
            log_follow(NULL);
            notify_ready();
            told = true;
        }
        process_wait(program->process, wait_ms);
    }
}

static int
run(struct program *program, const struct stream *const *catalog)
{
    int64_t built_ms = 0;

    if (clock_date(GAIT_DATE, &built_ms) != 0)
        log_panic("the version's date is none: %s", GAIT_DATE);
    struct links_options links = {.make_wire = make_wire, .context = program};
    const struct process_options options = {
        .stream = program->stream,
        .catalog = catalog,
        .config = program->config,
        .dir = program->dir,
        .open_transport = links_open,
        .context = &links,
        .wall_ms = clock_wall_ms,
        .steady_ms = clock_steady_ms,
        .built_ms = built_ms,
        .boot = clock_boot(),
    };
    pthread_t waiter;

    block_signals(program);
    program->process = process_open(&options);
    if (program->process == NULL)
        return log_had_config_error() ? EXIT_CONFIG : EXIT_FAILED;
    if (pthread_create(&waiter, NULL, wait_for_signal, program) != 0)
        log_fatal("can't start a thread");
    loop(program);
    pthread_join(waiter, NULL);
    log_info("stopping");
    process_close(program->process);
    return EXIT_DONE;
}

int
daemon_main(int argc, char **argv, const struct stream *stream, const struct stream *const *catalog,
            const struct config_table *table)
{
    struct program program = {.stream = stream, .table = table};

    say_begin();
    say_as(stream->name);
    log_open(stream->name, LOG_INFO);
    hash_init();
    int status = read_options(&program, argc, argv);
    if (status < 0)
        status = read_config(&program);
    if (status < 0)
        status = run(&program, catalog);
    config_free(program.config);
    return status;
}
