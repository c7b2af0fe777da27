#include "up/private_broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "wire/wire.h"

#define FOLDER "broker"
#define SETTINGS "mosquitto.conf"

int
private_broker_find(struct buffer *path)
{
    /* Debian puts mosquitto where the PATH of ordinary users does not look. */
    static const char more[] = ":/usr/sbin:/usr/local/sbin";
    struct buffer list = {NULL, 0, 0};
    const char *given = getenv("PATH");
    size_t start = path->len;
    int result = -1;

    buffer_printf(&list, "%s%s", given == NULL ? "" : given, more);
    const char *at = buffer_text(&list);
    while (result != 0 && *at != '\0') {
        size_t len = strcspn(at, ":");
        path->len = start;
        buffer_printf(path, "%.*s/mosquitto", (int)len, at);
        if (at[0] == '/' && access(buffer_text(path), X_OK) == 0)
            result = 0;
        at += len + (at[len] == ':');
    }
    if (result != 0)
        log_error("there is no mosquitto in PATH, /usr/sbin or /usr/local/sbin; install it, or name a broker with "
                  "--broker");
    buffer_free(&list);
    return result;
}

int
private_broker_check_port(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1; /* as mosquitto does: connections of the one before may still be fading */
    int result = -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        result = 0;
    if (result != 0)
        log_error("no broker can be started on 127.0.0.1:%d: %s; choose another with --port, or use the broker that is "
                  "there with --broker 127.0.0.1:%d",
                  port, strerror(errno), port);
    if (fd >= 0)
        close(fd);
    return result;
}

/* The file, as one who has to look after the broker would want to find it. */
static void
add_settings(struct buffer *conf, const char *dir, int port, size_t payload_bytes)
{
    buffer_add_text(conf, "# Written by `gait up` at every start; changes do not stay.\n\n");
    buffer_printf(conf,
                  "# For this machine only, and so for everybody on it. A broker that others reach needs TLS and a\n"
                  "# list of who may do what: run that one yourself and name it with --broker.\n"
                  "listener %d 127.0.0.1\n"
                  "allow_anonymous true\n\n",
                  port);
    if (geteuid() == 0)
        buffer_add_text(conf, "# Else mosquitto would become the user mosquitto, who can not write in this folder.\n"
                              "user root\n\n");
    buffer_printf(conf,
                  "# What devices have sent and no process has taken yet outlives a proper stop. It is saved only\n"
                  "# then, and `gait up` removes the file as soon as it is read: after a kill the broker must not\n"
                  "# come back with sessions and retained messages of long ago, but with none, so that all is\n"
                  "# published again.\n"
                  "persistence true\n"
                  "persistence_location %s/broker/\n"
                  "persistence_file %s\n"
                  "autosave_interval 0\n\n",
                  dir, PRIVATE_BROKER_SAVED);
    buffer_printf(conf,
                  "# What waits for one client that is slow or away: beyond this the broker acknowledges messages and\n"
                  "# throws them away (its default is 1000). gait's own links don't need it, but landing messages for a\n"
                  "# process that is away wait here. No limit at all would let one forgotten subscriber fill the memory.\n"
                  "max_queued_messages %u\n"
                  "max_queued_bytes %u\n\n"
                  "# A packet has room for the largest payload that is taken in, for topic and properties, and for what\n"
                  "# gait's processes send each other. Whoever sends a larger one is disconnected.\n"
                  "max_packet_size %zu\n\n",
                  PRIVATE_BROKER_QUEUED_MESSAGES_MAX, PRIVATE_BROKER_QUEUED_BYTES_MAX, wire_packet_bytes(payload_bytes));
    buffer_add_text(conf,
                    "# Messages to one client that it has not acknowledged yet: enough to keep a process busy while\n"
                    "# it writes, few enough that little is sent again after a lost connection.\n"
                    "max_inflight_messages 100\n\n"
                    "# A small message must not wait for the next one.\n"
                    "set_tcp_nodelay true\n\n"
                    "# To log/broker.log, with times as in gait's own logs. Connections are not logged: the name of a\n"
                    "# client may be that of a person.\n"
                    "log_dest stderr\n"
                    "log_type error\n"
                    "log_type warning\n"
                    "log_type notice\n"
                    "log_timestamp true\n"
                    "log_timestamp_format %Y-%m-%dT%H:%M:%S\n"
                    "connection_messages false\n");
}

/* Make the file in the folder of brokers hold text. One that does already stays: `gait up` must be able to start on a full
 * disk. */
static int
settle_file(const char *dir, const char *text)
{
    struct buffer path = {NULL, 0, 0};
    struct buffer old = {NULL, 0, 0};
    struct buffer fault = {NULL, 0, 0};

    buffer_printf(&path, "%s/" FOLDER "/" SETTINGS, dir);
    const bool same = file_read(buffer_text(&path), &old) == 0 && span_is(buffer_span(&old), text);
    const int rc = same ? 0 : folder_replace(dir, FOLDER, SETTINGS, text, &fault);
    if (rc != 0)
        log_error("%s", buffer_text(&fault));
    buffer_free(&path);
    buffer_free(&old);
    buffer_free(&fault);
    return rc;
}

int
private_broker_configure(const char *dir, int port, size_t payload_bytes, struct buffer *conf_path)
{
    struct buffer conf = {NULL, 0, 0};
    int result = -1;

    buffer_printf(conf_path, "%s/" FOLDER "/" SETTINGS, dir);
    add_settings(&conf, dir, port, payload_bytes);
    if (strpbrk(dir, "\r\n") != NULL)
        log_error("a folder with a line end in its name can't stand in mosquitto.conf");
    else
        result = settle_file(dir, buffer_text(&conf));
    buffer_free(&conf);
    return result;
}
