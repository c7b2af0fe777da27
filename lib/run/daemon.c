#include "run/daemon.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/broker.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/notify.h"
#include "mqtt/mqtt.h"
#include "run/process.h"

struct program {
    const struct stream *stream;
    const char *summary;
    const char *config_path;
    const char *dir;
    struct broker broker;
    struct config *config;
    struct process *process;
    sigset_t signals;
    atomic_bool stop;
};

static void
usage(const struct program *program, FILE *out)
{
    fprintf(out,
            "%s: %s\n\n"
            "usage: %s [-c FILE] [--dir DIR] [broker options]\n\n"
            "  -c, --config FILE    configuration (gait check -c FILE says what is wrong with it)\n"
            "  --dir DIR            keep state below DIR (default: dir of [gait], /var/lib/gait)\n" BROKER_OPTIONS_HELP
            "  --help               this text\n"
            "  --version            the version\n\n"
            "Runs in the foreground until SIGTERM or SIGINT, and tells systemd when it is ready. May be killed at any\n"
            "time: what it acknowledged is kept. Exit status: 0 stopped, 1 failed, 2 usage, 78 configuration.\n",
            program->stream->name, program->summary, program->stream->name);
}

enum { OPTION_DIR = BROKER_OPTION_END, OPTION_HELP, OPTION_VERSION };

/* −1 to go on, else the exit status. */
static int
read_options(struct program *program, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, OPTION_DIR},
        BROKER_LONG_OPTIONS,
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "c:" BROKER_SHORT_OPTIONS, options, NULL)) != -1) {
        int rc = broker_option(&program->broker, option, optarg);
        if (rc == 1)
            continue;
        if (rc == 0 && option == 'c')
            program->config_path = optarg;
        else if (rc == 0 && option == OPTION_DIR)
            program->dir = optarg;
        else if (rc == 0 && option == OPTION_HELP) {
            usage(program, stdout);
            return EXIT_DONE;
        } else if (rc == 0 && option == OPTION_VERSION) {
            printf("%s %s\n", program->stream->name, GAIT_VERSION);
            return EXIT_DONE;
        } else {
            fprintf(stderr, "Try %s --help\n", program->stream->name);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "%s: unexpected argument %s\nTry %s --help\n", program->stream->name, argv[optind],
            program->stream->name);
    return EXIT_USAGE;
}

static const char *
text_or_null(const struct config *config, const char *key)
{
    const char *text = config_text(config, "mqtt", key);
    return *text != '\0' ? text : NULL;
}

/* What the command line did not say comes from [mqtt]. */
static void
complete_broker(struct broker *broker, const struct config *config)
{
    if (broker->host == NULL)
        broker->host = config_text(config, "mqtt", "host");
    if (broker->port == 0)
        broker->port = (int)config_int(config, "mqtt", "port");
    if (broker->username == NULL)
        broker->username = text_or_null(config, "username");
    if (broker->password == NULL)
        broker->password = text_or_null(config, "password");
    if (broker->cafile == NULL)
        broker->cafile = text_or_null(config, "cafile");
    if (broker->cert == NULL)
        broker->cert = text_or_null(config, "cert");
    if (broker->key == NULL)
        broker->key = text_or_null(config, "key");
    broker_defaults(broker);
}

/* −1 to go on, else the exit status. */
static int
read_config(struct program *program, const struct config_table *table)
{
    struct buffer errors = {0};

    program->config = config_new(table);
    int rc = program->config_path != NULL ? config_read(program->config, program->config_path, &errors) : 0;
    fputs(buffer_text(&errors), stderr);
    buffer_free(&errors);
    if (rc != 0)
        return EXIT_CONFIG;
    if (program->dir == NULL)
        program->dir = config_text(program->config, "gait", "dir");
    complete_broker(&program->broker, program->config);
    log_open(program->stream->name, (enum log_level)config_int(program->config, "gait", "log"));
    return -1;
}

static struct wire *
make_wire(void *context, const struct wire_options *options, const struct wire_events *events)
{
    struct program *program = context;
    return mqtt_wire(&program->broker, options, events);
}

/* Signals come to this thread alone, so that nothing has to be safe inside a handler. */
static void *
wait_for_signal(void *context)
{
    struct program *program = context;
    int signal_number;

    sigwait(&program->signals, &signal_number);
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
    pthread_sigmask(SIG_BLOCK, &program->signals, NULL);
}

static void
loop(struct program *program)
{
    bool told = false;

    while (!atomic_load(&program->stop)) {
        int64_t wait_ms = process_step(program->process);
        if (!told && process_ready(program->process)) {
            log_info("ready");
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
    const struct process_options options = {
        .stream = program->stream,
        .catalog = catalog,
        .config = program->config,
        .dir = program->dir,
        .make_wire = make_wire,
        .context = program,
        .wall_ms = clock_wall_ms,
        .steady_ms = clock_steady_ms,
        .built_ms = built_ms,
    };
    const struct rlimit no_core = {0, 0};
    pthread_t waiter;

    /* A core dump would hold records. */
    setrlimit(RLIMIT_CORE, &no_core);
    block_signals(program);
    program->process = process_open(&options);
    if (program->process == NULL)
        return EXIT_FAILED;
    if (pthread_create(&waiter, NULL, wait_for_signal, program) != 0)
        log_fatal("can't start a thread");
    loop(program);
    pthread_join(waiter, NULL);
    log_info("stopping");
    process_close(program->process);
    return EXIT_DONE;
}

int
daemon_main(int argc, char **argv, const struct stream *stream, const char *summary, const struct stream *const *catalog,
            const struct config_table *table)
{
    struct program program = {.stream = stream, .summary = summary};

    log_open(stream->name, LOG_INFO);
    hash_init();
    int status = read_options(&program, argc, argv);
    if (status < 0)
        status = read_config(&program, table);
    if (status < 0)
        status = run(&program, catalog);
    config_free(program.config);
    return status;
}
