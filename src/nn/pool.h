/* pool.h - private to nn: many small allocations that die together, with a bound on their sum.
 *
 * Owns:    every block until nn_pool_clear.
 * Memory:  at most the bound given to nn_pool_init.
 * Threads: one at a time.
 */
#ifndef ATTUNE_NN_POOL_H
#define ATTUNE_NN_POOL_H

#include <stddef.h>

struct nn_pool_block;

struct nn_pool {
    struct nn_pool_block *blocks;
    size_t left_bytes;
};

void nn_pool_init(struct nn_pool *p, size_t bytes_max);
void nn_pool_clear(struct nn_pool *p);

/* count * size zeroed bytes, aligned for any type; NULL when memory or the bound is reached.
 * count 0 gives a valid pointer. */
void *nn_pool_alloc(struct nn_pool *p, size_t count, size_t size);

char *nn_pool_string(struct nn_pool *p, const char *s);

#endif
