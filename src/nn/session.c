/* A session: the parameter vector, the plan, and running its steps. */
#include "nn/session.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nn/fixed.h"
#include "nn/observe.h"
#include "nn/plan.h"

#define BATCH_MAX 1024
#define THREADS_MAX 256

struct nn_session {
    const struct nn_model *model;
    struct nn_session_options options;
    struct nn_dnnl *dnnl;
    struct nn_plan plan;
    size_t param_count;
    float *params, *grads;
    bool *changed;         /* [parameter tensors] since weights were packed */
    bool any_changed;      /* of them */
    bool packed;           /* false: all weights are to be, whatever changed */
    size_t released_bytes; /* of params */
};

void nn_session_options_init(struct nn_session_options *o)
{
    *o = (struct nn_session_options){.mode = NN_INFER,
                                     .batch = 1,
                                     .threads = 1,
                                     .bn_mode = NN_BN_FROZEN,
                                     .precision = NN_PRECISION_F32,
                                     .winograd = true,
                                     .fuse = true};
}

static enum status options_check(const struct nn_session_options *o, struct error *err)
{
    if (o->mode != NN_INFER && o->mode != NN_TRAIN)
        return error_set(err, ST_INVALID, "session: mode must be inference or training");
    if (o->bn_mode != NN_BN_FROZEN && o->bn_mode != NN_BN_BATCH)
        return error_set(err, ST_INVALID, "session: batch-norm mode must be frozen or batch");
    if (o->precision < NN_PRECISION_F32 || o->precision > NN_PRECISION_INT8)
        return error_set(err, ST_INVALID, "session: precision must be float32, bfloat16 or int8");
    if (o->precision == NN_PRECISION_INT8 && o->mode != NN_INFER)
        return error_set(err, ST_UNSUPPORTED, "int8 is for inference: train in another precision");
    if (!nn_precision_is_native(o->precision))
        return error_set(err, ST_UNSUPPORTED, "this processor has no %s arithmetic: use float32",
                         o->precision == NN_PRECISION_INT8 ? "int8 (VNNI)" : "bfloat16");
    if (o->fixed && o->mode == NN_TRAIN)
        return error_set(err, ST_INVALID, "session: what trains cannot have fixed weights");
    if (o->batch < 1 || o->batch > BATCH_MAX)
        return error_set(err, ST_INVALID, "session: batch must be 1 to %d, not %d", BATCH_MAX,
                         o->batch);
    if (o->threads < 1 || o->threads > THREADS_MAX)
        return error_set(err, ST_INVALID, "session: threads must be 1 to %d, not %d", THREADS_MAX,
                         o->threads);
    return ST_OK;
}

bool nn_precision_is_native(enum nn_precision precision)
{
    if (precision == NN_PRECISION_INT8)
        return nn_dnnl_has_int8();
    return precision == NN_PRECISION_F32 || nn_dnnl_has_bf16();
}

enum nn_precision nn_precision_of_model(const struct nn_model *m)
{
    bool bytes = nn_model_is_calibrated(m) && nn_precision_is_native(NN_PRECISION_INT8);
    return bytes ? NN_PRECISION_INT8 : NN_PRECISION_F32;
}

enum nn_precision nn_precision_of_training(void)
{
    return nn_precision_is_native(NN_PRECISION_BF16) ? NN_PRECISION_BF16 : NN_PRECISION_F32;
}

/* Whether `data` is a parameter tensor that changed. */
static bool is_changed(const struct nn_session *s, const float *data)
{
    const struct nn_graph *g = s->plan.graph;
    if (data < s->params || data >= s->params + s->param_count)
        return false;
    size_t offset = (size_t)(data - s->params);
    for (int i = 0; i < g->param_count; i++)
        if (g->params[i].offset == offset && g->params[i].count > 0)
            return s->changed[i];
    return true;
}

static bool is_stale(const struct nn_session *s, const struct nn_step *step)
{
    for (int k = 0; k < step->operand_count; k++)
        if (is_changed(s, step->data[k]))
            return true;
    return false;
}

