#include "up/supervise.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/broker.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/exit.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/notify.h"

/* A program that ends soon after its start, ready or not, is tried again soon, because what it lacks may come any moment,
 * and then ever less often, so that one that will never do costs nothing. */
#define DELAY_FIRST_MS 50
#define DELAY_MOST_MS 30000

/* Once it was put off by so much it has ended soon some six times in a row: the log says so, once. */
#define DELAY_TOLD_MS 1000

/* One that was ready and lived so long is started again at once; and so long that what went before is forgotten. */
#define SHORT_LIFE_MS 1000
#define LONG_LIFE_MS 60000

/* How often a port is tried until it takes connections. */
#define PROBE_MS 10

/* After this a line in the log says which programs are not ready yet, and so again from time to time. They are left alone:
 * one may have much to read, or the broker may be away. */
#define SLOW_START_MS 10000
#define REMIND_MS 60000

/* When a pid file could not be written: the disk may have room again by then. */
#define PID_FILE_AGAIN_MS 1000

/* What a program may need for its last commit on a slow disk; below the 10 s after which containers are killed. */
#define STOP_MS 8000

struct child {
    const struct supervise_program *program;
    pid_t pid;            /* 0: does not run */
    bool ready;           /* in this life */
    bool was_ready;       /* in any life */
    bool pid_file_failed; /* the log has been told */
    bool told;            /* likewise, that it ends again and again */
    int64_t started_ms;   /* steady clock, as all times here */
    struct backoff delay; /* before it is to be started; only if pid is 0 */
    int64_t pid_file_ms;  /* when its pid file is to be written; only if pid is not 0 */
};

/* The broker is stopped last: the others say good-bye through it. */
enum phase { PHASE_RUNNING, PHASE_STOPPING_PROCESSES, PHASE_STOPPING_BROKER, PHASE_STOPPED };

struct supervisor {
    const char *dir;
    struct child children[SUPERVISE_PROGRAMS_MAX];
    unsigned count;
    int signal_fd;
    int notify_fd;
    char notify_socket[sizeof(((struct sockaddr_un *)0)->sun_path) + 1]; /* for the environment of the children */
    enum phase phase;
    int64_t kill_ms; /* when patience with those that are stopping ends */
    bool announced;
    int64_t remind_ms;           /* not before this is it said again who is not ready */
    char hindrance[NOTIFY_BYTES_MAX]; /* what a program said last that is not ready; the log has been told */
    int exit_code;
};

/* One child. */

/* Standard input from nowhere, output and errors to the log file. 0, or −1 with what is wrong in fault. */
static int
redirect(const char *log_path, struct buffer *fault)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (in >= 0 && dup2(in, STDIN_FILENO) >= 0)
        return log_to_file(log_path, fault);
    buffer_printf(fault, "/dev/null: %s", strerror(errno));
    return -1;
}

/* What the program finds in its environment. 0, or −1. */
static int
set_environment(const struct supervisor *supervisor, const struct supervise_program *program, const char *log_path,
                struct buffer *fault)
{
    if (setenv(LOG_FILE_VARIABLE, log_path, 1) == 0 && setenv("NOTIFY_SOCKET", supervisor->notify_socket, 1) == 0 &&
        (program->password == NULL || setenv(BROKER_PASSWORD, program->password, 1) == 0))
        return 0;
    buffer_printf(fault, "%s", strerror(errno));
    return -1;
}

