#include "base/rng.h"

#include <assert.h>
#include <math.h>

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t x = seed ^ (stream * 0xd1342543de82ef95u);
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&x);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    assert(n > 0);
    uint32_t floor = (uint32_t)-n % n; /* values below it would favour small results */
    for (;;) {
        uint64_t m = (rng_u64(r) >> 32) * n;
        if ((uint32_t)m >= floor)
            return (uint32_t)(m >> 32);
    }
}

float rng_float(struct rng *r)
{
    return (float)(rng_u64(r) >> 40) * 0x1p-24f;
}

float rng_normal(struct rng *r)
{
    float u = 1.0f - rng_float(r), v = rng_float(r);
    return sqrtf(-2.0f * logf(u)) * cosf(6.28318530717958647692f * v);
}

uint64_t rng_hash(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t x = a;
    uint64_t h = splitmix(&x);
    x ^= b * 0xff51afd7ed558ccdu;
    h ^= splitmix(&x);
    x ^= c * 0xc4ceb9fe1a85ec53u;
    h ^= splitmix(&x);
    x ^= d * 0x2127599bf4325c37u;
    return h ^ splitmix(&x);
}
