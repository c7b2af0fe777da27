#include "mqtt/mqtt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <MQTTAsync.h>

#include "base/clock.h"
#include "base/log.h"
#include "mqtt/calls.h"

/*
 * What to know about Paho 1.3.12 before changing anything here:
 *
 * - All clients of a process share one sending thread, one receiving thread and one mutex. Every callback runs with
 *   that mutex held, so callbacks of one wire never overlap, and our own lock may be taken inside a callback but must
 *   never be held across a call into Paho.
 * - PUBACK is sent when messageArrived returns, whatever it returns.
 * - A connection ends in one of three ways: connect's onFailure5, connectionLost, disconnected (the broker said so;
 *   then connectionLost does not follow), and sometimes in two of them. `state` makes one `down` of them.
 * - What was queued or unacknowledged when a connection broke may be sent again by Paho on the next one, subscriptions
 *   included; their answers are told apart by the connection's number.
 * - It goes to sleep with work at hand: for 1 s when more messages are unacknowledged than the broker allows, because a
 *   PUBACK does not wake the sending thread, and for 100 ms when the socket's buffer is full. So it is given no more at
 *   a time than goes through; the rest waits in our own queue, which every PUBACK moves on. (Measured with 32 KiB
 *   messages and mosquitto's limit of 20: 247 messages/s with 256 in Paho's hands, 16,000 with 16.)
 */

#define KEEP_ALIVE_S 20     /* a dead peer is noticed within 1.5 times this */
#define CONNECT_TIMEOUT_S 5 /* Paho looks at it every 3 s only */
#define IN_FLIGHT_MAX 65535 /* packet identifiers there are; the broker's Receive Maximum lowers it */
#define IN_FLIGHT_BYTES_MAX (192 * 1024) /* fits in a socket buffer of Linux's default wmem_max, with its overhead */
#define PAYLOAD_MAX (256 * 1024 * 1024 - WIRE_PROPERTIES_BYTES_MAX) /* MQTT: 256 MiB a packet */
#define REASON_BYTES_MAX 512
#define TOPIC_SHOWN_MAX 160   /* in texts for people */
#define REFUSALS_LOGGED_MAX 4 /* in so long a time: status, reports, metrics and output may each be refused, */
#define REFUSALS_LOGGED_MS 600000 /* whether the connection lives on or not */
#define FILTERS_MAX 64 /* of one subscribe call: bounds an array on the stack; there are 8 inputs at most */

/* MQTT 5, 3.8.3.1: what a subscription brings of what is retained. */
enum { RETAINED_AND_NEW = 0, NEW_ONLY = 2 };

enum state { IDLE, CONNECTING, UP };

struct mqtt {
    struct wire wire;
    MQTTAsync handle; /* NULL after disconnect */
    char *uri;
    struct broker broker;
    const struct wire_options *options;
    struct wire_events events;

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t settled;
    enum state state;
    uint64_t connection; /* number of the newest attempt to connect */
    unsigned in_flight;  /* publishes in Paho's hands that neither succeeded nor failed yet, */
    unsigned in_flight_max;
    size_t in_flight_bytes;     /* and their size */
    struct parcel *queue_first; /* publishes that wait for room in flight, in order */
    struct parcel **queue_end;
    size_t queue_bytes;
    bool sending;               /* somebody is about to call MQTTAsync_send: others queue up behind */

    struct wire_limits limits;  /* of this connection */
    unsigned keep_alive_s;      /* 0, or what the broker asked for on the last one: Paho does not do as it is told */

    bool too_large_logged; /* one line is enough; for whoever publishes */

    char last_topic[TOPIC_SHOWN_MAX]; /* of the newest message that Paho was given on this connection */

    /* For callbacks only, or while there is none, so without the lock. */
    unsigned refusals_logged; /* since refusals_ms: a few lines are enough, */
    int64_t refusals_ms;
    char refused_topic[TOPIC_SHOWN_MAX]; /* and one of a topic */
    bool will_refused;        /* the broker takes no will such as ours */
    unsigned attempts_before; /* calls of connect(2) when the newest attempt began */
    char tls_error[160];      /* of the newest attempt */
};

/* What a publish or subscribe needs when it is answered. Freed by the answer; there always is one, at the latest a
 * failure out of MQTTAsync_destroy. */
struct request {
    struct mqtt *mqtt;
    uint64_t token;
    uint64_t connection;
    size_t bytes; /* of a publish: what counts as in flight */
    bool tentative;
    char topic[]; /* of a publish; of a subscription all filters, one behind the other, each with its NUL */
};

/* A publish that waits in our queue, with a copy of what the message points at. */
struct parcel {
    struct parcel *next;
    struct wire_message message;
    uint64_t token;
    char bytes[];
};

/* Paho's structures point at what they only read without const. */
static char *
unconst(const char *text)
{
    return (char *)(uintptr_t)text;
}

static struct mqtt *
mqtt_of(struct wire *wire)
{
    return (struct mqtt *)wire; /* its first member */
}

