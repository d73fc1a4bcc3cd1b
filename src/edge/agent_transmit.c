/* agent_transmit.c - the transmission controller (uplink/controller.h) and the pacing of uploads
 * (uplink/pacing.h) of a camera.
 *
 * The controller works once a chunk, where the server says what the camera's group can train on;
 * elsewhere frames go at AMS's rate and the student's size, as many bits as the server allows.
 */
#include <math.h>

#include "base/log.h"
#include "edge/agent_internal.h"

#define BACKLOG_SPEED 1.25
#define COST_PART 0.3 /* of a chunk in what is believed of the next ones */
#define COST_MAX 20.0

enum status agent_transmit_open(struct agent *a, struct error *err)
{
    struct agent_transmit *t = &a->transmit;
    controller_table_init(&t->table);
    controller_init(&t->controller);
    atomic_store(&t->bandwidth_kbps, INFINITY);
    atomic_store(&a->controlled_fps, INFINITY);
    if (!a->options.uplink_table)
        return ST_OK;
    return controller_table_open(a->options.uplink_table, &t->table, err);
}

/* ---- controller ---- */

static struct controller_input input_of(struct agent *a, const struct client_settings *s)
{
    struct controller_input in = {.share = s->send.group_share,
                                  .members = s->send.members,
                                  .bandwidth_kbps = agent_transmit_kbps(a),
                                  .asr_fps = atomic_load(&a->asr_fps),
                                  .width = a->spec.width,
                                  .height = a->spec.height,
                                  .cost = a->transmit.cost,
                                  .scale_min = s->send.scale_min,
                                  .scale_max = s->send.scale_max};
    if (a->spec.task != TASK_SEGMENT) /* a crop is small enough */
        in.scale_min = in.scale_max = 1;
    return in;
}

static void tell(const struct client_settings *s, const struct controller_input *in,
                 const struct controller_choice *c)
{
    log_write(LOG_INFO, "transmission",
              "group=\"%s\" members=%d share=%.2f bandwidth_kbps=%.0f asr_fps=%.2f fps=%.2f "
              "width=%d height=%d kbps=%.0f cost=%.2f",
              s->send.group, s->send.members, s->send.group_share, in->bandwidth_kbps, in->asr_fps,
              c->fps, c->width, c->height, c->kbps, in->cost);
}

void agent_transmit_choose(struct agent *a)
{
    struct agent_transmit *t = &a->transmit;
    struct client_settings s = agent_settings(a);
    if (!(s.send.group_share > 0)) {
        t->choice = (struct controller_choice){0};
        controller_init(&t->controller);
        atomic_store(&a->controlled_fps, INFINITY);
        return;
    }
    const struct controller_choice before = t->choice;
    struct controller_input in = input_of(a, &s);
    controller_step(&t->controller, &t->table, &in, &t->choice);
    atomic_store(&a->controlled_fps, t->choice.fps);
    if (t->choice.width != before.width || fabs(t->choice.fps - before.fps) > 0.1 * before.fps)
        tell(&s, &in, &t->choice);
}

void agent_transmit_learn(struct agent *a, int frames, size_t bytes, double elapsed_s, bool all)
{
    struct agent_transmit *t = &a->transmit;
    if (t->choice.width == 0 || frames == 0 || elapsed_s <= 0)
        return;
    const struct client_settings s = agent_settings(a);
    struct controller_input in = input_of(a, &s);
    in.cost = 1;
    double cost = (double)bytes * 8e-3 / elapsed_s /
                  controller_expected_kbps(&t->table, &in, t->choice.scale, frames / elapsed_s);
    if (t->cost > 0)
        cost = t->cost + COST_PART * (cost - t->cost);
    if (all || cost > t->cost) /* cut to a budget, it says only that it is no less */
        t->cost = fmin(fmax(cost, 1 / COST_MAX), COST_MAX);
}

double agent_transmit_kbps(struct agent *a)
{
    return fmin(agent_settings(a).uplink_kbps, atomic_load(&a->transmit.bandwidth_kbps));
}

double agent_transmit_finest(const struct agent *a, double standard)
{
    const struct agent_transmit *t = &a->transmit;
    return t->choice.width > 0 ? fmax(t->table.rate_factor, standard) : standard;
}

/* ---- pacing ---- */

static void follow_wishes(struct agent *a, const struct client_settings *s)
{
    struct gaimd_options o;
    gaimd_options_init(&o);
    o.law = s->send.law;
    o.weight = s->send.weight;
    o.exponent = s->send.exponent;
    o.rate_start_kbps = s->uplink_kbps;
    o.rate_max_kbps = s->uplink_kbps * BACKLOG_SPEED;
    client_pace(a->upload_client, o.law ? &o : NULL);
}

void agent_transmit_pace(struct agent *a)
{
    struct agent_transmit *t = &a->transmit;
    uint64_t wishes = atomic_load(&a->wishes);
    if (wishes != t->wishes_seen) {
        const struct client_settings s = agent_settings(a);
        t->wishes_seen = wishes;
        follow_wishes(a, &s);
    }
    struct client_pacing p;
    client_pacing_get(a->upload_client, &p);
    double kbps = p.rate_kbps > 0 ? p.rate_kbps : INFINITY;
    if (p.goodput_kbps > 0)
        kbps = fmin(kbps, p.goodput_kbps);
    atomic_store(&t->bandwidth_kbps, kbps);
}
