/*
 * broker: where the broker is and who we are to it, as mosquitto_pub's options say it.
 */
#ifndef BASE_BROKER_H
#define BASE_BROKER_H

#include <getopt.h>

/* All strings belong to somebody else; NULL where not given. port 0 means 1883, or 8883 with cafile. */
struct broker {
    const char *host;
    int port;
    const char *username;
    const char *password;
    const char *cafile;
    const char *cert;
    const char *key;
};

/* The long options that every client has, for getopt_long; the short ones are "h:p:u:P:". */
enum { BROKER_OPTION_BROKER = 256, BROKER_OPTION_CAFILE, BROKER_OPTION_CERT, BROKER_OPTION_KEY, BROKER_OPTION_END };
#define BROKER_SHORT_OPTIONS "h:p:u:P:"
#define BROKER_LONG_OPTIONS                                                                                            \
    {"broker", required_argument, NULL, BROKER_OPTION_BROKER}, {"host", required_argument, NULL, 'h'},                  \
        {"port", required_argument, NULL, 'p'}, {"username", required_argument, NULL, 'u'},                            \
        {"pw", required_argument, NULL, 'P'}, {"cafile", required_argument, NULL, BROKER_OPTION_CAFILE},               \
        {"cert", required_argument, NULL, BROKER_OPTION_CERT}, {"key", required_argument, NULL, BROKER_OPTION_KEY}
#define BROKER_OPTIONS_HELP                                                                                            \
    "  --broker HOST:PORT   where the broker is (same as -h HOST -p PORT; default 127.0.0.1:1883)\n"                  \
    "  -h, --host HOST      the broker's host\n"                                                                      \
    "  -p, --port PORT      the broker's port (1883, or 8883 with --cafile)\n"                                        \
    "  -u, --username NAME  user name for the broker\n"                                                               \
    "  -P, --pw PASSWORD    password for the broker\n"                                                                \
    "  --cafile FILE        speak TLS and trust the certificates in FILE\n"                                           \
    "  --cert FILE          our own certificate, for brokers that ask for one\n"                                      \
    "  --key FILE           the private key of --cert\n"

/* Take one option that getopt_long returned, with its optarg, into broker. 1 taken, 0 not one of these options,
 * -1 a bad value (a line is on standard error). Strings point into arg, or for --broker into a static copy. */
int broker_option(struct broker *broker, int option, const char *arg);

/* Fill in what was not given: 127.0.0.1 and the port. */
void broker_defaults(struct broker *broker);

#endif
