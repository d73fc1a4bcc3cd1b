/* mesh.c - a handful of boxes, frustums and capsules per kind. Shapes are in metres in the actor's
 * own axes: x to its right, y forward, z up. Panes, lamps and stripes are thin decals that win
 * against the panel they lie on. */
#include "synth/mesh.h"

#include <string.h>

#include "synth/town.h"

#define NEAR_M 0.4f
#define DECAL 1.004f

struct pen {
    const struct stage *stage;
    const struct actor *actor;
    uint8_t id;
    float sunlit; /* 0 where houses shade the actor */
    float bias;   /* factor on 1/depth */
};

static const float glass[3] = {0.025f, 0.035f, 0.045f}, tyre[3] = {0.02f, 0.02f, 0.02f};
static const float white[3] = {0.75f, 0.75f, 0.70f}, red[3] = {0.45f, 0.02f, 0.02f};
static const float chassis[3] = {0.04f, 0.04f, 0.045f}, amber[3] = {0.7f, 0.35f, 0.03f};

bool mesh_project(const struct view *v, struct vec3 at, struct raster_vertex *out)
{
    float depth;
    view_project(&v->pose, v->width, v->height, at, &out->x, &out->y, &depth);
    if (depth < NEAR_M)
        return false;
    out->inv_depth = 1.0f / depth;
    return true;
}

static struct vec3 to_world(const struct actor *a, struct vec3 p)
{
    return (struct vec3){a->at.x + p.x * a->direction, a->at.y + p.y * a->direction, p.z};
}

/* Clips against the near plane and projects; returns the number of vertices. */
static int clip(const struct view *v, const struct vec3 *p, int n, float bias,
                struct raster_vertex *out)
{
    int count = 0;
    for (int i = 0, j = n - 1; i < n && count < RASTER_VERTICES_MAX - 1; j = i++) {
        float zi = vec3_dot(vec3_sub(p[i], v->pose.eye), v->pose.forward) - NEAR_M;
        float zj = vec3_dot(vec3_sub(p[j], v->pose.eye), v->pose.forward) - NEAR_M;
        if ((zi > 0) != (zj > 0)) {
            struct vec3 cut = vec3_add(p[j], vec3_scale(vec3_sub(p[i], p[j]), zj / (zj - zi)));
            cut = vec3_add(cut, vec3_scale(v->pose.forward, 0.01f));
            count += mesh_project(v, cut, &out[count]);
        }
        if (zi > 0)
            count += mesh_project(v, p[i], &out[count]);
    }
    for (int i = 0; i < count; i++)
        out[i].inv_depth *= bias;
    return count;
}

/* A convex panel given in the actor's axes, counter-clockwise seen from outside. */
static void panel(const struct pen *pen, const struct vec3 *local, int n, const float color[3])
{
    const struct view *v = pen->stage->view;
    struct vec3 p[12];
    for (int i = 0; i < n; i++)
        p[i] = to_world(pen->actor, local[i]);
    struct vec3 normal = vec3_cross(vec3_sub(p[1], p[0]), vec3_sub(p[2], p[0]));
    if (vec3_dot(normal, vec3_sub(v->pose.eye, p[0])) <= 0)
        return;
    normal = vec3_unit(normal);
    struct raster_vertex screen[RASTER_VERTICES_MAX];
    int count = clip(v, p, n, pen->bias, screen);
    float sun = vec3_dot(normal, pen->stage->scene->sun);
    struct paint paint = {.sun = sun > 0 ? sun * pen->sunlit : 0,
                          .top = exact_smooth(0.5f, 0.9f, normal.z)};
    float shade = 0.8f + 0.2f * normal.z;
    for (int i = 0; i < 3; i++)
        paint.color[i] = color[i] * shade;
    if (count >= 3)
        raster_polygon(pen->stage->raster, v, screen, count, &paint, pen->id);
}

struct frustum {
    float w0, y0, y1, z0; /* half width and ends of the bottom */
    float w1, y2, y3, z1; /* of the top */
};

enum side { SIDE_RIGHT, SIDE_FRONT, SIDE_LEFT, SIDE_REAR, SIDE_TOP };

