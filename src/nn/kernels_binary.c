/* kernels_binary.c - add, subtract, multiply and divide with broadcasting, and their gradients.
 *
 * Forward and gradients without a sum run over the tiles of a walk. A gradient that is summed over
 * broadcast dimensions splits the walk in two: the dimensions that are kept, and those summed over.
 * Sums are double, over a number of parts that depends on the sizes only.
 */
#include "nn/kernels_internal.h"

/* The two innermost dimensions: how many, and each operand's strides. */
struct nest {
    int64_t rows, columns;
    int64_t row[KERNEL_OPERANDS], column[KERNEL_OPERANDS];
};

static struct nest nest_of(const struct kernel_walk *w, const struct kernel_tile *t)
{
    struct nest n = {.rows = t->rows, .columns = t->columns};
    for (int k = 0; k < w->operands; k++) {
        n.row[k] = kernel_row_stride(w, k);
        n.column[k] = kernel_column_stride(w, k);
    }
    return n;
}

/* ---- forward -------------------------------------------------------------------------------- */

KERNEL_INLINE float apply(enum kernel_binary_op op, float a, float b)
{
    switch (op) {
    case KERNEL_ADD:
        return a + b;
    case KERNEL_SUB:
        return a - b;
    case KERNEL_MUL:
        return a * b;
    default:
        return a / b;
    }
}

KERNEL_INLINE void forward_rows(enum kernel_binary_op op, const struct nest *n, const float *a,
                                const float *b, float *y, int64_t sa, int64_t sb, int64_t sy,
                                float lo, float hi)
{
    for (int64_t r = 0; r < n->rows; r++) {
        const float *pa = a + r * n->row[0], *pb = b + r * n->row[1];
        float *py = y + r * n->row[2];
        int64_t columns = n->columns;
        KERNEL_IVDEP
        for (int64_t i = 0; i < columns; i++)
            py[i * sy] = kernel_clamp(apply(op, pa[i * sa], pb[i * sb]), lo, hi);
    }
}

/* The strides that matter are made constants, so that each form vectorises. */
#define FORWARD(name, op)                                                                          \
    KERNEL_CLONES static void name(const struct nest *n, const float *a, const float *b, float *y, \
                                   float lo, float hi)                                             \
    {                                                                                              \
        const int64_t *s = n->column;                                                              \
        if (s[0] == 1 && s[1] == 1 && s[2] == 1)                                                   \
            forward_rows(op, n, a, b, y, 1, 1, 1, lo, hi);                                         \
        else if (s[0] == 1 && s[1] == 0 && s[2] == 1)                                              \
            forward_rows(op, n, a, b, y, 1, 0, 1, lo, hi);                                         \
        else if (s[0] == 0 && s[1] == 1 && s[2] == 1)                                              \
            forward_rows(op, n, a, b, y, 0, 1, 1, lo, hi);                                         \
        else                                                                                       \
            forward_rows(op, n, a, b, y, s[0], s[1], s[2], lo, hi);                                \
    }

FORWARD(add_tile, KERNEL_ADD)
FORWARD(sub_tile, KERNEL_SUB)
FORWARD(mul_tile, KERNEL_MUL)
FORWARD(div_tile, KERNEL_DIV)

static void forward_tile(enum kernel_binary_op op, const struct nest *n, const float *a,
                         const float *b, float *y, float lo, float hi)
{
    if (op == KERNEL_ADD)
        add_tile(n, a, b, y, lo, hi);
    else if (op == KERNEL_SUB)
        sub_tile(n, a, b, y, lo, hi);
    else if (op == KERNEL_MUL)
        mul_tile(n, a, b, y, lo, hi);
    else
        div_tile(n, a, b, y, lo, hi);
}

void kernel_binary(enum kernel_binary_op op, int rank, const int64_t *dim, const float *a,
                   const int64_t *a_stride, const float *b, const int64_t *b_stride, float *y,
                   const int64_t *y_stride, float lo, float hi)
{
    struct kernel_walk w;
    const int64_t *stride[] = {a_stride, b_stride, y_stride};
    kernel_walk_init(&w, rank, dim, 3, stride, 2);
    int64_t tiles = kernel_walk_tiles(&w);
#pragma omp parallel for schedule(static) if (w.count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < tiles; i++) {
        struct kernel_tile t = kernel_walk_tile(&w, i);
        struct nest n = nest_of(&w, &t);
        forward_tile(op, &n, a + t.offset[0], b + t.offset[1], y + t.offset[2], lo, hi);
    }
}

