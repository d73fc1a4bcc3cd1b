/* camera_mqtt.h - what `attune camera` tells an MQTT broker: every frame's answer, so many a second
 * at most, on PREFIX/ID/detections, and whether it runs on PREFIX/agent/ID/available. */
#ifndef ATTUNE_CMD_CAMERA_MQTT_H
#define ATTUNE_CMD_CAMERA_MQTT_H

#include <jansson.h>

#include "edge/agent.h"

struct camera_mqtt_options {
    const char *address; /* NULL: no MQTT */
    const char *user, *password_file, *ca_path, *prefix;
    bool insecure;
    double results_fps; /* 0: every frame */
    uint64_t seed;
};

/* No broker; attune's prefix, five a second. */
void camera_mqtt_options_init(struct camera_mqtt_options *o);

struct camera_mqtt;

/* *ret NULL without an address. */
enum status camera_mqtt_open(const struct camera_mqtt_options *o, const char *camera,
                             struct camera_mqtt **ret, struct error *err);
void camera_mqtt_close(struct camera_mqtt **m);

/* NULL m: nothing. Never waits. */
void camera_mqtt_result(struct camera_mqtt *m, const struct task_spec *spec,
                        const struct agent_result *r);

/* The message: boxes as {"label", "confidence", "x", "y", "width", "height"}, corner and size in
 * fractions of the picture's sides; of a classification label and confidence; of a segmentation the
 * classes' parts of the picture. NULL: no memory. */
json_t *camera_mqtt_message(const char *camera, const struct task_spec *spec,
                            const struct agent_result *r);

#endif
