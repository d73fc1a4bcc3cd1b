/* MatMul and Gemm: row-major products by oneDNN's sgemm; products of NHWC images with a constant
 * sparse matrix (interpolation exported as MatMul) by pixels.h. */
#include "nn/plan.h"

#include <math.h>

#include "nn/kernels.h"
#include "nn/pixels.h"

/* --- MatMul: batches of [m, k] x [k, n]; each operand's batch may be broadcast --- */

struct matmul_args {
    int64_t m, n, k;
    int input; /* backward: whose gradient */
    int batch_rank;
    int64_t batch_dim[NN_RANK_MAX], a_step[NN_RANK_MAX], b_step[NN_RANK_MAX];
    int64_t batch_count;
    size_t fill_count; /* backward into a broadcast operand */
    bool add;
};

static void batch_offsets(const struct matmul_args *a, int64_t i, int64_t *ret_a, int64_t *ret_b)
{
    *ret_a = *ret_b = 0;
    for (int d = a->batch_rank; d-- > 0;) {
        int64_t at = i % a->batch_dim[d];
        i /= a->batch_dim[d];
        *ret_a += at * a->a_step[d];
        *ret_b += at * a->b_step[d];
    }
}

static enum status run_matmul(struct nn_step *s)
{
    const struct matmul_args *a = s->args;
    enum status st = ST_OK;
    for (int64_t i = 0; i < a->batch_count && !st; i++) {
        int64_t at_a, at_b;
        batch_offsets(a, i, &at_a, &at_b);
        st = nn_sgemm(false, false, a->m, a->n, a->k, 1, s->data[0] + at_a, a->k, s->data[1] + at_b,
                      a->n, 0, s->data[2] + i * a->m * a->n, a->n);
    }
    return st;
}

/* gy, the other operand, gx: ga = gy b^T, gb = a^T gy */
static enum status run_matmul_backward(struct nn_step *s)
{
    const struct matmul_args *a = s->args;
    const float *gy = s->data[0], *other = s->data[1];
    enum status st = ST_OK;
    if (a->fill_count)
        kernel_fill(s->data[2], a->fill_count, 0);
    float beta = a->add || a->fill_count ? 1 : 0;
    for (int64_t i = 0; i < a->batch_count && !st; i++, gy += a->m * a->n) {
        int64_t at_a, at_b;
        batch_offsets(a, i, &at_a, &at_b);
        if (a->input == 0)
            st = nn_sgemm(false, true, a->m, a->k, a->n, 1, gy, a->n, other + at_b, a->n, beta,
                          s->data[2] + at_a, a->k);
        else
            st = nn_sgemm(true, false, a->k, a->n, a->m, 1, other + at_a, a->k, gy, a->n, beta,
                          s->data[2] + at_b, a->n);
    }
    return st;
}

/* A vector on the left is a row, on the right a column. */
static int64_t rows_of(const struct nn_value *v, bool left)
{
    return v->rank > 1 ? v->dim[v->rank - 2] : left ? 1 : v->dim[0];
}

static int64_t columns_of(const struct nn_value *v, bool left)
{
    return v->rank > 1 || left ? v->dim[v->rank - 1] : 1;
}

/* Step of an operand along the output's batch dimension d of batch_rank. */
static int64_t batch_step(const struct nn_value *v, int batch_rank, int d)
{
    int own = d - (batch_rank - (v->rank - 2));
    return v->rank > 2 && own >= 0 && v->dim[own] > 1 ? v->stride[own] : 0;
}

static enum status matmul_args_of(const struct nn_plan *p, const struct nn_ir *ir,
                                  struct matmul_args *ret, struct error *err)
{
    const struct nn_value *a = nn_in(p, ir, 0), *b = nn_in(p, ir, 1), *y = nn_out(p, ir, 0);
    if (a->rank < 1 || b->rank < 1)
        return nn_plan_refuse(p, err, "a matrix product needs two matrices");
    struct matmul_args m = {.m = rows_of(a, true),
                            .k = columns_of(a, true),
                            .n = columns_of(b, false),
                            .batch_count = 1};
    if (rows_of(b, false) != m.k)
        return nn_plan_refuse(p, err, "its matrices do not fit");
    if (b->rank <= 2) { /* one matrix for all: the batch is more rows */
        m.m = a->count / m.k;
        *ret = m;
        return ST_OK;
    }
    m.batch_rank = y->rank - (a->rank > 1) - 1;
    for (int d = 0; d < m.batch_rank; d++) {
        m.batch_dim[d] = y->dim[d];
        m.batch_count *= y->dim[d];
        m.a_step[d] = batch_step(a, m.batch_rank, d);
        m.b_step[d] = batch_step(b, m.batch_rank, d);
    }
    *ret = m;
    return ST_OK;
}

static void matmul_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    struct nn_value *a = nn_in(p, ir, 0), *b = nn_in(p, ir, 1);
    a->saved = a->saved || b->needs_grad;
    b->saved = b->saved || a->needs_grad;
}

/* --- sparse --- */

