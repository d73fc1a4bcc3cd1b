/* Deltas: camera and server stay equal bit for bit, and nothing damaged or foreign is applied. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "delta/coder.h"
#include "delta/delta.h"

#define TENSORS 5
#define STATS 24
#define TRAINABLE 3121

/* A toy model's tables and both sides of the wire. */
struct world {
    struct delta_model model;
    float initial[TRAINABLE + STATS], server[TRAINABLE + STATS], camera[TRAINABLE + STATS];
    uint8_t mask[TRAINABLE / 8 + 1];
    uint64_t version;
    struct delta_history history;
    struct rng rng;
};

static const uint32_t tensor_size[TENSORS] = {864, 1, 32, 2048, 176};
static const uint32_t tensor_row[TENSORS] = {27, 1, 1, 64, 11};

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    rng_init(&w->rng, seed, 0);
    for (int i = 0; i < TRAINABLE + STATS; i++)
        w->initial[i] = rng_normal(&w->rng) * (i % 5 ? 0.05f : 1.0f);
    memcpy(w->server, w->initial, sizeof w->server);
    memcpy(w->camera, w->initial, sizeof w->camera);
    uint8_t identity[32] = {1, 2, 3};
    assert_int_equal(delta_model_init_plain(identity, tensor_size, tensor_row, TENSORS, STATS,
                                            w->initial, &w->model, NULL),
                     ST_OK);
    assert_int_equal(w->model.trainable_count, TRAINABLE);
    assert_int_equal(delta_history_init(TRAINABLE, &w->history, NULL), ST_OK);
}

static void world_clear(struct world *w)
{
    delta_model_clear(&w->model);
    delta_history_clear(&w->history);
}

/* Moves the server's masked coordinates by up to `scale` and encodes version v to v + 1. */
static void advance(struct world *w, float scale, int step, bool statistics, struct buf *out)
{
    float base[TRAINABLE + STATS];
    memcpy(base, w->server, sizeof base);
    for (size_t i = 0; i < TRAINABLE + STATS; i++)
        if (i < TRAINABLE ? mask_get(w->mask, i) : statistics)
            w->server[i] += scale * rng_normal(&w->rng);
    struct error err;
    assert_int_equal(delta_round(&w->model, w->mask, step, statistics, w->server, &err), ST_OK);
    struct delta_versions v = {w->version, w->version + 1};
    assert_int_equal(
        delta_encode(&w->model, v, base, w->server, w->mask, step, statistics, out, &err), ST_OK);
    delta_history_add(&w->history, w->mask, statistics);
    w->version++;
}

static void apply_ok(struct world *w, const struct buf *b, uint64_t *version)
{
    struct error err = {.message = ""};
    bool applied = false;
    enum status st =
        delta_apply(&w->model, b->data, b->size_bytes, version, w->camera, NULL, &applied, &err);
    if (st != ST_OK)
        print_message("%s\n", err.message);
    assert_int_equal(st, ST_OK);
    assert_true(applied);
    assert_memory_equal(w->camera, w->server, sizeof w->camera);
}

static void camera_follows(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 1);
    uint64_t version = 0;
    for (int phase = 0; phase < 60; phase++) {
        static const int steps[] = {24, 14, 8};
        size_t take = phase == 0 ? 0 : phase == 1 ? TRAINABLE : rng_below(&w.rng, TRAINABLE + 1);
        select_mask(phase % 7 == 3 ? SELECT_FIRST : SELECT_RANDOM, take, TRAINABLE, &w.rng, w.mask);
        struct buf b;
        buf_init(&b);
        advance(&w, phase % 5 ? 0.01f : 1000.0f, steps[phase % 3], phase % 4 == 1, &b);
        apply_ok(&w, &b, &version);
        assert_int_equal(version, phase + 1);
        buf_clear(&b);
    }
    world_clear(&w);
}

/* Independent statement of the invariant: float16 of the server's value where sent, the model
 * file's own value elsewhere. */
static void sent_values_are_float16(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 2);
    uint64_t version = 0;
    for (int i = 0; i < TRAINABLE; i++)
        w.mask[i / 8] |= (uint8_t)((i % 3 == 0) << i % 8);
    struct buf b;
    buf_init(&b);
    advance(&w, 0.1f, 24, false, &b);
    apply_ok(&w, &b, &version);
    for (int i = 0; i < TRAINABLE; i++)
        if (i % 3 == 0)
            assert_true(half_to_float(half_from_float(w.camera[i])) == w.camera[i]);
        else
            assert_true(w.camera[i] == w.initial[i]);
    buf_clear(&b);
    world_clear(&w);
}

