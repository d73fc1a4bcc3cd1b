/* Selection against a brute-force sort, float16 against an exhaustive search. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delta/half.h"
#include "delta/select.h"

#define COUNT_MAX 100003

struct ranked {
    float magnitude;
    size_t index;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->magnitude != y->magnitude)
        return x->magnitude > y->magnitude ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* A rank with bins counted one by one. */
static void make_rank(const float *values, size_t count, struct nn_rank *r)
{
    memset(r->bins, 0, sizeof r->bins);
    memcpy(r->magnitude, values, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        r->bins[nn_rank_key(values[i]) >> NN_RANK_SHIFT]++;
}

static void check_largest(const float *values, size_t count, size_t take)
{
    static struct ranked sorted[COUNT_MAX];
    static uint8_t want[COUNT_MAX / 8 + 1], got[COUNT_MAX / 8 + 1], scratch[COUNT_MAX / 8 + 1];
    static float magnitude[COUNT_MAX], w[COUNT_MAX], w0[COUNT_MAX];
    static struct nn_rank rank = {.magnitude = magnitude};
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct ranked){isnan(values[i]) ? 0 : fabsf(values[i]), i};
    qsort(sorted, count, sizeof *sorted, by_rank);
    memset(want, 0, sizeof want);
    for (size_t i = 0; i < take; i++)
        want[sorted[i].index / 8] |= (uint8_t)(1 << sorted[i].index % 8);
    make_rank(values, count, &rank);
    memset(got, 0x55, sizeof got);
    select_largest(&rank, count, take, scratch, got);
    assert_memory_equal(got, want, mask_bytes(count));
    assert_int_equal(mask_count(got, count), take);
    for (size_t i = 0; i < count; i++) {
        w[i] = (float)i + 0.5f;
        w0[i] = -(float)i;
    }
    make_rank(values, count, &rank);
    memset(got, 0x55, sizeof got);
    select_largest_undo(&rank, count, take, w, w0, scratch, got);
    assert_memory_equal(got, want, mask_bytes(count));
    for (size_t i = 0; i < count; i++)
        assert_true(w[i] == (mask_get(want, i) ? (float)i + 0.5f : -(float)i));
}

static void largest_is_a_sort(void **state)
{
    (void)state;
    static float values[COUNT_MAX];
    struct rng rng;
    rng_init(&rng, 7, 0);
    for (int round = 0; round < 60; round++) {
        bool large = round % 20 == 0; /* several threads */
        size_t count = large ? COUNT_MAX : 1 + rng_below(&rng, 3000);
        omp_set_num_threads(1 + round % 3);
        uint32_t distinct = 1 + rng_below(&rng, 50); /* few values: many ties */
        for (size_t i = 0; i < count; i++)
            values[i] = round % 2 ? rng_normal(&rng) * powf(10, (float)rng_below(&rng, 30) - 20)
                                  : (float)rng_below(&rng, distinct) * 1e-3f;
        if (round % 3 == 0) {
            values[rng_below(&rng, (uint32_t)count)] = NAN;
            values[rng_below(&rng, (uint32_t)count)] = -INFINITY;
            values[rng_below(&rng, (uint32_t)count)] = 1e-45f;
        }
        check_largest(values, count, rng_below(&rng, (uint32_t)count + 1));
        check_largest(values, count, count);
        check_largest(values, count, 0);
    }
}

static void counts_are_ceilings(void **state)
{
    (void)state;
    assert_int_equal(select_count(0.05, 2113043), 105653);
    assert_int_equal(select_count(0.05, 100), 5);
    assert_int_equal(select_count(0.07, 100), 7); /* 0.07 * 100 is above 7 in doubles */
    assert_int_equal(select_count(0.1, 3), 1);
    assert_int_equal(select_count(0, 100), 0);
    assert_int_equal(select_count(-1, 100), 0);
    assert_int_equal(select_count(NAN, 100), 0);
    assert_int_equal(select_count(1, 100), 100);
    assert_int_equal(select_count(1e-12, 100), 0);
    assert_int_equal(select_count(1e-6, 100), 1);
}

static void positions(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1, 1);
    uint8_t mask[3];
    select_mask(SELECT_FIRST, 3, 20, &rng, mask);
    assert_memory_equal(mask, ((uint8_t[]){7, 0, 0}), 3);
    select_mask(SELECT_LAST, 3, 20, &rng, mask);
    assert_memory_equal(mask, ((uint8_t[]){0, 0, 14}), 3);
    select_mask(SELECT_FIRST_LAST, 3, 20, &rng, mask);
    assert_memory_equal(mask, ((uint8_t[]){3, 0, 8}), 3);
    select_mask(SELECT_FULL, 20, 20, &rng, mask);
    assert_memory_equal(mask, ((uint8_t[]){255, 255, 15}), 3);
    assert_true(select_needs_rank(SELECT_GRADIENT) && select_needs_rank(SELECT_PREVIOUS));
    assert_false(select_needs_rank(SELECT_RANDOM) || select_needs_rank(SELECT_FULL));
}

static void random_is_exact_and_even(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 3, 0);
    int hits[40] = {0};
    const int rounds = 4000;
    for (int r = 0; r < rounds; r++) {
        uint8_t mask[5];
        select_mask(r % 2 ? SELECT_RANDOM : SELECT_PREVIOUS, 10, 40, &rng, mask);
        assert_int_equal(mask_count(mask, 40), 10);
        for (int i = 0; i < 40; i++)
            hits[i] += mask_get(mask, (size_t)i);
    }
    for (int i = 0; i < 40; i++) /* mean 1000, deviation 27 */
        assert_in_range(hits[i], 850, 1150);
}

