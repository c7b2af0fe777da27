/*
 * torture-hostile: what one account can do to a broker, in MQTT 5 packets of its own making, which no library would send.
 *
 * usage: torture-hostile [OPTION]... DEED [PID]...
 *
 *   publish      COUNT messages to TOPIC, each acknowledged or refused
 *   properties   one message to TOPIC with COUNT user properties, all empty
 *   subscribe    COUNT subscriptions below TOPIC, all different, and stay for SECONDS
 *   slow         subscribe to TOPIC and read nothing for SECONDS
 *   leave        subscribe to TOPIC with a session that is kept for a day, and go
 *   half_open    COUNT connections that say nothing, for SECONDS
 *   connect      connect COUNT times, one after the other
 *   probe        well-behaved: a reading to TOPIC every EACH ms until SIGTERM, and how long its receipts take
 *   watch        not a client: how much more than at first the processes PID... allocate at most until SIGTERM, in KiB
 *
 *   -p PORT -c CAFILE -u USER -w PASSWORD -t TOPIC -n COUNT -d SECONDS -e EACH
 *   -s BYTES     size of a payload             -r TOPIC   response topic      -k   retained      -m TEXT   payload
 *   -f SHAPE     of a payload: commas, junk, readings (of people whom nobody knows, each another), customers (who do not
 *                share, each another)
 *
 * It says what became of it on one line, as "WHAT NUMBER" with commas between. Being cut off is a result, not a failure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#define IN_FLIGHT 50       /* publishes without an acknowledgement: more than the broker hands on at once */
#define PATIENCE_MS 15000  /* without any packet from a broker that has much to do */
#define CONNECTIONS_MAX 4096
#define PROBES_MAX 65536
#define WATCHED_MAX 16

/* First bytes of packets. */
enum packet {
    CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, SUBACK = 0x90, PING = 0xc0,
    DISCONNECT = 0xe0
};

/* Identifiers of properties. */
enum property { RESPONSE_TOPIC = 0x08, CORRELATION = 0x09, SESSION_EXPIRY = 0x11, USER_PROPERTY = 0x26 };

static struct {
    int port;
    const char *cafile, *user, *password, *topic, *response, *shape, *text;
    uint64_t count, seconds, each_ms;
    size_t bytes;
    bool retained;
} options = {.port = 1883, .user = "", .password = "", .topic = "x", .count = 1, .seconds = 1, .each_ms = 100};

/* One connection. */
static struct {
    int fd;
    SSL *ssl;
    bool cut;
    struct buffer in; /* what came and is not looked at yet */
} line = {.fd = -1};

static SSL_CTX *tls;
static uint64_t acknowledged, refused;
static volatile sig_atomic_t stopped;

/* Receipts of probes. */
static struct {
    uint64_t sent, lost, times_cut;
    int64_t sent_ms[PROBES_MAX]; /* by number; 0: it has its receipt */
    int64_t took_ms[PROBES_MAX];
    uint64_t took;
} probe;

/*
 * Bytes.
 */

static int
connect_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    const struct timeval patience = {PATIENCE_MS / 1000, 0};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        log_fatal("socket: %s", strerror(errno));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void
hang_up(void)
{
    SSL_free(line.ssl);
    if (line.fd >= 0)
        close(line.fd);
    line.ssl = NULL;
    line.fd = -1;
    buffer_clear(&line.in);
}

static void
send_bytes(const struct buffer *packet)
{
    size_t at = 0;

    while (at < packet->len && !line.cut) {
        size_t left = packet->len - at;
        int part = left > 1 << 20 ? 1 << 20 : (int)left;
        ssize_t n = line.ssl != NULL ? SSL_write(line.ssl, packet->data + at, part)
                                     : send(line.fd, packet->data + at, (size_t)part, MSG_NOSIGNAL);
        line.cut = n <= 0;
        at += n > 0 ? (size_t)n : 0;
    }
}

