/* lens.c - a spot on the lens is far out of focus: it passes the mean of what is around each point,
 * taken from a coarse grid of cells, and adds its own colour. */
#include "synth/lens.h"

#include "synth/exact.h"

#define GRID_X 24
#define GRID_Y 16

struct grid {
    float rgb[GRID_Y][GRID_X][3];
};

static void mean_cell(const struct canvas *c, int gx, int gy, float ret[3])
{
    int x0 = gx * c->width / GRID_X, x1 = (gx + 1) * c->width / GRID_X;
    int y0 = gy * c->height / GRID_Y, y1 = (gy + 1) * c->height / GRID_Y;
    for (int i = 0; i < 3; i++) {
        float sum = 0;
        for (int y = y0; y < y1; y++)
            for (int x = x0; x < x1; x++)
                sum += c->rgb[i][(size_t)y * (size_t)c->width + (size_t)x];
        ret[i] = sum / (float)((x1 - x0) * (y1 - y0));
    }
}

static void average(const struct canvas *c, struct grid *g)
{
    for (int y = 0; y < GRID_Y; y++)
        for (int x = 0; x < GRID_X; x++)
            mean_cell(c, x, y, g->rgb[y][x]);
}

/* Between the four cells around (u, v) in 0..1. */
static float blurred(const struct grid *g, int channel, float u, float v)
{
    float x = exact_clamp(u * GRID_X - 0.5f, 0, GRID_X - 1.001f);
    float y = exact_clamp(v * GRID_Y - 0.5f, 0, GRID_Y - 1.001f);
    int x0 = (int)x, y0 = (int)y;
    float top = exact_mix(g->rgb[y0][x0][channel], g->rgb[y0][x0 + 1][channel], x - (float)x0);
    float low =
        exact_mix(g->rgb[y0 + 1][x0][channel], g->rgb[y0 + 1][x0 + 1][channel], x - (float)x0);
    return exact_mix(top, low, y - (float)y0);
}

/* How much of the spot is at a point; its edge is soft and not round. */
static float cover(const struct scenario_dirt *d, float u, float v, float aspect)
{
    float dx = (u - d->x) / d->radius, dy = (v - d->y) / (d->radius * aspect);
    float r = sqrtf(dx * dx + dy * dy);
    r += 0.35f * (exact_noise(u * 9.0f, v * 9.0f, 77) - 0.5f);
    return d->density * (1.0f - exact_smooth(0.75f, 1.05f, r));
}

static void smear(struct canvas *c, const struct grid *g, const struct scenario_dirt *d)
{
    static const float mud[3] = {0.62f, 0.52f, 0.40f}; /* of the light that it stops */
    float aspect = (float)c->width / (float)c->height;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            float u = ((float)x + 0.5f) / (float)c->width, v = ((float)y + 0.5f) / (float)c->height;
            float k = cover(d, u, v, aspect);
            size_t at = (size_t)y * (size_t)c->width + (size_t)x;
            for (int i = 0; i < 3 && k > 0; i++) {
                float through = blurred(g, i, u, v) * exact_mix(1.0f, mud[i], 0.6f);
                c->rgb[i][at] += (through - c->rgb[i][at]) * k;
            }
        }
}

static void fill(struct canvas *c, float level)
{
    size_t n = (size_t)c->width * (size_t)c->height;
    for (int i = 0; i < 3; i++)
        for (size_t p = 0; p < n; p++)
            c->rgb[i][p] = level;
}

uint64_t lens_time(const struct scenario *s, int camera, uint64_t t_us)
{
    const struct scenario_blind *b = scenario_blind_at(s, camera, t_us);
    return b && b->look == LOOK_FROZEN ? (uint64_t)((double)b->t_s * 1e6) : t_us;
}

void lens_spoil(struct canvas *c, const struct scenario *s, int camera, uint64_t t_us)
{
    const struct scenario_blind *b = scenario_blind_at(s, camera, t_us);
    if (b && b->look != LOOK_FROZEN) {
        fill(c, b->look == LOOK_BLACK ? 0.0f : 4.0f);
        return;
    }
    struct grid g;
    bool averaged = false;
    for (int i = 0; i < s->dirt_count; i++) {
        const struct scenario_dirt *d = &s->dirt[i];
        if (d->camera != camera || !scenario_fault_is_on(d->t_s, d->until_s, t_us))
            continue;
        if (!averaged)
            average(c, &g);
        averaged = true;
        smear(c, &g, d);
    }
}
