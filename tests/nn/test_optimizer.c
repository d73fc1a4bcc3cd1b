/* SGD and Adam: ten steps as torch takes them; masks; state as bytes. */
#include <omp.h>

#include "kernel_check.h"
#include "loss_cases.h"
#include "nn/optimizer.h"

static struct nn_optimizer *open_with(size_t count, const struct nn_optimizer_options *options)
{
    struct nn_optimizer *o = NULL;
    struct error err;
    assert_int_equal(nn_optimizer_open(count, options, &o, &err), ST_OK);
    return o;
}

static void check_trace(const struct nn_optimizer_options *options, const float *trace,
                        double tolerance)
{
    struct nn_optimizer *o = open_with(STEP_PARAMS, options);
    float params[STEP_PARAMS];
    memcpy(params, step_start, sizeof(params));
    for (int t = 0; t < STEP_COUNT; t++) {
        nn_optimizer_step(o, params, step_grads + t * STEP_PARAMS, NULL);
        for (int i = 0; i < STEP_PARAMS; i++)
            expect_near((double)params[i], (double)trace[t * STEP_PARAMS + i], tolerance,
                        "parameter", t * STEP_PARAMS + i);
    }
    assert_int_equal(nn_optimizer_steps(o), STEP_COUNT);
    nn_optimizer_close(&o);
    assert_null(o);
}

static void steps_follow_torch(void **state)
{
    (void)state;
    struct nn_optimizer_options sgd, adam, adamw;
    nn_optimizer_options_init(&sgd);
    sgd.kind = NN_SGD;
    sgd.learning_rate = 0.05f;
    sgd.weight_decay = 0.01f;
    nn_optimizer_options_init(&adam);
    adam.learning_rate = 0.01f;
    adamw = adam;
    adamw.beta1 = 0.8f;
    adamw.beta2 = 0.9f;
    adamw.epsilon = 1e-3f;
    adamw.weight_decay = 0.1f;
    check_trace(&sgd, sgd_trace, 1e-6);
    check_trace(&adam, adam_trace, 1e-6);
    check_trace(&adamw, adamw_trace, 1e-6);
}

#define MANY 40009

struct run {
    struct nn_optimizer *o;
    float *params, *grads;
};

static struct run run_open(enum nn_optimizer_kind kind)
{
    struct nn_optimizer_options options;
    struct rng r;
    nn_optimizer_options_init(&options);
    options.kind = kind;
    rng_init(&r, 41, 0);
    return (struct run){open_with(MANY, &options), random_values(&r, MANY),
                        random_values(&r, MANY)};
}

static void run_clear(struct run *r)
{
    nn_optimizer_close(&r->o);
    release(r->params);
    release(r->grads);
}

/* AMS with gamma = 1 is plain training: the same bits, on any number of threads. */
static void full_mask_is_no_mask(void **state)
{
    (void)state;
    uint8_t mask[MANY / 8 + 1];
    memset(mask, 255, sizeof(mask));
    for (int kind = NN_SGD; kind <= NN_ADAM; kind++) {
        struct run a = run_open((enum nn_optimizer_kind)kind),
                   b = run_open((enum nn_optimizer_kind)kind);
        for (int t = 0; t < 5; t++) {
            nn_optimizer_step(a.o, a.params, a.grads, NULL);
            omp_set_num_threads(3);
            nn_optimizer_step(b.o, b.params, b.grads, mask);
            omp_set_num_threads(1);
        }
        assert_memory_equal(a.params, b.params, MANY * sizeof(float));
        run_clear(&a);
        run_clear(&b);
    }
}

/* Off the mask parameters keep their bits, NaN payloads too; the moments advance all the same. */
static void mask_keeps_bits(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 42, 0);
    for (int kind = NN_SGD; kind <= NN_ADAM; kind++) {
        struct run a = run_open((enum nn_optimizer_kind)kind),
                   b = run_open((enum nn_optimizer_kind)kind);
        uint8_t mask[MANY / 8 + 1];
        for (size_t i = 0; i < sizeof(mask); i++)
            mask[i] = (uint8_t)rng_below(&r, 256);
        const uint32_t odd = 0x7fc0beef;
        mask[0] = 0xfe;
        memcpy(b.params, &odd, sizeof(odd));
        float *before = guarded(MANY);
        memcpy(before, b.params, MANY * sizeof(float));
        nn_optimizer_step(a.o, a.params, a.grads, NULL);
        nn_optimizer_step(b.o, b.params, b.grads, mask);
        for (int i = 0; i < MANY; i++) {
            const float *want = mask[i >> 3] >> (i & 7) & 1 ? &a.params[i] : &before[i];
            assert_memory_equal(&b.params[i], want, sizeof(float));
        }
        struct buf sa, sb;
        buf_init(&sa);
        buf_init(&sb);
        nn_optimizer_save(a.o, &sa);
        nn_optimizer_save(b.o, &sb);
        assert_memory_equal(sa.data + 21, sb.data + 21, sa.size_bytes - 21); /* but NaN's own */
        buf_clear(&sa);
        buf_clear(&sb);
        release(before);
        run_clear(&a);
        run_clear(&b);
    }
}

