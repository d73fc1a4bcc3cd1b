/* personal.c - whether a member's own small delta on top of the shared model pays.
 *
 * Whom the shared model serves worse than the others by what a delta must bring is worth a trial:
 * the caller trains one and scores it in the windows that follow, on frames that neither was
 * trained on. It is used where it brings what it costs, and more than chance, for `patience`
 * windows in a row, and given up when it brings less than half of that for as long; one that has
 * faded is made anew. A trial that does not pay is not repeated for a while, and for longer each
 * time, so that a fleet without such members pays next to nothing for asking.
 */
#include "group/internal.h"

#define FAILS_MAX 6  /* a wait doubles so often at most */
#define BARREN_MAX 4 /* reviews for which a trial may be without a score */

static bool in_hand(const struct camera *m)
{
    return m->group && (m->personal || m->personal_tried);
}

static bool worth_trying(const struct grouper *g, const struct camera *m)
{
    const struct group *k = m->group ? group_find(g, m->group) : NULL;
    return k && !in_hand(m) && k->count > 1 && k->windows > g->settings.patience && !k->resting &&
           !m->personal_wait && m->accuracy < k->accuracy - g->settings.personal_gain;
}

static enum status ask(struct grouper *g, int camera, struct group_review *r, int *capacity,
                       struct error *err)
{
    const struct camera *m = &g->cameras[camera];
    enum status st = review_add(r, capacity, GROUP_REVIEW_PERSONAL, m->group, camera, err);
    if (st == ST_OK)
        r->trials[r->trial_count - 1].train =
            !m->personal_tried && (!m->personal || m->personal_faded);
    return st;
}

/* Those that have one or are being tried come first: so there are never more than personal_max. */
enum status personal_review(struct grouper *g, struct group_review *r, int *capacity,
                            struct error *err)
{
    int asked = 0, start = g->personal_from < g->limit ? g->personal_from : 0;
    enum status st = ST_OK;
    for (int i = 0; i < g->limit && asked < g->settings.personal_max && st == ST_OK; i++) {
        if (!in_hand(&g->cameras[i]))
            continue;
        st = ask(g, i, r, capacity, err);
        asked++;
    }
    for (int i = 0; i < g->limit && asked < g->settings.personal_max && st == ST_OK; i++) {
        int camera = (start + i) % g->limit;
        if (!worth_trying(g, &g->cameras[camera]))
            continue;
        st = ask(g, camera, r, capacity, err);
        asked++;
        g->personal_from = camera + 1;
    }
    return st;
}

void personal_forget(struct camera *m)
{
    m->personal = m->personal_tried = m->personal_faded = false;
    m->personal_windows = m->personal_barren = 0;
}

/* Not again for a while. */
static void give_up(struct grouper *g, struct camera *m)
{
    personal_forget(m);
    m->personal_wait = g->settings.patience << m->personal_fails;
    m->personal_fails += m->personal_fails < FAILS_MAX;
}

static enum status turn(struct conclusion *c, const struct group_review_trial *t, double ask)
{
    struct camera *m = &c->g->cameras[t->camera];
    struct group_why why = why_none(m->personal ? GROUP_WHY_SHARED : GROUP_WHY_PERSONAL);
    why.accuracy = t->score.accuracy;
    why.reference = c->scores[t->camera]->accuracy;
    why.margin = m->personal ? ask / 2 : ask;
    why.windows = m->personal_windows;
    bool on = !m->personal;
    if (on) {
        personal_forget(m);
        m->personal = true;
        m->personal_fails = 0;
    } else {
        give_up(c->g, m);
    }
    return act(c, on ? GROUP_ACTION_PERSONAL_ON : GROUP_ACTION_PERSONAL_OFF, t->camera, m->group, 0,
               false, why);
}

static enum status judge(struct conclusion *c, const struct group_review_trial *t)
{
    const struct group_settings *s = &c->g->settings;
    struct camera *m = &c->g->cameras[t->camera];
    struct evidence gain = score_difference(s, &t->score, c->scores[t->camera]);
    double ask =
        s->personal_gain + s->personal_mib_price * t->size_mib + s->personal_s_price * t->compute_s;
    bool pays = gain.difference >= ask && gain.difference > s->confidence * gain.error;
    bool change = m->personal ? gain.difference < ask / 2 : pays;
    m->personal_barren = 0;
    m->personal_tried = !m->personal;
    m->personal_faded = m->personal && gain.difference < ask;
    m->personal_windows = change ? m->personal_windows + 1 : 0;
    if (m->personal_windows >= s->patience)
        return turn(c, t, ask);
    if (!m->personal && !pays)
        give_up(c->g, m);
    return ST_OK;
}

/* A trial that nothing is heard of ends too; a delta in use is made anew. */
static void wait_for_score(struct grouper *g, const struct group_review_trial *t)
{
    struct camera *m = &g->cameras[t->camera];
    if (t->train && !m->personal) {
        m->personal_tried = true;
        return;
    }
    if (++m->personal_barren <= BARREN_MAX)
        return;
    m->personal_faded = m->personal; /* it may be lost */
    if (!m->personal)
        give_up(g, m);
}

enum status personal_conclude(struct conclusion *c)
{
    enum status st = ST_OK;
    for (int i = 0; i < c->review->trial_count && st == ST_OK; i++) {
        const struct group_review_trial *t = &c->review->trials[i];
        if (t->kind != GROUP_REVIEW_PERSONAL || !t->group ||
            grouper_group_of(c->g, t->camera) != t->group)
            continue;
        if (score_known(&t->score) && c->scores[t->camera])
            st = judge(c, t);
        else
            wait_for_score(c->g, t);
    }
    return st;
}

/* What the camera really has: its own delta's score where that is in use. */
const struct group_score *personal_score(const struct conclusion *c, int camera)
{
    const struct group_score *own = c->personal[camera];
    return own && c->g->cameras[camera].personal ? own : c->scores[camera];
}
