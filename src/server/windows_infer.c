/* windows_infer.c - inference on the server in the plans: what cameras told of it becomes curves,
 * what the plan grants becomes their shares. */
#include <math.h>
#include <stdio.h>

#include "server/board.h"
#include "server/windows_internal.h"

bool windows_is_onlooker(const struct windows *w, const struct inferring *f)
{
    return windows_group(w, f->seat)->count > 1;
}

/* What the camera told of its inference configurations, as a curve; true when there was none. */
static bool read_inference(struct windows *w, struct inferring *f, uint64_t now_us)
{
    struct inference_report told;
    struct inference_point front[INFERENCE_POINTS_MAX];
    uint64_t age_us;
    if (!board_told(w->control->server->board, f->camera, now_us, &told, &age_us) ||
        told.table.count == 0)
        return false;
    bool was_known = f->curve.count > 0;
    f->curve = (struct schedule_curve){.kind = SCHEDULE_STEPS, .points = f->points};
    int count = inference_front(&told.table, front);
    for (int i = 0; i < count; i++)
        if (f->curve.count == 0 || front[i].demand > f->points[f->curve.count - 1].share)
            f->points[f->curve.count++] = (struct schedule_point){front[i].demand, front[i].factor};
    return !was_known && f->curve.count > 0;
}

/* Cameras of the groups for which the server infers, in the groups' order. */
void windows_list_inferring(struct windows *w, uint64_t now_us)
{
    const struct server *s = w->control->server;
    w->inferring_count = w->onlookers = 0;
    for (int i = 0; i < w->count; i++) {
        const struct trainee *t = windows_group(w, i);
        for (int k = 0; k < t->count; k++) {
            if (!board_infers_here(s->board, t->members[k].camera) ||
                w->inferring_count == s->set.cameras_max)
                continue;
            struct inferring *f = &w->inferring[w->inferring_count++];
            *f = (struct inferring){.seat = i};
            snprintf(f->camera, sizeof f->camera, "%s", t->members[k].camera);
            read_inference(w, f, now_us);
            w->onlookers += t->count > 1;
        }
    }
}

void windows_watch_inference(struct windows *w, uint64_t now_us)
{
    for (int i = 0; i < w->inferring_count; i++)
        if (read_inference(w, &w->inferring[i], now_us))
            windows_want_plan(w, SCHEDULE_DEVIATION);
}

void windows_set_inference(struct windows *w)
{
    static const struct schedule_curve elsewhere;
    double least = config_live(w->control->server->config).accuracy_min;
    int onlooker = w->count;
    for (int i = 0; i < w->count; i++) {
        planner_set_inference(w->planner, i, windows_id(w, i), &elsewhere, least);
        planner_set_members(w->planner, i, windows_group(w, i)->count);
    }
    for (int i = 0; i < w->inferring_count; i++) {
        const struct inferring *f = &w->inferring[i];
        if (!windows_is_onlooker(w, f)) {
            planner_set_inference(w->planner, f->seat, windows_id(w, f->seat), &f->curve, least);
            planner_set_members(w->planner, f->seat, 1); /* the others' shares are their own */
            continue;
        }
        double accuracy = control_camera_accuracy(w->control, f->camera);
        planner_set_inference(w->planner, onlooker, f->camera, &f->curve, least);
        planner_observe(w->planner, onlooker++, isnan(accuracy) ? 0 : accuracy);
    }
}

void windows_grant_inference(struct windows *w, const struct schedule_plan *p)
{
    struct server *s = w->control->server;
    int onlooker = w->count;
    for (int i = 0; i < w->inferring_count; i++) {
        const struct inferring *f = &w->inferring[i];
        const struct schedule_grant *g =
            &p->grants[windows_is_onlooker(w, f) ? onlooker++ : f->seat];
        if (f->curve.count > 0 &&
            board_set_share(s->board, f->camera, fmax(g->infer_share, LIMITER_SHARE_MIN)))
            bell_ring(&s->bell);
    }
}
