/* status.c - `attune status`: one look at a running server: its cameras, who learns with whom, what
 * share of the training they have, how accurate they are, what they send and ask for. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/overview.h"
#include "cmd/plain.h"

#define NAME "status"
#define SILENT_S 60 /* a camera that has said nothing for longer */

static const char help_text[] =
    "usage: attune status [--server URL] [OPTIONS]\n"
    "\n"
    "One look at a server: cameras, groups, their share of the training, accuracy, requests and\n"
    "what is sent. attune explain says why.\n"
    "\n" FETCH_HELP
    "  --file FILE    a saved answer of attune status --json instead of a server; - for standard "
    "input\n"
    "  --json         {\"health\", \"cameras\", \"groups\", ...}: GET /v1/health, /v1/cameras and\n"
    "                 /v1/groups in one object\n";

/* ---- the table ---- */

static const json_t *named(const json_t *list, const char *key, const char *name)
{
    const json_t *o;
    size_t i;
    json_array_foreach(list, i, o) if (strcmp(explain_text(o, key, ""), name) == 0) return o;
    return NULL;
}

struct sums {
    double accuracy, unadapted, up_kbps, down_kbps;
    int scored;
};

static struct sums sum_up(const json_t *cameras)
{
    struct sums s = {.scored = 0};
    const json_t *c;
    size_t i;
    json_array_foreach(cameras, i, c)
    {
        double accuracy = explain_number(c, "accuracy");
        s.up_kbps += fmax(0, explain_number(c, "up_kbps")); /* 0 for what is not told */
        s.down_kbps += fmax(0, explain_number(c, "down_kbps"));
        if (!isfinite(accuracy))
            continue;
        s.accuracy += accuracy;
        s.unadapted += fmax(0, explain_number(c, "accuracy_unadapted"));
        s.scored++;
    }
    return s;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_duration(double s)
{
    if (s < 120)
        printf("%.0f s", s);
    else if (s < 2 * 3600)
        printf("%.0f min", s / 60);
    else
        printf("%.1f h", s / 3600);
}

static void print_server(const json_t *o)
{
    const json_t *health = json_object_get(o, "health");
    printf("up ");
    print_duration(fmax(0, explain_number(health, "uptime_s")));
    printf("; sharing %s (%s), grouping %s; workers %s, %.0f trainings%s\n",
           explain_text(o, "sharing", "?"), explain_text(o, "policy", "?"),
           explain_text(o, "grouping", "?"), explain_text(health, "worker", "?"),
           explain_number(health, "phases"),
           json_is_false(json_object_get(health, "adapt")) ? "; only watching" : "");
}

static void print_sums(const json_t *o)
{
    const json_t *cameras = json_object_get(o, "cameras");
    size_t n = json_array_size(cameras), groups = json_array_size(json_object_get(o, "groups"));
    size_t requests = json_array_size(json_object_get(o, "requests"));
    double waiting = explain_number(json_object_get(o, "health"), "backlog_chunks");
    struct sums s = sum_up(cameras);
    printf("%zu camera%s in %zu group%s", n, plural(n), groups, plural(groups));
    if (s.scored)
        printf(", accuracy %.1f %% (unadapted %.1f %%)", 100 * s.accuracy / s.scored,
               100 * s.unadapted / s.scored);
    printf("; uplink %.0f kbit/s, downlink %.0f", s.up_kbps, s.down_kbps);
    if (waiting > 0)
        printf("; chunks that wait: %.0f", waiting);
    printf("; %zu request%s open\n", requests, plural(requests));
}

static void print_number(int width, int decimals, double v)
{
    if (isfinite(v))
        printf("  %*.*f", width, decimals, v);
    else
        printf("  %*s", width, "-");
}

static void print_percent(double v)
{
    print_number(7, 1, 100 * v);
}

static void print_state(const json_t *camera)
{
    double silent_s = ((double)clock_wall_us() - explain_number(camera, "seen_us")) / 1e6;
    char text[32];
    const json_t *inference = json_object_get(camera, "inference");
    if (silent_s > SILENT_S && silent_s < 1e9)
        snprintf(text, sizeof text, "silent %.0f s", silent_s);
    else if (*explain_text(inference, "source", ""))
        snprintf(text, sizeof text, "source lost");
    else if (json_is_false(json_object_get(inference, "uploads")))
        snprintf(text, sizeof text, "no uploads");
    else
        snprintf(text, sizeof text, "%.31s", explain_text(camera, "state", ""));
    printf("  %-12.16s", text[0] ? text : "-");
}

/* Of the longest text under the key, so that columns stand below each other. */
static int width_of(const json_t *list, const char *key)
{
    const json_t *o;
    size_t i;
    int wide = 6; /* "camera" */
    json_array_foreach(list, i, o)
    {
        int n = plain_columns(explain_text(o, key, "?"));
        wide = n > wide ? n : wide;
    }
    return wide;
}

static void print_camera(const json_t *o, const json_t *c, int camera_width, int group_width)
{
    const char *id = explain_text(c, "id", "?"), *group = explain_text(c, "group", "");
    const json_t *g = named(json_object_get(o, "groups"), "id", group);
    const json_t *request = named(json_object_get(o, "requests"), "camera", id);
    printf("%-*s  %-*s", camera_width, id, group_width, group);
    print_state(c);
    print_percent(explain_number(c, "accuracy"));
    print_percent(explain_number(c, "accuracy_unadapted"));
    print_number(7, 0, explain_number(c, "version"));
    print_percent(explain_number(g, "share"));
    print_number(8, 2, explain_number(c, "sampling_fps"));
    print_number(9, 1, explain_number(c, "up_kbps"));
    printf("  %s\n", request ? explain_text(request, "text", "open") : "-");
}

static void print_cameras(const json_t *o, const json_t *cameras)
{
    int camera_width = width_of(cameras, "id"), group_width = width_of(cameras, "group");
    const json_t *c;
    size_t i;
    printf("\n%-*s  %-*s  %-12s  %7s  %7s  %7s  %7s  %8s  %9s  %s\n", camera_width, "camera",
           group_width, "group", "state", "now %", "was %", "version", "share %", "frames/s",
           "up kbit/s", "request");
    json_array_foreach(cameras, i, c) print_camera(o, c, camera_width, group_width);
}

static int print(const json_t *o)
{
    const json_t *cameras = json_object_get(o, "cameras");
    struct error err;
    if (!json_is_array(cameras) || !json_is_object(json_object_get(o, "health"))) {
        error_set(&err, ST_FORMAT, "the answer is no status: attune status --json gives one");
        return cmd_fail(NAME, &err);
    }
    print_server(o);
    print_sums(o);
    if (json_array_size(cameras) > 0)
        print_cameras(o, cameras);
    return CMD_OK;
}

int cmd_status(int argc, char **argv)
{
    struct fetch_server server = FETCH_SERVER_INIT;
    const char *file = NULL;
    bool json = false;
    const struct cmd_option options[] = {FETCH_OPTIONS(server),
                                         {"file", CMD_TEXT, &file, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad;
    json_t *o;
    struct error err;
    enum status st = file ? fetch_saved(file, &o, &err) : overview_fetch(&server, false, &o, &err);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    if (json)
        return cmd_json(NAME, o);
    plain_json(o);
    int status = print(o);
    json_decref(o);
    return status;
}