/* In the new process: become the program. */
static _Noreturn void
become_program(const struct supervisor *supervisor, const struct child *child, pid_t parent)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer fault = {NULL, 0, 0};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_IGN); /* until the program can take it */

    /* Nothing may stay behind when we are killed; the parent may be gone before the kernel knows our wish. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(EXIT_FAILED);

    buffer_printf(&path, "%s/log/%s.log", supervisor->dir, child->program->name);
    if (redirect(buffer_text(&path), &fault) != 0 ||
        set_environment(supervisor, child->program, buffer_text(&path), &fault) != 0) {
        const bool final = config_is_to_blame(errno);
        log_error("%s can't be prepared: %s", child->program->name, buffer_text(&fault));
        _exit(final ? EXIT_CONFIG : EXIT_FAILED);
    }
    execv(child->program->argv[0], child->program->argv);
    log_error("%s can't be executed: %s", child->program->argv[0], strerror(errno));
    _exit(EXIT_FAILED);
}

static void
remove_pid_file(const struct supervisor *supervisor, const struct child *child)
{
    struct buffer name = {NULL, 0, 0};
    struct buffer fault = {NULL, 0, 0};

    buffer_printf(&name, "%s.pid", child->program->name);
    if (folder_remove(supervisor->dir, "pid", buffer_text(&name), &fault) != 0 && !child->pid_file_failed)
        log_error("%s", buffer_text(&fault));
    buffer_free(&name);
    buffer_free(&fault);
}

/* If it can't be written there is none: the old one would name a dead process, or by now anybody. */
static void
write_pid_file(const struct supervisor *supervisor, struct child *child, int64_t now_ms)
{
    struct buffer name = {NULL, 0, 0};
    struct buffer fault = {NULL, 0, 0};
    char text[24];

    snprintf(text, sizeof text, "%d\n", (int)child->pid);
    buffer_printf(&name, "%s.pid", child->program->name);
    bool failed = folder_replace(supervisor->dir, "pid", buffer_text(&name), text, &fault) != 0;
    if (failed && !child->pid_file_failed)
        log_error("the pid file of %s: %s", child->program->name, buffer_text(&fault));
    child->pid_file_failed = failed;
    if (failed)
        remove_pid_file(supervisor, child);
    child->pid_file_ms = failed ? now_ms + PID_FILE_AGAIN_MS : INT64_MAX;
    buffer_free(&name);
    buffer_free(&fault);
}

static void
start(const struct supervisor *supervisor, struct child *child, int64_t now_ms)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0)
        become_program(supervisor, child, parent);
    if (pid < 0) {
        log_error("%s can't be started: %s", child->program->name, strerror(errno));
        backoff_put_off(&child->delay, DELAY_FIRST_MS, DELAY_MOST_MS, now_ms);
        return;
    }
    child->pid = pid;
    child->ready = false;
    child->started_ms = now_ms;
    write_pid_file(supervisor, child, now_ms);
    log_info("started %s, pid %d", child->program->name, (int)pid);
}

static void
become_ready(const struct supervisor *supervisor, struct child *child)
{
    struct buffer fault = {NULL, 0, 0};

    if (child->ready)
        return;
    child->ready = true;
    child->was_ready = true;
    log_info("%s is ready", child->program->name);
    const struct supervise_program *program = child->program;
    if (program->spent_file != NULL && folder_remove(supervisor->dir, program->name, program->spent_file, &fault) != 0)
        log_error("%s", buffer_text(&fault));
    buffer_free(&fault);
}

static bool
takes_connections(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    /* While nobody listens, the kernel may give our end the very port we try, and TCP then connects us to ourselves. */
    struct sockaddr_in own = {.sin_port = 0};
    socklen_t len = sizeof own;
    if (connected && (getsockname(fd, (struct sockaddr *)&own, &len) != 0 || own.sin_port == address.sin_port))
        connected = false;
    close(fd);
    return connected;
}

/* All children. */

static bool
is_broker(const struct child *child)
{
    return child->program->port != 0;
}

/* Whether the children that the others need have been ready. */
static bool
broker_was_ready(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->count; i++) {
        if (is_broker(&supervisor->children[i]) && !supervisor->children[i].was_ready)
            return false;
    }
    return true;
}

static void
start_due(struct supervisor *supervisor)
{
    int64_t now_ms = clock_steady_ms();

    for (unsigned i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->pid == 0 && backoff_is_due(&child->delay, now_ms) && (is_broker(child) || broker_was_ready(supervisor)))
            start(supervisor, child, now_ms);
        if (child->pid != 0 && child->pid_file_ms <= now_ms)
            write_pid_file(supervisor, child, now_ms);
    }
}

static bool
is_slow(const struct child *child, int64_t now_ms)
{
    return child->pid != 0 && !child->ready && now_ms - child->started_ms >= SLOW_START_MS;
}

/* One line for all who are not ready though they had time. */
static void
remind(struct supervisor *supervisor, int64_t now_ms)
{
    struct buffer names = {NULL, 0, 0};

    for (unsigned i = 0; i < supervisor->count; i++) {
        if (is_slow(&supervisor->children[i], now_ms))
            buffer_printf(&names, "%s%s", names.len > 0 ? ", " : "", supervisor->children[i].program->name);
    }
    if (names.len > 0 && now_ms >= supervisor->remind_ms) {
        log_warning("not ready yet: %s; still waiting%s%s", buffer_text(&names),
                    supervisor->hindrance[0] != '\0' ? "; said last: " : "", supervisor->hindrance);
        supervisor->remind_ms = now_ms + REMIND_MS;
    }
    buffer_free(&names);
}

