/* bridge.c - one thread that sleeps on the bell: it reads what is new from the store as the event
 * stream does, so nothing in the server knows of MQTT, and nothing that MQTT does can hold it up.
 */
#include "server/bridge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "drift/watch.h"
#include "notify/envelope.h"
#include "server/bridge_internal.h"
#include "server/operate.h"

#define BATCH 50
#define WHO "mqtt"

/* ---- putting ---- */

static void put(struct bridge *b, const char *bytes, int quality, bool retained, const char *format,
                va_list args)
{
    char topic[BRIDGE_TOPIC_BYTES];
    int n = snprintf(topic, sizeof topic, "%.63s/", b->server->set.mqtt_prefix);
    vsnprintf(topic + n, sizeof topic - (size_t)n, format, args);
    mqtt_publish(b->mqtt, topic, bytes, strlen(bytes), quality, retained);
}

void bridge_put(struct bridge *b, json_t *o, int quality, bool retained, const char *topic, ...)
{
    char *bytes = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    va_list args;
    va_start(args, topic);
    if (bytes)
        put(b, bytes, quality, retained, topic, args);
    va_end(args);
    free(bytes);
    json_decref(o);
}

void bridge_put_text(struct bridge *b, const char *text, const char *topic, ...)
{
    va_list args;
    va_start(args, topic);
    put(b, text, 1, true, topic, args);
    va_end(args);
}

/* ---- events ---- */

struct batch {
    json_t *events;
    uint64_t after;
};

static void take_event(const struct store_event *e, void *context)
{
    struct batch *batch = context;
    const char *topic, *type;
    batch->after = e->id;
    if (!envelope_kind(e->kind, &topic, &type))
        return;
    json_t *o = json_loads(e->json, 0, NULL);
    if (!o)
        o = json_object();
    json_object_set_new(o, "event", json_string(e->kind));
    if (e->camera[0])
        json_object_set_new(o, "camera", json_string(e->camera));
    json_array_append_new(batch->events,
                          json_pack("{s:I,s:I,s:s,s:s,s:s,s:o}", "id", (json_int_t)e->id, "t_us",
                                    (json_int_t)e->t_us, "camera", e->camera, "topic", topic,
                                    "type", type, "data", o));
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t ? t : "";
}

static void publish_event(struct bridge *b, const json_t *e)
{
    char id[24], subject[96] = "";
    json_t *data = json_object_get(e, "data");
    const char *camera = text(e, "camera"), *group = text(data, "group");
    snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(e, "id")));
    if (camera[0] || group[0])
        snprintf(subject, sizeof subject, "%s/%.64s", camera[0] ? "camera" : "group",
                 camera[0] ? camera : group);
    bridge_put(b,
               envelope_make(text(e, "type"), b->source, id, subject,
                             (uint64_t)json_integer_value(json_object_get(e, "t_us")),
                             json_incref(data)),
               1, false, "%s", text(e, "topic"));
}

/* True: there was one that may have changed a state. */
static bool publish_events(struct bridge *b)
{
    bool news = false;
    for (;;) {
        struct batch batch = {json_array(), b->after};
        const json_t *e;
        size_t i;
        enum status st = store_events(b->server->store, b->after, BATCH, take_event, &batch, NULL);
        json_array_foreach(batch.events, i, e) publish_event(b, e);
        news = news || json_array_size(batch.events) > 0;
        json_decref(batch.events);
        if (st != ST_OK || batch.after == b->after)
            return news;
        b->after = batch.after;
    }
}

/* ---- states ---- */

static void add_request(const struct store_request *r, void *context)
{
    json_object_set_new(context, r->drift.camera,
                        json_pack("{s:s,s:I,s:o,s:s}", "kind", drift_kind_name(r->drift.kind),
                                  "since_us", (json_int_t)r->drift.since_us, "score",
                                  server_json_real(r->drift.score), "text", r->drift.text));
}

