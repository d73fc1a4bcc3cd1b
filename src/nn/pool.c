/* A list of calloc blocks. Models have a few thousand of them, so that a smarter arena would save
 * nothing that is measured; the sanitizers see every block. */
#include "nn/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct nn_pool_block {
    struct nn_pool_block *next;
    alignas(max_align_t) unsigned char data[];
};

void nn_pool_init(struct nn_pool *p, size_t bytes_max)
{
    *p = (struct nn_pool){.left_bytes = bytes_max};
}

void nn_pool_clear(struct nn_pool *p)
{
    while (p->blocks) {
        struct nn_pool_block *block = p->blocks;
        p->blocks = block->next;
        free(block);
    }
}

void *nn_pool_alloc(struct nn_pool *p, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n) ||
        __builtin_add_overflow(n, sizeof(struct nn_pool_block), &n) || n > p->left_bytes)
        return NULL;
    struct nn_pool_block *block = calloc(1, n);
    if (!block)
        return NULL;
    p->left_bytes -= n;
    block->next = p->blocks;
    p->blocks = block;
    return block->data;
}

char *nn_pool_string(struct nn_pool *p, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = nn_pool_alloc(p, n, 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}
