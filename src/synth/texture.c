/* texture.c - procedural colours. Patterns are laid out in metres, so that they keep their size
 * in every camera; ids of window panes come from their place, so that a lit window stays itself. */
#include "synth/texture.h"

#include "synth/town.h"

static void set_gray(struct surface *s, float v)
{
    s->albedo[0] = s->albedo[1] = s->albedo[2] = v;
}

static void set_color(struct surface *s, const float c[3], float k)
{
    for (int i = 0; i < 3; i++)
        s->albedo[i] = c[i] * k;
}

static float repeat(float x, float period)
{
    return x - exact_floor(x / period) * period;
}

static bool in_side_street(const struct street *st, float y)
{
    return st->crossing1 > 0 && y > st->crossing0 + 1.2f && y < st->crossing1 - 1.2f;
}

static bool on_zebra(const struct street *st, float x, float y)
{
    float at = y - st->zebra;
    return st->zebra > 0 && at > -1.5f && at < 1.5f && repeat(x + 50.0f, 1.1f) < 0.55f &&
           x > -st->half_width + 0.4f && x < st->half_width - 0.4f;
}

static bool on_mark(const struct street *st, float x, float y)
{
    if (st->zebra > 0 && y > st->zebra - 2.6f && y < st->zebra + 2.6f)
        return false;
    float edge = fabsf(fabsf(x) - (st->half_width - 0.25f));
    bool dash = repeat(y + 100.0f, 6.0f) < 3.0f;
    bool parting = st->lane_count > 2 && fabsf(fabsf(x) - 3.4f) < 0.08f && dash;
    bool middle = st->lane_count > 2 ? fabsf(fabsf(x) - 0.16f) < 0.07f : fabsf(x) < 0.08f && dash;
    return middle || parting || edge < 0.07f;
}

/* How worn the road is by wheels, 0..1: darker in dry weather, and where snow melts first. */
static float wheel_track(const struct street *st, float x)
{
    float best = 9;
    for (int i = 0; i < st->lane_count; i++) {
        float d = fabsf(fabsf(x - st->lanes[i].x) - 0.75f);
        best = d < best ? d : best;
    }
    return 1.0f - exact_smooth(0.1f, 0.5f, best);
}

static void texture_road(const struct scene *scene, struct surface *s)
{
    const struct street *st = &scene->street;
    float x = s->p.x, y = s->p.y, track = wheel_track(st, x);
    float k = 0.86f + 0.2f * exact_noise(x * 0.5f, y * 0.13f, scene->seed) +
              0.14f * exact_noise(x * 4.0f, y * 4.0f, scene->seed + 1) - 0.1f * track;
    if (exact_noise(x * 0.25f, y * 0.08f, scene->seed + 2) > 0.72f)
        k *= 0.82f; /* mended places */
    s->class_id = TOWN_ROAD;
    s->ground = 1;
    s->top = 0.95f - 0.4f * track;
    set_gray(s, st->asphalt * k);
    if (on_zebra(st, x, y))
        set_gray(s, 0.62f * k);
    else if (on_mark(st, x, y) && fabsf(x) < st->half_width && !in_side_street(st, y)) {
        static const float yellow[3] = {0.66f, 0.46f, 0.07f};
        if (st->yellow_marks && fabsf(x) < 0.3f)
            set_color(s, yellow, k);
        else
            set_gray(s, 0.62f * k);
    }
}

static void texture_pavement(const struct scene *scene, struct surface *s)
{
    const struct street *st = &scene->street;
    float x = fabsf(s->p.x) - st->half_width, y = s->p.y;
    float k = 0.88f + 0.24f * exact_noise(s->p.x * 1.3f, y * 1.3f, scene->seed + 3);
    s->class_id = TOWN_PAVEMENT;
    s->ground = 0.55f;
    s->top = 1;
    if (x < 0.22f) { /* kerb stone */
        set_gray(s, st->slab * 1.35f * k);
        return;
    }
    bool joint = repeat(x, 0.6f) < 0.06f || repeat(y + 90.0f, 0.9f) < 0.06f;
    static const float warm[3] = {1.04f, 1.0f, 0.92f};
    set_color(s, warm, st->slab * (joint ? 0.72f : 1.0f) * k);
}

