/* weather.c - particles have no state: where drop k is at t_us follows from k and t_us. Sizes are
 * relative to the picture, so that rain looks alike at every size. */
#include "synth/weather.h"

#include "synth/exact.h"

#define DROPS 420
#define FLAKES 520

struct area {
    int x0, y0, x1, y1;
};

static struct area clip_area(const struct canvas *c, float x, float y, float rx, float ry)
{
    float w = (float)c->width, h = (float)c->height;
    return (struct area){(int)exact_clamp(x - rx, 0, w), (int)exact_clamp(y - ry, 0, h),
                         (int)exact_clamp(x + rx + 1, 0, w), (int)exact_clamp(y + ry + 1, 0, h)};
}

void weather_glow(struct canvas *c, const struct glow *g, float haze)
{
    float reach = g->radius * (5.0f + 5.0f * haze), spread = 0.035f + 0.12f * haze;
    struct area a = clip_area(c, g->x, g->y, reach, reach);
    float inv_core = 1.0f / (g->radius * g->radius), inv_reach = 1.0f / (reach * reach);
    for (int y = a.y0; y < a.y1; y++)
        for (int x = a.x0; x < a.x1; x++) {
            float dx = (float)x + 0.5f - g->x, dy = (float)y + 0.5f - g->y;
            float d2 = dx * dx + dy * dy, rim = 1.0f - d2 * inv_reach;
            if (rim <= 0)
                continue;
            float q = d2 * inv_core;
            float k = (1.0f / (1.0f + q * q) + spread / (1.0f + 0.15f * q)) * rim;
            size_t at = (size_t)y * (size_t)c->width + (size_t)x;
            for (int i = 0; i < 3; i++)
                c->rgb[i][at] += k * g->color[i];
        }
}

void weather_streak(struct canvas *c, const struct glow *g, float wet, float mirror_y,
                    const struct view *v)
{
    float half = g->radius * 1.1f + 0.5f, length = 0.55f * (mirror_y - g->y) + 3.0f;
    struct area a = clip_area(c, g->x, mirror_y, half * 2, length);
    for (int y = a.y0; y < a.y1; y++) {
        float t = ((float)y + 0.5f - mirror_y) / length, along = 1.0f - t * t;
        float ripple = 0.4f + exact_unit(exact_hash((uint32_t)y, (uint32_t)(int)g->x, 51));
        for (int x = a.x0; x < a.x1 && along > 0; x++) {
            size_t at = (size_t)y * (size_t)c->width + (size_t)x;
            float dx = ((float)x + 0.5f - g->x) / half;
            float k = wet * along * along * ripple * 0.26f / (1.0f + dx * dx * dx * dx);
            for (int i = 0; i < 3 && v->ground[at]; i++)
                c->rgb[i][at] += k * g->color[i];
        }
    }
}

static void blend(struct canvas *c, int x, int y, const float color[3], float alpha)
{
    if (x < 0 || y < 0 || x >= c->width || y >= c->height)
        return;
    size_t at = (size_t)y * (size_t)c->width + (size_t)x;
    for (int i = 0; i < 3; i++)
        c->rgb[i][at] += (color[i] - c->rgb[i][at]) * alpha;
}

/* A particle's fall: how far it is in its cycle (0..1) and which cycle that is. */
static float fall(uint32_t k, uint32_t seed, uint64_t t_us, uint64_t period_us, uint32_t *cycle)
{
    uint64_t shifted = t_us + exact_hash(k, seed, 61) % 1000000u * period_us / 1000000u;
    *cycle = (uint32_t)(shifted / period_us);
    return (float)(shifted % period_us) / (float)period_us;
}

void weather_rain(struct canvas *c, const struct light *l, uint32_t seed, uint64_t t_us)
{
    int count = (int)(l->rain_drops * DROPS);
    float w = (float)c->width, h = (float)c->height;
    for (int k = 0; k < count; k++) {
        uint32_t cycle, hash = exact_hash((uint32_t)k, seed, 62);
        float near = exact_unit(hash), length = h * (0.05f + 0.10f * near);
        float f = fall((uint32_t)k, seed, t_us, 260000 + hash % 200000u, &cycle);
        float x = exact_unit(exact_hash(hash, cycle, 63)) * w * 1.1f;
        float y = f * (h + length) - length, slant = -0.13f - 0.04f * near;
        float alpha = (0.10f + 0.26f * near) * (0.6f + 0.4f * l->rain_drops);
        int wide = near > 0.6f ? 1 + (int)(w / 640.0f) : 1 + (int)(w / 960.0f);
        for (int i = 0; i < (int)length; i++)
            for (int j = 0; j < wide; j++)
                blend(c, (int)(x + slant * (y + (float)i)) + j, (int)y + i, l->drop, alpha);
    }
}

static void flake(struct canvas *c, float x, float y, float radius, const float color[3],
                  float alpha)
{
    struct area a = clip_area(c, x, y, radius + 1, radius + 1);
    for (int py = a.y0; py < a.y1; py++)
        for (int px = a.x0; px < a.x1; px++) {
            float dx = (float)px + 0.5f - x, dy = (float)py + 0.5f - y;
            float k = radius + 0.5f - sqrtf(dx * dx + dy * dy);
            if (k > 0)
                blend(c, px, py, color, alpha * (k < 1 ? k : 1));
        }
}

void weather_snow(struct canvas *c, const struct light *l, uint32_t seed, uint64_t t_us)
{
    int count = (int)(l->snow_flakes * FLAKES);
    float w = (float)c->width, h = (float)c->height;
    for (int k = 0; k < count; k++) {
        uint32_t cycle, hash = exact_hash((uint32_t)k, seed, 72);
        float near = exact_unit(hash);
        near *= near * near;
        float f =
            fall((uint32_t)k, seed + 1, t_us, (uint64_t)(4200000.0f - 2600000.0f * near), &cycle);
        float sway = exact_sin((float)(t_us % 3000000u) * (1.0f / 3e6f) + exact_unit(hash * 7));
        float x = exact_unit(exact_hash(hash, cycle, 73)) * w * 1.2f - 0.15f * w * f;
        float radius = w * (0.0016f + 0.0062f * near);
        flake(c, x + sway * w * 0.008f, f * (h + 8) - 4, radius, l->flake, 0.85f - 0.35f * near);
    }
}
