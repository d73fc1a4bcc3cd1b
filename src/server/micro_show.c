/* micro_show.c - micro-windows for people: JSON for docs/api.md. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "server/micro_internal.h"

#define REASON_CHARS 160

/* Why the group trains now or does not; *ret_why is a word for it. */
static void reason_of(const struct micro *m, int seat, uint64_t now_us, char *ret,
                      const char **ret_why)
{
    const struct seat *s = &m->control->seats[seat];
    const struct micro_seat *k = &m->seats[seat];
    double gain = 100 * allocator_gain(m->allocator, k->id);
    char expected[64] = "what it will gain is not known yet";
    if (isfinite(gain))
        snprintf(expected, sizeof expected, "it should gain %.1f points of accuracy", gain);
    if (s->busy) {
        *ret_why = "train";
        snprintf(ret, REASON_CHARS, "has micro-window %d of this window; %s", k->slots + 1,
                 expected);
    } else if (!control_learns(m->control, seat)) {
        *ret_why = "paused";
        snprintf(ret, REASON_CHARS, "learning is paused");
    } else if (s->resting) {
        *ret_why = "rest";
        snprintf(ret, REASON_CHARS, "rests: its model is as good as training makes it");
    } else if (micro_ready(m, seat, now_us)) {
        *ret_why = "wait";
        snprintf(ret, REASON_CHARS, "waits for a micro-window; %s", expected);
    } else {
        *ret_why = "no-frames";
        snprintf(ret, REASON_CHARS, "has nothing new to train on");
    }
}

static json_t *group_json(const struct micro *m, int seat, uint64_t now_us)
{
    const struct seat *s = &m->control->seats[seat];
    const struct micro_seat *k = &m->seats[seat];
    char reason[REASON_CHARS];
    const char *why;
    reason_of(m, seat, now_us, reason, &why);
    return json_pack("{s:s,s:i,s:o,s:f,s:o,s:i,s:b,s:s,s:s}", "group", s->trainee.id, "cameras",
                     s->trainee.count, "accuracy",
                     server_json_real(control_accuracy(m->control, seat)), "share", s->part, "gain",
                     server_json_real(allocator_gain(m->allocator, k->id)), "micro_windows",
                     k->slots, "trains", (int)s->busy, "why", why, "reason", reason);
}

void micro_show(struct micro *m, uint64_t now_us)
{
    json_t *groups = json_array();
    double left_s = m->window_end_us > now_us ? (double)(m->window_end_us - now_us) / 1e6 : 0;
    for (int i = 0; i < m->control->count; i++)
        if (control_sits(m->control, i) && m->seats[i].id)
            json_array_append_new(groups, group_json(m, i, now_us));
    json_t *shown =
        json_pack("{s:s,s:s,s:I,s:f,s:f,s:f,s:i,s:i,s:f,s:o,s:[]}", "policy", m->sharing->name,
                  "division", dividing_by_name(DIVIDING_MICRO), "t_us", (json_int_t)clock_wall_us(),
                  "window_s", (double)m->window_us / 1e6, "left_s", left_s, "micro_window_s",
                  (double)m->slot_us / 1e6, "micro_windows", m->slots, "used", m->used, "capacity",
                  control_capacity(m->control), "groups", groups, "cameras");
    pthread_mutex_lock(&m->lock);
    json_decref(m->shown);
    m->shown = shown;
    pthread_mutex_unlock(&m->lock);
}

json_t *micro_json(void *self)
{
    struct micro *m = self;
    pthread_mutex_lock(&m->lock);
    json_t *copy = json_deep_copy(m->shown);
    pthread_mutex_unlock(&m->lock);
    return copy;
}
