/* trace.c - rays against the plane of the ground, boxes, balls and upright cylinders. Only used
 * when a camera's picture is prepared (view.c), so it is written plainly. */
#include "synth/trace.h"

#include "synth/texture.h"
#include "synth/town.h"

#define FAR 1e9f

struct hit {
    float t;
    struct vec3 n;
    const struct block *block;
    const struct crown *crown;
    const struct post *post;
};

void candidates_all(const struct scene *s, struct candidates *ret)
{
    ret->block_count = s->block_count;
    ret->crown_count = s->crown_count;
    ret->post_count = s->post_count;
    for (int i = 0; i < s->block_count; i++)
        ret->blocks[i] = (uint8_t)i;
    for (int i = 0; i < s->crown_count; i++)
        ret->crowns[i] = (uint8_t)i;
    for (int i = 0; i < s->post_count; i++)
        ret->posts[i] = (uint8_t)i;
}

/* One axis of the slab test; false when the ray misses the slab. */
static bool slab(float o, float d, float min, float max, float *t0, float *t1, bool *entered)
{
    *entered = false;
    if (fabsf(d) < 1e-7f)
        return o > min && o < max;
    float k = 1.0f / d, a = (min - o) * k, b = (max - o) * k;
    float near = a < b ? a : b, far = a < b ? b : a;
    if (near > *t0) {
        *t0 = near;
        *entered = true;
    }
    if (far < *t1)
        *t1 = far;
    return *t0 <= *t1;
}

static void hit_block(const struct block *b, struct vec3 o, struct vec3 d, struct hit *h)
{
    float t0 = 1e-3f, t1 = h->t;
    bool x, y, z;
    if (!slab(o.x, d.x, b->min.x, b->max.x, &t0, &t1, &x) ||
        !slab(o.y, d.y, b->min.y, b->max.y, &t0, &t1, &y) ||
        !slab(o.z, d.z, b->min.z, b->max.z, &t0, &t1, &z) || t0 >= h->t || !(x || y || z))
        return;
    struct vec3 n = {0, 0, 0};
    if (z)
        n.z = d.z < 0 ? 1 : -1;
    else if (y)
        n.y = d.y < 0 ? 1 : -1;
    else
        n.x = d.x < 0 ? 1 : -1;
    *h = (struct hit){.t = t0, .n = n, .block = b};
}

/* Leaves: a ball whose rim is frayed by noise. */
static void hit_crown(const struct crown *c, struct vec3 o, struct vec3 d, struct hit *h)
{
    struct vec3 m = vec3_sub(o, c->centre);
    float a = vec3_dot(d, d), b = vec3_dot(m, d), k = vec3_dot(m, m) - c->radius * c->radius;
    float disc = b * b - a * k;
    if (disc <= 0)
        return;
    float t = (-b - sqrtf(disc)) / a;
    if (t < 1e-3f || t >= h->t)
        return;
    struct vec3 p = vec3_add(o, vec3_scale(d, t));
    struct vec3 n = vec3_scale(vec3_sub(p, c->centre), 1.0f / c->radius);
    float facing = -vec3_dot(n, d) / sqrtf(a);
    float leaf = exact_noise(p.x * 4.0f + p.y * 2.3f, p.z * 4.0f, c->seed);
    if (facing < 0.62f * leaf)
        return;
    *h = (struct hit){.t = t, .n = n, .crown = c};
}

static void hit_post(const struct post *p, struct vec3 o, struct vec3 d, struct hit *h)
{
    float mx = o.x - p->x, my = o.y - p->y;
    float a = d.x * d.x + d.y * d.y, b = mx * d.x + my * d.y;
    float disc = b * b - a * (mx * mx + my * my - p->radius * p->radius);
    if (disc <= 0 || a <= 0)
        return;
    float t = (-b - sqrtf(disc)) / a, z = o.z + d.z * t;
    if (t < 1e-3f || t >= h->t || z < p->z0 || z > p->z1)
        return;
    struct vec3 n = {(mx + d.x * t) / p->radius, (my + d.y * t) / p->radius, 0};
    *h = (struct hit){.t = t, .n = n, .post = p};
}

static void nearest(const struct scene *s, const struct candidates *c, struct vec3 o, struct vec3 d,
                    struct hit *h)
{
    for (int i = 0; i < c->block_count; i++)
        hit_block(&s->blocks[c->blocks[i]], o, d, h);
    for (int i = 0; i < c->crown_count; i++)
        hit_crown(&s->crowns[c->crowns[i]], o, d, h);
    for (int i = 0; i < c->post_count; i++)
        hit_post(&s->posts[c->posts[i]], o, d, h);
}

/* Is the sun hidden from p? */
static bool shadowed(const struct scene *s, struct vec3 p)
{
    struct hit h = {.t = FAR};
    for (int i = 0; i < s->block_count; i++) {
        hit_block(&s->blocks[i], p, s->sun, &h);
        if (h.t < FAR)
            return true;
    }
    for (int i = 0; i < s->crown_count; i++) {
        hit_crown(&s->crowns[i], p, s->sun, &h);
        if (h.t < FAR)
            return true;
    }
    return false;
}

static void light_surface(const struct scene *s, struct surface *r)
{
    float facing = vec3_dot(r->n, s->sun);
    struct vec3 p = vec3_add(r->p, vec3_scale(r->n, 0.02f));
    r->sun = facing > 0 && !shadowed(s, p) ? facing : 0.0f;
}

void trace_ray(const struct scene *s, const struct candidates *c, struct vec3 origin,
               struct vec3 direction, struct surface *ret)
{
    struct hit h = {.t = FAR};
    nearest(s, c, origin, direction, &h);
    *ret = (struct surface){.class_id = TOWN_SKY};
    float ground = direction.z < -1e-6f ? -origin.z / direction.z : FAR;
    bool is_ground = ground > 1e-3f && ground < h.t && ground < 4000.0f;
    if (!is_ground && h.t >= FAR)
        return;
    ret->distance = is_ground ? ground : h.t;
    ret->p = vec3_add(origin, vec3_scale(direction, ret->distance));
    ret->n = is_ground ? (struct vec3){0, 0, 1} : h.n;
    if (is_ground)
        texture_ground(s, ret);
    else if (h.block)
        texture_block(h.block, ret);
    else if (h.crown)
        texture_crown(h.crown, ret);
    else
        texture_post(h.post, ret);
    light_surface(s, ret);
}
