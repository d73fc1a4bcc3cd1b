/* windows_show.c - plans for people: JSON for docs/api.md, and events. */
#include <math.h>

#include "base/clock.h"
#include "server/windows_internal.h"

static const char *const event_names[] = {[SCHEDULE_WINDOW_START] = "window",
                                          [SCHEDULE_COMPLETION] = "completion",
                                          [SCHEDULE_DEVIATION] = "deviation"};

static const char *const why_names[] = {
    [SCHEDULE_WHY_TRAIN] = "train",         [SCHEDULE_WHY_QUEUE] = "queue",
    [SCHEDULE_WHY_KEEP] = "keep",           [SCHEDULE_WHY_DROP] = "drop",
    [SCHEDULE_WHY_NO_OPTION] = "no-option", [SCHEDULE_WHY_NO_GAIN] = "no-gain",
    [SCHEDULE_WHY_NO_TIME] = "no-time",     [SCHEDULE_WHY_NO_COMPUTE] = "no-compute",
    [SCHEDULE_WHY_POLICY] = "policy"};

static json_t *grant_json(const struct windows *w, const struct schedule_snapshot *s,
                          const struct schedule_plan *p, int i)
{
    const struct schedule_grant *g = &p->grants[i];
    const struct schedule_camera *c = &s->cameras[i];
    const struct schedule_option *o = g->option >= 0 ? &c->options[g->option] : NULL;
    char reason[SCHEDULE_REASON_CHARS];
    schedule_reason(s, p, i, reason);
    return json_pack("{s:s,s:o,s:f,s:f,s:f,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:s}", "camera",
                     windows_row_id(w, i), "accuracy", server_json_real(c->accuracy), "infer_share",
                     g->infer_share, "train_share", g->train_share, "factor", g->factor,
                     "configuration",
                     o ? json_string(windows_item_name(w, o->configuration)) : json_null(),
                     "option_accuracy", server_json_real(o ? o->accuracy : NAN), "option_sd",
                     server_json_real(o ? o->accuracy_sd : NAN), "compute_s",
                     server_json_real(o ? o->compute_s : NAN), "start_s",
                     server_json_real(g->start_s), "end_s", server_json_real(g->end_s), "expected",
                     server_json_real(g->expected), "why", why_names[g->why], "reason", reason);
}

/* A group's part of the compute as its cameras were told, and what its training should bring. */
static json_t *group_json(const struct windows *w, const struct schedule_snapshot *s,
                          const struct schedule_plan *p, int i)
{
    const struct schedule_grant *g = &p->grants[i];
    const struct schedule_camera *c = &s->cameras[i];
    double gain = g->option >= 0 ? c->options[g->option].accuracy - c->accuracy : (double)NAN;
    char reason[SCHEDULE_REASON_CHARS];
    schedule_reason(s, p, i, reason);
    return json_pack("{s:s,s:i,s:o,s:f,s:o,s:b,s:s,s:s}", "group", windows_row_id(w, i), "cameras",
                     windows_group(w, i)->count, "accuracy", server_json_real(c->accuracy), "share",
                     w->control->seats[i].part, "gain", server_json_real(gain), "trains",
                     (int)w->control->seats[i].busy, "why", why_names[g->why], "reason", reason);
}

static json_t *history_json(const struct windows *w)
{
    json_t *all = json_array();
    for (int k = 0; k < w->outlook->count; k++) {
        struct outlook_mean m = outlook_mean_of(w->outlook, k);
        json_array_append_new(
            all, json_pack("{s:s,s:i,s:i,s:o,s:o}", "configuration", windows_item_name(w, k),
                           "trainings", m.trainings, "accepted", m.accepted, "gain",
                           server_json_real(m.gain), "compute_s", server_json_real(m.compute_s)));
    }
    return all;
}

void windows_show(struct windows *w, const struct schedule_snapshot *s,
                  const struct schedule_plan *p, uint64_t took_us)
{
    json_t *cameras = json_array(), *groups = json_array();
    for (int i = 0; i < p->count; i++)
        if (windows_row_id(w, i)[0])
            json_array_append_new(cameras, grant_json(w, s, p, i));
    for (int i = 0; i < w->count; i++)
        if (windows_row_id(w, i)[0])
            json_array_append_new(groups, group_json(w, s, p, i));
    json_t *shown = json_pack(
        "{s:s,s:s,s:s,s:I,s:f,s:f,s:f,s:o,s:o,s:i,s:i,s:I,s:f,s:o,s:o,s:o}", "policy",
        schedule_policy_name(s->settings.policy), "division", dividing_by_name(DIVIDING_PLANS),
        "event", event_names[s->event], "t_us", (json_int_t)clock_wall_us(), "window_s",
        w->control->server->set.window_s, "left_s", s->left_s, "capacity", s->capacity, "expected",
        server_json_real(p->expected), "expected_untrained",
        server_json_real(p->expected_untrained), "below_floor", p->below_floor, "rounds", p->rounds,
        "evaluations", (json_int_t)p->evaluations, "plan_ms", (double)took_us / 1e3, "cameras",
        cameras, "groups", groups, "history", history_json(w));
    pthread_mutex_lock(&w->lock);
    json_decref(w->shown);
    w->shown = shown;
    pthread_mutex_unlock(&w->lock);
}

json_t *windows_json(void *self)
{
    struct windows *w = self;
    pthread_mutex_lock(&w->lock);
    json_t *copy = json_deep_copy(w->shown);
    pthread_mutex_unlock(&w->lock);
    return copy;
}

/* A decision about a group is an event when it is another than the last. */
void windows_say(struct windows *w, const struct schedule_snapshot *s,
                 const struct schedule_plan *p, int i)
{
    struct course *c = &w->courses[i];
    const struct schedule_grant *g = &p->grants[i];
    int configuration = g->option >= 0 ? s->cameras[i].options[g->option].configuration : -1;
    char reason[SCHEDULE_REASON_CHARS];
    if ((int)g->why == c->said_why && configuration == c->said_configuration)
        return;
    c->said_why = (int)g->why;
    c->said_configuration = configuration;
    schedule_reason(s, p, i, reason);
    trainee_event(w->control->server, windows_group(w, i), "scheduled",
                  json_pack("{s:s,s:o,s:f,s:f,s:o}", "why", why_names[g->why], "configuration",
                            configuration >= 0 ? json_string(windows_item_name(w, configuration))
                                               : json_null(),
                            "train_share", g->train_share, "infer_share", g->infer_share,
                            "expected", server_json_real(g->expected)),
                  "%s", reason);
}
