/* outbox.h - messages that wait for a receiver that may be slow or away. Who puts never waits: when
 * the box is full the oldest message goes, and is counted.
 *
 * Owns:    the bytes of what waits; a message that was taken is the taker's.
 * Threads: safe.
 * Memory:  at most messages_max messages of at most bytes_max bytes together.
 */
#ifndef ATTUNE_NOTIFY_OUTBOX_H
#define ATTUNE_NOTIFY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct outbox;

struct outbox_message {
    char *topic; /* or whatever names the receiver; one allocation with the payload */
    char *payload;
    size_t payload_bytes;
    int quality;   /* MQTT's quality of service */
    bool retained; /* MQTT's retained flag */
};

enum status outbox_open(int messages_max, size_t bytes_max, struct outbox **ret, struct error *err);
void outbox_close(struct outbox **o);

/* Copies. False: it is too large for the box, or there is no memory; counted as dropped. */
bool outbox_put(struct outbox *o, const char *topic, const void *payload, size_t n, int quality,
                bool retained);

/* The oldest; false: nothing waits. Free it with outbox_message_clear. */
bool outbox_take(struct outbox *o, struct outbox_message *ret);
void outbox_message_clear(struct outbox_message *m);

struct outbox_counts {
    int depth, limit;
    unsigned long long put, dropped;
};

void outbox_counts(struct outbox *o, struct outbox_counts *ret);

#endif