static void frustum_side(const struct frustum *f, enum side side, struct vec3 q[4])
{
    struct vec3 b[4] = {{f->w0, f->y0, f->z0},
                        {f->w0, f->y1, f->z0},
                        {-f->w0, f->y1, f->z0},
                        {-f->w0, f->y0, f->z0}};
    struct vec3 t[4] = {{f->w1, f->y2, f->z1},
                        {f->w1, f->y3, f->z1},
                        {-f->w1, f->y3, f->z1},
                        {-f->w1, f->y2, f->z1}};
    if (side == SIDE_TOP) {
        memcpy(q, t, sizeof t);
        return;
    }
    int i = (int)side, j = (i + 1) & 3;
    q[0] = b[i];
    q[1] = b[j];
    q[2] = t[j];
    q[3] = t[i];
}

/* A rectangle of a panel's own coordinates u along its bottom, v upwards, 0..1 each. */
static void decal(const struct pen *pen, const struct vec3 q[4], float u0, float u1, float v0,
                  float v1, const float color[3])
{
    const float uv[4][2] = {{u0, v0}, {u1, v0}, {u1, v1}, {u0, v1}};
    struct vec3 p[4];
    for (int i = 0; i < 4; i++) {
        struct vec3 low = vec3_add(vec3_scale(q[0], 1 - uv[i][0]), vec3_scale(q[1], uv[i][0]));
        struct vec3 high = vec3_add(vec3_scale(q[3], 1 - uv[i][0]), vec3_scale(q[2], uv[i][0]));
        p[i] = vec3_add(vec3_scale(low, 1 - uv[i][1]), vec3_scale(high, uv[i][1]));
    }
    struct pen on_top = *pen;
    on_top.bias *= DECAL;
    panel(&on_top, p, 4, color);
}

static void side_decal(const struct pen *pen, const struct frustum *f, enum side side,
                       const float at[4], const float color[3])
{
    struct vec3 q[4];
    frustum_side(f, side, q);
    decal(pen, q, at[0], at[1], at[2], at[3], color);
}

static void solid(const struct pen *pen, const struct frustum *f, const float color[3])
{
    for (int side = SIDE_RIGHT; side <= SIDE_TOP; side++) {
        struct vec3 q[4];
        frustum_side(f, (enum side)side, q);
        panel(pen, q, 4, color);
    }
}

static void wheel(const struct pen *pen, float x, float y, float radius)
{
    static const float hub[3] = {0.25f, 0.25f, 0.26f};
    struct vec3 p[10], h[10];
    for (int i = 0; i < 10; i++) {
        float a = (x > 0 ? 1.0f : -1.0f) * (float)i * 0.1f;
        p[i] = (struct vec3){x, y + radius * exact_cos(a), radius + radius * exact_sin(a)};
        h[i] = vec3_add(vec3_scale(p[i], 0.5f), vec3_scale((struct vec3){x, y, radius}, 0.5f));
    }
    struct pen on_top = *pen;
    on_top.bias *= DECAL;
    panel(&on_top, p, 10, tyre);
    on_top.bias *= DECAL;
    panel(&on_top, h, 10, hub);
}

static void wheels(const struct pen *pen, float x, float y, float radius)
{
    wheel(pen, x, y, radius);
    wheel(pen, -x, y, radius);
}

/* Head and tail lamps and a plate on a body's ends; u grows to the left at the front. */
static void lamps(const struct pen *pen, const struct frustum *body, float v0, float v1)
{
    static const float headlight[3] = {0.88f, 0.88f, 0.80f};
    for (int i = 0; i < 2; i++) {
        float u0 = i ? 0.76f : 0.06f, u1 = u0 + 0.18f;
        side_decal(pen, body, SIDE_FRONT, (const float[4]){u0, u1, v0, v1}, headlight);
        side_decal(pen, body, SIDE_REAR, (const float[4]){u0, u1, v0, v1}, red);
    }
    side_decal(pen, body, SIDE_FRONT, (const float[4]){0.38f, 0.62f, v0 * 0.5f, v0}, white);
    side_decal(pen, body, SIDE_REAR, (const float[4]){0.38f, 0.62f, v0, v1}, white);
}

static const float *pick(const float (*palette)[3], uint32_t n, uint32_t hash)
{
    return palette[hash % n];
}