struct sparse_args {
    struct nn_sparse matrix;
    int64_t rows, channels;
};

static enum status run_sparse(struct nn_step *s)
{
    const struct sparse_args *a = s->args;
    nn_sparse_product(&a->matrix, s->data[0], s->data[1], a->rows, a->channels);
    return ST_OK;
}

static void clear_sparse(void *args)
{
    nn_sparse_clear(&((struct sparse_args *)args)->matrix);
}

bool nn_matmul_is_sparse(const struct nn_graph *g, const struct nn_node *n)
{
    const struct nn_tensor *x = &g->tensors[n->input[0]], *m = &g->tensors[n->input[1]];
    bool made = x->kind == NN_TENSOR_ACTIVATION || x->kind == NN_TENSOR_INPUT;
    return made && x->rank == 4 && m->rank == 2 && m->kind == NN_TENSOR_CONSTANT &&
           m->dim[0] == x->dim[3] && nn_sparse_pays(m->data, m->dim[0], m->dim[1]);
}

static bool is_sparse(const struct nn_plan *p, const struct nn_ir *ir)
{
    return nn_out(p, ir, 0)->layout == NN_LAYOUT_CHANNELS_LAST;
}

static enum status sparse_step(struct nn_plan *p, struct nn_ir *ir, bool transposed, int from,
                               int to, struct error *err)
{
    const struct nn_tensor *m = &p->graph->tensors[ir->node->input[1]];
    const struct nn_value *x = nn_in(p, ir, 0);
    struct nn_step *s;
    enum status st = nn_plan_step(p, run_sparse, sizeof(struct sparse_args), &s, err);
    if (st)
        return st;
    struct sparse_args *a = s->args;
    s->clear = clear_sparse;
    a->rows = x->dim[0] * x->dim[2];
    a->channels = x->dim[1];
    nn_step_operand(s, from);
    nn_step_operand(s, to);
    return nn_sparse_init(&a->matrix, m->data, m->dim[0], m->dim[1], transposed, err);
}

static enum status sparse_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    enum status st = nn_plan_output(p, ir, 0, -1, err);
    return st ? st
              : sparse_step(p, ir, false, nn_in(p, ir, 0)->buffer, nn_out(p, ir, 0)->buffer, err);
}

static enum status sparse_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    int gx;
    bool add;
    enum status st = nn_grad_begin(p, ir->in[0], false, &gx, &add, err);
    if (!st)
        st = sparse_step(p, ir, true, nn_grad_of_output(p, ir, 0), gx, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

/* --- dense --- */

static enum status matmul_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct matmul_args a;
    if (is_sparse(p, ir))
        return sparse_forward(p, ir, err);
    enum status st = matmul_args_of(p, ir, &a, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, -1, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_in(p, ir, 1)->buffer, nn_out(p, ir, 0)->buffer};
    return nn_plan_emit(p, run_matmul, &a, sizeof a, buffer, 3, err);
}

static enum status matmul_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct matmul_args a;
    int gy = nn_grad_of_output(p, ir, 0);
    if (is_sparse(p, ir))
        return sparse_backward(p, ir, err);
    enum status st = matmul_args_of(p, ir, &a, err);
    for (int k = 0; k < 2 && !st; k++) {
        const struct nn_value *x = nn_in(p, ir, k);
        int gx, other = nn_in(p, ir, 1 - k)->buffer;
        if (!x->needs_grad)
            continue;
        st = nn_grad_begin(p, ir->in[k], true, &gx, &a.add, err);
        int64_t own = k == 0 ? a.m * a.k : a.k * a.n;
        a.fill_count = !a.add && x->count < a.batch_count * own ? (size_t)x->count : 0;
        a.input = k;
        if (!st)
            st = nn_plan_emit(p, run_matmul_backward, &a, sizeof a, (int[]){gy, other, gx}, 3, err);
        if (!st)
            st = nn_grad_done(p, ir->in[k], gx, err);
    }
    return st;
}

const struct nn_exec nn_exec_matmul = {matmul_saves, matmul_forward, matmul_backward};

/* --- Gemm: y = alpha op(a) op(b) + beta c --- */

enum { IN_A, IN_B, IN_C };

struct gemm_args {
    int64_t m, n, k, a_columns, b_columns;
    float alpha, beta;
    bool trans_a, trans_b, has_c, add;
    int64_t c_stride[2];
};

/* a, b, y, c */
static enum status run_gemm(struct nn_step *s)
{
    const struct gemm_args *a = s->args;
    if (a->has_c)
        kernel_binary(KERNEL_MUL, 2, (int64_t[]){a->m, a->n}, s->data[3], a->c_stride, &a->beta,
                      (int64_t[]){0, 0}, s->data[2], (int64_t[]){a->n, 1}, -INFINITY, INFINITY);
    return nn_sgemm(a->trans_a, a->trans_b, a->m, a->n, a->k, a->alpha, s->data[0], a->a_columns,
                    s->data[1], a->b_columns, a->has_c ? 1 : 0, s->data[2], a->n);
}

