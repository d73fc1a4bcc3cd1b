/* routes.c - the interface at a glance: method, path, who may, handler, size of the body. A star
 * stands for one segment, given to the handler in order. */
#include <stdio.h>
#include <string.h>

#include "server/http.h"

#define CHUNK_BODY SIZE_MAX /* the setting chunk_bytes_max */
#define SMALL_BODY 4096

static const struct route routes[] = {
    {"POST", "/v1/cameras/*/hello", ROLE_CAMERA, api_hello, HTTP_JSON_BYTES_MAX},
    {"PUT", "/v1/cameras/*/chunks/*", ROLE_CAMERA, api_chunk, CHUNK_BODY},
    {"GET", "/v1/cameras/*/updates", ROLE_CAMERA, api_updates, 0},
    {"GET", "/v1/cameras/*/settings", ROLE_CAMERA, api_settings, 0},
    {"GET", "/v1/cameras/*/labels", ROLE_CAMERA, api_labels, 0},
    {"PUT", "/v1/cameras/*/inference", ROLE_CAMERA, api_report, HTTP_JSON_BYTES_MAX},
    {"GET", "/v1/cameras/*/series", ROLE_VIEW, api_series, 0},
    {"GET", "/v1/cameras/*/versions", ROLE_VIEW, api_versions, 0},
    {"GET", "/v1/cameras/*/frame", ROLE_VIEW, api_frame, 0},
    {"GET", "/v1/cameras/*/samples", ROLE_VIEW, api_samples, 0},
    {"GET", "/v1/cameras/*/model.onnx", ROLE_VIEW, api_model, 0},
    {"GET", "/v1/cameras/*", ROLE_VIEW, api_camera, 0},
    {"GET", "/v1/cameras", ROLE_VIEW, api_cameras, 0},
    {"GET", "/v1/classes", ROLE_VIEW, api_classes, 0},
    {"GET", "/v1/health", ROLE_ANYONE, api_health, 0},
    {"GET", "/v1/compute", ROLE_VIEW, api_compute, 0},
    {"GET", "/v1/compute/series", ROLE_VIEW, api_compute_series, 0},
    {"GET", "/v1/schedule", ROLE_VIEW, api_schedule, 0},
    {"GET", "/v1/groups", ROLE_VIEW, api_groups, 0},
    {"GET", "/v1/groups/*/versions", ROLE_VIEW, api_group_versions, 0},
    {"GET", "/v1/settings", ROLE_VIEW, api_settings_all, 0},
    {"POST", "/v1/groups/*/rollback", ROLE_OPERATE, api_group_rollback, HTTP_JSON_BYTES_MAX},
    {"POST", "/v1/cameras/*/rollback", ROLE_OPERATE, api_camera_rollback, HTTP_JSON_BYTES_MAX},
    {"POST", "/v1/cameras/*/retrain", ROLE_OPERATE, api_retrain, HTTP_JSON_BYTES_MAX},
    {"PUT", "/v1/cameras/*/learning", ROLE_OPERATE, api_learning, HTTP_JSON_BYTES_MAX},
    {"POST", "/v1/reload", ROLE_OPERATE, api_reload, 0},
    {"GET", "/v1/drift", ROLE_VIEW, api_drift, 0},
    {"GET", "/metrics", ROLE_VIEW, api_metrics, 0},
    {"GET", "/v1/events", ROLE_VIEW, api_events, 0},
    {"GET", "/v1/session", ROLE_ANYONE, api_session, 0},
    {"POST", "/v1/session", ROLE_ANYONE, api_sign_in, SMALL_BODY},
    {"DELETE", "/v1/session", ROLE_ANYONE, api_sign_out, 0},
    {"POST", "/v1/enroll", ROLE_ANYONE, api_enroll, SMALL_BODY},
    {"POST", "/v1/access/cameras/*/code", ROLE_OPERATE, api_code, SMALL_BODY},
    {"DELETE", "/v1/access/cameras/*", ROLE_OPERATE, api_camera_revoke, 0},
    {"GET", "/v1/access", ROLE_OPERATE, api_tokens, 0},
    {"PUT", "/v1/access/tokens/*", ROLE_LOCAL, api_token_put, SMALL_BODY},
    {"DELETE", "/v1/access/tokens/*", ROLE_OPERATE, api_token_revoke, 0},
    {"GET", "/v1/users", ROLE_LOCAL, api_users, 0},
    {"PUT", "/v1/users/*", ROLE_LOCAL, api_user_put, SMALL_BODY},
    {"DELETE", "/v1/users/*", ROLE_LOCAL, api_user_remove, 0},
    {"GET", "/", ROLE_ANYONE, api_asset, 0},
    {"GET", "/*", ROLE_ANYONE, api_asset, 0},
};

/* True when path has the pattern's form; the stars' segments go to args. */
static bool match(const char *pattern, const char *path, char args[][HTTP_ARG_CHARS_MAX + 1])
{
    int count = 0;
    while (*pattern && *path) {
        if (*pattern != '*') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t n = strcspn(path, "/");
        if (n == 0 || n > HTTP_ARG_CHARS_MAX || count == HTTP_ARGS_MAX)
            return false;
        memcpy(args[count], path, n);
        args[count++][n] = '\0';
        path += n;
        pattern++;
    }
    return !*pattern && !*path;
}

const struct route *http_route(const char *method, const char *path, struct request *r,
                               struct reply *out)
{
    bool known = false;
    const char *asked = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!match(routes[i].path, path, r->args))
            continue;
        if (strcmp(asked, routes[i].method) == 0)
            return &routes[i];
        known = true;
    }
    if (known)
        reply_error(out, 405, "this path does not take %.20s", method);
    else
        reply_error(out, 404, "there is nothing here; see docs/api.md");
    return NULL;
}

size_t http_route_body_max(const struct server *s, const struct route *route)
{
    return route->body_max == CHUNK_BODY ? (size_t)s->set.chunk_bytes_max : route->body_max;
}
