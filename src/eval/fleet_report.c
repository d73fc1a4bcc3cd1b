/* fleet_report.c - see fleet_report.h. */
#include "eval/fleet_report.h"

#include <math.h>
#include <string.h>

#include "eval/fleet_response.h"
#include "eval/plot.h"

static const char *const use_names[FLEET_USES] = {"infer", "label", "profile", "train"};

struct baselines {
    double best, worst, none; /* NaN: not run */
};

static struct baselines find_baselines(const struct fleet_result *runs, int count)
{
    struct baselines b = {NAN, NAN, NAN};
    for (int i = 0; i < count; i++) {
        double v = runs[i].accuracy;
        if (strcmp(runs[i].policy, "none") == 0)
            b.none = v;
        if (strncmp(runs[i].policy, "uniform", 7) != 0)
            continue;
        b.best = fmax(isnan(b.best) ? v : b.best, v);
        b.worst = fmin(isnan(b.worst) ? v : b.worst, v);
    }
    return b;
}

static void put_gain(struct buf *out, double gain)
{
    if (isfinite(gain))
        buf_printf(out, " %+7.1f", 100 * gain);
    else
        buf_printf(out, "       -");
}

static void row(const struct fleet_result *r, const struct baselines *b, struct buf *out)
{
    double all = r->capacity_s;
    buf_printf(out, "%-27s %5.1f %6.1f  %5d %5d %5d %5d  %4.0f %4.0f %4.0f %4.0f ", r->policy,
               100 * r->accuracy, 100 * r->lowest_camera, r->trainings, r->deployed, r->worse,
               r->stopped, 100 * r->used_s[FLEET_INFER] / all, 100 * r->used_s[FLEET_LABEL] / all,
               100 * r->used_s[FLEET_PROFILE] / all, 100 * r->used_s[FLEET_TRAIN] / all);
    put_gain(out, r->accuracy - b->best);
    put_gain(out, r->accuracy - b->worst);
    put_gain(out, r->accuracy - b->none);
    buf_printf(out, "\n");
}

static void camera_rows(const struct fleet_result *runs, int count, struct buf *out)
{
    buf_printf(out, "\naccuracy in percent by camera\n%-27s", "");
    for (int c = 0; c < runs[0].camera_count; c++)
        buf_printf(out, " %9.9s", runs[0].cameras[c].id);
    for (int i = 0; i < count; i++) {
        buf_printf(out, "\n%-27s", runs[i].policy);
        for (int c = 0; c < runs[i].camera_count; c++)
            buf_printf(out, " %9.1f", 100 * runs[i].cameras[c].accuracy);
    }
    buf_printf(out, "\n");
}

static bool shares(const struct fleet_result *runs, int count)
{
    for (int i = 0; i < count; i++)
        if (runs[i].uplink_bytes > 0 || runs[i].membership_count > 0)
            return true;
    return false;
}

/* What sharing took and brought; nothing where no fleet had an uplink or groups. */
static void sharing_rows(const struct fleet_scenario *s, const struct fleet_result *runs, int count,
                         struct buf *out)
{
    if (!shares(runs, count))
        return;
    buf_printf(out,
               "\n                               up   kbit/s down            re-              "
               "  of pairs      to 90 %%\n"
               "policy                     kbit/s encoded sent frames quests trials moves zoo  "
               "prec. recall    s reached\n");
    for (int i = 0; i < count; i++) {
        const struct fleet_result *r = &runs[i];
        struct fleet_response t = fleet_response_of(s, runs, count, i);
        double kbps = 8e-3 / s->seconds;
        buf_printf(out, "%-27s %5.0f %7.0f %4.0f %6llu %6d %6d %5d %3d  ", r->policy,
                   (double)r->uplink_bytes * kbps, (double)r->delta_bytes * kbps,
                   (double)r->downlink_bytes * kbps, (unsigned long long)r->frames_sent,
                   r->requests, r->trials, r->moves, r->zoo_starts);
        if (r->membership_count)
            buf_printf(out, "%5.2f %6.2f", r->pairs.precision, r->pairs.recall);
        else
            buf_printf(out, "    -      -");
        if (t.changes)
            buf_printf(out, " %4.0f %3d/%d", t.mean_s, t.reached, t.changes);
        buf_printf(out, "\n");
    }
}

/* Own deltas of members, where a policy has them. */
static void personal_rows(const struct fleet_scenario *s, const struct fleet_result *runs,
                          int count, struct buf *out)
{
    for (int i = 0; i < count; i++) {
        const struct fleet_result *r = &runs[i];
        if (r->personal_trained)
            buf_printf(out,
                       "\n%s: own deltas trained %d (%.1f %% of compute), used by %d members over "
                       "%d windows, %.1f kbit/s\n",
                       r->policy, r->personal_trained, 100 * r->personal_s / r->capacity_s,
                       r->personal_used, r->personal_windows,
                       (double)r->personal_bytes * 8e-3 / s->seconds);
    }
}

static void estimate_rows(const struct fleet_result *runs, int count, struct buf *out)
{
    buf_printf(out,
               "\nestimates of what was trained: rows, median error, rank correlation, regret\n");
    for (int i = 0; i < count; i++)
        if (runs[i].scored)
            buf_printf(out, "%-27s %4d %.3f %6.2f %.3f\n", runs[i].policy, runs[i].estimates.rows,
                       runs[i].estimates.median_error, runs[i].estimates.rank_correlation,
                       runs[i].estimates.regret);
}

