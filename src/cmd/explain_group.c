/* explain_group.c - `attune explain group`: who learns with whom, and why. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"

#define NAME "explain"

static double minutes_ago(double t_us)
{
    double age_s = ((double)clock_wall_us() - t_us) / 1e6;
    return age_s > 0 ? age_s / 60 : 0;
}

static const json_t *decision_of(const json_t *answer, const char *camera)
{
    const json_t *all = json_object_get(json_object_get(answer, "decided"), "decisions"), *d;
    size_t i;
    json_array_foreach(all, i, d) if (strcmp(explain_text(d, "camera", ""), camera) == 0) return d;
    return NULL;
}

static bool has_camera(const json_t *group, const char *camera)
{
    const json_t *c;
    size_t i;
    json_array_foreach(json_object_get(group, "cameras"), i,
                       c) if (strcmp(json_string_value(c), camera) == 0) return true;
    return false;
}

/* Its part of the compute, and what its next training should bring. */
static void print_share(const json_t *g)
{
    double share = explain_number(g, "share"), gain = explain_number(g, "gain");
    if (!isfinite(share))
        return;
    printf("  %.1f %% of the training", 100 * share);
    if (isfinite(gain))
        printf(", the next should bring %+.1f points", 100 * gain);
    printf(": %s\n", explain_text(g, "reason", ""));
}

static void print_group(const json_t *g)
{
    size_t cameras = json_array_size(json_object_get(g, "cameras"));
    double served = explain_number(g, "served_bytes"), encoded = explain_number(g, "encoded_bytes");
    printf("group %s: %zu camera%s, version %.0f, accuracy ", explain_text(g, "id", "?"), cameras,
           cameras == 1 ? "" : "s", explain_number(g, "version"));
    if (isfinite(explain_number(g, "accuracy")))
        printf("%.1f %% (unadapted %.1f %%)", 100 * explain_number(g, "accuracy"),
               100 * explain_number(g, "accuracy_unadapted"));
    else
        printf("not known yet");
    printf("\n  %.0f updates of %.0f kB made, %.0f times sent: %.0f kB\n",
           explain_number(g, "versions"), encoded / 1e3, explain_number(g, "served"), served / 1e3);
    print_share(g);
}

static void print_policy(const json_t *answer, size_t groups)
{
    const char *sharing = explain_text(answer, "sharing", NULL);
    if (sharing)
        printf("sharing %s (%s), ", sharing, explain_text(answer, "division", "?"));
    printf("grouping %s; %zu group%s, %.0f trials\n\n", explain_text(answer, "grouping", "?"),
           groups, groups == 1 ? "" : "s",
           fmax(0, explain_number(json_object_get(answer, "decided"), "trials")));
}

static void print_decision(const char *camera, const json_t *d)
{
    double t_us = explain_number(d, "t_us");
    printf("  %-16.63s ", camera);
    if (!d || !explain_text(d, "text", "")[0]) {
        printf("alone: nothing was decided about it\n");
        return;
    }
    printf("%s", explain_text(d, "text", ""));
    if (isfinite(t_us) && t_us > 0)
        printf(" (%.0f min ago)", minutes_ago(t_us));
    printf("\n");
}

static void print_members(const json_t *answer, const json_t *group, const char *about)
{
    const json_t *c;
    size_t i;
    bool whole = !about || strcmp(about, explain_text(group, "id", "")) == 0;
    json_array_foreach(json_object_get(group, "cameras"), i, c)
    {
        const char *camera = json_string_value(c);
        if (whole || strcmp(about, camera) == 0)
            print_decision(camera, decision_of(answer, camera));
    }
}

static void print_past(const json_t *answer, const char *camera)
{
    const json_t *m;
    size_t i;
    printf("  before:\n");
    json_array_foreach(json_object_get(answer, "memberships"), i, m)
    {
        if (strcmp(explain_text(m, "camera", ""), camera) != 0)
            continue;
        double since_us = explain_number(m, "since_us");
        printf("    group %-16.63s from version %.0f", explain_text(m, "group", "?"),
               explain_number(m, "from_version"));
        if (since_us > 0)
            printf(", %.0f min ago", minutes_ago(since_us));
        printf(": %s\n", explain_text(m, "reason", ""));
    }
}

static void print_zoo(const json_t *decided)
{
    const json_t *zoo = json_object_get(decided, "zoo"), *e;
    size_t i;
    if (json_array_size(zoo) == 0)
        return;
    printf("\npast models           accuracy %%  kept min ago  used\n");
    json_array_foreach(zoo, i, e)
        printf("%-20.40s  %9.1f  %12.0f  %4.0f\n", explain_text(e, "model", "?"),
               100 * explain_number(e, "accuracy"), minutes_ago(explain_number(e, "added_us")),
               explain_number(e, "uses"));
}

int explain_group(const json_t *answer, const char *about)
{
    const json_t *groups = json_object_get(answer, "groups"), *g;
    struct error err;
    size_t i, shown = 0;
    if (!json_is_array(groups)) {
        error_set(&err, ST_FORMAT,
                  "the answer is no list of groups: GET /v1/groups of a server is");
        return cmd_fail(NAME, &err);
    }
    if (!about)
        print_policy(answer, json_array_size(groups));
    json_array_foreach(groups, i, g)
    {
        bool camera = about && has_camera(g, about);
        if (about && !camera && strcmp(explain_text(g, "id", ""), about) != 0)
            continue;
        print_group(g);
        print_members(answer, g, about);
        if (camera)
            print_past(answer, about);
        shown++;
    }
    if (about && shown == 0) {
        error_set(&err, ST_NOT_FOUND, "there is no camera or group '%.80s'", about);
        return cmd_fail(NAME, &err);
    }
    if (!about)
        print_zoo(json_object_get(answer, "decided"));
    return CMD_OK;
}
