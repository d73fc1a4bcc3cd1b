#include "nn/kernels_narrow.h"

#include "nn/kernels_bf16.h"

#define LANES KERNEL_LANES
#define TILE 12 /* pixels whose sums are in registers */
#define CHUNK ((int64_t)TILE * 64)

size_t kernel_narrow_floats(const struct kernel_blocked *x_form)
{
    return (size_t)kernel_blocked_lanes(x_form) * LANES;
}

void kernel_narrow_pack(const struct kernel_blocked *x_form, int64_t to_channels,
                        const float *weights, float *w)
{
    memset(w, 0, kernel_narrow_floats(x_form) * sizeof *w);
    for (int64_t c = 0; c < x_form->channels; c++)
        memcpy(w + c * LANES, weights + c * to_channels, (size_t)to_channels * sizeof *w);
}

KERNEL_INLINE float scalar(const void *p, int64_t i, bool bf16)
{
    if (!bf16)
        return ((const float *)p)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* A piece of an image: x is its first block there, `stride` elements lie between blocks. */
struct piece {
    const void *x;
    int64_t x_at, stride, blocks;
    const float *w;
    void *y;
    int64_t y_at;
    bool add;
};

KERNEL_INLINE void tile(const struct piece *p, int64_t first, int pixels, bool bf16)
{
    kernel_vec sum[TILE];
    for (int k = 0; k < pixels; k++)
        sum[k] = (kernel_vec){0};
    for (int64_t b = 0; b < p->blocks; b++) {
        int64_t at = p->x_at + b * p->stride + first * LANES;
        const float *w = p->w + b * LANES * LANES;
        for (int k = 0; k < pixels; k++)
            __builtin_prefetch((const char *)p->x +
                               (at + (CHUNK / 4 + k) * LANES) * (bf16 ? 2 : 4));
        for (int c = 0; c < LANES; c++) {
            kernel_vec of_channel = *(const kernel_vec *)(w + (ptrdiff_t)c * LANES);
#pragma GCC unroll 12
            for (int k = 0; k < pixels; k++)
                sum[k] += scalar(p->x, at + k * LANES + c, bf16) * of_channel;
        }
    }
    for (int k = 0; k < pixels; k++) {
        int64_t to = p->y_at + (first + k) * LANES;
        if (p->add)
            sum[k] += kernel_load(p->y, to, bf16);
        kernel_store(p->y, to, sum[k], bf16);
    }
}

KERNEL_INLINE void run_piece(const struct piece *p, int64_t pixels, bool bf16)
{
    int64_t i = 0;
    for (; i + TILE <= pixels; i += TILE)
        tile(p, i, TILE, bf16);
    for (; i < pixels; i++)
        tile(p, i, 1, bf16);
}

KERNEL_CLONES static void piece_f32(const struct piece *p, int64_t pixels)
{
    run_piece(p, pixels, false);
}

KERNEL_CLONES static void piece_bf16(const struct piece *p, int64_t pixels)
{
    run_piece(p, pixels, true);
}

void kernel_narrow(const struct kernel_blocked *x_form, const void *x, const float *w, void *y,
                   bool add)
{
    int64_t pixels = x_form->pixels, blocks = kernel_blocks(x_form);
    int64_t chunks = kernel_ceil_div(pixels, CHUNK);
#pragma omp parallel for schedule(static) if (pixels * blocks * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < x_form->images * chunks; i++) {
        int64_t image = i / chunks, first = i % chunks * CHUNK;
        const struct piece p = {.x = x,
                                .x_at = (image * blocks * pixels + first) * LANES,
                                .stride = pixels * LANES,
                                .blocks = blocks,
                                .w = w,
                                .y = y,
                                .y_at = (image * pixels + first) * LANES,
                                .add = add};
        (x_form->bf16 ? piece_bf16 : piece_f32)(&p, kernel_min(CHUNK, pixels - first));
    }
}