static enum state
change_state(struct mqtt *mqtt, enum state state)
{
    pthread_mutex_lock(&mqtt->lock);
    enum state before = mqtt->state;
    mqtt->state = state;
    pthread_cond_broadcast(&mqtt->settled);
    pthread_mutex_unlock(&mqtt->lock);
    return before;
}

/*
 * Connecting and losing the connection.
 */

static void
drop_queue(struct mqtt *mqtt)
{
    pthread_mutex_lock(&mqtt->lock);
    struct parcel *parcel = mqtt->queue_first;
    mqtt->queue_first = NULL;
    mqtt->queue_end = &mqtt->queue_first;
    mqtt->queue_bytes = 0;
    pthread_mutex_unlock(&mqtt->lock);
    while (parcel != NULL) {
        struct parcel *next = parcel->next;
        free(parcel);
        parcel = next;
    }
}

/* Who we are to the broker, for people. */
static const char *
account(const struct mqtt *mqtt)
{
    return mqtt->broker.username != NULL ? mqtt->broker.username : "(without a name)";
}

/* Some brokers answer a message that they don't want by ending the connection; so it is said which one was the last. */
static void
go_down(struct mqtt *mqtt, const char *cause)
{
    char reason[REASON_BYTES_MAX];
    char last[TOPIC_SHOWN_MAX + 128] = "";
    enum state before = change_state(mqtt, IDLE); /* first: from here on nothing is queued */

    drop_queue(mqtt);
    if (before == UP && mqtt->last_topic[0] != '\0')
        snprintf(last, sizeof last, ", after a message to %s from user %.80s", mqtt->last_topic, account(mqtt));
    snprintf(reason, sizeof reason, "%s:%d: %s%s", mqtt->broker.host, mqtt->broker.port, cause, last);
    if (before != IDLE)
        mqtt->events.down(mqtt->events.context, reason);
}

/* Why the broker or Paho failed something. Codes from 128 are the broker's. Not MQTTAsync_strerror: it allocates. */
static const char *
failure_text(int code, enum MQTTReasonCodes reason, const char *message)
{
    if (reason == MQTTREASONCODE_SUCCESS && code >= MQTTREASONCODE_UNSPECIFIED_ERROR)
        reason = (enum MQTTReasonCodes)code;
    if (reason >= MQTTREASONCODE_UNSPECIFIED_ERROR) {
        const char *text = MQTTReasonCode_toString(reason);
        return text != NULL ? text : "refused with an unknown reason code";
    }
    return message != NULL ? message : "no connection";
}

/* One less than the broker's Receive Maximum: Paho holds back a subscription, too, at the full number. */
static unsigned
in_flight_max(MQTTProperties *connack)
{
    unsigned max = IN_FLIGHT_MAX;

    if (MQTTProperties_hasProperty(connack, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM))
        max = (unsigned)MQTTProperties_getNumericValue(connack, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM);
    return max > 1 ? max - 1 : 1;
}

/* A number that the broker announced, or what holds when it does not. */
static unsigned
announced(MQTTProperties *connack, enum MQTTPropertyCodes code, unsigned otherwise)
{
    return MQTTProperties_hasProperty(connack, code) ? (unsigned)MQTTProperties_getNumericValue(connack, code) : otherwise;
}

static struct wire_limits
read_limits(MQTTProperties *connack, unsigned session_s)
{
    const unsigned packet_bytes = announced(connack, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, 0);

    return (struct wire_limits){
        .packet_bytes_max = packet_bytes > 0 && packet_bytes < PAYLOAD_MAX ? packet_bytes : PAYLOAD_MAX,
        .acknowledges = announced(connack, MQTTPROPERTY_CODE_MAXIMUM_QOS, 2) > 0,
        .retains = announced(connack, MQTTPROPERTY_CODE_RETAIN_AVAILABLE, 1) > 0,
        .session_s = announced(connack, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, session_s),
    };
}

static void
on_connect_success(void *context, MQTTAsync_successData5 *response)
{
    struct mqtt *mqtt = context;
    const struct wire_limits limits = read_limits(&response->properties, mqtt->options->session_s);

    pthread_mutex_lock(&mqtt->lock);
    mqtt->last_topic[0] = '\0';
    mqtt->in_flight_max = in_flight_max(&response->properties);
    mqtt->limits = limits;
    mqtt->keep_alive_s = announced(&response->properties, MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE, 0);
    pthread_mutex_unlock(&mqtt->lock);
    if (change_state(mqtt, UP) == CONNECTING)
        mqtt->events.up(mqtt->events.context, response->alt.connect.sessionPresent != 0, &limits);
}

/* The reason code the broker gave; Paho has it here or there. */
static int
refusal(const MQTTAsync_failureData5 *response)
{
    return response->reasonCode != MQTTREASONCODE_SUCCESS ? (int)response->reasonCode : response->code;
}

