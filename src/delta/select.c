/* Every strategy ends as a mask of exactly `take` coordinates. The two that rank find the take-th
 * largest magnitude digit by digit (11 + 10 + 10 bits of the float's bit pattern, whose order is
 * the order of non-negative floats), then take all above it and the first ones equal to it. */
#include "delta/select.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/names.h"

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
    size_t set = 0;
    for (size_t i = 0; i < mask_bytes(count); i++)
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

void select_mask(enum select_strategy s, size_t take, size_t count, const float *magnitude,
                 struct rng *rng, uint8_t *mask)
{
    assert(take <= count && count <= UINT32_MAX);
    memset(mask, 0, mask_bytes(count));
    size_t front = s == SELECT_FIRST ? take : s == SELECT_FIRST_LAST ? take - take / 2 : 0;
    size_t back = s == SELECT_LAST ? take : s == SELECT_FIRST_LAST ? take / 2 : 0;
    if (s == SELECT_FULL || take == count)
        set_range(mask, 0, count);
    else if (front + back > 0)
        set_range(mask, 0, front), set_range(mask, count - back, count);
    else if (s == SELECT_RANDOM || !magnitude)
        select_random(take, count, rng, mask);
    else
        select_largest(magnitude, count, take, mask);
}

/* Order-preserving key of |x|; NaN last. */
static uint32_t rank_key(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits &= 0x7fffffff;
    return bits > 0x7f800000 ? 0 : bits;
}

/* Narrows *prefix, the high bits of the threshold, by the `width` bits at `shift`: the digit in
 * which the *take-th largest key lies. *take becomes its rank among keys with the new prefix. */
static void narrow(const float *magnitude, size_t count, int shift, int width, uint32_t *prefix,
                   size_t *take)
{
    uint32_t histogram[1 << 11] = {0};
    uint32_t digit_mask = (1u << width) - 1;
    for (size_t i = 0; i < count; i++) {
        uint32_t key = rank_key(magnitude[i]);
        if ((uint64_t)key >> (shift + width) == *prefix)
            histogram[key >> shift & digit_mask]++;
    }
    uint32_t digit = digit_mask;
    while (histogram[digit] < *take)
        *take -= histogram[digit--];
    *prefix = *prefix << width | digit;
}

void select_largest(const float *magnitude, size_t count, size_t take, uint8_t *mask)
{
    assert(take <= count && count <= UINT32_MAX);
    memset(mask, 0, mask_bytes(count));
    if (take == 0)
        return;
    uint32_t threshold = 0;
    narrow(magnitude, count, 20, 11, &threshold, &take);
    narrow(magnitude, count, 10, 10, &threshold, &take);
    narrow(magnitude, count, 0, 10, &threshold, &take);
    for (size_t i = 0; i < count; i++) {
        uint32_t key = rank_key(magnitude[i]);
        if (key > threshold || (key == threshold && take > 0)) {
            set_range(mask, i, i + 1);
            take -= key == threshold;
        }
    }
}

void select_difference(const float *w1, const float *w0, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = fabsf(w1[i] - w0[i]);
}

void select_undo(float *w, const float *w0, const uint8_t *mask, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!mask_get(mask, i))
            w[i] = w0[i];
}