/* gy, b, ga */
static enum status run_gemm_grad_a(struct nn_step *s)
{
    const struct gemm_args *a = s->args;
    float beta = a->add ? 1 : 0;
    if (a->trans_a)
        return nn_sgemm(a->trans_b, true, a->k, a->m, a->n, a->alpha, s->data[1], a->b_columns,
                        s->data[0], a->n, beta, s->data[2], a->m);
    return nn_sgemm(false, !a->trans_b, a->m, a->k, a->n, a->alpha, s->data[0], a->n, s->data[1],
                    a->b_columns, beta, s->data[2], a->k);
}

/* gy, a, gb */
static enum status run_gemm_grad_b(struct nn_step *s)
{
    const struct gemm_args *a = s->args;
    float beta = a->add ? 1 : 0;
    if (a->trans_b)
        return nn_sgemm(true, a->trans_a, a->n, a->k, a->m, a->alpha, s->data[0], a->n, s->data[1],
                        a->a_columns, beta, s->data[2], a->k);
    return nn_sgemm(!a->trans_a, false, a->k, a->n, a->m, a->alpha, s->data[1], a->a_columns,
                    s->data[0], a->n, beta, s->data[2], a->n);
}

/* gy, gc */
static enum status run_gemm_grad_c(struct nn_step *s)
{
    const struct gemm_args *a = s->args;
    kernel_binary_backward(KERNEL_MUL, 0, 2, (int64_t[]){a->m, a->n}, s->data[0],
                           (int64_t[]){a->n, 1}, NULL, a->c_stride, &a->beta, (int64_t[]){0, 0},
                           s->data[1], a->c_stride, a->add);
    return ST_OK;
}

static enum status gemm_args_of(const struct nn_plan *p, const struct nn_ir *ir,
                                struct gemm_args *ret, struct error *err)
{
    const struct nn_value *a = nn_in(p, ir, IN_A), *b = nn_in(p, ir, IN_B);
    const struct nn_value *c = nn_optional(p, ir, IN_C), *y = nn_out(p, ir, 0);
    if (a->rank != 2 || b->rank != 2 || y->rank != 2 || (c && c->rank > 2))
        return nn_plan_refuse(p, err, "it needs matrices");
    bool ta = ir->node->a.gemm.trans_a, tb = ir->node->a.gemm.trans_b;
    struct gemm_args g = {.m = a->dim[ta],
                          .k = a->dim[!ta],
                          .n = b->dim[!tb],
                          .a_columns = a->dim[1],
                          .b_columns = b->dim[1],
                          .alpha = ir->node->a.gemm.alpha,
                          .beta = ir->node->a.gemm.beta,
                          .trans_a = ta,
                          .trans_b = tb,
                          .has_c = c != NULL};
    if (b->dim[tb] != g.k || y->dim[0] != g.m || y->dim[1] != g.n)
        return nn_plan_refuse(p, err, "its matrices do not fit");
    for (int i = 0; c && i < c->rank; i++) {
        int d = i + 2 - c->rank;
        if (c->dim[i] != 1 && c->dim[i] != y->dim[d])
            return nn_plan_refuse(p, err, "its C does not broadcast to its output");
        g.c_stride[d] = c->dim[i] == 1 ? 0 : c->stride[i];
    }
    *ret = g;
    return ST_OK;
}

static enum status gemm_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct gemm_args a;
    enum status st = gemm_args_of(p, ir, &a, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, -1, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, IN_A)->buffer, nn_in(p, ir, IN_B)->buffer,
                    nn_out(p, ir, 0)->buffer, a.has_c ? nn_in(p, ir, IN_C)->buffer : -1};
    return nn_plan_emit(p, run_gemm, &a, sizeof a, buffer, a.has_c ? 4 : 3, err);
}

static enum status gemm_grad(struct nn_plan *p, struct nn_ir *ir, int input,
                             enum status (*run)(struct nn_step *), int other, struct error *err)
{
    struct gemm_args a;
    int gx, count = 0, buffer[3];
    if (!nn_optional(p, ir, input) || !nn_in(p, ir, input)->needs_grad)
        return ST_OK;
    enum status st = gemm_args_of(p, ir, &a, err);
    if (!st)
        st = nn_grad_begin(p, ir->in[input], true, &gx, &a.add, err);
    if (st)
        return st;
    buffer[count++] = nn_grad_of_output(p, ir, 0);
    if (other >= 0)
        buffer[count++] = nn_in(p, ir, other)->buffer;
    buffer[count++] = gx;
    st = nn_plan_emit(p, run, &a, sizeof a, buffer, count, err);
    return st ? st : nn_grad_done(p, ir->in[input], gx, err);
}

static enum status gemm_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    enum status st = gemm_grad(p, ir, IN_A, run_gemm_grad_a, IN_B, err);
    if (!st)
        st = gemm_grad(p, ir, IN_B, run_gemm_grad_b, IN_A, err);
    return st ? st : gemm_grad(p, ir, IN_C, run_gemm_grad_c, -1, err);
}

const struct nn_exec nn_exec_gemm = {matmul_saves, gemm_forward, gemm_backward};