/* Why no connection could be made. */
static void
describe_failure(const struct mqtt *mqtt, const MQTTAsync_failureData5 *response, char *text, size_t size)
{
    const char *told = failure_text(response->code, response->reasonCode, response->message);
    const int error = calls_connect_error();
    const int reason = refusal(response);

    if (reason == MQTTREASONCODE_NOT_AUTHORIZED || reason == MQTTREASONCODE_BAD_USER_NAME_OR_PASSWORD)
        snprintf(text, size, "the broker refuses user name or password (%s)", told);
    else if (reason >= MQTTREASONCODE_UNSPECIFIED_ERROR)
        snprintf(text, size, "the broker refuses: %s", told);
    else if (calls_connects() == mqtt->attempts_before)
        snprintf(text, size, "unknown host, or no name server answers");
    else if (mqtt->tls_error[0] != '\0')
        snprintf(text, size, "TLS: %s", mqtt->tls_error);
    else if (error != 0 && error != EINPROGRESS)
        snprintf(text, size, "%s", strerrordesc_np(error));
    else if (error == EINPROGRESS)
        snprintf(text, size, "no answer");
    else
        snprintf(text, size, "connected, but no answer as from a%s MQTT broker",
                 broker_speaks_tls(&mqtt->broker) ? " TLS" : "n");
}

static void
on_connect_failure(void *context, MQTTAsync_failureData5 *response)
{
    struct mqtt *mqtt = context;
    char cause[REASON_BYTES_MAX];
    const int code = refusal(response);

    if (code == MQTTREASONCODE_QOS_NOT_SUPPORTED || code == MQTTREASONCODE_RETAIN_NOT_SUPPORTED)
        mqtt->will_refused = true; /* without it we get in, and can say what is wrong */
    describe_failure(mqtt, response, cause, sizeof cause);
    go_down(mqtt, cause);
}

static void
on_connection_lost(void *context, char *cause)
{
    go_down(context, cause != NULL ? cause : "connection lost");
}

static void
on_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes reason)
{
    (void)properties;
    go_down(context, reason == MQTTREASONCODE_SUCCESS ? "the broker closed the connection"
                                                      : failure_text(0, reason, "the broker closed the connection"));
}

/*
 * Messages in.
 */

static struct span
span_of_string(const MQTTLenString *string)
{
    return span_at(string->data, string->len > 0 ? (size_t)string->len : 0);
}

/* 16 hex digits of lower case; 0 for anything else. */
static uint64_t
parse_epoch(struct span text)
{
    if (text.len != 16)
        return 0;
    uint64_t epoch = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c >= '0' && c <= '9')
            epoch = epoch << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            epoch = epoch << 4 | (uint64_t)(c - 'a' + 10);
        else
            return 0;
    }
    return epoch;
}

/* A decimal number without sign or leading zero that fits; 0 for anything else. */
static uint64_t
parse_sequence(struct span text)
{
    if (text.len == 0 || text.len > 20 || text.at[0] == '0')
        return 0;
    uint64_t sequence = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c < '0' || c > '9')
            return 0;
        if (__builtin_mul_overflow(sequence, 10, &sequence) ||
            __builtin_add_overflow(sequence, (uint64_t)(c - '0'), &sequence))
            return 0;
    }
    return sequence;
}

/* "<sequence>/<part>/<parts>"; anything else changes nothing. */
static void
parse_part(struct span text, struct wire_message *message)
{
    uint64_t numbers[3] = {0};

    for (unsigned i = 0; i < 3; i++) {
        const char *end = memchr(text.at, i < 2 ? '/' : '\0', text.len);
        const size_t len = end != NULL ? (size_t)(end - text.at) : text.len;
        if ((end == NULL) != (i == 2))
            return;
        numbers[i] = parse_sequence(span_at(text.at, len));
        if (i < 2)
            text = span_at(text.at + len + 1, text.len - len - 1);
    }
    if (numbers[0] == 0 || numbers[1] == 0 || numbers[1] > numbers[2] || numbers[2] > WIRE_PARTS_MAX)
        return;
    message->sequence = numbers[0];
    message->part = (unsigned)numbers[1];
    message->parts = (unsigned)numbers[2];
}

/* Anyone may publish, so what is malformed counts as absent. */
static void
read_properties(const MQTTProperties *properties, struct wire_message *message)
{
    for (int i = 0; i < properties->count; i++) {
        const MQTTProperty *property = &properties->array[i];
        struct span data = {NULL, 0};
        switch (property->identifier) {
        case MQTTPROPERTY_CODE_RESPONSE_TOPIC:
            message->response_topic = span_of_string(&property->value.data);
            break;
        case MQTTPROPERTY_CODE_CORRELATION_DATA:
            message->correlation = span_of_string(&property->value.data);
            break;
        case MQTTPROPERTY_CODE_USER_PROPERTY:
            data = span_of_string(&property->value.data);
            if (span_is(data, "epoch"))
                message->epoch = parse_epoch(span_of_string(&property->value.value));
            else if (span_is(data, "sequence"))
                message->sequence = parse_sequence(span_of_string(&property->value.value));
            else if (span_is(data, "part"))
                parse_part(span_of_string(&property->value.value), message);
            break;
        default:
            break;
        }
    }
}

