/* Personal deltas: a camera's own weights on top of every shared version are those that whoever
 * evaluates comes to, by the stated rule, and nothing damaged, foreign or out of place is taken. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "delta/personal.h"

#define TENSORS 4
#define STATS 12
#define TRAINABLE 600
#define COUNT (TRAINABLE + STATS)

struct world {
    struct delta_model model;
    float initial[COUNT], shared[COUNT], own[COUNT];
    struct rng rng;
};

static void world_init(struct world *w, uint64_t seed)
{
    static const uint32_t tensor_size[TENSORS] = {216, 8, 360, 16};
    static const uint32_t tensor_row[TENSORS] = {27, 1, 45, 1};
    const uint8_t identity[32] = {'o', 'w', 'n'};
    rng_init(&w->rng, seed, 5);
    for (int i = 0; i < COUNT; i++)
        w->initial[i] = rng_normal(&w->rng) * (i % 7 ? 0.05f : 3.0f);
    memcpy(w->shared, w->initial, sizeof w->shared);
    assert_int_equal(delta_model_init_plain(identity, tensor_size, tensor_row, TENSORS, STATS,
                                            w->initial, &w->model, NULL),
                     ST_OK);
}

/* A few coordinates of own, at random, get wire values near the shared ones. */
static void train(struct world *w, int step_log2)
{
    memcpy(w->own, w->shared, sizeof w->own);
    for (int i = 0; i < TRAINABLE; i++)
        if (rng_below(&w->rng, 20) == 0)
            w->own[i] = half_value(half_code(w->shared[i] + 0.05f * rng_normal(&w->rng), step_log2),
                                   step_log2);
}

/* The shared model moves on, here and there also where the camera has values of its own. */
static void move_on(struct world *w)
{
    for (int i = 0; i < COUNT; i++)
        if (rng_below(&w->rng, 4) == 0)
            w->shared[i] += 0.02f * rng_normal(&w->rng);
}

static void take(struct world *w, int step_log2, struct delta_personal *ret)
{
    struct error err;
    if (delta_personal_take(&w->model, 7, w->shared, w->own, step_log2, ret, &err) != ST_OK)
        fail_msg("%s", err.message);
}

static void write(struct world *w, const struct delta_personal *p, struct buf *out)
{
    struct error err;
    buf_init(out);
    if (delta_personal_write(&w->model, p, out, &err) != ST_OK)
        fail_msg("%s", err.message);
}

static enum status read(struct world *w, const struct buf *b, size_t n, uint64_t version,
                        struct delta_personal *ret, struct error *err)
{
    return delta_personal_read(&w->model, b->data, n, version, ret, err);
}

/* The rule worked out by itself, in units of the step: float16 of a number in those units, which
 * has eleven bits and no fraction. */
static float rounded(double v, int step_log2)
{
    double units = ldexp(v, step_log2), grid = 1;
    while (fabs(units) / grid >= 2048)
        grid *= 2;
    return (float)ldexp(nearbyint(units / grid) * grid, -step_log2);
}

static void expect(const struct world *w, const float *origin, int step, float *want)
{
    for (int i = 0; i < COUNT; i++) {
        float d = rounded((double)w->own[i] - (double)origin[i], step);
        want[i] = d != 0 ? rounded((double)w->shared[i] + (double)d, step) : w->shared[i];
    }
}

static void same_as(const float *want, const float *got)
{
    for (int i = 0; i < COUNT; i++)
        if (want[i] != got[i])
            fail_msg("parameter %d is %.9g, not %.9g", i, (double)got[i], (double)want[i]);
}

/* Who made it and who has the bytes come to the same weights, at the version that it was made on
 * and at every later one, whatever came between: differences stay. */
static void differences_stay(void **state)
{
    (void)state;
    static const int steps[] = {DELTA_STEP_MIN, 12, DELTA_STEP_FLOAT16};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world w;
        struct delta_personal made, got, late;
        struct buf bytes;
        struct error err;
        int step = steps[seed % 3];
        float origin[COUNT], server[COUNT], camera[COUNT], want[COUNT];
        world_init(&w, seed);
        train(&w, step);
        memcpy(origin, w.shared, sizeof origin);
        take(&w, step, &made);
        write(&w, &made, &bytes);
        assert_int_equal(read(&w, &bytes, bytes.size_bytes, 7, &got, &err), ST_OK);
        for (int version = 7; version < 12; version++) {
            memcpy(server, w.shared, sizeof server);
            memcpy(camera, w.shared, sizeof camera);
            delta_personal_put(&made, w.shared, server);
            delta_personal_put(&got, w.shared, camera);
            assert_memory_equal(server, camera, sizeof server);
            expect(&w, origin, step, want);
            same_as(want, camera);
            move_on(&w);
        }
        /* Who joins late, or asks again, has the same bytes and the same weights. */
        assert_int_equal(read(&w, &bytes, bytes.size_bytes, 12, &late, &err), ST_OK);
        memcpy(server, w.shared, sizeof server);
        memcpy(camera, w.shared, sizeof camera);
        delta_personal_put(&made, w.shared, server);
        delta_personal_put(&late, w.shared, camera);
        assert_memory_equal(server, camera, sizeof server);
        buf_clear(&bytes);
        delta_personal_clear(&made);
        delta_personal_clear(&got);
        delta_personal_clear(&late);
        delta_model_clear(&w.model);
    }
}

/* What was trained is what comes out, to a step: a shared model that has been rounded to steps
 * loses nothing. */
