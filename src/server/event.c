/* event.c - decisions for people: the same sentence goes to the log, the page and the database. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/line.h"
#include "server/metrics.h"

json_t *server_json_real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

void server_json_accuracy(const struct server *s, json_t *o, double accuracy, double unadapted)
{
    json_object_set_new(o, "accuracy", server_json_real(accuracy));
    json_object_set_new(o, "accuracy_unadapted", server_json_real(unadapted));
    if (s->student_spec.task != TASK_SEGMENT)
        return;
    json_object_set_new(o, "miou", server_json_real(accuracy));
    json_object_set_new(o, "miou_unadapted", server_json_real(unadapted));
}

static void put(struct server *s, const char *camera, const char *kind, json_t *members)
{
    struct error err = {0};
    char *text = json_dumps(members, JSON_COMPACT | JSON_REAL_PRECISION(6));
    enum status st =
        text ? store_event_put(s->store, clock_wall_us(), camera, kind, text, NULL, &err)
             : error_set(&err, ST_NOMEM, "no memory for an event");
    free(text);
    if (st != ST_OK)
        log_write(LOG_ERROR, "event lost", "camera=%s kind=%s why=\"%s\"", camera, kind,
                  err.message);
}

void server_event(struct server *s, const char *camera, const char *kind, json_t *members,
                  const char *reason, ...)
{
    char text[STORE_REASON_CHARS_MAX + 1];
    va_list args;
    va_start(args, reason);
    vsnprintf(text, sizeof text, reason, args);
    va_end(args);
    if (!members)
        members = json_object();
    metrics_event(s->metrics, camera, kind, members);
    json_object_set_new(members, "reason", json_string(text));
    put(s, camera, kind, members);
    json_decref(members);
    /* These come every few seconds for every camera. */
    bool often = strcmp(kind, "labelled") == 0 || strcmp(kind, "scheduled") == 0;
    log_write(often ? LOG_DEBUG : LOG_INFO, kind, "camera=%s reason=\"%s\"",
              camera[0] ? camera : "-", text);
    bell_ring(&s->bell);
}

void server_charge(struct server *s, const char *camera, enum ledger_kind kind, uint64_t used_us)
{
    struct error err;
    if (used_us && ledger_charge(s->ledger, camera, kind, used_us, clock_mono_us(), &err) != ST_OK)
        log_write(LOG_WARN, "account", "camera=%s why=\"%s\"", camera, err.message);
}

enum status server_version_params(const struct server *s, const char *camera, uint64_t version,
                                  float *params, struct error *err)
{
    char group[CAMERA_ID_CHARS_MAX + 1];
    uint64_t from;
    enum status st = store_group_of(s->store, camera, version, group, &from, err);
    return st == ST_OK ? line_params(s, group, version, params, err) : st;
}