/* More bytes into line.in, or the end of the connection; waits up to wait_ms. */
static void
receive_bytes(int wait_ms)
{
    char bytes[16384];
    struct pollfd ready = {.fd = line.fd, .events = POLLIN};

    if ((line.ssl == NULL || SSL_pending(line.ssl) == 0) && poll(&ready, 1, wait_ms) <= 0)
        return;
    ssize_t n = line.ssl != NULL ? SSL_read(line.ssl, bytes, sizeof bytes) : recv(line.fd, bytes, sizeof bytes, 0);
    if (n > 0)
        buffer_add(&line.in, bytes, (size_t)n);
    else
        line.cut = true;
}

/*
 * Packets.
 */

static void
add_u16(struct buffer *buffer, size_t value)
{
    buffer_add_byte(buffer, (char)(value >> 8));
    buffer_add_byte(buffer, (char)value);
}

static void
add_varint(struct buffer *buffer, size_t value)
{
    do {
        buffer_add_byte(buffer, (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0)));
        value >>= 7;
    } while (value > 0);
}

static void
add_string(struct buffer *buffer, const char *text)
{
    add_u16(buffer, strlen(text));
    buffer_add_text(buffer, text);
}

static void
send_packet(enum packet first, const struct buffer *body)
{
    struct buffer packet = {0};

    buffer_add_byte(&packet, (char)first);
    add_varint(&packet, body->len);
    buffer_add_span(&packet, buffer_span(body));
    send_bytes(&packet);
    buffer_free(&packet);
}

/* The length of the whole packet at the beginning of line.in, 0 if it is not here yet; *body is where its body begins. */
static size_t
packet_bytes(size_t *body)
{
    size_t len = 0;

    for (size_t i = 1; i < line.in.len && i <= 4; i++) {
        len |= (size_t)(line.in.data[i] & 0x7f) << (7 * (i - 1));
        if (((unsigned char)line.in.data[i] & 0x80) == 0) {
            *body = i + 1;
            return line.in.len >= i + 1 + len ? i + 1 + len : 0;
        }
    }
    return 0;
}

/* The number in the correlation data of a receipt: the only property of 8 bytes that ours have. */
static void
take_receipt(const char *at, size_t len)
{
    if (len < 2)
        return;
    size_t topic_bytes = (size_t)(unsigned char)at[0] << 8 | (unsigned char)at[1];
    for (size_t i = 2 + topic_bytes; i + 11 <= len; i++) {
        if (at[i] != CORRELATION || at[i + 1] != 0 || at[i + 2] != 8)
            continue;
        uint64_t number = bytes_get_u64(at + i + 3);
        if (number < PROBES_MAX && probe.sent_ms[number] != 0) {
            probe.took_ms[probe.took++] = clock_steady_ms() - probe.sent_ms[number];
            probe.sent_ms[number] = 0;
        }
        return;
    }
}

/* The first byte of the next packet, 0 if none comes in wait_ms or the connection is gone. */
static int
next_packet(int wait_ms)
{
    size_t body = 0, len;

    while ((len = packet_bytes(&body)) == 0) {
        size_t before = line.in.len;
        receive_bytes(wait_ms);
        if (line.cut || line.in.len == before)
            return 0;
    }
    int first = (unsigned char)line.in.data[0];
    if (first == PUBACK) {
        bool ok = len < body + 3 || (unsigned char)line.in.data[body + 2] < 0x80;
        acknowledged += ok;
        refused += !ok;
    } else if ((first & 0xf0) == PUBLISH) {
        take_receipt(line.in.data + body, len - body);
    } else if (first == CONNACK && line.in.data[body + 1] != 0) {
        line.cut = true;
    } else if (first == DISCONNECT) {
        line.cut = true;
    }
    memmove(line.in.data, line.in.data + len, line.in.len - len);
    line.in.len -= len;
    return first;
}

static bool
wait_for(enum packet first)
{
    int got;

    while ((got = next_packet(PATIENCE_MS)) != 0) {
        if (got == (int)first)
            return !line.cut;
    }
    return false;
}

