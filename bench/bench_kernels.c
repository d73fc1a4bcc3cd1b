/* Times the engine's own kernels at sizes that students have: a batch of 4 feature maps of 64 x 128
 * with 32 channels, and logits of 21 classes at 128 x 256. Prints milliseconds (best of the rounds)
 * and GB/s of what each must read and write at least; "copy" is what the machine's memory gives.
 * ATTUNE_BENCH_THREADS sets the threads, default 1. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "nn/kernels.h"
#include "nn/loss.h"
#include "nn/optimizer.h"

#define ROUNDS 15
enum { N = 4, H = 64, W = 128, C = 32, CLASSES = 21 };
#define ROWS ((int64_t)N * H * W)
#define COUNT (ROWS * C)
#define PIXELS ((int64_t)N * 2 * H * 2 * W)
#define LOGITS (PIXELS * CLASSES)

struct arrays {
    float *x, *y, *g, *z, *vector[6], *logits, *logits_grad;
    uint8_t *labels, *probs;
    struct kernel_resize resize;
    struct kernel_window depthwise, pool;
    struct nn_view view, grad;
    struct nn_optimizer *optimizer;
};

static const int64_t nhwc[] = {H * W * C, W *C, C, 1};
static const int64_t dims[] = {N, H, W, C};

static void run_copy(struct arrays *a)
{
    kernel_copy(4, dims, a->x, nhwc, a->y, nhwc, false);
}

static void run_transpose(struct arrays *a)
{
    const int64_t nchw[] = {C * H * W, W, 1, H * W};
    kernel_copy(4, dims, a->x, nchw, a->y, nhwc, false);
}

static void run_concat(struct arrays *a)
{
    const int64_t half[] = {N, H, W, C / 2}, from[] = {H * W * C / 2, W * C / 2, C / 2, 1};
    kernel_copy(4, half, a->x, from, a->y, nhwc, false);
    kernel_copy(4, half, a->g, from, a->y + C / 2, nhwc, false);
}

static void run_add_relu(struct arrays *a)
{
    kernel_binary(KERNEL_ADD, 4, dims, a->x, nhwc, a->g, nhwc, a->y, nhwc, 0, INFINITY);
}

static void run_mul_channel(struct arrays *a)
{
    const int64_t gate[] = {C, 0, 0, 1};
    kernel_binary(KERNEL_MUL, 4, dims, a->x, nhwc, a->vector[0], gate, a->y, nhwc, -INFINITY,
                  INFINITY);
}

static void run_mul_backward(struct arrays *a)
{
    const int64_t gate[] = {C, 0, 0, 1};
    kernel_binary_backward(KERNEL_MUL, 1, 4, dims, a->g, nhwc, a->x, nhwc, a->vector[0], gate,
                           a->vector[1], gate, false);
}

static void run_relu(struct arrays *a)
{
    kernel_relu(a->x, a->y, COUNT);
}

static void run_relu_backward(struct arrays *a)
{
    kernel_relu_backward(a->x, a->g, a->y, COUNT, false);
}

static void run_sigmoid(struct arrays *a)
{
    kernel_sigmoid(a->x, a->y, COUNT);
}

static void run_bn_apply(struct arrays *a)
{
    kernel_bn_apply(a->x, a->vector[0], a->vector[1], a->y, ROWS, C, 0, INFINITY);
}

static void run_bn_statistics(struct arrays *a)
{
    kernel_bn_statistics(a->x, ROWS, C, a->vector[2], a->vector[3]);
}

static void run_bn_backward(struct arrays *a)
{
    kernel_bn_backward(a->x, a->z, a->g, ROWS, C, a->vector[0], a->vector[2], a->vector[3], 1e-5f,
                       true, 0, INFINITY, a->y, false, a->vector[4], a->vector[5]);
}

static void run_resize(struct arrays *a)
{
    kernel_resize(&a->resize, a->x, a->logits, N, CLASSES);
}

static void run_resize_backward(struct arrays *a)
{
    kernel_resize_backward(&a->resize, a->logits, a->y, N, CLASSES, false);
}

static void run_depthwise(struct arrays *a)
{
    kernel_depthwise(&a->depthwise, a->x, a->vector[0], NULL, a->y, 0, 6);
}

static void run_depthwise_data(struct arrays *a)
{
    kernel_depthwise_backward_data(&a->depthwise, a->g, a->vector[0], a->y, false);
}

static void run_depthwise_weights(struct arrays *a)
{
    kernel_depthwise_backward_weights(&a->depthwise, a->x, a->g, a->vector[1]);
}

static void run_pool(struct arrays *a)
{
    kernel_average_pool(&a->pool, a->x, a->y);
}

static void run_global(struct arrays *a)
{
    kernel_global_average(a->x, a->vector[1], N, H * W, C);
}

static void run_softmax(struct arrays *a)
{
    kernel_softmax(a->logits, a->logits_grad, PIXELS, CLASSES, 1);
}

static void run_loss_hard(struct arrays *a)
{
    nn_loss_hard(&a->view, a->labels, NULL, 1, &a->grad);
}

static void run_loss_soft(struct arrays *a)
{
    nn_loss_soft(&a->view, a->probs, H, W, NULL, 1, 1, false, &a->grad);
}

static void run_argmax(struct arrays *a)
{
    nn_argmax(&a->view, NULL, a->labels);
}

static void run_adam(struct arrays *a)
{
    nn_optimizer_step(a->optimizer, a->y, a->g, NULL);
}

static void run_adam_masked(struct arrays *a)
{
    nn_optimizer_step(a->optimizer, a->y, a->g, a->probs);
}

static float *values(struct rng *r, int64_t n)
{
    float *p = aligned_alloc(64, (size_t)((n + 15) / 16 * 16) * sizeof(float));
    for (int64_t i = 0; p && i < n; i++)
        p[i] = rng_float(r) * 2 - 1;
    return p;
}

static bool arrays_init(struct arrays *a)
{
    struct rng r;
    struct error err;
    rng_init(&r, 1, 0);
    memset(a, 0, sizeof(*a));
    a->x = values(&r, COUNT);
    a->y = values(&r, COUNT);
    a->g = values(&r, COUNT);
    a->z = values(&r, COUNT);
    for (int i = 0; i < 6; i++)
        a->vector[i] = values(&r, 9 * C);
    for (int i = 0; i < C && a->vector[3]; i++)
        a->vector[3][i] = 1;
    a->logits = values(&r, LOGITS);
    a->logits_grad = values(&r, LOGITS);
    a->labels = malloc((size_t)PIXELS);
    a->probs = malloc((size_t)(ROWS * CLASSES));
    for (int64_t i = 0; a->labels && i < PIXELS; i++)
        a->labels[i] = (uint8_t)rng_below(&r, CLASSES);
    for (int64_t i = 0; a->probs && i < ROWS * CLASSES; i++)
        a->probs[i] = (uint8_t)rng_below(&r, 256);
    a->depthwise = (struct kernel_window){.images = N,
                                          .channels = C,
                                          .in_h = H,
                                          .in_w = W,
                                          .out_h = H,
                                          .out_w = W,
                                          .kernel = {3, 3},
                                          .stride = {1, 1},
                                          .dilation = {1, 1},
                                          .pad = {1, 1, 1, 1}};
    a->pool = a->depthwise;
    a->view = (struct nn_view){.data = a->logits,
                               .rank = 4,
                               .dim = {N, CLASSES, 2 * H, 2 * W},
                               .stride = {4 * H * W * CLASSES, 1, 2 * W * CLASSES, CLASSES}};
    a->grad = a->view;
    a->grad.data = a->logits_grad;
    return a->logits_grad && a->labels && a->probs &&
           kernel_resize_init(&a->resize, H, W, 2 * H, 2 * W, NN_RESIZE_LINEAR,
                              NN_RESIZE_HALF_PIXEL, NN_NEAREST_FLOOR, (float[]){2, 2},
                              &err) == ST_OK &&
           nn_optimizer_open(COUNT, NULL, &a->optimizer, &err) == ST_OK;
}

static void arrays_clear(struct arrays *a)
{
    float *all[] = {a->x, a->y, a->g, a->z, a->logits, a->logits_grad};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        free(all[i]);
    for (int i = 0; i < 6; i++)
        free(a->vector[i]);
    free(a->labels);
    free(a->probs);
    kernel_resize_clear(&a->resize);
    nn_optimizer_close(&a->optimizer);
}

static const struct {
    const char *name;
    void (*run)(struct arrays *a);
    double bytes; /* least to read and write */
} benches[] = {
    {"copy", run_copy, 8.0 * COUNT},
    {"copy NCHW to NHWC", run_transpose, 8.0 * COUNT},
    {"concat of two", run_concat, 8.0 * COUNT},
    {"add, ReLU", run_add_relu, 12.0 * COUNT},
    {"multiply by a gate", run_mul_channel, 8.0 * COUNT},
    {"its gradient by the gate", run_mul_backward, 8.0 * COUNT},
    {"ReLU", run_relu, 8.0 * COUNT},
    {"ReLU backward", run_relu_backward, 12.0 * COUNT},
    {"sigmoid", run_sigmoid, 8.0 * COUNT},
    {"batch norm, ReLU", run_bn_apply, 8.0 * COUNT},
    {"batch norm statistics", run_bn_statistics, 4.0 * COUNT},
    {"batch norm, ReLU backward", run_bn_backward, 28.0 * COUNT},
    {"resize x2 linear", run_resize, 4.0 * (LOGITS + LOGITS / 4)},
    {"resize x2 backward", run_resize_backward, 4.0 * (LOGITS + LOGITS / 4)},
    {"depthwise 3x3", run_depthwise, 8.0 * COUNT},
    {"depthwise backward data", run_depthwise_data, 8.0 * COUNT},
    {"depthwise backward weights", run_depthwise_weights, 8.0 * COUNT},
    {"average pool 3x3", run_pool, 8.0 * COUNT},
    {"global average", run_global, 4.0 * COUNT},
    {"softmax", run_softmax, 8.0 * LOGITS},
    {"cross-entropy, hard", run_loss_hard, 8.0 * LOGITS},
    {"cross-entropy, soft", run_loss_soft, 8.0 * LOGITS},
    {"argmax", run_argmax, 4.0 * LOGITS},
    {"Adam", run_adam, 28.0 * COUNT},
    {"Adam, masked", run_adam_masked, 28.0 * COUNT},
};

static double best_us(void (*run)(struct arrays *), struct arrays *a)
{
    double best = INFINITY;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start_us = clock_mono_us();
        run(a);
        double us = (double)(clock_mono_us() - start_us);
        best = us < best ? us : best;
    }
    return best;
}

int main(void)
{
    const char *threads = getenv("ATTUNE_BENCH_THREADS");
    omp_set_num_threads(threads && atoi(threads) > 0 ? atoi(threads) : 1);
    struct arrays a;
    if (!arrays_init(&a)) {
        fprintf(stderr, "no memory\n");
        return 1;
    }
    printf("%-28s %9s %8s\n", "kernel", "ms", "GB/s");
    for (size_t i = 0; i < sizeof(benches) / sizeof(*benches); i++) {
        double us = best_us(benches[i].run, &a);
        printf("%-28s %9.3f %8.1f\n", benches[i].name, us / 1e3, benches[i].bytes / us / 1e3);
    }
    arrays_clear(&a);
    return 0;
}