static void draw_car(const struct pen *pen)
{
    static const float paints[][3] = {{0.72f, 0.72f, 0.72f},  {0.42f, 0.44f, 0.46f},
                                      {0.03f, 0.03f, 0.035f}, {0.05f, 0.09f, 0.26f},
                                      {0.46f, 0.04f, 0.035f}, {0.17f, 0.18f, 0.19f},
                                      {0.06f, 0.17f, 0.10f},  {0.50f, 0.42f, 0.28f},
                                      {0.10f, 0.28f, 0.46f},  {0.65f, 0.35f, 0.04f}};
    uint32_t h = exact_hash(pen->actor->seed, 9, 9);
    const float *color = pick(paints, 10, h);
    bool estate = (h >> 8) % 3 == 0;
    float roof = 1.42f + 0.2f * exact_unit(exact_hash(h, 1, 2)), end = estate ? -1.95f : -1.35f;
    struct frustum body = {0.9f, -2.1f, 2.1f, 0.26f, 0.87f, -2.08f, 2.0f, 0.86f};
    struct frustum cabin = {0.85f, estate ? -2.08f : -1.8f, 1.05f, 0.86f, 0.68f, end, 0.3f, roof};
    solid(pen, &body, color);
    solid(pen, &cabin, color);
    const float front[4] = {0.06f, 0.94f, 0.08f, 0.90f}, rear[4] = {0.1f, 0.9f, 0.2f, 0.88f};
    const float pane1[4] = {0.12f, 0.50f, 0.14f, 0.86f}, pane2[4] = {0.54f, 0.90f, 0.14f, 0.86f};
    side_decal(pen, &cabin, SIDE_FRONT, front, glass);
    side_decal(pen, &cabin, SIDE_REAR, rear, glass);
    for (int s = SIDE_RIGHT; s <= SIDE_LEFT; s += 2) {
        side_decal(pen, &cabin, (enum side)s, pane1, glass);
        side_decal(pen, &cabin, (enum side)s, pane2, glass);
    }
    lamps(pen, &body, 0.45f, 0.8f);
    wheels(pen, 0.905f, 1.3f, 0.33f);
    wheels(pen, 0.905f, -1.3f, 0.33f);
}

static void draw_lorry(const struct pen *pen)
{
    static const float boxes[][3] = {{0.70f, 0.70f, 0.68f},
                                     {0.62f, 0.60f, 0.52f},
                                     {0.40f, 0.42f, 0.44f},
                                     {0.12f, 0.20f, 0.42f},
                                     {0.48f, 0.30f, 0.10f}};
    static const float cabs[][3] = {
        {0.66f, 0.66f, 0.66f}, {0.45f, 0.06f, 0.05f}, {0.08f, 0.14f, 0.36f}, {0.10f, 0.26f, 0.13f}};
    uint32_t h = exact_hash(pen->actor->seed, 9, 9);
    struct frustum frame = {1.0f, -4.2f, 4.0f, 0.4f, 1.0f, -4.2f, 4.0f, 0.95f};
    struct frustum cab = {1.15f, 2.35f, 4.2f, 0.5f, 1.1f, 2.35f, 3.9f, 2.7f};
    struct frustum box = {1.25f, -4.25f, 2.15f, 0.95f, 1.25f, -4.25f, 2.15f, 3.5f};
    solid(pen, &frame, chassis);
    solid(pen, &box, pick(boxes, 5, h));
    solid(pen, &cab, pick(cabs, 4, h >> 8));
    const float *stripe = pick(cabs, 4, h >> 8);
    for (int s = SIDE_RIGHT; s <= SIDE_LEFT; s += 2) {
        side_decal(pen, &box, (enum side)s, (const float[4]){0.12f, 0.88f, 0.36f, 0.6f}, stripe);
        side_decal(pen, &cab, (enum side)s, (const float[4]){0.3f, 0.85f, 0.5f, 0.86f}, glass);
    }
    side_decal(pen, &box, SIDE_REAR, (const float[4]){0.48f, 0.52f, 0.03f, 0.97f}, chassis);
    side_decal(pen, &cab, SIDE_FRONT, (const float[4]){0.07f, 0.93f, 0.48f, 0.9f}, glass);
    side_decal(pen, &cab, SIDE_FRONT, (const float[4]){0.2f, 0.8f, 0.18f, 0.36f}, chassis);
    lamps(pen, &cab, 0.06f, 0.14f);
    lamps(pen, &frame, 0.4f, 0.9f);
    wheels(pen, 1.16f, 3.2f, 0.5f);
    wheels(pen, 1.16f, -1.9f, 0.5f);
    wheels(pen, 1.16f, -3.1f, 0.5f);
}

