/* shade.c - works a row at a time: unpack the row into floats, put moving things over it, light
 * it, then wet, fog and sky. Each step is a plain loop over the row, so that it vectorises, and
 * steps that the condition does not need are left out. */
#include "synth/shade.h"

#include <stdlib.h>
#include <string.h>

#include "synth/exact.h"

enum { ROW_R, ROW_G, ROW_B, ROW_SUN, ROW_TOP, ROW_LAMP, ROW_DEPTH, ROW_OPEN, ROW_COUNT };

#define LAMP_MAX 1.6f

enum status canvas_open(int width, int height, struct canvas **ret, struct error *err)
{
    struct canvas *c = calloc(1, sizeof *c);
    size_t n = (size_t)width * (size_t)height;
    float *planes = calloc(4 * n + ROW_COUNT * (size_t)width, sizeof *planes);
    uint8_t *shadow = calloc(n, 1);
    int8_t *noise = malloc(NOISE_COUNT);
    if (!c || !planes || !shadow || !noise) {
        free(c);
        free(planes);
        free(shadow);
        free(noise);
        return error_set(err, ST_NOMEM, "no memory for a canvas of %dx%d pixels", width, height);
    }
    *c = (struct canvas){.width = width,
                         .height = height,
                         .rgb = {planes, planes + n, planes + 2 * n},
                         .beam = planes + 3 * n,
                         .rows = planes + 4 * n,
                         .shadow = shadow,
                         .noise = noise};
    for (uint32_t i = 0; i < NOISE_COUNT; i++) { /* sum of four uniforms */
        uint32_t h = exact_hash(i, 31, 32);
        int sum = (int)(h & 63) + (int)(h >> 8 & 63) + (int)(h >> 16 & 63) + (int)(h >> 24 & 63);
        noise[i] = (int8_t)(sum - 126);
    }
    *ret = c;
    return ST_OK;
}

void canvas_close(struct canvas **c)
{
    if (!c || !*c)
        return;
    free((*c)->rgb[0]);
    free((*c)->shadow);
    free((*c)->noise);
    free(*c);
    *c = NULL;
}

struct row {
    const struct shade_input *in;
    struct canvas *canvas;
    int y, width;
    size_t at; /* of the row's first pixel */
    float *v[ROW_COUNT];
};

static void unpack(const struct row *r)
{
    const struct view *v = r->in->view;
    const float byte = 1.0f / 255.0f, byte2 = byte * byte;
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < r->width; x++) {
            float a = (float)v->albedo[c][r->at + (size_t)x];
            r->v[ROW_R + c][x] = a * a * byte2;
        }
    for (int x = 0; x < r->width; x++) {
        size_t i = r->at + (size_t)x;
        float lamp = (float)v->lamp[i], depth = v->inv_depth[i];
        r->v[ROW_SUN][x] = (float)v->sun[i] * byte;
        r->v[ROW_TOP][x] = (float)v->top[i] * byte;
        r->v[ROW_LAMP][x] = lamp * lamp * (byte2 * LAMP_MAX);
        r->v[ROW_DEPTH][x] = 1.0f / (depth > 0.004f ? depth : 0.004f);
        r->v[ROW_OPEN][x] = 1.0f;
    }
}

static void cast_shadows(const struct row *r)
{
    const uint8_t *shadow = r->canvas->shadow + r->at;
    for (int x = 0; x < r->width; x++) {
        if (shadow[x] & SHADOW_SUN)
            r->v[ROW_SUN][x] = 0;
        if (shadow[x] & SHADOW_CONTACT)
            for (int c = 0; c < 3; c++)
                r->v[ROW_R + c][x] *= 0.55f;
    }
}

/* Snow: where it stays, white; where the noise is low first, so that it comes in patches. */
static void whiten(const struct row *r)
{
    const uint8_t *wear = r->in->view->wear + r->at;
    float amount = r->in->light->snow;
    for (int x = 0; x < r->width; x++) {
        float k = r->v[ROW_TOP][x] * (amount * 2.3f) - (float)wear[x] * (0.9f / 255.0f);
        k = k < 0 ? 0 : k > 1 ? 1 : k;
        r->v[ROW_R][x] += (0.78f - r->v[ROW_R][x]) * k;
        r->v[ROW_G][x] += (0.80f - r->v[ROW_G][x]) * k;
        r->v[ROW_B][x] += (0.84f - r->v[ROW_B][x]) * k;
    }
}

struct mixture {
    float color[3], sun, top, inv_depth;
    int count, id;
};

