/* explain.c - `attune explain`: asks the server, and why each camera has the compute that it has
 * (`schedule`); its other subjects are in explain_group.c and explain_drift.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/fetch.h"
#include "cmd/plain.h"

#define NAME "explain"

static const char help_text[] =
    "usage: attune explain schedule [--server URL] [OPTIONS]\n"
    "       attune explain group [CAMERA|GROUP] [--server URL] [OPTIONS]\n"
    "       attune explain drift [CAMERA] [--server URL] [OPTIONS]\n"
    "       attune explain camera CAMERA [--server URL] [OPTIONS]\n"
    "\n"
    "schedule  the plan that the server follows now: what each camera gets for inference and for\n"
    "          training, under which configuration, what that is expected to bring, and why; or "
    "the\n"
    "          micro-windows that groups have had, and who has the next\n"
    "group     which cameras share a model and why; of one camera also the groups that it was in\n"
    "drift     what cameras have noticed of their world, and their open requests; of one camera "
    "also\n"
    "          what became of the others\n"
    "camera    the whole story of one camera: how it is, its last updates and why, its group and\n"
    "          share, its world, and what holds it back\n"
    "\n" FETCH_HELP
    "  --file FILE    a saved answer of GET /v1/schedule, /v1/groups or /v1/drift instead of a\n"
    "                 server; - for standard input\n"
    "  --json         the answer as it is\n";

static const struct {
    const char *name, *path;
    int (*print)(const json_t *answer, const char *about);
    int names_max; /* that it takes */
} subjects[] = {{"schedule", "/v1/schedule", explain_schedule, 0},
                {"group", "/v1/groups", explain_group, 1},
                {"drift", "/v1/drift", explain_drift, 1},
                {"camera", NULL, explain_camera, 1}};

static void print_head(const json_t *o)
{
    double capacity = explain_number(o, "capacity"), t_us = explain_number(o, "t_us");
    double age_s = ((double)clock_wall_us() - t_us) / 1e6;
    printf("policy %s; planned", explain_text(o, "policy", "?"));
    if (age_s >= 0 && age_s < 1e6)
        printf(" %.0f s ago", age_s);
    printf(" (%s) for %.0f s, %g processor%s\n", explain_text(o, "event", "?"),
           explain_number(o, "left_s"), capacity, capacity == 1 ? "" : "s");
    printf(
        "expected accuracy %.1f %%, without training %.1f %%; below their floor: %.0f; %.0f plans "
        "compared in %.1f ms\n\n",
        100 * explain_number(o, "expected"), 100 * explain_number(o, "expected_untrained"),
        explain_number(o, "below_floor"), explain_number(o, "evaluations"),
        explain_number(o, "plan_ms"));
}

static void print_training(const json_t *c)
{
    if (!json_is_string(json_object_get(c, "configuration"))) {
        printf("%-16s %18s", "-", "");
        return;
    }
    printf("%-16.16s %3.0f to %3.0f s, %4.1f %%", explain_text(c, "configuration", "-"),
           explain_number(c, "start_s"), explain_number(c, "end_s"),
           100 * explain_number(c, "option_accuracy"));
}

/* The row of a group's training, which has its name as a camera of it may have, too: the first. */
static bool is_of_group(const json_t *answer, const json_t *cameras, size_t at)
{
    const char *id = explain_text(json_array_get(cameras, at), "camera", "");
    const json_t *groups = json_object_get(answer, "groups"), *g;
    size_t i;
    for (i = 0; i < at; i++)
        if (strcmp(explain_text(json_array_get(cameras, i), "camera", ""), id) == 0)
            return false;
    json_array_foreach(groups, i, g) if (strcmp(explain_text(g, "group", ""), id) == 0 &&
                                         explain_number(g, "cameras") > 1) return true;
    return false;
}

static void row_name(const json_t *answer, const json_t *cameras, size_t i, char ret[80])
{
    snprintf(ret, 80, "%s%.63s", is_of_group(answer, cameras, i) ? "group " : "",
             explain_text(json_array_get(cameras, i), "camera", "?"));
}

static int width_of(const json_t *answer, const json_t *cameras)
{
    int wide = 16;
    for (size_t i = 0; i < json_array_size(cameras); i++) {
        char name[80];
        row_name(answer, cameras, i, name);
        int n = plain_columns(name);
        wide = n > wide ? n : wide;
    }
    return wide;
}

static void print_cameras(const json_t *answer, const json_t *cameras, double capacity)
{
    int wide = width_of(answer, cameras);
    double used = 0;
    const json_t *c;
    size_t i;
    printf("%-*s  now %%  infer (keeps)  train  %-16s  when, then      expected %%\n", wide,
           "camera", "configuration");
    json_array_foreach(cameras, i, c)
    {
        char name[80];
        row_name(answer, cameras, i, name);
        used += explain_number(c, "infer_share") + explain_number(c, "train_share");
        printf("%-*s  %5.1f  %5.2f (%3.0f %%)  %5.2f  ", wide, name,
               100 * explain_number(c, "accuracy"), explain_number(c, "infer_share"),
               100 * explain_number(c, "factor"), explain_number(c, "train_share"));
        print_training(c);
        printf("  %5.1f\n    %s\n", 100 * explain_number(c, "expected"),
               explain_text(c, "reason", ""));
    }
    printf("%-*s  %.2f of %g processors are not given to anyone\n", wide, "",
           fmax(capacity - used, 0), capacity);
}

