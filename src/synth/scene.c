/* scene.c - draws a street from the seed: carriageway and lanes, two rows of houses with gaps,
 * trees and lamps along the kerbs, something that closes the view, and a camera on a pole.
 * The numbers are tastes, chosen by looking; all that matters is that streets differ. */
#include "synth/scene.h"

#include <string.h>

#include "base/rng.h"

static float between(struct rng *r, float low, float high)
{
    return low + (high - low) * rng_float(r);
}

static bool chance(struct rng *r, float p)
{
    return rng_float(r) < p;
}

static void pick_color(struct rng *r, const float (*palette)[3], uint32_t n, float spread,
                       float out[3])
{
    const float *c = palette[rng_below(r, n)];
    float k = between(r, 1.0f - spread, 1.0f + spread);
    for (int i = 0; i < 3; i++)
        out[i] = exact_clamp(c[i] * k * between(r, 0.94f, 1.06f), 0.01f, 0.9f);
}

static void add_lane(struct street *s, float x, int direction, float speed_m_s)
{
    s->lanes[s->lane_count++] = (struct lane){x, direction, speed_m_s};
}

static void build_street(struct street *s, struct rng *r)
{
    uint32_t layout = rng_below(r, 3);
    static const float half[] = {5.0f, 6.4f, 7.4f}, cycle[] = {4.3f, 3.75f, 6.8f};
    s->half_width = half[layout];
    s->cycle_x = cycle[layout];
    s->parking_x = layout == 1 ? 5.3f : 0.0f;
    for (int side = -1; side <= 1; side += 2) {
        add_lane(s, (float)side * 1.85f, side, between(r, 6.5f, 9.5f));
        if (layout == 2)
            add_lane(s, (float)side * 4.9f, side, between(r, 5.5f, 8.0f));
    }
    s->pavement[0] = between(r, 3.0f, 5.0f);
    s->pavement[1] = between(r, 3.0f, 5.0f);
    s->length = between(r, 70.0f, 115.0f);
    if (chance(r, 0.55f)) {
        s->crossing0 = between(r, 26.0f, 44.0f);
        s->crossing1 = s->crossing0 + between(r, 8.0f, 12.0f);
    }
    s->zebra = s->crossing1 > 0  ? s->crossing0 - 3.6f
               : chance(r, 0.5f) ? between(r, 14.0f, 26.0f)
                                 : 0.0f;
    s->asphalt = between(r, 0.075f, 0.13f);
    s->slab = between(r, 0.24f, 0.38f);
    s->yellow_marks = chance(r, 0.25f);
}

static void add_house(struct scene *s, struct rng *r, struct vec3 min, struct vec3 max)
{
    static const float walls[][3] = {
        {0.42f, 0.20f, 0.13f}, {0.55f, 0.42f, 0.27f}, {0.62f, 0.56f, 0.44f}, {0.36f, 0.34f, 0.33f},
        {0.58f, 0.36f, 0.18f}, {0.30f, 0.17f, 0.12f}, {0.45f, 0.50f, 0.54f}, {0.66f, 0.60f, 0.55f},
        {0.50f, 0.28f, 0.24f}, {0.26f, 0.29f, 0.33f}};
    static const float trims[][3] = {{0.10f, 0.22f, 0.16f}, {0.35f, 0.07f, 0.06f},
                                     {0.08f, 0.12f, 0.28f}, {0.45f, 0.32f, 0.07f},
                                     {0.12f, 0.12f, 0.12f}, {0.55f, 0.52f, 0.48f}};
    if (s->block_count == SCENE_BLOCKS_MAX)
        return;
    struct block *b = &s->blocks[s->block_count++];
    *b = (struct block){.min = min, .max = max, .kind = BLOCK_HOUSE};
    pick_color(r, walls, 10, 0.2f, b->wall);
    pick_color(r, trims, 6, 0.2f, b->trim);
    b->floor_m = between(r, 2.8f, 3.5f);
    b->bay_m = between(r, 1.9f, 3.2f);
    b->shop_m = chance(r, 0.6f) ? between(r, 3.2f, 4.0f) : 0.0f;
    b->window_width = between(r, 0.42f, 0.72f);
    b->window_height = between(r, 0.45f, 0.66f);
    b->seed = (uint32_t)rng_u64(r);
}

