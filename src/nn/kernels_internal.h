/* kernels_internal.h - what the kernels_*.c files share: dispatch, blocks, walks over strides.
 *
 * KERNEL_CLONES builds a function for AVX-512, AVX2 and the baseline and picks one when the
 * program starts. It goes on leaf functions only: OpenMP bodies are outlined without it. It is off
 * under sanitizers (the pick runs before their runtime is ready) and for other compilers.
 */
#ifndef ATTUNE_NN_KERNELS_INTERNAL_H
#define ATTUNE_NN_KERNELS_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nn/kernels.h"

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KERNEL_CLONES                                                                              \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), noinline))
#else
#define KERNEL_CLONES __attribute__((noinline))
#endif

/* Before a loop whose operands are either apart or the same element by element (in place). clang's
 * form is a demand, with a warning where it cannot be met, so clang is left to its own checks. */
#if defined(__clang__)
#define KERNEL_IVDEP
#else
#define KERNEL_IVDEP _Pragma("GCC ivdep")
#endif

#define KERNEL_INLINE static inline __attribute__((always_inline))

/* Elements of a block: small enough for the first caches, large enough to pay for a call. */
#define KERNEL_BLOCK ((int64_t)16384)
/* Below this many elements a team costs more than it brings. */
#define KERNEL_PARALLEL_MIN ((int64_t)32768)
/* Parts of a parallel sum, fixed so that the sum does not depend on the number of threads. */
#define KERNEL_PARTS 16
/* Channels that an inner loop keeps in registers, and rows over which it sums in float. */
#define KERNEL_LANES 16
#define KERNEL_FLOAT_ROWS 32
/* Channels that a sum keeps at once. */
#define KERNEL_COLUMNS 64

/* KERNEL_LANES floats anywhere, and their bits. Sums over rows are written with them, for compilers
 * unroll such loops before they see the vectors. No comparisons: those are taken apart before the
 * clones are made. */
typedef float kernel_vec
    __attribute__((vector_size(KERNEL_LANES * sizeof(float)), aligned(4), may_alias));
typedef int kernel_bits
    __attribute__((vector_size(KERNEL_LANES * sizeof(int)), aligned(4), may_alias));

/* v where the sign bit of s is set, else 0. */
#define KERNEL_WHERE_NEGATIVE(s, v) ((kernel_vec)(((kernel_bits)(s) >> 31) & (kernel_bits)(v)))

/* Sequence of NaN-preserving comparisons: min(max(v, lo), hi). */
KERNEL_INLINE float kernel_clamp(float v, float lo, float hi)
{
    float low = v < lo ? lo : v;
    return low > hi ? hi : low;
}

static inline int64_t kernel_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Runs `leaf` over [0, n) in blocks; `i` and `m` name a block's start and length there. */
#define KERNEL_FOR_BLOCKS(n, leaf)                                                                 \
    do {                                                                                           \
        int64_t count_ = (int64_t)(n);                                                             \
        _Pragma("omp parallel for schedule(static) if (count_ > KERNEL_PARALLEL_MIN)") for (       \
            int64_t i = 0; i < count_; i += KERNEL_BLOCK)                                          \
        {                                                                                          \
            int64_t m = kernel_min(KERNEL_BLOCK, count_ - i);                                      \
            leaf;                                                                                  \
        }                                                                                          \
    } while (0)

static inline int64_t kernel_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* A loop nest over up to six dimensions that reads and writes several operands, each with its own
 * strides; dimensions of 1 dropped, neighbours merged where every operand allows it. */
#define KERNEL_OPERANDS 4

struct kernel_walk {
    int rank, operands;
    int64_t count; /* product of dim */
    int64_t dim[KERNEL_RANK_MAX];
    int64_t stride[KERNEL_OPERANDS][KERNEL_RANK_MAX];
};

/* A rectangle of the two innermost dimensions: where each operand starts. */
struct kernel_tile {
    int64_t rows, columns;
    int64_t offset[KERNEL_OPERANDS];
};

/* The dimensions are ordered by falling stride of operand `lead`, so that its innermost one is the
 * fastest. A NULL stride array stands for zeros. */
void kernel_walk_init(struct kernel_walk *w, int rank, const int64_t *dim, int operands,
                      const int64_t *const *stride, int lead);

/* Splits the walk into tiles of about KERNEL_BLOCK elements. */
int64_t kernel_walk_tiles(const struct kernel_walk *w);
struct kernel_tile kernel_walk_tile(const struct kernel_walk *w, int64_t index);

/* Stride of an operand between the rows and between the columns of a tile. */
static inline int64_t kernel_row_stride(const struct kernel_walk *w, int operand)
{
    return w->rank > 1 ? w->stride[operand][w->rank - 2] : 0;
}

static inline int64_t kernel_column_stride(const struct kernel_walk *w, int operand)
{
    return w->rank > 0 ? w->stride[operand][w->rank - 1] : 0;
}

/* Adds to offset[operands] the place of the flat index over the walk's first `rank` dimensions. */
void kernel_walk_offset(const struct kernel_walk *w, int rank, int64_t flat, int64_t *offset);

/* y[c * y_step + r] = x[r * x_step + c] for r < rows, c < columns; x and y apart. */
void kernel_transpose(const float *x, int64_t x_step, float *y, int64_t y_step, int64_t rows,
                      int64_t columns);

#endif
