#include "notify/envelope.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* event, topic, type. */
static const char *const kinds[][3] = {
    {"drift_request", "drift", "drift.raised"},
    {"camera_fault", "drift", "camera.fault"},
    {"camera_well", "drift", "camera.well"},
    {"retrain_asked", "retrain", "retrain.asked"},
    {"accepted", "retrain", "retrain.accepted"},
    {"rejected", "retrain", "retrain.rejected"},
    {"phase_failed", "retrain", "retrain.failed"},
    {"training_dropped", "retrain", "retrain.dropped"},
    {"rolled_back", "model", "model.rolled_back"},
    {"model_kept", "model", "model.kept"},
    {"grouped", "group", "group.decided"},
    {"regrouped", "group", "group.reviewed"},
    {"group_joined", "group", "group.joined"},
    {"group_left", "group", "group.left"},
    {"group_refused", "group", "group.refused"},
    {"groups_lost", "group", "group.lost"},
    {"camera_joined", "camera", "camera.joined"},
    {"camera_back", "camera", "camera.back"},
    {"stream_lost", "camera", "camera.source_lost"},
    {"stream_failed", "camera", "camera.source_failed"},
    {"stream_back", "camera", "camera.source_back"},
    {"paused", "camera", "camera.paused"},
    {"resumed", "camera", "camera.resumed"},
    {"backlog_full", "camera", "camera.backlog_full"},
    {"chunk_failed", "camera", "camera.upload_failed"},
    {"labelling_waits", "camera", "camera.labelling_waits"},
    {"server_started", "server", "server.started"},
    {"worker_restarted", "server", "server.worker_restarted"},
};

void envelope_time(uint64_t t_us, char ret[32])
{
    struct tm utc;
    time_t s = (time_t)(t_us / 1000000);
    gmtime_r(&s, &utc);
    size_t n = strftime(ret, 24, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret + n, 32 - n, ".%06uZ", (unsigned)(t_us % 1000000));
}

json_t *envelope_make(const char *type, const char *source, const char *id, const char *subject,
                      uint64_t t_us, json_t *data)
{
    char time[32], name[80];
    envelope_time(t_us, time);
    snprintf(name, sizeof name, "io.attune.%.60s.v1", type);
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "specversion", "1.0", "id", id, "type",
                          name, "source", source, "time", time, "datacontenttype",
                          "application/json", "data", data);
    if (o && subject[0])
        json_object_set_new(o, "subject", json_string(subject));
    return o;
}

bool envelope_kind(const char *event, const char **ret_topic, const char **ret_type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i][0], event) != 0)
            continue;
        *ret_topic = kinds[i][1];
        *ret_type = kinds[i][2];
        return true;
    }
    return false;
}
