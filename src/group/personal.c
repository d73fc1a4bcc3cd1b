/* personal.c - whether a member's own small delta on top of the shared model pays.
 *
 * The caller trains one where a review asks for it and evaluates both on frames that neither was
 * trained on. It is used where it brings what it costs, and more than chance, for `patience`
 * windows in a row, and given up when it brings less than half of that for as long.
 */
#include "group/internal.h"

/* Those that have one, and those whom the group's model serves worse than its mean. */
static bool worth_asking(const struct grouper *g, const struct group *k, int camera)
{
    const struct camera *m = &g->cameras[camera];
    return k->count > 1 && k->windows > g->settings.patience && !k->resting &&
           (m->personal || m->accuracy < k->accuracy);
}

enum status personal_review(struct grouper *g, struct group_review *r, int *capacity,
                            struct error *err)
{
    int asked = 0, start = g->personal_from < g->limit ? g->personal_from : 0;
    enum status st = ST_OK;
    for (int i = 0; i < g->limit && asked < g->settings.personal_max && st == ST_OK; i++) {
        int camera = (start + i) % g->limit;
        const struct group *k = group_find(g, g->cameras[camera].group);
        if (!k || !worth_asking(g, k, camera))
            continue;
        st = review_add(r, capacity, GROUP_REVIEW_PERSONAL, k->id, camera, err);
        asked++;
        g->personal_from = camera + 1;
    }
    return st;
}

bool personal_better(const struct conclusion *c, int camera, struct group_why *ret)
{
    const struct group_settings *s = &c->g->settings;
    const struct group_score *own = c->personal[camera], *shared = c->scores[camera];
    if (!own)
        return false;
    struct evidence gain = score_difference(s, own, shared);
    *ret = why_none(GROUP_WHY_HELD);
    ret->reference = own->accuracy;
    ret->margin = s->gap;
    return gain.difference > s->gap && gain.difference > s->confidence * gain.error;
}

static enum status judge(struct conclusion *c, const struct group_review_trial *t)
{
    const struct group_settings *s = &c->g->settings;
    struct camera *m = &c->g->cameras[t->camera];
    struct evidence gain = score_difference(s, &t->score, c->scores[t->camera]);
    double ask =
        s->personal_gain + s->personal_mib_price * t->size_mib + s->personal_s_price * t->compute_s;
    bool change = m->personal
                      ? gain.difference < ask / 2
                      : gain.difference >= ask && gain.difference > s->confidence * gain.error;
    m->personal_windows = change ? m->personal_windows + 1 : 0;
    if (m->personal_windows < s->patience)
        return ST_OK;
    struct group_why why = why_none(m->personal ? GROUP_WHY_SHARED : GROUP_WHY_PERSONAL);
    why.accuracy = t->score.accuracy;
    why.reference = c->scores[t->camera]->accuracy;
    why.margin = m->personal ? ask / 2 : ask;
    why.windows = m->personal_windows;
    m->personal = !m->personal;
    m->personal_windows = 0;
    return act(c, m->personal ? GROUP_ACTION_PERSONAL_ON : GROUP_ACTION_PERSONAL_OFF, t->camera,
               m->group, 0, false, why);
}

enum status personal_conclude(struct conclusion *c)
{
    enum status st = ST_OK;
    for (int i = 0; i < c->review->trial_count && st == ST_OK; i++) {
        const struct group_review_trial *t = &c->review->trials[i];
        if (t->kind == GROUP_REVIEW_PERSONAL && score_known(&t->score) &&
            grouper_group_of(c->g, t->camera) == t->group && t->group && c->scores[t->camera])
            st = judge(c, t);
    }
    return st;
}