/* Whether the broker lets us in. session_s: how long it is to keep a session. */
static bool
log_in(uint32_t session_s)
{
    struct buffer body = {0};
    char expiry[4];

    hang_up();
    line.cut = false;
    line.fd = connect_socket();
    if (line.fd < 0)
        return false;
    if (tls != NULL) {
        line.ssl = SSL_new(tls);
        SSL_set_fd(line.ssl, line.fd);
        if (SSL_connect(line.ssl) != 1)
            return false;
    }
    add_string(&body, "MQTT");
    buffer_add_byte(&body, 5);
    buffer_add_byte(&body, (char)(0xc0 | (session_s == 0 ? 0x02 : 0))); /* user, password, clean start */
    add_u16(&body, 600);
    buffer_add_byte(&body, 5);
    buffer_add_byte(&body, SESSION_EXPIRY);
    bytes_put_u32(expiry, session_s);
    buffer_add(&body, expiry, sizeof expiry);
    add_string(&body, options.user);
    add_string(&body, options.user);
    add_string(&body, options.password);
    send_packet(CONNECT, &body);
    buffer_free(&body);
    return wait_for(CONNACK);
}

static void
must_log_in(uint32_t session_s)
{
    if (!log_in(session_s))
        log_fatal("the broker does not let %s in", options.user);
}

static void
send_subscribe(unsigned id, const char *filter)
{
    struct buffer body = {0};

    add_u16(&body, id);
    buffer_add_byte(&body, 0);
    add_string(&body, filter);
    buffer_add_byte(&body, 1);
    send_packet(SUBSCRIBE, &body);
    buffer_free(&body);
}

static void
send_publish(unsigned id, const struct buffer *properties, const struct buffer *payload)
{
    struct buffer body = {0};

    add_string(&body, options.topic);
    add_u16(&body, id);
    add_varint(&body, properties->len);
    buffer_add_span(&body, buffer_span(properties));
    buffer_add_span(&body, buffer_span(payload));
    send_packet(PUBLISH | 0x02 | (options.retained ? 1 : 0), &body);
    buffer_free(&body);
}

/*
 * Deeds.
 */

static void
add_record(struct buffer *payload, uint64_t number)
{
    if (strcmp(options.shape, "readings") == 0)
        buffer_printf(payload, "{\"user\":\"nobody%" PRIu64 "@example.com\",\"timestamp\":%" PRIu64
                      ",\"x\":1,\"y\":1,\"z\":1}\n", number, UINT64_C(1600000000000) + number);
    else
        buffer_printf(payload, "{\"customerName\":\"N\",\"email\":\"nobody%" PRIu64 "@example.com\",\"phone\":\"1\","
                      "\"birthDay\":\"1970-01-01\",\"serialNumber\":\"s%" PRIu64 "\",\"registrationDate\":1600000000000,"
                      "\"lastUpdateDate\":1600000000000}\n", number, number);
}

/* The payload of message number. */
static void
make_payload(struct buffer *payload, uint64_t number)
{
    static uint64_t record, state = 88172645463325252u;

    buffer_clear(payload);
    if (options.shape == NULL)
        buffer_add_text(payload, options.text != NULL ? options.text : "");
    else if (strcmp(options.shape, "commas") == 0)
        buffer_add_byte(payload, '[');
    else if (strcmp(options.shape, "junk") == 0)
        buffer_printf(payload, "%" PRIu64, number);
    else
        do
            add_record(payload, record++);
        while (payload->len < options.bytes);
    while (payload->len < options.bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        buffer_add_byte(payload, options.shape != NULL && strcmp(options.shape, "junk") == 0 ? (char)state : ',');
    }
}

static void
say_end(const char *what, uint64_t sent)
{
    printf("%s %" PRIu64 ", acknowledged %" PRIu64 ", refused %" PRIu64 ", cut %d\n", what, sent, acknowledged, refused,
           line.cut);
}