static void
look_for_ready(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->pid != 0 && !child->ready && is_broker(child) && takes_connections(child->program->port))
            become_ready(supervisor, child);
    }
    remind(supervisor, clock_steady_ms());
}

static void
announce(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->count; i++) {
        if (!supervisor->children[i].was_ready)
            return;
    }
    supervisor->announced = true;
    if (puts("ready") < 0 || fflush(stdout) != 0) {
        log_warning("standard output does not take the line \"ready\": %s", strerror(errno));
        clearerr(stdout);
    }
    notify_ready(); /* we may be a service ourselves */
}

static bool
any_runs(const struct supervisor *supervisor, bool broker)
{
    for (unsigned i = 0; i < supervisor->count; i++) {
        if (is_broker(&supervisor->children[i]) == broker && supervisor->children[i].pid != 0)
            return true;
    }
    return false;
}

/* Send signal to the broker or to all others. */
static void
signal_all(const struct supervisor *supervisor, bool broker, int signal)
{
    for (unsigned i = 0; i < supervisor->count; i++) {
        const struct child *child = &supervisor->children[i];
        if (is_broker(child) != broker || child->pid == 0)
            continue;
        if (signal == SIGKILL)
            log_warning("%s, pid %d, did not stop in %d s and is killed", child->program->name, (int)child->pid,
                        STOP_MS / 1000);
        kill(child->pid, signal);
    }
}

static void
begin_stop(struct supervisor *supervisor, int exit_code)
{
    if (supervisor->phase != PHASE_RUNNING)
        return;
    log_info("stopping");
    supervisor->exit_code = exit_code;
    supervisor->phase = PHASE_STOPPING_PROCESSES;
    supervisor->kill_ms = clock_steady_ms() + STOP_MS;
    signal_all(supervisor, false, SIGTERM);
}

/* The broker has nothing that could be read again: we write its configuration. */
static void
pass_hangup_on(const struct supervisor *supervisor)
{
    log_info("SIGHUP: passed on to the processes, which read [gait] log again and open their log files anew");
    signal_all(supervisor, false, SIGHUP);
}

static void
go_on_stopping(struct supervisor *supervisor)
{
    if (supervisor->phase == PHASE_STOPPING_PROCESSES && !any_runs(supervisor, false)) {
        supervisor->phase = PHASE_STOPPING_BROKER;
        supervisor->kill_ms = clock_steady_ms() + STOP_MS;
        signal_all(supervisor, true, SIGTERM);
    }
    if (supervisor->phase == PHASE_STOPPING_BROKER && !any_runs(supervisor, true)) {
        supervisor->phase = PHASE_STOPPED;
    } else if (clock_steady_ms() >= supervisor->kill_ms) {
        signal_all(supervisor, supervisor->phase == PHASE_STOPPING_BROKER, SIGKILL);
        supervisor->kill_ms = INT64_MAX;
    }
}

/* What happens to children. */

/* How status, of waitpid, reads in the log. */
static void
describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was killed by signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
}

/* Arrange for the next start of a child that ended while it should run. */
static void
plan_restart(const struct supervisor *supervisor, struct child *child, const char *end, pid_t pid, int64_t now_ms)
{
    const int64_t life_ms = now_ms - child->started_ms;

    if (child->ready && life_ms >= LONG_LIFE_MS)
        backoff_reset(&child->delay);
    if (child->ready && life_ms >= SHORT_LIFE_MS && child->delay.wait_ms < DELAY_TOLD_MS)
        child->delay.at_ms = now_ms;
    else
        backoff_put_off(&child->delay, DELAY_FIRST_MS, DELAY_MOST_MS, now_ms);
    if (child->delay.wait_ms >= DELAY_TOLD_MS && !child->told)
        log_error("%s ends again and again soon after its start: it is started ever more rarely, up to every %d s; "
                  "%s/log/%s.log says why", child->program->name, DELAY_MOST_MS / 1000, supervisor->dir,
                  child->program->name);
    child->told = child->delay.wait_ms >= DELAY_TOLD_MS;
    log_warning("%s, pid %d, %s; starting it again in %d ms", child->program->name, (int)pid, end,
                (int)(child->delay.at_ms - now_ms));
}