/* ---- gradient: one term an element ---------------------------------------------------------- */

/* Terms of a gradient, of gy, the other input o and, for a divisor, the dividend p. */
enum term { TERM_PLUS, TERM_MINUS, TERM_MUL, TERM_DIV, TERM_DIVISOR };

enum { GY, O, P, GX };

struct gradient {
    enum term term;
    const float *gy, *o, *p;
    float *gx;
};

KERNEL_INLINE float term_of(enum term term, float gy, float o, float p)
{
    switch (term) {
    case TERM_PLUS:
        return gy;
    case TERM_MINUS:
        return -gy;
    case TERM_MUL:
        return gy * o;
    case TERM_DIV:
        return gy / o;
    default:
        return -gy * p / (o * o);
    }
}

KERNEL_INLINE void term_rows(enum term term, const struct nest *n, const struct gradient *g,
                             int64_t sg, int64_t so, int64_t sp, int64_t sx, bool add)
{
    for (int64_t r = 0; r < n->rows; r++) {
        const float *gy = g->gy + r * n->row[GY], *o = g->o + r * n->row[O];
        const float *p = g->p + r * n->row[P];
        float *gx = g->gx + r * n->row[GX];
        int64_t columns = n->columns;
        KERNEL_IVDEP
        for (int64_t i = 0; i < columns; i++) {
            float v = term_of(term, gy[i * sg], o[i * so], p[i * sp]);
            gx[i * sx] = add ? gx[i * sx] + v : v;
        }
    }
}

KERNEL_INLINE void term_forms(enum term term, const struct nest *n, const struct gradient *g,
                              bool add)
{
    const int64_t *s = n->column;
    if (s[GY] == 1 && s[O] == 1 && s[P] == 1 && s[GX] == 1)
        term_rows(term, n, g, 1, 1, 1, 1, add);
    else if (s[GY] == 1 && s[O] == 0 && s[P] == 1 && s[GX] == 1)
        term_rows(term, n, g, 1, 0, 1, 1, add);
    else
        term_rows(term, n, g, s[GY], s[O], s[P], s[GX], add);
}

KERNEL_INLINE void term_tile(enum term term, const struct nest *n, const struct gradient *g,
                             bool add)
{
    if (add)
        term_forms(term, n, g, true);
    else
        term_forms(term, n, g, false);
}

KERNEL_CLONES static void gradient_tile(const struct nest *n, const struct gradient *g, bool add)
{
    if (g->term == TERM_PLUS)
        term_tile(TERM_PLUS, n, g, add);
    else if (g->term == TERM_MINUS)
        term_tile(TERM_MINUS, n, g, add);
    else if (g->term == TERM_MUL)
        term_tile(TERM_MUL, n, g, add);
    else if (g->term == TERM_DIV)
        term_tile(TERM_DIV, n, g, add);
    else
        term_tile(TERM_DIVISOR, n, g, add);
}

static struct gradient gradient_at(const struct gradient *g, const int64_t *offset)
{
    return (struct gradient){.term = g->term,
                             .gy = g->gy + offset[GY],
                             .o = g->o + offset[O],
                             .p = g->p + offset[P],
                             .gx = g->gx + offset[GX]};
}

static void gradient_each(const struct kernel_walk *w, const struct gradient *g, bool add)
{
    int64_t tiles = kernel_walk_tiles(w);
#pragma omp parallel for schedule(static) if (w->count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < tiles; i++) {
        struct kernel_tile t = kernel_walk_tile(w, i);
        struct nest n = nest_of(w, &t);
        struct gradient at = gradient_at(g, t.offset);
        gradient_tile(&n, &at, add);
    }
}

/* ---- gradient: summed ----------------------------------------------------------------------- */

