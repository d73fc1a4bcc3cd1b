/* Takes activations into the steps before them. */
#include "nn/fuse.h"

#include <math.h>

static bool takes_clamp(const struct nn_ir *ir)
{
    return ir->node && (ir->node->op == NN_OP_BATCH_NORM || ir->node->op == NN_OP_ADD);
}

static bool clamp_of(const struct nn_ir *ir, float *ret_lo, float *ret_hi)
{
    if (!ir->node || (ir->node->op != NN_OP_RELU && ir->node->op != NN_OP_CLIP))
        return false;
    bool relu = ir->node->op == NN_OP_RELU;
    *ret_lo = relu ? 0 : ir->node->a.clip.min;
    *ret_hi = relu ? INFINITY : ir->node->a.clip.max;
    return true;
}

static bool is_output(const struct nn_plan *p, int value)
{
    for (int i = 0; i < p->graph->output_count; i++)
        if (p->output_value[i] == value)
            return true;
    return false;
}

/* The only reader of a value, if it is after `from`; NULL: none, or several. */
static struct nn_ir *only_reader(const struct nn_plan *p, int from, int value)
{
    if (p->values[value].uses != 1 || is_output(p, value))
        return NULL;
    for (int i = from + 1; i < p->ir_count; i++)
        for (int k = 0; k < p->irs[i].input_count; k++)
            if (p->irs[i].in[k] == value)
                return &p->irs[i];
    return NULL;
}

void nn_plan_fuse(struct nn_plan *p)
{
    for (int i = 0; i < p->ir_count; i++) {
        struct nn_ir *ir = &p->irs[i];
        struct nn_ir *reader = takes_clamp(ir) ? only_reader(p, i, ir->out[0]) : NULL;
        if (!reader || !clamp_of(reader, &ir->lo, &ir->hi))
            continue;
        p->values[ir->out[0]].uses = 0;
        ir->out[0] = reader->out[0];
        reader->fused = true;
    }
}
