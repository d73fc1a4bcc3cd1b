#include "cmd/camera_mqtt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "notify/envelope.h"
#include "notify/mqtt.h"
#include "notify/mqtt_address.h"

#define TOPIC_BYTES 256

struct camera_mqtt {
    struct mqtt *mqtt;
    char camera[CAMERA_ID_CHARS_MAX + 1];
    char available[TOPIC_BYTES], detections[TOPIC_BYTES], client_id[96], address[300];
    uint64_t apart_us; /* between two frames that are told */
    uint64_t told_us;  /* the newest one's time */
};

void camera_mqtt_options_init(struct camera_mqtt_options *o)
{
    *o = (struct camera_mqtt_options){
        .user = "", .password_file = "", .ca_path = "", .prefix = "attune", .results_fps = 5};
}

static void on_state(void *context, bool connected, const char *reason)
{
    const struct camera_mqtt *m = context;
    if (connected)
        log_write(LOG_INFO, "mqtt connected", "broker=\"%s\"", m->address);
    else
        log_write(LOG_WARN, "mqtt not connected", "broker=\"%s\" why=\"%s\"", m->address, reason);
}

enum status camera_mqtt_open(const struct camera_mqtt_options *o, const char *camera,
                             struct camera_mqtt **ret, struct error *err)
{
    *ret = NULL;
    if (!o->address || !o->address[0])
        return ST_OK;
    if (!mqtt_prefix_is_valid(o->prefix))
        return error_set(err, ST_INVALID, "'%.40s' is no first part of an MQTT topic", o->prefix);
    struct camera_mqtt *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(err, ST_NOMEM, "no memory for MQTT");
    snprintf(m->camera, sizeof m->camera, "%.63s", camera);
    snprintf(m->address, sizeof m->address, "%.290s", o->address);
    snprintf(m->client_id, sizeof m->client_id, "attune-camera-%s", m->camera);
    snprintf(m->available, sizeof m->available, "%.63s/agent/%s/available", o->prefix, m->camera);
    snprintf(m->detections, sizeof m->detections, "%.63s/%s/detections", o->prefix, m->camera);
    m->apart_us = o->results_fps > 0 ? (uint64_t)(1e6 / o->results_fps) : 0;
    struct mqtt_options options = {.address = o->address,
                                   .user = o->user,
                                   .password_file = o->password_file,
                                   .ca_path = o->ca_path,
                                   .insecure = o->insecure,
                                   .client_id = m->client_id,
                                   .available_topic = m->available,
                                   .seed = o->seed,
                                   .on_state = on_state,
                                   .context = m};
    enum status st = mqtt_open(&options, &m->mqtt, err);
    if (st != ST_OK)
        free(m);
    else
        *ret = m;
    return st;
}

void camera_mqtt_close(struct camera_mqtt **m)
{
    if (!m || !*m)
        return;
    mqtt_close(&(*m)->mqtt);
    free(*m);
    *m = NULL;
}

/* All answers of one frame, one a region, or none. */
static bool is_due(struct camera_mqtt *m, uint64_t t_us)
{
    if (m->told_us && t_us != m->told_us && t_us > m->told_us && t_us - m->told_us < m->apart_us)
        return false;
    m->told_us = t_us;
    return true;
}

static json_t *boxes_of(const struct task_spec *spec, const struct agent_result *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->box_count; i++) {
        const struct box *b = &r->boxes[i];
        json_array_append_new(
            list, json_pack("{s:s,s:f,s:f,s:f,s:f,s:f}", "label", spec->class_name[b->class_id],
                            "confidence", (double)b->score, "x", (double)b->x0, "y", (double)b->y0,
                            "width", (double)(b->x1 - b->x0), "height", (double)(b->y1 - b->y0)));
    }
    return list;
}

static json_t *parts_of(const struct task_spec *spec, const struct agent_result *r)
{
    json_t *o = json_object();
    for (int c = 0; c < r->class_count; c++)
        if (r->fraction[c] > 0)
            json_object_set_new(o, spec->class_name[c], json_real((double)r->fraction[c]));
    return o;
}

json_t *camera_mqtt_message(const char *camera, const struct task_spec *spec,
                            const struct agent_result *r)
{
    char time[32];
    envelope_time(r->t_us, time);
    json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:I,s:b,s:f}", "camera", camera, "time", time, "t_us",
                          (json_int_t)r->t_us, "frame", (json_int_t)r->frame, "version",
                          (json_int_t)r->version, "held", (int)r->held, "latency_ms",
                          (double)r->latency_us / 1e3);
    if (!o)
        return NULL;
    if (spec->task == TASK_DETECT)
        json_object_set_new(o, "detections", boxes_of(spec, r));
    else if (spec->task == TASK_SEGMENT)
        json_object_set_new(o, "classes", parts_of(spec, r));
    else {
        json_object_set_new(o, "label", json_string(spec->class_name[r->class_id]));
        json_object_set_new(o, "confidence", json_real((double)r->fraction[r->class_id]));
        if (r->region >= 0)
            json_object_set_new(o, "region", json_integer(r->region));
    }
    return o;
}

void camera_mqtt_result(struct camera_mqtt *m, const struct task_spec *spec,
                        const struct agent_result *r)
{
    if (!m || !is_due(m, r->t_us))
        return;
    json_t *o = camera_mqtt_message(m->camera, spec, r);
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(5)) : NULL;
    if (text)
        mqtt_publish(m->mqtt, m->detections, text, strlen(text), 0, false);
    free(text);
    json_decref(o);
}
