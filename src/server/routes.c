/* routes.c - the interface at a glance: method, path, handler, size of the body. A star stands for
 * one segment, given to the handler in order. */
#include <stdio.h>
#include <string.h>

#include "server/http.h"

#define CHUNK_BODY SIZE_MAX /* the setting chunk_bytes_max */

static const struct route {
    const char *method, *path;
    http_handler *handler;
    size_t body_max;
} routes[] = {
    {"POST", "/v1/cameras/*/hello", api_hello, HTTP_JSON_BYTES_MAX},
    {"PUT", "/v1/cameras/*/chunks/*", api_chunk, CHUNK_BODY},
    {"GET", "/v1/cameras/*/updates", api_updates, 0},
    {"GET", "/v1/cameras/*/settings", api_settings, 0},
    {"GET", "/v1/cameras/*/labels", api_labels, 0},
    {"PUT", "/v1/cameras/*/inference", api_report, HTTP_JSON_BYTES_MAX},
    {"GET", "/v1/cameras/*/series", api_series, 0},
    {"GET", "/v1/cameras/*/versions", api_versions, 0},
    {"GET", "/v1/cameras/*/frame", api_frame, 0},
    {"GET", "/v1/cameras/*/model.onnx", api_model, 0},
    {"GET", "/v1/cameras/*", api_camera, 0},
    {"GET", "/v1/cameras", api_cameras, 0},
    {"GET", "/v1/health", api_health, 0},
    {"GET", "/v1/compute", api_compute, 0},
    {"GET", "/v1/schedule", api_schedule, 0},
    {"GET", "/v1/groups", api_groups, 0},
    {"GET", "/v1/drift", api_drift, 0},
    {"GET", "/v1/events", api_events, 0},
    {"GET", "/", api_asset, 0},
    {"GET", "/*", api_asset, 0},
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

bool http_route(struct server *s, const char *method, const char *path, struct request *r,
                http_handler **ret, size_t *ret_body_max, struct reply *out)
{
    bool known = false;
    const char *asked = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!match(routes[i].path, path, r->args))
            continue;
        known = true;
        if (strcmp(asked, routes[i].method) != 0)
            continue;
        *ret = routes[i].handler;
        *ret_body_max =
            routes[i].body_max == CHUNK_BODY ? (size_t)s->set.chunk_bytes_max : routes[i].body_max;
        return true;
    }
    *ret = NULL;
    *ret_body_max = 0;
    if (known)
        reply_error(out, 405, "this path does not take %.20s", method);
    else
        reply_error(out, 404, "there is nothing here; see docs/api.md");
    return false;
}
