/* view.c - bakes a view: four rays a pixel (one in large pictures), colours averaged, the class
 * by vote. Tiles of the picture know which parts of the scene their rays can meet; that makes it
 * ten times as fast as asking all of them. */
#include "synth/view.h"

#include <stdlib.h>
#include <string.h>

#include "synth/town.h"
#include "synth/trace.h"

#define TILE 16
#define SAMPLES_WIDTH_MAX 960 /* wider pictures take one ray a pixel */

struct rect {
    float x0, y0, x1, y1;
};

struct baker {
    const struct scene *scene;
    struct view *view;
    struct rect blocks[SCENE_BLOCKS_MAX], crowns[SCENE_CROWNS_MAX], posts[SCENE_POSTS_MAX];
    struct candidates tile, all;
};

void view_project(const struct pose *p, int width, int height, struct vec3 at, float *x, float *y,
                  float *depth)
{
    struct vec3 rel = vec3_sub(at, p->eye);
    float z = vec3_dot(rel, p->forward), k = p->focal * (float)width / z;
    *depth = z;
    *x = 0.5f * (float)width + k * vec3_dot(rel, p->right);
    *y = 0.5f * (float)height - k * vec3_dot(rel, p->up);
}

struct vec3 view_direction(const struct pose *p, int width, int height, float x, float y)
{
    float k = 1.0f / (p->focal * (float)width);
    struct vec3 d = vec3_add(p->forward, vec3_scale(p->right, (x - 0.5f * (float)width) * k));
    return vec3_add(d, vec3_scale(p->up, (0.5f * (float)height - y) * k));
}

/* Where an axis-parallel box may show; everything when it reaches behind the camera. */
static struct rect box_rect(const struct view *v, struct vec3 min, struct vec3 max)
{
    struct rect r = {1e9f, 1e9f, -1e9f, -1e9f};
    int behind = 0;
    for (int i = 0; i < 8; i++) {
        struct vec3 c = {i & 1 ? max.x : min.x, i & 2 ? max.y : min.y, i & 4 ? max.z : min.z};
        float x, y, z;
        view_project(&v->pose, v->width, v->height, c, &x, &y, &z);
        if (z < 0.3f) {
            behind++;
            continue;
        }
        r = (struct rect){x < r.x0 ? x : r.x0, y < r.y0 ? y : r.y0, x > r.x1 ? x : r.x1,
                          y > r.y1 ? y : r.y1};
    }
    if (behind && behind < 8)
        return (struct rect){-1e9f, -1e9f, 1e9f, 1e9f};
    return r;
}

static struct rect ball_rect(const struct view *v, struct vec3 c, float rx, float z0, float z1)
{
    return box_rect(v, (struct vec3){c.x - rx, c.y - rx, z0},
                    (struct vec3){c.x + rx, c.y + rx, z1});
}

static void find_rects(struct baker *b)
{
    const struct scene *s = b->scene;
    for (int i = 0; i < s->block_count; i++)
        b->blocks[i] = box_rect(b->view, s->blocks[i].min, s->blocks[i].max);
    for (int i = 0; i < s->crown_count; i++) {
        const struct crown *c = &s->crowns[i];
        b->crowns[i] = ball_rect(b->view, c->centre, c->radius, c->centre.z - c->radius,
                                 c->centre.z + c->radius);
    }
    for (int i = 0; i < s->post_count; i++) {
        const struct post *p = &s->posts[i];
        b->posts[i] = ball_rect(b->view, (struct vec3){p->x, p->y, 0}, p->radius, p->z0, p->z1);
    }
}

static int select_rects(const struct rect *r, int n, float x, float y, uint8_t *out)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (r[i].x0 <= x + TILE && r[i].x1 >= x && r[i].y0 <= y + TILE && r[i].y1 >= y)
            out[count++] = (uint8_t)i;
    return count;
}