static void publish_states(struct bridge *b)
{
    struct server *s = b->server;
    struct error err = {0};
    json_t *requests = json_object(), *cameras = server_json_cameras(s, &err), *camera;
    size_t i;
    if (cameras && store_requests_open(s->store, add_request, requests, &err) == ST_OK)
        json_array_foreach(cameras, i, camera)
            bridge_publish_camera(b, camera, json_object_get(requests, text(camera, "id")));
    else
        log_write(LOG_ERROR, "states not published", "why=\"%s\"", err.message);
    bridge_put(b, server_json_health(s, &err), 0, true, "stats");
    json_decref(requests);
    json_decref(cameras);
}

/* ---- commands ---- */

static enum status obey(struct server *s, const struct command *c, struct error *err)
{
    struct store_camera camera;
    uint64_t id;
    enum status st = store_camera_get(s->store, c->camera, &camera, err);
    if (st != ST_OK)
        return st;
    switch (c->kind) {
    case COMMAND_LEARNING:
        return c->on ? server_resume(s, c->camera, WHO, NULL, NULL, err)
                     : server_pause(s, c->camera, WHO, NULL, NULL, err);
    case COMMAND_RETRAIN:
        return server_retrain(s, c->camera, WHO, &id, err);
    default:
        return server_rollback(s, camera.group, c->version, WHO, &id, err);
    }
}

static bool run_commands(struct bridge *b)
{
    struct command list[BRIDGE_COMMANDS_MAX];
    struct error err = {0};
    pthread_mutex_lock(&b->mutex);
    int count = b->command_count;
    memcpy(list, b->commands, (size_t)count * sizeof list[0]);
    b->command_count = 0;
    pthread_mutex_unlock(&b->mutex);
    for (int i = 0; i < count; i++)
        if (obey(b->server, &list[i], &err) != ST_OK)
            log_write(LOG_WARN, "command refused", "by=mqtt camera=%s why=\"%s\"", list[i].camera,
                      err.message);
    return count > 0;
}

/* On the client's thread: only noted here. */
static void on_message(void *context, const char *topic, const void *payload, size_t n)
{
    struct bridge *b = context;
    struct command c;
    struct error err = {0};
    const struct settings *set = &b->server->set;
    size_t k = strlen(set->mqtt_discovery_prefix);
    if (strncmp(topic, set->mqtt_discovery_prefix, k) == 0 && strcmp(topic + k, "/status") == 0) {
        if (n == 6 && memcmp(payload, "online", 6) == 0)
            atomic_store(&b->again, true);
    } else if (command_read(set->mqtt_prefix, topic, payload, n, &c, &err) != ST_OK) {
        log_write(LOG_WARN, "command refused", "by=mqtt topic=\"%.100s\" why=\"%s\"", topic,
                  err.message);
        return;
    } else {
        pthread_mutex_lock(&b->mutex);
        bool taken = b->command_count < BRIDGE_COMMANDS_MAX;
        if (taken)
            b->commands[b->command_count++] = c;
        pthread_mutex_unlock(&b->mutex);
        if (!taken)
            log_write(LOG_WARN, "command refused", "by=mqtt camera=%s why=\"%s\"", c.camera,
                      "too many wait already");
    }
    bell_ring(&b->server->bell);
}

static void on_state(void *context, bool connected, const char *reason)
{
    struct bridge *b = context;
    if (connected) {
        log_write(LOG_INFO, "mqtt connected", "broker=\"%s\"", b->server->set.mqtt);
        atomic_store(&b->again, true);
        bell_ring(&b->server->bell);
    } else
        log_write(LOG_WARN, "mqtt not connected", "broker=\"%s\" why=\"%s\"", b->server->set.mqtt,
                  reason);
}

/* ---- the thread ---- */

