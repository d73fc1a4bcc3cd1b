/* exact.h - arithmetic that gives the same bits everywhere: IEEE + - * / and sqrt on single
 * precision, integer hashes, and nothing of libm. Files that include it are compiled with
 * -ffp-contract=off (src/synth/meson.build). Angles are in turns (1 = 360 degrees).
 */
#ifndef ATTUNE_SYNTH_EXACT_H
#define ATTUNE_SYNTH_EXACT_H

#include <float.h>
#include <math.h>
#include <stdint.h>

_Static_assert(FLT_EVAL_METHOD == 0, "single precision must be evaluated as such");

struct vec3 {
    float x, y, z;
};

static inline float exact_floor(float x)
{
    float whole = (float)(int32_t)x;
    return whole > x ? whole - 1.0f : whole;
}

static inline float exact_clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

static inline float exact_mix(float a, float b, float t)
{
    return a + (b - a) * t;
}

static inline float exact_smooth(float low, float high, float x)
{
    float t = exact_clamp((x - low) / (high - low), 0, 1);
    return t * t * (3.0f - 2.0f * t);
}

/* Sine of an angle in turns, within 0.002: two parabolas and a correction. */
static inline float exact_sin(float turns)
{
    float t = turns - exact_floor(turns + 0.5f);
    float y = t * (8.0f - 16.0f * fabsf(t));
    return 0.225f * (y * fabsf(y) - y) + y;
}

static inline float exact_cos(float turns)
{
    return exact_sin(turns + 0.25f);
}

/* About exp(-x) for x >= 0: falls from 1 to 0 as smoothly. */
static inline float exact_decay(float x)
{
    float y = 1.0f / (1.0f + x * 0.125f);
    y *= y;
    y *= y;
    return y * y;
}

static inline uint32_t exact_hash(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t h = a * 0x9e3779b1u ^ b * 0x85ebca77u ^ c * 0xc2b2ae3du;
    h ^= h >> 15;
    h *= 0x2c1b3c6du;
    h ^= h >> 12;
    h *= 0x297a2d39u;
    return h ^ h >> 15;
}

/* Uniform in [0, 1). */
static inline float exact_unit(uint32_t hash)
{
    return (float)(hash >> 8) * 0x1p-24f;
}

/* Smooth noise on the integer lattice, in [0, 1]. */
static inline float exact_noise(float x, float y, uint32_t seed)
{
    float fx = exact_floor(x), fy = exact_floor(y);
    uint32_t ix = (uint32_t)(int32_t)fx, iy = (uint32_t)(int32_t)fy;
    float u = x - fx, v = y - fy;
    u = u * u * (3.0f - 2.0f * u);
    v = v * v * (3.0f - 2.0f * v);
    float a = exact_unit(exact_hash(ix, iy, seed)), b = exact_unit(exact_hash(ix + 1, iy, seed));
    float c = exact_unit(exact_hash(ix, iy + 1, seed));
    float d = exact_unit(exact_hash(ix + 1, iy + 1, seed));
    return exact_mix(exact_mix(a, b, u), exact_mix(c, d, u), v);
}

static inline struct vec3 vec3_add(struct vec3 a, struct vec3 b)
{
    return (struct vec3){a.x + b.x, a.y + b.y, a.z + b.z};
}

static inline struct vec3 vec3_sub(struct vec3 a, struct vec3 b)
{
    return (struct vec3){a.x - b.x, a.y - b.y, a.z - b.z};
}

static inline struct vec3 vec3_scale(struct vec3 a, float k)
{
    return (struct vec3){a.x * k, a.y * k, a.z * k};
}

static inline float vec3_dot(struct vec3 a, struct vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline struct vec3 vec3_cross(struct vec3 a, struct vec3 b)
{
    return (struct vec3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

static inline struct vec3 vec3_unit(struct vec3 a)
{
    return vec3_scale(a, 1.0f / sqrtf(vec3_dot(a, a)));
}

#endif