static void select_tile(struct baker *b, int x, int y)
{
    const struct scene *s = b->scene;
    struct candidates *c = &b->tile;
    float fx = (float)x, fy = (float)y;
    c->block_count = select_rects(b->blocks, s->block_count, fx, fy, c->blocks);
    c->crown_count = select_rects(b->crowns, s->crown_count, fx, fy, c->crowns);
    c->post_count = select_rects(b->posts, s->post_count, fx, fy, c->posts);
}

static uint8_t to_byte(float v)
{
    return (uint8_t)(int)(exact_clamp(v, 0, 1) * 255.0f + 0.5f);
}

static void store_albedo(uint8_t *const plane[3], size_t at, const float c[3])
{
    for (int i = 0; i < 3; i++)
        plane[i][at] = to_byte(sqrtf(exact_clamp(c[i], 0, 1)));
}

/* Index of the sample that speaks for the pixel: the first of the most frequent class. */
static int vote(const struct surface *s, int n)
{
    int best = 0, best_votes = 0;
    for (int i = 0; i < n; i++) {
        int votes = 0;
        for (int j = 0; j < n; j++)
            votes += s[j].class_id == s[i].class_id;
        if (votes > best_votes) {
            best = i;
            best_votes = votes;
        }
    }
    return best;
}

/* What a puddle at this pixel mirrors; the normal is stirred a little, as asphalt does. */
static void bake_mirror(struct baker *b, const struct surface *s, struct vec3 d, size_t at)
{
    struct view *v = b->view;
    uint32_t h = exact_hash((uint32_t)at, b->scene->seed, 5);
    struct vec3 up = {(exact_unit(h) - 0.5f) * 0.05f,
                      (exact_unit(exact_hash(h, 1, 1)) - 0.5f) * 0.12f, 1};
    up = vec3_unit(up);
    struct vec3 r = vec3_sub(d, vec3_scale(up, 2.0f * vec3_dot(d, up)));
    if (r.z < 0.01f)
        r.z = 0.01f;
    struct surface m;
    trace_ray(b->scene, &b->all, vec3_add(s->p, (struct vec3){0, 0, 0.02f}), r, &m);
    v->mirror_kind[at] = m.class_id == TOWN_SKY ? MIRROR_SKY : MIRROR_SURFACE;
    v->mirror_window[at] = m.window;
    store_albedo(v->mirror, at, m.albedo);
}

static void store_sky(struct view *v, struct vec3 d, float share, size_t at)
{
    float height = d.z / sqrtf(vec3_dot(d, d)), k = 1.6f / (exact_clamp(height, 0, 1) + 0.12f);
    v->sky[at] = to_byte(share);
    v->sky_height[at] = to_byte(height);
    v->sky_u[at] = d.x * k;
    v->sky_v[at] = d.y * k * 0.6f;
}

static void store_surface(struct baker *b, const struct surface *s, int n, struct vec3 d, size_t at)
{
    struct view *v = b->view;
    const struct surface *main = &s[vote(s, n)];
    float color[3] = {0}, sun = 0, top = 0;
    int solid = 0;
    for (int i = 0; i < n; i++) {
        if (s[i].class_id == TOWN_SKY)
            continue;
        solid++;
        sun += s[i].sun;
        top += s[i].top;
        for (int c = 0; c < 3; c++)
            color[c] += s[i].albedo[c];
    }
    v->class_id[at] = (uint8_t)main->class_id;
    if (solid < n)
        store_sky(v, d, (float)(n - solid) / (float)n, at);
    if (!solid)
        return;
    float k = 1.0f / (float)solid;
    float linear[3] = {color[0] * k, color[1] * k, color[2] * k};
    store_albedo(v->albedo, at, linear);
    v->sun[at] = to_byte(sun * k);
    v->top[at] = to_byte(top * k);
    if (main->class_id == TOWN_SKY) {
        for (int i = 0; i < n; i++)
            if (s[i].class_id != TOWN_SKY)
                main = &s[i];
    } else {
        v->inv_depth[at] = 1.0f / main->distance;
    }
    v->ground[at] = to_byte(main->ground);
    v->window[at] = main->window;
    v->lamp[at] = to_byte(sqrtf(scene_lamp_light(b->scene, main->p, main->n) * (1.0f / 1.6f)));
    v->wear[at] = to_byte(0.6f * exact_noise(main->p.x * 0.6f, main->p.y * 0.35f, 11) +
                          0.4f * exact_noise(main->p.x * 3.0f + main->p.z, main->p.y * 2.0f, 12));
    if (main->ground > 0)
        bake_mirror(b, main, d, at);
}