static void print_history(const json_t *history)
{
    const json_t *h;
    size_t i;
    if (json_array_size(history) == 0)
        return;
    printf("\npast trainings    count  accepted  mean gain  mean compute\n");
    json_array_foreach(history, i, h)
    {
        if (!(explain_number(h, "trainings") > 0))
            continue;
        printf("%-16.16s  %5.0f  %8.0f  %+8.1f   %9.1f s\n", explain_text(h, "configuration", "?"),
               explain_number(h, "trainings"), explain_number(h, "accepted"),
               100 * explain_number(h, "gain"), explain_number(h, "compute_s"));
    }
}

/* The allocator's micro-windows: they are of groups, and inference is the cameras' own. */
static void print_micro_windows(const json_t *o)
{
    const json_t *groups = json_object_get(o, "groups"), *g;
    double capacity = explain_number(o, "capacity");
    size_t i;
    printf("policy %s; micro-windows of %.1f s: %.0f of %.0f in this window of %.0f s, %g "
           "processor%s\n\n",
           explain_text(o, "policy", "?"), explain_number(o, "micro_window_s"),
           explain_number(o, "used"), explain_number(o, "micro_windows"),
           explain_number(o, "window_s"), capacity, capacity == 1 ? "" : "s");
    printf("%-16s  cameras  now %%  share %%  gain of the next  had\n", "group");
    json_array_foreach(groups, i, g)
    {
        printf("%-16.63s  %7.0f  %5.1f  %7.1f  ", explain_text(g, "group", "?"),
               explain_number(g, "cameras"), 100 * explain_number(g, "accuracy"),
               100 * explain_number(g, "share"));
        if (isfinite(explain_number(g, "gain")))
            printf("%+16.1f  ", 100 * explain_number(g, "gain"));
        else
            printf("%16s  ", "not known");
        printf("%3.0f\n    %s\n", explain_number(g, "micro_windows"),
               explain_text(g, "reason", ""));
    }
}

int explain_schedule(const json_t *o, const char *about)
{
    (void)about;
    const json_t *cameras = json_object_get(o, "cameras");
    if (!json_is_array(cameras) || !json_is_string(json_object_get(o, "policy"))) {
        struct error err;
        error_set(&err, ST_FORMAT,
                  "the answer is no schedule: GET /v1/schedule of a server gives one");
        return cmd_fail(NAME, &err);
    }
    if (json_is_number(json_object_get(o, "micro_window_s"))) {
        print_micro_windows(o);
        return CMD_OK;
    }
    if (json_array_size(cameras) == 0) {
        printf("policy %s: there is no plan%s\n", explain_text(o, "policy", "?"),
               strcmp(explain_text(o, "policy", ""), "round-robin") == 0
                   ? "; each camera is trained in its turn"
                   : " yet; it comes with the first labelled frames");
        return CMD_OK;
    }
    print_head(o);
    print_cameras(o, cameras, explain_number(o, "capacity"));
    print_history(json_object_get(o, "history"));
    return CMD_OK;
}

int cmd_explain(int argc, char **argv)
{
    struct fetch_server server = FETCH_SERVER_INIT;
    const char *file = NULL, *what[2];
    bool json = false;
    const struct cmd_option options[] = {FETCH_OPTIONS(server),
                                         {"file", CMD_TEXT, &file, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int count, bad = cmd_parse(NAME, help_text, options, argc, argv, what, 0, 2, &count);
    if (bad != -1)
        return bad;
    size_t k = 0, subject_count = sizeof subjects / sizeof subjects[0];
    while (k < subject_count && (count == 0 || strcmp(what[0], subjects[k].name) != 0))
        k++;
    if (k == subject_count)
        return cmd_usage(NAME, "say what to explain: schedule, group, drift or camera");
    if (count - 1 > subjects[k].names_max)
        return cmd_usage(NAME, "%s takes no name", subjects[k].name);
    if (!subjects[k].path && !file && count < 2)
        return cmd_usage(NAME, "say which camera");
    json_t *o;
    struct error err;
    enum status st = file               ? fetch_saved(file, &o, &err)
                     : subjects[k].path ? fetch_json(&server, subjects[k].path, &o, &err)
                                        : explain_camera_fetch(&server, what[1], &o, &err);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    if (json)
        return cmd_json(NAME, o);
    plain_json(o);
    int status = subjects[k].print(o, count > 1 ? what[1] : NULL);
    json_decref(o);
    return status;
}