static void
publish(void)
{
    struct buffer payload = {0}, properties = {0};
    uint64_t sent = 0;

    must_log_in(0);
    if (options.response != NULL) {
        buffer_add_byte(&properties, RESPONSE_TOPIC);
        add_string(&properties, options.response);
    }
    for (; sent < options.count && !line.cut; sent++) {
        make_payload(&payload, sent);
        send_publish((unsigned)(sent % 65535) + 1, &properties, &payload);
        while (!line.cut && sent + 1 - acknowledged - refused >= IN_FLIGHT && next_packet(PATIENCE_MS) != 0)
            continue;
    }
    while (!line.cut && acknowledged + refused < sent && next_packet(PATIENCE_MS) != 0)
        continue;
    say_end("sent", sent);
    buffer_free(&payload);
    buffer_free(&properties);
}

static void
properties(void)
{
    static const char empty[] = {USER_PROPERTY, 0, 0, 0, 0};
    struct buffer list = {0}, payload = {0};

    must_log_in(0);
    for (uint64_t i = 0; i < options.count; i++)
        buffer_add(&list, empty, sizeof empty);
    send_publish(1, &list, &payload);
    while (!line.cut && acknowledged + refused == 0 && next_packet(PATIENCE_MS) != 0)
        continue;
    say_end("sent", 1);
    buffer_free(&list);
}

/* What comes meanwhile is not looked at. */
static void
stay(void)
{
    for (uint64_t i = 0; i < 10 * options.seconds && !stopped; i++)
        poll(NULL, 0, 100);
}

static void
subscribe(void)
{
    char filter[256];
    uint64_t sent = 0, granted = 0;

    must_log_in(0);
    for (; sent < options.count && !line.cut; sent++) {
        snprintf(filter, sizeof filter, "%s/+/%" PRIu64 "/+/+/+/+/+/#", options.topic, sent);
        send_subscribe((unsigned)(sent % 65535) + 1, filter);
        while (!line.cut && sent + 1 - granted >= IN_FLIGHT)
            granted += next_packet(PATIENCE_MS) == SUBACK;
    }
    stay();
    say_end("subscriptions", sent);
}

static void
slow(void)
{
    must_log_in(0);
    send_subscribe(1, options.topic);
    wait_for(SUBACK);
    printf("subscribed\n");
    fflush(stdout);
    stay();
}

static void
leave(void)
{
    must_log_in(86400);
    send_subscribe(1, options.topic);
    printf("subscribed %d\n", wait_for(SUBACK));
}

static void
half_open(void)
{
    static int fds[CONNECTIONS_MAX];
    uint64_t open = 0, alive = 0;
    char byte;

    for (uint64_t i = 0; i < options.count && i < CONNECTIONS_MAX; i++) {
        if ((fds[open] = connect_socket()) >= 0)
            open++;
    }
    printf("connections %" PRIu64 "\n", open);
    fflush(stdout);
    stay();
    for (uint64_t i = 0; i < open; i++)
        alive += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0;
    printf("still open %" PRIu64 "\n", alive);
}

static void
connect_again_and_again(void)
{
    uint64_t done = 0;

    for (uint64_t i = 0; i < options.count; i++)
        done += log_in(0);
    printf("connections %" PRIu64 "\n", done);
}

static void
stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static int
by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
send_probe(uint64_t number)
{
    struct buffer payload = {0}, list = {0};
    char correlation[8];

    buffer_printf(&payload, "{\"user\":\"%s@example.com\",\"timestamp\":%" PRIu64 ",\"x\":0,\"y\":0,\"z\":0}", options.user,
                  UINT64_C(1650000000000) + number);
    buffer_add_byte(&list, RESPONSE_TOPIC);
    add_string(&list, options.response);
    buffer_add_byte(&list, CORRELATION);
    add_u16(&list, sizeof correlation);
    bytes_put_u64(correlation, number);
    buffer_add(&list, correlation, sizeof correlation);
    probe.sent_ms[number] = clock_steady_ms();
    send_publish((unsigned)(number % 65535) + 1, &list, &payload);
    buffer_free(&payload);
    buffer_free(&list);
}