static void turn(struct bridge *b)
{
    uint64_t now_us = clock_mono_us();
    if (run_commands(b))
        b->state_us = now_us;
    if (publish_events(b) && b->state_us > now_us + BRIDGE_SOON_US)
        b->state_us = now_us + BRIDGE_SOON_US;
    if (atomic_exchange(&b->again, false)) {
        for (int i = 0; i < b->count; i++) {
            b->cameras[i].announced = false;
            b->cameras[i].told_hash = 0;
        }
        b->state_us = now_us;
    }
    if (b->state_us > now_us)
        return;
    publish_states(b);
    b->state_us = now_us + BRIDGE_STATE_US;
}

static void *work(void *context)
{
    struct bridge *b = context;
    struct bell *bell = &b->server->bell;
    bool going_on = true;
    while (going_on) {
        uint64_t seen = bell_count(bell);
        turn(b);
        going_on = bell_wait(bell, seen, b->state_us);
    }
    return NULL;
}

/* ---- open and close ---- */

static enum status connect_broker(struct bridge *b, struct error *err)
{
    static const char *const knobs[] = {"learning", "retrain", "model"};
    const struct settings *set = &b->server->set;
    struct mqtt_options o = {.address = set->mqtt,
                             .user = set->mqtt_user,
                             .password_file = set->mqtt_password_file,
                             .ca_path = set->mqtt_ca,
                             .insecure = set->mqtt_insecure,
                             .client_id = set->mqtt_client_id,
                             .available_topic = b->available,
                             .seed = (uint64_t)set->seed + clock_wall_us(),
                             .on_state = on_state,
                             .on_message = on_message,
                             .context = b};
    int n = 0;
    snprintf(b->available, sizeof b->available, "%.63s/available", set->mqtt_prefix);
    for (; n < 3; n++)
        snprintf(b->subscriptions[n], BRIDGE_TOPIC_BYTES, "%.63s/+/%s/set", set->mqtt_prefix,
                 knobs[n]);
    if (set->mqtt_discovery_prefix[0])
        snprintf(b->subscriptions[n++], BRIDGE_TOPIC_BYTES, "%.63s/status",
                 set->mqtt_discovery_prefix);
    for (int i = 0; i < n; i++)
        o.subscriptions[i] = b->subscriptions[i];
    snprintf(b->source, sizeof b->source, "attune/%.63s", set->mqtt_client_id);
    return mqtt_open(&o, &b->mqtt, err);
}

enum status bridge_open(struct server *s, struct bridge **ret, struct error *err)
{
    if (!s->set.mqtt[0])
        return ST_OK;
    struct bridge *b = calloc(1, sizeof *b);
    if (b)
        b->cameras = calloc((size_t)s->set.cameras_max, sizeof *b->cameras);
    if (!b || !b->cameras) {
        free(b);
        return error_set(err, ST_NOMEM, "no memory for MQTT");
    }
    b->server = s;
    b->after = store_event_last(s->store);
    pthread_mutex_init(&b->mutex, NULL);
    enum status st = connect_broker(b, err);
    if (st == ST_OK) {
        b->running = pthread_create(&b->thread, NULL, work, b) == 0;
        if (!b->running)
            st = error_set(err, ST_NOMEM, "no thread for MQTT");
    }
    if (st != ST_OK)
        bridge_close(&b);
    else
        *ret = b;
    return st;
}

void bridge_close(struct bridge **ptr)
{
    struct bridge *b = ptr ? *ptr : NULL;
    if (!b)
        return;
    if (b->running)
        pthread_join(b->thread, NULL);
    mqtt_close(&b->mqtt);
    for (int i = 0; i < b->count; i++)
        json_decref(b->cameras[i].condition);
    pthread_mutex_destroy(&b->mutex);
    free(b->cameras);
    free(b);
    *ptr = NULL;
}

void bridge_counts(struct bridge *b, struct mqtt_counts *ret)
{
    mqtt_counts(b->mqtt, ret);
}
