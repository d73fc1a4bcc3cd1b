/* Every strategy ends as a mask of exactly `take` coordinates. The two that rank find the take-th
 * largest magnitude digit by digit (11 + 10 + 10 bits of the float's bit pattern, whose order is
 * the order of non-negative floats), then take all above it and the first ones equal to it. The
 * first digit is in the rank's bins; the others are only looked at where the first one is that of
 * the threshold. */
#include "delta/select.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/names.h"
#include "nn/kernels_internal.h"

static const char *const strategy_names[] = {
    [SELECT_FULL] = "full",
    [SELECT_GRADIENT] = "gradient",
    [SELECT_PREVIOUS] = "previous",
    [SELECT_RANDOM] = "random",
    [SELECT_FIRST] = "first",
    [SELECT_LAST] = "last",
    [SELECT_FIRST_LAST] = "first-last",
};
#define STRATEGY_COUNT NAMES_COUNT(strategy_names)
_Static_assert(STRATEGY_COUNT == SELECT_FIRST_LAST + 1, "a name for every strategy");

const char *select_strategy_name(enum select_strategy s)
{
    return names_text(strategy_names, STRATEGY_COUNT, s, NULL);
}

enum select_strategy select_strategy_parse(const char *name)
{
    return (enum select_strategy)names_find(strategy_names, STRATEGY_COUNT, name, 0);
}

size_t mask_count(const uint8_t *mask, size_t count)
{
    size_t set = 0, bytes = mask_bytes(count), i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, mask + i, 8);
        set += (size_t)__builtin_popcountll(word);
    }
    for (; i < bytes; i++)
        set += (size_t)__builtin_popcount(mask[i]);
    return set;
}

size_t select_count(double fraction, size_t count)
{
    if (!(fraction > 0))
        return 0;
    if (fraction >= 1)
        return count;
    double exact = fraction * (double)count, whole = round(exact);
    double take = fabs(exact - whole) < 1e-9 * fmax(1, exact) ? whole : ceil(exact);
    return (size_t)take < count ? (size_t)take : count;
}

bool select_needs_step(enum select_strategy s)
{
    return s == SELECT_GRADIENT;
}

bool select_needs_rank(enum select_strategy s)
{
    return s == SELECT_GRADIENT || s == SELECT_PREVIOUS;
}

static void set_range(uint8_t *mask, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        mask[i >> 3] |= (uint8_t)(1u << (i & 7));
}

/* Selection sampling: coordinate i is taken with probability left / remaining, which gives every
 * subset of that size the same chance. */
static void select_random(size_t take, size_t count, struct rng *rng, uint8_t *mask)
{
    for (size_t i = 0; take > 0; i++) {
        if (rng_below(rng, (uint32_t)(count - i)) >= take)
            continue;
        set_range(mask, i, i + 1);
        take--;
    }
}

void select_mask(enum select_strategy s, size_t take, size_t count, struct rng *rng, uint8_t *mask)
{
    assert(take <= count && count <= UINT32_MAX);
    memset(mask, 0, mask_bytes(count));
    size_t front = s == SELECT_FIRST ? take : s == SELECT_FIRST_LAST ? take - take / 2 : 0;
    size_t back = s == SELECT_LAST ? take : s == SELECT_FIRST_LAST ? take / 2 : 0;
    if (s == SELECT_FULL || take == count)
        set_range(mask, 0, count);
    else if (front + back > 0)
        set_range(mask, 0, front), set_range(mask, count - back, count);
    else
        select_random(take, count, rng, mask);
}

/* ---- by rank ---- */

/* The coordinates of one selection. A run is NN_RANK_RUN of them. */
struct selection {
    float *
        magnitude; /* of a run that was gone through: the open ones first, the rest means nothing */
    size_t count;
    float *w; /* NULL: nothing to undo */
    const float *w0;
    uint8_t *mask, *open; /* open: those in the bin of the threshold */
};

/* 2: its bin is above `bin`, 1: it is `bin`, 0: below. */
KERNEL_CLONES static void classify(const float *restrict magnitude, uint32_t bin,
                                   uint8_t *restrict class, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t of = nn_rank_key(magnitude[i]) >> NN_RANK_SHIFT;
        class[i] = (uint8_t)((of > bin) * 2 + (of == bin));
    }
}

KERNEL_CLONES static void keep_classes(float *restrict w, const float *restrict w0,
                                       const uint8_t *restrict class, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        w[i] = class[i] ? w[i] : w0[i];
}

