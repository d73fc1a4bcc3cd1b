/* fleet_sending.c - what each camera of a fleet sends in the window that begins (uplink/sending.h).
 */
#include <math.h>

#include "eval/fleet_internal.h"
#include "uplink/sending.h"

#define FPS_LEAST 0.03 /* so that every camera is seen to drift */
#define FPS_MOST 1.0   /* AMS's highest rate */
#define DRAWS 4.0      /* how often a training looks at a labelled frame, at most */

static struct sending_rules rules_of(const struct fleet *f)
{
    double train = f->s->capacity * (1 - f->s->label_part);
    return (struct sending_rules){.by_share = f->policy->by_share,
                                  .weighted = f->policy->weighted,
                                  .total_fps = fleet_label_fps(f) * f->s->camera_count,
                                  .trainable_fps =
                                      train / f->costs.recipe_step_s * f->costs.batch / DRAWS,
                                  .fps_min = FPS_LEAST,
                                  .fps_max = FPS_MOST};
}

static void send_as(struct fleet *f, const struct fleet_group *g, const struct sending_member *m)
{
    const struct task_spec *spec = labeller_student_spec(f->shared.labeller);
    struct fleet_sending s = {.fps = m->fps,
                              .width = spec->width,
                              .height = spec->height,
                              .kbps = f->s->uplink_kbps * m->weight / f->s->camera_count};
    for (int i = 0; i < g->member_count; i++)
        fleet_camera_send_as(&f->cameras[g->members[i]], &s);
}

void fleet_set_sending(struct fleet *f)
{
    struct sending_rules r = rules_of(f);
    struct sending_group groups[FLEET_CAMERAS_MAX];
    struct sending_member members[FLEET_CAMERAS_MAX];
    int places[FLEET_CAMERAS_MAX], n = 0;
    for (int i = 0; i < f->s->camera_count; i++) {
        const struct fleet_group *g = f->groups[i];
        if (!g)
            continue;
        double part = f->allocator ? allocator_share(f->allocator, g->id) : NAN;
        places[n] = i;
        groups[n++] = (struct sending_group){g->member_count, part};
    }
    sending_divide(&r, groups, n, members);
    for (int i = 0; i < n; i++)
        send_as(f, f->groups[places[i]], &members[i]);
}
