/* Resize: own kernels over NHWC; forward and backward each hold their table of neighbours. */
#include "nn/plan.h"

#include "nn/kernels.h"

struct resize_args {
    struct kernel_resize resize;
    int64_t images, channels;
    bool add;
};

static enum status run_resize(struct nn_step *s)
{
    const struct resize_args *a = s->args;
    kernel_resize(&a->resize, s->data[0], s->data[1], a->images, a->channels);
    return ST_OK;
}

static enum status run_resize_backward(struct nn_step *s)
{
    const struct resize_args *a = s->args;
    kernel_resize_backward(&a->resize, s->data[0], s->data[1], a->images, a->channels, a->add);
    return ST_OK;
}

static void clear_resize(void *args)
{
    kernel_resize_clear(&((struct resize_args *)args)->resize);
}

static enum status resize_step(struct nn_plan *p, const struct nn_ir *ir,
                               enum status (*run)(struct nn_step *), bool add, int from, int to,
                               struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    const union nn_attributes *n = &ir->node->a;
    struct nn_step *s;
    if (x->dim[0] != y->dim[0] || x->dim[1] != y->dim[1])
        return nn_plan_refuse(p, err, "only height and width can be resized");
    enum status st = nn_plan_step(p, run, sizeof(struct resize_args), &s, err);
    if (st)
        return st;
    struct resize_args *a = s->args;
    a->images = x->dim[0];
    a->channels = x->dim[1];
    if (x->layout == NN_LAYOUT_BLOCKED) { /* every block an image of its own */
        a->images = x->dim[0] * x->dim[1] / NN_BLOCK_CHANNELS;
        a->channels = NN_BLOCK_CHANNELS;
    }
    a->add = add;
    s->clear = clear_resize;
    nn_step_operand(s, from);
    nn_step_operand(s, to);
    return kernel_resize_init(&a->resize, (int)x->dim[2], (int)x->dim[3], (int)y->dim[2],
                              (int)y->dim[3], n->resize.mode, n->resize.coordinates,
                              n->resize.nearest, n->resize.scale, err);
}

static enum status resize_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    enum status st = nn_plan_output(p, ir, 0, -1, err);
    return st ? st
              : resize_step(p, ir, run_resize, false, nn_in(p, ir, 0)->buffer,
                            nn_out(p, ir, 0)->buffer, err);
}

static enum status resize_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    int gx, gy = nn_grad_of_output(p, ir, 0);
    bool add;
    enum status st = nn_grad_begin(p, ir->in[0], true, &gx, &add, err);
    if (!st)
        st = resize_step(p, ir, run_resize_backward, add, gy, gx, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

const struct nn_exec nn_exec_resize = {NULL, resize_forward, resize_backward};