/* Moves are what a subtraction gives, counted the same on any number of threads. */
static void moves_are_ranked(void **state)
{
    (void)state;
    static float to[COUNT_MAX], from[COUNT_MAX], a[COUNT_MAX], b[COUNT_MAX], want[COUNT_MAX];
    static struct nn_rank one = {.magnitude = a}, three = {.magnitude = b}, by_hand;
    struct rng rng;
    rng_init(&rng, 11, 0);
    for (int i = 0; i < COUNT_MAX; i++) {
        from[i] = rng_normal(&rng);
        to[i] = from[i] + rng_normal(&rng) * powf(10, -(float)rng_below(&rng, 12));
        want[i] = fabsf(to[i] - from[i]);
    }
    to[5] = NAN;
    to[6] = INFINITY;
    want[6] = INFINITY;
    for (size_t count = COUNT_MAX; count > 0; count /= 7) {
        omp_set_num_threads(1);
        nn_rank_moves(&one, to, from, count);
        omp_set_num_threads(3);
        nn_rank_moves(&three, to, from, count);
        want[5] = a[5];
        assert_true(count < 6 || isnan(a[5]));
        assert_memory_equal(a, want, count * sizeof *a);
        assert_memory_equal(b, want, count * sizeof *a);
        by_hand.magnitude = want;
        make_rank(a, count, &by_hand);
        assert_memory_equal(one.bins, by_hand.bins, sizeof one.bins);
        assert_memory_equal(three.bins, by_hand.bins, sizeof one.bins);
    }
}

/* -0 stays -0 where a move is undone. */
static void undo_restores_bits(void **state)
{
    (void)state;
    const float w0[9] = {1, 2, 3, 4, 5, 6, 7, -0.0f, 9};
    float w[9] = {10, 200, 30, 40, 50, 60, 70, 0, 90}, magnitude[9];
    struct nn_rank rank = {.magnitude = magnitude};
    nn_rank_moves(&rank, w, w0, 9);
    uint8_t mask[2], scratch[2];
    select_largest_undo(&rank, 9, 2, w, w0, scratch, mask);
    const float want[9] = {1, 200, 3, 4, 5, 6, 7, -0.0f, 90};
    assert_memory_equal(w, want, sizeof want);
    assert_memory_equal(mask, ((uint8_t[]){0x02, 0x01}), 2);
}

static void names(void **state)
{
    (void)state;
    for (enum select_strategy s = SELECT_FULL; s <= SELECT_FIRST_LAST; s++)
        assert_int_equal(select_strategy_parse(select_strategy_name(s)), s);
    assert_int_equal(select_strategy_parse("best"), 0);
    assert_null(select_strategy_name(0));
}

/* The format's definition, in doubles. */
static double half_by_definition(int bits)
{
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double x = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return bits & 0x8000 ? -x : x;
}

static void half_by_search(void **state)
{
    (void)state;
    for (int bits = 0; bits < 0x10000; bits++) {
        if ((bits & 0x7fff) > 0x7c00)
            continue; /* NaN */
        float x = half_to_float((uint16_t)bits);
        if ((bits & 0x7fff) < 0x7c00)
            assert_true(x == half_by_definition(bits));
        assert_int_equal(half_from_float(x), bits);
    }
    assert_true(isnan(half_to_float(half_from_float(NAN))));
    assert_int_equal(half_from_float(65519.99f), 0x7bff);
    assert_int_equal(half_from_float(65520.0f), 0x7c00);
    assert_int_equal(half_from_float(-1e30f), 0xfc00);
    for (int bits = 0; bits < 0x7bff; bits++) { /* between neighbours: nearest, ties to even */
        double low = half_by_definition(bits), high = half_by_definition(bits + 1);
        float middle = (float)((low + high) / 2);
        assert_int_equal(half_from_float(middle), bits & 1 ? bits + 1 : bits);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), bits);
        assert_int_equal(half_from_float(nextafterf(middle, 1e9f)), bits + 1);
        assert_int_equal(half_from_float(-nextafterf(middle, 1e9f)), (bits + 1) | 0x8000);
    }
}

static void codes_are_ranks(void **state)
{
    (void)state;
    for (int step = DELTA_STEP_MIN; step <= 24; step++) {
        assert_int_equal(half_code(0, step), 0);
        assert_int_equal(half_code(-0.0f, step), 0);
        assert_true(half_value(1, step) == ldexpf(1, -step));
        assert_int_equal(half_code(INFINITY, step), HALF_CODE_MAX);
        for (int32_t code = -HALF_CODE_MAX; code <= HALF_CODE_MAX; code += 7) {
            float x = half_value(code, step);
            assert_int_equal(half_code(x, step), code);
            if (code < HALF_CODE_MAX)
                assert_true(half_value(code + 1, step) > x);
        }
    }
    assert_true(half_value(half_code(70000, 24), 24) == 65504);
    assert_true(half_value(half_code(0.03f, 14), 14) == 492 / 16384.0f); /* 0.03 * 2^14 = 491.52 */
    assert_true(half_value(half_code(0.3f, 14), 14) == 1229 / 4096.0f);  /* 11 significant bits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_is_a_sort),
        cmocka_unit_test(counts_are_ceilings),
        cmocka_unit_test(positions),
        cmocka_unit_test(random_is_exact_and_even),
        cmocka_unit_test(moves_are_ranked),
        cmocka_unit_test(undo_restores_bits),
        cmocka_unit_test(names),
        cmocka_unit_test(half_by_search),
        cmocka_unit_test(codes_are_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