static enum status pack(struct nn_session *s)
{
    enum status st = ST_OK;
    for (int i = 0; i < s->plan.step_count && !st; i++) {
        struct nn_step *step = &s->plan.steps[i];
        if ((!step->prepare && !step->op) || (s->packed && !is_stale(s, step)))
            continue;
        if (step->prepare)
            step->prepare(step);
        if (step->op)
            st = nn_dnnl_op_pack(step->op);
    }
    if (st)
        return st;
    memset(s->changed, 0, (size_t)s->plan.graph->param_count * sizeof *s->changed);
    s->any_changed = false;
    s->packed = true;
    return ST_OK;
}

/* Long ones on huge pages: an update writes a little everywhere. Not those of which most will be
 * given back (fixed.h). */
static float *vector_new(size_t count, bool huge)
{
    size_t least = count * sizeof(float) + 64;
    size_t align = huge && least >= NN_HUGE_PAGE_BYTES ? NN_HUGE_PAGE_BYTES : 64;
    size_t bytes = (least + align - 1) & ~(align - 1);
    float *v = aligned_alloc(align, bytes);
    if (!v)
        return NULL;
    if (align > 64) /* advice only */
        (void)madvise(v, bytes, MADV_HUGEPAGE);
    memset(v, 0, bytes);
    return v;
}

static enum status vectors_make(struct nn_session *s, struct error *err)
{
    s->param_count = nn_model_param_count(s->model);
    s->params = vector_new(s->param_count, !s->options.fixed);
    s->grads = s->options.mode == NN_TRAIN ? vector_new(s->param_count, true) : NULL;
    s->changed = calloc((size_t)nn_model_graph(s->model)->param_count + 1, sizeof *s->changed);
    if (!s->params || !s->changed || (s->options.mode == NN_TRAIN && !s->grads))
        return error_set(err, ST_NOMEM, "out of memory for the parameters of a session");
    if (s->param_count)
        memcpy(s->params, nn_model_values(s->model), s->param_count * sizeof(float));
    return ST_OK;
}

static enum status plan_make(struct nn_session *s, int remake, struct error *err)
{
    s->plan.graph = nn_model_graph(s->model);
    s->plan.options = s->options;
    s->plan.remake = remake;
    s->plan.dnnl = s->dnnl;
    s->plan.params = s->params;
    s->plan.grads = s->grads;
    /* oneDNN divides the work of a primitive when it makes it. */
    int threads = omp_get_max_threads();
    omp_set_num_threads(s->options.threads);
    enum status st = nn_plan_make(&s->plan, err);
    omp_set_num_threads(threads);
    return st;
}

static enum status session_make(struct nn_session *s, struct error *err)
{
    enum status st = vectors_make(s, err);
    if (!st)
        st = nn_dnnl_open(&s->dnnl, err);
    if (st)
        return st;
    size_t limit = s->options.memory_limit_bytes;
    int most = s->options.mode == NN_TRAIN && limit ? NN_REMAKE_MOST : NN_REMAKE_NOTHING;
    for (int remake = NN_REMAKE_NOTHING; remake <= most; remake++) {
        nn_plan_clear(&s->plan);
        st = plan_make(s, remake, err);
        if (st || limit == 0 || nn_session_bytes(s) <= limit)
            return st;
    }
    return error_set(err, ST_LIMIT,
                     "the session needs %zu MiB, its limit is %zu: use a smaller batch",
                     nn_session_bytes(s) >> 20, limit >> 20);
}

static enum status run(struct nn_session *s, int from, int to, struct error *err)
{
    struct nn_plan *p = &s->plan;
    int threads = omp_get_max_threads(), i = from;
    omp_set_num_threads(s->options.threads);
    enum status st = ST_OK;
    if (s->any_changed || !s->packed)
        st = pack(s);
    for (; i < to && !st; i++)
        st = p->steps[i].run(&p->steps[i]);
    omp_set_num_threads(threads);
    if (!st)
        return ST_OK;
    int node = i > from ? p->steps[i - 1].node : -1;
    return error_set(err, ST_INTERNAL, "oneDNN failed at node '%s'",
                     node >= 0 ? p->graph->nodes[node].name : "weights");
}

/* A run of no steps packs the weights. */
static enum status fix(struct nn_session *s, struct error *err)
{
    enum status st = run(s, 0, 0, err);
    if (!st)
        s->released_bytes = nn_fixed_release(&s->plan);
    return st;
}

