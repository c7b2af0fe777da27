#include "base/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/say.h"

/* Names in the DNS have at most 253 characters; user name and password may be longer than that. */
#define ADDRESS_SIZE 2048
#define HOST_BYTES_MAX 253
#define PASSWORD_SIZE 65536 /* MQTT takes no longer one */

#define PORT_PLAIN 1883
#define PORT_TLS 8883

/* A port in decimal into *port. 0, or −1. */
static int
read_port(const char *text, int *port)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > 65535) {
        /* Not shown: where the host was forgotten in a URL this is a password. */
        say("the port is not a number from 1 to 65535");
        return -1;
    }
    *port = (int)value;
    return 0;
}

static int
hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* Decode %XX in place. 0, or −1 when one is cut off, or NUL. */
static int
decode(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++, to++) {
        *to = *text;
        if (*text != '%')
            continue;
        int high = hex_digit(text[1]);
        int low = high >= 0 ? hex_digit(text[2]) : -1;
        if (low < 0 || high + low == 0)
            return -1;
        *to = (char)(high << 4 | low);
        text += 2;
    }
    *to = '\0';
    return 0;
}

/* The scheme of a URL, up to "://": cut off text. 0, or −1 for one that we don't speak. */
static int
take_scheme(struct broker *broker, char **text)
{
    char *end = strstr(*text, "://");

    if (end == NULL)
        return 0;
    *end = '\0';
    if (strcasecmp(*text, "mqtt") == 0) {
        broker->tls = BROKER_TLS_NEVER;
    } else if (strcasecmp(*text, "mqtts") == 0) {
        broker->tls = BROKER_TLS_ALWAYS;
    } else {
        say("'%s://' is not spoken: the broker's URL begins with mqtt://, or mqtts:// for TLS", *text);
        return -1;
    }
    *text = end + 3;
    /* What may stand behind host and port means nothing here, but a slash alone is what many programs write. */
    size_t len = strlen(*text);
    if (len > 0 && (*text)[len - 1] == '/')
        (*text)[len - 1] = '\0';
    return 0;
}

/* "USER:PASSWORD@" or "USER@": cut off text. 0, or −1. */
static int
take_user(struct broker *broker, char **text)
{
    char *at = strrchr(*text, '@'); /* the last: people forget that one in a password is %40 */

    if (at == NULL)
        return 0;
    *at = '\0';
    char *colon = strchr(*text, ':');
    if (colon != NULL)
        *colon = '\0';
    if (decode(*text) != 0 || (colon != NULL && decode(colon + 1) != 0)) {
        say("a %% in the user name or password of the broker's URL is not followed by two hex digits; %% itself is %%25");
        return -1;
    }
    broker->username = *text;
    if (colon != NULL)
        broker->password = colon + 1;
    *text = at + 1;
    return 0;
}

/* HOST, HOST:PORT, [IPV6]:PORT or a bare IPv6 address, which is changed, into host and port. 0, or −1. */
static int
take_host(struct broker *broker, char *host)
{
    static const char wanted[] =
        "is no address: it is HOST, HOST:PORT, [IPV6]:PORT, mqtt://HOST:PORT or mqtts://HOST:PORT";
    char shown[HOST_BYTES_MAX + 1];
    const char *at = strrchr(host, '@');
    char *colon = strrchr(host, ':');

    snprintf(shown, sizeof shown, "%s", at != NULL ? at + 1 : host); /* what stands before it may be a password */
    if (at != NULL)
        goto fail;
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
    if (host[0] == '\0' || host[0] == '-' || strlen(host) > HOST_BYTES_MAX || strpbrk(host, " \t\r\n/?#[]") != NULL)
        goto fail;
    broker->host = host;
    return 0;

fail:
    say("broker '%s' %s", shown, wanted);
    return -1;
}

static int
take_address(struct broker *broker, const char *text)
{
    static char copy[ADDRESS_SIZE]; /* the last address is the one that counts */
    size_t len = strlen(text);
    char *rest = copy;

    if (len >= sizeof copy) {
        say("the broker's address is longer than %d bytes", ADDRESS_SIZE - 1);
        return -1;
    }
    hash_secret_keep(copy, len + 1); /* a URL may hold a password */
    memcpy(copy, text, len + 1);
    bool url = strstr(text, "://") != NULL;
    if (take_scheme(broker, &rest) != 0 || (url && take_user(broker, &rest) != 0))
        return -1;
    return take_host(broker, rest);
}

/* Overwritten, not cut off: what stands behind it in the command line keeps its place. */
static void
hide(char *from, const char *end)
{
    for (; from < end; from++)
        *from = '*';
}

static void
hide_password(int option, char *arg)
{
    if (option == 'P')
        hide(arg, arg + strlen(arg));
    if (option != 'h' && option != BROKER_OPTION_BROKER)
        return;
    char *scheme = strstr(arg, "://");
    char *user = scheme != NULL ? scheme + 3 : arg;
    char *colon = strchr(user, ':');
    char *at = strrchr(user, '@');
    if (colon != NULL && at != NULL && colon < at)
        hide(colon + 1, at);
}

