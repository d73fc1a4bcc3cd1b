/* explain_drift.c - `attune explain drift`: what cameras have noticed of their world, and what
 * became of their requests. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/explain.h"

#define NAME "explain"

/* "21:03:10" in local time. */
static const char *clock_text(double t_us, char ret[16])
{
    time_t at = (time_t)(t_us / 1e6);
    struct tm parts;
    if (!isfinite(t_us) || !localtime_r(&at, &parts) || strftime(ret, 16, "%H:%M:%S", &parts) == 0)
        snprintf(ret, 16, "?");
    return ret;
}

static bool is_open(const json_t *request)
{
    return json_is_true(json_object_get(request, "open"));
}

static void print_request(const json_t *r)
{
    char at[16], since[16];
    printf("  %s request %.0f (%s, at the %s), since %s: %s; %s\n",
           clock_text(explain_number(r, "t_us"), at), explain_number(r, "id"),
           explain_text(r, "kind", "?"), explain_text(r, "noticed_at", "?"),
           clock_text(explain_number(r, "since_us"), since), explain_text(r, "text", ""),
           is_open(r) ? "open" : explain_text(r, "outcome", ""));
}

static void print_state(const json_t *camera)
{
    const json_t *state = json_object_get(camera, "state");
    double told_s = explain_number(camera, "told_s");
    char since[16];
    printf("%s: ", explain_text(camera, "camera", "?"));
    if (json_is_object(state))
        printf("%s, %s, since %s (score %.1f)\n", explain_text(state, "kind", "?"),
               explain_text(state, "text", ""),
               clock_text(explain_number(state, "since_us"), since),
               explain_number(state, "score"));
    else if (isfinite(told_s))
        printf("nothing is wrong, as it said %.0f s ago\n", told_s);
    else
        printf("has said nothing yet\n");
}

static void print_camera(const json_t *camera, bool all)
{
    const json_t *requests = json_object_get(camera, "requests"), *r;
    size_t i;
    print_state(camera);
    json_array_foreach(requests, i, r)
    {
        if (all || is_open(r))
            print_request(r);
    }
}

int explain_drift(const json_t *answer, const char *about)
{
    const json_t *cameras = json_object_get(answer, "cameras"), *c;
    struct error err;
    size_t i, shown = 0;
    if (!json_is_array(cameras)) {
        error_set(&err, ST_FORMAT,
                  "the answer is no list of cameras: GET /v1/drift of a server is");
        return cmd_fail(NAME, &err);
    }
    json_array_foreach(cameras, i, c)
    {
        if (about && strcmp(explain_text(c, "camera", ""), about) != 0)
            continue;
        print_camera(c, about != NULL);
        shown++;
    }
    if (about && shown == 0) {
        error_set(&err, ST_NOT_FOUND, "there is no camera '%.80s'", about);
        return cmd_fail(NAME, &err);
    }
    return CMD_OK;
}