static void newcomer_gets_a_snapshot(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 3);
    struct buf b, first;
    buf_init(&b);
    buf_init(&first);
    for (int phase = 0; phase < 8; phase++) {
        select_mask(SELECT_RANDOM, 300, TRAINABLE, &w.rng, w.mask);
        b.size_bytes = 0;
        advance(&w, 0.02f, 24, phase == 5, phase ? &b : &first);
    }
    struct buf snapshot;
    buf_init(&snapshot);
    assert_int_equal(
        delta_encode_snapshot(&w.model, w.version, w.server, &w.history, 24, &snapshot, NULL),
        ST_OK);
    uint64_t version = 3; /* it missed some; its own weights do not matter */
    memset(w.camera, 0x55, sizeof w.camera);
    struct delta_history sent;
    assert_int_equal(delta_history_init(TRAINABLE, &sent, NULL), ST_OK);
    memset(sent.mask, 0xff, TRAINABLE / 8);
    bool applied = false;
    assert_int_equal(delta_apply(&w.model, snapshot.data, snapshot.size_bytes, &version, w.camera,
                                 &sent, &applied, NULL),
                     ST_OK);
    assert_true(applied);
    assert_int_equal(version, 8);
    assert_memory_equal(w.camera, w.server, sizeof w.camera);
    assert_memory_equal(sent.mask, w.history.mask, mask_bytes(TRAINABLE));
    assert_true(sent.statistics);
    /* Again: nothing to do. */
    assert_int_equal(delta_apply(&w.model, snapshot.data, snapshot.size_bytes, &version, w.camera,
                                 &sent, &applied, NULL),
                     ST_OK);
    assert_false(applied);
    /* The first delta, base 0 too, must not bring it back. */
    assert_int_equal(delta_apply(&w.model, first.data, first.size_bytes, &version, w.camera, NULL,
                                 &applied, NULL),
                     ST_CONFLICT);
    /* And the next delta goes on from there. */
    b.size_bytes = 0;
    advance(&w, 0.02f, 24, false, &b);
    apply_ok(&w, &b, &version);
    delta_history_clear(&sent);
    buf_clear(&b);
    buf_clear(&first);
    buf_clear(&snapshot);
    world_clear(&w);
}

/* Expects refusal with `want`, and that nothing moved. */
static void refuse(struct world *w, const void *bytes, size_t n, uint64_t version, enum status want)
{
    static float before[TRAINABLE + STATS];
    memcpy(before, w->camera, sizeof before);
    uint64_t v = version;
    bool applied = true;
    struct error err = {.message = ""};
    enum status st = delta_apply(&w->model, bytes, n, &v, w->camera, NULL, &applied, &err);
    assert_int_equal(st, want);
    assert_true(applied && v == version && err.message[0]);
    assert_memory_equal(before, w->camera, sizeof before);
}

static void out_of_order_and_foreign(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 4);
    struct buf b[3];
    for (int i = 0; i < 3; i++) {
        buf_init(&b[i]);
        select_mask(SELECT_RANDOM, 200, TRAINABLE, &w.rng, w.mask);
        advance(&w, 0.02f, 24, false, &b[i]);
    }
    refuse(&w, b[2].data, b[2].size_bytes, 0, ST_CONFLICT);
    refuse(&w, b[1].data, b[1].size_bytes, 0, ST_CONFLICT);
    refuse(&w, b[1].data, b[1].size_bytes, 7, ST_CONFLICT);
    refuse(&w, b[1].data, b[1].size_bytes, 2, ST_CONFLICT); /* right number, other weights */
    refuse(&w, b[1].data, b[1].size_bytes, 1, ST_CONFLICT); /* base with other weights */
    w.model.identity[31] ^= 1;
    refuse(&w, b[0].data, b[0].size_bytes, 0, ST_CONFLICT);
    w.model.identity[31] ^= 1;
    w.model.stat_count--;
    refuse(&w, b[0].data, b[0].size_bytes, 0, ST_CONFLICT);
    w.model.stat_count++;
    for (int i = 0; i < 3; i++)
        buf_clear(&b[i]);
    world_clear(&w);
}

