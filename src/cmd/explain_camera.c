/* explain_camera.c - `attune explain camera ID`: the whole story of one camera on one screen: how
 * it is, what it has learned and why, its group and share, what its world did, what holds it back.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cmd/explain.h"
#include "cmd/operate.h"

#define SILENT_S 60
#define VERSIONS_SHOWN 6
#define EVENTS_SHOWN 8

/* ---- asking ---- */

static enum status add(const struct fetch_server *server, const char *path, const char *key,
                       json_t *all, struct error *err)
{
    json_t *one;
    enum status st = fetch_json(server, path, &one, err);
    if (st == ST_OK)
        json_object_set_new(all, key, one);
    return st;
}

enum status explain_camera_fetch(const struct fetch_server *server, const char *camera,
                                 json_t **ret, struct error *err)
{
    char path[OPERATE_PATH_BYTES], versions[OPERATE_PATH_BYTES];
    if (!operate_path(path, "cameras", camera, "") ||
        !operate_path(versions, "cameras", camera, "versions"))
        return error_set(err, ST_INVALID, "'%.80s' is no camera's id", camera);
    path[strlen(path) - 1] = '\0';
    json_t *all = json_object();
    enum status st = add(server, path, "camera", all, err);
    if (st == ST_OK)
        st = add(server, versions, "versions", all, err);
    if (st == ST_OK)
        st = add(server, "/v1/groups", "groups", all, err);
    if (st == ST_OK)
        st = add(server, "/v1/schedule", "schedule", all, err);
    if (st == ST_OK)
        st = add(server, "/v1/events?format=json&limit=1000", "events", all, err);
    if (st == ST_OK)
        *ret = all;
    else
        json_decref(all);
    return st;
}

/* ---- telling ---- */

static const char *when(double t_us, char ret[32])
{
    time_t at = t_us > 0 ? (time_t)(t_us / 1e6) : 0;
    struct tm parts;
    if (!(t_us > 0) || !localtime_r(&at, &parts) ||
        strftime(ret, 32, "%m-%d %H:%M:%S", &parts) == 0)
        snprintf(ret, 32, "?");
    return ret;
}

static const json_t *find(const json_t *list, const char *key, const char *name)
{
    const json_t *o;
    size_t i;
    json_array_foreach(list, i, o) if (strcmp(explain_text(o, key, ""), name) == 0) return o;
    return NULL;
}

static double age_s(double t_us)
{
    return ((double)clock_wall_us() - t_us) / 1e6;
}

static void print_now(const json_t *c)
{
    double accuracy = explain_number(c, "accuracy"),
           unadapted = explain_number(c, "accuracy_unadapted");
    printf("%s: %s, %.0f x %.0f at %.3g fps; heard of %.0f s ago\n", explain_text(c, "id", "?"),
           explain_text(c, "state", "")[0] ? explain_text(c, "state", "") : "no state told",
           explain_number(c, "width"), explain_number(c, "height"), explain_number(c, "fps"),
           fmax(0, age_s(explain_number(c, "seen_us"))));
    if (isfinite(accuracy))
        printf("  accuracy %.1f %%, unadapted it would be %.1f %% (%+.1f points)\n", 100 * accuracy,
               100 * unadapted, 100 * (accuracy - unadapted));
    else
        printf("  not scored yet\n");
    printf("  sends %.2f frames/s, %.1f kbit/s up, %.1f down; %.0f samples, %.0f updates, %.0f "
           "rejected\n",
           explain_number(c, "sampling_fps"), explain_number(c, "up_kbps"),
           explain_number(c, "down_kbps"), explain_number(c, "chunks"),
           explain_number(c, "versions"), explain_number(c, "rejected"));
}

static void print_group(const json_t *all, const json_t *c)
{
    const json_t *groups = json_object_get(all, "groups");
    const json_t *g = find(json_object_get(groups, "groups"), "id", explain_text(c, "group", ""));
    const json_t *d = find(json_object_get(json_object_get(groups, "decided"), "decisions"),
                           "camera", explain_text(c, "id", ""));
    size_t members = json_array_size(json_object_get(g, "cameras"));
    printf("\ngroup %s: %zu camera%s, version %.0f", explain_text(c, "group", "?"), members,
           members == 1 ? "" : "s", explain_number(g, "version"));
    if (isfinite(explain_number(g, "share")))
        printf(", %.1f %% of the training", 100 * explain_number(g, "share"));
    printf("\n");
    if (explain_text(g, "reason", "")[0])
        printf("  now: %s\n", explain_text(g, "reason", ""));
    if (d)
        printf("  why there: %s\n", explain_text(d, "text", ""));
    const json_t *plan = find(json_object_get(json_object_get(all, "schedule"), "cameras"),
                              "camera", explain_text(c, "group", ""));
    if (plan)
        printf("  plan: %s\n", explain_text(plan, "reason", ""));
}