void texture_ground(const struct scene *scene, struct surface *s)
{
    const struct street *st = &scene->street;
    bool road = fabsf(s->p.x) < st->half_width || in_side_street(st, s->p.y);
    if (road)
        texture_road(scene, s);
    else
        texture_pavement(scene, s);
}

/* A pane: dark glass that mirrors some sky, now and then a curtain. */
static void set_pane(struct surface *s, uint32_t id, float v)
{
    float sky = 0.05f + 0.16f * v * exact_unit(exact_hash(id, 1, 7));
    s->albedo[0] = sky * 0.75f;
    s->albedo[1] = sky * 0.92f;
    s->albedo[2] = sky * 1.15f;
    if (exact_unit(exact_hash(id, 2, 7)) < 0.22f)
        set_gray(s, 0.3f + 0.2f * v);
    s->window = (uint16_t)(1 + id % 65535u);
}

static void texture_shop(const struct block *b, struct surface *s, float u, float z)
{
    float v = z / b->shop_m, at = repeat(u, b->bay_m * 1.6f) / (b->bay_m * 1.6f);
    uint32_t bay = (uint32_t)(int32_t)exact_floor(u / (b->bay_m * 1.6f));
    if (v > 0.78f)
        set_color(s, b->trim, 1.25f); /* sign */
    else if (v > 0.16f && at > 0.08f && at < 0.92f)
        set_pane(s, exact_hash(b->seed, bay, 77), v);
    else
        set_color(s, b->trim, 0.8f);
}

static void texture_storeys(const struct block *b, struct surface *s, float u, float z)
{
    float row = exact_floor(z / b->floor_m), column = exact_floor(u / b->bay_m);
    float fu = u / b->bay_m - column, fv = z / b->floor_m - row;
    float du = fabsf(fu - 0.5f) - 0.5f * b->window_width;
    float dv = fabsf(fv - 0.52f) - 0.5f * b->window_height;
    float k = 0.9f + 0.2f * exact_noise(u * 0.7f, z * 0.7f, b->seed);
    uint32_t id = exact_hash(b->seed, (uint32_t)(int32_t)row, (uint32_t)(int32_t)column);
    if (du < 0 && dv < 0) {
        bool bar = fabsf(fu - 0.5f) < 0.025f;
        if (bar)
            set_gray(s, 0.55f);
        else
            set_pane(s, id, fv);
    } else if (du < 0.06f && dv < 0.05f) {
        set_gray(s, 0.58f); /* frame and sill */
    } else {
        set_color(s, b->wall, fv < 0.05f ? k * 0.8f : k);
    }
}

void texture_block(const struct block *b, struct surface *s)
{
    s->class_id = TOWN_BUILDING;
    if (s->n.z > 0.5f) {
        set_gray(s, 0.22f);
        s->top = 1;
        return;
    }
    float u = (s->n.x != 0 ? s->p.y - b->min.y : s->p.x - b->min.x) + 0.3f, z = s->p.z;
    if (b->kind == BLOCK_BRIDGE) {
        bool joint = repeat(z, 0.7f) < 0.07f || repeat(u, 1.4f) < 0.07f;
        set_color(s, joint ? b->trim : b->wall, 0.85f + 0.3f * exact_noise(u, z, b->seed));
    } else if (z > b->max.z - 0.6f) {
        set_color(s, b->wall, 0.65f); /* cornice */
        s->top = 0.3f;
    } else if (z < b->shop_m) {
        texture_shop(b, s, u, z);
    } else if (z > b->max.z - 0.6f - 0.2f * b->floor_m) {
        set_color(s, b->wall, 1);
    } else {
        texture_storeys(b, s, u, z - b->shop_m);
    }
}

void texture_crown(const struct crown *c, struct surface *s)
{
    float k = 0.55f + 0.9f * exact_noise(s->p.x * 3.0f + s->p.y * 1.7f, s->p.z * 3.0f, c->seed);
    s->class_id = TOWN_TREE;
    set_color(s, c->color, k * (0.8f + 0.3f * s->n.z));
    s->top = exact_smooth(-0.1f, 0.8f, s->n.z) * 0.95f;
}

void texture_post(const struct post *p, struct surface *s)
{
    static const float bark[3] = {0.13f, 0.09f, 0.06f}, steel[3] = {0.10f, 0.12f, 0.11f};
    s->class_id = p->trunk ? TOWN_TREE : TOWN_BUILDING;
    set_color(s, p->trunk ? bark : steel, 1);
    s->top = 0.1f;
}