static int
on_message(void *context, char *topic, int topic_len, MQTTAsync_message *received)
{
    struct mqtt *mqtt = context;
    struct wire_message message = {
        .topic = {topic, topic_len > 0 ? (size_t)topic_len : strlen(topic)},
        .payload = {received->payload, received->payloadlen > 0 ? (size_t)received->payloadlen : 0},
        .retained = received->retained != 0,
        .delivery = received->qos > 0 ? WIRE_AT_LEAST_ONCE : WIRE_AT_MOST_ONCE,
    };

    read_properties(&received->properties, &message);
    mqtt->events.message(mqtt->events.context, &message);
    MQTTAsync_freeMessage(&received);
    MQTTAsync_free(topic);
    return 1;
}

/*
 * The calls.
 */

/* One error of OpenSSL's, in the form of ERR_print_errors: thread:error:code:library:function:REASON:file:line:DETAIL. */
static int
on_tls_error(const char *text, size_t len, void *context)
{
    struct mqtt *mqtt = context;
    struct span field[9] = {{0}};

    for (unsigned i = 0; i < 9 && len > 0; i++) {
        const char *end = memchr(text, i < 8 ? ':' : '\n', len);
        field[i] = span_at(text, end != NULL ? (size_t)(end - text) : len);
        const size_t taken = field[i].len + (end != NULL);
        text += taken;
        len -= taken;
    }
    snprintf(mqtt->tls_error, sizeof mqtt->tls_error, "%.*s%s%.*s", (int)field[5].len, field[5].len > 0 ? field[5].at : "",
             field[8].len > 0 ? ": " : "", (int)field[8].len, field[8].len > 0 ? field[8].at : "");
    return 1;
}

static int
make_handle(struct mqtt *mqtt)
{
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;

    /* Else it writes a line for each packet into a buffer of its own, with the begin of the payload. */
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
    create.sendWhileDisconnected = 0;
    create.restoreMessages = 0;
    create.maxBufferedMessages = INT_MAX; /* owners bound what they have under way */
    int rc = MQTTAsync_createWithOptions(&mqtt->handle, mqtt->uri, mqtt->options->client_name,
                                         MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    if (rc == MQTTASYNC_SUCCESS)
        rc = MQTTAsync_setCallbacks(mqtt->handle, mqtt, on_connection_lost, on_message, NULL);
    if (rc == MQTTASYNC_SUCCESS)
        rc = MQTTAsync_setDisconnected(mqtt->handle, mqtt, on_disconnected);
    if (rc != MQTTASYNC_SUCCESS)
        log_error("mqtt: the library refuses client %s: error %d", mqtt->options->client_name, rc);
    return rc == MQTTASYNC_SUCCESS ? 0 : -1;
}

static void
add_number(MQTTProperties *properties, enum MQTTPropertyCodes code, unsigned value)
{
    MQTTProperty property = {.identifier = code};

    if (code == MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
        property.value.integer2 = (unsigned short)(value > USHRT_MAX ? USHRT_MAX : value);
    else
        property.value.integer4 = value;
    MQTTProperties_add(properties, &property);
}

static void
add_connect_properties(const struct wire_options *options, MQTTProperties *properties)
{
    add_number(properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, options->session_s);
    if (options->receive_max != 0)
        add_number(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, options->receive_max);
    if (options->packet_bytes_max != 0)
        add_number(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, (unsigned)options->packet_bytes_max);
}

static int
begin_connect(struct mqtt *mqtt)
{
    MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    const struct wire_options *options = mqtt->options;

    mqtt->attempts_before = calls_connects();
    mqtt->tls_error[0] = '\0';
    add_connect_properties(options, &properties);
    connect.connectProperties = &properties;
    connect.cleanstart = options->session_s == 0;
    connect.keepAliveInterval = options->keep_alive_s != 0 ? (int)options->keep_alive_s : KEEP_ALIVE_S;
    if (mqtt->keep_alive_s != 0 && (int)mqtt->keep_alive_s < connect.keepAliveInterval)
        connect.keepAliveInterval = (int)mqtt->keep_alive_s;
    connect.connectTimeout = CONNECT_TIMEOUT_S;
    connect.maxInflight = IN_FLIGHT_MAX;
    connect.username = mqtt->broker.username;
    connect.password = mqtt->broker.password;
    if (options->will_topic != NULL && !mqtt->will_refused) {
        will.topicName = options->will_topic;
        will.message = options->will_text;
        will.retained = 1;
        will.qos = 1;
        connect.will = &will;
    }
    if (broker_speaks_tls(&mqtt->broker)) {
        tls.trustStore = mqtt->broker.cafile;
        tls.keyStore = mqtt->broker.cert;
        tls.privateKey = mqtt->broker.key;
        tls.verify = 1; /* the host's name too, not only the chain */
        tls.disableDefaultTrustStore = mqtt->broker.cafile != NULL;
        tls.ssl_error_cb = on_tls_error;
        tls.ssl_error_context = mqtt;
        connect.ssl = &tls;
    }
    connect.context = mqtt;
    connect.onSuccess5 = on_connect_success;
    connect.onFailure5 = on_connect_failure;
    int rc = MQTTAsync_connect(mqtt->handle, &connect);
    MQTTProperties_free(&properties);
    return rc == MQTTASYNC_SUCCESS ? 0 : -1;
}

static int
mqtt_connect(struct wire *wire)
{
    struct mqtt *mqtt = mqtt_of(wire);

    if (mqtt->handle == NULL && make_handle(mqtt) != 0)
        return -1;
    /* MQTTAsync_connect changes the client before it takes Paho's mutex. `down` comes in the middle of Paho's work on
     * the old connection; this call takes the mutex, and so waits until that work is done. */
    MQTTAsync_isConnected(mqtt->handle);

    pthread_mutex_lock(&mqtt->lock);
    bool idle = mqtt->state == IDLE;
    if (idle) {
        mqtt->state = CONNECTING;
        mqtt->connection++;
    }
    pthread_mutex_unlock(&mqtt->lock);
    if (!idle)
        return -1;
    if (begin_connect(mqtt) != 0) {
        change_state(mqtt, IDLE);
        return -1;
    }
    return 0;
}

/* Its topics are the caller's to write. */
static struct request *
new_request(struct mqtt *mqtt, size_t topic_bytes)
{
    struct request *request = malloc(sizeof *request + topic_bytes);

    if (request == NULL)
        log_fatal("out of memory");
    pthread_mutex_lock(&mqtt->lock);
    *request = (struct request){.mqtt = mqtt, .connection = mqtt->connection};
    pthread_mutex_unlock(&mqtt->lock);
    return request;
}

static struct request *
subscribe_request(struct mqtt *mqtt, const char *const *filters, unsigned count)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++)
        bytes += strlen(filters[i]) + 1;
    struct request *request = new_request(mqtt, bytes);
    char *to = request->topic;
    for (unsigned i = 0; i < count; i++)
        to = stpcpy(to, filters[i]) + 1;
    return request;
}

