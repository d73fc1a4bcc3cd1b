/* Steps over bytes between the convolutions (see exec_bytes.h). Forward only. */
#include "nn/exec_bytes.h"

#include "nn/kernels_bytes.h"

static const uint8_t *bytes_at(const struct nn_step *s, int operand)
{
    return (const uint8_t *)s->data[operand];
}

/* --- conversions --- */

struct convert_args {
    int64_t count;
    struct nn_quant quant;
};

static enum status run_to_bytes(struct nn_step *s)
{
    const struct convert_args *a = s->args;
    kernel_bytes_from_floats(s->data[0], (uint8_t *)s->data[1], a->count, a->quant);
    return ST_OK;
}

static enum status run_to_floats(struct nn_step *s)
{
    const struct convert_args *a = s->args;
    kernel_floats_from_bytes(bytes_at(s, 0), s->data[1], a->count, a->quant);
    return ST_OK;
}

static enum status convert_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    bool narrows = y->type == NN_TYPE_U8;
    struct convert_args a = {y->count, narrows ? y->quant : x->quant};
    return nn_plan_emit_forward(p, ir, -1, narrows ? run_to_bytes : run_to_floats, &a, sizeof a,
                                err);
}

/* --- sums --- */

struct add_args {
    int64_t count;
    struct kernel_bytes_sum sum;
};

static enum status run_add(struct nn_step *s)
{
    const struct add_args *a = s->args;
    kernel_add_bytes(&a->sum, bytes_at(s, 0), bytes_at(s, 1), (uint8_t *)s->data[2], a->count);
    return ST_OK;
}

static enum status add_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *z = nn_in(p, ir, 1), *y = nn_out(p, ir, 0);
    struct add_args a = {y->count, {x->quant, z->quant, y->quant, ir->lo, ir->hi}};
    enum status st = nn_plan_output(p, ir, 0, 0, err);
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_in(p, ir, 1)->buffer, nn_out(p, ir, 0)->buffer};
    return st ? st : nn_plan_emit(p, run_add, &a, sizeof a, buffer, 3, err);
}

/* --- the global average --- */

struct average_args {
    int64_t images, pixels, channels;
    struct nn_quant quant;
};

static enum status run_average(struct nn_step *s)
{
    const struct average_args *a = s->args;
    kernel_global_average_bytes(bytes_at(s, 0), s->data[1], a->images, a->pixels, a->channels,
                                a->quant);
    return ST_OK;
}

static enum status average_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0);
    struct average_args a = {x->dim[0], x->dim[2] * x->dim[3], x->dim[1], x->quant};
    return nn_plan_emit_forward(p, ir, -1, run_average, &a, sizeof a, err);
}

static const struct nn_exec exec_convert = {NULL, convert_forward, NULL};
static const struct nn_exec exec_add = {NULL, add_forward, NULL};
static const struct nn_exec exec_average = {NULL, average_forward, NULL};

const struct nn_exec *nn_exec_bytes_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    bool in = nn_optional(p, ir, 0) && nn_optional(p, ir, 0)->type == NN_TYPE_U8;
    bool out = ir->out[0] >= 0 && nn_out(p, ir, 0)->type == NN_TYPE_U8;
    if (!ir->node)
        return in != out ? &exec_convert : NULL;
    if (ir->node->op == NN_OP_ADD && out)
        return &exec_add;
    return ir->node->op == NN_OP_GLOBAL_AVERAGE_POOL && in ? &exec_average : NULL;
}
