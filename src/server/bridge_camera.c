/* bridge_camera.c - the topics of one camera: state, knobs, what is wrong, and Home Assistant's
 * discovery. What is retained is published when it differs from what the broker has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "notify/discovery.h"
#include "notify/envelope.h"
#include "server/board.h"
#include "server/bridge_internal.h"

#define VERSIONS_LOOKED_AT 50
#define SCORE_STEP 0.1 /* a score that changes by less is no news */

static struct bridge_camera *find_or_add(struct bridge *b, const char *id)
{
    for (int i = 0; i < b->count; i++)
        if (strcmp(b->cameras[i].id, id) == 0)
            return &b->cameras[i];
    if (b->count == b->server->set.cameras_max)
        return NULL;
    struct bridge_camera *c = &b->cameras[b->count++];
    *c = (struct bridge_camera){.version = UINT64_MAX};
    snprintf(c->id, sizeof c->id, "%s", id);
    return c;
}

static uint64_t whole(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t ? t : "";
}

/* ---- when the newest version came ---- */

static void take_newest(const struct store_version *v, void *context)
{
    uint64_t *t_us = context;
    if (v->accepted && v->t_us > *t_us)
        *t_us = v->t_us;
}

static void note_update(struct bridge *b, struct bridge_camera *c, uint64_t version)
{
    uint64_t t_us = 0;
    if (version == c->version)
        return;
    c->version = version;
    c->updated[0] = '\0';
    if (version > 0 &&
        store_camera_versions(b->server->store, c->id, VERSIONS_LOOKED_AT, take_newest, &t_us,
                              NULL) == ST_OK &&
        t_us > 0)
        envelope_time(t_us, c->updated);
}

/* ---- what is wrong with the camera's world ---- */

/* What it tells itself, else its open request; NULL: nothing. */
static json_t *condition_of(const json_t *camera, const json_t *request)
{
    const json_t *from = json_object_get(camera, "drift");
    if (!json_is_object(from))
        from = request;
    if (!json_is_object(from))
        return NULL;
    json_t *score = json_object_get(from, "score");
    return json_pack("{s:s,s:s,s:s,s:I,s:O?,s:s}", "camera", text(camera, "id"), "group",
                     text(camera, "group"), "kind", text(from, "kind"), "since_us",
                     (json_int_t)whole(from, "since_us"), "score", score, "text",
                     text(from, "text"));
}

static bool is_news(const json_t *before, const json_t *after)
{
    double a = json_number_value(json_object_get(before, "score"));
    double b = json_number_value(json_object_get(after, "score"));
    return strcmp(text(before, "kind"), text(after, "kind")) != 0 ||
           whole(before, "since_us") != whole(after, "since_us") || a - b > SCORE_STEP ||
           b - a > SCORE_STEP;
}

static void feed(struct bridge *b, const char *type, const json_t *before, const json_t *after)
{
    char time[32];
    uint64_t now_us = clock_wall_us();
    envelope_time(now_us, time);
    bridge_put(b,
               json_pack("{s:s,s:o,s:s,s:O?,s:O?}", "type", type, "id",
                         json_sprintf("%llu-%llu", (unsigned long long)b->server->started_us,
                                      (unsigned long long)++b->changes),
                         "time", time, "before", before, "after", after),
               1, false, "events");
}

/* new, update or end on the change feed. */
static void follow(struct bridge *b, struct bridge_camera *c, json_t *now)
{
    json_t *before = c->condition;
    if (!before && now)
        feed(b, "new", json_null(), now);
    else if (before && !now)
        feed(b, "end", before, json_null());
    else if (before && is_news(before, now))
        feed(b, "update", before, now);
    else {
        json_decref(now);
        return;
    }
    json_decref(before);
    c->condition = now;
}

/* ---- topics ---- */

static void announce(struct bridge *b, const char *id)
{
    const struct server *s = b->server;
    struct discovery d = {.prefix = s->set.mqtt_prefix,
                          .discovery_prefix = s->set.mqtt_discovery_prefix,
                          .node = s->set.mqtt_client_id,
                          .version = s->options.version ? s->options.version : "unknown",
                          .camera = id};
    for (int i = 0; i < discovery_count() && d.discovery_prefix[0]; i++) {
        char topic[DISCOVERY_TOPIC_CHARS_MAX + 1];
        json_t *o = discovery_make(&d, i, topic);
        char *message = o ? json_dumps(o, JSON_COMPACT) : NULL;
        if (message)
            mqtt_publish(b->mqtt, topic, message, strlen(message), 1, true);
        free(message);
        json_decref(o);
    }
}

static void put_knobs(struct bridge *b, struct bridge_camera *c, const json_t *camera)
{
    bool paused = json_is_true(json_object_get(camera, "paused"));
    char version[24];
    snprintf(version, sizeof version, "%llu", (unsigned long long)whole(camera, "version"));
    uint64_t hash =
        whole(camera, "version") * 4 + (uint64_t)paused * 2 + (c->condition != NULL) + 1;
    if (hash == c->told_hash)
        return;
    c->told_hash = hash;
    bridge_put_text(b, paused ? "OFF" : "ON", "%s/learning/state", c->id);
    bridge_put_text(b, version, "%s/model/state", c->id);
    bridge_put_text(b, c->condition ? "ON" : "OFF", "%s/drift/state", c->id);
}

void bridge_publish_camera(struct bridge *b, json_t *camera, const json_t *request)
{
    struct bridge_camera *c = find_or_add(b, text(camera, "id"));
    if (!c)
        return;
    bool up = board_is_up(b->server->board, c->id, whole(camera, "seen_us"), clock_wall_us());
    bool known = c->announced;
    if (!known)
        announce(b, c->id);
    c->announced = true;
    if (!known || up != c->up)
        bridge_put_text(b, up ? "online" : "offline", "%s/available", c->id);
    c->up = up;
    note_update(b, c, whole(camera, "version"));
    follow(b, c, condition_of(camera, request));
    put_knobs(b, c, camera);
    json_object_set_new(camera, "updated", c->updated[0] ? json_string(c->updated) : json_null());
    bridge_put(b, json_incref(camera), 0, true, "%s/state", c->id);
}