/* One row of houses from behind the camera to the end of the street. */
static void build_row(struct scene *s, struct rng *r, int side)
{
    const struct street *st = &s->street;
    float front = st->half_width + st->pavement[side > 0];
    float y = -24.0f;
    while (y < st->length) {
        float width = between(r, 9.0f, 19.0f), y1 = y + width;
        bool in_crossing = st->crossing1 > 0 && y < st->crossing1 && y1 > st->crossing0;
        if (in_crossing && y1 - st->crossing0 > width * 0.5f) {
            y = st->crossing1;
            continue;
        }
        if (in_crossing)
            y1 = st->crossing0;
        float set_back = chance(r, 0.2f) ? between(r, 0.3f, 1.5f) : 0.0f;
        float x0 = front + set_back, x1 = x0 + between(r, 9.0f, 14.0f);
        struct vec3 min = {side > 0 ? x0 : -x1, y, 0};
        struct vec3 max = {side > 0 ? x1 : -x0, y1, between(r, 7.0f, 20.0f)};
        if (!chance(r, 0.06f))
            add_house(s, r, min, max);
        y = y1 + (chance(r, 0.18f) ? between(r, 1.0f, 4.0f) : 0.0f);
    }
}

/* Houses of the side street, so that one does not look into nothing. */
static void build_side_street(struct scene *s, struct rng *r)
{
    const struct street *st = &s->street;
    if (st->crossing1 <= 0)
        return;
    for (int side = -1; side <= 1; side += 2) {
        float x0 = st->half_width + st->pavement[side > 0] + 34.0f, x1 = x0 + 12.0f;
        struct vec3 min = {side > 0 ? x0 : -x1, st->crossing0 - 20.0f, 0};
        struct vec3 max = {side > 0 ? x1 : -x0, st->crossing1 + 20.0f, between(r, 8.0f, 16.0f)};
        add_house(s, r, min, max);
    }
}

static void add_bridge_part(struct scene *s, struct vec3 min, struct vec3 max, float albedo)
{
    if (s->block_count == SCENE_BLOCKS_MAX)
        return;
    struct block *b = &s->blocks[s->block_count++];
    *b = (struct block){.min = min, .max = max, .kind = BLOCK_BRIDGE, .seed = s->seed};
    for (int i = 0; i < 3; i++) {
        b->wall[i] = albedo * (1.0f - 0.06f * (float)i);
        b->trim[i] = albedo * 0.5f;
    }
}

/* A railway bridge with a dark passage, or houses across the end. */
static void build_end(struct scene *s, struct rng *r)
{
    const struct street *st = &s->street;
    float y = st->length, wide = st->half_width + 1.0f;
    if (chance(r, 0.5f)) {
        float top = between(r, 7.0f, 9.5f);
        add_bridge_part(s, (struct vec3){-60, y, 0}, (struct vec3){-wide, y + 9, top}, 0.3f);
        add_bridge_part(s, (struct vec3){wide, y, 0}, (struct vec3){60, y + 9, top}, 0.3f);
        add_bridge_part(s, (struct vec3){-wide, y, 5.2f}, (struct vec3){wide, y + 9, top}, 0.34f);
        add_bridge_part(s, (struct vec3){-wide, y + 8, 0}, (struct vec3){wide, y + 9, 5.2f}, 0.02f);
        return;
    }
    for (float x = -48; x < 48; x += 16)
        add_house(s, r, (struct vec3){x, y + 12, 0},
                  (struct vec3){x + 16, y + 24, between(r, 8.0f, 17.0f)});
}

static void add_post(struct scene *s, struct post p)
{
    if (s->post_count < SCENE_POSTS_MAX)
        s->posts[s->post_count++] = p;
}

static void add_tree(struct scene *s, struct rng *r, float x, float y)
{
    static const float leaves[][3] = {
        {0.07f, 0.16f, 0.03f}, {0.10f, 0.19f, 0.04f}, {0.05f, 0.13f, 0.04f}, {0.16f, 0.19f, 0.04f}};
    float height = between(r, 4.6f, 7.4f), radius = between(r, 1.3f, 2.1f);
    add_post(s, (struct post){x, y, between(r, 0.14f, 0.24f), 0, height, true});
    float color[3];
    pick_color(r, leaves, 4, 0.2f, color);
    for (int i = 0; i < 6 && s->crown_count < SCENE_CROWNS_MAX; i++) {
        struct crown *c = &s->crowns[s->crown_count++];
        float a = (float)i / 5.0f + between(r, -0.06f, 0.06f), out = i ? radius * 0.62f : 0.0f;
        c->centre = (struct vec3){x + out * exact_cos(a), y + out * exact_sin(a),
                                  height + (i ? between(r, -0.5f, 0.5f) : radius * 0.6f)};
        c->radius = radius * between(r, 0.68f, 0.9f);
        c->seed = (uint32_t)rng_u64(r);
        memcpy(c->color, color, sizeof color);
    }
}

static bool blocked(const struct street *st, float y)
{
    return (y > st->crossing0 - 2.5f && y < st->crossing1 + 2.5f && st->crossing1 > 0) ||
           (st->zebra > 0 && y > st->zebra - 3.0f && y < st->zebra + 3.0f);
}

