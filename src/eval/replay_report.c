/* replay_report.c - gains are always told against the best and the worst fixed baseline and against
 * no retraining: one of them alone flatters. */
#include "eval/replay_report.h"

#include <math.h>

static int capacity_index(const struct replay_set *s, const struct replay_run *r)
{
    int i = 0;
    while (i + 1 < s->capacity_count && s->capacities[i] != r->capacity)
        i++;
    return i;
}

static void head(const struct replay_options *o, const struct replay_set *s, struct buf *out)
{
    buf_printf(out, "%d cameras, %d windows of %g s, Delta %g; %s\n", s->camera_count,
               s->window_count, o->window_s, o->delta, o->profiles);
    buf_printf(out, "what retrainings bring: %s\n",
               o->estimates ? "estimated from other cameras only" : "known (oracle)");
    if (o->estimates)
        buf_printf(out, "estimates: %s\n", estimate_source_name(o->estimates));
    buf_printf(out, "training by share: %s\n", o->share_curve ? o->share_curve : "linear");
    if (s->inference_found)
        buf_printf(out, "inference by share: %s, full rate at %g GPUs\n", s->inference, o->demand);
    else
        buf_printf(out, "inference by share: linear up to %g GPUs\n", o->demand);
    buf_printf(out, "fixed baselines: C1 = %s, C2 = %s (Pareto front of %d held-out cameras)\n\n",
               s->c1, s->c2, s->held_out);
}

static void row(const struct replay_set *s, const struct replay_run *r, struct buf *out)
{
    int c = capacity_index(s, r);
    buf_printf(out, "%5g  %-15s %.4f   %.4f %7d %6d %8d   %+7.2f %+7.2f %+7.2f\n", r->capacity,
               r->policy, r->mean, r->lowest_camera, r->ended, r->worse, r->stopped,
               100 * (r->mean - replay_best_fixed(s, c)->mean),
               100 * (r->mean - replay_worst_fixed(s, c)->mean), 100 * (r->mean - s->none[c].mean));
}

static void estimator_rows(const struct replay_set *s, struct buf *out)
{
    if (!s->scored)
        return;
    buf_printf(out,
               "\nestimates of %d retrainings in %d windows, each camera left out of what is "
               "learned\n",
               s->scores[0].rows, s->scores[0].windows);
    buf_printf(out, "source   median err  mean err  p90 err  correlation  rank corr.  regret\n");
    for (int i = 0; i < 3; i++) {
        const struct estimate_score *e = &s->scores[i];
        buf_printf(out, "%-8s %10.4f %9.4f %8.4f %12.3f %11.3f %7.4f\n",
                   estimate_source_name((enum estimate_source)(ESTIMATE_PROFILE + i)),
                   e->median_error, e->mean_error, e->p90_error, e->correlation,
                   e->rank_correlation, e->regret);
    }
}

void replay_table(const struct replay_options *o, const struct replay_set *s, struct buf *out)
{
    head(o, s, out);
    buf_printf(out,
               "                       mean     lowest    re-    then  not de-   gain in points "
               "over\n GPUs  policy          accuracy camera trained  worse  ployed   best f. "
               "worst f.  none\n");
    for (int c = 0; c < s->capacity_count; c++) {
        row(s, &s->none[c], out);
        for (int i = 0; i < CONTENDER_BASELINES; i++)
            row(s, &s->baselines[c][i], out);
        for (int i = 0; i < s->run_count; i++)
            if (s->runs[i].capacity == s->capacities[c])
                row(s, &s->runs[i], out);
    }
    estimator_rows(s, out);
}