static void draw_bus(const struct pen *pen)
{
    static const float paints[][3] = {
        {0.55f, 0.05f, 0.04f}, {0.70f, 0.48f, 0.05f}, {0.05f, 0.26f, 0.36f}, {0.10f, 0.34f, 0.14f}};
    uint32_t h = exact_hash(pen->actor->seed, 9, 9);
    const float *color = pick(paints, 4, h);
    struct frustum body = {1.25f, -5.3f, 5.3f, 0.32f, 1.22f, -5.3f, 5.2f, 3.15f};
    solid(pen, &body, color);
    for (int s = SIDE_RIGHT; s <= SIDE_LEFT; s += 2) {
        for (int i = 0; i < 7; i++) {
            float u = 0.03f + 0.136f * (float)i;
            side_decal(pen, &body, (enum side)s, (const float[4]){u, u + 0.122f, 0.42f, 0.82f},
                       glass);
        }
        side_decal(pen, &body, (enum side)s, (const float[4]){0.0f, 1.0f, 0.86f, 0.93f}, white);
    }
    side_decal(pen, &body, SIDE_RIGHT, (const float[4]){0.85f, 0.94f, 0.05f, 0.4f}, glass);
    side_decal(pen, &body, SIDE_RIGHT, (const float[4]){0.44f, 0.53f, 0.05f, 0.4f}, glass);
    side_decal(pen, &body, SIDE_FRONT, (const float[4]){0.06f, 0.94f, 0.32f, 0.82f}, glass);
    side_decal(pen, &body, SIDE_FRONT, (const float[4]){0.2f, 0.8f, 0.86f, 0.96f}, amber);
    side_decal(pen, &body, SIDE_REAR, (const float[4]){0.12f, 0.88f, 0.52f, 0.84f}, glass);
    lamps(pen, &body, 0.1f, 0.19f);
    wheels(pen, 1.26f, 3.4f, 0.48f);
    wheels(pen, 1.26f, -3.0f, 0.48f);
}

/* A limb between two points of the actor's axes; radii in metres. */
static void limb(const struct pen *pen, struct vec3 a, struct vec3 b, float ra, float rb,
                 const float color[3])
{
    const struct view *v = pen->stage->view;
    struct raster_vertex pa, pb;
    if (!mesh_project(v, to_world(pen->actor, a), &pa) ||
        !mesh_project(v, to_world(pen->actor, b), &pb))
        return;
    float k = v->pose.focal * (float)v->width;
    struct paint paint = {.sun = 0.55f * pen->sunlit};
    memcpy(paint.color, color, sizeof paint.color);
    ra *= k * pa.inv_depth;
    rb *= k * pb.inv_depth;
    pa.inv_depth *= pen->bias;
    pb.inv_depth *= pen->bias;
    raster_capsule(pen->stage->raster, v, &pa, &pb, ra, rb, &paint, pen->id);
}

struct outfit {
    const float *coat, *trousers, *skin, *hair;
};

static struct outfit dress(uint32_t seed)
{
    static const float coats[][3] = {
        {0.40f, 0.05f, 0.05f}, {0.05f, 0.10f, 0.30f}, {0.06f, 0.06f, 0.07f}, {0.60f, 0.56f, 0.45f},
        {0.08f, 0.24f, 0.12f}, {0.58f, 0.36f, 0.05f}, {0.28f, 0.10f, 0.26f}, {0.22f, 0.34f, 0.42f}};
    static const float trousers[][3] = {
        {0.04f, 0.05f, 0.09f}, {0.03f, 0.03f, 0.03f}, {0.10f, 0.13f, 0.22f}, {0.24f, 0.19f, 0.13f}};
    static const float skins[][3] = {
        {0.50f, 0.31f, 0.23f}, {0.36f, 0.20f, 0.13f}, {0.15f, 0.08f, 0.05f}};
    static const float hairs[][3] = {
        {0.03f, 0.02f, 0.02f}, {0.12f, 0.07f, 0.03f}, {0.38f, 0.28f, 0.13f}, {0.30f, 0.30f, 0.30f}};
    uint32_t h = exact_hash(seed, 9, 9);
    return (struct outfit){pick(coats, 8, h), pick(trousers, 4, h >> 8), pick(skins, 3, h >> 16),
                           pick(hairs, 4, h >> 24)};
}

