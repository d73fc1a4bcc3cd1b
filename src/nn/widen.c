/* Puts steps that have no form for bytes back to float32 (see exec_bytes.h).
 *
 * The list of nn_ir is made anew. A step that has to be widened reads float32 values of its
 * inputs, converted in front of it unless an earlier step made them in float32 anyway, and its
 * results are converted behind it; conversions that nobody reads are left to layout.c. */
#include "nn/exec_bytes.h"

#include <stdlib.h>
#include <string.h>

struct widening {
    struct nn_plan *p;
    struct nn_ir *irs; /* the new list */
    int count, capacity;
    int *wide; /* [value at the start]: its float32 twin, -1: none yet */
};

static bool is_bytes(const struct nn_plan *p, int value)
{
    return value >= 0 && p->values[value].type == NN_TYPE_U8;
}

static bool touches_bytes(const struct nn_plan *p, const struct nn_ir *ir)
{
    for (int k = 0; k < ir->input_count; k++)
        if (is_bytes(p, ir->in[k]))
            return true;
    for (int o = 0; o < ir->output_count; o++)
        if (is_bytes(p, ir->out[o]))
            return true;
    return false;
}

static bool runs_as_it_is(const struct nn_plan *p, const struct nn_ir *ir)
{
    return !ir->node || ir->node->op == NN_OP_CONV || ir->node->op == NN_OP_MAX_POOL ||
           nn_exec_bytes_of(p, ir) || !touches_bytes(p, ir);
}

static enum status append(struct widening *w, const struct nn_ir *ir, struct error *err)
{
    if (w->count == w->capacity) {
        int capacity = w->capacity ? w->capacity * 2 : 256;
        struct nn_ir *grown = realloc(w->irs, (size_t)capacity * sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "out of memory while planning a session");
        w->irs = grown;
        w->capacity = capacity;
    }
    w->irs[w->count++] = *ir;
    return ST_OK;
}

static enum status convert(struct widening *w, int from, int to, struct error *err)
{
    struct nn_ir ir = {.input_count = 1, .output_count = 1, .workspace = -1};
    ir.in[0] = from;
    ir.out[0] = to;
    w->p->values[from].uses++;
    return append(w, &ir, err);
}

static enum status float_twin(struct widening *w, int value, int *ret, struct error *err)
{
    struct nn_format f = {w->p->values[value].layout, NN_TYPE_F32};
    int id = nn_plan_value(w->p, w->p->values[value].tensor, f);
    if (id < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    *ret = w->wide[value] = id;
    return ST_OK;
}

static enum status widen_input(struct widening *w, int *in, struct error *err)
{
    int value = *in, twin = w->wide[value];
    if (twin < 0) {
        enum status st = float_twin(w, value, &twin, err);
        if (!st)
            st = convert(w, value, twin, err);
        if (st)
            return st;
    }
    w->p->values[value].uses--;
    w->p->values[twin].uses++;
    *in = twin;
    return ST_OK;
}

static enum status widen(struct widening *w, const struct nn_ir *from, struct error *err)
{
    struct nn_ir ir = *from;
    enum status st = ST_OK;
    for (int k = 0; k < ir.input_count && !st; k++)
        if (is_bytes(w->p, ir.in[k]))
            st = widen_input(w, &ir.in[k], err);
    for (int o = 0; o < ir.output_count && !st; o++)
        if (is_bytes(w->p, ir.out[o]))
            st = float_twin(w, ir.out[o], &ir.out[o], err);
    if (!st)
        st = append(w, &ir, err);
    for (int o = 0; o < ir.output_count && !st; o++)
        if (ir.out[o] != from->out[o])
            st = convert(w, ir.out[o], from->out[o], err);
    return st;
}

enum status nn_plan_widen(struct nn_plan *p, struct error *err)
{
    struct widening w = {.p = p};
    int values = p->value_count;
    enum status st = ST_OK;
    w.wide = malloc(((size_t)values + 1) * sizeof *w.wide);
    if (!w.wide)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    for (int i = 0; i < values; i++)
        w.wide[i] = -1;
    for (int i = 0; i < p->ir_count && !st; i++) {
        const struct nn_ir *ir = &p->irs[i];
        if (!ir->dead)
            st = runs_as_it_is(p, ir) ? append(&w, ir, err) : widen(&w, ir, err);
    }
    free(w.wide);
    if (st) {
        free(w.irs);
        return st;
    }
    free(p->irs);
    p->irs = w.irs;
    p->ir_count = w.count;
    p->ir_capacity = w.capacity;
    return ST_OK;
}
