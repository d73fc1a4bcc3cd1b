/* sampler.c - slots a period apart; a frame is taken when it is the first at or after its slot. */
#include "edge/sampler.h"

static double clamped(double rate_fps)
{
    if (!(rate_fps >= SAMPLER_FPS_MIN))
        return SAMPLER_FPS_MIN;
    return rate_fps < SAMPLER_FPS_MAX ? rate_fps : SAMPLER_FPS_MAX;
}

void sampler_init(struct sampler *s, double rate_fps)
{
    *s = (struct sampler){.rate_fps = clamped(rate_fps)};
}

void sampler_set_rate(struct sampler *s, double rate_fps)
{
    s->rate_fps = clamped(rate_fps);
}

/* Whether the frame is in a slot of its own; then that slot is taken. */
static bool take_slot(struct sampler *s, uint64_t now_us)
{
    uint64_t period_us = (uint64_t)(1e6 / s->rate_fps);
    if (!s->started || now_us < s->taken_us) { /* the first, or a clock that went back */
        s->started = true;
        s->taken_us = now_us;
        return true;
    }
    uint64_t since_us = now_us - s->taken_us;
    if (since_us < period_us)
        return false;
    s->taken_us = since_us < 2 * period_us ? s->taken_us + period_us : now_us;
    return true;
}

bool sampler_take(struct sampler *s, uint64_t now_us)
{
    if (s->started && now_us == s->last_us)
        return true;
    if (!take_slot(s, now_us))
        return false;
    s->last_us = now_us;
    return true;
}
