/* kernels_function.c - functions of one number that are neither ReLU's kin nor Sigmoid.
 *
 * A function is an expression of x and two constants, and its slope one of what the forward pass
 * keeps; the loops around them are written once. At kinks the slope is torch's.
 */
#include "nn/kernels_internal.h"
#include "nn/kernels_math.h"

KERNEL_INLINE float pow_slope(float x, float exponent)
{
    return exponent == 0 ? 0.0f : exponent * powf(x, exponent - 1);
}

/* X(name, from y, value of x, slope of v: x or y). a, b: the function's constants. */
#define FUNCTION_LIST(X)                                                                           \
    X(HARD_SIGMOID, true, kernel_clamp(b + a * x, 0.0f, 1.0f), v <= 0 || v >= 1 ? 0.0f : a)        \
    X(TANH, true, kernel_tanhf(x), 1 - v * v)                                                      \
    X(ELU, false, x > 0 ? x : a * kernel_expm1f(x), v > 0 ? 1.0f : a * kernel_expf(v))             \
    X(SOFTPLUS, false, kernel_softplusf(x), 1 / (1 + kernel_expf(-v)))                             \
    X(ERF, false, kernel_erff(x), 1.12837917f * kernel_expf(-v * v))                               \
    X(EXP, true, kernel_expf(x), v)                                                                \
    X(SQRT, true, sqrtf(x), 0.5f / v)                                                              \
    X(ABS, false, fabsf(x), v > 0 ? 1.0f : v < 0 ? -1.0f : 0.0f)                                   \
    X(NEG, true, -x, -1.0f)                                                                        \
    X(POW, false, powf(x, a), pow_slope(v, a))

#define FUNCTION_BLOCKS(name, from_y, value, slope)                                                \
    KERNEL_CLONES static void name##_block(const float *from, float *y, int64_t n, float a,        \
                                           float b)                                                \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        KERNEL_IVDEP                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float x = from[i];                                                                     \
            y[i] = value;                                                                          \
        }                                                                                          \
    }                                                                                              \
    KERNEL_CLONES static void name##_backward_block(const float *kept, const float *gy, float *gx, \
                                                    int64_t n, float a, float b, bool add)         \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        KERNEL_IVDEP                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float v = kept[i], g = gy[i] * (slope);                                                \
            (void)v;                                                                               \
            gx[i] = add ? gx[i] + g : g;                                                           \
        }                                                                                          \
    }

FUNCTION_LIST(FUNCTION_BLOCKS)

static const struct {
    bool from_y;
    void (*forward)(const float *x, float *y, int64_t n, float a, float b);
    void (*backward)(const float *kept, const float *gy, float *gx, int64_t n, float a, float b,
                     bool add);
} functions[] = {
#define FUNCTION_ROW(name, from_y, value, slope)                                                   \
    [KERNEL_##name] = {from_y, name##_block, name##_backward_block},
    FUNCTION_LIST(FUNCTION_ROW)
#undef FUNCTION_ROW
};

void kernel_function(enum kernel_function f, const float *x, float *y, size_t n, float a, float b)
{
    KERNEL_FOR_BLOCKS(n, functions[f].forward(x + i, y + i, m, a, b));
}

bool kernel_function_keeps_output(enum kernel_function f)
{
    return functions[f].from_y;
}

void kernel_function_backward(enum kernel_function f, const float *kept, const float *gy, float *gx,
                              size_t n, float a, float b, bool add)
{
    KERNEL_FOR_BLOCKS(n, functions[f].backward(kept + i, gy + i, gx + i, m, a, b, add));
}
