/* conclude.c - a window's end, second phase: who stays where it is.
 *
 * ecco: who falls, or is below the group's mean by a fixed gap, for `patience` windows leaves.
 * attune: against the mean of the others, less what this camera usually is above or below them, by
 * more than chance explains; and those who leave and look alike leave together. A group that does
 * badly as a whole is looked at by split.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

#define BEST_FORGOTTEN 0.002 /* a window */

struct group_why why_none(enum group_why_code code)
{
    const double none = (double)NAN;
    return (struct group_why){.code = code,
                              .accuracy = none,
                              .reference = none,
                              .margin = none,
                              .signature = none,
                              .place_m = none};
}

enum status act(struct conclusion *c, enum group_action_kind kind, int camera, uint64_t group,
                uint64_t other, bool emptied, struct group_why why)
{
    struct group_actions *a = c->actions;
    if (a->count == c->capacity) {
        int more = c->capacity ? 2 * c->capacity : 16;
        struct group_action *items = realloc(a->items, (size_t)more * sizeof *items);
        if (!items)
            return error_set(c->err, ST_NOMEM, "no memory for what follows from a review");
        a->items = items;
        c->capacity = more;
    }
    why.at_us = c->review->now_us;
    why.group = group;
    why.other = other;
    a->items[a->count++] = (struct group_action){.kind = kind,
                                                 .camera = camera,
                                                 .group = group,
                                                 .other = other,
                                                 .emptied = emptied,
                                                 .why = why};
    if (camera >= 0)
        c->g->cameras[camera].why = why;
    return ST_OK;
}

void group_actions_clear(struct group_actions *a)
{
    free(a->items);
    *a = (struct group_actions){0};
}

static void take_scores(struct conclusion *c)
{
    for (int i = 0; i < c->review->trial_count; i++) {
        const struct group_review_trial *t = &c->review->trials[i];
        if (!score_known(&t->score) || !t->group || grouper_group_of(c->g, t->camera) != t->group)
            continue;
        if (t->kind == GROUP_REVIEW_MEMBER)
            c->scores[t->camera] = &t->score;
        else if (t->kind == GROUP_REVIEW_PERSONAL)
            c->personal[t->camera] = &t->score;
    }
}

/* Offsets are from the group's mean, so they cancel out. */
static void centre_offsets(struct grouper *g, const struct group *k)
{
    double mean = 0;
    for (int i = 0; i < k->count; i++)
        mean += g->cameras[k->members[i]].offset / k->count;
    for (int i = 0; i < k->count; i++)
        camera_offset(&g->cameras[k->members[i]], g->cameras[k->members[i]].offset - mean);
}

/* Mean accuracy over the members, their frames, and each camera's own record. */
static void measure(struct conclusion *c, struct group *k)
{
    double sum = 0;
    int known = 0, frames = 0;
    k->windows++;
    centre_offsets(c->g, k);
    for (int i = 0; i < k->count; i++) {
        struct camera *m = &c->g->cameras[k->members[i]];
        const struct group_score *s = personal_score(c, k->members[i]);
        if (!s)
            continue;
        m->previous = m->accuracy;
        m->accuracy = s->accuracy;
        m->frames = s->frames;
        sum += s->accuracy;
        frames += s->frames;
        known++;
    }
    if (!known)
        return;
    double now = sum / known;
    if (isfinite(k->previous))
        k->gain = isfinite(k->gain) ? (k->gain + now - k->previous) / 2 : now - k->previous;
    k->previous = k->accuracy = now;
    k->frames = frames;
    k->best = fmax(k->best - BEST_FORGOTTEN, now); /* NaN is no maximum */
    k->below = now < k->best - c->g->settings.gap ? k->below + 1 : 0;
    k->quiet -= k->quiet > 0;
    group_recentre(c->g, k); /* its members' looks may be newer */
}

/* ---- Who is behind ---- */

static double usual(const struct grouper *g, int camera)
{
    return g->settings.policy == GROUP_POLICY_ATTUNE ? g->cameras[camera].offset : 0;
}