static void training_is_kept(void **state)
{
    (void)state;
    struct world w;
    struct delta_personal made;
    struct delta_info info;
    struct buf bytes;
    float camera[COUNT];
    uint8_t all[TRAINABLE / 8];
    world_init(&w, 1);
    memset(all, 0xff, sizeof all);
    assert_int_equal(delta_round(&w.model, all, 12, false, w.shared, NULL), ST_OK);
    train(&w, 12);
    take(&w, 12, &made);
    write(&w, &made, &bytes);
    assert_true(made.count > 10 && made.count < 60);
    memcpy(camera, w.shared, sizeof camera);
    delta_personal_put(&made, w.shared, camera);
    same_as(w.own, camera);
    assert_int_equal(delta_info_read(bytes.data, bytes.size_bytes, &info, NULL, 0, NULL), ST_OK);
    assert_true(info.personal && info.versions.base == 7 && info.versions.new == 7);
    assert_true(info.value_count == made.count && !info.statistics);
    buf_clear(&bytes);
    delta_personal_clear(&made);
    delta_model_clear(&w.model);
}

static void refused(struct world *w, const struct buf *b, size_t n, uint64_t version,
                    enum status want, const char *says)
{
    struct delta_personal p = {.version = 99};
    struct error err = {.message = ""};
    assert_int_equal(read(w, b, n, version, &p, &err), want);
    assert_true(err.message[0] && p.version == 99 && !p.index);
    if (says && !strstr(err.message, says))
        fail_msg("'%s' lacks '%s'", err.message, says);
}

/* With a right checksum a turned bit is refused, or means nothing (the last bits of a section), or
 * is of the version, which nothing in the file speaks against. */
static void refused_or_the_same(struct world *w, const struct buf *b)
{
    struct delta_personal p;
    struct error err = {.message = ""};
    float camera[COUNT];
    enum status st = read(w, b, b->size_bytes, 7, &p, &err);
    if (st != ST_OK) {
        assert_true(st == ST_FORMAT || st == ST_CONFLICT || st == ST_UNSUPPORTED);
        assert_true(err.message[0]);
        return;
    }
    memcpy(camera, w->shared, sizeof camera);
    delta_personal_put(&p, w->shared, camera);
    same_as(w->own, camera);
    delta_personal_clear(&p);
}

/* Cut anywhere, any bit turned, with a right checksum and without. */
static void damage_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct delta_personal made;
    struct buf bytes;
    uint8_t all[TRAINABLE / 8];
    world_init(&w, 3);
    memset(all, 0xff, sizeof all);
    assert_int_equal(delta_round(&w.model, all, 12, false, w.shared, NULL), ST_OK);
    train(&w, 12);
    take(&w, 12, &made);
    write(&w, &made, &bytes);
    for (size_t n = 0; n < bytes.size_bytes; n++)
        refused(&w, &bytes, n, 7, ST_FORMAT, NULL);
    for (size_t bit = 0; bit < 8 * bytes.size_bytes; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused(&w, &bytes, bytes.size_bytes, 7, ST_FORMAT, NULL);
        uint32_t keep, crc = file_crc32(bytes.data, bytes.size_bytes - 4);
        memcpy(&keep, bytes.data + bytes.size_bytes - 4, 4);
        memcpy(bytes.data + bytes.size_bytes - 4, &crc, 4);
        refused_or_the_same(&w, &bytes);
        memcpy(bytes.data + bytes.size_bytes - 4, &keep, 4);
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_clear(&bytes);
    delta_personal_clear(&made);
    delta_model_clear(&w.model);
}

/* As a step of the group's versions it is none, whatever version is here. */
static void no_step(struct world *w, const struct buf *bytes)
{
    for (uint64_t at = 6; at < 9; at++) {
        struct error err;
        uint64_t version = at;
        bool applied = false;
        float params[COUNT];
        memcpy(params, w->shared, sizeof params);
        assert_int_equal(delta_apply(&w->model, bytes->data, bytes->size_bytes, &version, params,
                                     NULL, &applied, &err),
                         ST_CONFLICT);
        assert_non_null(strstr(err.message, "own delta on top of version 7"));
        assert_true(version == at && !applied);
        assert_memory_equal(params, w->shared, sizeof params);
    }
}

static void what_is_out_of_place_is_refused(void **state)
{
    (void)state;
    struct world w, other;
    struct delta_personal made, p;
    struct buf bytes, step;
    struct error err;
    uint8_t mask[TRAINABLE / 8 + 1] = {0};
    world_init(&w, 4);
    train(&w, 12);
    take(&w, 12, &made);
    write(&w, &made, &bytes);
    refused(&w, &bytes, bytes.size_bytes, 6, ST_CONFLICT, "for version 7 and later, version 6");
    no_step(&w, &bytes);
    world_init(&other, 4);
    other.model.identity[0] ^= 1;
    refused(&other, &bytes, bytes.size_bytes, 7, ST_CONFLICT, "another model");
    /* A step is no personal delta. */
    buf_init(&step);
    assert_int_equal(delta_encode(&w.model, (struct delta_versions){7, 8}, w.shared, w.shared, mask,
                                  12, false, &step, &err),
                     ST_OK);
    refused(&w, &step, step.size_bytes, 7, ST_CONFLICT, "no personal delta");
    /* Nor are weights that diverged, or other statistics. */
    w.own[5] = NAN;
    assert_int_equal(delta_personal_take(&w.model, 7, w.shared, w.own, 12, &p, &err), ST_INVALID);
    memcpy(w.own, w.shared, sizeof w.own);
    w.own[TRAINABLE] += 1;
    assert_int_equal(delta_personal_take(&w.model, 7, w.shared, w.own, 12, &p, &err), ST_INVALID);
    buf_clear(&step);
    buf_clear(&bytes);
    delta_personal_clear(&made);
    delta_model_clear(&w.model);
    delta_model_clear(&other.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_stay), cmocka_unit_test(training_is_kept),
        cmocka_unit_test(damage_is_refused), cmocka_unit_test(what_is_out_of_place_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