static void bake_pixel(struct baker *b, int x, int y, int n)
{
    static const float at4[4][2] = {{0.3f, 0.2f}, {0.8f, 0.3f}, {0.2f, 0.7f}, {0.7f, 0.8f}};
    static const float at1[1][2] = {{0.5f, 0.5f}};
    const struct view *v = b->view;
    struct surface s[4];
    for (int i = 0; i < n; i++) {
        const float *o = n == 4 ? at4[i] : at1[i];
        struct vec3 d =
            view_direction(&v->pose, v->width, v->height, (float)x + o[0], (float)y + o[1]);
        trace_ray(b->scene, &b->tile, v->pose.eye, d, &s[i]);
    }
    struct vec3 d = view_direction(&v->pose, v->width, v->height, (float)x + 0.5f, (float)y + 0.5f);
    store_surface(b, s, n, d, (size_t)y * (size_t)v->width + (size_t)x);
}

static enum status allocate(struct view *v, struct error *err)
{
    size_t n = (size_t)v->width * (size_t)v->height;
    v->memory = calloc(n, VIEW_PIXEL_BYTES);
    if (!v->memory)
        return error_set(err, ST_NOMEM, "no memory for a view of %dx%d pixels", v->width,
                         v->height);
    v->inv_depth = v->memory;
    v->sky_u = v->inv_depth + n;
    v->sky_v = v->sky_u + n;
    void *after_floats = v->sky_v + n;
    v->window = after_floats;
    v->mirror_window = v->window + n;
    uint8_t *next = (uint8_t *)(v->mirror_window + n);
    uint8_t **const planes[] = {&v->albedo[0], &v->albedo[1],  &v->albedo[2],   &v->mirror[0],
                                &v->mirror[1], &v->mirror[2],  &v->mirror_kind, &v->class_id,
                                &v->sun,       &v->top,        &v->ground,      &v->lamp,
                                &v->sky,       &v->sky_height, &v->wear};
    for (size_t i = 0; i < sizeof planes / sizeof planes[0]; i++, next += n)
        *planes[i] = next;
    return ST_OK;
}

enum status view_bake(struct view *v, const struct scene *s, const struct pose *pose, int width,
                      int height, struct error *err)
{
    *v = (struct view){.width = width, .height = height, .pose = *pose};
    enum status st = allocate(v, err);
    struct baker *b = st == ST_OK ? malloc(sizeof *b) : NULL;
    if (!b) {
        view_clear(v);
        return st != ST_OK ? st : error_set(err, ST_NOMEM, "no memory to bake a view");
    }
    b->scene = s;
    b->view = v;
    candidates_all(s, &b->all);
    find_rects(b);
    int n = width > SAMPLES_WIDTH_MAX ? 1 : 4;
    for (int ty = 0; ty < height; ty += TILE)
        for (int tx = 0; tx < width; tx += TILE) {
            select_tile(b, tx, ty);
            for (int y = ty; y < ty + TILE && y < height; y++)
                for (int x = tx; x < tx + TILE && x < width; x++)
                    bake_pixel(b, x, y, n);
        }
    free(b);
    return ST_OK;
}

void view_clear(struct view *v)
{
    free(v->memory);
    memset(v, 0, sizeof *v);
}