/* Mean of the others' scores, as a camera without an offset would have it; NaN without any. */
static double others_mean(const struct conclusion *c, const struct group *k, int but,
                          int *ret_frames, int *ret_count)
{
    double sum = 0;
    *ret_frames = *ret_count = 0;
    for (int i = 0; i < k->count; i++) {
        const struct group_score *s = personal_score(c, k->members[i]);
        if (!s || k->members[i] == but)
            continue;
        sum += s->accuracy - usual(c->g, k->members[i]);
        *ret_frames += s->frames;
        ++*ret_count;
    }
    return *ret_count ? sum / *ret_count : (double)NAN;
}

static bool behind_ecco(const struct conclusion *c, const struct group *k, int camera,
                        struct group_why *ret)
{
    const struct camera *m = &c->g->cameras[camera];
    bool fell = m->accuracy < m->previous - c->g->settings.drop;
    *ret = why_none(fell ? GROUP_WHY_FELL : GROUP_WHY_BEHIND);
    ret->reference = fell ? m->previous : k->accuracy;
    ret->margin = fell ? c->g->settings.drop : c->g->settings.gap;
    return fell || m->accuracy < k->accuracy - c->g->settings.gap;
}

/* In its first windows in a group; later a difference is news. */
static void learn_offset(struct camera *m, double surprise)
{
    if (m->offset_windows >= OFFSET_WINDOWS)
        return;
    m->offset_windows++;
    camera_offset(m, m->offset - surprise / (m->offset_windows + 1));
}

static bool behind_attune(const struct conclusion *c, const struct group *k, int camera,
                          struct group_why *ret)
{
    struct camera *m = &c->g->cameras[camera];
    int frames, count;
    double others = others_mean(c, k, camera, &frames, &count);
    struct evidence e =
        shortfall(&c->g->settings, m->accuracy, m->frames, m->offset, others, frames, count);
    *ret = why_none(m->personal ? GROUP_WHY_HELD : GROUP_WHY_BEHIND);
    ret->reference = others;
    ret->margin = leave_allowed(c->g, k, camera, &e);
    if (!isfinite(others))
        return false;
    bool behind = e.difference > ret->margin;
    if (!behind && k->windows > c->g->settings.patience)
        learn_offset(m, e.difference);
    return behind;
}

/* Counts, and collects in leavers and whys [k->count] who has been behind for long enough. */
static int find_leavers(struct conclusion *c, const struct group *k, int *leavers,
                        struct group_why *whys)
{
    const struct group_settings *s = &c->g->settings;
    int n = 0;
    for (int i = 0; i < k->count; i++) {
        struct camera *m = &c->g->cameras[k->members[i]];
        if (!c->scores[k->members[i]])
            continue;
        bool behind = s->policy == GROUP_POLICY_ECCO ? behind_ecco(c, k, k->members[i], &whys[n])
                                                     : behind_attune(c, k, k->members[i], &whys[n]);
        m->behind = behind ? m->behind + 1 : 0;
        whys[n].accuracy = m->accuracy;
        whys[n].windows = m->behind;
        if (m->behind >= s->patience)
            leavers[n++] = k->members[i];
    }
    return n;
}

/* ---- Leaving ---- */

/* It will not come back for a while, and for longer each time. */
static void keep_apart(struct grouper *g, int camera, uint64_t from)
{
    struct camera *m = &g->cameras[camera];
    m->apart = from;
    m->apart_windows = g->settings.patience << m->moves;
    m->moves += m->moves < MOVES_MAX;
    m->peace = 0;
    m->moved = true;
}

static bool alike(const struct grouper *g, int a, int b)
{
    double d = looks_distance(camera_looks(&g->cameras[a]), camera_looks(&g->cameras[b]));
    return !(d > g->settings.signature_unit);
}

enum status leave_for_new(struct conclusion *c, uint64_t from, const int *leavers,
                          const struct group_why *whys, int n, enum group_action_kind kind)
{
    struct grouper *g = c->g;
    struct group *to;
    uint64_t left;
    bool emptied;
    double sum = 0;
    enum status st = group_form(g, leavers[0], c->review->now_us, &to, &left, &emptied, c->err);
    for (int i = 1; i < n && st == ST_OK; i++)
        st = group_enter(g, to, leavers[i], &left, &emptied, c->err);
    for (int i = 0; i < n && st == ST_OK; i++) {
        sum += whys[i].accuracy;
        keep_apart(g, leavers[i], from);
        g->cameras[leavers[i]].moved = kind == GROUP_ACTION_LEAVE;
        st = act(c, kind, leavers[i], to->id, from, emptied && i == n - 1, whys[i]);
    }
    if (st == ST_OK)
        to->accuracy = to->previous = sum / n;
    return st;
}

