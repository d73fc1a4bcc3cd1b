/* raster.c - scan conversion with a depth test per sample. 1/depth is linear over the picture, so
 * a plane's gradient is found once a polygon. */
#include "synth/raster.h"

#include <stdlib.h>
#include <string.h>

#include "synth/exact.h"

enum status raster_open(int width, int height, struct raster **ret, struct error *err)
{
    struct raster *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, ST_NOMEM, "no memory for a raster");
    r->width = width;
    r->height = height;
    r->samples = width <= RASTER_FINE_WIDTH_MAX ? 2 : 1;
    size_t n = (size_t)(width * r->samples) * (size_t)(height * r->samples);
    r->color = malloc(n * sizeof *r->color);
    r->inv_depth = malloc(n * sizeof *r->inv_depth);
    r->id = calloc(n, 1);
    r->top = malloc(n);
    r->row_begin = calloc((size_t)height, sizeof *r->row_begin);
    r->row_end = calloc((size_t)height, sizeof *r->row_end);
    if (!r->color || !r->inv_depth || !r->id || !r->top || !r->row_begin || !r->row_end) {
        raster_close(&r);
        return error_set(err, ST_NOMEM, "no memory for a raster of %dx%d pixels", width, height);
    }
    *ret = r;
    return ST_OK;
}

void raster_close(struct raster **r)
{
    if (!r || !*r)
        return;
    free((*r)->color);
    free((*r)->inv_depth);
    free((*r)->id);
    free((*r)->top);
    free((*r)->row_begin);
    free((*r)->row_end);
    free(*r);
    *r = NULL;
}

void raster_clear(struct raster *r)
{
    size_t stride = (size_t)(r->width * r->samples);
    for (int y = 0; y < r->height; y++) {
        if (r->row_end[y] > r->row_begin[y])
            memset(r->id + (size_t)(y * r->samples) * stride, 0, stride * (size_t)r->samples);
        r->row_begin[y] = r->width;
        r->row_end[y] = 0;
    }
}

static uint32_t byte_of(float v)
{
    return (uint32_t)(int)(exact_clamp(v, 0, 1) * 255.0f + 0.5f);
}

static uint32_t pack(const struct paint *p)
{
    uint32_t out = byte_of(p->sun) << 24;
    for (int i = 0; i < 3; i++)
        out |= byte_of(sqrtf(exact_clamp(p->color[i], 0, 1))) << (8 * i);
    return out;
}

static void touch(struct raster *r, int row, int x0, int x1)
{
    int y = row / r->samples, begin = x0 / r->samples, end = (x1 - 1) / r->samples + 1;
    if (begin < r->row_begin[y])
        r->row_begin[y] = begin;
    if (end > r->row_end[y])
        r->row_end[y] = end;
}

struct brush {
    uint32_t color;
    uint8_t id, top;
};

/* One sample. The baked depth wins by a hair's breadth, so that feet do not flicker. */
static inline void put(struct raster *r, const float *baked, size_t at, int x, float inv_depth,
                       struct brush b)
{
    if (inv_depth <= baked[x / r->samples] || (r->id[at] && inv_depth <= r->inv_depth[at]))
        return;
    r->color[at] = b.color;
    r->inv_depth[at] = inv_depth;
    r->id[at] = b.id;
    r->top[at] = b.top;
}

struct gradient {
    float at0, dx, dy;
};

/* 1/depth as a plane over the picture, from the polygon's widest triangle with vertex 0. */
static struct gradient find_gradient(const struct raster_vertex *p, int n)
{
    float best = 0;
    struct gradient g = {p[0].inv_depth, 0, 0};
    for (int i = 1; i + 1 < n; i++) {
        float ax = p[i].x - p[0].x, ay = p[i].y - p[0].y, az = p[i].inv_depth - p[0].inv_depth;
        float bx = p[i + 1].x - p[0].x, by = p[i + 1].y - p[0].y;
        float bz = p[i + 1].inv_depth - p[0].inv_depth, det = ax * by - ay * bx;
        if (fabsf(det) <= best)
            continue;
        best = fabsf(det);
        g.dx = (az * by - ay * bz) / det;
        g.dy = (ax * bz - az * bx) / det;
    }
    if (best < 0.02f)
        g.dx = g.dy = 0;
    g.at0 = p[0].inv_depth - g.dx * p[0].x - g.dy * p[0].y;
    return g;
}

/* Columns of the polygon at height y; false when it does not reach there. */
static bool span(const struct raster_vertex *p, int n, float y, float *x0, float *x1)
{
    *x0 = 1e9f;
    *x1 = -1e9f;
    for (int i = 0, j = n - 1; i < n; j = i++) {
        if ((p[i].y > y) == (p[j].y > y))
            continue;
        float x = p[i].x + (y - p[i].y) / (p[j].y - p[i].y) * (p[j].x - p[i].x);
        *x0 = x < *x0 ? x : *x0;
        *x1 = x > *x1 ? x : *x1;
    }
    return *x0 < *x1;
}

