/* bridge_internal.h - what bridge.c and bridge_camera.c share. */
#ifndef ATTUNE_SERVER_BRIDGE_INTERNAL_H
#define ATTUNE_SERVER_BRIDGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "notify/command.h"
#include "server/bridge.h"

#define BRIDGE_TOPIC_BYTES 320

/* What was last published of a camera. */
struct bridge_camera {
    char id[CAMERA_ID_CHARS_MAX + 1];
    bool announced;     /* Home Assistant knows it */
    bool up;            /* as published; with `announced` */
    json_t *condition;  /* of its world, NULL: nothing is wrong */
    uint64_t version;   /* that `updated` is of */
    char updated[32];   /* RFC 3339, "": never */
    uint64_t told_hash; /* of the knobs' states */
};

struct bridge {
    struct server *server;
    struct mqtt *mqtt;
    char available[BRIDGE_TOPIC_BYTES], subscriptions[4][BRIDGE_TOPIC_BYTES];
    char source[96]; /* of envelopes */
    struct bridge_camera *cameras;
    int count;
    uint64_t after;    /* newest event that went out */
    uint64_t changes;  /* of the change feed, for its ids */
    uint64_t state_us; /* when states are due */
    atomic_bool again; /* everything that is retained is to be published again */
    pthread_mutex_t mutex;
    struct command commands[BRIDGE_COMMANDS_MAX]; /* under the mutex */
    int command_count;
    pthread_t thread;
    bool running;
};

/* Publishes o below the prefix and drops it; topic as printf. */
void bridge_put(struct bridge *b, json_t *o, int quality, bool retained, const char *topic, ...)
    __attribute__((format(printf, 5, 6)));
void bridge_put_text(struct bridge *b, const char *text, const char *topic, ...)
    __attribute__((format(printf, 3, 4)));

/* The camera's state topics; `camera` is its object of GET /v1/cameras (changed), `request` its
 * open request or NULL. */
void bridge_publish_camera(struct bridge *b, json_t *camera, const json_t *request);

#endif
