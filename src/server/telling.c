/* telling.c - what cameras are told of their group's part of the compute: see control_tell_groups.
 *
 * A camera chooses its rate itself, within what its group can train on (uplink/controller.h), and
 * paces its uploads by its weight. What is told as the group's share is its part of the labels
 * (uplink/sending.h): a policy may let frames follow shares in part only. Under one with one rate
 * for all, shares are not told. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/board.h"
#include "server/control_internal.h"
#include "uplink/sending.h"

#define LABELS_KNOWN 16 /* frames, before what a label takes is believed */

/* Frames a second that labelling can do; without a measurement, all that cameras may send. */
static double labels_fps(const struct server *s, int cameras)
{
    double most = config_live(s->config).sampling_fps_max * cameras;
    unsigned long long frames = s->counters.frames_labelled;
    double label_s = (double)s->counters.label_us / 1e6 / (double)(frames ? frames : 1);
    if (frames < LABELS_KNOWN || !(label_s > 0))
        return most;
    double processors = s->set.label_share > 0 ? s->set.label_share : s->set.label_threads;
    return fmin(most, processors / label_s);
}

static int list_groups(const struct control *c, const double *parts, struct sending_group *ret,
                       int *ret_cameras)
{
    int n = 0;
    *ret_cameras = 0;
    for (int i = 0; i < c->count; i++) {
        int members = c->seats[i].trainee.count;
        if (members == 0)
            continue;
        ret[n++] = (struct sending_group){members, parts ? parts[i] : (double)NAN};
        *ret_cameras += members;
    }
    return n;
}

static bool tell_group(const struct control *c, const struct seat *s,
                       const struct sending_member *m)
{
    const struct trainee *t = &s->trainee;
    bool news = false;
    struct board_group g;
    board_group_init(&g);
    g.members = t->count;
    if (c->server->dividing.sharing->by_share > 0)
        g.share = control_capacity(c) * m->labels;
    g.weight = m->weight;
    if (t->count > 1)
        snprintf(g.id, sizeof g.id, "%s", t->id);
    for (int k = 0; k < t->count; k++)
        news |= board_set_group(c->server->board, t->members[k].camera, &g);
    return news;
}

void control_tell_groups(struct control *c, const double *parts)
{
    const struct server *s = c->server;
    int cameras, at = 0;
    bool news = false;
    struct sending_group *groups = calloc((size_t)c->count + 1, sizeof *groups);
    struct sending_member *members = calloc((size_t)c->count + 1, sizeof *members);
    int n = groups && members ? list_groups(c, parts, groups, &cameras) : 0;
    if (!groups || !members)
        log_write(LOG_ERROR, "shares not told", "why=\"no memory for %d groups\"", c->count);
    if (n > 0) {
        struct sending_rules r = {.by_share = s->dividing.sharing->by_share,
                                  .weighted = s->dividing.sharing->weighted,
                                  .total_fps = labels_fps(s, cameras),
                                  .trainable_fps = INFINITY,
                                  .fps_min = config_live(s->config).sampling_fps_min,
                                  .fps_max = config_live(s->config).sampling_fps_max};
        sending_divide(&r, groups, n, members);
    }
    for (int i = 0; i < c->count && at < n; i++) {
        if (c->seats[i].trainee.count == 0)
            continue;
        c->seats[i].part = members[at].part;
        news |= tell_group(c, &c->seats[i], &members[at++]);
    }
    if (news)
        bell_ring(&c->server->bell);
    free(groups);
    free(members);
}
