/* discovery.h - what Home Assistant wants to know of a camera, so that it needs no configuration:
 * one retained message an entity on DISCOVERY/COMPONENT/NODE/CAMERA_ENTITY/config.
 *
 * Topics that entities read (mqtt topics of docs/integrations.md): PREFIX/available and
 * PREFIX/CAMERA/available (both have to say online), PREFIX/CAMERA/state, .../KNOB/state and /set.
 */
#ifndef ATTUNE_NOTIFY_DISCOVERY_H
#define ATTUNE_NOTIFY_DISCOVERY_H

#include <jansson.h>

#define DISCOVERY_TOPIC_CHARS_MAX 319

struct discovery {
    const char *prefix, *discovery_prefix; /* of the topics */
    const char *node;                      /* of this server: part of every unique_id */
    const char *version;                   /* of the program */
    const char *camera;
};

/* How many entities a camera has. */
int discovery_count(void);

/* Entity i: its topic, and the message (a new reference; NULL: no memory). */
json_t *discovery_make(const struct discovery *d, int i,
                       char ret_topic[DISCOVERY_TOPIC_CHARS_MAX + 1]);

#endif