/* sum[column] += terms over the rows. */
KERNEL_INLINE void sum_columns(enum term term, const struct nest *n, const struct gradient *g,
                               int64_t sg, int64_t so, int64_t sp, double *restrict sum)
{
    for (int64_t r = 0; r < n->rows; r++) {
        const float *gy = g->gy + r * n->row[GY], *o = g->o + r * n->row[O];
        const float *p = g->p + r * n->row[P];
        for (int64_t i = 0; i < n->columns; i++)
            sum[i] += (double)term_of(term, gy[i * sg], o[i * so], p[i * sp]);
    }
}

/* sum[0] += terms over the columns, in sixteen lanes. */
KERNEL_INLINE void sum_run(enum term term, const struct nest *n, const struct gradient *g,
                           int64_t sg, int64_t so, int64_t sp, double *sum)
{
    double lane[16] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + 16 <= n->columns; i += 16)
        for (int k = 0; k < 16; k++)
            lane[k] +=
                (double)term_of(term, g->gy[(i + k) * sg], g->o[(i + k) * so], g->p[(i + k) * sp]);
    for (; i < n->columns; i++)
        rest += (double)term_of(term, g->gy[i * sg], g->o[i * so], g->p[i * sp]);
    for (int k = 0; k < 16; k++)
        rest += lane[k];
    *sum += rest;
}

KERNEL_INLINE void sum_term(enum term term, const struct nest *n, const struct gradient *g,
                            bool run, double *sum)
{
    const int64_t *s = n->column;
    bool unit = s[GY] == 1 && s[O] == 1 && s[P] == 1;
    if (run && unit)
        sum_run(term, n, g, 1, 1, 1, sum);
    else if (run)
        sum_run(term, n, g, s[GY], s[O], s[P], sum);
    else if (unit)
        sum_columns(term, n, g, 1, 1, 1, sum);
    else
        sum_columns(term, n, g, s[GY], s[O], s[P], sum);
}

KERNEL_CLONES static void sum_tile(const struct nest *n, const struct gradient *g, bool run,
                                   double *sum)
{
    if (g->term == TERM_PLUS)
        sum_term(TERM_PLUS, n, g, run, sum);
    else if (g->term == TERM_MINUS)
        sum_term(TERM_MINUS, n, g, run, sum);
    else if (g->term == TERM_MUL)
        sum_term(TERM_MUL, n, g, run, sum);
    else if (g->term == TERM_DIV)
        sum_term(TERM_DIV, n, g, run, sum);
    else
        sum_term(TERM_DIVISOR, n, g, run, sum);
}

/* kept: dimensions of the result; summed: the others; columns: the innermost dimension when it is
 * kept (then it is not in `kept`), else 1. */
struct reduction {
    struct kernel_walk kept, summed;
    int64_t columns, column_stride[KERNEL_OPERANDS];
    bool run; /* the innermost dimension is summed over */
};

static void walk_append(struct kernel_walk *to, const struct kernel_walk *from, int i)
{
    to->dim[to->rank] = from->dim[i];
    to->count *= from->dim[i];
    for (int k = 0; k < from->operands; k++)
        to->stride[k][to->rank] = from->stride[k][i];
    to->rank++;
}

static struct reduction reduction_of(const struct kernel_walk *w)
{
    struct reduction r = {.kept = {.operands = w->operands, .count = 1},
                          .summed = {.operands = w->operands, .count = 1},
                          .columns = 1,
                          .run = w->stride[GX][w->rank - 1] == 0};
    int rank = w->rank;
    if (!r.run) {
        rank--;
        r.columns = w->dim[rank];
        for (int k = 0; k < w->operands; k++)
            r.column_stride[k] = w->stride[k][rank];
    }
    for (int i = 0; i < rank; i++)
        walk_append(w->stride[GX][i] == 0 ? &r.summed : &r.kept, w, i);
    return r;
}