static void draw_person(const struct pen *pen)
{
    struct outfit o = dress(pen->actor->seed);
    float k = 0.95f + 0.17f * exact_unit(exact_hash(pen->actor->seed, 5, 5));
    float swing = exact_sin(pen->actor->stride) * 0.34f * k;
    bool coat = pen->actor->seed % 3 == 0;
    for (int s = -1; s <= 1; s += 2) {
        float f = (float)s;
        struct vec3 hip = {0.1f * f, 0, 0.88f * k}, foot = {0.11f * f, swing * f, 0.06f};
        limb(pen, hip, foot, 0.12f, 0.075f, o.trousers);
        struct vec3 shoulder = {0.25f * f, 0, 1.38f * k};
        limb(pen, shoulder, (struct vec3){0.3f * f, -swing * f * 0.8f, 0.85f * k}, 0.08f, 0.06f,
             o.coat);
    }
    struct vec3 waist = {0, 0, (coat ? 0.72f : 0.95f) * k}, chest = {0, 0, 1.32f * k};
    struct pen front = *pen;
    front.bias *= 1.001f;
    limb(&front, waist, chest, coat ? 0.25f : 0.2f, 0.23f, o.coat);
    limb(&front, (struct vec3){0, 0.02f, 1.63f * k}, (struct vec3){0, 0.02f, 1.66f * k}, 0.13f,
         0.13f, o.skin);
    limb(&front, (struct vec3){0, -0.04f, 1.70f * k}, (struct vec3){0, -0.04f, 1.72f * k}, 0.125f,
         0.125f, o.hair);
}

static void cycle_wheel(const struct pen *pen, float y)
{
    for (int i = 0; i < 10; i++) {
        float a = (float)i * 0.1f, b = a + 0.1f, r = 0.34f;
        limb(pen, (struct vec3){0, y + r * exact_cos(a), r + r * exact_sin(a)},
             (struct vec3){0, y + r * exact_cos(b), r + r * exact_sin(b)}, 0.035f, 0.035f, tyre);
    }
    static const float spokes[3] = {0.14f, 0.14f, 0.15f};
    limb(pen, (struct vec3){0, y, 0.34f}, (struct vec3){0, y, 0.34f}, 0.31f, 0.31f, spokes);
}

static void draw_cyclist(const struct pen *pen)
{
    struct outfit o = dress(pen->actor->seed);
    static const float helmet[3] = {0.7f, 0.7f, 0.2f};
    cycle_wheel(pen, 0.55f);
    cycle_wheel(pen, -0.55f);
    struct pen front = *pen;
    front.bias *= 1.001f;
    const struct vec3 saddle = {0, -0.25f, 0.95f}, bar = {0, 0.45f, 1.02f}, crank = {0, 0, 0.34f};
    limb(&front, saddle, crank, 0.04f, 0.04f, o.hair);
    limb(&front, crank, bar, 0.04f, 0.04f, o.hair);
    limb(&front, (struct vec3){-0.28f, 0.45f, 1.04f}, (struct vec3){0.28f, 0.45f, 1.04f}, 0.035f,
         0.035f, o.hair);
    for (int s = -1; s <= 1; s += 2) {
        float f = (float)s, turn = pen->actor->stride * 0.7f + (s > 0 ? 0.5f : 0.0f);
        struct vec3 foot = {0.14f * f, 0.17f * exact_cos(turn), 0.3f + 0.17f * exact_sin(turn)};
        struct vec3 knee = {0.14f * f, 0.22f, 0.5f + foot.z * 0.6f};
        limb(&front, (struct vec3){0.12f * f, -0.2f, 0.98f}, knee, 0.12f, 0.09f, o.trousers);
        limb(&front, knee, foot, 0.09f, 0.07f, o.trousers);
        limb(&front, (struct vec3){0.22f * f, 0.1f, 1.45f}, (struct vec3){0.24f * f, 0.42f, 1.06f},
             0.08f, 0.06f, o.coat);
    }
    front.bias *= 1.001f;
    limb(&front, (struct vec3){0, -0.2f, 1.05f}, (struct vec3){0, 0.1f, 1.42f}, 0.2f, 0.22f,
         o.coat);
    limb(&front, (struct vec3){0, 0.2f, 1.68f}, (struct vec3){0, 0.2f, 1.7f}, 0.13f, 0.13f, o.skin);
    limb(&front, (struct vec3){0, 0.17f, 1.76f}, (struct vec3){0, 0.19f, 1.78f}, 0.135f, 0.135f,
         pen->actor->seed % 2 ? helmet : o.hair);
}