static void print_versions(const json_t *all)
{
    const json_t *list = json_object_get(json_object_get(all, "versions"), "versions"), *v;
    size_t i;
    char at[32];
    printf("\nlast updates%s\n", json_array_size(list) ? "" : ": none yet");
    json_array_foreach(list, i, v)
    {
        if (i == VERSIONS_SHOWN)
            break;
        printf("  %s  %s %.0f: %s\n", when(explain_number(v, "t_us"), at),
               json_is_true(json_object_get(v, "accepted")) ? "version" : "rejected",
               explain_number(v, "version"), explain_text(v, "reason", ""));
    }
}

static void print_world(const json_t *c)
{
    const json_t *state = json_object_get(c, "drift"), *r;
    const json_t *requests = json_object_get(c, "requests");
    char at[32];
    size_t i;
    if (json_is_object(state))
        printf("\nits world: %s, %s, since %s\n", explain_text(state, "kind", "?"),
               explain_text(state, "text", ""), when(explain_number(state, "since_us"), at));
    else
        printf("\nits world: nothing is wrong\n");
    json_array_foreach(requests, i, r)
        printf("  %s  request %.0f (%s): %s; %s\n", when(explain_number(r, "t_us"), at),
               explain_number(r, "id"), explain_text(r, "kind", "?"), explain_text(r, "text", ""),
               json_is_true(json_object_get(r, "open")) ? "open" : explain_text(r, "outcome", ""));
}

static void print_events(const json_t *all, const char *id)
{
    const json_t *list = json_object_get(json_object_get(all, "events"), "events"), *e;
    size_t n = json_array_size(list), shown = 0;
    char at[32];
    printf("\nlast events\n");
    for (size_t i = n; i-- > 0 && shown < EVENTS_SHOWN;) {
        e = json_array_get(list, i);
        if (strcmp(explain_text(e, "camera", ""), id) != 0 ||
            strcmp(explain_text(e, "kind", ""), "labelled") == 0)
            continue;
        printf("  %s  %s: %s\n", when(explain_number(e, "t_us"), at), explain_text(e, "kind", "?"),
               explain_text(e, "reason", ""));
        shown++;
    }
}

/* What a person could do something about, most important first. */
static void print_obstacles(const json_t *c)
{
    const json_t *stream = json_object_get(c, "stream");
    double silent_s = age_s(explain_number(c, "seen_us"));
    int count = 0;
    printf("\nwhat holds it back\n");
    if (json_is_object(stream) && !json_is_true(json_object_get(stream, "running")) && ++count)
        printf("  its source is not read: %s\n", explain_text(stream, "reason", "?"));
    if (silent_s > SILENT_S && ++count)
        printf("  it is silent: its process, its network or its certificate\n");
    if (json_is_true(json_object_get(c, "paused")) && ++count)
        printf("  its learning is paused: attune resume %s\n", explain_text(c, "id", "?"));
    if (explain_number(c, "backlog_chunks") > 2 && ++count)
        printf("  %.0f samples wait for their labels: the teacher is slower than its cameras\n",
               explain_number(c, "backlog_chunks"));
    if (explain_number(c, "camera_version") != explain_number(c, "version") && ++count)
        printf("  it still runs version %.0f of %.0f\n", explain_number(c, "camera_version"),
               explain_number(c, "version"));
    if (explain_number(c, "rejected") > explain_number(c, "versions") && ++count)
        printf(
            "  more updates were rejected than accepted: the student may be as good as it gets\n");
    if (count == 0)
        printf("  nothing that is known here\n");
}

int explain_camera(const json_t *all, const char *about)
{
    (void)about;
    const json_t *c = json_object_get(all, "camera");
    if (!json_is_object(c)) {
        struct error err;
        error_set(&err, ST_FORMAT,
                  "the answer is no camera's: attune explain camera ID --json gives one");
        return cmd_fail("explain", &err);
    }
    print_now(c);
    print_group(all, c);
    print_versions(all);
    print_world(c);
    print_events(all, explain_text(c, "id", ""));
    print_obstacles(c);
    return CMD_OK;
}