static void gather(const struct raster *a, int x, int y, struct mixture *m)
{
    int k = a->samples;
    *m = (struct mixture){.count = 0};
    for (int i = 0; i < k * k; i++) {
        size_t at = (size_t)(y * k + i / k) * (size_t)(a->width * k) + (size_t)(x * k + i % k);
        if (!a->id[at])
            continue;
        uint32_t c = a->color[at];
        for (int j = 0; j < 3; j++) {
            float v = (float)(c >> (8 * j) & 255);
            m->color[j] += v * v;
        }
        m->sun += (float)(c >> 24);
        m->top += (float)a->top[at];
        if (!m->count++ || a->inv_depth[at] > m->inv_depth) {
            m->inv_depth = a->inv_depth[at];
            m->id = a->id[at];
        }
    }
}

static void put_actors(const struct row *r)
{
    const struct raster *a = r->in->raster;
    const float byte = 1.0f / 255.0f, per_sample = 1.0f / (float)(a->samples * a->samples);
    for (int x = a->row_begin[r->y]; x < a->row_end[r->y]; x++) {
        struct mixture m;
        gather(a, x, r->y, &m);
        if (!m.count)
            continue;
        float n = 1.0f / (float)m.count, cover = (float)m.count * per_sample;
        const float to[ROW_COUNT] = {m.color[0] * n * byte * byte,
                                     m.color[1] * n * byte * byte,
                                     m.color[2] * n * byte * byte,
                                     m.sun * n * byte,
                                     m.top * n * byte,
                                     r->in->actor_lamp[m.id],
                                     1.0f / m.inv_depth,
                                     0.0f};
        for (int i = 0; i < ROW_COUNT; i++)
            r->v[i][x] = exact_mix(r->v[i][x], to[i], cover);
    }
}

static void illuminate(const struct row *r)
{
    const struct light *l = r->in->light;
    const float *beam = r->canvas->beam + r->at;
    static const float beam_color[3] = {1.0f, 0.94f, 0.78f};
    for (int c = 0; c < 3; c++) {
        float *out = r->canvas->rgb[c] + r->at;
        const float *a = r->v[ROW_R + c], *sun = r->v[ROW_SUN], *lamp = r->v[ROW_LAMP];
        const float *open = r->v[ROW_OPEN];
        float ambient = l->ambient[c], s = l->sun[c], k = l->lamp[c], b = beam_color[c];
        for (int x = 0; x < r->width; x++)
            out[x] = a[x] * (ambient + s * sun[x] + k * lamp[x] + b * beam[x] * open[x]);
    }
}

static void light_windows(const struct row *r)
{
    static const float warm[3] = {0.95f, 0.50f, 0.15f};
    const uint16_t *window = r->in->view->window + r->at;
    for (int x = 0; x < r->width; x++) {
        if (!window[x])
            continue;
        float k = r->in->panes[window[x] % LIGHT_PANES] * r->v[ROW_OPEN][x] * 0.85f;
        for (int c = 0; c < 3; c++)
            r->canvas->rgb[c][r->at + (size_t)x] += k * warm[c];
    }
}

/* A wet ground is darker and mirrors what stands behind it. */
static void wet_ground(const struct row *r)
{
    const struct view *v = r->in->view;
    const struct light *l = r->in->light;
    static const float warm[3] = {0.95f, 0.50f, 0.15f};
    const float byte = 1.0f / 255.0f;
    for (int x = 0; x < r->width; x++) {
        size_t i = r->at + (size_t)x;
        if (!v->ground[i])
            continue;
        float wet = (float)v->ground[i] * byte * l->wet * r->v[ROW_OPEN][x];
        float puddle = exact_smooth(0.42f, 0.62f, (float)v->wear[i] * byte);
        float mirror = wet * (0.16f + 0.46f * puddle);
        float pane = v->mirror_window[i] ? r->in->panes[v->mirror_window[i] % LIGHT_PANES] : 0;
        for (int c = 0; c < 3; c++) {
            float a = (float)v->mirror[c][i] * byte;
            float seen = v->mirror_kind[i] == MIRROR_SKY
                             ? l->horizon[c]
                             : a * a * (l->ambient[c] + 0.3f * l->sun[c] + 0.3f * l->lamp[c]) +
                                   pane * warm[c];
            float *out = &r->canvas->rgb[c][i];
            *out = *out * (1.0f - 0.55f * wet) + (seen - *out * 0.4f) * mirror;
        }
    }
}

