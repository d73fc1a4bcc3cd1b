/* optimizer.c - SGD with momentum and Adam as flat loops over the parameter vector.
 *
 * SGD: v = momentum v + (g + weight_decay w); w -= rate v, as torch.optim.SGD.
 * Adam (Kingma and Ba, 2015), in torch.optim.Adam's form, decay decoupled as in AdamW:
 * w -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon).
 * TensorFlow's Adam, which AMS's authors used, puts epsilon in another place ("epsilon hat"); at
 * the default of 1e-8 the two differ only where a gradient is that small.
 * The mask decides where the new value is stored, by a blend, so that a full mask and none give the
 * same bits; the moments do not see it.
 */
#include "nn/optimizer.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "nn/floats.h"
#include "nn/kernels_internal.h"

struct nn_optimizer {
    struct nn_optimizer_options options;
    size_t count;
    uint64_t steps;
    float *first, *second; /* momentum or mean; Adam's mean square */
    uint64_t stamp;        /* of this state, of any optimiser's: names what a rank is of */
};

/* A state that never was. */
static void stamp(struct nn_optimizer *o)
{
    static _Atomic uint64_t last;
    o->stamp = atomic_fetch_add(&last, 1) + 1;
}

void nn_optimizer_options_init(struct nn_optimizer_options *o)
{
    *o = (struct nn_optimizer_options){.kind = NN_ADAM,
                                       .learning_rate = 1e-3f,
                                       .momentum = 0.9f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.999f,
                                       .epsilon = 1e-8f,
                                       .weight_decay = 0};
}

static bool in_range(float v, float low, float high)
{
    return v >= low && v <= high; /* false for NaN */
}

static enum status check_options(const struct nn_optimizer_options *o, struct error *err)
{
    if (o->kind != NN_SGD && o->kind != NN_ADAM)
        return error_set(err, ST_INVALID, "optimizer %d is neither SGD nor Adam", (int)o->kind);
    if (!in_range(o->learning_rate, 0, 1e6f))
        return error_set(err, ST_INVALID, "learning rate %g is not in 0..1e6",
                         (double)o->learning_rate);
    if (!in_range(o->momentum, 0, 1) || !in_range(o->beta1, 0, 0.999999f) ||
        !in_range(o->beta2, 0, 0.9999999f))
        return error_set(err, ST_INVALID, "momentum %g, beta1 %g or beta2 %g is not in 0..1",
                         (double)o->momentum, (double)o->beta1, (double)o->beta2);
    if (!in_range(o->epsilon, 1e-30f, 1) || !in_range(o->weight_decay, 0, 1e6f))
        return error_set(err, ST_INVALID, "epsilon %g or weight decay %g is out of range",
                         (double)o->epsilon, (double)o->weight_decay);
    return ST_OK;
}

enum status nn_optimizer_open(size_t count, const struct nn_optimizer_options *options,
                              struct nn_optimizer **ret, struct error *err)
{
    struct nn_optimizer_options defaults;
    nn_optimizer_options_init(&defaults);
    enum status st = check_options(options ? options : &defaults, err);
    if (st != ST_OK)
        return st;
    struct nn_optimizer *o = calloc(1, sizeof(*o));
    if (!o)
        return error_set(err, ST_NOMEM, "no memory for an optimizer");
    o->options = options ? *options : defaults;
    o->count = count;
    stamp(o);
    size_t n = count > 0 ? count : 1;
    o->first = calloc(n, sizeof(float));
    o->second = o->options.kind == NN_ADAM ? calloc(n, sizeof(float)) : NULL;
    if (!o->first || (o->options.kind == NN_ADAM && !o->second)) {
        nn_optimizer_close(&o);
        return error_set(err, ST_NOMEM, "no memory for the moments of %zu parameters", count);
    }
    *ret = o;
    return ST_OK;
}

void nn_optimizer_close(struct nn_optimizer **o)
{
    if (!o || !*o)
        return;
    free((*o)->first);
    free((*o)->second);
    free(*o);
    *o = NULL;
}

void nn_optimizer_set_learning_rate(struct nn_optimizer *o, float learning_rate)
{
    o->options.learning_rate = learning_rate;
    stamp(o);
}