void fleet_table(const struct fleet_scenario *s, const struct fleet_result *runs, int count,
                 struct buf *out)
{
    struct baselines b = find_baselines(runs, count);
    if (count == 0)
        return;
    buf_printf(out,
               "%s: %d cameras, %g s of %g frames/s, windows of %g s, %g processors; all "
               "inference would take %.0f %%\n\n",
               s->name, s->camera_count, s->seconds, s->fps, s->window_s, s->capacity,
               100 * s->infer_part);
    buf_printf(out,
               "                             mean lowest     re-   de- then   not   used, %% of "
               "compute       gain in points over\npolicy                      acc.%% camera "
               "trained ployed worse depl. infer label prof. train  best f. worst f.  none\n");
    for (int i = 0; i < count; i++)
        row(&runs[i], &b, out);
    camera_rows(runs, count, out);
    sharing_rows(s, runs, count, out);
    personal_rows(s, runs, count, out);
    estimate_rows(runs, count, out);
}

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *uses_json(const double s[FLEET_USES])
{
    json_t *o = json_object();
    for (int i = 0; i < FLEET_USES; i++)
        json_object_set_new(o, use_names[i], real(s[i]));
    return o;
}

static json_t *cameras_json(const struct fleet_result *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->camera_count; i++) {
        const struct fleet_camera_result *c = &r->cameras[i];
        json_array_append_new(list, json_pack("{s:s,s:o,s:i,s:i,s:i}", "id", c->id, "accuracy",
                                              real(c->accuracy), "retrainings", c->trainings,
                                              "deployed", c->deployed, "stopped", c->stopped));
    }
    return list;
}

static json_t *members_json(const struct fleet_membership *m, int cameras)
{
    json_t *list = json_array();
    for (int i = 0; i < cameras; i++)
        json_array_append_new(list, json_integer((json_int_t)m->group[i]));
    return json_pack("{s:f,s:o}", "t_s", m->t_s, "group", list);
}

/* Null where nothing was shared. */
static json_t *groups_json(const struct fleet_result *r)
{
    json_t *list = json_array();
    if (r->membership_count == 0) {
        json_decref(list);
        return json_null();
    }
    for (size_t i = 0; i < r->membership_count; i++)
        json_array_append_new(list, members_json(&r->memberships[i], r->camera_count));
    return json_pack("{s:f,s:f,s:i,s:i,s:i,s:i,s:o}", "precision", r->pairs.precision, "recall",
                     r->pairs.recall, "requests", r->requests, "trials", r->trials, "moves",
                     r->moves, "zoo_starts", r->zoo_starts, "changes", list);
}

static json_t *estimates_json(const struct fleet_result *r)
{
    const struct estimate_score *e = &r->estimates;
    if (!r->scored)
        return json_null();
    return json_pack("{s:i,s:o,s:o,s:o,s:o,s:o}", "rows", e->rows, "median_error",
                     real(e->median_error), "mean_error", real(e->mean_error), "p90_error",
                     real(e->p90_error), "rank_correlation", real(e->rank_correlation), "regret",
                     real(e->regret));
}

static json_t *response_json(const struct fleet_response *t)
{
    return json_pack("{s:o,s:i,s:i}", "mean_s", real(t->mean_s), "changes", t->changes, "reached",
                     t->reached);
}

static json_t *personal_json(const struct fleet_result *r)
{
    return json_pack("{s:i,s:i,s:i,s:I,s:f}", "trained", r->personal_trained, "used",
                     r->personal_used, "windows", r->personal_windows, "bytes",
                     (json_int_t)r->personal_bytes, "compute_s", r->personal_s);
}

static json_t *run_json(const struct fleet_scenario *s, const struct fleet_result *runs, int count,
                        int i)
{
    const struct fleet_result *r = &runs[i];
    struct baselines all = find_baselines(runs, count), *b = &all;
    struct fleet_response response = fleet_response_of(s, runs, count, i);
    return json_pack(
        "{s:s,s:s,s:o,s:o,s:o,s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:f,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I,"
        "s:o,s:o}",
        "policy", r->policy, "division", sharing_division_name(r->division), "mean_accuracy",
        real(r->accuracy), "min_accuracy", real(r->lowest_camera), "cameras", cameras_json(r),
        "retrainings", r->trainings, "deployed", r->deployed, "worse", r->worse, "stopped",
        r->stopped, "unfinished", r->unfinished, "used_s", uses_json(r->used_s), "planned_s",
        uses_json(r->planned_s), "capacity_s", r->capacity_s, "gain_over_best_fixed",
        real(r->accuracy - b->best), "gain_over_worst_fixed", real(r->accuracy - b->worst),
        "gain_over_none", real(r->accuracy - b->none), "estimates", estimates_json(r), "groups",
        groups_json(r), "uplink_bytes", (json_int_t)r->uplink_bytes, "frames_sent",
        (json_int_t)r->frames_sent, "delta_bytes", (json_int_t)r->delta_bytes, "downlink_bytes",
        (json_int_t)r->downlink_bytes, "response", response_json(&response), "personal",
        personal_json(r));
}

json_t *fleet_json(const struct fleet_scenario *s, const struct fleet_result *runs, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, run_json(s, runs, count, i));
    return json_pack("{s:s,s:f,s:f,s:o}", "fleet", s->name, "seconds", s->seconds, "window_s",
                     s->window_s, "runs", list);
}

enum status fleet_plot(const struct fleet_scenario *s, const struct fleet_result *runs, int count,
                       const char *path, struct error *err)
{
    struct plot_series series[PLOT_SERIES_MAX];
    struct plot_options o;
    int n = count < PLOT_SERIES_MAX ? count : PLOT_SERIES_MAX;
    for (int i = 0; i < n; i++)
        series[i] = (struct plot_series){
            .name = runs[i].policy, .x = runs[i].t_s, .y = runs[i].series, .count = runs[i].points};
    plot_options_init(&o);
    o.title = s->name;
    return plot_png_file(series, n, &o, path, err);
}