static void small_delta(struct world *w, struct buf *b)
{
    buf_init(b);
    select_mask(SELECT_RANDOM, 25, TRAINABLE, &w->rng, w->mask);
    advance(w, 0.02f, 24, true, b);
}

static void every_cut_and_flip_is_refused(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 5);
    struct buf b;
    small_delta(&w, &b);
    for (size_t n = 0; n < b.size_bytes; n++) {
        uint8_t *cut = malloc(n + 1); /* exact size, so that a sanitizer sees an over-read */
        memcpy(cut, b.data, n);
        refuse(&w, cut, n, 0, ST_FORMAT);
        free(cut);
    }
    for (size_t bit = 0; bit < b.size_bytes * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refuse(&w, b.data, b.size_bytes, 0, ST_FORMAT);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_put_u8(&b, 0);
    refuse(&w, b.data, b.size_bytes, 0, ST_FORMAT);
    buf_clear(&b);
    world_clear(&w);
}

/* Flips with the outer checksum made right again: what a forger could send. The last bits of a
 * coded section may mean nothing; then the result is the server's all the same. */
static void forged_deltas_are_refused(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 6);
    struct buf b;
    small_delta(&w, &b);
    int accepted = 0;
    for (size_t bit = 0; bit < (b.size_bytes - 4) * 8; bit++) {
        if (bit / 8 >= 48 && bit / 8 < 56)
            continue; /* the new version's number is not checked against anything */
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        uint32_t crc = file_crc32(b.data, b.size_bytes - 4);
        memcpy(b.data + b.size_bytes - 4, &crc, 4);
        uint64_t version = 0;
        bool applied = false;
        memcpy(w.camera, w.initial, sizeof w.camera);
        if (delta_apply(&w.model, b.data, b.size_bytes, &version, w.camera, NULL, &applied, NULL) ==
            ST_OK)
            assert_memory_equal(w.camera, w.server, sizeof w.camera);
        else
            assert_memory_equal(w.camera, w.initial, sizeof w.camera);
        accepted += applied;
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_in_range(accepted, 0, 3 * 40); /* three sections, five closing bytes each */
    buf_clear(&b);
    world_clear(&w);
}

static void info_tells(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 7);
    for (int i = 0; i < 864 + 1; i++)
        w.mask[i / 8] |= (uint8_t)(1 << i % 8);
    w.mask[900 / 8] |= 1 << 900 % 8;
    struct buf b;
    buf_init(&b);
    advance(&w, 0.02f, 20, true, &b);
    struct delta_info info;
    uint32_t counts[TENSORS];
    assert_int_equal(delta_info_read(b.data, b.size_bytes, &info, counts, TENSORS, NULL), ST_OK);
    assert_int_equal(info.versions.base, 0);
    assert_int_equal(info.versions.new, 1);
    assert_int_equal(info.step_log2, 20);
    assert_true(info.statistics && info.stat_bytes > 0);
    assert_int_equal(info.value_count, 866);
    const uint32_t want[TENSORS] = {864, 1, 0, 1, 0};
    assert_memory_equal(counts, want, sizeof want);
    assert_int_equal(info.bytes, b.size_bytes);
    assert_int_equal(92 + info.count_bytes + info.mask_bytes + info.value_bytes + info.stat_bytes +
                         4,
                     b.size_bytes);
    assert_int_equal(delta_info_read("ATDL", 4, &info, NULL, 0, NULL), ST_FORMAT);
    buf_clear(&b);
    world_clear(&w);
}