static void expect_bins(const struct nn_rank *r, size_t count)
{
    static uint32_t want[NN_RANK_BINS];
    memset(want, 0, sizeof(want));
    for (size_t i = 0; i < count; i++)
        want[nn_rank_key(r->magnitude[i]) >> NN_RANK_SHIFT]++;
    assert_memory_equal(r->bins, want, sizeof(want));
}

/* A step that ranks moves what one does that does not, and leaves the rank that takes a pass
 * afterwards; on any number of threads. */
static void ranked_steps(void **state)
{
    (void)state;
    static struct nn_rank fused, later;
    fused.magnitude = guarded(MANY);
    later.magnitude = guarded(MANY);
    uint8_t mask[MANY / 8 + 1];
    for (size_t i = 0; i < sizeof(mask); i++)
        mask[i] = (uint8_t)(i * 37);
    struct run a = run_open(NN_ADAM), b = run_open(NN_ADAM);
    float *start = guarded(MANY);
    memcpy(start, a.params, MANY * sizeof(float));
    for (int t = 0; t < 6; t++) {
        const uint8_t *m = t % 2 ? mask : NULL;
        bool moves = t > 3;
        omp_set_num_threads(1 + t % 3);
        nn_optimizer_step_ranked(a.o, a.params, a.grads, m, moves ? start : NULL, &fused);
        omp_set_num_threads(1);
        nn_optimizer_step(b.o, b.params, b.grads, m);
        assert_memory_equal(a.params, b.params, MANY * sizeof(float));
        if (moves)
            nn_rank_moves(&later, b.params, start, MANY);
        else
            nn_optimizer_rank_updates(b.o, &later);
        assert_memory_equal(fused.magnitude, later.magnitude, MANY * sizeof(float));
        assert_memory_equal(fused.bins, later.bins, sizeof(later.bins));
        expect_bins(&fused, MANY);
    }
    release(fused.magnitude);
    release(later.magnitude);
    release(start);
    run_clear(&a);
    run_clear(&b);
}

/* A rank of updates is made once for each state, and not taken for that of another. */
static void a_rank_is_of_one_state(void **state)
{
    (void)state;
    static struct nn_rank rank, anew;
    rank.magnitude = guarded(MANY);
    anew.magnitude = guarded(MANY);
    struct run a = run_open(NN_ADAM);
    nn_optimizer_step_ranked(a.o, a.params, a.grads, NULL, NULL, &rank);
    rank.magnitude[3] = 77;
    nn_optimizer_rank_updates(a.o, &rank);
    assert_true(rank.magnitude[3] == 77); /* nothing was done */
    struct buf saved;
    buf_init(&saved);
    nn_optimizer_save(a.o, &saved);
    nn_optimizer_step(a.o, a.params, a.grads, NULL);
    for (int i = 0; i < 2; i++) {
        nn_optimizer_rank_updates(a.o, &rank);
        anew.stamp = 0;
        nn_optimizer_rank_updates(a.o, &anew);
        assert_memory_equal(rank.magnitude, anew.magnitude, MANY * sizeof(float));
        struct cursor in;
        cursor_init(&in, saved.data, saved.size_bytes);
        assert_int_equal(nn_optimizer_load(a.o, &in, NULL), ST_OK);
    }
    nn_optimizer_step_ranked(a.o, a.params, a.grads, NULL, a.grads, &rank);
    nn_optimizer_rank_updates(a.o, &rank); /* by moves is not by updates */
    nn_optimizer_rank_updates(a.o, &anew);
    assert_memory_equal(rank.magnitude, anew.magnitude, MANY * sizeof(float));
    buf_clear(&saved);
    release(rank.magnitude);
    release(anew.magnitude);
    run_clear(&a);
}