/* A copy of the password, whose place in the command line is overwritten. 0, or −1. */
static int
take_password(struct broker *broker, const char *text)
{
    static char copy[PASSWORD_SIZE]; /* the last one is the one that counts */
    size_t len = strlen(text);

    if (len >= sizeof copy) {
        say("the password is longer than %d bytes", PASSWORD_SIZE - 1);
        return -1;
    }
    hash_wipe(copy, sizeof copy);
    hash_secret_keep(copy, len + 1);
    memcpy(copy, text, len + 1);
    broker->password = copy;
    return 0;
}

int
broker_take_environment(struct broker *broker)
{
    char *text = getenv(BROKER_PASSWORD);

    if (text == NULL || *text == '\0')
        return 0;
    int rc = broker->password == NULL ? take_password(broker, text) : 0;
    hash_wipe(text, strlen(text));
    unsetenv(BROKER_PASSWORD);
    return rc;
}

int
broker_option(struct broker *broker, int option, const char *arg)
{
    switch (option) {
    case 'c':
        broker->config_path = arg;
        return 1;
    case BROKER_OPTION_BROKER:
    case 'h':
        return take_address(broker, arg) == 0 ? 1 : -1;
    case 'p':
        return read_port(arg, &broker->port) == 0 ? 1 : -1;
    case 'u':
        broker->username = arg;
        return 1;
    case 'P':
        return take_password(broker, arg) == 0 ? 1 : -1;
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

int
broker_argument(struct broker *broker, int option, char *arg)
{
    int rc = broker_option(broker, option, arg);

    if (rc == 1)
        hide_password(option, arg);
    return rc;
}

static const char *
text_or_null(const struct config *config, const char *key)
{
    const char *text = config_text(config, "mqtt", key);

    return *text != '\0' ? text : NULL;
}

/* TLS is a matter of certificates, and of what the URL says; whoever gives one must not speak without it unawares. */
static int
check_tls(const struct broker *broker, const struct config *config)
{
    bool own = broker->cert != NULL || broker->key != NULL;

    if (broker->tls == BROKER_TLS_NEVER && (broker->cafile != NULL || own)) {
        say("mqtt:// speaks no TLS, so --cafile, --cert and --key don't go with it; TLS is mqtts://");
        return -1;
    }
    if (own && !broker_speaks_tls(broker) && text_or_null(config, "cafile") == NULL) {
        say("--cert and --key are for TLS, which is spoken with --cafile or to mqtts://");
        return -1;
    }
    return 0;
}

int
broker_complete(struct broker *broker, const struct config *config)
{
    if (check_tls(broker, config) != 0 || broker_take_environment(broker) != 0)
        return -1;
    if (broker->host == NULL)
        broker->host = config_text(config, "mqtt", "host");
    if (broker->port == 0)
        broker->port = (int)config_int(config, "mqtt", "port");
    if (broker->password == NULL && broker->username == NULL)
        broker->password = text_or_null(config, "password");
    if (broker->username == NULL)
        broker->username = text_or_null(config, "username");
    if (broker->tls != BROKER_TLS_NEVER) {
        if (broker->cafile == NULL)
            broker->cafile = text_or_null(config, "cafile");
        if (broker->cert == NULL)
            broker->cert = text_or_null(config, "cert");
        if (broker->key == NULL)
            broker->key = text_or_null(config, "key");
    }
    broker_defaults(broker);
    return 0;
}

static int
check_file(const struct config *config, const char *key, const char *file, struct buffer *faults)
{
    if (file == NULL)
        return 0;
    struct stat info;
    const int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const int error = fd < 0 || fstat(fd, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    if (fd >= 0)
        close(fd);
    if (error == 0)
        return 0;
    if (file == config_text(config, "mqtt", key))
        config_where(config, "mqtt", key, faults);
    else
        buffer_printf(faults, "--%s: ", key);
    buffer_printf(faults, "%s can't be read: %s; allowed is a file that user %u, as whom this runs, may read\n", file,
                  strerror(error), (unsigned)geteuid());
    return -1;
}

int
broker_check_files(const struct broker *broker, const struct config *config, struct buffer *faults)
{
    if (!broker_speaks_tls(broker))
        return 0;
    int rc = check_file(config, "cafile", broker->cafile, faults);
    rc |= check_file(config, "cert", broker->cert, faults);
    return rc | check_file(config, "key", broker->key, faults);
}

void
broker_defaults(struct broker *broker)
{
    if (broker->host == NULL)
        broker->host = "127.0.0.1";
    if (broker->port == 0)
        broker->port = broker_speaks_tls(broker) ? PORT_TLS : PORT_PLAIN;
}

bool
broker_refuses(const char *reason)
{
    return strcasestr(reason, "not authorized") != NULL || strcasestr(reason, "bad user name or password") != NULL;
}

bool
broker_speaks_tls(const struct broker *broker)
{
    return broker->tls == BROKER_TLS_ALWAYS || (broker->tls == BROKER_TLS_WITH_CAFILE && broker->cafile != NULL);
}

void
broker_address(const struct broker *broker, struct buffer *text)
{
    static const char *const schemes[] = {"", "mqtt://", "mqtts://"};
    bool ipv6 = strchr(broker->host, ':') != NULL;

    buffer_printf(text, "%s%s%s%s", schemes[broker->tls], ipv6 ? "[" : "", broker->host, ipv6 ? "]" : "");
    if (broker->port != 0)
        buffer_printf(text, ":%d", broker->port);
}
