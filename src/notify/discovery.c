#include "notify/discovery.h"

#include <stdio.h>
#include <string.h>

#define PERCENT(member)                                                                            \
    "{{ (value_json." member " * 100) | round(1) if value_json." member " is number else None }}"

#define RATE(member)                                                                               \
    "{{ value_json." member " | round(1) if value_json." member " is number else None }}"

/* A row an entity. state is a topic below the camera's; NULL: none. */
static const struct entity {
    const char *component, *id, *name;
    const char *state, *command;
    const char *template;
    const char *unit, *device_class, *state_class, *category, *icon, *press;
} entities[] = {
    {"sensor", "accuracy", "Accuracy", "state", NULL, PERCENT("accuracy"), "%", NULL, "measurement",
     NULL, "mdi:bullseye-arrow", NULL},
    {"sensor", "accuracy_unadapted", "Accuracy unadapted", "state", NULL,
     PERCENT("accuracy_unadapted"), "%", NULL, "measurement", NULL, "mdi:bullseye", NULL},
    {"binary_sensor", "drift", "Drift", "drift/state", NULL, NULL, NULL, "problem", NULL, NULL,
     NULL, NULL},
    {"sensor", "model_version", "Model version", "model/state", NULL, NULL, NULL, NULL, NULL,
     "diagnostic", "mdi:counter", NULL},
    {"sensor", "updated", "Last update", "state", NULL, "{{ value_json.updated }}", NULL,
     "timestamp", NULL, "diagnostic", NULL, NULL},
    {"sensor", "group", "Group", "state", NULL, "{{ value_json.group }}", NULL, NULL, NULL,
     "diagnostic", "mdi:account-group", NULL},
    {"sensor", "uplink", "Uplink", "state", NULL, RATE("up_kbps"), "kbit/s", "data_rate",
     "measurement", "diagnostic", NULL, NULL},
    {"sensor", "downlink", "Downlink", "state", NULL, RATE("down_kbps"), "kbit/s", "data_rate",
     "measurement", "diagnostic", NULL, NULL},
    {"button", "retrain", "Retrain", NULL, "retrain/set", NULL, NULL, NULL, NULL, NULL,
     "mdi:school", "PRESS"},
    {"switch", "learning", "Learning", "learning/state", "learning/set", NULL, NULL, NULL, NULL,
     NULL, "mdi:brain", NULL},
};

int discovery_count(void)
{
    return (int)(sizeof entities / sizeof entities[0]);
}

static void set(json_t *o, const char *key, const char *text)
{
    if (text)
        json_object_set_new(o, key, json_string(text));
}

static void set_topic(json_t *o, const char *key, const struct discovery *d, const char *topic)
{
    if (topic)
        json_object_set_new(o, key, json_sprintf("%s/%s/%s", d->prefix, d->camera, topic));
}

static json_t *device_of(const struct discovery *d)
{
    return json_pack("{s:[o],s:o,s:s,s:s,s:s}", "identifiers",
                     json_sprintf("attune_%s_%s", d->node, d->camera), "name",
                     json_sprintf("Camera %s", d->camera), "manufacturer", "attune", "model",
                     "camera with an adapted model", "sw_version", d->version);
}

json_t *discovery_make(const struct discovery *d, int i,
                       char ret_topic[DISCOVERY_TOPIC_CHARS_MAX + 1])
{
    const struct entity *e = &entities[i];
    snprintf(ret_topic, DISCOVERY_TOPIC_CHARS_MAX + 1, "%s/%s/%s/%s_%s/config", d->discovery_prefix,
             e->component, d->node, d->camera, e->id);
    json_t *o = json_pack(
        "{s:s,s:o,s:o,s:o,s:{s:s,s:s},s:[{s:o},{s:o}],s:s}", "name", e->name, "unique_id",
        json_sprintf("attune_%s_%s_%s", d->node, d->camera, e->id), "default_entity_id",
        json_sprintf("%s.attune_%s_%s", e->component, d->camera, e->id), "device", device_of(d),
        "origin", "name", "attune", "sw_version", d->version, "availability", "topic",
        json_sprintf("%s/available", d->prefix), "topic",
        json_sprintf("%s/%s/available", d->prefix, d->camera), "availability_mode", "all");
    if (!o)
        return NULL;
    set_topic(o, "state_topic", d, e->state);
    set_topic(o, "command_topic", d, e->command);
    set(o, "value_template", e->template);
    set(o, "unit_of_measurement", e->unit);
    set(o, "device_class", e->device_class);
    set(o, "state_class", e->state_class);
    set(o, "entity_category", e->category);
    set(o, "icon", e->icon);
    set(o, "payload_press", e->press);
    if (strncmp(e->id, "accuracy", 8) == 0)
        set_topic(o, "json_attributes_topic", d, "state");
    return o;
}