static void magnitude_is_the_step(void **state)
{
    (void)state;
    struct run a = run_open(NN_ADAM);
    float *before = guarded(MANY);
    static struct nn_rank rank;
    float *magnitude = rank.magnitude = guarded(MANY);
    nn_optimizer_rank_updates(a.o, &rank);
    for (int i = 0; i < MANY; i++)
        assert_true(magnitude[i] == 0);
    assert_int_equal(rank.bins[0], MANY);
    for (int t = 0; t < 3; t++) {
        memcpy(before, a.params, MANY * sizeof(float));
        nn_optimizer_step(a.o, a.params, a.grads, NULL);
    }
    nn_optimizer_rank_updates(a.o, &rank);
    for (int i = 0; i < MANY; i++)
        expect_near((double)magnitude[i], fabs((double)a.params[i] - (double)before[i]), 3e-7,
                    "magnitude", i);
    nn_optimizer_set_learning_rate(a.o, 0);
    memcpy(before, a.params, MANY * sizeof(float));
    nn_optimizer_step(a.o, a.params, a.grads, NULL);
    assert_memory_equal(before, a.params, MANY * sizeof(float));
    release(before);
    release(magnitude);
    run_clear(&a);
}

/* Saved, loaded into another, both go on alike; the bytes are refused at every shorter length. */
static void state_round_trip(void **state)
{
    (void)state;
    struct error err;
    for (int kind = NN_SGD; kind <= NN_ADAM; kind++) {
        struct nn_optimizer_options options;
        nn_optimizer_options_init(&options);
        options.kind = (enum nn_optimizer_kind)kind;
        struct nn_optimizer *a = open_with(STEP_PARAMS, &options);
        struct nn_optimizer *b = open_with(STEP_PARAMS, &options);
        struct nn_optimizer *other = open_with(STEP_PARAMS + 1, &options);
        float p[STEP_PARAMS] = {0}, q[STEP_PARAMS];
        for (int t = 0; t < 4; t++)
            nn_optimizer_step(a, p, step_grads + t * STEP_PARAMS, NULL);
        memcpy(q, p, sizeof(q));
        struct buf bytes;
        buf_init(&bytes);
        nn_optimizer_save(a, &bytes);
        struct cursor c;
        for (size_t n = 0; n < bytes.size_bytes; n++) {
            cursor_init(&c, bytes.data, n);
            assert_int_equal(nn_optimizer_load(b, &c, &err), ST_FORMAT);
            assert_int_equal(nn_optimizer_steps(b), 0);
        }
        cursor_init(&c, bytes.data, bytes.size_bytes);
        assert_int_equal(nn_optimizer_load(other, &c, &err), ST_CONFLICT);
        cursor_init(&c, bytes.data, bytes.size_bytes);
        assert_int_equal(nn_optimizer_load(b, &c, &err), ST_OK);
        assert_int_equal(c.left_bytes, 0);
        nn_optimizer_step(a, p, step_grads, NULL);
        nn_optimizer_step(b, q, step_grads, NULL);
        assert_memory_equal(p, q, sizeof(p));
        bytes.data[0] ^= 3;
        cursor_init(&c, bytes.data, bytes.size_bytes);
        assert_int_equal(nn_optimizer_load(b, &c, &err), ST_CONFLICT);
        buf_clear(&bytes);
        nn_optimizer_close(&a);
        nn_optimizer_close(&b);
        nn_optimizer_close(&other);
    }
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    struct nn_optimizer_options good, bad[6];
    struct nn_optimizer *o = NULL;
    struct error err;
    nn_optimizer_options_init(&good);
    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].kind = (enum nn_optimizer_kind)9;
    bad[1].learning_rate = NAN;
    bad[2].learning_rate = -1;
    bad[3].beta1 = 1;
    bad[4].epsilon = 0;
    bad[5].momentum = 2;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(nn_optimizer_open(3, &bad[i], &o, &err), ST_INVALID);
        assert_null(o);
    }
    assert_int_equal(nn_optimizer_open(0, NULL, &o, &err), ST_OK);
    nn_optimizer_step(o, NULL, NULL, NULL);
    nn_optimizer_close(&o);
    nn_optimizer_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_torch), cmocka_unit_test(full_mask_is_no_mask),
        cmocka_unit_test(mask_keeps_bits),    cmocka_unit_test(magnitude_is_the_step),
        cmocka_unit_test(ranked_steps),       cmocka_unit_test(a_rank_is_of_one_state),
        cmocka_unit_test(state_round_trip),   cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