uint64_t nn_optimizer_steps(const struct nn_optimizer *o)
{
    return o->steps;
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* A run of parameters; mask bits start at bit 0 of *mask (runs start at multiples of 8). */
struct run {
    int64_t count;
    float *params, *first, *second;
    const float *grads;
    const uint8_t *mask; /* NULL: all */
};

/* Constants of a step. Adam's bias corrections are folded in: update = rate m / (sqrt(v) root +
 * epsilon) with rate = learning rate / (1 - b1^t) and root = 1 / sqrt(1 - b2^t). */
struct constants {
    float rate, momentum, beta1, beta2, epsilon, root, decay;
};

KERNEL_CLONES static void sgd_run(const struct run *r, const struct constants *k, float *out)
{
    const float *restrict p = r->params, *restrict g = r->grads;
    float *restrict v = r->first;
    float momentum = k->momentum, decay = k->decay, rate = k->rate;
    for (int64_t i = 0; i < r->count; i++) {
        v[i] = momentum * v[i] + (g[i] + decay * p[i]);
        out[i] = p[i] - rate * v[i];
    }
}

KERNEL_INLINE float adam_update(float m, float v, const struct constants *k)
{
    return k->rate * m / (sqrtf(v) * k->root + k->epsilon);
}

KERNEL_CLONES static void adam_run(const struct run *r, const struct constants *constants,
                                   float *out)
{
    const struct constants k = *constants;
    const float *restrict p = r->params, *restrict g = r->grads;
    float *restrict m = r->first, *restrict v = r->second;
    for (int64_t i = 0; i < r->count; i++) {
        m[i] = k.beta1 * m[i] + (1 - k.beta1) * g[i];
        v[i] = k.beta2 * v[i] + (1 - k.beta2) * (g[i] * g[i]);
        out[i] = (p[i] - k.decay * p[i]) - adam_update(m[i], v[i], &k);
    }
}

/* One byte a bit: a multiplication puts a copy of the byte everywhere, of which each keeps one bit.
 */
KERNEL_CLONES static void spread_bits(const uint8_t *mask, uint8_t *restrict select, int64_t count)
{
    for (int64_t i = 0; i < (count + 7) / 8; i++) {
        uint64_t bytes = mask[i] * 0x0101010101010101u & 0x8040201008040201u;
        memcpy(select + 8 * i, &bytes, sizeof(bytes));
    }
}

/* Stores the new values where the mask has a one; a move changes no bits of the others. */
KERNEL_CLONES static void store_selected(const float *restrict from, float *restrict to,
                                         const uint8_t *restrict select, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = select[i] ? from[i] : to[i];
}

static struct constants constants_of(const struct nn_optimizer *o)
{
    const struct nn_optimizer_options *p = &o->options;
    struct constants k = {.rate = p->learning_rate,
                          .momentum = p->momentum,
                          .beta1 = p->beta1,
                          .beta2 = p->beta2,
                          .epsilon = p->epsilon,
                          .root = 1,
                          .decay = p->weight_decay};
    if (p->kind == NN_SGD)
        return k;
    double t = (double)(o->steps > 0 ? o->steps : 1);
    k.rate = (float)((double)p->learning_rate / (1 - pow((double)p->beta1, t)));
    k.root = (float)(1 / sqrt(1 - pow((double)p->beta2, t)));
    k.decay = p->learning_rate * p->weight_decay;
    return k;
}

#define RUN NN_RANK_RUN /* of a scratch on the stack; a multiple of 8 */

static void step_run(const struct nn_optimizer *o, const struct run *r, const struct constants *k)
{
    float out[RUN];
    uint8_t select[RUN];
    if (o->options.kind == NN_SGD)
        sgd_run(r, k, out);
    else
        adam_run(r, k, out);
    if (!r->mask) {
        memcpy(r->params, out, (size_t)r->count * sizeof(float));
        return;
    }
    spread_bits(r->mask, select, r->count);
    store_selected(out, r->params, select, r->count);
}

KERNEL_CLONES static void magnitude_run(const float *restrict m, const float *restrict v,
                                        const struct constants *constants, float *restrict out,
                                        int64_t count)
{
    const struct constants k = *constants;
    for (int64_t i = 0; i < count; i++)
        out[i] = fabsf(adam_update(m[i], v[i], &k));
}

/* What one pass does: a step (params NULL: none) and a rank (NULL: none). */
struct pass {
    float *params;
    const float *grads;
    const uint8_t *mask;
    const float *from; /* of the rank, NULL: by update */
    struct nn_rank *rank;
};

static void rank_run(const struct run *r, const struct constants *k, const float *from,
                     float *magnitude, struct nn_rank_counts *counts)
{
    size_t n = (size_t)r->count;
    if (from) {
        nn_rank_count_moves(counts, r->params, from, magnitude, n);
        return;
    }
    magnitude_run(r->first, r->second, k, magnitude, r->count);
    nn_rank_count(counts, magnitude, n);
}

static void pass_run(const struct nn_optimizer *o, const struct pass *p, const struct constants *k,
                     int64_t i, struct nn_rank_counts *counts)
{
    struct run r = {.count = kernel_min(RUN, (int64_t)o->count - i),
                    .params = p->params ? p->params + i : NULL,
                    .first = o->first + i,
                    .second = o->second ? o->second + i : NULL,
                    .grads = p->params ? p->grads + i : NULL,
                    .mask = p->mask ? p->mask + i / 8 : NULL};
    if (p->params)
        step_run(o, &r, k);
    if (p->rank)
        rank_run(&r, k, p->from ? p->from + i : NULL, p->rank->magnitude + i, counts);
}

static void run_pass(const struct nn_optimizer *o, const struct pass *p)
{
    struct constants k = constants_of(o);
    int64_t count = (int64_t)o->count;
    if (p->rank)
        nn_rank_clear(p->rank);
#pragma omp parallel if (count > KERNEL_PARALLEL_MIN)
    {
        struct nn_rank_counts counts = {0};
#pragma omp for schedule(static)
        for (int64_t i = 0; i < count; i += RUN)
            pass_run(o, p, &k, i, &counts);
        if (p->rank) {
#pragma omp critical(nn_rank)
            nn_rank_add(p->rank, &counts);
        }
    }
    if (p->rank)
        p->rank->stamp = p->from ? 0 : o->stamp;
}

void nn_optimizer_step(struct nn_optimizer *o, float *params, const float *grads,
                       const uint8_t *mask)
{
    nn_optimizer_step_ranked(o, params, grads, mask, NULL, NULL);
}

void nn_optimizer_step_ranked(struct nn_optimizer *o, float *params, const float *grads,
                              const uint8_t *mask, const float *from, struct nn_rank *rank)
{
    assert(!rank || from || o->options.kind == NN_ADAM);
    o->steps++;
    stamp(o);
    if (o->count > 0)
        run_pass(o, &(struct pass){params, grads, mask, from, rank});
}

void nn_optimizer_rank_updates(const struct nn_optimizer *o, struct nn_rank *rank)
{
    assert(o->options.kind == NN_ADAM);
    if (rank->stamp != o->stamp)
        run_pass(o, &(struct pass){.rank = rank});
}

/* ---- state ---------------------------------------------------------------------------------- */

void nn_optimizer_save(const struct nn_optimizer *o, struct buf *out)
{
    buf_put_u8(out, (uint8_t)o->options.kind);
    buf_put_u64(out, o->count);
    buf_put_u64(out, o->steps);
    floats_put(out, o->first, o->count);
    if (o->second)
        floats_put(out, o->second, o->count);
}

enum status nn_optimizer_load(struct nn_optimizer *o, struct cursor *in, struct error *err)
{
    uint8_t kind = cursor_u8(in);
    uint64_t count = cursor_u64(in), steps = cursor_u64(in);
    if (in->failed)
        return error_set(err, ST_FORMAT, "optimizer state is cut short");
    if (kind != (uint8_t)o->options.kind || count != o->count)
        return error_set(err, ST_CONFLICT,
                         "optimizer state is of kind %u over %llu parameters, needed is %u over "
                         "%zu",
                         kind, (unsigned long long)count, (unsigned)o->options.kind, o->count);
    size_t bytes = o->count * sizeof(float);
    const uint8_t *first = cursor_take(in, bytes);
    const uint8_t *second = o->second ? cursor_take(in, bytes) : NULL;
    if (in->failed)
        return error_set(err, ST_FORMAT, "optimizer state is cut short");
    o->steps = steps;
    stamp(o);
    floats_copy(o->first, first, o->count);
    if (o->second)
        floats_copy(o->second, second, o->count);
    return ST_OK;
}
