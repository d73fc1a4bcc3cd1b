/* Which outputs are made again, and when. */
#include "nn/recompute.h"

#include "nn/inspect.h"

/* Another name for the same memory would keep the old one. */
static bool is_aliased(const struct nn_plan *p, int value)
{
    for (int i = 0; i < p->ir_count; i++)
        if (p->irs[i].alias && !p->irs[i].dead && p->irs[i].in[0] == value)
            return true;
    return nn_plan_is_output(p, value);
}

static bool is_candidate(const struct nn_plan *p, const struct nn_ir *ir, enum nn_op op)
{
    return !ir->dead && ir->node && ir->node->op == op && ir->before < 0 &&
           nn_out(p, ir, 0)->saved && nn_out(p, ir, 0)->layout == NN_LAYOUT_BLOCKED &&
           !is_aliased(p, ir->out[0]);
}

static bool is_norm(const struct nn_plan *p, const struct nn_ir *ir)
{
    return is_candidate(p, ir, NN_OP_BATCH_NORM);
}

/* A convolution that only batch norms read, and who does their work: what others did to its result
 * in place is lost. */
static bool is_conv(const struct nn_plan *p, const struct nn_ir *ir)
{
    if (!is_candidate(p, ir, NN_OP_CONV))
        return false;
    for (int i = 0; i < p->ir_count; i++)
        if (nn_ir_reads(&p->irs[i], ir->out[0]) &&
            (!p->irs[i].node || p->irs[i].node->op != NN_OP_BATCH_NORM) && p->irs[i].before < 0)
            return false;
    return true;
}

static void mark(struct nn_plan *p, struct nn_ir *ir)
{
    ir->remakes = true;
    nn_out(p, ir, 0)->saved = false;
}

/* The convolution whose result has to be there, or made again, before ir's input can be: NULL when
 * that is kept anyway. */
static const struct nn_ir *origin_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_ir *norm = nn_plan_maker(p, ir->in[0]);
    return norm && norm->remakes ? nn_plan_maker(p, norm->in[0]) : NULL;
}

/* Never two in a row: each runs at most twice. */
static bool stands_alone(const struct nn_plan *p, const struct nn_ir *conv)
{
    const struct nn_ir *origin = origin_of(p, conv);
    if (origin && origin->remakes)
        return false;
    for (int i = 0; i < p->ir_count; i++)
        if (p->irs[i].remakes && p->irs[i].node->op == NN_OP_CONV &&
            origin_of(p, &p->irs[i]) == conv)
            return false;
    return true;
}

/* Bytes that an operation buys. */
static double worth_of(const struct nn_plan *p, const struct nn_ir *conv)
{
    return (double)nn_value_bytes(nn_out(p, conv, 0)) / (1 + nn_node_flops(p->graph, conv->node));
}

static struct nn_ir *best_conv(struct nn_plan *p)
{
    struct nn_ir *best = NULL;
    for (int i = 0; i < p->ir_count; i++) {
        struct nn_ir *ir = &p->irs[i];
        if (!ir->remakes && is_conv(p, ir) && stands_alone(p, ir) &&
            (!best || worth_of(p, ir) > worth_of(p, best)))
            best = ir;
    }
    return best;
}

/* Bytes of all results of one kind. */
static size_t bytes_of(const struct nn_plan *p,
                       bool (*is_one)(const struct nn_plan *p, const struct nn_ir *ir))
{
    size_t bytes = 0;
    for (int i = 0; i < p->ir_count; i++)
        if (is_one(p, &p->irs[i]))
            bytes += nn_value_bytes(nn_out(p, &p->irs[i], 0));
    return bytes;
}

/* The first ones live longest, so they go first. */
static void mark_norms(struct nn_plan *p, size_t want)
{
    size_t marked = 0;
    for (int i = 0; i < p->ir_count && marked < want; i++) {
        if (!is_norm(p, &p->irs[i]))
            continue;
        mark(p, &p->irs[i]);
        marked += nn_value_bytes(nn_out(p, &p->irs[i], 0));
    }
}

static void mark_convs(struct nn_plan *p, size_t want)
{
    size_t marked = 0;
    for (struct nn_ir *ir; marked < want && (ir = best_conv(p));) {
        mark(p, ir);
        marked += nn_value_bytes(nn_out(p, ir, 0));
    }
}

void nn_recompute_mark(struct nn_plan *p)
{
    size_t norms = p->remake < NN_REMAKE_NORMS ? (size_t)p->remake : NN_REMAKE_NORMS;
    mark_norms(p, bytes_of(p, is_norm) * norms / NN_REMAKE_NORMS);
    if (p->remake > NN_REMAKE_NORMS)
        mark_convs(p, bytes_of(p, is_conv) * (size_t)(p->remake - NN_REMAKE_NORMS) /
                          (NN_REMAKE_MOST - NN_REMAKE_NORMS));
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

/* The operation runs once more, into a new buffer; first what made its input, where that is gone
 * too. It is there then for whoever comes next. */
static enum status remake(struct nn_plan *p, int value, struct error *err)
{
    struct nn_ir *maker = nn_plan_maker(p, value);
    if (!maker || !maker->remakes)
        return ST_OK;
    enum status st = remake(p, maker->in[0], err);
    if (st)
        return st;
    int buffer = nn_plan_buffer(p, nn_value_bytes(&p->values[value]));
    if (buffer < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    bool conv = maker->node->op == NN_OP_CONV;
    st = conv ? nn_conv_remake(p, maker, buffer, err) : nn_norm_remake(p, maker, buffer, err);
    p->values[value].buffer = buffer;
    maker->remakes = false;
    return st;
}

enum status nn_recompute_inputs(struct nn_plan *p, const struct nn_ir *ir, struct error *err)
{
    enum status st = ST_OK;
    for (int k = 0; p->remake > 0 && k < ir->input_count && !st; k++) {
        const struct nn_ir *maker = nn_plan_maker(p, ir->in[k]);
        if (maker && maker->remakes && reads_back(p, ir, k))
            st = remake(p, ir->in[k], err);
    }
    return st;
}
