/* Which outputs of batch norm are made again, and when. */
#include "nn/recompute.h"

static struct nn_ir *maker_of(const struct nn_plan *p, int value)
{
    for (int i = 0; value >= 0 && i < p->ir_count; i++)
        if (!p->irs[i].dead && p->irs[i].node && p->irs[i].out[0] == value)
            return &p->irs[i];
    return NULL;
}

/* Another name for the same memory would keep the old one. */
static bool is_aliased(const struct nn_plan *p, int value)
{
    for (int i = 0; i < p->ir_count; i++)
        if (p->irs[i].alias && !p->irs[i].dead && p->irs[i].in[0] == value)
            return true;
    return nn_plan_is_output(p, value);
}

static bool can_remake(const struct nn_plan *p, const struct nn_ir *ir)
{
    if (ir->dead || !ir->node || ir->node->op != NN_OP_BATCH_NORM || is_aliased(p, ir->out[0]))
        return false;
    const struct nn_ir *before = maker_of(p, ir->in[0]);
    return p->values[ir->out[0]].layout == NN_LAYOUT_BLOCKED && (!before || !before->remakes);
}

/* The first ones live longest, so they go first. */
void nn_recompute_mark(struct nn_plan *p)
{
    size_t all = 0, marked = 0;
    for (int i = 0; i < p->ir_count; i++)
        if (can_remake(p, &p->irs[i]))
            all += nn_value_bytes(nn_out(p, &p->irs[i], 0));
    for (int i = 0; i < p->ir_count && marked * 4 < all * (size_t)p->remake_quarters; i++) {
        struct nn_ir *ir = &p->irs[i];
        if (!can_remake(p, ir))
            continue;
        ir->remakes = true;
        nn_out(p, ir, 0)->saved = false;
        marked += nn_value_bytes(nn_out(p, ir, 0));
    }
}

/* Whether ir's backward steps read this input: what `saves` says. */
static bool reads_back(struct nn_plan *p, const struct nn_ir *ir, int input)
{
    const struct nn_exec *exec = nn_exec_of(p, ir);
    struct nn_value *v = nn_in(p, ir, input);
    v->saved = false;
    if (exec->saves)
        exec->saves(p, ir);
    bool reads = v->saved;
    v->saved = false;
    return reads;
}

enum status nn_recompute_inputs(struct nn_plan *p, const struct nn_ir *ir, struct error *err)
{
    for (int k = 0; p->remake_quarters > 0 && k < ir->input_count; k++) {
        struct nn_ir *maker = ir->in[k] >= 0 ? maker_of(p, ir->in[k]) : NULL;
        if (!maker || !maker->remakes || !reads_back(p, ir, k))
            continue;
        struct nn_value *v = nn_in(p, ir, k);
        int buffer = nn_plan_buffer(p, nn_value_bytes(v));
        if (buffer < 0)
            return error_set(err, ST_NOMEM, "out of memory while planning a session");
        enum status st = nn_norm_remake(p, maker, buffer, err);
        if (st)
            return st;
        v->buffer = buffer;
        maker->remakes = false; /* it is there for whoever comes next */
    }
    return ST_OK;
}