static void
take_end(struct supervisor *supervisor, struct child *child, int status)
{
    char end[64];
    pid_t pid = child->pid;

    child->pid = 0;
    describe_end(status, end, sizeof end);
    if (supervisor->phase != PHASE_RUNNING) {
        log_info("%s, pid %d, %s", child->program->name, (int)pid, end);
        remove_pid_file(supervisor, child);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CONFIG && !child->was_ready) {
        log_error("%s, pid %d, finds its configuration wrong; %s/log/%s.log says why", child->program->name, (int)pid,
                  supervisor->dir, child->program->name);
        remove_pid_file(supervisor, child);
        begin_stop(supervisor, EXIT_CONFIG);
    } else {
        plan_restart(supervisor, child, end, pid, clock_steady_ms());
    }
}

static struct child *
find_child(struct supervisor *supervisor, pid_t pid)
{
    for (unsigned i = 0; i < supervisor->count; i++) {
        if (supervisor->children[i].pid == pid)
            return &supervisor->children[i];
    }
    return NULL;
}

/* What a datagram says. */
struct notification {
    bool ready;
    bool refused;
    struct span status; /* at is NULL if it says none */
};

static struct notification
read_notification(const char *text, size_t len)
{
    static const char status[] = "STATUS=";
    struct notification said = {false, false, {NULL, 0}};
    struct span rest = span_at(text, len);

    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        struct span line = span_at(rest.at, end == NULL ? rest.len : (size_t)(end - rest.at));
        if (span_is(line, "READY=1"))
            said.ready = true;
        else if (span_is(line, "ERRNO=13")) /* EACCES */
            said.refused = true;
        else if (line.len >= sizeof status - 1 && memcmp(line.at, status, sizeof status - 1) == 0)
            said.status = span_at(line.at + sizeof status - 1, line.len - (sizeof status - 1));
        size_t step = end == NULL ? line.len : line.len + 1;
        rest = span_at(rest.at + step, rest.len - step);
    }
    return said;
}

/* Say what hinders a program. The programs say much the same when it is the broker, so what was said last is not said
 * again. */
static void
take_hindrance(struct supervisor *supervisor, const struct child *child, struct span text)
{
    char hindrance[NOTIFY_BYTES_MAX];

    snprintf(hindrance, sizeof hindrance, "%.*s", (int)text.len, text.at);
    if (strcmp(hindrance, supervisor->hindrance) == 0)
        return;
    memcpy(supervisor->hindrance, hindrance, sizeof hindrance);
    log_warning("%s is not ready: %s", child->program->name, hindrance);
    notify_status(hindrance);
}

/* A program that never was ready is not let in by the broker: to wait would hide that from whoever started us. */
static void
take_refusal(struct supervisor *supervisor, const struct child *child)
{
    if (child->was_ready || supervisor->phase != PHASE_RUNNING)
        return;
    log_error("%s is not let in by the broker, so nothing can run; user name, password and certificate are those of the "
              "options, or of [mqtt] in the configuration", child->program->name);
    begin_stop(supervisor, EXIT_FAILED);
}

static void
take_notified(struct supervisor *supervisor, struct child *child, const struct notification *said)
{
    if (said->ready)
        become_ready(supervisor, child);
    else if (said->status.len > 0 && !child->ready)
        take_hindrance(supervisor, child, said->status);
    if (said->refused)
        take_refusal(supervisor, child);
}

/* Take one datagram. The kernel says who sent it, so that nobody can speak for another. false when there is none. */
static bool
take_notification(struct supervisor *supervisor)
{
    char text[NOTIFY_BYTES_MAX];

    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))]; /* no room for file descriptors: those are dropped */
    } control;
    struct iovec part = {text, sizeof text};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    ssize_t len = recvmsg(supervisor->notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0)
        return errno == EINTR;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS)
        return true;
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
    struct child *child = sender.pid > 0 ? find_child(supervisor, sender.pid) : NULL;
    struct notification said = read_notification(text, (size_t)len);
    if (child != NULL && !is_broker(child))
        take_notified(supervisor, child, &said);
    return true;
}

/* Signals of one kind merge, so one SIGCHLD may stand for many; and as the first process of a container we are also
 * given orphans, which are none of ours. What one that ended has said before that is taken first: that it was ready, or why
 * it ends. */