static void bad_values(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w, 8);
    w.mask[0] = 1;
    struct buf b;
    buf_init(&b);
    struct delta_versions v = {0, 1};
    w.server[0] = NAN;
    assert_int_equal(delta_round(&w.model, w.mask, 24, false, w.server, NULL), ST_INVALID);
    w.server[0] = INFINITY;
    assert_int_equal(delta_round(&w.model, w.mask, 24, false, w.server, NULL), ST_INVALID);
    w.server[0] = -1e9f; /* clamped to the largest float16 */
    assert_int_equal(delta_round(&w.model, w.mask, 24, false, w.server, NULL), ST_OK);
    assert_true(w.server[0] == -65504);
    w.server[0] = 1.0f / 3; /* not rounded */
    assert_int_equal(delta_encode(&w.model, v, w.initial, w.server, w.mask, 24, false, &b, NULL),
                     ST_INVALID);
    assert_int_equal(delta_round(&w.model, w.mask, 24, false, w.server, NULL), ST_OK);
    w.server[1] += 1; /* moved off the mask */
    assert_int_equal(delta_encode(&w.model, v, w.initial, w.server, w.mask, 24, false, &b, NULL),
                     ST_INVALID);
    w.server[1] = w.initial[1];
    v.new = 0;
    assert_int_equal(delta_encode(&w.model, v, w.initial, w.server, w.mask, 24, false, &b, NULL),
                     ST_INVALID);
    assert_int_equal(b.size_bytes, 0);
    w.server[TRAINABLE] = 3e38f;
    w.server[TRAINABLE + 1] = -3.4028235e38f;
    assert_int_equal(delta_round(&w.model, w.mask, 24, true, w.server, NULL), ST_OK);
    assert_true(isfinite(w.server[TRAINABLE + 1]));
    assert_true(fabsf(w.server[TRAINABLE] / 3e38f - 1) < 1 / 256.0f);
    buf_clear(&b);
    world_clear(&w);
}

static void history_round_trip(void **state)
{
    (void)state;
    struct delta_history h, g;
    assert_int_equal(delta_history_init(21, &h, NULL), ST_OK);
    assert_int_equal(delta_history_init(21, &g, NULL), ST_OK);
    delta_history_add(&h, (uint8_t[]){1, 0, 16}, false);
    delta_history_add(&h, (uint8_t[]){3, 128, 0}, true);
    assert_memory_equal(h.mask, ((uint8_t[]){3, 128, 16}), 3);
    struct buf b;
    buf_init(&b);
    delta_history_save(&h, &b);
    struct cursor c;
    for (size_t n = 0; n < b.size_bytes; n++) {
        cursor_init(&c, b.data, n);
        assert_int_equal(delta_history_load(&g, &c, NULL), ST_FORMAT);
    }
    cursor_init(&c, b.data, b.size_bytes);
    assert_int_equal(delta_history_load(&g, &c, NULL), ST_OK);
    assert_memory_equal(g.mask, h.mask, 3);
    assert_true(g.statistics);
    b.data[b.size_bytes - 1] |= 32; /* a bit behind the last coordinate */
    cursor_init(&c, b.data, b.size_bytes);
    assert_int_equal(delta_history_load(&g, &c, NULL), ST_FORMAT);
    b.data[0]++;
    cursor_init(&c, b.data, b.size_bytes);
    assert_int_equal(delta_history_load(&g, &c, NULL), ST_CONFLICT);
    buf_clear(&b);
    delta_history_clear(&h);
    delta_history_clear(&g);
}

/* The coder near its bound: n biased bits in little more than their entropy. */
static void coder_is_near_entropy(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 9, 0);
    enum { BITS = 100000 };
    static uint8_t bits[BITS];
    struct buf b;
    buf_init(&b);
    struct coder c;
    struct bit_model model;
    coder_encode_begin(&c, &b);
    bit_model_init(&model, 32768, 1);
    for (int i = 0; i < BITS; i++) {
        bits[i] = rng_float(&rng) < 0.05f;
        coder_model_bit(&c, false, &model, 1000, bits[i]);
    }
    coder_raw(&c, false, 24, 0xabcdef);
    coder_encode_end(&c);
    double entropy = -0.05 * log2(0.05) - 0.95 * log2(0.95);
    assert_true((double)b.size_bytes < BITS * entropy / 8 * 1.02 + 16);
    coder_decode_begin(&c, b.data, b.size_bytes);
    bit_model_init(&model, 32768, 1);
    for (int i = 0; i < BITS; i++)
        assert_int_equal(coder_model_bit(&c, true, &model, 1000, 0), bits[i]);
    assert_int_equal(coder_raw(&c, true, 24, 0), 0xabcdef);
    assert_true(coder_decode_end(&c));
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(camera_follows),
        cmocka_unit_test(sent_values_are_float16),
        cmocka_unit_test(newcomer_gets_a_snapshot),
        cmocka_unit_test(out_of_order_and_foreign),
        cmocka_unit_test(every_cut_and_flip_is_refused),
        cmocka_unit_test(forged_deltas_are_refused),
        cmocka_unit_test(info_tells),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(history_round_trip),
        cmocka_unit_test(coder_is_near_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