/* Adds the terms with flat index [first, last) over the summed dimensions to sum[columns]. */
static void sum_range(const struct reduction *r, const struct gradient *g, int64_t columns,
                      int64_t first, int64_t last, double *sum)
{
    const struct kernel_walk *s = &r->summed;
    int64_t inner = s->dim[s->rank - 1];
    while (first < last) {
        int64_t offset[KERNEL_OPERANDS] = {0};
        kernel_walk_offset(s, s->rank, first, offset);
        struct gradient at = gradient_at(g, offset);
        int64_t length = kernel_min(inner - first % inner, last - first);
        struct nest n = {.rows = r->run ? 1 : length, .columns = r->run ? length : columns};
        for (int k = 0; k < s->operands; k++) {
            n.row[k] = s->stride[k][s->rank - 1];
            n.column[k] = r->run ? n.row[k] : r->column_stride[k];
        }
        sum_tile(&n, &at, r->run, sum);
        first += length;
    }
}

/* One block of at most KERNEL_COLUMNS results. */
static void reduce_block(const struct reduction *r, const struct gradient *g, int64_t columns,
                         int parts, bool add)
{
    double part[KERNEL_PARTS][KERNEL_COLUMNS] = {{0}};
    int64_t count = r->summed.count, step = kernel_ceil_div(count, parts);
#pragma omp parallel for schedule(static) if (parts > 1)
    for (int p = 0; p < parts; p++) {
        int64_t first = kernel_min(count, p * step);
        sum_range(r, g, columns, first, kernel_min(count, first + step), part[p]);
    }
    for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        for (int p = 0; p < parts; p++)
            sum += part[p][c];
        float *gx = g->gx + c * r->column_stride[GX];
        *gx = add ? (float)((double)*gx + sum) : (float)sum;
    }
}

static void gradient_sum(const struct kernel_walk *w, const struct gradient *g, bool add)
{
    struct reduction r = reduction_of(w);
    int64_t blocks = kernel_ceil_div(r.columns, KERNEL_COLUMNS);
    int64_t tasks = r.kept.count * blocks;
    bool large = w->count > KERNEL_PARALLEL_MIN;
    bool wide = tasks >= KERNEL_PARTS; /* enough results to share out; else the sums are split */
    int parts = large && !wide ? KERNEL_PARTS : 1;
#pragma omp parallel for schedule(static) if (large && wide)
    for (int64_t i = 0; i < tasks; i++) {
        int64_t offset[KERNEL_OPERANDS] = {0}, column = i % blocks * KERNEL_COLUMNS;
        kernel_walk_offset(&r.kept, r.kept.rank, i / blocks, offset);
        for (int k = 0; k < w->operands; k++)
            offset[k] += column * r.column_stride[k];
        struct gradient at = gradient_at(g, offset);
        reduce_block(&r, &at, kernel_min(KERNEL_COLUMNS, r.columns - column), parts, add);
    }
}

static enum term term_for(enum kernel_binary_op op, int input)
{
    switch (op) {
    case KERNEL_ADD:
        return TERM_PLUS;
    case KERNEL_SUB:
        return input == 0 ? TERM_PLUS : TERM_MINUS;
    case KERNEL_MUL:
        return TERM_MUL;
    default:
        return input == 0 ? TERM_DIV : TERM_DIVISOR;
    }
}

void kernel_binary_backward(enum kernel_binary_op op, int input, int rank, const int64_t *dim,
                            const float *gy, const int64_t *gy_stride, const float *a,
                            const int64_t *a_stride, const float *b, const int64_t *b_stride,
                            float *gx, const int64_t *gx_stride, bool add)
{
    /* Operands that a term does not use read gy, with its strides. */
    struct gradient g = {.term = term_for(op, input), .gy = gy, .o = gy, .p = gy, .gx = gx};
    const int64_t *stride[] = {gy_stride, gy_stride, gy_stride, gx_stride};
    if (g.term == TERM_MUL || g.term == TERM_DIV || g.term == TERM_DIVISOR) {
        bool other_is_a = g.term == TERM_MUL && input == 1;
        g.o = other_is_a ? a : b;
        stride[O] = other_is_a ? a_stride : b_stride;
    }
    if (g.term == TERM_DIVISOR) {
        g.p = a;
        stride[P] = a_stride;
    }
    struct kernel_walk w;
    kernel_walk_init(&w, rank, dim, 4, stride, GY);
    bool summed = false;
    for (int i = 0; i < w.rank; i++)
        summed = summed || w.stride[GX][i] == 0;
    if (summed && w.count > 0)
        gradient_sum(&w, &g, add);
    else
        gradient_each(&w, &g, add);
}
