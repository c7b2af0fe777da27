#include "base/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names in the DNS have at most 253 characters; then come brackets, port and NUL. */
#define ADDRESS_SIZE 264

#define PORT_PLAIN 1883
#define PORT_TLS 8883

/* A port in decimal into *port. 0, or -1 with a line on standard error. */
static int
read_port(const char *text, int *port)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > 65535) {
        fprintf(stderr, "port '%s' is not a number from 1 to 65535\n", text);
        return -1;
    }
    *port = (int)value;
    return 0;
}

/* HOST, HOST:PORT, [IPV6]:PORT or a bare IPv6 address into host and port. 0, or -1 with a line on standard error. */
static int
read_address(struct broker *broker, const char *text)
{
    static char copy[ADDRESS_SIZE]; /* the last --broker is the one that counts */
    size_t len = strlen(text);
    if (len >= sizeof copy)
        goto fail;
    memcpy(copy, text, len + 1);

    char *host = copy;
    char *colon = strrchr(host, ':');
    if (host[0] == '[') {
        char *bracket = strchr(host, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            goto fail;
        *bracket = '\0';
        host++;
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
    } else if (colon != strchr(host, ':')) {
        colon = NULL; /* more than one: all of it is an address */
    }
    if (colon != NULL) {
        *colon = '\0';
        if (read_port(colon + 1, &broker->port) != 0)
            return -1;
    }
    if (host[0] == '\0')
        goto fail;
    broker->host = host;
    return 0;

fail:
    fprintf(stderr, "broker '%s' is not HOST or HOST:PORT\n", text);
    return -1;
}

int
broker_option(struct broker *broker, int option, const char *arg)
{
    switch (option) {
    case BROKER_OPTION_BROKER:
        return read_address(broker, arg) == 0 ? 1 : -1;
    case 'h':
        broker->host = arg;
        return 1;
    case 'p':
        return read_port(arg, &broker->port) == 0 ? 1 : -1;
    case 'u':
        broker->username = arg;
        return 1;
    case 'P':
        broker->password = arg;
        return 1;
    case BROKER_OPTION_CAFILE:
        broker->cafile = arg;
        return 1;
    case BROKER_OPTION_CERT:
        broker->cert = arg;
        return 1;
    case BROKER_OPTION_KEY:
        broker->key = arg;
        return 1;
    default:
        return 0;
    }
}

void
broker_defaults(struct broker *broker)
{
    if (broker->host == NULL)
        broker->host = "127.0.0.1";
    if (broker->port == 0)
        broker->port = broker->cafile != NULL ? PORT_TLS : PORT_PLAIN;
}