/* Tell the owner about a subscription, unless it was one of an earlier connection. */
static void
answer_subscribe(struct request *request, bool ok, const char *reason)
{
    struct mqtt *mqtt = request->mqtt;

    pthread_mutex_lock(&mqtt->lock);
    bool current = mqtt->state == UP && request->connection == mqtt->connection;
    pthread_mutex_unlock(&mqtt->lock);
    free(request);
    if (current)
        mqtt->events.subscribed(mqtt->events.context, ok, reason);
}

/* What was refused to whom, in at most size bytes. */
static void
describe_refusal(const struct mqtt *mqtt, const char *topic, enum MQTTReasonCodes code, char *text, size_t size)
{
    snprintf(text, size, "the broker refuses %.*s to user %.80s (%s): its ACL must allow it", TOPIC_SHOWN_MAX, topic,
             account(mqtt), failure_text(0, code, NULL));
}

static void
on_subscribe_success(void *context, MQTTAsync_successData5 *response)
{
    const struct request *request = context;
    const char *filter = request->topic;
    char refusal[REASON_BYTES_MAX] = "";

    /* With more than one topic Paho calls a refusal success, too. */
    for (int i = 0; response->alt.sub.reasonCodeCount > 1 && i < response->alt.sub.reasonCodeCount; i++) {
        enum MQTTReasonCodes code = response->alt.sub.reasonCodes[i];
        if (code >= MQTTREASONCODE_UNSPECIFIED_ERROR)
            describe_refusal(request->mqtt, filter, code, refusal, sizeof refusal);
        filter += strlen(filter) + 1;
    }
    answer_subscribe(context, refusal[0] == '\0', refusal);
}

static void
on_subscribe_failure(void *context, MQTTAsync_failureData5 *response)
{
    struct request *request = context;

    if (response->reasonCode < MQTTREASONCODE_UNSPECIFIED_ERROR) {
        free(request); /* not the broker's answer: the connection broke, and `down` says so */
        return;
    }
    char refusal[REASON_BYTES_MAX];
    describe_refusal(request->mqtt, request->topic, response->reasonCode, refusal, sizeof refusal);
    answer_subscribe(request, false, refusal);
}

static int
mqtt_subscribe(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
               enum wire_delivery delivery)
{
    struct mqtt *mqtt = mqtt_of(wire);
    char *topics[FILTERS_MAX];
    int qos[FILTERS_MAX];
    MQTTSubscribe_options options[FILTERS_MAX];

    if (count == 0 || count > FILTERS_MAX)
        log_panic("mqtt: %u filters in one subscription", count);
    if (mqtt->handle == NULL)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        topics[i] = unconst(filters[i]);
        qos[i] = delivery == WIRE_AT_LEAST_ONCE ? 1 : 0;
        options[i] = (MQTTSubscribe_options)MQTTSubscribe_options_initializer;
        options[i].retainHandling = i < news_from ? RETAINED_AND_NEW : NEW_ONLY;
    }
    MQTTAsync_responseOptions answer = MQTTAsync_responseOptions_initializer;
    answer.onSuccess5 = on_subscribe_success;
    answer.onFailure5 = on_subscribe_failure;
    answer.context = subscribe_request(mqtt, filters, count);
    answer.subscribeOptions = options[0]; /* Paho looks here for one filter, there for more */
    answer.subscribeOptionsList = options;
    answer.subscribeOptionsCount = (int)count;
    if (MQTTAsync_subscribeMany(mqtt->handle, (int)count, topics, qos, &answer) != MQTTASYNC_SUCCESS) {
        free(answer.context);
        return -1;
    }
    return 0;
}