static void build_trees(struct scene *s, struct rng *r, int side)
{
    const struct street *st = &s->street;
    float density = between(r, 0.1f, 0.9f), x = (float)side * (st->half_width + 0.9f);
    bool near_camera = x * s->pose.eye.x > 0;
    float y = near_camera ? between(r, 17.0f, 24.0f) : between(r, 9.0f, 16.0f);
    for (int n = 0; y < st->length - 4.0f && n < SCENE_TREES_MAX / 2;
         n++, y += between(r, 8.0f, 14.0f))
        if (!blocked(st, y) && chance(r, density))
            add_tree(s, r, x, y);
}

static void build_lamps(struct scene *s, struct rng *r)
{
    const struct street *st = &s->street;
    float step = between(r, 15.0f, 22.0f), height = between(r, 5.8f, 7.2f);
    int side = chance(r, 0.5f) ? 1 : -1;
    for (float y = -8.0f + between(r, 0.0f, 6.0f); y < st->length; y += step, side = -side) {
        if (s->lamp_count == SCENE_LAMPS_MAX)
            return;
        float x = (float)side * (st->half_width + 0.45f);
        s->lamps[s->lamp_count++] = (struct vec3){x - (float)side * 1.1f, y, height};
        add_post(s, (struct post){x, y, 0.085f, 0, height + 0.1f, false});
    }
}

static struct pose look_at(struct vec3 eye, struct vec3 target, float focal)
{
    struct pose p = {.eye = eye, .focal = focal};
    p.forward = vec3_unit(vec3_sub(target, eye));
    p.right = vec3_unit(vec3_cross(p.forward, (struct vec3){0, 0, 1}));
    p.up = vec3_cross(p.right, p.forward);
    return p;
}

static void build_pose(struct scene *s, struct rng *r)
{
    const struct street *st = &s->street;
    float side = chance(r, 0.5f) ? 1.0f : -1.0f;
    struct vec3 eye = {side * (st->half_width + between(r, -0.4f, 1.2f)), 0,
                       between(r, 4.2f, 6.0f)};
    struct vec3 target;
    if (chance(r, 0.35f)) /* across the street */
        target = (struct vec3){-side * (st->half_width + 1.0f), between(r, 13.0f, 20.0f),
                               between(r, 0.8f, 1.8f)};
    else
        target = (struct vec3){between(r, -3.0f, 3.0f) - side * 1.5f, between(r, 26.0f, 38.0f),
                               between(r, 0.2f, 2.0f)};
    s->pose = look_at(eye, target, between(r, 0.72f, 0.92f));
}

void scene_build(struct scene *s, uint64_t seed, int camera)
{
    struct rng r;
    rng_init(&r, seed, (uint64_t)camera + 1);
    memset(s, 0, sizeof *s);
    s->seed = (uint32_t)rng_u64(&r);
    build_street(&s->street, &r);
    build_pose(s, &r);
    build_row(s, &r, -1);
    build_row(s, &r, 1);
    build_side_street(s, &r);
    build_end(s, &r);
    build_trees(s, &r, -1);
    build_trees(s, &r, 1);
    build_lamps(s, &r);
    float azimuth = rng_float(&r), height = between(&r, 0.75f, 1.6f);
    s->sun = vec3_unit((struct vec3){exact_cos(azimuth), exact_sin(azimuth) - 0.35f, height});
    for (int i = 0; i < 3; i++)
        s->tint[i] = between(&r, 0.94f, 1.06f);
}

static struct vec3 turn(struct vec3 a, struct vec3 b, float turns)
{
    return vec3_add(vec3_scale(a, exact_cos(turns)), vec3_scale(b, exact_sin(turns)));
}

struct pose scene_pose(const struct scene *s, const struct scenario_bump *bump)
{
    struct pose p = s->pose;
    struct vec3 forward = turn(p.forward, p.right, bump->yaw_deg / 360.0f);
    struct vec3 right = vec3_unit(vec3_cross(forward, p.up));
    p.forward = vec3_unit(turn(forward, p.up, bump->pitch_deg / 360.0f));
    struct vec3 up = vec3_cross(right, p.forward);
    p.right = vec3_unit(turn(right, up, bump->roll_deg / 360.0f));
    p.up = vec3_cross(p.right, p.forward);
    return p;
}

float scene_lamp_light(const struct scene *s, struct vec3 p, struct vec3 n)
{
    float sum = 0;
    for (int i = 0; i < s->lamp_count; i++) {
        struct vec3 to = vec3_sub(s->lamps[i], p);
        float d2 = vec3_dot(to, to) + 0.5f, d = sqrtf(d2);
        float facing = n.x == 0 && n.y == 0 && n.z == 0 ? 0.6f : vec3_dot(to, n) / d;
        float down = exact_clamp(to.z / d, 0, 1); /* lamps shine downwards */
        if (facing > 0)
            sum += facing * (0.15f + 0.85f * down) * 34.0f / d2;
    }
    return sum > 1.6f ? 1.6f : sum;
}