/* 1 where the sun reaches the ground under the actor, 0 in the shade of a house. */
static float sun_on_ground(const struct stage *s, const struct actor *a)
{
    struct raster_vertex p;
    const struct view *v = s->view;
    if (!mesh_project(v, a->at, &p) || p.x < 0 || p.y < 0 || p.x >= (float)v->width ||
        p.y >= (float)v->height)
        return 1;
    size_t at = (size_t)p.y * (size_t)v->width + (size_t)p.x;
    return v->ground[at] && v->sun[at] < 16 ? 0.0f : 1.0f;
}

void mesh_draw(const struct stage *s, const struct actor *a, uint8_t id)
{
    struct pen pen = {s, a, id, sun_on_ground(s, a), 1.0f};
    switch (a->class_id) {
    case TOWN_CAR:
        draw_car(&pen);
        break;
    case TOWN_LORRY:
        draw_lorry(&pen);
        break;
    case TOWN_BUS:
        draw_bus(&pen);
        break;
    case TOWN_PERSON:
        draw_person(&pen);
        break;
    default:
        draw_cyclist(&pen);
        break;
    }
}

/* Half width, half length, height. */
static struct vec3 extent(int class_id)
{
    switch (class_id) {
    case TOWN_CAR:
        return (struct vec3){0.9f, 2.1f, 1.3f};
    case TOWN_LORRY:
        return (struct vec3){1.25f, 4.25f, 3.3f};
    case TOWN_BUS:
        return (struct vec3){1.25f, 5.3f, 3.1f};
    case TOWN_PERSON:
        return (struct vec3){0.2f, 0.2f, 1.7f};
    default:
        return (struct vec3){0.2f, 0.8f, 1.6f};
    }
}

static float turn_of(const struct raster_vertex *o, const struct raster_vertex *a,
                     const struct raster_vertex *b)
{
    return (a->x - o->x) * (b->y - o->y) - (a->y - o->y) * (b->x - o->x);
}

/* Andrew's monotone chain over n <= 8 points. */
static int convex_hull(struct raster_vertex *p, int n, struct raster_vertex *out)
{
    for (int i = 1; i < n; i++) {
        struct raster_vertex v = p[i];
        int j = i;
        for (; j > 0 && (p[j - 1].x > v.x || (p[j - 1].x == v.x && p[j - 1].y > v.y)); j--)
            p[j] = p[j - 1];
        p[j] = v;
    }
    int k = 0;
    for (int pass = 0; pass < 2; pass++) {
        int base = k;
        for (int m = 0; m < n; m++) {
            const struct raster_vertex *v = &p[pass ? n - 1 - m : m];
            while (k >= base + 2 && turn_of(&out[k - 2], &out[k - 1], v) <= 0)
                k--;
            out[k++] = *v;
        }
        k--; /* the last point begins the other chain */
    }
    return k;
}

static int outline(const struct stage *s, const struct actor *a, struct vec3 sun,
                   struct raster_vertex out[RASTER_VERTICES_MAX])
{
    struct vec3 e = extent(a->class_id);
    struct raster_vertex p[8];
    for (int i = 0; i < 8; i++) {
        float up = i & 4 ? e.z / sun.z : 0.0f;
        struct vec3 at = {a->at.x + (i & 1 ? e.x : -e.x) - sun.x * up,
                          a->at.y + (i & 2 ? e.y : -e.y) - sun.y * up, 0};
        if (!mesh_project(s->view, at, &p[i]))
            return 0;
    }
    return convex_hull(p, 8, out);
}

int mesh_shadow(const struct stage *s, const struct actor *a,
                struct raster_vertex out[RASTER_VERTICES_MAX])
{
    return outline(s, a, s->scene->sun, out);
}

int mesh_footprint(const struct stage *s, const struct actor *a,
                   struct raster_vertex out[RASTER_VERTICES_MAX])
{
    return outline(s, a, (struct vec3){0, 0, 1}, out);
}

int mesh_beacons(const struct actor *a, struct vec3 eye, struct beacon out[2])
{
    if (a->class_id == TOWN_PERSON || a->parked)
        return 0;
    struct vec3 e = extent(a->class_id);
    bool rear = (eye.y - a->at.y) * a->direction < 0;
    float y = rear ? -e.y : e.y;
    if (a->class_id == TOWN_CYCLIST) {
        out[0] = (struct beacon){to_world(a, (struct vec3){0, y, 0.9f}), rear};
        return 1;
    }
    for (int i = 0; i < 2; i++)
        out[i] = (struct beacon){
            to_world(a, (struct vec3){(i ? 0.74f : -0.74f) * e.x, y * 1.02f, 0.66f}), rear};
    return 2;
}