/*
 * Messages out.
 */

static void
add_bytes(MQTTProperties *properties, enum MQTTPropertyCodes code, struct span bytes)
{
    MQTTProperty property = {.identifier = code};

    property.value.data = (MQTTLenString){(int)bytes.len, unconst(bytes.at)};
    MQTTProperties_add(properties, &property);
}

static void
add_user_property(MQTTProperties *properties, const char *name, const char *value)
{
    MQTTProperty property = {.identifier = MQTTPROPERTY_CODE_USER_PROPERTY};

    property.value.data = (MQTTLenString){(int)strlen(name), unconst(name)};
    property.value.value = (MQTTLenString){(int)strlen(value), unconst(value)};
    MQTTProperties_add(properties, &property);
}

static void
add_message_properties(const struct wire_message *message, MQTTProperties *properties)
{
    char number[48];

    if (message->response_topic.len != 0)
        add_bytes(properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC, message->response_topic);
    if (message->correlation.len != 0)
        add_bytes(properties, MQTTPROPERTY_CODE_CORRELATION_DATA, message->correlation);
    if (message->expiry_s != 0)
        add_number(properties, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, message->expiry_s);
    if (message->epoch != 0) {
        snprintf(number, sizeof number, "%016" PRIx64, message->epoch);
        add_user_property(properties, "epoch", number);
    }
    if (message->sequence != 0 && message->parts == 0) {
        snprintf(number, sizeof number, "%" PRIu64, message->sequence);
        add_user_property(properties, "sequence", number);
    }
    if (message->parts != 0) {
        snprintf(number, sizeof number, "%" PRIu64 "/%u/%u", message->sequence, message->part, message->parts);
        add_user_property(properties, "part", number);
    }
}

static void move_queue(struct mqtt *mqtt);

static void
settle_publish(struct request *request)
{
    struct mqtt *mqtt = request->mqtt;

    pthread_mutex_lock(&mqtt->lock);
    mqtt->in_flight--;
    mqtt->in_flight_bytes -= request->bytes;
    pthread_cond_broadcast(&mqtt->settled);
    pthread_mutex_unlock(&mqtt->lock);
    free(request);
}

/* The broker does not take a message, and the connection lives on. */
static void
hear_refusal(struct mqtt *mqtt, const struct request *request, enum MQTTReasonCodes code)
{
    char reason[REASON_BYTES_MAX];

    describe_refusal(mqtt, request->topic, code, reason, sizeof reason);
    if (mqtt->refusals_logged == 0 || clock_steady_ms() - mqtt->refusals_ms >= REFUSALS_LOGGED_MS) {
        mqtt->refusals_logged = 0;
        mqtt->refusals_ms = clock_steady_ms();
        mqtt->refused_topic[0] = '\0';
    }
    const bool news = !request->tentative && strncmp(mqtt->refused_topic, request->topic, TOPIC_SHOWN_MAX - 1) != 0;
    if (news && mqtt->refusals_logged < REFUSALS_LOGGED_MAX) {
        mqtt->refusals_logged++;
        snprintf(mqtt->refused_topic, sizeof mqtt->refused_topic, "%s", request->topic);
        log_warning("mqtt: %s", reason);
    }
    if (mqtt->events.refused != NULL)
        mqtt->events.refused(mqtt->events.context, request->token, span_of(request->topic), reason);
}

static void
on_publish_success(void *context, MQTTAsync_successData5 *response)
{
    const struct request *request = context;
    struct mqtt *mqtt = request->mqtt;
    const uint64_t token = request->token;

    (void)response; /* also 16: there is no subscriber at present */
    settle_publish(context);
    if (token != 0)
        mqtt->events.delivered(mqtt->events.context, token);
    move_queue(mqtt);
}

static void
on_publish_failure(void *context, MQTTAsync_failureData5 *response)
{
    const struct request *request = context;
    struct mqtt *mqtt = request->mqtt;
    bool refused = response->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR;

    if (refused)
        hear_refusal(mqtt, request, response->reasonCode);
    settle_publish(context);
    if (refused) /* and the connection lives on */
        move_queue(mqtt);
}

/* Hand a message to Paho, after begin_send has counted it. */
static int
send_now(struct mqtt *mqtt, const struct wire_message *message, struct request *request)
{
    MQTTAsync_responseOptions answer = MQTTAsync_responseOptions_initializer;

    add_message_properties(message, &answer.properties);
    answer.onSuccess5 = on_publish_success;
    answer.onFailure5 = on_publish_failure;
    answer.context = request;
    int rc = MQTTAsync_send(mqtt->handle, message->topic.at, (int)message->payload.len,
                            message->payload.len != 0 ? message->payload.at : "",
                            message->delivery == WIRE_AT_LEAST_ONCE ? 1 : 0, message->retained ? 1 : 0, &answer);
    MQTTProperties_free(&answer.properties);
    if (rc != MQTTASYNC_SUCCESS)
        settle_publish(request);
    pthread_mutex_lock(&mqtt->lock);
    mqtt->sending = false;
    pthread_mutex_unlock(&mqtt->lock);
    return rc == MQTTASYNC_SUCCESS ? 0 : -1;
}

