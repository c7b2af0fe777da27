/*
 * broker: where the broker is and who we are to it, as mosquitto_pub's options, a URL or [mqtt] of a configuration say it.
 */
#ifndef BASE_BROKER_H
#define BASE_BROKER_H

#include <getopt.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/config.h"

/* A URL says whether TLS is spoken; else it is where certificates to trust are given. */
enum broker_tls { BROKER_TLS_WITH_CAFILE, BROKER_TLS_NEVER, BROKER_TLS_ALWAYS };

/* All strings belong to somebody else; NULL where not given. port 0 means 1883, or 8883 with TLS. */
struct broker {
    const char *host;
    int port;
    const char *username;
    const char *password;
    const char *cafile; /* TLS without it trusts what the system trusts */
    const char *cert;
    const char *key;
    enum broker_tls tls;
    const char *config_path; /* -c: where the rest is said, for whoever reads it; see broker_complete */
};

/* The long options that every client has, for getopt_long; the short ones are BROKER_SHORT_OPTIONS. */
enum { BROKER_OPTION_BROKER = 256, BROKER_OPTION_CAFILE, BROKER_OPTION_CERT, BROKER_OPTION_KEY, BROKER_OPTION_END };
#define BROKER_SHORT_OPTIONS "c:h:p:u:P:"
#define BROKER_LONG_OPTIONS                                                                                            \
    {"config", required_argument, NULL, 'c'}, {"broker", required_argument, NULL, BROKER_OPTION_BROKER},               \
        {"host", required_argument, NULL, 'h'}, {"port", required_argument, NULL, 'p'},                                \
        {"username", required_argument, NULL, 'u'}, {"pw", required_argument, NULL, 'P'},                              \
        {"cafile", required_argument, NULL, BROKER_OPTION_CAFILE},                                                     \
        {"cert", required_argument, NULL, BROKER_OPTION_CERT}, {"key", required_argument, NULL, BROKER_OPTION_KEY}
#define BROKER_OPTIONS_HELP                                                                                            \
    "  -c, --config FILE    configuration; [mqtt] in it says what is not said here\n"                                  \
    "  --broker ADDRESS     where the broker is: HOST, HOST:PORT, [IPV6]:PORT, mqtt://USER:PASSWORD@HOST:PORT, or\n"   \
    "                       mqtts://... for TLS (default 127.0.0.1:1883)\n"                                            \
    "  -h, --host ADDRESS   the same\n"                                                                                \
    "  -p, --port PORT      the broker's port (1883, or 8883 with TLS)\n"                                              \
    "  -u, --username NAME  user name for the broker\n"                                                               \
    "  -P, --pw PASSWORD    password for the broker; better in the environment, as GAIT_PASSWORD: a\n"                 \
    "                       command line can be read by everybody, if only until it is overwritten\n"                  \
    "  --cafile FILE        speak TLS and trust the certificates in FILE\n"                                           \
    "  --cert FILE          our own certificate, for brokers that ask for one\n"                                      \
    "  --key FILE           the private key of --cert\n"

/* The environment may say the password in place of -P: the command line of a process can be read by everybody on the machine
 * from its first instant, its environment only by its own user and root. */
#define BROKER_PASSWORD "GAIT_PASSWORD"

/* Take one option that was given, with its argument, into broker. 1 taken, 0 not one of these options, −1 a bad value
 * (said, see base/say.h; never with the password). Strings point into arg, or for an address or a password into a static
 * copy. */
int broker_option(struct broker *broker, int option, const char *arg);

/* The same for an argument of the command line, in which the password is overwritten: ps shows it to everybody. */
int broker_argument(struct broker *broker, int option, char *arg);

/* The password of the environment, if the options said none. It is wiped there, so that nothing we start inherits it. 0, or
 * −1 when it is too long (said). */
int broker_take_environment(struct broker *broker);

/* The environment first. What neither said comes from [mqtt] of config, which must outlive broker. A configured password
 * goes with the configured user name only, cafile not with a URL that says mqtt://. Then as broker_defaults. 0, or −1 when
 * what was given contradicts itself (said). */
int broker_complete(struct broker *broker, const struct config *config);

/* Whether the files that are needed to speak TLS can be read. 0; or −1, and a line for each that can't is appended to
 * faults, which begins with where config says it, if it does. */
int broker_check_files(const struct broker *broker, const struct config *config, struct buffer *faults);

/* Fill in what was not given: 127.0.0.1 and the port. */
void broker_defaults(struct broker *broker);

/* Whether TLS is spoken. */
bool broker_speaks_tls(const struct broker *broker);

/* Whether reason, of a connection that was not made, says that the broker is there and does not let us in: to try again is
 * in vain until somebody mends user or password. MQTT's own words for it. */
bool broker_refuses(const char *reason);

/* Append the address, as broker_option takes it, without user and password. */
void broker_address(const struct broker *broker, struct buffer *text);

#endif