enum status nn_session_open(const struct nn_model *m, const struct nn_session_options *options,
                            struct nn_session **ret, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    if (options)
        o = *options;
    enum status st = options_check(&o, err);
    if (!st && o.precision == NN_PRECISION_INT8 && !o.ranges && !nn_model_is_calibrated(m))
        st = error_set(err, ST_UNSUPPORTED,
                       "the model is not calibrated for int8: attune model quantize does that");
    if (st)
        return st;
    struct nn_session *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "out of memory for a session");
    s->model = m;
    s->options = o;
    st = session_make(s, err);
    if (!st && o.fixed)
        st = fix(s, err);
    if (st)
        nn_session_close(&s);
    else
        *ret = s;
    return st;
}

void nn_session_close(struct nn_session **s)
{
    if (!s || !*s)
        return;
    nn_plan_clear(&(*s)->plan);
    nn_dnnl_close(&(*s)->dnnl);
    free((*s)->params);
    free((*s)->grads);
    free((*s)->changed);
    free(*s);
    *s = NULL;
}

float *nn_session_params(struct nn_session *s)
{
    return s->options.fixed ? NULL : s->params;
}

void nn_session_params_changed(struct nn_session *s)
{
    assert(!s->options.fixed);
    s->packed = false;
}

void nn_session_params_changed_in(struct nn_session *s, size_t begin, size_t end)
{
    assert(!s->options.fixed);
    const struct nn_graph *g = s->plan.graph;
    for (int i = 0; i < g->param_count; i++) {
        const struct nn_param *p = &g->params[i];
        if (p->offset < end && p->offset + p->count > begin)
            s->changed[i] = s->any_changed = true;
    }
}

float *nn_session_grads(struct nn_session *s)
{
    return s->grads;
}

static struct nn_view view_of(const struct nn_plan *p, int value, int buffer)
{
    const struct nn_value *v = &p->values[value];
    struct nn_view view = {.data = p->buffers[buffer >= 0 ? buffer : v->buffer].data,
                           .rank = v->rank};
    memcpy(view.dim, v->dim, sizeof view.dim);
    memcpy(view.stride, v->stride, sizeof view.stride);
    return view;
}

struct nn_view nn_session_input(struct nn_session *s, int index)
{
    return view_of(&s->plan, s->plan.tensor_value[s->plan.graph->inputs[index]][0], -1);
}

struct nn_view nn_session_output(struct nn_session *s, int index)
{
    return view_of(&s->plan, s->plan.output_value[index], -1);
}

struct nn_view nn_session_output_grad(struct nn_session *s, int index)
{
    return view_of(&s->plan, s->plan.output_value[index], s->plan.output_grad[index]);
}

enum status nn_session_forward(struct nn_session *s, struct error *err)
{
    return run(s, 0, s->plan.forward_count, err);
}

static enum status show(const struct nn_plan *p, int value, const struct nn_observer *o,
                        struct error *err)
{
    const struct nn_value *v = &p->values[value];
    return o->see(o->context, v->tensor, p->buffers[v->buffer].data, (size_t)v->count, err);
}

enum status nn_session_observe(struct nn_session *s, const struct nn_observer *o, struct error *err)
{
    struct nn_plan *p = &s->plan;
    enum status st = ST_OK;
    int done = 0;
    for (int i = 0; i < p->graph->input_count && !st; i++)
        st = show(p, p->tensor_value[p->graph->inputs[i]][0], o, err);
    for (int i = 0; i < p->ir_count && !st; i++) {
        const struct nn_ir *ir = &p->irs[i];
        if (ir->dead)
            continue;
        st = run(s, done, ir->end_step, err);
        done = ir->end_step;
        for (int k = 0; ir->node && k < ir->output_count && !st; k++)
            if (ir->out[k] >= 0 && p->values[ir->out[k]].buffer >= 0)
                st = show(p, ir->out[k], o, err);
    }
    return st;
}

enum status nn_session_backward(struct nn_session *s, struct error *err)
{
    return run(s, s->plan.forward_count, s->plan.step_count, err);
}

size_t nn_session_bytes(const struct nn_session *s)
{
    size_t vectors = s->param_count * sizeof(float) * (s->grads ? 2 : 1);
    return vectors - s->released_bytes + s->plan.arena_map_bytes + s->plan.own_bytes;
}

struct nn_plan *nn_session_plan(struct nn_session *s)
{
    return &s->plan;
}
