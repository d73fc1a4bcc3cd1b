/* An update of a running network: received in one step, put in place in another, undone by a third;
 * without an allocation. malloc and its like are counted where our own code calls them (the
 * linker's --wrap), the heap and the address space from outside. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delta/update.h"

#include "../base/allocations.h"

enum { TENSORS = 6, TRAINABLE = 21089, STATS = 40, COUNT = TRAINABLE + STATS };

/* The third spans several blocks of the update's; sizes that are no multiple of anything. */
static const uint32_t tensor_size[TENSORS] = {864, 1, 20000, 33, 70, 121};
static const uint32_t tensor_row[TENSORS] = {27, 1, 125, 1, 7, 11};

void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, long offset);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, long offset);

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, long offset)
{
    allocations++;
    return __real_mmap(at, n, protection, flags, fd, offset);
}

/* A server's vector that moves on, and the deltas between its versions. */
struct world {
    struct delta_model model;
    struct delta_update *update;
    struct delta_history history;
    float initial[COUNT], before[COUNT], server[COUNT];
    uint8_t mask[(TRAINABLE + 7) / 8];
    uint64_t version;
    struct rng rng;
    struct error err;
};

static struct world w;
static struct buf delta;

static int open_world(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    rng_init(&w.rng, 3, 0);
    for (int i = 0; i < COUNT; i++)
        w.server[i] = w.initial[i] = 0.1f * rng_normal(&w.rng);
    buf_init(&delta);
    w.version = 1; /* a delta from version 0 would be a snapshot */
    return delta_model_init_plain((const uint8_t[32]){7}, tensor_size, tensor_row, TENSORS, STATS,
                                  w.initial, &w.model, &w.err) ||
           delta_update_open(&w.model, &w.update, &w.err) ||
           delta_history_init(TRAINABLE, &w.history, &w.err);
}

static int close_world(void **state)
{
    (void)state;
    delta_update_close(&w.update);
    delta_history_clear(&w.history);
    delta_model_clear(&w.model);
    buf_clear(&delta);
    return 0;
}

/* The next version: `take` coordinates from `first` on move. */
static void advance(size_t first, size_t take, bool statistics)
{
    memcpy(w.before, w.server, sizeof w.before);
    memset(w.mask, 0, sizeof w.mask);
    for (size_t i = first; take > 0 && i < TRAINABLE; i++)
        if (rng_below(&w.rng, 20) == 0) {
            w.mask[i / 8] |= (uint8_t)(1 << i % 8);
            w.server[i] += 0.01f * rng_normal(&w.rng);
            take--;
        }
    for (int i = TRAINABLE; statistics && i < COUNT; i++)
        w.server[i] *= 1.1f;
    assert_int_equal(delta_round(&w.model, w.mask, 24, statistics, w.server, &w.err), ST_OK);
    delta_history_add(&w.history, w.mask, statistics);
    struct delta_versions v = {w.version, w.version + 1};
    delta.size_bytes = 0;
    assert_int_equal(
        delta_encode(&w.model, v, w.before, w.server, w.mask, 24, statistics, &delta, &w.err),
        ST_OK);
    w.version++;
}

static void decode(const float *params, uint64_t version)
{
    bool applies = false;
    assert_int_equal(delta_update_decode(w.update, delta.data, delta.size_bytes, version, params,
                                         NULL, &applies, &w.err),
                     ST_OK);
    assert_true(applies);
    assert_int_equal(delta_update_version(w.update), w.version);
}

static void two_steps_and_back(void **state)
{
    (void)state;
    static float camera[COUNT];
    for (int threads = 1; threads <= 3; threads++) {
        advance(threads == 2 ? 865 : 0, 1000, threads == 3);
        memcpy(camera, w.before, sizeof camera);
        decode(camera, w.version - 1);
        assert_memory_equal(camera, w.before, sizeof camera);
        delta_update_exchange(w.update, camera, threads);
        assert_memory_equal(camera, w.server, sizeof camera);
        delta_update_exchange(w.update, camera, threads);
        assert_memory_equal(camera, w.before, sizeof camera);
    }
}

static bool differs(const float *a, const float *b, size_t begin, size_t end)
{
    return memcmp(a + begin, b + begin, (end - begin) * sizeof *a) != 0;
}

/* Parts against what differs: every tensor of one, or the statistics, holds a difference, and there
 * is none outside. */
