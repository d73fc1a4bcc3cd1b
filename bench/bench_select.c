/* What AMS's selection costs beside an optimiser step: Adam over 1 and 12 million parameters, alone
 * and ranking as it goes, and the selection of 5 % from that rank. In turn; medians.
 * ATTUNE_BENCH_THREADS sets the threads, default 1. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "delta/select.h"
#include "nn/optimizer.h"

#define ROUNDS 21
#define FRACTION 0.05
#define SHIFT 4099 /* gradients of a round begin so much later: no two are the same */

enum { STEP, STEP_MOVES, SELECT_UNDO, STEP_UPDATES, SELECT, KINDS };
static const char *const names[KINDS] = {"Adam step", "Adam step ranking moves",
                                         "  selection and undoing the rest",
                                         "Adam step ranking updates", "  selection"};

struct arrays {
    size_t count, take;
    float *params, *before, *grads;
    const float *now; /* this round's gradients */
    uint8_t *mask, *scratch;
    struct nn_rank rank;
    struct nn_optimizer *optimizer;
};

static void *need(void *p)
{
    if (!p) {
        fprintf(stderr, "bench_select: out of memory\n");
        exit(1);
    }
    return p;
}

static void run(struct arrays *a, int kind)
{
    switch (kind) {
    case STEP:
        nn_optimizer_step(a->optimizer, a->params, a->now, NULL);
        break;
    case STEP_MOVES:
        nn_optimizer_step_ranked(a->optimizer, a->params, a->now, NULL, a->before, &a->rank);
        break;
    case SELECT_UNDO:
        select_largest_undo(&a->rank, a->count, a->take, a->params, a->before, a->scratch, a->mask);
        break;
    case STEP_UPDATES:
        nn_optimizer_step_ranked(a->optimizer, a->params, a->now, NULL, NULL, &a->rank);
        break;
    default:
        select_largest(&a->rank, a->count, a->take, a->scratch, a->mask);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(size_t count)
{
    struct arrays a = {.count = count, .take = select_count(FRACTION, count)};
    double ms[KINDS][ROUNDS];
    struct rng r;
    struct error err;
    rng_init(&r, 1, 0);
    a.params = need(malloc(count * sizeof(float)));
    a.before = need(malloc(count * sizeof(float)));
    a.grads = need(malloc((count + SHIFT * ROUNDS) * sizeof(float)));
    a.rank.magnitude = need(malloc(count * sizeof(float)));
    a.mask = need(malloc(mask_bytes(count)));
    a.scratch = need(malloc(mask_bytes(count)));
    for (size_t i = 0; i < count; i++)
        a.params[i] = a.before[i] = rng_normal(&r);
    for (size_t i = 0; i < count + SHIFT * ROUNDS; i++)
        a.grads[i] = 1e-3f * rng_normal(&r);
    if (nn_optimizer_open(count, NULL, &a.optimizer, &err) != ST_OK)
        need(NULL);
    for (int round = -1; round < ROUNDS; round++)
        for (int kind = 0; kind < KINDS; kind++) {
            a.now = a.grads + (size_t)(round < 0 ? 0 : round) * SHIFT;
            uint64_t start_us = clock_mono_us();
            run(&a, kind);
            if (round >= 0)
                ms[kind][round] = (double)(clock_mono_us() - start_us) / 1e3;
        }
    for (int kind = 0; kind < KINDS; kind++) {
        qsort(ms[kind], ROUNDS, sizeof(double), by_value);
        printf("%9zu  %-34s %7.2f ms\n", count, names[kind], ms[kind][ROUNDS / 2]);
    }
    nn_optimizer_close(&a.optimizer);
    free(a.params);
    free(a.before);
    free(a.grads);
    free(a.rank.magnitude);
    free(a.mask);
    free(a.scratch);
}

int main(void)
{
    const char *threads = getenv("ATTUNE_BENCH_THREADS");
    omp_set_num_threads(threads ? atoi(threads) : 1);
    measure(1000000);
    measure(12000000);
    return 0;
}