static void
probe_until_stopped(void)
{
    int64_t due_ms = clock_steady_ms(), end_ms = INT64_MAX;

    line.cut = true;
    while (clock_steady_ms() < end_ms && !(end_ms != INT64_MAX && probe.took == probe.sent)) {
        if (line.cut && log_in(0)) {
            probe.times_cut++;
            send_subscribe(1, options.response);
            wait_for(SUBACK);
        }
        if (stopped && end_ms == INT64_MAX)
            end_ms = clock_steady_ms() + PATIENCE_MS;
        if (!stopped && clock_steady_ms() >= due_ms && probe.sent < PROBES_MAX) {
            send_probe(probe.sent++);
            due_ms += (int64_t)options.each_ms;
        }
        next_packet(10);
    }
    qsort(probe.took_ms, probe.took, sizeof *probe.took_ms, by_time);
    int64_t half_ms = probe.took > 0 ? probe.took_ms[probe.took / 2] : -1;
    int64_t all_ms = probe.took > 0 ? probe.took_ms[probe.took - 1] : -1;
    printf("sent %" PRIu64 ", lost %" PRIu64 ", cut %" PRIu64 ", half %" PRId64 " ms, all %" PRId64 " ms\n", probe.sent,
           probe.sent - probe.took, probe.times_cut - 1, half_ms, all_ms);
}

/* What a process has allocated, in KiB; 0 if there is no such process. */
static long
allocated_kib(const char *pid)
{
    char path[64], text[128];
    long kib = 0;

    snprintf(path, sizeof path, "/proc/%s/status", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(text, sizeof text, file) != NULL && sscanf(text, "RssAnon: %ld kB", &kib) != 1)
        continue;
    fclose(file);
    return kib;
}

static void
watch(char **pids)
{
    long first[WATCHED_MAX] = {0}, most[WATCHED_MAX] = {0};

    for (size_t i = 0; i < WATCHED_MAX && pids[i] != NULL; i++)
        first[i] = most[i] = allocated_kib(pids[i]);
    while (!stopped) {
        for (size_t i = 0; i < WATCHED_MAX && pids[i] != NULL; i++) {
            long now = allocated_kib(pids[i]);
            if (now > most[i])
                most[i] = now;
        }
        poll(NULL, 0, 20);
    }
    for (size_t i = 0; i < WATCHED_MAX && pids[i] != NULL; i++)
        printf("%ld\n", most[i] - first[i]);
}

static void
read_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "p:c:u:w:t:n:d:e:s:r:m:f:k")) != -1) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.cafile = optarg; break;
        case 'u': options.user = optarg; break;
        case 'w': options.password = optarg; break;
        case 't': options.topic = optarg; break;
        case 'n': options.count = strtoull(optarg, NULL, 10); break;
        case 'd': options.seconds = strtoull(optarg, NULL, 10); break;
        case 'e': options.each_ms = strtoull(optarg, NULL, 10); break;
        case 's': options.bytes = strtoull(optarg, NULL, 10); break;
        case 'r': options.response = optarg; break;
        case 'm': options.text = optarg; break;
        case 'f': options.shape = optarg; break;
        case 'k': options.retained = true; break;
        default: exit(2);
        }
    }
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } deeds[] = {{"publish", publish}, {"properties", properties}, {"subscribe", subscribe}, {"slow", slow},
                 {"leave", leave}, {"half_open", half_open}, {"connect", connect_again_and_again},
                 {"probe", probe_until_stopped}};

    log_open("torture-hostile", LOG_INFO);
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, stop);
    if (options.cafile != NULL) {
        tls = SSL_CTX_new(TLS_client_method());
        if (tls == NULL || SSL_CTX_load_verify_locations(tls, options.cafile, NULL) != 1)
            log_fatal("%s: %s", options.cafile, ERR_reason_error_string(ERR_get_error()));
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    }
    if (optind < argc && strcmp(argv[optind], "watch") == 0) {
        watch(argv + optind + 1);
        return 0;
    }
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        if (optind < argc && strcmp(deeds[i].name, argv[optind]) == 0) {
            deeds[i].call();
            hang_up();
            SSL_CTX_free(tls);
            buffer_free(&line.in);
            return 0;
        }
    }
    return 2;
}
