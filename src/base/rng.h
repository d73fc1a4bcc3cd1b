/* rng.h - a small, fast, portable generator (xoshiro256**, seeded by splitmix64).
 *
 * The same seed gives the same sequence on every machine; not for secrets.
 * Threads: one struct a thread.
 */
#ifndef ATTUNE_BASE_RNG_H
#define ATTUNE_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* stream separates generators that share a seed (one a camera, say). */
void rng_init(struct rng *r, uint64_t seed, uint64_t stream);

uint64_t rng_u64(struct rng *r);

/* Uniform in [0, n), without bias; n > 0. */
uint32_t rng_below(struct rng *r, uint32_t n);

/* Uniform in [0, 1), 24 bits. */
float rng_float(struct rng *r);

/* Standard normal (Box-Muller, libm: equal on one machine, not promised across libms). */
float rng_normal(struct rng *r);

/* A hash of up to four words: position-dependent noise without state. */
uint64_t rng_hash(uint64_t a, uint64_t b, uint64_t c, uint64_t d);

#endif