static int sample_index(float v, int limit)
{
    return (int)exact_clamp(exact_floor(exact_clamp(v, -4e6f, 4e6f) + 0.5f), 0, (float)limit);
}

void raster_polygon(struct raster *r, const struct view *v, const struct raster_vertex *p, int n,
                    const struct paint *paint, uint8_t id)
{
    float low = 1e9f, high = -1e9f, k = (float)r->samples, step = 1.0f / k;
    for (int i = 0; i < n; i++) {
        low = p[i].y < low ? p[i].y : low;
        high = p[i].y > high ? p[i].y : high;
    }
    int stride = r->width * r->samples;
    int y0 = sample_index(low * k, r->height * r->samples);
    int y1 = sample_index(high * k, r->height * r->samples);
    struct gradient g = find_gradient(p, n);
    struct brush b = {pack(paint), id, (uint8_t)byte_of(paint->top)};
    for (int y = y0; y < y1; y++) {
        float fy = ((float)y + 0.5f) * step, left, right;
        if (!span(p, n, fy, &left, &right))
            continue;
        int x0 = sample_index(left * k, stride), x1 = sample_index(right * k, stride);
        if (x0 >= x1)
            continue;
        touch(r, y, x0, x1);
        const float *baked = v->inv_depth + (size_t)(y / r->samples) * (size_t)r->width;
        size_t row = (size_t)y * (size_t)stride;
        float base = g.at0 + g.dy * fy;
        for (int x = x0; x < x1; x++)
            put(r, baked, row + (size_t)x, x, base + g.dx * (((float)x + 0.5f) * step), b);
    }
}

/* Squared distance to the segment minus squared radius there: negative inside. */
static float outside(const struct raster_vertex *a, float dx, float dy, float inv_length2, float ra,
                     float rb, float x, float y)
{
    float px = x - a->x, py = y - a->y;
    float t = exact_clamp((px * dx + py * dy) * inv_length2, 0, 1);
    float ex = px - t * dx, ey = py - t * dy, radius = ra + (rb - ra) * t;
    return ex * ex + ey * ey - radius * radius;
}

void raster_capsule(struct raster *r, const struct view *v, const struct raster_vertex *a,
                    const struct raster_vertex *b, float radius_a, float radius_b,
                    const struct paint *paint, uint8_t id)
{
    float k = (float)r->samples, step = 1.0f / k;
    float most = radius_a > radius_b ? radius_a : radius_b;
    float left = (a->x < b->x ? a->x : b->x) - most, right = (a->x > b->x ? a->x : b->x) + most;
    float low = (a->y < b->y ? a->y : b->y) - most, high = (a->y > b->y ? a->y : b->y) + most;
    int stride = r->width * r->samples;
    int x0 = sample_index(left * k, stride), x1 = sample_index(right * k, stride);
    int y0 = sample_index(low * k, r->height * r->samples);
    int y1 = sample_index(high * k, r->height * r->samples);
    float dx = b->x - a->x, dy = b->y - a->y, length2 = dx * dx + dy * dy;
    float inv_length2 = length2 > 1e-6f ? 1.0f / length2 : 0.0f;
    float inv_depth = 0.5f * (a->inv_depth + b->inv_depth);
    struct brush brush = {pack(paint), id, (uint8_t)byte_of(paint->top)};
    for (int y = y0; y < y1 && x0 < x1; y++) {
        const float *baked = v->inv_depth + (size_t)(y / r->samples) * (size_t)r->width;
        float fy = ((float)y + 0.5f) * step;
        size_t row = (size_t)y * (size_t)stride;
        touch(r, y, x0, x1);
        for (int x = x0; x < x1; x++)
            if (outside(a, dx, dy, inv_length2, radius_a, radius_b, ((float)x + 0.5f) * step, fy) <
                0)
                put(r, baked, row + (size_t)x, x, inv_depth, brush);
    }
}

bool raster_visible(const struct raster *r, const struct view *v, const struct raster_vertex *p)
{
    if (!(p->x >= 0 && p->y >= 0 && p->x < (float)r->width && p->y < (float)r->height))
        return false;
    int x = (int)p->x, y = (int)p->y, k = r->samples;
    size_t at = (size_t)y * (size_t)r->width + (size_t)x;
    size_t sample = (size_t)(y * k) * (size_t)(r->width * k) + (size_t)(x * k);
    float nearer = p->inv_depth * 1.03f;
    return v->inv_depth[at] <= nearer && !(r->id[sample] && r->inv_depth[sample] > nearer);
}