static void
reap(struct supervisor *supervisor)
{
    siginfo_t ended = {.si_pid = 0};
    int status;

    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0) {
        while (take_notification(supervisor))
            continue;
        struct child *child = find_child(supervisor, ended.si_pid);
        if (waitpid(ended.si_pid, &status, WNOHANG) == ended.si_pid && child != NULL)
            take_end(supervisor, child, status);
        ended.si_pid = 0;
    }
}

static void
take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    bool ended = false;

    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            ended = true;
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            begin_stop(supervisor, EXIT_DONE);
        else if (info.ssi_signo == SIGHUP && supervisor->phase == PHASE_RUNNING)
            pass_hangup_on(supervisor);
    }
    /* Last: Control-C reaches the children too, and their end is no accident then. */
    if (ended)
        reap(supervisor);
}

/* The loop. */

static int64_t
later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When the loop has to look again though nothing happens, in ms from now; −1 never. */
static int
wait_ms(const struct supervisor *supervisor)
{
    int64_t now_ms = clock_steady_ms();
    int64_t next_ms = supervisor->phase == PHASE_RUNNING ? INT64_MAX : supervisor->kill_ms;

    for (unsigned i = 0; i < supervisor->count && supervisor->phase == PHASE_RUNNING; i++) {
        const struct child *child = &supervisor->children[i];
        int64_t at_ms = INT64_MAX;
        if (child->pid == 0 && (is_broker(child) || broker_was_ready(supervisor)))
            at_ms = child->delay.at_ms;
        else if (child->pid != 0 && !child->ready && is_broker(child))
            at_ms = now_ms + PROBE_MS;
        else if (child->pid != 0 && !child->ready)
            at_ms = later(child->started_ms + SLOW_START_MS, supervisor->remind_ms);
        if (child->pid != 0 && child->pid_file_ms < at_ms)
            at_ms = child->pid_file_ms;
        if (at_ms < next_ms)
            next_ms = at_ms;
    }
    if (next_ms == INT64_MAX)
        return -1;
    return next_ms <= now_ms ? 0 : (int)(next_ms - now_ms);
}

static void
run(struct supervisor *supervisor)
{
    struct pollfd polled[] = {{supervisor->signal_fd, POLLIN, 0}, {supervisor->notify_fd, POLLIN, 0}};

    while (supervisor->phase != PHASE_STOPPED) {
        if (supervisor->phase == PHASE_RUNNING) {
            start_due(supervisor);
            look_for_ready(supervisor);
            if (!supervisor->announced)
                announce(supervisor);
        } else {
            go_on_stopping(supervisor);
        }
        if (supervisor->phase == PHASE_STOPPED)
            break;
        poll(polled, 2, wait_ms(supervisor));
        while (take_notification(supervisor))
            continue;
        take_signals(supervisor);
    }
}

static int
open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN); /* whoever waited for "ready" may be gone */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A socket under a name that the kernel chooses in the abstract namespace: no path that is too long or left behind.
 * Its name, with @ for the NUL, goes to name. The descriptor, or −1. */
static int
open_notify(char *name, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address.sun_family;
    int on = 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, len) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
        goto fail;
    len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        goto fail;
    int name_len = (int)(len - offsetof(struct sockaddr_un, sun_path)) - 1;
    snprintf(name, size, "@%.*s", name_len, address.sun_path + 1);
    return fd;

fail:
    close(fd);
    return -1;
}

int
supervise_run(const struct supervise_program *programs, unsigned count, const char *dir)
{
    struct supervisor supervisor = {.dir = dir, .count = count, .exit_code = EXIT_FAILED};

    if (count > SUPERVISE_PROGRAMS_MAX)
        log_panic("%u programs to supervise, but room for %d", count, SUPERVISE_PROGRAMS_MAX);
    for (unsigned i = 0; i < count; i++)
        supervisor.children[i] = (struct child){.program = &programs[i]};
    supervisor.signal_fd = open_signals();
    supervisor.notify_fd = open_notify(supervisor.notify_socket, sizeof supervisor.notify_socket);
    if (supervisor.signal_fd < 0 || supervisor.notify_fd < 0)
        log_fatal("signals or notifications can't be taken: %s", strerror(errno));
    run(&supervisor);
    close(supervisor.signal_fd);
    close(supervisor.notify_fd);
    return supervisor.exit_code;
}