static json_t *run_json(const struct replay_set *s, const struct replay_run *r)
{
    int c = capacity_index(s, r);
    return json_pack(
        "{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:i,s:i,s:i,s:i,s:i,s:i}", "policy", r->policy, "gpus",
        r->capacity, "mean_accuracy", r->mean, "min_accuracy", r->lowest_camera, "lowest_accuracy",
        r->lowest, "gain_over_best_fixed", r->mean - replay_best_fixed(s, c)->mean,
        "gain_over_worst_fixed", r->mean - replay_worst_fixed(s, c)->mean, "gain_over_none",
        r->mean - s->none[c].mean, "retrainings", r->begun, "ended", r->ended, "deployed",
        r->deployed, "worse", r->worse, "stopped", r->stopped, "plans", r->plans);
}

static json_t *baselines_json(const struct replay_set *s)
{
    json_t *list = json_array();
    for (int c = 0; c < s->capacity_count; c++) {
        json_array_append_new(list, run_json(s, &s->none[c]));
        for (int i = 0; i < CONTENDER_BASELINES; i++)
            json_array_append_new(list, run_json(s, &s->baselines[c][i]));
    }
    return list;
}

static json_t *estimators_json(const struct replay_set *s)
{
    json_t *list = json_array();
    for (int i = 0; i < 3 && s->scored; i++) {
        const struct estimate_score *e = &s->scores[i];
        json_array_append_new(
            list,
            json_pack("{s:s,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f}", "source",
                      estimate_source_name((enum estimate_source)(ESTIMATE_PROFILE + i)), "rows",
                      e->rows, "windows", e->windows, "median_error", e->median_error, "mean_error",
                      e->mean_error, "p90_error", e->p90_error, "correlation", e->correlation,
                      "rank_correlation", e->rank_correlation, "regret", e->regret));
    }
    return list;
}

json_t *replay_json(const struct replay_options *o, const struct replay_set *s)
{
    json_t *runs = json_array();
    for (int i = 0; i < s->run_count; i++)
        json_array_append_new(runs, run_json(s, &s->runs[i]));
    return json_pack("{s:s,s:i,s:i,s:f,s:f,s:s,s:s,s:s,s:o,s:o,s:o}", "profiles", o->profiles,
                     "cameras", s->camera_count, "windows", s->window_count, "window_s",
                     o->window_s, "delta", o->delta, "estimates",
                     o->estimates ? estimate_source_name(o->estimates) : "oracle", "c1", s->c1,
                     "c2", s->c2, "runs", runs, "baselines", baselines_json(s), "estimators",
                     estimators_json(s));
}

void replay_example_table(const struct replay_example_row rows[REPLAY_EXAMPLE_ROWS],
                          struct buf *out)
{
    buf_printf(out,
               "Ekya's worked example (NSDI 2022, section 3.2): two cameras, three GPUs, two "
               "windows of 120 s, floor 40 %%\naccuracy in percent; the paper says 56 for the "
               "uniform scheduler and 73 for the drawn schedule\n\n"
               "%-42s     mean  A, w1  B, w1  A, w2  B, w2  lowest\n",
               "");
    for (int i = 0; i < REPLAY_EXAMPLE_ROWS; i++) {
        const struct replay_example_row *r = &rows[i];
        buf_printf(out, "%-42s %8.4f %6.2f %6.2f %6.2f %6.2f %7.2f\n", r->name, r->mean_percent,
                   r->camera_percent[0], r->camera_percent[1], r->camera_percent[2],
                   r->camera_percent[3], r->lowest_percent);
    }
}

json_t *replay_example_json(const struct replay_example_row rows[REPLAY_EXAMPLE_ROWS])
{
    json_t *list = json_array();
    for (int i = 0; i < REPLAY_EXAMPLE_ROWS; i++)
        json_array_append_new(
            list, json_pack("{s:s,s:f,s:[f,f,f,f],s:f}", "policy", rows[i].name, "mean_percent",
                            rows[i].mean_percent, "camera_percent", rows[i].camera_percent[0],
                            rows[i].camera_percent[1], rows[i].camera_percent[2],
                            rows[i].camera_percent[3], "lowest_percent", rows[i].lowest_percent));
    return json_pack("{s:o}", "runs", list);
}