/* What counts against IN_FLIGHT_BYTES_MAX. */
static size_t
weight(const struct wire_message *message)
{
    return message->payload.len + message->topic.len;
}

/* With the lock held: whether the message may go to Paho now. One that is too large alone goes alone. */
static bool
has_room(const struct mqtt *mqtt, const struct wire_message *message)
{
    if (mqtt->sending)
        return false;
    if (mqtt->in_flight == 0)
        return true;
    return mqtt->in_flight < mqtt->in_flight_max &&
           mqtt->in_flight_bytes + weight(message) <= IN_FLIGHT_BYTES_MAX;
}

/* With the lock held: count message as given to Paho, keep others from overtaking it; send_now must follow. */
static void
begin_send(struct mqtt *mqtt, const struct wire_message *message, uint64_t token, struct request *request)
{
    *request = (struct request){
        .mqtt = mqtt, .token = token, .connection = mqtt->connection, .tentative = message->tentative};
    memcpy(request->topic, message->topic.at, message->topic.len + 1);
    snprintf(mqtt->last_topic, sizeof mqtt->last_topic, "%s", request->topic);
    mqtt->sending = true;
    request->bytes = weight(message);
    mqtt->in_flight++;
    mqtt->in_flight_bytes += request->bytes;
}

/* Hand over what waits and has room now. By whoever made room, or kept others from using it. */
static void
move_queue(struct mqtt *mqtt)
{
    for (;;) {
        struct request *request = NULL;
        pthread_mutex_lock(&mqtt->lock);
        struct parcel *parcel = mqtt->queue_first;
        if (parcel != NULL && mqtt->state == UP && has_room(mqtt, &parcel->message)) {
            mqtt->queue_first = parcel->next;
            mqtt->queue_bytes -= weight(&parcel->message);
            if (mqtt->queue_first == NULL)
                mqtt->queue_end = &mqtt->queue_first;
            request = malloc(sizeof *request + parcel->message.topic.len + 1);
            if (request == NULL)
                log_fatal("out of memory");
            begin_send(mqtt, &parcel->message, parcel->token, request);
        }
        pthread_mutex_unlock(&mqtt->lock);
        if (request == NULL)
            return;
        /* It fails when the connection has just broken; then `down` follows, and tells the owner what it needs to
         * know. */
        (void)send_now(mqtt, &parcel->message, request);
        free(parcel);
    }
}

static struct span
copy_span(struct span span, char **to)
{
    if (span.len == 0)
        return (struct span){NULL, 0};
    struct span copy = {*to, span.len};
    memcpy(*to, span.at, span.len);
    (*to)[span.len] = '\0';
    *to += span.len + 1;
    return copy;
}

static struct parcel *
make_parcel(const struct wire_message *message, uint64_t token)
{
    size_t bytes = message->topic.len + message->payload.len + message->response_topic.len +
                   message->correlation.len + 4; /* a NUL behind each */
    struct parcel *parcel = malloc(sizeof *parcel + bytes);

    if (parcel == NULL)
        log_fatal("out of memory");
    char *to = parcel->bytes;
    parcel->next = NULL;
    parcel->token = token;
    parcel->message = *message;
    parcel->message.topic = copy_span(message->topic, &to);
    parcel->message.payload = copy_span(message->payload, &to);
    parcel->message.response_topic = copy_span(message->response_topic, &to);
    parcel->message.correlation = copy_span(message->correlation, &to);
    return parcel;
}

/* message as the broker takes it, or NULL if it is too large: the broker would end the connection. */
static const struct wire_message *
keep_to_limits(struct mqtt *mqtt, const struct wire_message *message, struct wire_message *adapted)
{
    pthread_mutex_lock(&mqtt->lock);
    const struct wire_limits limits = mqtt->limits;
    pthread_mutex_unlock(&mqtt->lock);
    if (!wire_fits(&limits, message)) {
        if (!mqtt->too_large_logged)
            log_warning("mqtt: a message of %zu bytes to %s is not sent: the broker takes packets of %zu bytes at most, "
                        "with their head (its Maximum Packet Size)",
                        message->payload.len, message->topic.at, limits.packet_bytes_max);
        mqtt->too_large_logged = true;
        return NULL;
    }
    *adapted = *message;
    adapted->retained = message->retained && limits.retains;
    if (!limits.acknowledges)
        adapted->delivery = WIRE_AT_MOST_ONCE;
    return adapted;
}

