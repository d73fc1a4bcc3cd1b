/* allocations.h - counts malloc, calloc and realloc where our own code calls them: for tests that
 * are linked with --wrap of each. */
#ifndef ATTUNE_TESTS_ALLOCATIONS_H
#define ATTUNE_TESTS_ALLOCATIONS_H

#include <stddef.h>

static int allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

#endif