/* Bit `bit` of each of 8 classes as one byte: a multiplication collects them at the top. */
static uint8_t gather(const uint8_t *class, int bit)
{
    uint64_t bytes;
    memcpy(&bytes, class, 8);
    return (uint8_t)((bytes >> bit & 0x0101010101010101u) * 0x0102040810204080u >> 56);
}

/* Calls `body` with each coordinate `i` of [begin, end) that is open; begin is a multiple of 8. */
#define FOR_OPEN(s, begin, end, i, body)                                                           \
    for (size_t byte_ = (begin) / 8; byte_ < mask_bytes(end); byte_++)                             \
        for (unsigned bits_ = (s)->open[byte_]; bits_; bits_ &= bits_ - 1) {                       \
            size_t i = 8 * byte_ + (size_t)__builtin_ctz(bits_);                                   \
            body;                                                                                  \
        }

static size_t run_end(const struct selection *s, size_t begin)
{
    return s->count - begin < NN_RANK_RUN ? s->count : begin + NN_RANK_RUN;
}

static size_t open_count(const struct selection *s, size_t begin)
{
    return mask_count(s->open + begin / 8, run_end(s, begin) - begin);
}

static void select_run(const struct selection *s, size_t begin, uint32_t bin)
{
    uint8_t class[NN_RANK_RUN] = {0};
    size_t end = run_end(s, begin), n = end - begin;
    classify(s->magnitude + begin, bin, class, (int64_t)n);
    if (s->w)
        keep_classes(s->w + begin, s->w0 + begin, class, (int64_t)n);
    for (size_t i = 0; i < n; i += 8) {
        s->mask[(begin + i) / 8] = gather(class + i, 1);
        s->open[(begin + i) / 8] = gather(class + i, 0);
    }
    float *to = s->magnitude + begin;
    FOR_OPEN(s, begin, end, i, *to++ = s->magnitude[i]);
}

/* Narrows *prefix, the high bits of the threshold, by the 10 bits at `shift`: the digit in which
 * the *take-th largest open key lies. *take becomes its rank among keys with the new prefix. */
static void narrow(const struct selection *s, int shift, uint32_t *prefix, size_t *take)
{
    uint32_t histogram[1 << 10] = {0};
    for (size_t begin = 0; begin < s->count; begin += NN_RANK_RUN)
        for (size_t k = 0, n = open_count(s, begin); k < n; k++) {
            uint32_t key = nn_rank_key(s->magnitude[begin + k]);
            if (key >> (shift + 10) == *prefix)
                histogram[key >> shift & 1023]++;
        }
    uint32_t digit = 1023;
    while (histogram[digit] < *take)
        *take -= histogram[digit--];
    *prefix = *prefix << 10 | digit;
}

/* Takes the `take` largest open ones. */
static void settle_open(const struct selection *s, uint32_t bin, size_t take)
{
    uint32_t threshold = bin;
    narrow(s, 10, &threshold, &take);
    narrow(s, 0, &threshold, &take);
    for (size_t begin = 0; begin < s->count; begin += NN_RANK_RUN) {
        const float *magnitude = s->magnitude + begin;
        FOR_OPEN(s, begin, run_end(s, begin), i, {
            uint32_t key = nn_rank_key(*magnitude++);
            if (key > threshold || (key == threshold && take > 0)) {
                set_range(s->mask, i, i + 1);
                take -= key == threshold;
            } else if (s->w) {
                s->w[i] = s->w0[i];
            }
        });
    }
}

static void select_by_rank(const struct selection *s, struct nn_rank *rank, size_t take)
{
    assert(take <= s->count && s->count <= UINT32_MAX);
    rank->stamp = 0;
    if (take == 0) { /* above every bin */
        memset(s->mask, 0, mask_bytes(s->count));
        if (s->w)
            memcpy(s->w, s->w0, s->count * sizeof *s->w);
        return;
    }
    uint32_t bin = NN_RANK_BINS - 1;
    while (rank->bins[bin] < take)
        take -= rank->bins[bin--];
    int64_t count = (int64_t)s->count;
#pragma omp parallel for schedule(static) if (count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < count; i += NN_RANK_RUN)
        select_run(s, (size_t)i, bin);
    settle_open(s, bin, take);
}

void select_largest(struct nn_rank *rank, size_t count, size_t take, uint8_t *scratch,
                    uint8_t *mask)
{
    select_by_rank(&(struct selection){rank->magnitude, count, NULL, NULL, mask, scratch}, rank,
                   take);
}

void select_largest_undo(struct nn_rank *rank, size_t count, size_t take, float *w, const float *w0,
                         uint8_t *scratch, uint8_t *mask)
{
    select_by_rank(&(struct selection){rank->magnitude, count, w, w0, mask, scratch}, rank, take);
}