/* Puts those that look like leavers[0] in front; returns how many they are. */
static int alike_first(const struct grouper *g, int *leavers, struct group_why *whys, int n)
{
    int together = 1;
    for (int i = 1; i < n; i++)
        if (alike(g, leavers[0], leavers[i])) {
            int camera = leavers[i];
            struct group_why why = whys[i];
            leavers[i] = leavers[together];
            whys[i] = whys[together];
            leavers[together] = camera;
            whys[together++] = why;
        }
    for (int i = 0; i < together && together > 1; i++)
        whys[i].code = GROUP_WHY_SPLIT;
    return together;
}

static enum status check_members(struct conclusion *c, struct group *k)
{
    int leavers[GROUP_MEMBERS_MAX];
    struct group_why whys[GROUP_MEMBERS_MAX];
    bool one_by_one = c->g->settings.policy == GROUP_POLICY_ECCO;
    uint64_t id = k->id;
    int n = k->count > 1 ? find_leavers(c, k, leavers, whys) : 0;
    enum status st = ST_OK;
    for (int at = 0, gone; at < n && st == ST_OK; at += gone) {
        gone = one_by_one ? 1 : alike_first(c->g, leavers + at, whys + at, n - at);
        st = leave_for_new(c, id, leavers + at, whys + at, gone,
                           gone > 1 ? GROUP_ACTION_SPLIT : GROUP_ACTION_LEAVE);
    }
    if (st == ST_OK && n == 0 && c->g->settings.policy == GROUP_POLICY_ATTUNE)
        st = split_mixed(c, k);
    return st;
}

/* Groups that form on the way are not checked: they are behind the ones that were there. */
static enum status check_groups(struct conclusion *c)
{
    struct grouper *g = c->g;
    uint64_t last = g->next_id - 1;
    enum status st = ST_OK;
    for (int i = 0; i < g->group_count && g->groups[i]->id <= last && st == ST_OK;) {
        uint64_t id = g->groups[i]->id;
        st = check_members(c, g->groups[i]);
        i += i < g->group_count && g->groups[i]->id == id; /* it may have ended */
    }
    return st;
}

/* What time heals. */
static void let_time_pass(struct grouper *g)
{
    for (int i = 0; i < g->limit; i++) {
        struct camera *m = &g->cameras[i];
        m->personal_wait -= m->personal_wait > 0;
        if (m->apart_windows > 0 && --m->apart_windows == 0)
            m->apart = 0;
        if (m->moves > 0 && ++m->peace >= MOVES_WINDOWS) {
            m->moves--;
            m->peace = 0;
        }
    }
    g->window++;
}

static enum status conclude(struct conclusion *c)
{
    struct grouper *g = c->g;
    enum status st = ST_OK;
    take_scores(c);
    for (int i = 0; i < g->group_count; i++)
        measure(c, g->groups[i]);
    if (g->settings.policy != GROUP_POLICY_NONE)
        st = check_groups(c);
    if (st == ST_OK && g->settings.policy != GROUP_POLICY_NONE)
        st = merge_conclude(c);
    if (st == ST_OK && g->settings.policy == GROUP_POLICY_ATTUNE)
        st = personal_conclude(c);
    if (st == ST_OK)
        st = rest_conclude(c);
    let_time_pass(g);
    return st;
}

enum status grouper_conclude(struct grouper *g, const struct group_review *r,
                             struct group_actions *ret, struct error *err)
{
    struct group_actions actions = {0};
    struct conclusion c = {.g = g, .review = r, .actions = &actions, .err = err};
    c.scores = calloc(2 * ((size_t)g->limit + 1), sizeof *c.scores);
    if (!c.scores)
        return error_set(err, ST_NOMEM, "no memory to conclude a review");
    c.personal = c.scores + g->limit + 1;
    enum status st = conclude(&c);
    free(c.scores);
    *ret = actions;
    return st;
}
