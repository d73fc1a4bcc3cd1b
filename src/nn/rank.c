/* Bins are found by vectors and counted one by one. */
#include "nn/rank.h"

#include <assert.h>
#include <math.h>

#include "nn/kernels_internal.h"

KERNEL_CLONES static void bins_run(const float *restrict magnitude, uint16_t *restrict bin,
                                   int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        bin[i] = (uint16_t)(nn_rank_key(magnitude[i]) >> NN_RANK_SHIFT);
}

KERNEL_CLONES static void moves_run(const float *restrict to, const float *restrict from,
                                    float *restrict out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = fabsf(to[i] - from[i]);
}

void nn_rank_count(struct nn_rank_counts *c, const float *magnitude, size_t n)
{
    uint16_t bin[NN_RANK_RUN + 3] = {0};
    assert(n <= NN_RANK_RUN);
    bins_run(magnitude, bin, (int64_t)n);
    size_t whole = n & ~(size_t)3;
    for (size_t i = 0; i < whole; i += 4) {
        c->of[bin[i]][0]++;
        c->of[bin[i + 1]][1]++;
        c->of[bin[i + 2]][2]++;
        c->of[bin[i + 3]][3]++;
    }
    for (size_t i = whole; i < n; i++)
        c->of[bin[i]][0]++;
}

void nn_rank_count_moves(struct nn_rank_counts *c, const float *to, const float *from, float *out,
                         size_t n)
{
    moves_run(to, from, out, (int64_t)n);
    nn_rank_count(c, out, n);
}

void nn_rank_clear(struct nn_rank *r)
{
    memset(r->bins, 0, sizeof r->bins);
    r->stamp = 0;
}

void nn_rank_add(struct nn_rank *r, const struct nn_rank_counts *c)
{
    for (int b = 0; b < NN_RANK_BINS; b++)
        r->bins[b] += c->of[b][0] + c->of[b][1] + c->of[b][2] + c->of[b][3];
}

void nn_rank_moves(struct nn_rank *r, const float *to, const float *from, size_t count)
{
    int64_t n = (int64_t)count;
    nn_rank_clear(r);
#pragma omp parallel if (n > KERNEL_PARALLEL_MIN)
    {
        struct nn_rank_counts c = {0};
#pragma omp for schedule(static)
        for (int64_t i = 0; i < n; i += NN_RANK_RUN)
            nn_rank_count_moves(&c, to + i, from + i, r->magnitude + i,
                                (size_t)kernel_min(NN_RANK_RUN, n - i));
#pragma omp critical(nn_rank)
        nn_rank_add(r, &c);
    }
}