static int
mqtt_publish(struct wire *wire, const struct wire_message *wanted, uint64_t token)
{
    struct mqtt *mqtt = mqtt_of(wire);
    struct wire_message adapted;
    const struct wire_message *message = keep_to_limits(mqtt, wanted, &adapted);

    if (message == NULL)
        return -1;
    if (message->delivery != wanted->delivery)
        token = 0; /* nobody will say that it arrived */
    if (message->payload.len > PAYLOAD_MAX)
        log_panic("mqtt: a payload of %zu bytes", message->payload.len);
    struct request *request = malloc(sizeof *request + message->topic.len + 1);
    if (request == NULL)
        log_fatal("out of memory");
    pthread_mutex_lock(&mqtt->lock);
    bool up = mqtt->state == UP;
    bool now = up && mqtt->queue_first == NULL && has_room(mqtt, message);
    if (now) {
        begin_send(mqtt, message, token, request);
    } else if (up) {
        struct parcel *parcel = make_parcel(message, token);
        *mqtt->queue_end = parcel;
        mqtt->queue_end = &parcel->next;
        mqtt->queue_bytes += weight(message);
    }
    pthread_mutex_unlock(&mqtt->lock);
    if (!now) {
        free(request);
        return up ? 0 : -1;
    }
    int rc = send_now(mqtt, message, request);
    move_queue(mqtt); /* an acknowledgement may have come while we kept the others waiting */
    return rc;
}

static size_t
mqtt_waiting(struct wire *wire)
{
    struct mqtt *mqtt = mqtt_of(wire);

    pthread_mutex_lock(&mqtt->lock);
    const size_t bytes = mqtt->in_flight_bytes + mqtt->queue_bytes;
    pthread_mutex_unlock(&mqtt->lock);
    return bytes;
}

static void
wait_until_settled(struct mqtt *mqtt, int timeout_ms)
{
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_nsec -= 1000000000L;
        deadline.tv_sec++;
    }
    pthread_mutex_lock(&mqtt->lock);
    while (mqtt->state == UP && (mqtt->in_flight != 0 || mqtt->queue_first != NULL)) {
        if (pthread_cond_clockwait(&mqtt->settled, &mqtt->lock, CLOCK_MONOTONIC, &deadline) == ETIMEDOUT)
            break;
    }
    pthread_mutex_unlock(&mqtt->lock);
}

/* MQTTAsync_disconnect does nothing while connecting, cuts off a packet that is half written and so lets the broker
 * send our will, and waits in Paho's queue behind what can't be sent. MQTTAsync_destroy closes at once in every state,
 * with a DISCONNECT if one can be sent, and is left with nothing to do when everything is settled. */
static void
mqtt_disconnect(struct wire *wire, int timeout_ms)
{
    struct mqtt *mqtt = mqtt_of(wire);

    if (mqtt->handle == NULL)
        return;
    wait_until_settled(mqtt, timeout_ms);
    change_state(mqtt, IDLE);
    drop_queue(mqtt);
    MQTTAsync_destroy(&mqtt->handle);
    mqtt->handle = NULL;
}

static void
mqtt_free(struct wire *wire)
{
    if (wire == NULL)
        return;
    struct mqtt *mqtt = mqtt_of(wire);
    mqtt_disconnect(wire, 0);
    pthread_mutex_destroy(&mqtt->lock);
    pthread_cond_destroy(&mqtt->settled);
    free(mqtt->uri);
    free(mqtt);
}

static const struct wire_calls calls = {mqtt_connect, mqtt_subscribe,  mqtt_publish,
                                        mqtt_waiting, mqtt_disconnect, mqtt_free};

/* "tcp://host:port"; TLS is ssl://, an IPv6 address stands in brackets. To be freed. */
static char *
make_uri(const struct broker *broker)
{
    bool bare_ipv6 = strchr(broker->host, ':') != NULL && broker->host[0] != '[';
    char *uri = NULL;
    int len = asprintf(&uri, "%s://%s%s%s:%d", broker_speaks_tls(broker) ? "ssl" : "tcp", bare_ipv6 ? "[" : "",
                       broker->host, bare_ipv6 ? "]" : "", broker->port);

    if (len < 0)
        log_fatal("out of memory");
    return uri;
}

struct wire *
mqtt_wire(const struct broker *broker, const struct wire_options *options, const struct wire_events *events)
{
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);

    if (mqtt == NULL)
        log_fatal("out of memory");
    mqtt->wire.calls = &calls;
    mqtt->broker = *broker;
    broker_defaults(&mqtt->broker);
    mqtt->uri = make_uri(&mqtt->broker);
    mqtt->options = options;
    mqtt->events = *events;
    mqtt->limits = (struct wire_limits){.packet_bytes_max = PAYLOAD_MAX, .acknowledges = true, .retains = true};
    mqtt->queue_end = &mqtt->queue_first;
    calls_wait_for_connection(!broker_speaks_tls(broker));
    pthread_mutex_init(&mqtt->lock, NULL);
    pthread_cond_init(&mqtt->settled, NULL);
    if (make_handle(mqtt) != 0) {
        mqtt_free(&mqtt->wire);
        return NULL;
    }
    return &mqtt->wire;
}
