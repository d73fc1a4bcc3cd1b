/* light.c - three kinds of light (day, dusk, night), each in a clear and an overcast form, mixed
 * by the condition's intensities. Values are linear and were chosen by looking at pictures. */
#include "synth/light.h"

#include <string.h>

#include "synth/exact.h"

struct mood {
    float ambient[3], sun[3], zenith[3], horizon[3], cloud[3], lamp, exposure, noise, saturation;
};

static const struct mood day = {{0.34f, 0.40f, 0.50f},
                                {1.25f, 1.10f, 0.90f},
                                {0.13f, 0.30f, 0.68f},
                                {0.58f, 0.72f, 0.88f},
                                {0.92f, 0.93f, 0.95f},
                                0.0f,
                                1.0f,
                                1.4f,
                                1.0f};
static const struct mood dusk = {{0.13f, 0.115f, 0.19f},
                                 {0.50f, 0.17f, 0.05f},
                                 {0.09f, 0.09f, 0.27f},
                                 {0.90f, 0.36f, 0.12f},
                                 {0.60f, 0.24f, 0.22f},
                                 0.55f,
                                 1.0f,
                                 3.0f,
                                 1.0f};
static const struct mood night = {{0.011f, 0.015f, 0.033f},
                                  {0, 0, 0},
                                  {0.0035f, 0.005f, 0.017f},
                                  {0.028f, 0.024f, 0.036f},
                                  {0.020f, 0.019f, 0.027f},
                                  1.0f,
                                  1.3f,
                                  6.5f,
                                  0.95f};

static void mix3(float out[3], const float a[3], const float b[3], float t)
{
    for (int i = 0; i < 3; i++)
        out[i] = exact_mix(a[i], b[i], t);
}

static struct mood mix_moods(const struct mood *a, const struct mood *b, float t)
{
    struct mood m;
    mix3(m.ambient, a->ambient, b->ambient, t);
    mix3(m.sun, a->sun, b->sun, t);
    mix3(m.zenith, a->zenith, b->zenith, t);
    mix3(m.horizon, a->horizon, b->horizon, t);
    mix3(m.cloud, a->cloud, b->cloud, t);
    m.lamp = exact_mix(a->lamp, b->lamp, t);
    m.exposure = exact_mix(a->exposure, b->exposure, t);
    m.noise = exact_mix(a->noise, b->noise, t);
    m.saturation = exact_mix(a->saturation, b->saturation, t);
    return m;
}

static float brightness(const float c[3])
{
    return 0.3f * c[0] + 0.55f * c[1] + 0.15f * c[2];
}

/* The sun goes, part of its light comes back gray from everywhere. */
static void overcast(struct mood *m, float amount, float transmitted)
{
    static const float cool[3] = {0.94f, 1.0f, 1.07f};
    float sun = brightness(m->sun), sky = brightness(m->horizon);
    float level = (brightness(m->ambient) + 0.3f * sun) * transmitted;
    float dome = (0.6f * sky + 0.1f * sun) * transmitted;
    for (int i = 0; i < 3; i++) {
        m->ambient[i] = exact_mix(m->ambient[i], level * cool[i], amount);
        m->sun[i] *= (1.0f - amount) * (1.0f - amount);
        m->zenith[i] = exact_mix(m->zenith[i], dome * 0.8f * cool[i], amount);
        m->horizon[i] = exact_mix(m->horizon[i], dome * cool[i], amount);
        m->cloud[i] = exact_mix(m->cloud[i], dome * 0.62f * cool[i], amount);
    }
    m->saturation *= 1.0f - 0.35f * amount * (1.0f - 0.6f * m->lamp);
    m->lamp = m->lamp > 0.5f * amount * (1.0f - m->lamp) ? m->lamp : 0.5f * amount * 0.3f;
}

static float most(float a, float b)
{
    return a > b ? a : b;
}

void light_of(const struct town_condition *c, struct light *ret)
{
    static const float lamp_color[3] = {1.0f, 0.60f, 0.24f};
    struct mood m = mix_moods(&day, &dusk, exact_smooth(0, 1, c->dusk));
    m = mix_moods(&m, &night, exact_smooth(0, 1, c->night));
    overcast(&m, exact_clamp(most(most(1.4f * c->rain, 1.3f * c->snow), 1.2f * c->fog), 0, 1),
             1.0f - 0.42f * c->rain + 0.12f * c->snow);
    struct light l = {.cloudiness = 0.35f + 0.5f * most(c->rain, c->snow)};
    memcpy(l.ambient, m.ambient, sizeof l.ambient);
    memcpy(l.sun, m.sun, sizeof l.sun);
    memcpy(l.zenith, m.zenith, sizeof l.zenith);
    memcpy(l.horizon, m.horizon, sizeof l.horizon);
    memcpy(l.cloud, m.cloud, sizeof l.cloud);
    float glow = brightness(m.horizon);
    for (int i = 0; i < 3; i++) {
        l.lamp[i] = lamp_color[i] * LIGHT_LAMP * m.lamp;
        l.fog[i] = m.horizon[i] * 0.9f + lamp_color[i] * m.lamp * (0.012f + 0.03f * c->fog);
        l.flake[i] = 0.75f * m.ambient[i] * 2.0f + 0.2f * glow + l.lamp[i] * 0.5f;
        l.drop[i] = 0.5f * m.ambient[i] + 0.45f * glow + l.lamp[i] * 0.4f;
    }
    l.fog_per_m = 0.0012f + 0.07f * c->fog * c->fog + 0.012f * c->rain + 0.016f * c->snow;
    l.beacons = exact_clamp(m.lamp * 1.2f + 0.5f * most(c->rain, most(c->fog, c->snow)), 0, 1);
    l.lit_share = 0.42f * m.lamp;
    l.wet = exact_clamp(c->rain * 1.5f, 0, 1) * (1.0f - 0.8f * c->snow);
    l.snow = c->snow;
    l.rain_drops = c->rain;
    l.snow_flakes = c->snow;
    l.exposure = m.exposure;
    l.noise = m.noise + 1.5f * c->rain;
    l.saturation = m.saturation;
    *ret = l;
}

void light_panes(const struct light *l, uint32_t seed, uint64_t t_us, float ret[LIGHT_PANES])
{
    for (uint32_t i = 0; i < LIGHT_PANES; i++) {
        uint32_t h = exact_hash(i, seed, 21);
        uint32_t minute = (uint32_t)((t_us / 1000000 + h % 173) / 173);
        float u = exact_unit(exact_hash(h, minute, 22));
        ret[i] = u < l->lit_share ? 0.25f + 0.75f * exact_unit(exact_hash(h, 3, 23)) : 0.0f;
    }
}
