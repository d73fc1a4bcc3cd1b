/* windows_jobs.c - a training under way: the planner hears how far it is, what a step costs and
 * what checkpoints and ends were worth, and the store keeps it as the fleet's history. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/windows_internal.h"

#define COST_OFF 1.3
#define COST_KNOWN_US (CONTROL_SECOND_US / 4) /* of compute, before a step's cost is believed */

static void tell_progress(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    planner_progress(w->planner, seat, (p->steps - c->told) * windows_step_s(w, seat, c->item));
    c->told = p->steps;
}

/* What is left of the training costs so much a step; false when that is about what was thought. */
static bool correct_cost(struct windows *w, int seat, double measured_s)
{
    double off = measured_s / windows_step_s(w, seat, w->courses[seat].item);
    if (!(off > 0) || (off < COST_OFF && off > 1 / COST_OFF))
        return false;
    planner_rescale(w->planner, seat, off);
    w->courses[seat].op_s *= off;
    return true;
}

static void check_cost(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    if (c->revised || p->compute_us < COST_KNOWN_US || c->done + p->steps < c->steps[c->item] / 4)
        return;
    c->revised = correct_cost(w, seat, (double)p->compute_us / 1e6 / p->steps);
    if (c->revised)
        windows_want_plan(w, SCHEDULE_DEVIATION);
}

/* The shortest option of the planner's that the training has reached with so many steps, -1: none.
 */
static int option_at(const struct windows *w, int seat, int steps)
{
    const struct course *c = &w->courses[seat];
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    for (int i = 0; k->running >= 0 && i < k->option_count; i++)
        if (k->options[i].training == k->options[k->running].training &&
            c->steps[k->options[i].configuration] <= steps)
            return i;
    return -1;
}

/* The longest item of the training that is at hand which so many steps have reached. */
static int item_at(const struct windows *w, int seat, int steps)
{
    const struct course *c = &w->courses[seat];
    const struct outlook_item *items = w->outlook->items;
    int best = c->item;
    for (int k = 0; k < w->outlook->count; k++)
        if (items[k].training == items[c->item].training && c->steps[k] <= steps &&
            (c->steps[best] > steps || c->steps[k] > c->steps[best]))
            best = k;
    return best;
}

static void remember(struct windows *w, int seat, int steps, double compute_s, double end,
                     bool accepted)
{
    const struct course *c = &w->courses[seat];
    struct error err;
    int item = item_at(w, seat, steps);
    struct store_training t = {.episode = c->episode,
                               .start = c->start,
                               .end = end,
                               .profiled_start = c->profiled ? c->profile.start : NAN,
                               .profiled_end = c->profiled ? c->profile.end[item] : NAN,
                               .compute_s = compute_s,
                               .steps = steps,
                               .accepted = accepted,
                               .t_us = clock_wall_us()};
    snprintf(t.camera, sizeof t.camera, "%s", windows_id(w, seat));
    snprintf(t.configuration, sizeof t.configuration, "%s", windows_item_name(w, item));
    enum status st = store_training_put(w->control->server->store, &t, &err);
    if (st == ST_OK)
        st = outlook_read(w->outlook, w->control->server->store, &err);
    if (st != ST_OK)
        log_write(LOG_ERROR, "history", "group=%s why=\"%s\"", t.camera, err.message);
}

/* Accuracy after a training, from scores on held-out frames; without scores what was expected. */
static double accuracy_after(const struct windows *w, int seat, bool accepted, double before,
                             double after)
{
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    double gain = after - before;
    if (!accepted)
        return k->accuracy;
    if (!isfinite(gain))
        return k->running >= 0 ? k->options[k->running].accuracy : k->accuracy;
    return fmax(0, fmin(1, k->accuracy + gain));
}

static void hear_verdict(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    if (p->judged == c->judged)
        return;
    c->judged = p->judged;
    int steps = c->done + p->judged_steps, option = option_at(w, seat, steps);
    double end = accuracy_after(w, seat, p->accepted, p->before, p->after);
    remember(w, seat, steps, c->compute_s + (double)p->compute_us / 1e6, end, p->accepted);
    if (option < 0)
        return;
    planner_reached(w->planner, seat, option, end);
    windows_want_plan(w, SCHEDULE_COMPLETION);
}

/* A checkpoint counts where a shorter configuration would have ended. */
static void wish_checkpoint(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    int option = option_at(w, seat, c->done + p->steps);
    if (!windows_look_ahead(w) || !w->settings.checkpoints || option < 0 || option == k->running)
        return;
    int steps = c->steps[k->options[option].configuration];
    if (c->asked >= steps)
        return;
    c->asked = steps;
    executor_checkpoint(windows_executor(w, seat));
}

void windows_watch_jobs(struct windows *w)
{
    for (int i = 0; i < w->count; i++) {
        struct job_progress p;
        if (!w->control->seats[i].busy || w->courses[i].profiling)
            continue;
        executor_progress(windows_executor(w, i), &p);
        if (p.steps == 0)
            continue;
        tell_progress(w, i, &p);
        check_cost(w, i, &p);
        hear_verdict(w, i, &p);
        wish_checkpoint(w, i, &p);
    }
}

void windows_end_training(struct windows *w, int seat, const struct job_result *r)
{
    struct course *c = &w->courses[seat];
    struct job_progress p;
    executor_progress(windows_executor(w, seat), &p);
    hear_verdict(w, seat, &p);
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    double end = accuracy_after(w, seat, r->accepted, r->before, r->after);
    c->done += r->steps;
    c->compute_s += (double)r->compute_us / 1e6;
    c->told = 0;
    remember(w, seat, c->done, c->compute_s, end, r->accepted);
    correct_cost(w, seat, c->compute_s / c->done);
    if (k->running < 0 || !r->accepted)
        windows_forget(w, seat, c->started_us);
    else
        planner_reached(w->planner, seat, k->running, end);
}
