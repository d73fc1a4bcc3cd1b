/* review.c - a window's end, first phase: what to evaluate. */
#include <stdlib.h>

#include "group/internal.h"

enum status review_add(struct group_review *r, int *capacity, enum group_review_kind kind,
                       uint64_t group, int camera, struct error *err)
{
    if (r->trial_count == *capacity) {
        int more = *capacity ? 2 * *capacity : 64;
        struct group_review_trial *trials = realloc(r->trials, (size_t)more * sizeof *trials);
        if (!trials)
            return error_set(err, ST_NOMEM, "no memory to review groups");
        r->trials = trials;
        *capacity = more;
    }
    r->trials[r->trial_count++] = (struct group_review_trial){
        .kind = kind, .group = group, .camera = camera, .score = group_score_none()};
    return ST_OK;
}

void group_review_clear(struct group_review *r)
{
    free(r->trials);
    *r = (struct group_review){0};
}

static enum status members(const struct grouper *g, struct group_review *r, int *capacity,
                           struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < g->group_count; i++)
        for (int m = 0; m < g->groups[i]->count && st == ST_OK; m++)
            st = review_add(r, capacity, GROUP_REVIEW_MEMBER, g->groups[i]->id,
                            g->groups[i]->members[m], err);
    return st;
}

enum status grouper_review(struct grouper *g, uint64_t now_us, struct group_review *ret,
                           struct error *err)
{
    struct group_review r = {.now_us = now_us};
    int capacity = 0;
    enum status st = members(g, &r, &capacity, err);
    if (st == ST_OK && g->settings.policy != GROUP_POLICY_NONE)
        st = merge_review(g, &r, &capacity, err);
    if (st == ST_OK && g->settings.policy == GROUP_POLICY_ATTUNE)
        st = personal_review(g, &r, &capacity, err);
    if (st == ST_OK)
        *ret = r;
    else
        group_review_clear(&r);
    return st;
}
