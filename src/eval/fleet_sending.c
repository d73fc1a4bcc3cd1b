/* fleet_sending.c - what each camera of a fleet sends in the window that begins.
 *
 * The labels that the capacity affords are the same under every policy. Fixed: every camera has the
 * same part of them and of the uplink. By share (ECCO, our reading): a group has its part of the
 * training compute of them, its members divide it, and bandwidth goes by the same weights, as GAIMD
 * settles at; what a camera has no use for goes to the others. */
#include <math.h>

#include "eval/fleet_internal.h"

#define FPS_LEAST 0.05 /* so that every camera is seen to drift */
#define FPS_MOST 1.0   /* AMS's highest rate */
#define DRAWS 8.0      /* how often a training looks at a labelled frame, at most */

static double part_of(const struct fleet *f, const struct fleet_group *g)
{
    if (!f->policy->by_share || !f->allocator)
        return (double)g->member_count / f->s->camera_count;
    return allocator_share(f->allocator, g->id);
}

/* Frames a second that a group can train on: each is drawn DRAWS times. */
static double need_fps(const struct fleet *f, const struct fleet_group *g)
{
    double train = f->s->capacity * (1 - f->s->label_part);
    return part_of(f, g) * train / f->costs.recipe_step_s * f->costs.batch / DRAWS;
}

static void set_rates(struct fleet *f, struct fleet_sending *s)
{
    double total = fleet_label_fps(f) * f->s->camera_count;
    for (int i = 0; i < f->s->camera_count; i++) {
        const struct fleet_group *g = f->cameras[i].group;
        double fps = total * part_of(f, g) / g->member_count;
        if (f->policy->by_share)
            fps = fmin(fps, need_fps(f, g) / g->member_count);
        s[i].fps = fmin(fmax(fps, FPS_LEAST), FPS_MOST);
    }
}

/* In proportion to the frames, or equally. */
static void set_bandwidth(struct fleet *f, struct fleet_sending *s)
{
    double sum = 0;
    for (int i = 0; i < f->s->camera_count; i++)
        sum += f->policy->weighted ? s[i].fps : 1;
    for (int i = 0; i < f->s->camera_count; i++)
        s[i].kbps = f->s->uplink_kbps * (f->policy->weighted ? s[i].fps : 1) / sum;
}

void fleet_set_sending(struct fleet *f)
{
    const struct task_spec *spec = labeller_student_spec(f->shared.labeller);
    struct fleet_sending s[FLEET_CAMERAS_MAX];
    set_rates(f, s);
    set_bandwidth(f, s);
    for (int i = 0; i < f->s->camera_count; i++) {
        s[i].width = spec->width;
        s[i].height = spec->height;
        fleet_camera_send_as(&f->cameras[i], &s[i]);
    }
}