static void put_fog(const struct row *r)
{
    const struct light *l = r->in->light;
    float *t = r->v[ROW_SUN]; /* no longer needed */
    for (int x = 0; x < r->width; x++) {
        float y = 1.0f / (1.0f + r->v[ROW_DEPTH][x] * (l->fog_per_m * 0.125f));
        y *= y;
        y *= y;
        t[x] = y * y;
    }
    for (int c = 0; c < 3; c++) {
        float *out = r->canvas->rgb[c] + r->at, fog = l->fog[c];
        for (int x = 0; x < r->width; x++)
            out[x] = fog + (out[x] - fog) * t[x];
    }
}

static float clouds(float u, float v, float cloudiness)
{
    float n = 0.62f * exact_noise(u, v, 41) + 0.38f * exact_noise(u * 2.7f, v * 2.7f, 42);
    return exact_smooth(0.72f - 0.5f * cloudiness, 1.0f - 0.45f * cloudiness, n);
}

static void put_sky(const struct row *r)
{
    const struct view *v = r->in->view;
    const struct light *l = r->in->light;
    float drift = (float)(r->in->t_us / 10000 % 10000000u) * 0.0003f;
    float haze = 1.0f - exact_decay(l->fog_per_m * 45.0f);
    for (int x = 0; x < r->width; x++) {
        size_t i = r->at + (size_t)x;
        float open = (float)v->sky[i] * r->v[ROW_OPEN][x] * (1.0f / 255.0f);
        if (open <= 0)
            continue;
        float height = (float)v->sky_height[i] * (1.0f / 255.0f);
        float blue = exact_smooth(0.0f, 0.55f, height);
        float cloud = clouds(v->sky_u[i] + drift, v->sky_v[i], l->cloudiness) *
                      exact_smooth(0.02f, 0.2f, height);
        for (int c = 0; c < 3; c++) {
            float sky = exact_mix(l->horizon[c], l->zenith[c], blue);
            sky = exact_mix(sky, l->cloud[c], cloud * 0.85f);
            sky = exact_mix(sky, l->fog[c], haze * (1.0f - 0.5f * height));
            float *out = &r->canvas->rgb[c][i];
            *out = exact_mix(*out, sky, open);
        }
    }
}

void shade_canvas(struct canvas *c, const struct shade_input *in)
{
    struct row r = {.in = in, .canvas = c, .width = c->width};
    for (int i = 0; i < ROW_COUNT; i++)
        r.v[i] = c->rows + (size_t)i * (size_t)c->width;
    for (r.y = 0; r.y < c->height; r.y++) {
        r.at = (size_t)r.y * (size_t)c->width;
        unpack(&r);
        cast_shadows(&r);
        put_actors(&r);
        if (in->light->snow > 0)
            whiten(&r);
        illuminate(&r);
        if (in->light->lit_share > 0)
            light_windows(&r);
        if (in->light->wet > 0)
            wet_ground(&r);
        put_fog(&r);
        put_sky(&r);
    }
}

/* A soft shoulder instead of a hard end of the scale, then gamma 2. */
static inline float tone(float x)
{
    x = x < 0 ? 0 : x;
    x = x * (1.0f + 0.18f * x) / (1.0f + 0.5f * x);
    return sqrtf(x > 1 ? 1 : x) * 255.0f;
}

void shade_develop(const struct canvas *c, const struct shade_input *in, struct frame *out)
{
    const struct light *l = in->light;
    float sigma = l->noise / 37.0f, gray = 1.0f - l->saturation;
    for (int y = 0; y < c->height; y++) {
        uint32_t h = exact_hash((uint32_t)(in->t_us / 1000), (uint32_t)y, in->seed);
        size_t at = (size_t)y * (size_t)c->width;
        uint8_t *pixel = out->pixels + at * 3;
        for (int x = 0; x < c->width; x++, pixel += 3) {
            float rgb[3], mean = 0;
            for (int i = 0; i < 3; i++)
                rgb[i] = c->rgb[i][at + (size_t)x] * (l->exposure * in->tint[i]);
            mean = 0.3f * rgb[0] + 0.55f * rgb[1] + 0.15f * rgb[2];
            uint32_t n = h + (uint32_t)x;
            float luma = (float)c->noise[n & (NOISE_COUNT - 1)] * 0.8f;
            for (int i = 0; i < 3; i++) {
                float chroma = (float)c->noise[(n * 3 + (uint32_t)i * 7919u) & (NOISE_COUNT - 1)];
                float v = tone(exact_mix(rgb[i], mean, gray)) + (luma + 0.6f * chroma) * sigma;
                pixel[i] = (uint8_t)(int)(exact_clamp(v, 0, 255) + 0.5f);
            }
        }
    }
}
