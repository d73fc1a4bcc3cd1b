/* mqtt.h - a client of an MQTT broker that bothers nobody: who publishes never waits, and a broker
 * that is slow, away or refuses us is tried again for ever, ever more seldom.
 *
 * While connected AVAILABLE_TOPIC says "online" (retained); when the connection breaks without a
 * word, the broker says "offline" for us (last will), and mqtt_close says it itself.
 *
 * Owns:    one thread, one connection, the messages that wait (outbox.h).
 * Threads: publish and counts from any; the callbacks run on the client's own thread and must not
 *          wait long.
 * Bounds:  MQTT_MESSAGES_MAX messages or MQTT_BYTES_MAX bytes wait, the oldest goes first;
 *          MQTT_INFLIGHT_MAX are given to the broker unacknowledged; what is received is at most
 *          MQTT_RECEIVED_BYTES_MAX.
 * Errors:  ST_INVALID for an address, a file or a certificate that cannot be used, at open. What
 *          happens later goes to on_state.
 */
#ifndef ATTUNE_NOTIFY_MQTT_H
#define ATTUNE_NOTIFY_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "notify/outbox.h"

#define MQTT_MESSAGES_MAX 2000
#define MQTT_BYTES_MAX ((size_t)8 << 20)
#define MQTT_INFLIGHT_MAX 20
#define MQTT_RECEIVED_BYTES_MAX 4096
#define MQTT_SUBSCRIPTIONS_MAX 8
#define MQTT_RETRY_FIRST_US ((uint64_t)1000000)
#define MQTT_RETRY_MAX_US ((uint64_t)60 * 1000000)
#define MQTT_KEEPALIVE_S 30

struct mqtt_options {
    const char *address;       /* mqtt_address.h */
    const char *user;          /* "": none */
    const char *password_file; /* its first line; "": none; read at every connection */
    const char *ca_path;       /* PEM, for mqtts; "": the system's */
    bool insecure;             /* the broker's certificate is not checked */
    const char *client_id;
    const char *available_topic;
    const char *subscriptions[MQTT_SUBSCRIPTIONS_MAX]; /* NULL ends them */
    uint64_t seed;                                     /* of the waits' jitter */
    /* NULL allowed. Connected: what is retained should be published again. reason "" when it is. */
    void (*on_state)(void *context, bool connected, const char *reason);
    /* Not for messages that the broker kept from before: a command is for now. */
    void (*on_message)(void *context, const char *topic, const void *payload, size_t n);
    void *context;
};

struct mqtt;

/* The options' texts are copied. Returns at once; the first connection is tried by the thread. */
enum status mqtt_open(const struct mqtt_options *options, struct mqtt **ret, struct error *err);

/* Says offline where it is connected; takes a second at most. */
void mqtt_close(struct mqtt **m);

/* quality: 0 or 1. What cannot be sent now waits. */
void mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t n, int quality,
                  bool retained);

struct mqtt_counts {
    struct outbox_counts outbox;
    bool connected;
    unsigned long long connections, received;
};

void mqtt_counts(struct mqtt *m, struct mqtt_counts *ret);

#endif