static void expect_parts(const float *a, const float *b)
{
    bool covered[COUNT] = {false};
    for (size_t begin = 0, end; delta_update_part(w.update, &begin, &end); begin = end)
        for (size_t i = begin; i < end; i++) {
            assert_true(i < COUNT && !covered[i]);
            covered[i] = true;
        }
    for (size_t t = 0, begin = 0, end; t <= TENSORS; t++, begin = end) {
        end = t < TENSORS ? begin + tensor_size[t] : COUNT;
        for (size_t i = begin; i < end; i++)
            assert_int_equal(covered[i], differs(a, b, begin, end));
    }
}

static void parts_are_the_tensors_that_change(void **state)
{
    (void)state;
    static const struct {
        size_t first, take;
        bool statistics;
    } cases[] = {{0, 5, false},        {865, 3, true},  {864 + 1 + 20000, 3, false},
                 {TRAINABLE, 0, true}, {0, 1000, true}, {400, 30, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        advance(cases[i].first, cases[i].take, cases[i].statistics);
        decode(w.before, w.version - 1);
        expect_parts(w.before, w.server);
    }
    delta_update_clear(w.update);
    size_t begin = 0, end;
    assert_false(delta_update_part(w.update, &begin, &end));
}

static void a_snapshot_is_whole(void **state)
{
    (void)state;
    static float camera[COUNT];
    for (int i = 0; i < 3; i++)
        advance(0, 500, i == 1);
    delta.size_bytes = 0;
    assert_int_equal(
        delta_encode_snapshot(&w.model, w.version, w.server, &w.history, 24, &delta, &w.err),
        ST_OK);
    for (int i = 0; i < COUNT; i++)
        camera[i] = (float)i; /* of a version that means nothing */
    decode(camera, 1);
    delta_update_exchange(w.update, camera, 2);
    assert_memory_equal(camera, w.server, sizeof camera);
    delta_update_exchange(w.update, camera, 1);
    assert_true(camera[7] == 7 && camera[COUNT - 1] == COUNT - 1);
    /* Whole vectors of the caller's, and a small update after that. */
    memcpy(delta_update_whole(w.update, 9), w.initial, sizeof w.initial);
    assert_int_equal(delta_update_version(w.update), 9);
    delta_update_exchange(w.update, camera, 1);
    assert_memory_equal(camera, w.initial, sizeof camera);
    advance(0, 30, false);
    decode(w.before, w.version - 1);
    expect_parts(w.before, w.server);
}

static void a_failed_one_is_empty(void **state)
{
    (void)state;
    advance(0, 100, true);
    decode(w.before, 1);
    bool applies = true;
    size_t begin = 0, end;
    assert_int_equal(delta_update_decode(w.update, delta.data, delta.size_bytes, 5, w.before, NULL,
                                         &applies, &w.err),
                     ST_CONFLICT);
    assert_false(delta_update_part(w.update, &begin, &end));
    w.before[11] += 1; /* other weights: the result's checksum tells */
    assert_int_equal(delta_update_decode(w.update, delta.data, delta.size_bytes, 1, w.before, NULL,
                                         &applies, &w.err),
                     ST_CONFLICT);
    assert_false(delta_update_part(w.update, &begin, &end));
    assert_int_equal(delta_update_decode(w.update, delta.data, delta.size_bytes, 2, w.server, NULL,
                                         &applies, &w.err),
                     ST_OK);
    assert_false(applies); /* there already */
}

static void nothing_is_allocated(void **state)
{
    (void)state;
    static float camera[COUNT];
    memcpy(camera, w.initial, sizeof camera);
    assert_true(allocations > 5); /* the counter sees what opening took */
    advance(0, 1000, true);       /* what is looked up or made once */
    decode(camera, w.version - 1);
    delta_update_exchange(w.update, camera, 1);
    for (int i = 0; i < 4; i++) {
        advance(0, 1000, i % 2 == 1);
        size_t heap = mallinfo2().uordblks;
        allocations = 0;
        decode(camera, w.version - 1);
        delta_update_exchange(w.update, camera, 1);
        delta_update_clear(w.update);
        assert_int_equal(allocations, 0);
        assert_int_equal(mallinfo2().uordblks, heap);
        assert_memory_equal(camera, w.server, sizeof camera);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(two_steps_and_back),   TEST(parts_are_the_tensors_that_change),
        TEST(a_snapshot_is_whole),  TEST(a_failed_one_is_empty),
        TEST(nothing_is_allocated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
